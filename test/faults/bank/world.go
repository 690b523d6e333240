package bank

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	tikverr "github.com/tikv/client-go/v2/error"
	"github.com/tikv/client-go/v2/txnkv"
	"github.com/tikv/client-go/v2/txnkv/transaction"
)

const (
	accounts = 64
	opening  = 1000
	lists    = 12
	counters = 4
)

// World is what is known of the keys, beside the store: what clients were
// told. Everything else is read back and compared with it.
type World struct {
	Committed  atomic.Int64
	BySQL      atomic.Int64 // of them those of SQL sessions
	Unknown    atomic.Int64
	Failed     atomic.Int64
	Reads      atomic.Int64 // snapshots
	ReadsBySQL atomic.Int64
	Poisoned   atomic.Int64 // writes that undid their turn

	nextID atomic.Uint64
	volume atomic.Int64 // which lists are in use

	mu       sync.Mutex
	appended map[uint64][]int // acknowledged: on which lists it must be
	errors   map[string]int
	doubtful map[uint64][]int // of unknown outcome: on all of them or none
	refused  map[uint64]bool  // for certain not there

	counted [counters]atomic.Uint64   // the highest value that was acknowledged
	numbers [counters]map[uint64]bool // all of them

	history *history // of the lists
}

// NewWorld knows nothing yet.
func NewWorld() *World {
	w := &World{errors: map[string]int{}, appended: map[uint64][]int{}, doubtful: map[uint64][]int{}, refused: map[uint64]bool{}, history: newHistory()}
	for i := range w.numbers {
		w.numbers[i] = map[uint64]bool{}
	}
	return w
}

// count takes in that an increment was acknowledged. Two of them never give
// the same number.
func (w *World) count(i int, n uint64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.numbers[i][n] {
		return violation{fmt.Sprintf("counter %d was raised to %d twice: an update was lost", i, n)}
	}
	w.numbers[i][n] = true
	if w.counted[i].Load() < n {
		w.counted[i].Store(n)
	}
	return nil
}

func accountKey(i int) []byte { return []byte(fmt.Sprintf("bank/%04d", i)) }
func counterKey(i int) []byte { return []byte(fmt.Sprintf("count/%04d", i)) }

func (w *World) listKey(i int) []byte {
	return []byte(fmt.Sprintf("list/%04d/%04d", w.volume.Load(), i))
}

// NewLists begins empty ones, after a check and while nobody works: the old
// ones have become long.
func (w *World) NewLists() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.volume.Add(1)
	w.appended, w.refused = map[uint64][]int{}, map[uint64]bool{}
	w.history.settled, w.history.lastTS = [lists]int{}, [lists]uint64{}
}

// number packs a number with so many bytes of padding, which makes some values
// longer than what a lock carries itself.
func number(n uint64, padding int) []byte {
	return append(binary.BigEndian.AppendUint64(nil, n), bytes.Repeat([]byte{'.'}, padding)...)
}

func parseNumber(v []byte) (uint64, error) {
	if len(v) < 8 || len(bytes.Trim(v[8:], ".")) != 0 {
		return 0, fmt.Errorf("torn value %q", v)
	}
	return binary.BigEndian.Uint64(v), nil
}

func parseList(v []byte) ([]uint64, error) {
	if len(v)%8 != 0 {
		return nil, fmt.Errorf("torn list of %d bytes", len(v))
	}
	var ids []uint64
	for ; len(v) > 0; v = v[8:] {
		ids = append(ids, binary.BigEndian.Uint64(v))
	}
	return ids, nil
}

// get reads a key; a missing one is nil.
func get(ctx context.Context, txn *transaction.KVTxn, key []byte) ([]byte, error) {
	v, err := txn.Get(ctx, key)
	if tikverr.IsErrNotFound(err) {
		return nil, nil
	}
	return v.Value, err
}

// SetUp opens the accounts.
func (w *World) SetUp(ctx context.Context, cli *txnkv.Client) error {
	txn, err := cli.Begin()
	if err != nil {
		return err
	}
	for i := 0; i < accounts; i++ {
		if err := txn.Set(accountKey(i), number(opening, 0)); err != nil {
			return err
		}
	}
	for i := 0; i < counters; i++ {
		if err := txn.Set(counterKey(i), number(0, 0)); err != nil {
			return err
		}
	}
	return txn.Commit(ctx)
}

// checkTotal reads all accounts of a snapshot, point by point or as a range.
func checkTotal(ctx context.Context, txn *transaction.KVTxn, scan bool) error {
	var total uint64
	n := 0
	add := func(v []byte) error {
		balance, err := parseNumber(v)
		total += balance
		n++
		return err
	}
	if scan {
		it, err := txn.Iter([]byte("bank/"), []byte("bank0"))
		if err != nil {
			return err
		}
		defer it.Close()
		for it.Valid() {
			if err := add(it.Value()); err != nil {
				return violation{err.Error()}
			}
			if err := it.Next(); err != nil {
				return err
			}
		}
	} else {
		keys := make([][]byte, accounts)
		for i := range keys {
			keys[i] = accountKey(i)
		}
		values, err := txn.BatchGet(ctx, keys)
		if err != nil {
			return err
		}
		for _, v := range values {
			if err := add(v.Value); err != nil {
				return violation{err.Error()}
			}
		}
	}
	if n != accounts || total != accounts*opening {
		return violation{fmt.Sprintf("at %d: %d accounts hold %d, not %d and %d", txn.StartTS(), n, total, accounts, accounts*opening)}
	}
	return nil
}

// A violation is what must never be seen.
type violation struct{ text string }

func (v violation) Error() string { return v.text }

// readLists reads all lists of one snapshot.
func (w *World) readLists(ctx context.Context, txn *transaction.KVTxn) (all [lists][]uint64, err error) {
	for i := range all {
		v, err := get(ctx, txn, w.listKey(i))
		if err != nil {
			return all, err
		}
		if all[i], err = parseList(v); err != nil {
			return all, violation{err.Error()}
		}
	}
	return all, nil
}

// statesOf is what the history keeps of a snapshot.
func statesOf(all [lists][]uint64) (states [lists]state) {
	for i, ids := range all {
		states[i] = stateOf(ids)
	}
	return states
}

// placesOf tells on which lists each id is.
func placesOf(all [lists][]uint64) map[uint64][]int {
	places := map[uint64][]int{}
	for i, ids := range all {
		for _, id := range ids {
			places[id] = append(places[id], i)
		}
	}
	return places
}

// isTooOld tells the store's refusal and client-go's own.
func isTooOld(err error) bool {
	return strings.Contains(err.Error(), "TxnAbortedByGC") ||
		strings.Contains(err.Error(), "GC life time is shorter than transaction duration")
}

// Check compares everything with what clients were told. Nobody works. A
// snapshot that gets older than tikv.gc_life_time is refused, never wrong.
func (w *World) Check(ctx context.Context, cli *txnkv.Client) error {
	for {
		err := w.checkOnce(ctx, cli)
		if err == nil || ctx.Err() != nil || !isTooOld(err) {
			return err
		}
	}
}

func (w *World) checkOnce(ctx context.Context, cli *txnkv.Client) error {
	txn, err := cli.Begin()
	if err != nil {
		return err
	}
	for _, scan := range []bool{false, true} {
		if err := checkTotal(ctx, txn, scan); err != nil {
			return err
		}
	}
	for i := 0; i < counters; i++ {
		v, err := get(ctx, txn, counterKey(i))
		if err != nil {
			return err
		}
		n, err := parseNumber(v)
		if err != nil {
			return err
		}
		if least := w.counted[i].Load(); n < least {
			return fmt.Errorf("counter %d is %d, %d was acknowledged", i, n, least)
		}
	}
	all, err := w.readLists(ctx, txn)
	if err != nil {
		return err
	}
	if err := w.checkLists(placesOf(all)); err != nil {
		return err
	}
	return w.history.check(all)
}

func (w *World) checkLists(places map[uint64][]int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, want := range w.appended {
		if got := places[id]; !equal(got, want) {
			return fmt.Errorf("append %d was acknowledged for lists %v and is on %v", id, want, got)
		}
		delete(places, id)
	}
	for id, got := range places {
		want, ok := w.doubtful[id]
		if w.refused[id] || !ok {
			return fmt.Errorf("append %d is on %v, but had failed for certain", id, got)
		}
		if !equal(got, want) {
			return fmt.Errorf("append %d is torn: on %v of %v", id, got, want)
		}
		// Its outcome is known now, and stays.
		w.appended[id] = want
	}
	for id := range w.doubtful {
		if _, there := w.appended[id]; !there {
			w.refused[id] = true
		}
	}
	clear(w.doubtful)
	return nil
}

func equal(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
