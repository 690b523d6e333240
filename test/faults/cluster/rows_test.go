package cluster

import (
	"strings"
	"testing"
)

func TestSameRows(t *testing.T) {
	rows := func(changes ...string) []string {
		all := []string{"2@7 9@12", "3 raw", "4 write", "1 value", "2 locks"}
		for i := 0; i < len(changes); i += 2 {
			for at, table := range tables {
				if table.name == changes[i] {
					all[at] = changes[i+1]
				}
			}
		}
		return all
	}
	for _, test := range []struct {
		name  string
		other []string
		says  string // "": they are the same
	}{
		{"the same", rows(), ""},
		{"another lock", rows("locks", "3 locks"), "locks: node 1 has 2 locks, node 4 3 locks"},
		{"another version", rows("write", "5 write"), "write: node 1"},
		{"another position", rows("applied", "2@7 9@13", "locks", "3 locks"), "node 1 has applied 2@7 9@12, node 4 2@7 9@13"},
		{"no position", rows("applied", ""), "does not tell"},
		{"no answer", nil, "does not tell"},
	} {
		err := SameRows([]int{1, 3, 4}, [][]string{rows(), rows(), test.other})
		if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
