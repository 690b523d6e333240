package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pingcap/kvproto/pkg/errorpb"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/metapb"
	"github.com/pingcap/kvproto/pkg/pdpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"

	"tikv_fdw/test/compat/wire/internal/node"
)

// bound is a key as the bound of a region that clients of transactions can
// decode: eight bytes and a marker, and a last group of nothing.
func bound(eight string) []byte {
	return append(append([]byte(eight), 0xff), 0, 0, 0, 0, 0, 0, 0, 0, 0xf7)
}

// told is a key of ten bytes as errors name it: in V2 the form that is compared
// with bounds, as TiKV does, whose clients look at its first bytes alone.
func (t *tester) told(key []byte) []byte {
	if t.API != "V2" {
		return key
	}
	last := append(append(append([]byte{}, key[8:]...), 0, 0, 0, 0, 0, 0), 0xff-6)
	return append(append(append([]byte{}, key[:8]...), 0xff), last...)
}

func (t *tester) contextOf(region *metapb.Region, version uint64) *kvrpcpb.Context {
	c := t.Context()
	c.RegionId, c.Peer = region.Id, region.Peers[0]
	c.RegionEpoch = &metapb.RegionEpoch{ConfVer: region.RegionEpoch.ConfVer, Version: version}
	return c
}

// checkSplit splits a region above the other checks' keys, and asks its pieces
// for what they have not, or as the region was before.
func (t *tester) checkSplit() {
	eight := t.splitEight("\xfd")
	key, value := []byte(eight+"\xff\xff"), []byte("v")
	before, err := t.PD.GetRegion(t.ctx, &pdpb.GetRegionRequest{Header: t.Header(), RegionKey: bound(eight)})
	t.Check("the region to split", err)
	if err != nil || before.Region == nil {
		return
	}
	old := before.Region.RegionEpoch.Version
	got, err := t.KV.SplitRegion(t.ctx, &kvrpcpb.SplitRegionRequest{
		Context: t.contextOf(before.Region, old), SplitKeys: [][]byte{[]byte(eight)}})
	if err == nil {
		err = node.Expect(got.RegionError == nil && len(got.Regions) == 2 && got.Right.GetId() == before.Region.Id &&
			bytes.Equal(got.Left.GetEndKey(), bound(eight)) && bytes.Equal(got.Right.GetStartKey(), bound(eight)), "got %v", got)
	}
	t.Check("SplitRegion", err)
	if err != nil {
		return
	}
	outside := only(&errorpb.Error{KeyNotInRegion: &errorpb.KeyNotInRegion{Key: t.told(key), RegionId: got.Left.Id,
		StartKey: got.Left.StartKey, EndKey: got.Left.EndKey}})
	for _, cmd := range t.commands {
		t.both("a key of the other piece", cmd, t.contextOf(got.Left, got.Left.RegionEpoch.Version), key, value, outside)
		t.both("the region as it was", cmd, t.contextOf(got.Right, old), key, value, func(a answer) error {
			return bothPieces(a, got.Left, got.Right)
		})
		t.both("the right piece", cmd, t.contextOf(got.Right, got.Right.RegionEpoch.Version), key, value, success)
	}
	_, err = t.KV.RawDelete(t.ctx, &kvrpcpb.RawDeleteRequest{Context: t.contextOf(got.Right, got.Right.RegionEpoch.Version), Key: key})
	t.Check("delete", err)
}

// splitAt splits the region that a bound is in, as the change says, and wants it
// to end there.  PD may not have heard yet of the split before.
func (t *tester) splitAt(what string, at []byte, change func(*kvrpcpb.SplitRegionRequest)) {
	var got *kvrpcpb.SplitRegionResponse
	var err error
	for i := 0; i == 0 || i < 50 && err == nil && got.RegionError.GetEpochNotMatch() != nil; i++ {
		time.Sleep(time.Duration(i) * 10 * time.Millisecond)
		got, err = t.tryToSplit(at, change)
	}
	if err == nil {
		err = node.Expect(got.RegionError == nil && len(got.Regions) == 2 && bytes.Equal(got.Regions[0].EndKey, at) &&
			bytes.Equal(got.Regions[1].StartKey, at), "want a bound at %q, got %v", at, got)
	}
	t.Check(what, err)
}

func (t *tester) tryToSplit(at []byte, change func(*kvrpcpb.SplitRegionRequest)) (*kvrpcpb.SplitRegionResponse, error) {
	before, err := t.PD.GetRegion(t.ctx, &pdpb.GetRegionRequest{Header: t.Header(), RegionKey: at})
	if err != nil {
		return nil, err
	}
	request := &kvrpcpb.SplitRegionRequest{Context: t.contextOf(before.Region, before.Region.GetRegionEpoch().GetVersion())}
	change(request)
	return t.KV.SplitRegion(t.ctx, request)
}

// splitEight is a key of eight bytes that no other run has, nor another marker.
func (t *tester) splitEight(marker string) string {
	digits := strconv.FormatInt(t.now/1e8, 36)
	return t.RawPrefix + marker + digits[len(digits)-7+len(t.RawPrefix):]
}

// checkSplitForms splits as older clients do, by one key, and those of raw keys,
// whose key is the bound itself; in V2 all bounds are encoded.  The raw one has
// the form of an encoded key, since plain bounds would stop transactions.
func (t *tester) checkSplitForms() {
	legacy := t.splitEight("\xfc")
	t.splitAt("SplitRegion by split_key", bound(legacy), func(r *kvrpcpb.SplitRegionRequest) {
		r.SplitKey = []byte(legacy)
	})
	raw := []byte(t.splitEight("\xfb"))
	at := bound(string(raw))
	if t.API != "V2" {
		raw = at
	}
	t.splitAt("SplitRegion with is_raw_kv", at, func(r *kvrpcpb.SplitRegionRequest) {
		r.SplitKeys, r.IsRawKv = [][]byte{raw}, true
	})
}

// checkSplitRefusals: each answer is one error, and nothing is split.
func (t *tester) checkSplitRefusals() {
	key := []byte(t.prefix + "split")
	refused := func(what string, keys [][]byte, check func(answer) error) {
		got, err := t.KV.SplitRegion(t.ctx, &kvrpcpb.SplitRegionRequest{Context: t.Context(), SplitKeys: keys})
		if err == nil && got.RegionError == nil {
			err = fmt.Errorf("got %v", got)
		}
		if err == nil {
			err = check(answer{got.RegionError, ""})
		}
		t.Check(what, err)
	}
	many := make([][]byte, 8193)
	for i := range many {
		many[i] = key
	}
	refused("SplitRegion by too many keys", many, t.justText("too many split keys"))
	refused("SplitRegion by no key", nil, t.justText("no valid key found for split."))
}

// justText is an error about the region that has a message and nothing else.
func (t *tester) justText(text string) func(answer) error {
	return func(a answer) error {
		if !strings.Contains(a.region.Message, text) {
			return fmt.Errorf("want %q, got %v", text, a.region)
		}
		return only(&errorpb.Error{})(a)
	}
}

// bothPieces: whoever comes with the old epoch learns of both, or loops via PD.
func bothPieces(a answer, pieces ...*metapb.Region) error {
	current := a.region.GetEpochNotMatch().GetCurrentRegions()
	for _, piece := range pieces {
		found := false
		for _, region := range current {
			found = found || proto.Equal(protoadapt.MessageV2Of(region), protoadapt.MessageV2Of(piece))
		}
		if !found {
			return fmt.Errorf("%v is missing: %v %q", piece, a.region, a.text)
		}
	}
	return node.Expect(a.region.Message != "" && a.text == "", "got %v %q", a.region, a.text)
}
