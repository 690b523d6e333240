/*
 * turn.c
 *	  One turn: what waits is decided, written and answered together.
 *
 * The four steps of DESIGN 3.  All of a turn's work is one Postgres
 * transaction and one WAL flush; an error anywhere before the commit discards
 * the turn, and everything it took is answered as not done.
 */
#include "postgres.h"

#include <time.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "bus/metrics.h"
#include "core/base/check.h"
#include "core/base/later.h"
#include "core/base/rpc_code.h"
#include "guc.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "read/read.h"
#include "read/txn_look.h"
#include "storage/last_look.h"
#include "storage/raw_table.h"
#include "store/damage.h"
#include "store/grants.h"
#include "store/raw_decide.h"
#include "store/replicas.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Bounds of one turn, so that the first write in it does not wait long. */
#define TURN_MAX_WRITES 4096
#define TURN_MAX_BYTES ((size_t) 16 << 20)

/* A turn that holds more memory than this takes no further commands. */
#define TURN_MAX_MEMORY ((size_t) 64 << 20)

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
	int64 now_s;	   /* at which it reads */
	RawWriter *writer;
	TxnTurn txn;
	Write *current; /* being decided: in neither queue */
	int64 begun_us;
	const RawModify *raw_at; /* being written */
	int sqlstate;			 /* of the error that aborted it */
	bool passed;			 /* ... and it would not come again */
	bool committed;
} Turn;

/* ------------------------------------------------------------- admission */

/* A new write in the queue; NULL if it was refused. */
static Write *
admit(Store *store, Request *request, size_t bytes)
{
	Write *write;

	if (!write_queue_admits(&store->queue, request->source, bytes) ||
		!write_queue_has_room(&store->replicas->queue, bytes))
	{
		service_busy(request, "scheduler is busy: too many writes wait");
		return NULL;
	}
	write = arena_zalloc(request->arena, sizeof(Write));
	write->request = request;
	write->bytes = bytes;
	write_queue_push(&store->queue, write);
	return write;
}

void
store_submit(void *arg, Request *request, RawCommand *command)
{
	Write *write = admit(arg, request, command->write_bytes);

	if (write != NULL)
		write->command = *command;
}

void
store_submit_txn(void *arg, Request *request, TxnRequest *txn)
{
	Write *write = admit(arg, request, txn->write_bytes);

	if (write == NULL)
		return;
	write->txn = txn;
	if (request->method->id == METHOD_SQL_GRANT)
		write->wish = grants_wish(request);
}

static const RequestContext *
context_of(const Write *write)
{
	return write->txn != NULL ? &write->txn->context : &write->command.context;
}

static void
take_batch(WriteQueue *from, WriteQueue *batch)
{
	const Write *next;

	write_queue_init(batch);
	while ((next = write_queue_peek(from)) != NULL &&
		   batch->n < TURN_MAX_WRITES &&
		   (batch->n == 0 || batch->bytes + next->bytes <= TURN_MAX_BYTES))
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
	refuse_all(&store->replicas->queue, &error);
}

/* ------------------------------------------------- steps 1 and 2: decide */

static bool
still_wanted(const Write *write, RegionError *error)
{
	if (dispatch_now_us() < write->request->deadline_us)
		return true;
	memset(error, 0, sizeof(*error));
	error->kind = REGION_SERVER_IS_BUSY;
	error->reason = SERVICE_TOO_LATE;
	return false;
}

/*
 * Commands that end transactions go on however full the disk is
 * (txn-semantics 6): refusing them would keep what fills it.
 */
static bool
txn_frees_space(const Write *write)
{
	if (write->txn == NULL)
		return false;
	switch (write->txn->command.kind)
	{
		case TXN_CMD_PREWRITE:
		case TXN_CMD_FLUSH:
		case TXN_CMD_PESSIMISTIC_LOCK:
		case TXN_CMD_FLASHBACK_WRITE:
			return false;
		default:
			return true;
	}
}

static bool
guard_permits(const Store *store, const Write *write, RegionError *error)
{
	memset(error, 0, sizeof(*error));
	if (!txn_frees_space(write) &&
		!guard_allows_disk(&store->guard, context_of(write)->disk_full_opt))
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

static bool
in_range(const Write *write, const Region *region, RegionError *error)
{
	int method = write->request->method->id;

	/* Its keys may be in many regions, each of which is looked at. */
	if (write->wish != NULL)
		return true;
	if (write->txn != NULL)
		return txn_check_range(write->txn, method, region, error);
	return raw_check_range(&write->command, method, region, error);
}

static bool
timestamps_are_plausible(const Write *write, RegionError *error)
{
	TxnLookAnswer answer = TXN_LOOK_OK;

	if (write->txn != NULL)
		answer = txn_judge_ts(txn_newest_ts(&write->txn->command));
	if (answer == TXN_LOOK_OK)
		return true;
	*error = txn_ts_error(answer, write->txn->context.region_id);
	return false;
}

/*
 * In API V1 a region may have been split at raw keys.  Clients of transactions
 * cannot decode such bounds, and would not find what they have written.
 */
static bool
bounds_are_encoded(const Peer *peer, const Write *write, RegionError *error)
{
	if (write->txn == NULL || !peer->raw_bounds || txn_frees_space(write))
		return true;
	memset(error, 0, sizeof(*error));
	error->kind = REGION_MESSAGE_ONLY;
	error->region_id = peer->region.id;
	error->reason =
		"the region was split at raw keys, where there can be no transactions: keep both with API version 2 (tikv.api_version)";
	return false;
}

/* What the leader's own disk allows may find no room at the others. */
static bool
replicas_permit(const Peer *peer, const Write *write, RegionError *error)
{
	int opt = context_of(write)->disk_full_opt;

	return !peer->grouped ||
		disk_usage_permits(peer,
						   txn_frees_space(write) ? DISK_ALREADY_FULL : opt,
						   write->request->arena, error);
}

/* A leader whose disk is short hands over when it is awake (hand_over.c). */
static bool
disks_permit(Store *store, const Write *write, RegionError *error)
{
	if (guard_permits(store, write, error))
		return replicas_permit(write->peer, write, error);
	if (write->peer->grouped)
		peer_wake(write->peer);
	return false;
}

bool
turn_check_write(Store *store, Write *write, RegionError *error)
{
	const RequestContext *context = context_of(write);
	Peer *peer = store_find_peer(store, context->region_id);
	RegionState state;

	if (write->request->method->id == METHOD_UNSAFE_DESTROY_RANGE)
	{
		/* Of the store, whatever its regions (txn-semantics 21). */
		write->peer = NULL;
		return true;
	}
	/* one that waits for its first snapshot knows no region */
	if (peer != NULL && peer->region.n_peers == 0)
		peer = NULL;
	if (peer != NULL)
		peer_region_state(peer, &state);
	if (!region_check(store->meta.store_id, peer != NULL ? &state : NULL,
					  context,
					  context->flashback ? EPOCH_RANGE_CHANGE : EPOCH_DATA,
					  error))
	{
		read_add_siblings(context, error);
		return false;
	}
	write->peer = peer;
	return bounds_are_encoded(peer, write, error) &&
		in_range(write, &peer->region, error) &&
		timestamps_are_plausible(write, error) &&
		disks_permit(store, write, error) && still_wanted(write, error);
}

bool
turn_propose(Store *store, Peer *peer, RawCommand *command)
{
	RaftEntry entry = {.type = RAFT_ENTRY_NORMAL};
	uint64_t index;
	uint64_t term;

	entry.payload = command;
	entry.payload_size = command->write_bytes;
	if (raft_propose(peer->raft, &entry, &index, &term) != STATUS_OK)
		return false;
	peer_touch(peer);
	region_size_raw(peer, command->modifies, command->n_modifies);
	for (size_t i = 0; i < command->n_modifies; i++)
	{
		command->modifies[i].era = store->ranges.era;
		overlay_apply(&store->overlay, &command->modifies[i]);
	}
	return true;
}

/* The rows as they were when the turn began. */
static RawReader *
turn_reader(Turn *turn)
{
	if (turn->reader == NULL)
	{
		turn->now_s = ((int64) time(NULL) + FAILPOINT_CLOCK_S);
		turn->reader =
			raw_reader_open(&turn->tables, turn->snapshot, turn->now_s);
	}
	return turn->reader;
}

/*
 * What the write does to the log, once it may go on.  False with the answer if
 * there is nothing to do, or no room.
 */
static bool
propose_write(Turn *turn, Write *write)
{
	Store *store = turn->store;
	const char *busy = NULL;

	if (raw_depends_on_rows(&write->command))
	{
		RawReader *reader = turn_reader(turn);

		if (!raw_decide(store, write, reader, turn->now_s))
			return true;
	}
	if (range_delete_is_full(store) && write->command.deletes_range)
		busy = "scheduler is busy: too many ranges are being deleted";
	else if (!turn_propose(store, write->peer, &write->command))
		busy = "raftstore is busy: proposal refused";
	if (busy != NULL)
		service_busy(write->request, busy);
	else if (write->command.deletes_range)
		range_delete_accept(store, write);
	return busy == NULL;
}

void
turn_count_begin(Write *write, int64 now_us)
{
	write->request->begun_us = now_us;
	if (write->request->received_us > 0)
		metrics_time(HISTOGRAM_QUEUE_US, now_us - write->request->received_us);
}

bool
turn_is_abandoned(const Write *write)
{
	Request *request = write->request;

	return request->abandoned != NULL && request->abandoned(request);
}

void
turn_drop(Write *write)
{
	Request *request = write->request;

	request->fail(request, RPC_CANCELLED, "the client is gone");
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
	RegionError error;

	/* What goes on over several turns began with the first. */
	if (write->request->begun_us == 0)
		turn_count_begin(write, turn->begun_us);
	if (turn_is_abandoned(write))
	{
		turn_drop(write);
		return;
	}
	if (!turn_check_write(store, write, &error))
	{
		service_region_error(write->request, &error);
		return;
	}
	if (write->peer != NULL && write->peer->grouped && write->wish == NULL)
	{
		raft_write_submit(store, write);
		return;
	}
	if (write->txn != NULL &&
		(!grants_admit(store, write) || grants_decide(&turn->txn, write)))
		return;
	if (write->txn != NULL)
	{
		if (txn_turn_decide(&turn->txn, write))
			write_queue_push(&store->outbox, write);
		else
			service_busy(write->request, "raftstore is busy: proposal refused");
		return;
	}
	if (propose_write(turn, write))
		write_queue_push(&store->outbox, write);
}

static bool
any_touched(const Store *store)
{
	return store->lists[PEERS_TOUCHED].n > 0;
}

bool
turn_is_due(const Store *store)
{
	return any_touched(store);
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
	if (turn->store->sweeper.enabled)
		raw_writer_watch(turn->writer, sweeper_note, turn->store);
	for (size_t i = 0; i < overlay->n_modifies; i++)
	{
		turn->raw_at = &overlay->modifies[i];
		raw_writer_apply(turn->writer, turn->raw_at);
	}
	turn->raw_at = NULL;
	raw_writer_close(turn->writer);
}

void
turn_count(const Store *store, int64 begun_us)
{
	metrics_add(VALUE_TURNS, 1);
	metrics_count_size(HISTOGRAM_TURN_WRITES, (uint64) store->outbox.n);
	metrics_time(HISTOGRAM_TURN_US, store->durable_us - begun_us);
	metrics_time(HISTOGRAM_COMMIT_US, store->durable_us - store->decided_us);
}

static void
commit_turn(Turn *turn)
{
	Store *store = turn->store;
	bool writing = any_touched(store) || store->overlay.n_modifies > 0;

	store->decided_us = dispatch_now_us();
	if (writing)
	{
		pacer_spend(&store->pacer, store->decided_us,
					tikv_fdw_settings.turn_min_interval_us);
		store->turns++;
	}
	grants_advance(store);
	for (int i = 0; i < store->lists[PEERS_TOUCHED].n; i++)
		save_group(turn, store->lists[PEERS_TOUCHED].peers[i]);
	write_rows(turn);
	txn_turn_write(&turn->txn);
	flashback_save(store);
	range_delete_save_new(store);
	if (turn->reader != NULL)
		raw_reader_close(turn->reader);
	UnregisterSnapshot(turn->snapshot);
	tables_close(&turn->tables, true);
	FAILPOINT("store_own_before_commit");
	CommitTransactionCommand();
	turn->committed = true;
	FAILPOINT("store_own_after_commit");
	raw_writer_published(turn->writer);
	txn_turn_published(&turn->txn, &store->outbox);
	while (store->lists[PEERS_TOUCHED].n > 0)
	{
		Peer *peer = store->lists[PEERS_TOUCHED].peers[0];

		peer_list_remove(peer, PEERS_TOUCHED);
		peer_committed(store, peer);
	}
	range_delete_committed(store);
	store->outbox_lsn = XactLastCommitEnd;
	store->durable_us = dispatch_now_us();
	if (writing)
		turn_count(store, turn->begun_us);
}

/* ------------------------------------------------------ step 4: replies */

/*
 * The region was another one when the entry was applied: nothing happened.
 * After the commit the current memory context is one that is never reset, so
 * the answer is made in the turn's.
 */
static void
refuse_mismatch(Store *store, Write *write)
{
	MemoryContext before = MemoryContextSwitchTo(store->turn_context);
	RegionError error = {.kind = REGION_EPOCH_NOT_MATCH,
						 .region_id = context_of(write)->region_id};
	Peer *peer = store_find_peer(store, error.region_id);

	arena_free(&write->slice);
	if (peer == NULL)
		error.kind = REGION_NOT_FOUND;
	else
	{
		error.current = &peer->region;
		read_add_siblings(context_of(write), &error);
	}
	service_region_error(write->request, &error);
	MemoryContextSwitchTo(before);
}

/* What one answer shows may be in the memory of another one's request. */
void
turn_send_outbox(Store *store)
{
	Write *write;

	later_hold();
	while ((write = write_queue_pop(&store->outbox)) != NULL)
	{
		raft_write_release(store, write);
		write->request->decided_us = store->decided_us;
		write->request->durable_us = store->durable_us;
		if (write->proposed_us > 0)
			metrics_time(HISTOGRAM_APPLY_US,
						 store->durable_us - store->decided_us);
		if (write->mismatch)
			refuse_mismatch(store, write);
		else if (write->wish != NULL && write->decided == NULL)
			grants_reply(write);
		else if (write->txn != NULL)
			txn_turn_reply(store, write);
		else if (write->refused != NULL)
			raw_error(write->request, write->refused);
		else if (write->cas != NULL)
			raw_cas_done(write->request, write->cas);
		else if (write->command.deletes_range)
			range_delete_wait(store, write);
		else
			raw_write_done(write->request);
	}
	later_run();
}

/* ------------------------------------------------------------- the turn */

/* Which tables a batch needs: each costs something to open. */
static int
tables_wanted(const WriteQueue *batch)
{
	for (const Write *write = batch->head; write != NULL; write = write->next)
		if (write->txn != NULL)
			return TABLES_RAW | TABLES_TXN;
	return TABLES_RAW;
}

static bool
open_turn(Turn *turn, int tables)
{
	Store *store = turn->store;
	TablesAnswer answer;

	StartTransactionCommand();
	MemoryContextSwitchTo(store->turn_context);
	answer = tables_open(&store->tables, tables, true, false, &turn->tables);
	if (answer == TABLES_OK)
	{
		turn->snapshot = RegisterSnapshot(GetLatestSnapshot());
		turn->txn.store = store;
		turn->txn.tables = &turn->tables;
		turn->txn.snapshot = turn->snapshot;
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

/*
 * Something threw: undo the turn and start over from what is stored.  What is
 * committed can neither be undone nor done again: the worker ends, and begins
 * anew with what is stored; whoever waits for an answer learns that it is not
 * known.
 */
static void
abort_turn(Turn *turn)
{
	Store *store = turn->store;
	ErrorData *error;

	if (turn->committed)
		PG_RE_THROW();
	MemoryContextSwitchTo(store->turn_context);
	error = CopyErrorData();
	turn->sqlstate = error->sqlerrcode;
	log_abort(store);
	FlushErrorState();
	AbortCurrentTransaction();
	turn->passed = damage_pass(store, error);
	store->aborted_turns++;
	metrics_add(VALUE_ABORTED_TURNS, 1);
	range_delete_aborted(store);
	for (int i = 0; i < store->lists[PEERS_TOUCHED].n; i++)
		peer_restart(store, store->lists[PEERS_TOUCHED].peers[i]);
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
		txn_turn_undo(write);
		grants_undo(turn->store, write);
		write->cas = NULL;
		write_queue_push(batch, write);
	}
}

void
turn_fail_damaged(Write *write)
{
	write->request->fail(write->request, RPC_DATA_LOSS, SERVICE_DAMAGED);
}

/*
 * An error that comes again whenever this row is asked for: mark those that
 * asked, so that they alone hear of it.  A row without an older one is written
 * with many others, of which any may have failed.
 */
static int
blame(Turn *turn)
{
	WriteQueue *outbox = &turn->store->outbox;

	if (turn->passed || !damage_is_lasting(turn->sqlstate))
		return 0;
	if (turn->current != NULL)
		return turn->current->damaged = true;
	if (turn->raw_at != NULL && !turn->raw_at->absent)
		return damage_blame_raw(outbox, turn->raw_at);
	if (turn->txn.at != NULL)
		return damage_blame_txn(outbox, turn->txn.at);
	return 0;
}

static void
refuse_aborted(Store *store, WriteQueue *batch, int sqlstate)
{
	RegionError error = {.kind = REGION_SERVER_IS_BUSY, .backoff_ms = 100};

	if (damage_is_lasting(sqlstate) && batch->n == 1)
	{
		damage_answer_one(write_queue_pop(batch));
		return;
	}
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

	while ((write = batch->head) != NULL)
	{
		if (write->txn != NULL && txn_turn_must_wait(&turn->txn, write))
			break;
		if (turn->store->arena.allocated > TURN_MAX_MEMORY)
			break;
		turn->current = write_queue_pop(batch);
		decide(turn, write);
		turn->current = NULL;
	}
	commit_turn(turn);
	write_queue_unpop(&turn->store->queue, batch);
}

void
turn_finish(Store *store)
{
	last_look_end();
	overlay_reset(&store->overlay);
	txn_overlay_begin(&store->txn_overlay, NULL);
	store->memory_turn++;
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

typedef enum Tried
{
	TRIED_DONE,	 /* all was answered */
	TRIED_AGAIN, /* undone; what it failed by is out of the way */
	TRIED_FAILED /* undone */
} Tried;

/* One transaction over a batch; *sqlstate is that of an error. */
static Tried
try_batch(Store *store, WriteQueue *batch, int *sqlstate)
{
	Turn turn = {.store = store, .begun_us = dispatch_now_us()};
	volatile Tried tried = TRIED_DONE;

	PG_TRY();
	{
		if (open_turn(&turn, tables_wanted(batch)))
			execute(&turn, batch);
		else
			refuse_unopened(store, batch);
	}
	PG_CATCH();
	{
		int n_blamed;

		abort_turn(&turn);
		n_blamed = blame(&turn);
		gather_unanswered(&turn, batch);
		damage_answer(batch);
		*sqlstate = turn.sqlstate;
		tried = turn.passed || n_blamed > 0 ? TRIED_AGAIN : TRIED_FAILED;
	}
	PG_END_TRY();

	/* Outside: what is durable is answered, whatever happens meanwhile. */
	FAILPOINT_PASS("store_own_before_reply");
	if (tried == TRIED_DONE)
		turn_send_outbox(store);
	turn_finish(store);
	return tried;
}

/*
 * A batch that fails is tried again in halves, so that one bad row does not
 * fail its neighbours; *tries bounds how often.
 */
static void
run_batch(Store *store, WriteQueue *batch, int *tries)
{
	WriteQueue half;
	Tried tried;
	int sqlstate = 0;
	int n;

	/*
	 * Each time a write or a block is out of the way, which costs no try, unless
	 * there is no end of blocks: a disk that answers nothing.
	 */
	for (int left = MAX_TRIES; left > 0; left--)
	{
		tried = try_batch(store, batch, &sqlstate);
		if (batch->n == 0 && tried != TRIED_DONE)
			return;
		if (tried != TRIED_AGAIN)
			break;
	}
	(*tries)--;
	if (tried == TRIED_DONE)
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

bool
turn_run_own(Store *store, const TurnOwn *own)
{
	Turn turn = {.store = store, .begun_us = dispatch_now_us()};
	volatile bool done = false;

	PG_TRY();
	{
		if (open_turn(&turn, TABLES_RAW))
		{
			own->decide(store, &turn.tables, turn.snapshot, own->arg);
			commit_turn(&turn);
			done = true;
		}
	}
	PG_CATCH();
	{
		abort_turn(&turn);
	}
	PG_END_TRY();

	if (done)
		own->committed(store, own->arg);
	else if (own->damaged != NULL && damage_is_lasting(turn.sqlstate))
	{
		MemoryContextSwitchTo(store->turn_context);
		own->damaged(store, own->arg);
		done = true;
	}
	turn_finish(store);
	return done;
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
	FAILPOINT_PASS("store_turn_taken");
	run_batch(store, &batch, &tries);
	return n;
}
