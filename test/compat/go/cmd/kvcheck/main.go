// kvcheck asks everything of the raw commands through the newest Go client:
// over the batch stream and over single calls, plain and compressed, with
// regions looked up one by one and over PD's stream.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/tikv/client-go/v2/config"
	"github.com/tikv/client-go/v2/rawkv"
	"github.com/tikv/pd/client/opt"

	"tikv_fdw/test/compat/suite"
)

type mode struct {
	name        string
	batchSize   uint
	compression string
	router      bool
}

var modes = []mode{
	{"batch", 128, "none", false},
	{"unary", 0, "none", false},
	{"batch-gzip", 128, "gzip", true},
	{"unary-gzip", 0, "gzip", true},
}

func main() {
	only := flag.String("mode", "", "one of the modes instead of all")
	seed := flag.Int64("seed", time.Now().UnixNano(), "where the random checks start")
	flag.Parse()

	addrs := strings.Split(os.Getenv("TIKV_PD"), ",")
	if addrs[0] == "" {
		fmt.Fprintln(os.Stderr, "kvcheck: TIKV_PD is not set")
		os.Exit(2)
	}
	ran := 0
	for _, m := range modes {
		if *only == "" || *only == m.name {
			ran++
			if err := runMode(addrs, m, *seed); err != nil {
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

func runMode(addrs []string, m mode, seed int64) error {
	defer config.UpdateGlobal(func(c *config.Config) {
		c.TiKVClient.MaxBatchSize = m.batchSize
		c.TiKVClient.GrpcCompressionType = m.compression
	})()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client, err := rawkv.NewClientWithOpts(ctx, addrs,
		rawkv.WithPDOptions(opt.WithEnableRouterClient(m.router)))
	if err != nil {
		return err
	}
	defer client.Close()
	return suite.RunRaw(adapter{client}, "go-"+m.name, seed)
}

// adapter gives the client the form that the shared checks know.
type adapter struct{ *rawkv.Client }

func options(keyOnly bool) []rawkv.RawOption {
	if keyOnly {
		return []rawkv.RawOption{rawkv.ScanKeyOnly()}
	}
	return nil
}

func (a adapter) Get(ctx context.Context, key []byte) ([]byte, error) {
	return a.Client.Get(ctx, key)
}

func (a adapter) BatchGet(ctx context.Context, keys [][]byte) ([][]byte, error) {
	return a.Client.BatchGet(ctx, keys)
}

func (a adapter) Put(ctx context.Context, key, value []byte) error {
	return a.Client.Put(ctx, key, value)
}

func (a adapter) BatchPut(ctx context.Context, keys, values [][]byte) error {
	return a.Client.BatchPut(ctx, keys, values)
}

func (a adapter) Delete(ctx context.Context, key []byte) error {
	return a.Client.Delete(ctx, key)
}

func (a adapter) BatchDelete(ctx context.Context, keys [][]byte) error {
	return a.Client.BatchDelete(ctx, keys)
}

func (a adapter) Scan(ctx context.Context, start, end []byte, limit int, keyOnly bool) ([][]byte, [][]byte, error) {
	return a.Client.Scan(ctx, start, end, limit, options(keyOnly)...)
}

func (a adapter) ReverseScan(ctx context.Context, start, end []byte, limit int, keyOnly bool) ([][]byte, [][]byte, error) {
	return a.Client.ReverseScan(ctx, start, end, limit, options(keyOnly)...)
}
