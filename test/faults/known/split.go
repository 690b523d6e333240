package main

import (
	"context"
	"fmt"
	"math/rand"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pingcap/kvproto/pkg/errorpb"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/tikvpb"
	"github.com/tikv/client-go/v2/txnkv"
	"github.com/tikv/client-go/v2/util/codec"

	"tikv_fdw/test/faults/bank"
	"tikv_fdw/test/faults/nemesis"
)

// split at a key, on a node or, if that one is at fault, on the next; the ones of transactions are
// encoded in the bounds of regions.
func (t *test) split(key []byte) (err error) {
	for began := time.Now(); time.Since(began) < 30*time.Second; time.Sleep(100 * time.Millisecond) {
		for node := 0; node < 3; node++ {
			if err = t.Order(node, "SELECT tikv_split($1)", key); err == nil {
				return nil
			}
		}
	}
	return err
}

// leaderOf the region of a key: the node that answers for it.
func (t *test) leaderOf(key string) (int, *kvrpcpb.Context, error) {
	var last error
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(50 * time.Millisecond) {
		for node := 0; node < 3; node++ {
			where, err := t.context(node, key)
			if err != nil {
				return -1, nil, err
			}
			kv, err := t.Store(node)
			if err != nil {
				return -1, nil, err
			}
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			r, err := kv.RawGet(ctx, &kvrpcpb.RawGetRequest{Context: where, Key: []byte(key)})
			cancel()
			if err == nil && r.RegionError == nil {
				return node, where, nil
			}
			last = fmt.Errorf("%v %v", err, r.GetRegionError())
		}
	}
	return -1, nil, fmt.Errorf("nobody leads the region of %q: %w", key, last)
}

// prewriteKeys: more than are asked for until a split is done.
const prewriteKeys = 50000

// A transaction's prewrites are in flight with the old epoch while the region
// is split, until some come behind it: those that were acknowledged have their
// lock where it belongs, those that were refused have none.
func prewriteAroundSplit(t *test) error {
	const keys = prewriteKeys
	name := func(i int) []byte { return []byte(fmt.Sprintf("known/prewrite/%05d", i)) }
	border := codec.EncodeBytes(nil, name(keys/2))
	node, where, err := t.leaderOf(string(border))
	if err != nil {
		return err
	}
	kv, err := t.Store(node)
	if err != nil {
		return err
	}
	var startTS uint64
	err = bank.WithClient(t.Cluster, func(ctx context.Context, cli *txnkv.Client) (err error) {
		startTS, err = cli.GetTimestamp(ctx)
		return err
	})
	if err != nil {
		return err
	}
	var mutex sync.Mutex
	outcome := map[string]string{}
	var wait sync.WaitGroup
	var isSplit atomic.Bool
	order := rand.Perm(keys)
	begun := make(chan bool)
	for w := 0; w < 16; w++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for at, behind := w, false; at < keys && !behind; at += 16 {
				if at == 64+w {
					begun <- true
				}
				behind = isSplit.Load()
				key := name(order[at])
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				r, err := kv.KvPrewrite(ctx, &kvrpcpb.PrewriteRequest{Context: where, StartVersion: startTS,
					PrimaryLock: name(0), LockTtl: 600000, SkipConstraintCheck: true, TxnSize: keys,
					Mutations: []*kvrpcpb.Mutation{{Op: kvrpcpb.Op_Put, Key: key, Value: key}}})
				cancel()
				text := "ok"
				switch {
				case err != nil || nemesis.Undetermined(r.RegionError):
					text = "unknown"
				case r.RegionError != nil:
					text = "refused"
				case len(r.Errors) > 0:
					text = fmt.Sprint(r.Errors)
				}
				mutex.Lock()
				outcome[string(key)] = text
				mutex.Unlock()
			}
		}()
	}
	for w := 0; w < 16; w++ {
		<-begun
	}
	err = t.split(border)
	isSplit.Store(true)
	wait.Wait()
	if err != nil {
		return fmt.Errorf("no split: %w", err)
	}
	locked, err := t.locks(startTS, border)
	if err != nil {
		return err
	}
	counts := map[string]int{}
	for i := 0; i < keys; i++ {
		key := string(name(i))
		if outcome[key] != "" {
			counts[outcome[key]]++
		}
		if outcome[key] == "ok" && !locked[key] || outcome[key] == "refused" && locked[key] {
			return fmt.Errorf("%s: the prewrite was %s, locked: %v", key, outcome[key], locked[key])
		}
	}
	if err = t.unlock(startTS, border); err != nil {
		return err
	}
	t.say("prewrites around a split: %v, and one behind it that was checked before it: refused", counts)
	if counts["ok"] == 0 || counts["refused"] == 0 {
		return fmt.Errorf("the split did not come in between: %v", counts)
	}
	return t.prewriteBehindSplit()
}

// locks of a transaction in both regions at a border, by a scan within each.
func (t *test) locks(startTS uint64, border []byte) (map[string]bool, error) {
	locked := map[string]bool{}
	left := codec.EncodeBytes(nil, []byte("known/prewrite/"))
	for _, start := range [][]byte{left, border} {
		_, from, err := codec.DecodeBytes(start, nil)
		if err != nil {
			return nil, err
		}
		r, err := askLeader(t, start, func(ctx context.Context, kv tikvpb.TikvClient, where *kvrpcpb.Context) (*kvrpcpb.ScanLockResponse, error) {
			return kv.KvScanLock(ctx, &kvrpcpb.ScanLockRequest{Context: where, MaxVersion: startTS, StartKey: from, Limit: prewriteKeys})
		})
		if err != nil || r.RegionError != nil || r.Error != nil {
			return nil, fmt.Errorf("locks cannot be listed: %v %v", err, r)
		}
		for _, lock := range r.Locks {
			encoded := string(codec.EncodeBytes(nil, lock.Key))
			inside := encoded < string(border)
			if inside != (string(start) == string(left)) {
				return nil, fmt.Errorf("a scan of locks leaks: %q", lock.Key)
			}
			if lock.LockVersion == startTS {
				locked[string(lock.Key)] = true
			}
		}
	}
	return locked, nil
}

func (t *test) unlock(startTS uint64, border []byte) error {
	for _, start := range [][]byte{codec.EncodeBytes(nil, []byte("known/prewrite/")), border} {
		r, err := askLeader(t, start, func(ctx context.Context, kv tikvpb.TikvClient, where *kvrpcpb.Context) (*kvrpcpb.ResolveLockResponse, error) {
			return kv.KvResolveLock(ctx, &kvrpcpb.ResolveLockRequest{Context: where, StartVersion: startTS})
		})
		if err != nil || r.RegionError != nil || r.Error != nil {
			return fmt.Errorf("locks cannot be resolved: %v %v", err, r)
		}
	}
	return nil
}

// askLeader asks who leads the region at a key, again as clients do while that
// is busy or another one by then.
func askLeader[R interface{ GetRegionError() *errorpb.Error }](t *test, at []byte, call func(context.Context, tikvpb.TikvClient, *kvrpcpb.Context) (R, error)) (R, error) {
	var r R
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		node, where, err := t.leaderOf(string(at))
		if err != nil {
			return r, err
		}
		kv, err := t.Store(node)
		if err != nil {
			return r, err
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		r, err = call(ctx, kv, where)
		cancel()
		if err != nil || r.GetRegionError().GetServerIsBusy() == nil && r.GetRegionError().GetNotLeader() == nil || time.Now().After(end) {
			return r, err
		}
	}
}

// atBound is a raw key where a region can begin beside transactions, whose
// regions begin at encoded keys.
func atBound(key string) string {
	return string(codec.EncodeBytes(nil, []byte(key)))
}
