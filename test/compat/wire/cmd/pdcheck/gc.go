package main

import (
	"math"

	"github.com/pingcap/kvproto/pkg/pdpb"
	"google.golang.org/grpc/codes"

	"tikv_fdw/test/compat/wire/internal/node"
)

const nullKeyspace = 0xFFFFFFFF

// noKeyspace is an id that a keyspace can have, and none has.
const noKeyspace = 0xFFFFF0

func scope() *pdpb.KeyspaceScope {
	return &pdpb.KeyspaceScope{Keyspace: &pdpb.KeyspaceScope_KeyspaceId{KeyspaceId: nullKeyspace}}
}

// gcState reads the state of the null keyspace.
func (t *tester) gcState(what string) *pdpb.GCState {
	got, err := t.PD.GetGCState(t.ctx, &pdpb.GetGCStateRequest{Header: t.Header(), KeyspaceScope: scope(), IncludeGlobalGcBarriers: true})
	state := got.GetGcState()
	t.Check("GetGCState "+what, first(t.well(got.GetHeader(), err),
		node.Expect(state != nil && got.GlobalGcBarriers != nil, "got %v", got),
		node.Expect(state.GetGcSafePoint() <= state.GetTxnSafePoint(), "gc safe point above the other: %v", state)))
	if state == nil {
		return &pdpb.GCState{}
	}
	return state
}

// checkGC moves the safe points by a few units only: what they hold back or
// let go is far in the past.
func (t *tester) checkGC() {
	state := t.gcState("at first")
	id, absent := "compat-pdcheck", "compat-absent"
	at := state.TxnSafePoint

	set, err := t.PD.SetGCBarrier(t.ctx, &pdpb.SetGCBarrierRequest{Header: t.Header(), KeyspaceScope: scope(), BarrierId: id, BarrierTs: at + 5, TtlSeconds: 600})
	t.Check("SetGCBarrier", first(t.well(set.GetHeader(), err),
		node.Expect(set.GetNewBarrierInfo().GetBarrierId() == id && set.NewBarrierInfo.BarrierTs == at+5, "got %v", set)))
	t.Check("the barrier is listed", node.Expect(hasBarrier(t.gcState("with a barrier"), id, at+5), "it is not"))

	move, err := t.PD.AdvanceTxnSafePoint(t.ctx, &pdpb.AdvanceTxnSafePointRequest{Header: t.Header(), KeyspaceScope: scope(), Target: at + 10})
	t.Check("AdvanceTxnSafePoint up to the barrier", first(t.well(move.GetHeader(), err),
		node.Expect(move.GetOldTxnSafePoint() == at && move.GetNewTxnSafePoint() == at+5 && move.GetBlockerDescription() != "", "got %v", move)))
	gone, err := t.PD.DeleteGCBarrier(t.ctx, &pdpb.DeleteGCBarrierRequest{Header: t.Header(), KeyspaceScope: scope(), BarrierId: id})
	t.Check("DeleteGCBarrier", first(t.well(gone.GetHeader(), err), node.Expect(gone.GetDeletedBarrierInfo().GetBarrierTs() == at+5, "got %v", gone)))
	gone, err = t.PD.DeleteGCBarrier(t.ctx, &pdpb.DeleteGCBarrierRequest{Header: t.Header(), KeyspaceScope: scope(), BarrierId: absent})
	t.Check("DeleteGCBarrier of an absent one", first(t.well(gone.GetHeader(), err), node.Expect(gone.GetDeletedBarrierInfo() == nil, "got %v", gone)))
	move, err = t.PD.AdvanceTxnSafePoint(t.ctx, &pdpb.AdvanceTxnSafePointRequest{Header: t.Header(), KeyspaceScope: scope(), Target: at + 10})
	t.Check("AdvanceTxnSafePoint", first(t.well(move.GetHeader(), err), node.Expect(move.GetNewTxnSafePoint() == at+10, "got %v", move)))

	t.checkGCRefusals(at, state.GcSafePoint)
	t.checkGlobalBarrier(at)
	t.checkOldGC()
	t.checkGCScopes()
	t.checkGCBeyond()
}

func hasBarrier(state *pdpb.GCState, id string, ts uint64) bool {
	for _, barrier := range state.GetGcBarriers() {
		if barrier.BarrierId == id && barrier.BarrierTs == ts {
			return true
		}
	}
	return false
}

// checkGCRefusals: what would go backwards or past the other point.
func (t *tester) checkGCRefusals(at, gc uint64) {
	back, err := t.PD.AdvanceTxnSafePoint(t.ctx, &pdpb.AdvanceTxnSafePointRequest{Header: t.Header(), KeyspaceScope: scope(), Target: at})
	t.Check("AdvanceTxnSafePoint backwards", t.refused(back.GetHeader(), err, pdpb.ErrorType_UNKNOWN))
	late, err := t.PD.SetGCBarrier(t.ctx, &pdpb.SetGCBarrierRequest{Header: t.Header(), KeyspaceScope: scope(), BarrierId: "compat", BarrierTs: at + 1, TtlSeconds: 60})
	t.Check("SetGCBarrier below the safe point", t.refused(late.GetHeader(), err, pdpb.ErrorType_UNKNOWN))
	reserved, err := t.PD.SetGCBarrier(t.ctx, &pdpb.SetGCBarrierRequest{Header: t.Header(), KeyspaceScope: scope(), BarrierId: "gc_worker", BarrierTs: at + 20, TtlSeconds: 60})
	t.Check("SetGCBarrier with a reserved name", t.refused(reserved.GetHeader(), err, pdpb.ErrorType_UNKNOWN))
	unnamed, err := t.PD.SetGCBarrier(t.ctx, &pdpb.SetGCBarrierRequest{Header: t.Header(), KeyspaceScope: scope(), BarrierTs: at + 20, TtlSeconds: 60})
	t.Check("SetGCBarrier without a name", t.refused(unnamed.GetHeader(), err, pdpb.ErrorType_UNKNOWN))
	past, err := t.PD.AdvanceGCSafePoint(t.ctx, &pdpb.AdvanceGCSafePointRequest{Header: t.Header(), KeyspaceScope: scope(), Target: at + 1000})
	t.Check("AdvanceGCSafePoint past the other", t.refused(past.GetHeader(), err, pdpb.ErrorType_UNKNOWN))
	move, err := t.PD.AdvanceGCSafePoint(t.ctx, &pdpb.AdvanceGCSafePointRequest{Header: t.Header(), KeyspaceScope: scope(), Target: at + 7})
	t.Check("AdvanceGCSafePoint", first(t.well(move.GetHeader(), err),
		node.Expect(move.GetOldGcSafePoint() == gc && move.GetNewGcSafePoint() == at+7, "got %v", move)))
	state := t.gcState("after advances")
	t.Check("both points stayed", node.Expect(state.TxnSafePoint == at+10 && state.GcSafePoint == at+7, "got %v", state))
}

// checkGCScopes: readers and barriers may name a keyspace, drivers may not.
func (t *tester) checkGCScopes() {
	of := func(id uint32) *pdpb.KeyspaceScope {
		return &pdpb.KeyspaceScope{Keyspace: &pdpb.KeyspaceScope_KeyspaceId{KeyspaceId: id}}
	}
	state := t.gcState("of no keyspace")
	same, err := t.PD.GetGCState(t.ctx, &pdpb.GetGCStateRequest{Header: t.Header(), KeyspaceScope: of(0)})
	t.Check("GetGCState of a keyspace", first(t.well(same.GetHeader(), err), node.Expect(same.GetGcState().GetTxnSafePoint() == state.TxnSafePoint && same.GcState.GetKeyspaceScope().GetKeyspaceId() == nullKeyspace && !same.GcState.IsKeyspaceLevelGc, "got %v", same)))
	none, err := t.PD.GetGCState(t.ctx, &pdpb.GetGCStateRequest{Header: t.Header(), KeyspaceScope: of(noKeyspace)})
	t.Check("GetGCState of no known keyspace", t.refused(none.GetHeader(), err, pdpb.ErrorType_UNKNOWN))
	move, err := t.PD.AdvanceTxnSafePoint(t.ctx, &pdpb.AdvanceTxnSafePointRequest{Header: t.Header(), KeyspaceScope: of(0), Target: state.TxnSafePoint + 1})
	t.Check("AdvanceTxnSafePoint of a keyspace", t.refused(move.GetHeader(), err, pdpb.ErrorType_UNKNOWN))
	gc, err := t.PD.AdvanceGCSafePoint(t.ctx, &pdpb.AdvanceGCSafePointRequest{Header: t.Header(), KeyspaceScope: of(0), Target: state.TxnSafePoint})
	t.Check("AdvanceGCSafePoint of a keyspace", t.refused(gc.GetHeader(), err, pdpb.ErrorType_UNKNOWN))
	set, err := t.PD.SetGCBarrier(t.ctx, &pdpb.SetGCBarrierRequest{Header: t.Header(), KeyspaceScope: of(noKeyspace), BarrierId: "compat", BarrierTs: state.TxnSafePoint + 1, TtlSeconds: 60})
	t.Check("SetGCBarrier of no known keyspace", t.refused(set.GetHeader(), err, pdpb.ErrorType_UNKNOWN))
	all, err := t.PD.GetAllKeyspacesGCStates(t.ctx, &pdpb.GetAllKeyspacesGCStatesRequest{Header: t.Header(), ExcludeGcBarriers: true})
	points := map[uint32]uint64{}
	for _, state := range all.GetGcStates() {
		points[state.GetKeyspaceScope().GetKeyspaceId()] = state.TxnSafePoint
	}
	own, told := points[0]
	t.Check("GetAllKeyspacesGCStates of all", first(t.well(all.GetHeader(), err), node.Expect(points[nullKeyspace] == state.TxnSafePoint && told && own == 0, "got %v", all)))
}

// checkGCBeyond: a point that no timestamp has reached would end all transactions.
func (t *tester) checkGCBeyond() {
	state := t.gcState("before points beyond all timestamps")
	const beyond = math.MaxUint64
	move, err := t.PD.AdvanceTxnSafePoint(t.ctx, &pdpb.AdvanceTxnSafePointRequest{Header: t.Header(), KeyspaceScope: scope(), Target: beyond})
	t.Check("AdvanceTxnSafePoint beyond all timestamps", t.refused(move.GetHeader(), err, pdpb.ErrorType_UNKNOWN))
	_, err = t.PD.UpdateGCSafePoint(t.ctx, &pdpb.UpdateGCSafePointRequest{Header: t.Header(), SafePoint: beyond})
	t.Check("UpdateGCSafePoint beyond all timestamps", node.WantStatus(err, codes.Unknown))
	_, err = t.PD.UpdateGCSafePointV2(t.ctx, &pdpb.UpdateGCSafePointV2Request{Header: t.Header(), SafePoint: beyond})
	t.Check("UpdateGCSafePointV2 beyond all timestamps", node.WantStatus(err, codes.Unknown))
	_, err = t.PD.UpdateServiceGCSafePoint(t.ctx, &pdpb.UpdateServiceGCSafePointRequest{Header: t.Header(), ServiceId: []byte("gc_worker"), TTL: math.MaxInt64, SafePoint: beyond})
	t.Check("UpdateServiceGCSafePoint beyond all timestamps", node.WantStatus(err, codes.Unknown))
	after := t.gcState("after these")
	t.Check("no point moved", node.Expect(after.TxnSafePoint == state.TxnSafePoint && after.GcSafePoint == state.GcSafePoint, "got %v, want %v", after, state))
}

func (t *tester) checkGlobalBarrier(at uint64) {
	set, err := t.PD.SetGlobalGCBarrier(t.ctx, &pdpb.SetGlobalGCBarrierRequest{Header: t.Header(), BarrierId: "compat-global", BarrierTs: at + 15, TtlSeconds: math.MaxInt64})
	t.Check("SetGlobalGCBarrier", first(t.well(set.GetHeader(), err), node.Expect(set.GetNewBarrierInfo().GetBarrierTs() == at+15, "got %v", set)))
	move, err := t.PD.AdvanceTxnSafePoint(t.ctx, &pdpb.AdvanceTxnSafePointRequest{Header: t.Header(), KeyspaceScope: scope(), Target: at + 20})
	t.Check("AdvanceTxnSafePoint up to a global barrier", first(t.well(move.GetHeader(), err), node.Expect(move.GetNewTxnSafePoint() == at+15, "got %v", move)))
	all, err := t.PD.GetAllKeyspacesGCStates(t.ctx, &pdpb.GetAllKeyspacesGCStatesRequest{Header: t.Header()})
	found := false
	for _, barrier := range all.GetGlobalGcBarriers() {
		found = found || (barrier.BarrierId == "compat-global" && barrier.BarrierTs == at+15)
	}
	t.Check("GetAllKeyspacesGCStates", first(t.well(all.GetHeader(), err), node.Expect(found && len(all.GetGcStates()) > 0, "got %v", all)))
	gone, err := t.PD.DeleteGlobalGCBarrier(t.ctx, &pdpb.DeleteGlobalGCBarrierRequest{Header: t.Header(), BarrierId: "compat-global"})
	t.Check("DeleteGlobalGCBarrier", first(t.well(gone.GetHeader(), err), node.Expect(gone.GetDeletedBarrierInfo().GetBarrierTs() == at+15, "got %v", gone)))
}

// checkOldGC: the methods before GetGCState look at the same state.
func (t *tester) checkOldGC() {
	state := t.gcState("for the older methods")
	point, err := t.PD.GetGCSafePoint(t.ctx, &pdpb.GetGCSafePointRequest{Header: t.Header()})
	t.Check("GetGCSafePoint", first(t.well(point.GetHeader(), err), node.Expect(point.GetSafePoint() == state.GcSafePoint, "got %v, state is %v", point, state)))
	read, err := t.PD.UpdateGCSafePoint(t.ctx, &pdpb.UpdateGCSafePointRequest{Header: t.Header()})
	t.Check("UpdateGCSafePoint to 0 reads", first(t.well(read.GetHeader(), err), node.Expect(read.GetNewSafePoint() == state.GcSafePoint, "got %v", read)))
	target := state.TxnSafePoint + 3
	moved, err := t.PD.UpdateGCSafePoint(t.ctx, &pdpb.UpdateGCSafePointRequest{Header: t.Header(), SafePoint: target})
	t.Check("UpdateGCSafePoint", first(t.well(moved.GetHeader(), err), node.Expect(moved.GetNewSafePoint() == target, "got %v, want %d", moved, target)))

	service := []byte("compat-service")
	held, err := t.PD.UpdateServiceGCSafePoint(t.ctx, &pdpb.UpdateServiceGCSafePointRequest{Header: t.Header(), ServiceId: service, TTL: 600, SafePoint: target + 5})
	t.Check("UpdateServiceGCSafePoint", first(t.well(held.GetHeader(), err), node.Expect(held.GetMinSafePoint() <= target+5 && string(held.GetServiceId()) == "gc_worker" && held.GetTTL() > 1<<60, "got %v", held)))
	blocked, err := t.PD.AdvanceTxnSafePoint(t.ctx, &pdpb.AdvanceTxnSafePointRequest{Header: t.Header(), KeyspaceScope: scope(), Target: target + 9})
	t.Check("AdvanceTxnSafePoint up to a service", first(t.well(blocked.GetHeader(), err), node.Expect(blocked.GetNewTxnSafePoint() == target+5, "got %v", blocked)))
	freed, err := t.PD.UpdateServiceGCSafePoint(t.ctx, &pdpb.UpdateServiceGCSafePointRequest{Header: t.Header(), ServiceId: service, TTL: 0, SafePoint: target + 5})
	t.Check("UpdateServiceGCSafePoint without time", t.well(freed.GetHeader(), err))
	t.Check("the service holds nothing back any more", node.Expect(!hasBarrier(t.gcState("at last"), string(service), target+5), "it does"))
}
