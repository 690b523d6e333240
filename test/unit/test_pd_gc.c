/*
 * test_pd_gc.c
 *	  Safe points and barriers, new and old RPCs; and the bytes of proposals.
 */
#include "pd/core/gc_state.h"
#include "pd/core/proposal.h"

#include "unit.h"

#define NOW INT64_C(1700000000)

/* The newest timestamp. */
#define NEWEST UINT64_C(1000)

static Arena arena;
static PdChanges changes;

static void
apply(GcState *gc)
{
	for (size_t i = 0; i < changes.n; i++)
		gc_state_apply(gc, &changes.records[i]);
	pd_changes_init(&changes, &arena);
}

static PdErrorType
advance_txn(GcState *gc, uint64_t target, int64_t now, GcAdvance *out)
{
	PdError error;

	pd_changes_init(&changes, &arena);
	error = gc_advance_txn_safe_point(gc, target, (GcTime){now, NEWEST},
									  &changes, out);
	apply(gc);
	return error.type;
}

static PdErrorType
advance_gc(GcState *gc, uint64_t target)
{
	GcAdvance out;
	PdError error;

	pd_changes_init(&changes, &arena);
	error = gc_advance_gc_safe_point(gc, target, &changes, &out);
	apply(gc);
	return error.type;
}

static PdErrorType
barrier(GcState *gc, PdRecordKind kind, const char *id, uint64_t ts,
		int64_t ttl)
{
	GcBarrier out;
	PdError error;

	pd_changes_init(&changes, &arena);
	error = gc_set_barrier(gc, kind, id, ts, ttl, NOW, &changes, &out);
	apply(gc);
	return error.type;
}

static PdErrorType
service(GcState *gc, const char *id, int64_t ttl, uint64_t point,
		GcService *out)
{
	PdError error;

	pd_changes_init(&changes, &arena);
	error = gc_update_service(gc, id, ttl, point, (GcTime){NOW, NEWEST},
							  &changes, out);
	apply(gc);
	return error.type;
}

/* The point that holds afterwards; 0: refused. */
static uint64_t
update(GcState *gc, uint64_t target)
{
	uint64_t point;
	PdError error;

	pd_changes_init(&changes, &arena);
	error = gc_update_safe_point(gc, target, (GcTime){NOW, NEWEST}, &changes,
								 &point);
	apply(gc);
	return error.type == PD_OK ? point : 0;
}

static void
test_points(void)
{
	GcState gc;
	GcAdvance out;

	gc_state_init(&gc);
	EQ_U64(advance_gc(&gc, 10), PD_UNKNOWN,
		   "the GC safe point cannot pass the txn safe point");
	EQ_U64(advance_txn(&gc, 100, NOW, &out), PD_OK, "advance");
	OK(out.old_point == 0 && out.new_point == 100 &&
		   out.blocker_text[0] == '\0',
	   "nothing in the way");
	EQ_U64(advance_txn(&gc, 99, NOW, &out), PD_UNKNOWN, "never back");
	EQ_U64(advance_txn(&gc, 100, NOW, &out), PD_OK, "the same is fine");
	EQ_U64(advance_gc(&gc, 100), PD_OK, "up to the txn safe point");
	EQ_U64(advance_gc(&gc, 101), PD_UNKNOWN, "not beyond");
	EQ_U64(advance_gc(&gc, 99), PD_UNKNOWN, "never back");
	EQ_U64(gc.gc_safe_point, 100, "it stays");
	gc_state_free(&gc);
}

static void
test_barriers(void)
{
	GcState gc;
	GcAdvance out;
	const GcBarrier *deleted;

	gc_state_init(&gc);
	(void) advance_txn(&gc, 100, NOW, &out);
	EQ_U64(barrier(&gc, PD_RECORD_GC_BARRIER, "", 200, 10), PD_UNKNOWN,
		   "a barrier has a name");
	EQ_U64(barrier(&gc, PD_RECORD_GC_BARRIER, "gc_worker", 200, 10), PD_UNKNOWN,
		   "one name is reserved");
	EQ_U64(barrier(&gc, PD_RECORD_GC_BARRIER, "br", 200, 0), PD_UNKNOWN,
		   "and a time to live");
	EQ_U64(barrier(&gc, PD_RECORD_GC_BARRIER, "br", 99, 10), PD_UNKNOWN,
		   "behind the safe point is too late");
	EQ_U64(barrier(&gc, PD_RECORD_GC_BARRIER, "br", 150, 10), PD_OK, "set");
	EQ_U64(barrier(&gc, PD_RECORD_GC_BARRIER, "cdc", 180, GC_NEVER), PD_OK,
		   "another, for ever");
	EQ_U64(barrier(&gc, PD_RECORD_GLOBAL_BARRIER, "all", 170, 100), PD_OK,
		   "a global one");
	EQ_U64(gc.barriers.n + gc.globals.n, 3, "three");

	EQ_U64(advance_txn(&gc, 300, NOW, &out), PD_OK, "advance into them");
	EQ_U64(out.new_point, 150, "stops at the lowest");
	OK(strstr(out.blocker_text, "br") != NULL, "and names it");
	EQ_U64(advance_txn(&gc, 300, NOW + 10, &out), PD_OK, "at its last second");
	EQ_U64(out.new_point, 150, "it still holds");
	EQ_U64(advance_txn(&gc, 300, NOW + 11, &out), PD_OK, "after it");
	EQ_U64(out.new_point, 170, "the next one holds");
	EQ_U64(gc.barriers.n, 1, "the expired one is gone");
	EQ_U64(advance_txn(&gc, 300, NOW, &out), PD_OK, "the clock set back");
	EQ_U64(out.new_point, 170, "does not bring it back");

	pd_changes_init(&changes, &arena);
	OK(gc_delete_barrier(&gc, PD_RECORD_GLOBAL_BARRIER, "all", &changes,
						 &deleted)
				   .type == PD_OK &&
		   deleted != NULL && deleted->ts == 170,
	   "delete tells what it was");
	apply(&gc);
	OK(gc_delete_barrier(&gc, PD_RECORD_GLOBAL_BARRIER, "all", &changes,
						 &deleted)
				   .type == PD_OK &&
		   deleted == NULL && changes.n == 0,
	   "deleting nothing is fine");
	EQ_U64(advance_txn(&gc, 300, NOW, &out), PD_OK, "advance");
	EQ_U64(out.new_point, 180, "to the last one");
	EQ_U64(gc_barrier_ttl(&gc.barriers.items[0], NOW), GC_NEVER, "for ever");
	EQ_U64(barrier(&gc, PD_RECORD_GC_BARRIER, "cdc", 400, 10), PD_OK, "moved");
	EQ_U64(gc.barriers.n, 1, "in place");
	EQ_U64(gc_barrier_ttl(&gc.barriers.items[0], NOW + 4), 6, "seconds left");
	EQ_U64(gc_barrier_ttl(&gc.barriers.items[0], NOW + 40), 0, "never below 0");
	EQ_U64(barrier(&gc, PD_RECORD_GC_BARRIER, "far", 400, GC_NEVER - 5), PD_OK,
		   "a time beyond all time");
	EQ_U64(gc_barrier_ttl(&gc.barriers.items[1], NOW), GC_NEVER, "is for ever");
	gc_state_free(&gc);
}

static void
test_old_calls(void)
{
	GcState gc;
	GcAdvance out;
	GcService told;
	uint64_t point;

	gc_state_init(&gc);
	point = update(&gc, 100);
	OK(point == 100 && gc.gc_safe_point == 100 && gc.txn_safe_point == 100,
	   "UpdateGCSafePoint raises both");
	EQ_U64(update(&gc, 0), 100, "0 reads it");
	OK(gc.gc_safe_point == 100 && gc.txn_safe_point == 100,
	   "and changes nothing");

	EQ_U64(service(&gc, "br", 60, 150, &told), PD_OK, "a service safe point");
	OK(strcmp(told.id, "gc_worker") == 0 && told.min_safe_point == 100,
	   "the minimum is told");
	EQ_U64(gc.barriers.n, 1, "it is a barrier");
	EQ_U64(update(&gc, 500), 150, "which the old call obeys too");
	EQ_U64(told.ttl_seconds, GC_NEVER, "the GC worker's never ends");
	EQ_U64(service(&gc, "late", 60, 120, &told), PD_OK, "too low a value");
	OK(told.min_safe_point == 150 && gc.barriers.n == 1,
	   "is not stored, without an error");
	EQ_U64(service(&gc, "native_br", 60, 160, &told), PD_OK, "a backup");
	EQ_U64(gc.globals.n, 1, "holds all keyspaces");
	EQ_U64(service(&gc, "br", 0, 0, &told), PD_OK, "no time to live");
	EQ_U64(gc.barriers.n, 0, "removes it");

	EQ_U64(service(&gc, "gc_worker", 60, 200, &told), PD_UNKNOWN,
		   "the GC worker's has no end");
	EQ_U64(service(&gc, "gc_worker", GC_NEVER, 200, &told), PD_OK,
		   "it advances the txn safe point");
	OK(told.min_safe_point == 160 && strcmp(told.id, "native_br") == 0,
	   "as far as the barrier that is named");
	EQ_U64(told.ttl_seconds, 60, "with the time that it has left");
	EQ_U64(service(&gc, "gc_worker", GC_NEVER, 100, &told), PD_UNKNOWN,
		   "never back");
	EQ_U64(service(&gc, "", 60, 300, &told), PD_UNKNOWN, "a name is needed");
	EQ_U64(service(&gc, "", 60, 3, &told), PD_UNKNOWN, "for low values too");
	EQ_U64(advance_txn(&gc, 1000, NOW + 61, &out), PD_OK, "later");
	OK(out.new_point == 1000 && gc.globals.n == 0, "the way is free");
	gc_state_free(&gc);
}

/* All that begins later is behind a point, whoever sets it. */
static void
test_beyond(void)
{
	GcState gc;
	GcAdvance out;
	GcService told;

	gc_state_init(&gc);
	EQ_U64(advance_txn(&gc, NEWEST + 1, NOW, &out), PD_UNKNOWN,
		   "no timestamp has come there");
	EQ_U64(advance_txn(&gc, UINT64_MAX, NOW, &out), PD_UNKNOWN, "nor will");
	EQ_U64(update(&gc, NEWEST + 1), 0, "nor by the old call");
	EQ_U64(service(&gc, "gc_worker", GC_NEVER, UINT64_MAX, &told), PD_UNKNOWN,
		   "nor as a service");
	EQ_U64(barrier(&gc, PD_RECORD_GC_BARRIER, "b", UINT64_MAX, 60), PD_OK,
		   "a barrier there holds nothing back");
	EQ_U64(update(&gc, UINT64_MAX), 0, "also with a barrier");
	OK(gc.txn_safe_point == 0 && gc.gc_safe_point == 0, "nothing moved");
	EQ_U64(advance_txn(&gc, NEWEST, NOW, &out), PD_OK, "up to the newest");
	EQ_U64(update(&gc, NEWEST), NEWEST, "by either call");
	gc_state_free(&gc);
}

/* What an older release has stored. */
static void
test_mend(void)
{
	GcState gc;

	gc_state_init(&gc);
	gc.txn_safe_point = NEWEST;
	gc.gc_safe_point = 7;
	pd_changes_init(&changes, &arena);
	OK(!gc_mend_safe_points(&gc, NEWEST, &changes) && changes.n == 0,
	   "points that a timestamp has reached stay");
	gc.txn_safe_point = UINT64_MAX;
	OK(gc_mend_safe_points(&gc, NEWEST, &changes), "one beyond is put back");
	apply(&gc);
	OK(gc.txn_safe_point == NEWEST && gc.gc_safe_point == 7, "and no other");
	gc.txn_safe_point = gc.gc_safe_point = NEWEST + 1;
	OK(gc_mend_safe_points(&gc, NEWEST, &changes), "both are put back");
	apply(&gc);
	OK(gc.txn_safe_point == NEWEST && gc.gc_safe_point == NEWEST,
	   "to the newest timestamp");
	gc_state_free(&gc);
}

static void
test_many(void)
{
	GcState gc;
	char id[32];
	bool ok = true;

	gc_state_init(&gc);
	for (int i = 0; i < GC_MAX_BARRIERS; i++)
	{
		snprintf(id, sizeof(id), "b%d", i);
		ok = ok && barrier(&gc, PD_RECORD_GC_BARRIER, id, 5, 60) == PD_OK;
	}
	OK(ok, "many barriers");
	EQ_U64(barrier(&gc, PD_RECORD_GC_BARRIER, "one more", 5, 60), PD_UNKNOWN,
		   "but not without end");
	EQ_U64(barrier(&gc, PD_RECORD_GC_BARRIER, "b17", 6, 60), PD_OK,
		   "one of them can still move");
	EQ_U64(barrier(&gc, PD_RECORD_GC_BARRIER, "tikv_fdw/sql", 5, 60),
		   PD_UNKNOWN, "whatever a client calls it");
	for (int i = 0; i < GC_OWN_BARRIERS; i++)
	{
		snprintf(id, sizeof(id), "tikv_fdw/sql/%d", i);
		ok = ok && barrier(&gc, PD_RECORD_GC_BARRIER, id, 5, 60) == PD_OK;
	}
	OK(ok, "there is room for the barriers of stores");
	EQ_U64(barrier(&gc, PD_RECORD_GC_BARRIER, "tikv_fdw/sql/x", 5, 60),
		   PD_UNKNOWN, "which has an end, too");
	gc_state_free(&gc);
}

static void
test_proposals(void)
{
	Proposal from;
	Proposal to;
	uint8_t big[300];
	ProposalItem items[3] = {{bytes_cstr("raft/r/1"), bytes_cstr("value"),
							  false},
							 {bytes_cstr("raft/r/2"), bytes_empty(), true},
							 {bytes_cstr("big"), bytes_make(big, sizeof(big)),
							  false}};
	Bytes bytes;
	bool corrupt = true;

	memset(big, 0xa5, sizeof(big));
	proposal_init(&from, &arena);
	for (int i = 0; i < 3; i++)
		proposal_add(&from, &items[i]);
	bytes = proposal_encode(&from);
	proposal_init(&to, &arena);
	OK(proposal_decode(&to, bytes) == STATUS_OK && to.n == 3, "round trip");
	OK(bytes_eq(to.items[0].value, items[0].value) && to.items[1].removed &&
		   bytes_eq(to.items[1].key, items[1].key) &&
		   bytes_eq(to.items[2].value, items[2].value),
	   "with all it holds");
	proposal_init(&to, &arena);
	OK(proposal_decode(&to, bytes_empty()) == STATUS_OK && to.n == 0,
	   "nothing is nothing");

	/* A cut inside an item is never taken for something else. */
	for (size_t cut = 1; cut < bytes.len; cut++)
	{
		Status status;

		proposal_init(&to, &arena);
		status = proposal_decode(&to, bytes_make(bytes.data, cut));
		if (status == STATUS_OK && to.n == 3)
			corrupt = false;
	}
	OK(corrupt, "cut bytes are seen");
	for (unsigned int b = 0; b < 256; b++)
	{
		uint8_t junk[16];

		memset(junk, (int) b, sizeof(junk));
		proposal_init(&to, &arena);
		if (proposal_decode(&to, bytes_make(junk, sizeof(junk))) == STATUS_OK)
			corrupt = b == 1 || b == 2;
	}
	OK(corrupt, "junk is refused");
}

static void
test_names(void)
{
	GcState gc;
	GcService out;

	gc_state_init(&gc);
	EQ_U64(barrier(&gc, PD_RECORD_GC_BARRIER, "br\xff", 10, 60),
		   PD_INVALID_VALUE, "a barrier's id must be UTF-8");
	EQ_U64(barrier(&gc, PD_RECORD_GLOBAL_BARRIER, "\xc3", 10, 60),
		   PD_INVALID_VALUE, "a global one's, too");
	EQ_U64(service(&gc, "cdc\x80", 60, 10, &out), PD_INVALID_VALUE,
		   "and a service's");
	EQ_U64(gc.barriers.n + gc.globals.n, 0, "nothing was stored");
	EQ_U64(barrier(&gc, PD_RECORD_GC_BARRIER, "caf\xc3\xa9", 10, 60), PD_OK,
		   "UTF-8 beyond ASCII is accepted");
	gc_state_free(&gc);
}

int
main(void)
{
	arena_init(&arena);
	test_names();
	test_points();
	test_barriers();
	test_old_calls();
	test_beyond();
	test_mend();
	test_many();
	test_proposals();
	arena_free(&arena);
	return unit_done();
}
