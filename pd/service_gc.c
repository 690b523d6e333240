/*
 * service_gc.c
 *	  Handlers: safe points and barriers, the old RPCs and the new.
 *
 * All keyspaces share one state, that of no keyspace, which the answers name.
 * Values and refusals are decided in core/gc_state.c.
 */
#include "postgres.h"

#include "bus/failpoints.h"
#include "pd/convert.h"
#include "pd/core/utf8.h"
#include "pd/pd.h"
#include "pd/tso_local.h"

static const GcState *
gc_of(const PdAsk *ask)
{
	return &ask->pd->state.gc;
}

GcTime
pd_gc_time(const PdAsk *ask)
{
	GcTime when = {ask->now, tso_newest()};

	return when;
}

/* The id in a message's oneof `keyspace`; KEYSPACE_NULL_ID if it names none. */
#define KEYSPACE_OF(in, NAME)                              \
	((in)->keyspace_case == NAME##_KEYSPACE_ID ?           \
		 (in)->keyspace_id :                               \
		 (in)->keyspace_case == NAME##_KEYSPACE_IDENTITY ? \
		 (in)->keyspace_identity->keyspace_id :            \
		 KEYSPACE_NULL_ID)

static uint32
scope_keyspace(const Pdpb__KeyspaceScope *scope)
{
	return scope == NULL ? KEYSPACE_NULL_ID :
						   KEYSPACE_OF(scope, PDPB__KEYSPACE_SCOPE__KEYSPACE);
}

/*
 * May this keyspace be named?  All are managed by the one state, so whoever
 * drives GC, or asks for a point of its own (`own`), must name none, as in
 * tikv/pd (redirectKeyspace); ids that no keyspace can have mean none.  False
 * was answered.
 */
static bool
check_keyspace(PdAsk *ask, uint32 id, bool own)
{
	const Keyspace *keyspace;

	if (id > KEYSPACE_MAX_ID)
		return true;
	keyspace = keyspaces_by_id(&ask->pd->state.keyspaces, id);
	if (keyspace == NULL)
		ask->error = pd_error(PD_UNKNOWN, "keyspace does not exist");
	else if (own)
		ask->error = pd_errorf(ask->arena, PD_UNKNOWN,
							   "keyspace %s (id %u) has no GC of its own: its "
							   "safe points are those of all keyspaces",
							   keyspace->name, keyspace->id);
	return ask->error.type == PD_OK;
}

static bool
check_scope(PdAsk *ask, const Pdpb__KeyspaceScope *scope, bool own)
{
	return check_keyspace(ask, scope_keyspace(scope), own);
}

/* ---- the old RPCs ---- */

void
pd_get_gc_safe_point(PdAsk *ask, const void *request, void *response)
{
	(void) request;
	((Pdpb__GetGCSafePointResponse *) response)->safe_point =
		gc_of(ask)->gc_safe_point;
}

/* Errors of the old RPCs are gRPC statuses (client-contract 1.9). */
static bool
old_failed(PdAsk *ask, PdError error)
{
	if (error.type == PD_OK)
		return false;
	ask->code = RPC_UNKNOWN;
	ask->text = error.text;
	return true;
}

void
pd_update_gc_safe_point(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__UpdateGCSafePointRequest *in = request;
	Pdpb__UpdateGCSafePointResponse *out = response;

	FAILPOINT_PASS("pd_safe_point");
	(void) old_failed(ask,
					  gc_update_safe_point(gc_of(ask), in->safe_point,
										   pd_gc_time(ask), &ask->changes,
										   &out->new_safe_point));
}

static bool
update_service(PdAsk *ask, ProtobufCBinaryData name, int64 ttl,
			   uint64 safe_point, GcService *out)
{
	char *id;

	/* The field is bytes, but the id is a name. */
	if (!utf8_valid(from_binary(name)))
	{
		ask->code = RPC_INVALID_ARGUMENT;
		ask->text = "service_id is not valid UTF-8, or holds a zero byte";
		return false;
	}
	memset(out, 0, sizeof(*out));
	id = arena_printf(ask->arena, "%.*s", (int) name.len,
					  (const char *) name.data);
	FAILPOINT_PASS("pd_service_safe_point");
	return !old_failed(ask,
					   gc_update_service(gc_of(ask), id, ttl, safe_point,
										 pd_gc_time(ask), &ask->changes, out));
}

void
pd_update_service_gc_safe_point(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__UpdateServiceGCSafePointRequest *in = request;
	Pdpb__UpdateServiceGCSafePointResponse *out = response;
	GcService service;

	if (!update_service(ask, in->service_id, in->ttl, in->safe_point, &service))
		return;
	out->service_id = to_binary(bytes_cstr(service.id));
	out->ttl = service.ttl_seconds;
	out->min_safe_point = service.min_safe_point;
}

/* ---- by keyspace: names for the same state ---- */

void
pd_get_gc_safe_point_v2(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__GetGCSafePointV2Request *in = request;

	if (!check_keyspace(
			ask, KEYSPACE_OF(in, PDPB__GET_GCSAFE_POINT_V2_REQUEST__KEYSPACE),
			true))
		return;
	((Pdpb__GetGCSafePointV2Response *) response)->safe_point =
		gc_of(ask)->gc_safe_point;
}

void
pd_update_gc_safe_point_v2(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__UpdateGCSafePointV2Request *in = request;
	Pdpb__UpdateGCSafePointV2Response *out = response;

	if (!check_keyspace(
			ask,
			KEYSPACE_OF(in, PDPB__UPDATE_GCSAFE_POINT_V2_REQUEST__KEYSPACE),
			true))
		return;
	(void) old_failed(ask,
					  gc_update_safe_point(gc_of(ask), in->safe_point,
										   pd_gc_time(ask), &ask->changes,
										   &out->new_safe_point));
}

/* A service's safe point only holds GC back; the GC worker's drives it. */
void
pd_update_service_safe_point_v2(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__UpdateServiceSafePointV2Request *in = request;
	Pdpb__UpdateServiceSafePointV2Response *out = response;
	bool drives =
		bytes_eq(from_binary(in->service_id), bytes_cstr(GC_WORKER_ID));
	GcService service;

	if (!check_keyspace(
			ask,
			KEYSPACE_OF(in,
						PDPB__UPDATE_SERVICE_SAFE_POINT_V2_REQUEST__KEYSPACE),
			drives) ||
		!update_service(ask, in->service_id, in->ttl, in->safe_point, &service))
		return;
	out->service_id = to_binary(bytes_cstr(service.id));
	out->ttl = service.ttl_seconds;
	out->min_safe_point = service.min_safe_point;
}

void
pd_get_all_gc_safe_point_v2(PdAsk *ask, const void *request, void *response)
{
	Pdpb__GetAllGCSafePointV2Response *out = response;
	const Keyspaces *all = &ask->pd->state.keyspaces;

	(void) request;
	out->gc_safe_points =
		arena_alloc(ask->arena, all->n * sizeof(*out->gc_safe_points));
	for (size_t i = 0; i < all->n; i++)
	{
		Pdpb__GCSafePointV2 *to = NEW_MESSAGE(ask->arena, Pdpb__GCSafePointV2,
											  pdpb__gcsafe_point_v2__init);

		to->keyspace_case = PDPB__GCSAFE_POINT_V2__KEYSPACE_KEYSPACE_ID;
		to->keyspace_id = all->items[i]->keyspace.id;
		out->gc_safe_points[out->n_gc_safe_points++] = to;
	}
	out->revision = ask->pd->state.kv.revision;
}

/* ---- the state as a message ---- */

static Pdpb__GCState *
new_state(uint32 keyspace, Arena *arena)
{
	Pdpb__GCState *out = NEW_MESSAGE(arena, Pdpb__GCState, pdpb__gcstate__init);

	out->keyspace_scope =
		NEW_MESSAGE(arena, Pdpb__KeyspaceScope, pdpb__keyspace_scope__init);
	out->keyspace_scope->keyspace_case =
		PDPB__KEYSPACE_SCOPE__KEYSPACE_KEYSPACE_ID;
	out->keyspace_scope->keyspace_id = keyspace;
	return out;
}

static Pdpb__GCBarrierInfo *
barrier_message(const GcBarrier *barrier, int64 now, Arena *arena)
{
	Pdpb__GCBarrierInfo *out =
		NEW_MESSAGE(arena, Pdpb__GCBarrierInfo, pdpb__gcbarrier_info__init);

	out->barrier_id = (char *) barrier->id;
	out->barrier_ts = barrier->ts;
	out->ttl_seconds = gc_barrier_ttl(barrier, now);
	return out;
}

static Pdpb__GlobalGCBarrierInfo *
global_message(const GcBarrier *barrier, int64 now, Arena *arena)
{
	Pdpb__GlobalGCBarrierInfo *out =
		NEW_MESSAGE(arena, Pdpb__GlobalGCBarrierInfo,
					pdpb__global_gcbarrier_info__init);

	out->barrier_id = (char *) barrier->id;
	out->barrier_ts = barrier->ts;
	out->ttl_seconds = gc_barrier_ttl(barrier, now);
	return out;
}

/* Of no keyspace, which is where the one state is, whichever was asked for. */
static Pdpb__GCState *
state_message(PdAsk *ask, bool barriers)
{
	const GcState *gc = gc_of(ask);
	Pdpb__GCState *out = new_state(KEYSPACE_NULL_ID, ask->arena);

	out->txn_safe_point = gc->txn_safe_point;
	out->gc_safe_point = gc->gc_safe_point;
	if (!barriers)
		return out;
	out->gc_barriers =
		arena_alloc(ask->arena, gc->barriers.n * sizeof(*out->gc_barriers));
	for (size_t i = 0; i < gc->barriers.n; i++)
		if (gc_barrier_ttl(&gc->barriers.items[i], ask->now) > 0)
			out->gc_barriers[out->n_gc_barriers++] =
				barrier_message(&gc->barriers.items[i], ask->now, ask->arena);
	return out;
}

static Pdpb__GlobalGCBarrierInfo **
global_list(PdAsk *ask, size_t *n)
{
	const BarrierSet *set = &gc_of(ask)->globals;
	Pdpb__GlobalGCBarrierInfo **out =
		arena_alloc(ask->arena, set->n * sizeof(*out));

	*n = 0;
	for (size_t i = 0; i < set->n; i++)
		if (gc_barrier_ttl(&set->items[i], ask->now) > 0)
			out[(*n)++] = global_message(&set->items[i], ask->now, ask->arena);
	return out;
}

void
pd_get_gc_state(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__GetGCStateRequest *in = request;
	Pdpb__GetGCStateResponse *out = response;

	if (!check_scope(ask, in->keyspace_scope, false))
		return;
	out->gc_state = state_message(ask, !in->exclude_gc_barriers);
	if (!in->include_global_gc_barriers)
		return;
	out->global_gc_barriers =
		NEW_MESSAGE(ask->arena, Pdpb__GlobalGCBarriersInfo,
					pdpb__global_gcbarriers_info__init);
	out->global_gc_barriers->barriers =
		global_list(ask, &out->global_gc_barriers->n_barriers);
}

/* The state of no keyspace, and that each has none of its own, as tikv/pd. */
void
pd_get_all_gc_states(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__GetAllKeyspacesGCStatesRequest *in = request;
	Pdpb__GetAllKeyspacesGCStatesResponse *out = response;
	const Keyspaces *all = &ask->pd->state.keyspaces;

	out->gc_states =
		arena_alloc(ask->arena, (all->n + 1) * sizeof(*out->gc_states));
	out->gc_states[out->n_gc_states++] =
		state_message(ask, !in->exclude_gc_barriers);
	for (size_t i = 0; i < all->n; i++)
		if (all->items[i]->keyspace.state == KEYSPACE_ENABLED)
			out->gc_states[out->n_gc_states++] =
				new_state(all->items[i]->keyspace.id, ask->arena);
	if (!in->exclude_global_gc_barriers)
		out->global_gc_barriers = global_list(ask, &out->n_global_gc_barriers);
}

/* ---- advances ---- */

void
pd_advance_txn_safe_point(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__AdvanceTxnSafePointRequest *in = request;
	Pdpb__AdvanceTxnSafePointResponse *out = response;
	GcAdvance advance;

	if (!check_scope(ask, in->keyspace_scope, true))
		return;
	FAILPOINT_PASS("pd_txn_safe_point");
	ask->error =
		gc_advance_txn_safe_point(gc_of(ask), in->target, pd_gc_time(ask),
								  &ask->changes, &advance);
	if (ask->error.type != PD_OK)
		return;
	out->old_txn_safe_point = advance.old_point;
	out->new_txn_safe_point = advance.new_point;
	out->blocker_description = arena_strdup(ask->arena, advance.blocker_text);
}

void
pd_advance_gc_safe_point(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__AdvanceGCSafePointRequest *in = request;
	Pdpb__AdvanceGCSafePointResponse *out = response;
	GcAdvance advance;

	if (!check_scope(ask, in->keyspace_scope, true))
		return;
	FAILPOINT_PASS("pd_gc_safe_point");
	ask->error = gc_advance_gc_safe_point(gc_of(ask), in->target, &ask->changes,
										  &advance);
	if (ask->error.type != PD_OK)
		return;
	out->old_gc_safe_point = advance.old_point;
	out->new_gc_safe_point = advance.new_point;
}

/* ---- barriers ---- */

void
pd_set_gc_barrier(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__SetGCBarrierRequest *in = request;
	Pdpb__SetGCBarrierResponse *out = response;
	GcBarrier barrier;

	if (!check_scope(ask, in->keyspace_scope, false))
		return;
	ask->error = gc_set_barrier(gc_of(ask), PD_RECORD_GC_BARRIER,
								in->barrier_id, in->barrier_ts, in->ttl_seconds,
								ask->now, &ask->changes, &barrier);
	if (ask->error.type == PD_OK)
		out->new_barrier_info = barrier_message(&barrier, ask->now, ask->arena);
}

void
pd_delete_gc_barrier(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__DeleteGCBarrierRequest *in = request;
	Pdpb__DeleteGCBarrierResponse *out = response;
	const GcBarrier *deleted;

	if (!check_scope(ask, in->keyspace_scope, false))
		return;
	ask->error = gc_delete_barrier(gc_of(ask), PD_RECORD_GC_BARRIER,
								   in->barrier_id, &ask->changes, &deleted);
	if (ask->error.type == PD_OK && deleted != NULL)
	{
		GcBarrier copy = *deleted;

		copy.id = arena_strdup(ask->arena, deleted->id);
		out->deleted_barrier_info =
			barrier_message(&copy, ask->now, ask->arena);
	}
}

void
pd_set_global_gc_barrier(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__SetGlobalGCBarrierRequest *in = request;
	Pdpb__SetGlobalGCBarrierResponse *out = response;
	GcBarrier barrier;

	ask->error = gc_set_barrier(gc_of(ask), PD_RECORD_GLOBAL_BARRIER,
								in->barrier_id, in->barrier_ts, in->ttl_seconds,
								ask->now, &ask->changes, &barrier);
	if (ask->error.type == PD_OK)
		out->new_barrier_info = global_message(&barrier, ask->now, ask->arena);
}

void
pd_delete_global_gc_barrier(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__DeleteGlobalGCBarrierRequest *in = request;
	Pdpb__DeleteGlobalGCBarrierResponse *out = response;
	const GcBarrier *deleted;

	ask->error = gc_delete_barrier(gc_of(ask), PD_RECORD_GLOBAL_BARRIER,
								   in->barrier_id, &ask->changes, &deleted);
	if (ask->error.type == PD_OK && deleted != NULL)
	{
		GcBarrier copy = *deleted;

		copy.id = arena_strdup(ask->arena, deleted->id);
		out->deleted_barrier_info = global_message(&copy, ask->now, ask->arena);
	}
}
