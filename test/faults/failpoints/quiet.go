package main

import (
	"errors"
	"syscall"
	"time"

	"github.com/pingcap/kvproto/pkg/metapb"
)

// Regions that nobody writes to, that are looked at, or that have lost a peer
// which does not know.

// twoRegions: that of the registers, and one that is left alone but for what a
// drive does.
func (t *trial) twoRegions() error {
	low, err := t.w.find(lowKey)
	if err != nil {
		return err
	}
	high, err := t.w.find(highKey)
	if err == nil && low.region.Id == high.region.Id {
		err = errors.Join(t.split(), errors.New("there is one region"))
	}
	return err
}

// keepRole: PD may have moved the leader meanwhile, or a busy machine has.
func (t *trial) keepRole() error {
	node, _, err := t.w.leaderNode(t.focus())
	leads := t.role == leader || t.point.ofLeaders()
	switch {
	case err != nil || leads == (node == t.target):
		return err
	case leads:
		return t.w.transferRegion(t.focus(), t.target)
	}
	return t.w.transferRegion(t.focus(), t.other(t.target))
}

// awaitSleep of the last region on the target.
func (t *trial) awaitSleep() error {
	if err := errors.Join(t.twoRegions(), t.keepRole()); err != nil {
		return err
	}
	for began := time.Now(); time.Since(began) < 30*time.Second && !t.crashed(); time.Sleep(100 * time.Millisecond) {
		at, err := t.w.find(highKey)
		if err != nil {
			continue
		}
		var asleep bool
		err = t.w.query(t.target, &asleep,
			"SELECT coalesce(bool_and(hibernates), false) FROM tikv.raft WHERE is_local AND region_id = $1", int64(at.region.Id))
		if err == nil && asleep {
			return nil
		}
	}
	return errors.New("the region does not fall asleep")
}

// sleep and wake: a write comes when all are asleep.
func (t *trial) sleep() error {
	if err := t.awaitSleep(); err != nil || t.crashed() {
		return err
	}
	return t.w.queryLeader(highKey, nil, "SELECT tikv_put('zz~sleep', 'x')")
}

// beSilent: the store of another node stands still while regions sleep.
func (t *trial) beSilent() error {
	if err := t.awaitSleep(); err != nil || t.crashed() {
		return err
	}
	stores := t.w.Workers(t.other(t.target), "tikv store")
	for _, pid := range stores {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
	for began := time.Now(); time.Since(began) < 8*time.Second && !t.crashed(); {
		time.Sleep(50 * time.Millisecond)
	}
	for _, pid := range stores {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
	return nil
}

// grow the last region until it is counted, and cut.
func (t *trial) grow() error {
	if err := t.settle("tikv.region_split_keys", "3000"); err != nil {
		return err
	}
	if err := t.keepRole(); err != nil {
		return err
	}
	nGrown++
	// raw keys beside those of transactions are cut at their first eight bytes
	err := t.w.queryLeader(highKey, nil, `SELECT tikv_batch_put(array_agg(convert_to(format('zz~~%s/%s', to_char(i, 'FM0000'), $1::int), 'UTF8')),
		array_agg('x'::bytea)) FROM generate_series(1, 5000) i`, nGrown)
	for began := time.Now(); err == nil && time.Since(began) < 15*time.Second && !t.crashed(); {
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

var nGrown int

// goStale: the target hears nothing from other stores (beside), and loses its
// peer meanwhile.
func (t *trial) goStale() error {
	if err := t.settle("tikv.max_leader_missing_duration", "3s"); err != nil {
		return err
	}
	node, at, err := t.w.leaderNode(t.focus())
	if err != nil {
		return err
	}
	store, err := t.w.storeOfNode(t.target)
	if err != nil {
		return err
	}
	peer := peerOn(at.region, store)
	if t.stale == 0 && peer != nil {
		t.stale = peer.Id
	}
	if peer != nil && peer.Id == t.stale {
		err = t.w.query(node, nil, "SELECT tikv_remove_peer($1, $2)", int64(at.region.Id), int64(store))
	}
	if err != nil {
		return err
	}
	// PD gives it another peer, which it does not hear of either.
	return t.waitFor(20*time.Second, func(r *metapb.Region) bool { return t.crashed() })
}
