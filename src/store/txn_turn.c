/*
 * txn_turn.c
 *	  Transaction commands within a turn.
 *
 * Commands are decided one after the other, each over the turn's overlay and
 * then the snapshot, so two commands on one key are serial without latches:
 * what the first left is what the second reads.  Nothing of it is seen
 * outside before the commit, except guards, which an aborted turn takes back.
 */
#include "postgres.h"

#include "bus/failpoints.h"
#include "bus/lock_table.h"
#include "core/base/check.h"
#include "core/raft/raft.h"
#include "core/txn/status_cache.h"
#include "guc.h"
#include "storage/last_look.h"
#include "store/txn_turn.h"

/* What a command may read and list, as for the answers of reads. */
#define MAX_COMMAND_BYTES ((size_t) 256 << 20)

/* -------------------------------------------------------------- deciding */

bool
txn_turn_must_wait(const TxnTurn *turn, const Write *write)
{
	return txn_needs_clean_overlay(&write->txn->command) &&
		!txn_overlay_is_empty(&turn->store->txn_overlay);
}

/* Opened, with the overlay over it, when a command first needs it. */
MvccReader *
txn_turn_base(TxnTurn *turn)
{
	if (turn->base == NULL)
	{
		turn->base = txn_reader_open(turn->tables, turn->snapshot,
									 lock_table_n_spilled() > 0);
		txn_overlay_begin(&turn->store->txn_overlay, turn->base);
	}
	return turn->base;
}

static MvccReader *
reader_of(TxnTurn *turn)
{
	(void) txn_turn_base(turn);
	return &turn->store->txn_overlay.reader;
}

static void
fill_env(TxnTurn *turn, Write *write, Decided *decided, TxnEnv *env)
{
	Store *store = turn->store;

	memset(env, 0, sizeof(*env));
	env->reader = reader_of(turn);
	env->cm = lock_table_cm();
	env->status_cache = store->status_cache;
	env->arena = &store->arena;
	env->effects = &decided->effects;
	env->max_ts_synced = store->max_ts_synced;
	env->memory_locks = tikv_fdw_settings.in_memory_pessimistic_locks;
	env->max_key_size = (size_t) tikv_fdw_settings.max_key_size;
	env->max_memory = store->arena.allocated + MAX_COMMAND_BYTES;
	env->txn_source = write->txn->txn_source;
	env->is_retry_request = write->txn->is_retry_request;
	if (write->peer != NULL)
		env->region =
			txn_region_range(&write->peer->region, write->request->arena);
}

static void
retract_guards(const TxnEffects *effects)
{
	for (size_t i = 0; i < effects->n_guards; i++)
		lock_table_end_guard(effects->guards[i].key,
							 effects->guards[i].start_ts);
}

/* Rows, as opposed to locks that live in memory only? */
static bool
has_rows(const TxnEffects *effects)
{
	for (size_t i = 0; i < effects->n_modifies; i++)
		if (!effects->modifies[i].memory_only)
			return true;
	return false;
}

void
txn_turn_refuse_collected(Store *store, Write *write)
{
	Decided *decided = write->decided;
	Arena *arena = write->request->arena;
	TxnError *error;
	uint64 start_ts;

	if (decided->effects.n_modifies == 0 ||
		gc_allows_write(store, &write->txn->command, &start_ts))
		return;
	error = arena_zalloc(arena, sizeof(TxnError));
	error->kind = TXN_ABORT;
	error->text = txn_collected_text(start_ts, store->gc.lock_floor, arena);
	memset(&decided->answer, 0, sizeof(decided->answer));
	decided->answer.errors = error;
	decided->answer.n_errors = 1;
	retract_guards(&decided->effects);
	decided->effects.n_guards = 0;
}

static bool
propose(Write *write, const TxnEffects *effects)
{
	RaftEntry entry = {.type = RAFT_ENTRY_NORMAL,
					   .payload = write,
					   .payload_size = effects->bytes};
	uint64_t index;
	uint64_t term;

	/* Of the store, and no region's */
	if (write->peer == NULL)
		return true;
	if (raft_propose(write->peer->raft, &entry, &index, &term) != STATUS_OK)
		return false;
	peer_touch(write->peer);
	region_size_txn(write->peer, effects->modifies, effects->n_modifies);
	return true;
}

static Decided *
begin_deciding(TxnTurn *turn, Write *write, TxnEnv *env)
{
	Arena *arena = &turn->store->arena;
	Decided *decided = arena_zalloc(arena, sizeof(Decided));

	decided->before = write->txn->command;
	effects_init(&decided->effects, arena);
	fill_env(turn, write, decided, env);
	write->decided = decided;
	return decided;
}

static void
execute(TxnTurn *turn, Write *write, TxnEnv *env)
{
	Store *store = turn->store;

	if (write->txn->command.kind == TXN_CMD_GC)
		last_look_begin();
	txn_execute(env, &write->txn->command, &write->decided->answer);
	flashback_check(write);
	txn_turn_refuse_collected(store, write);
}

/* A sole peer's: only its locks may live in memory alone. */
static void
bound_memory_locks(Write *write, Store *store)
{
	const TikvSettings *s = &tikv_fdw_settings;
	MemoryLockLimits limits = {
		.region = (uint64) s->in_memory_peer_size_limit_kb * 1024,
		.instance = (uint64) s->in_memory_instance_size_limit_kb * 1024,
	};

	if (write->peer != NULL)
		(void) memory_locks_admit(&write->decided->effects,
								  write->peer->region.id, store->memory_turn,
								  &write->peer->memory_locks,
								  &store->memory_locks, &limits);
}

static void
drop_refused(Decided *decided)
{
	if (decided->answer.n_errors > 0 && !decided->answer.keep_effects)
		effects_clear(&decided->effects);
}

void
txn_turn_evaluate(TxnTurn *turn, Write *write)
{
	TxnEnv env;
	Decided *decided = begin_deciding(turn, write, &env);

	execute(turn, write, &env);
	if (decided->answer.n_errors > 0)
		retract_guards(&decided->effects);
	drop_refused(decided);
}

bool
txn_turn_decide(TxnTurn *turn, Write *write)
{
	Store *store = turn->store;
	TxnEnv env;
	Decided *decided = begin_deciding(turn, write, &env);
	bool proposed = true;

	if (!flashback_is_too_late(write) && !flashback_enters(write, &proposed))
		execute(turn, write, &env);
	drop_refused(decided);
	bound_memory_locks(write, store);
	if (has_rows(&decided->effects))
		proposed = proposed && propose(write, &decided->effects);
	if (!proposed)
	{
		txn_turn_undo(write);
		return false;
	}
	txn_overlay_apply(&store->txn_overlay, &decided->effects);
	flashback_finish(write);
	return true;
}

void
txn_turn_undo(Write *write)
{
	if (write->decided == NULL)
		return;
	retract_guards(&write->decided->effects);
	write->txn->command = write->decided->before;
	write->decided = NULL;
	arena_free(&write->slice);
}

/* --------------------------------------------------------------- writing */

void
txn_turn_write(TxnTurn *turn)
{
	TxnOverlay *overlay = &turn->store->txn_overlay;
	const TxnModify *modify;
	size_t at = 0;

	if (!txn_overlay_is_empty(overlay))
	{
		turn->writer =
			txn_writer_open(turn->tables, turn->snapshot, turn->store->pool);
		while ((modify = txn_overlay_next(overlay, &at)) != NULL)
		{
			turn->at = modify;
			txn_writer_apply(turn->writer, modify);
		}
		turn->at = NULL;
		txn_writer_close(turn->writer);
		FAILPOINT("store_txn_written");
	}
	if (turn->base != NULL)
		txn_reader_close(turn->base);
}

/* Of a command whose entry was refused only the guards were ever there. */
static void
publish_one(Store *store, const Write *write)
{
	const TxnEffects *effects = &write->decided->effects;

	retract_guards(effects);
	if (write->mismatch)
		return;
	gc_note(store, effects);
	for (size_t i = 0; i < effects->n_known; i++)
		status_cache_put(store->status_cache, effects->known[i].start_ts,
						 effects->known[i].commit_ts, dispatch_now_us());
}

void
txn_turn_published(TxnTurn *turn, const WriteQueue *outbox)
{
	if (turn->writer != NULL)
	{
		FAILPOINT("store_before_publish_txn");
		txn_writer_published(turn->writer);
		FAILPOINT("store_after_publish_txn");
	}
	for (const Write *write = outbox->head; write != NULL; write = write->next)
		if (write->decided != NULL)
			publish_one(turn->store, write);
}

/* --------------------------------------------------------------- replies */

static void
go_on(Store *store, Write *write)
{
	txn_command_keep(&write->txn->command, write->request->arena);
	write->decided = NULL;
	arena_free(&write->slice);
	write_queue_push(&store->queue, write);
}

/* For the last answer: neither the write nor its account outlives that. */
static Arena
take_slice(Write *write)
{
	Arena slice = write->slice;

	arena_charge(&slice, NULL);
	arena_init(&write->slice);
	return slice;
}

void
txn_turn_reply(Store *store, Write *write)
{
	Decided *decided = write->decided;
	Arena slice;

	FAILPOINT_PASS("store_before_txn_reply");
	lock_waits_released(store, &decided->effects);
	if (write->inside == NULL && decided->answer.more)
	{
		go_on(store, write);
		return;
	}
	slice = take_slice(write);
	if (write->inside != NULL)
		write->inside(store, write, &decided->answer);
	else if (decided->answer.may_wait)
		lock_waits_park(store, write);
	else
		txn_answer(write->request, write->txn, &decided->answer);
	arena_free(&slice);
}

void
txn_turn_take_status(Store *store, Request *request)
{
	const Kvrpcpb__BroadcastTxnStatusRequest *from =
		(const void *) request->message;

	for (size_t i = 0; i < from->n_txn_status; i++)
		if (from->txn_status[i]->commit_ts != 0)
			status_cache_put(store->status_cache, from->txn_status[i]->start_ts,
							 from->txn_status[i]->commit_ts, dispatch_now_us());
	request->done(request,
				  service_new_message(request->method->response,
									  request->arena));
}
