package main

import (
	"strings"
	"testing"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/metapb"
)

func TestJudgeScan(t *testing.T) {
	left := &metapb.Region{EndKey: []byte(scanKey(scanBorder))}
	right := &metapb.Region{StartKey: []byte(scanKey(scanBorder))}
	pairs := func(digits string) (all []*kvrpcpb.KvPair) {
		for _, digit := range digits {
			all = append(all, &kvrpcpb.KvPair{Key: []byte(scanKey(string(digit))), Value: []byte("v" + string(digit))})
		}
		return all
	}
	for _, test := range []struct {
		name   string
		scan   sided
		region *metapb.Region
		digits string
		says   string // "": it is right
	}{
		{"all", sided{left: true, wanted: "01234"}, left, "01234", ""},
		{"all, back", sided{wanted: "98765", reverse: true}, right, "98765", ""},
		{"one lacks", sided{left: true, wanted: "01234"}, left, "0134", "not \"01234\""},
		{"the wrong order", sided{wanted: "98765", reverse: true}, right, "56789", "not \"98765\""},
		{"nothing", sided{wanted: "56789"}, right, "", "not \"56789\""},
		{"over the border", sided{left: true, wanted: "01234"}, left, "012345", "another region's"},
		{"over the border, back", sided{wanted: "98765", reverse: true}, right, "987654", "another region's"},
		{"twice", sided{left: true, wanted: "01234"}, left, "001234", "twice"},
		{"from elsewhere, its own", sided{}, right, "567", ""},
		{"from elsewhere, not its own", sided{}, right, "4", "another region's"},
	} {
		err := test.scan.judge(test.region, pairs(test.digits))
		if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	if wrong := pairs("01234"); true {
		wrong[2].Value = []byte("v3")
		if err := (&sided{left: true, wanted: "01234"}).judge(left, wrong); err == nil {
			t.Error("a wrong value is not seen")
		}
	}
}

// Each kind is asked of both sides, and none is only asked where it may be refused.
func TestSidedScans(t *testing.T) {
	wanted := map[string]int{}
	for _, s := range sidedScans() {
		if s.wanted != "" {
			wanted[s.String()]++
		}
	}
	for _, side := range []string{"left", "right"} {
		for _, kind := range []string{"forward", "reverse", "forward without end", "reverse without end"} {
			if name := kind + " scan of the " + side + " region"; wanted[name] != 1 {
				t.Errorf("%s: %d", name, wanted[name])
			}
		}
	}
}
