package suite

import (
	"context"
	"fmt"
	"sync"
	"time"
)

func timeLimit() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Minute)
}

// checkLockValues asks for the values and the existence of what it locks.
func checkLockValues(r *txnRun) {
	there, gone, never := r.key("there"), r.key("gone"), r.key("never")
	r.store(model{string(there): []byte("value"), string(gone): []byte("v")})
	txn := r.begin(TxnOptions{})
	r.ok(txn.Delete(gone), "delete")
	r.ok(txn.Commit(r.ctx), "commit")

	for _, how := range []LockOptions{{Values: true}, {Existence: true}, {Values: true, OnlyIfThere: true}} {
		how.WaitMs = WaitForever
		txn = r.begin(TxnOptions{Pessimistic: true})
		r.mustLock(txn, r.key("primary"))
		keys := [][]byte{never, there, gone}
		got, err := r.lock(txn, how, keys...)
		r.ok(err, "lock %+v", how)
		for _, key := range keys {
			exists := string(key) == string(there)
			if got[string(key)].Exists != exists {
				r.fail("lock %+v: %s exists %t", how, brief(key), !exists)
			}
			want := ""
			if exists && how.Values {
				want = "value"
			}
			r.same(got[string(key)].Value, []byte(want), "lock %+v: value of %s", how, brief(key))
		}
		// What was not there is locked too, or not.
		second := r.begin(TxnOptions{Pessimistic: true})
		_, err = r.lock(second, LockOptions{}, there)
		r.want(err, NoWait, "second lock")
		_, err = r.lock(second, LockOptions{}, never)
		if how.OnlyIfThere {
			r.ok(err, "lock of what was not there")
		} else {
			r.want(err, NoWait, "second lock of what was not there")
		}
		r.ok(second.Rollback(), "roll back")
		r.ok(txn.Set(there, []byte("value")), "set")
		r.ok(txn.Commit(r.ctx), "commit")
	}
}

// checkLockWaits does not wait, waits in vain, waits for a commit and for a
// rollback, and locks at a timestamp that is too old.
func checkLockWaits(r *txnRun) {
	key := r.key("k")
	for _, commit := range []bool{true, false} {
		old := r.storeOne(key, "old")
		holder := r.begin(TxnOptions{Pessimistic: true})
		r.mustLock(holder, key)
		r.ok(holder.Set(key, []byte("holder's")), "set")

		txn := r.begin(TxnOptions{Pessimistic: true})
		_, err := r.lock(txn, LockOptions{}, key)
		r.want(err, NoWait, "lock without a wait")
		began := time.Now()
		_, err = r.lock(txn, LockOptions{WaitMs: 400}, key)
		r.want(err, WaitTimeout, "lock with a short wait")
		if time.Since(began) < 350*time.Millisecond {
			r.fail("a wait of 400 ms was over after %v", time.Since(began))
		}

		// A pessimistic lock hinders no reader.
		r.expect(key, "old")

		got := make(chan error, 1)
		go func() {
			_, err := r.lock(txn, LockOptions{WaitMs: WaitForever}, key)
			got <- err
		}()
		time.Sleep(1500 * time.Millisecond) // longer than one wait in the store
		select {
		case err := <-got:
			r.fail("locked in the meantime: %v", err)
		default:
		}
		if commit {
			r.ok(holder.Commit(r.ctx), "commit")
			if err := <-got; r.client.Cause(err) == NoError {
				// The client locked once more with a newer timestamp; else it
				// reports the conflict and the application does.
				r.fail("locked at a timestamp before the holder's commit")
			} else {
				r.want(err, Conflict, "lock after the commit")
			}
			_, err = r.lock(txn, LockOptions{ForUpdateTS: old}, key)
			r.want(err, Conflict, "lock at an old timestamp")
			r.mustLock(txn, key)
		} else {
			r.ok(holder.Rollback(), "roll back")
			if err := <-got; err != nil {
				r.want(err, Conflict, "lock after the rollback")
				r.mustLock(txn, key)
			}
		}
		r.ok(txn.Set(key, []byte("mine")), "set")
		r.ok(txn.Commit(r.ctx), "commit")
		r.expect(key, "mine")
	}
}

// checkWakeUp has many wait for one key: each gets it once.
func checkWakeUp(r *txnRun) {
	const waiters = 10
	key := r.key("k")
	r.storeOne(key, "0")
	holder := r.begin(TxnOptions{Pessimistic: true})
	r.mustLock(holder, key)
	var group sync.WaitGroup
	failed := make(chan error, waiters)
	for w := 0; w < waiters; w++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for {
				err := r.raise(TxnOptions{Pessimistic: true, OnePC: true, Async: true}, [][]byte{key})
				if r.client.Cause(err) == Conflict {
					continue
				}
				failed <- err
				return
			}
		}()
	}
	time.Sleep(300 * time.Millisecond)
	r.ok(holder.Set(key, []byte("1000")), "set")
	r.ok(holder.Commit(r.ctx), "commit")
	group.Wait()
	for w := 0; w < waiters; w++ {
		r.ok(<-failed, "a waiter")
	}
	r.expect(key, fmt.Sprint(1000+waiters))
}

// checkForcedLocks locks what has changed since, and is told the newest value.
func checkForcedLocks(r *txnRun) {
	key, other := r.key("k"), r.key("other")
	r.storeOne(key, "old")
	txn := r.begin(TxnOptions{Pessimistic: true})
	ts := r.now()
	newer := r.storeOne(key, "newer")
	txn.ForceLock()
	got, err := r.lock(txn, LockOptions{WaitMs: WaitForever, ForUpdateTS: ts, Values: true}, key)
	r.ok(err, "forced lock")
	r.same(got[string(key)].Value, []byte("newer"), "value of a forced lock")
	if got[string(key)].ConflictTS != newer || !got[string(key)].Exists {
		r.fail("forced lock: %+v, want a conflict at %d", got[string(key)], newer)
	}
	// The statement once more, with a timestamp that fits.
	txn.RetryForceLock(r.ctx)
	got, err = r.lock(txn, LockOptions{WaitMs: WaitForever, Values: true}, key)
	r.ok(err, "the lock again")
	r.same(got[string(key)].Value, []byte("newer"), "its value")
	_, err = r.lock(txn, LockOptions{WaitMs: WaitForever, Existence: true}, other)
	r.ok(err, "a lock without a conflict")
	txn.DoneForceLock(r.ctx)
	second := r.begin(TxnOptions{Pessimistic: true})
	_, err = r.lock(second, LockOptions{}, key)
	r.want(err, NoWait, "the key is locked")
	r.ok(txn.Set(key, []byte("mine")), "set")
	r.ok(txn.Commit(r.ctx), "commit")
	r.expect(key, "mine")

	// Waiting for a lock, and then it is granted by the store itself.
	holder := r.begin(TxnOptions{Pessimistic: true})
	r.mustLock(holder, key)
	const waiters = 4
	var group sync.WaitGroup
	failed := make(chan error, waiters)
	for w := 0; w < waiters; w++ {
		group.Add(1)
		go func(w int) {
			defer group.Done()
			failed <- r.forceAppend(key, fmt.Sprint(w))
		}(w)
	}
	time.Sleep(300 * time.Millisecond)
	r.ok(holder.Set(key, []byte("held,")), "set")
	r.ok(holder.Commit(r.ctx), "commit")
	group.Wait()
	for w := 0; w < waiters; w++ {
		r.ok(<-failed, "a waiter")
	}
	value, err := r.client.Snapshot(r.now()).Get(r.ctx, key)
	r.ok(err, "get")
	if len(value) != len("held,")+waiters {
		r.fail("after %d appends: %q", waiters, value)
	}
}

// forceAppend appends to the value that a forced lock gives, and so misses no
// other append.
func (r *txnRun) forceAppend(key []byte, suffix string) error {
	txn, err := r.client.Begin(TxnOptions{Pessimistic: true})
	if err != nil {
		return err
	}
	txn.ForceLock()
	got, err := r.lock(txn, LockOptions{WaitMs: WaitForever, Values: true}, key)
	txn.DoneForceLock(r.ctx)
	if err != nil {
		return err
	}
	if err = txn.Set(key, append(got[string(key)].Value, suffix...)); err != nil {
		return err
	}
	return txn.Commit(r.ctx)
}

func checkDeadlock(r *txnRun) {
	r.deadlockOf(2)
}

func checkDeadlockOfThree(r *txnRun) {
	r.deadlockOf(3)
}

// deadlockOf lets n transactions wait for each other in a ring. The last one
// that comes is told of the whole ring; the others get their locks.
func (r *txnRun) deadlockOf(n int) {
	keys, txns := make([][]byte, n), make([]Txn, n)
	ends := make([]chan error, n)
	for i := range txns {
		keys[i], txns[i], ends[i] = r.key("%d", i), r.begin(TxnOptions{Pessimistic: true}), make(chan error, 1)
		r.mustLock(txns[i], keys[i])
	}
	for i := 0; i < n-1; i++ {
		go func(i int) {
			_, err := r.lock(txns[i], LockOptions{WaitMs: WaitForever}, keys[i+1])
			ends[i] <- err
		}(i)
		time.Sleep(200 * time.Millisecond)
	}
	_, err := r.lock(txns[n-1], LockOptions{WaitMs: WaitForever}, keys[0])
	r.want(err, Deadlock, "the lock that closes the ring")
	chain := r.client.WaitChain(err)
	if len(chain) != n {
		r.fail("the chain of %d has %d edges: %v", n, len(chain), chain)
	}
	for _, edge := range chain {
		for i := range txns {
			next := (i + 1) % n
			if edge.Txn == txns[i].StartTS() &&
				(edge.WaitsFor != txns[next].StartTS() || string(edge.Key) != string(keys[next])) {
				r.fail("edge %+v, want that %d waits for %d", edge, txns[i].StartTS(), txns[next].StartTS())
			}
		}
	}
	if last := chain[n-1]; last.Txn != txns[n-1].StartTS() {
		r.fail("the last edge is %+v, want the one of %d", last, txns[n-1].StartTS())
	}
	r.ok(txns[n-1].Rollback(), "roll back")
	for i := n - 2; i >= 0; i-- {
		if err := <-ends[i]; err != nil {
			r.want(err, Conflict, "transaction %d of the ring", i)
			r.mustLock(txns[i], keys[i+1])
		}
		r.ok(txns[i].Set(keys[i+1], []byte("v")), "set")
		r.ok(txns[i].Commit(r.ctx), "commit of %d", i)
	}
}

// checkHeartbeat holds a lock far longer than its time to live: nobody may
// take it for dead.
func checkHeartbeat(r *txnRun) {
	key := r.key("k")
	r.storeOne(key, "old")
	txn := r.begin(TxnOptions{Pessimistic: true})
	r.mustLock(txn, key)
	for began := time.Now(); time.Since(began) < LockTTL*5/2; {
		second := r.begin(TxnOptions{Pessimistic: true})
		_, err := r.lock(second, LockOptions{WaitMs: 1000}, key)
		r.want(err, WaitTimeout, "lock of a living transaction's key")
		r.ok(second.Rollback(), "roll back")
		r.expect(key, "old")
	}
	r.ok(txn.Set(key, []byte("new")), "set")
	r.ok(txn.Commit(r.ctx), "commit after %v", LockTTL*5/2)
	r.expect(key, "new")
}

// LockTTL is how long programs let the locks of pessimistic transactions live
// without a heartbeat.
const LockTTL = 3 * time.Second
