// tso has many goroutines fetch timestamps, through the PD client and through
// the clock of a transactional client, and checks that they only rise.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/tikv/client-go/v2/config"
	"github.com/tikv/client-go/v2/oracle"
	"github.com/tikv/client-go/v2/rawkv"
	"github.com/tikv/client-go/v2/txnkv"

	"tikv_fdw/test/compat/suite"
)

func main() {
	goroutines := flag.Int("goroutines", 64, "how many ask at once")
	each := flag.Int("each", 500, "timestamps for each")
	drift := flag.Duration("drift", time.Minute, "allowed distance from the clock")
	flag.Parse()

	addrs := strings.Split(os.Getenv("TIKV_PD"), ",")
	if addrs[0] == "" {
		fmt.Fprintln(os.Stderr, "tso: TIKV_PD is not set")
		os.Exit(2)
	}
	config.UpdateGlobal(func(c *config.Config) {
		c.Security = config.NewSecurity(os.Getenv("TIKV_CA"), os.Getenv("TIKV_CERT"), os.Getenv("TIKV_KEY"), nil)
	})
	check("PD client", throughPD(addrs, *goroutines, *each, *drift))
	check("transactional client", throughTxn(addrs, *goroutines, *each, *drift))
	fmt.Printf("tso: %d timestamps\n", 2**goroutines**each)
}

func check(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "tso: %s: %v\n", what, err)
		os.Exit(1)
	}
}

func throughPD(addrs []string, goroutines, each int, drift time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client, err := rawkv.NewClientWithOpts(ctx, addrs, rawkv.WithSecurity(config.GetGlobalConfig().Security))
	if err != nil {
		return err
	}
	defer client.Close()
	return suite.RunTSO(func(ctx context.Context) (uint64, error) {
		physical, logical, err := client.GetPDClient().GetTS(ctx)
		return oracle.ComposeTS(physical, logical), err
	}, goroutines, each, drift)
}

func throughTxn(addrs []string, goroutines, each int, drift time.Duration) error {
	client, err := txnkv.NewClient(addrs)
	if err != nil {
		return err
	}
	defer client.Close()
	return suite.RunTSO(func(context.Context) (uint64, error) {
		return client.CurrentTimestamp(oracle.GlobalTxnScope)
	}, goroutines, each, drift)
}
