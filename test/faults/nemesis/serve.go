package nemesis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// What a node may take, after a fault has ended, until it acknowledges what it
// is asked.  A node that does not by then never will, however busy the machine.
const servesWithin = 3 * time.Minute

// served is what the report says of it.
type served struct {
	checks, byRegion int
	longest          time.Duration
}

func (s served) text() string {
	if s.checks == 0 {
		return ""
	}
	return fmt.Sprintf("each node acknowledged a write after each fault: %d times by SQL, %d of them by a region of its own, too; the slowest %.1f s after the end\n",
		s.checks, s.byRegion, s.longest.Seconds())
}

// eachServes demands an acknowledged operation through each node: a write and a
// read by SQL, and if it leads regions, a write of one over gRPC.  Then its disk
// is no longer full.
func (n *Nemesis) eachServes() error {
	nodes := n.Cluster.Here()
	began := time.Now()
	errs := make([]error, len(nodes))
	led := make([]bool, len(nodes))
	took := make([]time.Duration, len(nodes))
	var wait sync.WaitGroup
	for i, node := range nodes {
		wait.Add(1)
		go func() {
			defer wait.Done()
			led[i], errs[i] = n.awaitService(node)
			took[i] = time.Since(began)
		}()
	}
	wait.Wait()
	for i, node := range nodes {
		if errs[i] != nil {
			errs[i] = fmt.Errorf("node %d acknowledges nothing for %v: %w", node, servesWithin, errs[i])
			continue
		}
		n.Cluster.Disks.End(node)
		n.served.checks++
		if led[i] {
			n.served.byRegion++
		}
		n.served.longest = max(n.served.longest, took[i])
	}
	return errors.Join(errs...)
}

// demandService of a node that is at fault, while it is, as long as that takes:
// the first time, and of three nodes, on which everything is done by groups.
func (n *Nemesis) demandService(node int) error {
	if !n.first || n.Cluster.Nodes < 3 {
		return nil
	}
	if _, err := n.awaitService(node); err != nil {
		return fmt.Errorf("node %d acknowledges nothing for %v while the fault lasts: %w", node, servesWithin, err)
	}
	n.tell("served meanwhile", 1)
	return nil
}

// demandWrite of the region by any node, while a fault lasts.
func (n *Nemesis) demandWrite() error {
	w := startWatch(n.groups[0], n.Cluster.Nodes, -1)
	defer w.stop()
	if !w.await(mustLeadWithin) {
		return fmt.Errorf("nobody acknowledges a write while the fault lasts, for %v", mustLeadWithin)
	}
	n.tell("writes acknowledged meanwhile", 1)
	return nil
}

func (n *Nemesis) awaitService(node int) (led bool, err error) {
	for began := time.Now(); time.Since(began) < servesWithin; time.Sleep(100 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		if err = n.servesSQL(ctx, node); err == nil {
			led, err = n.servesRegion(ctx, node)
		}
		cancel()
		if err == nil {
			return led, nil
		}
	}
	return false, err
}

func (n *Nemesis) servesSQL(ctx context.Context, node int) error {
	conn, err := pgx.Connect(ctx, n.Cluster.DSNOf(node))
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	key := []byte(fmt.Sprintf("chaos/serves/%d", node))
	value := []byte(time.Now().Format(time.RFC3339Nano))
	if _, err = conn.Exec(ctx, "SELECT tikv_put($1, $2)", key, value); err != nil {
		return err
	}
	var read []byte
	err = conn.QueryRow(ctx, "SELECT tikv_get($1)", key).Scan(&read)
	if err == nil && !bytes.Equal(read, value) {
		err = fmt.Errorf("%q was written and %q is read", value, read)
	}
	return err
}

// servesRegion writes into one that the node leads, as PD was told.
func (n *Nemesis) servesRegion(ctx context.Context, node int) (led bool, err error) {
	router := NewRouter(n.Cluster)
	defer router.Close()
	regions, err := router.Regions(ctx)
	if err != nil {
		return false, err
	}
	for _, r := range regions {
		if r.GetLeader().GetStoreId() == 0 {
			continue
		}
		address, err := router.Address(ctx, r.Leader.StoreId)
		if err != nil {
			return false, err
		}
		if address != n.Cluster.AddressOf(node) {
			continue
		}
		g := regionGroup(n.Cluster, string(r.Region.StartKey), r.Region.Id, node)
		defer g.close()
		if !g.answers(ctx, node) {
			return false, fmt.Errorf("it acknowledges no write of region %d, which PD says it leads", r.Region.Id)
		}
		return true, nil
	}
	return false, nil
}
