package nemesis

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A fault that took no effect tests nothing, so each shows that it did: a cut
// has lost something on every link, a failpoint was passed, a clock is seen to
// be off, a restart was faster than the lease.

// errNotInjected is of a fault that did not come about, which is no failure.
var errNotInjected = errors.New("the fault did not come about")

// What a fault may take until it is seen to have an effect.
const effectWithin = time.Minute

// A kind that has never taken effect is tried so often in a row.
const injectTries = 5

// loss is what was kept back on a link since it was cut.
type loss struct {
	bytes   int64
	refused int // connections that were attempted
	broken  int // and such that were open, where a cut breaks them
}

func (l loss) any() bool {
	return l.bytes > 0 || l.refused > 0 || l.broken > 0
}

// ineffective are the links of a cut that kept nothing back.  Of three
// instances each is a voter of everything, so who leads something speaks with
// each other one, and who no longer hears a leader speaks to all.  Between two
// that lead nothing one direction is enough if both are cut, and none is demanded
// of one that still hears who leads.  Of more instances, or of two, some have
// nothing to say to some others: there each must have lost something.
func ineffective(cut []link, lost map[link]loss, nodes int, leaders ...int) (idle []string) {
	harmed := map[int]bool{}
	for _, l := range cut {
		back := link{l.to, l.from}
		effect := lost[l].any()
		harmed[l.from] = harmed[l.from] || effect
		harmed[l.to] = harmed[l.to] || effect
		quiet := !slices.Contains(leaders, l.from) && !slices.Contains(leaders, l.to)
		if nodes == 3 && !effect && !(quiet && (lost[back].any() || hearsAll(l.from, leaders, cut))) {
			idle = append(idle, fmt.Sprintf("%d to %d", l.from, l.to))
		}
	}
	for node := 0; node < nodes && nodes != 3; node++ {
		if effect, cut := harmed[node]; cut && !effect {
			idle = append(idle, fmt.Sprintf("any at %d", node))
		}
	}
	return idle
}

// hearsAll leaders: nothing on their way to this node is cut.
func hearsAll(node int, leaders []int, cut []link) bool {
	return !slices.ContainsFunc(leaders, func(leader int) bool { return slices.Contains(cut, link{leader, node}) })
}

// tell adds to what the report says of a kind of fault.
func (n *Nemesis) tell(label string, count int64) {
	t := &n.told
	for _, e := range *t {
		if e.fault == n.current && e.label == label {
			e.count += count
			return
		}
	}
	*t = append(*t, &evidence{n.current, label, count})
}

// evidence of a kind of fault, for the report.
type evidence struct {
	fault, label string
	count        int64
}

func (n *Nemesis) evidenceOf(fault string) string {
	var parts []string
	for _, e := range n.told {
		if e.fault == fault {
			parts = append(parts, fmt.Sprintf("%s %d", e.label, e.count))
		}
	}
	return strings.Join(parts, ", ")
}

// Kinds that are a matter of time: they are to be faster than a lease.
var timed = []string{"restart-followers", "restart-behind-cut-leader"}

// CheckInjected fails if a kind of fault was ordered and never took effect.
// Where others use the machine, those that are a matter of time are only told
// of by the report.
func (n *Nemesis) CheckInjected() error {
	var wrong []error
	for _, f := range n.chosen {
		if n.ordered[f.name] == 0 || n.counts[f.name] > 0 || n.Disturbed && slices.Contains(timed, f.name) {
			continue
		}
		wrong = append(wrong, fmt.Errorf("%s was ordered %d times and never took effect", f.name, n.ordered[f.name]))
	}
	return errors.Join(wrong...)
}

// Untried are the kinds that a run was too short to come to, for the last line
// of its report; "" if there are none.
func (n *Nemesis) Untried() string {
	var names []string
	for _, f := range n.chosen {
		if n.ordered[f.name] == 0 {
			names = append(names, f.name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("; never tried, %d of %d kinds: %s", len(names), len(n.chosen), strings.Join(names, ", "))
}
