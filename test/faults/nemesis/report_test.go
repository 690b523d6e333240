package nemesis

import (
	"testing"
	"time"

	"tikv_fdw/test/faults/cluster"
)

func TestJudgeKills(t *testing.T) {
	e := func(n float64) time.Duration { return time.Duration(n * float64(electionTimeout)) }
	tests := []struct {
		name string
		fine bool
		all  []change
	}{
		{"none", true, nil},
		{"as expected", true, []change{{"kill-leader", "region", e(1.2)}, {"kill-leader", "region", e(2.9)},
			{"kill-follower", "region", e(1.9)}}},
		{"one is late", false, []change{{"kill-leader", "region", e(1.2)}, {"kill-leader", "region", e(3.1)},
			{"kill-leader", "region", e(1.1)}}},
		{"most are late", false, []change{{"kill-pd-leader", "PD", e(2.1)}, {"kill-pd-leader", "PD", e(2.2)},
			{"kill-pd-leader", "PD", e(1.1)}}},
		{"only pauses are late", true, []change{{"kill-leader", "region", e(1.2)}, {"pause-leader", "region", e(5)}}},
		{"the other group is late", false, []change{{"kill-leader", "region", e(1.2)}, {"kill-leader", "PD", e(5)}}},
	}
	for _, test := range tests {
		n := &Nemesis{times: test.all, groups: []*group{{name: "region"}, {name: "PD"}},
			Cluster: &cluster.Cluster{Nodes: 3}, counts: map[string]int{}}
		if err := n.JudgeKills(); (err == nil) != test.fine {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	for _, kill := range killsOf {
		n := &Nemesis{groups: []*group{{name: "region"}, {name: "PD"}},
			Cluster: &cluster.Cluster{Nodes: 3}, counts: map[string]int{kill: 1}}
		if n.JudgeKills() == nil {
			t.Errorf("nobody followed after %s", kill)
		}
	}
}

func TestUnfollowed(t *testing.T) {
	began := time.Now()
	for _, test := range []struct {
		name, fault string
		node        int
		away        time.Duration
		late        bool
		counts      bool
	}{
		{"away too briefly", "kill-leader", -1, electionTimeout, false, false},
		{"away long enough", "kill-leader", -1, 4 * electionTimeout, false, true},
		{"waited for in vain", "kill-pd-leader", -1, electionTimeout, true, true},
		{"another leads", "kill-leader", 1, 4 * electionTimeout, false, false},
		{"no kill", "pause-leader", -1, 4 * electionTimeout, false, false},
	} {
		w := &watch{began: began, node: test.node, late: test.late}
		if w.unfollowed(test.fault, began.Add(test.away)) != test.counts {
			t.Error(test.name)
		}
	}
}
