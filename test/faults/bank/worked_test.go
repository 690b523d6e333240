package bank

import (
	"strings"
	"testing"
)

// TestWorked: each kind of client that did nothing is missed.
func TestWorked(t *testing.T) {
	for _, test := range []struct {
		undo func(w *World)
		none string
	}{
		{func(w *World) {}, ""},
		{func(w *World) { w.Committed.Store(2) }, "no transactions of client-go"},
		{func(w *World) { w.BySQL.Store(0) }, "no transactions of SQL"},
		{func(w *World) { w.Reads.Store(1) }, "no snapshots of client-go"},
		{func(w *World) { w.ReadsBySQL.Store(0) }, "no snapshots of SQL"},
		{func(w *World) { clear(w.numbers[0]) }, "no increments"},
		{func(w *World) { w.history.checkedReads = 0 }, "no appends and snapshots"},
		{func(w *World) { w.history.checkedAppends = 0 }, "no appends and snapshots"},
	} {
		w := NewWorld()
		w.Committed.Store(3)
		w.BySQL.Store(2)
		w.Reads.Store(2)
		w.ReadsBySQL.Store(1)
		w.numbers[0][1] = true
		w.history.checkedReads, w.history.checkedAppends = 1, 1
		test.undo(w)
		err := w.Worked()
		if (err == nil) != (test.none == "") || err != nil && !strings.Contains(err.Error(), test.none) {
			t.Errorf("%q: %v", test.none, err)
		}
	}
}
