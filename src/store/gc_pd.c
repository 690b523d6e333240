/*
 * gc_pd.c
 *	  What garbage collection asks of the placement driver.
 *
 * One question at a time; the answer leads to the next step.
 */
#include "postgres.h"

#include "bus/failpoints.h"
#include "bus/sql_txns.h"
#include "guc.h"
#include "pdpb.pb-c.h"
#include "store/gc_internal.h"

#define TS_PHYSICAL_SHIFT 18

/* An answer that does not come. */
#define PD_PATIENCE_US INT64CONST(5000000)

static void
send_to_pd(Store *store, GcPhase phase, int method,
		   const ProtobufCMessage *message)
{
	Gc *gc = &store->gc;
	size_t len = protobuf_c_message_get_packed_size(message);
	uint8 *bytes = palloc(len);

	protobuf_c_message_pack(message, bytes);
	gc->phase = phase;
	gc->due_us = dispatch_now_us() + PD_PATIENCE_US;
	if (bus_send(WORKER_STORE, WORKER_PD, method, bytes_make(bytes, len),
				 (uint64) method) != BUS_OK)
		gc_give_up(store, GC_REASON_PD);
	pfree(bytes);
}

void
gc_ask_time(Store *store)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__TsoRequest request = PDPB__TSO_REQUEST__INIT;

	header.cluster_id = store->meta.cluster_id;
	request.header = &header;
	request.count = 1;
	send_to_pd(store, GC_ASKS_TIME, METHOD_PD_TSO, &request.base);
}

void
gc_ask_state(Store *store)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__GetGCStateRequest request = PDPB__GET_GCSTATE_REQUEST__INIT;
	Pdpb__KeyspaceScope scope = PDPB__KEYSPACE_SCOPE__INIT;

	header.cluster_id = store->meta.cluster_id;
	scope.keyspace_id = PG_UINT32_MAX;
	request.header = &header;
	request.keyspace_scope = &scope;
	send_to_pd(store, GC_ASKS_STATE, METHOD_PD_GET_GC_STATE, &request.base);
}

static void
move_txn_point(Store *store, uint64 now_ts)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__AdvanceTxnSafePointRequest request =
		PDPB__ADVANCE_TXN_SAFE_POINT_REQUEST__INIT;
	Pdpb__KeyspaceScope scope = PDPB__KEYSPACE_SCOPE__INIT;
	uint64 life_ms = (uint64) tikv_fdw_settings.gc_life_time_s * 1000;
	uint64 now_ms = now_ts >> TS_PHYSICAL_SHIFT;

	header.cluster_id = store->meta.cluster_id;
	scope.keyspace_id = PG_UINT32_MAX;
	request.header = &header;
	request.keyspace_scope = &scope;
	request.target = (now_ms - Min(life_ms, now_ms)) << TS_PHYSICAL_SHIFT;

	/* What a SQL transaction of this node may still read is kept. */
	request.target = Min(request.target, sql_txn_oldest() - 1);
	send_to_pd(store, GC_MOVES_TXN_POINT, METHOD_PD_ADVANCE_TXN_SAFE_POINT,
			   &request.base);
}

void
gc_move_gc_point(Store *store)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__AdvanceGCSafePointRequest request =
		PDPB__ADVANCE_GCSAFE_POINT_REQUEST__INIT;
	Pdpb__KeyspaceScope scope = PDPB__KEYSPACE_SCOPE__INIT;

	header.cluster_id = store->meta.cluster_id;
	scope.keyspace_id = PG_UINT32_MAX;
	request.header = &header;
	request.keyspace_scope = &scope;
	request.target = store->gc.safe_point;
	FAILPOINT_PASS("store_gc_locks_over");
	send_to_pd(store, GC_MOVES_GC_POINT, METHOD_PD_ADVANCE_GC_SAFE_POINT,
			   &request.base);
}

/* ----------------------------------------------------- PD's answers */

static void
take_message(Store *store, GcPhase phase, const ProtobufCMessage *message)
{
	const Pdpb__TsoResponse *tso = (const void *) message;
	const Pdpb__AdvanceTxnSafePointResponse *txn = (const void *) message;
	const Pdpb__GetGCStateResponse *state = (const void *) message;

	switch (phase)
	{
		case GC_ASKS_TIME:
			if (tso->timestamp == NULL)
				gc_give_up(store, GC_REASON_PD);
			else
				move_txn_point(store,
							   (uint64) tso->timestamp->physical
								   << TS_PHYSICAL_SHIFT);
			break;
		case GC_MOVES_TXN_POINT:
			if (txn->new_txn_safe_point <= store->gc.collected)
				gc_end_round(store, gc_round_interval_us());
			else
			{
				FAILPOINT_PASS("store_gc_point_moved");
				gc_begin_resolving(store, txn->new_txn_safe_point);
			}
			break;
		case GC_MOVES_GC_POINT:
			gc_ask_state(store);
			break;
		default:
			if (state->gc_state == NULL)
				gc_give_up(store, GC_REASON_PD);
			else
			{
				FAILPOINT_PASS("store_gc_points");
				/* Somebody else may have moved them. */
				gc_know(store, state->gc_state->txn_safe_point,
						state->gc_state->gc_safe_point);
				gc_begin_deleting(store, state->gc_state->gc_safe_point);
			}
			break;
	}
}

static int
method_of(GcPhase phase)
{
	switch (phase)
	{
		case GC_ASKS_TIME:
			return METHOD_PD_TSO;
		case GC_MOVES_TXN_POINT:
			return METHOD_PD_ADVANCE_TXN_SAFE_POINT;
		case GC_MOVES_GC_POINT:
			return METHOD_PD_ADVANCE_GC_SAFE_POINT;
		case GC_ASKS_STATE:
			return METHOD_PD_GET_GC_STATE;
		default:
			return 0;
	}
}

static const ProtobufCMessageDescriptor *
type_of(GcPhase phase)
{
	switch (phase)
	{
		case GC_ASKS_TIME:
			return &pdpb__tso_response__descriptor;
		case GC_MOVES_TXN_POINT:
			return &pdpb__advance_txn_safe_point_response__descriptor;
		case GC_MOVES_GC_POINT:
			return &pdpb__advance_gcsafe_point_response__descriptor;
		default:
			return &pdpb__get_gcstate_response__descriptor;
	}
}

/* Every answer of PD begins with its header. */
static bool
header_is_fine(const ProtobufCMessage *message)
{
	const Pdpb__TsoResponse *any = (const void *) message;

	return any->header != NULL && any->header->error == NULL;
}

bool
gc_take_pd_answer(Store *store, const BusAnswer *answer)
{
	Gc *gc = &store->gc;
	ProtobufCMessage *message;
	Arena arena;

	if (answer->tag != METHOD_PD_TSO &&
		answer->tag != METHOD_PD_ADVANCE_TXN_SAFE_POINT &&
		answer->tag != METHOD_PD_ADVANCE_GC_SAFE_POINT &&
		answer->tag != METHOD_PD_GET_GC_STATE)
		return false;
	if (answer->tag != (uint64) method_of(gc->phase))
		return true; /* of a round that was given up */
	if (answer->reply.code != BUS_OK)
	{
		gc_give_up(store, GC_REASON_PD);
		return true;
	}
	arena_init(&arena);
	message = service_unpack(type_of(gc->phase), answer->reply.bytes, &arena);
	if (message != NULL && header_is_fine(message))
		take_message(store, gc->phase, message);
	/* Somebody may have moved the point further than this store would. */
	else if (message != NULL && gc->phase == GC_MOVES_TXN_POINT)
		gc_ask_state(store);
	else
		gc_give_up(store, GC_REASON_PD);
	arena_free(&arena);
	return true;
}

bool
gc_waits_for_pd(const Gc *gc)
{
	return method_of(gc->phase) != 0;
}
