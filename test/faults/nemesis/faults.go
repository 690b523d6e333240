package nemesis

import (
	"errors"
	"fmt"
	"log"
	"slices"
	"sync"
	"time"
)

// fault does harm for as long as it says; the repair is the caller's.
type fault struct {
	name   string
	nodes  int // it needs so many instances
	inject func(n *Nemesis) error
}

var faults = []fault{
	{"kill-leader", 1, func(n *Nemesis) error { return n.kill(n.leader()) }},
	{"kill-follower", 2, func(n *Nemesis) error { return n.kill(n.other(n.leader())) }},
	{"kill-pd-leader", 2, func(n *Nemesis) error { return n.kill(n.pdLeader()) }},
	{"kill-all", 2, (*Nemesis).killAll},
	{"abort-store", 1, func(n *Nemesis) error { return n.abort(n.leader(), "tikv store", 0) }},
	{"abort-pd", 1, func(n *Nemesis) error { return n.abort(n.pdLeader(), "tikv pd", 1) }},
	{"pause-leader", 1, func(n *Nemesis) error { return n.pause(n.leader()) }},
	{"pause-pd-leader", 2, func(n *Nemesis) error { return n.pause(n.pdLeader()) }},
	{"isolate-leader", 2, func(n *Nemesis) error { return n.isolate(n.leader()) }},
	{"isolate-follower", 2, func(n *Nemesis) error { return n.isolate(n.other(n.leader())) }},
	{"minority", 3, (*Nemesis).minority},
	{"one-way-from-leader", 2, func(n *Nemesis) error { return n.oneWay(n.leader(), true) }},
	{"one-way-to-leader", 2, func(n *Nemesis) error { return n.oneWay(n.leader(), false) }},
	{"ring", 3, (*Nemesis).ring},
	{"transfer-leader", 2, (*Nemesis).transferLeader},
	{"split", 2, (*Nemesis).split},
	{"remove-follower", 3, (*Nemesis).removeFollower},
	{"rolling-restart", 2, func(n *Nemesis) error {
		return n.inTurn("nodes shut down in order", n.Cluster.Restart)
	}},
	{"rolling-kill", 2, func(n *Nemesis) error {
		return n.inTurn("nodes that had to recover", func(node int) error { return n.Cluster.KillAndStart(node, n.random) })
	}},
	{"restart-followers", 2, func(n *Nemesis) error { return n.restartFollowers(n.leader()) }},
	{"restart-behind-cut-leader", 3, (*Nemesis).restartBehindCutLeader},
}

// some time, up to so much.
func (n *Nemesis) rest(most time.Duration) {
	time.Sleep(time.Duration(n.random.Float64() * float64(most)))
}

// hold a fault: the first of its kind until somebody else leads, others for
// shorter or longer than that takes.
func (n *Nemesis) hold() {
	if n.first {
		n.untilReplaced()
		n.rest(time.Second)
		return
	}
	n.rest(n.Longest)
}

// holdGone holds a fault by which nodes are gone, so of three others must lead,
// and take writes.
func (n *Nemesis) holdGone() error {
	if n.first && n.Cluster.Nodes >= 3 {
		if err := errors.Join(n.demandOthers(), n.demandWrite()); err != nil {
			return err
		}
	}
	n.hold()
	return nil
}

func (n *Nemesis) leader() int {
	return n.groups[0].leader
}

func (n *Nemesis) pdLeader() int {
	return n.groups[1].leader
}

func (n *Nemesis) other(node int) int {
	return (node + 1 + n.random.Intn(n.Cluster.Nodes-1)) % n.Cluster.Nodes
}

// kill a node; it stays away for a moment, shorter or longer than a lease.
func (n *Nemesis) kill(node int) error {
	if err := n.Cluster.KillNode(node, n.random); err != nil {
		return err
	}
	if n.Cluster.Nodes <= 1 {
		if n.random.Intn(3) == 0 {
			n.Cluster.KillDuringRecovery(n.random)
		}
		return nil
	}
	n.gone(node)
	if n.first || n.random.Intn(2) == 0 {
		return n.holdGone()
	}
	return nil
}

func (n *Nemesis) killAll() error {
	for _, node := range n.random.Perm(n.Cluster.Nodes) {
		if err := n.Cluster.KillNode(node, n.random); err != nil {
			return err
		}
	}
	return nil
}

// abort a worker: Postgres ends all others of the node and starts again.
func (n *Nemesis) abort(node int, worker string, group int) error {
	if err := n.Cluster.AbortWorker(node, worker); err != nil {
		return err
	}
	if n.Cluster.Nodes > 1 {
		n.gone(node)
	}
	return nil
}

// pause everything of a node, for a second at least.
func (n *Nemesis) pause(node int) error {
	resume, err := n.Cluster.Pause(node)
	if err != nil {
		return err
	}
	n.gone(node)
	time.Sleep(time.Second)
	defer resume()
	if n.Cluster.Nodes > 1 {
		return n.holdGone()
	}
	n.rest(n.Longest)
	return nil
}

// inTurn restarts each node when the one before serves again; what is the
// evidence that was seen of each.
func (n *Nemesis) inTurn(what string, restart func(node int) error) error {
	for _, node := range n.random.Perm(n.Cluster.Nodes) {
		if err := restart(node); err != nil {
			return err
		}
		n.tell(what, 1)
	}
	return nil
}

// lease of a leader, as those have granted it who restart.
const lease = electionTimeout * 9 / 10

// restartFollowers at the same time and faster than the leases that they have
// granted: the next stores begin while the leases last, and it is up to them not
// to take part in an election before they are over.  Those that began later are
// another fault.  All serve again; whether within the lease is told only: a
// start asks the Placement Driver, whose leader may be among them.
func (n *Nemesis) restartFollowers(leader int) error {
	began := time.Now()
	begun := make([]time.Duration, n.Cluster.Nodes)
	errs := make([]error, n.Cluster.Nodes)
	var wait sync.WaitGroup
	for node := range begun {
		if node == leader {
			continue
		}
		wait.Add(1)
		go func() {
			defer wait.Done()
			begun[node], errs[node] = n.Cluster.RestartStore(node, servesWithin)
		}()
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	last := slices.Max(begun)
	serving := time.Since(began)
	log.Printf("the followers' stores begin after %.1f s and serve after %.1f s (a lease: %.1f s)", last.Seconds(), serving.Seconds(), lease.Seconds())
	if last >= lease {
		return fmt.Errorf("%w: the followers' restart took %.1f s, longer than a lease", errNotInjected, last.Seconds())
	}
	n.tell("begun within the lease", 1)
	if serving < lease {
		n.tell("serving within the lease", 1)
	}
	return nil
}
