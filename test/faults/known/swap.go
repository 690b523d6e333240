package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/tikvpb"

	"tikv_fdw/test/faults/nemesis"
)

const counter = "chaos/known/counter"

// swaps is what clients that count together were told, and what they have seen.
type swaps struct {
	mutex   sync.Mutex
	refused map[string]bool // values told not to have been written
	seen    map[string]bool // values that somebody met
	done    int
	unknown int
}

// errOpen: the swap may have taken place, or may yet.
var errOpen = errors.New("the outcome is unknown")

// A swap is sent again, as clients do, after every region error but the one
// that says that nothing is known.
func swapOnce(ctx context.Context, router *nemesis.Router, was, value string) (previous string, swapped bool, err error) {
	for ; ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		if !router.Has(counter) && router.FindRegion(ctx, counter) != nil {
			continue
		}
		address, err := router.Address(ctx, router.Leader.StoreId)
		if err != nil {
			continue
		}
		conn, err := router.Conn(address)
		if err != nil {
			return "", false, err
		}
		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		r, err := tikvpb.NewTikvClient(conn).RawCompareAndSwap(limited, &kvrpcpb.RawCASRequest{Key: []byte(counter),
			Context: &kvrpcpb.Context{RegionId: router.Region.Id, RegionEpoch: router.Region.RegionEpoch, Peer: router.Leader},
			Value:   []byte(value), PreviousNotExist: was == "", PreviousValue: []byte(was)})
		cancel()
		switch e := r.GetRegionError(); {
		case err != nil || nemesis.Undetermined(e):
			router.Region = nil
			return "", false, errOpen
		case e.GetNotLeader().GetLeader().GetId() != 0:
			router.Leader = e.GetNotLeader().Leader
		case e != nil:
			router.Region = nil
		case r.Error != "":
			return "", false, errors.New(r.Error)
		default:
			return string(r.PreviousValue), r.Succeed, nil
		}
	}
	return "", false, errOpen
}

// count writes values that are nobody else's, each over the one it has met.
func (s *swaps) count(ctx context.Context, t *test, client int) error {
	router := nemesis.NewRouter(t.Cluster)
	defer router.Close()
	was := ""
	for i := 0; ctx.Err() == nil; i++ {
		value := fmt.Sprintf("%d/%d", client, i)
		previous, swapped, err := swapOnce(ctx, router, was, value)
		if err != nil && !errors.Is(err, errOpen) {
			return err
		}
		s.mutex.Lock()
		switch {
		case err != nil:
			s.unknown++
		case swapped:
			s.done++
			was = value
		default:
			s.refused[value] = true
			was = previous
		}
		if err == nil && !swapped {
			s.seen[previous] = true
		}
		s.mutex.Unlock()
	}
	return nil
}

// Clients count with swaps while the leader is shut down, one node after the
// other: a swap that is sent again, since it was told that it failed, must not
// meet the value that it has written.
func swapsWhileNodesStop(t *test) error {
	const clients, stops = 16, 4
	s := &swaps{refused: map[string]bool{}, seen: map[string]bool{}}
	ctx, cancel := context.WithCancel(context.Background())
	failed := make(chan error, clients)
	for client := 0; client < clients; client++ {
		go func() { failed <- s.count(ctx, t, client) }()
	}
	var err error
	for i := 0; i < stops && err == nil; i++ {
		var leader int
		if leader, err = t.Leader(); err == nil {
			time.Sleep(500 * time.Millisecond)
			err = t.With("shutdown", leader, func() error { return nil })
		}
	}
	time.Sleep(time.Second)
	cancel()
	for client := 0; client < clients; client++ {
		err = errors.Join(err, <-failed)
	}
	for value := range s.refused {
		if s.seen[value] {
			err = errors.Join(err, fmt.Errorf("the swap to %s was told that it did not happen, and did", value))
		}
	}
	t.say("%d shutdowns of the leader, %d swaps by %d clients, of %d the outcome is unknown", stops, s.done, clients, s.unknown)
	if err == nil && s.done == 0 {
		err = errors.New("nothing was swapped: nothing was tried")
	}
	return err
}
