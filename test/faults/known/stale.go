package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
)

// Numbers are written to one register, each greater than the one before, and
// every node is asked for it all the time: none may show one that is smaller
// than what was acknowledged before it was asked.
const register = "chaos/known/register"

type watcher struct {
	*test
	follower bool // ask with replica_read
	cancel   context.CancelFunc
	wait     sync.WaitGroup
	acked    atomic.Int64
	paused   atomic.Bool
	resting  atomic.Bool
	answers  [3]atomic.Int64

	mutex sync.Mutex
	stale error
}

func (t *test) watch(follower bool, readers int) *watcher {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{test: t, follower: follower, cancel: cancel}
	w.wait.Add(1 + 3*readers)
	go func() {
		defer w.wait.Done()
		w.write(ctx)
	}()
	for node := 0; node < 3; node++ {
		for i := 0; i < readers; i++ {
			go func() {
				defer w.wait.Done()
				w.read(ctx, node)
			}()
		}
	}
	return w
}

func (w *watcher) stop() error {
	w.cancel()
	w.wait.Wait()
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.stale
}

// rest until no write is under way.
func (w *watcher) rest() {
	w.paused.Store(true)
	for !w.resting.Load() {
		time.Sleep(time.Millisecond)
	}
}

func (w *watcher) goOn() {
	w.resting.Store(false)
	w.paused.Store(false)
}

// awaitWrites until so many more are acknowledged.
func (w *watcher) awaitWrites(more int64) error {
	wanted := w.acked.Load() + more
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(5 * time.Millisecond) {
		if w.acked.Load() >= wanted {
			return nil
		}
	}
	return errors.New("nobody takes writes for a minute")
}

// write to whoever takes it, of all nodes in turn.
func (w *watcher) write(ctx context.Context) {
	node := 0
	for n := int64(1); ctx.Err() == nil; {
		if w.paused.Load() {
			w.resting.Store(true)
			time.Sleep(time.Millisecond)
			continue
		}
		limited, cancel := context.WithTimeout(ctx, 2*time.Second)
		err := w.put(limited, node, register, strconv.FormatInt(n, 10))
		cancel()
		if err == nil {
			w.acked.Store(n)
			time.Sleep(time.Millisecond)
		} else {
			node = (node + 1) % 3
		}
		// One of unknown outcome may come later: it is smaller than all that follow.
		n++
	}
}

func (w *watcher) read(ctx context.Context, node int) {
	for ctx.Err() == nil {
		before := w.acked.Load()
		// A stopped process answers when it goes on.
		limited, cancel := context.WithTimeout(ctx, 20*time.Second)
		value, err := w.get(limited, node, register, w.follower)
		cancel()
		if err != nil {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		w.answers[node].Add(1)
		if n, _ := strconv.ParseInt(value, 10, 64); n < before {
			w.mutex.Lock()
			if w.stale == nil {
				w.stale = fmt.Errorf("node %d shows %q after %d was acknowledged", node, value, before)
			}
			w.mutex.Unlock()
		}
	}
}

// context of a request to a node, whatever its role.
func (t *test) context(node int, key string) (*kvrpcpb.Context, error) {
	peer, region, err := t.PeerOf(node, key)
	if err != nil {
		return nil, err
	}
	return &kvrpcpb.Context{RegionId: region.Id, RegionEpoch: region.RegionEpoch, Peer: peer}, nil
}

var contexts sync.Map // by node and key: asking PD each time would be slow

func (t *test) known(node int, key string) (*kvrpcpb.Context, error) {
	name := fmt.Sprint(node, key)
	if c, ok := contexts.Load(name); ok {
		return c.(*kvrpcpb.Context), nil
	}
	c, err := t.context(node, key)
	if err == nil {
		contexts.Store(name, c)
	}
	return c, err
}

type answer interface {
	GetError() string
}

func (t *test) put(ctx context.Context, node int, key, value string) error {
	c, err := t.known(node, key)
	if err != nil {
		return err
	}
	kv, err := t.Store(node)
	if err != nil {
		return err
	}
	r, err := kv.RawPut(ctx, &kvrpcpb.RawPutRequest{Context: c, Key: []byte(key), Value: []byte(value), ForCas: true})
	if err == nil && r.RegionError != nil {
		contexts.Delete(fmt.Sprint(node, key))
		return fmt.Errorf("%s", r.RegionError)
	}
	return failure(r, err)
}

func failure(r answer, err error) error {
	if err == nil && r.GetError() != "" {
		err = errors.New(r.GetError())
	}
	return err
}

func (t *test) get(ctx context.Context, node int, key string, follower bool) (string, error) {
	c, err := t.known(node, key)
	if err != nil {
		return "", err
	}
	kv, err := t.Store(node)
	if err != nil {
		return "", err
	}
	r, err := kv.RawGet(ctx, &kvrpcpb.RawGetRequest{Key: []byte(key), Context: &kvrpcpb.Context{RegionId: c.RegionId,
		RegionEpoch: c.RegionEpoch, Peer: c.Peer, ReplicaRead: follower}})
	if err == nil && r.RegionError != nil {
		if r.RegionError.GetNotLeader() == nil {
			contexts.Delete(fmt.Sprint(node, key))
		}
		return "", fmt.Errorf("%s", r.RegionError)
	}
	return string(r.GetValue()), failure(r, err)
}

// The old leader hears nothing any more when it has handed over: only by itself
// can it know that its lease is over.
func leaseAfterTransfer(t *test) error {
	w := t.watch(false, 3)
	rounds, orders := 0, 0
	err := w.awaitWrites(10)
	for ; err == nil && rounds < 3; rounds++ {
		var n int
		n, err = t.handOver(register, 1,
			// The order needs a follower that has everything.
			func() { w.rest(); time.Sleep(300 * time.Millisecond) },
			func(old int) { t.CutTo(old); w.goOn() })
		orders += n
		if err == nil {
			err = w.awaitWrites(50)
		}
		t.Heal()
	}
	err = errors.Join(err, w.stop())
	var fast, refused int
	if err == nil {
		fast, refused, err = t.oldLeadersRead()
	}
	t.say("%d transfers of %d ordered, old leaders cut off, %d numbers written; %d old leaders asked before their lease would have been over, %d times refused",
		rounds, orders, w.acked.Load(), fast, refused)
	return err
}

// Processes that stand still, all of a node and one reader alone.
func leaseAfterStop(t *test) error {
	err := t.leaderStopped()
	if err != nil {
		return err
	}
	whole := t.said
	refused, current, err := t.readersStopped()
	t.say("%s; %d readers stopped at failpoints between their looks at the lease until another node had taken a write: %d refused, %d current",
		whole, refused+current, refused, current)
	return err
}

// All readers of the stopped node have sent their requests when it goes on: that
// one looks at its lease at all.
func (t *test) leaderStopped() error {
	w := t.watch(false, 8)
	rounds := 0
	err := w.awaitWrites(10)
	for ; err == nil && rounds < 2; rounds++ {
		var old int
		var resume func()
		if old, err = t.Leader(); err != nil {
			break
		}
		before := w.answers[old].Load()
		if resume, err = t.Cluster.Pause(old); err != nil {
			break
		}
		if _, err = t.AwaitLeader(old); err == nil {
			err = w.awaitWrites(50)
		}
		resume()
		if err == nil && before == 0 {
			err = errors.New("the leader answered nothing before it was stopped")
		}
		time.Sleep(time.Second)
	}
	err = errors.Join(err, w.stop())
	t.say("%d leaders stopped until another one led, 8 reads sent meanwhile, %d numbers written", rounds, w.acked.Load())
	return err
}

func indexAfterTransfer(t *test) error {
	w := t.watch(true, 3)
	rounds, orders := 0, 0
	err := w.awaitWrites(10)
	for ; err == nil && rounds < 8; rounds++ {
		var n int
		n, err = t.handOver(register, 1+rounds%2, func() {}, func(int) {})
		orders += n
		if err == nil {
			err = w.awaitWrites(20)
		}
	}
	err = errors.Join(err, w.stop())
	for node := range w.answers {
		if err == nil && w.answers[node].Load() == 0 {
			err = fmt.Errorf("node %d answered no read", node)
		}
	}
	var reads int
	if err == nil {
		reads, err = t.indexOfNewLeader()
	}
	t.say("%d transfers of %d ordered, %d numbers written, %d reads by followers and leaders; %d beside a leader that did not know what was committed",
		rounds, orders, w.acked.Load(), w.answers[0].Load()+w.answers[1].Load()+w.answers[2].Load(), reads)
	return err
}
