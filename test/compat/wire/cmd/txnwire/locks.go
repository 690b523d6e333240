package main

import (
	"bytes"
	"context"
	"time"

	"github.com/pingcap/kvproto/pkg/deadlock"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/tikvpb"
)

// checkPessimisticLock meets every answer of a lock request that waits for
// nobody.
func (t *tester) checkPessimisticLock() {
	there, absent, gone := t.key("there"), t.key("absent"), t.key("gone")
	_, commit := t.store(there, "value")
	t.store(gone, "value")
	start := t.mustPrewrite(del(gone))
	t.commit(start, t.ts(), gone)

	start = t.ts()
	request := lockRequest(start, start, absent, there, gone)
	request.ReturnValues = true
	for i := 0; i < 2; i++ { // and once more, being locked
		got := t.lock(request)
		t.want(len(got.Errors) == 0 && len(got.Values) == 3 && len(got.NotFounds) == 3 && len(got.Results) == 0 &&
			got.NotFounds[0] && !got.NotFounds[1] && got.NotFounds[2] && string(got.Values[1]) == "value" &&
			len(got.Values[0]) == 0, "values", got)
	}
	request.ReturnValues, request.CheckExistence = false, true
	got := t.lock(request)
	t.want(len(got.Errors) == 0 && len(got.NotFounds) == 3 && got.NotFounds[0] && !got.NotFounds[1], "existence", got)
	request.CheckExistence = false
	got = t.lock(request)
	t.want(len(got.Errors) == 0 && len(got.NotFounds) == 0 && len(got.Values) == 0, "neither", got)

	other := lockRequest(t.ts(), t.ts(), there)
	e := first(t.lock(other).Errors)
	t.want(lone(e, "Locked") && e.Locked.LockVersion == start && e.Locked.LockType == kvrpcpb.Op_PessimisticLock &&
		e.Locked.LockForUpdateTs == start && bytes.Equal(e.Locked.PrimaryLock, absent) && e.Locked.LockTtl == 20000,
		"locked, and no wait", e)
	t.rollback(start, absent, there, gone)
	e = first(t.lock(lockRequest(start, start, there)).Errors)
	t.want(aborts(e, "PessimisticLockRolledBack"), "lock after its own rollback", e)

	old := lockRequest(start-1, commit-1, there)
	e = first(t.lock(old).Errors)
	t.want(lone(e, "Conflict") && e.Conflict.Reason == kvrpcpb.WriteConflict_PessimisticRetry && e.Conflict.StartTs == start-1 &&
		e.Conflict.ConflictCommitTs >= commit && bytes.Equal(e.Conflict.Key, there), "a newer version", e)

	insert := lockRequest(t.ts(), t.ts(), there)
	insert.Mutations[0].Assertion = kvrpcpb.Assertion_NotExist
	e = first(t.lock(insert).Errors)
	t.want(lone(e, "AlreadyExist") && bytes.Equal(e.AlreadyExist.Key, there), "must not exist", e)
	insert.Mutations[0].Key, insert.PrimaryLock = absent, absent
	got = t.lock(insert)
	t.want(len(got.Errors) == 0, "does not exist", got)
	t.rollback(insert.StartVersion, absent)

	only := lockRequest(t.ts(), t.ts(), absent, there)
	only.LockOnlyIfExists = true
	e = first(t.lock(only).Errors)
	t.want(aborts(e, "LockIfExistsFailed"), "lock_only_if_exists without return_values", e)
	only.ReturnValues = true
	got = t.lock(only)
	t.want(len(got.Errors) == 0 && len(got.NotFounds) == 2 && got.NotFounds[0] && !got.NotFounds[1], "lock if it exists", got)
	got = t.lock(lockRequest(t.ts(), t.ts(), absent))
	t.want(len(got.Errors) == 0, "what does not exist was not locked", got)
	t.rollback(only.StartVersion, there)

	// Already prewritten.
	k := t.key("prewritten")
	start = t.mustPrewrite(put(k, "v"))
	e = first(t.lock(lockRequest(start, start, k)).Errors)
	t.want(aborts(e, "LockTypeNotMatch"), "lock of what it has prewritten", e)
	t.rollback(start, k)
}

// checkForceLock locks in spite of newer versions.
func (t *tester) checkForceLock() {
	k := t.key("k")
	t.store(k, "old")
	start := t.ts()
	_, commit := t.store(k, "newer")
	request := lockRequest(start, start, k)
	request.WakeUpMode = kvrpcpb.PessimisticLockWakeUpMode_WakeUpModeForceLock
	for i := 0; i < 2; i++ {
		got := t.lock(request)
		t.want(len(got.Errors) == 0 && len(got.Results) == 1 && len(got.Values) == 0 && len(got.NotFounds) == 0 &&
			got.Results[0].Type == kvrpcpb.PessimisticLockKeyResultType_LockResultLockedWithConflict &&
			got.Results[0].LockedWithConflictTs == commit && string(got.Results[0].Value) == "newer" && got.Results[0].Existence,
			"locked with a conflict, and again", got)
	}
	second := lockRequest(t.ts(), t.ts(), k)
	second.WakeUpMode = request.WakeUpMode
	got := t.lock(second)
	t.want(len(got.Results) == 1 && got.Results[0].Type == kvrpcpb.PessimisticLockKeyResultType_LockResultFailed &&
		lone(first(got.Errors), "Locked"), "locked by another", got)
	prewrite := pessimistic(start, commit, mustHold, put(k, "mine"))
	prewrite.ForUpdateTsConstraints = []*kvrpcpb.PrewriteRequest_ForUpdateTSConstraint{{ExpectedForUpdateTs: commit}}
	t.want(len(t.prewrite(prewrite).Errors) == 0, "prewrite with the conflict's timestamp", nil)
	t.commit(start, t.ts(), k)
	t.expect(k, "mine", "commit")

	plain := lockRequest(t.ts(), t.ts(), k)
	plain.WakeUpMode, plain.ReturnValues = request.WakeUpMode, true
	got = t.lock(plain)
	t.want(len(got.Errors) == 0 && len(got.Results) == 1 && got.Results[0].Type == kvrpcpb.PessimisticLockKeyResultType_LockResultNormal &&
		string(got.Results[0].Value) == "mine" && got.Results[0].Existence && got.Results[0].LockedWithConflictTs == 0, "no conflict", got)
	t.rollback(plain.StartVersion, k)
	two := lockRequest(t.ts(), t.ts(), k, t.key("second"))
	two.WakeUpMode = request.WakeUpMode
	got = t.lock(two)
	t.want(lone(first(got.Errors), "Abort"), "two keys", got)
	exists := lockRequest(start+1, start+1, k)
	exists.WakeUpMode = request.WakeUpMode
	exists.Mutations[0].Assertion = kvrpcpb.Assertion_NotExist
	got = t.lock(exists)
	t.want(len(got.Results) == 0 && lone(first(got.Errors), "Conflict"), "must not exist, and a newer version does", got)
}

// checkLockTimes waits in vain.
func (t *tester) checkLockTimes() {
	k := t.key("k")
	holder := t.mustLock(k)
	for _, c := range []struct {
		wait           int64
		mode           kvrpcpb.PessimisticLockWakeUpMode
		atLeast, limit time.Duration
	}{
		{200, kvrpcpb.PessimisticLockWakeUpMode_WakeUpModeNormal, 190 * time.Millisecond, 900 * time.Millisecond},
		{0, kvrpcpb.PessimisticLockWakeUpMode_WakeUpModeNormal, 990 * time.Millisecond, 10 * time.Second},
		{100000, kvrpcpb.PessimisticLockWakeUpMode_WakeUpModeForceLock, 990 * time.Millisecond, 10 * time.Second},
	} {
		request := lockRequest(t.ts(), t.ts(), k)
		request.WaitTimeout, request.WakeUpMode = c.wait, c.mode
		began := time.Now()
		got := t.lock(request)
		took := time.Since(began)
		e := first(got.Errors)
		t.want(lone(e, "Locked") && e.Locked.LockVersion == holder && took >= c.atLeast && (c.wait != 0 || took < c.limit), "wait in vain", got)
		if c.mode == kvrpcpb.PessimisticLockWakeUpMode_WakeUpModeForceLock {
			t.want(len(got.Results) == 1 && got.Results[0].Type == kvrpcpb.PessimisticLockKeyResultType_LockResultFailed, "forced lock fails", got)
		}
	}
	t.rollback(holder, k)
}

// background sends a lock request and gives its answer later.
func (t *tester) background(request *kvrpcpb.PessimisticLockRequest) chan *kvrpcpb.PessimisticLockResponse {
	answer := make(chan *kvrpcpb.PessimisticLockResponse, 1)
	if request.Context == nil {
		request.Context = t.Context()
	}
	go func() {
		got, err := send[*kvrpcpb.PessimisticLockResponse](t, request)
		if err != nil {
			got = &kvrpcpb.PessimisticLockResponse{Errors: []*kvrpcpb.KeyError{{Retryable: err.Error()}}}
		}
		answer <- got
	}()
	return answer
}

// waiting waits until the store knows that many waiters for the key.
func (t *tester) waiting(key []byte, n int) []*deadlock.WaitForEntry {
	var of []*deadlock.WaitForEntry
	for i := 0; i < 200; i++ {
		of = nil
		got := ask[*kvrpcpb.GetLockWaitInfoResponse](t, &kvrpcpb.GetLockWaitInfoRequest{})
		for _, entry := range got.GetEntries() {
			if bytes.Equal(entry.Key, key) {
				of = append(of, entry)
			}
		}
		if len(of) >= n {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.want(len(of) == n, "number of waiters", of)
	return of
}

// checkDeadlock closes a ring of two.
func (t *tester) checkDeadlock() {
	for _, mode := range []kvrpcpb.PessimisticLockWakeUpMode{0, kvrpcpb.PessimisticLockWakeUpMode_WakeUpModeForceLock} {
		a, b := t.key("a"), t.key("b")
		one, two := t.mustLock(a), t.mustLock(b)
		waits := lockRequest(one, t.ts(), b)
		waits.PrimaryLock, waits.WaitTimeout, waits.WakeUpMode = a, 1000, mode
		waits.Context = t.with(func(x *kvrpcpb.Context) { x.ResourceGroupTag = []byte("who waits") })
		answer := t.background(waits)
		info := t.waiting(b, 1)
		if len(info) == 1 {
			t.want(info[0].Txn == one && info[0].WaitForTxn == two && info[0].KeyHash != 0 &&
				string(info[0].ResourceGroupTag) == "who waits", "wait info", info)
		}
		closes := lockRequest(two, t.ts(), a)
		closes.PrimaryLock, closes.WaitTimeout, closes.WakeUpMode = b, 1000, mode
		closes.Context = t.with(func(x *kvrpcpb.Context) { x.ResourceGroupTag = []byte("who closes") })
		got := t.lock(closes)
		e := first(got.Errors)
		d := e.GetDeadlock()
		t.want(lone(e, "Deadlock") && d.LockTs == one && bytes.Equal(d.LockKey, a) && len(d.WaitChain) == 2 &&
			d.WaitChain[0].Txn == one && d.WaitChain[0].WaitForTxn == two && bytes.Equal(d.WaitChain[0].Key, b) &&
			d.WaitChain[1].Txn == two && d.WaitChain[1].WaitForTxn == one && bytes.Equal(d.WaitChain[1].Key, a) &&
			d.DeadlockKeyHash == d.WaitChain[0].KeyHash && d.DeadlockKeyHash != 0, "deadlock", e)
		if chain := d.GetWaitChain(); len(chain) == 2 {
			t.want(string(chain[0].ResourceGroupTag) == "who waits" && string(chain[1].ResourceGroupTag) == "who closes",
				"resource_group_tag", chain)
		}
		t.want((len(got.Results) == 1) == (mode != 0), "results of a deadlock", got)
		t.rollback(two, b)
		r := <-answer
		if mode == 0 {
			t.want(lone(first(r.Errors), "Conflict"), "the other is woken", r)
		} else {
			t.want(len(r.Errors) == 0 && len(r.Results) == 1, "the other gets the lock", r)
		}
		t.rollback(one, a, b)
	}
}

// checkWakeUp releases a key for which several wait.
func (t *tester) checkWakeUp() {
	k := t.key("k")
	holder := t.mustLock(k)
	var answers []chan *kvrpcpb.PessimisticLockResponse
	var starts []uint64
	for i := 0; i < 3; i++ {
		start := t.ts()
		request := lockRequest(start, start, k)
		request.WaitTimeout = 1000
		answers, starts = append(answers, t.background(request)), append(starts, start)
		t.waiting(k, i+1)
	}
	t.want(len(t.prewrite(pessimistic(holder, holder, mustHold, put(k, "v"))).Errors) == 0, "prewrite", nil)
	commit := t.ts()
	t.commit(holder, commit, k)
	for i, answer := range answers {
		got := <-answer
		e := first(got.Errors)
		t.want(lone(e, "Conflict") && e.Conflict.Reason == kvrpcpb.WriteConflict_PessimisticRetry && e.Conflict.StartTs == starts[i] &&
			e.Conflict.ConflictTs == holder && e.Conflict.ConflictCommitTs == commit && bytes.Equal(e.Conflict.Key, k), "a waiter is woken", got)
	}
	got := t.lock(lockRequest(starts[0], t.ts(), k))
	t.want(len(got.Errors) == 0, "the lock is free", got)
	t.rollback(starts[0], k)

	// Forced ones get the lock from the store, the oldest first.
	holder = t.mustLock(k)
	starts, answers = nil, nil
	older := t.ts()
	for _, start := range []uint64{t.ts(), older} {
		request := lockRequest(start, start, k)
		request.WaitTimeout, request.ReturnValues = 1000, true
		request.WakeUpMode = kvrpcpb.PessimisticLockWakeUpMode_WakeUpModeForceLock
		answers, starts = append(answers, t.background(request)), append(starts, start)
		t.waiting(k, len(answers))
	}
	ask[*kvrpcpb.PessimisticRollbackResponse](t, &kvrpcpb.PessimisticRollbackRequest{StartVersion: holder, ForUpdateTs: holder, Keys: [][]byte{k}})
	for _, i := range []int{1, 0} {
		got = <-answers[i]
		t.want(len(got.Errors) == 0 && len(got.Results) == 1 && string(got.Results[0].Value) == "v" &&
			got.Results[0].Type == kvrpcpb.PessimisticLockKeyResultType_LockResultNormal, "a forced waiter gets the lock", got)
		t.rollback(starts[i], k)
	}
}

// checkWaitersHinderNobody sends locks that wait together with other commands
// over one stream: their answers must come while the locks wait.
func (t *tester) checkWaitersHinderNobody() {
	k, free := t.key("k"), t.key("free")
	t.store(free, "v")
	holder := t.mustLock(k)
	ctx, cancel := context.WithTimeout(t.ctx, callTimeout)
	defer cancel()
	stream, err := t.KV.BatchCommands(ctx)
	t.Check("stream", err)
	if err != nil {
		return
	}
	batch := &tikvpb.BatchCommandsRequest{}
	add := func(request any) {
		batch.Requests = append(batch.Requests, inBatch(request))
		batch.RequestIds = append(batch.RequestIds, uint64(len(batch.RequestIds)+1))
	}
	const waiters = 20
	for i := 0; i < waiters; i++ {
		request := lockRequest(t.ts(), t.ts(), k)
		request.Context, request.WaitTimeout = t.Context(), 1000
		add(request)
	}
	fresh, began := t.key("new"), t.ts()
	others := []any{
		&kvrpcpb.GetRequest{Context: t.Context(), Key: free, Version: t.ts()},
		&kvrpcpb.ScanRequest{Context: t.Context(), StartKey: free, EndKey: append(bytes.Clone(free), 0), Limit: 3, Version: t.ts()},
		&kvrpcpb.PrewriteRequest{Context: t.Context(), Mutations: []*kvrpcpb.Mutation{put(fresh, "v")}, PrimaryLock: fresh,
			StartVersion: began, LockTtl: 3000},
		&kvrpcpb.RawGetRequest{Context: t.Context(), Key: free},
		&kvrpcpb.GetRequest{Context: t.Context(), Key: k, Version: t.ts()}, // a pessimistic lock hinders no read
	}
	for _, other := range others {
		add(other)
	}
	t.Check("send", stream.Send(batch))
	// The first answers must be those of the commands that wait for nobody.
	var order []uint64
	for len(order) < len(batch.RequestIds) {
		got, err := stream.Recv()
		t.Check("receive", err)
		if err != nil {
			return
		}
		order = append(order, got.RequestIds...)
		if len(order) == len(others) {
			t.rollback(holder, k) // and now the waiters' may come
		}
	}
	late := 0
	for _, id := range order[:len(others)] {
		if id <= waiters {
			late++
		}
	}
	t.want(late == 0, "answers before those of the waiters", order)
	t.rollback(began, fresh)
}

// checkPessimisticRollback releases locks.
func (t *tester) checkPessimisticRollback() {
	release := func(start, forUpdate uint64, keys ...[]byte) {
		got := ask[*kvrpcpb.PessimisticRollbackResponse](t, &kvrpcpb.PessimisticRollbackRequest{
			StartVersion: start, ForUpdateTs: forUpdate, Keys: keys})
		t.want(len(got.Errors) == 0, "pessimistic rollback", got)
	}
	held := func(key []byte, by uint64, what string) {
		now := t.ts()
		request := lockRequest(now, now, key)
		e := first(t.lock(request).Errors)
		t.want(e.GetLocked().GetLockVersion() == by, what, e)
		if e == nil {
			t.rollback(now, key)
		}
	}
	a, b, p := t.key("a"), t.key("b"), t.key("prewritten")
	start := t.ts()
	forUpdate := t.ts()
	t.lock(lockRequest(start, forUpdate, a, b))
	release(start, forUpdate-1, a)
	held(a, start, "a smaller for_update_ts leaves the lock")
	release(start+1, forUpdate, a)
	held(a, start, "another transaction leaves the lock")
	release(start, forUpdate, a, t.key("none"))
	held(a, 0, "released")
	got := t.lock(lockRequest(start, forUpdate, a))
	t.want(len(got.Errors) == 1 || len(got.Errors) == 0, "lock again", got)
	release(start, t.ts())
	held(b, 0, "released without naming keys")
	start = t.mustPrewrite(put(p, "v"))
	release(start, t.ts(), p)
	held(p, start, "a prewritten lock stays")
	t.rollback(start, p)
}
