package main

import (
	"strings"
	"testing"
	"time"

	"github.com/pingcap/kvproto/pkg/eraftpb"
	"github.com/pingcap/kvproto/pkg/metapb"
	"github.com/pingcap/kvproto/pkg/pdpb"
)

func TestVotersOf(t *testing.T) {
	for nodes, voters := range map[int]int{1: 1, 2: 1, 3: 3, 4: 3, 5: 3} {
		if votersOf(nodes) != voters {
			t.Errorf("%d of %d nodes vote", votersOf(nodes), nodes)
		}
	}
}

func region(start, end string, roles ...metapb.PeerRole) *pdpb.Region {
	r := &pdpb.Region{Region: &metapb.Region{Id: 7, StartKey: []byte(start), EndKey: []byte(end)},
		Leader: &metapb.Peer{Id: 11}}
	for i, role := range roles {
		r.Region.Peers = append(r.Region.Peers, &metapb.Peer{Id: uint64(11 + i), StoreId: uint64(1 + i), Role: role})
	}
	return r
}

func TestWrongRegions(t *testing.T) {
	const voter, learner, incoming = metapb.PeerRole_Voter, metapb.PeerRole_Learner, metapb.PeerRole_IncomingVoter
	pending, leaderless := region("", "", voter, learner), region("", "", voter)
	pending.PendingPeers = pending.Region.Peers[1:]
	leaderless.Leader = nil
	for _, test := range []struct {
		name   string
		all    []*pdpb.Region
		stores []uint64
		wrong  string
	}{
		{"one of one", []*pdpb.Region{region("", "", voter)}, []uint64{1}, ""},
		{"two of two", []*pdpb.Region{region("", "", voter, learner)}, []uint64{1, 2}, ""},
		{"three of five", []*pdpb.Region{region("", "", voter, voter, voter)}, []uint64{1, 2, 3, 4, 5}, ""},
		{"two regions", []*pdpb.Region{region("", "k", voter), region("k", "", voter)}, []uint64{1}, ""},
		{"too many votes", []*pdpb.Region{region("", "", voter, voter)}, []uint64{1, 2}, "1 voters and 1 learners"},
		{"too few peers", []*pdpb.Region{region("", "", voter)}, []uint64{1, 2}, "1 voters and 1 learners"},
		{"on the way", []*pdpb.Region{region("", "", voter, voter, incoming)}, []uint64{1, 2, 3}, "3 voters"},
		{"who has left", []*pdpb.Region{region("", "", voter, voter, voter)}, []uint64{1, 2, 4}, "has left"},
		{"without data", []*pdpb.Region{pending}, []uint64{1, 2}, "lack data"},
		{"without a leader", []*pdpb.Region{leaderless}, []uint64{1}, "no leader"},
		{"a gap", []*pdpb.Region{region("", "k", voter), region("l", "", voter)}, []uint64{1}, "begins at"},
		{"no end", []*pdpb.Region{region("", "k", voter)}, []uint64{1}, "ends at"},
		{"none", nil, []uint64{1}, "0 regions"},
	} {
		err := wrongRegions(test.all, test.stores, 1)
		if (err == nil) != (test.wrong == "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestWrongMembers(t *testing.T) {
	for _, test := range []struct {
		conf  eraftpb.ConfState
		nodes int
		fine  bool
	}{
		{eraftpb.ConfState{Voters: []uint64{1}, Learners: []uint64{2}}, 2, true},
		{eraftpb.ConfState{Voters: []uint64{1, 2, 3}, Learners: []uint64{4, 5}}, 5, true},
		{eraftpb.ConfState{Voters: []uint64{1, 2}}, 2, false},
		{eraftpb.ConfState{Voters: []uint64{1, 2, 3}, VotersOutgoing: []uint64{1, 2, 4}}, 3, false},
	} {
		if err := wrongMembers(&test.conf, test.nodes); (err == nil) != test.fine {
			t.Errorf("%v of %d: %v", test.conf, test.nodes, err)
		}
	}
}

func TestLacks(t *testing.T) {
	want := map[string]string{"a": "1", "b": "2"}
	for _, test := range []struct {
		has  map[string]string
		fine bool
	}{
		{map[string]string{"a": "1", "b": "2", "c": "of unknown outcome"}, true},
		{map[string]string{"a": "1"}, false},
		{map[string]string{"a": "1", "b": "3"}, false},
	} {
		if err := lacks(want, test.has); (err == nil) != test.fine {
			t.Errorf("%v: %v", test.has, err)
		}
	}
}

func TestPulse(t *testing.T) {
	now := time.Now()
	count := int64(5)
	p := &pulse{beats: []beat{{"beats", func() int64 { return count }}}, seen: make([]stand, 1)}
	p.step(now)
	p.look(now.Add(time.Second))
	if _, err := p.judge(); err == nil {
		t.Error("nothing was counted")
	}
	count++
	p.look(now.Add(2 * time.Second))
	if text, err := p.judge(); err != nil || text != "beats 1 (2.0 s without)" {
		t.Errorf("%s: %v", text, err)
	}
	p.look(now.Add(2*time.Second + mostStill + time.Second))
	if _, err := p.judge(); err == nil {
		t.Error("nothing was counted for too long")
	}
}
