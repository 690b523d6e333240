package nemesis

import (
	"errors"
	"fmt"
	"math/rand"
	"time"

	"tikv_fdw/test/faults/cluster"
)

// harm does something to one node, and undoes it when `meanwhile` is done,
// unless that is what the start of a node does.
type harm func(n *Nemesis, node int, meanwhile func() error) error

type namedHarm struct {
	name string
	do   harm
}

// harms of a single node: what With is told to do.
var harms = []namedHarm{
	{"kill", func(n *Nemesis, node int, meanwhile func() error) error {
		return n.without(node, n.Cluster.KillNode(node, n.random), meanwhile)
	}},
	{"shutdown", func(n *Nemesis, node int, meanwhile func() error) error {
		return n.without(node, n.Cluster.Shutdown(node), meanwhile)
	}},
	{"stop", func(n *Nemesis, node int, meanwhile func() error) error {
		resume, err := n.Cluster.Pause(node)
		if err == nil {
			defer resume()
		}
		return n.without(node, err, meanwhile)
	}},
	{"abort-store", aborts("tikv store")},
	{"abort-pd", aborts("tikv pd")},
	{"isolate", func(n *Nemesis, node int, meanwhile func() error) error {
		return n.cutOff(apartFrom(n.Cluster.Nodes, node), n.replaced(meanwhile))
	}},
	{"one-way-from", func(n *Nemesis, node int, meanwhile func() error) error {
		return n.cutOff(oneWayOf(n.Cluster.Nodes, node, true), n.replaced(meanwhile))
	}},
	{"one-way-to", func(n *Nemesis, node int, meanwhile func() error) error {
		return n.cutOff(oneWayOf(n.Cluster.Nodes, node, false), n.replaced(meanwhile))
	}},
}

// harmsOfFailpoints: those of disks and clocks, the clock that is ahead last.
func harmsOfFailpoints() (all []namedHarm) {
	for _, f := range FailpointFaults {
		all = append(all, namedHarm{f.Name, func(n *Nemesis, node int, meanwhile func() error) error {
			return n.misbehaves(f, node, meanwhile)
		}})
	}
	return all
}

// Harms are the names of what With can do; failpoints: the build has them.
func Harms(failpoints bool) (names []string) {
	all := harms
	if failpoints {
		all = append(all[:len(all):len(all)], harmsOfFailpoints()...)
	}
	for _, h := range all {
		names = append(names, h.name)
	}
	return names
}

// Halts says whether clients may have to wait until this harm of a leader has
// ended: it goes on leading, and cannot write.
func Halts(kind string) bool {
	for _, f := range FailpointFaults {
		if f.Name == kind {
			return !f.Serves
		}
	}
	return false
}

// Watching is a nemesis for a cluster that has not been started; it does what
// With is told and nothing by chance.
func Watching(c *cluster.Cluster, random *rand.Rand) (n *Nemesis, err error) {
	n = newNemesis(c, random)
	c.Proxied = proxied
	n.network, err = startNetwork(c)
	return n, err
}

// Client is a process whose connections are never cut.
func (n *Nemesis) Client(pid int) {
	n.network.mutex.Lock()
	defer n.network.mutex.Unlock()
	n.network.clients = append(n.network.clients[:len(n.network.clients):len(n.network.clients)], pid)
}

// Leaders of the region and of PD, now.
func (n *Nemesis) Leaders() (region, pd int) {
	for _, g := range n.groups {
		n.findLeader(g)
	}
	return n.leader(), n.pdLeader()
}

// Led says what the node led when With began.
func (n *Nemesis) Led(node int) (region, pd bool) {
	return n.leader() == node, n.pdLeader() == node
}

// NotInjected says that a harm was none, and may be tried again.
func NotInjected(err error) bool {
	return errors.Is(err, errNotInjected)
}

// With harms a node and repairs it when `meanwhile` is done, which begins when
// the harm is seen to be one: who is away or cut off is replaced by others in
// what it led, a failpoint was passed, a clock is off.
func (n *Nemesis) With(kind string, node int, meanwhile func() error) error {
	do, err := harmOf(kind)
	if err != nil {
		return err
	}
	n.Leaders()
	if n.ordered[kind]++; n.ordered[kind] == 1 {
		n.chosen = append(n.chosen, fault{name: kind})
	}
	n.current, n.first = kind, true
	err = do(n, node, meanwhile)
	if n.network != nil {
		n.network.heal()
	}
	n.repaired = time.Now()
	n.Cluster.Start()
	n.settle(kind)
	if err == nil {
		n.counts[kind]++
	}
	// Not joined: it is a failure, also of a harm that may be tried again.
	if wrong := n.Cluster.CheckLogs(); wrong != nil {
		return fmt.Errorf("%w (the fault itself: %v)", wrong, err)
	}
	return err
}

func harmOf(kind string) (harm, error) {
	for _, h := range append(harms[:len(harms):len(harms)], harmsOfFailpoints()...) {
		if h.name == kind {
			return h.do, nil
		}
	}
	return nil, fmt.Errorf("no fault %q", kind)
}

// without a node that is gone, unless that has failed.
func (n *Nemesis) without(node int, failed error, meanwhile func() error) error {
	if failed != nil {
		return failed
	}
	n.gone(node)
	return n.replaced(meanwhile)()
}

// replaced: `meanwhile` begins when others lead what the harmed node led.
func (n *Nemesis) replaced(meanwhile func() error) func() error {
	return func() error {
		n.untilReplaced()
		return meanwhile()
	}
}

// aborts a worker: Postgres ends all others of the node and starts again, which
// may be sooner than others lead.
func aborts(worker string) harm {
	return func(n *Nemesis, node int, meanwhile func() error) error {
		if err := n.Cluster.AbortWorker(node, worker); err != nil {
			return err
		}
		n.gone(node)
		return meanwhile()
	}
}

// misbehaves: a disk or a clock of this node is at fault.
func (n *Nemesis) misbehaves(f FailpointFault, node int, meanwhile func() error) error {
	data := DataFolder(n.Cluster, node)
	before := hitsIn(data)
	if err := n.begin(f, node); err != nil {
		return err
	}
	err := n.awaitEffect(f, node, before)
	if err == nil {
		err = meanwhile()
	}
	if e := n.end(f, node); err == nil {
		err = e
	}
	return err
}
