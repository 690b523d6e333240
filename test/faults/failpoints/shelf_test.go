package main

import "testing"

// Where the registers of a trial are, and where their region is cut.
func TestShelf(t *testing.T) {
	first := (&trial{point: &point{drive: "split"}}).newShelf()
	next := (&trial{point: &point{drive: "split"}}).newShelf()
	rising := []string{highKey, string(next.slot(slotsEach)), next.register(1, 0), next.register(1, 7),
		string(next.cut(9)), string(next.cut(3)), string(next.cut(2)), next.register(3, 0), next.register(3, 2),
		string(next.cut(1)), next.register(5, 0), next.register(5, 3), first.register(1, 0), string(first.cut(2))}
	for i := 1; i < len(rising); i++ {
		if rising[i-1] >= rising[i] {
			t.Errorf("%q is not before %q", rising[i-1], rising[i])
		}
	}
	if (&trial{point: &point{drive: "write"}}).newShelf() != (shelf{}) {
		t.Error("registers are where nothing is done")
	}
}

// TestOnShelf: half of them, of keys of their own, and their answers count.
func TestOnShelf(t *testing.T) {
	for _, test := range []struct {
		shelf shelf
		there int
	}{{shelf{}, 0}, {shelf{7}, 3}} {
		r := &registers{shelf: test.shelf, keys: map[string]bool{}}
		there := 0
		for number := 0; number < nRegisters; number++ {
			key, call := r.begin(number)
			r.end(0, number, input{key: key, kind: put}, call, output{})
			if key > highKey {
				there++
			}
		}
		if _, shelved := r.answered(); there != test.there || shelved != there || len(r.keys) != nRegisters {
			t.Errorf("%v: %d of %d registers are there, %d answers", test.shelf, there, len(r.keys), shelved)
		}
	}
}
