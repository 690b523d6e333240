// kvcheck asks everything of the raw commands through a Go client of January
// 2023, over the batch stream and over single calls, plain and compressed, in
// atomic mode and once without.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/tikv/client-go/v2/config"
	"github.com/tikv/client-go/v2/rawkv"

	"tikv_fdw/test/compat/suite"
)

type mode struct {
	name        string
	batchSize   uint
	compression string
	noCAS       bool // without the mode that CompareAndSwap needs
}

// security is what TIKV_CA, TIKV_CERT and TIKV_KEY name: TLS, if they are set.
func security() config.Security {
	return config.NewSecurity(os.Getenv("TIKV_CA"), os.Getenv("TIKV_CERT"), os.Getenv("TIKV_KEY"), nil)
}

var modes = []mode{
	{"batch", 128, "none", false},
	{"unary", 0, "none", false},
	{"batch-gzip", 128, "gzip", false},
	{"unary-gzip", 0, "gzip", false},
	{"unary-no-cas", 0, "none", true},
}

func main() {
	only := flag.String("mode", "", "some of the modes, separated by commas, instead of all")
	seed := flag.Int64("seed", time.Now().UnixNano(), "where the random checks start")
	flag.Parse()

	addrs := strings.Split(os.Getenv("TIKV_PD"), ",")
	if addrs[0] == "" {
		fmt.Fprintln(os.Stderr, "kvcheck: TIKV_PD is not set")
		os.Exit(2)
	}
	store, err := suite.StoreFromEnv()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kvcheck:", err)
		os.Exit(2)
	}
	ran := 0
	for _, m := range modes {
		if *only == "" || slices.Contains(strings.Split(*only, ","), m.name) {
			ran++
			if err = runMode(addrs, store, m, *seed); err != nil {
				fmt.Fprintf(os.Stderr, "kvcheck: %s: %v (seed %d)\n", m.name, err, *seed)
				os.Exit(1)
			}
		}
	}
	if ran == 0 {
		fmt.Fprintf(os.Stderr, "kvcheck: no mode %s\n", *only)
		os.Exit(2)
	}
	fmt.Printf("kvcheck: %d modes\n", ran)
}

func runMode(addrs []string, store suite.Store, m mode, seed int64) error {
	defer config.UpdateGlobal(func(c *config.Config) {
		c.TiKVClient.MaxBatchSize = m.batchSize
		c.TiKVClient.GrpcCompressionType = m.compression
	})()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	options := []rawkv.ClientOpt{rawkv.WithSecurity(security())}
	if store.API == "V2" {
		options = append(options, rawkv.WithAPIVersion(kvrpcpb.APIVersion_V2))
	}
	client, err := rawkv.NewClientWithOpts(ctx, addrs, options...)
	if err != nil {
		return err
	}
	defer client.Close()
	store.NoCAS = m.noCAS
	return suite.RunRaw(adapter{client.SetAtomicForCAS(!m.noCAS), ""}, store, "go-2022-"+m.name, seed)
}

// adapter gives the client the form that the shared checks know, for one
// column family, if it is named.
type adapter struct {
	*rawkv.Client
	cf string
}

func (a adapter) family() []rawkv.RawOption {
	if a.cf == "" {
		return nil
	}
	return []rawkv.RawOption{rawkv.SetColumnFamily(a.cf)}
}

func (a adapter) options(keyOnly bool) []rawkv.RawOption {
	if keyOnly {
		return append(a.family(), rawkv.ScanKeyOnly())
	}
	return a.family()
}

func (a adapter) Get(ctx context.Context, key []byte) ([]byte, error) {
	return a.Client.Get(ctx, key, a.family()...)
}

func (a adapter) BatchGet(ctx context.Context, keys [][]byte) ([][]byte, error) {
	return a.Client.BatchGet(ctx, keys, a.family()...)
}

func (a adapter) Put(ctx context.Context, key, value []byte) error {
	return a.Client.Put(ctx, key, value, a.family()...)
}

func (a adapter) BatchPut(ctx context.Context, keys, values [][]byte) error {
	return a.Client.BatchPut(ctx, keys, values, a.family()...)
}

func (a adapter) Delete(ctx context.Context, key []byte) error {
	return a.Client.Delete(ctx, key, a.family()...)
}

func (a adapter) BatchDelete(ctx context.Context, keys [][]byte) error {
	return a.Client.BatchDelete(ctx, keys, a.family()...)
}

func (a adapter) Scan(ctx context.Context, start, end []byte, limit int, keyOnly bool) ([][]byte, [][]byte, error) {
	return a.Client.Scan(ctx, start, end, limit, a.options(keyOnly)...)
}

func (a adapter) ReverseScan(ctx context.Context, start, end []byte, limit int, keyOnly bool) ([][]byte, [][]byte, error) {
	return a.Client.ReverseScan(ctx, start, end, limit, a.options(keyOnly)...)
}

func (a adapter) PutWithTTL(ctx context.Context, key, value []byte, ttl uint64) error {
	return a.Client.PutWithTTL(ctx, key, value, ttl, a.family()...)
}

func (a adapter) BatchPutWithTTL(ctx context.Context, keys, values [][]byte, ttls []uint64) error {
	return a.Client.BatchPutWithTTL(ctx, keys, values, ttls, a.family()...)
}

func (a adapter) GetKeyTTL(ctx context.Context, key []byte) (*uint64, error) {
	return a.Client.GetKeyTTL(ctx, key, a.family()...)
}

func (a adapter) CompareAndSwap(ctx context.Context, key, expected, value []byte) ([]byte, bool, error) {
	return a.Client.CompareAndSwap(ctx, key, expected, value, a.family()...)
}

func (a adapter) DeleteRange(ctx context.Context, start, end []byte) error {
	return a.Client.DeleteRange(ctx, start, end, a.family()...)
}

func (a adapter) Checksum(ctx context.Context, start, end []byte) (uint64, uint64, uint64, error) {
	sum, err := a.Client.Checksum(ctx, start, end)
	return sum.Crc64Xor, sum.TotalKvs, sum.TotalBytes, err
}

func (a adapter) InFamily(name string) suite.Raw {
	return adapter{a.Client, name}
}

func (a adapter) SetFamily(name string) {
	a.Client.SetColumnFamily(name)
}
