package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	tikverr "github.com/tikv/client-go/v2/error"
	"github.com/tikv/client-go/v2/kv"
	"github.com/tikv/client-go/v2/txnkv/transaction"

	"tikv_fdw/test/compat/suite"
)

type check struct {
	name string
	run  func(r *run)
}

var checks = []check{
	{"commits are seen", seen},
	{"a snapshot sees neither too much nor too little", snapshots},
	{"SQL loses a conflict", sqlConflict},
	{"client-go loses a conflict", goConflict},
	{"SQL waits for client-go", sqlWaits},
	{"client-go waits for SQL", goWaits},
	{"a cancel ends a wait", cancelled},
	{"a deadlock found in SQL", sqlDeadlock},
	{"a deadlock found in client-go", goDeadlock},
	{"locks of the dead", deadLocks},
	{"a counter", counter},
}

func seen(r *run) {
	s := r.session()
	defer s.close()
	k := r.key("k")
	r.goPut(k, "go")
	r.same(s.get(k), "go", "SQL reads")
	s.do("SELECT tikv_txn_put($1, 'sql')", k)
	r.same(r.goGet(k), "sql", "client-go reads")
	s.do("SELECT tikv_txn_delete($1)", k)
	r.same(r.goGet(k), "", "client-go reads what SQL deleted")

	// READ COMMITTED: the next statement sees a commit in between.
	s.do("BEGIN")
	r.same(s.get(k), "", "before")
	r.goPut(k, "again")
	r.same(s.get(k), "again", "after")
	s.do("ROLLBACK")

	// Many keys of a commit at once, long values among them.
	txn := r.begin(false)
	for i := 0; i < 100; i++ {
		r.ok(txn.Set(r.key(fmt.Sprintf("many%03d", i)), []byte(strings.Repeat("x", (i+1)*20))), "set")
	}
	r.ok(txn.Commit(r.ctx), "commit")
	var n, size int
	r.ok(s.QueryRow(r.ctx, "SELECT count(*), sum(length(value)) FROM tikv_txn_scan($1, $2)",
		r.key("many"), r.key("manz")).Scan(&n, &size), "scan")
	r.same(n, 100, "keys")
	r.same(size, 100*101/2*20, "bytes")
}

func snapshots(r *run) {
	s := r.session()
	defer s.close()
	a, b := r.key("a"), r.key("b")
	r.goPut(a, "1")
	s.do("BEGIN ISOLATION LEVEL REPEATABLE READ")
	r.same(s.get(a), "1", "first look")
	for i := 2; i < 20; i++ {
		txn := r.begin(false)
		value := []byte(strconv.Itoa(i))
		r.ok(txn.Set(a, value), "set")
		r.ok(txn.Set(b, value), "set")
		r.ok(txn.Commit(r.ctx), "commit")
		r.same(s.get(a), "1", "the snapshot's a")
		r.same(s.get(b), "", "the snapshot's b")
	}
	s.do("COMMIT")
	r.same(s.get(b), "19", "afterwards")

	// Readers of two keys that always change together.
	done := make(chan error, 1)
	ctx, stop := context.WithCancel(r.ctx)
	go func() {
		for i := 0; ctx.Err() == nil; i++ {
			txn, err := r.client.Begin()
			if err == nil {
				txn.SetEnableAsyncCommit(i%2 == 0)
				txn.SetEnable1PC(i%3 == 0)
				_ = txn.Set(a, []byte(strconv.Itoa(i)))
				_ = txn.Set(b, []byte(strconv.Itoa(i)))
				err = txn.Commit(r.ctx)
			}
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	time.Sleep(20 * time.Millisecond)
	for i := 0; i < 200; i++ {
		level := []string{"REPEATABLE READ", "READ COMMITTED"}[i%2]
		s.do("BEGIN ISOLATION LEVEL " + level)
		var x, y []byte
		if i%2 == 0 {
			x, y = []byte(s.get(a)), []byte(s.get(b))
		} else {
			r.ok(s.QueryRow(r.ctx, "SELECT tikv_txn_get($1), tikv_txn_get($2)", a, b).Scan(&x, &y), "get both")
		}
		r.same(string(x), string(y), "two keys of one commit, %s", level)
		s.do("COMMIT")
	}
	stop()
	r.ok(<-done, "writer")
}

func sqlConflict(r *run) {
	s := r.session()
	defer s.close()
	k := r.key("k")
	r.goPut(k, "1")

	s.do("BEGIN ISOLATION LEVEL REPEATABLE READ")
	r.same(s.get(k), "1", "read")
	r.goPut(k, "2")
	code, e := s.put(k, "sql")
	r.same(code, "40001", "a write over a newer commit")
	if !strings.Contains(e.Detail, fmt.Sprintf("%x", k)) {
		r.fail("the detail names no key: %s", e.Detail)
	}
	s.do("ROLLBACK")

	s.do("SET tikv.txn_mode = optimistic")
	s.do("BEGIN")
	code, _ = s.put(k, "sql")
	r.same(code, "", "an optimistic write")
	r.goPut(k, "3")
	code, _ = s.try("COMMIT")
	r.same(code, "40001", "its commit")
	r.same(r.goGet(k), "3", "the winner's value")

	s.do("RESET tikv.txn_mode")
	s.do("BEGIN")
	r.same(s.get(k), "3", "read")
	r.goPut(k, "4")
	code, _ = s.put(k, "sql")
	r.same(code, "", "READ COMMITTED goes on with what is newest")
	s.do("COMMIT")
	r.same(r.goGet(k), "sql", "written")

	code, _ = s.try("SELECT tikv_txn_insert($1, 'x')", k)
	r.same(code, "23505", "an insert of a key of client-go")
}

func goConflict(r *run) {
	s := r.session()
	defer s.close()
	k := r.key("k")
	txn := r.begin(false)
	r.ok(txn.Set(k, []byte("go")), "set")
	s.do("SELECT tikv_txn_put($1, 'sql')", k)
	err := txn.Commit(r.ctx)
	if !tikverr.IsErrWriteConflict(err) {
		r.fail("no write conflict: %v", err)
	}
	r.same(r.goGet(k), "sql", "the winner's value")
}

// lock takes a pessimistic lock for client-go, at a newer timestamp if who held
// it has committed.
func lock(r *run, txn *transaction.KVTxn, waitMs int64, keys ...[]byte) error {
	for {
		ts, err := r.client.GetTimestamp(r.ctx)
		r.ok(err, "timestamp")
		err = txn.LockKeys(r.ctx, kv.NewLockCtx(ts, waitMs, time.Now()), keys...)
		if !tikverr.IsErrWriteConflict(err) {
			return err
		}
	}
}

func sqlWaits(r *run) {
	s, other := r.session(), r.session()
	defer s.close()
	defer other.close()
	k := r.key("k")
	txn := r.begin(true)
	r.ok(lock(r, txn, 0, k), "lock")
	other.waitFor("SELECT count(*) = 1 FROM tikv.locks WHERE pid IS NULL AND start_ts = $1", int64(txn.StartTS()))

	s.do("SET tikv.lock_wait_timeout = '300ms'")
	code, e := s.put(k, "no")
	r.same(code, "55P03", "no longer than tikv.lock_wait_timeout")
	if !strings.Contains(e.Detail, strconv.FormatUint(txn.StartTS(), 10)) {
		r.fail("the detail does not name the holder: %s", e.Detail)
	}
	s.do("RESET tikv.lock_wait_timeout")
	s.do("SET lock_timeout = '300ms'")
	code, _ = s.put(k, "no")
	r.same(code, "55P03", "nor than lock_timeout")
	s.do("RESET lock_timeout")
	s.do("SET statement_timeout = '300ms'")
	code, _ = s.put(k, "no")
	r.same(code, "57014", "nor than statement_timeout")
	s.do("RESET statement_timeout")

	s.do("SET tikv.lock_wait_timeout = '30s'")
	done := s.later("SELECT tikv_txn_put($1, (coalesce(tikv_txn_lock($1), '') || 'sql')::bytea)", k)
	other.waitFor("SELECT count(*) = 1 FROM tikv.lock_waits WHERE holder_start_ts = $1 AND pid IS NOT NULL AND holder_pid IS NULL",
		int64(txn.StartTS()))
	r.ok(txn.Set(k, []byte("go+")), "set")
	r.ok(txn.Commit(r.ctx), "commit")
	r.ok(<-done, "the waiter")
	r.same(r.goGet(k), "go+sql", "both writes")

	// A rollback lets it go on as well, in a snapshot, too.
	txn = r.begin(true)
	r.ok(lock(r, txn, 0, k), "lock")
	s.do("BEGIN ISOLATION LEVEL REPEATABLE READ")
	r.same(s.get(k), "go+sql", "read past the lock")
	done = s.later("SELECT tikv_txn_put($1, 'after')", k)
	other.waitFor("SELECT count(*) = 1 FROM tikv.lock_waits WHERE holder_start_ts = $1", int64(txn.StartTS()))
	r.ok(txn.Rollback(), "rollback")
	r.ok(<-done, "the waiter")
	s.do("COMMIT")
	r.same(r.goGet(k), "after", "written")
}

func goWaits(r *run) {
	s := r.session()
	defer s.close()
	k := r.key("k")
	s.do("BEGIN")
	s.do("SELECT tikv_txn_put($1, 'sql')", k)
	txn := r.begin(true)
	if err := lock(r, txn, kv.LockNoWait, k); err == nil {
		r.fail("client-go got a lock that SQL holds")
	}
	if err := lock(r, txn, 200, k); err == nil {
		r.fail("client-go got a lock that SQL holds, after a wait")
	}
	r.same(r.goGet(k), "", "a reader is not held up")
	done := make(chan error, 1)
	go func() { done <- lock(r, txn, 20000, k) }()
	time.Sleep(100 * time.Millisecond)
	s.do("COMMIT")
	r.ok(<-done, "the waiter")
	entry, err := r.begin(false).Get(r.ctx, k)
	r.ok(err, "get")
	r.same(string(entry.Value), "sql", "SQL's write")
	r.ok(txn.Set(k, []byte("go")), "set")
	r.ok(txn.Commit(r.ctx), "commit")
	r.same(s.get(k), "go", "client-go's write")
}

func cancelled(r *run) {
	s, other := r.session(), r.session()
	defer s.close()
	defer other.close()
	k := r.key("k")
	txn := r.begin(true)
	r.ok(lock(r, txn, 0, k), "lock")
	s.do("SET tikv.lock_wait_timeout = 0")
	s.do("BEGIN")
	done := s.later("SELECT tikv_txn_put($1, 'no')", k)
	other.waitFor("SELECT count(*) = 1 FROM tikv.lock_waits WHERE holder_start_ts = $1", int64(txn.StartTS()))
	other.do("SELECT pg_cancel_backend($1)", s.PgConn().PID())
	code, _ := state(r, <-done, "cancelled")
	r.same(code, "57014", "cancelled")
	s.do("ROLLBACK")
	r.ok(txn.Set(k, []byte("go")), "set")
	r.ok(txn.Commit(r.ctx), "commit")
	r.same(r.goGet(k), "go", "no lock is left behind")
	r.goPut(k, "and on")
}

func sqlDeadlock(r *run) {
	s, other := r.session(), r.session()
	defer s.close()
	defer other.close()
	a, b := r.key("a"), r.key("b")
	s.do("SET tikv.lock_wait_timeout = '60s'")
	s.do("BEGIN")
	s.do("SELECT tikv_txn_lock($1)", a)
	txn := r.begin(true)
	r.ok(lock(r, txn, 0, b), "lock b")
	done := make(chan error, 1)
	go func() { done <- lock(r, txn, 50000, a) }()
	other.waitFor("SELECT count(*) = 1 FROM tikv.lock_waits WHERE start_ts = $1", int64(txn.StartTS()))
	code, e := s.try("SELECT tikv_txn_lock($1)", b)
	r.same(code, "40P01", "who closes the cycle")
	if !strings.Contains(e.Detail, fmt.Sprintf("%x", b)) || !strings.Contains(e.Detail, strconv.FormatUint(txn.StartTS(), 10)) {
		r.fail("the detail names neither key nor transaction: %s", e.Detail)
	}
	s.do("ROLLBACK")
	r.ok(<-done, "the other one goes on")
	r.ok(txn.Rollback(), "rollback")
}

func goDeadlock(r *run) {
	s, other := r.session(), r.session()
	defer s.close()
	defer other.close()
	a, b := r.key("a"), r.key("b")
	s.do("SET tikv.lock_wait_timeout = '60s'")
	s.do("BEGIN")
	s.do("SELECT tikv_txn_lock($1)", a)
	txn := r.begin(true)
	r.ok(lock(r, txn, 0, b), "lock b")
	done := s.later("SELECT tikv_txn_lock($1)", b)
	other.waitFor("SELECT count(*) = 1 FROM tikv.lock_waits WHERE holder_start_ts = $1", int64(txn.StartTS()))
	err := lock(r, txn, 50000, a)
	if err == nil || !strings.Contains(strings.ToLower(err.Error()), "deadlock") {
		r.fail("client-go closes the cycle: %v", err)
	}
	r.ok(txn.Rollback(), "rollback")
	r.ok(<-done, "SQL goes on")
	s.do("COMMIT")
}

// deadLocks: a client that died between prewrite and commit is resolved by SQL.
func deadLocks(r *run) {
	s := r.session()
	defer s.close()
	s.do("SET tikv.lock_wait_timeout = '30s'")
	for i, async := range []bool{false, true} {
		k, m := r.key(fmt.Sprint("k", i)), r.key(fmt.Sprint("m", i))
		r.goPut(k, "before")
		txn, err := r.client.Begin()
		r.ok(err, "begin")
		txn.SetEnableAsyncCommit(async)
		r.ok(txn.Set(k, []byte("dead")), "set")
		r.ok(txn.Set(m, []byte("dead")), "set")
		probe := transaction.TxnProbe{KVTxn: txn}
		committer, err := probe.NewCommitter(1)
		r.ok(err, "committer")
		if async {
			committer.SetUseAsyncCommit()
		}
		committer.SetLockTTL(uint64(suite.LockTTL.Milliseconds()))
		r.ok(committer.PrewriteAllMutations(r.ctx), "prewrite")
		want := "before"
		if async {
			// All its keys are locked: it is committed, though nobody said so.
			want = "dead"
		}
		r.same(s.get(k), want, "async %t: SQL reads a key of the dead", async)
		code, _ := s.put(k, "alive")
		r.same(code, "", "async %t: SQL writes it", async)
		r.same(r.goGet(k), "alive", "and that is read")
	}
}

// counter: increments of both kinds, pessimistic and optimistic, none lost.
func counter(r *run) {
	const workers, each = 3, 40
	k := r.key("n")
	r.goPut(k, "0")
	var group sync.WaitGroup
	failures := make(chan error, 4*workers)
	start := func(work func() error) {
		group.Add(1)
		go func() {
			defer group.Done()
			defer func() {
				if p := recover(); p != nil {
					failures <- fmt.Errorf("%v", p)
				}
			}()
			for i := 0; i < each; i++ {
				if err := work(); err != nil {
					failures <- err
					return
				}
			}
		}()
	}
	for i := 0; i < workers; i++ {
		locking, snapshot := r.session(), r.session()
		defer locking.close()
		defer snapshot.close()
		locking.do("SET tikv.lock_wait_timeout = 0")
		start(func() error {
			_, err := locking.Exec(r.ctx, "SELECT tikv_txn_put($1, ((convert_from(tikv_txn_lock($1), 'UTF8')::int + 1)::text)::bytea)", k)
			return err
		})
		start(func() error { return snapshotIncrement(r, snapshot, k) })
		start(func() error { return goIncrement(r, k, true) })
		start(func() error { return goIncrement(r, k, false) })
	}
	group.Wait()
	close(failures)
	for err := range failures {
		r.fail("a worker: %v", err)
	}
	r.same(r.goGet(k), strconv.Itoa(4*workers*each), "increments")
}

func snapshotIncrement(r *run, s *session, k []byte) error {
	for {
		s.do("BEGIN ISOLATION LEVEL REPEATABLE READ")
		n, err := strconv.Atoi(s.get(k))
		r.ok(err, "a number")
		code, e := s.put(k, strconv.Itoa(n+1))
		if code == "" {
			code, e = s.try("COMMIT")
		} else {
			s.do("ROLLBACK")
		}
		switch code {
		case "":
			return nil
		case "40001", "55P03", "40P01":
		default:
			return fmt.Errorf("%s %s (%s)", code, e.Message, e.Detail)
		}
	}
}

func goIncrement(r *run, k []byte, pessimistic bool) error {
	for {
		txn := r.begin(pessimistic)
		var value []byte
		if pessimistic {
			ts, err := r.client.GetTimestamp(r.ctx)
			if err != nil {
				return err
			}
			how := kv.NewLockCtx(ts, kv.LockAlwaysWait, time.Now())
			how.InitReturnValues(1)
			if err := txn.LockKeys(r.ctx, how, k); err != nil {
				_ = txn.Rollback()
				if tikverr.IsErrWriteConflict(err) {
					continue
				}
				return err
			}
			value = how.Values[string(k)].Value
		} else {
			entry, err := txn.Get(r.ctx, k)
			if err != nil {
				return err
			}
			value = entry.Value
		}
		n, err := strconv.Atoi(string(value))
		if err != nil {
			return err
		}
		if err := txn.Set(k, []byte(strconv.Itoa(n+1))); err != nil {
			return err
		}
		err = txn.Commit(r.ctx)
		if err == nil || !tikverr.IsErrWriteConflict(err) {
			return err
		}
	}
}
