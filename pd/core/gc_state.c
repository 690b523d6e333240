/*
 * gc_state.c
 *	  Which versions may be collected: txn safe point, GC safe point, and the
 *	  barriers that hold them back.
 */
#include "pd/core/gc_state.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/base/check.h"
#include "pd/core/utf8.h"

void
gc_state_init(GcState *gc)
{
	memset(gc, 0, sizeof(*gc));
}

static void
set_free(BarrierSet *set)
{
	for (size_t i = 0; i < set->n; i++)
		free((char *) set->items[i].id);
	free(set->items);
}

void
gc_state_free(GcState *gc)
{
	set_free(&gc->barriers);
	set_free(&gc->globals);
	gc_state_init(gc);
}

/* ---- sets of barriers ---- */

static size_t
set_seek(const BarrierSet *set, const char *id, bool *found)
{
	size_t lo = 0;
	size_t hi = set->n;

	while (lo < hi)
	{
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(set->items[mid].id, id) >= 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	*found = lo < set->n && strcmp(set->items[lo].id, id) == 0;
	return lo;
}

static const GcBarrier *
set_find(const BarrierSet *set, const char *id)
{
	bool found;
	size_t at = set_seek(set, id, &found);

	return found ? &set->items[at] : NULL;
}

static void
set_remove(BarrierSet *set, const char *id)
{
	bool found;
	size_t at = set_seek(set, id, &found);

	if (!found)
		return;
	free((char *) set->items[at].id);
	memmove(set->items + at, set->items + at + 1,
			(set->n - at - 1) * sizeof(GcBarrier));
	set->n--;
}

static void
set_put(BarrierSet *set, const GcBarrier *barrier)
{
	bool found;
	size_t at = set_seek(set, barrier->id, &found);
	char *id;

	if (found)
	{
		set->items[at].ts = barrier->ts;
		set->items[at].expires_at = barrier->expires_at;
		return;
	}
	if (set->n == set->size)
	{
		set->size = set->size == 0 ? 8 : set->size * 2;
		set->items = realloc(set->items, set->size * sizeof(GcBarrier));
		CHECK(set->items != NULL);
	}
	id = strdup(barrier->id);
	CHECK(id != NULL);
	memmove(set->items + at + 1, set->items + at,
			(set->n - at) * sizeof(GcBarrier));
	set->items[at] = *barrier;
	set->items[at].id = id;
	set->n++;
}

bool
gc_state_apply(GcState *gc, const PdRecord *record)
{
	BarrierSet *set = &gc->barriers;

	switch (record->kind)
	{
		case PD_RECORD_GC_SAFE_POINT:
			gc->gc_safe_point = record->number;
			return true;
		case PD_RECORD_TXN_SAFE_POINT:
			gc->txn_safe_point = record->number;
			return true;
		case PD_RECORD_GLOBAL_BARRIER:
			set = &gc->globals;
			/* FALLTHROUGH */
		case PD_RECORD_GC_BARRIER:
			if (record->removed)
				set_remove(set, record->barrier.id);
			else
				set_put(set, &record->barrier);
			return true;
		default:
			return false;
	}
}

bool
gc_barrier_is_own(const char *id)
{
	return strncmp(id, GC_OWN_PREFIX, strlen(GC_OWN_PREFIX)) == 0;
}

/* ---- time ---- */

static bool
expired(const GcBarrier *barrier, int64_t now)
{
	return barrier->expires_at != GC_NEVER && barrier->expires_at < now;
}

int64_t
gc_barrier_ttl(const GcBarrier *barrier, int64_t now)
{
	if (barrier->expires_at == GC_NEVER)
		return GC_NEVER;
	return barrier->expires_at > now ? barrier->expires_at - now : 0;
}

static int64_t
expiry(int64_t ttl_seconds, int64_t now)
{
	return ttl_seconds >= GC_NEVER - now ? GC_NEVER : now + ttl_seconds;
}

/* ---- decisions ---- */

static const GcBarrier *
lowest(const BarrierSet *set, PdRecordKind kind, int64_t now,
	   const GcBarrier *so_far, PdChanges *changes)
{
	for (size_t i = 0; i < set->n; i++)
	{
		const GcBarrier *barrier = &set->items[i];

		if (expired(barrier, now))
			pd_changes_barrier(changes, kind, barrier, true);
		else if (so_far == NULL || barrier->ts < so_far->ts)
			so_far = barrier;
	}
	return so_far;
}

/* How far the txn safe point may go; removes what has expired. */
static uint64_t
txn_limit(const GcState *gc, uint64_t target, int64_t now, PdChanges *changes,
		  const GcBarrier **blocker)
{
	const GcBarrier *low =
		lowest(&gc->barriers, PD_RECORD_GC_BARRIER, now, NULL, changes);
	uint64_t point = target;

	low = lowest(&gc->globals, PD_RECORD_GLOBAL_BARRIER, now, low, changes);
	*blocker = NULL;
	if (low != NULL && low->ts < point)
	{
		point = low->ts;
		*blocker = low;
	}
	return point > gc->txn_safe_point ? point : gc->txn_safe_point;
}

static PdError
check_target(uint64_t target, GcTime when, Arena *arena)
{
	if (target <= when.newest)
		return pd_ok();
	return pd_errorf(arena, PD_UNKNOWN,
					 "trying to update a safe point to a value that no "
					 "timestamp has reached, newest timestamp: %" PRIu64
					 ", given: %" PRIu64 " (a timestamp is milliseconds << 18)",
					 when.newest, target);
}

PdError
gc_advance_txn_safe_point(const GcState *gc, uint64_t target, GcTime when,
						  PdChanges *changes, GcAdvance *out)
{
	PdError error = check_target(target, when, changes->arena);

	out->old_point = gc->txn_safe_point;
	out->blocker = NULL;
	out->blocker_text = "";
	if (target < gc->txn_safe_point)
		return pd_errorf(changes->arena, PD_UNKNOWN,
						 "trying to update txn safe point to a smaller "
						 "value, current value: %" PRIu64 ", given: %" PRIu64,
						 gc->txn_safe_point, target);
	if (error.type != PD_OK)
		return error;

	out->new_point = txn_limit(gc, target, when.now, changes, &out->blocker);
	if (out->blocker != NULL)
		out->blocker_text = arena_printf(changes->arena,
										 "GCBarrier { BarrierID: \"%s\", "
										 "BarrierTS: %" PRIu64 " }",
										 out->blocker->id, out->blocker->ts);
	if (out->new_point != gc->txn_safe_point)
		pd_changes_number(changes, PD_RECORD_TXN_SAFE_POINT, out->new_point);
	return pd_ok();
}

PdError
gc_advance_gc_safe_point(const GcState *gc, uint64_t target, PdChanges *changes,
						 GcAdvance *out)
{
	out->old_point = gc->gc_safe_point;
	out->new_point = target;
	out->blocker = NULL;
	out->blocker_text = "";
	if (target < gc->gc_safe_point)
		return pd_errorf(changes->arena, PD_UNKNOWN,
						 "trying to update GC safe point to a smaller "
						 "value, current value: %" PRIu64 ", given: %" PRIu64,
						 gc->gc_safe_point, target);
	if (target > gc->txn_safe_point)
		return pd_errorf(changes->arena, PD_UNKNOWN,
						 "trying to update GC safe point to a too large "
						 "value that exceeds the txn safe point, current "
						 "value: %" PRIu64 ", given: %" PRIu64 ", current "
						 "txn safe point: %" PRIu64,
						 gc->gc_safe_point, target, gc->txn_safe_point);
	if (target != gc->gc_safe_point)
		pd_changes_number(changes, PD_RECORD_GC_SAFE_POINT, target);
	return pd_ok();
}

PdError
gc_update_safe_point(const GcState *gc, uint64_t target, GcTime when,
					 PdChanges *changes, uint64_t *point)
{
	PdError error = check_target(target, when, changes->arena);
	const GcBarrier *blocker;
	uint64_t txn;

	*point = gc->gc_safe_point;
	if (error.type != PD_OK || target <= gc->gc_safe_point)
		return error;

	txn = txn_limit(gc, target, when.now, changes, &blocker);
	*point = target < txn ? target : txn;
	if (txn != gc->txn_safe_point)
		pd_changes_number(changes, PD_RECORD_TXN_SAFE_POINT, txn);
	if (*point != gc->gc_safe_point)
		pd_changes_number(changes, PD_RECORD_GC_SAFE_POINT, *point);
	return pd_ok();
}

bool
gc_mend_safe_points(const GcState *gc, uint64_t newest, PdChanges *changes)
{
	size_t before = changes->n;

	if (gc->txn_safe_point > newest)
		pd_changes_number(changes, PD_RECORD_TXN_SAFE_POINT, newest);
	if (gc->gc_safe_point > newest)
		pd_changes_number(changes, PD_RECORD_GC_SAFE_POINT, newest);
	return changes->n > before;
}

static PdError
check_barrier_id(const char *id, Arena *arena)
{
	if (id[0] == '\0' || strlen(id) > GC_MAX_BARRIER_ID)
		return pd_error(PD_UNKNOWN,
						"invalid argument: barrierID is empty or too long");
	if (!utf8_valid(bytes_cstr(id)))
		return pd_error(PD_INVALID_VALUE,
						"invalid argument: barrierID is not valid UTF-8");
	if (strcmp(id, GC_WORKER_ID) == 0)
		return pd_errorf(arena, PD_UNKNOWN,
						 "trying to set a GC barrier with a barrier ID "
						 "that is reserved: %s",
						 id);
	return pd_ok();
}

PdError
gc_set_barrier(const GcState *gc, PdRecordKind kind, const char *id,
			   uint64_t ts, int64_t ttl_seconds, int64_t now,
			   PdChanges *changes, GcBarrier *out)
{
	const BarrierSet *set =
		kind == PD_RECORD_GLOBAL_BARRIER ? &gc->globals : &gc->barriers;
	PdError error = check_barrier_id(id, changes->arena);
	size_t most =
		GC_MAX_BARRIERS + (gc_barrier_is_own(id) ? GC_OWN_BARRIERS : 0);

	if (error.type != PD_OK)
		return error;
	if (ttl_seconds <= 0)
		return pd_error(PD_UNKNOWN, "invalid argument: ttl must be positive");
	if (ts < gc->txn_safe_point)
		return pd_errorf(changes->arena, PD_UNKNOWN,
						 "trying to set a GC barrier on ts %" PRIu64
						 " which is already behind the txn safe point %" PRIu64,
						 ts, gc->txn_safe_point);
	if (set->n >= most && set_find(set, id) == NULL)
		return pd_error(PD_UNKNOWN, "too many GC barriers");

	out->id = arena_strdup(changes->arena, id);
	out->ts = ts;
	out->expires_at = expiry(ttl_seconds, now);
	pd_changes_barrier(changes, kind, out, false);
	return pd_ok();
}

PdError
gc_delete_barrier(const GcState *gc, PdRecordKind kind, const char *id,
				  PdChanges *changes, const GcBarrier **deleted)
{
	const BarrierSet *set =
		kind == PD_RECORD_GLOBAL_BARRIER ? &gc->globals : &gc->barriers;
	PdError error = check_barrier_id(id, changes->arena);
	const GcBarrier *found;
	GcBarrier *copy;

	*deleted = NULL;
	if (error.type != PD_OK)
		return error;
	found = set_find(set, id);
	if (found == NULL)
		return pd_ok();

	/* The answer outlives the barrier. */
	copy = arena_alloc(changes->arena, sizeof(*copy));
	*copy = *found;
	copy->id = arena_strdup(changes->arena, found->id);
	*deleted = copy;
	pd_changes_barrier(changes, kind, copy, true);
	return pd_ok();
}

static PdError
update_gc_worker(const GcState *gc, int64_t ttl_seconds, uint64_t safe_point,
				 GcTime when, PdChanges *changes, GcService *out)
{
	GcAdvance advance;
	PdError error;

	if (ttl_seconds != GC_NEVER)
		return pd_error(
			PD_UNKNOWN,
			"TTL of gc_worker's service safe point must be infinity");
	error = gc_advance_txn_safe_point(gc, safe_point, when, changes, &advance);
	if (error.type != PD_OK)
		return error;
	out->min_safe_point = advance.new_point;
	if (advance.new_point != safe_point && advance.blocker != NULL)
	{
		out->id = arena_strdup(changes->arena, advance.blocker->id);
		out->ttl_seconds = gc_barrier_ttl(advance.blocker, when.now);
	}
	return pd_ok();
}

PdError
gc_update_service(const GcState *gc, const char *id, int64_t ttl_seconds,
				  uint64_t safe_point, GcTime when, PdChanges *changes,
				  GcService *out)
{
	PdRecordKind kind = strcmp(id, GC_NATIVE_BR_ID) == 0 ?
		PD_RECORD_GLOBAL_BARRIER :
		PD_RECORD_GC_BARRIER;
	const GcBarrier *deleted;
	GcBarrier barrier;

	out->id = GC_WORKER_ID;
	out->min_safe_point = gc->txn_safe_point;
	out->ttl_seconds = GC_NEVER;
	if (strcmp(id, GC_WORKER_ID) == 0)
		return update_gc_worker(gc, ttl_seconds, safe_point, when, changes,
								out);
	if (ttl_seconds <= 0)
		return gc_delete_barrier(gc, kind, id, changes, &deleted);

	/* Too low a value is not stored; min_safe_point tells the caller. */
	if (safe_point < gc->txn_safe_point)
		return check_barrier_id(id, changes->arena);
	return gc_set_barrier(gc, kind, id, safe_point, ttl_seconds, when.now,
						  changes, &barrier);
}
