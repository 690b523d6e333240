/*
 * gc.c
 *	  Garbage collection of old versions, as the store drives it.
 *
 * One step at a time: a request to PD, or one command in a turn among the
 * clients' (a scan for locks, a question about one, a slice of deletions).
 * Between two commands it rests for a multiple of what the last one took, so
 * clients keep most of the store.  Whatever goes wrong ends the round; the
 * next one begins again, since every step may be repeated.  Only versions that
 * are damaged are passed by (gc_damage.c): they would end every round.
 */
#include "postgres.h"

#include "bus/failpoints.h"
#include "bus/lock_table.h"
#include "bus/tasks.h"
#include "core/base/rpc_code.h"
#include "guc.h"
#include "store/gc_internal.h"
#include "utils/memutils.h"

/* Between rounds; shorter where versions live shorter. */
#define ROUND_MAX_US INT64CONST(60000000)
#define ROUND_MIN_US INT64CONST(1000000)

/* After a round that failed. */
#define RETRY_US INT64CONST(10000000)

/*
 * Between looks at PD's points.  TiKV's GC manager polls them as often
 * (tikv/tikv, src/server/gc_worker/gc_manager.rs).
 */
#define LOOK_US INT64CONST(10000000)

/*
 * Rest after a step, in multiples of its time: the more garbage has piled up,
 * the less, until as much is collected as is made.
 */
#define REST_FACTOR 15
#define REST_FACTOR_BEHIND 2
#define BEHIND_RECORDS 500000
#define REST_MIN_US INT64CONST(1000)
#define REST_MAX_US INT64CONST(200000)

/*
 * A pass reads all of `write`.  A large table is worth it when a tenth of it
 * may be garbage, as TiKV has it, or after an hour.
 */
#define SMALL_PASS_SLICES 400
#define PASS_MAX_AGE_US INT64CONST(3600000000)

struct GcJob
{
	Request request;
	Write write;
	TxnRequest txn;
};

void
gc_init(Store *store)
{
	Gc *gc = &store->gc;

	memset(gc, 0, sizeof(*gc));
	arena_init(&gc->arena);
	gc->keep =
		AllocSetContextCreate(store->context, "tikv gc", ALLOCSET_SMALL_SIZES);
	gc->round_us = gc->due_us = dispatch_now_us() + ROUND_MIN_US;
}

void
gc_free(Store *store)
{
	arena_free(&store->gc.arena);
	gc_sleepers_free(store);
}

void
gc_note(Store *store, const TxnEffects *effects)
{
	Gc *gc = &store->gc;

	for (size_t i = 0; i < effects->n_modifies; i++)
	{
		const TxnModify *modify = &effects->modifies[i];

		if (modify->cf != TXN_CF_WRITE || modify->is_delete)
			continue;
		gc->garbage++;
		gc->newest_ts = Max(gc->newest_ts, modify->ts);
	}
}

void
gc_note_commit(Store *store, uint64 n, uint64 commit_ts)
{
	store->gc.garbage += n;
	store->gc.newest_ts = Max(store->gc.newest_ts, commit_ts);
}

/* ----------------------------------------------------------------- rounds */

int64
gc_round_interval_us(void)
{
	int64 tenth = (int64) tikv_fdw_settings.gc_life_time_s * 100000;

	if (tikv_fdw_settings.gc_life_time_s == 0)
		return RETRY_US;
	return Max(Min(tenth, ROUND_MAX_US), ROUND_MIN_US);
}

static GcStep
step_of(GcPhase phase)
{
	switch (phase)
	{
		case GC_IDLE:
			return GC_STEP_IDLE;
		case GC_SCANS_LOCKS:
		case GC_RESOLVES:
			return GC_STEP_LOCKS;
		case GC_DELETES:
			return GC_STEP_VERSIONS;
		default:
			return GC_STEP_PD;
	}
}

static void
tell(const Gc *gc)
{
	tasks_set(TASK_GC_WAITING,
			  gc->phase == GC_DELETES || gc->phase == GC_RESOLVES ||
					  gc->phase == GC_SCANS_LOCKS ?
				  1 :
				  0);
	tasks_set(TASK_GC_REMOVED, gc->deleted);
	tasks_set(TASK_GC_RESOLVED, gc->resolved);
	tasks_set(TASK_GC_SAFE_POINT, gc->collected);
	tasks_set(TASK_GC_LOCK_FLOOR, gc->lock_floor);
	tasks_set(TASK_GC_STEP, step_of(gc->phase));
}

void
gc_end_round(Store *store, int64 wait_us)
{
	Gc *gc = &store->gc;
	int64 now_us = dispatch_now_us();

	if (!gc->looks)
		gc->round_us = now_us + wait_us;
	gc->phase = GC_IDLE;
	gc->looks = false;
	gc->due_us = Min(gc->round_us, now_us + LOOK_US);
	tasks_set(TASK_GC_REASON,
			  gc_damage_is_known(gc) ? GC_REASON_DAMAGED : GC_REASON_NONE);
	tasks_set(TASK_GC_BLOCKER, 0);
	tell(gc);
}

void
gc_give_up(Store *store, GcReason reason)
{
	const Gc *gc = &store->gc;
	uint64 blocker =
		gc->phase == GC_RESOLVES ? gc->locks[gc->next_lock].lock.start_ts : 0;

	elog(DEBUG1, "tikv store: garbage collection waits: %s",
		 tasks_gc_reason(reason));
	gc_end_round(store, RETRY_US);
	tasks_set(TASK_GC_REASON, reason);
	tasks_set(TASK_GC_BLOCKER, blocker);
}

static double
rest_factor(const Gc *gc)
{
	double behind = Min((double) gc->garbage / BEHIND_RECORDS, 1);

	return REST_FACTOR - behind * (REST_FACTOR - REST_FACTOR_BEHIND);
}

/* The next step is due after a rest. */
void
gc_rest(Gc *gc)
{
	int64 now_us = dispatch_now_us();
	int64 rest_us = (int64) ((double) (now_us - gc->step_us) * rest_factor(gc));

	gc->due_us = now_us + Max(Min(rest_us, REST_MAX_US), REST_MIN_US);
}

/* ---------------------------------------------------------------- regions */

void
gc_set_cursor(Gc *gc, Bytes key)
{
	uint8 *copy;
	Bytes old = gc->cursor;

	copy = MemoryContextAlloc(gc->keep, key.len + 1);
	if (key.len > 0)
		memcpy(copy, key.data, key.len);
	copy[key.len] = 0;
	gc->cursor = bytes_make(copy, key.len);
	if (old.data != NULL)
		pfree((void *) old.data);
}

bool
gc_leads(Store *store)
{
	const Peer *peer = store_find_peer_of_key(store, bytes_empty());

	return peer != NULL && peer_is_leader(peer);
}

/*
 * What other stores left behind in a region is not known to who comes to lead
 * it: something may be.
 */
static void
note_new_regions(Store *store)
{
	Gc *gc = &store->gc;
	uint64 led = 0;

	for (int i = 0; i < store->n_peers; i++)
		if (peer_is_leader(store->peers[i]))
			led += store->peers[i]->region.id *
				(raft_term(store->peers[i]->raft) + 1);
	if (led != gc->led && gc->garbage == 0)
		gc->garbage = 1;
	gc->led = led;
}

/* The next region that this store leads; NULL at the end. */
static Peer *
next_region(Store *store)
{
	Peer *peer = store_next_peer(store, store->gc.region_id);

	while (peer != NULL && raft_role(peer->raft) != RAFT_LEADER)
		peer = store_next_peer(store, peer->region.id);
	return peer;
}

/* Begin with the first region; false if this store leads none. */
static bool
begin_regions(Store *store, GcPhase phase)
{
	Gc *gc = &store->gc;
	Peer *peer;

	gc->region_id = 0;
	peer = next_region(store);
	if (peer == NULL)
		return false;
	gc->region_id = peer->region.id;
	gc_set_cursor(gc, bytes_empty());
	gc->phase = phase;
	gc->due_us = dispatch_now_us();
	return true;
}

bool
gc_go_to_next_region(Store *store)
{
	Peer *peer = next_region(store);

	if (peer == NULL)
		return false;
	store->gc.region_id = peer->region.id;
	gc_set_cursor(&store->gc, bytes_empty());
	return true;
}

/* ------------------------------------------------------ from step to step */

void
gc_know(Store *store, uint64 txn_safe_point, uint64 gc_safe_point)
{
	store->gc.lock_floor = Max(store->gc.lock_floor, txn_safe_point);
	board_raise_gc_safe_point(gc_safe_point);
	tell(&store->gc);
}

void
gc_look_soon(Store *store)
{
	if (store->gc.phase == GC_IDLE)
		store->gc.due_us = dispatch_now_us();
}

bool
gc_allows_write(const Store *store, const TxnCommand *command, uint64 *start_ts)
{
	switch (command->kind)
	{
		case TXN_CMD_PREWRITE:
		case TXN_CMD_FLUSH:
			*start_ts = command->prewrite.start_ts;
			break;
		case TXN_CMD_PESSIMISTIC_LOCK:
			*start_ts = command->pessimistic_lock.start_ts;
			break;
		default:
			return true;
	}
	return *start_ts >= store->gc.lock_floor;
}

/* Locks come first: nothing below the safe point may commit any more. */
void
gc_begin_resolving(Store *store, uint64 safe_point)
{
	store->gc.safe_point = safe_point;
	store->gc.lock_floor = Max(store->gc.lock_floor, safe_point);
	lock_table_raise_max_ts(safe_point);
	gc_begin_scanning(store);
}

/* Is a pass over all versions worth its reads? */
static bool
pass_is_due(const Gc *gc)
{
	if (gc->safe_point <= gc->collected)
		return false;
	if (gc->collected == 0)
		return true;
	if (gc->garbage == 0)
		return false;
	return gc->pass_slices < SMALL_PASS_SLICES ||
		gc->garbage * 10 >= gc->pass_slices * TXN_SLICE_KEYS ||
		dispatch_now_us() - gc->pass_us > PASS_MAX_AGE_US;
}

void
gc_begin_deleting(Store *store, uint64 safe_point)
{
	Gc *gc = &store->gc;

	gc->safe_point = safe_point;
	gc_damage_forget_old(gc);
	if (!pass_is_due(gc) || !begin_regions(store, GC_DELETES))
	{
		gc_end_round(store, gc_round_interval_us());
		return;
	}
	board_raise_gc_safe_point(gc->safe_point);
	FAILPOINT_PASS("store_gc_readers_know");
	gc->lock_floor = Max(gc->lock_floor, gc->safe_point);
	gc->pass_garbage = gc->garbage;
	gc->running_slices = 0;
	gc->damage.n_regions = 0;
	tell(gc);
}

/* ------------------------------------------------------------------- jobs */

static void after_slice(Store *store, Write *write, const TxnAnswer *answer);
static void meet_damage(Store *store);

/* The turn refused the command: the region moved, space is short, ... */
static void
job_refused(Request *request, const ProtobufCMessage *reply)
{
	Store *store = request->owner;

	(void) reply;
	store->gc.job = NULL;
	gc_give_up(store, GC_REASON_REFUSED);
}

static void
job_failed(Request *request, int code, const char *text)
{
	Store *store = request->owner;

	(void) text;
	store->gc.job = NULL;
	if (code == RPC_DATA_LOSS)
		meet_damage(store);
	else
		gc_give_up(store, GC_REASON_FAILED);
}

static void
job_decided(Store *store, Write *write, const TxnAnswer *answer)
{
	Gc *gc = &store->gc;

	gc->job = NULL;
	if (gc->phase == GC_SCANS_LOCKS)
		gc_after_scan(store, answer);
	else if (gc->phase == GC_RESOLVES)
		gc_after_question(store, answer);
	else if (gc->phase == GC_DELETES)
		after_slice(store, write, answer);
}

static void
fill_context(const Peer *peer, RequestContext *context)
{
	memset(context, 0, sizeof(*context));
	context->region_id = peer->region.id;
	context->epoch = peer->region.epoch;
	context->has_epoch = true;
	context->peer_id = peer->self.id;
	context->peer_store_id = peer->self.store_id;
	context->has_peer = true;
}

/* Queue a command among the clients'. */
void
gc_queue_job(Store *store, Peer *peer, int method, const TxnCommand *command)
{
	Gc *gc = &store->gc;
	GcJob *job = arena_zalloc(&gc->arena, sizeof(GcJob));

	job->request.method = service_method(method);
	job->request.arena = &gc->arena;
	job->request.received_us = dispatch_now_us();
	job->request.deadline_us = PG_INT64_MAX;
	job->request.done = job_refused;
	job->request.fail = job_failed;
	job->request.owner = store;
	job->txn.command = *command;
	fill_context(peer, &job->txn.context);
	job->write.request = &job->request;
	job->write.txn = &job->txn;
	job->write.inside = job_decided;
	gc->job = job;
	gc->step_us = dispatch_now_us();
	write_queue_push(&store->queue, &job->write);
}

/* ----------------------------------------------------------------- slices */

static void
delete_slice(Store *store, Peer *peer)
{
	TxnCommand command = {.kind = TXN_CMD_GC};

	arena_reset(&store->gc.arena);
	command.gc.range = txn_region_range(&peer->region, &store->gc.arena);
	gc_damage_bound(&store->gc, &command.gc.range);
	command.gc.safe_point = store->gc.safe_point;
	command.gc.cursor = store->gc.cursor;
	gc_queue_job(store, peer, METHOD_KV_DELETE_RANGE, &command);
}

static void
end_pass(Store *store)
{
	Gc *gc = &store->gc;

	FAILPOINT_PASS("store_gc_pass_over");
	gc->collected = gc->safe_point;
	gc->pass_us = dispatch_now_us();
	gc->pass_slices = gc->running_slices;
	gc_damage_end_pass(gc);
	gc->garbage -= Min(gc->garbage, gc->pass_garbage);

	/* What was too young for this pass is left for another. */
	if (gc->garbage == 0 && gc->newest_ts > gc->safe_point)
		gc->garbage = 1;
	gc_end_round(store, gc_round_interval_us());
}

static void
after_slice(Store *store, Write *write, const TxnAnswer *answer)
{
	Gc *gc = &store->gc;
	const TxnEffects *effects = &write->decided->effects;

	if (answer->n_errors > 0)
	{
		gc_give_up(store, GC_REASON_FAILED);
		return;
	}
	FAILPOINT_PASS("store_gc_slice");
	gc->deleted += effects->n_modifies;
	gc->running_slices++;
	if (answer->more)
		gc_set_cursor(gc, write->txn->command.gc.cursor);
	else if (!gc_damage_begins_behind(gc) && !gc_go_to_next_region(store))
	{
		end_pass(store);
		return;
	}
	gc_rest(gc);
	tell(gc);
}

/* A lock that cannot be read is no garbage: it keeps the safe point. */
static void
meet_damage(Store *store)
{
	Gc *gc = &store->gc;

	if (gc->phase != GC_DELETES)
		gc_give_up(store, GC_REASON_DAMAGED);
	else if (gc_damage_meet(store) || gc_go_to_next_region(store))
		gc_rest(gc);
	else
		end_pass(store);
}

/* --------------------------------------------------------------- the step */

int
gc_run(Store *store)
{
	Gc *gc = &store->gc;
	Peer *peer;

	if (gc->phase == GC_IDLE &&
		gc->life_time_s != tikv_fdw_settings.gc_life_time_s)
	{
		gc->life_time_s = tikv_fdw_settings.gc_life_time_s;
		gc->round_us = Min(gc->round_us, dispatch_now_us() + ROUND_MIN_US);
		gc->due_us = Min(gc->due_us, gc->round_us);
	}
	if (gc->job != NULL || gc->away || dispatch_now_us() < gc->due_us)
		return 0;
	if (gc_waits_for_pd(gc))
	{
		gc_give_up(store, GC_REASON_PD);
		return 1;
	}
	if (gc->phase == GC_IDLE)
	{
		note_new_regions(store);
		gc->looks = dispatch_now_us() < gc->round_us;
		if (gc->looks || tikv_fdw_settings.gc_life_time_s == 0 ||
			!gc_leads(store))
			gc_ask_state(store);
		else
			gc_ask_time(store);
		return 1;
	}
	peer = store_find_peer(store, gc->region_id);
	if (gc->phase == GC_SCANS_LOCKS)
		gc_scan_locks(store);
	else if (gc->phase == GC_RESOLVES)
		gc_ask_about_lock(store);
	else if (peer == NULL || !peer_is_leader(peer))
		gc_give_up(store, GC_REASON_MOVED);
	else
		delete_slice(store, peer);
	tell(gc);
	return 1;
}
