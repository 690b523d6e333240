/*
 * peer.c
 *	  A region's replica on this store: its Raft group and what others may
 *	  know of it.
 */
#include "postgres.h"

#include "core/base/check.h"
#include "core/raft/empty_log.h"
#include "store/store.h"
#include "utils/memutils.h"

Peer *
store_find_peer(Store *store, uint64 region_id)
{
	int low = 0;
	int high = store->n_peers;

	while (low < high)
	{
		int middle = low + (high - low) / 2;

		if (store->peers[middle].region.id < region_id)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < store->n_peers && store->peers[low].region.id == region_id)
		return &store->peers[low];
	return NULL;
}

static void *
raft_alloc(void *arg, size_t size)
{
	return MemoryContextAllocHuge((MemoryContext) arg, size);
}

static void
raft_free(void *arg, void *p)
{
	(void) arg;
	pfree(p);
}

static void
fill_config(const Peer *peer, RaftConfig *config)
{
	const GroupState *saved = &peer->saved;

	raft_config_init(config, peer->self.id);
	config->hard_state.term = saved->term;
	config->hard_state.vote = saved->vote;
	config->hard_state.commit = saved->commit_index;
	config->conf.voters.n = 0;
	for (int i = 0; i < peer->region.n_peers; i++)
		config->conf.voters.id[config->conf.voters.n++] =
			peer->region.peers[i].id;
	config->applied_index = saved->applied_index;
	config->applied_term = saved->applied_term;
	config->truncated_index = saved->truncated_index;
	config->truncated_term = saved->truncated_term;
	config->restarted = true;
	config->max_uncommitted_bytes = SIZE_MAX / 4;
	config->max_committed_bytes = SIZE_MAX / 4;
	config->seed = peer->self.id;
}

void
peer_start(Store *store, Peer *peer)
{
	RaftStorage storage = raft_empty_log(&peer->saved.truncated_index);
	RaftAllocator allocator = {store->context, raft_alloc, raft_free};
	uint64 now_us = (uint64) board_now_us();
	RaftConfig config;

	peer->state = peer->saved;
	fill_config(peer, &config);
	if (raft_create(&config, &storage, &allocator, now_us, &peer->raft) !=
		STATUS_OK)
		ereport(FATAL,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the stored Raft state of region %llu is inconsistent",
						(unsigned long long) peer->region.id)));
	CHECK(raft_is_sole(peer->raft));
	CHECK(raft_campaign(peer->raft, now_us) == STATUS_OK);
	peer->touched = true;
}

void
peer_restart(Store *store, Peer *peer)
{
	peer->region.flashback_start_ts = peer->saved_flashback_ts;
	peer->region_changed = false;
	raft_destroy(peer->raft);
	peer_start(store, peer);
}

void
peer_committed(Store *store, Peer *peer)
{
	bool visible_change;

	raft_advance(peer->raft, &peer->ready);
	CHECK(!raft_has_ready(peer->raft));
	visible_change =
		peer->saved.term != peer->state.term || peer->region_changed;
	peer->region_changed = false;
	peer->saved_flashback_ts = peer->region.flashback_start_ts;
	peer->saved = peer->state;
	peer->touched = false;
	if (visible_change && store->server != NULL)
		peer_publish(peer);
	else
		board_publish_applied(peer->region.id, peer->state.applied_index);
}

void
peer_region_state(const Peer *peer, RegionState *out)
{
	memset(out, 0, sizeof(*out));
	out->region = &peer->region;
	out->self = peer->self;
	out->term = raft_term(peer->raft);
	out->is_leader = raft_role(peer->raft) == RAFT_LEADER;
	if (out->is_leader)
		out->leader = peer->self;
}

/*
 * A sole peer's lease has no end: nobody else can commit until it adds one
 * itself, which ends the lease first (DESIGN 4).
 */
void
peer_publish(const Peer *peer)
{
	BoardRegion *entry = palloc0(sizeof(BoardRegion));

	entry->region = peer->region;
	entry->self = peer->self;
	entry->is_leader = raft_role(peer->raft) == RAFT_LEADER;
	if (entry->is_leader)
		entry->leader = peer->self;
	entry->term = raft_term(peer->raft);
	entry->lease_end_us =
		(int64) Min(raft_lease_end_us(peer->raft), (uint64) PG_INT64_MAX);
	entry->applied_index = peer->state.applied_index;
	if (!board_publish(entry))
		ereport(FATAL,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many regions on this store"),
				 errdetail("The limit is %d.", BOARD_MAX_REGIONS)));
	pfree(entry);
}
