package nemesis

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/tikv/client-go/v2/util/codec"
)

// Regions are split so often at most.
const mostSplits = 5

// inSession of a node: whatever it is, it may take ten seconds.
func (n *Nemesis) inSession(node int, do func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, n.Cluster.DSNOf(node))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return do(ctx, conn)
}

// order something of the instance by SQL.
func (n *Nemesis) order(node int, sql string, arguments ...any) error {
	return n.inSession(node, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, sql, arguments...)
		return err
	})
}

// ask an instance for one row of values.
func (n *Nemesis) ask(node int, values []any, sql string, arguments ...any) error {
	return n.inSession(node, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, sql, arguments...).Scan(values...)
	})
}

// transferLeader some times: who has handed it over must not go on reading.
func (n *Nemesis) transferLeader() error {
	done := 0
	for i := 0; i < 4; i++ {
		n.findLeader(n.groups[0])
		to := n.other(n.leader())
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		peer, region := n.peerOf(ctx, to)
		cancel()
		if peer == nil {
			continue
		}
		err := n.order(n.leader(), "SELECT tikv_transfer_leader($1, $2)", int64(region.Id), int64(peer.StoreId))
		if err == nil {
			err = n.awaitAnswer(to, "SELECT is_leader FROM tikv.regions WHERE region_id = $1", int64(region.Id))
		}
		if err == nil {
			done++
		} else {
			log.Printf("no transfer: %v", err)
		}
		n.rest(time.Second)
	}
	if done == 0 {
		return fmt.Errorf("%w: no leadership was transferred", errNotInjected)
	}
	n.tell("transfers seen", int64(done))
	return nil
}

// awaitAnswer until a node says that it is so; what was ordered is only accepted
// by then.
func (n *Nemesis) awaitAnswer(node int, sql string, arguments ...any) error {
	last := fmt.Errorf("it is not so")
	for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(50 * time.Millisecond) {
		var is bool
		if err := n.ask(node, []any{&is}, sql, arguments...); err != nil {
			last = err
		} else if is {
			return nil
		}
	}
	return fmt.Errorf("node %d, %s: %w", node, sql, last)
}

// split a region of the registers under their clients, between two of them.
// The bound is one that clients of transactions can decode, as all must be
// where there are such.
func (n *Nemesis) split() (err error) {
	if n.splits++; n.splits > mostSplits {
		return fmt.Errorf("%w: regions were split %d times", errNotInjected, mostSplits)
	}
	key := codec.EncodeBytes(nil, []byte(fmt.Sprintf("chaos%03d", n.splits-1)))
	for i := 0; i < 20; i++ {
		// Any node has it split; one that is cut off cannot.
		node := i % n.Cluster.Nodes
		if err = n.order(node, "SELECT tikv_split($1)", key); err == nil {
			n.forgetRegion()
			return n.awaitAnswer(node, "SELECT count(*) = 1 FROM tikv.regions WHERE start_key = $1", key)
		}
		time.Sleep(500 * time.Millisecond)
	}
	return err
}

// orderRemoval of a node's peer from the region.
func (n *Nemesis) orderRemoval() (node int, removed uint64, err error) {
	n.findLeader(n.groups[0])
	node = n.other(n.leader())
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	peer, region := n.peerOf(ctx, node)
	cancel()
	if peer == nil {
		return node, 0, fmt.Errorf("PD does not say who has the region")
	}
	err = n.order(n.leader(), "SELECT tikv_remove_peer($1, $2)", int64(region.Id), int64(peer.StoreId))
	return node, peer.Id, err
}

// removePeer of a follower from the region.  It is refused while what is left
// would be no majority that has its data, as after a fault before.
func (n *Nemesis) removePeer() (node int, removed uint64, err error) {
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(500 * time.Millisecond) {
		if node, removed, err = n.orderRemoval(); err == nil {
			return node, removed, nil
		}
		log.Printf("no removal: %v", err)
	}
	return node, removed, err
}

// removeFollower from the region; PD brings it back, by a snapshot.
func (n *Nemesis) removeFollower() error {
	node, removed, err := n.removePeer()
	if err != nil {
		return err
	}
	if !n.isGone(node, removed) {
		return fmt.Errorf("%w: PD still names peer %d of node %d", errNotInjected, removed, node)
	}
	n.forgetRegion()
	return n.WaitReplicas()
}

// isGone: PD names another peer of the node, or none.
func (n *Nemesis) isGone(node int, removed uint64) bool {
	for began := time.Now(); time.Since(began) < effectWithin; time.Sleep(50 * time.Millisecond) {
		n.forgetRegion()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		peer, region := n.peerOf(ctx, node)
		cancel()
		if region != nil && (peer == nil || peer.Id != removed) {
			return true
		}
	}
	return false
}
