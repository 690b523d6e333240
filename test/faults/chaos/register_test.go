package main

import (
	"testing"

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
	}
	for _, test := range tests {
		if got := porcupine.CheckOperations(register, test.ops); got != test.fine {
			t.Errorf("%s: accepted: %v", test.name, got)
		}
	}
}
