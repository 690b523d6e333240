/*
 * raft_read.c
 *	  Reads that need an index of the group's log: at a leader without a lease,
 *	  and at a follower that was asked to answer (replica_read).
 *
 * The index is asked of the group; once it is applied here, the read is run
 * over a fresh snapshot.  A question without an answer is repeated.
 */
#include "postgres.h"

#include "core/codec/number.h"
#include "store/replicas.h"
#include "utils/memutils.h"

#define READ_RETRY_US INT64CONST(400000)
#define READS_MAX 65536

/* Of a question: who asked in which life, and which read it was. */
#define CONTEXT_LEN 16

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
	uint8 context[CONTEXT_LEN];
	uint8 *p = put_u64(context, (uint64) store->meta.start_seq);

	put_u64(p, read->id);
	read->asked_us = dispatch_now_us();
	(void) !raft_read_index(peer->raft, bytes_make(context, CONTEXT_LEN));
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
		NumberReader r = number_reader(states[i].context);
		uint64_t start_seq;
		uint64_t id;

		if (!get_u64(&r, &start_seq) || !get_u64(&r, &id) ||
			start_seq != (uint64) store->meta.start_seq)
			continue;
		for (IndexRead *read = store->replicas->reads; read != NULL;
			 read = read->next)
			if (read->id == id)
			{
				read->answered = true;
				read->index = states[i].index;
			}
	}
}

/*
 * A deletion of a range is applied when it begins, and its rows go later: who
 * reads here must not see them, since the leader has said that they are gone.
 */
static bool
is_applied(Store *store, const Peer *peer, IndexRead *read)
{
	if (!read->answered || peer->saved.applied_index < read->index)
		return false;
	if (read->era == 0)
		read->era = store->ranges.era + 1;
	return range_delete_oldest(store) >= read->era;
}

/* True if the read is over, one way or another. */
static bool
run_one(Store *store, IndexRead *read)
{
	Request *request = read->request;
	Peer *peer = store_find_peer(store, read->region_id);
	int64 now_us = dispatch_now_us();

	if (peer == NULL || peer->life_number != read->life_number)
		answer_error(request, REGION_NOT_FOUND, read->region_id);
	else if (is_applied(store, peer, read))
		dispatch_indexed(&store->dispatch, request);
	else if (now_us >= request->deadline_us)
		service_busy(request, SERVICE_TOO_LATE);
	else if (!read->answered && raft_leader(peer->raft) == RAFT_NONE)
		answer_error(request, REGION_NOT_LEADER, read->region_id);
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
