// ride works with the Go client while nodes fail: it repeats what failed, and
// nothing else, until its input ends.  What it reads must be what it wrote.
//
// A line "raw N txn M failed K" a few times a second tells what succeeded so far,
// and how many calls were repeated; the driver is test/faults/ride.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pingcap/log"
	"github.com/tikv/client-go/v2/config"
	tikverr "github.com/tikv/client-go/v2/error"
	"github.com/tikv/client-go/v2/rawkv"
	"github.com/tikv/client-go/v2/txnkv"
	"go.uber.org/zap/zapcore"
)

const (
	patience = 20 * time.Second // of one call
	pause    = 50 * time.Millisecond
)

var raws, txns, failed atomic.Int64

func main() {
	log.SetLevel(zapcore.FatalLevel) // a fault makes the client talk
	security := config.NewSecurity(os.Getenv("TIKV_CA"), os.Getenv("TIKV_CERT"), os.Getenv("TIKV_KEY"), nil)
	config.UpdateGlobal(func(c *config.Config) { c.Security = security })
	addresses := strings.Split(os.Getenv("TIKV_PD"), ",")
	ctx, cancel := context.WithCancel(context.Background())
	raw, err := rawkv.NewClientWithOpts(ctx, addresses, rawkv.WithSecurity(security))
	if err != nil {
		fail(err)
	}
	txn, err := txnkv.NewClient(addresses)
	if err != nil {
		fail(err)
	}
	prefix := fmt.Sprintf("ride/go/%d/", time.Now().UnixNano())
	var wait sync.WaitGroup
	wait.Add(2)
	go func() { defer wait.Done(); workRaw(ctx, raw, prefix+"raw") }()
	go func() { defer wait.Done(); workTxn(ctx, txn, prefix+"txn") }()
	go func() {
		for ; ; time.Sleep(100 * time.Millisecond) {
			fmt.Printf("raw %d txn %d failed %d\n", raws.Load(), txns.Load(), failed.Load())
		}
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
	cancel()
	wait.Wait()
	fmt.Printf("ride: %d raw, %d transactions, %d failures repeated\n", raws.Load(), txns.Load(), failed.Load())
}

func fail(err any) {
	fmt.Fprintln(os.Stderr, "ride:", err)
	os.Exit(1)
}

// again repeats a call until it succeeds or the work is over.
func again(ctx context.Context, what func(ctx context.Context) error) bool {
	for ctx.Err() == nil {
		limited, cancel := context.WithTimeout(context.Background(), patience)
		err := what(limited)
		cancel()
		if err == nil {
			return true
		}
		failed.Add(1)
		time.Sleep(pause)
	}
	return false
}

func workRaw(ctx context.Context, cli *rawkv.Client, key string) {
	for n := 1; ctx.Err() == nil; n++ {
		value := []byte(strconv.Itoa(n))
		if !again(ctx, func(ctx context.Context) error { return cli.Put(ctx, []byte(key), value) }) {
			return
		}
		raws.Add(1)
		var got []byte
		if !again(ctx, func(ctx context.Context) (err error) { got, err = cli.Get(ctx, []byte(key)); return err }) {
			return
		}
		if string(got) != string(value) {
			fail(fmt.Sprintf("%s is %q after %q was put", key, got, value))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// workTxn counts on two keys at once.  After an outcome that is unknown the
// next attempt sees what it was.
func workTxn(ctx context.Context, cli *txnkv.Client, key string) {
	for n := 0; ctx.Err() == nil; n++ {
		pessimistic := n%2 == 1
		if !again(ctx, func(ctx context.Context) error { return count(ctx, cli, key, n, pessimistic) }) {
			return
		}
		txns.Add(1)
		time.Sleep(10 * time.Millisecond)
	}
}

// count from n to n + 1, unless an attempt that seemed to fail has done it.
func count(ctx context.Context, cli *txnkv.Client, key string, n int, pessimistic bool) error {
	txn, err := cli.Begin()
	if err != nil {
		return err
	}
	txn.SetPessimistic(pessimistic)
	txn.SetEnableAsyncCommit(n%3 == 0)
	txn.SetEnable1PC(n%3 == 1)
	var seen [2]int
	for i := range seen {
		v, err := txn.Get(ctx, []byte(key+strconv.Itoa(i)))
		if err != nil && !tikverr.IsErrNotFound(err) {
			_ = txn.Rollback()
			return err
		}
		if err == nil {
			seen[i], _ = strconv.Atoi(string(v.Value))
		}
	}
	if seen[0] != seen[1] || seen[0] != n && seen[0] != n+1 {
		fail(fmt.Sprintf("%s counts %v, and was at %d", key, seen, n))
	}
	if seen[0] == n+1 {
		return txn.Rollback()
	}
	for i := range seen {
		if err = txn.Set([]byte(key+strconv.Itoa(i)), []byte(strconv.Itoa(n+1))); err != nil {
			return err
		}
	}
	return txn.Commit(ctx)
}
