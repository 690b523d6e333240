package main

import (
	"context"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/tikvpb"
)

// onRanges are commands over the range that holds a key alone, and those for
// which batches have no place.
var onRanges = []command{
	{"RawBatchScan", false,
		func(ctx context.Context, kv tikvpb.TikvClient, c *kvrpcpb.Context, key, _ []byte) (answer, error) {
			r, err := kv.RawBatchScan(ctx, batchScan(c, key))
			return answer{r.GetRegionError(), pairText(r.GetKvs())}, err
		},
		func(c *kvrpcpb.Context, key, _ []byte) *tikvpb.BatchCommandsRequest_Request {
			return &tikvpb.BatchCommandsRequest_Request{Cmd: &tikvpb.BatchCommandsRequest_Request_RawBatchScan{
				RawBatchScan: batchScan(c, key)}}
		}},
	{"RawChecksum", false,
		func(ctx context.Context, kv tikvpb.TikvClient, c *kvrpcpb.Context, key, _ []byte) (answer, error) {
			r, err := kv.RawChecksum(ctx, &kvrpcpb.RawChecksumRequest{Context: c, Ranges: ranges(key)})
			return answer{r.GetRegionError(), r.GetError()}, err
		}, nil},
	{"RawDeleteRange", true,
		func(ctx context.Context, kv tikvpb.TikvClient, c *kvrpcpb.Context, key, _ []byte) (answer, error) {
			r, err := kv.RawDeleteRange(ctx, deleteRange(c, key))
			return answer{r.GetRegionError(), r.GetError()}, err
		},
		func(c *kvrpcpb.Context, key, _ []byte) *tikvpb.BatchCommandsRequest_Request {
			return &tikvpb.BatchCommandsRequest_Request{Cmd: &tikvpb.BatchCommandsRequest_Request_RawDeleteRange{
				RawDeleteRange: deleteRange(c, key)}}
		}},
	{"RawCompareAndSwap", true,
		func(ctx context.Context, kv tikvpb.TikvClient, c *kvrpcpb.Context, key, value []byte) (answer, error) {
			r, err := kv.RawCompareAndSwap(ctx, &kvrpcpb.RawCASRequest{Context: c, Key: key, Value: value, PreviousNotExist: true})
			return answer{r.GetRegionError(), r.GetError()}, err
		}, nil},
}

// keyTTL is for stores where keys may expire: others have no answer to it.
var keyTTL = command{"RawGetKeyTTL", false,
	func(ctx context.Context, kv tikvpb.TikvClient, c *kvrpcpb.Context, key, _ []byte) (answer, error) {
		r, err := kv.RawGetKeyTTL(ctx, &kvrpcpb.RawGetKeyTTLRequest{Context: c, Key: key})
		return answer{r.GetRegionError(), r.GetError()}, err
	}, nil}

// behind is a bound of which key is the last below, and no longer if possible.
func behind(key []byte) []byte {
	end := append([]byte{}, key...)
	if n := len(end) - 1; n >= 0 && end[n] != 0xff {
		end[n]++
		return end
	}
	return append(end, 0)
}

func ranges(key []byte) []*kvrpcpb.KeyRange {
	return []*kvrpcpb.KeyRange{{StartKey: key, EndKey: behind(key)}}
}

func batchScan(c *kvrpcpb.Context, key []byte) *kvrpcpb.RawBatchScanRequest {
	return &kvrpcpb.RawBatchScanRequest{Context: c, Ranges: ranges(key), EachLimit: 3}
}

func deleteRange(c *kvrpcpb.Context, key []byte) *kvrpcpb.RawDeleteRangeRequest {
	return &kvrpcpb.RawDeleteRangeRequest{Context: c, StartKey: key, EndKey: behind(key)}
}
