/*
 * inspect.c
 *	  A range of transactional keys as they are stored, region by region.
 *
 * For people who look for mistakes: no visibility, no isolation.  A page of
 * keys at a time, each over a fresh snapshot, so that nothing is held for long.
 *
 * The leader's store knows best: it has the locks that are in memory alone, and
 * no write is missing.  A session of its node reads them itself, others ask it.
 * A replica is good enough when nobody leads, as where most nodes are lost; it
 * is said then, and other regions are not waited for in vain, too.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "guc.h"
#include "service/service.h"
#include "sqlapi/inspect.h"
#include "sqlapi/txn_internal.h"

typedef enum PageEnd
{
	PAGE_MORE, /* of the range is left */
	PAGE_LAST,
	PAGE_AGAIN /* nothing was shown */
} PageEnd;

/* ----------------------------------------------------------- what is left */

/* Go on at a key, or behind it. */
static PageEnd
go_on(Inspection *in, Bytes at, bool after)
{
	in->left.lower = bound_copy(CurrentMemoryContext, at, after);
	return in->left.upper.len == 0 ||
			bytes_cmp(in->left.lower, in->left.upper) < 0 ?
		PAGE_MORE :
		PAGE_LAST;
}

/* The region is done: on to the next one. */
static PageEnd
next_region(Inspection *in, const Region *region)
{
	KeyRange range = txn_region_range(region, &in->arena);

	in->limit = in->kind->page;
	return range.upper.len > 0 ? go_on(in, range.upper, false) : PAGE_LAST;
}

static KeyRange
range_in(Inspection *in, const Region *region)
{
	return txn_clip_range(in->left, txn_region_range(region, &in->arena));
}

/* ------------------------------------------------------------------- here */

static void
note_replica(Inspection *in, const Region *region)
{
	if (in->last_replica != region->id)
		in->n_replicas++;
	in->last_replica = region->id;
}

static PageEnd
show_page(Inspection *in, ReadRound *round, const BoardRegion *seen)
{
	KeyRange range = range_in(in, &seen->region);
	Bytes last;

	if (in->kind->here(in, read_round_mvcc(round), &range, &last))
		return go_on(in, last, true);
	return next_region(in, &seen->region);
}

static PageEnd
show_round(Inspection *in, const BoardRegion *found, bool replica)
{
	const TableOids *tables = session_tables(&in->patience);
	ReadRound *round = read_round_new(READ_TXN);
	RequestContext context = region_context(found);
	PageEnd end = PAGE_AGAIN;
	TablesAnswer answer;
	const BoardRegion *seen;
	RegionError error;

	context.indexed = replica;
	if (read_round_look(round, &context, &seen, &error))
	{
		answer = read_round_begin(round, tables, true);
		if (answer == TABLES_MISSING)
			session_forget_tables();
		if (answer == TABLES_OK && read_round_valid(round, seen, replica))
			end = show_page(in, round, seen);
	}
	else if (error.kind == REGION_FLASHBACK_IN_PROGRESS)
		report_flashback(error.region_id);
	read_round_end(round);
	return end;
}

/* What this store leads; with `replica` also what it does not. */
static PageEnd
show_here(Inspection *in, bool replica)
{
	BoardRegion *found = palloc(sizeof(*found));
	PageEnd end = PAGE_AGAIN;

	if (txn_find_region(in->left.lower, false, found))
	{
		in->region_id = found->region.id;
		replica = replica && !board_serves(found);
		if (replica || board_serves(found))
			end = show_round(in, found, replica);
		if (end != PAGE_AGAIN && replica)
			note_replica(in, &found->region);
	}
	pfree(found);
	return end;
}

/* -------------------------------------------------------------- elsewhere */

static void
ask_for_less(Inspection *in)
{
	if (in->limit == 1)
		ereport(
			ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg(
				 "a key has too many versions to be listed from another store"),
			 errdetail("It is the first one from %s on.",
					   txn_key_text(in->left.lower)),
			 errhint(
				 "Ask on store %llu, which leads region %llu; or raise tikv.bus_memory.",
				 (unsigned long long) in->leader_store,
				 (unsigned long long) in->region_id)));
	in->limit = Max(in->limit / 4, 1);
}

static PageEnd
ask_leader(Inspection *in, const Route *route, const KeyRange *range)
{
	const ProtobufCMessage *reply;
	RemoteContext context;
	bool too_long = false;
	Bytes last;

	remote_context(&context, &route->region, route->leader);
	reply = remote_read(route, in->kind->method,
						in->kind->ask(in, &context.context, range, in->limit),
						&in->patience, &in->arena, &too_long);
	if (too_long)
		ask_for_less(in);
	if (reply == NULL)
		return PAGE_AGAIN;
	if (in->kind->take(in, reply, &last))
		return go_on(in, last, true);
	return next_region(in, &route->region);
}

static PageEnd
show_elsewhere(Inspection *in)
{
	KeyRange range;
	Route route;

	in->leader_store = 0;
	if (!route_find(txn_bound(in->left.lower, false), false, &in->patience,
					&route) ||
		route.local)
		return PAGE_AGAIN;
	in->region_id = route.region.id;
	in->leader_store = route.leader.store_id;
	range = range_in(in, &route.region);
	if (range.upper.len > 0 && bytes_cmp(range.lower, range.upper) >= 0)
		return next_region(in, &route.region);
	return ask_leader(in, &route, &range);
}

/* ------------------------------------------------------------------- pages */

static void
report_not_shown(const Inspection *in)
{
	report_unless_serving(WORKER_STORE);
	ereport(
		ERROR,
		(errcode(ERRCODE_CANNOT_CONNECT_NOW),
		 in->region_id == 0 ? errmsg("the region of key %s is not known",
									 txn_key_text(in->left.lower)) :
							  errmsg("region %llu cannot be shown",
									 (unsigned long long) in->region_id),
		 in->leader_store == 0 ?
			 errdetail("Nobody says within %d ms who leads it.",
					   tikv_fdw_settings.request_timeout_ms) :
			 errdetail(
				 "Store %llu, which leads it, did not answer within %d ms.",
				 (unsigned long long) in->leader_store,
				 tikv_fdw_settings.request_timeout_ms),
		 errhint(
			 "The store that leads the region must be reached, or this store have a replica; see tikv.regions and tikv.stores.")));
}

/* The time is up: be content with a replica, if there is one. */
static void
give_leader_up(Inspection *in)
{
	BoardRegion *found = palloc(sizeof(*found));

	if (in->replicas_do || in->leader_only ||
		!txn_find_region(in->left.lower, false, found))
		report_not_shown(in);
	in->replicas_do = true;
	in->patience = patience_begin();
	pfree(found);
}

static PageEnd
try_page(Inspection *in)
{
	PageEnd end = show_here(in, in->replicas_do);

	return end == PAGE_AGAIN ? show_elsewhere(in) : end;
}

/* False when the range is done. */
static bool
show_next(Inspection *in)
{
	PageEnd end;

	in->patience = patience_begin();
	in->region_id = 0;
	arena_reset(&in->arena);
	CHECK_FOR_INTERRUPTS();
	while ((end = try_page(in)) == PAGE_AGAIN)
	{
		if (patience_left_ms(&in->patience) == 0)
			give_leader_up(in);
		else
			patience_retry(&in->patience);
	}
	return end == PAGE_MORE;
}

static void
warn_of_replicas(const Inspection *in)
{
	if (in->n_replicas == 0)
		return;
	ereport(
		WARNING,
		(errmsg_plural(
			 "%llu region is shown as this store's replica has it",
			 "%llu regions are shown as this store's replicas have them",
			 (unsigned long) in->n_replicas,
			 (unsigned long long) in->n_replicas),
		 errdetail(
			 "A leader did not answer within %d ms, so the newest writes may be missing, and locks that are in its memory alone.",
			 tikv_fdw_settings.request_timeout_ms)));
}

/* The arena's memory is malloc's: an error must not leak it. */
void
inspect(Inspection *in)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "tikv inspection page",
							  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	in->limit = in->kind->page;
	arena_init(&in->arena);
	PG_TRY();
	{
		while (show_next(in))
		{
			/* What is left lives in the context that is emptied. */
			MemoryContextSwitchTo(old);
			in->left.lower = bytes_copy(in->left.lower);
			MemoryContextReset(context);
			MemoryContextSwitchTo(context);
		}
	}
	PG_FINALLY();
	{
		arena_free(&in->arena);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	warn_of_replicas(in);
}
