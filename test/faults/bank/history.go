package bank

import (
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// history is what clients did with the lists and when: every snapshot of them
// that was read, and every append with what it was made from. In the end the
// lists themselves tell the order of all versions, since nothing is ever taken
// from them, and check compares everything with it: snapshot isolation by
// timestamps, and strictness by the clock of this process.
type history struct {
	mu      sync.Mutex
	begun   time.Time
	reads   []listsRead
	appends []listsAppend

	// Of what was checked before, which is forgotten: how long the lists were,
	// and the commit timestamps that they had reached.
	settled [lists]int
	lastTS  [lists]uint64

	checkedReads, checkedAppends int
}

// A state is a list as somebody saw it: so many numbers, with this fingerprint.
type state struct {
	length int
	print  uint64
}

// listsRead is one snapshot of all lists. Its timestamp is 0 if it is not known.
type listsRead struct {
	ts              uint64
	asked, answered time.Duration
	lists           [lists]state
}

// listsAppend is an append whose commit was asked for.
type listsAppend struct {
	id              uint64
	on              []int
	base            []state // of those lists, before
	asked, answered time.Duration
	result          outcome
	commitTS        uint64 // 0 if it is not known
}

func newHistory() *history { return &history{begun: time.Now()} }

func (h *history) now() time.Duration { return time.Since(h.begun) }

func (h *history) addRead(r listsRead) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reads = append(h.reads, r)
}

func (h *history) addAppend(a listsAppend) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.appends = append(h.appends, a)
}

// write down what was not judged before, compressed: a line for each append and
// each snapshot.
func (h *history) write(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	h.mu.Lock()
	defer h.mu.Unlock()
	text := gzip.NewWriter(file)
	for _, a := range h.appends {
		fmt.Fprintf(text, "%12d %12d append %+v\n", a.asked, a.answered, a)
	}
	for _, r := range h.reads {
		fmt.Fprintf(text, "%12d %12d snapshot %+v\n", r.asked, r.answered, r)
	}
	return text.Close()
}

// fold adds a number to the fingerprint of those before it.
func fold(print, id uint64) uint64 {
	print ^= id
	print *= 0x9E3779B97F4A7C15
	return print ^ print>>29
}

func stateOf(ids []uint64) state {
	s := state{length: len(ids)}
	for _, id := range ids {
		s.print = fold(s.print, id)
	}
	return s
}

// stateOfValue is that of a stored list, nil for none.
func stateOfValue(v []byte) state {
	s := state{length: len(v) / 8}
	for ; len(v) >= 8; v = v[8:] {
		s.print = fold(s.print, binary.BigEndian.Uint64(v))
	}
	return s
}

// A judge knows the order of versions: the lists as they are in the end.
type judge struct {
	prints [lists][]uint64       // of the first n numbers, by n
	place  [lists]map[uint64]int // of each number, from 0
}

func newJudge(final [lists][]uint64) (*judge, error) {
	j := &judge{}
	for l, ids := range final {
		j.prints[l] = make([]uint64, 1, len(ids)+1)
		j.place[l] = map[uint64]int{}
		for i, id := range ids {
			if _, twice := j.place[l][id]; twice {
				return nil, fmt.Errorf("append %d is twice on list %d", id, l)
			}
			j.place[l][id] = i
			j.prints[l] = append(j.prints[l], fold(j.prints[l][i], id))
		}
	}
	return j, nil
}

// was tells whether the list was ever like this.
func (j *judge) was(l int, s state) bool {
	return s.length < len(j.prints[l]) && j.prints[l][s.length] == s.print
}

// sees tells whether the list, as it was, has the number.
func (j *judge) sees(l int, s state, id uint64) bool {
	place, there := j.place[l][id]
	return there && place < s.length
}

// check returns the first thing that no store with snapshots could have done.
// Nobody works meanwhile, and whoever comes later sees all of it.
func (h *history) check(final [lists][]uint64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	j, err := newJudge(final)
	if err != nil {
		return err
	}
	for _, check := range []func(*judge) error{h.checkStates, h.checkBases, h.checkOrder, h.checkSnapshots, h.checkCuts, h.checkChain} {
		if err := check(j); err != nil {
			return err
		}
	}
	h.settle(final)
	return nil
}

func (h *history) settle(final [lists][]uint64) {
	for i := range h.appends {
		for _, l := range h.appends[i].on {
			h.lastTS[l] = max(h.lastTS[l], h.appends[i].commitTS)
		}
	}
	for l, ids := range final {
		h.settled[l] = len(ids)
	}
	h.checkedReads += len(h.reads)
	h.checkedAppends += len(h.appends)
	h.reads, h.appends = nil, nil
}

// checkStates: whatever was read is a version that there was, and not one of
// before the last check.
func (h *history) checkStates(j *judge) error {
	for _, r := range h.reads {
		for l, s := range r.lists {
			if !j.was(l, s) {
				return fmt.Errorf("list %d of %d numbers, as read at %d, is no beginning of what it became", l, s.length, r.ts)
			}
			if s.length < h.settled[l] {
				return fmt.Errorf("list %d has %d numbers at %d, it had %d long before: stale", l, s.length, r.ts, h.settled[l])
			}
		}
	}
	return nil
}

// checkBases: an append lies on what it was made from, on all of its lists or
// on none.
func (h *history) checkBases(j *judge) error {
	for _, a := range h.appends {
		for i, l := range a.on {
			place, there := j.place[l][a.id]
			_, first := j.place[a.on[0]][a.id]
			switch {
			case there != first:
				return fmt.Errorf("append %d is on a part of its lists %v", a.id, a.on)
			case there && a.result == refused:
				return fmt.Errorf("append %d is on list %d, but had failed for certain", a.id, l)
			case !there && a.result == committed:
				return fmt.Errorf("append %d was acknowledged and is not on list %d", a.id, l)
			case there && (place != a.base[i].length || !j.was(l, a.base[i])):
				return fmt.Errorf("append %d read %d numbers of list %d and is number %d: an update was lost", a.id, a.base[i].length, l, place)
			}
		}
	}
	return nil
}

// checkOrder: the versions of a list have rising commit timestamps, and none
// lies before one that was acknowledged before it began.
func (h *history) checkOrder(j *judge) error {
	for l := 0; l < lists; l++ {
		at := make([]*listsAppend, len(j.place[l]))
		for i := range h.appends {
			if place, there := j.place[l][h.appends[i].id]; there {
				at[place] = &h.appends[i]
			}
		}
		lastTS := h.lastTS[l]
		soonest := time.Duration(1<<63 - 1) // answer of all that come later
		for _, a := range at {
			if a == nil || a.commitTS == 0 {
				continue
			}
			if a.commitTS <= lastTS {
				return fmt.Errorf("append %d to list %d committed at %d, after one at %d", a.id, l, a.commitTS, lastTS)
			}
			lastTS = a.commitTS
		}
		for i := len(at) - 1; i >= 0; i-- {
			if at[i] == nil {
				continue
			}
			if at[i].asked > soonest {
				return fmt.Errorf("append %d to list %d began after a later one was acknowledged", at[i].id, l)
			}
			if at[i].result == committed {
				soonest = min(soonest, at[i].answered)
			}
		}
	}
	return nil
}

// checkSnapshots: each snapshot has all lists of an append or none; it has what
// was committed at or below its timestamp, or acknowledged before it was asked
// for, and nothing that began after its answer.
func (h *history) checkSnapshots(j *judge) error {
	for _, r := range h.reads {
		for i := range h.appends {
			a := &h.appends[i]
			sees := j.sees(a.on[0], r.lists[a.on[0]], a.id)
			for _, l := range a.on {
				if j.sees(l, r.lists[l], a.id) != sees {
					return fmt.Errorf("a snapshot at %d has append %d on a part of its lists %v", r.ts, a.id, a.on)
				}
			}
			switch {
			case sees && r.answered < a.asked:
				return fmt.Errorf("a snapshot at %d has append %d, which began later", r.ts, a.id)
			case !sees && a.result == committed && a.answered < r.asked:
				return fmt.Errorf("a snapshot at %d lacks append %d, acknowledged before: stale", r.ts, a.id)
			case r.ts == 0 || a.commitTS == 0:
			case sees != (a.commitTS <= r.ts):
				return fmt.Errorf("a snapshot at %d has append %d, committed at %d: %t", r.ts, a.id, a.commitTS, sees)
			}
		}
	}
	return nil
}

// checkCuts: a snapshot whose timestamp is not known, as those of SQL, is one of
// some timestamp all the same: what it has was committed before what it lacks.
func (h *history) checkCuts(j *judge) error {
	for _, r := range h.reads {
		var newest, oldest *listsAppend // that it has, and that it lacks
		for i := range h.appends {
			a := &h.appends[i]
			switch {
			case a.commitTS == 0:
			case j.sees(a.on[0], r.lists[a.on[0]], a.id):
				if newest == nil || a.commitTS > newest.commitTS {
					newest = a
				}
			case oldest == nil || a.commitTS < oldest.commitTS:
				oldest = a
			}
		}
		if newest != nil && oldest != nil && newest.commitTS > oldest.commitTS {
			return fmt.Errorf("a snapshot has append %d, committed at %d, and lacks append %d, committed at %d",
				newest.id, newest.commitTS, oldest.id, oldest.commitTS)
		}
	}
	return nil
}

// checkChain: of two snapshots one has all that the other one has, whoever read
// them: all see the commits in one order.
func (h *history) checkChain(*judge) error {
	total := func(r listsRead) (n int) {
		for _, s := range r.lists {
			n += s.length
		}
		return n
	}
	reads := slices.Clone(h.reads)
	slices.SortFunc(reads, func(a, b listsRead) int { return total(a) - total(b) })
	for i := 1; i < len(reads); i++ {
		for l, s := range reads[i].lists {
			if before := reads[i-1].lists[l]; s.length < before.length {
				return fmt.Errorf("of two snapshots, at %d and %d, each lacks what the other one has, of list %d %d and %d numbers",
					reads[i-1].ts, reads[i].ts, l, before.length, s.length)
			}
		}
	}
	return nil
}
