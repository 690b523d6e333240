package nemesis

import (
	"fmt"
	"log"
	"time"
)

// UsePauses adds stops of single processes to the faults of a nemesis that is
// made afterwards: the rest of the node goes on, and believes what the stopped
// process said last.
func UsePauses() {
	faults = append(faults,
		fault{"pause-store-worker", 1, func(n *Nemesis) error { return n.pauseWorker("tikv store", n.groups[0], true) }},
		fault{"pause-pd-worker", 1, func(n *Nemesis) error { return n.pauseWorker("tikv pd", n.groups[1], true) }},
		fault{"pause-flush-worker", 1, func(n *Nemesis) error { return n.pauseWorker("tikv flush", n.groups[0], false) }})
}

// pauseWorker stops one process for 1 to 30 s, mostly on the node that leads
// the group; leads: which it does by this process.
func (n *Nemesis) pauseWorker(title string, g *group, leads bool) error {
	node := g.leader
	if n.Cluster.Nodes > 1 && !n.first && n.random.Intn(3) == 0 {
		node = n.other(node)
	}
	resume, err := n.Cluster.HoldStill(node, title)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotInjected, err)
	}
	defer resume()
	began := time.Now()
	if leads {
		n.goneFrom(g, node)
	}
	time.Sleep(time.Second)
	if g.watch != nil {
		if err := n.holdGone(); err != nil {
			return err
		}
	} else {
		n.rest(n.Longest - time.Second)
	}
	log.Printf("%s of node %d stood still for %.1f s", title, node, time.Since(began).Seconds())
	return nil
}
