// Package suite holds the checks that the Go client programs share, so that
// every release of the client is asked the same questions. It knows no client:
// a program gives it a small adapter.
package suite

import (
	"bytes"
	"context"
	"fmt"
	"sort"
	"time"
)

// Raw is a raw key-value client. An absent key reads as a nil value, an empty
// value as an empty slice that is not nil. Scan goes from start up to end,
// ReverseScan from below start down to end. Unless the store says NoCAS it is in
// the mode in which writes and CompareAndSwap of one key have an order; an absent
// key is expected and told as nil there, and told as nil by GetKeyTTL.
type Raw interface {
	Get(ctx context.Context, key []byte) ([]byte, error)
	BatchGet(ctx context.Context, keys [][]byte) ([][]byte, error)
	Put(ctx context.Context, key, value []byte) error
	BatchPut(ctx context.Context, keys, values [][]byte) error
	Delete(ctx context.Context, key []byte) error
	BatchDelete(ctx context.Context, keys [][]byte) error
	Scan(ctx context.Context, start, end []byte, limit int, keyOnly bool) (keys, values [][]byte, err error)
	ReverseScan(ctx context.Context, start, end []byte, limit int, keyOnly bool) (keys, values [][]byte, err error)
	PutWithTTL(ctx context.Context, key, value []byte, ttl uint64) error
	BatchPutWithTTL(ctx context.Context, keys, values [][]byte, ttls []uint64) error
	GetKeyTTL(ctx context.Context, key []byte) (*uint64, error)
	CompareAndSwap(ctx context.Context, key, expected, value []byte) (before []byte, swapped bool, err error)
	DeleteRange(ctx context.Context, start, end []byte) error
	Checksum(ctx context.Context, start, end []byte) (sum, number, size uint64, err error)
	// InFamily gives the same client for another column family.
	InFamily(name string) Raw
	// SetFamily sets the column family of the client itself; empty is none.
	SetFamily(name string)
}

// ScanLimit is the most keys that a client of ours asks for in one scan.
const ScanLimit = 10240

// A run is one pass of all checks over keys below a prefix of its own. The
// first check that fails ends it by panicking with a failure.
type run struct {
	ctx    context.Context
	client Raw
	store  Store
	prefix []byte
	seed   int64
}

type failure struct{ text string }

type step struct {
	name  string
	check func(*run)
}

// RunRaw makes all checks and removes what it stored. The error names the
// first check that failed and what was expected.
func RunRaw(client Raw, store Store, name string, seed int64) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for _, s := range store.all() {
		fmt.Printf("%s: %s\n", name, s.name)
		r := &run{ctx: ctx, client: client, store: store, seed: seed}
		r.prefix = []byte(fmt.Sprintf("compat/%s/%d/%s/", name, time.Now().UnixNano(), s.name))
		if err := r.perform(s); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) perform(s step) (err error) {
	defer func() {
		switch f := recover().(type) {
		case nil:
		case failure:
			err = fmt.Errorf("%s: %s", s.name, f.text)
		default:
			panic(f)
		}
	}()
	s.check(r)
	r.removeAll()
	return nil
}

func (r *run) fail(format string, args ...any) {
	panic(failure{fmt.Sprintf(format, args...)})
}

func (r *run) ok(err error, what string, args ...any) {
	if err != nil {
		r.fail("%s: %v", fmt.Sprintf(what, args...), err)
	}
}

func (r *run) key(suffix string) []byte {
	return append(append([]byte{}, r.prefix...), suffix...)
}

// end is the first key behind all of ours.
func (r *run) end() []byte {
	end := append([]byte{}, r.prefix...)
	end[len(end)-1]++
	return end
}

func (r *run) put(key, value []byte) {
	r.ok(r.client.Put(r.ctx, key, value), "put %s", brief(key))
}

func (r *run) delete(key []byte) {
	r.ok(r.client.Delete(r.ctx, key), "delete %s", brief(key))
}

// expect reads one key; want nil means absent.
func (r *run) expect(key, want []byte) {
	got, err := r.client.Get(r.ctx, key)
	r.ok(err, "get %s", brief(key))
	r.same(got, want, "get %s", brief(key))
}

func (r *run) same(got, want []byte, what string, args ...any) {
	if (got == nil) != (want == nil) || !bytes.Equal(got, want) {
		r.fail("%s: got %s, want %s", fmt.Sprintf(what, args...), brief(got), brief(want))
	}
}

func (r *run) sameList(got, want [][]byte, what string, args ...any) {
	text := fmt.Sprintf(what, args...)
	if len(got) != len(want) {
		r.fail("%s: got %d, want %d", text, len(got), len(want))
	}
	for i := range got {
		r.same(got[i], want[i], "%s: element %d", text, i)
	}
}

// expectScan compares a scan in either direction with the pairs it has to
// give, in order. Values of a scan for keys alone have to be empty.
func (r *run) expectScan(reverse bool, start, end []byte, limit int, keyOnly bool, keys, values [][]byte) {
	scan, word := r.client.Scan, "scan"
	if reverse {
		scan, word = r.client.ReverseScan, "reverse scan"
	}
	gotKeys, gotValues, err := scan(r.ctx, start, end, limit, keyOnly)
	what := fmt.Sprintf("%s from %s to %s limit %d", word, brief(start), brief(end), limit)
	r.ok(err, "%s", what)
	r.sameList(gotKeys, keys, "%s: keys", what)
	if !keyOnly {
		r.sameList(gotValues, values, "%s: values", what)
		return
	}
	for i, value := range gotValues {
		if len(value) != 0 {
			r.fail("%s: keys alone, yet value %d is %s", what, i, brief(value))
		}
	}
}

// removeAll deletes what the check has left, page by page, and makes sure
// that nothing remains.
func (r *run) removeAll() {
	for {
		keys, _, err := r.client.Scan(r.ctx, r.prefix, r.end(), ScanLimit, true)
		r.ok(err, "scan to remove")
		if len(keys) == 0 {
			return
		}
		r.ok(r.client.BatchDelete(r.ctx, keys), "remove %d keys", len(keys))
	}
}

// model is what the store should hold, kept in memory.
type model map[string][]byte

func (m model) keys() []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

// scan gives at most limit pairs of [low, high), from the top if reverse.
func (m model) scan(reverse bool, low, high []byte, limit int) (keys, values [][]byte) {
	all := m.keys()
	for i := range all {
		at := i
		if reverse {
			at = len(all) - 1 - i
		}
		key := all[at]
		if key >= string(low) && key < string(high) && len(keys) < limit {
			keys = append(keys, []byte(key))
			values = append(values, m[key])
		}
	}
	return keys, values
}

// brief prints bytes for people: short ones quoted, long ones by their ends.
func brief(b []byte) string {
	switch {
	case b == nil:
		return "nothing"
	case len(b) <= 80:
		return fmt.Sprintf("%q", b)
	default:
		return fmt.Sprintf("%q…%q (%d bytes)", b[:32], b[len(b)-16:], len(b))
	}
}
