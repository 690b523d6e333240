package main

import (
	"bytes"
	"math"
	"strings"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
)

// checkOverlap has one transaction begin at the very timestamp at which
// another committed, and be rolled back on its key.
func (t *tester) checkOverlap() {
	k := t.key("k")
	start := t.mustPrewrite(put(k, "v"))
	commit := t.ts()
	t.commit(start, commit, k)
	c := ask[*kvrpcpb.CleanupResponse](t, &kvrpcpb.CleanupRequest{Key: k, StartVersion: commit})
	t.want(c.Error == nil && c.CommitVersion == 0, "cleanup at another's commit_ts", c)
	t.expect(k, "v", "the other's value stays")
	e := first(t.prewrite(prewriteRequest(commit, put(k, "late"))).Errors)
	t.want(lone(e, "Conflict") && e.Conflict.Reason == kvrpcpb.WriteConflict_SelfRolledBack, "prewrite after it", e)
	e = first(t.lock(lockRequest(commit, t.ts(), k)).Errors)
	t.want(aborts(e, "PessimisticLockRolledBack"), "pessimistic lock after it", e)
	s := t.status(&kvrpcpb.CheckTxnStatusRequest{PrimaryKey: k, LockTs: commit, CurrentTs: t.ts(), RollbackIfNotExist: true})
	t.want(s.Error == nil && s.CommitVersion == 0 && s.LockTtl == 0 && s.Action == kvrpcpb.Action_NoAction, "its status", s)
	info := ask[*kvrpcpb.MvccGetByKeyResponse](t, &kvrpcpb.MvccGetByKeyRequest{Key: k}).GetInfo()
	t.want(len(info.GetWrites()) == 1 && info.Writes[0].HasOverlappedRollback && info.Writes[0].CommitTs == commit, "the one record", info)
}

// checkSharedLocks has several transactions lock a key that none of them
// changes.
func (t *tester) checkSharedLocks() {
	k := t.key("shared")
	shared := func(start uint64, primary []byte) *kvrpcpb.PessimisticLockRequest {
		r := lockRequest(start, start, k)
		r.PrimaryLock, r.Mutations[0].Op = primary, kvrpcpb.Op_SharedPessimisticLock
		return r
	}
	a, b := t.key("a"), t.key("b")
	one, two := t.mustLock(a), t.mustLock(b)
	for start, primary := range map[uint64][]byte{one: a, two: b} {
		got := t.lock(shared(start, primary))
		t.want(len(got.Errors) == 0, "a shared lock", got)
	}
	got := t.get(k, t.ts())
	t.want(got.Error == nil && got.NotFound, "a shared lock hinders no read", got)
	now := t.ts()
	e := first(t.lock(lockRequest(now, now, k)).Errors)
	t.want(lone(e, "Locked") && e.Locked.LockType == kvrpcpb.Op_SharedLock && len(e.Locked.SharedLockInfos) == 2, "an exclusive lock behind it", e)
	request := pessimistic(one, one, mustHold, put(a, "v"), &kvrpcpb.Mutation{Op: kvrpcpb.Op_SharedLock, Key: k})
	r := t.prewrite(request)
	t.want(len(r.Errors) == 0, "prewrite of a shared lock", r)
	t.commit(one, t.ts(), a, k)
	ask[*kvrpcpb.PessimisticRollbackResponse](t, &kvrpcpb.PessimisticRollbackRequest{StartVersion: two, ForUpdateTs: two, Keys: [][]byte{k, b}})
	now = t.ts()
	l := t.lock(lockRequest(now, now, k))
	t.want(len(l.Errors) == 0, "an exclusive lock after it", l)
	t.rollback(now, k)
	t.expect(a, "v", "its transaction committed")
}

// checkNothing asks for nothing, and for timestamps that cannot be stored.
// Whatever the answer is, there must be one, and the node must go on.
func (t *tester) checkNothing() {
	now := t.ts()
	k := t.key("k")
	for _, request := range []any{
		&kvrpcpb.PrewriteRequest{StartVersion: now, PrimaryLock: k},
		&kvrpcpb.CommitRequest{StartVersion: now, CommitVersion: now + 1},
		&kvrpcpb.BatchRollbackRequest{StartVersion: now},
		&kvrpcpb.CleanupRequest{StartVersion: now},
		&kvrpcpb.PessimisticLockRequest{StartVersion: now, ForUpdateTs: now, PrimaryLock: k},
		&kvrpcpb.CheckSecondaryLocksRequest{StartVersion: now},
		&kvrpcpb.CheckTxnStatusRequest{LockTs: now, CurrentTs: now},
		&kvrpcpb.TxnHeartBeatRequest{StartVersion: now},
		&kvrpcpb.ResolveLockRequest{},
		&kvrpcpb.FlushRequest{StartTs: now, PrimaryKey: k, Generation: 1},
		&kvrpcpb.BufferBatchGetRequest{Version: now},
		&kvrpcpb.BatchGetRequest{Version: now},
		&kvrpcpb.ScanRequest{Version: now},
		&kvrpcpb.GetRequest{Version: now},
		&kvrpcpb.GetRequest{Key: k},
		&kvrpcpb.DeleteRangeRequest{StartKey: k, EndKey: k},
		prewriteRequest(math.MaxUint64, put(k, "v")),
		prewriteRequest(1<<63, put(k, "v")),
		lockRequest(math.MaxUint64, math.MaxUint64, k),
		lockRequest(now, 1<<63, k),
		&kvrpcpb.CommitRequest{StartVersion: now, CommitVersion: math.MaxUint64, Keys: [][]byte{k}},
		&kvrpcpb.BatchRollbackRequest{StartVersion: math.MaxUint64, Keys: [][]byte{k}},
		&kvrpcpb.CleanupRequest{StartVersion: math.MaxUint64, Key: k},
		&kvrpcpb.CheckTxnStatusRequest{PrimaryKey: k, LockTs: math.MaxUint64, CurrentTs: math.MaxUint64, RollbackIfNotExist: true},
		&kvrpcpb.CheckSecondaryLocksRequest{Keys: [][]byte{k}, StartVersion: math.MaxUint64},
		&kvrpcpb.ResolveLockRequest{StartVersion: math.MaxUint64, CommitVersion: math.MaxUint64, Keys: [][]byte{k}},
		&kvrpcpb.TxnHeartBeatRequest{PrimaryLock: k, StartVersion: math.MaxUint64, AdviseLockTtl: math.MaxUint64},
	} {
		answered(t, request)
	}
	got := t.get(k, t.ts())
	t.want(got.Error == nil && got.NotFound, "none of it wrote anything", got)

	// A start_ts of 0 is older than anything that is still to be had.
	r := t.prewrite(prewriteRequest(0, put(k, "v")))
	t.want(aborts(first(r.Errors), "TxnAbortedByGC"), "prewrite at 0", r)
	rolled := t.rollback(0, k)
	t.want(rolled.Error == nil, "roll back at 0", rolled)
	t.expect(k, "", "rolled back")

	// The empty key is a key like others.
	start := t.mustPrewrite(put([]byte{}, "empty"))
	t.commit(start, t.ts(), []byte{})
	got = t.get(nil, t.ts())
	t.want(string(got.Value) == "empty", "the empty key", got)
	start = t.mustPrewrite(del([]byte{}))
	t.commit(start, t.ts(), []byte{})

	// A key twice in one request: the last one wins, or it is refused.
	twice := t.key("twice")
	request := prewriteRequest(t.ts(), put(twice, "1"), put(twice, "2"))
	if r := t.prewrite(request); len(r.Errors) == 0 {
		t.commit(request.StartVersion, t.ts(), twice, twice)
		value := t.get(twice, t.ts()).Value
		t.want(bytes.Equal(value, []byte("1")) || bytes.Equal(value, []byte("2")), "a key twice", value)
	}
}

// checkTwice names a key twice in one request, and flushes one again: the last
// mutation counts, and no value is left beside it.
func (t *tester) checkTwice() {
	long := strings.Repeat("long", 100)
	values := func(key []byte) int {
		return len(ask[*kvrpcpb.MvccGetByKeyResponse](t, &kvrpcpb.MvccGetByKeyRequest{Key: key}).GetInfo().GetValues())
	}
	for _, onePC := range []bool{false, true} {
		k, gone := t.key("twice"), t.key("gone")
		r := prewriteRequest(t.ts(), put(k, long), put(gone, long), put(k, "short"), del(gone))
		r.TryOnePc = onePC
		got := t.prewrite(r)
		t.want(len(got.Errors) == 0 && (got.OnePcCommitTs != 0) == onePC, "keys named twice", got)
		if !onePC {
			t.commit(r.StartVersion, t.ts(), k, gone)
		}
		t.expect(k, "short", "the last counts")
		t.expect(gone, "", "also if it is a delete")
		t.want(values(k) == 0 && values(gone) == 0, "no value is left beside it", nil)
	}
	k, start := t.key("flushed"), t.ts()
	for i, value := range []string{long, "short", long, "short"} {
		got := ask[*kvrpcpb.FlushResponse](t, &kvrpcpb.FlushRequest{Mutations: []*kvrpcpb.Mutation{put(k, value)}, PrimaryKey: k,
			StartTs: start, Generation: uint64(i + 1), LockTtl: 3000})
		t.want(len(got.Errors) == 0, "flush", got)
		t.want(values(k) == len(value)/len(long), "a flush leaves the value it needs", values(k))
	}
	t.rollback(start, k)
	t.want(values(k) == 0, "and none when it is rolled back", nil)
}
