package nemesis

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"time"

	"tikv_fdw/test/faults/cluster"
)

// What others may take until they lead what a node led that is cut off from
// most.  No machine is so busy.
const mustLeadWithin = 2 * time.Minute

// partition is links that are cut, and what must come of it.
type partition struct {
	links []link

	// Those that the others can do without; nil: nobody can lead, for a reason.
	apart  []int
	reason string
}

// apartFrom cuts the links between these and all others.
func apartFrom(nodes int, few ...int) partition {
	p := partition{apart: few}
	for _, node := range few {
		for other := 0; other < nodes; other++ {
			if !slices.Contains(few, other) {
				p.links = append(p.links, link{node, other}, link{other, node})
			}
		}
	}
	return p
}

// oneWayOf cuts what this node sends to all others, or what it hears of them.
func oneWayOf(nodes, node int, from bool) partition {
	p := partition{apart: []int{node}}
	for other := 0; other < nodes; other++ {
		switch {
		case other == node:
		case from:
			p.links = append(p.links, link{node, other})
		default:
			p.links = append(p.links, link{other, node})
		}
	}
	return p
}

// ringOf: of three each is heard by one other only, of more by its neighbours.
func ringOf(order []int) partition {
	p := partition{reason: "no leader hears of a majority"}
	nodes := len(order)
	for i := range order {
		for j := range order {
			apart := (j - i + nodes) % nodes
			if nodes == 3 && apart == 2 || nodes > 3 && apart != 0 && apart != 1 && apart != nodes-1 {
				p.links = append(p.links, link{order[i], order[j]})
			}
		}
	}
	if nodes > 3 {
		p.reason = "the neighbours of a leader may be a majority"
	}
	return p
}

// whyNotReplaced is why nobody needs to lead in the place of who is cut off; ""
// if somebody must.  Of three instances, of which each is a voter, two are
// enough; who the voters of others are is not known here.
func (p partition) whyNotReplaced(nodes int, untilReplaced bool) string {
	switch {
	case p.apart == nil:
		return p.reason
	case nodes < 3:
		return "without it there is no majority"
	case nodes > 3 || len(p.apart) > 1:
		return "the others may be no majority of the voters"
	case !untilReplaced:
		return "healed without waiting for it"
	}
	return ""
}

// cutOff makes a partition, holds it, and demands that it was one: that
// something was lost on its links and nothing passed them, that probes which got
// an answer before get none, that no instance got around the proxy, that others
// lead what those led that were cut off.  meanwhile is what is done behind it,
// nil nothing.
func (n *Nemesis) cutOff(p partition, meanwhile func() error) error {
	if err := n.WaitReplicas(); err != nil {
		return fmt.Errorf("%w: %w", errNotInjected, err)
	}
	led, err := n.regionsLedBy(p.apart)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotInjected, err)
	}
	defer func() {
		for _, g := range led {
			g.close()
		}
	}()
	probes, err := n.network.probe(p.links)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotInjected, err)
	}
	defer probes.close()
	around := n.network.watchAround()
	if err = n.network.block(n.random.Intn(2) == 0, p.links...); err == nil {
		probes.knock()
		err = n.behind(p, led, meanwhile)
	}
	// A leak is a failure, whatever else there was: of a proxy that is none no
	// fault came about.
	if wrong := errors.Join(around.end(), n.network.sealed(), probes.answered()); wrong != nil {
		return wrong
	}
	if err == nil {
		n.tell("links over which nothing passed", int64(len(p.links)))
		n.tell("knocks unanswered", int64(probes.knocks))
	}
	return err
}

// behind the cut: it is held, and demanded to be one.
func (n *Nemesis) behind(p partition, led []*group, meanwhile func() error) (err error) {
	for _, node := range p.apart {
		n.gone(node)
	}
	if meanwhile != nil {
		if err = meanwhile(); err != nil {
			return err
		}
	}
	if p.apart != nil {
		n.hold()
	} else {
		// The leader must find out that it is none.
		time.Sleep(electionTimeout)
		n.rest(min(n.Longest, 2*electionTimeout))
	}
	if err = n.awaitLoss(p.links); err == nil {
		err = n.demandLeaders(p, led)
	}
	if err == nil && p.whyNotReplaced(n.Cluster.Nodes, n.first) == "" {
		err = n.demandWrite()
	}
	return err
}

// awaitLoss until something was lost on each of the links.
func (n *Nemesis) awaitLoss(links []link) error {
	var idle []string
	for began := time.Now(); time.Since(began) < effectWithin; time.Sleep(50 * time.Millisecond) {
		lost := n.network.losses()
		if idle = ineffective(links, lost, n.Cluster.Nodes, n.leader(), n.pdLeader()); len(idle) > 0 {
			continue
		}
		var all loss
		for _, l := range lost {
			all.bytes, all.refused, all.broken = all.bytes+l.bytes, all.refused+l.refused, all.broken+l.broken
		}
		log.Printf("kept back: %d bytes, %d connections refused, %d broken", all.bytes, all.refused, all.broken)
		n.tell("bytes lost", all.bytes)
		n.tell("connections refused", int64(all.refused))
		n.tell("connections broken", int64(all.broken))
		return nil
	}
	return fmt.Errorf("%w: nothing was kept back on the links %q in %v", errNotInjected, idle, effectWithin)
}

// demandLeaders: what those led that are cut off is led by others, if it must.
func (n *Nemesis) demandLeaders(p partition, led []*group) error {
	harmed := slices.Clone(led)
	for _, g := range n.groups {
		if g.watch != nil {
			harmed = append(harmed, g)
		}
	}
	why := p.whyNotReplaced(n.Cluster.Nodes, n.first)
	switch {
	case p.apart != nil && len(harmed) == 0:
		n.tell("led nothing", 1)
		return nil
	case why != "":
		log.Printf("no other leader is demanded: %s", why)
		n.tell("no other leader demanded ("+why+")", 1)
		return nil
	}
	for _, g := range harmed {
		w := g.watch
		if w == nil {
			w = startWatch(g, n.Cluster.Nodes, g.leader)
			defer w.stop()
		}
		if !w.await(mustLeadWithin) {
			return fmt.Errorf("nobody leads %s in the place of node %d, which is cut off since %v", g.name, g.leader, mustLeadWithin)
		}
	}
	log.Printf("others lead all of %d that node %d led", len(harmed), p.apart[0])
	n.tell("others led", 1)
	return nil
}

// regionsLedBy these nodes, as PD was told.
func (n *Nemesis) regionsLedBy(nodes []int) (led []*group, err error) {
	if len(nodes) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	router := NewRouter(n.Cluster)
	defer router.Close()
	regions, err := router.Regions(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range regions {
		if r.GetLeader().GetStoreId() == 0 {
			continue // PD has not heard of it
		}
		address, err := router.Address(ctx, r.GetLeader().GetStoreId())
		if err != nil {
			return nil, err
		}
		for _, node := range nodes {
			if address == n.Cluster.AddressOf(node) {
				led = append(led, regionGroup(n.Cluster, string(r.Region.StartKey), r.Region.Id, node))
			}
		}
	}
	return led, nil
}

// regionGroup is a region besides that of the probe.  The key is of nobody else:
// it comes right behind the region's bound.
func regionGroup(c *cluster.Cluster, start string, id uint64, leader int) *group {
	router := NewRouter(c)
	key := start + "\x00probe"
	return &group{name: fmt.Sprintf("region %d", id), leader: leader, close: router.Close,
		answers: func(ctx context.Context, node int) bool { return router.puts(ctx, key, node) }}
}

func (n *Nemesis) isolate(node int) error {
	return n.cutOff(apartFrom(n.Cluster.Nodes, node), nil)
}

// minority: the smaller half of all is apart from the larger one.
func (n *Nemesis) minority() error {
	order := n.random.Perm(n.Cluster.Nodes)
	return n.cutOff(apartFrom(n.Cluster.Nodes, order[:(n.Cluster.Nodes-1)/2]...), nil)
}

func (n *Nemesis) oneWay(node int, from bool) error {
	return n.cutOff(oneWayOf(n.Cluster.Nodes, node, from), nil)
}

func (n *Nemesis) ring() error {
	return n.cutOff(ringOf(n.random.Perm(n.Cluster.Nodes)), nil)
}

// restartBehindCutLeader: it goes on with its lease while nobody who granted
// it remembers.
func (n *Nemesis) restartBehindCutLeader() error {
	leader := n.leader()
	return n.cutOff(apartFrom(n.Cluster.Nodes, leader), func() error { return n.restartFollowers(leader) })
}
