package main

import (
	"bytes"
	"fmt"

	"github.com/pingcap/kvproto/pkg/metapb"
	"github.com/pingcap/kvproto/pkg/pdpb"

	"tikv_fdw/test/compat/wire/internal/node"
)

// Keys to look up: both ends, zeros, and what transactional clients send for
// the empty key.
var someKeys = [][]byte{nil, {0}, []byte("a"), []byte("m\x00"), bytes.Repeat([]byte{0xff}, 20),
	{0, 0, 0, 0, 0, 0, 0, 0, 0xf7}, bytes.Repeat([]byte("k"), 3000)}

func contains(region *metapb.Region, key []byte) bool {
	return bytes.Compare(region.StartKey, key) <= 0 && (len(region.EndKey) == 0 || bytes.Compare(key, region.EndKey) < 0)
}

// regionErrors applies what the clients demand of any region they are given.
func (t *tester) regionErrors(region *metapb.Region, leader *metapb.Peer) error {
	if region == nil || region.Id == 0 || len(region.Peers) == 0 || region.RegionEpoch.GetVersion() == 0 || region.RegionEpoch.ConfVer == 0 {
		return fmt.Errorf("region %v", region)
	}
	for _, peer := range region.Peers {
		if peer.Id == 0 || peer.StoreId == 0 {
			return fmt.Errorf("peer %v of region %d", peer, region.Id)
		}
		if peer.Id == leader.GetId() && peer.StoreId == leader.GetStoreId() {
			return nil
		}
	}
	return fmt.Errorf("the leader %v is no peer of %v", leader, region)
}

func (t *tester) checkRegions() {
	regions := t.scanAll()
	for _, key := range someKeys {
		got, err := t.PD.GetRegion(t.ctx, &pdpb.GetRegionRequest{Header: t.Header(), RegionKey: key, NeedBuckets: true})
		t.Check("GetRegion", first(t.well(got.GetHeader(), err), t.regionErrors(got.GetRegion(), got.GetLeader())))
		if got.GetRegion() == nil {
			continue
		}
		t.Check("GetRegion contains the key", node.Expect(contains(got.Region, key), "%q is not in %v", key, got.Region))

		before, err := t.PD.GetPrevRegion(t.ctx, &pdpb.GetRegionRequest{Header: t.Header(), RegionKey: key})
		err = t.well(before.GetHeader(), err)
		if len(got.Region.StartKey) == 0 {
			err = first(err, node.Expect(before.GetRegion() == nil, "a region before the first: %v", before))
		} else {
			err = first(err, t.regionErrors(before.GetRegion(), before.GetLeader()),
				node.Expect(bytes.Equal(before.GetRegion().GetEndKey(), got.Region.StartKey), "%v is not before %v", before, got))
		}
		t.Check("GetPrevRegion", err)
	}
	for _, region := range regions {
		got, err := t.PD.GetRegionByID(t.ctx, &pdpb.GetRegionByIDRequest{Header: t.Header(), RegionId: region.Region.Id})
		t.Check("GetRegionByID", first(t.well(got.GetHeader(), err), node.Expect(equal(got.GetRegion(), region.Region), "got %v, want %v", got, region)))
	}
	none, err := t.PD.GetRegionByID(t.ctx, &pdpb.GetRegionByIDRequest{Header: t.Header(), RegionId: 999999999})
	t.Check("GetRegionByID of an unknown region", first(t.well(none.GetHeader(), err), node.Expect(none.GetRegion() == nil, "got %v", none)))

	t.checkScan(regions)
	t.checkBatchScan(regions)
}

// scanAll gets every region and makes sure that they cover all keys.
func (t *tester) scanAll() []*pdpb.Region {
	got, err := t.PD.ScanRegions(t.ctx, &pdpb.ScanRegionsRequest{Header: t.Header()})
	err = first(t.well(got.GetHeader(), err), t.scanErrors(got))
	var at []byte
	for i, region := range got.GetRegions() {
		last := i == len(got.Regions)-1
		err = first(err, node.Expect(bytes.Equal(region.Region.StartKey, at) && last == (len(region.Region.EndKey) == 0),
			"a gap or an overlap at %v", region))
		at = region.Region.EndKey
	}
	t.Check("ScanRegions over all", first(err, node.Expect(len(got.GetRegions()) > 0, "no regions")))
	return got.GetRegions()
}

// scanErrors: the two older lists say the same as the newer.
func (t *tester) scanErrors(got *pdpb.ScanRegionsResponse) error {
	if len(got.GetRegions()) != len(got.GetRegionMetas()) || len(got.GetRegions()) != len(got.GetLeaders()) {
		return fmt.Errorf("lists of %d, %d and %d", len(got.GetRegions()), len(got.GetRegionMetas()), len(got.GetLeaders()))
	}
	for i, region := range got.GetRegions() {
		if err := t.regionErrors(region.Region, region.Leader); err != nil {
			return err
		}
		if !equal(region.Region, got.RegionMetas[i]) || !equal(region.Leader, got.Leaders[i]) {
			return fmt.Errorf("element %d: %v, but %v and %v", i, region, got.RegionMetas[i], got.Leaders[i])
		}
	}
	return nil
}

func (t *tester) checkScan(all []*pdpb.Region) {
	for _, limit := range []int32{1, 2, 0, -1, 1000} {
		want := len(all)
		if limit > 0 && int(limit) < want {
			want = int(limit)
		}
		got, err := t.PD.ScanRegions(t.ctx, &pdpb.ScanRegionsRequest{Header: t.Header(), Limit: limit})
		t.Check(fmt.Sprintf("ScanRegions, limit %d", limit), first(t.well(got.GetHeader(), err), t.scanErrors(got),
			node.Expect(len(got.GetRegions()) == want, "%d regions instead of %d", len(got.GetRegions()), want)))
	}
	for _, ends := range [][2]string{{"a", "b"}, {"", "\x00"}, {"\xff", ""}, {"a", "a\x00"}} {
		want := 0
		for _, region := range all {
			before := len(region.Region.EndKey) > 0 && bytes.Compare(region.Region.EndKey, []byte(ends[0])) <= 0
			after := ends[1] != "" && bytes.Compare(region.Region.StartKey, []byte(ends[1])) >= 0
			if !before && !after {
				want++
			}
		}
		got, err := t.PD.ScanRegions(t.ctx, &pdpb.ScanRegionsRequest{Header: t.Header(), StartKey: []byte(ends[0]), EndKey: []byte(ends[1])})
		t.Check(fmt.Sprintf("ScanRegions of %q", ends), first(t.well(got.GetHeader(), err), t.scanErrors(got),
			node.Expect(len(got.GetRegions()) == want, "%d regions instead of %d", len(got.GetRegions()), want)))
	}
}

func (t *tester) checkBatchScan(all []*pdpb.Region) {
	scan := func(whole bool, limit int32, ends ...string) (*pdpb.BatchScanRegionsResponse, error) {
		request := &pdpb.BatchScanRegionsRequest{Header: t.Header(), Limit: limit, ContainAllKeyRange: whole}
		for i := 0; i+1 < len(ends); i += 2 {
			request.Ranges = append(request.Ranges, &pdpb.KeyRange{StartKey: []byte(ends[i]), EndKey: []byte(ends[i+1])})
		}
		return t.PD.BatchScanRegions(t.ctx, request)
	}
	for _, whole := range []bool{false, true} {
		got, err := scan(whole, 1000, "", "")
		t.Check("BatchScanRegions over all", first(t.well(got.GetHeader(), err),
			node.Expect(len(got.GetRegions()) == len(all), "%d regions instead of %d", len(got.GetRegions()), len(all))))
		got, err = scan(whole, 1000, "a", "b", "c", "d", "d", "e")
		seen := map[uint64]bool{}
		err = first(t.well(got.GetHeader(), err), node.Expect(len(got.GetRegions()) > 0, "no regions"))
		for _, region := range got.GetRegions() {
			err = first(err, t.regionErrors(region.Region, region.Leader), node.Expect(!seen[region.Region.GetId()], "twice: %v", region))
			seen[region.Region.GetId()] = true
		}
		t.Check("BatchScanRegions of three ranges", err)
	}
	got, err := scan(false, 1000, "c", "d", "a", "b")
	t.Check("BatchScanRegions in falling order", t.refused(got.GetHeader(), err, pdpb.ErrorType_UNKNOWN))
	got, err = scan(false, 1000, "a", "c", "b", "d")
	t.Check("BatchScanRegions of overlapping ranges", t.refused(got.GetHeader(), err, pdpb.ErrorType_UNKNOWN))
}

// checkQueryRegion uses one stream for many questions, as clients do.
func (t *tester) checkQueryRegion() {
	stream, err := t.PD.QueryRegion(t.ctx)
	t.Check("QueryRegion", err)
	if err != nil {
		return
	}
	ask := func(what string, request *pdpb.QueryRegionRequest) {
		request.Header = t.Header()
		err := stream.Send(request)
		if err == nil {
			var got *pdpb.QueryRegionResponse
			got, err = stream.Recv()
			err = first(t.well(got.GetHeader(), err), t.queryErrors(request, got))
		}
		t.Check("QueryRegion of "+what, err)
	}
	ask("keys", &pdpb.QueryRegionRequest{Keys: someKeys})
	ask("previous keys", &pdpb.QueryRegionRequest{PrevKeys: someKeys})
	ask("ids", &pdpb.QueryRegionRequest{Ids: []uint64{t.Region.Id, 999999999}})
	ask("all together", &pdpb.QueryRegionRequest{Keys: someKeys[:3], PrevKeys: someKeys[1:], Ids: []uint64{t.Region.Id}, NeedBuckets: true})
	ask("nothing", &pdpb.QueryRegionRequest{})
	many := &pdpb.QueryRegionRequest{}
	for i := 0; i < 10000; i++ {
		many.Keys = append(many.Keys, []byte(fmt.Sprintf("key %d", i)))
	}
	ask("ten thousand keys", many)

	const pending = 20
	for i := 0; i < pending; i++ {
		t.Check("QueryRegion ahead of answers", stream.Send(&pdpb.QueryRegionRequest{Header: t.Header(), Keys: someKeys[:1+i%3]}))
	}
	t.Check("half-close", stream.CloseSend())
	for i := 0; i < pending; i++ {
		got, err := stream.Recv()
		t.Check("QueryRegion in order", first(err, node.Expect(len(got.GetKeyIdMap()) == 1+i%3, "answer %d has %d keys", i, len(got.GetKeyIdMap()))))
	}
	_, err = stream.Recv()
	t.Check("QueryRegion ends well", node.Expect(err != nil && err.Error() == "EOF", "got %v", err))
}

// queryErrors: every key has its number in its place, every number its region.
func (t *tester) queryErrors(request *pdpb.QueryRegionRequest, got *pdpb.QueryRegionResponse) error {
	if len(got.KeyIdMap) != len(request.Keys) || len(got.PrevKeyIdMap) != len(request.PrevKeys) {
		return fmt.Errorf("%d and %d numbers for %d and %d keys", len(got.KeyIdMap), len(got.PrevKeyIdMap), len(request.Keys), len(request.PrevKeys))
	}
	for i, id := range got.KeyIdMap {
		one := got.RegionsById[id]
		if err := t.regionErrors(one.GetRegion(), one.GetLeader()); err != nil {
			return err
		}
		if one.Region.Id != id || !contains(one.Region, request.Keys[i]) {
			return fmt.Errorf("key %q has %v", request.Keys[i], one)
		}
	}
	for i, id := range got.PrevKeyIdMap {
		of, err := t.PD.GetPrevRegion(t.ctx, &pdpb.GetRegionRequest{Header: t.Header(), RegionKey: request.PrevKeys[i]})
		if err != nil || of.GetRegion().GetId() != id || got.RegionsById[id].GetRegion().GetId() != id {
			return fmt.Errorf("previous of %q: %d, alone %v %v", request.PrevKeys[i], id, of, err)
		}
	}
	for _, id := range request.Ids {
		known := id == t.Region.Id
		if one := got.RegionsById[id]; known != (one.GetRegion().GetId() == id) {
			return fmt.Errorf("id %d has %v", id, one)
		}
	}
	return nil
}
