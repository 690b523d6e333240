package main

import (
	"strings"
	"testing"
)

func TestNoteTimestamps(t *testing.T) {
	w := &world{}
	for _, test := range []struct {
		before, last uint64
		wrong        string
	}{
		{0, 10, ""}, {10, 16, ""}, {0, 13, ""}, // those between came from another one who asked
		{16, 18, "came after 16"},
		{8, 12, "8 to 16"}, {10, 22, ""},
		{16, 20, "given out"},
	} {
		err := w.noteTimestamps(test.before, test.last, 3)
		if (err == nil) != (test.wrong == "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
			t.Errorf("%d after %d: %v", test.last, test.before, err)
		}
	}
	if w.lastTS.Load() != 22 || w.nTS.Load() != 12 {
		t.Errorf("%d timestamps up to %d", w.nTS.Load(), w.lastTS.Load())
	}
}

func TestNoteID(t *testing.T) {
	w := &world{}
	for _, id := range []uint64{7, 9, 8} {
		if err := w.noteID(id); err != nil {
			t.Error(err)
		}
	}
	if w.noteID(8) == nil || w.nIDs.Load() != 3 {
		t.Error("an id that was given out twice was taken")
	}
}
