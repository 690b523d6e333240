package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"time"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/tikv/client-go/v2/txnkv"

	"tikv_fdw/test/faults/bank"
)

// rowsOfSide of a split before it, raw ones, and as many of transactions.
const rowsOfSide = 100

// side of a bound, and what is there before the split.
type side struct{ raw, txn string } // prefixes of keys

// sideOf known/split/<place>, for a round.
func sideOf(place, round int) side {
	name := fmt.Sprintf("known/split/%d", place)
	return side{fmt.Sprintf("%s/%d/", atBound(name), round), fmt.Sprintf("%s/%d/", name, round)}
}

// fill the side; all of it is acknowledged.
func (s side) fill(t *test) error {
	err := again(func() error {
		return t.Order(0, `SELECT tikv_batch_put(array_agg($1::bytea || convert_to(n::text, 'UTF8')),
			array_agg(convert_to(n::text, 'UTF8'))) FROM generate_series(1, $2::int) n`, []byte(s.raw), rowsOfSide)
	})
	if err != nil {
		return err
	}
	return again(func() error {
		return bank.WithClient(t.Cluster, func(ctx context.Context, cli *txnkv.Client) error {
			txn, err := cli.Begin()
			for n := 1; err == nil && n <= rowsOfSide; n++ {
				err = txn.Set(fmt.Appendf(nil, "%s%d", s.txn, n), fmt.Append(nil, n))
			}
			if err == nil {
				err = txn.Commit(ctx)
			}
			return err
		})
	})
}

// check that all of it is there.
func (s side) check(t *test) error {
	raw, txn := 0, 0
	err := again(func() error {
		return t.Ask(0, []any{&raw}, `SELECT count(*) FROM generate_series(1, $2::int) n
			WHERE tikv_get($1::bytea || convert_to(n::text, 'UTF8')) = convert_to(n::text, 'UTF8')`, []byte(s.raw), rowsOfSide)
	})
	if err != nil {
		return err
	}
	err = again(func() error {
		return bank.WithClient(t.Cluster, func(ctx context.Context, cli *txnkv.Client) (err error) {
			txn, err = s.count(ctx, cli)
			return err
		})
	})
	if err == nil {
		err = s.complete(raw, txn)
	}
	return err
}

// count the keys of transactions that are as they were written.
func (s side) count(ctx context.Context, cli *txnkv.Client) (found int, err error) {
	txn, err := cli.Begin()
	if err != nil {
		return 0, err
	}
	var keys [][]byte
	for n := 1; n <= rowsOfSide; n++ {
		keys = append(keys, fmt.Appendf(nil, "%s%d", s.txn, n))
	}
	values, err := txn.BatchGet(ctx, keys)
	for n, key := range keys {
		if string(values[string(key)].Value) == fmt.Sprint(n+1) {
			found++
		}
	}
	return found, err
}

func (s side) complete(raw, txn int) error {
	if raw != rowsOfSide || txn != rowsOfSide {
		return fmt.Errorf("of %d keys each from before the split, after the restart %d of %q are there, and %d of %q",
			rowsOfSide, raw, s.raw, txn, s.txn)
	}
	return nil
}

// again while it fails, for a while.
func again(do func() error) (err error) {
	for began := time.Now(); time.Since(began) < 30*time.Second; time.Sleep(100 * time.Millisecond) {
		if err = do(); err == nil {
			return nil
		}
	}
	return err
}

// All instances are killed as soon as the split is acknowledged.
func splitAndRestart(t *test) error {
	random := rand.New(rand.NewSource(1))
	for round := 0; round < 2; round++ {
		left, right := sideOf(0, round), sideOf(9, round)
		if err := errors.Join(left.fill(t), right.fill(t)); err != nil {
			return err
		}
		key := atBound(fmt.Sprintf("known/split/%d", 5+round))
		if err := t.split([]byte(key)); err != nil {
			return err
		}
		for node := 0; node < 3; node++ {
			if err := t.Cluster.KillNode(node, random); err != nil {
				return err
			}
		}
		t.Cluster.Start()
		for _, where := range []string{atBound("known/split/0"), key, atBound("known/split/9")} {
			node, context, err := t.leaderOf(where)
			if err != nil {
				return fmt.Errorf("after the restart: %w", err)
			}
			if err = t.writeTo(node, context, where); err != nil {
				return err
			}
		}
		_, region, err := t.PeerOf(0, key)
		if err != nil {
			return err
		}
		if string(region.StartKey) != key {
			return fmt.Errorf("the region of %q begins at %q after the restart", key, region.StartKey)
		}
		if err = errors.Join(left.check(t), right.check(t)); err != nil {
			return err
		}
	}
	t.say("2 splits, everything killed at once; both sides have what they had, and take writes")
	return nil
}

func (t *test) writeTo(node int, where *kvrpcpb.Context, key string) error {
	kv, err := t.Store(node)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := kv.RawPut(ctx, &kvrpcpb.RawPutRequest{Context: where, Key: []byte(key), Value: []byte("v")})
	if err == nil && (r.RegionError != nil || r.Error != "") {
		err = errors.New(r.String())
	}
	return err
}
