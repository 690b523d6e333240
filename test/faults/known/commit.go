package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pingcap/kvproto/pkg/errorpb"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/tikvpb"
	"github.com/tikv/client-go/v2/txnkv"
	"github.com/tikv/client-go/v2/util/codec"

	"tikv_fdw/test/faults/bank"
	"tikv_fdw/test/faults/nemesis"
)

// A commit is checked and proposed while a split of its region is proposed and
// not committed: its entry is refused, and so is the client.  Then the store
// must not believe that the transaction is committed: it takes a pessimistic
// prewrite of one that is for a repetition, which looks at keys that another
// key's lock guards, and says that this lock is gone.

const (
	commitTries  = 5
	holdAfter    = 300 * time.Millisecond // until a request is decided; a leader without others goes on for E = 3 s
	splitPropose = "store_before_split_propose"
)

// errNotBetween: the commit was not proposed behind the split.
var errNotBetween = errors.New("the split did not come in between")

func commitAroundSplit(t *test) error {
	err := errNotBetween
	try := 0
	for ; try < commitTries && errors.Is(err, errNotBetween); try++ {
		err = t.commitBehindSplit(fmt.Sprintf("known/commit/%d/%d/", time.Now().Unix(), try))
	}
	t.say("a commit proposed behind a split, at try %d", try)
	return err
}

// txnOf is one transaction whose requests go to fixed places.
type txnOf struct {
	*test
	start uint64
}

func (t *test) timestamps(n int) (all []uint64, err error) {
	err = bank.WithClient(t.Cluster, func(ctx context.Context, cli *txnkv.Client) error {
		for i := 0; i < n; i++ {
			ts, err := cli.GetTimestamp(ctx)
			if err != nil {
				return err
			}
			all = append(all, ts)
		}
		return nil
	})
	return all, err
}

func (t *test) commitBehindSplit(prefix string) error {
	left, right := []byte(prefix+"1"), []byte(prefix+"2")
	ts, err := t.timestamps(4)
	if err != nil {
		return err
	}
	our, other := txnOf{t, ts[0]}, txnOf{t, ts[1]}
	// What the other one commits, ours may overwrite by its lock of another key.
	if err = other.prewrite(left, left, 0); err == nil {
		err = other.commit(left, ts[2])
	}
	if err == nil {
		err = our.prewrite(right, right, 0)
	}
	if err != nil {
		return err
	}
	if err = t.commitWhileSplit(our, right, ts[3]); err != nil {
		return errors.Join(err, our.end(left), our.end(right))
	}
	err = our.prewrite(left, right, our.start)
	if err != nil {
		err = fmt.Errorf("a commit was refused, but remembered as if it were one: %w", err)
	}
	return errors.Join(err, our.end(left), our.end(right))
}

// commitWhileSplit: nil if the region was split at the key between the commit's
// proposal and the entry's turn, and the client was told.
func (t *test) commitWhileSplit(our txnOf, key []byte, commitTS uint64) error {
	return t.whileSplit(key, func(ctx context.Context, kv tikvpb.TikvClient, where *kvrpcpb.Context) (regional, error) {
		return kv.KvCommit(ctx, &kvrpcpb.CommitRequest{Context: where, StartVersion: our.start, CommitVersion: commitTS, Keys: [][]byte{key}})
	})
}

// whileSplit: a request is sent when the split of its region at this key is
// proposed and cannot be committed, so it is checked before the split and its
// entry comes behind.  nil if the client was told so, by another epoch.
func (t *test) whileSplit(key []byte, send func(context.Context, tikvpb.TikvClient, *kvrpcpb.Context) (regional, error)) error {
	border := codec.EncodeBytes(nil, key)
	node, where, err := t.leaderOf(string(border))
	if err != nil {
		return err
	}
	kv, err := t.Store(node)
	if err != nil {
		return err
	}
	goOn, err := t.holdFollowers(node)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotBetween, err)
	}
	defer goOn()
	split, err := t.proposeSplit(node, border)
	if err != nil {
		goOn()
		return fmt.Errorf("%w: it is not proposed: %w; %w", errNotBetween, err, <-split)
	}
	answered := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		answered <- toldEpoch(send(ctx, kv, where))
	}()
	time.Sleep(holdAfter)
	early := len(answered) > 0
	goOn()
	told, err := <-answered, <-split
	if errors.Is(told, errCarriedOut) && !early && err == nil {
		return told
	}
	if err = errors.Join(told, err); err != nil || early {
		return fmt.Errorf("%w: answered early %v, %w", errNotBetween, early, err)
	}
	if now, _, err := t.leaderOf(string(border)); err != nil || now != node {
		return fmt.Errorf("%w: node %d leads after %d, %w", errNotBetween, now, node, err)
	}
	return nil
}

// errCarriedOut is of what was checked before a split, and took effect behind it.
var errCarriedOut = errors.New("it was carried out, though its region was split before")

// regional is an answer of a region, or of nobody who has it.
type regional interface{ GetRegionError() *errorpb.Error }

// toldEpoch: nil if the answer is that the region has another epoch.
func toldEpoch(r regional, err error) error {
	switch {
	case err != nil:
		return err
	case r.GetRegionError() == nil:
		return fmt.Errorf("%w: %v", errCarriedOut, r)
	case r.GetRegionError().GetEpochNotMatch() == nil:
		return fmt.Errorf("it is answered by %v", r)
	}
	return nil
}

// proposeSplit of a node's region; its outcome comes when it is committed.
func (t *test) proposeSplit(node int, border []byte) (split chan error, err error) {
	data := nemesis.DataFolder(t.Cluster, node)
	split = make(chan error, 1)
	if err = nemesis.SetFailpoints(data, splitPropose+"=count"); err != nil {
		split <- nil
		return split, err
	}
	defer func() { _ = nemesis.SetFailpoints(data, "") }()
	passed := passes(data, splitPropose)
	go func() { split <- t.Order(node, "SELECT tikv_split($1)", border) }()
	for began := time.Now(); passes(data, splitPropose) == passed; time.Sleep(time.Millisecond) {
		if time.Since(began) > 2*time.Second {
			return split, errors.New("nobody came to that")
		}
	}
	return split, nil
}

// holdFollowers of everything: their stores stand still until they go on, PD
// does not.
func (t *test) holdFollowers(leader int) (goOn func(), err error) {
	var resumes []func()
	goOn = func() {
		for _, resume := range resumes {
			resume()
		}
		resumes = nil
	}
	for node := 0; node < 3; node++ {
		if node == leader {
			continue
		}
		resume, err := t.Cluster.HoldStill(node, "tikv store")
		if err != nil {
			goOn()
			return nil, err
		}
		resumes = append(resumes, resume)
	}
	return goOn, nil
}

// prewriteBehindSplit: a prewrite checked before the split, whose entry comes
// behind it, is refused and leaves no lock.
func (t *test) prewriteBehindSplit() error {
	err := errNotBetween
	for try := 0; try < commitTries && errors.Is(err, errNotBetween); try++ {
		key := fmt.Appendf(nil, "known/behind/%d/%d", time.Now().Unix(), try)
		ts, e := t.timestamps(1)
		if e != nil {
			return e
		}
		late := txnOf{t, ts[0]}
		err = t.whileSplit(key, func(ctx context.Context, kv tikvpb.TikvClient, where *kvrpcpb.Context) (regional, error) {
			return kv.KvPrewrite(ctx, &kvrpcpb.PrewriteRequest{Context: where, StartVersion: late.start, PrimaryLock: key, LockTtl: 600000,
				TxnSize: 1, Mutations: []*kvrpcpb.Mutation{{Op: kvrpcpb.Op_Put, Key: key, Value: key}}})
		})
		if err == nil {
			err = late.unlocked(key)
		}
		err = errors.Join(err, late.end(key))
	}
	return err
}

// unlocked: its lock is not at the key, whoever leads that.
func (x txnOf) unlocked(key []byte) error {
	r, err := askLeader(x.test, codec.EncodeBytes(nil, key), func(ctx context.Context, kv tikvpb.TikvClient, where *kvrpcpb.Context) (*kvrpcpb.ScanLockResponse, error) {
		return kv.KvScanLock(ctx, &kvrpcpb.ScanLockRequest{Context: where, MaxVersion: x.start, StartKey: key, EndKey: append(slices.Clone(key), 0), Limit: 1})
	})
	if err == nil && (r.RegionError != nil || r.Error != nil || len(r.Locks) > 0) {
		err = fmt.Errorf("a prewrite was refused, and its lock is there, or not known: %v", r)
	}
	return err
}

// passes of a failpoint in a data folder, by those who count it.
func passes(data, point string) (n int) {
	text, _ := os.ReadFile(filepath.Join(data, "tikv_failpoint_hits"))
	return strings.Count(string(text), point+" pass ")
}

// prewrite one key; pessimistic if there is a timestamp to update at, guarded by
// the lock of another key.
func (x txnOf) prewrite(key, primary []byte, forUpdateTS uint64) error {
	request := &kvrpcpb.PrewriteRequest{StartVersion: x.start, PrimaryLock: primary, LockTtl: 600000, TxnSize: 2,
		Mutations: []*kvrpcpb.Mutation{{Op: kvrpcpb.Op_Put, Key: key, Value: key}}}
	if forUpdateTS != 0 {
		request.ForUpdateTs = forUpdateTS
		request.PessimisticActions = []kvrpcpb.PrewriteRequest_PessimisticAction{kvrpcpb.PrewriteRequest_SKIP_PESSIMISTIC_CHECK}
	}
	r, err := askLeader(x.test, codec.EncodeBytes(nil, key), func(ctx context.Context, kv tikvpb.TikvClient, where *kvrpcpb.Context) (*kvrpcpb.PrewriteResponse, error) {
		request.Context = where
		return kv.KvPrewrite(ctx, request)
	})
	if err == nil && (r.RegionError != nil || len(r.Errors) > 0) {
		err = fmt.Errorf("the prewrite of %q is answered by %v", key, r)
	}
	return err
}

func (x txnOf) commit(key []byte, ts uint64) error {
	r, err := askLeader(x.test, codec.EncodeBytes(nil, key), func(ctx context.Context, kv tikvpb.TikvClient, where *kvrpcpb.Context) (*kvrpcpb.CommitResponse, error) {
		return kv.KvCommit(ctx, &kvrpcpb.CommitRequest{Context: where, StartVersion: x.start, CommitVersion: ts, Keys: [][]byte{key}})
	})
	if err == nil && (r.RegionError != nil || r.Error != nil) {
		err = fmt.Errorf("the commit of %q is answered by %v", key, r)
	}
	return err
}

// end what is left of it in the region of a key.
func (x txnOf) end(key []byte) error {
	r, err := askLeader(x.test, codec.EncodeBytes(nil, key), func(ctx context.Context, kv tikvpb.TikvClient, where *kvrpcpb.Context) (*kvrpcpb.ResolveLockResponse, error) {
		return kv.KvResolveLock(ctx, &kvrpcpb.ResolveLockRequest{Context: where, StartVersion: x.start, Keys: [][]byte{key}})
	})
	if err == nil && (r.RegionError != nil || r.Error != nil) {
		err = fmt.Errorf("the locks of %d cannot be ended: %v", x.start, r)
	}
	return err
}
