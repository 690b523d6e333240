package suite

import (
	"fmt"
	"math/rand"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

const threads = 8

// together runs work in several goroutines and fails with the first failure
// of any.
func (r *run) together(n int, work func(r *run, who int)) {
	var group sync.WaitGroup
	failures := make(chan any, n)
	for who := 0; who < n; who++ {
		group.Add(1)
		go func(who int) {
			defer group.Done()
			defer func() {
				if f := recover(); f != nil {
					failures <- f
				}
			}()
			work(r, who)
		}(who)
	}
	group.Wait()
	select {
	case f := <-failures:
		panic(f)
	default:
	}
}

// checkConcurrent lets each goroutine work on keys of its own, which lie
// between those of the others.
func checkConcurrent(r *run) {
	const n = 60
	r.together(threads, func(r *run, who int) {
		for i := 0; i < n; i++ {
			key := r.key(fmt.Sprintf("%04d/%d", i, who))
			r.expect(key, nil)
			r.put(key, []byte("first"))
			r.expect(key, []byte("first"))
			r.put(key, []byte(fmt.Sprintf("%d of %d", i, who)))
			if i%3 == 0 {
				r.delete(key)
				r.expect(key, nil)
			}
		}
	})
	m := model{}
	for i := 0; i < n; i++ {
		for who := 0; who < threads && i%3 != 0; who++ {
			m[string(r.key(fmt.Sprintf("%04d/%d", i, who)))] = []byte(fmt.Sprintf("%d of %d", i, who))
		}
	}
	keys, values := m.scan(false, r.prefix, r.end(), ScanLimit)
	r.expectScan(false, r.prefix, r.end(), ScanLimit, false, keys, values)
}

// checkShared has writers overwrite one key while readers look at it. What a
// reader sees of one writer may never go backwards, and what a writer sees
// after its own write is that write or another's.
func checkShared(r *run) {
	const n = 60
	key := r.key("shared")
	r.put(key, []byte("0 0"))
	var done atomic32
	r.together(threads, func(r *run, who int) {
		last := map[int]int{}
		look := func() {
			value, err := r.client.Get(r.ctx, key)
			r.ok(err, "get of the shared key")
			from, number := parseShared(r, value)
			if number < last[from] {
				r.fail("saw write %d of writer %d after its write %d", number, from, last[from])
			}
			last[from] = number
		}
		if who < threads/2 {
			defer done.add(1)
			for i := 1; i <= n; i++ {
				r.put(key, []byte(fmt.Sprintf("%d %d", who, i)))
				last[who] = i
				look()
			}
			return
		}
		for done.get() < threads/2 {
			look()
		}
	})
	value, err := r.client.Get(r.ctx, key)
	r.ok(err, "get of the shared key")
	if _, number := parseShared(r, value); number != n {
		r.fail("the shared key ends as %s, not as a writer's last write", brief(value))
	}
}

func parseShared(r *run, value []byte) (from, number int) {
	words := strings.Fields(string(value))
	if len(words) == 2 {
		from, err1 := strconv.Atoi(words[0])
		number, err2 := strconv.Atoi(words[1])
		if err1 == nil && err2 == nil {
			return from, number
		}
	}
	r.fail("the shared key reads %s, which nobody wrote", brief(value))
	return 0, 0
}

// atomic32 is a counter; the toolchains of older clients have no atomic.Int32.
type atomic32 struct{ n int32 }

func (a *atomic32) add(n int32) { atomic.AddInt32(&a.n, n) }
func (a *atomic32) get() int32  { return atomic.LoadInt32(&a.n) }

// checkRandom does a few thousand operations on few keys of few bytes, and
// compares every answer with a model.
func checkRandom(r *run) {
	random := rand.New(rand.NewSource(r.seed))
	m := model{}
	for i := 0; i < 2500; i++ {
		key := r.randomKey(random)
		switch random.Intn(10) {
		case 0, 1, 2:
			value := make([]byte, random.Intn(40))
			random.Read(value)
			r.put(key, value)
			m[string(key)] = value
		case 3:
			r.delete(key)
			delete(m, string(key))
		case 4:
			r.randomBatch(random, m)
		case 5, 6, 7:
			r.expect(key, m[string(key)])
		default:
			r.randomScan(random, m)
		}
	}
	keys, values := m.scan(false, r.prefix, r.end(), ScanLimit)
	r.expectScan(false, r.prefix, r.end(), ScanLimit, false, keys, values)
}

func (r *run) randomKey(random *rand.Rand) []byte {
	alphabet := []byte{0x00, 'a', 'b', 0xff}
	suffix := make([]byte, random.Intn(4))
	for i := range suffix {
		suffix[i] = alphabet[random.Intn(len(alphabet))]
	}
	return r.key(string(suffix))
}

// randomBatch puts, gets or deletes a few keys, each at most once, because
// the order inside one request is the client's.
func (r *run) randomBatch(random *rand.Rand, m model) {
	chosen := model{}
	for i := 0; i < 1+random.Intn(12); i++ {
		chosen[string(r.randomKey(random))] = []byte(strconv.Itoa(random.Int()))
	}
	var keys, values, want [][]byte
	for _, key := range chosen.keys() {
		keys, values = append(keys, []byte(key)), append(values, chosen[key])
		want = append(want, m[key])
	}
	switch random.Intn(3) {
	case 0:
		r.ok(r.client.BatchPut(r.ctx, keys, values), "batch put")
		for i, key := range keys {
			m[string(key)] = values[i]
		}
	case 1:
		r.ok(r.client.BatchDelete(r.ctx, keys), "batch delete")
		for _, key := range keys {
			delete(m, string(key))
		}
	default:
		got, err := r.client.BatchGet(r.ctx, keys)
		r.ok(err, "batch get")
		r.sameList(got, want, "batch get")
	}
}

func (r *run) randomScan(random *rand.Rand, m model) {
	low, high := r.randomKey(random), r.randomKey(random)
	if random.Intn(3) == 0 {
		high = r.end()
	}
	reverse, keyOnly := random.Intn(2) == 0, random.Intn(3) == 0
	limit := 1 + random.Intn(30)
	keys, values := m.scan(reverse, low, high, limit)
	start, end := low, high
	if reverse {
		start, end = high, low
	}
	r.expectScan(reverse, start, end, limit, keyOnly, keys, values)
}
