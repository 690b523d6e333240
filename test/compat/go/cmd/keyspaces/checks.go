package main

import (
	"bytes"
	"fmt"
	"time"

	tikverr "github.com/tikv/client-go/v2/error"
	"github.com/tikv/client-go/v2/kv"
)

// The outermost keys that a keyspace can have, nearly, and two between.
var keys = [][]byte{{0}, []byte("a"), []byte("b"), {0xff, 0xff, 0xff, 0xff}}

// beyond is above all of them.
var beyond = bytes.Repeat([]byte{0xff}, 8)

// values differ from keyspace to keyspace and from a store of keys to another.
func (s *space) values(kind string) (values [][]byte) {
	for _, key := range keys {
		values = append(values, []byte(fmt.Sprintf("%s %x in %s", kind, key, s.name)))
	}
	return values
}

func reversed(list [][]byte) (turned [][]byte) {
	for i := range list {
		turned = append(turned, list[len(list)-1-i])
	}
	return turned
}

// checkRaw stores the same keys in both, and deletes them in one.
func (r *run) checkRaw() {
	left, right := r.spaces[0], r.spaces[1]
	for _, s := range r.spaces {
		r.ok(s.raw.BatchPut(r.ctx, keys, s.values("raw")), "put in %s", s.name)
	}
	for _, s := range r.spaces {
		r.expectRaw(s, keys, s.values("raw"))
	}
	before, swapped, err := left.raw.CompareAndSwap(r.ctx, keys[1], right.values("raw")[1], []byte("x"))
	r.ok(err, "swap")
	r.same(swapped, false, "a swap of what is in the other keyspace")
	r.same(before, left.values("raw")[1], "the value before a swap")
	r.ok(left.raw.Delete(r.ctx, keys[2]), "delete")
	r.expectRaw(right, keys, right.values("raw"))
	r.ok(left.raw.DeleteRange(r.ctx, keys[0], beyond), "delete all of %s", left.name)
	r.expectRaw(left, nil, nil)
	r.expectRaw(right, keys, right.values("raw"))
}

// expectRaw looks at all that the keyspace has, with bounds that are open as far
// as the client lets them be.
func (r *run) expectRaw(s *space, want, values [][]byte) {
	got, gotValues, err := s.raw.Scan(r.ctx, nil, nil, 100)
	r.ok(err, "scan of %s", s.name)
	r.same(got, want, "keys of %s", s.name)
	r.same(gotValues, values, "values of %s", s.name)
	got, gotValues, err = s.raw.ReverseScan(r.ctx, beyond, nil, 100)
	r.ok(err, "reverse scan of %s", s.name)
	r.same(got, reversed(want), "keys of %s from behind", s.name)
	r.same(gotValues, reversed(values), "values of %s from behind", s.name)
	sum, err := s.raw.Checksum(r.ctx, keys[0], beyond)
	r.ok(err, "checksum of %s", s.name)
	r.same(sum.TotalKvs, uint64(len(want)), "keys in a checksum of %s", s.name)
	r.expectSQL(s, "tikv_scan", want)
	for i, key := range want {
		value, err := s.raw.Get(r.ctx, key)
		r.ok(err, "get %q in %s", key, s.name)
		r.same(value, values[i], "%q in %s", key, s.name)
	}
}

// expectSQL scans with a session that works in the same keyspace.
func (r *run) expectSQL(s *space, function string, want [][]byte) {
	_, err := r.sql.Exec(r.ctx, fmt.Sprintf("SET tikv.keyspace_id = %d", s.id))
	r.ok(err, "SET tikv.keyspace_id")
	rows, err := r.sql.Query(r.ctx, "SELECT key FROM "+function+"('', '')")
	r.ok(err, "%s", function)
	var got [][]byte
	for rows.Next() {
		var key []byte
		r.ok(rows.Scan(&key), "%s", function)
		got = append(got, key)
	}
	r.ok(rows.Err(), "%s", function)
	r.same(got, want, "keys by %s in %s", function, s.name)
}

// checkTxn: transactions of two keyspaces are neither in each other's way nor
// seen by each other, and their keys are not the raw ones.
func (r *run) checkTxn() {
	left, right := r.spaces[0], r.spaces[1]
	a, err := left.txn.Begin()
	r.ok(err, "begin in %s", left.name)
	b, err := right.txn.Begin()
	r.ok(err, "begin in %s", right.name)
	a.SetPessimistic(true)
	b.SetPessimistic(true)
	r.ok(a.LockKeys(r.ctx, kv.NewLockCtx(a.StartTS(), kv.LockNoWait, time.Now()), keys...), "lock in %s", left.name)
	r.ok(b.LockKeys(r.ctx, kv.NewLockCtx(b.StartTS(), kv.LockNoWait, time.Now()), keys...), "lock in %s", right.name)
	for i, key := range keys {
		r.ok(a.Set(key, left.values("txn")[i]), "set")
		r.ok(b.Set(key, right.values("txn")[i]), "set")
	}
	r.ok(a.Commit(r.ctx), "commit in %s", left.name)
	r.expectTxn(left, keys, left.values("txn"))
	r.expectTxn(right, nil, nil)
	r.ok(b.Commit(r.ctx), "commit in %s", right.name)
	r.expectTxn(right, keys, right.values("txn"))

	_, err = right.txn.DeleteRange(r.ctx, keys[0], beyond, 1)
	r.ok(err, "delete all of %s", right.name)
	r.expectTxn(right, nil, nil)
	r.expectTxn(left, keys, left.values("txn"))
	r.expectRaw(left, nil, nil)
	r.expectRaw(right, keys, right.values("raw"))
}

// expectTxn walks up and down without bounds.
func (r *run) expectTxn(s *space, want, values [][]byte) {
	now, err := s.txn.GetTimestamp(r.ctx)
	r.ok(err, "timestamp")
	snapshot := s.txn.GetSnapshot(now)
	up, err := snapshot.Iter(nil, nil)
	r.ok(err, "walk of %s", s.name)
	r.expectWalk(s, up, want, values)
	down, err := snapshot.IterReverse(nil, nil)
	r.ok(err, "walk down of %s", s.name)
	r.expectWalk(s, down, reversed(want), reversed(values))
	r.expectSQL(s, "tikv_txn_scan", want)
	value, err := snapshot.Get(r.ctx, keys[1])
	if len(want) == 0 {
		r.same(tikverr.IsErrNotFound(err), true, "%q in %s: %v", keys[1], s.name, err)
		return
	}
	r.ok(err, "get %q in %s", keys[1], s.name)
	r.same(value.Value, values[1], "%q in %s", keys[1], s.name)
}

type walk interface {
	Valid() bool
	Key() []byte
	Value() []byte
	Next() error
}

func (r *run) expectWalk(s *space, it walk, want, values [][]byte) {
	var got, gotValues [][]byte
	for it.Valid() {
		got = append(got, bytes.Clone(it.Key()))
		gotValues = append(gotValues, bytes.Clone(it.Value()))
		r.ok(it.Next(), "walk of %s", s.name)
	}
	r.same(got, want, "keys of %s", s.name)
	r.same(gotValues, values, "values of %s", s.name)
}
