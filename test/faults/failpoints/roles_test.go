package main

import (
	"testing"

	"tikv_fdw/test/faults/cluster"
)

// Who leads the region after a look, if the node in question led it before:
// the target is node 1.
func TestKeepRegion(t *testing.T) {
	for _, test := range []struct {
		roles, drive string
		role         role
		before       int
		after        int
	}{
		{"LP", "size", leader, 1, 1},
		{"LP", "size", leader, 0, 1},
		{"LP", "size", pdLeader, 2, 1},
		{"LFP", "sleep", leader, 2, 1},
		{"LFP", "sleep", follower, 1, 2},
		{"LFP", "sleep", follower, 0, 0},
		{"LFP", "sleep", pdLeader, 1, 2},
		{"FP", "stale", pdLeader, 1, 2},
		{"FP", "stale", pdLeader, 0, 0},
		{"P", "safepoint", pdLeader, 1, 1},
		{"P", "safepoint", pdLeader, 0, 0},
		{"LP", "transfer", leader, 0, 0},
		{"LP", "alone", pdLeader, 0, 1},
		{"LFP", "restart", follower, 1, 1},
	} {
		trial := &trial{w: &world{Cluster: &cluster.Cluster{Nodes: 3}}, role: test.role, target: 1,
			point: &point{roles: test.roles, drive: test.drive}}
		after := test.before
		if trial.keepsRegion() {
			after = trial.goesTo(test.before, trial.leadsRegion())
		}
		if after != test.after {
			t.Errorf("%s as %v, driven by %s: node %d leads after node %d, not %d",
				test.roles, test.role, test.drive, after, test.before, test.after)
		}
	}
}
