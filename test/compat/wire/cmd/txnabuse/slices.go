package main

import (
	"fmt"
	"time"

	"github.com/pingcap/kvproto/pkg/errorpb"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"
)

// again repeats a call while the store is busy, as clients do.
func again[R interface{ GetRegionError() *errorpb.Error }](call func() (R, error)) (R, error) {
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		reply, err := call()
		if err != nil || reply.GetRegionError().GetServerIsBusy() == nil || time.Now().After(end) {
			return reply, err
		}
	}
}

// visible counts the keys of a range, which must carry the values of makeMany.
func (t *tester) visible(lower, upper []byte) (int, error) {
	ts, err := t.now()
	if err != nil {
		return 0, err
	}
	reply, err := again(func() (*kvrpcpb.ScanResponse, error) {
		return t.KV.KvScan(t.ctx, &kvrpcpb.ScanRequest{Context: t.Context(), StartKey: lower, EndKey: upper, Version: ts, Limit: 100000})
	})
	if err != nil || reply.RegionError != nil || reply.Error != nil {
		return 0, fmt.Errorf("scan: %.200v %v", reply, err)
	}
	for i, pair := range reply.Pairs {
		if pair.Error != nil {
			return 0, fmt.Errorf("scan met %v", pair.Error)
		}
		if want := fmt.Sprintf("s%06d", i); string(pair.Key[len(t.prefix):]) != want || len(pair.Value) != i%300 {
			return 0, fmt.Errorf("pair %d is %q with %d bytes", i, pair.Key, len(pair.Value))
		}
	}
	return len(reply.Pairs), nil
}

// Commands that take many turns, any of which may be undone and tried again:
// every lock ends once, as was decided, and every row goes.
func (t *tester) slices() error {
	const parts, perPart = 10, 1500
	ts, err := t.now()
	if err != nil {
		return err
	}
	lower, upper := t.key("s0"), t.key("s:")
	for part := 0; part < parts; part++ {
		request := &kvrpcpb.PrewriteRequest{Context: t.Context(), PrimaryLock: t.key("s000000"), StartVersion: ts, LockTtl: 600000}
		for i := part * perPart; i < (part+1)*perPart; i++ {
			request.Mutations = append(request.Mutations, &kvrpcpb.Mutation{Op: kvrpcpb.Op_Put, Key: t.key(fmt.Sprintf("s%06d", i)), Value: make([]byte, i%300)})
		}
		r, err := again(func() (*kvrpcpb.PrewriteResponse, error) { return t.KV.KvPrewrite(t.ctx, request) })
		if err != nil || len(r.Errors) > 0 || r.RegionError != nil {
			return fmt.Errorf("prewrite: %.200v %v", r, err)
		}
	}
	end, err := t.now()
	if err != nil {
		return err
	}
	resolved, err := again(func() (*kvrpcpb.ResolveLockResponse, error) {
		return t.KV.KvResolveLock(t.ctx, &kvrpcpb.ResolveLockRequest{Context: t.Context(), StartVersion: ts, CommitVersion: end})
	})
	if err != nil || resolved.Error != nil || resolved.RegionError != nil {
		return fmt.Errorf("resolve: %v %v", resolved, err)
	}
	if n, err := t.visible(lower, upper); err != nil || n != parts*perPart {
		return fmt.Errorf("%d of %d keys are committed: %w", n, parts*perPart, err)
	}
	deleted, err := again(func() (*kvrpcpb.DeleteRangeResponse, error) {
		return t.KV.KvDeleteRange(t.ctx, &kvrpcpb.DeleteRangeRequest{Context: t.Context(), StartKey: lower, EndKey: upper})
	})
	if err != nil || deleted.Error != "" || deleted.RegionError != nil {
		return fmt.Errorf("delete: %v %v", deleted, err)
	}
	if n, err := t.visible(lower, upper); err != nil || n != 0 {
		return fmt.Errorf("%d keys are left: %w", n, err)
	}
	return nil
}
