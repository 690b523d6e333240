/*
 * raft_write.c
 *	  Writes of groups with several peers, from their latches to their answer.
 *
 * A command is decided over what is applied, proposed, and answered when its
 * entry is applied.  Its latches keep others from being decided meanwhile over
 * what it will change.  A command without effects is a read: its answer holds
 * if the lease was still good after the snapshot; else an empty entry takes
 * its place in the log, and it is answered when that is applied.
 *
 * Once proposed, a write is told that it failed only when another entry was
 * committed in its place, or when one of a later term was.  Who will not learn
 * that here is told that the outcome is unknown, and never StaleCommand, which
 * clients take for "send it again": a swap would then meet its own value.
 */
#include "postgres.h"

#include <time.h>

#include "bus/lock_table.h"
#include "bus/metrics.h"
#include "core/base/check.h"
#include "core/base/rpc_code.h"
#include "guc.h"
#include "read/txn_look.h"
#include "storage/last_look.h"
#include "store/damage.h"
#include "store/raw_decide.h"
#include "store/replicas.h"

#define LATCH_SLOTS 65536

/* Of a region that is held (raft_apply.c). */
#define HELD_REASON \
	"raftstore is busy: deletions of ranges are to be carried out first"

/* What a command may read and list, as for the answers of reads. */
#define MAX_COMMAND_BYTES ((size_t) 256 << 20)

void
replicas_init(Store *store)
{
	Replicas *replicas =
		MemoryContextAllocZero(store->context, sizeof(Replicas));

	replicas->inbox_end = &replicas->inbox;
	replicas->unflushed_end = &replicas->unflushed;
	replicas->jobs_end = &replicas->jobs;
	write_queue_init(&replicas->queue);
	store->replicas = replicas;
}

void
replicas_free(Store *store)
{
	Replicas *replicas = store->replicas;

	for (Unflushed *u = replicas->unflushed; u != NULL; u = u->next)
		arena_free(&u->arena);
	if (replicas->latches != NULL)
		latches_free(replicas->latches);
	replicas->latches = NULL;
	replicas->unflushed = NULL;
}

static Latches *
latches_of(Store *store)
{
	if (store->replicas->latches == NULL)
		store->replicas->latches = latches_new(LATCH_SLOTS);
	return store->replicas->latches;
}

void
raft_write_submit(Store *store, Write *write)
{
	write_queue_push(&store->replicas->queue, write);
}

/* ------------------------------------------------------------- who waits */

static void
hold(Peer *peer, Write *write)
{
	write->parked_before = NULL;
	write->parked_after = peer->held;
	if (peer->held != NULL)
		peer->held->parked_before = write;
	peer->held = write;
}

static void
unhold(Peer *peer, Write *write)
{
	if (write->parked_before != NULL)
		write->parked_before->parked_after = write->parked_after;
	else
		peer->held = write->parked_after;
	if (write->parked_after != NULL)
		write->parked_after->parked_before = write->parked_before;
}

/* Those who waited for it come first in the next turn, in their order. */
static void
wake(Store *store, LatchClaim *woken)
{
	WriteQueue queue;

	write_queue_init(&queue);
	while (woken != NULL)
	{
		LatchClaim *next = woken->next;
		Write *write = woken->owner;

		unhold(write->peer, write);
		write->granted = true;
		write_queue_push(&queue, write);
		woken = next;
	}
	if (queue.n > 0)
		write_queue_unpop(&store->replicas->queue, &queue);
}

void
raft_write_release(Store *store, Write *write)
{
	if (!write->claimed)
		return;
	write->claimed = write->granted = false;
	wake(store,
		 latch_release(latches_of(store), &write->peer->gate, &write->claim));
}

/* ---------------------------------------------------------------- its keys */

static size_t
raw_keys(const RawCommand *command, Bytes *keys)
{
	size_t n = 0;

	if (command->cas != NULL)
		keys[n++] = command->cas->swap.key;
	for (size_t i = 0; i < command->n_modifies; i++)
		keys[n++] = command->modifies[i].key;
	return n;
}

/*
 * Blind puts share: the log orders them.  Whatever depends on a row, or on all
 * rows of a range, is alone with it.
 */
static void
claim_raw(Store *store, Write *write)
{
	const RawCommand *command = &write->command;
	Arena *arena = write->request->arena;
	Bytes *keys = arena_alloc(arena, (command->n_modifies + 1) * sizeof(Bytes));

	if (command->deletes_range)
		latch_claim_alone(&write->claim);
	else
		latch_claim_init(&write->claim, latches_of(store), keys,
						 raw_keys(command, keys), !raw_depends_on_rows(command),
						 arena);
}

static void
claim_txn(Store *store, Write *write)
{
	Arena *arena = write->request->arena;
	Bytes *keys;
	size_t n;

	if (txn_needs_clean_overlay(&write->txn->command) ||
		!txn_command_keys(&write->txn->command, arena, &keys, &n))
		latch_claim_alone(&write->claim);
	else
		latch_claim_init(&write->claim, latches_of(store), keys, n, false,
						 arena);
}

/* True if it may be decided now. */
static bool
claim(Store *store, Write *write)
{
	if (write->granted)
		return true;
	if (write->txn != NULL)
		claim_txn(store, write);
	else
		claim_raw(store, write);
	write->claim.owner = write;
	write->claimed = true;
	write->granted =
		latch_acquire(latches_of(store), &write->peer->gate, &write->claim);
	if (!write->granted)
		hold(write->peer, write);
	return write->granted;
}

/* --------------------------------------------------------------- answering */

static void
refuse(Store *store, Write *write, const RegionError *error)
{
	raft_write_release(store, write);
	service_region_error(write->request, error);
}

static void
refuse_busy(Store *store, Write *write, const char *reason)
{
	RegionError error = {.kind = REGION_SERVER_IS_BUSY,
						 .reason = reason,
						 .backoff_ms = 100};

	refuse(store, write, &error);
}

static void
refuse_not_leader(Store *store, Write *write)
{
	RegionState state;
	RegionError error = {.kind = REGION_NOT_LEADER,
						 .region_id = write->peer->region.id};

	peer_region_state(write->peer, &state);
	if (state.leader.id != state.self.id)
		error.leader = state.leader;
	refuse(store, write, &error);
}

/*
 * Its entry may be committed by a later leader, or is already.  The commands of
 * transactions may be sent twice: of a call that failed client-go remembers
 * that it may have committed, and asks again until it knows, whereas
 * UndeterminedResult ends a commit at once (internal/locate/region_request.go,
 * txnkv/transaction/commit.go).  TiKV ends such calls unanswered, too.  Raw
 * commands may not, and of a failed call every client knows no better than to
 * send it again; who knows UndeterminedResult does not (tikv/client-rust#555).
 */
static void
refuse_unknown(Store *store, Write *write, const char *reason)
{
	Request *request = write->request;

	raft_write_release(store, write);
	service_unknown(request, reason);
}

/* Its guards are shown to readers until now. */
static void
drop_decision(Write *write)
{
	if (write->txn != NULL)
		txn_turn_undo(write);
	write->cas = NULL;
	write->refused = NULL;
}

/* --------------------------------------------------------------- proposing */

static void
fill_header(const Peer *peer, CmdHeader *header)
{
	memset(header, 0, sizeof(*header));
	header->region_id = peer->region.id;
	header->peer = peer->self;
	header->epoch = peer->region.epoch;
	header->term = raft_term(peer->raft);
}

static bool
propose(Store *store, Write *write, Bytes data)
{
	Peer *peer = write->peer;
	RaftEntry entry = {.type = RAFT_ENTRY_NORMAL, .data = data};
	RegionError error = {.kind = REGION_ENTRY_TOO_LARGE,
						 .region_id = peer->region.id,
						 .actual = data.len};

	FAILPOINT("store_before_propose");
	switch (raft_propose(peer->raft, &entry, &write->index, &write->term))
	{
		case STATUS_OK:
			break;
		case STATUS_NOT_LEADER:
			drop_decision(write);
			refuse_not_leader(store, write);
			return false;
		case STATUS_TOO_LARGE:
			drop_decision(write);
			refuse(store, write, &error);
			return false;
		default:
			drop_decision(write);
			refuse_busy(store, write, "raftstore is busy: proposal refused");
			return false;
	}
	FAILPOINT("store_after_propose");
	write->life_number = peer->life_number;
	write->proposed_us = dispatch_now_us();
	write->next_proposal = NULL;
	*peer->proposals_end = write;
	peer->proposals_end = &write->next_proposal;
	return true;
}

static bool
lease_is_good(const Peer *peer)
{
	return raft_lease_end_us(peer->raft) > (uint64) board_now_us();
}

/*
 * A slice of the garbage collection is decided without waking a group that
 * sleeps.  If it finds nothing, that is no answer to anybody: who leads the
 * group in truth looks for itself.
 */
static bool
looks_at_sleeper(const Write *write)
{
	return write->peer->sleep.asleep && write->txn != NULL &&
		write->txn->command.kind == TXN_CMD_GC;
}

/* What the store itself looks for is nothing that keeps a group from sleep. */
static bool
is_own_look(const Write *write)
{
	return looks_at_sleeper(write) ||
		(write->inside != NULL && !write->peer->sleep.asleep);
}

/* Decided without effects: now, or when an entry of its own is applied. */
static void
answer_read(RaftTurn *turn, Write *write)
{
	Store *store = turn->store;
	Arena *arena = &store->arena;
	CmdHeader header;

	fill_header(write->peer, &header);
	if (!lease_is_good(write->peer) && !looks_at_sleeper(write))
		(void) propose(store, write,
					   cmd_encode_raw(&header, NULL, 0, store->meta.api,
									  arena));
	else
	{
		write_queue_push(&store->outbox, write);
		write->decided_here = true;
	}
}

/* ------------------------------------------------------------------ deciding */

static RawReader *
turn_reader(RaftTurn *turn)
{
	if (turn->reader == NULL)
	{
		turn->now_s = ((int64) time(NULL) + FAILPOINT_CLOCK_S);
		turn->reader =
			raw_reader_open(&turn->tables, turn->snapshot, turn->now_s);
	}
	return turn->reader;
}

static void
decide_raw(RaftTurn *turn, Write *write)
{
	Store *store = turn->store;
	RawCommand *command = &write->command;
	CmdHeader header;
	CmdRange range = {.cf = command->cf,
					  .lower = command->lower,
					  .upper = command->upper};

	if (raw_depends_on_rows(command) &&
		!raw_decide(store, write, turn_reader(turn), turn->now_s))
	{
		answer_read(turn, write);
		return;
	}
	FAILPOINT("store_raw_decided");
	fill_header(write->peer, &header);
	if (!command->deletes_range)
		(void) propose(store, write,
					   cmd_encode_raw(&header, command->modifies,
									  command->n_modifies, store->meta.api,
									  &store->arena));
	else if (range_delete_is_full(store))
		refuse_busy(store, write,
					"scheduler is busy: too many ranges are being deleted");
	else
		(void) propose(store, write,
					   cmd_encode_raw_range(&header, &range, store->meta.api,
											&store->arena));
}

/*
 * What was decided is needed until it is applied: it lives as long as the
 * request, or, of a command that takes many turns, as long as this slice.
 */
static Arena *
arena_of_decision(Write *write)
{
	Arena *arena = write->request->arena;

	if (!txn_needs_clean_overlay(&write->txn->command))
		return arena;
	arena_charge(&write->slice, arena->account);
	return &write->slice;
}

static void
fill_env(RaftTurn *turn, Write *write, Arena *arena, TxnEnv *env)
{
	Store *store = turn->store;
	Peer *peer = write->peer;

	memset(env, 0, sizeof(*env));
	env->reader = txn_turn_base(&turn->txn);
	env->cm = lock_table_cm();
	env->status_cache = store->status_cache;
	env->arena = arena;
	env->effects = &write->decided->effects;
	env->max_ts_synced = peer->max_ts_term == raft_term(peer->raft);

	/* They would be lost with the leader, and found again when it is back. */
	env->memory_locks = false;
	env->max_key_size = (size_t) tikv_fdw_settings.max_key_size;
	env->max_memory = arena->allocated + MAX_COMMAND_BYTES;
	env->txn_source = write->txn->txn_source;
	env->is_retry_request = write->txn->is_retry_request;
	env->region = txn_region_range(&peer->region, arena);
}

static void
decide_txn(RaftTurn *turn, Write *write)
{
	Store *store = turn->store;
	Arena *arena = arena_of_decision(write);
	Decided *decided = arena_zalloc(arena, sizeof(Decided));
	CmdHeader header;
	CmdAdmin admin;
	TxnEnv env;

	decided->before = write->txn->command;
	effects_init(&decided->effects, arena);
	write->decided = decided;
	fill_env(turn, write, arena, &env);
	if (flashback_is_too_late(write))
	{
		answer_read(turn, write);
		return;
	}
	if (flashback_next_admin(write, &admin))
	{
		fill_header(write->peer, &header);
		(void) propose(store, write,
					   cmd_encode_admin(&header, &admin, &store->arena));
		return;
	}
	decided->answer.more = false;
	if (write->txn->command.kind == TXN_CMD_GC)
		last_look_begin();
	txn_execute(&env, &write->txn->command, &decided->answer);
	flashback_check(write);
	txn_turn_refuse_collected(store, write);
	flashback_note_last(write);
	if (decided->answer.n_errors > 0 && !decided->answer.keep_effects)
		effects_clear(&decided->effects);
	if (decided->effects.n_modifies == 0)
	{
		answer_read(turn, write);
		return;
	}
	/* It may have been looked at asleep. */
	peer_wake(write->peer);
	FAILPOINT("store_txn_decided");
	fill_header(write->peer, &header);
	if (decided->effects.one_pc)
		header.flags |= CMD_FLAG_ONE_PC;
	if (write->txn->command.kind == TXN_CMD_GC)
		header.gc_safe_point = write->txn->command.gc.safe_point;
	(void) propose(store, write,
				   cmd_encode_txn(&header, decided->effects.modifies,
								  decided->effects.n_modifies, &store->arena));
}

static void
decide(RaftTurn *turn, Write *write)
{
	Store *store = turn->store;
	RegionError error;

	if (write->request->begun_us == 0)
		turn_count_begin(write, turn->begun_us);
	if (turn_is_abandoned(write))
	{
		raft_write_release(store, write);
		turn_drop(write);
		return;
	}
	if (!turn_check_write(store, write, &error))
	{
		refuse(store, write, &error);
		return;
	}
	if (!write->peer->grouped)
	{
		raft_write_release(store, write);
		write_queue_push(&store->queue, write);
		return;
	}
	if (!is_own_look(write))
		peer_wake(write->peer);
	if (raft_holds_apply(write->peer->raft))
	{
		refuse_busy(store, write, HELD_REASON);
		return;
	}
	/* What earlier leaders left in the log must be seen first. */
	if (write->peer->saved.applied_term != raft_term(write->peer->raft))
	{
		raft_write_release(store, write);
		write_queue_push(write->peer->early, write);
		return;
	}
	if (!claim(store, write))
		return;
	if (write->txn != NULL)
		decide_txn(turn, write);
	else
		decide_raw(turn, write);
}

void
raft_write_decide(RaftTurn *turn, WriteQueue *batch)
{
	Write *write;

	while ((write = write_queue_pop(batch)) != NULL)
	{
		turn->current = write;
		decide(turn, write);
		turn->current = NULL;
	}
	if (turn->reader != NULL)
		raw_reader_close(turn->reader);
	turn->reader = NULL;
}

/* ------------------------------------------------------- what became of it */

static Write *
first_proposal(Peer *peer)
{
	Write *write = peer->proposals;

	peer->proposals = write->next_proposal;
	if (peer->proposals == NULL)
		peer->proposals_end = &peer->proposals;
	write->next_proposal = NULL;
	return write;
}

/* Another entry is in its place, for good. */
static void
lost(Peer *peer, Write *write)
{
	drop_decision(write);
	refuse_not_leader(peer->store, write);
}

Write *
raft_write_applied(Peer *peer, uint64 index, uint64 term)
{
	Write *found = NULL;

	while (peer->proposals != NULL && found == NULL &&
		   (peer->proposals->index <= index || peer->proposals->term < term))
	{
		Write *write = first_proposal(peer);

		if (write->index == index && write->term == term)
		{
			found = write;
			metrics_time(HISTOGRAM_RAFT_US,
						 peer->store->decided_us - write->proposed_us);
		}
		else
			lost(peer, write);
	}
	return found;
}

/*
 * A snapshot takes the place of the log: nobody here can tell whether it has
 * what was proposed at these indexes (tikv/tikv#10353).
 */
void
raft_write_covered(Peer *peer, uint64 index)
{
	while (peer->proposals != NULL && peer->proposals->index <= index)
	{
		Write *write = first_proposal(peer);

		drop_decision(write);
		refuse_unknown(peer->store, write,
					   "a snapshot has taken the place of the region's log");
	}
}

void
raft_write_failed(Store *store, Write *write, int sqlstate)
{
	drop_decision(write);
	if (damage_is_lasting(sqlstate))
	{
		raft_write_release(store, write);
		damage_answer_one(write);
		return;
	}
	refuse_busy(store, write, "the command failed, see the server's log");
}

void
raft_write_done(Store *store, Write *write)
{
	write_queue_push(&store->outbox, write);
}

static void
refuse_busy_held(Store *store, Write *write)
{
	refuse_busy(store, write, HELD_REASON);
}

/* Those who wait for the term's first entry, and those who wait for latches. */
static void
refuse_waiting(Peer *peer, void (*tell)(Store *store, Write *write))
{
	Write *write;

	while ((write = write_queue_pop(peer->early)) != NULL)
		tell(peer->store, write);
	while ((write = peer->held) != NULL)
	{
		unhold(peer, write);
		tell(peer->store, write);
	}
}

void
raft_write_lost(Peer *peer)
{
	refuse_waiting(peer, refuse_not_leader);
}

void
raft_write_held(Peer *peer)
{
	refuse_waiting(peer, refuse_busy_held);
}

void
raft_write_begin_term(Peer *peer)
{
	write_queue_unpop(&peer->store->replicas->queue, peer->early);
	write_queue_init(peer->early);
}

/* Out of the queue as well: their peer is freed. */
static void
refuse_queued(Store *store, Peer *peer)
{
	WriteQueue *queue = &store->replicas->queue;
	WriteQueue kept;
	Write *write;

	write_queue_init(&kept);
	while ((write = write_queue_pop(queue)) != NULL)
		if (write->peer == peer && write->claimed)
			refuse_not_leader(store, write);
		else
			write_queue_push(&kept, write);
	while ((write = write_queue_pop(&kept)) != NULL)
	{
		if (write->peer == peer)
			write->peer = NULL;
		write_queue_push(queue, write);
	}
}

void
raft_write_abandon(Peer *peer, const char *reason)
{
	Store *store = peer->store;
	Write *write;

	raft_write_lost(peer);
	while (peer->proposals != NULL)
	{
		write = first_proposal(peer);
		drop_decision(write);
		refuse_unknown(store, write, reason);
	}
	refuse_queued(store, peer);
	CHECK(peer->gate.inside == 0 && peer->gate.waiting == NULL);
}
