package main

import (
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

func op(client int, call, end int64, in input, out output) porcupine.Operation {
	return porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out, Return: end}
}

func TestRegister(t *testing.T) {
	write := op(0, 0, 10, input{kind: put, key: "k", value: "a"}, output{})
	for _, test := range []struct {
		name string
		ops  []porcupine.Operation
		fits bool
	}{
		{"a read of what was written", []porcupine.Operation{write,
			op(1, 11, 12, input{kind: get, key: "k"}, output{value: "a"})}, true},
		{"a lost write", []porcupine.Operation{write,
			op(1, 11, 12, input{kind: get, key: "k"}, output{})}, false},
		{"a stale read", []porcupine.Operation{write,
			op(1, 11, 12, input{kind: put, key: "k", value: "b"}, output{}),
			op(2, 13, 14, input{kind: get, key: "k"}, output{value: "a"})}, false},
		{"a swap that says it did and did not", []porcupine.Operation{write,
			op(1, 11, 12, input{kind: swap, key: "k", value: "b", expected: "a"}, output{value: "a", swapped: true}),
			op(2, 13, 14, input{kind: get, key: "k"}, output{value: "a"})}, false},
		{"an unknown write that shows later", []porcupine.Operation{
			op(0, 0, 1<<60, input{kind: put, key: "k", value: "a"}, output{unknown: true}),
			op(1, 11, 12, input{kind: get, key: "k"}, output{}),
			op(1, 13, 14, input{kind: get, key: "k"}, output{value: "a"})}, true},
		{"one that shows and is gone", []porcupine.Operation{
			op(0, 0, 1<<60, input{kind: put, key: "k", value: "a"}, output{unknown: true}),
			op(1, 11, 12, input{kind: get, key: "k"}, output{value: "a"}),
			op(1, 13, 14, input{kind: get, key: "k"}, output{})}, false},
	} {
		got := porcupine.CheckOperationsTimeout(register, test.ops, time.Second) == porcupine.Ok
		if got != test.fits {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

func TestPoints(t *testing.T) {
	all, err := readPoints()
	if err != nil || len(all) < 100 {
		t.Fatalf("%d points: %v", len(all), err)
	}
	for _, p := range all {
		if p.meaning == "" {
			t.Errorf("%s means nothing", p.name)
		}
	}
}
