package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/pingcap/kvproto/pkg/keyspacepb"
	"github.com/pingcap/kvproto/pkg/meta_storagepb"
	"github.com/pingcap/kvproto/pkg/metapb"
	"github.com/pingcap/kvproto/pkg/pdpb"
	"google.golang.org/grpc/codes"

	"tikv_fdw/test/compat/wire/internal/node"
)

// checkStoreSide calls what stores and their tools call.
func (t *tester) checkStoreSide() {
	t.checkConfig()
	t.checkReports()
	t.checkHeartbeats()
	t.checkSplits()
	t.checkGlobalConfig()
	t.checkMetaStorage()
	t.checkKeyspaceStates()
	t.checkGCV2()
	t.checkSafePointKey()
}

func (t *tester) checkConfig() {
	got, err := t.PD.GetClusterConfig(t.ctx, &pdpb.GetClusterConfigRequest{Header: t.Header()})
	t.Check("GetClusterConfig", first(t.well(got.GetHeader(), err), node.Expect(got.GetCluster().GetId() == t.ClusterID && got.Cluster.MaxPeerCount > 0, "got %v", got)))
	want := got.GetCluster().GetMaxPeerCount() + 1
	put, err := t.PD.PutClusterConfig(t.ctx, &pdpb.PutClusterConfigRequest{Header: t.Header(), Cluster: &metapb.Cluster{Id: t.ClusterID, MaxPeerCount: want}})
	t.Check("PutClusterConfig", t.well(put.GetHeader(), err))
	now, err := t.PD.GetClusterConfig(t.ctx, &pdpb.GetClusterConfigRequest{Header: t.Header()})
	t.Check("GetClusterConfig after it", first(t.well(now.GetHeader(), err), node.Expect(now.GetCluster().GetMaxPeerCount() == want, "got %v", now)))
	put, err = t.PD.PutClusterConfig(t.ctx, &pdpb.PutClusterConfigRequest{Header: t.Header(), Cluster: &metapb.Cluster{Id: t.ClusterID, MaxPeerCount: want - 1}})
	t.Check("PutClusterConfig back", t.well(put.GetHeader(), err))
	for what, cluster := range map[string]*metapb.Cluster{"nothing": nil, "another cluster": {Id: t.ClusterID + 1, MaxPeerCount: 3}} {
		put, err = t.PD.PutClusterConfig(t.ctx, &pdpb.PutClusterConfigRequest{Header: t.Header(), Cluster: cluster})
		t.Check("PutClusterConfig of "+what, t.refused(put.GetHeader(), err, pdpb.ErrorType_UNKNOWN))
	}
	zero, err := t.PD.PutClusterConfig(t.ctx, &pdpb.PutClusterConfigRequest{Header: t.Header(), Cluster: &metapb.Cluster{Id: t.ClusterID}})
	t.Check("PutClusterConfig of no peers", t.refused(zero.GetHeader(), err, pdpb.ErrorType_INVALID_VALUE))
}

func (t *tester) checkReports() {
	ok, err := t.PD.ReportMinResolvedTS(t.ctx, &pdpb.ReportMinResolvedTsRequest{Header: t.Header(), StoreId: t.Leader.StoreId, MinResolvedTs: 12345})
	t.Check("ReportMinResolvedTS", t.well(ok.GetHeader(), err))
	_, err = t.PD.ReportMinResolvedTS(t.ctx, &pdpb.ReportMinResolvedTsRequest{Header: t.Header(), StoreId: 987654321, MinResolvedTs: 1})
	t.Check("ReportMinResolvedTS of an unknown store", node.WantStatus(err, codes.Unknown, "not found"))

	version := uint64(time.Now().UnixNano())
	// As a transactional region has it: client-go decodes the bounds of buckets,
	// and what is reported here stays.
	bound := []byte("m\x00\x00\x00\x00\x00\x00\x00\xf8")
	stream, err := t.PD.ReportBuckets(t.ctx)
	if err == nil {
		err = stream.Send(&pdpb.ReportBucketsRequest{Header: t.Header(), RegionEpoch: t.Region.RegionEpoch,
			Buckets: &metapb.Buckets{RegionId: t.Region.Id, Version: version, Keys: [][]byte{{}, bound, {}}}})
	}
	if err == nil {
		err = stream.Send(&pdpb.ReportBucketsRequest{Header: t.Header(),
			Buckets: &metapb.Buckets{RegionId: t.Region.Id, Version: version - 1, Keys: [][]byte{{}, {}}}})
	}
	var last *pdpb.ReportBucketsResponse
	if err == nil {
		last, err = stream.CloseAndRecv()
	}
	t.Check("ReportBuckets", t.well(last.GetHeader(), err))
	region, err := t.PD.GetRegionByID(t.ctx, &pdpb.GetRegionByIDRequest{Header: t.Header(), RegionId: t.Region.Id, NeedBuckets: true})
	t.Check("GetRegionByID with buckets", first(t.well(region.GetHeader(), err),
		node.Expect(region.GetBuckets().GetVersion() == version && len(region.Buckets.Keys) == 3 && string(region.Buckets.Keys[1]) == string(bound), "got %v", region)))
	region, err = t.PD.GetRegionByID(t.ctx, &pdpb.GetRegionByIDRequest{Header: t.Header(), RegionId: t.Region.Id})
	t.Check("GetRegionByID without", first(t.well(region.GetHeader(), err), node.Expect(region.GetBuckets() == nil, "got %v", region)))
}

// checkHeartbeats: a stale one is told so, one of an unknown store ends the
// stream, a good one is silent.
func (t *tester) checkHeartbeats() {
	// PD's orders for the store go where it spoke last: not here for long.
	ctx, stop := context.WithCancel(t.ctx)
	defer stop()
	stream, err := t.PD.RegionHeartbeat(ctx)
	stale := &metapb.Region{Id: t.Region.Id, Peers: t.Region.Peers, RegionEpoch: &metapb.RegionEpoch{ConfVer: 0, Version: 0}}
	if err == nil {
		err = stream.Send(&pdpb.RegionHeartbeatRequest{Header: t.Header(), Region: t.Region, Leader: t.Leader})
	}
	if err == nil {
		err = stream.Send(&pdpb.RegionHeartbeatRequest{Header: t.Header(), Region: stale, Leader: t.Leader})
	}
	var got *pdpb.RegionHeartbeatResponse
	if err == nil {
		got, err = stream.Recv()
	}
	t.Check("RegionHeartbeat that is stale", first(t.refused(got.GetHeader(), err, pdpb.ErrorType_UNKNOWN),
		node.Expect(got.GetTargetPeer().GetId() == t.Leader.Id && got.RegionId == 0, "got %v", got)))
	if err == nil {
		err = stream.Send(&pdpb.RegionHeartbeatRequest{Header: t.Header(), Region: t.Region})
	}
	if err == nil {
		_, err = stream.Recv()
	}
	t.Check("RegionHeartbeat without a leader", node.WantStatus(err, codes.Unknown, "not found"))
	stream, err = t.PD.RegionHeartbeat(ctx)
	if err == nil {
		err = stream.CloseSend()
	}
	if err == nil {
		_, err = stream.Recv()
	}
	t.Check("RegionHeartbeat that ends", node.Expect(err == io.EOF, "got %v", err))
}

func (t *tester) checkSplits() {
	first0, err := t.PD.AllocID(t.ctx, &pdpb.AllocIDRequest{Header: t.Header(), Count: 10})
	t.Check("AllocID of ten", first(t.well(first0.GetHeader(), err), node.Expect(first0.GetCount() == 10, "got %v", first0)))
	next, err := t.PD.AllocID(t.ctx, &pdpb.AllocIDRequest{Header: t.Header()})
	t.Check("AllocID of the next", first(t.well(next.GetHeader(), err), node.Expect(next.GetId() == first0.GetId()+1, "%v after %v", next, first0)))

	done, err := t.PD.SplitRegions(t.ctx, &pdpb.SplitRegionsRequest{Header: t.Header(), SplitKeys: [][]byte{t.Region.StartKey}})
	t.Check("SplitRegions at a bound", first(t.well(done.GetHeader(), err), node.Expect(done.GetFinishedPercentage() == 100 && len(done.RegionsId) == 1, "got %v", done)))
	t.checkOrderedSplits()
}

// encoded is a key of transactions as a region's bound, above those of other checks.
func encoded(key string) []byte {
	out := []byte{}
	for b := []byte("\xfe\xfe" + key); ; b = b[8:] {
		if len(b) < 8 {
			pad := 8 - len(b)
			return append(append(append(out, b...), make([]byte, pad)...), byte(0xff-pad))
		}
		out = append(append(out, b[:8]...), 0xff)
	}
}

// checkOrderedSplits: PD has leaders split their regions and waits for it.
func (t *tester) checkOrderedSplits() {
	name := fmt.Sprintf("%d", time.Now().UnixNano())
	keys := [][]byte{encoded(name + "c"), encoded(name + "a"), encoded(name + "b"), encoded(name + "a")}
	begins := func(id uint64, key []byte) error {
		got, err := t.PD.GetRegionByID(t.ctx, &pdpb.GetRegionByIDRequest{Header: t.Header(), RegionId: id})
		return first(t.well(got.GetHeader(), err), node.Expect(string(got.GetRegion().GetStartKey()) == string(key), "got %v", got))
	}
	done, err := t.PD.SplitRegions(t.ctx, &pdpb.SplitRegionsRequest{Header: t.Header(), SplitKeys: keys, RetryLimit: 1})
	t.Check("SplitRegions", first(t.well(done.GetHeader(), err), node.Expect(done.GetFinishedPercentage() == 100 && len(done.GetRegionsId()) == 3, "got %v", done)))
	for i, at := range []int{1, 2, 0} {
		if len(done.GetRegionsId()) == 3 {
			t.Check(fmt.Sprintf("SplitRegions: region %d", i), begins(done.RegionsId[i], keys[at]))
		}
	}
	long := make([]byte, 11<<10)
	for i := range long {
		long[i] = 0xff
	}
	short, stop := context.WithTimeout(t.ctx, time.Second)
	_, err = t.PD.SplitRegions(short, &pdpb.SplitRegionsRequest{Header: t.Header(), SplitKeys: [][]byte{long}})
	t.Check("SplitRegions at what cannot be a bound", node.WantStatus(err, codes.DeadlineExceeded, ""))
	stop()
	none, err := t.PD.SplitRegions(t.ctx, &pdpb.SplitRegionsRequest{Header: t.Header()})
	t.Check("SplitRegions at nothing", first(t.well(none.GetHeader(), err), node.Expect(none.GetFinishedPercentage() == 0 && len(none.GetRegionsId()) == 0, "got %v", none)))

	both, err := t.PD.SplitAndScatterRegions(t.ctx, &pdpb.SplitAndScatterRegionsRequest{Header: t.Header(), SplitKeys: [][]byte{encoded(name + "d")}, Group: "compat", RetryLimit: 5})
	t.Check("SplitAndScatterRegions", first(t.well(both.GetHeader(), err), node.Expect(both.GetSplitFinishedPercentage() == 100 &&
		both.GetScatterFinishedPercentage() == 100 && len(both.GetRegionsId()) == 1, "got %v", both)))
	if len(both.GetRegionsId()) == 1 {
		t.Check("SplitAndScatterRegions: its region", begins(both.RegionsId[0], encoded(name+"d")))
	}
}

func (t *tester) checkGlobalConfig() {
	path := fmt.Sprintf("/global/config/compat%d", time.Now().UnixNano())
	stream, err := t.PD.WatchGlobalConfig(t.ctx, &pdpb.WatchGlobalConfigRequest{ConfigPath: path})
	t.Check("WatchGlobalConfig", err)
	stored := &pdpb.StoreGlobalConfigRequest{ConfigPath: path, Changes: []*pdpb.GlobalConfigItem{
		{Name: "a", Value: "1"}, {Name: "b", Payload: []byte{0xFF}}, {Name: "b/c", Payload: []byte("3")}}}
	// The watch has begun when a change made after it is heard of.
	var got *pdpb.WatchGlobalConfigResponse
	came := make(chan error, 1)
	go func() {
		var err error
		got, err = stream.Recv()
		came <- err
	}()
	var put *pdpb.StoreGlobalConfigResponse
	for i := 0; ; i++ {
		put, err = t.PD.StoreGlobalConfig(t.ctx, stored)
		if err != nil || i > 100 {
			break
		}
		select {
		case err = <-came:
		case <-time.After(100 * time.Millisecond):
			continue
		}
		break
	}
	t.Check("StoreGlobalConfig", first(err, node.Expect(put.GetError() == nil, "got %v", put)))
	t.Check("WatchGlobalConfig hears of it", node.Expect(len(got.GetChanges()) == 3 && got.Changes[0].Name == path+"/a" && string(got.Changes[0].Payload) == "1" && got.Revision > 0, "got %v", got))
	named, err := t.PD.LoadGlobalConfig(t.ctx, &pdpb.LoadGlobalConfigRequest{ConfigPath: path, Names: []string{"a", "none"}})
	t.Check("LoadGlobalConfig by name", first(err, node.Expect(len(named.GetItems()) == 2 && string(named.Items[0].Payload) == "1" &&
		named.Items[1].Error.GetType() == pdpb.ErrorType_GLOBAL_CONFIG_NOT_FOUND, "got %v", named)))
	all, err := t.PD.LoadGlobalConfig(t.ctx, &pdpb.LoadGlobalConfigRequest{ConfigPath: path})
	t.Check("LoadGlobalConfig", first(err, node.Expect(len(all.GetItems()) == 3 && all.Items[0].Name == path+"/a" && all.Revision > 0, "got %v", all)))
	past, err := t.PD.WatchGlobalConfig(t.ctx, &pdpb.WatchGlobalConfigRequest{ConfigPath: path, Revision: all.GetRevision()})
	if err == nil {
		got, err = past.Recv()
	}
	t.Check("WatchGlobalConfig from the past", first(err, node.Expect(len(got.GetChanges()) > 0, "got %v", got)))
	old, err := t.PD.WatchGlobalConfig(t.ctx, &pdpb.WatchGlobalConfigRequest{ConfigPath: path, Revision: 1})
	if err == nil {
		got, err = old.Recv()
	}
	t.Check("WatchGlobalConfig from what is forgotten", t.refused(got.GetHeader(), err, pdpb.ErrorType_DATA_COMPACTED))
	for _, item := range []string{"a", "b", "b/c"} {
		_, err = t.PD.StoreGlobalConfig(t.ctx, &pdpb.StoreGlobalConfigRequest{ConfigPath: path, Changes: []*pdpb.GlobalConfigItem{{Name: item, Kind: pdpb.EventType_DELETE}}})
		t.Check("StoreGlobalConfig removes", err)
	}
	_, err = t.PD.StoreGlobalConfig(t.ctx, &pdpb.StoreGlobalConfigRequest{ConfigPath: "/elsewhere", Changes: stored.Changes})
	t.Check("StoreGlobalConfig elsewhere", node.WantStatus(err, codes.InvalidArgument, "/global/config"))
}

func (t *tester) checkMetaStorage() {
	client := meta_storagepb.NewMetaStorageClient(t.PDConn)
	key := []byte(fmt.Sprintf("compat-meta/%d", time.Now().UnixNano()))
	put, err := client.Put(t.ctx, &meta_storagepb.PutRequest{Key: key, Value: []byte("v"), PrevKv: true})
	t.Check("MetaStorage.Put", first(err, node.Expect(put.GetHeader().GetError() == nil && put.Header.Revision > 0 && put.PrevKv == nil, "got %v", put)))
	got, err := client.Get(t.ctx, &meta_storagepb.GetRequest{Key: key})
	t.Check("MetaStorage.Get", first(err, node.Expect(len(got.GetKvs()) == 1 && string(got.Kvs[0].Value) == "v" && got.Count == 1, "got %v", got)))
	stream, err := client.Watch(t.ctx, &meta_storagepb.WatchRequest{Key: key, StartRevision: put.GetHeader().GetRevision()})
	var event *meta_storagepb.WatchResponse
	if err == nil {
		event, err = stream.Recv()
	}
	t.Check("MetaStorage.Watch", first(err, node.Expect(len(event.GetEvents()) == 1 && event.Events[0].Type == meta_storagepb.Event_PUT, "got %v", event)))
	gone, err := client.Delete(t.ctx, &meta_storagepb.DeleteRequest{Key: key, PrevKv: true})
	t.Check("MetaStorage.Delete", first(err, node.Expect(gone.GetDeleted() == 1 && len(gone.PrevKvs) == 1, "got %v", gone)))
	if err == nil {
		event, err = stream.Recv()
	}
	t.Check("MetaStorage.Watch hears of it", first(err, node.Expect(len(event.GetEvents()) == 1 && event.Events[0].Type == meta_storagepb.Event_DELETE, "got %v", event)))
	bad, err := client.Put(t.ctx, &meta_storagepb.PutRequest{Value: []byte("v")})
	t.Check("MetaStorage.Put without a key", first(err, node.Expect(bad.GetHeader().GetError() != nil, "got %v", bad)))
	old, err := client.Get(t.ctx, &meta_storagepb.GetRequest{Key: key, Revision: 1})
	t.Check("MetaStorage.Get of an old revision", first(err, node.Expect(old.GetHeader().GetError() != nil, "got %v", old)))
}

// checkKeyspaceStates needs a keyspace besides DEFAULT; pdhttp makes them.
func (t *tester) checkKeyspaceStates() {
	client := keyspacepb.NewKeyspaceClient(t.PDConn)
	stream, err := client.WatchKeyspaces(t.ctx, &keyspacepb.WatchKeyspacesRequest{Header: t.Header()})
	var got *keyspacepb.WatchKeyspacesResponse
	if err == nil {
		got, err = stream.Recv()
	}
	t.Check("WatchKeyspaces", first(t.well(got.GetHeader(), err), node.Expect(len(got.GetKeyspaces()) > 0 && got.Keyspaces[0].Name == "DEFAULT", "got %v", got)))
	found, err := client.LookupKeyspace(t.ctx, &keyspacepb.LookupKeyspaceRequest{Header: t.Header(), Name: "DEFAULT"})
	t.Check("LookupKeyspace", first(t.well(found.GetHeader(), err), node.Expect(len(found.GetKeyspaces()) == 1, "got %v", found)))
	none, err := client.LookupKeyspace(t.ctx, &keyspacepb.LookupKeyspaceRequest{Header: t.Header(), Name: "none"})
	t.Check("LookupKeyspace of none", first(t.well(none.GetHeader(), err), node.Expect(len(none.GetKeyspaces()) == 0, "got %v", none)))
	set := func(id uint32, state keyspacepb.KeyspaceState) (*keyspacepb.UpdateKeyspaceStateResponse, error) {
		return client.UpdateKeyspaceState(t.ctx, &keyspacepb.UpdateKeyspaceStateRequest{Header: t.Header(),
			Keyspace: &keyspacepb.UpdateKeyspaceStateRequest_Id{Id: id}, State: state})
	}
	fixed, err := set(0, keyspacepb.KeyspaceState_DISABLED)
	t.Check("UpdateKeyspaceState of DEFAULT", t.refused(fixed.GetHeader(), err, pdpb.ErrorType_UNKNOWN))
	unknown, err := set(0xFFFFF0, keyspacepb.KeyspaceState_DISABLED)
	t.Check("UpdateKeyspaceState of none", t.refused(unknown.GetHeader(), err, pdpb.ErrorType_ENTRY_NOT_FOUND))

	name := fmt.Sprintf("c%d", time.Now().UnixNano()%1e15)
	id, err := t.createKeyspace(name)
	t.Check("a keyspace over HTTP", err)
	if err != nil {
		return
	}
	got, err = stream.Recv()
	t.Check("WatchKeyspaces hears of it", first(t.well(got.GetHeader(), err), node.Expect(len(got.GetKeyspaces()) == 1 && got.Keyspaces[0].Name == name && got.Keyspaces[0].GetId() == id, "got %v", got)))
	byName, err := client.LoadKeyspace(t.ctx, &keyspacepb.LoadKeyspaceRequest{Header: t.Header(), Name: name})
	t.Check("LoadKeyspace of it", first(t.well(byName.GetHeader(), err), node.Expect(byName.GetKeyspace().GetId() == id, "got %v", byName)))
	did, err := set(id, keyspacepb.KeyspaceState_DISABLED)
	t.Check("UpdateKeyspaceState", first(t.well(did.GetHeader(), err), node.Expect(did.GetKeyspace().GetState() == keyspacepb.KeyspaceState_DISABLED, "got %v", did)))
	got, err = stream.Recv()
	t.Check("WatchKeyspaces hears of that", first(t.well(got.GetHeader(), err), node.Expect(len(got.GetKeyspaces()) == 1 && got.Keyspaces[0].State == keyspacepb.KeyspaceState_DISABLED, "got %v", got)))
	bad, err := set(id, keyspacepb.KeyspaceState_TOMBSTONE)
	t.Check("UpdateKeyspaceState by a step too many", t.refused(bad.GetHeader(), err, pdpb.ErrorType_UNKNOWN))
}

// checkGCV2: as those of the null keyspace these methods move the one state, in the
// name of another they only hold it back.
func (t *tester) checkGCV2() {
	state := t.gcState("for the methods by keyspace")
	point, err := t.PD.GetGCSafePointV2(t.ctx, &pdpb.GetGCSafePointV2Request{Header: t.Header(), Keyspace: &pdpb.GetGCSafePointV2Request_KeyspaceId{KeyspaceId: 0}})
	t.Check("GetGCSafePointV2 of a keyspace", t.refused(point.GetHeader(), err, pdpb.ErrorType_UNKNOWN))
	point, err = t.PD.GetGCSafePointV2(t.ctx, &pdpb.GetGCSafePointV2Request{Header: t.Header(), Keyspace: &pdpb.GetGCSafePointV2Request_KeyspaceId{KeyspaceId: nullKeyspace}})
	t.Check("GetGCSafePointV2", first(t.well(point.GetHeader(), err), node.Expect(point.GetSafePoint() == state.GcSafePoint, "got %v", point)))
	point, err = t.PD.GetGCSafePointV2(t.ctx, &pdpb.GetGCSafePointV2Request{Header: t.Header(), Keyspace: &pdpb.GetGCSafePointV2Request_KeyspaceId{KeyspaceId: noKeyspace}})
	t.Check("GetGCSafePointV2 of no known keyspace", t.refused(point.GetHeader(), err, pdpb.ErrorType_UNKNOWN))
	t.checkGCV2Drivers(state)
	target := state.TxnSafePoint + 2
	moved, err := t.PD.UpdateGCSafePointV2(t.ctx, &pdpb.UpdateGCSafePointV2Request{Header: t.Header(), SafePoint: target})
	t.Check("UpdateGCSafePointV2", first(t.well(moved.GetHeader(), err), node.Expect(moved.GetNewSafePoint() == target, "got %v, want %d", moved, target)))
	t.Check("which moves both points", node.Expect(t.gcState("after it").GcSafePoint == target, "it does not"))
	held, err := t.PD.UpdateServiceSafePointV2(t.ctx, &pdpb.UpdateServiceSafePointV2Request{Header: t.Header(), ServiceId: []byte("compat-v2"), SafePoint: target + 5, Ttl: 60,
		Keyspace: &pdpb.UpdateServiceSafePointV2Request_KeyspaceId{KeyspaceId: 0}})
	t.Check("UpdateServiceSafePointV2", first(t.well(held.GetHeader(), err), node.Expect(held.GetMinSafePoint() <= target+5, "got %v", held)))
	t.Check("which is a barrier", node.Expect(hasBarrier(t.gcState("with it"), "compat-v2", target+5), "it is not"))
	_, err = t.PD.UpdateServiceSafePointV2(t.ctx, &pdpb.UpdateServiceSafePointV2Request{Header: t.Header(), ServiceId: []byte("compat-v2")})
	t.Check("UpdateServiceSafePointV2 without time", err)
	t.Check("which is none any more", node.Expect(!hasBarrier(t.gcState("without it"), "compat-v2", target+5), "it is"))
	all, err := t.PD.GetAllGCSafePointV2(t.ctx, &pdpb.GetAllGCSafePointV2Request{Header: t.Header()})
	t.Check("GetAllGCSafePointV2", first(t.well(all.GetHeader(), err), node.Expect(len(all.GetGcSafePoints()) > 0 && all.GcSafePoints[0].GcSafePoint == 0, "got %v", all)))
}

// checkGCV2Drivers: what would collect all keyspaces in the name of one.
func (t *tester) checkGCV2Drivers(state *pdpb.GCState) {
	for what, id := range map[string]uint32{"a keyspace": 0, "no known keyspace": noKeyspace} {
		moved, err := t.PD.UpdateGCSafePointV2(t.ctx, &pdpb.UpdateGCSafePointV2Request{Header: t.Header(), SafePoint: state.TxnSafePoint + 1,
			Keyspace: &pdpb.UpdateGCSafePointV2Request_KeyspaceId{KeyspaceId: id}})
		t.Check("UpdateGCSafePointV2 of "+what, t.refused(moved.GetHeader(), err, pdpb.ErrorType_UNKNOWN))
		worker, err := t.PD.UpdateServiceSafePointV2(t.ctx, &pdpb.UpdateServiceSafePointV2Request{Header: t.Header(), ServiceId: []byte("gc_worker"), SafePoint: state.TxnSafePoint + 1, Ttl: math.MaxInt64,
			Keyspace: &pdpb.UpdateServiceSafePointV2Request_KeyspaceId{KeyspaceId: id}})
		t.Check("UpdateServiceSafePointV2 of the GC worker of "+what, t.refused(worker.GetHeader(), err, pdpb.ErrorType_UNKNOWN))
	}
	after := t.gcState("after these")
	t.Check("both points stayed where they were", node.Expect(after.TxnSafePoint == state.TxnSafePoint && after.GcSafePoint == state.GcSafePoint, "got %v, want %v", after, state))
}
