package once

import (
	"math/rand"
	"testing"
)

func TestGiven(t *testing.T) {
	type step struct {
		first, last uint64
		fine        bool
	}
	for _, test := range []struct {
		name  string
		steps []step
		left  int
	}{
		{"rising", []step{{1, 1, true}, {5, 9, true}, {12, 20, true}}, 3},
		{"in between", []step{{1, 1, true}, {5, 9, true}, {3, 3, true}}, 3},
		{"touching", []step{{1, 3, true}, {7, 9, true}, {4, 6, true}}, 1},
		{"before and behind", []step{{4, 6, true}, {7, 7, true}, {2, 3, true}}, 1},
		{"twice", []step{{1, 3, true}, {1, 3, false}}, 1},
		{"the last one", []step{{1, 3, true}, {5, 8, true}, {3, 4, false}}, 2},
		{"the first one", []step{{5, 8, true}, {1, 5, false}}, 1},
		{"within", []step{{1, 10, true}, {4, 5, false}}, 1},
		{"around", []step{{4, 5, true}, {1, 10, false}}, 1},
		{"around two", []step{{2, 2, true}, {4, 4, true}, {1, 10, false}}, 2},
		{"of those made one", []step{{1, 3, true}, {4, 6, true}, {6, 6, false}}, 1},
		{"none", []step{{0, 0, false}, {5, 4, false}}, 0},
	} {
		g := &Given{}
		for _, s := range test.steps {
			if err := g.Add(s.first, s.last); (err == nil) != s.fine {
				t.Errorf("%s: %d to %d: %v", test.name, s.first, s.last, err)
			}
		}
		if len(g.ranges) != test.left {
			t.Errorf("%s: %v", test.name, g.ranges)
		}
	}
}

// TestForgotten: so many ranges are kept, and what is older counts as given.
func TestForgotten(t *testing.T) {
	g := &Given{limit: 10}
	for i := uint64(1); i <= 1000; i++ {
		if err := g.Add(2*i, 2*i); err != nil {
			t.Fatal(err)
		}
		if len(g.ranges) > 20 {
			t.Fatalf("%d ranges are kept", len(g.ranges))
		}
	}
	if g.Add(3, 3) == nil || g.Add(2000, 2000) == nil || g.Add(1999, 1999) != nil {
		t.Error("what is forgotten, the last, or what lies before it is not judged")
	}
}

// TestInAnyOrder: each number of a shuffled thousand once is fine, and none twice.
func TestInAnyOrder(t *testing.T) {
	g := &Given{}
	for _, i := range rand.Perm(1000) {
		if err := g.Add(uint64(i+1), uint64(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	if len(g.ranges) != 1 {
		t.Errorf("%d ranges", len(g.ranges))
	}
	for i := uint64(1); i <= 1000; i++ {
		if g.Add(i, i) == nil {
			t.Errorf("%d is given out again", i)
		}
	}
}
