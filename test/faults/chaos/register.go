package main

import (
	"compress/gzip"
	"fmt"
	"log"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

type kind int

const (
	get kind = iota
	put
	remove
	swap        // compare and swap
	removeRange // of all registers of a place; end makes it a remove of each
	expire      // of a value with a time to live, which nobody asks for
)

// state of a register, and what an operation says about one; absent is the
// register that nobody has written or somebody has deleted.
const absent = ""

type input struct {
	key      string
	kind     kind
	value    string // to write
	expected string // of a swap; that expires
	ttl      int    // of a put, in seconds; 0 is none
	ranged   bool   // a remove by a range
	by       way    // that it was asked in
}

type way int

const (
	toLeader way = iota
	toAnyPeer
	bySQL
	ways
)

type output struct {
	unknown bool   // the client was not told
	value   string // that a get or a swap met
	swapped bool
}

// register is what a key must look like: one value, changed at one moment
// between a request and its answer.
var register = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		keys := map[string][]porcupine.Operation{}
		for _, op := range history {
			key := op.Input.(input).key
			keys[key] = append(keys[key], op)
		}
		parts := make([][]porcupine.Operation, 0, len(keys))
		for _, part := range keys {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() interface{} { return absent },
	Step: func(state, in, out interface{}) (bool, interface{}) {
		return step(state.(string), in.(input), out.(output))
	},
	DescribeOperation: func(in, out interface{}) string {
		return fmt.Sprintf("%+v -> %+v", in.(input), out.(output))
	},
	DescribeState: func(state interface{}) string { return fmt.Sprintf("%q", state.(string)) },
}

// step says whether the operation may answer so in this state, and the next.
func step(state string, in input, out output) (bool, string) {
	switch in.kind {
	case get:
		return out.value == state, state
	case put:
		return true, in.value
	case remove:
		return true, absent
	case expire:
		if state == in.expected {
			return true, absent
		}
		return true, state
	}
	if out.unknown {
		if state == in.expected {
			return true, in.value
		}
		return true, state
	}
	if out.value != state || out.swapped != (state == in.expected) {
		return false, state
	}
	if out.swapped {
		return true, in.value
	}
	return true, state
}

// An operation whose outcome is unknown may take effect whenever later; the
// checker has to try all of it, so a register is given up after a few.
const (
	maxUnknown = 4
	maxOps     = 400
)

// A place has so many registers, side by side, which one request for a range
// removes.  It does not at one moment, but each of them at one moment between
// its request and its answer, as if by a request of its own.
const perPlace = 2

// Of a time to live: servers have whole seconds, their own clock, and look at
// it when they begin.
const (
	ttlSeconds = 2
	ttlSlack   = 1500 * time.Millisecond
)

// place is registers in use: their keys change when they are worn out.
type place struct {
	number     int
	lap        int
	generation int
	ops        int
	unknown    int
}

// Eight bytes first: nemesis splits regions behind them.  What removes a range
// takes the keys that begin so, and no others will.
func (p *place) prefix() string {
	return fmt.Sprintf("chaos%03d/%03d/%06d/", p.number, p.lap, p.generation)
}

func keyOf(prefix string, register int) string {
	return prefix + strconv.Itoa(register)
}

// endOf the range of all that begins so: '0' comes after '/'.
func endOf(prefix string) string {
	return strings.TrimSuffix(prefix, "/") + "0"
}

// history is what all clients did and saw.
type history struct {
	mutex   sync.Mutex
	strange error // an answer that may never be
	places  []*place
	began   time.Time
	ops     []porcupine.Operation
	told    int // operations that were answered
	unknown int
	ranges  int // removed, of those that were answered
	values  int
	keys    map[string]bool
	tally   map[string]int // of what was answered, by what and how it was asked
}

func newHistory(registers, lap int) *history {
	h := &history{began: time.Now(), keys: map[string]bool{}, tally: map[string]int{}}
	for i := 0; i < registers; i++ {
		h.places = append(h.places, &place{number: i, lap: lap})
	}
	return h
}

// begin takes the place into use for one operation on its registers.
func (h *history) begin(number int) (prefix string, call int64) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	p := h.places[number]
	if p.ops >= maxOps || p.unknown >= maxUnknown {
		p.generation, p.ops, p.unknown = p.generation+1, 0, 0
	}
	p.ops++
	for i := 0; i < perPlace; i++ {
		h.keys[keyOf(p.prefix(), i)] = true
	}
	return p.prefix(), int64(time.Since(h.began))
}

// newValue is one that nobody else writes.
func (h *history) newValue() string {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.values++
	return fmt.Sprintf("v%d", h.values)
}

// An operation that may take effect whenever later has its end here.
const never = int64(1) << 60

// end notes the outcome.  An unknown one has no end; a read without an answer
// says nothing.
func (h *history) end(client, number int, in input, call int64, out output) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	back := int64(time.Since(h.began))
	if out.unknown {
		if in.kind == get {
			return
		}
		back = never
		h.unknown++
		if p := h.places[number]; strings.HasPrefix(in.key, p.prefix()) {
			p.unknown++
		}
	} else {
		h.told++
		h.tally[in.describe(out)]++
	}
	if in.kind != removeRange {
		h.add(client, in, call, out, back)
		return
	}
	if !out.unknown {
		h.ranges++
	}
	for i := 0; i < perPlace; i++ {
		h.add(client, input{key: keyOf(in.key, i), kind: remove, ranged: true}, call, out, back)
	}
}

// add an operation; of a value with a time to live also its end, which comes
// once that time is over and does nothing if something else is there by then.
func (h *history) add(client int, in input, call int64, out output, back int64) {
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out, Return: back})
	if in.kind != put || in.ttl == 0 {
		return
	}
	ttl := int64(in.ttl) * int64(time.Second)
	if back != never {
		back += ttl + int64(ttlSlack)
	}
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Call: call + ttl - int64(ttlSlack), Output: out,
		Input: input{key: in.key, kind: expire, expected: in.value}, Return: back})
}

// nothing was done, as a session was told: the history is one without it.
func (h *history) nothing(in input) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.tally[in.describe(output{})+" refused"]++
}

// note an answer that may never be; nil is none.
func (h *history) note(err error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.strange == nil {
		h.strange = err
	}
}

// mayNotBe is the first of such answers.
func (h *history) mayNotBe() error {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return h.strange
}

// write it down, in the order of requests, compressed.
func (h *history) write(path string) {
	file, err := os.Create(path)
	if err != nil {
		log.Print(err)
		return
	}
	defer file.Close()
	h.mutex.Lock()
	defer h.mutex.Unlock()
	text := gzip.NewWriter(file)
	defer text.Close()
	sort.Slice(h.ops, func(i, j int) bool { return h.ops[i].Call < h.ops[j].Call })
	for _, op := range h.ops {
		fmt.Fprintf(text, "%12d %20d client %4d %+v -> %+v\n", op.Call, op.Return, op.ClientId, op.Input, op.Output)
	}
}

// count of the operations that were answered.
func (h *history) answered() int {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return h.told
}
