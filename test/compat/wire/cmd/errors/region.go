package main

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/pingcap/kvproto/pkg/errorpb"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/tracepb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"

	"tikv_fdw/test/compat/wire/internal/node"
)

const callTimeout = 20 * time.Second

var errEmptyResponse = errors.New("the response is empty")

// success is the check that nothing was wrong.
func success(a answer) error {
	return node.Expect(a.region == nil && a.text == "", "got %v %q", a.region, a.text)
}

// only makes a check that the region error has just the wanted part (none at
// all if want is empty), and that there is a text for people and no other
// error.
func only(want *errorpb.Error) func(answer) error {
	return func(a answer) error {
		if a.region == nil || a.region.Message == "" || a.text != "" {
			return fmt.Errorf("want %v and a message, got %v %q", want, a.region, a.text)
		}
		got := proto.Clone(protoadapt.MessageV2Of(a.region))
		expected := proto.Clone(protoadapt.MessageV2Of(want))
		message := got.ProtoReflect().Descriptor().Fields().ByName("message")
		got.ProtoReflect().Clear(message)
		return node.Expect(proto.Equal(got, expected), "want %v, got %v", want, a.region)
	}
}

// checkRegionErrors spoils the context in one way at a time, then in two to
// see which counts first. A refused write must have no effect.
func (t *tester) checkRegionErrors() {
	key, value := []byte(t.prefix+"region"), []byte("value")
	noRegion := t.Region.Id + 1_000_000
	badStore := &errorpb.Error{StoreNotMatch: &errorpb.StoreNotMatch{
		RequestStoreId: t.Leader.StoreId + 9, ActualStoreId: t.Leader.StoreId}}
	badRegion := &errorpb.Error{RegionNotFound: &errorpb.RegionNotFound{RegionId: noRegion}}
	badPeer := &errorpb.Error{MismatchPeerId: &errorpb.MismatchPeerId{
		RequestPeerId: t.Leader.Id + 9, StorePeerId: t.Leader.Id}}

	spoil := []struct {
		what   string
		change func(*kvrpcpb.Context)
		check  func(answer) error
	}{
		{"wrong store", func(c *kvrpcpb.Context) { c.Peer.StoreId += 9 }, only(badStore)},
		{"unknown region", func(c *kvrpcpb.Context) { c.RegionId = noRegion }, only(badRegion)},
		{"wrong peer", func(c *kvrpcpb.Context) { c.Peer.Id += 9 }, only(badPeer)},
		{"older version", func(c *kvrpcpb.Context) { c.RegionEpoch.Version-- }, t.epochError},
		{"newer version", func(c *kvrpcpb.Context) { c.RegionEpoch.Version++ }, t.epochError},
		{"no epoch", func(c *kvrpcpb.Context) { c.RegionEpoch = nil }, only(&errorpb.Error{})},
		{"term far behind", func(c *kvrpcpb.Context) { c.Term = 1 },
			only(&errorpb.Error{StaleCommand: &errorpb.StaleCommand{}})},
		{"store before region", func(c *kvrpcpb.Context) { c.Peer.StoreId += 9; c.RegionId = noRegion }, only(badStore)},
		{"region before peer", func(c *kvrpcpb.Context) { c.RegionId = noRegion; c.Peer.Id += 9 }, only(badRegion)},
		{"peer before epoch", func(c *kvrpcpb.Context) { c.Peer.Id += 9; c.RegionEpoch.Version++ }, only(badPeer)},
	}
	for _, s := range spoil {
		for _, cmd := range t.commands {
			c := t.Context()
			s.change(c)
			t.both(s.what, cmd, c, key, value, s.check)
		}
	}
	got, err := t.KV.RawGet(t.ctx, &kvrpcpb.RawGetRequest{Context: t.Context(), Key: key})
	if err == nil {
		err = node.Expect(got.NotFound, "a refused write took effect: %v", got)
	}
	t.Check("refused writes have no effect", err)
	t.checkHarmless(key, value)
}

// epochError wants the current region in the answer, as PD describes it.
func (t *tester) epochError(a answer) error {
	current := a.region.GetEpochNotMatch().GetCurrentRegions()
	if a.text != "" || a.region.GetMessage() == "" || len(current) == 0 {
		return fmt.Errorf("want the current region, got %v %q", a.region, a.text)
	}
	for _, region := range current {
		if region.Id == t.Region.Id {
			return node.Expect(proto.Equal(protoadapt.MessageV2Of(region), protoadapt.MessageV2Of(t.Region)),
				"the current region is %v, PD says %v", region, t.Region)
		}
	}
	return fmt.Errorf("the region itself is missing: %v", a.region)
}

// checkHarmless sends contexts that differ from the usual and are right.
func (t *tester) checkHarmless(key, value []byte) {
	harmless := map[string]func(*kvrpcpb.Context){
		"plain":               func(*kvrpcpb.Context) {},
		"other conf_ver":      func(c *kvrpcpb.Context) { c.RegionEpoch.ConfVer += 3 },
		"term far ahead":      func(c *kvrpcpb.Context) { c.Term = 1 << 40 },
		"no cluster id":       func(c *kvrpcpb.Context) { c.ClusterId = 0 },
		"null keyspace":       func(c *kvrpcpb.Context) { c.Keyspace = &kvrpcpb.Context_KeyspaceId{KeyspaceId: 0xFFFFFFFF} },
		"low priority":        func(c *kvrpcpb.Context) { c.Priority = kvrpcpb.CommandPri_Low },
		"old sync_log":        func(c *kvrpcpb.Context) { c.SyncLog = true },
		"generous time limit": func(c *kvrpcpb.Context) { c.MaxExecutionDurationMs = 20000 },
		"source and groups":   func(c *kvrpcpb.Context) { c.RequestSource, c.ResourceGroupTag = "external_test", []byte{1, 2} },
		"resource control": func(c *kvrpcpb.Context) {
			c.ResourceControlContext = &kvrpcpb.ResourceControlContext{ResourceGroupName: "default"}
		},
		"retry and busy":    func(c *kvrpcpb.Context) { c.IsRetryRequest, c.BusyThresholdMs = true, 1000 },
		"details asked for": func(c *kvrpcpb.Context) { c.RecordScanStat, c.RecordTimeStat = true, true },
		"trace context": func(c *kvrpcpb.Context) {
			c.TraceContext = &tracepb.TraceContext{RemoteParentSpans: []*tracepb.RemoteParentSpan{{TraceId: 1, SpanId: 2}}}
		},
		"trace and buckets":      func(c *kvrpcpb.Context) { c.TraceId, c.BucketsVersion = bytes.Repeat([]byte{7}, 16), 3 },
		"disk full option":       func(c *kvrpcpb.Context) { c.DiskFullOpt = kvrpcpb.DiskFullOpt_AllowedOnAlmostFull },
		"statement and tracing":  func(c *kvrpcpb.Context) { c.SourceStmt = &kvrpcpb.SourceStmt{StmtId: 4} },
		"locks of transactions":  func(c *kvrpcpb.Context) { c.ResolvedLocks, c.CommittedLocks = []uint64{1, 2}, []uint64{3} },
		"keyspace name":          func(c *kvrpcpb.Context) { c.KeyspaceName = "some" },
		"isolation of a SQL row": func(c *kvrpcpb.Context) { c.IsolationLevel = kvrpcpb.IsolationLevel_RC },
		"cache and task":         func(c *kvrpcpb.Context) { c.NotFillCache, c.TaskId = true, 7 },
		"replica read":           func(c *kvrpcpb.Context) { c.ReplicaRead, c.AppliedIndex = true, 3 },
		"stale read":             func(c *kvrpcpb.Context) { c.StaleRead = true },
		"source of a transaction": func(c *kvrpcpb.Context) {
			c.TxnSource, c.TraceControlFlags = 5, 1
		},
	}
	for what, change := range harmless {
		for _, cmd := range t.commands {
			c := t.Context()
			change(c)
			t.both(what, cmd, c, key, value, success)
		}
	}
}
