package main

import (
	"context"
	"fmt"
	"time"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/pdpb"
	"github.com/pingcap/kvproto/pkg/tikvpb"

	"tikv_fdw/test/compat/wire/internal/node"
)

// A sleeper has a stream open, says nothing on it for long, not even a ping,
// and then uses it again.
type sleeper struct {
	what string
	open func(ctx context.Context, n *node.Node) (use func() error, err error)
}

var sleepers = []sleeper{
	{"BatchCommands", openBatch},
	{"Tso", openTso},
	{"QueryRegion", openQuery},
}

// sleep uses the stream, leaves it alone for so long, and uses it again.
func (s sleeper) sleep(n *node.Node, quiet time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), quiet+time.Minute)
	defer cancel()
	use, err := s.open(ctx, n)
	if err != nil {
		return err
	}
	if err = use(); err != nil {
		return fmt.Errorf("at first: %w", err)
	}
	time.Sleep(quiet)
	if err = use(); err != nil {
		return fmt.Errorf("after %v: %w", quiet, err)
	}
	return nil
}

func openBatch(ctx context.Context, n *node.Node) (func() error, error) {
	stream, err := n.KV.BatchCommands(ctx)
	id := uint64(0)
	return func() error {
		id++
		get := &kvrpcpb.RawGetRequest{Context: n.Context(), Key: []byte("compat/idle/none")}
		err := stream.Send(&tikvpb.BatchCommandsRequest{RequestIds: []uint64{id},
			Requests: []*tikvpb.BatchCommandsRequest_Request{{
				Cmd: &tikvpb.BatchCommandsRequest_Request_RawGet{RawGet: get}}}})
		if err != nil {
			return err
		}
		got, err := stream.Recv()
		if err != nil {
			return err
		}
		return node.Expect(len(got.RequestIds) == 1 && got.RequestIds[0] == id &&
			got.Responses[0].GetRawGet().GetNotFound(), "got %v", got)
	}, err
}

func openTso(ctx context.Context, n *node.Node) (func() error, error) {
	stream, err := n.PD.Tso(ctx)
	last := int64(0)
	return func() error {
		if err := stream.Send(&pdpb.TsoRequest{Header: n.Header(), Count: 1}); err != nil {
			return err
		}
		got, err := stream.Recv()
		if err != nil {
			return err
		}
		before := last
		last = got.GetTimestamp().GetPhysical()<<18 | got.GetTimestamp().GetLogical()
		return node.Expect(last > before, "%d after %d", last, before)
	}, err
}

func openQuery(ctx context.Context, n *node.Node) (func() error, error) {
	stream, err := n.PD.QueryRegion(ctx)
	return func() error {
		err := stream.Send(&pdpb.QueryRegionRequest{Header: n.Header(), Ids: []uint64{n.Region.Id}})
		if err != nil {
			return err
		}
		got, err := stream.Recv()
		if err != nil {
			return err
		}
		return node.Expect(got.GetRegionsById()[n.Region.Id].GetRegion() != nil, "got %v", got)
	}, err
}
