package suite

import (
	"bytes"
	"fmt"
	"math/rand"
	"sync"
)

var txnSteps = []txnStep{
	// What waits for locks to run out comes first, so that it is not waited
	// for at the end.
	{"killed clients", checkKilled},
	{"heartbeat", checkHeartbeat},
	{"ways to commit", checkWays},
	{"fallbacks", checkFallbacks},
	{"own writes", checkOwnWrites},
	{"scans", checkTxnScans},
	{"old snapshots", checkOldSnapshots},
	{"rollback", checkRollback},
	{"conflicts", checkConflicts},
	{"reader pushes writer", checkPush},
	{"inserts", checkInserts},
	{"assertions", checkAssertions},
	{"counters", checkCounters},
	{"values of locks", checkLockValues},
	{"lock waits", checkLockWaits},
	{"wake-up", checkWakeUp},
	{"forced locks", checkForcedLocks},
	{"deadlock", checkDeadlock},
	{"deadlock of three", checkDeadlockOfThree},
	{"big values in transactions", checkBigTxn},
	{"ranges", checkTxnRanges},
}

// txnExtras are checks of what only some clients can do.
var txnExtras = map[string]txnStep{
	"pipelined": {"pipelined", checkPipelined},
}

func everyWay() (all []TxnOptions) {
	for i := 0; i < 8; i++ {
		all = append(all, TxnOptions{Pessimistic: i&4 != 0, Async: i&2 != 0, OnePC: i&1 != 0})
	}
	return all
}

// checkWays commits the same changes in every way; each must really be taken.
func checkWays(r *txnRun) {
	for _, way := range everyWay() {
		m := model{}
		txn := r.begin(way)
		for i := 0; i < 20; i++ {
			key := r.key("%d", i)
			m[string(key)] = []byte(fmt.Sprintf("%v %d %s", way, i, bytes.Repeat([]byte("x"), i*40)))
			if way.Pessimistic {
				r.mustLock(txn, key)
			}
			r.ok(txn.Set(key, m[string(key)]), "set")
		}
		extra := r.key("locked only")
		if way.Pessimistic {
			r.mustLock(txn, extra)
		}
		before := r.now()
		r.ok(txn.Commit(r.ctx), "%v: commit", way)
		if txn.WasOnePC() != way.OnePC || txn.WasAsync() != (way.Async && !way.OnePC) && !way.OnePC {
			r.fail("%v: was one phase %t, was async %t", way, txn.WasOnePC(), txn.WasAsync())
		}
		if txn.CommitTS() <= txn.StartTS() {
			r.fail("%v: begun at %d, committed at %d", way, txn.StartTS(), txn.CommitTS())
		}
		r.expectModel(r.client.Snapshot(r.now()), m, way.String())
		r.expectAt(r.client.Snapshot(txn.CommitTS()), r.key("3"), string(m[string(r.key("3"))]))
		old, err := r.client.Snapshot(txn.CommitTS()-1).Get(r.ctx, r.key("3"))
		r.ok(err, "%v: read just before", way)
		if bytes.Equal(old, m[string(r.key("3"))]) {
			r.fail("%v: visible before its commit at %d (asked before: %d)", way, txn.CommitTS(), before)
		}

		// The same keys gone again, in the same way.
		txn = r.begin(way)
		for key := range m {
			if way.Pessimistic {
				r.mustLock(txn, []byte(key))
			}
			r.ok(txn.Delete([]byte(key)), "delete")
		}
		r.ok(txn.Commit(r.ctx), "%v: commit of deletes", way)
		r.expectModel(r.client.Snapshot(r.now()), model{}, way.String()+", deleted")
	}
}

// checkFallbacks has more keys than async commit takes, and more bytes than
// one phase: the transaction must commit all the same.
func checkFallbacks(r *txnRun) {
	for _, way := range []TxnOptions{{Async: true}, {Async: true, Pessimistic: true}} {
		m := model{}
		txn := r.begin(way)
		var keys [][]byte
		for i := 0; i < 300; i++ {
			keys = append(keys, r.key("%04d", i))
			m[string(keys[i])] = []byte(fmt.Sprintf("%v %d", way, i))
			r.ok(txn.Set(keys[i], m[string(keys[i])]), "set")
		}
		if way.Pessimistic {
			r.mustLock(txn, keys...)
		}
		r.ok(txn.Commit(r.ctx), "%v: commit of 300 keys", way)
		if txn.WasAsync() {
			r.fail("%v: 300 keys were committed asynchronously", way)
		}
		r.expectModel(r.client.Snapshot(r.now()), m, "300 keys")
	}
	m := model{}
	txn := r.begin(TxnOptions{OnePC: true, Async: true})
	for key := range r.mostly(300) {
		m[key] = bytes.Repeat([]byte("large "), 2000)
		r.ok(txn.Set([]byte(key), m[key]), "set")
	}
	for i := 0; i < 300; i++ {
		key := r.key("%04d", i)
		r.ok(txn.Delete(key), "delete")
	}
	r.ok(txn.Commit(r.ctx), "commit of 3.6 MB")
	if txn.WasOnePC() {
		r.fail("3.6 MB in several requests were committed in one phase")
	}
	r.expectModel(r.client.Snapshot(r.now()), m, "3.6 MB")
}

// mostly gives n keys.
func (r *txnRun) mostly(n int) model {
	m := model{}
	for i := 0; i < n; i++ {
		m[string(r.key("m%04d", i))] = []byte(fmt.Sprintf("value %d", i))
	}
	return m
}

// checkOwnWrites reads what the transaction has changed and not committed.
func checkOwnWrites(r *txnRun) {
	for _, way := range everyWay() {
		m := r.mostly(60)
		r.store(m)
		txn := r.begin(way)
		other := r.client.Snapshot(txn.StartTS())
		changed := model{}
		for key, value := range m {
			changed[key] = value
		}
		for i := 0; i < 60; i += 3 {
			key := r.key("m%04d", i)
			r.ok(txn.Set(key, []byte("changed")), "set")
			changed[string(key)] = []byte("changed")
			key = r.key("m%04d", i+1)
			r.ok(txn.Delete(key), "delete")
			delete(changed, string(key))
			key = r.key("m%04d+", i)
			r.ok(txn.Set(key, []byte("new")), "set")
			changed[string(key)] = []byte("new")
		}
		r.expectModel(txn, changed, "own writes")
		r.expectAt(txn, r.key("m0000"), "changed")
		r.expectAt(txn, r.key("m0001"), "")
		r.expectAt(txn, r.key("m0000+"), "new")
		r.expectModel(other, m, "others")
		if way.Pessimistic {
			for key := range changed {
				r.mustLock(txn, []byte(key))
			}
			for key := range m {
				r.mustLock(txn, []byte(key))
			}
		}
		r.ok(txn.Commit(r.ctx), "commit")
		r.expectModel(r.client.Snapshot(r.now()), changed, "after the commit")
		r.expectModel(other, m, "others after the commit")
		r.ok(r.client.DeleteRange(r.ctx, r.prefix, r.end()), "delete range")
	}
}

// checkTxnScans makes versions, deletes, records of rollbacks and locks, short
// and long values, and scans over several requests in both directions.
func checkTxnScans(r *txnRun) {
	random := rand.New(rand.NewSource(r.seed))
	m := model{}
	for i := 0; i < 700; i++ {
		m[string(r.key("%05d", i*3))] = bytes.Repeat([]byte{byte('a' + i%26)}, []int{1, 20, 255, 256, 257, 3000}[i%6])
	}
	r.store(m)
	type version struct {
		ts uint64
		m  model
	}
	versions := []version{{r.now(), m}}
	for round := 0; round < 4; round++ {
		next := model{}
		for key, value := range m {
			next[key] = value
		}
		txn := r.begin(TxnOptions{Async: round%2 == 0, OnePC: round == 2})
		locked := r.begin(TxnOptions{Pessimistic: true})
		rolled := r.begin(TxnOptions{})
		for key := range m {
			switch random.Intn(12) {
			case 0, 1:
				next[key] = []byte(fmt.Sprintf("round %d", round))
				r.ok(txn.Set([]byte(key), next[key]), "set")
			case 2:
				delete(next, key)
				r.ok(txn.Delete([]byte(key)), "delete")
			case 3:
				next[key] = bytes.Repeat([]byte("long"), 100+round)
				r.ok(txn.Set([]byte(key), next[key]), "set")
			case 4:
				if random.Intn(10) == 0 { // a record of a lock
					r.mustLock(locked, []byte(key))
				}
			case 5:
				r.ok(rolled.Set([]byte(key), []byte("rolled back")), "set")
			}
		}
		r.ok(locked.Commit(r.ctx), "commit of locks")
		r.ok(rolled.Prewrite(r.ctx), "prewrite")
		r.ok(rolled.Rollback(), "roll back")
		r.ok(txn.Commit(r.ctx), "commit of round %d", round)
		m = next
		versions = append(versions, version{r.now(), m})
	}
	for i, v := range versions {
		reader := r.client.Snapshot(v.ts)
		r.expectModel(reader, v.m, fmt.Sprintf("version %d", i))
		for n := 0; n < 12; n++ {
			low, high := random.Intn(2200), random.Intn(2200)
			if low > high {
				low, high = high, low
			}
			how := ScanOptions{Reverse: n%2 == 0, KeysOnly: n%3 == 0, Batch: []int{0, 2, 7, 100}[n%4]}
			r.expectScan(reader, r.key("%05d", low), r.key("%05d", high), how, v.m, fmt.Sprintf("version %d", i))
		}
	}
	// A scan from the end of the key space, without a lower bound of ours.
	for _, reverse := range []bool{false, true} {
		low, high := r.prefix, r.end()
		keys, _, err := r.client.Snapshot(r.now()).Scan(r.ctx, low, high, ScanOptions{Reverse: reverse, KeysOnly: true, Batch: 300})
		r.ok(err, "scan of keys")
		if len(keys) != len(m) {
			r.fail("scan of keys: %d, want %d", len(keys), len(m))
		}
	}
}

func checkOldSnapshots(r *txnRun) {
	key := r.key("k")
	random := rand.New(rand.NewSource(r.seed))
	type version struct {
		ts    uint64
		value string
	}
	var versions []version
	for i := 0; i < 40; i++ {
		value := fmt.Sprintf("version %d", i)
		way := TxnOptions{Async: random.Intn(2) == 0, OnePC: random.Intn(2) == 0}
		txn := r.begin(way)
		switch i % 5 {
		case 3:
			value = ""
			r.ok(txn.Delete(key), "delete")
		case 4:
			value += string(bytes.Repeat([]byte("long "), 100))
			fallthrough
		default:
			r.ok(txn.Set(key, []byte(value)), "set")
		}
		r.ok(txn.Commit(r.ctx), "commit")
		versions = append(versions, version{txn.CommitTS(), value})
	}
	before := ""
	for _, v := range versions {
		r.expectAt(r.client.Snapshot(v.ts-1), key, before)
		r.expectAt(r.client.Snapshot(v.ts), key, v.value)
		before = v.value
	}
	r.expectAt(r.client.Snapshot(^uint64(0)), key, before)
}

// checkRollback leaves nothing behind, whenever a transaction is given up.
func checkRollback(r *txnRun) {
	for _, pessimistic := range []bool{false, true} {
		for _, prewritten := range []bool{false, true} {
			key, long := r.key("%t %t", pessimistic, prewritten), r.key("%t %t long", pessimistic, prewritten)
			txn := r.begin(TxnOptions{Pessimistic: pessimistic})
			if pessimistic {
				r.mustLock(txn, key, long)
			}
			r.ok(txn.Set(key, []byte("v")), "set")
			r.ok(txn.Set(long, bytes.Repeat([]byte("v"), 1000)), "set")
			if prewritten {
				r.ok(txn.Prewrite(r.ctx), "prewrite")
			}
			r.ok(txn.Rollback(), "roll back")
			r.expectModel(r.client.Snapshot(r.now()), model{}, "rolled back")
		}
	}
}

// checkBigTxn commits several megabytes with one value near the largest.
func checkBigTxn(r *txnRun) {
	m := model{string(r.key("large")): bytes.Repeat([]byte("0123456789"), 500_000)}
	for i := 0; i < 20; i++ {
		m[string(r.key("%d", i))] = bytes.Repeat([]byte{byte(i + 1)}, 100_000)
	}
	// A key longer than an index tuple holds, and its twin that differs at
	// the end alone.
	for _, last := range []string{"a", "b", "b\x00"} {
		m[string(r.key("%s%s", bytes.Repeat([]byte("long"), 700), last))] = []byte("value " + last)
	}
	for _, way := range []TxnOptions{{}, {Async: true, OnePC: true}} {
		txn := r.begin(way)
		for key, value := range m {
			r.ok(txn.Set([]byte(key), value), "set")
		}
		r.ok(txn.Commit(r.ctx), "%v: commit of 7 MB", way)
		r.expectModel(r.client.Snapshot(r.now()), m, "7 MB")
	}
}

// checkTxnRanges removes ranges with what is in them, locks too; neighbours
// stay.
func checkTxnRanges(r *txnRun) {
	for i, remove := range []func(start, end []byte) error{
		func(start, end []byte) error { return r.client.DeleteRange(r.ctx, start, end) },
		func(start, end []byte) error { return r.client.UnsafeDestroyRange(r.ctx, start, end) },
	} {
		m := model{}
		for j := 0; j < 300; j++ {
			m[string(r.key("%d/%04d", i, j))] = bytes.Repeat([]byte("v"), j*4+1)
		}
		first := r.store(m)
		for j := 0; j < 300; j += 2 {
			m[string(r.key("%d/%04d", i, j))] = []byte("second")
		}
		r.store(m)
		// A lock in the range whose transaction will never end.
		txn := r.begin(TxnOptions{})
		r.ok(txn.Set(r.key("%d/%04d", i, 150), []byte("locked")), "set")
		r.ok(txn.Prewrite(r.ctx), "prewrite")

		r.ok(remove(r.key("%d/%04d", i, 100), r.key("%d/%04d", i, 200)), "remove")
		for j := 100; j < 200; j++ {
			delete(m, string(r.key("%d/%04d", i, j)))
		}
		low, high := r.key("%d/", i), r.key("%d0", i)
		r.expectScan(r.client.Snapshot(r.now()), low, high, ScanOptions{}, m, "after the removal")
		r.expectAt(r.client.Snapshot(first), r.key("%d/%04d", i, 150), "")
		r.storeOne(r.key("%d/%04d", i, 150), "free again")
	}
}

// checkCounters raises numbers from several clients at once, of both kinds
// and in every way: none may be lost.
func checkCounters(r *txnRun) {
	const workers, raises = 8, 12
	keys := [][]byte{r.key("a"), r.key("b")}
	r.store(model{string(keys[0]): []byte("0"), string(keys[1]): []byte("0")})
	var group sync.WaitGroup
	failed := make(chan error, workers)
	for w := 0; w < workers; w++ {
		group.Add(1)
		go func(way TxnOptions) {
			defer group.Done()
			for done := 0; done < raises; {
				err := r.raise(way, keys)
				switch cause := r.client.Cause(err); cause {
				case NoError:
					done++
				case Conflict:
				default:
					failed <- fmt.Errorf("%v: %s: %w", way, cause, err)
					return
				}
			}
		}(everyWay()[w])
	}
	group.Wait()
	select {
	case err := <-failed:
		r.fail("%v", err)
	default:
	}
	for _, key := range keys {
		r.expect(key, fmt.Sprint(workers*raises))
	}
}

func (r *txnRun) raise(way TxnOptions, keys [][]byte) error {
	txn, err := r.client.Begin(way)
	if err != nil {
		return err
	}
	for _, key := range keys {
		var value []byte
		if way.Pessimistic {
			locked, err := r.lock(txn, LockOptions{WaitMs: WaitForever, Values: true}, key)
			if err != nil {
				_ = txn.Rollback()
				return err
			}
			value = locked[string(key)].Value
		} else if value, err = txn.Get(r.ctx, key); err != nil {
			return err
		}
		var n int
		if _, err := fmt.Sscan(string(value), &n); err != nil {
			return fmt.Errorf("%s is %q", brief(key), value)
		}
		if err := txn.Set(key, []byte(fmt.Sprint(n+1))); err != nil {
			return err
		}
	}
	return txn.Commit(r.ctx)
}
