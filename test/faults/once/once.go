// Package once remembers what was given out to anybody, as ranges of numbers
// that rise with time: timestamps and ids of PD.  None may be given out twice.
package once

import (
	"fmt"
	"sort"
	"sync"
)

// keep so many ranges, and up to twice as many until the older half is
// forgotten: some minutes of what a test asks for, while nobody waits longer
// than seconds for an answer.
const keep = 1 << 20

type numbers struct{ first, last uint64 }

// Given is what was given out.  Ranges that touch are one.
type Given struct {
	mutex     sync.Mutex
	ranges    []numbers // rising, apart from each other
	forgotten uint64    // up to here nothing is known any more
	limit     int       // 0: keep
}

// Add the numbers first to last; an error if one of them was given out before,
// or so long ago that nobody knows.
func (g *Given) Add(first, last uint64) error {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if first == 0 || first > last {
		return fmt.Errorf("%d to %d are no numbers that are given out", first, last)
	}
	if first <= g.forgotten {
		return fmt.Errorf("%d to %d is given out, and long ago %d was", first, last, g.forgotten)
	}
	// The first range that does not end before this one.
	at := sort.Search(len(g.ranges), func(i int) bool { return g.ranges[i].last >= first })
	if at < len(g.ranges) && g.ranges[at].first <= last {
		return fmt.Errorf("%d to %d is given out, and %d to %d was before", first, last, g.ranges[at].first, g.ranges[at].last)
	}
	g.put(at, numbers{first, last})
	g.forget()
	return nil
}

// put a range at its place, or make it one with those that it touches.
func (g *Given) put(at int, n numbers) {
	before := at > 0 && g.ranges[at-1].last+1 == n.first
	behind := at < len(g.ranges) && n.last+1 == g.ranges[at].first
	switch {
	case before && behind:
		g.ranges[at-1].last = g.ranges[at].last
		g.ranges = append(g.ranges[:at], g.ranges[at+1:]...)
	case before:
		g.ranges[at-1].last = n.last
	case behind:
		g.ranges[at].first = n.first
	default:
		g.ranges = append(g.ranges, numbers{})
		copy(g.ranges[at+1:], g.ranges[at:])
		g.ranges[at] = n
	}
}

func (g *Given) forget() {
	limit := g.limit
	if limit == 0 {
		limit = keep
	}
	if older := len(g.ranges) - limit; len(g.ranges) > 2*limit {
		g.forgotten = g.ranges[older-1].last
		g.ranges = append([]numbers(nil), g.ranges[older:]...)
	}
}
