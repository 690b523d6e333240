// txnabuse sends a store transactional requests that no client sends: small
// messages that ask for enormous work or answers, keys named thousands of
// times, timestamps at the ends of their range, keys far too long, and valid
// messages with random contents. The store may refuse them as it likes; it
// must stay the same process, stay small, and answer others.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/pdpb"

	"tikv_fdw/test/compat/wire/internal/node"
)

type tester struct {
	*node.Node
	*node.Report
	ctx    context.Context
	prefix string
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	report := node.NewReport("txnabuse")
	n, err := node.Connect(ctx)
	report.Fatal(err)
	t := &tester{n, report, ctx, fmt.Sprintf("compat/abuse/%d/", time.Now().UnixNano())}

	for _, part := range []struct {
		name string
		run  func() error
	}{
		{"secondaries", t.noSecondaries},
		{"primary", t.longPrimary},
		{"values", t.manyValues},
		{"buffered", t.manyBuffered},
		{"locks", t.manyLocks},
		{"longkeys", t.longKeys},
		{"timestamps", t.timestamps},
		{"slices", t.slices},
		{"waiters", t.waiters},
		{"fuzz", t.fuzz},
	} {
		if len(os.Args) > 1 && !strings.Contains(strings.Join(os.Args[1:], " "), part.name) {
			continue
		}
		report.Check(part.name, part.run())
		report.Check(part.name+": the node still answers", n.Alive(ctx))
	}
	report.Exit()
}

func (t *tester) key(s string) []byte { return []byte(t.prefix + s) }

// now is a timestamp of PD.
func (t *tester) now() (uint64, error) {
	stream, err := t.PD.Tso(t.ctx)
	if err != nil {
		return 0, err
	}
	defer stream.CloseSend()
	if err := stream.Send(&pdpb.TsoRequest{Header: t.Header(), Count: 1}); err != nil {
		return 0, err
	}
	reply, err := stream.Recv()
	if err != nil {
		return 0, err
	}
	ts := reply.GetTimestamp()
	return uint64(ts.GetPhysical())<<18 + uint64(ts.GetLogical()), nil
}

// refused wants a definite answer with such a text in it.
func refused(what, want string, err error, reply fmt.Stringer) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	text := reply.String()
	if !strings.Contains(text, want) {
		return fmt.Errorf("%s: want %q, got %.200q", what, want, text)
	}
	return nil
}

const tooMuch = "takes too much memory"

// A client of async commit that dies with one key locked: whoever resolves it
// has no secondary to ask.
func (t *tester) noSecondaries() error {
	ts, err := t.now()
	if err != nil {
		return err
	}
	key := t.key("single")
	r, err := t.KV.KvPrewrite(t.ctx, &kvrpcpb.PrewriteRequest{Context: t.Context(), PrimaryLock: key, StartVersion: ts,
		LockTtl: 1, UseAsyncCommit: true, MinCommitTs: ts + 1,
		Mutations: []*kvrpcpb.Mutation{{Op: kvrpcpb.Op_Put, Key: key, Value: []byte("v")}}})
	if err != nil || len(r.Errors) > 0 || r.MinCommitTs == 0 {
		return fmt.Errorf("prewrite: %v %v", r, err)
	}
	status, err := t.KV.KvCheckSecondaryLocks(t.ctx, &kvrpcpb.CheckSecondaryLocksRequest{Context: t.Context(), StartVersion: ts})
	if err != nil || status.Error != nil || len(status.Locks) > 0 {
		return fmt.Errorf("check of no locks: %v %v", status, err)
	}
	resolved, err := t.KV.KvResolveLock(t.ctx, &kvrpcpb.ResolveLockRequest{Context: t.Context(), StartVersion: ts, CommitVersion: r.MinCommitTs})
	if err != nil || resolved.Error != nil {
		return fmt.Errorf("resolve: %v %v", resolved, err)
	}
	for i := 0; i < 1; i++ {
		got, err := t.KV.KvScanLock(t.ctx, &kvrpcpb.ScanLockRequest{Context: t.Context(), MaxVersion: ts + 1000, StartKey: key, EndKey: append(key[:len(key):len(key)], 0), Limit: 10})
		if err != nil {
			return err
		}
		if len(got.Locks) == 0 {
			return nil
		}
	}
	return fmt.Errorf("the lock is not resolved")
}

// Every lock record repeats the primary key.
func (t *tester) longPrimary() error {
	ts, err := t.now()
	if err != nil {
		return err
	}
	primary := bytes.Repeat([]byte{'p'}, 2<<20)
	request := &kvrpcpb.PrewriteRequest{Context: t.Context(), PrimaryLock: primary, StartVersion: ts, LockTtl: 1}
	lock := &kvrpcpb.PessimisticLockRequest{Context: t.Context(), PrimaryLock: primary, StartVersion: ts, ForUpdateTs: ts, LockTtl: 1}
	for i := 0; i < 600; i++ {
		key := t.key(fmt.Sprintf("p%06d", i))
		request.Mutations = append(request.Mutations, &kvrpcpb.Mutation{Op: kvrpcpb.Op_Put, Key: key, Value: []byte("v")})
		lock.Mutations = append(lock.Mutations, &kvrpcpb.Mutation{Op: kvrpcpb.Op_PessimisticLock, Key: key})
	}
	r, err := t.KV.KvPrewrite(t.ctx, request)
	if err := refused("prewrite", "raft_entry_too_large", err, r); err != nil {
		return err
	}
	l, err := t.KV.KvPessimisticLock(t.ctx, lock)
	return refused("lock", "raft_entry_too_large", err, l)
}

func (t *tester) put(key, value []byte, commit bool) (uint64, error) {
	ts, err := t.now()
	if err != nil {
		return 0, err
	}
	r, err := t.KV.KvPrewrite(t.ctx, &kvrpcpb.PrewriteRequest{Context: t.Context(), PrimaryLock: key, StartVersion: ts, LockTtl: 600000,
		Mutations: []*kvrpcpb.Mutation{{Op: kvrpcpb.Op_Put, Key: key, Value: value}}})
	if err != nil || len(r.Errors) > 0 || r.RegionError != nil || !commit {
		return ts, err
	}
	end, err := t.now()
	if err != nil {
		return 0, err
	}
	c, err := t.KV.KvCommit(t.ctx, &kvrpcpb.CommitRequest{Context: t.Context(), StartVersion: ts, CommitVersion: end, Keys: [][]byte{key}})
	if err == nil && (c.Error != nil || c.RegionError != nil) {
		err = fmt.Errorf("commit: %v", c)
	}
	return ts, err
}

// One key with a large value, locked thousands of times in one request.
func (t *tester) manyValues() error {
	key := t.key("large")
	if _, err := t.put(key, make([]byte, 6<<20), true); err != nil {
		return err
	}
	ts, err := t.now()
	if err != nil {
		return err
	}
	lock := &kvrpcpb.PessimisticLockRequest{Context: t.Context(), PrimaryLock: key, StartVersion: ts, ForUpdateTs: ts, LockTtl: 1, ReturnValues: true}
	for i := 0; i < 300; i++ {
		lock.Mutations = append(lock.Mutations, &kvrpcpb.Mutation{Op: kvrpcpb.Op_PessimisticLock, Key: key})
	}
	r, err := t.KV.KvPessimisticLock(t.ctx, lock)
	return refused("lock", tooMuch, err, r)
}

// What a transaction has flushed, asked for again and again.
func (t *tester) manyBuffered() error {
	ts, err := t.now()
	if err != nil {
		return err
	}
	var keys [][]byte
	for part := 0; part < 10; part++ {
		request := &kvrpcpb.FlushRequest{Context: t.Context(), PrimaryKey: t.key("b"), StartTs: ts, Generation: uint64(part + 1), LockTtl: 60000}
		for i := 0; i < 4000; i++ {
			key := t.key(fmt.Sprintf("b%02d%06d", part, i))
			keys = append(keys, key)
			request.Mutations = append(request.Mutations, &kvrpcpb.Mutation{Op: kvrpcpb.Op_Put, Key: key, Value: []byte("v")})
		}
		r, err := t.KV.KvFlush(t.ctx, request)
		if err != nil {
			return err
		}
		if len(r.Errors) > 0 || r.RegionError != nil {
			return fmt.Errorf("flush: %v", r)
		}
	}
	r, err := t.KV.KvBufferBatchGet(t.ctx, &kvrpcpb.BufferBatchGetRequest{Context: t.Context(), Version: ts, Keys: keys})
	if err != nil {
		return err
	}
	if len(r.Pairs) != len(keys) {
		return fmt.Errorf("%d of %d keys", len(r.Pairs), len(keys))
	}
	// a few large values
	request := &kvrpcpb.FlushRequest{Context: t.Context(), PrimaryKey: t.key("b"), StartTs: ts, LockTtl: 60000}
	var large [][]byte
	for i := 0; i < 45; i++ {
		key := t.key(fmt.Sprintf("large%06d", i))
		large = append(large, key)
		request.Generation = uint64(100 + i)
		request.Mutations = []*kvrpcpb.Mutation{{Op: kvrpcpb.Op_Put, Key: key, Value: make([]byte, 6<<20)}}
		if _, err := t.KV.KvFlush(t.ctx, request); err != nil {
			return err
		}
	}
	r, err = t.KV.KvBufferBatchGet(t.ctx, &kvrpcpb.BufferBatchGetRequest{Context: t.Context(), Version: ts, Keys: large})
	if err := refused("large", "would exceed", err, r); err != nil {
		return err
	}
	_, err = t.KV.KvResolveLock(t.ctx, &kvrpcpb.ResolveLockRequest{Context: t.Context(), StartVersion: ts})
	return err
}

// A lock with a large record, met thousands of times.
func (t *tester) manyLocks() error {
	ts, err := t.now()
	if err != nil {
		return err
	}
	key := t.key("list")
	request := &kvrpcpb.PrewriteRequest{Context: t.Context(), PrimaryLock: key, StartVersion: ts, LockTtl: 600000, UseAsyncCommit: true, MinCommitTs: ts + 1,
		Mutations: []*kvrpcpb.Mutation{{Op: kvrpcpb.Op_Put, Key: key, Value: []byte("v")}}}
	for i := 0; i < 2000; i++ {
		request.Secondaries = append(request.Secondaries, t.key(fmt.Sprintf("%d", i))[len(t.prefix):])
	}
	r, err := t.KV.KvPrewrite(t.ctx, request)
	if err != nil || len(r.Errors) > 0 || r.RegionError != nil {
		return fmt.Errorf("prewrite: %v %v", r, err)
	}
	after, err := t.now()
	if err != nil {
		return err
	}
	var keys [][]byte
	var mutations []*kvrpcpb.Mutation
	for i := 0; i < 60000; i++ {
		keys = append(keys, key)
		mutations = append(mutations, &kvrpcpb.Mutation{Op: kvrpcpb.Op_Put, Key: key})
	}
	g, err := t.KV.KvBatchGet(t.ctx, &kvrpcpb.BatchGetRequest{Context: t.Context(), Version: after, Keys: keys})
	if err := refused("batch get", "too many locks", err, g); err != nil {
		return err
	}
	c, err := t.KV.KvCheckSecondaryLocks(t.ctx, &kvrpcpb.CheckSecondaryLocksRequest{Context: t.Context(), StartVersion: ts, Keys: keys})
	if err := refused("check secondaries", tooMuch, err, c); err != nil {
		return err
	}
	// The locks that were met are an answer, be they all or not.
	p, err := t.KV.KvPrewrite(t.ctx, &kvrpcpb.PrewriteRequest{Context: t.Context(), PrimaryLock: key, StartVersion: after, LockTtl: 1, Mutations: mutations})
	if err == nil && len(p.Errors) == len(mutations) {
		err = fmt.Errorf("%d locks were listed", len(p.Errors))
	}
	if err != nil {
		return err
	}
	b, err := t.KV.KvCommit(t.ctx, &kvrpcpb.CommitRequest{Context: t.Context(), StartVersion: ts, CommitVersion: after, Keys: keys})
	if err := refused("commit", tooMuch, err, b); err != nil {
		return err
	}
	d, err := t.KV.KvResolveLock(t.ctx, &kvrpcpb.ResolveLockRequest{Context: t.Context(), StartVersion: ts})
	if err == nil && (d.Error != nil || d.RegionError != nil) {
		err = fmt.Errorf("resolve: %v", d)
	}
	return err
}

// Keys beyond tikv.max_key_size in requests that write records about them.
func (t *tester) longKeys() error {
	ts, err := t.now()
	if err != nil {
		return err
	}
	for _, size := range []int{2047, 2048, 2049, 9000, 1 << 20, 9 << 20} {
		key := append(t.key("long"), bytes.Repeat([]byte{byte(size)}, size)...)
		tooLarge := size > 8<<20
		b, err := t.KV.KvBatchRollback(t.ctx, &kvrpcpb.BatchRollbackRequest{Context: t.Context(), StartVersion: ts, Keys: [][]byte{key}})
		if err != nil || (b.GetRegionError().GetRaftEntryTooLarge() != nil) != tooLarge || b.Error != nil {
			return fmt.Errorf("rollback of %d bytes: %.200s %v", size, b, err)
		}
		c, err := t.KV.KvCleanup(t.ctx, &kvrpcpb.CleanupRequest{Context: t.Context(), StartVersion: ts + 1, Key: key})
		if err != nil || (c.GetRegionError().GetRaftEntryTooLarge() != nil) != tooLarge || c.Error != nil {
			return fmt.Errorf("cleanup of %d bytes: %.200s %v", size, c, err)
		}
		g, err := t.KV.MvccGetByKey(t.ctx, &kvrpcpb.MvccGetByKeyRequest{Context: t.Context(), Key: key})
		if err != nil {
			return fmt.Errorf("records of %d bytes: %w", size, err)
		}
		want := 2
		if tooLarge {
			want = 0
		}
		if n := len(g.GetInfo().GetWrites()); n != want {
			return fmt.Errorf("%d records of a key of %d bytes, not %d", n, size, want)
		}
	}
	return nil
}

// The ends of what a timestamp can be, in every place of every command.
func (t *tester) timestamps() error {
	key := t.key("zero")
	now, err := t.now()
	if err != nil {
		return err
	}
	list := []uint64{0, 1, 2, now, 1<<63 - 1, 1 << 63, 1<<64 - 1}
	for _, ts := range list {
		_, _ = t.KV.KvBatchRollback(t.ctx, &kvrpcpb.BatchRollbackRequest{Context: t.Context(), StartVersion: ts, Keys: [][]byte{key}})
		_, _ = t.KV.KvCleanup(t.ctx, &kvrpcpb.CleanupRequest{Context: t.Context(), StartVersion: ts, Key: key})
		for _, other := range list {
			for _, async := range []bool{false, true} {
				_, _ = t.KV.KvPrewrite(t.ctx, &kvrpcpb.PrewriteRequest{Context: t.Context(), PrimaryLock: key, StartVersion: ts, ForUpdateTs: other, MinCommitTs: other, LockTtl: 1, UseAsyncCommit: async, TryOnePc: async, MaxCommitTs: other,
					PessimisticActions: []kvrpcpb.PrewriteRequest_PessimisticAction{kvrpcpb.PrewriteRequest_DO_PESSIMISTIC_CHECK},
					Mutations:          []*kvrpcpb.Mutation{{Op: kvrpcpb.Op_Put, Key: key, Value: []byte("v")}}})
			}
			_, _ = t.KV.KvPessimisticLock(t.ctx, &kvrpcpb.PessimisticLockRequest{Context: t.Context(), PrimaryLock: key, StartVersion: ts, ForUpdateTs: other, MinCommitTs: other, LockTtl: other, ReturnValues: true, WaitTimeout: -1,
				Mutations: []*kvrpcpb.Mutation{{Op: kvrpcpb.Op_PessimisticLock, Key: key}}})
			_, _ = t.KV.KvCheckTxnStatus(t.ctx, &kvrpcpb.CheckTxnStatusRequest{Context: t.Context(), PrimaryKey: key, LockTs: ts, CallerStartTs: other, CurrentTs: other, RollbackIfNotExist: true})
			_, _ = t.KV.KvTxnHeartBeat(t.ctx, &kvrpcpb.TxnHeartBeatRequest{Context: t.Context(), PrimaryLock: key, StartVersion: ts, AdviseLockTtl: other, MinCommitTs: other})
			_, _ = t.KV.KvResolveLock(t.ctx, &kvrpcpb.ResolveLockRequest{Context: t.Context(), StartVersion: ts, CommitVersion: other, Keys: [][]byte{key}})
			_, _ = t.KV.KvResolveLock(t.ctx, &kvrpcpb.ResolveLockRequest{Context: t.Context(), StartVersion: ts, CommitVersion: other})
			_, _ = t.KV.KvCommit(t.ctx, &kvrpcpb.CommitRequest{Context: t.Context(), StartVersion: ts, CommitVersion: other, Keys: [][]byte{key}})
		}
		_, _ = t.KV.KvGet(t.ctx, &kvrpcpb.GetRequest{Context: t.Context(), Key: key, Version: ts})
		_, _ = t.KV.KvScan(t.ctx, &kvrpcpb.ScanRequest{Context: t.Context(), StartKey: key, Version: ts, Limit: 1<<32 - 1, SampleStep: 1<<32 - 1})
		_, _ = t.KV.KvScanLock(t.ctx, &kvrpcpb.ScanLockRequest{Context: t.Context(), StartKey: key, MaxVersion: ts})
		_, _ = t.KV.MvccGetByKey(t.ctx, &kvrpcpb.MvccGetByKeyRequest{Context: t.Context(), Key: key})
		_, _ = t.KV.MvccGetByStartTs(t.ctx, &kvrpcpb.MvccGetByStartTsRequest{Context: t.Context(), StartTs: ts})
	}
	r, err := t.KV.KvDeleteRange(t.ctx, &kvrpcpb.DeleteRangeRequest{Context: t.Context(), StartKey: key, EndKey: append(key[:len(key):len(key)], 0)})
	if err == nil && (r.Error != "" || r.RegionError != nil) {
		err = fmt.Errorf("delete range: %v", r)
	}
	return err
}
