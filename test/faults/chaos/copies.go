package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pingcap/kvproto/pkg/metapb"
	"github.com/tikv/client-go/v2/util/codec"
)

// What a node holds of the ledger in its own tables: reads show what leaders
// hold, and a peer that lacks what a snapshot ought to have brought would be found
// only once it leads.

// How long a peer may take to apply what was acknowledged before.
const appliedWithin = time.Minute

// spot is a region and who has a peer of it.
type spot struct {
	start, end string
	nodes      []int
}

func spotOf(key string, spots []spot) (spot, bool) {
	i := slices.IndexFunc(spots, func(s spot) bool { return key >= s.start && (s.end == "" || key < s.end) })
	if i < 0 {
		return spot{}, false
	}
	return spots[i], true
}

// lackedBy compares what was acknowledged with the tables of the nodes that
// must have it.
func lackedBy(want map[string]string, transactional bool, spots []spot, tables map[int]map[string]string) error {
	var gone []string
	copies := 0
	for key, value := range want {
		place, form := key, value
		if transactional {
			place = string(codec.EncodeBytes(nil, []byte(key)))
			form = fmt.Sprintf("v%c%s", len(value), value)
		}
		at, there := spotOf(place, spots)
		if !there || len(at.nodes) == 0 {
			return fmt.Errorf("no region has %q", key)
		}
		for _, node := range at.nodes {
			copies++
			found, there := tables[node][key]
			if !there || !transactional && found != form || transactional && !strings.Contains(found, form) {
				gone = append(gone, fmt.Sprintf("%s of node %d", key, node))
			}
		}
	}
	if len(gone) == 0 {
		return nil
	}
	slices.Sort(gone)
	return fmt.Errorf("%d of %d copies of acknowledged keys are not in the tables, or with another value: %s", len(gone), copies,
		strings.Join(gone[:min(len(gone), 5)], ", "))
}

// Of a version its record, which has a value that is short in it.
var tableOf = map[bool]string{
	false: `SELECT key, value FROM tikv_internal.raw WHERE cf = 'd' AND key >= 'grow/' AND key < 'grow0'`,
	true: `SELECT key, string_agg(rec, ''::bytea) FROM tikv_internal.write WHERE key >= 'grow/' AND key < 'grow0'
		GROUP BY key`}

// copies: each node with a peer of a region has all that was acknowledged by now.
func (g *growth) copies() error {
	for _, transactional := range []bool{false, true} {
		g.ledger.mutex.Lock()
		want := maps.Clone(g.ledger.keys[transactional])
		g.ledger.mutex.Unlock()
		err := fmt.Errorf("nobody was asked")
		for began := time.Now(); err != nil; time.Sleep(200 * time.Millisecond) {
			if err = g.copiesOnce(want, transactional); err != nil && time.Since(began) > appliedWithin {
				return fmt.Errorf("after %v: transactional %v: %w", appliedWithin, transactional, err)
			}
		}
	}
	return nil
}

func (g *growth) copiesOnce(want map[string]string, transactional bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	spots, err := g.spots(ctx)
	if err != nil {
		return err
	}
	tables := map[int]map[string]string{}
	for _, node := range g.cluster.Here() {
		if tables[node], err = g.table(ctx, node, tableOf[transactional]); err != nil {
			return fmt.Errorf("node %d: %w", node, err)
		}
	}
	return lackedBy(want, transactional, spots, tables)
}

// spots of all regions, as PD knows them.
func (g *growth) spots(ctx context.Context) (spots []spot, err error) {
	all, err := g.router.Regions(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		s := spot{start: string(r.Region.StartKey), end: string(r.Region.EndKey)}
		for _, peer := range r.Region.Peers {
			if s.nodes, err = g.withNode(ctx, s.nodes, peer); err != nil {
				return nil, err
			}
		}
		spots = append(spots, s)
	}
	return spots, nil
}

func (g *growth) withNode(ctx context.Context, nodes []int, peer *metapb.Peer) ([]int, error) {
	address, err := g.router.Address(ctx, peer.StoreId)
	return append(nodes, g.cluster.NodeOf(address)), err
}

func (g *growth) table(ctx context.Context, node int, sql string) (map[string]string, error) {
	conn, err := pgx.Connect(ctx, g.cluster.DSNOf(node))
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	has := map[string]string{}
	var key, value []byte
	_, err = pgx.ForEachRow(rows, []any{&key, &value}, func() error {
		has[string(key)] = string(value)
		return nil
	})
	return has, err
}
