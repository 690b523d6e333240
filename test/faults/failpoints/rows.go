package main

import (
	"fmt"
	"strings"
)

// What all replicas have in common: the rows of keys, versions and locks, and
// how far the logs are applied that they come from.

// applied positions of a node's groups, then the digests of its tables, in one
// snapshot: a turn commits what it applies together with how far that is.  A
// lock is the same whether it is in a slot or finds no room there, which is each
// node's own affair; before the key in a slot stands its length, a varint.
var tables = []struct{ name, digest string }{
	{"applied", `SELECT string_agg(format('%s@%s', region_id, applied_index), ' ' ORDER BY region_id)
		FROM tikv_internal.raft_state JOIN tikv_internal.region USING (region_id) WHERE state <> 2`},
	{"raw", `SELECT count(*) || ' ' || coalesce(md5(string_agg(md5(r::text), '' ORDER BY cf, key, key_rest)), '')
		FROM (SELECT cf, key, key_rest, value, expires_at FROM tikv_internal.raw) r`},
	{"write", `SELECT count(*) || ' ' || coalesce(md5(string_agg(md5(r::text), '' ORDER BY key, key_rest, commit_ts)), '')
		FROM tikv_internal.write r`},
	{"value", `SELECT count(*) || ' ' || coalesce(md5(string_agg(md5(r::text), '' ORDER BY key, key_rest, start_ts)), '')
		FROM tikv_internal.value r`},
	{"locks", `SELECT count(*) || ' ' || coalesce(md5(string_agg(md5(l), '' ORDER BY l)), '')
		FROM (SELECT substr(rec, CASE WHEN get_byte(rec, 0) < 128 THEN 2 WHEN get_byte(rec, 1) < 128 THEN 3 ELSE 4 END) AS l
			FROM tikv_internal.lock_slot WHERE rec IS NOT NULL
			UNION ALL SELECT key || coalesce(key_rest, '') || rec FROM tikv_internal.lock_spill) locks`},
}

func rowsQuery() string {
	var parts []string
	for _, table := range tables {
		parts = append(parts, "("+table.digest+")")
	}
	return "SELECT ARRAY[" + strings.Join(parts, ", ") + "]"
}

// sameRows says how a node differs from the first: what their tables hold can
// be told from each other only where they have applied the same.
func sameRows(nodes [][]string) error {
	for node, rows := range nodes {
		if len(rows) != len(tables) || rows[0] == "" {
			return fmt.Errorf("node %d does not tell its rows: %q", node, rows)
		}
		for i, table := range tables {
			if i == 0 && rows[0] != nodes[0][0] {
				return fmt.Errorf("node 0 has applied %s, node %d %s", nodes[0][0], node, rows[0])
			}
			if rows[i] != nodes[0][i] {
				return fmt.Errorf("%s: node 0 has %s, node %d %s, both have applied %s",
					table.name, nodes[0][i], node, rows[i], rows[0])
			}
		}
	}
	return nil
}

// checkReplicas: they come to have the same rows, and the crashed one's tables
// are in order.  Not at once: what compaction and deletions of ranges remove is
// removed by each node in its own time, whatever is applied.
func (w *world) checkReplicas(crashed int) error {
	err := wait(recoverPatience, "the same rows", func() error {
		nodes := make([][]string, w.Nodes)
		for node := range nodes {
			if err := w.query(node, &nodes[node], rowsQuery()); err != nil {
				return err
			}
		}
		return sameRows(nodes)
	})
	if err != nil {
		return err
	}
	return w.checkTables(crashed)
}

func (w *world) checkTables(node int) error {
	var problems string
	err := w.query(node, &problems, "SELECT coalesce(string_agg(p, '; '), '') FROM tikv_check() p")
	if err == nil && problems != "" {
		err = fmt.Errorf("node %d: tikv_check: %s", node, problems)
	}
	return err
}
