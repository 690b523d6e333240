// txncheck asks everything of transactions through the newest Go client: in
// both modes of sending commands.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/tikv/client-go/v2/config"
	"github.com/tikv/client-go/v2/rawkv"
	"github.com/tikv/client-go/v2/txnkv"
	"github.com/tikv/client-go/v2/txnkv/transaction"

	"tikv_fdw/test/compat/suite"
)

var modes = []struct {
	name      string
	batchSize uint
}{{"batch", 128}, {"unary", 0}}

func main() {
	only := flag.String("mode", "", "some of the modes, separated by commas, instead of all")
	seed := flag.Int64("seed", time.Now().UnixNano(), "where the random checks start")
	die := flag.String("die", "", "be a client that is killed at this moment")
	prefix := flag.String("prefix", "", "of the keys of the client that is killed")
	idle := flag.Duration("idle", 0, "instead of the checks, be idle for so long and work on")
	flag.Parse()

	store, err := suite.StoreFromEnv()
	if addrs := os.Getenv("TIKV_PD"); addrs == "" || err != nil {
		fmt.Fprintln(os.Stderr, "txncheck: TIKV_PD:", addrs, err)
		os.Exit(2)
	}
	config.UpdateGlobal(func(c *config.Config) { c.Security = security() })
	atomic.StoreUint64(&transaction.ManagedLockTTL, uint64(suite.LockTTL.Milliseconds()))
	if *die != "" {
		client, err := connect(store)
		if err == nil {
			suite.Die(client, *die, *prefix)
		}
		fmt.Fprintln(os.Stderr, "txncheck:", err)
		os.Exit(1)
	}
	if *idle > 0 {
		client, err := connect(store)
		if err == nil {
			err = suite.RunTxnIdle(client, "go", *idle)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "txncheck: after", *idle, "idle:", err)
			os.Exit(1)
		}
		fmt.Println("txncheck: works after", *idle, "idle")
		return
	}
	ran := 0
	for _, m := range modes {
		if *only == "" || slices.Contains(strings.Split(*only, ","), m.name) {
			ran++
			if err = runMode(store, m.name, m.batchSize, *seed); err != nil {
				fmt.Fprintf(os.Stderr, "txncheck: %s: %v (seed %d)\n", m.name, err, *seed)
				os.Exit(1)
			}
		}
	}
	if ran == 0 {
		fmt.Fprintf(os.Stderr, "txncheck: no mode %s\n", *only)
		os.Exit(2)
	}
	fmt.Printf("txncheck: %d modes\n", ran)
}

func runMode(store suite.Store, name string, batchSize uint, seed int64) error {
	defer config.UpdateGlobal(func(c *config.Config) { c.TiKVClient.MaxBatchSize = batchSize })()
	client, err := connect(store)
	if err != nil {
		return err
	}
	defer client.Close()
	var raw suite.RawBeside
	var more []string
	if store.API == "V1" {
		// In V2 this client sends keys of pipelined transactions without the
		// prefix of their keyspace.
		more = append(more, "pipelined")
		cli, err := rawkv.NewClientWithOpts(context.Background(), addresses(), rawkv.WithSecurity(security()))
		if err != nil {
			return err
		}
		defer cli.Close()
		raw = rawAdapter{cli}
	}
	return suite.RunTxn(client, raw, "go-"+name, seed, more...)
}

func addresses() []string {
	return strings.Split(os.Getenv("TIKV_PD"), ",")
}

// security is what TIKV_CA, TIKV_CERT and TIKV_KEY name: TLS, if they are set.
func security() config.Security {
	return config.NewSecurity(os.Getenv("TIKV_CA"), os.Getenv("TIKV_CERT"), os.Getenv("TIKV_KEY"), nil)
}

func connect(store suite.Store) (suite.Txns, error) {
	var options []txnkv.ClientOpt
	if store.API == "V2" {
		options = append(options, txnkv.WithAPIVersion(kvrpcpb.APIVersion_V2), txnkv.WithKeyspace(store.Keyspace))
	}
	client, err := txnkv.NewClient(addresses(), options...)
	if err != nil {
		return nil, err
	}
	return txns{client}, nil
}

// rawAdapter is as much of a raw client as the checks of transactions need.
type rawAdapter struct {
	*rawkv.Client
}

func (a rawAdapter) Put(ctx context.Context, key, value []byte) error {
	return a.Client.Put(ctx, key, value)
}

func (a rawAdapter) Scan(ctx context.Context, start, end []byte, limit int, _ bool) ([][]byte, [][]byte, error) {
	return a.Client.Scan(ctx, start, end, limit)
}

func (a rawAdapter) DeleteRange(ctx context.Context, start, end []byte) error {
	return a.Client.DeleteRange(ctx, start, end)
}
