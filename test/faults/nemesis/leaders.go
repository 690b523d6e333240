package nemesis

import (
	"context"
	"fmt"
	"log"
	"slices"
	"sync"
	"time"

	"github.com/pingcap/kvproto/pkg/metapb"
	"github.com/pingcap/kvproto/pkg/pdpb"
)

// electionTimeout is E of regions and of PD (src/core/raft/raft.c): the one of
// an election is a random one between E and 2E.
const electionTimeout = 3 * time.Second

// What a fault may take until somebody else leads; beyond, it is not waited for.
const replacedWithin = 10 * electionTimeout

const (
	probeKey   = "chaos/probe"
	probePause = 20 * time.Millisecond
)

// group is who can have a leader: the region of the registers, or PD.
type group struct {
	name    string
	leader  int // before the fault
	answers func(ctx context.Context, node int) bool
	watch   *watch // from the moment on at which the leader was harmed
	close   func() // of a region besides
}

// change of leaders.
type change struct {
	fault, group string
	took         time.Duration
}

// writes says whether the node acknowledges a write: then it leads.
func (n *Nemesis) writes(ctx context.Context, node int) bool {
	return n.router.puts(ctx, probeKey, node)
}

// peerOf a node in the region of the probe, as PD knew it last.
func (n *Nemesis) peerOf(ctx context.Context, node int) (*metapb.Peer, *metapb.Region) {
	return n.router.peerOf(ctx, probeKey, node)
}

func (n *Nemesis) forgetRegion() {
	n.router.forget()
}

// givesTimestamp says whether the member answers with one: then it leads.
func (n *Nemesis) givesTimestamp(ctx context.Context, node int) bool {
	return n.timestampOf(ctx, node) != nil
}

// timestampOf a member, nil if it gives none.
func (n *Nemesis) timestampOf(ctx context.Context, node int) *pdpb.Timestamp {
	conn, err := n.router.Conn(n.Cluster.PDAddressOf(node))
	if err != nil {
		return nil
	}
	stream, err := pdpb.NewPDClient(conn).Tso(ctx)
	if err != nil {
		return nil
	}
	defer func() { _ = stream.CloseSend() }()
	if stream.Send(&pdpb.TsoRequest{Header: n.router.header(), Count: 1}) != nil {
		return nil
	}
	r, err := stream.Recv()
	if Failed(r.GetHeader(), err) != nil {
		return nil
	}
	return r.GetTimestamp()
}

// watch for the first node that leads, besides one or besides none.
type watch struct {
	began  time.Time
	cancel context.CancelFunc
	wait   sync.WaitGroup
	found  chan struct{}
	once   sync.Once
	node   int
	took   time.Duration
	late   bool // nobody was found in time
}

func startWatch(g *group, nodes, besides int) *watch {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watch{began: time.Now(), cancel: cancel, found: make(chan struct{}), node: -1}
	for node := 0; node < nodes; node++ {
		if node == besides {
			continue
		}
		w.wait.Add(1)
		go func() {
			defer w.wait.Done()
			w.look(ctx, g, node)
		}()
	}
	return w
}

func (w *watch) look(ctx context.Context, g *group, node int) {
	for ctx.Err() == nil {
		limited, cancel := context.WithTimeout(ctx, time.Second)
		leads := g.answers(limited, node)
		cancel()
		if leads {
			w.once.Do(func() {
				w.node, w.took = node, time.Since(w.began)
				close(w.found)
				w.cancel()
			})
		}
		time.Sleep(probePause)
	}
}

func (w *watch) await(most time.Duration) bool {
	select {
	case <-w.found:
		return true
	case <-time.After(most):
		return false
	}
}

func (w *watch) stop() {
	w.cancel()
	w.wait.Wait()
}

// findLeader before a fault.
func (n *Nemesis) findLeader(g *group) {
	w := startWatch(g, max(1, n.Cluster.Nodes), -1)
	if w.await(replacedWithin) {
		g.leader = w.node
	} else {
		g.leader = n.random.Intn(max(1, n.Cluster.Nodes))
		log.Printf("nobody leads %s; harming any", g.name)
	}
	w.stop()
}

// gone: this node was harmed just now.
func (n *Nemesis) gone(node int) {
	for _, g := range n.groups {
		n.goneFrom(g, node)
	}
}

// goneFrom: only what the node does for this group was harmed.
func (n *Nemesis) goneFrom(g *group, node int) {
	if n.Cluster.Nodes > 1 && g.leader == node {
		g.watch = startWatch(g, n.Cluster.Nodes, node)
	}
}

// untilReplaced waits until others lead what the harmed ones led.
func (n *Nemesis) untilReplaced() {
	for _, g := range n.groups {
		if g.watch != nil && !g.watch.await(replacedWithin) {
			log.Printf("nobody else leads %s after %v", g.name, replacedWithin)
			g.watch.late = true
		}
	}
}

// demandOthers waits as long as it takes: who is gone must be replaced.
func (n *Nemesis) demandOthers() error {
	n.untilReplaced()
	for _, g := range n.groups {
		if g.watch != nil && !g.watch.await(mustLeadWithin) {
			return fmt.Errorf("nobody leads %s in the place of node %d, which is gone since %v",
				g.name, g.leader, mustLeadWithin)
		}
	}
	return nil
}

// unfollowed: nobody else led though a killed node was away for so long that
// others should have; that it leads again is no excuse.
func (w *watch) unfollowed(fault string, repaired time.Time) bool {
	return w.node < 0 && slices.Contains(kills, fault) && (w.late || inE(repaired.Sub(w.began)) > mostExpected)
}

// settle after the repair: somebody leads, the harmed node again or another.
func (n *Nemesis) settle(fault string) {
	for _, g := range n.groups {
		w := g.watch
		if w == nil {
			continue
		}
		again := startWatch(g, n.Cluster.Nodes, -1)
		if again.await(replacedWithin) && again.node != g.leader {
			w.await(time.Second)
		}
		again.stop()
		w.stop()
		if w.unfollowed(fault, n.repaired) {
			w.node, w.took = again.node, time.Since(w.began)
		}
		if w.node >= 0 {
			n.times = append(n.times, change{fault, g.name, w.took})
			log.Printf("node %d leads %s %.1f s after it (%.2f E)", w.node, g.name,
				w.took.Seconds(), w.took.Seconds()/electionTimeout.Seconds())
		} else {
			log.Printf("node %d leads %s again", again.node, g.name)
		}
		g.watch = nil
	}
}
