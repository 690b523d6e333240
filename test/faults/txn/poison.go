package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/tikv/client-go/v2/txnkv"

	"tikv_fdw/test/faults/bank"
	"tikv_fdw/test/faults/cluster"
)

const poisonIndex = "faults_poison"

// poison has turns undone under the clients: an index over values takes no
// value of 4000 bytes, so whatever shares a turn with one is tried again in
// halves, and nobody may notice. The poisoned writes themselves never succeed.
type poison struct {
	cluster *cluster.Cluster
	cli     *txnkv.Client
	cancel  context.CancelFunc
	wait    sync.WaitGroup
}

func runSQL(c *cluster.Cluster, text string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	sql, err := pgx.Connect(ctx, c.DSN())
	if err != nil {
		return err
	}
	defer sql.Close(ctx)
	_, err = sql.Exec(ctx, text)
	return err
}

func startPoison(c *cluster.Cluster, w *bank.World) (*poison, error) {
	err := runSQL(c, "CREATE INDEX "+poisonIndex+" ON tikv_internal.value (value)")
	if err != nil {
		return nil, err
	}
	cli, err := txnkv.NewClient([]string{c.PDAddress()})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &poison{cluster: c, cli: cli, cancel: cancel}
	for i := 0; i < 4; i++ {
		p.wait.Add(1)
		go func() {
			defer p.wait.Done()
			for n := 0; ctx.Err() == nil; n++ {
				if p.once(ctx, fmt.Sprintf("poison/%d", i), n) != nil && ctx.Err() == nil {
					w.Poisoned.Add(1)
				}
				time.Sleep(10 * time.Millisecond)
			}
		}()
	}
	return p, nil
}

func (p *poison) once(parent context.Context, key string, n int) error {
	ctx, cancel := context.WithTimeout(parent, 200*time.Millisecond)
	defer cancel()
	value := make([]byte, 4000)
	_, _ = rand.Read(value)
	txn, err := p.cli.Begin()
	if err != nil {
		return err
	}
	txn.SetEnableAsyncCommit(n%2 == 0)
	txn.SetEnable1PC(n%3 == 0)
	if err := txn.Set([]byte(key), value); err != nil {
		return err
	}
	return txn.Commit(ctx)
}

func (p *poison) stop() {
	p.cancel()
	p.wait.Wait()
	_ = p.cli.Close()
	_ = runSQL(p.cluster, "DROP INDEX IF EXISTS tikv_internal."+poisonIndex)
}
