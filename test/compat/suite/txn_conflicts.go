package suite

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// checkConflicts lets two transactions change a key: the second to commit
// fails, whatever kind it is, and changes nothing.
func checkConflicts(r *txnRun) {
	for _, way := range everyWay() {
		for _, kind := range []string{"set", "delete", "lock"} {
			key, other := r.key("%v %s", way, kind), r.key("%v %s other", way, kind)
			r.storeOne(key, "before")
			loser := r.begin(TxnOptions{Async: way.Async, OnePC: way.OnePC})
			r.expectAt(loser, key, "before")
			winner := r.begin(way)
			want := "winner"
			if way.Pessimistic {
				r.mustLock(winner, key)
			}
			switch {
			case kind == "set":
				r.ok(winner.Set(key, []byte("winner")), "set")
			case kind == "delete":
				r.ok(winner.Delete(key), "delete")
				want = ""
			case way.Pessimistic:
				want = "before"
			default:
				continue // an optimistic transaction has no mere locks
			}
			r.ok(winner.Commit(r.ctx), "%v: the first commit", way)
			r.ok(loser.Set(key, []byte("loser")), "set")
			r.ok(loser.Set(other, []byte("loser")), "set")
			r.want(loser.Commit(r.ctx), Conflict, "%v, %s: the second commit", way, kind)
			r.expect(key, want)
			r.expect(other, "")
		}
	}
}

// checkPush reads what a slow transaction has prewritten: the reader must not
// wait for it, and the transaction must commit after the reader.
func checkPush(r *txnRun) {
	key, second := r.key("a"), r.key("b")
	r.store(model{string(key): []byte("old a"), string(second): []byte("old b")})
	for i := 0; i < 3; i++ {
		writer := r.begin(TxnOptions{})
		r.ok(writer.Set(key, []byte("new a")), "set")
		r.ok(writer.Set(second, []byte("new b")), "set")
		r.ok(writer.Prewrite(r.ctx), "prewrite")
		early := r.now()
		ts := r.now()
		reader := r.client.Snapshot(ts)
		r.expectAt(reader, key, "old a")
		r.expectAt(reader, second, "old b")
		r.ok(writer.CommitPrimary(r.ctx, early), "commit with too old a timestamp")
		if writer.CommitTS() <= ts {
			r.fail("read at %d, yet committed at %d", ts, writer.CommitTS())
		}
		r.expectAt(reader, key, "old a")
		r.expectAt(r.client.Snapshot(ts), second, "old b")
		r.expect(second, "new b") // resolved by the reader
		r.expect(key, "new a")
		r.store(model{string(key): []byte("old a"), string(second): []byte("old b")})
	}
}

// checkInserts sets keys that have to be absent.
func checkInserts(r *txnRun) {
	there, gone, never := r.key("there"), r.key("gone"), r.key("never")
	for _, way := range everyWay() {
		r.store(model{string(there): []byte("v"), string(gone): []byte("v")})
		txn := r.begin(TxnOptions{})
		r.ok(txn.Delete(gone), "delete")
		r.ok(txn.Delete(never), "delete")
		r.ok(txn.Commit(r.ctx), "commit of deletes")
		r.settle(gone, never)

		insert := func(cause Cause, keys ...[]byte) {
			txn := r.begin(way)
			for _, key := range keys {
				r.ok(txn.Insert(key, []byte("inserted")), "insert")
			}
			if way.Pessimistic {
				_, err := r.lock(txn, LockOptions{WaitMs: WaitForever}, keys...)
				r.want(err, cause, "%v: lock of inserted %q", way, keys)
				if cause != NoError {
					r.ok(txn.Rollback(), "roll back")
					return
				}
			}
			r.want(txn.Commit(r.ctx), cause, "%v: commit of inserted %q", way, keys)
		}
		insert(Exists, there)
		insert(Exists, never, there)
		r.expect(never, "")
		insert(NoError, never, gone)
		r.settle(never, gone)
		r.expect(never, "inserted")
		r.expect(gone, "inserted")
		r.expect(there, "v")
		insert(Exists, gone)
	}
}

// checkAssertions has the store check what the client believes.
func checkAssertions(r *txnRun) {
	for _, way := range everyWay() {
		for _, exists := range []bool{false, true} {
			for _, asserted := range []bool{false, true} {
				key := r.key("%v %t %t", way, exists, asserted)
				if exists {
					r.storeOne(key, "old")
				}
				txn := r.begin(way)
				if way.Pessimistic {
					_, err := r.lock(txn, LockOptions{WaitMs: WaitForever, Existence: true}, key)
					r.ok(err, "lock")
				}
				r.ok(txn.Set(key, []byte("new")), "set")
				txn.Assert(key, asserted)
				want, value := NoError, "new"
				if exists != asserted {
					want, value = Assertion, map[bool]string{true: "old"}[exists]
				}
				r.want(txn.Commit(r.ctx), want, "%v: exists %t, asserted %t", way, exists, asserted)
				r.expect(key, value)
			}
		}
	}
}

// checkPipelined sends its changes while it goes, reads them, and commits or
// gives up.
func checkPipelined(r *txnRun) {
	for _, commit := range []bool{true, false} {
		m := model{}
		txn := r.begin(TxnOptions{Pipelined: true})
		for part := 0; part < 3; part++ {
			for i := 0; i < 1500; i++ {
				key := r.key("%t %05d", commit, i+part*1000) // a third is set twice
				if i%10 == 9 {
					r.ok(txn.Delete(key), "delete")
					delete(m, string(key))
					continue
				}
				m[string(key)] = []byte(fmt.Sprintf("part %d %s", part, bytes.Repeat([]byte("v"), i%400)))
				r.ok(txn.Set(key, m[string(key)]), "set")
			}
			r.ok(txn.Flush(), "flush")
			for i := 0; i < 40; i++ {
				key := r.key("%t %05d", commit, i*37)
				r.expectAt(txn, key, string(m[string(key)]))
			}
		}
		if commit {
			r.ok(txn.Commit(r.ctx), "commit")
		} else {
			r.ok(txn.Rollback(), "roll back")
			m = model{}
		}
		r.expectScan(r.client.Snapshot(r.now()), r.key("%t ", commit), r.key("%t!", commit), ScanOptions{}, m, "pipelined")
	}
}

// deaths are the moments in which a client may be killed, with what its keys
// hold then.
var deaths = []struct{ moment, value string }{
	{"prewritten", "old"},
	{"primary committed", "new"},
	{"asynchronously prewritten", "new"},
	{"pessimistically locked", "old"},
	{"pessimistically prewritten", "old"},
}

var killedKeys = []string{"a", "b", "c"}

// Die changes keys below the prefix and kills its own process at the moment.
func Die(client Txns, moment, prefix string) {
	r := &txnRun{client: client, prefix: []byte(prefix)}
	ctx, cancel := timeLimit()
	defer cancel()
	r.ctx = ctx
	way := TxnOptions{
		Async:       moment == "asynchronously prewritten",
		Pessimistic: moment == "pessimistically locked" || moment == "pessimistically prewritten",
	}
	txn := r.begin(way)
	for _, name := range killedKeys {
		if way.Pessimistic {
			r.mustLock(txn, r.key(name))
		}
		r.ok(txn.Set(r.key(name), []byte("new")), "set")
	}
	if moment != "pessimistically locked" {
		r.ok(txn.Prewrite(r.ctx), "prewrite")
	}
	if moment == "primary committed" {
		r.ok(txn.CommitPrimary(r.ctx, r.now()), "commit of the primary")
	}
	fmt.Println("now it dies")
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	time.Sleep(time.Minute)
}

// checkKilled has other processes die at each moment; whoever comes next has
// to clean up, whatever key it meets first.
func checkKilled(r *txnRun) {
	for _, death := range deaths {
		for _, name := range killedKeys {
			r.storeOne(r.key("%s/%s", death.moment, name), "old")
		}
	}
	died := make(chan error, len(deaths))
	for _, death := range deaths {
		command := exec.Command(os.Args[0], "-die", death.moment, "-prefix", string(r.key("%s/", death.moment)))
		go func(moment string) {
			out, err := command.CombinedOutput()
			status, _ := command.ProcessState.Sys().(syscall.WaitStatus)
			if status.Signaled() && status.Signal() == syscall.SIGKILL && bytes.Contains(out, []byte("now it dies")) {
				err = nil
			} else {
				err = fmt.Errorf("%s: the process did not kill itself: %v %s", moment, err, out)
			}
			died <- err
		}(death.moment)
	}
	for range deaths {
		r.ok(<-died, "a process to be killed")
	}
	for i, death := range deaths {
		m := model{}
		for _, name := range killedKeys {
			m[string(r.key("%s/%s", death.moment, name))] = []byte(death.value)
		}
		first := r.key("%s/%s", death.moment, killedKeys[i%len(killedKeys)])
		r.expect(first, death.value)
		low, high := r.key("%s/", death.moment), r.key("%s0", death.moment)
		r.expectScan(r.client.Snapshot(r.now()), low, high, ScanOptions{}, m, death.moment)

		// Its keys are free again.
		txn := r.begin(TxnOptions{Pessimistic: true})
		for _, name := range killedKeys {
			key := r.key("%s/%s", death.moment, name)
			r.mustLock(txn, key)
			r.ok(txn.Set(key, []byte("mine")), "set")
		}
		r.ok(txn.Commit(r.ctx), "%s: commit of the next", death.moment)
		r.expect(first, "mine")
	}
}

// checkRawBeside uses the same names for raw and for transactional keys.
func checkRawBeside(r *txnRun) {
	m := r.mostly(50)
	for key := range m {
		r.ok(r.raw.Put(r.ctx, []byte(key), []byte("raw")), "raw put")
	}
	r.expectModel(r.client.Snapshot(r.now()), model{}, "raw keys alone")
	r.store(m)
	r.expectModel(r.client.Snapshot(r.now()), m, "both")
	keys, values, err := r.raw.Scan(r.ctx, r.prefix, r.end(), 1000, false)
	r.ok(err, "raw scan")
	if len(keys) != len(m) {
		r.fail("raw scan gives %d keys, want %d", len(keys), len(m))
	}
	for i := range values {
		r.same(values[i], []byte("raw"), "raw value")
	}
	txn := r.begin(TxnOptions{})
	for key := range m {
		r.ok(txn.Delete([]byte(key)), "delete")
	}
	r.ok(txn.Prewrite(r.ctx), "prewrite")
	for key := range m { // locks are no matter of raw keys
		r.ok(r.raw.Put(r.ctx, []byte(key), []byte("raw again")), "raw put")
	}
	r.ok(txn.Rollback(), "roll back")
	r.expectModel(r.client.Snapshot(r.now()), m, "after the raw writes")
	r.ok(r.client.DeleteRange(r.ctx, r.prefix, r.end()), "delete range")
	r.expectModel(r.client.Snapshot(r.now()), model{}, "after the delete of the range")
	keys, _, err = r.raw.Scan(r.ctx, r.prefix, r.end(), 1000, false)
	r.ok(err, "raw scan")
	if len(keys) != len(m) {
		r.fail("after the delete of transactional keys: %d raw keys, want %d", len(keys), len(m))
	}
	r.store(m)
	r.ok(r.raw.DeleteRange(r.ctx, r.prefix, r.end()), "raw delete range")
	keys, _, err = r.raw.Scan(r.ctx, r.prefix, r.end(), 1000, false)
	r.ok(err, "raw scan")
	if len(keys) != 0 {
		r.fail("after the delete of raw keys: %d of them", len(keys))
	}
	r.expectModel(r.client.Snapshot(r.now()), m, "after the delete of raw keys")
}

// collected is what checkRefused needs of what startCollection did.
type collected struct {
	safePoint, oldest uint64
	prefix            []byte
	below, above      model
}

// startCollection collects garbage: what dead clients left below the safe
// point is resolved.
func startCollection(r *txnRun) *collected {
	m := r.mostly(200)
	oldest := r.store(m)
	orphan := r.begin(TxnOptions{})
	done := r.begin(TxnOptions{})
	for key := range m {
		m[key] = append(m[key], " second"...)
	}
	r.store(m)
	r.ok(orphan.Set(r.key("orphan"), []byte("v")), "set")
	r.ok(orphan.Prewrite(r.ctx), "prewrite")
	r.ok(done.Set(r.key("primary"), []byte("v")), "set")
	r.ok(done.Set(r.key("secondary"), []byte("v")), "set")
	r.ok(done.Prewrite(r.ctx), "prewrite")
	r.ok(done.CommitPrimary(r.ctx, r.now()), "commit of the primary")
	m[string(r.key("primary"))], m[string(r.key("secondary"))] = []byte("v"), []byte("v")

	c := &collected{safePoint: r.now(), oldest: oldest, prefix: r.prefix, below: m, above: model{}}
	for key, value := range m {
		c.above[key] = append([]byte("later "), value...)
	}
	r.ok(r.client.PublishSafePoint(r.ctx, c.safePoint), "publish the safe point")
	got, err := r.client.GC(r.ctx, c.safePoint)
	r.ok(err, "collect garbage")
	if got != c.safePoint {
		r.fail("the safe point is %d, want %d", got, c.safePoint)
	}
	r.store(c.above)
	if err := orphan.CommitPrimary(r.ctx, r.now()); err == nil {
		r.fail("a lock below the safe point was committed after the collection")
	}
	r.expect(r.key("orphan"), "")
	return c
}

// checkRefused has the client refuse reads below the safe point, which it
// asks for every ten seconds; those at and above it give what they gave
// before.
func (c *collected) checkRefused(r *txnRun) {
	r.prefix = c.prefix
	for began := time.Now(); time.Since(began) < 15*time.Second; time.Sleep(200 * time.Millisecond) {
		_, err := r.client.Snapshot(c.oldest).Get(r.ctx, r.key("m0001"))
		if r.client.Cause(err) == TooOld {
			break
		}
	}
	r.expectModel(r.client.Snapshot(c.safePoint), c.below, "at the safe point")
	r.expectModel(r.client.Snapshot(r.now()), c.above, "above the safe point")
	for _, ts := range []uint64{c.oldest, c.safePoint - 1} {
		_, err := r.client.Snapshot(ts).Get(r.ctx, r.key("m0001"))
		r.want(err, TooOld, "read below the safe point")
		_, err = r.client.Snapshot(ts).BatchGet(r.ctx, [][]byte{r.key("m0001"), r.key("m0002")})
		r.want(err, TooOld, "batch get below the safe point")
		_, _, err = r.client.Snapshot(ts).Scan(r.ctx, r.prefix, r.end(), ScanOptions{})
		r.want(err, TooOld, "scan below the safe point")
	}
}
