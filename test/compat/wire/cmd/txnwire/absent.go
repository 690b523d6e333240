package main

import (
	"context"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// absentServices has a method of each service of TiKV's port that is not there:
// tikv-ctl's, BR's, TiCDC's, those of TiDB's cluster tables.
var absentServices = []string{
	"/debugpb.Debug/Get", "/backup.Backup/backup", "/cdcpb.ChangeData/EventFeed", "/cdcpb.ChangeData/EventFeedV2",
	"/diagnosticspb.Diagnostics/search_log", "/diagnosticspb.Diagnostics/server_info", "/logbackup.LogBackup/GetLastFlushTSOfRegion",
	"/recover_data.RecoverData/ReadRegionMeta", "/resource_usage_agent.ResourceMeteringPubSub/Subscribe",
}

// checkAbsent asks for what neither TiKV nor this store does: the call itself is
// refused: txn-semantics 21 row 1, txn-semantics 21 row 2, txn-semantics 21 row 5,
// tikv/tikv#12793.
func (t *tester) checkAbsent() {
	ctx, cancel := context.WithTimeout(t.ctx, callTimeout)
	defer cancel()
	for _, path := range absentServices {
		err := t.StoreConn.Invoke(ctx, path, &kvrpcpb.ImportRequest{}, &kvrpcpb.ImportResponse{})
		t.want(status.Code(err) == codes.Unimplemented, path+" is not implemented", err)
	}
	for what, call := range map[string]func() error{
		"KvImport": func() error {
			_, err := t.KV.KvImport(ctx, &kvrpcpb.ImportRequest{})
			return err
		},
		"KvGC": func() error {
			_, err := t.KV.KvGC(ctx, &kvrpcpb.GCRequest{Context: t.Context(), SafePoint: t.ts()})
			return err
		},
		"GetLockWaitHistory": func() error {
			_, err := t.KV.GetLockWaitHistory(ctx, &kvrpcpb.GetLockWaitHistoryRequest{Context: t.Context()})
			return err
		},
		"ImportSST": func() error {
			return t.StoreConn.Invoke(ctx, "/import_sstpb.ImportSST/Ingest", &kvrpcpb.ImportRequest{}, &kvrpcpb.ImportResponse{})
		},
	} {
		err := call()
		t.want(status.Code(err) == codes.Unimplemented, what+" is not implemented", err)
	}
}

// checkBroadcast tells the store of a transaction that committed: a prewrite of
// that transaction is taken for a repetition then, which meets what it would
// otherwise trust its locks for (txn-semantics 21 row 8, txn-semantics 8.1 row 1).
func (t *tester) checkBroadcast() {
	for _, told := range []bool{false, true} {
		k, start := t.key("k"), t.ts()
		t.store(k, "newer")
		if told {
			got := ask[*kvrpcpb.BroadcastTxnStatusResponse](t, &kvrpcpb.BroadcastTxnStatusRequest{
				TxnStatus: []*kvrpcpb.TxnStatus{{StartTs: start, CommitTs: t.ts(), IsCompleted: true}}})
			t.want(got != nil, "broadcast", got)
		}
		e := first(t.prewrite(pessimistic(start, start, skip, put(k, "late"))).Errors)
		if told {
			t.want(aborts(e, "PessimisticLockNotFound"), "a repetition of what has committed looks", e)
		} else {
			t.want(e == nil, "a prewrite that trusts its lock does not", e)
			t.rollback(start, k)
		}
	}
}
