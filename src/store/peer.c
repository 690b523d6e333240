/*
 * peer.c
 *	  A region's replica on this store: its Raft group and what others may
 *	  know of it.
 */
#include "postgres.h"

#include "core/base/check.h"
#include "core/client/region_cache.h"
#include "core/cmd/region_change.h"
#include "core/codec/memcomparable.h"
#include "guc.h"
#include "store/replicas.h"
#include "utils/memutils.h"

/* Where the region is in the list, or would be. */
static int
find_place(const Store *store, uint64 region_id)
{
	int low = 0;
	int high = store->n_peers;

	while (low < high)
	{
		int middle = low + (high - low) / 2;

		if (store->peers[middle]->region.id < region_id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

Peer *
store_find_peer(Store *store, uint64 region_id)
{
	int at = find_place(store, region_id);

	if (at < store->n_peers && store->peers[at]->region.id == region_id)
		return store->peers[at];
	return NULL;
}

Peer *
store_find_peer_of_key(Store *store, Bytes bound)
{
	BoardRegion *found = palloc(sizeof(BoardRegion));
	Peer *peer = NULL;

	if (board_find_key(bound, found))
		peer = store_find_peer(store, found->region.id);
	pfree(found);
	return peer != NULL && region_contains(&peer->region, bound) ? peer : NULL;
}

/*
 * Which region a key of transactions is in.  The board has them in order; what
 * is not on it, as all are at the start, is looked for one by one.
 */
Peer *
store_find_peer_of_txn_key(Store *store, Bytes key)
{
	size_t len = memcomparable_len(key.len);
	uint8 *room = palloc(len);
	Peer *found;

	(void) memcomparable_put(room, key);
	found = store_find_peer_of_key(store, bytes_make(room, len));
	pfree(room);
	for (int i = 0; found == NULL && i < store->n_peers; i++)
		if (store->peers[i]->region.n_peers > 0 &&
			region_cache_holds(&store->peers[i]->region, key))
			found = store->peers[i];
	return found;
}

Peer *
store_next_peer(Store *store, uint64 region_id)
{
	int at = find_place(store, region_id + 1);

	return at < store->n_peers ? store->peers[at] : NULL;
}

Peer *
store_add_peer(Store *store, uint64 region_id)
{
	int at = find_place(store, region_id);
	Peer *peer = MemoryContextAllocZero(store->context, sizeof(Peer));

	CHECK(store_find_peer(store, region_id) == NULL);
	if (store->n_peers == store->peers_room)
	{
		Size room = (Size) Max(store->peers_room * 2, 8);

		store->peers_room = (int) room;
		store->peers = store->peers == NULL ?
			MemoryContextAlloc(store->context, room * sizeof(Peer *)) :
			repalloc(store->peers, room * sizeof(Peer *));
	}
	memmove(&store->peers[at + 1], &store->peers[at],
			(Size) (store->n_peers - at) * sizeof(Peer *));
	store->peers[at] = peer;
	store->n_peers++;
	peer->store = store;
	peer->region.id = region_id;
	peer->saved.region_id = region_id;
	peer->life_number = ++store->replicas->next_life;
	peer->proposals_end = &peer->proposals;
	latch_gate_init(&peer->gate);
	peer->early = MemoryContextAlloc(store->context, sizeof(WriteQueue));
	write_queue_init(peer->early);
	return peer;
}

static void
free_keys(Region *region)
{
	if (region->start_key.data != NULL)
		pfree(unconstify(uint8 *, region->start_key.data));
	if (region->end_key.data != NULL)
		pfree(unconstify(uint8 *, region->end_key.data));
}

void
store_remove_peer(Store *store, Peer *peer)
{
	int at = find_place(store, peer->region.id);

	CHECK(at < store->n_peers && store->peers[at] == peer);
	store->n_peers--;
	memmove(&store->peers[at], &store->peers[at + 1],
			(Size) (store->n_peers - at) * sizeof(Peer *));
	peer_wake(peer);
	peer_list_remove_all(peer);
	if (peer->grouped)
		store->replicas->n_grouped--;
	if (peer->raft != NULL)
		raft_destroy(peer->raft);
	free_keys(&peer->region);
	pfree(peer->early);
	pfree(peer);
}

void
store_add_tombstone(Store *store, const Region *region, uint64 peer_id)
{
	Tombstone *tombstone = store_find_tombstone(store, region->id);

	if (tombstone == NULL)
	{
		tombstone = MemoryContextAllocZero(store->context, sizeof(Tombstone));
		tombstone->next = store->tombstones;
		store->tombstones = tombstone;
	}
	tombstone->region = *region;
	tombstone->region.start_key = tombstone->region.end_key = bytes_empty();
	tombstone->peer_id = peer_id;
}

Tombstone *
store_find_tombstone(Store *store, uint64 region_id)
{
	for (Tombstone *t = store->tombstones; t != NULL; t = t->next)
		if (t->region.id == region_id)
			return t;
	return NULL;
}

static Bytes
keep_key(const Peer *peer, Bytes key)
{
	uint8 *copy;

	if (key.len == 0)
		return bytes_empty();
	copy = MemoryContextAlloc(peer->store->context, key.len);
	memcpy(copy, key.data, key.len);
	return bytes_make(copy, key.len);
}

bool
region_bound_is_encoded(Bytes bound)
{
	Arena arena;
	Bytes key;
	bool answer;

	arena_init(&arena);
	answer = bound.len == 0 ||
		memcomparable_decode(bound, &arena, &key, NULL) == STATUS_OK;
	arena_free(&arena);
	return answer;
}

void
peer_set_region(Peer *peer, const Region *region)
{
	Region old = peer->region;

	CHECK(region->id == old.id);
	peer->region = *region;
	peer->region.start_key = keep_key(peer, region->start_key);
	peer->region.end_key = keep_key(peer, region->end_key);
	free_keys(&old);
	peer->raw_bounds = !region_bound_is_encoded(region->start_key) ||
		!region_bound_is_encoded(region->end_key);
	for (int i = 0; i < region->n_peers; i++)
		if (region->peers[i].store_id == peer->store->meta.store_id)
			peer->self = region->peers[i];
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
	region_conf_state(&peer->region, &config->conf);
	config->applied_index = saved->applied_index;
	config->applied_term = saved->applied_term;
	config->truncated_index = saved->truncated_index;
	config->truncated_term = saved->truncated_term;
	config->restarted = !peer->is_fresh;
	config->seed = peer->self.id ^ saved->term << 20 ^
		(uint64) peer->store->meta.start_seq << 40;
	config->skip_bcast_commit = false;
	if (peer->region.n_peers == 1)
	{
		config->max_uncommitted_bytes = SIZE_MAX / 4;
		config->max_committed_bytes = SIZE_MAX / 4;
	}
}

/* One voter, nobody else and no log. */
static bool
starts_sole(const RaftConfig *config, const Peer *peer)
{
	return config->conf.voters.n == 1 && config->conf.learners.n == 0 &&
		config->conf.voters_outgoing.n == 0 &&
		config->conf.voters.id[0] == peer->self.id &&
		peer->log_last == peer->saved.applied_index &&
		peer->saved.truncated_index == peer->saved.applied_index;
}

static void
create_raft(Store *store, Peer *peer, uint64 now_us)
{
	RaftStorage storage = raft_storage(peer);
	RaftAllocator allocator = {store->context, raft_alloc, raft_free};
	RaftConfig config;

	fill_config(peer, &config);
	peer->grouped = peer->unsynced || !starts_sole(&config, peer);
	if (raft_create(&config, &storage, &allocator, now_us, &peer->raft) !=
		STATUS_OK)
		ereport(FATAL,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the stored Raft state of region %llu is inconsistent",
						(unsigned long long) peer->region.id)));
	raft_stand_back(peer->raft, store->replicas->starved);
}

void
peer_start(Store *store, Peer *peer)
{
	uint64 now_us = (uint64) board_now_us();

	peer->state = peer->saved;
	peer->log_last = Max(peer->log_last, peer->saved.truncated_index);
	create_raft(store, peer, now_us);
	if (peer->grouped)
	{
		store->replicas->n_grouped++;
		peer_list_add(peer, PEERS_AWAKE);
		peer_tell(peer);
		return;
	}
	CHECK(raft_is_sole(peer->raft));
	CHECK(raft_campaign(peer->raft, now_us) == STATUS_OK);
	peer_touch(peer);
}

void
peer_restart(Store *store, Peer *peer)
{
	CHECK(!peer->grouped);
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
	peer_tell(peer);
	if (visible_change && store->server != NULL)
		peer_publish(peer);
	else
		board_publish_applied(peer->region.id, peer->state.applied_index);
}

bool
peer_is_leader(const Peer *peer)
{
	return raft_role(peer->raft) == RAFT_LEADER;
}

int64
peer_lease_end(const Peer *peer)
{
	return (int64) Min(raft_lease_end_us(peer->raft), (uint64) PG_INT64_MAX);
}

/* Id 0 if it is not known, or not known where it is. */
static RegionPeer
leader_of(const Peer *peer)
{
	const RegionPeer *leader =
		region_find_peer(&peer->region, raft_leader(peer->raft));

	return leader != NULL ? *leader : (RegionPeer){0};
}

void
peer_region_state(const Peer *peer, RegionState *out)
{
	memset(out, 0, sizeof(*out));
	out->region = &peer->region;
	out->self = peer->self;
	out->term = raft_term(peer->raft);
	out->is_leader = peer_is_leader(peer);
	out->leader = leader_of(peer);
}

/* A lease is published many times a second: the log has what changes. */
static void
note_on_board(Peer *peer, bool has_room)
{
	if (!has_room && !peer->off_board)
		ereport(
			LOG,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg(
				 "tikv store %llu: region %llu cannot be read here: there is no room for more regions, or for longer keys of their bounds",
				 (unsigned long long) peer->self.store_id,
				 (unsigned long long) peer->region.id),
			 errhint("Raise tikv.max_regions, %d now, on all nodes.",
					 tikv_fdw_settings.max_regions)));
	peer->off_board = !has_room;
}

/*
 * A sole peer's lease has no end: nobody else can commit until it adds one
 * itself, which ends the lease first (DESIGN 4).  A peer without data is not
 * on the board.
 */
void
peer_publish(Peer *peer)
{
	BoardRegion *entry;

	if (peer->region.n_peers == 0 || peer->life != PEER_STATE_NORMAL)
		return;
	entry = palloc0(sizeof(BoardRegion));
	entry->region = peer->region;
	entry->self = peer->self;
	entry->is_leader = peer_is_leader(peer);
	entry->leader = leader_of(peer);
	entry->term = raft_term(peer->raft);
	entry->lease_end_us = peer_lease_end(peer);
	entry->applied_index = peer->saved.applied_index;
	peer->lease_end_us = entry->lease_end_us;
	peer->told_term = entry->term;
	peer->told_leader = entry->leader.id;
	FAILPOINT_PASS("store_before_board");
	note_on_board(peer, board_publish(entry));
	FAILPOINT_PASS("store_after_board");
	pfree(entry);
}
