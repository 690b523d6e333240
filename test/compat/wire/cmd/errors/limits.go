package main

import (
	"bytes"
	"context"
	"strings"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/tikvpb"
	"google.golang.org/grpc/codes"

	"tikv_fdw/test/compat/wire/internal/node"
)

// textWith makes a check that the answer fails for good with such a text.
func textWith(text string) func(answer) error {
	return func(a answer) error {
		return node.Expect(a.region == nil && strings.Contains(a.text, text),
			"want error text with %q, got %v %q", text, a.region, a.text)
	}
}

// hasText names the commands whose response has room for a text.
func hasText(cmd command) bool {
	return cmd.name != "RawBatchGet" && cmd.name != "RawScan" && cmd.name != "RawBatchScan"
}

// checkLimits tries keys and entries up to and beyond what is taken.
func (t *tester) checkLimits() {
	longest := append([]byte(t.prefix), bytes.Repeat([]byte{0xfe}, 4096-len(t.prefix))...)
	tooLong := append([]byte(t.prefix), bytes.Repeat([]byte{'k'}, 64<<10)...)
	for _, cmd := range t.commands {
		t.both("key of 4096 bytes", cmd, t.Context(), longest, []byte("v"), success)
		if hasText(cmd) {
			t.both("key of 64 KiB", cmd, t.Context(), tooLong, []byte("v"), textWith("key size"))
		}
	}

	key := []byte(t.prefix + "big")
	large, tooLarge := make([]byte, 6<<20), make([]byte, 9<<20)
	for _, cmd := range t.commands {
		if cmd.name != "RawPut" && cmd.name != "RawBatchPut" && cmd.name != "RawCompareAndSwap" {
			continue
		}
		t.both("value of 6 MiB", cmd, t.Context(), key, large, success)
		t.both("value of 9 MiB", cmd, t.Context(), key, tooLarge, t.entryTooLarge)
	}
	got, err := t.KV.RawGet(t.ctx, &kvrpcpb.RawGetRequest{Context: t.Context(), Key: key})
	if err == nil {
		err = node.Expect(bytes.Equal(got.Value, large), "read %d bytes, stored %d", len(got.Value), len(large))
	}
	t.Check("value of 6 MiB is intact", err)
	for _, gone := range [][]byte{key, longest} {
		_, err = t.KV.RawDelete(t.ctx, &kvrpcpb.RawDeleteRequest{Context: t.Context(), Key: gone})
		t.Check("delete", err)
	}
	t.checkRefusals(key)
}

func (t *tester) entryTooLarge(a answer) error {
	e := a.region.GetRaftEntryTooLarge()
	return node.Expect(a.text == "" && e != nil && e.RegionId == t.Region.Id && e.EntrySize >= 9<<20,
		"want RaftEntryTooLarge of this region, got %v %q", a.region, a.text)
}

// checkRefusals asks for what a cluster of plain keys does not have.
func (t *tester) checkRefusals(key []byte) {
	put := func(change func(*kvrpcpb.RawPutRequest)) (answer, error) {
		request := &kvrpcpb.RawPutRequest{Context: t.Context(), Key: key, Value: []byte("v")}
		change(request)
		r, err := t.KV.RawPut(t.ctx, request)
		return answer{r.GetRegionError(), r.GetError()}, err
	}
	for what, one := range map[string]struct {
		change func(*kvrpcpb.RawPutRequest)
		check  func(answer) error
	}{
		"cf default": {func(r *kvrpcpb.RawPutRequest) { r.Cf = "default" }, t.ofFamily},
		"cf lock":    {func(r *kvrpcpb.RawPutRequest) { r.Cf = "lock" }, t.ofFamily},
		"cf unknown": {func(r *kvrpcpb.RawPutRequest) { r.Cf = "nonsense" }, textWith("cf")},
		"ttl":        {func(r *kvrpcpb.RawPutRequest) { r.Ttl = 5 }, t.ofTTL},
		"api version 2, or 1 where it is 2": {func(r *kvrpcpb.RawPutRequest) { r.Context.ApiVersion = t.otherVersion() },
			textWith("Api version in request does not match with TiKV storage")},
	} {
		a, err := put(one.change)
		if err == nil {
			err = one.check(a)
		}
		t.Check(what, err)
	}
}

func (t *tester) otherVersion() kvrpcpb.APIVersion {
	if t.API == "V2" {
		return kvrpcpb.APIVersion_V1
	}
	return kvrpcpb.APIVersion_V2
}

// ofFamily is what comes of a command that names a family which there is.
func (t *tester) ofFamily(a answer) error {
	if t.families {
		return success(a)
	}
	return textWith("cf is deprecated in API V2")(a)
}

// checkModes: in V2 a raw command keeps to raw keys, of whichever keyspace.
func (t *tester) checkModes() {
	for what, key := range map[string]string{
		"of a transaction": "x\x00\x00\x00compat", "of TiDB": "t\x00\x00\x00compat",
		"of no mode": "compat", "that is empty": "",
	} {
		for _, cmd := range t.commands {
			t.both("a key "+what, cmd, t.Context(), []byte(key), []byte("v"), textWith("Key mode mismatched with the request mode"))
		}
	}
}

// ofTTL is what comes of a command with a time to live.
func (t *tester) ofTTL(a answer) error {
	if t.expires {
		return success(a)
	}
	return textWith("ttl is not enabled")(a)
}

// checkNoTTL: where keys do not expire nobody is told for how long they stay.
func (t *tester) checkNoTTL() {
	t.both("keys that do not expire", keyTTL, t.Context(), []byte(t.prefix+"ttl"), nil, t.ofTTL)
}

// checkClusterID: a store refuses another cluster's requests with a status,
// which inside a batch ends the whole stream.
func (t *tester) checkClusterID() {
	for _, cmd := range t.commands {
		c := t.Context()
		c.ClusterId++
		_, err := cmd.unary(t.ctx, t.KV, c, []byte(t.prefix+"cluster"), []byte("v"))
		t.Check("wrong cluster, "+cmd.name, node.WantStatus(err, codes.InvalidArgument))
		if cmd.batch == nil {
			continue
		}
		_, err = t.sendOne(cmd.batch(c, []byte(t.prefix+"cluster"), []byte("v")))
		t.Check("wrong cluster, "+cmd.name+" in a batch", node.WantStatus(err, codes.InvalidArgument))
	}
}

// checkBatch looks at the stream itself: numbers, order, empty commands.
func (t *tester) checkBatch() {
	ctx, cancel := context.WithTimeout(t.ctx, callTimeout)
	defer cancel()
	stream, err := t.KV.BatchCommands(ctx)
	t.Check("open a batch stream", err)
	if err != nil {
		return
	}
	const n = 500
	kinds := map[uint64]string{}
	request := &tikvpb.BatchCommandsRequest{ClientSendTimeNs: 1}
	add := func(kind string, one *tikvpb.BatchCommandsRequest_Request) {
		id := ^uint64(0) - uint64(len(kinds))*3
		kinds[id] = kind
		request.Requests = append(request.Requests, one)
		request.RequestIds = append(request.RequestIds, id)
	}
	for i := 0; i < n; i++ {
		cmd := t.commands[i%len(t.commands)]
		if cmd.batch == nil {
			continue
		}
		add(cmd.name, cmd.batch(t.Context(), []byte(t.prefix+"batch"), []byte("v")))
	}
	add("nothing", &tikvpb.BatchCommandsRequest_Request{})
	add("nothing", &tikvpb.BatchCommandsRequest_Request{Cmd: &tikvpb.BatchCommandsRequest_Request_Import{
		Import: &kvrpcpb.ImportRequest{}}})
	for i := uint64(0); i < 5; i++ {
		add("Empty", &tikvpb.BatchCommandsRequest_Request{Cmd: &tikvpb.BatchCommandsRequest_Request_Empty{
			Empty: &tikvpb.BatchCommandsEmptyRequest{TestId: i, DelayTime: i * 20}}})
	}
	t.Check("send a mixed batch", stream.Send(request))
	t.Check("answers of a mixed batch", collect(stream, kinds))
	t.Check("half-close", stream.CloseSend())
	_, err = stream.Recv()
	t.Check("the stream ends well", node.Expect(err != nil && err.Error() == "EOF", "got %v", err))
	_, err = t.KV.RawDelete(t.ctx, &kvrpcpb.RawDeleteRequest{Context: t.Context(), Key: []byte(t.prefix + "batch")})
	t.Check("delete", err)
}

// checkSafeTS: clients ask every two seconds, of all keys or of a range; 0 means
// that nothing is known, so that they read from leaders.
func (t *tester) checkSafeTS() {
	for what, keys := range map[string]*kvrpcpb.KeyRange{
		"safe_ts of everything": nil, "safe_ts of a range": {StartKey: []byte("a"), EndKey: []byte("b")},
	} {
		got, err := t.KV.GetStoreSafeTS(t.ctx, &kvrpcpb.StoreSafeTSRequest{KeyRange: keys})
		if err == nil {
			err = node.Expect(got.SafeTs == 0, "got %d", got.SafeTs)
		}
		t.Check(what, err)
	}
}

// collect waits for one answer of the right kind for each number.  What clients
// are told of the server's load and clock is nothing.
func collect(stream tikvpb.Tikv_BatchCommandsClient, kinds map[uint64]string) error {
	for len(kinds) > 0 {
		got, err := stream.Recv()
		if err != nil {
			return err
		}
		if len(got.Responses) != len(got.RequestIds) {
			return node.Expect(false, "%d responses for %d numbers", len(got.Responses), len(got.RequestIds))
		}
		if got.TransportLayerLoad != 0 || got.TikvSendTimeNs != 0 {
			return node.Expect(false, "a load of %d, sent at %d", got.TransportLayerLoad, got.TikvSendTimeNs)
		}
		for i, id := range got.RequestIds {
			kind, wanted := kinds[id]
			if !wanted {
				return node.Expect(false, "unexpected answer number %d", id)
			}
			if err := checkKind(kind, got.Responses[i]); err != nil {
				return err
			}
			delete(kinds, id)
		}
	}
	return nil
}

func checkKind(kind string, r *tikvpb.BatchCommandsResponse_Response) error {
	switch kind {
	case "nothing":
		return node.Expect(r.GetCmd() == nil, "want an empty response, got %v", r)
	case "Empty":
		return node.Expect(r.GetEmpty() != nil, "want Empty, got %v", r)
	}
	a, present := batchAnswer(r)
	if !present {
		return node.Expect(false, "%s: got %v", kind, r)
	}
	return success(a)
}
