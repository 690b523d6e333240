package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"tikv_fdw/test/faults/nemesis"
)

// A new leader does not know how far the one before it had committed until an
// entry of its own is.  Here that takes it a while, since disks are slow, and
// what it does not know is a write that was acknowledged: the old leader's
// messages are lost from when its follower has the entry, which acknowledges it
// late.  An index that it gave to a reader meanwhile would be an old one.

const (
	indexKey     = "chaos/known/index"
	indexTries   = 5
	entryWithin  = 300 * time.Millisecond // until a follower has an entry, which it acknowledges later
	readersAfter = 2 * time.Second        // the first answer
)

var errKnownIndex = errors.New("the followers may know what is committed")

func (t *test) indexOfNewLeader() (reads int, err error) {
	err = errKnownIndex
	for try := 0; try < indexTries && errors.Is(err, errKnownIndex); try++ {
		reads, err = t.readWhileNew(fmt.Sprintf("%d-old", try), fmt.Sprintf("%d-new", try))
	}
	return reads, err
}

// setEach of some nodes.
func (t *test) setEach(text string, nodes ...int) (err error) {
	for _, node := range nodes {
		err = errors.Join(err, nemesis.SetFailpoints(nemesis.DataFolder(t.Cluster, node), text))
	}
	return err
}

func (t *test) readWhileNew(was, now string) (reads int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	old, _, _, err := t.leads(indexKey)
	if err != nil {
		return 0, err
	}
	next, other := (old+1)%3, (old+2)%3
	if err = t.showEverywhere(ctx, indexKey, was); err != nil {
		return 0, err
	}
	defer func() { _ = t.setEach("", 0, 1, 2) }()
	defer t.Heal()
	followers, goOn, err := t.holdFlushes(next, other)
	if err != nil {
		return 0, err
	}
	defer goOn()
	resume, err := t.Cluster.HoldStill(other, "tikv store")
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errKnownIndex, err)
	}
	defer resume()
	if err = t.setEach("store_before_commit=delay(1000)", next); err != nil {
		return 0, err
	}
	if err = t.putUnheard(ctx, old, now); err != nil {
		return 0, err
	}
	// Votes take it that time, too.
	if err = t.setEach("flush_before_sync=delay(700)", next, other); err != nil {
		return 0, err
	}
	t.Isolate(old)
	resume()
	return readUntilLed(ctx, followers, now)
}

// holdFlushes of everybody but the flush process: of the two nodes' WAL writers,
// and of their PDs, whose commits wait for the disk.
func (t *test) holdFlushes(nodes ...int) (peers []*fixedPeer, goOn func(), err error) {
	var resumes []func()
	goOn = func() {
		for _, resume := range resumes {
			resume()
		}
	}
	for _, node := range nodes {
		peer, err := t.fixed(node, indexKey)
		if err != nil {
			return nil, nil, err
		}
		peer.where.ReplicaRead = true
		peers = append(peers, peer)
	}
	for _, node := range nodes {
		for _, title := range []string{"walwriter", "tikv pd"} {
			resume, err := t.Cluster.HoldStill(node, title)
			if err != nil {
				goOn()
				return nil, nil, fmt.Errorf("%w: %w", errKnownIndex, err)
			}
			resumes = append(resumes, resume)
		}
	}
	return peers, goOn, nil
}

// showEverywhere: a value is written, and each node knows.
func (t *test) showEverywhere(ctx context.Context, key, value string) (err error) {
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(50 * time.Millisecond) {
		n := 0
		for node := 0; node < 3; node++ {
			limited, cancel := context.WithTimeout(ctx, 2*time.Second)
			shown, e := t.get(limited, node, key, true)
			if err = e; err == nil && shown == value {
				n++
			} else if err == nil {
				err = t.put(limited, node, key, value)
			}
			cancel()
		}
		if n == 3 {
			return nil
		}
	}
	return fmt.Errorf("not every node shows %q: %w", value, err)
}

// putUnheard: the write is acknowledged, and what its leader says from before
// that is lost.
func (t *test) putUnheard(ctx context.Context, leader int, value string) error {
	acked := make(chan error, 1)
	limited, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	go func() { acked <- t.put(limited, leader, indexKey, value) }()
	time.Sleep(entryWithin)
	if err := t.setEach("store_drop_message=error", leader); err != nil {
		return err
	}
	time.Sleep(100 * time.Millisecond) // it looks once a tick
	early := len(acked) > 0
	if err := <-acked; err != nil || early {
		return fmt.Errorf("%w: acknowledged early %v, %v", errKnownIndex, early, err)
	}
	return nil
}

// readUntilLed by one of them, and for a while then: an answer is the new value.
func readUntilLed(ctx context.Context, peers []*fixedPeer, now string) (reads int, err error) {
	const readers = 8

	var wait sync.WaitGroup
	var mutex sync.Mutex
	reading, stop := context.WithCancel(ctx)
	for i := 0; i < readers; i++ {
		peer := peers[i%len(peers)]
		wait.Add(1)
		go func() {
			defer wait.Done()
			for reading.Err() == nil {
				value, answered, wrong := peer.get(reading, 5*time.Second)
				mutex.Lock()
				if wrong != nil && reading.Err() == nil && err == nil {
					err = fmt.Errorf("node %d: %w", peer.node, wrong)
				}
				if answered {
					reads++
				}
				if answered && value != now && err == nil {
					err = fmt.Errorf("node %d shows %q after %q was acknowledged", peer.node, value, now)
				}
				mutex.Unlock()
				time.Sleep(2 * time.Millisecond)
			}
		}()
	}
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(50 * time.Millisecond) {
		mutex.Lock()
		over := reads > 0 || err != nil
		mutex.Unlock()
		if over {
			break // somebody leads
		}
	}
	time.Sleep(readersAfter)
	stop()
	wait.Wait()
	if err == nil && reads == 0 {
		err = errors.New("no follower answered a read")
	}
	return reads, err
}
