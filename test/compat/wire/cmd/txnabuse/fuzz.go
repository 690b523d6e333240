package main

import (
	"fmt"
	"math/rand"
	"os"
	"strconv"
	"sync"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
)

// chooser makes fields: mostly from small sets, so that requests meet.
type chooser struct {
	*rand.Rand
	t   *tester
	now uint64
}

func (c *chooser) key() []byte {
	switch c.Intn(30) {
	case 0:
		return nil
	case 1:
		return append(c.t.key("k"), make([]byte, c.Intn(5000))...)
	}
	return c.t.key(string(rune('a' + c.Intn(12))))
}

func (c *chooser) keys() [][]byte {
	var list [][]byte
	for n := c.Intn(6); n > 0; n-- {
		list = append(list, c.key())
	}
	return list
}

func (c *chooser) ts() uint64 {
	switch c.Intn(24) {
	case 0:
		return 0
	case 1:
		return 1<<64 - 1
	case 2:
		return uint64(c.Intn(3))
	case 3:
		return c.Uint64()
	}
	return c.now + uint64(c.Intn(40))
}

func (c *chooser) yes() bool { return c.Intn(2) == 0 }

func (c *chooser) mutations(ops ...kvrpcpb.Op) []*kvrpcpb.Mutation {
	var list []*kvrpcpb.Mutation
	for n := c.Intn(5); n > 0; n-- {
		m := &kvrpcpb.Mutation{Op: ops[c.Intn(len(ops))], Key: c.key(), Value: make([]byte, c.Intn(400)), Assertion: kvrpcpb.Assertion(c.Intn(4))}
		if c.Intn(40) == 0 {
			m.Op = kvrpcpb.Op(c.Intn(20))
		}
		list = append(list, m)
	}
	return list
}

func (c *chooser) context() *kvrpcpb.Context {
	ctx := c.t.Context()
	ctx.IsRetryRequest = c.yes()
	ctx.IsolationLevel = kvrpcpb.IsolationLevel(c.Intn(4))
	if c.yes() {
		ctx.ResolvedLocks = []uint64{c.ts(), c.ts()}
		ctx.CommittedLocks = []uint64{c.ts()}
	}
	return ctx
}

// one sends a random request; only a broken connection is an error.
func (c *chooser) one() error {
	t, ctx, kv := c.t, c.t.ctx, c.t.KV
	var err error
	switch c.Intn(20) {
	case 0, 1, 2:
		r := &kvrpcpb.PrewriteRequest{Context: c.context(), PrimaryLock: c.key(), StartVersion: c.ts(), LockTtl: uint64(c.Intn(3000)),
			Mutations: c.mutations(kvrpcpb.Op_Put, kvrpcpb.Op_Del, kvrpcpb.Op_Lock, kvrpcpb.Op_Insert, kvrpcpb.Op_CheckNotExists, kvrpcpb.Op_SharedLock),
			TxnSize:   c.Uint64() >> uint(c.Intn(64)), UseAsyncCommit: c.yes(), TryOnePc: c.yes(), SkipConstraintCheck: c.yes(),
			Secondaries: c.keys(), AssertionLevel: kvrpcpb.AssertionLevel(c.Intn(4))}
		if c.yes() {
			r.ForUpdateTs = c.ts()
			for range r.Mutations {
				r.PessimisticActions = append(r.PessimisticActions, kvrpcpb.PrewriteRequest_PessimisticAction(c.Intn(4)))
			}
			if c.yes() {
				r.ForUpdateTsConstraints = []*kvrpcpb.PrewriteRequest_ForUpdateTSConstraint{{Index: uint32(c.Intn(3)), ExpectedForUpdateTs: c.ts()}}
			}
		}
		if c.yes() {
			r.MinCommitTs = c.ts()
		}
		if c.yes() {
			r.MaxCommitTs = c.ts()
		}
		_, err = kv.KvPrewrite(ctx, r)
	case 3, 4:
		_, err = kv.KvCommit(ctx, &kvrpcpb.CommitRequest{Context: c.context(), StartVersion: c.ts(), CommitVersion: c.ts(), Keys: c.keys()})
	case 5, 6:
		_, err = kv.KvPessimisticLock(ctx, &kvrpcpb.PessimisticLockRequest{Context: c.context(), PrimaryLock: c.key(), StartVersion: c.ts(), ForUpdateTs: c.ts(),
			LockTtl: uint64(c.Intn(3000)), IsFirstLock: c.yes(), WaitTimeout: int64(c.Intn(100) - 20), ReturnValues: c.yes(), CheckExistence: c.yes(), LockOnlyIfExists: c.yes(),
			MinCommitTs: c.ts(), WakeUpMode: kvrpcpb.PessimisticLockWakeUpMode(c.Intn(3)), Mutations: c.mutations(kvrpcpb.Op_PessimisticLock, kvrpcpb.Op_SharedPessimisticLock)})
	case 7:
		_, err = kv.KVPessimisticRollback(ctx, &kvrpcpb.PessimisticRollbackRequest{Context: c.context(), StartVersion: c.ts(), ForUpdateTs: c.ts(), Keys: c.keys()})
	case 8:
		_, err = kv.KvCheckTxnStatus(ctx, &kvrpcpb.CheckTxnStatusRequest{Context: c.context(), PrimaryKey: c.key(), LockTs: c.ts(), CallerStartTs: c.ts(), CurrentTs: c.ts(),
			RollbackIfNotExist: c.yes(), ForceSyncCommit: c.yes(), ResolvingPessimisticLock: c.yes(), VerifyIsPrimary: c.yes()})
	case 9:
		_, err = kv.KvCheckSecondaryLocks(ctx, &kvrpcpb.CheckSecondaryLocksRequest{Context: c.context(), StartVersion: c.ts(), Keys: c.keys()})
	case 10:
		r := &kvrpcpb.ResolveLockRequest{Context: c.context(), StartVersion: c.ts(), CommitVersion: c.ts()}
		if c.yes() {
			r.Keys = c.keys()
		}
		if c.yes() {
			r.TxnInfos = []*kvrpcpb.TxnInfo{{Txn: c.ts(), Status: c.ts()}, {Txn: c.ts()}}
		}
		_, err = kv.KvResolveLock(ctx, r)
	case 11:
		_, err = kv.KvTxnHeartBeat(ctx, &kvrpcpb.TxnHeartBeatRequest{Context: c.context(), PrimaryLock: c.key(), StartVersion: c.ts(), AdviseLockTtl: c.Uint64(), MinCommitTs: c.ts()})
	case 12:
		_, err = kv.KvBatchRollback(ctx, &kvrpcpb.BatchRollbackRequest{Context: c.context(), StartVersion: c.ts(), Keys: c.keys()})
	case 13:
		_, err = kv.KvCleanup(ctx, &kvrpcpb.CleanupRequest{Context: c.context(), Key: c.key(), StartVersion: c.ts(), CurrentTs: c.ts()})
	case 14:
		_, err = kv.KvScanLock(ctx, &kvrpcpb.ScanLockRequest{Context: c.context(), StartKey: c.key(), EndKey: c.key(), MaxVersion: c.ts(), Limit: uint32(c.Intn(5))})
	case 15:
		_, err = kv.KvFlush(ctx, &kvrpcpb.FlushRequest{Context: c.context(), PrimaryKey: c.key(), StartTs: c.ts(), Generation: uint64(c.Intn(5)), LockTtl: uint64(c.Intn(2000)),
			MinCommitTs: c.ts(), AssertionLevel: kvrpcpb.AssertionLevel(c.Intn(4)), Mutations: c.mutations(kvrpcpb.Op_Put, kvrpcpb.Op_Del, kvrpcpb.Op_Insert)})
	case 16:
		_, err = kv.KvBatchGet(ctx, &kvrpcpb.BatchGetRequest{Context: c.context(), Version: c.ts(), Keys: append(c.keys(), c.keys()...)})
		if err == nil {
			_, err = kv.KvBufferBatchGet(ctx, &kvrpcpb.BufferBatchGetRequest{Context: c.context(), Version: c.ts(), Keys: c.keys()})
		}
	case 17:
		_, err = kv.KvScan(ctx, &kvrpcpb.ScanRequest{Context: c.context(), StartKey: c.key(), EndKey: c.key(), Version: c.ts(), Limit: uint32(c.Intn(20)),
			KeyOnly: c.yes(), Reverse: c.yes(), SampleStep: uint32(c.Intn(3))})
	case 18:
		if c.yes() {
			_, err = kv.MvccGetByKey(ctx, &kvrpcpb.MvccGetByKeyRequest{Context: c.context(), Key: c.key()})
		} else {
			_, err = kv.MvccGetByStartTs(ctx, &kvrpcpb.MvccGetByStartTsRequest{Context: c.context(), StartTs: c.ts()})
		}
	default:
		if c.Intn(20) == 0 {
			end := append(t.key(""), 0xff)
			_, err = kv.KvDeleteRange(ctx, &kvrpcpb.DeleteRangeRequest{Context: c.context(), StartKey: c.key(), EndKey: end, NotifyOnly: c.yes()})
		} else {
			_, err = kv.KvGet(ctx, &kvrpcpb.GetRequest{Context: c.context(), Key: c.key(), Version: c.ts()})
		}
	}
	return err
}

func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// fuzz sends random requests from several clients at once.
func (t *tester) fuzz() error {
	now, err := t.now()
	if err != nil {
		return err
	}
	seed, requests := number("ABUSE_SEED", 1), number("ABUSE_REQUESTS", 1000)
	var wait sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		c := &chooser{rand.New(rand.NewSource(int64(seed*100 + i))), t, now}
		wait.Add(1)
		go func() {
			defer wait.Done()
			for n := 0; n < requests && errs[i] == nil; n++ {
				if errs[i] = c.one(); errs[i] != nil {
					errs[i] = fmt.Errorf("client %d, request %d of seed %d: %w", i, n, seed, errs[i])
				}
			}
		}()
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
