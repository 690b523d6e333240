package main

import (
	"bytes"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
)

// checkPrewriteErrors meets every error of an optimistic prewrite.
func (t *tester) checkPrewriteErrors() {
	a, b, c := t.key("a"), t.key("b"), t.key("c")
	start := t.mustPrewrite(put(a, "1"), put(b, "2"))
	mine := t.ts()
	got := t.prewrite(prewriteRequest(mine, put(c, "x"), put(a, "x"), put(b, "x")))
	t.want(len(got.Errors) == 2, "all locked keys are told", got)
	for i, key := range [][]byte{a, b} {
		if len(got.Errors) != 2 {
			break
		}
		l := got.Errors[i].GetLocked()
		t.want(lone(got.Errors[i], "Locked") && bytes.Equal(l.Key, key) && bytes.Equal(l.PrimaryLock, a) &&
			l.LockVersion == start && l.LockTtl == 3000 && l.TxnSize == 2 && l.LockType == kvrpcpb.Op_Put &&
			l.MinCommitTs == start+1 && !l.UseAsyncCommit && l.LockForUpdateTs == 0 && len(l.Secondaries) == 0,
			"the lock in the way", l)
	}
	t.expect(c, "", "a prewrite that fails writes nothing")
	t.want(ask[*kvrpcpb.CheckTxnStatusResponse](t, &kvrpcpb.CheckTxnStatusRequest{PrimaryKey: c, LockTs: mine}).
		GetError().GetTxnNotFound() != nil, "a prewrite that fails leaves no lock", nil)
	commit := t.ts()
	t.commit(start, commit, a, b)

	e := first(t.prewrite(prewriteRequest(mine, put(a, "x"))).Errors)
	w := e.GetConflict()
	t.want(lone(e, "Conflict") && e.Retryable != "" && w.StartTs == mine && w.ConflictTs == start &&
		w.ConflictCommitTs == commit && bytes.Equal(w.Key, a) && bytes.Equal(w.Primary, a) &&
		w.Reason == kvrpcpb.WriteConflict_Optimistic, "conflict", e)

	t.rollback(mine, c)
	e = first(t.prewrite(prewriteRequest(mine, put(c, "x"))).Errors)
	t.want(lone(e, "Conflict") && e.GetConflict().Reason == kvrpcpb.WriteConflict_SelfRolledBack,
		"prewrite after its own rollback", e)

	for _, op := range []kvrpcpb.Op{kvrpcpb.Op_Insert, kvrpcpb.Op_CheckNotExists} {
		mutation := &kvrpcpb.Mutation{Op: op, Key: a, Value: []byte("x")}
		e = first(t.prewrite(prewriteRequest(t.ts(), mutation)).Errors)
		t.want(lone(e, "AlreadyExist") && bytes.Equal(e.AlreadyExist.Key, a), op.String()+" of what is there", e)
		mutation.Key = t.key("absent")
		request := prewriteRequest(t.ts(), mutation)
		r := t.prewrite(request)
		t.want(len(r.Errors) == 0, op.String()+" of what is absent", r)
		locked := t.get(mutation.Key, t.ts()).GetError().GetLocked()
		t.want((locked != nil) == (op == kvrpcpb.Op_Insert), op.String()+" leaves a lock", locked)
		t.rollback(request.StartVersion, mutation.Key)
	}

	for _, assertion := range []kvrpcpb.Assertion{kvrpcpb.Assertion_Exist, kvrpcpb.Assertion_NotExist} {
		key := a
		if assertion == kvrpcpb.Assertion_Exist {
			key = t.key("absent")
		}
		mutation := put(key, "x")
		mutation.Assertion = assertion
		request := prewriteRequest(t.ts(), mutation)
		request.AssertionLevel = kvrpcpb.AssertionLevel_Strict
		e = first(t.prewrite(request).Errors)
		f := e.GetAssertionFailed()
		there := assertion == kvrpcpb.Assertion_NotExist
		t.want(lone(e, "AssertionFailed") && f.StartTs == request.StartVersion && bytes.Equal(f.Key, key) &&
			f.Assertion == assertion && (f.ExistingStartTs == start && f.ExistingCommitTs == commit) == there &&
			(f.ExistingCommitTs == 0) == !there, "assertion "+assertion.String(), e)
	}

	// A pessimistic lock of its own hinders an optimistic prewrite.
	k := t.key("type")
	own := t.mustLock(k)
	e = first(t.prewrite(prewriteRequest(own, put(k, "x"))).Errors)
	t.want(aborts(e, "LockTypeNotMatch"), "optimistic prewrite of a pessimistic lock", e)

	// Ops that are none of a prewrite's.
	for _, op := range []kvrpcpb.Op{kvrpcpb.Op_Rollback, kvrpcpb.Op_PessimisticLock, kvrpcpb.Op_SharedPessimisticLock, 77} {
		r, err := send[*kvrpcpb.PrewriteResponse](t, prewriteRequest(t.ts(), &kvrpcpb.Mutation{Op: op, Key: t.key("op")}))
		t.want(err != nil || r.RegionError == nil && lone(first(r.Errors), "Abort"), "prewrite of op "+op.String(), r)
	}
}

func pessimistic(start, forUpdate uint64, action kvrpcpb.PrewriteRequest_PessimisticAction, mutations ...*kvrpcpb.Mutation) *kvrpcpb.PrewriteRequest {
	request := prewriteRequest(start, mutations...)
	request.ForUpdateTs = forUpdate
	for range mutations {
		request.PessimisticActions = append(request.PessimisticActions, action)
	}
	return request
}

const (
	skip       = kvrpcpb.PrewriteRequest_SKIP_PESSIMISTIC_CHECK
	mustHold   = kvrpcpb.PrewriteRequest_DO_PESSIMISTIC_CHECK
	constraint = kvrpcpb.PrewriteRequest_DO_CONSTRAINT_CHECK
)

// checkPessimisticPrewrite is the same of a pessimistic transaction.
func (t *tester) checkPessimisticPrewrite() {
	k := t.key("foreign")
	foreign := t.mustPrewrite(put(k, "1"))
	start := t.ts()
	e := first(t.prewrite(pessimistic(start, start, skip, put(k, "x"))).Errors)
	t.want(lone(e, "Locked") && e.Locked.LockTtl == 0, "a lock in the way is to be resolved at once", e)
	e = first(t.prewrite(pessimistic(start, start, mustHold, put(k, "x"))).Errors)
	t.want(aborts(e, "PessimisticLockNotFound"), "its lock is gone", e)
	t.rollback(foreign, k)

	// A lost lock is made good, unless something came in between.
	k = t.key("lost")
	r := t.prewrite(pessimistic(start, start, mustHold, put(k, "x")))
	t.want(len(r.Errors) == 0, "a lost lock is made good", r)
	t.rollback(start, k)
	start = t.ts()
	t.store(k, "between")
	e = first(t.prewrite(pessimistic(start, start, mustHold, put(k, "x"))).Errors)
	t.want(aborts(e, "PessimisticLockNotFound"), "a lost lock and a newer version", e)
	e = first(t.prewrite(pessimistic(start, t.ts(), constraint, put(k, "x"))).Errors)
	t.want(lone(e, "Conflict") && e.Conflict.Reason == kvrpcpb.WriteConflict_LazyUniquenessCheck,
		"constraint check meets a newer version", e)
	e = first(t.prewrite(pessimistic(t.ts(), t.ts(), constraint,
		&kvrpcpb.Mutation{Op: kvrpcpb.Op_Insert, Key: k, Value: []byte("x")})).Errors)
	t.want(lone(e, "AlreadyExist"), "constraint check of an insert", e)
	e = first(t.prewrite(pessimistic(t.ts(), t.ts(), skip, &kvrpcpb.Mutation{Op: kvrpcpb.Op_CheckNotExists, Key: k})).Errors)
	t.want(lone(e, "Abort"), "CheckNotExists in a pessimistic transaction", e)

	// The timestamp at which the lock must have been taken.
	k = t.key("expected")
	start = t.mustLock(k)
	for _, wrong := range []*kvrpcpb.PrewriteRequest_ForUpdateTSConstraint{
		{Index: 0, ExpectedForUpdateTs: start + 1}, {Index: 0, ExpectedForUpdateTs: start - 1}, {Index: 1, ExpectedForUpdateTs: start}} {
		request := pessimistic(start, start, mustHold, put(k, "x"))
		request.ForUpdateTsConstraints = []*kvrpcpb.PrewriteRequest_ForUpdateTSConstraint{wrong}
		e = first(t.prewrite(request).Errors)
		t.want(lone(e, "Abort"), "a lock of another for_update_ts", e)
	}
	request := pessimistic(start, start, mustHold, put(k, "right"))
	request.ForUpdateTsConstraints = []*kvrpcpb.PrewriteRequest_ForUpdateTSConstraint{{Index: 0, ExpectedForUpdateTs: start}}
	t.want(len(t.prewrite(request).Errors) == 0, "a lock of the expected for_update_ts", nil)
	l := t.get(k, t.ts()).GetError().GetLocked()
	t.want(l.GetLockForUpdateTs() == start && l.GetLockType() == kvrpcpb.Op_Put && l.GetLockTtl() == 20000,
		"the prewritten lock keeps what the pessimistic one had", l)
	t.commit(start, t.ts(), k)
	t.expect(k, "right", "commit")
}

// checkAsync commits asynchronously, and falls back.
func (t *tester) checkAsync() {
	a, b := t.key("a"), t.key("b")
	request := func() *kvrpcpb.PrewriteRequest {
		r := prewriteRequest(t.ts(), put(a, "1"), put(b, "2"))
		r.UseAsyncCommit, r.Secondaries = true, [][]byte{b}
		return r
	}
	seen := t.ts()
	t.get(a, seen)
	async := request()
	got := t.prewrite(async)
	t.want(len(got.Errors) == 0 && got.MinCommitTs > async.StartVersion && got.MinCommitTs > seen && got.OnePcCommitTs == 0,
		"min_commit_ts of async commit", got)
	again := t.prewrite(async)
	t.want(len(again.Errors) == 0 && again.MinCommitTs == got.MinCommitTs, "the same again", again)
	l := t.get(a, t.ts()).GetError().GetLocked()
	t.want(l.GetUseAsyncCommit() && len(l.Secondaries) == 1 && bytes.Equal(l.Secondaries[0], b) && l.MinCommitTs > 0,
		"an asynchronous primary", l)
	l = t.get(b, t.ts()).GetError().GetLocked()
	t.want(l.GetUseAsyncCommit() && len(l.Secondaries) == 0 && l.MinCommitTs > 0, "an asynchronous secondary", l)
	t.commit(async.StartVersion, got.MinCommitTs, a, b)
	again = t.prewrite(async)
	t.want(len(again.Errors) == 0 && again.MinCommitTs == got.MinCommitTs, "prewrite of what is committed", again)

	// A reader at a later timestamp makes max_commit_ts impossible.
	fallback := request()
	fallback.MaxCommitTs = fallback.StartVersion + 1
	t.get(b, t.ts())
	got = t.prewrite(fallback)
	t.want(len(got.Errors) == 0 && got.MinCommitTs == 0 && got.OnePcCommitTs == 0, "max_commit_ts falls back", got)
	l = t.get(a, t.ts()).GetError().GetLocked()
	t.want(l != nil && !l.UseAsyncCommit, "the first lock of a fallback is not asynchronous", l)
	fallback.MaxCommitTs = 0
	got = t.prewrite(fallback)
	t.want(len(got.Errors) == 0 && got.MinCommitTs == 0, "async prewrite of a plain lock falls back", got)
	t.commit(fallback.StartVersion, t.ts(), a, b)
	t.expect(b, "2", "commit of a fallback")

	check := request()
	check.Mutations = []*kvrpcpb.Mutation{{Op: kvrpcpb.Op_CheckNotExists, Key: t.key("absent")}}
	got = t.prewrite(check)
	t.want(len(got.Errors) == 0 && got.MinCommitTs > check.StartVersion, "min_commit_ts of CheckNotExists", got)
}

// checkOnePC commits in one phase, and falls back.
func (t *tester) checkOnePC() {
	for _, async := range []bool{false, true} {
		a, b := t.key("a"), t.key("b")
		request := prewriteRequest(t.ts(), put(a, "1"), put(b, "2"))
		request.TryOnePc, request.UseAsyncCommit = true, async
		if async {
			request.Secondaries = [][]byte{b}
		}
		got := t.prewrite(request)
		t.want(len(got.Errors) == 0 && got.OnePcCommitTs > request.StartVersion &&
			got.MinCommitTs == map[bool]uint64{true: got.OnePcCommitTs}[async], "one phase", got)
		again := t.prewrite(request)
		t.want(len(again.Errors) == 0 && again.OnePcCommitTs == got.OnePcCommitTs && again.MinCommitTs == got.MinCommitTs,
			"one phase again", again)
		read := t.get(a, got.OnePcCommitTs)
		t.want(string(read.Value) == "1", "read at the commit", read)
		read = t.get(a, got.OnePcCommitTs-1)
		t.want(read.NotFound, "read before the commit", read)

		request = prewriteRequest(t.ts(), put(a, "3"), put(b, "4"))
		request.TryOnePc, request.UseAsyncCommit, request.MaxCommitTs = true, async, request.StartVersion+1
		t.get(a, t.ts())
		got = t.prewrite(request)
		t.want(len(got.Errors) == 0 && got.OnePcCommitTs == 0 && got.MinCommitTs == 0, "one phase falls back", got)
		l := t.get(a, t.ts()).GetError().GetLocked()
		t.want(l.GetLockVersion() == request.StartVersion, "the fallback leaves a lock", l)
		t.commit(request.StartVersion, t.ts(), a, b)
		t.expect(a, "3", "commit of a fallback")

		// One locked key: nothing is written.
		c := t.key("c")
		locker := t.mustPrewrite(put(a, "lock"))
		request = prewriteRequest(t.ts(), put(c, "5"), put(a, "6"))
		request.TryOnePc, request.UseAsyncCommit = true, async
		e := first(t.prewrite(request).Errors)
		t.want(lone(e, "Locked") && bytes.Equal(e.Locked.Key, a), "one phase meets a lock", e)
		t.rollback(locker, a)
		t.expect(c, "", "nothing of it is written")
	}
}

// checkRetries prewrites what is committed, in all three ways.
func (t *tester) checkRetries() {
	k := t.key("k")
	start, commit := t.store(k, "v")
	for _, way := range []struct{ async, onePC bool }{{}, {async: true}, {onePC: true}, {true, true}} {
		for _, forUpdate := range []uint64{0, start} {
			request := prewriteRequest(start, put(k, "v"))
			if forUpdate != 0 {
				request = pessimistic(start, forUpdate, mustHold, put(k, "v"))
			}
			request.UseAsyncCommit, request.TryOnePc = way.async, way.onePC
			got := t.prewrite(request)
			t.want(len(got.Errors) == 0 && got.MinCommitTs == map[bool]uint64{true: commit}[way.async] &&
				got.OnePcCommitTs == map[bool]uint64{true: commit}[way.onePC], "prewrite of what is committed", got)
		}
	}
	t.expect(k, "v", "nothing new is locked")
}
