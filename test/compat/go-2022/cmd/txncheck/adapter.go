package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"time"

	tikverr "github.com/tikv/client-go/v2/error"
	"github.com/tikv/client-go/v2/kv"
	"github.com/tikv/client-go/v2/tikv"
	"github.com/tikv/client-go/v2/txnkv"
	"github.com/tikv/client-go/v2/txnkv/transaction"
	"github.com/tikv/client-go/v2/txnkv/txnsnapshot"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"

	"tikv_fdw/test/compat/suite"
)

// txns gives the client the form that the shared checks know.
type txns struct {
	*txnkv.Client
}

func (t txns) Begin(o suite.TxnOptions) (suite.Txn, error) {
	txn, err := t.Client.Begin()
	if err != nil {
		return nil, err
	}
	txn.SetEnableAsyncCommit(o.Async)
	txn.SetEnable1PC(o.OnePC)
	txn.SetPessimistic(o.Pessimistic)
	txn.SetAssertionLevel(kvrpcpb.AssertionLevel_Strict)
	return &txnAdapter{reader: reader{txn, txn.GetSnapshot(), txn}, KVTxn: txn, way: o}, nil
}

func (t txns) Now(ctx context.Context) (uint64, error) {
	return t.Client.GetTimestamp(ctx)
}

func (t txns) Snapshot(ts uint64) suite.Reader {
	s := t.Client.GetSnapshot(ts)
	return reader{s, s, s}
}

func (t txns) GC(ctx context.Context, safePoint uint64) (uint64, error) {
	return t.Client.GC(ctx, safePoint)
}

// PublishSafePoint puts it where TiDB leaves it for this client.
func (t txns) PublishSafePoint(_ context.Context, safePoint uint64) error {
	return tikv.StoreProbe{KVStore: t.KVStore}.SaveSafePoint(safePoint)
}

func (t txns) DeleteRange(ctx context.Context, start, end []byte) error {
	_, err := t.Client.DeleteRange(ctx, start, end, 1)
	return err
}

func (t txns) WaitChain(err error) (chain []suite.Wait) {
	var e *tikverr.ErrDeadlock
	if errors.As(err, &e) {
		for _, w := range e.WaitChain {
			chain = append(chain, suite.Wait{Txn: w.Txn, WaitsFor: w.WaitForTxn, Key: w.Key})
		}
	}
	return chain
}

func (t txns) Cause(err error) suite.Cause {
	var (
		deadlock  *tikverr.ErrDeadlock
		assertion *tikverr.ErrAssertionFailed
		tooOld    *tikverr.ErrGCTooEarly
	)
	switch {
	case err == nil:
		return suite.NoError
	case tikverr.IsErrWriteConflict(err):
		return suite.Conflict
	case tikverr.IsErrKeyExist(err):
		return suite.Exists
	case errors.Is(err, tikverr.ErrLockAcquireFailAndNoWaitSet):
		return suite.NoWait
	case errors.Is(err, tikverr.ErrLockWaitTimeout):
		return suite.WaitTimeout
	case errors.As(err, &deadlock):
		return suite.Deadlock
	case errors.As(err, &assertion):
		return suite.Assertion
	case errors.As(err, &tooOld):
		return suite.TooOld
	// The store may have learned of the safe point before the client has, which
	// has no name for its refusal.
	case strings.Contains(err.Error(), "TxnAbortedByGC"):
		return suite.TooOld
	}
	return suite.Other
}

// getter is what a transaction and a snapshot have in common.
type getter interface {
	Get(ctx context.Context, key []byte) ([]byte, error)
	BatchGet(ctx context.Context, keys [][]byte) (map[string][]byte, error)
}

type iterator interface {
	Valid() bool
	Key() []byte
	Value() []byte
	Next() error
	Close()
}

// reader reads from from, after snapshot has got its options.
type reader struct {
	from     getter
	snapshot *txnsnapshot.KVSnapshot
	of       any
}

func (r reader) Get(ctx context.Context, key []byte) ([]byte, error) {
	got, err := r.from.Get(ctx, key)
	if tikverr.IsErrNotFound(err) {
		return nil, nil
	}
	return got, err
}

func (r reader) BatchGet(ctx context.Context, keys [][]byte) (map[string][]byte, error) {
	return r.from.BatchGet(ctx, keys)
}

func (r reader) iterate(low, high []byte, reverse bool) (iterator, error) {
	switch of := r.of.(type) {
	case *txnsnapshot.KVSnapshot:
		if reverse {
			return of.IterReverse(high)
		}
		return of.Iter(low, high)
	case *transaction.KVTxn:
		if reverse {
			return of.IterReverse(high)
		}
		return of.Iter(low, high)
	}
	panic("neither a snapshot nor a transaction")
}

func (r reader) Scan(_ context.Context, low, high []byte, how suite.ScanOptions) (keys, values [][]byte, err error) {
	batch := how.Batch
	if batch == 0 {
		batch = 256 // this client would take 0 as it is
	}
	r.snapshot.SetScanBatchSize(batch)
	r.snapshot.SetKeyOnly(how.KeysOnly)
	it, err := r.iterate(low, high, how.Reverse)
	for ; err == nil && it.Valid(); err = it.Next() {
		if bytes.Compare(it.Key(), low) < 0 {
			break // this client's reverse scans have no lower bound
		}
		keys = append(keys, bytes.Clone(it.Key()))
		values = append(values, bytes.Clone(it.Value()))
	}
	return keys, values, err
}

type txnAdapter struct {
	reader
	*transaction.KVTxn
	way suite.TxnOptions
	// committer is that of a transaction that was prewritten alone.
	committer *transaction.CommitterProbe
}

func (t *txnAdapter) Get(ctx context.Context, key []byte) ([]byte, error) {
	return t.reader.Get(ctx, key)
}

func (t *txnAdapter) BatchGet(ctx context.Context, keys [][]byte) (map[string][]byte, error) {
	return t.reader.BatchGet(ctx, keys)
}

func (t *txnAdapter) Insert(key, value []byte) error {
	return t.GetMemBuffer().SetWithFlags(key, value, kv.SetPresumeKeyNotExists)
}

func (t *txnAdapter) Assert(key []byte, exists bool) {
	flag := kv.SetAssertNotExist
	if exists {
		flag = kv.SetAssertExist
	}
	t.GetMemBuffer().UpdateFlags(key, flag)
}

func (t *txnAdapter) Lock(ctx context.Context, how suite.LockOptions, keys ...[]byte) (map[string]suite.Locked, error) {
	wait := how.WaitMs
	switch wait {
	case 0:
		wait = kv.LockNoWait
	case suite.WaitForever:
		wait = kv.LockAlwaysWait
	}
	lockCtx := kv.NewLockCtx(how.ForUpdateTS, wait, time.Now())
	if how.Values {
		lockCtx.InitReturnValues(len(keys))
	}
	if how.Existence {
		lockCtx.InitCheckExistence(len(keys))
	}
	lockCtx.LockOnlyIfExists = how.OnlyIfThere
	if err := t.LockKeys(ctx, lockCtx, keys...); err != nil {
		return nil, err
	}
	got := map[string]suite.Locked{}
	for key, v := range lockCtx.Values {
		got[key] = suite.Locked{Value: v.Value, Exists: v.Exists, ConflictTS: v.LockedWithConflictTS}
	}
	return got, nil
}

func (t *txnAdapter) ForceLock()                         { t.StartAggressiveLocking() }
func (t *txnAdapter) RetryForceLock(ctx context.Context) { t.RetryAggressiveLocking(ctx) }
func (t *txnAdapter) DoneForceLock(ctx context.Context)  { t.DoneAggressiveLocking(ctx) }
func (t *txnAdapter) probe() transaction.TxnProbe        { return transaction.TxnProbe{KVTxn: t.KVTxn} }
func (t *txnAdapter) WasAsync() bool                     { return t.probe().IsAsyncCommit() }
func (t *txnAdapter) WasOnePC() bool                     { return t.probe().GetCommitter().IsOnePC() }

// Flush is of pipelined transactions, which this client lacks.
func (t *txnAdapter) Flush() error { return errors.New("no pipelined transactions") }

func (t *txnAdapter) CommitTS() uint64 {
	if t.committer != nil {
		return t.committer.GetCommitTS()
	}
	return t.probe().GetCommitTS()
}

func (t *txnAdapter) Prewrite(ctx context.Context) error {
	var c transaction.CommitterProbe
	var err error
	if t.way.Pessimistic {
		c = t.probe().GetCommitter()
		err = c.InitKeysAndMutations()
	} else {
		c, err = t.probe().NewCommitter(0)
	}
	if err != nil {
		return err
	}
	if t.way.Async {
		c.SetUseAsyncCommit()
	}
	t.committer = &c
	return c.PrewriteAllMutations(ctx)
}

func (t *txnAdapter) CommitPrimary(ctx context.Context, commitTS uint64) error {
	t.committer.SetCommitTS(commitTS)
	return t.committer.CommitMutations(ctx)
}

func (t *txnAdapter) Rollback() error {
	if t.committer == nil {
		return t.KVTxn.Rollback()
	}
	t.committer.Cleanup(context.Background())
	t.committer.CloseTTLManager()
	return nil
}
