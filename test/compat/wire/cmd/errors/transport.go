package main

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/pdpb"
	"github.com/pingcap/kvproto/pkg/tikvpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"tikv_fdw/test/compat/wire/internal/h2"
	"tikv_fdw/test/compat/wire/internal/node"
)

// grpc-status of a deadline that is over.
const deadlineExceeded = "4"

func (t *tester) checkTransport() {
	t.checkUnknown()
	t.checkDeadline()
	t.checkCancel()
	t.checkForms()
	t.checkLarge()
	t.checkStreams()
}

// checkLarge sends messages that almost have the size that is still taken.
func (t *tester) checkLarge() {
	ctx, cancel := context.WithTimeout(t.ctx, callTimeout)
	defer cancel()
	got, err := t.KV.RawPut(ctx, &kvrpcpb.RawPutRequest{Context: t.Context(), Key: []byte(t.prefix + "large"),
		Value: make([]byte, 60<<20)})
	if err == nil {
		err = node.Expect(got.GetRegionError().GetRaftEntryTooLarge().GetEntrySize() >= 60<<20, "%v", got)
	}
	t.Check("a message of 60 MiB at the store", err)
	region, err := pdpb.NewPDClient(t.PDConn).GetRegion(ctx, &pdpb.GetRegionRequest{
		Header: t.Header(), RegionKey: bytes.Repeat([]byte{'k'}, 145<<20)})
	if err == nil {
		err = node.Expect(region.GetRegion() != nil && region.Header.Error == nil, "%v", region)
	}
	t.Check("a message of 145 MiB at PD", err)
}

// manyStreams are more than a connection must be able to hold.
const manyStreams = 1100

// checkStreams has many streams of one connection open at once, all answered.
func (t *tester) checkStreams() {
	ctx, cancel := context.WithTimeout(t.ctx, 2*callTimeout)
	defer cancel()
	err := func() error {
		var streams []tikvpb.Tikv_BatchCommandsClient
		for i := 0; i < manyStreams; i++ {
			stream, err := t.KV.BatchCommands(ctx)
			if err != nil {
				return err
			}
			streams = append(streams, stream)
		}
		for i, stream := range streams {
			if err := stream.Send(&tikvpb.BatchCommandsRequest{RequestIds: []uint64{uint64(i)},
				Requests: []*tikvpb.BatchCommandsRequest_Request{{Cmd: &tikvpb.BatchCommandsRequest_Request_Empty{
					Empty: &tikvpb.BatchCommandsEmptyRequest{TestId: uint64(i)}}}}}); err != nil {
				return err
			}
		}
		for i, stream := range streams {
			answer, err := stream.Recv()
			if err != nil {
				return fmt.Errorf("stream %d: %w", i, err)
			}
			if answer.RequestIds[0] != uint64(i) {
				return fmt.Errorf("stream %d was answered %v", i, answer)
			}
		}
		return nil
	}()
	t.Check("1100 streams of a connection at once", err)
}

// checkUnknown calls what nobody has, and what a store of ours never has.
func (t *tester) checkUnknown() {
	ctx, cancel := context.WithTimeout(t.ctx, callTimeout)
	defer cancel()
	ports := map[string]*grpc.ClientConn{"store": t.StoreConn, "PD": t.PDConn}
	for port, conn := range ports {
		for _, path := range []string{"/no.Such/Method", "/tikvpb.Tikv/NoSuchMethod", "/pdpb.PD/NoSuchMethod",
			"/tikvpb.Tikv/KvImport", "/tikvpb.Tikv/DispatchMPPTask", "/tikvpb.Tikv/tryAddLock",
			"/import_sstpb.ImportSST/SwitchMode", "/import_sstpb.ImportSST/MultiIngest"} {
			err := conn.Invoke(ctx, path, &emptypb.Empty{}, &emptypb.Empty{})
			t.Check(path+" on the port of "+port, node.WantStatus(err, codes.Unimplemented))
		}
		stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true},
			"/tikvpb.Tikv/BatchCoprocessor")
		if err == nil {
			stream.SendMsg(&emptypb.Empty{})
			stream.CloseSend()
			err = stream.RecvMsg(&emptypb.Empty{})
		}
		t.Check("unknown stream on the port of "+port, node.WantStatus(err, codes.Unimplemented))
	}
}

// checkDeadline sends calls whose time is over before they arrive, which a
// library would not send.
func (t *tester) checkDeadline() {
	request := &kvrpcpb.RawGetRequest{Context: t.Context(), Key: []byte(t.prefix + "deadline")}
	get, err := request.Marshal()
	t.Check("marshal", err)
	for _, timeout := range []string{"0n", "0m", "0S"} {
		err := func() error {
			c, err := h2.Open(t.StoreAddr)
			if err != nil {
				return err
			}
			defer c.Close()
			stream, err := c.Begin("/tikvpb.Tikv/RawGet", "grpc-timeout", timeout)
			if err != nil {
				return err
			}
			c.Framer.WriteData(stream, true, h2.Message(false, get))
			code, text, err := c.Status(stream, callTimeout)
			if err != nil {
				return err
			}
			return node.Expect(code == deadlineExceeded || code == "reset",
				"want DEADLINE_EXCEEDED, got %s %s", code, text)
		}()
		t.Check("call with a timeout of "+timeout, err)
	}

	// A generous deadline does no harm, a stream obeys its own.
	ctx, cancel := context.WithTimeout(t.ctx, time.Second)
	defer cancel()
	stream, err := t.KV.BatchCommands(ctx)
	if err == nil {
		_, err = stream.Recv()
	}
	t.Check("stream with a deadline", node.WantStatus(err, codes.DeadlineExceeded))
}

// checkCancel gives up calls and streams at many moments.
func (t *tester) checkCancel() {
	var group sync.WaitGroup
	for i := 0; i < 200; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			ctx, cancel := context.WithCancel(t.ctx)
			time.AfterFunc(time.Duration(i*25)*time.Microsecond, cancel)
			key := []byte(fmt.Sprintf("%scancel/%d", t.prefix, i%3))
			switch i % 3 {
			case 0:
				t.KV.RawGet(ctx, &kvrpcpb.RawGetRequest{Context: t.Context(), Key: key})
			case 1:
				t.KV.RawPut(ctx, &kvrpcpb.RawPutRequest{Context: t.Context(), Key: key, Value: []byte("v")})
			default:
				if stream, err := t.KV.BatchCommands(ctx); err == nil {
					stream.Recv()
				}
			}
			cancel()
		}(i)
	}
	group.Wait()
	for i := 0; i < 3; i++ {
		_, err := t.KV.RawDelete(t.ctx, &kvrpcpb.RawDeleteRequest{
			Context: t.Context(), Key: []byte(fmt.Sprintf("%scancel/%d", t.prefix, i))})
		t.Check("delete after cancelled calls", err)
	}
}

// checkForms varies how a call is written: content type, compression, unusual
// metadata, another authority.
func (t *tester) checkForms() {
	key, value := []byte(t.prefix+"forms"), bytes.Repeat([]byte("compressible "), 4000)
	forms := map[string][]grpc.CallOption{
		"application/grpc+proto":          {grpc.CallContentSubtype("proto")},
		"gzip":                            {grpc.UseCompressor(gzip.Name)},
		"application/grpc+proto and gzip": {grpc.CallContentSubtype("proto"), grpc.UseCompressor(gzip.Name)},
	}
	for form, options := range forms {
		put, err := t.KV.RawPut(t.ctx, &kvrpcpb.RawPutRequest{Context: t.Context(), Key: key, Value: value}, options...)
		if err == nil {
			err = success(answer{put.RegionError, put.Error})
		}
		t.Check("put with "+form, err)
		got, err := t.KV.RawGet(t.ctx, &kvrpcpb.RawGetRequest{Context: t.Context(), Key: key}, options...)
		if err == nil {
			err = node.Expect(bytes.Equal(got.Value, value), "read %d bytes", len(got.Value))
		}
		t.Check("get with "+form, err)
		_, err = t.PD.GetAllStores(t.ctx, &pdpb.GetAllStoresRequest{Header: t.Header()}, options...)
		t.Check("PD with "+form, err)
	}
	_, err := t.KV.RawDelete(t.ctx, &kvrpcpb.RawDeleteRequest{Context: t.Context(), Key: key})
	t.Check("delete", err)

	ctx := metadata.AppendToOutgoingContext(t.ctx, "tikv-batch-conn-index", "3",
		"tikv-forwarded-host", t.StoreAddr, "something-bin", "\x00\xff", "unknown", "thing")
	_, err = t.KV.RawGet(ctx, &kvrpcpb.RawGetRequest{Context: t.Context(), Key: key})
	t.Check("unusual metadata", err)

	conn, err := node.DialAs(t.StoreAddr, "#initially=[strange]")
	if err == nil {
		var health *grpc_health_v1.HealthCheckResponse
		health, err = grpc_health_v1.NewHealthClient(conn).Check(t.ctx, &grpc_health_v1.HealthCheckRequest{})
		if err == nil {
			err = node.Expect(health.Status == grpc_health_v1.HealthCheckResponse_SERVING, "got %v", health)
		}
		conn.Close()
	}
	t.Check("unusual authority", err)
}
