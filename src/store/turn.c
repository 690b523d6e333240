/*
 * turn.c
 *	  One turn: what waits is decided, written and answered together.
 *
 * The four steps of DESIGN 3.  All of a turn's work is one Postgres
 * transaction and one WAL flush; an error anywhere before the commit discards
 * the turn, and everything it took is answered as not done.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "core/base/check.h"
#include "core/base/rpc_code.h"
#include "guc.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/raw_table.h"
#include "store/store.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Bounds of one turn, so that the first write in it does not wait long. */
#define TURN_MAX_WRITES 4096
#define TURN_MAX_BYTES ((size_t) 16 << 20)

/* Transactions that one failing batch may cost, in halves. */
#define MAX_TRIES 64

#define ABORT_LOG_INTERVAL_US INT64CONST(1000000)

/* What a turn holds open while it runs. */
typedef struct Turn
{
	Store *store;
	OpenTables tables;
	Snapshot snapshot;
	RawReader *reader; /* made when a command first reads */
	RawWriter *writer;
	Write *current; /* being decided: in neither queue */
	int sqlstate;	/* of the error that aborted it */
} Turn;

/* ------------------------------------------------------------- admission */

static bool
over_bounds(const WriteQueue *queue, size_t bytes)
{
	return queue->n >= tikv_fdw_settings.max_pending_writes ||
		queue->bytes + bytes > (size_t) tikv_fdw_settings.max_pending_kb * 1024;
}

void
store_submit(void *arg, Request *request, RawCommand *command)
{
	Store *store = arg;
	Write *write;

	if (over_bounds(&store->queue, command->write_bytes))
	{
		service_busy(request, "scheduler is busy: too many writes wait");
		return;
	}
	write = arena_zalloc(request->arena, sizeof(Write));
	write->request = request;
	write->command = *command;
	write_queue_push(&store->queue, write);
}

static void
take_batch(WriteQueue *from, WriteQueue *batch)
{
	write_queue_init(batch);
	while (from->head != NULL && batch->n < TURN_MAX_WRITES &&
		   (batch->n == 0 ||
			batch->bytes + from->head->command.write_bytes <= TURN_MAX_BYTES))
		write_queue_push(batch, write_queue_pop(from));
}

static void
refuse_all(WriteQueue *queue, const RegionError *error)
{
	Write *write;

	while ((write = write_queue_pop(queue)) != NULL)
		service_region_error(write->request, error);
}

void
store_refuse_all(Store *store, const char *reason)
{
	RegionError error = {.kind = REGION_SERVER_IS_BUSY,
						 .reason = reason,
						 .backoff_ms = 100};

	refuse_all(&store->queue, &error);
}

/* ------------------------------------------------- steps 1 and 2: decide */

static bool
still_wanted(const Write *write, RegionError *error)
{
	const Request *request = write->request;
	int64 now_us = dispatch_now_us();
	int64 limit_us = request->deadline_us;

	if (write->command.context.max_execution_ms > 0 &&
		write->command.context.max_execution_ms < PG_INT32_MAX)
		limit_us =
			Min(limit_us,
				request->received_us +
					(int64) write->command.context.max_execution_ms * 1000);
	if (now_us < limit_us)
		return true;
	memset(error, 0, sizeof(*error));
	error->kind = REGION_SERVER_IS_BUSY;
	error->reason = SERVICE_TOO_LATE;
	return false;
}

static bool
guard_permits(const Store *store, const Write *write, RegionError *error)
{
	memset(error, 0, sizeof(*error));
	if (!guard_allows_disk(&store->guard, write->command.context.disk_full_opt))
	{
		error->kind = REGION_DISK_FULL;
		error->actual = store->meta.store_id;
		error->reason = store->guard.reason;
		return false;
	}
	if (store->guard.xids_low)
	{
		error->kind = REGION_SERVER_IS_BUSY;
		error->reason =
			"Postgres is short of transaction ids: VACUUM the databases of this instance";
		return false;
	}
	return true;
}

/* May the write go on?  Leader, epoch, range, space, time. */
static bool
check_write(Store *store, Write *write, RegionError *error)
{
	Peer *peer = store_find_peer(store, write->command.context.region_id);
	RegionState state;

	if (peer != NULL)
		peer_region_state(peer, &state);
	if (!region_check(store->meta.store_id, peer != NULL ? &state : NULL,
					  &write->command.context, EPOCH_DATA, error))
		return false;
	write->peer = peer;
	return raw_check_range(&write->command, write->request->method->id,
						   &peer->region, error) &&
		guard_permits(store, write, error) && still_wanted(write, error);
}

/* Does the key exist, seen over what this turn has decided so far? */
static bool
key_exists(Turn *turn, const RawModify *modify, Arena *arena)
{
	const RawModify *pending =
		overlay_find(&turn->store->overlay, modify->cf, modify->key);
	RawPair pair;

	if (pending != NULL)
		return pending->kind == RAW_PUT;
	if (turn->reader == NULL)
		turn->reader =
			raw_reader_open(&turn->tables, turn->snapshot, (int64) time(NULL));
	return turn->reader->get(turn->reader, modify->cf, modify->key, arena,
							 &pair);
}

/*
 * Decide one write.  Its effects join the overlay and its entry the group's
 * log; it is answered when the turn is durable.  A command that is refused is
 * answered here, unless the answer rests on what the turn has not yet made
 * durable: that one waits in the outbox too.
 */
static void
decide(Turn *turn, Write *write)
{
	Store *store = turn->store;
	RawCommand *command = &write->command;
	RegionError error;
	RaftEntry entry = {.type = RAFT_ENTRY_NORMAL};
	uint64_t index;
	uint64_t term;

	if (write->request->abandoned != NULL &&
		write->request->abandoned(write->request))
	{
		write->request->fail(write->request, RPC_CANCELLED,
							 "the client is gone");
		return;
	}
	if (!check_write(store, write, &error))
	{
		service_region_error(write->request, &error);
		return;
	}
	if (command->must_be_absent &&
		key_exists(turn, &command->modifies[0], write->request->arena))
	{
		write->refused = "key exists";
		write_queue_push(&store->outbox, write);
		return;
	}
	entry.payload = command;
	entry.payload_size = command->write_bytes;
	if (raft_propose(write->peer->raft, &entry, &index, &term) != STATUS_OK)
	{
		service_busy(write->request, "raftstore is busy: proposal refused");
		return;
	}
	write->peer->touched = true;
	for (size_t i = 0; i < command->n_modifies; i++)
		overlay_apply(&store->overlay, &command->modifies[i]);
	write_queue_push(&store->outbox, write);
}

static bool
any_touched(const Store *store)
{
	for (int i = 0; i < store->n_peers; i++)
		if (store->peers[i].touched)
			return true;
	return false;
}

/* ----------------------------------------------- step 3: one transaction */

/*
 * A sole-peer group commits what it appends: the entries of this ready are
 * the effects that the overlay already holds, so what is left is the state.
 */
static void
save_group(Turn *turn, Peer *peer)
{
	RaftReady *ready = &peer->ready;
	GroupState *state = &peer->state;

	CHECK(raft_ready(peer->raft, &turn->store->arena, (uint64) board_now_us(),
					 ready));
	CHECK(ready->sole && ready->n_messages == 0 &&
		  ready->n_persisted_messages == 0);
	if (ready->has_hard_state)
	{
		state->term = ready->hard_state.term;
		state->vote = ready->hard_state.vote;
		state->commit_index = ready->hard_state.commit;
	}
	if (ready->n_committed > 0)
	{
		const RaftEntry *last = &ready->committed[ready->n_committed - 1];

		state->commit_index = last->index;
		state->applied_index = last->index;
		state->applied_term = last->term;
		state->truncated_index = last->index;
		state->truncated_term = last->term;
	}
	group_state_update(&turn->tables, turn->snapshot, state);
}

static void
write_rows(Turn *turn)
{
	Overlay *overlay = &turn->store->overlay;

	turn->writer = raw_writer_open(&turn->tables, turn->snapshot);
	for (size_t i = 0; i < overlay->n_modifies; i++)
		raw_writer_apply(turn->writer, &overlay->modifies[i]);
	raw_writer_close(turn->writer);
}

static void
commit_turn(Turn *turn)
{
	Store *store = turn->store;

	if (any_touched(store))
	{
		pacer_spend(&store->pacer, dispatch_now_us(),
					tikv_fdw_settings.turn_min_interval_us);
		store->turns++;
	}
	for (int i = 0; i < store->n_peers; i++)
		if (store->peers[i].touched)
			save_group(turn, &store->peers[i]);
	write_rows(turn);
	if (turn->reader != NULL)
		raw_reader_close(turn->reader);
	UnregisterSnapshot(turn->snapshot);
	tables_close(&turn->tables, true);
	CommitTransactionCommand();
	raw_writer_published(turn->writer);
	for (int i = 0; i < store->n_peers; i++)
		if (store->peers[i].touched)
			peer_committed(store, &store->peers[i]);
	store->outbox_lsn = XactLastCommitEnd;
}

/* ------------------------------------------------------ step 4: replies */

static void
send_outbox(Store *store)
{
	Write *write;

	while ((write = write_queue_pop(&store->outbox)) != NULL)
	{
		if (write->refused != NULL)
			raw_error(write->request, write->refused);
		else
			raw_write_done(write->request);
	}
}

/* ------------------------------------------------------------- the turn */

static bool
open_turn(Turn *turn)
{
	Store *store = turn->store;
	TablesAnswer answer;

	StartTransactionCommand();
	MemoryContextSwitchTo(store->turn_context);
	answer =
		tables_open(&store->tables, TABLES_RAW, true, false, &turn->tables);
	if (answer == TABLES_OK)
	{
		turn->snapshot = RegisterSnapshot(GetLatestSnapshot());
		return true;
	}
	store_report_blocker(store, answer);
	CommitTransactionCommand();
	return false;
}

/* The log says why turns fail, but not a thousand times a second. */
static void
log_abort(Store *store)
{
	int64 now_us = dispatch_now_us();

	if (now_us < store->next_abort_log_us)
		return;
	store->next_abort_log_us = now_us + ABORT_LOG_INTERVAL_US;
	EmitErrorReport();
}

/* Something threw: undo the turn and start over from what is stored. */
static void
abort_turn(Turn *turn)
{
	Store *store = turn->store;

	MemoryContextSwitchTo(store->turn_context);
	turn->sqlstate = CopyErrorData()->sqlerrcode;
	log_abort(store);
	FlushErrorState();
	AbortCurrentTransaction();
	store->aborted_turns++;
	for (int i = 0; i < store->n_peers; i++)
		if (store->peers[i].touched)
			peer_restart(store, &store->peers[i]);
}

/* After an abort: everything that was not answered, in its order. */
static void
gather_unanswered(Turn *turn, WriteQueue *batch)
{
	WriteQueue all;
	Write *write;

	write_queue_init(&all);
	while ((write = write_queue_pop(&turn->store->outbox)) != NULL)
		write_queue_push(&all, write);
	if (turn->current != NULL)
		write_queue_push(&all, turn->current);
	while ((write = write_queue_pop(batch)) != NULL)
		write_queue_push(&all, write);
	write_queue_init(batch);
	while ((write = write_queue_pop(&all)) != NULL)
	{
		write->refused = NULL;
		write_queue_push(batch, write);
	}
}

static void
refuse_aborted(Store *store, WriteQueue *batch, int sqlstate)
{
	RegionError error = {.kind = REGION_SERVER_IS_BUSY, .backoff_ms = 100};

	error.reason = "the turn was rolled back, nothing was written";
	if (sqlstate == ERRCODE_DISK_FULL)
	{
		error.kind = REGION_DISK_FULL;
		error.actual = store->meta.store_id;
		error.reason = "disk full: a write was rolled back";
	}
	refuse_all(batch, &error);
}

static void
execute(Turn *turn, WriteQueue *batch)
{
	Write *write;

	while ((write = write_queue_pop(batch)) != NULL)
	{
		turn->current = write;
		decide(turn, write);
		turn->current = NULL;
	}
	commit_turn(turn);
}

static void
finish_turn(Store *store)
{
	overlay_reset(&store->overlay);
	arena_reset(&store->arena);
	MemoryContextSwitchTo(TopMemoryContext);
	MemoryContextReset(store->turn_context);
	pgstat_report_stat(false);
}

static void
refuse_unopened(Store *store, WriteQueue *batch)
{
	RegionError error = {.kind = REGION_SERVER_IS_BUSY,
						 .reason = store->blocker,
						 .backoff_ms = 100};

	refuse_all(batch, &error);
}

/*
 * One transaction over a batch.  True if all of it was answered; else it was
 * undone, nothing of it was answered, and *sqlstate says why.
 */
static bool
try_batch(Store *store, WriteQueue *batch, int *sqlstate)
{
	Turn turn = {.store = store};
	volatile bool done = true;

	PG_TRY();
	{
		if (open_turn(&turn))
			execute(&turn, batch);
		else
			refuse_unopened(store, batch);
	}
	PG_CATCH();
	{
		abort_turn(&turn);
		gather_unanswered(&turn, batch);
		*sqlstate = turn.sqlstate;
		done = false;
	}
	PG_END_TRY();

	/* Outside: what is durable is answered, whatever happens meanwhile. */
	if (done)
		send_outbox(store);
	finish_turn(store);
	return done;
}

/*
 * A batch that fails is tried again in halves, so that one bad row does not
 * fail its neighbours; *tries bounds how often.
 */
static void
run_batch(Store *store, WriteQueue *batch, int *tries)
{
	WriteQueue half;
	int sqlstate = 0;
	int n;

	(*tries)--;
	if (try_batch(store, batch, &sqlstate))
		return;
	if (batch->n <= 1 || *tries <= 0 || sqlstate == ERRCODE_DISK_FULL)
	{
		refuse_aborted(store, batch, sqlstate);
		return;
	}
	n = batch->n / 2;
	write_queue_init(&half);
	while (half.n < n)
		write_queue_push(&half, write_queue_pop(batch));
	run_batch(store, &half, tries);
	run_batch(store, batch, tries);
}

int
turn_run(Store *store)
{
	WriteQueue batch;
	int tries = MAX_TRIES;
	int n;

	take_batch(&store->queue, &batch);
	n = batch.n;
	if (n == 0 && !any_touched(store))
		return 0;
	guard_refresh(&store->guard, dispatch_now_us());
	run_batch(store, &batch, &tries);
	return n;
}
