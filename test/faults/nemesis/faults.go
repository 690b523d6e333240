package nemesis

import (
	"errors"
	"fmt"
	"log"
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
	{"rolling-restart", 2, (*Nemesis).rollingRestart},
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

// holdGone holds a fault by which nodes are gone, so of three others must lead.
func (n *Nemesis) holdGone() error {
	if n.first && n.Cluster.Nodes >= 3 {
		if err := n.demandOthers(); err != nil {
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

func (n *Nemesis) rollingRestart() error {
	for _, node := range n.random.Perm(n.Cluster.Nodes) {
		if err := n.Cluster.KillNode(node, n.random); err != nil {
			return err
		}
		n.Cluster.Start()
	}
	return nil
}

// lease of a leader, as those have granted it who restart.
const lease = electionTimeout * 9 / 10

// restartFollowers at the same time and faster than the leases that they have
// granted: Postgres brings them back without anybody's help.  One that took
// longer is another fault.
func (n *Nemesis) restartFollowers(leader int) error {
	var followers []int
	for node := 0; node < n.Cluster.Nodes; node++ {
		if node != leader {
			followers = append(followers, node)
		}
	}
	began := time.Now()
	errs := make([]error, len(followers))
	var wait sync.WaitGroup
	for i, node := range followers {
		wait.Add(1)
		go func() {
			defer wait.Done()
			if errs[i] = n.Cluster.AbortWorker(node, "tikv store"); errs[i] == nil &&
				!n.Cluster.WaitWorker(node, "tikv store", 30*time.Second) {
				errs[i] = fmt.Errorf("the store of node %d does not come back", node)
			}
		}()
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	took := time.Since(began)
	log.Printf("the followers' stores are back after %.1f s (a lease: %.1f s)", took.Seconds(), lease.Seconds())
	if took >= lease {
		return fmt.Errorf("%w: the followers' restart took %.1f s, longer than a lease", errNotInjected, took.Seconds())
	}
	n.tell("within the lease", 1)
	return nil
}
