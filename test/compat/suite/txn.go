package suite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Txns is a transactional client.
type Txns interface {
	Begin(options TxnOptions) (Txn, error)
	Now(ctx context.Context) (uint64, error)
	Snapshot(ts uint64) Reader
	// Cause tells what an error of the client means.
	Cause(err error) Cause
	// WaitChain gives who waits for whom, out of a deadlock's error.
	WaitChain(err error) []Wait
	// GC resolves all locks up to the safe point and tells PD about it.
	GC(ctx context.Context, safePoint uint64) (uint64, error)
	// PublishSafePoint makes reads below it invalid.
	PublishSafePoint(ctx context.Context, safePoint uint64) error
	DeleteRange(ctx context.Context, start, end []byte) error
	UnsafeDestroyRange(ctx context.Context, start, end []byte) error
	Close() error
}

// RawBeside is as much of a raw client as shows that raw keys are others.
type RawBeside interface {
	Put(ctx context.Context, key, value []byte) error
	Scan(ctx context.Context, start, end []byte, limit int, keyOnly bool) (keys, values [][]byte, err error)
	DeleteRange(ctx context.Context, start, end []byte) error
}

// TxnOptions is how a transaction goes about its work.
type TxnOptions struct {
	Pessimistic, Async, OnePC, Pipelined bool
}

func (o TxnOptions) String() string {
	return fmt.Sprintf("pessimistic %t, async commit %t, one phase %t", o.Pessimistic, o.Async, o.OnePC)
}

// Reader reads at one timestamp. An absent key reads as nil.
type Reader interface {
	Get(ctx context.Context, key []byte) ([]byte, error)
	BatchGet(ctx context.Context, keys [][]byte) (map[string][]byte, error)
	Scan(ctx context.Context, low, high []byte, how ScanOptions) (keys, values [][]byte, err error)
}

// ScanOptions is how a scan of [low, high) goes.
type ScanOptions struct {
	Reverse, KeysOnly bool
	Batch             int // pairs in a request, 0 for the client's own choice
}

// Txn is one transaction.
type Txn interface {
	Reader
	Set(key, value []byte) error
	Delete(key []byte) error
	// Insert sets a key that must be absent, which the store checks.
	Insert(key, value []byte) error
	// Assert tells the store to fail unless the key, which has been set, was
	// there before, or was not.
	Assert(key []byte, exists bool)
	Lock(ctx context.Context, how LockOptions, keys ...[]byte) (map[string]Locked, error)
	// ForceLock begins a statement whose locks are taken even if a newer
	// version exists, RetryForceLock begins it again, DoneForceLock ends it.
	ForceLock()
	RetryForceLock(ctx context.Context)
	DoneForceLock(ctx context.Context)
	// Flush sends what a pipelined transaction has so far.
	Flush() error
	Commit(ctx context.Context) error
	Rollback() error
	StartTS() uint64
	CommitTS() uint64
	// WasAsync and WasOnePC tell how a commit went.
	WasAsync() bool
	WasOnePC() bool
	// Prewrite does the first phase alone, CommitPrimary the second phase for
	// the primary key alone; CommitTS then tells what the commit timestamp
	// became.
	Prewrite(ctx context.Context) error
	CommitPrimary(ctx context.Context, commitTS uint64) error
}

// LockOptions is how keys are locked: a wait of 0 ms is none at all.
type LockOptions struct {
	WaitMs      int64 // WaitForever for as long as it takes
	ForUpdateTS uint64
	Values      bool
	Existence   bool
	OnlyIfThere bool
}

// WaitForever is for locks that surely come.
const WaitForever = int64(1) << 62

// Locked is what a lock request tells of a key.
type Locked struct {
	Value      []byte
	Exists     bool
	ConflictTS uint64
}

// Wait is one edge of a deadlock.
type Wait struct {
	Txn, WaitsFor uint64
	Key           []byte
}

// Cause is what an error means.
type Cause string

// The causes that checks expect.
const (
	NoError     Cause = "no error"
	Conflict    Cause = "write conflict"
	Exists      Cause = "key exists"
	NoWait      Cause = "locked, and no wait is wanted"
	WaitTimeout Cause = "lock wait timeout"
	Deadlock    Cause = "deadlock"
	Assertion   Cause = "assertion failed"
	TooOld      Cause = "below the safe point"
	Other       Cause = "another error"
)

// A txnRun is one pass of one check over keys below a prefix of its own.
type txnRun struct {
	ctx    context.Context
	client Txns
	raw    RawBeside // nil if the store serves no raw keys beside
	prefix []byte
	seed   int64
}

type txnStep struct {
	name  string
	check func(*txnRun)
}

// RunTxn makes all checks, most of them at the same time; more names those of
// what only some clients can do. The error names what failed.
func RunTxn(client Txns, raw RawBeside, name string, seed int64, more ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	together := append([]txnStep{}, txnSteps...)
	for _, m := range more {
		together = append(together, txnExtras[m])
	}
	if raw != nil {
		together = append(together, txnStep{"raw keys beside", checkRawBeside})
	}
	var (
		group sync.WaitGroup
		mutex sync.Mutex
		all   []error
	)
	run := func(s txnStep) {
		began := time.Now()
		r := &txnRun{ctx: ctx, client: client, raw: raw, seed: seed}
		r.prefix = []byte(fmt.Sprintf("compat/%s/%d/%s/", name, time.Now().UnixNano(), s.name))
		err := r.perform(s)
		mutex.Lock()
		defer mutex.Unlock()
		fmt.Printf("%s: %s: %.1f s\n", name, s.name, time.Since(began).Seconds())
		if err != nil {
			fmt.Printf("%s: %v\n", name, err)
			all = append(all, err)
		}
	}
	// What is older than everything else can be collected before.
	var garbage *collected
	run(txnStep{"collection", func(r *txnRun) { garbage = startCollection(r) }})
	// A few at a time: enough that they meet, few enough that the machine's
	// load does not let locks run out.
	slots := make(chan bool, 6)
	for _, s := range together {
		group.Add(1)
		go func(s txnStep) {
			defer group.Done()
			slots <- true
			run(s)
			<-slots
		}(s)
	}
	group.Wait()
	if garbage != nil {
		run(txnStep{"reads below the safe point", garbage.checkRefused})
	}
	return errors.Join(all...)
}

func (r *txnRun) perform(s txnStep) (err error) {
	defer func() {
		switch f := recover().(type) {
		case nil:
		case failure:
			err = fmt.Errorf("%s: %s", s.name, f.text)
		default:
			panic(f)
		}
	}()
	s.check(r)
	return nil
}

func (r *txnRun) fail(format string, args ...any) {
	panic(failure{fmt.Sprintf(format, args...)})
}

func (r *txnRun) ok(err error, what string, args ...any) {
	if err != nil {
		r.fail("%s: %v", fmt.Sprintf(what, args...), err)
	}
}

// want makes sure that the error means what is expected.
func (r *txnRun) want(err error, cause Cause, what string, args ...any) {
	if got := r.client.Cause(err); got != cause {
		r.fail("%s: want %s, got %s: %v", fmt.Sprintf(what, args...), cause, got, err)
	}
}

func (r *txnRun) key(format string, args ...any) []byte {
	return append(append([]byte{}, r.prefix...), fmt.Sprintf(format, args...)...)
}

// end is the first key behind all of ours.
func (r *txnRun) end() []byte {
	end := append([]byte{}, r.prefix...)
	end[len(end)-1]++
	return end
}

func (r *txnRun) now() uint64 {
	ts, err := r.client.Now(r.ctx)
	r.ok(err, "timestamp")
	return ts
}

func (r *txnRun) begin(o TxnOptions) Txn {
	txn, err := r.client.Begin(o)
	r.ok(err, "begin")
	return txn
}

// store commits pairs in one transaction and gives its commit timestamp.
func (r *txnRun) store(m model) uint64 {
	txn := r.begin(TxnOptions{})
	var keys [][]byte
	for key, value := range m {
		keys = append(keys, []byte(key))
		r.ok(txn.Set([]byte(key), value), "set")
	}
	r.ok(txn.Commit(r.ctx), "commit of %d keys", len(m))
	r.settle(keys...)
	return txn.CommitTS()
}

// settle reads keys, so that no lock is left of a transaction that has
// committed: its second phase goes on behind its back, and who meets its lock
// and waits is told of a conflict.
func (r *txnRun) settle(keys ...[]byte) {
	_, err := r.client.Snapshot(r.now()).BatchGet(r.ctx, keys)
	r.ok(err, "read %d keys", len(keys))
}

func (r *txnRun) storeOne(key []byte, value string) uint64 {
	return r.store(model{string(key): []byte(value)})
}

// lock takes keys at the current timestamp.
func (r *txnRun) lock(txn Txn, how LockOptions, keys ...[]byte) (map[string]Locked, error) {
	if how.ForUpdateTS == 0 {
		how.ForUpdateTS = r.now()
	}
	return txn.Lock(r.ctx, how, keys...)
}

// mustLock takes keys. Who has to wait is told of a conflict and tries again.
func (r *txnRun) mustLock(txn Txn, keys ...[]byte) {
	for tries := 0; ; tries++ {
		_, err := r.lock(txn, LockOptions{WaitMs: WaitForever}, keys...)
		if r.client.Cause(err) == Conflict && tries < 10 {
			continue
		}
		r.ok(err, "lock %d keys", len(keys))
		return
	}
}

// expect reads with the newest timestamp; "" means absent.
func (r *txnRun) expect(key []byte, want string) {
	r.expectAt(r.client.Snapshot(r.now()), key, want)
}

func (r *txnRun) expectAt(reader Reader, key []byte, want string) {
	got, err := reader.Get(r.ctx, key)
	r.ok(err, "get %s", brief(key))
	r.same(got, []byte(want), "get %s", brief(key))
}

func (r *txnRun) same(got, want []byte, what string, args ...any) {
	if !bytes.Equal(got, want) {
		r.fail("%s: got %s, want %s", fmt.Sprintf(what, args...), brief(got), brief(want))
	}
}

// expectModel reads all keys of the model in one request and by scans both
// ways, with several sizes of batches.
func (r *txnRun) expectModel(reader Reader, m model, what string) {
	keys := [][]byte{r.key("no such key")}
	for key := range m {
		keys = append(keys, []byte(key))
	}
	got, err := reader.BatchGet(r.ctx, keys)
	r.ok(err, "%s: batch get", what)
	for key, value := range m {
		r.same(got[key], value, "%s: batch get of %s", what, brief([]byte(key)))
	}
	if len(got) != len(m) {
		r.fail("%s: batch get gives %d, want %d", what, len(got), len(m))
	}
	for _, how := range []ScanOptions{{Batch: 256}, {Reverse: true}, {Batch: 13}, {Reverse: true, Batch: 13}} {
		r.expectScan(reader, r.prefix, r.end(), how, m, what)
	}
}

// expectScan compares a scan with what the model has in [low, high).
func (r *txnRun) expectScan(reader Reader, low, high []byte, how ScanOptions, m model, what string) {
	what = fmt.Sprintf("%s: scan %+v of %s to %s", what, how, brief(low), brief(high))
	keys, values, err := reader.Scan(r.ctx, low, high, how)
	r.ok(err, "%s", what)
	wantKeys, wantValues := m.scan(how.Reverse, low, high, len(m))
	if len(keys) != len(wantKeys) {
		r.fail("%s: got %d keys, want %d", what, len(keys), len(wantKeys))
	}
	for i := range keys {
		r.same(keys[i], wantKeys[i], "%s: key %d", what, i)
		if how.KeysOnly {
			wantValues[i] = nil
		}
		r.same(values[i], wantValues[i], "%s: value %d", what, i)
	}
}
