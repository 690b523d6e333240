package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/tikvpb"
	"github.com/tikv/client-go/v2/oracle"
)

// What becomes of transactions whose clients are gone, of versions that nobody
// reads any more, and of those that all keys are set back to.

const (
	lowKey  = "fp/" // in the first region
	highKey = "zz~" // in the last one, if there are several
)

// settings that a drive needs on all nodes, until the trial is over.
func (t *trial) settle(name, value string) error {
	if t.settings[name] {
		return nil
	}
	if err := t.w.set(name, value); err != nil {
		return err
	}
	if t.settings == nil {
		t.settings = map[string]bool{}
	}
	t.settings[name] = true
	return nil
}

func (t *trial) resetSettings() error {
	for name := range t.settings {
		if err := t.w.set(name, ""); err != nil {
			return err
		}
		delete(t.settings, name)
	}
	return nil
}

// set on all nodes; "" is the default.
func (w *world) set(name, value string) error {
	sql := "ALTER SYSTEM RESET " + name
	if value != "" {
		sql = fmt.Sprintf("ALTER SYSTEM SET %s = '%s'", name, value)
	}
	for node := 0; node < w.Nodes; node++ {
		if err := w.query(node, nil, sql); err != nil {
			return err
		}
		if err := w.query(node, nil, "SELECT pg_reload_conf()"); err != nil {
			return err
		}
	}
	return nil
}

// timestamp that nobody else has.
func (t *trial) timestamp() (uint64, error) {
	cli, err := t.w.startClient()
	if err != nil {
		return 0, err
	}
	return cli.CurrentTimestamp(oracle.GlobalTxnScope)
}

// store that leads the region of a key, and what its requests carry.
func (w *world) storeOf(key string) (tikvpb.TikvClient, *kvrpcpb.Context, error) {
	at, err := w.find(key)
	if err != nil {
		return nil, nil, err
	}
	conn, _, err := w.storeConn(at.leader.StoreId)
	if err != nil {
		return nil, nil, err
	}
	return tikvpb.NewTikvClient(conn), &kvrpcpb.Context{RegionId: at.region.Id,
		RegionEpoch: at.region.RegionEpoch, Peer: at.leader}, nil
}

// refused is what an answer says was wrong.
func refused(region, key fmt.Stringer, isRegion, isKey bool, err error) error {
	switch {
	case err != nil:
		return err
	case isRegion:
		return errors.New(region.String())
	case isKey:
		return errors.New(key.String())
	}
	return nil
}

// ---- garbage

var nAbandoned int

// collect garbage: values that were overwritten, and what clients left behind
// that died in the middle of their commits.
func (t *trial) collect() error {
	if err := t.settle("tikv.gc_life_time", "2s"); err != nil {
		return err
	}
	if t.point.drive == "gcspread" {
		if err := t.spread(); err != nil {
			return err
		}
	}
	for i := 0; i < 3; i++ {
		if err := t.w.queryLeader(lowKey, nil, "SELECT tikv_txn_put('fp/gc', $1)", fmt.Append(nil, i)); err != nil {
			return err
		}
	}
	nAbandoned++
	for _, kind := range []int{asyncCommit, primaryCommitted, dead} {
		if err := t.abandon(kind); err != nil {
			return err
		}
	}
	for began := time.Now(); time.Since(began) < 4*time.Second && !t.crashed(); {
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}

// Where a client died.
const (
	asyncCommit = iota // it has prewritten all, so that is committed
	primaryCommitted
	dead // before its commit
)

// abandon a transaction of two keys, in two regions if there are two.
func (t *trial) abandon(kind int) error {
	start, err := t.timestamp()
	if err != nil {
		return err
	}
	name := fmt.Sprintf("gc/%d/%d", nAbandoned, kind)
	txn := txnWrite{name: name, a: lowKey + name, b: highKey + name}
	// whole or not there, however far this gets
	t.txns = append(t.txns, txn)
	if err = t.prewrite(lowKey, txn.a, &txn, start, kind == asyncCommit); err != nil {
		return err
	}
	if err = t.prewrite(highKey, txn.b, &txn, start, kind == asyncCommit); err != nil {
		return err
	}
	if kind == primaryCommitted {
		err = t.commitPrimary(&txn, start)
	}
	if err == nil && kind != dead {
		t.txns[len(t.txns)-1].acked = true
	}
	return err
}

func (t *trial) prewrite(in, key string, txn *txnWrite, start uint64, async bool) error {
	store, where, err := t.w.storeOf(in)
	if err != nil {
		return err
	}
	request := &kvrpcpb.PrewriteRequest{Context: where, StartVersion: start, PrimaryLock: []byte(txn.a),
		LockTtl: 1000, TxnSize: 2, UseAsyncCommit: async,
		Mutations: []*kvrpcpb.Mutation{{Op: kvrpcpb.Op_Put, Key: []byte(key), Value: []byte(txn.name)}}}
	if async && key == txn.a {
		request.Secondaries = [][]byte{[]byte(txn.b)}
	}
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	reply, err := store.KvPrewrite(ctx, request)
	if err == nil && len(reply.Errors) > 0 {
		err = errors.New(reply.Errors[0].String())
	}
	if err == nil && async && reply.RegionError == nil && reply.MinCommitTs == 0 {
		err = errors.New("it is no async commit")
	}
	return refused(reply.GetRegionError(), nil, reply.GetRegionError() != nil, false, err)
}

func (t *trial) commitPrimary(txn *txnWrite, start uint64) error {
	at, err := t.timestamp()
	if err != nil {
		return err
	}
	store, where, err := t.w.storeOf(lowKey)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	reply, err := store.KvCommit(ctx, &kvrpcpb.CommitRequest{Context: where, StartVersion: start,
		Keys: [][]byte{[]byte(txn.a)}, CommitVersion: at})
	return refused(reply.GetRegionError(), reply.GetError(), reply.GetRegionError() != nil, reply.GetError() != nil, err)
}

// ---- waits for locks

// waitForLock of two transactions: the second waits until the first commits.
func (t *trial) waitForLock() error {
	cli, err := t.w.startClient()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	nWaits++
	key := fmt.Appendf(nil, "%slw/%d", lowKey, nWaits)
	first, err := t.lockOne(ctx, cli, key)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	var late txnWrite
	go func() {
		second, err := t.lockOne(ctx, cli, key)
		if err == nil {
			late, err = t.write(ctx, second, fmt.Sprintf("lw/%d/second", nWaits))
		}
		ended <- err
	}()
	time.Sleep(300 * time.Millisecond)
	early, err := t.write(ctx, first, fmt.Sprintf("lw/%d/first", nWaits))
	err = errors.Join(err, <-ended)
	t.txns = append(t.txns, early)
	if late.name != "" {
		t.txns = append(t.txns, late)
	}
	return err
}

var nWaits int

// ---- flashbacks

// back is a flashback that has begun: it must come to its end.
type back struct {
	prefix                 string
	version, start, commit uint64
}

const nBack = 300 // keys, and one that was not there

// flashBack the last region: the registers are in the first.
func (t *trial) flashBack() error {
	if err := t.twoRegions(); err != nil {
		return err
	}
	if t.back != nil {
		return t.finishBack()
	}
	nBacks++
	b := &back{prefix: fmt.Sprintf("%sfb/%d/", highKey, nBacks)}
	err := t.putAll(b.prefix, "old", nBack)
	if err != nil {
		return err
	}
	if b.version, err = t.timestamp(); err != nil {
		return err
	}
	if err = t.putAll(b.prefix, "new", nBack+1); err != nil {
		return err
	}
	if b.start, err = t.timestamp(); err != nil {
		return err
	}
	t.back = b
	return t.finishBack()
}

var nBacks int

// putAll keys of a prefix in one transaction.
func (t *trial) putAll(prefix, value string, n int) error {
	cli, err := t.w.startClient()
	if err != nil {
		return err
	}
	txn, err := cli.Begin()
	if err != nil {
		return err
	}
	for i := 0; i < n; i++ {
		if err = txn.Set(fmt.Appendf(nil, "%s%04d", prefix, i), []byte(value)); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return txn.Commit(ctx)
}

// finishBack does it, or again: after a crash nothing else goes on there.
func (t *trial) finishBack() error {
	b := t.back
	store, where, err := t.w.storeOf(highKey)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	begun, err := store.KvPrepareFlashbackToVersion(ctx, &kvrpcpb.PrepareFlashbackToVersionRequest{Context: where,
		StartKey: []byte(b.prefix), EndKey: []byte(b.prefix + "~"), StartTs: b.start, Version: b.version})
	if err = refusedText(begun.GetRegionError(), begun.GetRegionError() != nil, begun.GetError(), err); err != nil {
		return err
	}
	if b.commit == 0 {
		if b.commit, err = t.timestamp(); err != nil {
			return err
		}
	}
	ended, err := store.KvFlashbackToVersion(ctx, &kvrpcpb.FlashbackToVersionRequest{Context: where,
		StartKey: []byte(b.prefix), EndKey: []byte(b.prefix + "~"), StartTs: b.start, CommitTs: b.commit, Version: b.version})
	if err = refusedText(ended.GetRegionError(), ended.GetRegionError() != nil, ended.GetError(), err); err != nil {
		return err
	}
	var found string
	err = t.w.queryLeader(highKey, &found, `SELECT string_agg(DISTINCT convert_from(value, 'UTF8'), ',') || ' ' || count(*)
		FROM tikv_txn_scan(convert_to($1, 'UTF8'), convert_to($1 || '~', 'UTF8'), 10000)`, b.prefix)
	if err != nil {
		return err
	}
	if wanted := fmt.Sprint("old ", nBack); found != wanted {
		log.Fatalf("flashback of %s to %d has left %q, not %q", b.prefix, b.version, found, wanted)
	}
	t.back = nil
	return nil
}

func refusedText(region fmt.Stringer, isRegion bool, text string, err error) error {
	if err == nil && text != "" {
		err = errors.New(text)
	}
	return refused(region, nil, isRegion, false, err)
}
