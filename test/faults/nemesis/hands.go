package nemesis

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/pingcap/kvproto/pkg/metapb"
	"github.com/pingcap/kvproto/pkg/tikvpb"
)

// What a test does by itself, without chance.

// Leader of the region of the registers.
func (n *Nemesis) Leader() (int, error) {
	return n.AwaitLeader(-1)
}

// AwaitLeader waits until a node besides this one leads that region.  How long
// that may take is not judged here: a slow machine is told of, with what the
// nodes say of it.
func (n *Nemesis) AwaitLeader(besides int) (int, error) {
	w := startWatch(n.groups[0], n.Cluster.Nodes, besides)
	found := w.await(replacedWithin)
	if !found {
		log.Printf("no node but %d leads after %v:\n%s", besides, replacedWithin, n.groupsSeen(besides))
		found = w.await(2 * replacedWithin)
	}
	w.stop()
	if !found {
		return -1, fmt.Errorf("no node but %d leads after %v: %s", besides, 3*replacedWithin, n.groupsSeen(besides))
	}
	return w.node, nil
}

// What the nodes besides this one say of their peers and of their messages.
func (n *Nemesis) groupsSeen(besides int) string {
	var all []string
	for node := 0; node < n.Cluster.Nodes; node++ {
		if node == besides {
			continue
		}
		var peers, messages string
		err := errors.Join(
			n.ask(node, []any{&peers}, `SELECT string_agg(r::text, ' ') FROM tikv.raft AS r WHERE is_local`),
			n.ask(node, []any{&messages}, `SELECT string_agg(name || '=' || value, ' ') FROM tikv.metrics
				WHERE name LIKE 'tikv_fdw_raft%' AND value <> 0`))
		all = append(all, fmt.Sprintf("node %d: %s; %s; %v", node, peers, messages, err))
	}
	return strings.Join(all, "\n")
}

// CutTo lets nothing reach the node from others; they hear it.
func (n *Nemesis) CutTo(node int) {
	var links []link
	for i := 0; i < n.Cluster.Nodes; i++ {
		links = append(links, link{i, node})
	}
	n.cutByHand(links)
}

// Isolate a node from all others.
func (n *Nemesis) Isolate(node int) {
	var links []link
	for i := 0; i < n.Cluster.Nodes; i++ {
		links = append(links, link{i, node}, link{node, i})
	}
	n.cutByHand(links)
}

// cutByHand: CheckProxy tells whether anything passed until Heal.
func (n *Nemesis) cutByHand(links []link) {
	if err := n.network.block(true, links...); err != nil {
		n.leaked = errors.Join(n.leaked, err)
	}
}

// Heal all links.
func (n *Nemesis) Heal() {
	if err := n.network.sealed(); err != nil {
		n.leaked = errors.Join(n.leaked, err)
	}
	n.network.heal()
}

// Order something of an instance by SQL.
func (n *Nemesis) Order(node int, sql string, arguments ...any) error {
	return n.order(node, sql, arguments...)
}

// Ask an instance for one row of values by SQL.
func (n *Nemesis) Ask(node int, values []any, sql string, arguments ...any) error {
	return n.ask(node, values, sql, arguments...)
}

// PeerOf a node in the region of a key, and the region, as PD knows them now.
func (n *Nemesis) PeerOf(node int, key string) (*metapb.Peer, *metapb.Region, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var err error
	for ctx.Err() == nil {
		router := NewRouter(n.Cluster)
		err = router.FindRegion(ctx, key)
		for i := 0; err == nil && i < len(router.Region.Peers); i++ {
			peer := router.Region.Peers[i]
			address, e := router.Address(ctx, peer.StoreId)
			if e == nil && address == n.Cluster.AddressOf(node) {
				router.Close()
				return peer, router.Region, nil
			}
		}
		router.Close()
		time.Sleep(100 * time.Millisecond)
	}
	return nil, nil, fmt.Errorf("node %d has no peer of the region of %q: %v", node, key, err)
}

// Store of a node, for calls of a test's own.
func (n *Nemesis) Store(node int) (tikvpb.TikvClient, error) {
	conn, err := n.router.Conn(n.Cluster.AddressOf(node))
	if err != nil {
		return nil, err
	}
	return tikvpb.NewTikvClient(conn), nil
}
