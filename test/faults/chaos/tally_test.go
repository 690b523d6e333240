package main

import (
	"strings"
	"testing"
)

// What was answered counts by what and how it was asked; what was not, not.
func TestTally(t *testing.T) {
	h := newHistory(1, 0)
	prefix, _ := h.begin(0)
	key := keyOf(prefix, 0)
	h.end(0, 0, input{key: key, kind: get, by: toAnyPeer}, 0, output{})
	h.end(0, 0, input{key: key, kind: swap}, 0, output{swapped: true})
	h.end(0, 0, input{key: key, kind: swap}, 0, output{})
	h.end(0, 0, input{key: prefix, kind: removeRange, by: bySQL}, 0, output{})
	h.end(0, 0, input{key: key, kind: put}, 0, output{unknown: true})
	const text = "answered: get by any peer 1, remove range by SQL 1, swap 1, swap refused 1\n"
	if got := tallyText(h.tally); got != text {
		t.Errorf("%q", got)
	}
	if err := missing(h.tally, []string{"get by any peer", "put", "swap", "get"}); err == nil ||
		!strings.HasSuffix(err.Error(), "answered: put, get") {
		t.Errorf("%v", err)
	}
	for _, name := range wanted {
		h.tally[name] = 1
	}
	if err := missing(h.tally, wanted); err != nil {
		t.Error(err)
	}
}
