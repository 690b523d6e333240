package main

import (
	"errors"
	"fmt"
	"log"
	"time"
)

// A transfer that is ordered has not happened yet: the store answers as soon as
// it has accepted it, the target may be out of reach, or another one be elected.

const (
	handOverTries   = 20
	handOverWithin  = 2 * time.Second // later it may be an election without any order, after E = 3 s: it does not count
	findLeadsWithin = time.Minute
)

// standing of a node in a region, as its store publishes it.
type standing struct {
	leads bool
	term  int64
}

// handedOver says whether the target has come to lead by what was ordered, and
// whether it no longer can: then it is ordered again.  `before` is of who led.
func handedOver(before int64, target standing, others []standing) (done, over bool) {
	if target.leads && target.term > before {
		return true, true
	}
	for _, other := range others {
		if other.leads && other.term > max(before, target.term) {
			return false, true
		}
	}
	return false, false
}

func (t *test) standing(node int, region uint64) (s standing, err error) {
	err = t.Ask(node, []any{&s.leads, &s.term},
		"SELECT is_leader, term FROM tikv.regions WHERE region_id = $1", int64(region))
	return s, err
}

// leads the region of a key: the one of the latest term, if two say so.
func (t *test) leads(key string) (leader int, region uint64, term int64, err error) {
	var last error
	for began := time.Now(); time.Since(began) < findLeadsWithin; time.Sleep(50 * time.Millisecond) {
		_, at, err := t.PeerOf(0, key)
		if err != nil {
			return -1, 0, 0, err
		}
		leader, term = -1, 0
		for node := 0; node < 3; node++ {
			s, err := t.standing(node, at.Id)
			if err != nil {
				last = err
			} else if s.leads && s.term > term {
				leader, term = node, s.term
			}
		}
		if leader >= 0 {
			return leader, at.Id, term, nil
		}
	}
	return -1, 0, 0, fmt.Errorf("nobody leads the region of %q: %w", key, last)
}

// handOver the region of a key from whoever leads it to the node that is so many
// further, and wait until that one leads, in a later term; if it does not come
// to that it is healed and ordered again.  What comes before and after the order
// belongs to each try; the former alone if nobody leads.  It returns how often that was ordered.
func (t *test) handOver(key string, further int, before func(), after func(old int)) (orders int, err error) {
	for orders < handOverTries {
		var old int
		var region uint64
		var term int64
		before()
		if old, region, term, err = t.leads(key); err != nil {
			return orders, err
		}
		to := (old + further) % 3
		orders++
		err = t.transfer(old, to, key)
		after(old)
		if err == nil {
			err = t.awaitHandedOver(region, term, old, to)
		}
		if err == nil {
			return orders, nil
		}
		log.Printf("from node %d, which led in term %d, to node %d: %v", old, term, to, err)
		t.Heal()
		time.Sleep(time.Second)
	}
	return orders, fmt.Errorf("leadership was not transferred by %d orders: %w", orders, err)
}

// transfer leadership of the region of a key from a node to another.
func (t *test) transfer(from, to int, key string) error {
	peer, region, err := t.PeerOf(to, key)
	if err != nil {
		return err
	}
	return t.Order(from, "SELECT tikv_transfer_leader($1, $2)", int64(region.Id), int64(peer.StoreId))
}

func (t *test) awaitHandedOver(region uint64, before int64, old, to int) error {
	last := errors.New("it follows")
	for began := time.Now(); time.Since(began) < handOverWithin; time.Sleep(20 * time.Millisecond) {
		target, err := t.standing(to, region)
		if err != nil {
			last = err
			continue
		}
		var others []standing
		for node := 0; node < 3; node++ {
			if s, err := t.standing(node, region); err == nil && node != to {
				others = append(others, s)
			}
		}
		if done, over := handedOver(before, target, others); done && time.Since(began) < handOverWithin {
			return nil
		} else if over {
			return fmt.Errorf("another one leads: %v, the target %v", others, target)
		}
	}
	return fmt.Errorf("the target does not lead after %v: %w", handOverWithin, last)
}
