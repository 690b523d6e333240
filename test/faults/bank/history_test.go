package bank

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// good is a history that a right store may have: append 1 to lists 0 and 1 at
// 20, append 2 to list 0 at 40, snapshots at 10, 30 and 50, append 3 refused.
func good() (*history, [lists][]uint64) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	at := func(zero, one []uint64) (all [lists]state) {
		all[0], all[1] = stateOf(zero), stateOf(one)
		return all
	}
	none := stateOf(nil)
	h := newHistory()
	h.appends = []listsAppend{
		{1, []int{0, 1}, []state{none, none}, ms(10), ms(20), committed, 20},
		{2, []int{0}, []state{stateOf([]uint64{1})}, ms(30), ms(40), committed, 40},
		{3, []int{1}, []state{none}, ms(10), ms(20), refused, 0},
		{4, []int{1}, []state{none}, ms(10), ms(20), unknown, 0},
	}
	h.reads = []listsRead{
		{10, ms(5), ms(9), at(nil, nil)},
		{30, ms(22), ms(29), at([]uint64{1}, []uint64{1})},
		{50, ms(45), ms(50), at([]uint64{1, 2}, []uint64{1})},
		{0, ms(45), ms(50), at([]uint64{1, 2}, []uint64{1})},
	}
	return h, [lists][]uint64{{1, 2}, {1}}
}

func TestGoodHistory(t *testing.T) {
	h, final := good()
	if err := h.check(final); err != nil {
		t.Fatal(err)
	}
}

// TestWritten: each append and each snapshot is a line.
func TestWritten(t *testing.T) {
	h, _ := good()
	path := filepath.Join(t.TempDir(), "bank.txt.gz")
	if err := h.write(path); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	text, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(text)
	if err != nil || strings.Count(string(all), " append {") != len(h.appends) ||
		strings.Count(string(all), " snapshot {") != len(h.reads) || !strings.Contains(string(all), "commitTS:40") {
		t.Errorf("%s, %v", all, err)
	}
}

// TestSettled: what a check has seen, no later one may lack.
func TestSettled(t *testing.T) {
	h, final := good()
	if err := h.check(final); err != nil {
		t.Fatal(err)
	}
	if h.settled[0] != 2 || h.lastTS[0] != 40 || len(h.reads)+len(h.appends) != 0 {
		t.Errorf("settled %v at %v", h.settled, h.lastTS)
	}
	h.reads = []listsRead{{60, 0, 0, [lists]state{}}}
	if err := h.check(final); err == nil || !strings.Contains(err.Error(), "long before") {
		t.Errorf("an empty snapshot was accepted: %v", err)
	}
}

// TestBadHistories spoils the good one in every way that the checker is for.
func TestBadHistories(t *testing.T) {
	for _, bad := range []struct {
		what, want string
		spoil      func(h *history, final *[lists][]uint64)
	}{
		{"twice", "twice", func(h *history, f *[lists][]uint64) { f[0] = []uint64{1, 1, 2} }},
		{"lost append", "not on list", func(h *history, f *[lists][]uint64) {
			f[0] = []uint64{1}
			h.reads = h.reads[:2]
		}},
		{"refused append", "failed for certain", func(h *history, f *[lists][]uint64) { f[1] = []uint64{1, 3} }},
		{"torn append", "part of its lists", func(h *history, f *[lists][]uint64) {
			f[1] = nil
			h.reads = h.reads[:1]
		}},
		{"lost update", "update was lost", func(h *history, f *[lists][]uint64) { h.appends[1].base[0] = stateOf(nil) }},
		{"another base", "update was lost", func(h *history, f *[lists][]uint64) { h.appends[1].base[0] = stateOf([]uint64{7}) }},
		{"unknown append on an old base", "update was lost", func(h *history, f *[lists][]uint64) { f[1] = []uint64{1, 4} }},
		{"value that never was", "no beginning", func(h *history, f *[lists][]uint64) { h.reads[2].lists[0] = stateOf([]uint64{2, 1}) }},
		{"value of the future", "no beginning", func(h *history, f *[lists][]uint64) { h.reads[2].lists[0] = stateOf([]uint64{1, 2, 9}) }},
		{"torn snapshot", "part of its lists", func(h *history, f *[lists][]uint64) { h.reads[1].lists[1] = stateOf(nil) }},
		{"stale for long", "long before", func(h *history, f *[lists][]uint64) { h.settled[1] = 1 }},
		{"timestamps of before", "after one at", func(h *history, f *[lists][]uint64) { h.lastTS[1] = 20 }},
		{"stale snapshot", "stale", func(h *history, f *[lists][]uint64) {
			h.reads[3].lists[0], h.reads[3].lists[1] = stateOf(nil), stateOf(nil)
		}},
		{"snapshot before an acknowledged commit", "stale", func(h *history, f *[lists][]uint64) {
			h.reads[2].ts, h.reads[2].lists[0] = 39, stateOf([]uint64{1})
		}},
		{"seen too early by timestamp", "committed at", func(h *history, f *[lists][]uint64) { h.reads[2].ts = 39 }},
		{"missed by timestamp", "committed at", func(h *history, f *[lists][]uint64) {
			h.reads[1].ts, h.reads[1].answered, h.reads[1].asked = 40, h.reads[2].answered, h.appends[1].asked
		}},
		{"seen before it began", "began later", func(h *history, f *[lists][]uint64) { h.reads[2].answered = h.appends[1].asked - 1 }},
		{"timestamps that fall", "after one at", func(h *history, f *[lists][]uint64) { h.appends[1].commitTS = 20 }},
		{"commit before an acknowledged one", "began after a later one", func(h *history, f *[lists][]uint64) {
			h.reads = nil
			h.appends[0].asked, h.appends[0].answered = h.appends[1].answered+1, h.appends[1].answered+2
		}},
		{"SQL sees a later commit and not an earlier one", "and lacks append", func(h *history, f *[lists][]uint64) { h.apart(f); h.reads = h.reads[:1] }},
		{"two of SQL see commits in two orders", "each lacks", func(h *history, f *[lists][]uint64) {
			h.apart(f)
			h.appends[0].commitTS, h.appends[1].commitTS = 0, 0
		}},
	} {
		h, final := good()
		bad.spoil(h, &final)
		err := h.check(final)
		if err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s: want an error of %q, got %v", bad.what, bad.want, err)
		}
	}
}

// apart are two appends to a list each, at 20 and 40, under way while two
// sessions of SQL read one of them each, the first one the later.
func (h *history) apart(final *[lists][]uint64) {
	none := []state{stateOf(nil)}
	final[0], final[1] = []uint64{1}, []uint64{2}
	h.appends = []listsAppend{
		{1, []int{0}, none, 10, 90, committed, 20},
		{2, []int{1}, none, 10, 90, committed, 40},
	}
	h.reads = []listsRead{{asked: 20, answered: 80}, {asked: 20, answered: 80}}
	h.reads[0].lists[1], h.reads[1].lists[0] = stateOf([]uint64{2}), stateOf([]uint64{1})
}

// TestStateOfValue: the stored form has the fingerprint of its numbers.
func TestStateOfValue(t *testing.T) {
	v := append(number(7, 0), number(1<<60, 0)...)
	if stateOfValue(v) != stateOf([]uint64{7, 1 << 60}) || stateOfValue(nil) != stateOf(nil) {
		t.Error("two forms of a list differ")
	}
}

// TestCountedTwice: two acknowledged increments never give the same number.
func TestCountedTwice(t *testing.T) {
	w := NewWorld()
	for _, n := range []uint64{1, 2, 5, 4} {
		if err := w.count(0, n); err != nil {
			t.Fatal(err)
		}
	}
	if w.counted[0].Load() != 5 {
		t.Errorf("the highest is %d, not 5", w.counted[0].Load())
	}
	if err := w.count(0, 4); err == nil {
		t.Error("the same number twice was accepted")
	}
	if err := w.count(1, 4); err != nil {
		t.Error(err)
	}
}
