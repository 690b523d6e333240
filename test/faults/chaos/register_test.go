package main

import (
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// op from a moment to another.
func op(from, to int64, in input, out output) porcupine.Operation {
	in.key = "k"
	if out.unknown {
		to = 1 << 60
	}
	return porcupine.Operation{Input: in, Call: from, Output: out, Return: to}
}

func TestHistories(t *testing.T) {
	putA := input{kind: put, value: "a"}
	putB := input{kind: put, value: "b"}
	read := input{kind: get}
	swapAB := input{kind: swap, expected: "a", value: "b"}
	expireA := input{kind: expire, expected: "a"}
	unknown := output{unknown: true}
	tests := []struct {
		name string
		fine bool
		ops  []porcupine.Operation
	}{
		{"a read sees the write before it", true, []porcupine.Operation{
			op(0, 1, putA, output{}), op(2, 3, read, output{value: "a"})}},
		{"an acknowledged write is lost", false, []porcupine.Operation{
			op(0, 1, putA, output{}), op(2, 3, read, output{value: absent})}},
		{"a read is stale", false, []porcupine.Operation{
			op(0, 1, putA, output{}), op(2, 3, putB, output{}), op(4, 5, read, output{value: "a"})}},
		{"reads go back", false, []porcupine.Operation{
			op(0, 1, putA, output{}), op(2, 9, putB, output{}),
			op(3, 4, read, output{value: "b"}), op(5, 6, read, output{value: "a"})}},
		{"a write of unknown outcome is seen late", true, []porcupine.Operation{
			op(0, 1, putA, output{}), op(2, 3, putB, unknown),
			op(4, 5, read, output{value: "a"}), op(6, 7, read, output{value: "b"})}},
		{"and then stays", false, []porcupine.Operation{
			op(0, 1, putA, output{}), op(2, 3, putB, unknown),
			op(4, 5, read, output{value: "b"}), op(6, 7, read, output{value: "a"})}},
		{"one of two swaps wins", true, []porcupine.Operation{
			op(0, 1, putA, output{}),
			op(2, 5, swapAB, output{value: "a", swapped: true}),
			op(2, 5, swapAB, output{value: "b"})}},
		{"both swaps win", false, []porcupine.Operation{
			op(0, 1, putA, output{}),
			op(2, 5, swapAB, output{value: "a", swapped: true}),
			op(2, 5, swapAB, output{value: "a", swapped: true})}},
		{"a value that nobody wrote", false, []porcupine.Operation{
			op(0, 1, putA, output{}), op(2, 3, read, output{value: "c"})}},
		{"a deleted register is read", false, []porcupine.Operation{
			op(0, 1, putA, output{}), op(2, 3, input{kind: remove}, output{}),
			op(4, 5, read, output{value: "a"})}},
		{"a value ends when its time is over", true, []porcupine.Operation{
			op(0, 1, putA, output{}), op(10, 14, expireA, output{}),
			op(11, 12, read, output{value: "a"}), op(12, 13, read, output{value: absent})}},
		{"and not before", false, []porcupine.Operation{
			op(0, 1, putA, output{}), op(10, 14, expireA, output{}),
			op(8, 9, read, output{value: absent})}},
		{"nor later", false, []porcupine.Operation{
			op(0, 1, putA, output{}), op(10, 14, expireA, output{}),
			op(15, 16, read, output{value: "a"})}},
		{"what was written since does not end with it", false, []porcupine.Operation{
			op(0, 1, putA, output{}), op(2, 3, putB, output{}), op(10, 14, expireA, output{}),
			op(15, 16, read, output{value: absent})}},
	}
	for _, test := range tests {
		if got := porcupine.CheckOperations(register, test.ops); got != test.fine {
			t.Errorf("%s: accepted: %v", test.name, got)
		}
	}
}

// toldOf a history: operations between moments, with these answers.
func (h *history) toldOf(in input, from, to int64, out output) {
	h.end(0, 0, in, from, out)
	for i := range h.ops {
		if h.ops[i].Call == from && h.ops[i].Return != never {
			h.ops[i].Return = to
		}
	}
}

// What removes a range takes both registers of a place, each at a moment of its
// own, and those of another generation not.
func TestRanges(t *testing.T) {
	tests := []struct {
		name     string
		fine     bool
		out      output
		from, to int64  // of the removal
		value    string // that is read from 6 to 7, of the second register
	}{
		{"it is gone", true, output{}, 4, 5, absent},
		{"it is still there", false, output{}, 4, 5, "b"},
		{"it goes later than the first", true, output{}, 4, 9, "b"},
		{"whether it goes is not known", true, output{unknown: true}, 4, 5, "b"},
		{"perhaps it went", true, output{unknown: true}, 4, 5, absent},
	}
	for _, test := range tests {
		h := newHistory(1, 0)
		prefix, _ := h.begin(0)
		h.toldOf(input{key: keyOf(prefix, 0), kind: put, value: "a"}, 0, 1, output{})
		h.toldOf(input{key: keyOf(prefix, 1), kind: put, value: "b"}, 2, 3, output{})
		h.toldOf(input{key: prefix, kind: removeRange}, test.from, test.to, test.out)
		if h.places[0].unknown != h.unknown || test.out.unknown != (h.unknown == 1) || len(h.ops) != 2+perPlace {
			t.Errorf("%s: %d operations, %d of unknown outcome", test.name, len(h.ops), h.unknown)
		}
		h.toldOf(input{key: keyOf(prefix, 1), kind: get}, 6, 7, output{value: test.value})
		if got := porcupine.CheckOperations(register, h.ops); got != test.fine {
			t.Errorf("%s: accepted: %v", test.name, got)
		}
	}
}

// A range holds the registers of a place and of one generation, whatever comes
// after them.
func TestRangeOfPlace(t *testing.T) {
	h := newHistory(2, 0)
	prefix, _ := h.begin(0)
	h.places[0].ops = maxOps
	next, _ := h.begin(0)
	other, _ := h.begin(1)
	for _, key := range []string{keyOf(next, 0), keyOf(other, 1), prefix[:len(prefix)-1]} {
		if key >= prefix && key < endOf(prefix) {
			t.Errorf("%q is between %q and %q", key, prefix, endOf(prefix))
		}
	}
	for i := 0; i < perPlace; i++ {
		if key := keyOf(prefix, i); key < prefix || key >= endOf(prefix) {
			t.Errorf("%q is not between %q and %q", key, prefix, endOf(prefix))
		}
	}
	if len(h.keys) != 3*perPlace {
		t.Errorf("%d keys are read in the end", len(h.keys))
	}
}

// A value with a time to live has an end of its own, between its shortest and
// its longest life; with an unknown beginning, none.
func TestTimeToLive(t *testing.T) {
	h := newHistory(1, 0)
	prefix, call := h.begin(0)
	in := input{key: keyOf(prefix, 0), kind: put, value: "a", ttl: ttlSeconds}
	h.end(0, 0, in, call, output{})
	h.end(0, 0, in, call, output{unknown: true})
	if len(h.ops) != 4 || h.told != 1 || h.unknown != 1 {
		t.Fatalf("%d operations, %d answered, %d of unknown outcome", len(h.ops), h.told, h.unknown)
	}
	begun, ends := h.ops[0], h.ops[1]
	life := ttlSeconds * int64(time.Second)
	if ends.Call != begun.Call+life-int64(ttlSlack) || ends.Return != begun.Return+life+int64(ttlSlack) ||
		ends.Input.(input).kind != expire || ends.Input.(input).expected != "a" {
		t.Errorf("%+v ends as %+v", begun, ends)
	}
	if h.ops[3].Return != never {
		t.Errorf("a value of unknown outcome ends as %+v", h.ops[3])
	}
}
