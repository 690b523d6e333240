package main

import (
	"context"

	"github.com/pingcap/kvproto/pkg/errorpb"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/tikvpb"
)

// answer is what the raw responses have in common.
type answer struct {
	region *errorpb.Error
	text   string
}

// A command is one raw command on one key, sent in either way; batch is nil if
// batches have no place for it.
type command struct {
	name  string
	write bool
	unary func(ctx context.Context, kv tikvpb.TikvClient, c *kvrpcpb.Context, key, value []byte) (answer, error)
	batch func(c *kvrpcpb.Context, key, value []byte) *tikvpb.BatchCommandsRequest_Request
}

// pairText is the first error among the pairs of a response that has no room
// for one of its own.
func pairText(pairs []*kvrpcpb.KvPair) string {
	for _, pair := range pairs {
		if text := pair.GetError().GetAbort(); text != "" {
			return text
		}
	}
	return ""
}

// scan has an end, without which it would leave the keyspace in V2.
func scan(c *kvrpcpb.Context, key []byte) *kvrpcpb.RawScanRequest {
	return &kvrpcpb.RawScanRequest{Context: c, StartKey: key, EndKey: scanEnd(c, key), Limit: 3}
}

func scanEnd(c *kvrpcpb.Context, key []byte) []byte {
	if c.ApiVersion == kvrpcpb.APIVersion_V2 {
		return behind(key)
	}
	return nil
}

// commands are all that a store of API V1 answers.
var commands = append(onKeys, onRanges...)

var onKeys = []command{
	{"RawGet", false,
		func(ctx context.Context, kv tikvpb.TikvClient, c *kvrpcpb.Context, key, _ []byte) (answer, error) {
			r, err := kv.RawGet(ctx, &kvrpcpb.RawGetRequest{Context: c, Key: key})
			return answer{r.GetRegionError(), r.GetError()}, err
		},
		func(c *kvrpcpb.Context, key, _ []byte) *tikvpb.BatchCommandsRequest_Request {
			return &tikvpb.BatchCommandsRequest_Request{Cmd: &tikvpb.BatchCommandsRequest_Request_RawGet{
				RawGet: &kvrpcpb.RawGetRequest{Context: c, Key: key}}}
		}},
	{"RawBatchGet", false,
		func(ctx context.Context, kv tikvpb.TikvClient, c *kvrpcpb.Context, key, _ []byte) (answer, error) {
			r, err := kv.RawBatchGet(ctx, &kvrpcpb.RawBatchGetRequest{Context: c, Keys: [][]byte{key}})
			return answer{r.GetRegionError(), pairText(r.GetPairs())}, err
		},
		func(c *kvrpcpb.Context, key, _ []byte) *tikvpb.BatchCommandsRequest_Request {
			return &tikvpb.BatchCommandsRequest_Request{Cmd: &tikvpb.BatchCommandsRequest_Request_RawBatchGet{
				RawBatchGet: &kvrpcpb.RawBatchGetRequest{Context: c, Keys: [][]byte{key}}}}
		}},
	{"RawScan", false,
		func(ctx context.Context, kv tikvpb.TikvClient, c *kvrpcpb.Context, key, _ []byte) (answer, error) {
			r, err := kv.RawScan(ctx, scan(c, key))
			return answer{r.GetRegionError(), pairText(r.GetKvs())}, err
		},
		func(c *kvrpcpb.Context, key, _ []byte) *tikvpb.BatchCommandsRequest_Request {
			return &tikvpb.BatchCommandsRequest_Request{Cmd: &tikvpb.BatchCommandsRequest_Request_RawScan{
				RawScan: scan(c, key)}}
		}},
	{"RawPut", true,
		func(ctx context.Context, kv tikvpb.TikvClient, c *kvrpcpb.Context, key, value []byte) (answer, error) {
			r, err := kv.RawPut(ctx, &kvrpcpb.RawPutRequest{Context: c, Key: key, Value: value})
			return answer{r.GetRegionError(), r.GetError()}, err
		},
		func(c *kvrpcpb.Context, key, value []byte) *tikvpb.BatchCommandsRequest_Request {
			return &tikvpb.BatchCommandsRequest_Request{Cmd: &tikvpb.BatchCommandsRequest_Request_RawPut{
				RawPut: &kvrpcpb.RawPutRequest{Context: c, Key: key, Value: value}}}
		}},
	{"RawBatchPut", true,
		func(ctx context.Context, kv tikvpb.TikvClient, c *kvrpcpb.Context, key, value []byte) (answer, error) {
			r, err := kv.RawBatchPut(ctx, batchPut(c, key, value))
			return answer{r.GetRegionError(), r.GetError()}, err
		},
		func(c *kvrpcpb.Context, key, value []byte) *tikvpb.BatchCommandsRequest_Request {
			return &tikvpb.BatchCommandsRequest_Request{Cmd: &tikvpb.BatchCommandsRequest_Request_RawBatchPut{
				RawBatchPut: batchPut(c, key, value)}}
		}},
	{"RawDelete", true,
		func(ctx context.Context, kv tikvpb.TikvClient, c *kvrpcpb.Context, key, _ []byte) (answer, error) {
			r, err := kv.RawDelete(ctx, &kvrpcpb.RawDeleteRequest{Context: c, Key: key})
			return answer{r.GetRegionError(), r.GetError()}, err
		},
		func(c *kvrpcpb.Context, key, _ []byte) *tikvpb.BatchCommandsRequest_Request {
			return &tikvpb.BatchCommandsRequest_Request{Cmd: &tikvpb.BatchCommandsRequest_Request_RawDelete{
				RawDelete: &kvrpcpb.RawDeleteRequest{Context: c, Key: key}}}
		}},
	{"RawBatchDelete", true,
		func(ctx context.Context, kv tikvpb.TikvClient, c *kvrpcpb.Context, key, _ []byte) (answer, error) {
			r, err := kv.RawBatchDelete(ctx, &kvrpcpb.RawBatchDeleteRequest{Context: c, Keys: [][]byte{key}})
			return answer{r.GetRegionError(), r.GetError()}, err
		},
		func(c *kvrpcpb.Context, key, _ []byte) *tikvpb.BatchCommandsRequest_Request {
			return &tikvpb.BatchCommandsRequest_Request{Cmd: &tikvpb.BatchCommandsRequest_Request_RawBatchDelete{
				RawBatchDelete: &kvrpcpb.RawBatchDeleteRequest{Context: c, Keys: [][]byte{key}}}}
		}},
}

func batchPut(c *kvrpcpb.Context, key, value []byte) *kvrpcpb.RawBatchPutRequest {
	return &kvrpcpb.RawBatchPutRequest{Context: c, Pairs: []*kvrpcpb.KvPair{{Key: key, Value: value}}}
}

// batchAnswer takes the answer out of a batch's response. present is false if
// the response is empty.
func batchAnswer(r *tikvpb.BatchCommandsResponse_Response) (a answer, present bool) {
	switch cmd := r.GetCmd().(type) {
	case *tikvpb.BatchCommandsResponse_Response_RawGet:
		return answer{cmd.RawGet.RegionError, cmd.RawGet.Error}, true
	case *tikvpb.BatchCommandsResponse_Response_RawBatchGet:
		return answer{cmd.RawBatchGet.RegionError, pairText(cmd.RawBatchGet.Pairs)}, true
	case *tikvpb.BatchCommandsResponse_Response_RawScan:
		return answer{cmd.RawScan.RegionError, pairText(cmd.RawScan.Kvs)}, true
	case *tikvpb.BatchCommandsResponse_Response_RawPut:
		return answer{cmd.RawPut.RegionError, cmd.RawPut.Error}, true
	case *tikvpb.BatchCommandsResponse_Response_RawBatchPut:
		return answer{cmd.RawBatchPut.RegionError, cmd.RawBatchPut.Error}, true
	case *tikvpb.BatchCommandsResponse_Response_RawDelete:
		return answer{cmd.RawDelete.RegionError, cmd.RawDelete.Error}, true
	case *tikvpb.BatchCommandsResponse_Response_RawBatchDelete:
		return answer{cmd.RawBatchDelete.RegionError, cmd.RawBatchDelete.Error}, true
	case *tikvpb.BatchCommandsResponse_Response_RawBatchScan:
		return answer{cmd.RawBatchScan.RegionError, pairText(cmd.RawBatchScan.Kvs)}, true
	case *tikvpb.BatchCommandsResponse_Response_RawDeleteRange:
		return answer{cmd.RawDeleteRange.RegionError, cmd.RawDeleteRange.Error}, true
	}
	return answer{}, false
}

// sendOne opens a batch stream for a single command.
func (t *tester) sendOne(request *tikvpb.BatchCommandsRequest_Request) (*tikvpb.BatchCommandsResponse_Response, error) {
	ctx, cancel := context.WithTimeout(t.ctx, callTimeout)
	defer cancel()
	stream, err := t.KV.BatchCommands(ctx)
	if err != nil {
		return nil, err
	}
	const id = 77
	err = stream.Send(&tikvpb.BatchCommandsRequest{
		Requests: []*tikvpb.BatchCommandsRequest_Request{request}, RequestIds: []uint64{id}})
	if err != nil {
		return nil, err
	}
	for {
		got, err := stream.Recv()
		if err != nil {
			return nil, err
		}
		for i, one := range got.RequestIds {
			if one == id {
				return got.Responses[i], nil
			}
		}
	}
}

// both sends the command in either way and hands each answer to check.
func (t *tester) both(what string, cmd command, c *kvrpcpb.Context, key, value []byte, check func(answer) error) {
	ctx, cancel := context.WithTimeout(t.ctx, callTimeout)
	defer cancel()
	got, err := cmd.unary(ctx, t.KV, c, key, value)
	if err == nil {
		err = check(got)
	}
	t.Check(what+", "+cmd.name, err)
	if cmd.batch == nil {
		return
	}
	response, err := t.sendOne(cmd.batch(c, key, value))
	if err == nil {
		inner, present := batchAnswer(response)
		if err = check(inner); !present {
			err = errEmptyResponse
		}
	}
	t.Check(what+", "+cmd.name+" in a batch", err)
}
