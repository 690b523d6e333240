package main

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/pingcap/kvproto/pkg/metapb"
)

// Regions that nobody writes to, that are looked at, or that have lost a peer
// which does not know.

// twoRegions: the first, and one that is left alone but for what a
// drive does.
func (t *trial) twoRegions() error {
	low, err := t.w.find(lowKey)
	if err != nil {
		return err
	}
	high, err := t.w.find(highKey)
	if err == nil && low.region.Id == high.region.Id {
		err = errors.Join(t.cutOff(), errors.New("there is one region"))
	}
	return err
}

// awaitSleep of the last region on the target.
func (t *trial) awaitSleep() error {
	if err := t.twoRegions(); err != nil {
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

// sleep and wake: a transaction comes when all are asleep.
func (t *trial) sleep() error {
	if err := t.awaitSleep(); err != nil || t.crashed() {
		return err
	}
	return t.pair()
}

// collectAsleep has rounds of the garbage collection, which the first region's
// leader does, meet the last region asleep.  It would not fall asleep beside
// rounds that follow each other by the second.
func (t *trial) collectAsleep() error {
	if err := t.resetSettings(); err != nil {
		return err
	}
	if err := t.awaitSleep(); err != nil || t.crashed() {
		return err
	}
	if err := t.settle("tikv.gc_life_time", "2s"); err != nil {
		return err
	}
	for began := time.Now(); time.Since(began) < 4*time.Second && !t.crashed(); {
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}

// beSilent: the store of another node stands still while regions sleep.
func (t *trial) beSilent() error {
	if err := t.pair(); err != nil {
		return err
	}
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

// grow the last region until it is counted, and cut.  A store that knows the
// size of a region counts it again when that is too much and, for as long as
// sizes count, a sixteenth of a piece of it is new (core/region/split_check.c):
// 16 MB.  So only keys count here.  And once it has counted it does not look for
// ten seconds (region_size.c), hence the patience.
func (t *trial) grow() error {
	if nGrown == maxGrown {
		return errors.New("no keys are left before those of the last region")
	}
	for _, setting := range []struct{ name, value string }{
		{"tikv.region_split_size", "0"}, {"tikv.region_split_keys", fmt.Sprint(pieceKeys)}} {
		if err := t.settle(setting.name, setting.value); err != nil {
			return err
		}
	}
	if err := t.twoRegions(); err != nil {
		return err
	}
	if err := t.pair(); err != nil {
		return err
	}
	// Raw keys beside those of transactions are cut at their first eight bytes.
	// Each time they are before the former ones: pieces hold what was there, so
	// the one in which the last region begins gets them all.
	err := t.w.queryLeader(highKey, nil, `SELECT tikv_batch_put(array_agg(convert_to($1 || lpad(to_hex($2::int + i), 5, '0'), 'UTF8')),
		array_agg('x'::bytea)) FROM generate_series(0, $3::int - 1) i`, highKey, (maxGrown-1-nGrown)*grownKeys, grownKeys)
	if err == nil {
		nGrown++
	}
	for began := time.Now(); err == nil && time.Since(began) < 15*time.Second && !t.crashed(); {
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

const (
	pieceKeys = 3000
	grownKeys = 5000 // as many are too many for one
	maxGrown  = 200  // five digits are enough for all their keys
)

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
