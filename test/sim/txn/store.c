/*
 * store.c
 *	  The store: requests are evaluated into turns, turns become durable or
 *	  do not.
 *
 * `visible` is what readers' snapshots and the lock table show; `work` is that
 * and what the open turn did.  A turn that becomes durable shows its rows
 * first and then changes locks and guards, so that a reader in between meets
 * a lock rather than nothing (DESIGN 5).
 */
#include "sim.h"

/* ------------------------------------------------ concurrency manager */

static ConcurrencyManager *
inner(void)
{
	return &sim->work.cm;
}

static void
raise_max_ts(ConcurrencyManager *cm, uint64_t ts)
{
	(void) cm;
	if (sim->running == TXN_CMD_SCAN_LOCK &&
		sim_mutation("scan_lock_keeps_max_ts"))
		return;
	inner()->raise_max_ts(inner(), ts);
}

static PublishAnswer
publish(ConcurrencyManager *cm, Bytes key, Lock *lock, uint64_t max_commit_ts)
{
	uint64_t max_ts = sim->work.max_ts;
	PublishAnswer answer;

	(void) cm;
	if (sim_mutation("publish_ignores_max_ts"))
		sim->work.max_ts = 0;
	answer = inner()->publish(inner(), key, lock, max_commit_ts);
	sim->work.max_ts = max_ts;
	return answer;
}

static void
retract(ConcurrencyManager *cm, Bytes key, uint64_t start_ts)
{
	(void) cm;
	inner()->retract(inner(), key, start_ts);
}

static bool
find_guard(ConcurrencyManager *cm, const KeyRange *range, uint64_t max_ts,
		   Arena *arena, Bytes *key, Lock *lock)
{
	(void) cm;
	return inner()->find_guard(inner(), range, max_ts, arena, key, lock);
}

/* ---------------------------------------------------------- begin and end */

int
region_of(Bytes key)
{
	return bytes_cmp(key, bytes_cstr(SIM_REGION_1)) >= 0;
}

KeyRange
region_range(int region)
{
	KeyRange range = {bytes_empty(), bytes_cstr(SIM_REGION_1)};

	if (region == 1)
		range = (KeyRange){bytes_cstr(SIM_REGION_1), bytes_empty()};
	return range;
}

void
store_init(void)
{
	LockWaitConfig config = {.wake_up_delay_us = 4 * MS,
							 .default_timeout_us = WAIT_CEILING_US,
							 .max_waiters = 64};

	memory_init(&sim->visible);
	memory_init(&sim->work);
	if (sim_chance(0.2))
		sim->work.max_guards = 2;
	sim->cm = (ConcurrencyManager){raise_max_ts, publish, retract, find_guard};
	sim->status_cache = status_cache_new(64, 64, 0);
	sim->waits = lock_wait_new(&config);
	sim->max_ts_synced = true;
	arena_init(&sim->turn_arena);
}

void
store_free(void)
{
	memory_free(&sim->visible);
	memory_free(&sim->work);
	status_cache_free(sim->status_cache);
	lock_wait_free(sim->waits);
	arena_free(&sim->turn_arena);
}

void
store_queue(Rpc *rpc)
{
	SIM_GROW(sim->queue, sim->n_queue, sim->queue_room);
	sim->queue[sim->n_queue++] = rpc;
}

/* ---------------------------------------------------------------- replies */

static void
reply(Rpc *rpc, ReplyKind kind)
{
	Client *c = rpc->client;

	if (rpc->answered)
		return;
	rpc->answered = true;
	if (c->call != rpc->call || sim_chance(sim->loss))
		return;
	c->reply = kind;
	c->answer = &rpc->answer;
	c->sleeping = false;
}

static void
reply_error(Rpc *rpc, TxnErrorKind kind)
{
	TxnError *error = sim_alloc(sizeof(*error));

	error->kind = kind;
	memset(&rpc->answer, 0, sizeof(rpc->answer));
	rpc->answer.errors = error;
	rpc->answer.n_errors = 1;
	reply(rpc, REPLY_ANSWER);
}

/* ------------------------------------------------------------- evaluation */

static void
run_command(TxnEnv *env, Rpc *rpc)
{
	sim->running = rpc->command.kind;
	txn_execute(env, &rpc->command, &rpc->answer);
	sim->running = TXN_CMD_PREWRITE;
}

static void
drop_effects(Rpc *rpc)
{
	for (size_t i = 0; i < rpc->effects.n_guards; i++)
		retract(NULL, rpc->effects.guards[i].key,
				rpc->effects.guards[i].start_ts);
	rpc->effects.n_guards = 0;
	effects_clear(&rpc->effects);
}

/* A pessimistic lock request that met a lock waits for it. */
static void
park(Rpc *rpc)
{
	const PessimisticLockCommand *command = &rpc->command.pessimistic_lock;
	LockWaitEvent event;
	LockWaitRequest request = {.token = rpc,
							   .key = rpc->answer.errors[0].lock.key,
							   .start_ts = command->start_ts,
							   .for_update_ts = command->for_update_ts,
							   .is_first_lock = command->is_first_lock,
							   .allow_conflict =
								   command->allow_lock_with_conflict,
							   .wait_timeout_ms = command->wait_timeout_ms,
							   .deadline_us = rpc->deadline_us,
							   .blocker = rpc->answer.errors[0].lock};

	switch (lock_wait_park(sim->waits, &request, sim->now, &event))
	{
		case LOCK_WAIT_PARKED:
			rpc->parked = true;
			sim_trace("%" PRIu64 " waits", command->start_ts);
			break;
		case LOCK_WAIT_BUSY:
			reply(rpc, REPLY_BUSY);
			break;
		default:
			if (event.kind == LOCK_WAIT_DEADLOCK)
			{
				sim->n_deadlocks++;
				reply_error(rpc, TXN_DEADLOCK);
			}
			else
				reply(rpc, REPLY_ANSWER);
			break;
	}
}

/* Whether the request may be answered before its turn is durable. */
static bool
answers_early(const Rpc *rpc, bool turn_was_dirty)
{
	/*
	 * Not what was decided over the turn's own work: that may be undone, and
	 * values read from it may never have been.
	 */
	return sim->pipelined && rpc->command.kind == TXN_CMD_PESSIMISTIC_LOCK &&
		rpc->answer.n_errors == 0 &&
		(!turn_was_dirty || sim_mutation("pipelined_over_overlay"));
}

/*
 * A prewrite that meets its own commit is a repetition, and a success (8.7):
 * otherwise a client would take what it committed for failed.
 */
static void
check_prewrite(const Rpc *rpc)
{
	uint64_t start_ts = rpc->command.prewrite.start_ts;

	if (rpc->command.kind != TXN_CMD_PREWRITE)
		return;
	for (size_t i = 0; i < rpc->answer.n_errors; i++)
	{
		const TxnError *error = &rpc->answer.errors[i];
		CommitRecord record;

		if (error->kind != TXN_WRITE_CONFLICT &&
			error->kind != TXN_PESSIMISTIC_LOCK_NOT_FOUND)
			continue;
		mvcc_commit_record(&sim->work.reader, error->key, start_ts,
						   &sim->turn_arena, &record);
		if (commit_record_is_commit(&record))
			sim_fail("prewrite of %" PRIu64
					 ", which is committed, answers error %d",
					 start_ts, (int) error->kind);
	}
}

static void
execute(Rpc *rpc)
{
	bool turn_was_dirty = sim->turn_is_dirty;
	TxnEnv env = {.reader = &sim->work.reader,
				  .cm = &sim->cm,
				  .status_cache = sim->status_cache,
				  .arena = &sim->arena,
				  .effects = &rpc->effects,
				  .max_ts_synced =
					  sim->max_ts_synced || sim_mutation("async_before_sync"),
				  .memory_locks = sim->memory_locks,
				  .pipelined = sim->pipelined,
				  .is_retry_request = rpc->is_retry,
				  .region = region_range(rpc->region)};

	effects_init(&rpc->effects, &sim->turn_arena);
	memset(&rpc->answer, 0, sizeof(rpc->answer));
	run_command(&env, rpc);
	check_prewrite(rpc);
	if (rpc->answer.n_errors > 0 && !rpc->answer.keep_effects)
		drop_effects(rpc);
	if (rpc->answer.may_wait)
	{
		park(rpc);
		return;
	}
	memory_apply(&sim->work, &rpc->effects);
	if (rpc->effects.n_modifies > 0)
		sim->turn_is_dirty = true;
	if (answers_early(rpc, turn_was_dirty))
		reply(rpc, REPLY_ANSWER);
	sim->turn[sim->n_turn++] = rpc;
}

/* ---------------------------------------------------------- end of a turn */

/* A write record is deleted: only a collector may delete commits. */
static void
check_deletion(const Rpc *rpc, const TxnModify *modify)
{
	MemoryRow *row =
		memory_find(&sim->visible, TXN_CF_WRITE, modify->key, modify->ts);
	WriteRecord write;

	if (row == NULL || rpc->command.kind == TXN_CMD_GC)
		return;
	CHECK(write_decode(row->bytes, &write) == STATUS_OK);
	if (write.type != WRITE_TYPE_ROLLBACK)
		sim_fail("a commit of %" PRIu64 " at %" PRIu64 " was deleted",
				 write.start_ts, modify->ts);
}

static void
show_write(const TxnModify *modify)
{
	MemoryRow *row =
		memory_find(&sim->visible, TXN_CF_WRITE, modify->key, modify->ts);
	WriteRecord old;

	if (row == NULL)
		old.type = WRITE_TYPE_ROLLBACK;
	else
		CHECK(write_decode(row->bytes, &old) == STATUS_OK);
	if (old.type != WRITE_TYPE_ROLLBACK &&
		(old.start_ts != modify->write.start_ts ||
		 old.type != modify->write.type))
		sim_fail("the commit of %" PRIu64 " at %" PRIu64
				 " was written over by %" PRIu64,
				 old.start_ts, modify->ts, modify->write.start_ts);
	memory_put(&sim->visible, TXN_CF_WRITE, modify->key, modify->ts,
			   modify->bytes, false);
	if (modify->write.type != WRITE_TYPE_ROLLBACK &&
		old.type == WRITE_TYPE_ROLLBACK)
		model_commit(modify->key, modify->ts, &modify->write);
}

static void
show_rows(const Rpc *rpc)
{
	for (size_t i = 0; i < rpc->effects.n_modifies; i++)
	{
		const TxnModify *modify = &rpc->effects.modifies[i];

		if (modify->cf == TXN_CF_LOCK)
			continue;
		if (modify->cf == TXN_CF_WRITE && modify->is_delete)
			check_deletion(rpc, modify);
		if (modify->is_delete)
			memory_delete(&sim->visible, modify->cf, modify->key, modify->ts);
		else if (modify->cf == TXN_CF_WRITE)
			show_write(modify);
		else
			memory_put(&sim->visible, modify->cf, modify->key, modify->ts,
					   modify->bytes, false);
	}
}

static void
tell_waiters(const Rpc *rpc)
{
	for (size_t i = 0; i < rpc->effects.n_released; i++)
	{
		const TxnReleased *released = &rpc->effects.released[i];

		lock_wait_released(sim->waits, released->key, released->start_ts,
						   released->commit_ts, sim->now);
	}
	for (size_t i = 0; i < rpc->effects.n_modifies; i++)
	{
		const TxnModify *modify = &rpc->effects.modifies[i];
		LockInfo info = {.key = modify->key};

		if (modify->cf != TXN_CF_LOCK || modify->is_delete)
			continue;
		info.lock = *modify->lock;
		info.ttl_ms = modify->lock->ttl_ms;
		lock_wait_acquired(sim->waits, &info, sim->now);
	}
}

static void
show_locks(const Rpc *rpc)
{
	for (size_t i = 0; i < rpc->effects.n_modifies; i++)
	{
		const TxnModify *modify = &rpc->effects.modifies[i];

		if (modify->cf != TXN_CF_LOCK)
			continue;
		if (modify->is_delete)
			memory_delete(&sim->visible, TXN_CF_LOCK, modify->key, 0);
		else
			memory_put(&sim->visible, TXN_CF_LOCK, modify->key, 0,
					   modify->bytes, modify->memory_only);
	}
}

static void
drop_guards(const Rpc *rpc)
{
	for (size_t i = 0; i < rpc->effects.n_guards; i++)
		retract(NULL, rpc->effects.guards[i].key,
				rpc->effects.guards[i].start_ts);
}

static void
finish(Rpc *rpc)
{
	for (size_t i = 0; i < rpc->effects.n_known; i++)
		status_cache_put(sim->status_cache, rpc->effects.known[i].start_ts,
						 rpc->effects.known[i].commit_ts, sim->now);
	if (!rpc->answer.more)
	{
		reply(rpc, REPLY_ANSWER);
		return;
	}
	rpc->due_us = sim->now;
	rpc->expires_us = INT64_MAX;
	store_queue(rpc);
}

static void
end_turn(void)
{
	sim->n_turn = 0;
	sim->turn_is_dirty = false;
	sim->stage = TURN_OPEN;
	arena_reset(&sim->turn_arena);
}

static void
forget_work(void)
{
	MvccMemory *work = &sim->work;

	for (size_t i = 0; i < work->n_rows; i++)
	{
		memory_drop(work->rows[i].key);
		memory_drop(work->rows[i].bytes);
	}
	work->n_rows = 0;
	for (size_t i = 0; i < sim->visible.n_rows; i++)
	{
		const MemoryRow *row = &sim->visible.rows[i];

		memory_put(work, row->cf, row->key, row->ts, row->bytes,
				   row->memory_only);
	}
}

static void
abort_turn(void)
{
	sim_trace("turn of %zu aborts", sim->n_turn);
	sim->n_aborted_turns++;
	for (size_t i = 0; i < sim->n_turn; i++)
	{
		drop_guards(sim->turn[i]);
		reply(sim->turn[i], REPLY_BUSY);
	}
	forget_work();
	end_turn();
}

static void
show_turn_rows(void)
{
	if (sim_mutation("guards_end_early"))
		for (size_t i = 0; i < sim->n_turn; i++)
			drop_guards(sim->turn[i]);
	if (sim_mutation("locks_end_early"))
	{
		for (size_t i = 0; i < sim->n_turn; i++)
			show_locks(sim->turn[i]);
		sim->stage = TURN_ROWS_VISIBLE;
		return;
	}
	for (size_t i = 0; i < sim->n_turn; i++)
		show_rows(sim->turn[i]);
	sim->stage = TURN_ROWS_VISIBLE;
}

static void
show_turn_locks(void)
{
	for (size_t i = 0; i < sim->n_turn; i++)
	{
		if (sim_mutation("locks_end_early"))
			show_rows(sim->turn[i]);
		else
			show_locks(sim->turn[i]);
		drop_guards(sim->turn[i]);
	}
	for (size_t i = 0; i < sim->n_turn; i++)
		tell_waiters(sim->turn[i]);
	for (size_t i = 0; i < sim->n_turn; i++)
		finish(sim->turn[i]);
	end_turn();
}

/* ------------------------------------------------------------------ waits */

static bool
wait_step(void)
{
	LockWaitEvent event;
	TxnError *error;
	Rpc *rpc;

	if (!lock_wait_next(sim->waits, sim->now, &event))
		return false;
	rpc = event.token;
	rpc->parked = false;
	switch (event.kind)
	{
		case LOCK_WAIT_RESUME:
			rpc->command.pessimistic_lock.resumed = true;
			rpc->deadline_us = event.deadline_us;
			rpc->due_us = sim->now;
			rpc->expires_us = INT64_MAX;
			store_queue(rpc);
			return true;
		case LOCK_WAIT_CONFLICT:
			reply_error(rpc, TXN_WRITE_CONFLICT);
			return true;
		case LOCK_WAIT_DEADLOCK:
			sim->n_deadlocks++;
			reply_error(rpc, TXN_DEADLOCK);
			return true;
		default:
			/* The lock lives in memory that goes with the next call. */
			error = sim_alloc(sizeof(*error));
			error->kind = TXN_KEY_IS_LOCKED;
			error->lock = event.blocker;
			error->lock.key = arena_copy(&sim->arena, event.blocker.key);
			lock_copy(&event.blocker.lock, &sim->arena, &error->lock.lock);
			rpc->answer.errors = error;
			rpc->answer.n_errors = 1;
			reply(rpc, REPLY_ANSWER);
			return true;
	}
}

/* ------------------------------------------------------------- leadership */

static void
drop_memory_locks(MvccMemory *m)
{
	for (size_t i = m->n_rows; i-- > 0;)
		if (m->rows[i].memory_only)
			memory_delete(m, m->rows[i].cf, m->rows[i].key, m->rows[i].ts);
}

typedef struct Waiting
{
	Rpc *rpcs[64];
	size_t n;
} Waiting;

/*
 * A new leader: it has neither in-memory locks nor max_ts, and those who wait
 * have to ask again.
 */
void
store_lose_leadership(void)
{
	LockWaitConfig config = {.wake_up_delay_us = 4 * MS,
							 .default_timeout_us = WAIT_CEILING_US,
							 .max_waiters = 64};

	if (sim->n_turn > 0)
		return;
	sim_trace("leadership changes");
	sim->n_elections++;
	sim->generation++;
	drop_memory_locks(&sim->visible);
	drop_memory_locks(&sim->work);
	CHECK(sim->work.n_guards == 0);
	sim->work.max_ts = 0;
	sim->max_ts_synced = false;
	status_cache_free(sim->status_cache);
	sim->status_cache = status_cache_new(64, 64, 0);
	/* Their clients time out. */
	lock_wait_free(sim->waits);
	sim->waits = lock_wait_new(&config);
}

void
store_sync_max_ts(void)
{
	if (sim->max_ts_synced)
		return;
	inner()->raise_max_ts(inner(), sim_tso());
	sim->max_ts_synced = true;
}

/* -------------------------------------------------------------- one step */

static bool
may_run(const Rpc *rpc)
{
	if (rpc->due_us > sim->now)
		return false;
	return sim->n_turn == 0 || !txn_needs_clean_overlay(&rpc->command);
}

/*
 * Requests end with the leadership that they were sent to, as connections do;
 * but one for a lock may be sent on to the new leader.
 */
static bool
finds_its_leader(const Rpc *rpc)
{
	return rpc->generation == sim->generation ||
		rpc->command.kind == TXN_CMD_PESSIMISTIC_LOCK;
}

static bool
take_request(void)
{
	size_t first = sim->n_queue == 0 ? 0 : sim_rand(sim->n_queue);

	if (sim->stage != TURN_OPEN || sim->n_turn >= sim->turn_size)
		return false;
	for (size_t n = 0; n < sim->n_queue; n++)
	{
		size_t i = (first + n) % sim->n_queue;
		Rpc *rpc = sim->queue[i];

		if (!may_run(rpc))
			continue;
		sim->queue[i] = sim->queue[--sim->n_queue];
		if (rpc->expires_us >= sim->now && finds_its_leader(rpc))
			execute(rpc);
		return true;
	}
	return false;
}

static bool
go_on_with_turn(void)
{
	if (sim->n_turn == 0)
		return false;
	if (sim->stage == TURN_ROWS_VISIBLE)
		show_turn_locks();
	else if (sim_chance(sim->abort_rate))
		abort_turn();
	else
		show_turn_rows();
	return true;
}

bool
store_step(void)
{
	if (sim_chance(0.3) && wait_step())
		return true;
	if (sim_chance(sim->turn_hunger) && take_request())
		return true;
	return go_on_with_turn() || take_request() || wait_step();
}

int64_t
store_next_due(void)
{
	int64_t due = lock_wait_deadline(sim->waits);

	for (size_t i = 0; i < sim->n_queue; i++)
		if (sim->queue[i]->due_us < due)
			due = sim->queue[i]->due_us;
	return due;
}
