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

// order something of the instance by SQL.
func (n *Nemesis) order(node int, sql string, arguments ...any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, n.Cluster.DSNOf(node))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql, arguments...)
	return err
}

// ask an instance for one row of values.
func (n *Nemesis) ask(node int, values []any, sql string, arguments ...any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, n.Cluster.DSNOf(node))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return conn.QueryRow(ctx, sql, arguments...).Scan(values...)
}

// transferLeader some times: who has handed it over must not go on reading.
func (n *Nemesis) transferLeader() error {
	done := 0
	for i := 0; i < 4; i++ {
		n.findLeader(n.groups[0])
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		peer, region := n.peerOf(ctx, n.other(n.leader()))
		cancel()
		if peer == nil {
			continue
		}
		err := n.order(n.leader(), "SELECT tikv_transfer_leader($1, $2)", int64(region.Id), int64(peer.StoreId))
		if err == nil {
			done++
		} else {
			log.Printf("no transfer: %v", err)
		}
		n.rest(time.Second)
	}
	if done == 0 {
		return fmt.Errorf("no leadership was transferred")
	}
	return nil
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
		for node := 0; node < n.Cluster.Nodes; node++ {
			if err = n.order(node, "SELECT tikv_split($1)", key); err == nil {
				n.forgetRegion()
				return nil
			}
		}
		time.Sleep(500 * time.Millisecond)
	}
	return err
}

// orderRemoval of a peer from the region.
func (n *Nemesis) orderRemoval() error {
	n.findLeader(n.groups[0])
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	peer, region := n.peerOf(ctx, n.other(n.leader()))
	cancel()
	if peer == nil {
		return fmt.Errorf("PD does not say who has the region")
	}
	return n.order(n.leader(), "SELECT tikv_remove_peer($1, $2)", int64(region.Id), int64(peer.StoreId))
}

// removePeer of a follower from the region.  It is refused while what is left
// would be no majority that has its data, as after a fault before.
func (n *Nemesis) removePeer() error {
	err := n.orderRemoval()
	for began := time.Now(); err != nil && time.Since(began) < time.Minute; {
		log.Printf("no removal: %v", err)
		time.Sleep(500 * time.Millisecond)
		err = n.orderRemoval()
	}
	return err
}

// removeFollower from the region; PD brings it back, by a snapshot.
func (n *Nemesis) removeFollower() error {
	if err := n.removePeer(); err != nil {
		return err
	}
	time.Sleep(time.Second)
	n.forgetRegion()
	return n.WaitReplicas()
}
