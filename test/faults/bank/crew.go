package bank

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	tikverr "github.com/tikv/client-go/v2/error"
	"github.com/tikv/client-go/v2/kv"
	"github.com/tikv/client-go/v2/txnkv"
	"github.com/tikv/client-go/v2/txnkv/transaction"

	"tikv_fdw/test/faults/cluster"
)

// A transaction that hangs longer has an unknown outcome.
const patience = 10 * time.Second

// What a client leaves behind must be over before others lose their patience:
// else each that waits in vain leaves locks as well.
const lockTTL = 5 * time.Second

func init() {
	atomic.StoreUint64(&transaction.ManagedLockTTL, uint64(lockTTL.Milliseconds()))
}

// Size is how many clients of each kind there are: of client-go, and of SQL.
type Size struct {
	Transferrers, Appenders, Incrementers, Readers int
	SQLTransferrers, SQLAppenders, SQLReaders      int
}

// Crew is the clients of one round.  A few connections are shared, so that one
// process has several transactions.
type Crew struct {
	cancel  context.CancelFunc
	wait    sync.WaitGroup
	clients []*txnkv.Client

	mu    sync.Mutex
	first error // violation that was seen first
}

type client struct {
	crew   *Crew
	world  *World
	cli    *txnkv.Client
	random *rand.Rand
}

// StartCrew lets so many clients work until they are stopped.
func StartCrew(c *cluster.Cluster, w *World, size Size, seed int64) (*Crew, error) {
	ctx, cancel := context.WithCancel(context.Background())
	crew := &Crew{cancel: cancel}
	jobs := []struct {
		n  int
		do func(*client, context.Context) error
	}{{size.Transferrers, (*client).transfer}, {size.Appenders, (*client).append},
		{size.Incrementers, (*client).increment}, {size.Readers, (*client).read}}
	for i := 0; i < 6; i++ {
		cli, err := txnkv.NewClient(c.PDAddresses())
		if err != nil {
			cancel()
			return nil, err
		}
		crew.clients = append(crew.clients, cli)
	}
	n := 0
	for _, job := range jobs {
		for i := 0; i < job.n; i++ {
			cl := &client{crew, w, crew.clients[n%len(crew.clients)], rand.New(rand.NewSource(seed + int64(n)))}
			n++
			crew.wait.Add(1)
			go func() {
				defer crew.wait.Done()
				cl.work(ctx, job.do)
			}()
		}
	}
	startSessions(ctx, c, crew, w, size, seed)
	return crew, nil
}

// Stop ends the clients, and with them what they still do in the background:
// what they left undone is the next clients' to resolve.
func (c *Crew) Stop() error {
	c.cancel()
	done := make(chan struct{})
	go func() {
		c.wait.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		return errors.New("clients of the bank hang")
	}
	for _, cli := range c.clients {
		_ = cli.Close()
	}
	return c.Violation()
}

func (c *Crew) note(seen violation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.first == nil {
		c.first = seen
	}
}

// Violation is what was seen first, while they work.
func (c *Crew) Violation() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.first
}

func (cl *client) work(ctx context.Context, do func(*client, context.Context) error) {
	for ctx.Err() == nil {
		err := do(cl, ctx)
		var seen violation
		if errors.As(err, &seen) {
			cl.crew.note(seen)
			return
		}
		if err != nil && ctx.Err() == nil {
			cl.world.noteError(err)
			time.Sleep(time.Duration(cl.random.Intn(20)) * time.Millisecond)
		}
	}
}

// begin makes a transaction of a random kind, and locks the keys if it is a
// pessimistic one.
func (cl *client) begin(ctx context.Context, keys ...[]byte) (*transaction.KVTxn, error) {
	txn, err := cl.cli.Begin()
	if err != nil {
		return nil, err
	}
	txn.SetEnableAsyncCommit(cl.random.Intn(2) == 0)
	txn.SetEnable1PC(cl.random.Intn(2) == 0)
	if cl.random.Intn(2) == 0 {
		return txn, nil
	}
	txn.SetPessimistic(true)
	sort.Slice(keys, func(i, j int) bool { return string(keys[i]) < string(keys[j]) })
	if cl.random.Intn(8) == 0 {
		// Out of order now and then: deadlocks must be found.
		cl.random.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	}
	for _, key := range keys {
		ts, err := cl.cli.GetTimestamp(ctx)
		if err == nil {
			err = txn.LockKeys(ctx, kv.NewLockCtx(ts, kv.LockAlwaysWait, time.Now()), key)
		}
		if err != nil {
			_ = txn.Rollback()
			return nil, err
		}
	}
	return txn, nil
}

// value reads a key as the transaction may: a pessimistic one has it locked
// and reads the newest version.
func (cl *client) value(ctx context.Context, txn *transaction.KVTxn, key []byte) ([]byte, error) {
	if !txn.IsPessimistic() {
		return get(ctx, txn, key)
	}
	ts, err := cl.cli.GetTimestamp(ctx)
	if err != nil {
		return nil, err
	}
	snapshot := cl.cli.GetSnapshot(ts)
	v, err := snapshot.Get(ctx, key)
	if tikverr.IsErrNotFound(err) {
		return nil, nil
	}
	return v.Value, err
}

type outcome int

const (
	committed outcome = iota
	refused           // for certain not done
	unknown
)

// end commits. Only an error that the protocol makes final counts as refused.
func (cl *client) end(ctx context.Context, txn *transaction.KVTxn) (outcome, error) {
	err := txn.Commit(ctx)
	if err == nil {
		cl.world.Committed.Add(1)
		return committed, nil
	}
	var conflict *tikverr.ErrWriteConflict
	var exists *tikverr.ErrKeyExist
	if errors.As(err, &conflict) || errors.As(err, &exists) {
		cl.world.Failed.Add(1)
		return refused, err
	}
	cl.world.Unknown.Add(1)
	return unknown, err
}

// A client may die between any two steps, or be killed by the end of its
// round: the transaction is then left to others.
func (cl *client) dies() bool { return cl.random.Intn(100) == 0 }

func (cl *client) transfer(parent context.Context) error {
	ctx, cancel := context.WithTimeout(parent, patience)
	defer cancel()
	a := cl.random.Intn(accounts)
	b := (a + 1 + cl.random.Intn(accounts-1)) % accounts
	txn, err := cl.begin(ctx, accountKey(a), accountKey(b))
	if err != nil {
		return err
	}
	var balance [2]uint64
	for i, k := range [][]byte{accountKey(a), accountKey(b)} {
		v, err := cl.value(ctx, txn, k)
		if err == nil {
			balance[i], err = parseNumber(v)
		}
		if err != nil {
			_ = txn.Rollback()
			return err
		}
	}
	amount := uint64(cl.random.Intn(20))
	if balance[0] < amount {
		amount = balance[0]
	}
	padding := 0
	if cl.random.Intn(4) == 0 {
		padding = 300
	}
	if err := txn.Set(accountKey(a), number(balance[0]-amount, padding)); err != nil {
		return err
	}
	if err := txn.Set(accountKey(b), number(balance[1]+amount, padding)); err != nil {
		return err
	}
	if cl.dies() {
		return nil
	}
	_, err = cl.end(ctx, txn)
	return err
}

func (cl *client) append(parent context.Context) error {
	ctx, cancel := context.WithTimeout(parent, patience)
	defer cancel()
	id := cl.world.nextID.Add(1)
	on := []int{cl.random.Intn(lists)}
	if other := cl.random.Intn(lists); other != on[0] {
		on = append(on, other)
	}
	sort.Ints(on)
	var keys [][]byte
	for _, i := range on {
		keys = append(keys, cl.world.listKey(i))
	}
	// Known before it is tried: a crash must not find it unknown to the check.
	cl.note(id, on, unknown)
	asked := cl.world.history.now()
	txn, err := cl.begin(ctx, keys...)
	if err != nil {
		cl.note(id, on, refused)
		return err
	}
	var base []state
	for _, i := range on {
		v, err := cl.value(ctx, txn, cl.world.listKey(i))
		base = append(base, stateOfValue(v))
		if err == nil {
			err = txn.Set(cl.world.listKey(i), append(append([]byte{}, v...), number(id, 0)...))
		}
		if err != nil {
			_ = txn.Rollback()
			cl.note(id, on, refused)
			return err
		}
	}
	if cl.dies() {
		cl.note(id, on, refused)
		return nil
	}
	result, err := cl.end(ctx, txn)
	cl.note(id, on, result)
	done := listsAppend{id: id, on: on, base: base, asked: asked, answered: cl.world.history.now(), result: result}
	if result == committed {
		done.commitTS = transaction.TxnProbe{KVTxn: txn}.GetCommitTS()
	}
	cl.world.history.addAppend(done)
	return err
}

func (cl *client) note(id uint64, on []int, result outcome) {
	w := cl.world
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.doubtful, id)
	switch result {
	case committed:
		w.appended[id] = on
	case refused:
		w.refused[id] = true
	default:
		w.doubtful[id] = on
	}
}

func (cl *client) increment(parent context.Context) error {
	ctx, cancel := context.WithTimeout(parent, patience)
	defer cancel()
	i := cl.random.Intn(counters)
	before := cl.world.counted[i].Load()
	txn, err := cl.begin(ctx, counterKey(i))
	if err != nil {
		return err
	}
	v, err := cl.value(ctx, txn, counterKey(i))
	var n uint64
	if err == nil {
		n, err = parseNumber(v)
	}
	if err != nil {
		_ = txn.Rollback()
		return err
	}
	if n < before {
		return violation{fmt.Sprintf("counter %d reads %d at %d, after %d was acknowledged", i, n, txn.StartTS(), before)}
	}
	if err := txn.Set(counterKey(i), number(n+1, 0)); err != nil {
		return err
	}
	if result, err := cl.end(ctx, txn); result != committed {
		return err
	}
	return cl.world.count(i, n+1)
}

func (cl *client) read(parent context.Context) error {
	ctx, cancel := context.WithTimeout(parent, patience)
	defer cancel()
	var least [counters]uint64
	for i := range least {
		least[i] = cl.world.counted[i].Load()
	}
	asked := cl.world.history.now()
	txn, err := cl.cli.Begin()
	if err != nil {
		return err
	}
	if err := checkTotal(ctx, txn, cl.random.Intn(2) == 0); err != nil {
		return err
	}
	for i := range least {
		v, err := get(ctx, txn, counterKey(i))
		if err != nil {
			return err
		}
		n, err := parseNumber(v)
		if err != nil {
			return violation{err.Error()}
		}
		if n < least[i] {
			return violation{fmt.Sprintf("counter %d reads %d at %d, after %d was acknowledged", i, n, txn.StartTS(), least[i])}
		}
	}
	all, err := cl.world.readLists(ctx, txn)
	if err != nil {
		return err
	}
	cl.world.history.addRead(listsRead{txn.StartTS(), asked, cl.world.history.now(), statesOf(all)})
	cl.world.Reads.Add(1)
	return nil
}
