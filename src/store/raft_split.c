/*
 * raft_split.c
 *	  A split is applied: the region keeps one piece, new peers get the others.
 *
 * Descriptors and states of all pieces are stored in the transaction of the
 * entry; the new peers begin once it is committed.  No row moves: a region's
 * data is its range.  The store that led the region campaigns for the pieces
 * at once, the others wait for an election timeout, as after any silence.
 */
#include "postgres.h"

#include "access/xact.h"
#include "core/base/check.h"
#include "core/cmd/region_change.h"
#include "core/region/first_region.h"
#include "store/leftovers.h"

/*
 * Does a peer of the piece begin here?  It may have come and gone already, or
 * have got a snapshot from a store that was faster.
 */
static bool
begins_here(Store *store, const Region *piece)
{
	const RegionPeer *self = region_find_store(piece, store->meta.store_id);
	const Tombstone *tombstone = store_find_tombstone(store, piece->id);
	const Peer *present = store_find_peer(store, piece->id);

	if (self == NULL || (tombstone != NULL && tombstone->peer_id >= self->id) ||
		leftovers_have_log(store, piece->id))
		return false;
	return present == NULL ||
		(present->region.n_peers == 0 && present->self.id <= self->id);
}

/*
 * One that a message has made, and that waits for a snapshot, may have voted:
 * that stays.
 */
static void
first_state(Store *store, const Region *piece, GroupState *state)
{
	const Peer *present = store_find_peer(store, piece->id);

	memset(state, 0, sizeof(*state));
	state->region_id = piece->id;
	state->term = FIRST_LOG_TERM;
	state->commit_index = state->applied_index = state->truncated_index =
		FIRST_LOG_INDEX;
	state->applied_term = state->truncated_term = FIRST_LOG_TERM;
	state->approximate_size = state->approximate_keys = -1;
	if (present != NULL && present->state.term > state->term)
	{
		state->term = present->state.term;
		state->vote = present->state.vote;
	}
}

static void
store_piece(Store *store, const Region *piece, GroupState *state)
{
	const RegionPeer *self = region_find_store(piece, store->meta.store_id);

	Peer *present = store_find_peer(store, piece->id);

	first_state(store, piece, state);
	if (present != NULL)
		present->replaced = true;
	FAILPOINT("store_before_piece");
	group_state_remove(piece->id);
	region_table_save(piece, self->id, PEER_STATE_NORMAL);
	group_state_insert(state);
	FAILPOINT("store_after_piece");
}

/* Rows of a piece that has come and gone belong to nobody here. */
static void
leave_piece(Store *store, const Region *piece)
{
	const Peer *present = store_find_peer(store, piece->id);

	if (present == NULL || present->region.n_peers == 0)
		leftovers_add_keys(store, piece);
}

static void
log_split(const Peer *peer, const Region *pieces, int n)
{
	for (int i = 0; i < n; i++)
		if (pieces[i].id != peer->region.id)
			ereport(
				LOG,
				(errmsg(
					"tikv store %llu: region %llu is split off region %llu, version %llu",
					(unsigned long long) peer->self.store_id,
					(unsigned long long) pieces[i].id,
					(unsigned long long) peer->region.id,
					(unsigned long long) pieces[i].epoch.version)));
}

void
raft_split_apply(RaftTurn *turn, Peer *peer, const CmdAdmin *admin)
{
	Store *store = turn->store;
	Arena *arena = &store->arena;
	SplitBorn *born;
	const char *why;
	int derived;

	FAILPOINT("store_before_split");
	born = arena_zalloc(arena, sizeof(*born));
	if (region_split(&peer->region, admin, arena, &born->pieces, &derived,
					 &why) != STATUS_OK)
		return;
	born->parent = peer->region.id;
	born->n_pieces = admin->n_splits + 1;
	born->states =
		arena_zalloc(arena, (size_t) born->n_pieces * sizeof(GroupState));

	/* bounds of the pieces are the region's own until it is replaced */
	for (int i = 0; i < born->n_pieces; i++)
	{
		Region *piece = &born->pieces[i];

		piece->start_key = arena_copy(arena, piece->start_key);
		piece->end_key = arena_copy(arena, piece->end_key);
	}
	CommandCounterIncrement();
	for (int i = 0; i < born->n_pieces; i++)
	{
		if (i == derived)
			continue;
		if (begins_here(store, &born->pieces[i]))
			store_piece(store, &born->pieces[i], &born->states[i]);
		else
			leave_piece(store, &born->pieces[i]);
	}
	peer_set_region(peer, &born->pieces[derived]);
	region_size_guess(peer, peer, born->n_pieces);
	peer->region_changed = true;
	peer->at_once = turn->at_once = true;
	born->next = turn->born;
	turn->born = born;
	log_split(peer, born->pieces, born->n_pieces);
	FAILPOINT("store_after_split");
}

/*
 * The range was read elsewhere up to a timestamp that is not known here yet,
 * as ungroup says: a piece must not go without a log before the region might.
 */
static bool
is_unsynced(const Peer *parent)
{
	return parent->grouped && parent->max_ts_term != raft_term(parent->raft);
}

static void
begin_piece(Store *store, const Peer *parent, const Region *piece,
			const GroupState *state)
{
	Peer *present = store_find_peer(store, piece->id);
	bool spoke = present != NULL;
	Peer *peer;

	if (present != NULL)
	{
		raft_write_abandon(present, "the region was split off here");
		store_remove_peer(store, present);
	}
	FAILPOINT("store_before_piece_begins");
	peer = store_add_peer(store, piece->id);
	peer->life = PEER_STATE_NORMAL;
	peer->is_fresh = !spoke;
	peer_set_region(peer, piece);
	peer->saved = *state;
	peer->log_last = state->truncated_index;
	peer->log_first = state->truncated_index + 1;
	peer->unsynced = is_unsynced(parent);
	peer_start(store, peer);
	region_size_guess(peer, parent, 1);
	if (peer->grouped)
		raft_turn_forget_memory_locks(store, peer);
	if (peer->grouped && peer_is_leader(parent))
		(void) !raft_campaign(peer->raft, (uint64) board_now_us());
	FAILPOINT("store_piece_campaigned");
	peer_publish(peer);
	peer_tell(peer);
	raft_message_again(store, piece->id);
}

void
raft_split_begin(RaftTurn *turn)
{
	Store *store = turn->store;

	for (SplitBorn *born = turn->born; born != NULL; born = born->next)
	{
		Peer *parent = store_find_peer(store, born->parent);

		CHECK(parent != NULL);
		for (int i = 0; i < born->n_pieces; i++)
			if (born->states[i].region_id != 0)
				begin_piece(store, parent, &born->pieces[i], &born->states[i]);
		FAILPOINT("store_before_split_told");
		splits_applied(store, parent, born->pieces, born->n_pieces);
	}
	turn->born = NULL;
}
