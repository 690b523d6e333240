// Package nemesis harms a cluster: it kills, stops and cuts off instances, one
// fault after the other, and repairs each.
package nemesis

import (
	"context"
	"errors"
	"fmt"
	"log"
	"math/rand"
	"net"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/pingcap/kvproto/pkg/pdpb"

	"tikv_fdw/test/faults/cluster"
)

// Nemesis injects one fault after the other.
type Nemesis struct {
	Cluster *cluster.Cluster
	random  *rand.Rand
	network *network // nil: a single instance
	router  *Router
	chosen  []fault
	counts  map[string]int
}

// proxied is added to the announced ports of several instances: a proxy's.
const proxied = 7000

// New is for a cluster that has not been started; only names one kind of
// fault, "" means all that can be.
func New(c *cluster.Cluster, random *rand.Rand, only string) (*Nemesis, error) {
	n := &Nemesis{Cluster: c, random: random, counts: map[string]int{}, router: NewRouter(c)}
	for _, f := range faults {
		if (only == "" || only == f.name) && (!f.several || c.Nodes > 1) {
			n.chosen = append(n.chosen, f)
		}
	}
	if len(n.chosen) == 0 {
		return nil, fmt.Errorf("no fault %q for %d instances", only, c.Nodes)
	}
	if c.Nodes > 1 {
		var err error
		c.Proxied = proxied
		if n.network, err = startNetwork(c); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// Report counts the faults so far; an error if the instances got past the
// proxy, so that no partition was one.
func (n *Nemesis) Report() (string, error) {
	var parts []string
	for name, count := range n.counts {
		parts = append(parts, fmt.Sprintf("%d %s", count, name))
	}
	sort.Strings(parts)
	if n.network != nil && n.network.passed == 0 {
		return "", errors.New("no instance ever connected to another through the proxy")
	}
	return strings.Join(parts, ", "), nil
}

// fault does harm for as long as it says, and repairs it.
type fault struct {
	name    string
	several bool // needs several instances
	inject  func(n *Nemesis) error
}

var faults = []fault{
	{"kill-leader", false, func(n *Nemesis) error { return n.kill(n.leader()) }},
	{"kill-follower", true, func(n *Nemesis) error { return n.kill(n.other(n.leader())) }},
	{"kill-pd-leader", true, func(n *Nemesis) error { return n.kill(n.pdLeader()) }},
	{"kill-all", true, (*Nemesis).killAll},
	{"abort-store", false, func(n *Nemesis) error { return n.Cluster.AbortWorker(n.leader(), "tikv store") }},
	{"abort-pd", false, func(n *Nemesis) error { return n.Cluster.AbortWorker(n.pdLeader(), "tikv pd") }},
	{"pause-leader", false, func(n *Nemesis) error { return n.pause(n.leader()) }},
	{"pause-pd-leader", true, func(n *Nemesis) error { return n.pause(n.pdLeader()) }},
	{"isolate-leader", true, func(n *Nemesis) error { return n.isolate(n.leader()) }},
	{"isolate-follower", true, func(n *Nemesis) error { return n.isolate(n.other(n.leader())) }},
	{"one-way-from-leader", true, func(n *Nemesis) error { return n.oneWay(n.leader(), true) }},
	{"one-way-to-leader", true, func(n *Nemesis) error { return n.oneWay(n.leader(), false) }},
	{"ring", true, (*Nemesis).ring},
	{"rolling-restart", true, (*Nemesis).rollingRestart},
}

// Run injects a random fault; afterwards all instances are up and the network
// is whole.
func (n *Nemesis) Run() error {
	f := n.chosen[n.random.Intn(len(n.chosen))]
	log.Printf("fault: %s", f.name)
	n.counts[f.name]++
	err := f.inject(n)
	if n.network != nil {
		n.network.heal()
	}
	n.Cluster.Start()
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	return nil
}

// some time, up to so many seconds.
func (n *Nemesis) rest(most float64) {
	time.Sleep(time.Duration(n.random.Float64() * most * float64(time.Second)))
}

func nodeOfPort(port, first, step, nodes int) int {
	if node := (port - first) / step; port >= first && (port-first)%step == 0 && node < max(1, nodes) {
		return node
	}
	return -1
}

// leader is the node that leads the region of the registers, or any.
func (n *Nemesis) leader() int {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if n.router.FindRegion(ctx, "") == nil {
		if address, err := n.router.Address(ctx, n.router.Leader.StoreId); err == nil {
			if node := nodeOfPort(portOf(address), 20160+n.Cluster.BasePort, 1, n.Cluster.Nodes); node >= 0 {
				return node
			}
		}
	}
	return n.anyNode()
}

func (n *Nemesis) pdLeader() int {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	members, err := n.router.members(ctx)
	if err == nil {
		if node := n.nodeOfMember(members.GetLeader()); node >= 0 {
			return node
		}
	}
	return n.anyNode()
}

func (n *Nemesis) nodeOfMember(member *pdpb.Member) int {
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
		if node := nodeOfPort(port-n.Cluster.Proxied, 2379+n.Cluster.BasePort, 10, n.Cluster.Nodes); node >= 0 {
			return node
		}
	}
	return -1
}

func (n *Nemesis) anyNode() int {
	return n.random.Intn(max(1, n.Cluster.Nodes))
}

func (n *Nemesis) other(node int) int {
	return (node + 1 + n.random.Intn(n.Cluster.Nodes-1)) % n.Cluster.Nodes
}

// kill a node; it stays away for a moment, shorter or longer than a lease.
func (n *Nemesis) kill(node int) error {
	if err := n.Cluster.KillNode(node, n.random); err != nil {
		return err
	}
	if n.random.Intn(2) == 0 {
		n.rest(8)
	}
	if n.Cluster.Nodes <= 1 && n.random.Intn(3) == 0 {
		n.Cluster.KillDuringRecovery(n.random)
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

func (n *Nemesis) pause(node int) error {
	resume, err := n.Cluster.Pause(node)
	if err != nil {
		return err
	}
	n.rest(12)
	resume()
	return nil
}

func (n *Nemesis) cut(links ...link) error {
	n.network.block(n.random.Intn(2) == 0, links...)
	n.rest(12)
	return nil
}

func (n *Nemesis) isolate(node int) error {
	var links []link
	for i := 0; i < n.Cluster.Nodes; i++ {
		links = append(links, link{node, i}, link{i, node})
	}
	return n.cut(links...)
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
	return n.cut(links...)
}

// ring: each sees its two neighbours only.
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
	return n.cut(links...)
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
