package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Restarts that must be seen to have been what they are called.

// RestartStore aborts the store of a node and waits until the next one serves:
// Postgres brings it back without anybody's help.  It also says after what time
// the next one had begun.
func (c *Cluster) RestartStore(node int, most time.Duration) (begun time.Duration, err error) {
	const title = "tikv store"
	before := c.Workers(node, title)
	began := time.Now()
	if err = c.AbortWorker(node, title); err != nil {
		return 0, err
	}
	for time.Since(began) < most {
		now := c.Workers(node, title)
		if begun == 0 && len(now) > 0 && !slices.Equal(now, before) {
			begun = time.Since(began)
		}
		if err = c.storeServes(node, before); err == nil && begun > 0 {
			return begun, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return 0, fmt.Errorf("the store of node %d does not come back in %v: %w", node, most, err)
}

// storeServes: the store says so itself, when it has loaded its Raft groups and
// takes part in them; it is not one of these processes, and has groups.
func (c *Cluster) storeServes(node int, before []int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.DSNOf(node))
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	var pid, groups int
	var state string
	err = conn.QueryRow(ctx, `SELECT coalesce(pid, 0), state, (SELECT count(*) FROM tikv.regions)
		FROM tikv_status() WHERE worker = 'store'`).Scan(&pid, &state, &groups)
	if err == nil && (state != "serving" || groups == 0 || slices.Contains(before, pid)) {
		err = fmt.Errorf("process %d is %s and has %d groups", pid, state, groups)
	}
	return err
}

// Restart a node as an operator does: it must have been shut down in order.
func (c *Cluster) Restart(node int) error {
	since := c.logEnd(node)
	if err := c.Shutdown(node); err != nil {
		return err
	}
	c.Start()
	return c.startedAfter(node, since, "database system was shut down at")
}

// KillAndStart a node: it must have had to recover.
func (c *Cluster) KillAndStart(node int, random *rand.Rand) error {
	since := c.logEnd(node)
	if err := c.KillNode(node, random); err != nil {
		return err
	}
	c.Start()
	return c.startedAfter(node, since, "database system was interrupted")
}

// startedAfter what Postgres says, when it starts, of how it had ended.
func (c *Cluster) startedAfter(node int, since int64, end string) error {
	found, err := c.logged(node, since, end)
	if err == nil && !found {
		err = errors.New("it does not say, when it starts: " + end)
	}
	if err != nil {
		err = fmt.Errorf("the log of node %d: %w", node, err)
	}
	return err
}
