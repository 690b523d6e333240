package nemesis

import (
	"log"
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
		n.hold()
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
	if n.Cluster.Nodes > 1 {
		n.hold()
	} else {
		n.rest(n.Longest)
	}
	resume()
	return nil
}

func (n *Nemesis) cut(links ...link) error {
	n.network.block(n.random.Intn(2) == 0, links...)
	return nil
}

func (n *Nemesis) isolate(node int) error {
	var links []link
	for i := 0; i < n.Cluster.Nodes; i++ {
		links = append(links, link{node, i}, link{i, node})
	}
	if err := n.cut(links...); err != nil {
		return err
	}
	n.gone(node)
	n.hold()
	return nil
}

// minority: the smaller half of all is apart from the larger one.
func (n *Nemesis) minority() error {
	var links []link
	order := n.random.Perm(n.Cluster.Nodes)
	size := (n.Cluster.Nodes - 1) / 2
	for _, few := range order[:size] {
		for _, many := range order[size:] {
			links = append(links, link{few, many}, link{many, few})
		}
	}
	if err := n.cut(links...); err != nil {
		return err
	}
	for _, few := range order[:size] {
		n.gone(few)
	}
	n.hold()
	return nil
}

func (n *Nemesis) oneWay(node int, from bool) error {
	var links []link
	for i := 0; i < n.Cluster.Nodes; i++ {
		if from {
			links = append(links, link{node, i})
		} else {
			links = append(links, link{i, node})
		}
	}
	if err := n.cut(links...); err != nil {
		return err
	}
	n.gone(node)
	n.hold()
	return nil
}

// ring: of three each is heard by one other only, of more by its neighbours.
func (n *Nemesis) ring() error {
	var links []link
	nodes := n.Cluster.Nodes
	order := n.random.Perm(nodes)
	for i := range order {
		for j := range order {
			apart := (j - i + nodes) % nodes
			if nodes == 3 && apart == 2 || nodes > 3 && apart != 0 && apart != 1 && apart != nodes-1 {
				links = append(links, link{order[i], order[j]})
			}
		}
	}
	if err := n.cut(links...); err != nil {
		return err
	}
	// Of three nobody can lead now; the leader must find that out.
	time.Sleep(electionTimeout)
	n.rest(min(n.Longest, 2*electionTimeout))
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

// restartFollowers at the same time and faster than the leases that they have
// granted: Postgres brings them back without anybody's help.
func (n *Nemesis) restartFollowers(leader int) error {
	began := time.Now()
	for node := 0; node < n.Cluster.Nodes; node++ {
		if node == leader {
			continue
		}
		if err := n.Cluster.AbortWorker(node, "tikv store"); err != nil {
			return err
		}
	}
	for node := 0; node < n.Cluster.Nodes; node++ {
		if node != leader {
			n.Cluster.WaitWorker(node, "tikv store", 30*time.Second)
		}
	}
	log.Printf("the followers' stores are back after %.1f s (a lease: %.1f s)",
		time.Since(began).Seconds(), 0.9*electionTimeout.Seconds())
	return nil
}

// restartBehindCutLeader: it goes on with its lease while nobody who granted
// it remembers.
func (n *Nemesis) restartBehindCutLeader() error {
	var links []link
	leader := n.leader()
	for i := 0; i < n.Cluster.Nodes; i++ {
		links = append(links, link{leader, i}, link{i, leader})
	}
	if err := n.cut(links...); err != nil {
		return err
	}
	n.gone(leader)
	if err := n.restartFollowers(leader); err != nil {
		return err
	}
	n.hold()
	return nil
}
