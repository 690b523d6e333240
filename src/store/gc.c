/*
 * gc.c
 *	  Garbage collection of old versions, as the store drives it.
 *
 * One step at a time: a request to PD, or one command in a turn among the
 * clients' (a scan for locks, a question about one, a slice of deletions).
 * Between two commands it rests for a multiple of what the last one took, so
 * clients keep most of the store.  Whatever goes wrong ends the round; the
 * next one begins again, since every step may be repeated.
 */
#include "postgres.h"

#include "bus/lock_table.h"
#include "bus/tasks.h"
#include "core/base/rpc_code.h"
#include "guc.h"
#include "pdpb.pb-c.h"
#include "store/txn_turn.h"
#include "utils/memutils.h"

#define TS_PHYSICAL_SHIFT 18
#define SCAN_LOCKS 256

/* Between rounds; shorter where versions live shorter. */
#define ROUND_MAX_US INT64CONST(60000000)
#define ROUND_MIN_US INT64CONST(1000000)

/* An answer of PD that does not come; a round that failed. */
#define PD_PATIENCE_US INT64CONST(5000000)
#define RETRY_US INT64CONST(10000000)

/* Rest after a step, in multiples of its time; less when garbage piles up. */
#define REST_FACTOR 9
#define REST_FACTOR_BEHIND 2
#define BEHIND_RECORDS 200000
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
	gc->due_us = dispatch_now_us() + ROUND_MIN_US;
}

void
gc_free(Store *store)
{
	arena_free(&store->gc.arena);
}

void
gc_note(Store *store, const TxnEffects *effects)
{
	for (size_t i = 0; i < effects->n_modifies; i++)
		if (effects->modifies[i].cf == TXN_CF_WRITE &&
			!effects->modifies[i].is_delete)
			store->gc.garbage++;
}

/* ----------------------------------------------------------------- rounds */

static int64
round_interval_us(void)
{
	int64 tenth = (int64) tikv_fdw_settings.gc_life_time_s * 100000;

	if (tikv_fdw_settings.gc_life_time_s == 0)
		return RETRY_US;
	return Max(Min(tenth, ROUND_MAX_US), ROUND_MIN_US);
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
}

static void
end_round(Store *store, int64 wait_us)
{
	Gc *gc = &store->gc;

	gc->phase = GC_IDLE;
	gc->due_us = dispatch_now_us() + wait_us;
	tell(gc);
}

static void
give_up(Store *store, const char *why)
{
	elog(DEBUG1, "tikv store: garbage collection waits: %s", why);
	end_round(store, RETRY_US);
}

/* The next step is due after a rest. */
static void
rest(Gc *gc)
{
	int64 now_us = dispatch_now_us();
	int factor =
		gc->garbage > BEHIND_RECORDS ? REST_FACTOR_BEHIND : REST_FACTOR;

	gc->due_us = now_us +
		Max(Min((now_us - gc->step_us) * factor, REST_MAX_US), REST_MIN_US);
}

/* ---------------------------------------------------------------- regions */

static void
set_cursor(Gc *gc, Bytes key)
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

/*
 * Does this store lead regions that cover all keys?  A round ends locks before
 * it moves the point up to which versions are deleted, everywhere: locks of
 * regions that others lead would be passed over, and their transactions'
 * records deleted under them (tikv/tikv#9526).
 */
static bool
leads_everything(Store *store)
{
	Bytes at = bytes_empty();
	Peer *peer;

	do
	{
		peer = store_find_peer_of_key(store, at);
		if (peer == NULL || !peer_is_leader(peer))
			return false;
		at = peer->region.end_key;
	} while (at.len > 0);
	return true;
}

/* The next region that this store leads; NULL at the end. */
static Peer *
next_region(Store *store)
{
	for (int i = 0; i < store->n_peers; i++)
	{
		Peer *peer = store->peers[i];

		if (peer->region.id > store->gc.region_id &&
			raft_role(peer->raft) == RAFT_LEADER)
			return peer;
	}
	return NULL;
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
	set_cursor(gc, bytes_empty());
	gc->phase = phase;
	gc->due_us = dispatch_now_us();
	return true;
}

static bool
go_to_next_region(Store *store)
{
	Peer *peer = next_region(store);

	if (peer == NULL)
		return false;
	store->gc.region_id = peer->region.id;
	set_cursor(&store->gc, bytes_empty());
	return true;
}

/* --------------------------------------------------------- talking to PD */

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
		give_up(store, "the placement driver does not take requests");
	pfree(bytes);
}

static void
ask_time(Store *store)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__TsoRequest request = PDPB__TSO_REQUEST__INIT;

	header.cluster_id = store->meta.cluster_id;
	request.header = &header;
	request.count = 1;
	send_to_pd(store, GC_ASKS_TIME, METHOD_PD_TSO, &request.base);
}

static void
ask_state(Store *store)
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
	send_to_pd(store, GC_MOVES_TXN_POINT, METHOD_PD_ADVANCE_TXN_SAFE_POINT,
			   &request.base);
}

static void
move_gc_point(Store *store)
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
	send_to_pd(store, GC_MOVES_GC_POINT, METHOD_PD_ADVANCE_GC_SAFE_POINT,
			   &request.base);
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

static void
begin_deleting(Store *store, uint64 safe_point)
{
	Gc *gc = &store->gc;

	gc->safe_point = safe_point;
	if (!pass_is_due(gc) || !begin_regions(store, GC_DELETES))
	{
		end_round(store, round_interval_us());
		return;
	}
	gc->pass_garbage = gc->garbage;
	gc->running_slices = 0;
	tell(gc);
}

/* Locks come first: nothing below the safe point may commit any more. */
static void
begin_resolving(Store *store, uint64 safe_point)
{
	store->gc.safe_point = safe_point;
	lock_table_raise_max_ts(safe_point);
	if (!begin_regions(store, GC_SCANS_LOCKS))
		end_round(store, round_interval_us());
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
				give_up(store, "no timestamp");
			else
				move_txn_point(store,
							   (uint64) tso->timestamp->physical
								   << TS_PHYSICAL_SHIFT);
			break;
		case GC_MOVES_TXN_POINT:
			if (txn->new_txn_safe_point <= store->gc.collected)
				end_round(store, round_interval_us());
			else
				begin_resolving(store, txn->new_txn_safe_point);
			break;
		case GC_MOVES_GC_POINT:
			ask_state(store);
			break;
		default:
			if (state->gc_state == NULL)
				give_up(store, "no GC state");
			else
				begin_deleting(store, state->gc_state->gc_safe_point);
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
		give_up(store, "the placement driver refused");
		return true;
	}
	arena_init(&arena);
	message = service_unpack(type_of(gc->phase), answer->reply.bytes, &arena);
	if (message == NULL || !header_is_fine(message))
		give_up(store, "the placement driver answered an error");
	else
		take_message(store, gc->phase, message);
	arena_free(&arena);
	return true;
}

/* ------------------------------------------------------------------- jobs */

static void after_scan(Store *store, const TxnAnswer *answer);
static void after_question(Store *store, const TxnAnswer *answer);
static void after_slice(Store *store, Write *write, const TxnAnswer *answer);

/* The turn refused the command: the region moved, space is short, ... */
static void
job_refused(Request *request, const ProtobufCMessage *reply)
{
	Store *store = request->owner;

	(void) reply;
	store->gc.job = NULL;
	give_up(store, "a command was refused");
}

static void
job_failed(Request *request, int code, const char *text)
{
	Store *store = request->owner;

	(void) code;
	store->gc.job = NULL;
	give_up(store, text);
}

static void
job_decided(Store *store, Write *write, const TxnAnswer *answer)
{
	Gc *gc = &store->gc;

	gc->job = NULL;
	if (gc->phase == GC_SCANS_LOCKS)
		after_scan(store, answer);
	else if (gc->phase == GC_RESOLVES)
		after_question(store, answer);
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
static void
queue_job(Store *store, Peer *peer, int method, const TxnCommand *command)
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

static void
key_range(Store *store, Peer *peer, KeyRange *range)
{
	*range = txn_region_range(&peer->region, &store->gc.arena);
	if (bytes_cmp(store->gc.cursor, range->lower) > 0)
		range->lower = store->gc.cursor;
}

static void
scan_locks(Store *store, Peer *peer)
{
	TxnCommand command = {.kind = TXN_CMD_SCAN_LOCK};

	arena_reset(&store->gc.arena);
	key_range(store, peer, &command.scan_lock.range);
	command.scan_lock.max_ts = store->gc.safe_point;
	command.scan_lock.limit = SCAN_LOCKS;
	queue_job(store, peer, METHOD_KV_SCAN_LOCK, &command);
}

static void
delete_slice(Store *store, Peer *peer)
{
	TxnCommand command = {.kind = TXN_CMD_GC};

	arena_reset(&store->gc.arena);
	command.gc.range = txn_region_range(&peer->region, &store->gc.arena);
	command.gc.safe_point = store->gc.safe_point;
	command.gc.cursor = store->gc.cursor;
	queue_job(store, peer, METHOD_KV_DELETE_RANGE, &command);
}

/* ------------------------------------------------------------------ locks */

static void
no_more_locks(Store *store)
{
	if (go_to_next_region(store))
	{
		store->gc.phase = GC_SCANS_LOCKS;
		rest(&store->gc);
	}
	else
		move_gc_point(store);
}

/* The answer lives in the turn's memory: what is needed is copied. */
static void
after_scan(Store *store, const TxnAnswer *answer)
{
	Gc *gc = &store->gc;

	if (answer->n_errors > 0)
	{
		give_up(store, "a transaction is committing below the safe point");
		return;
	}
	if (answer->n_locks == 0)
	{
		no_more_locks(store);
		return;
	}
	gc->locks = arena_alloc(&gc->arena, answer->n_locks * sizeof(LockInfo));
	gc->n_locks = answer->n_locks;
	gc->next_lock = 0;
	for (size_t i = 0; i < answer->n_locks; i++)
	{
		gc->locks[i] = answer->locks[i];
		gc->locks[i].key = arena_copy(&gc->arena, answer->locks[i].key);
		lock_copy(&answer->locks[i].lock, &gc->arena, &gc->locks[i].lock);
	}
	lock_resolver_begin(&gc->resolver, &gc->locks[0], 0, PG_UINT64_MAX,
						&gc->arena);
	gc->phase = GC_RESOLVES;
	rest(gc);
}

/* Behind the last lock of the scan, or the end of the region. */
static void
after_locks(Store *store)
{
	Gc *gc = &store->gc;
	Bytes last = gc->locks[gc->n_locks - 1].key;

	if (gc->n_locks < SCAN_LOCKS)
	{
		no_more_locks(store);
		return;
	}
	set_cursor(gc, last);
	gc->cursor.len++; /* set_cursor leaves a zero behind the key */
	gc->phase = GC_SCANS_LOCKS;
	rest(gc);
}

static void
next_lock(Store *store)
{
	Gc *gc = &store->gc;

	gc->resolved++;
	gc->next_lock++;
	if (gc->next_lock == gc->n_locks)
	{
		after_locks(store);
		return;
	}
	lock_resolver_begin(&gc->resolver, &gc->locks[gc->next_lock], 0,
						PG_UINT64_MAX, &gc->arena);
	gc->due_us = dispatch_now_us();
}

static void
after_question(Store *store, const TxnAnswer *answer)
{
	switch (lock_resolver_next(&store->gc.resolver, answer))
	{
		case LOCK_RESOLVER_RUN:
			store->gc.due_us = dispatch_now_us();
			break;
		case LOCK_RESOLVER_DONE:
			next_lock(store);
			break;
		case LOCK_RESOLVER_ALIVE:
			give_up(store, "a transaction below the safe point is alive");
			break;
		case LOCK_RESOLVER_FAILED:
			give_up(store, "a lock below the safe point cannot be resolved");
			break;
	}
}

/* The key that decides where the resolver's command goes. */
static Bytes
key_of_question(const TxnCommand *command)
{
	switch (command->kind)
	{
		case TXN_CMD_CHECK_TXN_STATUS:
			return command->check_txn_status.primary_key;
		case TXN_CMD_CHECK_SECONDARY_LOCKS:
			/* A transaction of one key has none: any region can say so. */
			return command->check_secondary_locks.n_keys > 0 ?
				command->check_secondary_locks.keys[0] :
				bytes_empty();
		case TXN_CMD_PESSIMISTIC_ROLLBACK:
			return command->pessimistic_rollback.keys[0];
		default:
			return command->resolve_lock.keys[0];
	}
}

static void
ask_about_lock(Store *store)
{
	const TxnCommand *command = &store->gc.resolver.command;
	Bytes key = key_of_question(command);

	for (int i = 0; i < store->n_peers; i++)
	{
		Peer *peer = store->peers[i];
		RegionError error;
		TxnRequest probe = {.keys = &key, .n_keys = 1};

		if (raft_role(peer->raft) == RAFT_LEADER &&
			txn_check_range(&probe, METHOD_KV_GET, &peer->region, &error))
		{
			queue_job(store, peer, METHOD_KV_CHECK_TXN_STATUS, command);
			return;
		}
	}
	give_up(store, "a lock's primary key lies on another store");
}

/* ----------------------------------------------------------------- slices */

static void
end_pass(Store *store)
{
	Gc *gc = &store->gc;

	gc->collected = gc->safe_point;
	gc->pass_us = dispatch_now_us();
	gc->pass_slices = gc->running_slices;
	gc->garbage -= Min(gc->garbage, gc->pass_garbage);
	end_round(store, round_interval_us());
}

static void
after_slice(Store *store, Write *write, const TxnAnswer *answer)
{
	Gc *gc = &store->gc;
	const TxnEffects *effects = &write->decided->effects;

	if (answer->n_errors > 0)
	{
		give_up(store, "a slice failed");
		return;
	}
	gc->deleted += effects->n_modifies;
	gc->running_slices++;
	if (answer->more)
		set_cursor(gc, write->txn->command.gc.cursor);
	else if (!go_to_next_region(store))
	{
		end_pass(store);
		return;
	}
	rest(gc);
	tell(gc);
}

/* --------------------------------------------------------------- the step */

int
gc_run(Store *store)
{
	Gc *gc = &store->gc;
	Peer *peer;

	if (gc->job != NULL || dispatch_now_us() < gc->due_us)
		return 0;
	if (method_of(gc->phase) != 0)
	{
		give_up(store, "the placement driver does not answer");
		return 1;
	}
	if (gc->phase == GC_IDLE)
	{
		if (tikv_fdw_settings.gc_life_time_s == 0 || !leads_everything(store))
			ask_state(store);
		else
			ask_time(store);
		return 1;
	}
	peer = store_find_peer(store, gc->region_id);
	if (peer == NULL || raft_role(peer->raft) != RAFT_LEADER)
		give_up(store, "the region is led elsewhere now");
	else if (gc->phase == GC_SCANS_LOCKS)
		scan_locks(store, peer);
	else if (gc->phase == GC_RESOLVES)
		ask_about_lock(store);
	else
		delete_slice(store, peer);
	return 1;
}
