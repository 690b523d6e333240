package cluster

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// What all replicas have in common: the rows of keys, versions and locks, and
// how far the logs are applied that they come from.

// applied positions of a node's groups, then the digests of its tables, in one
// snapshot: a turn commits what it applies together with how far that is.  A
// lock is the same whether it is in a slot or finds no room there, which is each
// node's own affair; before the key in a slot stands its length, a varint.  A raw
// key that has expired is removed by each node in its own time.
var tables = []struct{ name, digest string }{
	{"applied", `SELECT string_agg(format('%s@%s', region_id, applied_index), ' ' ORDER BY region_id)
		FROM tikv_internal.raft_state JOIN tikv_internal.region USING (region_id) WHERE state <> 2`},
	{"raw", `SELECT count(*) || ' ' || coalesce(md5(string_agg(md5(r::text), '' ORDER BY cf, key, key_rest)), '')
		FROM (SELECT cf, key, key_rest, value, expires_at FROM tikv_internal.raw
			WHERE expires_at = 0 OR expires_at > extract(epoch FROM clock_timestamp())) r`},
	{"write", `SELECT count(*) || ' ' || coalesce(md5(string_agg(md5(r::text), '' ORDER BY key, key_rest, commit_ts)), '')
		FROM tikv_internal.write r`},
	{"value", `SELECT count(*) || ' ' || coalesce(md5(string_agg(md5(r::text), '' ORDER BY key, key_rest, start_ts)), '')
		FROM tikv_internal.value r`},
	{"locks", `SELECT count(*) || ' ' || coalesce(md5(string_agg(md5(l), '' ORDER BY l)), '')
		FROM (SELECT substr(rec, CASE WHEN get_byte(rec, 0) < 128 THEN 2 WHEN get_byte(rec, 1) < 128 THEN 3 ELSE 4 END) AS l
			FROM tikv_internal.lock_slot WHERE rec IS NOT NULL
			UNION ALL SELECT key || coalesce(key_rest, '') || rec FROM tikv_internal.lock_spill) locks`},
}

// RowsQuery asks a node for what SameRows compares.
func RowsQuery() string {
	var parts []string
	for _, table := range tables {
		parts = append(parts, "("+table.digest+")")
	}
	return "SELECT ARRAY[" + strings.Join(parts, ", ") + "]"
}

// SameRows says how one of the nodes differs from the first: what their tables
// hold can be told from each other only where they have applied the same.
func SameRows(nodes []int, all [][]string) error {
	for at, rows := range all {
		first, node := nodes[0], nodes[at]
		if len(rows) != len(tables) || rows[0] == "" {
			return fmt.Errorf("node %d does not tell its rows: %q", node, rows)
		}
		for i, table := range tables {
			if i == 0 && rows[0] != all[0][0] {
				return fmt.Errorf("node %d has applied %s, node %d %s", first, all[0][0], node, rows[0])
			}
			if rows[i] != all[0][i] {
				return fmt.Errorf("%s: node %d has %s, node %d %s, both have applied %s",
					table.name, first, all[0][i], node, rows[i], rows[0])
			}
		}
	}
	return nil
}

// AwaitSameRows of all nodes, each of which has all regions; nobody works.  What
// compaction and deletions of ranges remove is removed by each in its own time.
func (c *Cluster) AwaitSameRows(within time.Duration) (err error) {
	for began := time.Now(); time.Since(began) < within; time.Sleep(200 * time.Millisecond) {
		if err = c.sameRows(); err == nil {
			return nil
		}
	}
	return fmt.Errorf("the nodes have not come to hold the same within %v: %w", within, err)
}

func (c *Cluster) sameRows() error {
	nodes := c.Here()
	all := make([][]string, len(nodes))
	for i, node := range nodes {
		if err := c.rowsOf(node, &all[i]); err != nil {
			return fmt.Errorf("node %d: %w", node, err)
		}
	}
	return SameRows(nodes, all)
}

func (c *Cluster) rowsOf(node int, rows *[]string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.DSNOf(node))
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	return conn.QueryRow(ctx, RowsQuery()).Scan(rows)
}
