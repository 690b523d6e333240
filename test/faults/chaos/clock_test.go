package main

import (
	"strings"
	"testing"
)

// What several streams are told: in order, and nothing twice.
func TestClock(t *testing.T) {
	type answer struct{ before, ts, count uint64 }
	for _, test := range []struct {
		name    string
		answers []answer
		wrong   string
	}{
		{"rising", []answer{{0, 10, 10}, {10, 12, 1}, {12, 40, 10}}, ""},
		{"side by side", []answer{{0, 30, 10}, {0, 20, 10}}, ""},
		{"back", []answer{{0, 10, 1}, {10, 9, 1}}, "10 was given"},
		{"the same to two who asked at once", []answer{{0, 10, 10}, {0, 10, 10}}, "1 to 10 was before"},
		{"one of ten", []answer{{0, 10, 1}, {0, 19, 10}}, "10 to 10 was before"},
	} {
		k := &clock{}
		for _, a := range test.answers {
			k.note("pd", a.before, a.ts, a.count)
		}
		err := k.error()
		if (err == nil) != (test.wrong == "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
