package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tikv/client-go/v2/txnkv"
	"github.com/tikv/client-go/v2/txnkv/transaction"
)

// What one store does for another, or asks of it.

// leavesRegions is true of what cuts regions, which stay.
func leavesRegions(drive string) bool {
	switch drive {
	case "split", "deadlock", "detect", "gcspread", "gcsleep", "flashback", "sleep", "silence", "size":
		return true
	}
	return false
}

// readBySQL on the target, which has to ask the leader.
func (t *trial) readBySQL() error {
	return t.w.query(t.target, nil, "SELECT tikv_get('fp/elsewhere')")
}

// openTime is long enough for a heartbeat, and for a barrier before garbage.
const openTime = 12 * time.Second

// keepOpen a transaction on the target, of a key that the region's leader has.
func (t *trial) keepOpen() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*openTime)
	defer cancel()
	conn, err := t.w.session(ctx, t.target)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	nOpened++
	_, err = conn.Exec(ctx, "SELECT tikv_txn_put($1, 'open'), pg_sleep($2)",
		fmt.Appendf(nil, "fp/open/%d", nOpened), openTime.Seconds())
	return err
}

var nOpened int

// spread has two regions, led by different nodes; the leader of the one that
// something is done to stays.
func (t *trial) spread() error {
	low, first, err := t.w.leaderNode(lowKey)
	if err != nil {
		return err
	}
	high, second, err := t.w.leaderNode(highKey)
	if err != nil {
		return err
	}
	if first.region.Id == second.region.Id {
		return errors.Join(t.cutOff(), errors.New("there is one region"))
	}
	if low != high {
		return nil
	}
	moves := lowKey
	if t.focus() == moves {
		moves = highKey
	}
	return errors.Join(t.w.transferRegion(moves, t.other(low)), fmt.Errorf("node %d leads both", low))
}

// deadlock of two transactions: the second of their waits, which closes the
// cycle, is at the leader of the second region, and the first region's leader
// finds it.
func (t *trial) deadlock() error {
	if err := t.spread(); err != nil {
		return err
	}
	cli, err := t.w.startClient()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	nDeadlocks++
	low := fmt.Appendf(nil, "fp/dl/%d", nDeadlocks)
	high := fmt.Appendf(nil, "zz~dl/%d", nDeadlocks)
	one, err := t.lockOne(ctx, cli, low)
	if err != nil {
		return err
	}
	defer func() { _ = one.Rollback() }()
	other, err := t.lockOne(ctx, cli, high)
	if err != nil {
		return err
	}
	defer func() { _ = other.Rollback() }()
	ended := make(chan error, 1)
	go func() { ended <- other.LockKeysWithWaitTime(ctx, 3000, low) }()
	time.Sleep(300 * time.Millisecond)
	err = one.LockKeysWithWaitTime(ctx, 3000, high)
	return errors.Join(err, <-ended)
}

var nDeadlocks int

func (t *trial) lockOne(ctx context.Context, cli *txnkv.Client, key []byte) (*transaction.KVTxn, error) {
	txn, err := cli.Begin()
	if err != nil {
		return nil, err
	}
	txn.SetPessimistic(true)
	if err = txn.LockKeysWithWaitTime(ctx, 1000, key); err != nil {
		_ = txn.Rollback()
		return nil, err
	}
	return txn, nil
}
