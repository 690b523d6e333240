package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"sort"
	"sync"
	"time"

	tikverr "github.com/tikv/client-go/v2/error"
	"github.com/tikv/client-go/v2/kv"
	"github.com/tikv/client-go/v2/txnkv"
	"github.com/tikv/client-go/v2/txnkv/transaction"

	"tikv_fdw/test/faults/cluster"
)

const (
	transferrers = 16
	appenders    = 8
	incrementers = 8
	readers      = 3

	// A transaction that hangs longer has an unknown outcome.
	patience = 10 * time.Second
)

// crew is the clients of one round. Each has a connection of its own, as
// different programs would.
type crew struct {
	cancel  context.CancelFunc
	wait    sync.WaitGroup
	clients []*txnkv.Client

	mu    sync.Mutex
	first error // violation that was seen first
}

type client struct {
	crew   *crew
	world  *world
	cli    *txnkv.Client
	random *rand.Rand
}

func startCrew(c *cluster.Cluster, w *world, seed int64) (*crew, error) {
	ctx, cancel := context.WithCancel(context.Background())
	crew := &crew{cancel: cancel}
	jobs := []struct {
		n  int
		do func(*client, context.Context) error
	}{{transferrers, (*client).transfer}, {appenders, (*client).append}, {incrementers, (*client).increment}, {readers, (*client).read}}
	// A few clients are shared, so that one process has several transactions.
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
	// Sessions of SQL beside them; of several nodes only a leader's could write.
	if c.Nodes <= 1 {
		startSessions(ctx, c, crew, w, seed)
	}
	return crew, nil
}

// stop ends the clients, and with them what they still do in the background:
// what they left undone is the next clients' to resolve.
func (c *crew) stop() error {
	c.cancel()
	done := make(chan struct{})
	go func() {
		c.wait.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		return errors.New("clients hang")
	}
	for _, cli := range c.clients {
		_ = cli.Close()
	}
	return c.first
}

func (cl *client) work(ctx context.Context, do func(*client, context.Context) error) {
	for ctx.Err() == nil {
		err := do(cl, ctx)
		var seen violation
		if errors.As(err, &seen) {
			cl.crew.mu.Lock()
			if cl.crew.first == nil {
				cl.crew.first = seen
			}
			cl.crew.mu.Unlock()
			return
		}
		if err != nil && ctx.Err() == nil {
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
		cl.world.committed.Add(1)
		return committed, nil
	}
	var conflict *tikverr.ErrWriteConflict
	var exists *tikverr.ErrKeyExist
	if errors.As(err, &conflict) || errors.As(err, &exists) {
		cl.world.failed.Add(1)
		return refused, err
	}
	cl.world.unknown.Add(1)
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
		keys = append(keys, listKey(i))
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
		v, err := cl.value(ctx, txn, listKey(i))
		base = append(base, stateOfValue(v))
		if err == nil {
			err = txn.Set(listKey(i), append(append([]byte{}, v...), number(id, 0)...))
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
	all, err := readLists(ctx, txn)
	if err != nil {
		return err
	}
	cl.world.history.addRead(listsRead{txn.StartTS(), asked, cl.world.history.now(), statesOf(all)})
	cl.world.reads.Add(1)
	return nil
}
