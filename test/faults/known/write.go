package main

import (
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
