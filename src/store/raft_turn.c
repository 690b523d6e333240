/*
 * raft_turn.c
 *	  The turn of groups with several peers.
 *
 * Messages, ticks and writes go into the core; what it wants done is one
 * transaction, committed without waiting for the disk (DESIGN 3 rule 4).
 * Messages that promise nothing leave then, the others when the WAL is
 * flushed; replies need no flush here, since what they tell of is durable at
 * a majority.  Changes of peers and snapshots are flushed at once.
 *
 * Once a ready is out, an error ends the process: followers may have what this
 * transaction was to store, and the next start begins from what is stored.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "bus/flush.h"
#include "bus/lock_table.h"
#include "bus/metrics.h"
#include "bus/tso_shared.h"
#include "core/base/check.h"
#include "core/base/rpc_code.h"
#include "core/cmd/region_change.h"
#include "guc.h"
#include "pdpb.pb-c.h"
#include "pgstat.h"
#include "storage/raw_table.h"
#include "store/damage.h"
#include "store/grants.h"
#include "store/snapshots.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#define TURN_MAX_WRITES 4096
#define TURN_MAX_BYTES ((size_t) 8 << 20)

/* How soon a turn whose tables somebody has locked is tried again. */
#define BLOCKED_RETRY_US INT64CONST(10000)

/* ------------------------------------------------------------ what was flushed */

static Peer *
find_living(Store *store, uint64 region_id, uint64 life_number)
{
	Peer *peer = store_find_peer(store, region_id);

	return peer != NULL && peer->life_number == life_number ? peer : NULL;
}

static bool
is_flushed(const Unflushed *u)
{
	return u->lsn <= GetFlushRecPtr(NULL);
}

/* The first of them is flushed: its messages leave, Raft is told. */
static void
tell_first(Store *store)
{
	Replicas *replicas = store->replicas;
	Unflushed *u = replicas->unflushed;
	Peer *peer = find_living(store, u->region_id, u->life_number);

	replicas->unflushed = u->next;
	if (replicas->unflushed == NULL)
		replicas->unflushed_end = &replicas->unflushed;
	replicas->n_unflushed--;
	metrics_time(HISTOGRAM_APPEND_US, dispatch_now_us() - u->since_us);
	if (peer != NULL)
	{
		raft_message_send(store, peer, u->messages, u->n_messages);
		FAILPOINT("store_before_persisted");
		raft_persisted(peer->raft, u->number);
	}
	arena_free(&u->arena);
	pfree(u);
}

int
raft_flushed_run(Store *store)
{
	Replicas *replicas = store->replicas;
	int n = 0;

	FAILPOINT("store_flush_looked_at");
	while (replicas->unflushed != NULL && is_flushed(replicas->unflushed))
	{
		FAILPOINT("store_after_flush");
		tell_first(store);
		n++;
	}
	return n;
}

/* Let somebody else wait for the disk. */
static void
have_flushed(Store *store)
{
	Replicas *replicas = store->replicas;

	if (replicas->unflushed == NULL)
		return;
	FAILPOINT("store_before_flush");
	flush_worker_ensure();
	if (flush_request(replicas->commit_lsn))
		return;
	XLogFlush(replicas->commit_lsn);
	(void) raft_flushed_run(store);
}

static void
remember_unflushed(Store *store, Peer *peer)
{
	Replicas *replicas = store->replicas;
	const RaftReady *ready = &peer->ready;
	Unflushed *u = MemoryContextAllocZero(store->context, sizeof(Unflushed));

	u->lsn = replicas->commit_lsn;
	u->since_us = store->durable_us;
	u->region_id = peer->region.id;
	u->life_number = peer->life_number;
	u->number = ready->number;
	arena_init(&u->arena);
	u->n_messages = ready->n_persisted_messages;
	u->messages = raft_message_pack(peer, ready->persisted_messages,
									u->n_messages, &u->arena);
	*replicas->unflushed_end = u;
	replicas->unflushed_end = &u->next;
	replicas->n_unflushed++;
	FAILPOINT("store_unflushed_kept");
}

/* ---------------------------------------------------------------- what waits */

static bool
any_ready(const Store *store)
{
	const PeerList *awake = &store->lists[PEERS_AWAKE];

	for (int i = 0; i < awake->n; i++)
		if (raft_has_ready(awake->peers[i]->raft))
			return true;
	return false;
}

/* Orders wait for grants of their regions. */
static bool
any_job_is_due(const Store *store)
{
	for (const AdminJob *job = store->replicas->jobs; job != NULL;
		 job = job->next)
		if (!grants_stand_in_way(store_find_peer((Store *) store,
												 job->region_id)))
			return true;
	return false;
}

static bool
work_waits(const Store *store)
{
	const Replicas *replicas = store->replicas;
	int64 now_us = dispatch_now_us();

	if (now_us < replicas->blocked_until_us)
		return false;
	if (replicas->n_inbox > 0 || replicas->queue.n > 0 || any_job_is_due(store))
		return true;
	if (store->lists[PEERS_AWAKE].n == 0)
		return false;
	return now_us >= replicas->next_tick_us || any_ready(store);
}

int64
raft_turn_sleep_us(const Store *store, int64 most)
{
	const Replicas *replicas = store->replicas;
	int64 now_us = dispatch_now_us();
	int64 next_us = replicas->next_tick_us;

	if (work_waits(store) ||
		(replicas->unflushed != NULL && is_flushed(replicas->unflushed)))
		return 0;
	if (now_us < replicas->blocked_until_us)
		next_us = replicas->blocked_until_us;
	else if (store->lists[PEERS_AWAKE].n == 0 && replicas->unflushed == NULL)
		return most;
	return Max(Min(most, next_us - now_us), 0);
}

void
raft_turn_order(Store *store, const AdminJob *job)
{
	Replicas *replicas = store->replicas;
	AdminJob *copy = MemoryContextAlloc(store->context, sizeof(AdminJob));
	Peer *peer = store_find_peer(store, job->region_id);

	if (peer != NULL)
		(void) grants_make_way(store, peer);
	*copy = *job;
	copy->next = NULL;
	*replicas->jobs_end = copy;
	replicas->jobs_end = &copy->next;
}

static bool
has_job(const Replicas *replicas, uint64 region_id)
{
	for (const AdminJob *job = replicas->jobs; job != NULL; job = job->next)
		if (job->region_id == region_id)
			return true;
	return false;
}

/* An order that waits goes with what it was made of. */
void
raft_turn_take_back(Store *store, const void *arg)
{
	Replicas *replicas = store->replicas;
	AdminJob **at = &replicas->jobs;
	uint64 region_id = 0;
	Peer *peer;

	while (*at != NULL)
	{
		AdminJob *job = *at;

		if (job->arg != arg)
		{
			at = &job->next;
			continue;
		}
		region_id = job->region_id;
		*at = job->next;
		pfree(job);
	}
	replicas->jobs_end = at;
	if (region_id == 0 || has_job(replicas, region_id))
		return;
	peer = store_find_peer(store, region_id);
	if (peer != NULL)
		grants_order_gone(store, peer);
}

void
raft_turn_stop(Store *store, const char *reason)
{
	Replicas *replicas = store->replicas;
	AdminJob *job;

	while ((job = replicas->jobs) != NULL)
	{
		replicas->jobs = job->next;
		if (job->done != NULL)
			job->done(store, job, false, reason);
		pfree(job);
	}
	replicas->jobs_end = &replicas->jobs;
}

/* ------------------------------------------------------------ time and orders */

/* A lone peer is about to get company: from now on it keeps a log. */
static void
make_grouped(Peer *peer)
{
	if (peer->grouped)
		return;
	CHECK(!raft_has_ready(peer->raft) && !peer->touched);
	FAILPOINT("store_before_grouped");
	peer->grouped = true;
	peer->log_last = peer->saved.truncated_index;
	peer->log_first = 0;
	peer->log_bytes = 0;
	peer->max_ts_term = peer->store->max_ts_synced ? raft_term(peer->raft) : 0;
	peer->was_leader = peer_is_leader(peer);
	peer->store->replicas->n_grouped++;
	peer_list_add(peer, PEERS_AWAKE);
}

static void
keep_job(Replicas *replicas, AdminJob *job)
{
	job->next = NULL;
	*replicas->jobs_end = job;
	replicas->jobs_end = &job->next;
}

static void
run_jobs(RaftTurn *turn)
{
	Store *store = turn->store;
	Replicas *replicas = store->replicas;
	AdminJob *job = replicas->jobs;

	replicas->jobs = NULL;
	replicas->jobs_end = &replicas->jobs;
	while (job != NULL)
	{
		Peer *peer = store_find_peer(store, job->region_id);
		AdminJob *next = job->next;
		const char *why = "this store has no peer of the region";
		bool ok = false;

		if (peer != NULL && !grants_make_way(store, peer))
		{
			keep_job(replicas, job);
			job = next;
			continue;
		}
		if (peer != NULL)
		{
			bool as_seen = !job->has_epoch ||
				(job->epoch.conf_ver == peer->region.epoch.conf_ver &&
				 job->epoch.version == peer->region.epoch.version);

			if (!as_seen)
				why = "the region has changed meanwhile";
			/* Grouped, it could not end a flashback any more. */
			else if (!peer->touched && peer->region.flashback_start_ts == 0)
				make_grouped(peer);
			else
				why = "the region is busy: a flashback or a turn is under way";
			peer_wake(peer);
			turn->in_core = true;
			ok = as_seen && peer->grouped &&
				raft_admin_propose(peer, &job->admin, &why);
			turn->in_core = false;
		}
		if (job->done != NULL)
			job->done(store, job, ok, why);
		pfree(job);
		job = next;
	}
}

static void
tick(RaftTurn *turn)
{
	Store *store = turn->store;
	Replicas *replicas = store->replicas;
	const PeerList *awake = &store->lists[PEERS_AWAKE];
	int64 now_us = dispatch_now_us();

	if (now_us < replicas->next_tick_us)
		return;
	replicas->next_tick_us += RAFT_TICK_US;
	if (replicas->next_tick_us <= now_us)
		replicas->next_tick_us = now_us + RAFT_TICK_US;
	turn->in_core = true;
	for (int i = awake->n - 1; i >= 0; i--)
	{
		Peer *peer = awake->peers[i];

		if (hibernate_tick(peer, now_us))
			continue;
		raft_tick(peer->raft, (uint64) board_now_us());
		hand_over_tick(peer, now_us);
		raft_admin_compact(peer, now_us);
		raft_ask_max_ts(peer, now_us);
		stale_peer_tick(peer, now_us);
	}
	turn->in_core = false;
	raft_ask_pd_time(store, now_us);
}

/* --------------------------------------------------------------- the readies */

static void
take_batch(Store *store, WriteQueue *batch)
{
	WriteQueue *queue = &store->replicas->queue;

	while (queue->head != NULL && batch->n < TURN_MAX_WRITES &&
		   (batch->n == 0 ||
			batch->bytes + queue->head->bytes <= TURN_MAX_BYTES))
		write_queue_push(batch, write_queue_pop(queue));
}

/* Peers that a change removed in an earlier turn. */
static void
destroy_removed(RaftTurn *turn)
{
	const PeerList *awake = &turn->store->lists[PEERS_AWAKE];

	for (int i = awake->n - 1; i >= 0; i--)
		if (awake->peers[i]->destroying)
			raft_peer_destroy(turn, awake->peers[i], &awake->peers[i]->region);
}

static void
take_ready(RaftTurn *turn, Peer *peer)
{
	Store *store = turn->store;

	peer->has_ready = false;
	if (!peer->grouped || peer->replaced)
		return;
	raft_apply_hold(peer);
	if (!raft_ready(peer->raft, &store->arena, (uint64) board_now_us(),
					&peer->ready))
		return;
	peer->has_ready = true;
	FAILPOINT("store_ready_out");

	/*
	 * The snapshot first: state and region are saved as it leaves them, and the
	 * log that it removes is not the one that begins behind it.
	 */
	if (peer->ready.snapshot != NULL)
	{
		damage_let_go(peer->region.id);
		snapshots_take(turn, peer);
	}
	raft_apply(turn, peer);
	raft_storage_save(turn, peer);
	FAILPOINT("store_ready_stored");
	turn->at_once |= peer->ready.sole;
}

static void
write_rows(RaftTurn *turn)
{
	Store *store = turn->store;
	Overlay *overlay = &store->overlay;

	FAILPOINT("store_before_rows");
	turn->writer = raw_writer_open(&turn->tables, turn->snapshot);
	if (store->sweeper.enabled)
		raw_writer_watch(turn->writer, sweeper_note, store);
	for (size_t i = 0; i < overlay->n_modifies; i++)
	{
		turn->raw_at = &overlay->modifies[i];
		raw_writer_apply(turn->writer, turn->raw_at);
	}
	turn->raw_at = NULL;
	raw_writer_close(turn->writer);
	txn_turn_write(&turn->txn);
	range_delete_save_new(store);
	FAILPOINT("store_after_rows");
}

static void
commit(RaftTurn *turn)
{
	Store *store = turn->store;
	Replicas *replicas = store->replicas;
	int before = synchronous_commit;

	raft_storage_close(store);
	UnregisterSnapshot(turn->snapshot);
	tables_close(&turn->tables, true);
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
	{
		turn->wrote = true;
		pacer_spend(&store->pacer, dispatch_now_us(),
					tikv_fdw_settings.turn_min_interval_us);
		replicas->turns++;
	}
	FAILPOINT("store_before_commit");
	if (!turn->at_once)
		synchronous_commit = SYNCHRONOUS_COMMIT_OFF;
	CommitTransactionCommand();
	synchronous_commit = before;
	replicas->commit_lsn = Max(replicas->commit_lsn, XactLastCommitEnd);
	FAILPOINT("store_after_commit");
}

/* ------------------------------------------------------------ after the commit */

static int
is_memory_lock(void *arg, Bytes key, const Lock *lock, LockKind kind)
{
	(void) arg;
	(void) key;
	(void) lock;
	return kind == LOCK_KIND_MEMORY;
}

void
raft_turn_forget_memory_locks(Store *store, const Peer *peer)
{
	LockScan scan = {.filter = is_memory_lock};
	LockScanResult found;

	scan.range = txn_region_range(&peer->region, &store->arena);
	if (!lock_table_scan(&scan, &store->arena, &found))
		return;
	for (size_t i = 0; i < found.n; i++)
		lock_table_delete(found.met[i].key);
}

static void
note_leadership(Store *store, Peer *peer)
{
	bool leads = peer_is_leader(peer);

	if (peer->was_leader && !leads)
	{
		FAILPOINT("store_leadership_lost");
		raft_turn_forget_memory_locks(store, peer);
		raft_write_lost(peer);
	}
	else if (leads && peer->early->n > 0 &&
			 peer->saved.applied_term == raft_term(peer->raft))
		raft_write_begin_term(peer);
	if (leads && !peer->was_leader)
		gc_look_soon(store);
	if (peer->was_leader != leads || (leads && peer->region_changed))
	{
		peer->told.at_once = true;
		store->next_news_us = 0;
	}
	peer->was_leader = leads;
}

static bool
board_is_old(const Peer *peer)
{
	return peer->region_changed || peer->lease_end_us != peer_lease_end(peer) ||
		peer->told_term != raft_term(peer->raft) ||
		peer->told_leader != raft_leader(peer->raft);
}

/* Readers must know first that this peer leads no more. */
static void
tell_board(Peer *peer, uint64 applied_before)
{
	if (board_is_old(peer))
		peer_publish(peer);
	else if (peer->saved.applied_index != applied_before)
		board_publish_applied(peer->region.id, peer->saved.applied_index);
}

static void
finish_ready(Store *store, Peer *peer)
{
	const RaftReady *ready = &peer->ready;
	OutMessage *messages;

	if (ready->snapshot != NULL && ready->n_entries > 0)
	{
		FAILPOINT("store_both_committed");
	}
	FAILPOINT("store_before_messages_out");
	messages = raft_message_pack(peer, ready->messages, ready->n_messages,
								 &store->arena);
	raft_message_send(store, peer, messages, ready->n_messages);
	FAILPOINT("store_after_messages_out");
	raft_read_states(peer, ready->read_states, ready->n_read_states);
	remember_unflushed(store, peer);
	if (ready->snapshot != NULL)
		snapshots_taken(peer);
	FAILPOINT("store_before_advance");
	raft_advance(peer->raft, ready);
	if (peer->state.truncated_index > peer->saved.truncated_index &&
		!ready->sole)
		raft_compact(peer->raft, peer->state.truncated_index,
					 peer->state.truncated_term);
	FAILPOINT("store_after_advance");
	peer->is_new = false;
	peer->has_ready = false;
}

/*
 * One peer, all applied, nothing under way: turns without a log again.  From
 * then on nobody asks for a timestamp on its behalf, so what was read elsewhere
 * is known before; one that has just been elected knows it in a moment.
 */
static void
ungroup(Store *store, Peer *peer)
{
	if (raft_holds_apply(peer->raft) || !raft_takes_payload(peer->raft) ||
		peer->proposals != NULL || peer->gate.inside > 0 ||
		peer->gate.waiting != NULL || peer->early->n > 0 ||
		raft_has_ready(peer->raft) ||
		peer->saved.truncated_index != peer->saved.applied_index ||
		raft_last_index(peer->raft) != peer->saved.applied_index ||
		peer->log_first <= peer->saved.truncated_index ||
		peer->saved.applied_term != raft_term(peer->raft) ||
		peer->max_ts_term != raft_term(peer->raft))
		return;
	FAILPOINT("store_before_ungrouped");
	peer->grouped = peer->unsynced = false;
	store->replicas->n_grouped--;
	peer_list_remove(peer, PEERS_AWAKE);
	peer_tell(peer);
}

static void
finish_peer(Store *store, Peer *peer)
{
	uint64 applied_before = peer->saved.applied_index;

	if (peer->has_ready)
	{
		finish_ready(store, peer);
		peer->saved = peer->state;
		raft_admin_applied(peer);
	}
	if (!peer->was_leader && peer_is_leader(peer))
	{
		FAILPOINT("store_leadership_won");
		region_size_consider(peer);
	}
	if (peer->has_ready || board_is_old(peer))
		peer_tell(peer);
	tell_board(peer, applied_before);
	note_leadership(store, peer);
	peer->region_changed = peer->at_once = false;
}

static void
after_commit(RaftTurn *turn)
{
	Store *store = turn->store;
	const PeerList *awake = &store->lists[PEERS_AWAKE];

	raw_writer_published(turn->writer);
	FAILPOINT("store_before_publish_locks");
	txn_turn_published(&turn->txn, &store->outbox);
	range_delete_committed(store);
	FAILPOINT("store_after_publish_locks");
	store->durable_us = dispatch_now_us();
	if (turn->wrote)
		turn_count(store, turn->begun_us);
	for (int i = 0; i < awake->n; i++)
		finish_peer(store, awake->peers[i]);
	raft_cache_bound(store);
	FAILPOINT("store_readies_finished");
	raft_split_begin(turn);
	FAILPOINT("store_before_reply");
	turn_send_outbox(store);
	raft_flushed_run(store);
	have_flushed(store);
	FAILPOINT("store_after_reply");
	for (int i = awake->n - 1; i >= 0; i--)
		ungroup(store, awake->peers[i]);
}

/* ------------------------------------------------------------------- the turn */

/* All it may write to is locked by then: a ready cannot be taken back. */
static bool
open_turn(RaftTurn *turn)
{
	Store *store = turn->store;
	TablesAnswer answer;

	StartTransactionCommand();
	MemoryContextSwitchTo(store->turn_context);
	answer = tables_lock_small(&store->tables);
	if (answer == TABLES_OK)
		answer =
			tables_open(&store->tables, TABLES_RAW | TABLES_TXN | TABLES_LOG,
						true, false, &turn->tables);
	if (answer != TABLES_OK)
	{
		store_report_blocker(store, answer);
		CommitTransactionCommand();
		return false;
	}
	turn->snapshot = RegisterSnapshot(GetLatestSnapshot());
	turn->txn.store = store;
	turn->txn.tables = &turn->tables;
	turn->txn.snapshot = turn->snapshot;
	raft_storage_open(store, &turn->tables, turn->snapshot);
	FAILPOINT("store_turn_open");
	return true;
}

/* Until a ready is out, an error takes back nothing but the transaction. */
static void
run_turn(RaftTurn *turn, WriteQueue *batch)
{
	Store *store = turn->store;

	turn->in_core = true;
	(void) raft_flushed_run(store);
	turn->in_core = false;
	FAILPOINT("store_before_messages");
	raft_message_step(turn);
	FAILPOINT("store_before_tick");
	tick(turn);
	FAILPOINT("store_after_tick");
	run_jobs(turn);
	FAILPOINT("store_before_decide");
	/* Not before: messages destroy peers, which refuses what is in the queue. */
	take_batch(store, batch);
	raft_write_decide(turn, batch);
	store->decided_us = dispatch_now_us();
	FAILPOINT("store_after_decide");
	turn->committed = true;
	destroy_removed(turn);
	raft_cache_each(turn, take_ready);
	write_rows(turn);
	commit(turn);
	after_commit(turn);
}

/* The command that failed is answered, the others are tried again. */
static void
undo_turn(RaftTurn *turn, WriteQueue *batch)
{
	Store *store = turn->store;
	ErrorData *error;

	MemoryContextSwitchTo(store->turn_context);
	error = CopyErrorData();
	EmitErrorReport();
	FlushErrorState();
	raft_storage_close(store);
	AbortCurrentTransaction();
	(void) damage_pass(store, error);
	store->aborted_turns++;
	metrics_add(VALUE_ABORTED_TURNS, 1);
	if (turn->current != NULL)
		raft_write_failed(store, turn->current, error->sqlerrcode);
	turn_send_outbox(store);
	write_queue_unpop(&store->replicas->queue, batch);
}

static void
refuse_unopened(Store *store, WriteQueue *batch)
{
	RegionError error = {.kind = REGION_SERVER_IS_BUSY,
						 .reason = store->blocker,
						 .backoff_ms = 100};
	Write *write;

	store->replicas->blocked_until_us = dispatch_now_us() + BLOCKED_RETRY_US;
	metrics_add(VALUE_BLOCKED_TURNS, 1);
	take_batch(store, batch);
	while ((write = write_queue_pop(batch)) != NULL)
	{
		raft_write_release(store, write);
		service_region_error(write->request, &error);
	}
}

int
raft_turn_run(Store *store)
{
	RaftTurn turn = {.store = store, .begun_us = dispatch_now_us()};
	WriteQueue batch;

	raft_apply_let_go(store);
	if (!work_waits(store))
	{
		int told = raft_flushed_run(store);

		have_flushed(store);
		return told;
	}
	guard_refresh(&store->guard, turn.begun_us);
	raft_apply_note_space(store);
	write_queue_init(&batch);
	PG_TRY();
	{
		if (open_turn(&turn))
			run_turn(&turn, &batch);
		else
			refuse_unopened(store, &batch);
	}
	PG_CATCH();
	{
		/* The groups have snapshots that the next turn would not know of. */
		if (turn.in_core || turn.committed || turn.accepted != NULL)
			damage_end(&turn);
		undo_turn(&turn, &batch);
	}
	PG_END_TRY();
	turn_finish(store);
	return 1;
}
