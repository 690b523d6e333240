package suite

import (
	"bytes"
	"fmt"
	"math/rand"
)

var steps = []step{
	{"single key", checkSingle},
	{"absent keys", checkAbsent},
	{"empty value", checkEmptyValue},
	{"binary keys", checkBinary},
	{"long keys", checkLongKeys},
	{"big values", checkBigValues},
	{"batches", checkBatches},
	{"scan bounds", checkScanBounds},
	{"pages", checkPages},
	{"concurrent writers", checkConcurrent},
	{"shared key", checkShared},
	{"random against a model", checkRandom},
}

func checkSingle(r *run) {
	key := r.key("k")
	r.expect(key, nil)
	r.put(key, []byte("one"))
	r.expect(key, []byte("one"))
	for i := 0; i < 50; i++ {
		value := []byte(fmt.Sprintf("value %d", i))
		r.put(key, value)
		r.expect(key, value)
	}
	r.delete(key)
	r.expect(key, nil)
	r.put(key, []byte("again"))
	r.expect(key, []byte("again"))
}

func checkAbsent(r *run) {
	r.delete(r.key("never stored"))
	r.expect(r.key("never stored"), nil)
	r.put(r.key("b"), []byte("x"))
	r.expect(r.key("a"), nil)
	r.expect(r.key("b\x00"), nil)
	r.expect(r.key("c"), nil)

	keys := [][]byte{r.key("x"), r.key("y"), r.key("z")}
	got, err := r.client.BatchGet(r.ctx, keys)
	r.ok(err, "batch get of absent keys")
	r.sameList(got, [][]byte{nil, nil, nil}, "batch get of absent keys")
	r.ok(r.client.BatchDelete(r.ctx, keys), "batch delete of absent keys")
	r.delete(r.key("b"))
	r.delete(r.key("b"))
	r.expect(r.key("b"), nil)
}

func checkEmptyValue(r *run) {
	key := r.key("empty")
	r.put(key, []byte{})
	r.expect(key, []byte{})
	r.expectScan(false, r.prefix, r.end(), 10, false, [][]byte{key}, [][]byte{{}})
	r.put(key, []byte("full"))
	r.expect(key, []byte("full"))
	r.put(key, []byte{})
	r.expect(key, []byte{})
	got, err := r.client.BatchGet(r.ctx, [][]byte{key, r.key("none")})
	r.ok(err, "batch get")
	r.sameList(got, [][]byte{{}, nil}, "empty and absent are different")
}

// checkBinary stores every single byte, and strings that differ in zeros and
// 0xff only, and asks for them in order.
func checkBinary(r *run) {
	m := model{}
	add := func(suffix string) {
		key := r.key(suffix)
		m[string(key)] = []byte("v" + suffix + "\x00\xff")
		r.put(key, m[string(key)])
	}
	for b := 0; b < 256; b++ {
		add(string([]byte{byte(b)}))
	}
	for _, suffix := range []string{
		"", "\x00\x00", "\x00\x00\x00", "\x00\xff", "\x00\xff\x00", "a\x00",
		"a\x00\x00", "a\xff", "ab", "\xff\x00", "\xff\xff", "\xff\xff\xff",
		"\xff\xff\x00", "01234567", "01234567\x00", "0123456\x00",
		"0123456\xff8", "12345678\xff",
	} {
		add(suffix)
	}
	for key, value := range m {
		r.expect([]byte(key), value)
	}
	low, high := r.prefix, r.end()
	for _, reverse := range []bool{false, true} {
		keys, values := m.scan(reverse, low, high, ScanLimit)
		start, end := low, high
		if reverse {
			start, end = high, low
		}
		r.expectScan(reverse, start, end, ScanLimit, false, keys, values)
	}
	for _, key := range m.keys() {
		keys, values := m.scan(false, []byte(key), high, 1)
		r.expectScan(false, []byte(key), high, 1, false, keys, values)
		keys, values = m.scan(true, low, []byte(key), 1)
		r.expectScan(true, []byte(key), low, 1, false, keys, values)
	}
}

// checkLongKeys uses keys that an index over a prefix of the key could not
// tell apart.
func checkLongKeys(r *run) {
	m := model{}
	common := bytes.Repeat([]byte("long"), 700)[:2100-len(r.prefix)]
	random := rand.New(rand.NewSource(r.seed))
	for i := 0; i < 24; i++ {
		tail := make([]byte, 900)
		random.Read(tail)
		key := append(append(r.key(""), common...), tail...)
		m[string(key)] = []byte(fmt.Sprintf("value %d", i))
	}
	for _, extra := range []int{0, 1, 899} {
		key := append(append(r.key(""), common...), bytes.Repeat([]byte{0}, extra)...)
		m[string(key)] = []byte(fmt.Sprintf("%d zeros", extra))
	}
	r.storeAndScan(m)

	gone := m.keys()[7]
	r.delete([]byte(gone))
	r.expect([]byte(gone), nil)
	delete(m, gone)
	for key := range m {
		m[key] = append([]byte("new "), m[key]...)
	}
	r.storeAndScan(m)
}

// storeAndScan stores the pairs, reads each, and scans up and down.
func (r *run) storeAndScan(m model) {
	for key, value := range m {
		r.put([]byte(key), value)
	}
	for key, value := range m {
		r.expect([]byte(key), value)
	}
	keys, values := m.scan(false, r.prefix, r.end(), len(m)+1)
	r.expectScan(false, r.prefix, r.end(), len(m)+1, false, keys, values)
	r.expectScan(false, r.prefix, r.end(), len(m)+1, true, keys, nil)
	keys, values = m.scan(true, r.prefix, r.end(), len(m)+1)
	r.expectScan(true, r.end(), r.prefix, len(m)+1, false, keys, values)
}

func checkBigValues(r *run) {
	const mib = 1 << 20
	random := rand.New(rand.NewSource(r.seed))
	noise := make([]byte, mib)
	random.Read(noise)
	m := model{
		string(r.key("noise")):    noise,
		string(r.key("zeros")):    make([]byte, mib),
		string(r.key("odd size")): noise[:mib-3],
		string(r.key("2000")):     noise[:2000],
		string(r.key("9000")):     noise[:9000],
		string(r.key("one")):      {7},
	}
	r.storeAndScan(m)

	var keys, want [][]byte
	for _, key := range m.keys() {
		keys, want = append(keys, []byte(key)), append(want, m[key])
	}
	got, err := r.client.BatchGet(r.ctx, keys)
	r.ok(err, "batch get of big values")
	r.sameList(got, want, "batch get of big values")

	r.put(r.key("noise"), []byte("small now"))
	r.expect(r.key("noise"), []byte("small now"))
	r.put(r.key("one"), noise)
	r.expect(r.key("one"), noise)
}

func checkBatches(r *run) {
	const n = 1000
	var keys, values [][]byte
	for i := 0; i < n; i++ {
		keys = append(keys, r.key(fmt.Sprintf("%06d", i*2)))
		values = append(values, []byte(fmt.Sprintf("value %d", i)))
	}
	r.ok(r.client.BatchPut(r.ctx, keys, values), "batch put of %d", n)
	got, err := r.client.BatchGet(r.ctx, keys)
	r.ok(err, "batch get of %d", n)
	r.sameList(got, values, "batch get of %d", n)

	// Present, absent and repeated keys in one request, in no order.
	mixed := [][]byte{keys[999], r.key("000001"), keys[0], keys[500], keys[500], r.key("zz")}
	want := [][]byte{values[999], nil, values[0], values[500], values[500], nil}
	got, err = r.client.BatchGet(r.ctx, mixed)
	r.ok(err, "mixed batch get")
	r.sameList(got, want, "mixed batch get")

	// Every value anew, then every other key gone.
	for i := range values {
		values[i] = append([]byte("new "), values[i]...)
	}
	r.ok(r.client.BatchPut(r.ctx, keys, values), "second batch put")
	var odd, even, evenValues [][]byte
	for i := range keys {
		if i%2 == 1 {
			odd = append(odd, keys[i])
		} else {
			even, evenValues = append(even, keys[i]), append(evenValues, values[i])
		}
	}
	r.ok(r.client.BatchDelete(r.ctx, odd), "batch delete of %d", len(odd))
	r.expectScan(false, r.prefix, r.end(), n+1, false, even, evenValues)
	got, err = r.client.BatchGet(r.ctx, odd)
	r.ok(err, "batch get after delete")
	r.sameList(got, make([][]byte, len(odd)), "batch get after delete")
}

// checkScanBounds tries starts and ends on keys, between them and outside.
func checkScanBounds(r *run) {
	m := model{}
	for _, suffix := range []string{"b", "d", "f", "h", "j"} {
		m[string(r.key(suffix))] = []byte("value of " + suffix)
	}
	r.storeAndScan(m)
	points := [][]byte{r.prefix, r.key("a"), r.key("b"), r.key("b\x00"), r.key("c"),
		r.key("d"), r.key("h"), r.key("j"), r.key("j\x00"), r.key("k"), r.end()}
	for i, low := range points {
		for _, high := range points[i:] {
			for _, limit := range []int{1, 2, 3, 5, 6, 100} {
				for _, keyOnly := range []bool{false, true} {
					keys, values := m.scan(false, low, high, limit)
					r.expectScan(false, low, high, limit, keyOnly, keys, values)
					keys, values = m.scan(true, low, high, limit)
					r.expectScan(true, high, low, limit, keyOnly, keys, values)
				}
			}
		}
	}
	r.expectScan(false, r.key("f"), r.key("c"), 10, false, nil, nil)
	r.expectScan(true, r.key("c"), r.key("f"), 10, false, nil, nil)
	r.expectScan(false, r.prefix, r.end(), 0, false, nil, nil)
}

// checkPages walks over more keys than one scan may give.
func checkPages(r *run) {
	const n = ScanLimit + 1500
	m := model{}
	var keys, values [][]byte
	for i := 0; i < n; i++ {
		keys = append(keys, r.key(fmt.Sprintf("%08d", i)))
		values = append(values, []byte(fmt.Sprintf("v%d", i)))
		m[string(keys[i])] = values[i]
	}
	for i := 0; i < n; i += 1000 {
		end := min(i+1000, n)
		r.ok(r.client.BatchPut(r.ctx, keys[i:end], values[i:end]), "batch put")
	}
	for _, limit := range []int{ScanLimit, 1000, 999} {
		for i := 0; i < n; i += limit {
			end := min(i+limit, n)
			r.expectScan(false, keys[i], r.end(), limit, false, keys[i:end], values[i:end])
		}
	}
	top := r.end()
	for end := n; end > 0; {
		from := max(end-ScanLimit, 0)
		r.expectScan(true, top, r.prefix, ScanLimit, true, reversed(keys[from:end]), nil)
		top, end = keys[from], from
	}
	r.expectScan(false, keys[n-1], r.end(), 10, false, keys[n-1:], values[n-1:])
}

func reversed(list [][]byte) [][]byte {
	out := make([][]byte, 0, len(list))
	for i := len(list) - 1; i >= 0; i-- {
		out = append(out, list[i])
	}
	return out
}

func min(a, b int) int {
	if a < b {
		return a
	}
	return b
}

func max(a, b int) int {
	if a > b {
		return a
	}
	return b
}
