package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pingcap/kvproto/pkg/eraftpb"
	"github.com/pingcap/kvproto/pkg/metapb"
	"github.com/pingcap/kvproto/pkg/pdpb"
)

// What regions and PD may take until they are spread over the nodes as they
// should be.
const spreadWithin = 3 * time.Minute

const maxReplicas = 3

// rule of voters (pd/core/placement.h): the largest odd number of nodes, up to
// max-replicas.
func votersOf(nodes int) int {
	return (min(nodes, maxReplicas)+1)/2*2 - 1
}

// wrongRegion says why a region is not as it should be on these stores.
func wrongRegion(r *pdpb.Region, stores []uint64) error {
	voters, learners := votersOf(len(stores)), min(len(stores), maxReplicas)-votersOf(len(stores))
	has := map[metapb.PeerRole]int{}
	for _, peer := range r.GetRegion().GetPeers() {
		has[peer.Role]++
		if !slices.Contains(stores, peer.StoreId) {
			return fmt.Errorf("region %d has a peer on store %d, which has left", r.Region.Id, peer.StoreId)
		}
	}
	switch {
	case has[metapb.PeerRole_Voter] != voters, has[metapb.PeerRole_Learner] != learners,
		len(r.GetRegion().GetPeers()) != voters+learners:
		return fmt.Errorf("region %d has the peers %v, not %d voters and %d learners",
			r.GetRegion().GetId(), r.GetRegion().GetPeers(), voters, learners)
	case len(r.PendingPeers) > 0 || len(r.DownPeers) > 0:
		return fmt.Errorf("of region %d peers lack data or are silent: %v %v", r.Region.Id, r.PendingPeers, r.DownPeers)
	case r.GetLeader().GetId() == 0:
		return fmt.Errorf("region %d has no leader", r.Region.Id)
	}
	return nil
}

// wrongRegions of a range without gaps.
func wrongRegions(all []*pdpb.Region, stores []uint64, least int) error {
	if len(all) < least {
		return fmt.Errorf("PD knows %d regions, not %d", len(all), least)
	}
	next := ""
	for i, r := range all {
		if err := wrongRegion(r, stores); err != nil {
			return err
		}
		if string(r.Region.StartKey) != next {
			return fmt.Errorf("region %d begins at %q, not at %q", r.Region.Id, r.Region.StartKey, next)
		}
		if next = string(r.Region.EndKey); (next == "") != (i == len(all)-1) {
			return fmt.Errorf("region %d of %d ends at %q", i+1, len(all), next)
		}
	}
	return nil
}

// wrongMembers: PD's group has the nodes that vote, and others that follow.
func wrongMembers(conf *eraftpb.ConfState, nodes int) error {
	if len(conf.Voters) != votersOf(nodes) || len(conf.Learners) != nodes-votersOf(nodes) ||
		len(conf.VotersOutgoing) > 0 || len(conf.LearnersNext) > 0 {
		return fmt.Errorf("PD has the group %s, not %d voters of %d", conf, votersOf(nodes), nodes)
	}
	return nil
}

// awaitSpread until regions and PD are spread as they should be.
func (g *growth) awaitSpread() error {
	began := time.Now()
	last := errors.New("nobody was asked")
	for ; time.Since(began) < spreadWithin; time.Sleep(200 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		if last = g.wrongSpread(ctx); last == nil {
			cancel()
			log.Printf("%d nodes: all regions and PD are as they should be after %.1f s", len(g.cluster.Here()), time.Since(began).Seconds())
			return nil
		}
		cancel()
	}
	return fmt.Errorf("not spread over the nodes %v after %v: %w", g.cluster.Here(), spreadWithin, last)
}

func (g *growth) wrongSpread(ctx context.Context) error {
	stores, err := g.stores(ctx)
	if err != nil {
		return err
	}
	all, err := g.router.Regions(ctx)
	if err == nil {
		err = wrongRegions(all, stores, len(splits)+1)
	}
	if err != nil {
		return err
	}
	members, err := g.router.Members(ctx)
	if err != nil {
		return err
	}
	if len(members.Members) != len(g.cluster.Here()) {
		return fmt.Errorf("PD has %d members", len(members.Members))
	}
	for _, member := range members.Members {
		node, err := g.nemesis.MemberOf(member)
		if err != nil {
			return err
		}
		conf := &eraftpb.ConfState{}
		if err = g.ask(ctx, node, func(bytes []byte) error { return conf.Unmarshal(bytes) },
			"SELECT conf FROM tikv_internal.pd_raft_state"); err != nil {
			return err
		}
		if err = wrongMembers(conf, len(members.Members)); err != nil {
			return fmt.Errorf("node %d: %w", node, err)
		}
	}
	return nil
}

// stores of the nodes that there are, as PD knows them; there are no others.
func (g *growth) stores(ctx context.Context) (ids []uint64, err error) {
	all, err := g.router.Stores(ctx)
	if err != nil {
		return nil, err
	}
	for _, store := range all {
		if node := g.cluster.NodeOf(store.Address); store.State != metapb.StoreState_Up || !slices.Contains(g.cluster.Here(), node) {
			return nil, fmt.Errorf("store %d of node %d is %s", store.Id, node, store.State)
		}
		ids = append(ids, store.Id)
	}
	if len(ids) != len(g.cluster.Here()) {
		return nil, fmt.Errorf("PD has the stores %d", ids)
	}
	return ids, nil
}

// ask a node for one value.
func (g *growth) ask(ctx context.Context, node int, take func([]byte) error, sql string) error {
	conn, err := pgx.Connect(ctx, g.cluster.DSNOf(node))
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	var value []byte
	if err = conn.QueryRow(ctx, sql).Scan(&value); err == nil {
		err = take(value)
	}
	return err
}

// leaders are who leads PD, and how many regions each node leads.
func (g *growth) leaders() (pd int, regions map[int]int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	members, err := g.router.Members(ctx)
	if err != nil {
		return -1, nil, err
	}
	if pd, err = g.nemesis.MemberOf(members.Leader); err != nil {
		return -1, nil, err
	}
	all, err := g.router.Regions(ctx)
	if err != nil {
		return -1, nil, err
	}
	regions = map[int]int{}
	for _, r := range all {
		address, err := g.router.Address(ctx, r.GetLeader().GetStoreId())
		if err != nil {
			return -1, nil, err
		}
		regions[g.cluster.NodeOf(address)]++
	}
	return pd, regions, nil
}
