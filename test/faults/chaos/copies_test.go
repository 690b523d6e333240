package main

import (
	"strings"
	"testing"

	"github.com/tikv/client-go/v2/util/codec"
)

// Who must have a key, and who lacks it: five nodes, three copies.
func TestLackedBy(t *testing.T) {
	spots := func(bound string) []spot { return []spot{{"", bound, []int{0, 1, 2}}, {bound, "", []int{2, 3, 4}}} }
	for _, transactional := range []bool{false, true} {
		bound, form := "m", func(value string) string { return value }
		if transactional {
			bound = string(codec.EncodeBytes(nil, []byte("m")))
			form = func(value string) string { return "P...v\x04" + value + "P..." }
		}
		want := map[string]string{"a": "1111", "m": "2222", "z": "3333"}
		for _, test := range []struct {
			name       string
			node       int
			key, value string // "": it lacks it
			wrong      string
		}{
			{"all", 0, "b", "of unknown outcome", ""},
			{"who need not", 3, "a", "", ""},
			{"a follower lacks one", 1, "a", "", "1 of 9 copies"},
			{"the other region", 3, "m", "", "m of node 3"},
			{"who has both", 2, "z", "", "z of node 2"},
			{"another value", 4, "z", form("3334"), "z of node 4"},
		} {
			tables := map[int]map[string]string{}
			for node := 0; node < 5; node++ {
				tables[node] = map[string]string{}
				for key, value := range want {
					tables[node][key] = form(value)
				}
			}
			tables[test.node][test.key] = test.value
			if test.value == "" {
				delete(tables[test.node], test.key)
			}
			err := lackedBy(want, transactional, spots(bound), tables)
			if (err == nil) != (test.wrong == "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
				t.Errorf("%s, transactional %v: %v", test.name, transactional, err)
			}
		}
		if lackedBy(want, transactional, spots(bound)[:1], nil) == nil {
			t.Error("a key without a region is not missed")
		}
	}
}
