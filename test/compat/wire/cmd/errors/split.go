package main

import (
	"bytes"
	"fmt"
	"strconv"

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
	digits := strconv.FormatInt(t.now/1e8, 36)
	eight := t.RawPrefix + "\xfd" + digits[len(digits)-7+len(t.RawPrefix):]
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
