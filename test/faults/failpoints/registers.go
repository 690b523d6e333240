package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/pingcap/kvproto/pkg/errorpb"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/tikvpb"

	"tikv_fdw/test/faults/nemesis"
)

// kind of an operation on a register, which is a raw key.
type kind int

const (
	get kind = iota
	put
	swap // compare and swap
)

type input struct {
	key             string
	kind            kind
	value, expected string
}

type output struct {
	unknown bool // the client was not told
	value   string
	swapped bool
}

// register is one value that changes at one moment between a request and its
// answer; "" is one that nobody has written.
var register = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		keys := map[string][]porcupine.Operation{}
		for _, op := range history {
			keys[op.Input.(input).key] = append(keys[op.Input.(input).key], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range keys {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() interface{} { return "" },
	Step: func(state, in, out interface{}) (bool, interface{}) {
		return step(state.(string), in.(input), out.(output))
	},
	DescribeOperation: func(in, out interface{}) string {
		return fmt.Sprintf("%+v -> %+v", in, out)
	},
}

// step says whether the answer fits this state, and what the next one is.
func step(state string, in input, out output) (bool, string) {
	switch {
	case in.kind == get:
		return out.value == state, state
	case in.kind == put:
		return true, in.value
	case out.unknown && state == in.expected:
		return true, in.value
	case out.unknown:
		return true, state
	case out.value != state || out.swapped != (state == in.expected):
		return false, state
	case out.swapped:
		return true, in.value
	}
	return true, state
}

const (
	nRegisters  = 6
	nClients    = 6
	opTimeout   = 3 * time.Second // of one message
	giveUp      = 30 * time.Second
	retryPause  = 10 * time.Millisecond
	maxUnknown  = 5 // then a register is given up: the checker tries all of it
	maxOps      = 600
	checkerTime = time.Minute
)

// registers are the clients at work during one crash, and what they saw.
type registers struct {
	cluster *world
	name    string
	shelf   shelf
	resting atomic.Bool // those of the shelf
	began   time.Time
	stop    chan struct{}
	done    sync.WaitGroup

	mutex   sync.Mutex
	places  [nRegisters]struct{ generation, ops, unknown int }
	keys    map[string]bool
	ops     []porcupine.Operation
	shelved int // of them that were answered on the shelf
	values  int
	unknown int
	last    time.Time // of an answer
	gap     time.Duration
}

func startRegisters(w *world, name string, shelf shelf, random *rand.Rand) *registers {
	r := &registers{cluster: w, name: name, shelf: shelf, began: time.Now(), last: time.Now(),
		stop: make(chan struct{}), keys: map[string]bool{}}
	for id := 0; id < nClients; id++ {
		r.done.Add(1)
		go r.work(id, rand.New(rand.NewSource(random.Int63())))
	}
	return r
}

// begin an operation on a register; a new key if that is worn out.
func (r *registers) begin(number int) (key string, call int64) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	p := &r.places[number]
	if p.unknown >= maxUnknown || p.ops >= maxOps {
		p.generation, p.unknown, p.ops = p.generation+1, 0, 0
	}
	p.ops++
	key = fmt.Sprintf("fp/%s/%d/%d", r.name, number, p.generation)
	if r.onShelf(number) {
		key = r.shelf.register(number, p.generation)
	}
	r.keys[key] = true
	return key, int64(time.Since(r.began))
}

func (r *registers) newValue() string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.values++
	return fmt.Sprintf("%s-%d", r.name, r.values)
}

// end notes an outcome; one that is unknown has no end.
func (r *registers) end(id, number int, in input, call int64, out output) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	op := porcupine.Operation{ClientId: id, Input: in, Call: call, Output: out,
		Return: int64(time.Since(r.began))}
	if !out.unknown {
		if r.onShelf(number) {
			r.shelved++
		}
		r.gap = max(r.gap, time.Since(r.last))
		r.last = time.Now()
	} else {
		if in.kind == get {
			return
		}
		op.Return = int64(1) << 60
		r.unknown++
		r.places[number].unknown++
	}
	r.ops = append(r.ops, op)
}

func (r *registers) answered() (all, shelved int) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return len(r.ops) - r.unknown, r.shelved
}

func (r *registers) work(id int, random *rand.Rand) {
	defer r.done.Done()
	c := newRawClient(r.cluster)
	seen := map[string]string{}
	for {
		select {
		case <-r.stop:
			return
		case <-time.After(time.Duration(2+random.Intn(6)) * time.Millisecond):
		}
		number := random.Intn(nRegisters)
		if r.shelf != (shelf{}) {
			// A region that does not answer stops its own clients alone.
			number = number/2*2 + id%2
		}
		if r.onShelf(number) && r.resting.Load() {
			continue
		}
		key, call := r.begin(number)
		in := input{key: key, kind: get}
		switch random.Intn(5) {
		case 0, 1:
			in.kind, in.value = put, r.newValue()
		case 2:
			in.kind, in.value, in.expected = swap, r.newValue(), seen[key]
		}
		out, err := c.do(in)
		if err != nil {
			continue // nothing was done
		}
		if !out.unknown && in.kind != put {
			seen[key] = out.value
		}
		r.end(id, number, in, call, out)
	}
}

// waitForAnswers until so many operations more are answered, a quarter of them
// on the shelf if there is one.
func (r *registers) waitForAnswers(more int, patience time.Duration) error {
	shelved := 0
	if r.shelf != (shelf{}) {
		shelved = more / 4
	}
	before, beforeShelved := r.answered()
	for began := time.Now(); time.Since(began) < patience; time.Sleep(5 * time.Millisecond) {
		if all, there := r.answered(); all >= before+more && there >= beforeShelved+shelved {
			return nil
		}
	}
	all, there := r.answered()
	return fmt.Errorf("%d operations were answered in %v, %d of them in the region of the step", all-before, patience, there-beforeShelved)
}

// finish reads every register once more and asks the checker.
func (r *registers) finish() error {
	close(r.stop)
	r.done.Wait()
	c := newRawClient(r.cluster)
	for key := range r.keys {
		in := input{key: key, kind: get}
		call := int64(time.Since(r.began))
		out, err := c.do(in)
		if err != nil || out.unknown {
			return fmt.Errorf("%q cannot be read: %v", key, err)
		}
		r.end(nClients, 0, in, call, out)
	}
	switch porcupine.CheckOperationsTimeout(register, r.ops, checkerTime) {
	case porcupine.Ok:
		return nil
	case porcupine.Unknown:
		return fmt.Errorf("the checker could not decide %d operations in %v", len(r.ops), checkerTime)
	}
	return errors.New("the history is not linearizable")
}

// visualize writes the history where a person can look at it.
func (r *registers) visualize(path string) {
	_, info := porcupine.CheckOperationsVerbose(register, r.ops, checkerTime)
	_ = porcupine.VisualizePath(register, info, path)
}

// ---- one client, which repeats only what certainly did nothing

type rawClient struct {
	cluster *world
	place   *place
}

func newRawClient(w *world) *rawClient {
	return &rawClient{cluster: w}
}

type rawResponse interface {
	GetRegionError() *errorpb.Error
	GetError() string
}

// errNothing is of an operation that certainly did nothing.
var errNothing = errors.New("nothing was done")

func (c *rawClient) do(in input) (output, error) {
	for began := time.Now(); time.Since(began) < giveUp; time.Sleep(retryPause) {
		if c.place == nil {
			if c.place, _ = c.cluster.find(in.key); c.place == nil {
				continue
			}
		}
		out, done, err := c.attempt(in)
		if done {
			return out, nil
		}
		if err != nil && in.kind != get {
			return output{unknown: true}, nil
		}
	}
	return output{}, errNothing
}

// attempt is one message; err: it may have done something.
func (c *rawClient) attempt(in input) (out output, done bool, err error) {
	conn, address, err := c.cluster.storeConn(c.place.leader.StoreId)
	if err != nil {
		c.place = nil
		return out, false, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	r, err := c.send(ctx, tikvpb.NewTikvClient(conn), in, &out)
	if err != nil {
		c.place = nil
		c.cluster.suspect(address)
		if neverLeft(err) {
			err = nil
		}
		return out, false, err
	}
	if e := r.GetRegionError(); e != nil {
		if l := e.GetNotLeader().GetLeader(); l.GetId() != 0 {
			c.place.leader = l
			return out, false, nil
		}
		c.place = nil
		if nemesis.Undetermined(e) {
			return out, false, errors.New("a later leader may commit it")
		}
		return out, false, nil
	}
	if r.GetError() != "" {
		return out, false, errors.New(r.GetError())
	}
	return out, true, nil
}

func (c *rawClient) send(ctx context.Context, kv tikvpb.TikvClient, in input, out *output) (rawResponse, error) {
	where := &kvrpcpb.Context{RegionId: c.place.region.Id, RegionEpoch: c.place.region.RegionEpoch, Peer: c.place.leader}
	key, value := []byte(in.key), []byte(in.value)
	switch in.kind {
	case get:
		r, err := kv.RawGet(ctx, &kvrpcpb.RawGetRequest{Context: where, Key: key})
		out.value = string(r.GetValue())
		return r, err
	case put:
		return kv.RawPut(ctx, &kvrpcpb.RawPutRequest{Context: where, Key: key, Value: value, ForCas: true})
	}
	r, err := kv.RawCompareAndSwap(ctx, &kvrpcpb.RawCASRequest{Context: where, Key: key, Value: value,
		PreviousNotExist: in.expected == "", PreviousValue: []byte(in.expected)})
	out.value, out.swapped = string(r.GetPreviousValue()), r.GetSucceed()
	return r, err
}
