package main

import (
	"bytes"
	"fmt"
	"math"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
)

func (t *tester) with(change func(*kvrpcpb.Context)) *kvrpcpb.Context {
	c := t.Context()
	change(c)
	return c
}

// checkReadLocks has locks in the way of reads, and ways around them.
func (t *tester) checkReadLocks() {
	a, b, c, d := t.key("a"), t.key("b"), t.key("c"), t.key("d")
	long := string(bytes.Repeat([]byte("long"), 200))
	for _, key := range [][]byte{a, b, c} {
		t.store(key, "old")
	}
	before := t.ts()
	request := prewriteRequest(t.ts(), put(a, "new"), put(b, long), del(c), &kvrpcpb.Mutation{Op: kvrpcpb.Op_Lock, Key: d})
	request.MinCommitTs = 0
	t.want(len(t.prewrite(request).Errors) == 0, "prewrite", nil)
	start := request.StartVersion
	now := t.ts()
	e := t.get(a, now).Error
	t.want(lone(e, "Locked") && e.Locked.LockVersion == start && bytes.Equal(e.Locked.Key, a), "locked", e)
	t.want(string(t.get(a, before).Value) == "old", "read below the lock", nil)
	got := t.get(d, now)
	t.want(got.Error == nil && got.NotFound, "a lock of type Lock", got)

	many := ask[*kvrpcpb.BatchGetResponse](t, &kvrpcpb.BatchGetRequest{Keys: [][]byte{a, d, t.key("absent")}, Version: now})
	t.want(many.Error == nil && len(many.Pairs) == 1 && len(many.Pairs[0].Key) == 0 && lone(many.Pairs[0].Error, "Locked") &&
		bytes.Equal(many.Pairs[0].Error.Locked.Key, a), "batch get of a locked key", many)

	resolved := t.with(func(x *kvrpcpb.Context) { x.ResolvedLocks = []uint64{1, start} })
	got = ask[*kvrpcpb.GetResponse](t, &kvrpcpb.GetRequest{Context: resolved, Key: a, Version: now})
	t.want(got.Error == nil && string(got.Value) == "old", "resolved_locks", got)
	committed := func() *kvrpcpb.Context {
		return t.with(func(x *kvrpcpb.Context) { x.CommittedLocks = []uint64{start} })
	}
	for _, one := range []struct {
		key   []byte
		value string
	}{{a, "new"}, {b, long}, {c, ""}} {
		got = ask[*kvrpcpb.GetResponse](t, &kvrpcpb.GetRequest{Context: committed(), Key: one.key, Version: now})
		t.want(got.Error == nil && string(got.Value) == one.value && got.NotFound == (one.value == ""), "committed_locks", got)
	}
	got = ask[*kvrpcpb.GetResponse](t, &kvrpcpb.GetRequest{Context: committed(), Key: a, Version: now, NeedCommitTs: true})
	t.want(lone(got.Error, "Locked"), "committed_locks cannot tell a commit_ts", got)
	many = ask[*kvrpcpb.BatchGetResponse](t, &kvrpcpb.BatchGetRequest{Context: committed(), Keys: [][]byte{a, b, c}, Version: now})
	t.want(many.Error == nil && len(many.Pairs) == 2 && string(many.Pairs[0].Value) == "new" && string(many.Pairs[1].Value) == long,
		"batch get with committed_locks", len(many.Pairs))
	scan := &kvrpcpb.ScanRequest{Context: committed(), StartKey: a, EndKey: d, Limit: 9, Version: now}
	pairs := ask[*kvrpcpb.ScanResponse](t, scan)
	t.want(pairs.Error == nil && len(pairs.Pairs) == 2 && string(pairs.Pairs[1].Value) == long, "scan with committed_locks", len(pairs.Pairs))

	// The newest: the primary's lock is no hindrance, a secondary's is.
	got = t.get(a, math.MaxUint64)
	t.want(got.Error == nil && string(got.Value) == "old", "the primary at the highest timestamp", got)
	got = t.get(b, math.MaxUint64)
	t.want(lone(got.Error, "Locked"), "a secondary at the highest timestamp", got)
	replica := t.with(func(x *kvrpcpb.Context) { x.ReplicaRead, x.AppliedIndex = true, 3 })
	got = ask[*kvrpcpb.GetResponse](t, &kvrpcpb.GetRequest{Context: replica, Key: a, Version: math.MaxUint64})
	t.want(lone(got.Error, "Locked"), "replica_read at the highest timestamp", got)
	for what, change := range map[string]func(*kvrpcpb.Context){
		"stale_read":    func(x *kvrpcpb.Context) { x.StaleRead = true },
		"applied_index": func(x *kvrpcpb.Context) { x.AppliedIndex = 3 },
		"replica_read":  func(x *kvrpcpb.Context) { x.ReplicaRead = true },
	} {
		got = ask[*kvrpcpb.GetResponse](t, &kvrpcpb.GetRequest{Context: t.with(change), Key: a, Version: before})
		t.want(got.Error == nil && string(got.Value) == "old", what+" below the lock", got)
		got = ask[*kvrpcpb.GetResponse](t, &kvrpcpb.GetRequest{Context: t.with(change), Key: a, Version: now})
		t.want(lone(got.Error, "Locked"), what+" above it", got)
	}

	// A reader below min_commit_ts passes.
	t.rollback(start, a, b, c, d)
	request = prewriteRequest(t.ts(), put(a, "new"))
	request.MinCommitTs = after(request.StartVersion, 20000)
	t.prewrite(request)
	got = t.get(a, t.ts())
	t.want(got.Error == nil && string(got.Value) == "old", "read below min_commit_ts", got)
	t.rollback(request.StartVersion, a)

	start = t.mustLock(a)
	got = t.get(a, t.ts())
	t.want(got.Error == nil && string(got.Value) == "old", "read of a pessimistic lock", got)
	t.rollback(start, a)
}

// checkScans scans with locked keys in between, keys alone, and samples.
func (t *tester) checkScans() {
	base := t.key("")
	key := func(i int) []byte { return []byte(fmt.Sprintf("%s%03d", base, i)) }
	var all []*kvrpcpb.Mutation
	for i := 0; i < 20; i++ {
		all = append(all, put(key(i), fmt.Sprint(i)))
	}
	start := t.mustPrewrite(all...)
	for _, m := range all {
		t.commit(start, start+1, m.Key) // min_commit_ts is that
	}
	gone := t.mustPrewrite(del(key(4)))
	t.commit(gone, t.ts(), key(4))
	locked := t.mustPrewrite(put(key(2), "x"), put(key(7), "x"))
	version := t.ts()
	scan := func(r *kvrpcpb.ScanRequest, what string, want ...int) {
		r.Version = version
		if r.Reverse {
			r.StartKey, r.EndKey = key(20), key(0)
		} else {
			r.StartKey, r.EndKey = key(0), key(20)
		}
		got := ask[*kvrpcpb.ScanResponse](t, r)
		same := got.Error == nil && len(got.Pairs) == len(want)
		for i := 0; same && i < len(want); i++ {
			pair, n := got.Pairs[i], want[i]
			if n == 2 || n == 7 {
				same = len(pair.Key) == 0 && lone(pair.Error, "Locked") && bytes.Equal(pair.Error.Locked.Key, key(n)) &&
					pair.Error.Locked.LockVersion == locked
				continue
			}
			value := fmt.Sprint(n)
			if r.KeyOnly {
				value = ""
			}
			same = pair.Error == nil && bytes.Equal(pair.Key, key(n)) && string(pair.Value) == value
		}
		t.want(same, "scan "+what, got)
	}
	for _, keyOnly := range []bool{false, true} {
		scan(&kvrpcpb.ScanRequest{Limit: 6, KeyOnly: keyOnly}, "forward", 0, 1, 2, 3, 5, 6)
		scan(&kvrpcpb.ScanRequest{Limit: 15, KeyOnly: keyOnly, Reverse: true}, "in reverse", 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5)
	}
	t.rollback(locked, key(2), key(7))
	scan = func(r *kvrpcpb.ScanRequest, what string, want ...int) {
		r.Version, r.StartKey, r.EndKey = t.ts(), key(0), key(20)
		got := ask[*kvrpcpb.ScanResponse](t, r)
		same := got.Error == nil && len(got.Pairs) == len(want)
		for i := 0; same && i < len(want); i++ {
			same = bytes.Equal(got.Pairs[i].Key, key(want[i]))
		}
		t.want(same, "scan "+what, got)
	}
	scan(&kvrpcpb.ScanRequest{Limit: 100, SampleStep: 5}, "every fifth", 0, 6, 11, 16)
	scan(&kvrpcpb.ScanRequest{Limit: 2, SampleStep: 5}, "two of every fifth", 0, 6)
	scan(&kvrpcpb.ScanRequest{Limit: 100, SampleStep: 100}, "one", 0)
	scan(&kvrpcpb.ScanRequest{Limit: 3, SampleStep: 1}, "every one", 0, 1, 2)
	scan(&kvrpcpb.ScanRequest{Limit: 0}, "none")
}

// checkIsolation reads with the weaker levels.
func (t *tester) checkIsolation() {
	k := t.key("k")
	start, commit := t.store(k, "old")
	before := t.ts()
	level := func(l kvrpcpb.IsolationLevel) *kvrpcpb.Context {
		return t.with(func(c *kvrpcpb.Context) { c.IsolationLevel = l })
	}
	read := func(l kvrpcpb.IsolationLevel, version uint64) *kvrpcpb.GetResponse {
		return ask[*kvrpcpb.GetResponse](t, &kvrpcpb.GetRequest{Context: level(l), Key: k, Version: version})
	}
	got := read(kvrpcpb.IsolationLevel_RCCheckTS, commit-1)
	w := got.GetError().GetConflict()
	t.want(lone(got.Error, "Conflict") && w.Reason == kvrpcpb.WriteConflict_RcCheckTs && w.StartTs == commit-1 && w.ConflictTs == start &&
		w.ConflictCommitTs == commit && bytes.Equal(w.Key, k), "RcCheckTs meets a newer version", got)
	got = read(kvrpcpb.IsolationLevel_RCCheckTS, before)
	t.want(got.Error == nil && string(got.Value) == "old", "RcCheckTs", got)
	locked := t.mustPrewrite(put(k, "new"))
	for _, version := range []uint64{before, t.ts()} { // even for a lock above it
		got = read(kvrpcpb.IsolationLevel_RCCheckTS, version)
		w = got.GetError().GetConflict()
		t.want(lone(got.Error, "Conflict") && w.Reason == kvrpcpb.WriteConflict_RcCheckTs && w.ConflictTs == locked && w.ConflictCommitTs == 0,
			"RcCheckTs meets a lock", got)
	}
	many := ask[*kvrpcpb.BatchGetResponse](t, &kvrpcpb.BatchGetRequest{Context: level(kvrpcpb.IsolationLevel_RCCheckTS), Keys: [][]byte{k}, Version: before})
	t.want(many.Error == nil && len(many.Pairs) == 1 && lone(many.Pairs[0].Error, "Conflict") || lone(many.Error, "Conflict"), "batch get with RcCheckTs", many)
	scan := ask[*kvrpcpb.ScanResponse](t, &kvrpcpb.ScanRequest{Context: level(kvrpcpb.IsolationLevel_RCCheckTS), StartKey: k,
		EndKey: append(bytes.Clone(k), 0), Limit: 5, Version: before})
	t.want(lone(scan.Error, "Conflict") && len(scan.Pairs) == 1 && lone(scan.Pairs[0].Error, "Conflict"), "scan with RcCheckTs", scan)
	got = read(kvrpcpb.IsolationLevel_RC, t.ts())
	t.want(got.Error == nil && string(got.Value) == "old", "RC ignores locks", got)
	got = read(kvrpcpb.IsolationLevel_RC, commit-1)
	t.want(got.Error == nil && got.NotFound, "RC below the version", got)
	t.rollback(locked, k)
}

// checkReadFields asks for commit timestamps, empty values and missing keys.
func (t *tester) checkReadFields() {
	a, b := t.key("a"), t.key("b")
	_, commit := t.store(a, "v")
	got := ask[*kvrpcpb.GetResponse](t, &kvrpcpb.GetRequest{Key: a, Version: t.ts(), NeedCommitTs: true})
	t.want(got.CommitTs == commit && string(got.Value) == "v", "commit_ts of a read", got)
	got = t.get(a, t.ts())
	t.want(got.CommitTs == 0, "commit_ts is not asked for", got)
	many := ask[*kvrpcpb.BatchGetResponse](t, &kvrpcpb.BatchGetRequest{Keys: [][]byte{b, a}, Version: t.ts(), NeedCommitTs: true})
	t.want(many.Error == nil && len(many.Pairs) == 1 && many.Pairs[0].CommitTs == commit && bytes.Equal(many.Pairs[0].Key, a), "commit_ts of a batch get", many)
	start := t.mustPrewrite(put(b, ""))
	t.commit(start, t.ts(), b)
	got = t.get(b, t.ts())
	t.want(!got.NotFound && len(got.Value) == 0, "an empty value", got)
	got = t.get(t.key("absent"), t.ts())
	t.want(got.NotFound && got.Error == nil, "an absent key", got)
}

// checkLimits sends too much.
func (t *tester) checkLimits() {
	long := append(t.key("long"), bytes.Repeat([]byte{'k'}, 8200)...)
	e := first(t.prewrite(prewriteRequest(t.ts(), put(long, "v"))).Errors)
	t.want(aborts(e, "KeyTooLarge"), "prewrite of too long a key", e)
	now := t.ts()
	e = first(t.lock(lockRequest(now, now, long)).Errors)
	t.want(aborts(e, "KeyTooLarge"), "lock of too long a key", e)
	f := ask[*kvrpcpb.FlushResponse](t, &kvrpcpb.FlushRequest{Mutations: []*kvrpcpb.Mutation{put(long, "v")}, PrimaryKey: long,
		StartTs: t.ts(), Generation: 1, LockTtl: 3000})
	t.want(aborts(first(f.Errors), "KeyTooLarge"), "flush of too long a key", f)
	got := t.get(long, t.ts())
	t.want(got.Error == nil && got.NotFound, "read of too long a key", got.Error)

	k := t.key("large")
	for _, onePC := range []bool{false, true} {
		request := prewriteRequest(t.ts(), put(k, string(make([]byte, 9<<20))))
		request.TryOnePc = onePC
		r, err := send[*kvrpcpb.PrewriteResponse](t, request)
		tooLarge := r.GetRegionError().GetRaftEntryTooLarge()
		t.want(err == nil && tooLarge.GetRegionId() == t.Region.Id && tooLarge.GetEntrySize() > 9<<20 && len(r.Errors) == 0,
			"a value that is too large", r.GetRegionError())
	}
	t.expect(k, "", "writes nothing")
	start := t.mustPrewrite(put(k, string(make([]byte, 6<<20))))
	t.commit(start, t.ts(), k)
	got = t.get(k, t.ts())
	t.want(len(got.Value) == 6<<20, "a large value", len(got.Value))
}

// checkFuture sends timestamps that nobody can have: the answer is a region
// error of which the message alone is set (txn-semantics 5.2 row 7).
func (t *tester) checkFuture() {
	k := t.key("k")
	t.store(k, "v")
	far := after(t.ts(), 3600*1000)
	messageOnly := func(what string, response any, err error) {
		region := regionError(response)
		ok := err == nil && region.GetMessage() != ""
		if ok {
			bare := *region
			bare.Message = ""
			ok = bare.Size() == 0
		}
		t.want(ok, what, fmt.Sprint(region, err))
	}
	get, err := send[*kvrpcpb.GetResponse](t, &kvrpcpb.GetRequest{Key: k, Version: far})
	messageOnly("get in the future", get, err)
	many, err := send[*kvrpcpb.BatchGetResponse](t, &kvrpcpb.BatchGetRequest{Keys: [][]byte{k}, Version: far})
	messageOnly("batch get in the future", many, err)
	scan, err := send[*kvrpcpb.ScanResponse](t, &kvrpcpb.ScanRequest{StartKey: k, Limit: 1, Version: far})
	messageOnly("scan in the future", scan, err)
	locks, err := send[*kvrpcpb.ScanLockResponse](t, &kvrpcpb.ScanLockRequest{StartKey: k, Limit: 1, MaxVersion: far})
	messageOnly("scan of locks in the future", locks, err)
	status, err := send[*kvrpcpb.CheckTxnStatusResponse](t, &kvrpcpb.CheckTxnStatusRequest{PrimaryKey: k, LockTs: t.ts(), CallerStartTs: far, CurrentTs: far})
	messageOnly("status in the future", status, err)
	secondary, err := send[*kvrpcpb.CheckSecondaryLocksResponse](t, &kvrpcpb.CheckSecondaryLocksRequest{Keys: [][]byte{k}, StartVersion: far})
	messageOnly("secondary locks in the future", secondary, err)
	cleanup, err := send[*kvrpcpb.CleanupResponse](t, &kvrpcpb.CleanupRequest{Key: k, StartVersion: far})
	messageOnly("cleanup in the future", cleanup, err)
	request := lockRequest(t.ts(), far, k)
	request.ReturnValues = true
	lock, err := send[*kvrpcpb.PessimisticLockResponse](t, request)
	messageOnly("lock in the future", lock, err)

	// And nothing is spoilt: commits go on at today's timestamps.
	async := prewriteRequest(t.ts(), put(k, "2"))
	async.UseAsyncCommit = true
	got := t.prewrite(async)
	t.want(len(got.Errors) == 0 && got.MinCommitTs > 0 && got.MinCommitTs < far, "min_commit_ts afterwards", got)
	t.commit(async.StartVersion, got.MinCommitTs, k)
}

// checkMvcc looks at all versions.
func (t *tester) checkMvcc() {
	k := t.key("k")
	long := string(bytes.Repeat([]byte("v"), 300))
	start, commit := t.store(k, long)
	rolled := t.mustPrewrite(put(k, "x"))
	t.rollback(rolled, k)
	locked := t.mustPrewrite(del(k))
	got := ask[*kvrpcpb.MvccGetByKeyResponse](t, &kvrpcpb.MvccGetByKeyRequest{Key: k})
	info := got.GetInfo()
	ok := info != nil && info.Lock.GetStartTs() == locked && len(info.Writes) == 2 && len(info.Values) == 1
	t.want(ok && info.Writes[0].Type == kvrpcpb.Op_Rollback && info.Writes[0].StartTs == rolled && info.Writes[1].StartTs == start &&
		info.Writes[1].CommitTs == commit && info.Values[0].StartTs == start && string(info.Values[0].Value) == long, "all versions of a key", got)
	by := ask[*kvrpcpb.MvccGetByStartTsResponse](t, &kvrpcpb.MvccGetByStartTsRequest{StartTs: start})
	t.want(bytes.Equal(by.Key, k) && len(by.GetInfo().GetWrites()) == 2, "versions by start_ts", by)
	t.rollback(locked, k)
}

// checkRanges removes ranges.
func (t *tester) checkRanges() {
	a, b := t.key("a"), t.key("b")
	t.store(a, "1")
	t.store(b, "2")
	end := append(bytes.Clone(b), 0)
	got := ask[*kvrpcpb.DeleteRangeResponse](t, &kvrpcpb.DeleteRangeRequest{StartKey: a, EndKey: end, NotifyOnly: true})
	t.want(got.Error == "", "notify only", got)
	t.expect(a, "1", "notify only deletes nothing")
	got = ask[*kvrpcpb.DeleteRangeResponse](t, &kvrpcpb.DeleteRangeRequest{StartKey: a, EndKey: b})
	t.want(got.Error == "", "delete range", got)
	t.expect(a, "", "in the range")
	t.expect(b, "2", "at its end")
	for _, bounds := range [][2][]byte{{nil, end}, {a, nil}, {nil, nil}} {
		r := ask[*kvrpcpb.UnsafeDestroyRangeResponse](t, &kvrpcpb.UnsafeDestroyRangeRequest{StartKey: bounds[0], EndKey: bounds[1]})
		t.want(r.Error != "", "destroy range without a bound", r)
	}
	t.expect(b, "2", "nothing is destroyed")
	r := ask[*kvrpcpb.UnsafeDestroyRangeResponse](t, &kvrpcpb.UnsafeDestroyRangeRequest{StartKey: a, EndKey: end})
	t.want(r.Error == "", "destroy range", r)
	t.expect(b, "", "destroyed")
}
