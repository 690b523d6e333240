package bank

import (
	"fmt"
	"strings"
)

// Worked fails if one kind of client was never acknowledged anything, or
// nothing of the lists was judged: what is checked of it would be true of
// nothing.  To be asked after a check.
func (w *World) Worked() error {
	increments := 0
	w.mu.Lock()
	for _, numbers := range w.numbers {
		increments += len(numbers)
	}
	w.mu.Unlock()
	var none []string
	for _, one := range []struct {
		what string
		done bool
	}{
		{"transactions of client-go", w.Committed.Load() > w.BySQL.Load()},
		{"transactions of SQL", w.BySQL.Load() > 0},
		{"snapshots of client-go", w.Reads.Load() > w.ReadsBySQL.Load()},
		{"snapshots of SQL", w.ReadsBySQL.Load() > 0},
		{"increments of a counter", increments > 0},
		{"appends and snapshots of lists that were judged", w.History() != ""},
	} {
		if !one.done {
			none = append(none, one.what)
		}
	}
	if len(none) > 0 {
		return fmt.Errorf("nothing was done, so nothing was checked: no %s", strings.Join(none, ", no "))
	}
	return nil
}
