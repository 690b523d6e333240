package main

import (
	"context"
	"fmt"
	"time"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A leader that hands over hears nothing any more, and is asked as soon as the
// next one has acknowledged a write: by then what remains of its lease must not
// count.  It is a matter of a second or two, so only a try that was fast enough
// says something: it is tried until enough were.  On a machine on which no
// transfer takes less than that nothing is shown, and that fails.

const (
	leaseKey    = "chaos/known/lease"
	leaseTries  = 60
	leaseWanted = 3
	leaseLeft   = 1500 * time.Millisecond // at least, of 2.7 s from the last heartbeat
)

// oldLeadersRead until enough tries were fast; it returns how many there were,
// and how many of the old leaders' answers were refusals.
func (t *test) oldLeadersRead() (fast, refused int, err error) {
	try := 0
	for ; try < leaseTries && fast < leaseWanted && err == nil; try++ {
		var inTime bool
		var n int
		inTime, n, err = t.readOfOldLeader(fmt.Sprintf("%d-old", try), fmt.Sprintf("%d-new", try))
		t.Heal()
		if inTime {
			fast++
			refused += n
		}
	}
	switch {
	case err != nil:
	case fast == 0:
		err = fmt.Errorf("in none of %d tries the next leader took a write within %v", try, leaseLeft)
	case refused == 0:
		err = fmt.Errorf("none of %d old leaders refused a read, though they hear nothing", fast)
	}
	return fast, refused, err
}

func (t *test) readOfOldLeader(was, now string) (inTime bool, refused int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	old, _, _, err := t.leads(leaseKey)
	if err != nil {
		return false, 0, err
	}
	to := (old + 1) % 3
	if err = t.showEverywhere(ctx, leaseKey, was); err != nil {
		return false, 0, err
	}
	at, err := t.fixed(old, leaseKey)
	if err != nil {
		return false, 0, err
	}
	next, err := t.fixed(to, leaseKey)
	if err != nil {
		return false, 0, err
	}
	began := time.Now()
	err = t.transfer(old, to, leaseKey)
	t.CutTo(old)
	if err != nil {
		return false, 0, nil // it leads no more
	}
	for acked := false; !acked; {
		if time.Since(began) > leaseLeft {
			return false, 0, nil
		}
		acked = next.put(ctx, now)
	}
	for time.Since(began) < 2*leaseLeft {
		value, answered, err := at.get(ctx, fixedWithin)
		switch {
		case err != nil:
			return true, refused, fmt.Errorf("node %d, which has handed over: %w", old, err)
		case !answered:
			refused++
		case value != now:
			return true, refused, fmt.Errorf("node %d, which has handed over, shows %q after %q was acknowledged", old, value, now)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return true, refused, nil
}

// fixedPeer is asked without another look at who leads.
type fixedPeer struct {
	*test
	node  int
	key   string
	where *kvrpcpb.Context
}

func (t *test) fixed(node int, key string) (*fixedPeer, error) {
	where, err := t.context(node, key)
	return &fixedPeer{t, node, key, where}, err
}

const fixedWithin = 300 * time.Millisecond

func (f *fixedPeer) put(ctx context.Context, value string) bool {
	kv, err := f.Store(f.node)
	if err != nil {
		return false
	}
	limited, cancel := context.WithTimeout(ctx, fixedWithin)
	defer cancel()
	r, err := kv.RawPut(limited, &kvrpcpb.RawPutRequest{Context: f.where, Key: []byte(f.key), Value: []byte(value), ForCas: true})
	return err == nil && r.RegionError == nil && r.Error == ""
}

// get says whether there is an answer: who is not sure to lead waits, longer than
// this does, or says that it does not; anything else is an error.
func (f *fixedPeer) get(ctx context.Context, most time.Duration) (value string, answered bool, err error) {
	kv, err := f.Store(f.node)
	if err != nil {
		return "", false, err
	}
	limited, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	r, err := kv.RawGet(limited, &kvrpcpb.RawGetRequest{Context: f.where, Key: []byte(f.key)})
	switch e := r.GetRegionError(); {
	case status.Code(err) == codes.DeadlineExceeded:
		return "", false, nil
	case err != nil:
		return "", false, err
	case e == nil && r.Error == "":
		return string(r.Value), true, nil
	case e.GetNotLeader() != nil || e.GetServerIsBusy() != nil || e.GetReadIndexNotReady() != nil:
		return "", false, nil
	}
	return "", false, fmt.Errorf("a read is answered by %v", r)
}
