package main

import (
	"fmt"

	"tikv_fdw/test/faults/cluster"
)

// checkReplicas: they come to have the same rows, and the crashed one's tables
// are in order.  Not at once: what compaction and deletions of ranges remove is
// removed by each node in its own time, whatever is applied.
func (w *world) checkReplicas(crashed int) error {
	err := wait(recoverPatience, "the same rows", func() error {
		nodes := w.Here()
		all := make([][]string, len(nodes))
		for i, node := range nodes {
			if err := w.query(node, &all[i], cluster.RowsQuery()); err != nil {
				return err
			}
		}
		return cluster.SameRows(nodes, all)
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
