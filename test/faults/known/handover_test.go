package main

import "testing"

func TestHandedOver(t *testing.T) {
	for _, test := range []struct {
		name       string
		before     int64
		target     standing
		others     []standing
		done, over bool
	}{
		{"it leads later", 5, standing{true, 6}, []standing{{true, 5}, {false, 6}}, true, true},
		{"nothing yet", 5, standing{false, 5}, []standing{{true, 5}, {false, 5}}, false, false},
		{"it is a candidate", 5, standing{false, 6}, []standing{{true, 5}, {false, 5}}, false, false},
		{"who ordered it leads again", 5, standing{false, 6}, []standing{{true, 7}, {false, 7}}, false, true},
		{"the third leads", 5, standing{false, 5}, []standing{{false, 5}, {true, 6}}, false, true},
		{"it leads, but did before", 5, standing{true, 5}, []standing{{false, 5}, {false, 5}}, false, false},
		{"nobody answers else", 5, standing{true, 7}, nil, true, true},
	} {
		done, over := handedOver(test.before, test.target, test.others)
		if done != test.done || over != test.over {
			t.Errorf("%s: %v %v", test.name, done, over)
		}
	}
}
