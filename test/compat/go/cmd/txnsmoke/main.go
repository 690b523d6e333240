package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/tikv/client-go/v2/kv"
	"github.com/tikv/client-go/v2/txnkv"
	"github.com/tikv/client-go/v2/txnkv/transaction"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		panic(err)
	}
}

func main() {
	cli, err := txnkv.NewClient(strings.Split(os.Getenv("TIKV_PD"), ","))
	must(err)
	defer cli.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	for i, mode := range []string{"2pc", "async", "1pc", "pess"} {
		began := time.Now()
		txn, err := cli.Begin()
		must(err)
		txn.SetEnableAsyncCommit(mode == "async")
		txn.SetEnable1PC(mode == "1pc")
		txn.SetPessimistic(mode == "pess")
		k := []byte(fmt.Sprintf("smoke-%d-%s", i, mode))
		k2 := append(k, 'x')
		if mode == "pess" {
			must(txn.LockKeys(ctx, kv.NewLockCtx(txn.StartTS(), kv.LockAlwaysWait, time.Now()), k, k2))
		}
		must(txn.Set(k, []byte("v1-"+mode)))
		must(txn.Set(k2, make([]byte, 1000)))
		must(txn.Commit(ctx))
		fmt.Println(mode, "commit", time.Since(began))
		txn2, err := cli.Begin()
		must(err)
		v, err := txn2.Get(ctx, k)
		must(err)
		fmt.Println(mode, "get", string(v.Value))
		it, err := txn2.Iter([]byte("smoke-"), []byte("smoke-z"))
		must(err)
		n := 0
		for it.Valid() {
			n++
			must(it.Next())
		}
		fmt.Println(mode, "scan", n)
		_ = transaction.KVTxn{}
	}
}
