// txnwire asks a store, without any client library, for what clients act on
// and rarely meet: every kind of key error, the fields of answers, locks in
// the way of reads, what a wait for a lock may hinder.  Everything is asked
// twice, by single calls and inside batches.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/pingcap/kvproto/pkg/pdpb"

	"tikv_fdw/test/compat/wire/internal/node"
)

type tester struct {
	*node.Node
	*node.Report
	ctx    context.Context
	prefix string
	batch  bool // send commands inside batches
	tso    pdpb.PD_TsoClient
	keys   int
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	report := node.NewReport("txnwire")
	n, err := node.Connect(ctx)
	report.Fatal(err)
	tso, err := n.PD.Tso(ctx)
	report.Fatal(err)
	for _, batch := range []bool{false, true} {
		t := &tester{Node: n, Report: report, ctx: ctx, batch: batch, tso: tso}
		t.prefix = fmt.Sprintf("compat/txnwire/%t/%d/", batch, time.Now().UnixNano())
		for _, check := range []func(){
			t.checkPrewriteErrors, t.checkPessimisticPrewrite, t.checkAsync, t.checkOnePC, t.checkRetries,
			t.checkCommit, t.checkRollbacks, t.checkTxnStatus, t.checkSecondaries, t.checkResolve,
			t.checkScanLock, t.checkHeartbeat, t.checkFlush,
			t.checkPessimisticLock, t.checkForceLock, t.checkLockTimes, t.checkDeadlock, t.checkWakeUp,
			t.checkWaitersHinderNobody, t.checkPessimisticRollback,
			t.checkReadLocks, t.checkScans, t.checkIsolation, t.checkReadFields,
			t.checkLimits, t.checkFuture, t.checkMvcc, t.checkRanges,
			t.checkFlashback, t.checkAbsent, t.checkBroadcast, t.checkOverlap, t.checkTwice, t.checkSharedLocks, t.checkNothing,
		} {
			check()
		}
	}
	report.Check("the node still answers", n.Alive(ctx))
	report.Exit()
}

// want counts one check of the way that is tried.
func (t *tester) want(ok bool, what string, got any) {
	way := "unary"
	if t.batch {
		way = "batch"
	}
	t.Check(way+": "+what, node.Expect(ok, "got %v", got))
}

// ts is a new timestamp.
func (t *tester) ts() uint64 {
	err := t.tso.Send(&pdpb.TsoRequest{Header: t.Header(), Count: 1})
	t.Fatal(err)
	got, err := t.tso.Recv()
	t.Fatal(err)
	return uint64(got.Timestamp.Physical)<<18 + uint64(got.Timestamp.Logical)
}

// key is one that no other check uses.
func (t *tester) key(name string) []byte {
	t.keys++
	return []byte(fmt.Sprintf("%s%04d/%s", t.prefix, t.keys, name))
}

// after is the timestamp that many milliseconds later.
func after(ts uint64, ms int64) uint64 {
	return ts + uint64(ms)<<18
}
