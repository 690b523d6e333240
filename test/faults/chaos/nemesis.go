package main

import (
	"context"
	"fmt"
	"log"
	"math/rand"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/pingcap/kvproto/pkg/pdpb"

	"tikv_fdw/test/faults/cluster"
)

// nemesis injects one fault after the other.
type nemesis struct {
	cluster *cluster.Cluster
	network *network // nil: a single instance
	client  *client
	random  *rand.Rand
	counts  map[string]int
}

// fault does harm for as long as it says, and repairs it.
type fault struct {
	name    string
	several bool // needs several instances
	inject  func(n *nemesis) error
}

var faults = []fault{
	{"kill-leader", false, func(n *nemesis) error { return n.kill(n.leader()) }},
	{"kill-follower", true, func(n *nemesis) error { return n.kill(n.other(n.leader())) }},
	{"kill-pd-leader", true, func(n *nemesis) error { return n.kill(n.pdLeader()) }},
	{"kill-all", true, (*nemesis).killAll},
	{"abort-store", false, func(n *nemesis) error { return n.cluster.AbortWorker(n.leader(), "tikv store") }},
	{"abort-pd", false, func(n *nemesis) error { return n.cluster.AbortWorker(n.pdLeader(), "tikv pd") }},
	{"pause-leader", false, func(n *nemesis) error { return n.pause(n.leader()) }},
	{"pause-pd-leader", true, func(n *nemesis) error { return n.pause(n.pdLeader()) }},
	{"isolate-leader", true, func(n *nemesis) error { return n.isolate(n.leader()) }},
	{"isolate-follower", true, func(n *nemesis) error { return n.isolate(n.other(n.leader())) }},
	{"one-way-from-leader", true, func(n *nemesis) error { return n.oneWay(n.leader(), true) }},
	{"one-way-to-leader", true, func(n *nemesis) error { return n.oneWay(n.leader(), false) }},
	{"ring", true, (*nemesis).ring},
	{"rolling-restart", true, (*nemesis).rollingRestart},
}

// applicable are the faults that this cluster can have.
func (n *nemesis) applicable(only string) []fault {
	var chosen []fault
	for _, f := range faults {
		if (only == "" || only == f.name) && (!f.several || n.cluster.Nodes > 1) {
			chosen = append(chosen, f)
		}
	}
	return chosen
}

// run injects a random fault; afterwards all instances are up and the network
// is whole.
func (n *nemesis) run(chosen []fault) error {
	f := chosen[n.random.Intn(len(chosen))]
	log.Printf("fault: %s", f.name)
	n.counts[f.name]++
	err := f.inject(n)
	if n.network != nil {
		n.network.heal()
	}
	n.cluster.Start()
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	return nil
}

// some time, up to so many seconds.
func (n *nemesis) rest(most float64) {
	time.Sleep(time.Duration(n.random.Float64() * most * float64(time.Second)))
}

func nodeOfPort(port, first, step, nodes int) int {
	if node := (port - first) / step; port >= first && (port-first)%step == 0 && node < max(1, nodes) {
		return node
	}
	return -1
}

// leader is the node that leads the region of the registers, or any.
func (n *nemesis) leader() int {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if n.client.findRegion(ctx, "chaos/") == nil {
		if address, err := n.client.address(ctx, n.client.leader.StoreId); err == nil {
			if node := nodeOfPort(portOf(address), 20160+n.cluster.BasePort, 1, n.cluster.Nodes); node >= 0 {
				return node
			}
		}
	}
	return n.anyNode()
}

func (n *nemesis) pdLeader() int {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	members, err := n.client.members(ctx)
	if err == nil {
		if node := n.nodeOfMember(members.GetLeader()); node >= 0 {
			return node
		}
	}
	return n.anyNode()
}

func (n *nemesis) nodeOfMember(member *pdpb.Member) int {
	for _, text := range member.GetClientUrls() {
		u, err := url.Parse(text)
		if err != nil {
			continue
		}
		_, portText, err := net.SplitHostPort(u.Host)
		if err != nil {
			continue
		}
		port, _ := strconv.Atoi(portText)
		if node := nodeOfPort(port-n.cluster.Proxied, 2379+n.cluster.BasePort, 10, n.cluster.Nodes); node >= 0 {
			return node
		}
	}
	return -1
}

func (n *nemesis) anyNode() int {
	return n.random.Intn(max(1, n.cluster.Nodes))
}

func (n *nemesis) other(node int) int {
	return (node + 1 + n.random.Intn(n.cluster.Nodes-1)) % n.cluster.Nodes
}

// kill a node; it stays away for a moment, shorter or longer than a lease.
func (n *nemesis) kill(node int) error {
	if err := n.cluster.KillNode(node, n.random); err != nil {
		return err
	}
	if n.random.Intn(2) == 0 {
		n.rest(8)
	}
	if n.cluster.Nodes <= 1 && n.random.Intn(3) == 0 {
		n.cluster.KillDuringRecovery(n.random)
	}
	return nil
}

func (n *nemesis) killAll() error {
	for _, node := range n.random.Perm(n.cluster.Nodes) {
		if err := n.cluster.KillNode(node, n.random); err != nil {
			return err
		}
	}
	return nil
}

func (n *nemesis) pause(node int) error {
	resume, err := n.cluster.Pause(node)
	if err != nil {
		return err
	}
	n.rest(12)
	resume()
	return nil
}

func (n *nemesis) cut(links ...link) error {
	n.network.block(n.random.Intn(2) == 0, links...)
	n.rest(12)
	return nil
}

func (n *nemesis) isolate(node int) error {
	var links []link
	for i := 0; i < n.cluster.Nodes; i++ {
		links = append(links, link{node, i}, link{i, node})
	}
	return n.cut(links...)
}

func (n *nemesis) oneWay(node int, from bool) error {
	var links []link
	for i := 0; i < n.cluster.Nodes; i++ {
		if from {
			links = append(links, link{node, i})
		} else {
			links = append(links, link{i, node})
		}
	}
	return n.cut(links...)
}

// ring: each sees its two neighbours only.
func (n *nemesis) ring() error {
	var links []link
	nodes := n.cluster.Nodes
	order := n.random.Perm(nodes)
	for i := range order {
		for j := range order {
			apart := (j - i + nodes) % nodes
			if nodes == 3 && apart == 2 || nodes > 3 && apart != 0 && apart != 1 && apart != nodes-1 {
				links = append(links, link{order[i], order[j]})
			}
		}
	}
	return n.cut(links...)
}

func (n *nemesis) rollingRestart() error {
	for _, node := range n.random.Perm(n.cluster.Nodes) {
		if err := n.cluster.KillNode(node, n.random); err != nil {
			return err
		}
		n.cluster.Start()
	}
	return nil
}
