package main

import (
	"bytes"
	"fmt"
	"math"
	"strings"

	"github.com/pingcap/kvproto/pkg/errorpb"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"
)

// region sends a request and gives the error of the region that answers it.
func region[Response any](t *tester, request any) *errorpb.Error {
	response, err := send[Response](t, request)
	t.Check(fmt.Sprintf("%T", request), err)
	return regionError(response)
}

// inFlashback makes sure that the region says so, and of which flashback.
func (t *tester) inFlashback(e *errorpb.Error, start uint64, what string) {
	in := e.GetFlashbackInProgress()
	t.want(in.GetRegionId() == t.Region.Id && in.GetFlashbackStartTs() == start, what+" in a flashback", e)
}

func (t *tester) prepareFlashback(start, version uint64, lower, upper []byte) *kvrpcpb.PrepareFlashbackToVersionResponse {
	return ask[*kvrpcpb.PrepareFlashbackToVersionResponse](t, &kvrpcpb.PrepareFlashbackToVersionRequest{
		StartKey: lower, EndKey: upper, StartTs: start, Version: version})
}

func flashbackRequest(start, commit, version uint64, lower, upper []byte) *kvrpcpb.FlashbackToVersionRequest {
	return &kvrpcpb.FlashbackToVersionRequest{StartKey: lower, EndKey: upper, StartTs: start, CommitTs: commit, Version: version}
}

func (t *tester) flashback(start, commit, version uint64, lower, upper []byte) *kvrpcpb.FlashbackToVersionResponse {
	return ask[*kvrpcpb.FlashbackToVersionResponse](t, flashbackRequest(start, commit, version, lower, upper))
}

// checkFlashback sets a range of many slices back and meets all who are in the
// way of that: readers, writers, locks, a second attempt (txn-semantics 22).
func (t *tester) checkFlashback() {
	const n = 600
	prefix := string(t.key("flashback/"))
	key := func(i int) []byte { return []byte(fmt.Sprintf("%s%04d", prefix, i)) }
	lower, upper := []byte(prefix), append([]byte(prefix), 0xff)
	long := strings.Repeat("long", 100)
	batch := func(value func(i int) *kvrpcpb.Mutation) {
		var mutations []*kvrpcpb.Mutation
		var keys [][]byte
		for i := 0; i < n; i++ {
			if m := value(i); m != nil {
				mutations, keys = append(mutations, m), append(keys, m.Key)
			}
		}
		start := t.mustPrewrite(mutations...)
		t.want(t.commit(start, t.ts(), keys...).Error == nil, "commit", nil)
	}

	// Of three kinds each: changed, deleted, new since.
	batch(func(i int) *kvrpcpb.Mutation {
		if i%3 == 2 {
			return nil
		}
		return put(key(i), fmt.Sprint("old", i, long))
	})
	version := t.ts()
	batch(func(i int) *kvrpcpb.Mutation {
		if i%3 == 1 {
			return del(key(i))
		}
		return put(key(i), "new")
	})
	raw := t.key("raw")
	e := region[*kvrpcpb.RawPutResponse](t, &kvrpcpb.RawPutRequest{Key: raw, Value: []byte("v")})
	t.want(e == nil, "raw put before it", e)
	left := t.mustPrewrite(put(key(5), "never"))
	waits := t.mustLock(key(6))

	// Not prepared, and a start that is none.
	start := t.ts()
	e = region[*kvrpcpb.FlashbackToVersionResponse](t, flashbackRequest(start, t.ts(), version, lower, upper))
	t.want(e.GetFlashbackNotPrepared().GetRegionId() == t.Region.Id, "flashback without its first step", e)
	bad := t.prepareFlashback(0, version, lower, upper)
	t.want(bad.Error != "", "prepare without a start_ts", bad)
	e = region[*kvrpcpb.RawGetResponse](t, &kvrpcpb.RawGetRequest{Key: raw})
	t.want(e == nil, "neither stops the region", e)

	before := t.ts()
	given := t.prepareFlashback(t.ts(), version, lower, upper)
	t.want(given.Error == "", "prepare of a flashback that is given up", given)
	start = t.ts()
	for range 2 {
		got := t.prepareFlashback(start, version, lower, upper)
		t.want(got.Error == "", "prepare of another in its place, and the same again", got)
	}

	// What does not belong to it is refused, but for reads of what was before.
	now := t.ts()
	t.inFlashback(region[*kvrpcpb.GetResponse](t, &kvrpcpb.GetRequest{Key: key(0), Version: now}), start, "get")
	t.inFlashback(region[*kvrpcpb.GetResponse](t, &kvrpcpb.GetRequest{Key: key(0), Version: math.MaxUint64}), start, "get of the newest")
	t.inFlashback(region[*kvrpcpb.BatchGetResponse](t, &kvrpcpb.BatchGetRequest{Keys: [][]byte{key(0)}, Version: now}), start, "batch get")
	t.inFlashback(region[*kvrpcpb.ScanResponse](t, &kvrpcpb.ScanRequest{StartKey: lower, EndKey: upper, Limit: 9, Version: now}), start, "scan")
	t.inFlashback(region[*kvrpcpb.PrewriteResponse](t, prewriteRequest(now, put(key(0), "x"))), start, "prewrite")
	t.inFlashback(region[*kvrpcpb.PessimisticLockResponse](t, lockRequest(now, now, key(0))), start, "pessimistic lock")
	t.inFlashback(region[*kvrpcpb.CommitResponse](t, &kvrpcpb.CommitRequest{StartVersion: left, CommitVersion: now, Keys: [][]byte{key(5)}}), start, "commit")
	t.inFlashback(region[*kvrpcpb.CheckTxnStatusResponse](t, &kvrpcpb.CheckTxnStatusRequest{PrimaryKey: key(5), LockTs: left}), start, "status")
	t.inFlashback(region[*kvrpcpb.ScanLockResponse](t, &kvrpcpb.ScanLockRequest{MaxVersion: now}), start, "scan lock")
	t.inFlashback(region[*kvrpcpb.RawPutResponse](t, &kvrpcpb.RawPutRequest{Key: raw, Value: []byte("x")}), start, "raw put")
	t.inFlashback(region[*kvrpcpb.RawGetResponse](t, &kvrpcpb.RawGetRequest{Key: raw}), start, "raw get")
	t.inFlashback(region[*kvrpcpb.DeleteRangeResponse](t, &kvrpcpb.DeleteRangeRequest{StartKey: lower, EndKey: upper}), start, "delete range")
	old := t.get(key(0), before)
	t.want(old.Error == nil && string(old.Value) == "new", "get from before it", old)
	scan := ask[*kvrpcpb.ScanResponse](t, &kvrpcpb.ScanRequest{StartKey: lower, EndKey: upper, Limit: 2 * n, Version: version})
	t.want(len(scan.Pairs) == n*2/3, "scan from before it", len(scan.Pairs))

	got := t.flashback(start, start, version, lower, upper)
	t.want(strings.Contains(got.Error, "InvalidTxnTso"), "commit_ts not above start_ts", got)
	commit := t.ts()
	for range 2 {
		got = t.flashback(start, commit, version, lower, upper)
		t.want(got.Error == "", "flashback, and the same again", got)
	}

	// As it was, for whoever comes now; as it was in between, for who did.
	scan = ask[*kvrpcpb.ScanResponse](t, &kvrpcpb.ScanRequest{StartKey: lower, EndKey: upper, Limit: 2 * n, Version: t.ts()})
	t.want(len(scan.Pairs) == n*2/3, "as many keys as there were", len(scan.Pairs))
	at := 0
	for i := 0; i < n; i++ {
		if i%3 == 2 {
			continue
		}
		want := fmt.Sprint("old", i, long)
		if at >= len(scan.Pairs) || !bytes.Equal(scan.Pairs[at].Key, key(i)) || string(scan.Pairs[at].Value) != want {
			t.want(false, "as it was: "+string(key(i)), scan.Pairs[min(at, len(scan.Pairs)-1)])
			break
		}
		at++
	}
	old = t.get(key(0), before)
	t.want(old.Error == nil && string(old.Value) == "new", "history stays", old)
	e2 := t.commit(left, t.ts(), key(5)).Error
	t.want(e2.GetTxnLockNotFound() != nil, "a lock that was in the way is rolled back", e2)
	e2 = first(t.prewrite(prewriteRequest(waits, put(key(6), "x"))).Errors)
	t.want(e2 != nil, "and so is a pessimistic one", e2)
	t.store(key(7), "after")
	t.expect(key(7), "after", "writes go on")
	e = region[*kvrpcpb.RawGetResponse](t, &kvrpcpb.RawGetRequest{Key: raw})
	t.want(e == nil, "and raw reads", e)

	// Nothing to do is done at once.
	start = t.ts()
	t.want(t.prepareFlashback(start, start, []byte(prefix+"x"), []byte(prefix+"y")).Error == "", "prepare of nothing", nil)
	t.want(t.flashback(start, t.ts(), start, []byte(prefix+"x"), []byte(prefix+"y")).Error == "", "flashback of nothing", nil)
	t.expect(key(7), "after", "and ends")
}
