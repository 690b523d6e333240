package main

import (
	"fmt"
	"log"
	"os"
	"sort"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

type kind int

const (
	get kind = iota
	put
	remove
	swap // compare and swap
)

// state of a register, and what an operation says about one; absent is the
// register that nobody has written or somebody has deleted.
const absent = ""

type input struct {
	key      string
	kind     kind
	value    string // to write
	expected string // of a swap
}

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

// place is a register in use: its key changes when it is worn out.
type place struct {
	number     int
	lap        int
	generation int
	ops        int
	unknown    int
}

// Eight bytes first: nemesis splits regions behind them.
func (p *place) key() string {
	return fmt.Sprintf("chaos%03d/%03d/%06d", p.number, p.lap, p.generation)
}

// history is what all clients did and saw.
type history struct {
	mutex   sync.Mutex
	strange error // an answer that may never be
	places  []*place
	began   time.Time
	ops     []porcupine.Operation
	unknown int
	values  int
	keys    map[string]bool
}

func newHistory(registers, lap int) *history {
	h := &history{began: time.Now(), keys: map[string]bool{}}
	for i := 0; i < registers; i++ {
		h.places = append(h.places, &place{number: i, lap: lap})
	}
	return h
}

// begin takes the place into use for one operation.
func (h *history) begin(number int) (key string, call int64) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	p := h.places[number]
	if p.ops >= maxOps || p.unknown >= maxUnknown {
		p.generation, p.ops, p.unknown = p.generation+1, 0, 0
	}
	p.ops++
	h.keys[p.key()] = true
	return p.key(), int64(time.Since(h.began))
}

// newValue is one that nobody else writes.
func (h *history) newValue() string {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.values++
	return fmt.Sprintf("v%d", h.values)
}

// end notes the outcome.  An unknown one has no end; a read without an answer
// says nothing.
func (h *history) end(client, number int, in input, call int64, out output) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	op := porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out,
		Return: int64(time.Since(h.began))}
	if out.unknown {
		if in.kind == get {
			return
		}
		op.Return = int64(1) << 60
		h.unknown++
		if p := h.places[number]; p.key() == in.key {
			p.unknown++
		}
	}
	h.ops = append(h.ops, op)
}

// note an answer that may never be; nil is none.
func (h *history) note(err error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.strange == nil {
		h.strange = err
	}
}

// write it down, in the order of requests.
func (h *history) write(path string) {
	file, err := os.Create(path)
	if err != nil {
		log.Print(err)
		return
	}
	defer file.Close()
	sort.Slice(h.ops, func(i, j int) bool { return h.ops[i].Call < h.ops[j].Call })
	for _, op := range h.ops {
		fmt.Fprintf(file, "%12d %20d client %4d %+v -> %+v\n", op.Call, op.Return, op.ClientId, op.Input, op.Output)
	}
}

// count of the operations that were answered.
func (h *history) answered() int {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return len(h.ops) - h.unknown
}
