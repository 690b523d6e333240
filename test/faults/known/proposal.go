package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/pingcap/kvproto/pkg/errorpb"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// refusal is one that a write must meet: a call that fails for another reason
// has not come to what is tried.
type refusal struct {
	what  string
	meets func(call error, region *errorpb.Error) bool
}

var (
	notLeader = refusal{"NotLeader", func(call error, region *errorpb.Error) bool {
		return call == nil && region.GetNotLeader() != nil
	}}
	tooLarge = refusal{"RaftEntryTooLarge", func(call error, region *errorpb.Error) bool {
		return call == nil && region.GetRaftEntryTooLarge() != nil
	}}
	// Another leader's entry has its place, as it learns in the end.
	replaced = refusal{"an error of the region", func(call error, region *errorpb.Error) bool {
		return call == nil && region != nil
	}}
	// Nobody agrees, so it waits, until it learns that it leads no more.
	nobodyAgrees = refusal{"no answer in time, or an error of the region", func(call error, region *errorpb.Error) bool {
		return status.Code(call) == codes.DeadlineExceeded || call == nil && region != nil
	}}
)

// judge the answer to a write that must not be carried out.
func (wanted refusal) judge(key string, r *kvrpcpb.RawPutResponse, call error) error {
	if call == nil && r.GetRegionError() == nil && r.GetError() == "" {
		return fmt.Errorf("%s was acknowledged", key)
	}
	if r.GetError() != "" || !wanted.meets(call, r.GetRegionError()) {
		return fmt.Errorf("%s was to be refused with %s, and was answered %v %v", key, wanted.what, call, r)
	}
	return nil
}

// refuse has a write to a node refused, so many times.
func (t *test) refuse(node int, key string, value []byte, wanted refusal, times int, meanwhile func()) error {
	where, err := t.context(node, key)
	if err != nil {
		return err
	}
	kv, err := t.Store(node)
	if err != nil {
		return err
	}
	if meanwhile != nil {
		meanwhile()
	}
	for i := 0; i < times && err == nil; i++ {
		if i > 0 {
			time.Sleep(100 * time.Millisecond)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		r, call := kv.RawPut(ctx, &kvrpcpb.RawPutRequest{Context: where, Key: []byte(key), Value: value, ForCas: true})
		cancel()
		err = wanted.judge(key, r, call)
	}
	return err
}

// patient waits with its write for what becomes of the entry: it must be refused
// when another one has its place.
func (t *test) patient(node int, key string) (send func(), judged chan error, err error) {
	where, err := t.context(node, key)
	if err != nil {
		return nil, nil, err
	}
	kv, err := t.Store(node)
	if err != nil {
		return nil, nil, err
	}
	judged = make(chan error, 1)
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		r, call := kv.RawPut(ctx, &kvrpcpb.RawPutRequest{Context: where, Key: []byte(key), Value: []byte("v"), ForCas: true})
		judged <- replaced.judge(key, r, call)
	}, judged, nil
}

// Followers, a leader without a majority, an entry that is too large: each
// refuses, with the error for that, and what it refused is not there later.
func failedProposal(t *test) error {
	const follower, large, alone, late = "chaos/known/follower", "chaos/known/large", "chaos/known/alone", "chaos/known/overwritten"
	leader, err := t.Leader()
	if err == nil {
		err = t.refuse((leader+1)%3, follower, []byte("v"), notLeader, 1, nil)
	}
	if err == nil {
		err = t.refuse(leader, large, bytes.Repeat([]byte("v"), 9<<20), tooLarge, 1, nil)
	}
	var send func()
	var overwritten chan error
	if err == nil {
		send, overwritten, err = t.patient(leader, late)
	}
	if err == nil {
		err = t.refuse(leader, alone, []byte("v"), nobodyAgrees, 5, func() { t.Isolate(leader); go send() })
	}
	if err != nil {
		return err
	}
	now, err := t.AwaitLeader(leader)
	t.Heal()
	if err == nil {
		err = <-overwritten
	}
	if err != nil {
		return err
	}
	for _, key := range []string{follower, large, alone, late} {
		there, err := t.isThere(now, key)
		if err == nil && there {
			err = fmt.Errorf("%s was refused and is there", key)
		}
		if err != nil {
			return err
		}
	}
	t.say("NotLeader at a follower, RaftEntryTooLarge, none who agrees with a leader that is alone, one entry waited for until another had its place; none is there")
	return nil
}
