package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/metapb"
	"github.com/pingcap/kvproto/pkg/pdpb"
	"github.com/pingcap/kvproto/pkg/tikvpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// client speaks the protocol plainly: no retries, so that each outcome is
// known or known to be unknown.
type client struct {
	pdConn, storeConn *grpc.ClientConn
	pd                pdpb.PDClient
	kv                tikvpb.TikvClient
	clusterID         uint64
	context           *kvrpcpb.Context
}

func dial(ctx context.Context, pdAddress string) (*client, error) {
	c := &client{}
	var err error

	if c.pdConn, err = open(pdAddress); err != nil {
		return nil, err
	}
	c.pd = pdpb.NewPDClient(c.pdConn)
	members, err := c.pd.GetMembers(ctx, &pdpb.GetMembersRequest{})
	if err != nil {
		return nil, fmt.Errorf("GetMembers: %w", err)
	}
	c.clusterID = members.GetHeader().GetClusterId()
	region, err := c.pd.GetRegion(ctx, &pdpb.GetRegionRequest{Header: c.header(), RegionKey: []byte("crash/")})
	if err != nil {
		return nil, fmt.Errorf("GetRegion: %w", err)
	}
	if region.GetRegion() == nil || region.GetLeader() == nil {
		return nil, errors.New("GetRegion: no region or no leader")
	}
	return c, c.openStore(ctx, region)
}

func (c *client) openStore(ctx context.Context, region *pdpb.GetRegionResponse) error {
	store, err := c.pd.GetStore(ctx, &pdpb.GetStoreRequest{Header: c.header(), StoreId: region.Leader.StoreId})
	if err != nil {
		return fmt.Errorf("GetStore: %w", err)
	}
	if c.storeConn, err = open(store.GetStore().GetAddress()); err != nil {
		return err
	}
	c.kv = tikvpb.NewTikvClient(c.storeConn)
	c.context = &kvrpcpb.Context{
		RegionId:    region.Region.Id,
		RegionEpoch: region.Region.RegionEpoch,
		Peer:        &metapb.Peer{Id: region.Leader.Id, StoreId: region.Leader.StoreId},
	}
	return nil
}

func open(address string) (*grpc.ClientConn, error) {
	return grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDisableRetry())
}

func (c *client) close() {
	if c.storeConn != nil {
		c.storeConn.Close()
	}
	c.pdConn.Close()
}

func (c *client) header() *pdpb.RequestHeader {
	return &pdpb.RequestHeader{ClusterId: c.clusterID}
}

// answer turns the two kinds of errors in a response into one.
func answer(err error, regionError fmt.Stringer, hasRegionError bool, text string) error {
	switch {
	case err != nil:
		return err
	case hasRegionError:
		return fmt.Errorf("region error: %s", regionError)
	case text != "":
		return errors.New(text)
	}
	return nil
}

func (c *client) put(ctx context.Context, key string, value []byte) error {
	r, err := c.kv.RawPut(ctx, &kvrpcpb.RawPutRequest{Context: c.context, Key: []byte(key), Value: value})
	return answer(err, r.GetRegionError(), r.GetRegionError() != nil, r.GetError())
}

func (c *client) remove(ctx context.Context, key string) error {
	r, err := c.kv.RawDelete(ctx, &kvrpcpb.RawDeleteRequest{Context: c.context, Key: []byte(key)})
	return answer(err, r.GetRegionError(), r.GetRegionError() != nil, r.GetError())
}

func (c *client) batchPut(ctx context.Context, keys []string, value []byte) error {
	var pairs []*kvrpcpb.KvPair
	for _, key := range keys {
		pairs = append(pairs, &kvrpcpb.KvPair{Key: []byte(key), Value: value})
	}
	r, err := c.kv.RawBatchPut(ctx, &kvrpcpb.RawBatchPutRequest{Context: c.context, Pairs: pairs})
	return answer(err, r.GetRegionError(), r.GetRegionError() != nil, r.GetError())
}

func (c *client) get(ctx context.Context, key string) (value []byte, present bool, err error) {
	r, err := c.kv.RawGet(ctx, &kvrpcpb.RawGetRequest{Context: c.context, Key: []byte(key)})
	err = answer(err, r.GetRegionError(), r.GetRegionError() != nil, r.GetError())
	return r.GetValue(), err == nil && !r.GetNotFound(), err
}

// timestamps asks one stream for timestamps until it breaks; only an order
// that is wrong is an error.
func (c *client) timestamps(ctx context.Context, h *history, limit int) error {
	stream, err := c.pd.Tso(ctx)
	if err != nil {
		return nil
	}
	for i := 0; i < limit; i++ {
		count := uint32(1 + i%10)
		if stream.Send(&pdpb.TsoRequest{Header: c.header(), Count: count}) != nil {
			return nil
		}
		r, err := stream.Recv()
		if err != nil {
			return nil
		}
		last := uint64(r.Timestamp.Physical)<<18 + uint64(r.Timestamp.Logical)
		if r.Count != count {
			return fmt.Errorf("asked for %d timestamps, got %d", count, r.Count)
		}
		if err := h.timestamp(last-uint64(count)+1, last); err != nil {
			return err
		}
	}
	return nil
}

// oneTimestamp fails, unlike timestamps, if there is none.
func (c *client) oneTimestamp(ctx context.Context, h *history) error {
	before := h.timestamps
	if err := c.timestamps(ctx, h, 1); err != nil {
		return err
	}
	if h.timestamps == before {
		return errors.New("no timestamp after the restart")
	}
	return nil
}
