package suite

import (
	"bytes"
	"fmt"
	"hash/crc64"
	"sync"
)

// Checks of compare and swap.
var swapSteps = []step{
	{"compare and swap", checkSwap},
	{"counter", checkCounter},
}

// Checks of commands over ranges.
var rangeSteps = []step{
	{"delete range", checkDeleteRange},
	{"delete a big range", checkDeleteBigRange},
	{"checksum", checkChecksum},
}

// expectSwap swaps and compares what the client tells: the value of before,
// nil for none, and whether it was swapped.
func (r *run) expectSwap(key, expected, value, before []byte, swapped bool) {
	got, done, err := r.client.CompareAndSwap(r.ctx, key, expected, value)
	r.ok(err, "swap %s", brief(key))
	r.same(got, before, "swap %s: value of before", brief(key))
	if done != swapped {
		r.fail("swap %s from %s: swapped %v, want %v", brief(key), brief(expected), done, swapped)
	}
}

func checkSwap(r *run) {
	key := r.key("k")
	one, two := []byte("one"), []byte("two")
	r.expectSwap(key, one, two, nil, false)
	r.expect(key, nil)
	r.expectSwap(key, nil, one, nil, true)
	r.expect(key, one)
	r.expectSwap(key, nil, two, one, false)
	r.expectSwap(key, two, two, one, false)
	r.expect(key, one)
	r.expectSwap(key, one, two, one, true)
	r.expect(key, two)
	r.delete(key)
	r.expectSwap(key, two, one, nil, false)
	r.expectSwap(key, nil, two, nil, true)

	// Plain writes of a client in atomic mode come before or after a swap.
	r.put(key, one)
	r.expectSwap(key, one, two, one, true)
	big := bytes.Repeat([]byte("value"), 100000)
	r.expectSwap(key, two, big, two, true)
	r.expectSwap(key, big, one, big, true)
	r.expect(key, one)
}

// checkNoSwap makes sure that a client that is not in atomic mode swaps nothing.
func checkNoSwap(r *run) {
	key := r.key("k")
	r.put(key, []byte("one"))
	if _, _, err := r.client.CompareAndSwap(r.ctx, key, []byte("one"), []byte("two")); err == nil {
		r.fail("a swap without atomic mode was accepted")
	}
	r.expect(key, []byte("one"))
}

// checkCounter raises one number from several tasks by swaps alone: none may
// be lost.
func checkCounter(r *run) {
	const tasks, raises = 6, 40
	key := r.key("n")
	r.put(key, []byte("0"))
	failures := make(chan error, tasks)
	var wait sync.WaitGroup
	for who := 0; who < tasks; who++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			failures <- r.raise(key, raises)
		}()
	}
	wait.Wait()
	close(failures)
	for err := range failures {
		r.ok(err, "raise the counter")
	}
	r.expect(key, []byte(fmt.Sprint(tasks*raises)))
}

func (r *run) raise(key []byte, times int) error {
	value, err := r.client.Get(r.ctx, key)
	if err != nil {
		return err
	}
	for times > 0 {
		var n int
		if _, err := fmt.Sscan(string(value), &n); err != nil {
			return fmt.Errorf("the counter reads %s", brief(value))
		}
		before, swapped, err := r.client.CompareAndSwap(r.ctx, key, value, []byte(fmt.Sprint(n+1)))
		if err != nil {
			return err
		}
		if swapped {
			times--
			value = []byte(fmt.Sprint(n + 1))
		} else {
			value = before
		}
	}
	return nil
}

func (r *run) deleteRange(start, end []byte) {
	r.ok(r.client.DeleteRange(r.ctx, start, end), "delete from %s to %s", brief(start), brief(end))
}

func checkDeleteRange(r *run) {
	m := model{}
	for _, suffix := range []string{"a", "b", "b\x00", "c", "d", "e"} {
		m[string(r.key(suffix))] = []byte(suffix)
	}
	r.storeAndScan(m)
	r.deleteRange(r.key("b"), r.key("b"))
	r.deleteRange(r.key("bb"), r.key("c"))
	r.expectAll(m)
	r.deleteRange(r.key("b"), r.key("d"))
	for _, gone := range []string{"b", "b\x00", "c"} {
		delete(m, string(r.key(gone)))
	}
	r.expectAll(m)
	r.deleteRange(r.key("b"), r.key("d"))
	r.expectAll(m)
	r.put(r.key("c"), []byte("again"))
	m[string(r.key("c"))] = []byte("again")
	r.expectAll(m)
	r.deleteRange(r.prefix, r.end())
	r.expectAll(model{})
}

func (r *run) expectAll(m model) {
	keys, values := m.scan(false, r.prefix, r.end(), ScanLimit)
	r.expectScan(false, r.prefix, r.end(), ScanLimit, false, keys, values)
}

// checkDeleteBigRange deletes more keys than a store does at once, while other
// keys are written and read.
func checkDeleteBigRange(r *run) {
	const n = 3000
	var keys, values [][]byte
	for i := 0; i < n; i++ {
		keys = append(keys, r.key(fmt.Sprintf("big/%06d", i)))
		values = append(values, []byte("value"))
	}
	r.ok(r.client.BatchPut(r.ctx, keys, values), "batch put of %d", n)
	done := make(chan error, 1)
	go func() {
		done <- r.client.DeleteRange(r.ctx, r.key("big/"), r.key("big0"))
	}()
	for i := 0; i < 50; i++ {
		key := r.key(fmt.Sprintf("other/%d", i))
		r.put(key, []byte("value"))
		r.expect(key, []byte("value"))
	}
	r.ok(<-done, "delete %d keys", n)
	got, _, err := r.client.Scan(r.ctx, r.key("big/"), r.key("big0"), 10, true)
	r.ok(err, "scan what was deleted")
	r.sameList(got, nil, "what is left of a deleted range")
	for i := 0; i < 50; i++ {
		r.expect(r.key(fmt.Sprintf("other/%d", i)), []byte("value"))
	}
}

var ecma = crc64.MakeTable(crc64.ECMA)

// checkChecksum adds up by itself what the store should say.
func checkChecksum(r *run) {
	m := model{}
	for i := 0; i < 300; i++ {
		m[string(r.key(fmt.Sprintf("%03d", i)))] = bytes.Repeat([]byte{byte(i)}, i)
	}
	r.storeAndScan(m)
	for _, bounds := range [][2]string{{"", "~"}, {"100", "200"}, {"100", "100\x00"}, {"x", "y"}} {
		var sum, number, size uint64
		low, high := r.key(bounds[0]), r.key(bounds[1])
		for key, value := range m {
			if key < string(low) || key >= string(high) {
				continue
			}
			text := append(append([]byte{}, r.store.Prefix...), key...)
			sum ^= crc64.Checksum(append(text, value...), ecma)
			number++
			size += uint64(len(r.store.Prefix) + len(key) + len(value))
		}
		gotSum, gotNumber, gotSize, err := r.client.Checksum(r.ctx, low, high)
		r.ok(err, "checksum")
		if gotSum != sum || gotNumber != number || gotSize != size {
			r.fail("checksum from %s to %s: got %x of %d keys with %d bytes, want %x of %d with %d",
				bounds[0], bounds[1], gotSum, gotNumber, gotSize, sum, number, size)
		}
	}
}

// checkFamilies stores one key in each family; none sees the others'.
func checkFamilies(r *run) {
	key := r.key("k")
	families := []string{"default", "lock", "write"}
	for _, name := range families {
		cf := r.client.InFamily(name)
		r.ok(cf.Put(r.ctx, key, []byte(name)), "put in %s", name)
	}
	r.expect(key, []byte("default"))
	for _, name := range families {
		cf := r.client.InFamily(name)
		got, err := cf.Get(r.ctx, key)
		r.ok(err, "get from %s", name)
		r.same(got, []byte(name), "get from %s", name)
		_, values, err := cf.Scan(r.ctx, r.prefix, r.end(), 10, false)
		r.ok(err, "scan %s", name)
		r.sameList(values, [][]byte{[]byte(name)}, "scan %s", name)
	}
	r.ok(r.client.InFamily("write").DeleteRange(r.ctx, r.prefix, r.end()), "delete the range in write")
	r.ok(r.client.InFamily("lock").Delete(r.ctx, key), "delete in lock")
	for _, name := range []string{"lock", "write"} {
		got, err := r.client.InFamily(name).Get(r.ctx, key)
		r.ok(err, "get from %s", name)
		r.same(got, nil, "get from %s after the delete", name)
	}
	r.expect(key, []byte("default"))
	r.checkOwnFamily(key)
	if err := r.client.InFamily("raft").Put(r.ctx, key, []byte("x")); err == nil {
		r.fail("a put in the family raft was accepted")
	}
}

// checkOwnFamily sets the family of the client itself; a call's own goes first.
func (r *run) checkOwnFamily(key []byte) {
	r.client.SetFamily("write")
	defer r.client.SetFamily("")
	r.expect(key, nil)
	r.put(key, []byte("of the client"))
	got, err := r.client.InFamily("default").Get(r.ctx, key)
	r.ok(err, "get from default")
	r.same(got, []byte("default"), "get from default, though the client's is write")
	r.expectScan(false, r.prefix, r.end(), 10, false, [][]byte{key}, [][]byte{[]byte("of the client")})
	r.client.SetFamily("")
	r.expect(key, []byte("default"))
	got, err = r.client.InFamily("write").Get(r.ctx, key)
	r.ok(err, "get from write")
	r.same(got, []byte("of the client"), "get from write")
	r.ok(r.client.InFamily("write").Delete(r.ctx, key), "delete in write")
}
