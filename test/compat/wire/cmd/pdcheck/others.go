package main

import (
	"context"
	"fmt"

	"github.com/pingcap/kvproto/pkg/keyspacepb"
	"github.com/pingcap/kvproto/pkg/meta_storagepb"
	"github.com/pingcap/kvproto/pkg/pdpb"
	"google.golang.org/grpc/codes"

	"tikv_fdw/test/compat/wire/internal/node"
)

func (t *tester) checkOthers() {
	t.checkKeyspaces()
	t.checkScheduling()

	got, err := meta_storagepb.NewMetaStorageClient(t.PDConn).Get(t.ctx, &meta_storagepb.GetRequest{
		Key: []byte(fmt.Sprintf("/ms/%d/router/registry/", t.ClusterID)), RangeEnd: []byte("/ms0")})
	t.Check("MetaStorage.Get", first(err, node.Expect(got.GetHeader() != nil && got.Header.Error == nil && len(got.Kvs) == 0, "got %v", got)))

	old, err := t.PD.GetExternalTimestamp(t.ctx, &pdpb.GetExternalTimestampRequest{Header: t.Header()})
	t.Check("GetExternalTimestamp", t.well(old.GetHeader(), err))
	set, err := t.PD.SetExternalTimestamp(t.ctx, &pdpb.SetExternalTimestampRequest{Header: t.Header(), Timestamp: old.GetTimestamp() + 1})
	t.Check("SetExternalTimestamp", t.well(set.GetHeader(), err))
	now, err := t.PD.GetExternalTimestamp(t.ctx, &pdpb.GetExternalTimestampRequest{Header: t.Header()})
	t.Check("GetExternalTimestamp after it", first(t.well(now.GetHeader(), err), node.Expect(now.GetTimestamp() == old.GetTimestamp()+1, "got %v", now)))
	future, err := t.PD.SetExternalTimestamp(t.ctx, &pdpb.SetExternalTimestampRequest{Header: t.Header(), Timestamp: 1 << 63})
	t.Check("SetExternalTimestamp in the future", node.Expect(err != nil || future.GetHeader().GetError() != nil, "got %v", future))
}

func (t *tester) checkKeyspaces() {
	client := keyspacepb.NewKeyspaceClient(t.PDConn)
	byName, err := client.LoadKeyspace(t.ctx, &keyspacepb.LoadKeyspaceRequest{Header: t.Header(), Name: "DEFAULT"})
	t.Check("LoadKeyspace", first(t.well(byName.GetHeader(), err), defaultErrors(byName.GetKeyspace())))
	unknown, err := client.LoadKeyspace(t.ctx, &keyspacepb.LoadKeyspaceRequest{Header: t.Header(), Name: "no such keyspace"})
	t.Check("LoadKeyspace of an unknown one", t.refused(unknown.GetHeader(), err, pdpb.ErrorType_ENTRY_NOT_FOUND))
	byID, err := client.LoadKeyspaceByID(t.ctx, &keyspacepb.LoadKeyspaceByIDRequest{Header: t.Header(),
		Keyspace: &keyspacepb.LoadKeyspaceByIDRequest_Id{Id: 0}})
	t.Check("LoadKeyspaceByID", first(t.well(byID.GetHeader(), err), defaultErrors(byID.GetKeyspace())))
	all, err := client.GetAllKeyspaces(t.ctx, &keyspacepb.GetAllKeyspacesRequest{Header: t.Header(), Limit: 100})
	err = first(t.well(all.GetHeader(), err), node.Expect(len(all.GetKeyspaces()) > 0, "none"))
	if err == nil {
		err = defaultErrors(all.Keyspaces[0])
	}
	t.Check("GetAllKeyspaces", err)
}

// defaultErrors: the number has to be set in its oneof, or clients see none.
func defaultErrors(keyspace *keyspacepb.KeyspaceMeta) error {
	id, ok := keyspace.GetKeyspace().(*keyspacepb.KeyspaceMeta_Id)
	return node.Expect(ok && id.Id == 0 && keyspace.Name == "DEFAULT" && keyspace.State == keyspacepb.KeyspaceState_ENABLED,
		"got %v", keyspace)
}

// checkScheduling: clients that split and scatter want to hear that it is done.
func (t *tester) checkScheduling() {
	done, err := t.PD.ScatterRegion(t.ctx, &pdpb.ScatterRegionRequest{Header: t.Header(), RegionsId: []uint64{t.Region.Id}, RetryLimit: 3})
	t.Check("ScatterRegion", first(t.well(done.GetHeader(), err),
		node.Expect(done.GetFinishedPercentage() == 100 && len(done.GetFailedRegionsId()) == 0, "got %v", done)))
	some, err := t.PD.ScatterRegion(t.ctx, &pdpb.ScatterRegionRequest{Header: t.Header(), RegionsId: []uint64{t.Region.Id, 987654321}})
	t.Check("ScatterRegion of one that is not", first(t.well(some.GetHeader(), err),
		node.Expect(some.GetFinishedPercentage() == 50 && len(some.GetFailedRegionsId()) == 1 && some.FailedRegionsId[0] == 987654321, "got %v", some)))
	old, err := t.PD.ScatterRegion(t.ctx, &pdpb.ScatterRegionRequest{Header: t.Header(), RegionId: t.Region.Id})
	t.Check("ScatterRegion by one id", first(t.well(old.GetHeader(), err), node.Expect(old.GetFinishedPercentage() == 100, "got %v", old)))
	not, err := t.PD.ScatterRegion(t.ctx, &pdpb.ScatterRegionRequest{Header: t.Header(), RegionId: 987654321})
	t.Check("ScatterRegion by an unknown id", t.refused(not.GetHeader(), err, pdpb.ErrorType_REGION_NOT_FOUND))
	none, err := t.PD.GetOperator(t.ctx, &pdpb.GetOperatorRequest{Header: t.Header(), RegionId: t.Region.Id})
	t.Check("GetOperator", first(t.refused(none.GetHeader(), err, pdpb.ErrorType_REGION_NOT_FOUND),
		node.Expect(none.GetHeader().GetError().GetMessage() == "Not Found", "got %v", none)))
}

// checkClusterID asks with another cluster's id.
func (t *tester) checkClusterID() {
	wrong := &pdpb.RequestHeader{ClusterId: t.ClusterID + 1}
	calls := map[string]func(context.Context) error{
		"GetRegion": func(ctx context.Context) error {
			_, err := t.PD.GetRegion(ctx, &pdpb.GetRegionRequest{Header: wrong})
			return err
		},
		"GetPrevRegion": func(ctx context.Context) error {
			_, err := t.PD.GetPrevRegion(ctx, &pdpb.GetRegionRequest{Header: wrong})
			return err
		},
		"GetRegionByID": func(ctx context.Context) error {
			_, err := t.PD.GetRegionByID(ctx, &pdpb.GetRegionByIDRequest{Header: wrong, RegionId: t.Region.Id})
			return err
		},
		"ScanRegions": func(ctx context.Context) error {
			_, err := t.PD.ScanRegions(ctx, &pdpb.ScanRegionsRequest{Header: wrong})
			return err
		},
		"BatchScanRegions": func(ctx context.Context) error {
			_, err := t.PD.BatchScanRegions(ctx, &pdpb.BatchScanRegionsRequest{Header: wrong})
			return err
		},
		"GetStore": func(ctx context.Context) error {
			_, err := t.PD.GetStore(ctx, &pdpb.GetStoreRequest{Header: wrong, StoreId: t.Leader.StoreId})
			return err
		},
		"GetAllStores": func(ctx context.Context) error {
			_, err := t.PD.GetAllStores(ctx, &pdpb.GetAllStoresRequest{Header: wrong})
			return err
		},
		"GetGCState": func(ctx context.Context) error {
			_, err := t.PD.GetGCState(ctx, &pdpb.GetGCStateRequest{Header: wrong})
			return err
		},
		"AllocID": func(ctx context.Context) error {
			_, err := t.PD.AllocID(ctx, &pdpb.AllocIDRequest{Header: wrong, Count: 1})
			return err
		},
		"LoadKeyspace": func(ctx context.Context) error {
			_, err := keyspacepb.NewKeyspaceClient(t.PDConn).LoadKeyspace(ctx, &keyspacepb.LoadKeyspaceRequest{Header: wrong, Name: "DEFAULT"})
			return err
		},
		"QueryRegion": func(ctx context.Context) error {
			stream, err := t.PD.QueryRegion(ctx)
			if err == nil {
				err = stream.Send(&pdpb.QueryRegionRequest{Header: wrong, Keys: someKeys})
			}
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		},
	}
	for name, call := range calls {
		t.Check("wrong cluster, "+name, node.WantStatus(call(t.ctx), codes.FailedPrecondition, "mismatch cluster id"))
	}
}
