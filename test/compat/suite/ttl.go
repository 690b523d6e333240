package suite

import (
	"fmt"
	"strings"
	"time"
)

// Checks of keys that expire.
var ttlSteps = []step{
	{"time to live", checkTTL},
	{"expiry", checkExpiry},
	{"many expire", checkManyExpire},
}

// expectTTL compares the seconds that are left with bounds; max 0 means that
// the key must not expire.
func (r *run) expectTTL(key []byte, min, max uint64) {
	left, err := r.client.GetKeyTTL(r.ctx, key)
	r.ok(err, "ttl of %s", brief(key))
	switch {
	case left == nil:
		r.fail("ttl of %s: there is no such key", brief(key))
	case *left < min || *left > max:
		r.fail("ttl of %s: %d s are left, want %d to %d", brief(key), *left, min, max)
	}
}

func (r *run) expectNoKey(key []byte) {
	left, err := r.client.GetKeyTTL(r.ctx, key)
	r.ok(err, "ttl of %s", brief(key))
	if left != nil {
		r.fail("ttl of %s: %d s are left to an absent key", brief(key), *left)
	}
}

func checkTTL(r *run) {
	key := r.key("k")
	r.expectNoKey(key)
	r.put(key, []byte("v"))
	r.expectTTL(key, 0, 0)
	r.ok(r.client.PutWithTTL(r.ctx, key, []byte("v"), 1000), "put with ttl")
	r.expectTTL(key, 800, 1000)
	r.expect(key, []byte("v"))
	r.put(key, []byte("w"))
	r.expectTTL(key, 0, 0)

	keys := [][]byte{r.key("b1"), r.key("b2"), r.key("b3")}
	values := [][]byte{[]byte("1"), []byte("2"), []byte("3")}
	r.ok(r.client.BatchPutWithTTL(r.ctx, keys, values, []uint64{1000, 0, 5000}), "batch put with ttls")
	r.expectTTL(keys[0], 800, 1000)
	r.expectTTL(keys[1], 0, 0)
	r.expectTTL(keys[2], 4800, 5000)
	r.ok(r.client.BatchPutWithTTL(r.ctx, keys, values, nil), "batch put without ttls")
	r.expectTTL(keys[0], 0, 0)
}

// waitUntilGone reads until the key is absent.
func (r *run) waitUntilGone(key []byte) {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		got, err := r.client.Get(r.ctx, key)
		r.ok(err, "get %s", brief(key))
		if got == nil {
			return
		}
	}
	r.fail("%s does not expire", brief(key))
}

// checkExpiry looks at an expired key through every command.
func checkExpiry(r *run) {
	key, stays := r.key("k"), r.key("stays")
	r.put(stays, []byte("v"))
	r.ok(r.client.PutWithTTL(r.ctx, key, []byte("v"), 1), "put with ttl")
	r.waitUntilGone(key)
	r.expectNoKey(key)
	r.expectScan(false, r.prefix, r.end(), 10, false, [][]byte{stays}, [][]byte{[]byte("v")})
	r.expectScan(true, r.end(), r.prefix, 10, true, [][]byte{stays}, nil)
	got, err := r.client.BatchGet(r.ctx, [][]byte{key, stays})
	r.ok(err, "batch get")
	r.sameList(got, [][]byte{nil, []byte("v")}, "batch get")
	_, number, _, err := r.client.Checksum(r.ctx, r.prefix, r.end())
	r.ok(err, "checksum")
	if number != 1 {
		r.fail("a checksum counts %d keys, want 1", number)
	}
	if r.store.NoCAS {
		r.put(key, []byte("w"))
	} else {
		r.expectSwap(key, []byte("v"), []byte("w"), nil, false)
		r.expectSwap(key, nil, []byte("w"), nil, true)
	}
	r.expect(key, []byte("w"))
	r.expectTTL(key, 0, 0)
}

// checkManyExpire lets one key in two expire.
func checkManyExpire(r *run) {
	const n = 2000
	var keys, values [][]byte
	var ttls []uint64
	left := model{}
	for i := 0; i < n; i++ {
		keys = append(keys, r.key(fmt.Sprintf("%05d", i)))
		values = append(values, []byte("v"))
		ttls = append(ttls, uint64(i%2))
		if i%2 == 0 {
			left[string(keys[i])] = values[i]
		}
	}
	r.ok(r.client.BatchPutWithTTL(r.ctx, keys, values, ttls), "batch put of %d", n)
	r.waitUntilGone(keys[n-1])
	r.expectAll(left)
}

// checkNoTTL makes sure that a store without them says so.
func checkNoTTL(r *run) {
	key := r.key("k")
	err := r.client.PutWithTTL(r.ctx, key, []byte("v"), 10)
	if err == nil || !strings.Contains(err.Error(), "ttl is not enabled") {
		r.fail("put with ttl: got %v, want an error", err)
	}
	err = r.client.BatchPutWithTTL(r.ctx, [][]byte{key}, [][]byte{[]byte("v")}, []uint64{10})
	if err == nil || !strings.Contains(err.Error(), "ttl is not enabled") {
		r.fail("batch put with ttl: got %v, want an error", err)
	}
	if _, err = r.client.GetKeyTTL(r.ctx, key); err == nil {
		r.fail("the ttl of a key was told")
	}
	r.expect(key, nil)
	r.ok(r.client.PutWithTTL(r.ctx, key, []byte("v"), 0), "put with ttl 0")
	r.expect(key, []byte("v"))
}
