package nemesis

import (
	"context"
	"fmt"
	"time"
)

// A clock that steps is that of all processes of a node, Postgres's own as well
// (cluster.SetClock).  That it did is asked for by SQL, of each node.

// Clocks step by an hour: nothing that delays an answer takes so long.
const clockSlack = 10 * time.Minute

// isOff says whether a clock that is so far ahead is off by these seconds.
func isOff(ahead time.Duration, seconds int) bool {
	return (ahead - time.Duration(seconds)*time.Second).Abs() < clockSlack
}

// setClock of a node, by so much off beside what all are.
func (n *Nemesis) setClock(node, seconds int) error {
	return n.Cluster.SetClock(node, n.clock+seconds)
}

// awaitClock until the node, and no other one, is seen to have a clock that is
// off by so much.
func (n *Nemesis) awaitClock(node, seconds int) error {
	var last error
	for asked := time.Now(); time.Since(asked) < effectWithin; time.Sleep(50 * time.Millisecond) {
		if last = n.clocksAre(node, seconds); last == nil {
			n.tell(fmt.Sprintf("clocks seen off by %+d s", seconds), 1)
			return nil
		}
	}
	return fmt.Errorf("%w: %w", errNotInjected, last)
}

// clocksAre as far ahead as they are to be: that node's by so much more.
func (n *Nemesis) clocksAre(node, seconds int) error {
	for _, other := range n.Cluster.Here() {
		wanted := n.clock
		if other == node {
			wanted += seconds
		}
		ahead, err := n.clockAhead(other)
		if err != nil {
			return fmt.Errorf("the clock of node %d is not known: %w", other, err)
		}
		if !isOff(ahead, wanted) {
			return fmt.Errorf("the clock of node %d is ahead by %.0f s, not by %d", other, ahead.Seconds(), wanted)
		}
	}
	return nil
}

// clockAhead is how far the time of day of a node is ahead of this program's.
func (n *Nemesis) clockAhead(node int) (time.Duration, error) {
	var now time.Time
	err := n.ask(node, []any{&now}, "SELECT clock_timestamp()")
	return time.Until(now), err
}

// pdLeaderAhead: who leads PD is an hour ahead, gives out timestamps of that time,
// and is killed.  Those who lead next have clocks that know nothing of it, and of
// what was given out only what was saved.
func (n *Nemesis) pdLeaderAhead() error {
	node := n.pdLeader()
	n.ahead = max(n.ahead, clockStep)
	err := n.setClock(node, clockStep)
	if err == nil {
		err = n.awaitClock(node, clockStep)
	}
	if err == nil {
		err = n.awaitTimestampAhead(node)
	}
	if err == nil {
		err = n.Cluster.KillNode(node, n.random)
	}
	if e := n.setClock(node, 0); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	n.gone(node)
	return n.holdGone()
}

// awaitTimestampAhead of the other clocks.
func (n *Nemesis) awaitTimestampAhead(node int) error {
	others := time.Now().Add(time.Duration(n.clock)*time.Second + clockSlack)
	for asked := time.Now(); time.Since(asked) < effectWithin; time.Sleep(50 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		ts := n.timestampOf(ctx, node)
		cancel()
		if ts.GetPhysical() > others.UnixMilli() {
			n.tell("timestamps of the other time", 1)
			return nil
		}
	}
	return fmt.Errorf("%w: node %d gives no timestamp of its own time in %v", errNotInjected, node, effectWithin)
}
