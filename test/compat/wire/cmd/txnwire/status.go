package main

import (
	"bytes"
	"math"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
)

// checkCommit meets every answer of a commit.
func (t *tester) checkCommit() {
	k := t.key("k")
	start := t.mustPrewrite(put(k, "v"))
	for _, wrong := range []uint64{start, start - 1, 0} {
		e := t.commit(start, wrong, k).Error
		t.want(aborts(e, "InvalidTxnTso"), "commit_version not above start_version", e)
	}
	read := t.ts()
	pushed := t.status(&kvrpcpb.CheckTxnStatusRequest{PrimaryKey: k, LockTs: start, CallerStartTs: read, CurrentTs: read})
	t.want(pushed.Action == kvrpcpb.Action_MinCommitTSPushed, "push", pushed)
	e := t.commit(start, start+1, k).Error
	x := e.GetCommitTsExpired()
	t.want(lone(e, "CommitTsExpired") && x.StartTs == start && x.AttemptedCommitTs == start+1 && bytes.Equal(x.Key, k) &&
		x.MinCommitTs == pushed.GetLockInfo().GetMinCommitTs(), "commit below min_commit_ts", e)
	commit := t.ts()
	for i := 0; i < 2; i++ {
		got := t.commit(start, commit, k)
		t.want(got.Error == nil && got.CommitVersion == commit, "commit, and the same again", got)
	}
	t.expect(k, "v", "committed")

	absent := t.key("absent")
	e = t.commit(t.ts(), t.ts(), absent).Error
	t.want(lone(e, "TxnLockNotFound") && bytes.Equal(e.TxnLockNotFound.Key, absent) && e.Retryable != "", "commit without a lock", e)
	start = t.mustPrewrite(put(k, "2"))
	t.rollback(start, k)
	e = t.commit(start, t.ts(), k).Error
	t.want(lone(e, "TxnLockNotFound"), "commit after the rollback", e)
	t.expect(k, "v", "rolled back")

	// All or nothing within a request.
	start = t.mustPrewrite(put(k, "3"))
	e = t.commit(start, t.ts(), k, absent).Error
	t.want(lone(e, "TxnLockNotFound"), "commit of which one key has no lock", e)
	l := t.get(k, t.ts()).GetError().GetLocked()
	t.want(l.GetLockVersion() == start, "the other key is locked still", l)
	t.rollback(start, k)

	p := t.key("pessimistic")
	start = t.mustLock(p)
	got := t.commit(start, t.ts(), p)
	t.want(got.Error == nil, "commit of a pessimistic lock", got)
	t.expect(p, "", "it changes nothing")
	t.want(t.status(&kvrpcpb.CheckTxnStatusRequest{PrimaryKey: p, LockTs: start}).GetError().GetTxnNotFound() != nil,
		"and leaves no record", nil)
}

// checkRollbacks meets every answer of KvBatchRollback and KvCleanup.
func (t *tester) checkRollbacks() {
	k := t.key("k")
	start, commit := t.store(k, "v")
	e := t.rollback(start, k).Error
	t.want(aborts(e, "Committed"), "roll back what is committed", e)
	cleanup := func(start, current uint64) *kvrpcpb.CleanupResponse {
		return ask[*kvrpcpb.CleanupResponse](t, &kvrpcpb.CleanupRequest{Key: k, StartVersion: start, CurrentTs: current})
	}
	c := cleanup(start, 0)
	t.want(c.Error == nil && c.CommitVersion == commit, "clean up what is committed", c)
	start = t.mustPrewrite(put(k, "2"))
	c = cleanup(start, t.ts())
	t.want(lone(c.Error, "Locked") && c.Error.Locked.LockVersion == start, "clean up what lives", c)
	c = cleanup(start, 0)
	t.want(c.Error == nil && c.CommitVersion == 0, "clean up without a time", c)
	start = t.shortLived(put(k, "3"))
	c = cleanup(start, t.later())
	t.want(c.Error == nil && c.CommitVersion == 0, "clean up what is dead", c)
	c = cleanup(start, 0)
	t.want(c.Error == nil && c.CommitVersion == 0, "clean up again", c)
	e = first(t.prewrite(prewriteRequest(start, put(k, "2"))).Errors)
	t.want(e.GetConflict().GetReason() == kvrpcpb.WriteConflict_SelfRolledBack, "prewrite after the cleanup", e)
	t.want(t.rollback(start, k).Error == nil && t.rollback(t.ts(), t.key("never")).Error == nil, "roll back what is not there", nil)
	t.expect(k, "v", "cleaned up")
}

// checkTxnStatus meets every action and error of KvCheckTxnStatus.
func (t *tester) checkTxnStatus() {
	type request = kvrpcpb.CheckTxnStatusRequest
	k := t.key("k")

	// Without min_commit_ts no reader can push it.
	plain := prewriteRequest(t.ts(), put(k, "v"))
	plain.MinCommitTs = 0
	t.prewrite(plain)
	start := plain.StartVersion
	got := t.status(&request{PrimaryKey: k, LockTs: start, CallerStartTs: t.ts(), CurrentTs: t.ts()})
	t.want(got.Error == nil && got.Action == kvrpcpb.Action_NoAction && got.LockTtl == 3000 && got.CommitVersion == 0 &&
		bytes.Equal(got.GetLockInfo().GetKey(), k) && got.LockInfo.LockVersion == start, "alive, cannot be pushed", got)
	t.rollback(start, k)
	start = t.shortLived(put(k, "v"))
	got = t.status(&request{PrimaryKey: k, LockTs: start, CurrentTs: t.later()})
	t.want(got.Error == nil && got.Action == kvrpcpb.Action_TTLExpireRollback && got.LockTtl == 0 && got.CommitVersion == 0, "expired", got)
	got = t.status(&request{PrimaryKey: k, LockTs: start, CurrentTs: t.later()})
	t.want(got.Error == nil && got.Action == kvrpcpb.Action_NoAction && got.LockTtl == 0 && got.CommitVersion == 0 && got.LockInfo == nil, "rolled back", got)

	start = t.mustPrewrite(put(k, "v"))
	got = t.status(&request{PrimaryKey: k, LockTs: start, CurrentTs: t.ts()})
	t.want(got.Action == kvrpcpb.Action_NoAction && got.LockTtl == 3000, "alive, asked by nobody", got)
	caller := t.ts()
	got = t.status(&request{PrimaryKey: k, LockTs: start, CallerStartTs: caller, CurrentTs: t.ts()})
	t.want(got.Action == kvrpcpb.Action_MinCommitTSPushed && got.LockTtl == 3000 && got.GetLockInfo().GetMinCommitTs() > caller, "pushed", got)
	min := got.GetLockInfo().GetMinCommitTs()
	got = t.status(&request{PrimaryKey: k, LockTs: start, CallerStartTs: caller - 1, CurrentTs: t.ts()})
	t.want(got.Action == kvrpcpb.Action_MinCommitTSPushed && got.GetLockInfo().GetMinCommitTs() == min, "pushed before", got)
	got = t.status(&request{PrimaryKey: k, LockTs: start, CallerStartTs: math.MaxUint64, CurrentTs: t.ts()})
	t.want(got.Action == kvrpcpb.Action_MinCommitTSPushed && got.GetLockInfo().GetMinCommitTs() == min, "asked by a reader of the newest", got)
	commit := t.ts()
	t.commit(start, commit, k)
	got = t.status(&request{PrimaryKey: k, LockTs: start, CurrentTs: t.later(), RollbackIfNotExist: true})
	t.want(got.Error == nil && got.CommitVersion == commit && got.LockTtl == 0 && got.Action == kvrpcpb.Action_NoAction, "committed", got)
	start = t.mustPrewrite(put(k, "v"))
	got = t.status(&request{PrimaryKey: k, LockTs: start, CurrentTs: math.MaxUint64})
	t.want(got.Action == kvrpcpb.Action_TTLExpireRollback, "expired by the highest current_ts", got)

	// Pessimistic locks.
	start = t.mustLock(k)
	got = t.status(&request{PrimaryKey: k, LockTs: start, CurrentTs: t.ts(), ResolvingPessimisticLock: true})
	t.want(got.LockTtl == 20000 && got.LockInfo.GetLockType() == kvrpcpb.Op_PessimisticLock, "a pessimistic lock alive", got)
	t.rollback(start, k)
	start = t.ts()
	brief := lockRequest(start, start, k)
	brief.LockTtl = 1
	t.lock(brief)
	got = t.status(&request{PrimaryKey: k, LockTs: start, CurrentTs: t.later(), ResolvingPessimisticLock: true})
	t.want(got.Action == kvrpcpb.Action_TTLExpirePessimisticRollback && got.LockTtl == 0, "a pessimistic lock expired", got)
	r := t.lock(brief)
	t.want(len(r.Errors) == 0, "which leaves no record", r)
	got = t.status(&request{PrimaryKey: k, LockTs: start, CurrentTs: t.later()})
	t.want(got.Action == kvrpcpb.Action_TTLExpireRollback, "expired, asked for a prewritten lock", got)
	e := first(t.lock(lockRequest(start, start, k)).Errors)
	t.want(aborts(e, "PessimisticLockRolledBack"), "pessimistic lock after a rollback", e)

	// No lock at all.
	n, lost := t.key("none"), t.ts()
	got = t.status(&request{PrimaryKey: n, LockTs: lost, CurrentTs: t.later()})
	f := got.GetError().GetTxnNotFound()
	t.want(lone(got.Error, "TxnNotFound") && f.StartTs == lost && bytes.Equal(f.PrimaryKey, n), "nothing there", got)
	got = t.status(&request{PrimaryKey: n, LockTs: lost, CurrentTs: t.later(), RollbackIfNotExist: true, ResolvingPessimisticLock: true})
	t.want(got.Error == nil && got.Action == kvrpcpb.Action_LockNotExistDoNothing, "nothing there, and nothing is done", got)
	got = t.status(&request{PrimaryKey: n, LockTs: lost, CurrentTs: t.later(), RollbackIfNotExist: true})
	t.want(got.Error == nil && got.Action == kvrpcpb.Action_LockNotExistRollback, "nothing there, and it is rolled back", got)
	e = first(t.prewrite(prewriteRequest(lost, put(n, "late"))).Errors)
	t.want(e.GetConflict().GetReason() == kvrpcpb.WriteConflict_SelfRolledBack, "a late prewrite", e)

	// A lock whose primary is another key.
	a, b := t.key("a"), t.key("b")
	start = t.mustPrewrite(put(a, "1"), put(b, "2"))
	got = t.status(&request{PrimaryKey: b, LockTs: start, CurrentTs: t.ts(), VerifyIsPrimary: true})
	t.want(lone(got.Error, "PrimaryMismatch") && bytes.Equal(got.Error.PrimaryMismatch.GetLockInfo().GetPrimaryLock(), a), "not the primary", got)
	t.rollback(start, a, b)

	// Asynchronous ones.
	async := prewriteRequest(t.ts(), put(a, "1"), put(b, "2"))
	async.UseAsyncCommit, async.Secondaries, async.LockTtl = true, [][]byte{b}, 1
	t.prewrite(async)
	start = async.StartVersion
	got = t.status(&request{PrimaryKey: a, LockTs: start, CurrentTs: t.later(), RollbackIfNotExist: true})
	t.want(got.Error == nil && got.Action == kvrpcpb.Action_NoAction && got.LockTtl > 0 && got.GetLockInfo().GetUseAsyncCommit() &&
		len(got.LockInfo.Secondaries) == 1, "an asynchronous primary is not rolled back", got)
	got = t.status(&request{PrimaryKey: a, LockTs: start, CurrentTs: t.later(), ForceSyncCommit: true})
	t.want(got.Action == kvrpcpb.Action_TTLExpireRollback, "unless it is forced", got)
	t.rollback(start, b)
}

// checkSecondaries meets every answer of KvCheckSecondaryLocks.
func (t *tester) checkSecondaries() {
	check := func(start uint64, keys ...[]byte) *kvrpcpb.CheckSecondaryLocksResponse {
		return ask[*kvrpcpb.CheckSecondaryLocksResponse](t, &kvrpcpb.CheckSecondaryLocksRequest{Keys: keys, StartVersion: start})
	}
	a, b, c := t.key("a"), t.key("b"), t.key("c")
	async := func(mutations ...*kvrpcpb.Mutation) (uint64, uint64) {
		r := prewriteRequest(t.ts(), mutations...)
		r.PrimaryLock, r.UseAsyncCommit, r.Secondaries = a, true, [][]byte{b, c}
		return r.StartVersion, t.prewrite(r).MinCommitTs
	}
	start, min := async(put(a, "1"), put(b, "2"), put(c, "3"))
	got := check(start, b, c)
	t.want(got.Error == nil && got.CommitTs == 0 && len(got.Locks) == 2 && bytes.Equal(got.Locks[0].Key, b) &&
		got.Locks[1].UseAsyncCommit && got.Locks[1].MinCommitTs > 0 && got.Locks[1].MinCommitTs <= min, "all locked", got)
	t.commit(start, min, a, b)
	got = check(start, b, c)
	t.want(got.Error == nil && got.CommitTs == min && len(got.Locks) == 0, "one is committed", got)
	t.commit(start, min, c)

	start, _ = async(put(a, "1"), put(b, "2"))
	got = check(start, b, c)
	t.want(got.Error == nil && got.CommitTs == 0 && len(got.Locks) == 0, "one is missing", got)
	late := prewriteRequest(start, put(c, "3"))
	late.PrimaryLock, late.UseAsyncCommit = a, true
	e := first(t.prewrite(late).Errors)
	t.want(e.GetConflict().GetReason() == kvrpcpb.WriteConflict_SelfRolledBack, "a late prewrite of it", e)
	t.rollback(start, a, b)

	start = t.mustLock(c)
	got = check(start, c)
	t.want(got.Error == nil && got.CommitTs == 0 && len(got.Locks) == 0, "a pessimistic lock", got)
	e = first(t.lock(lockRequest(start, start, c)).Errors)
	t.want(aborts(e, "PessimisticLockRolledBack"), "is rolled back", e)
	t.expect(c, "3", "and changes nothing")
}

// checkResolve resolves locks: given keys, a whole region, several
// transactions at once.
func (t *tester) checkResolve() {
	resolve := func(r *kvrpcpb.ResolveLockRequest) *kvrpcpb.ResolveLockResponse {
		return ask[*kvrpcpb.ResolveLockResponse](t, r)
	}
	a, b, c := t.key("a"), t.key("b"), t.key("c")
	start := t.mustPrewrite(put(a, "1"), put(b, "2"), put(c, "3"))
	commit := t.ts()
	got := resolve(&kvrpcpb.ResolveLockRequest{StartVersion: start, CommitVersion: commit, Keys: [][]byte{a}})
	t.want(got.Error == nil, "commit of one key", got)
	t.expect(a, "1", "it is committed")
	l := t.get(b, t.ts()).GetError().GetLocked()
	t.want(l != nil, "the others are locked", l)
	got = resolve(&kvrpcpb.ResolveLockRequest{StartVersion: start, CommitVersion: commit})
	t.want(got.Error == nil, "commit of the rest", got)
	t.expect(b, "2", "it is committed")
	t.expect(c, "3", "it is committed")
	got = resolve(&kvrpcpb.ResolveLockRequest{StartVersion: start, CommitVersion: commit, Keys: [][]byte{a}})
	t.want(got.Error == nil, "commit of what is committed", got)
	got = resolve(&kvrpcpb.ResolveLockRequest{StartVersion: t.ts(), CommitVersion: t.ts(), Keys: [][]byte{a}})
	t.want(lone(got.Error, "TxnLockNotFound"), "commit of what was never locked", got)

	one, two := t.mustPrewrite(put(a, "4")), t.mustPrewrite(put(b, "5"))
	locked := t.mustLock(c)
	commit = t.ts()
	got = resolve(&kvrpcpb.ResolveLockRequest{TxnInfos: []*kvrpcpb.TxnInfo{{Txn: one, Status: commit}, {Txn: two}, {Txn: locked}}})
	t.want(got.Error == nil, "several transactions", got)
	t.expect(a, "4", "one is committed")
	t.expect(b, "2", "one is rolled back")
	start = t.mustPrewrite(put(a, "6"))
	got = resolve(&kvrpcpb.ResolveLockRequest{StartVersion: start, CommitVersion: start})
	t.want(aborts(got.Error, "InvalidTxnTso"), "commit_version not above start_version", got)
	got = resolve(&kvrpcpb.ResolveLockRequest{StartVersion: start})
	t.want(got.Error == nil, "roll back", got)
	t.expect(a, "4", "it is rolled back")

	// More locks than one round takes.
	var many []*kvrpcpb.Mutation
	for i := 0; i < 700; i++ {
		many = append(many, put(t.key("many"), "v"))
	}
	start = t.mustPrewrite(many...)
	got = resolve(&kvrpcpb.ResolveLockRequest{StartVersion: start, CommitVersion: t.ts()})
	t.want(got.Error == nil, "700 locks", got)
	for _, i := range []int{0, 255, 256, 511, 512, 699} {
		t.expect(many[i].Key, "v", "one of 700")
	}
}

// checkScanLock lists locks by timestamp, range and number.
func (t *tester) checkScanLock() {
	a, b, c, d := t.key("a"), t.key("b"), t.key("c"), t.key("d")
	oldest := t.mustPrewrite(put(a, "1"), put(b, "2"))
	locked := t.mustLock(c)
	last := t.mustPrewrite(del(d))
	end := append(bytes.Clone(d), 0)
	scan := func(max uint64, start, end []byte, limit uint32) []*kvrpcpb.LockInfo {
		r := ask[*kvrpcpb.ScanLockResponse](t, &kvrpcpb.ScanLockRequest{MaxVersion: max, StartKey: start, EndKey: end, Limit: limit})
		t.want(r.Error == nil, "scan of locks", r)
		return r.Locks
	}
	is := func(got []*kvrpcpb.LockInfo, what string, keys ...[]byte) {
		same := len(got) == len(keys)
		for i := range got {
			same = same && bytes.Equal(got[i].Key, keys[i])
		}
		t.want(same, "scan of locks "+what, got)
	}
	now := t.ts()
	all := scan(now, a, end, 10)
	is(all, "of all", a, b, c, d)
	if len(all) == 4 {
		t.want(all[1].LockVersion == oldest && bytes.Equal(all[1].PrimaryLock, a) && all[2].LockType == kvrpcpb.Op_PessimisticLock &&
			all[2].LockVersion == locked && all[2].LockForUpdateTs == locked && all[3].LockType == kvrpcpb.Op_Del, "their fields", all)
	}
	is(scan(now, a, end, 0), "without a limit", a, b, c, d)
	is(scan(now, a, end, 2), "with a limit", a, b)
	is(scan(now, append(bytes.Clone(a), 0), d, 10), "within a range", b, c)
	is(scan(locked, a, end, 10), "up to a timestamp", a, b, c)
	is(scan(locked-1, a, end, 10), "below it", a, b)
	is(scan(now, end, append(bytes.Clone(d), 1), 10), "behind them")
	t.rollback(oldest, a, b)
	t.rollback(last, d)
	t.rollback(locked, c)
	is(scan(now, a, end, 10), "after the rollbacks")
}

// checkHeartbeat raises the time to live.
func (t *tester) checkHeartbeat() {
	beat := func(key []byte, start, ttl uint64) *kvrpcpb.TxnHeartBeatResponse {
		return ask[*kvrpcpb.TxnHeartBeatResponse](t, &kvrpcpb.TxnHeartBeatRequest{PrimaryLock: key, StartVersion: start, AdviseLockTtl: ttl})
	}
	k := t.key("k")
	start := t.mustPrewrite(put(k, "v"))
	for _, c := range []struct{ ask, want uint64 }{{9000, 9000}, {100, 9000}, {9001, 9001}} {
		got := beat(k, start, c.ask)
		t.want(got.Error == nil && got.LockTtl == c.want, "heartbeat", got)
	}
	t.want(t.get(k, t.ts()).GetError().GetLocked().GetLockTtl() == 9001, "the lock has it", nil)
	got := beat(k, start+1, 9000)
	t.want(lone(got.Error, "TxnNotFound") && got.Error.TxnNotFound.StartTs == start+1 &&
		bytes.Equal(got.Error.TxnNotFound.PrimaryKey, k), "heartbeat of another", got)
	t.rollback(start, k)
	got = beat(k, start, 9000)
	t.want(lone(got.Error, "TxnNotFound"), "heartbeat of what is gone", got)
	start = t.mustLock(k)
	got = beat(k, start, 70000)
	t.want(got.Error == nil && got.LockTtl == 70000, "heartbeat of a pessimistic lock", got)
	t.rollback(start, k)
}

// checkFlush is the server's side of pipelined transactions.
func (t *tester) checkFlush() {
	a, b, c := t.key("a"), t.key("b"), t.key("c")
	start := t.ts()
	flush := func(generation uint64, mutations ...*kvrpcpb.Mutation) *kvrpcpb.FlushResponse {
		return ask[*kvrpcpb.FlushResponse](t, &kvrpcpb.FlushRequest{Mutations: mutations, PrimaryKey: a, StartTs: start,
			Generation: generation, LockTtl: 3000})
	}
	buffered := func() map[string]string {
		got := ask[*kvrpcpb.BufferBatchGetResponse](t, &kvrpcpb.BufferBatchGetRequest{Keys: [][]byte{a, b, c}, Version: start})
		t.want(got.Error == nil, "buffered read", got)
		values := map[string]string{}
		for _, pair := range got.Pairs {
			values[string(pair.Key)] = string(pair.Value)
		}
		return values
	}
	long := string(bytes.Repeat([]byte("long"), 100))
	got := flush(1, put(a, "1"), put(b, long))
	t.want(len(got.Errors) == 0, "flush", got)
	got = flush(2, put(b, "2"), del(a))
	t.want(len(got.Errors) == 0, "flush again", got)
	got = flush(1, put(a, "1"), put(b, long))
	t.want(len(got.Errors) == 0, "an old flush", got)
	values := buffered()
	deleted, known := values[string(a)]
	_, other := values[string(c)]
	t.want(values[string(b)] == "2" && known && deleted == "" && !other, "what is buffered", values)
	locked := t.get(b, t.ts()).GetError().GetLocked()
	t.want(locked.GetLockVersion() == start && locked.GetTxnSize() == math.MaxUint64, "a flushed lock", locked)
	ask[*kvrpcpb.ResolveLockResponse](t, &kvrpcpb.ResolveLockRequest{StartVersion: start, CommitVersion: t.ts()})
	t.expect(b, "2", "commit of what was flushed")
	got = flush(0, put(c, "x"))
	t.want(lone(first(got.Errors), "Abort"), "flush without a generation", got)
	t.expect(c, "", "flush without a generation writes nothing")
}
