package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pingcap/kvproto/pkg/errorpb"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"

	"tikv_fdw/test/faults/nemesis"
)

// pending is a write whose answer comes late.
type pending struct {
	key         string
	err         error // of the call: the outcome is unknown
	regionError *errorpb.Error
}

// mayBeThere: the answer leaves open whether the write takes effect.
// StaleCommand does not: clients send again what was told that.
func (p *pending) mayBeThere() bool {
	return p.err != nil || p.regionError == nil || nemesis.Undetermined(p.regionError)
}

// A leader that is heard and hears nothing: what it proposes is in the others'
// logs, they commit it once one of them leads, and it learns that late.
func failedAndCommitted(t *test) error {
	const writes = 8
	old, err := t.Leader()
	if err != nil {
		return err
	}
	where, err := t.context(old, register)
	if err != nil {
		return err
	}
	kv, err := t.Store(old)
	if err != nil {
		return err
	}
	t.CutTo(old)
	answers := make(chan *pending, writes)
	for i := 0; i < writes; i++ {
		p := &pending{key: fmt.Sprintf("chaos/known/late/%d/%d", time.Now().UnixNano(), i)}
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
			defer cancel()
			r, err := kv.RawPut(ctx, &kvrpcpb.RawPutRequest{Context: where, Key: []byte(p.key), Value: []byte("v"), ForCas: true})
			p.err, p.regionError = err, r.GetRegionError()
			answers <- p
		}()
	}
	now, err := t.AwaitLeader(old)
	if err == nil {
		time.Sleep(time.Second)
	}
	t.Heal()
	if err != nil {
		return err
	}
	committed, told := 0, 0
	for i := 0; i < writes; i++ {
		p := <-answers
		there, err := t.isThere(now, p.key)
		if err != nil {
			return err
		}
		if there {
			committed++
		}
		if p.err == nil && p.regionError == nil {
			told++
			if !there {
				return fmt.Errorf("%s was acknowledged and is not there", p.key)
			}
		}
		if there && !p.mayBeThere() {
			return fmt.Errorf("%s was told %v, and is there", p.key, p.regionError)
		}
	}
	t.say("%d writes at a leader that is cut off, %d committed by the next one, %d told so", writes, committed, told)
	if committed == 0 {
		return errors.New("none was committed: nothing was tried")
	}
	return nil
}

// isThere asks whoever leads.
func (t *test) isThere(node int, key string) (bool, error) {
	var last error
	for began := time.Now(); time.Since(began) < time.Minute; node = (node + 1) % 3 {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		value, err := t.get(ctx, node, key, false)
		cancel()
		if err == nil {
			return value != "", nil
		}
		last = err
		time.Sleep(20 * time.Millisecond)
	}
	return false, last
}

// Followers, a leader without a majority, an entry that is too large: each
// refuses, and what it refused is not there later.
func failedProposal(t *test) error {
	leader, err := t.Leader()
	if err != nil {
		return err
	}
	try := func(node int, key string, value []byte, timeout time.Duration) (acknowledged bool, err error) {
		where, err := t.context(node, key)
		if err != nil {
			return false, err
		}
		kv, err := t.Store(node)
		if err != nil {
			return false, err
		}
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		r, e := kv.RawPut(ctx, &kvrpcpb.RawPutRequest{Context: where, Key: []byte(key), Value: value, ForCas: true})
		return e == nil && r.RegionError == nil && r.Error == "", nil
	}
	tries := []struct {
		key   string
		node  int
		value []byte
	}{
		{"chaos/known/follower", (leader + 1) % 3, []byte("v")},
		{"chaos/known/large", leader, bytes.Repeat([]byte("v"), 9<<20)},
	}
	for _, one := range tries {
		acknowledged, err := try(one.node, one.key, one.value, 10*time.Second)
		if err == nil && acknowledged {
			err = fmt.Errorf("%s was acknowledged", one.key)
		}
		if err != nil {
			return err
		}
	}

	// Alone it has nobody who could agree.
	const alone = "chaos/known/alone"
	where, err := t.context(leader, alone)
	if err != nil {
		return err
	}
	kv, err := t.Store(leader)
	if err != nil {
		return err
	}
	t.Isolate(leader)
	for i := 0; i < 5; i++ {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		r, e := kv.RawPut(ctx, &kvrpcpb.RawPutRequest{Context: where, Key: []byte(alone), Value: []byte("v"), ForCas: true})
		cancel()
		if e == nil && r.RegionError == nil && r.Error == "" {
			return errors.New("a leader without a majority acknowledges")
		}
		time.Sleep(100 * time.Millisecond)
	}
	now, err := t.AwaitLeader(leader)
	t.Heal()
	if err != nil {
		return err
	}
	for _, key := range []string{tries[0].key, tries[1].key, alone} {
		there, err := t.isThere(now, key)
		if err == nil && there {
			err = fmt.Errorf("%s was refused and is there", key)
		}
		if err != nil {
			return err
		}
	}
	t.say("at a follower, too large, at a leader that is alone; none is there")
	return nil
}
