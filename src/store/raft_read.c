/*
 * raft_read.c
 *	  Reads that need an index of the group's log: at a leader without a lease,
 *	  and at a follower that was asked to answer (replica_read).
 *
 * The index is asked of the group; once it is applied here, the read is run
 * over a fresh snapshot.  A question without an answer is repeated.  One whose
 * entry is not applied here, for want of space or of a row that can be read, is
 * the leader's.
 */
#include "postgres.h"

#include "bus/lock_table.h"
#include "core/cmd/read_context.h"
#include "read/txn_look.h"
#include "store/damage.h"
#include "store/replicas.h"
#include "utils/memutils.h"

#define READ_RETRY_US INT64CONST(400000)
#define READS_MAX 65536

/* Clients go to the one that is named at once. */
static void
answer_not_leader(Request *request, const Peer *peer)
{
	RegionError error = {.kind = REGION_NOT_LEADER,
						 .region_id = peer->region.id};
	RegionState state;

	peer_region_state(peer, &state);
	if (state.leader.id != state.self.id)
		error.leader = state.leader;
	service_region_error(request, &error);
}

static void
answer_error(Request *request, RegionErrorKind kind, uint64 region_id)
{
	RegionError error = {.kind = kind,
						 .region_id = region_id,
						 .reason = "no read index was found"};

	service_region_error(request, &error);
}

static void
ask(Store *store, Peer *peer, IndexRead *read)
{
	ReadIndexContext context = {.asker = (uint64) store->meta.start_seq,
								.id = read->id,
								.has_ts = read->has_ts,
								.start_ts = read->start_ts};

	read->asked_us = dispatch_now_us();
	if (!peer->grouped)
		return;
	FAILPOINT_PASS("store_read_index_ask");
	peer_wake(peer);
	(void) !raft_read_index(peer->raft,
							read_context_encode(&context,
												read->request->arena));
}

/* False if the request was answered: it does not decode. */
static bool
take_timestamp(Store *store, Request *request, IndexRead *read)
{
	TxnLookAnswer answer;
	RegionError error;
	TxnRequest *txn;

	if (!txn_is_method(request->method->id))
		return true;
	txn = txn_decode(request, &store->dispatch.limits);
	if (txn == NULL)
		return false;
	read->has_ts = true;
	read->start_ts = txn->read.ts;
	answer = txn_judge_ts(read->start_ts);
	if (answer == TXN_LOOK_OK)
		return true;
	error = txn_ts_error(answer, read->region_id);
	service_region_error(request, &error);
	return false;
}

static int
is_guard_below(void *arg, Bytes key, const Lock *lock, LockKind kind)
{
	const uint64 *ts = arg;

	(void) key;
	return kind == LOCK_KIND_GUARD && lock->min_commit_ts <= *ts;
}

/*
 * At the leader, before it looks for the index: whoever commits at a timestamp
 * of its own choice commits above the read, or is shown by a guard, and then
 * the read waits until its entry is applied (raftstore-and-pd 8, txn-semantics
 * 24).  False: ask again.
 */
bool
raft_read_may_answer(Peer *peer, Bytes question)
{
	Arena *arena = &peer->store->arena;
	ReadIndexContext context;
	LockScan scan = {.filter = is_guard_below, .max_locks = 1};
	LockScanResult found;

	if (!peer_is_leader(peer) ||
		read_context_decode(question, &context) != STATUS_OK || !context.has_ts)
		return true;
	FAILPOINT("store_read_index_max_ts");
	lock_table_raise_max_ts(context.start_ts);
	scan.range = txn_region_range(&peer->region, arena);
	scan.arg = &context.start_ts;
	return lock_table_scan(&scan, arena, &found) && found.n == 0;
}

void
raft_read_submit(Store *store, Request *request)
{
	Replicas *replicas = store->replicas;
	const Kvrpcpb__Context *context = service_context(request->message);
	uint64 region_id = context == NULL ? 0 : context->region_id;
	Peer *peer = store_find_peer(store, region_id);
	IndexRead *read;

	if (peer == NULL)
	{
		answer_error(request, REGION_NOT_FOUND, region_id);
		return;
	}
	if (replicas->n_reads >= READS_MAX)
	{
		service_busy(request, "too many reads wait for an index");
		return;
	}
	read = MemoryContextAllocZero(store->context, sizeof(IndexRead));
	read->id = ++replicas->next_read;
	read->region_id = region_id;
	read->life_number = peer->life_number;
	read->request = request;
	if (!take_timestamp(store, request, read))
	{
		pfree(read);
		return;
	}
	read->next = replicas->reads;
	replicas->reads = read;
	replicas->n_reads++;
	ask(store, peer, read);
}

void
raft_read_states(Peer *peer, const RaftReadState *states, int n)
{
	Store *store = peer->store;

	for (int i = 0; i < n; i++)
	{
		ReadIndexContext context;

		if (read_context_decode(states[i].context, &context) != STATUS_OK ||
			context.asker != (uint64) store->meta.start_seq)
			continue;
		for (IndexRead *read = store->replicas->reads; read != NULL;
			 read = read->next)
			if (read->id == context.id)
			{
				FAILPOINT_PASS("store_read_index_known");
				read->answered = true;
				read->index = states[i].index;
			}
	}
}

/*
 * A lone peer asks nobody: it lacks its lease only until an entry of its own
 * term is there, in the moment after a split.  Its turns do not look at answers
 * of the group, which would come to nobody.
 */
static void
answer_sole(const Peer *peer, IndexRead *read)
{
	if (read->answered || peer->grouped || !peer_is_leader(peer) ||
		peer->saved.applied_term != raft_term(peer->raft))
		return;
	read->answered = true;
	read->index = peer->saved.applied_index;
}

/*
 * Its log lacks the entry, and takes none until there is space; or it meets a
 * row that cannot be read.
 */
static bool
will_not_apply(const Peer *peer, const IndexRead *read)
{
	if (!read->answered || peer_is_leader(peer))
		return false;
	return damage_stops(peer->region.id) ||
		(raft_last_index(peer->raft) < read->index &&
		 disk_usage_own(peer->store) == DISK_ALREADY_FULL);
}

/* True if the read is over, one way or another. */
static bool
run_one(Store *store, IndexRead *read)
{
	Request *request = read->request;
	Peer *peer = store_find_peer(store, read->region_id);
	int64 now_us = dispatch_now_us();

	if (peer != NULL)
		answer_sole(peer, read);
	if (peer == NULL || peer->life_number != read->life_number)
		answer_error(request, REGION_NOT_FOUND, read->region_id);
	else if (read->answered && peer->saved.applied_index >= read->index)
	{
		FAILPOINT_PASS("store_read_index_served");
		dispatch_indexed(&store->dispatch, request);
	}
	else if (now_us >= request->deadline_us)
		service_busy(request, SERVICE_TOO_LATE);
	else if (will_not_apply(peer, read) ||
			 (!read->answered && raft_leader(peer->raft) == RAFT_NONE))
		answer_not_leader(request, peer);
	else
	{
		if (!read->answered && now_us - read->asked_us > READ_RETRY_US)
			ask(store, peer, read);
		return false;
	}
	return true;
}

int
raft_read_run(Store *store)
{
	Replicas *replicas = store->replicas;
	IndexRead **at = &replicas->reads;
	int n = 0;

	while (*at != NULL)
	{
		IndexRead *read = *at;

		if (!run_one(store, read))
		{
			at = &read->next;
			continue;
		}
		*at = read->next;
		replicas->n_reads--;
		pfree(read);
		n++;
	}
	return n;
}

void
raft_read_stop(Store *store, const char *reason)
{
	Replicas *replicas = store->replicas;

	while (replicas->reads != NULL)
	{
		IndexRead *read = replicas->reads;

		replicas->reads = read->next;
		replicas->n_reads--;
		service_busy(read->request, reason);
		pfree(read);
	}
}
