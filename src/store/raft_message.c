/*
 * raft_message.c
 *	  Messages between stores: which peer one is for, and what becomes of
 *	  those that nobody here expects.
 *
 * The rules are raftstore-and-pd 18: a peer is created by the first message
 * that a leader or candidate sends to it, a newer one takes an older one's
 * place, and whoever speaks for a configuration that is gone is told so.
 */
#include "postgres.h"

#include "core/base/check.h"
#include "core/cmd/region_change.h"
#include "store/damage.h"
#include "store/leftovers.h"
#include "store/snapshots.h"
#include "utils/memutils.h"

/* How long a removed peer is told so: at once, after a second, two, four ... */
#define TELL_REMOVED_US INT64CONST(600000000)
#define TELL_REMOVED_FIRST_US INT64CONST(1000000)
#define TELL_REMOVED_REST_US INT64CONST(30000000)

/* ---------------------------------------------------------------- the inbox */

/*
 * Of messages that wait for the next turn, beside raft_memory_share().  From
 * half of both on no stream is read (links.c); what has been read already has
 * the other half, and what is beyond is dropped.
 */
#define INBOX_MAX_MESSAGES 65536

/* However large, one has room. */
static bool
has_room(const Replicas *replicas, size_t len)
{
	return replicas->n_inbox == 0 ||
		(replicas->n_inbox < INBOX_MAX_MESSAGES &&
		 replicas->inbox_bytes + len <= raft_memory_share());
}

void
raft_message_receive(Store *store, Bytes bytes)
{
	Replicas *replicas = store->replicas;
	InMessage *message;

	if (!has_room(replicas, bytes.len))
	{
		replicas->inbox_dropped++;
		return;
	}
	message = MemoryContextAllocHuge(store->context,
									 offsetof(InMessage, bytes) + bytes.len);
	message->next = NULL;
	message->len = bytes.len;
	memcpy(message->bytes, bytes.data, bytes.len);
	if (FAILPOINT_ERROR("store_message_received"))
	{
		pfree(message);
		return;
	}
	*replicas->inbox_end = message;
	replicas->inbox_end = &message->next;
	replicas->inbox_bytes += bytes.len;
	replicas->n_inbox++;
}

bool
raft_message_enough(const Store *store)
{
	const Replicas *replicas = store->replicas;

	return replicas->n_inbox > INBOX_MAX_MESSAGES / 2 ||
		replicas->inbox_bytes > raft_memory_share() / 2;
}

/* ----------------------------------------------------------------- sending */

static const RegionPeer *
find_address(const Peer *peer, uint64 id)
{
	const RegionPeer *found = region_find_peer(&peer->region, id);

	for (int i = 0; found == NULL && i < PEER_SENDERS; i++)
		if (peer->senders[i].id == id)
			found = &peer->senders[i];
	return found;
}

static void
note_sender(Peer *peer, const RegionPeer *from)
{
	if (find_address(peer, from->id) != NULL)
		return;
	peer->senders[peer->next_sender] = *from;
	peer->next_sender = (peer->next_sender + 1) % PEER_SENDERS;
}

static Bytes
pack_one(const Peer *peer, const RegionPeer *to, const RaftMessage *raft,
		 Arena *arena)
{
	PeerMessage m = {.region_id = peer->region.id,
					 .from = peer->self,
					 .to = *to,
					 .epoch = peer->region.epoch,
					 .extra = EXTRA_NONE,
					 .disk_usage = disk_usage_own(peer->store),
					 .has_raft = true,
					 .raft = *raft};

	if (peer->region.n_peers > 0 && peer_message_is_initial(&m))
	{
		m.start_key = peer->region.start_key;
		m.end_key = peer->region.end_key;
	}
	return peer_message_encode(&m, arena);
}

OutMessage *
raft_message_pack(Peer *peer, const RaftMessage *messages, int n, Arena *arena)
{
	OutMessage *out = arena_alloc(arena, (size_t) n * sizeof(OutMessage));

	for (int i = 0; i < n; i++)
	{
		const RegionPeer *to = find_address(peer, messages[i].to);

		out[i] =
			(OutMessage){.to_peer = messages[i].to,
						 .snapshot = messages[i].type == RAFT_MSG_SNAPSHOT};
		if (to == NULL)
			continue;
		out[i].to_store = to->store_id;
		out[i].bytes = pack_one(peer, to, &messages[i], arena);
	}
	return out;
}

void
raft_message_send(Store *store, Peer *peer, const OutMessage *messages, int n)
{
	const ReplicaLinks *links = &store->replicas->links;

	for (int i = 0; i < n; i++)
	{
		const OutMessage *m = &messages[i];
		bool sent = false;

		if (FAILPOINT_ERROR("store_drop_message"))
			continue;
		if (m->to_store != 0 && !m->snapshot && links->send != NULL)
			sent = links->send(links->arg, m->to_store, m->bytes);
		else if (m->to_store != 0 && m->snapshot &&
				 links->send_snapshot != NULL)
			sent = links->send_snapshot(links->arg, peer, m->to_store,
										m->to_peer, m->bytes);
		if (!sent && m->snapshot && peer != NULL)
			raft_report_snapshot(peer->raft, m->to_peer, false);
		else if (!sent && peer != NULL)
			raft_report_unreachable(peer->raft, m->to_peer);
	}
}

/* Whoever sent this is not in the region any more, and is told so. */
static void
send_tombstone(RaftTurn *turn, const PeerMessage *m, const Region *region)
{
	PeerMessage answer = {.region_id = m->region_id,
						  .from = m->to,
						  .to = m->from,
						  .epoch = region->epoch,
						  .is_tombstone = true,
						  .extra = EXTRA_NONE,
						  .disk_usage = disk_usage_own(turn->store)};
	OutMessage out = {.to_store = m->from.store_id,
					  .to_peer = m->from.id,
					  .bytes =
						  peer_message_encode(&answer, &turn->store->arena)};

	raft_message_send(turn->store, NULL, &out, 1);
}

static void
tell_removed(Store *store, const RemovedPeer *removed)
{
	PeerMessage m = {.region_id = removed->region_id,
					 .from = removed->from,
					 .to = removed->peer,
					 .epoch = removed->epoch,
					 .is_tombstone = true,
					 .extra = EXTRA_NONE,
					 .disk_usage = disk_usage_own(store)};
	OutMessage out = {.to_store = removed->peer.store_id,
					  .to_peer = removed->peer.id};
	Arena arena;

	arena_init(&arena);
	out.bytes = peer_message_encode(&m, &arena);
	FAILPOINT_PASS("store_tell_removed");
	raft_message_send(store, NULL, &out, 1);
	arena_free(&arena);
}

void
raft_message_removed(Peer *peer, const Region *before)
{
	Store *store = peer->store;

	for (int i = 0; i < before->n_peers; i++)
	{
		RemovedPeer *removed;

		if (region_find_peer(&peer->region, before->peers[i].id) != NULL ||
			before->peers[i].id == peer->self.id)
			continue;
		removed = MemoryContextAlloc(store->context, sizeof(RemovedPeer));
		*removed =
			(RemovedPeer){.next = store->replicas->removed,
						  .region_id = before->id,
						  .peer = before->peers[i],
						  .from = peer->self,
						  .epoch = peer->region.epoch,
						  .until_us = dispatch_now_us() + TELL_REMOVED_US,
						  .rest_us = TELL_REMOVED_FIRST_US};
		store->replicas->removed = removed;
	}
}

void
raft_message_tell_removed(Store *store)
{
	RemovedPeer **at = &store->replicas->removed;
	int64 now_us = dispatch_now_us();

	while (*at != NULL)
	{
		RemovedPeer *removed = *at;

		if (now_us < removed->until_us)
		{
			if (now_us >= removed->next_us)
			{
				tell_removed(store, removed);
				removed->next_us = now_us + removed->rest_us;
				removed->rest_us =
					Min(removed->rest_us * 2, TELL_REMOVED_REST_US);
			}
			at = &removed->next;
			continue;
		}
		*at = removed->next;
		pfree(removed);
	}
}

/* --------------------------------------------------------------- destroying */

void
raft_peer_destroy(RaftTurn *turn, Peer *peer, const Region *last_region)
{
	Store *store = turn->store;
	Region last = *last_region;

	FAILPOINT("store_before_destroy");
	ereport(LOG,
			(errmsg("tikv store %llu: peer %llu of region %llu is removed",
					(unsigned long long) store->meta.store_id,
					(unsigned long long) peer->self.id,
					(unsigned long long) peer->region.id)));
	board_remove(peer->region.id);
	if (peer->was_leader)
		raft_turn_forget_memory_locks(store, peer);
	raft_write_abandon(peer, "the region has no peer on this store any more");
	damage_let_go(peer->region.id);
	if (!peer->is_new)
	{
		group_state_remove(peer->region.id);
		leftovers_add_peer(peer);
	}
	if (peer->life == PEER_STATE_APPLYING)
		snapshot_install_remove(peer->region.id);
	FAILPOINT("store_destroy_rows");
	last.start_key = last.end_key = bytes_empty();
	region_table_save(&last, peer->self.id, PEER_STATE_TOMBSTONE);
	store_add_tombstone(store, &last, peer->self.id);
	FAILPOINT("store_destroy_tombstone");
	store_remove_peer(store, peer);

	/* memory has no peer any more: its rows must go, or the process */
	turn->at_once = turn->committed = true;
	FAILPOINT("store_after_destroy");
}

/* ---------------------------------------------------------------- receiving */

/* A region of ours in the range that the message's region claims. */
static bool
overlaps(const Store *store, const PeerMessage *m)
{
	for (int i = 0; i < store->n_peers; i++)
	{
		const Region *region = &store->peers[i]->region;

		if (region->n_peers > 0 &&
			region_ranges_overlap((RegionRange){region->start_key,
												region->end_key},
								  (RegionRange){m->start_key, m->end_key}))
			return true;
	}
	return false;
}

/* True if a tombstone forbids a peer of this id. */
static bool
is_buried(RaftTurn *turn, const PeerMessage *m)
{
	const Tombstone *t = store_find_tombstone(turn->store, m->region_id);

	if (t == NULL || m->to.id > t->peer_id)
		return false;
	if (region_epoch_is_stale(m->epoch, t->region.epoch) &&
		region_find_store(&t->region, m->from.store_id) == NULL &&
		!m->is_tombstone)
		send_tombstone(turn, m, &t->region);
	return true;
}

/*
 * A candidate whose store has applied a split already: its vote waits until
 * this store has, too.  The oldest gives way, and a request is two bounds and
 * little more: whatever is longer is none of ours.
 */
static void
keep_early_vote(RaftTurn *turn, const PeerMessage *m)
{
	Replicas *replicas = turn->store->replicas;
	InMessage **end = &replicas->early_votes;
	InMessage *copy;

	if (m->raft.type == RAFT_MSG_HEARTBEAT || turn->message == NULL ||
		turn->message->len > EARLY_VOTE_BYTES)
		return;
	if (replicas->n_early_votes == EARLY_VOTES_MAX)
	{
		InMessage *oldest = replicas->early_votes;

		replicas->early_votes = oldest->next;
		replicas->n_early_votes--;
		pfree(oldest);
	}
	while (*end != NULL)
		end = &(*end)->next;
	copy = MemoryContextAlloc(turn->store->context,
							  offsetof(InMessage, bytes) + turn->message->len);
	memcpy(copy, turn->message,
		   offsetof(InMessage, bytes) + turn->message->len);
	copy->next = NULL;
	copy->region_id = m->region_id;
	*end = copy;
	replicas->n_early_votes++;
}

void
raft_message_again(Store *store, uint64 region_id)
{
	InMessage **at = &store->replicas->early_votes;

	while (*at != NULL)
	{
		InMessage *message = *at;

		if (message->region_id != region_id)
		{
			at = &message->next;
			continue;
		}
		*at = message->next;
		store->replicas->n_early_votes--;
		raft_message_receive(store, bytes_make(message->bytes, message->len));
		pfree(message);
	}
}

static Peer *
create_peer(RaftTurn *turn, const PeerMessage *m)
{
	Store *store = turn->store;
	Peer *peer;

	if (is_buried(turn, m) || !peer_message_is_initial(m))
		return NULL;

	/* its rows would be among those of the one before */
	if (leftovers_have_log(store, m->region_id))
	{
		FAILPOINT("store_create_waits");
		return NULL;
	}
	if (overlaps(store, m))
	{
		keep_early_vote(turn, m);
		return NULL;
	}
	FAILPOINT("store_before_create");
	peer = store_add_peer(store, m->region_id);
	peer->self = m->to;
	peer->is_new = peer->is_fresh = true;
	FAILPOINT("store_before_created_starts");
	peer_start(store, peer);
	return peer;
}

/* A peer of another id than ours: older or newer. */
static Peer *
other_peer(RaftTurn *turn, Peer *peer, const PeerMessage *m)
{
	if (m->to.id < peer->self.id)
	{
		if (region_epoch_is_stale(m->epoch, peer->region.epoch) &&
			!m->is_tombstone &&
			region_find_store(&peer->region, m->from.store_id) == NULL)
			send_tombstone(turn, m, &peer->region);
		return NULL;
	}
	if (!peer_message_is_initial(m))
		return NULL;
	raft_peer_destroy(turn, peer, &peer->region);
	return create_peer(turn, m);
}

static bool
sender_is_gone(RaftTurn *turn, const Peer *peer, const PeerMessage *m)
{
	if (peer->region.n_peers == 0 ||
		!region_epoch_is_stale(m->epoch, peer->region.epoch) ||
		region_find_store(&peer->region, m->from.store_id) != NULL)
		return false;
	send_tombstone(turn, m, &peer->region);
	return true;
}

/* The message that is being stepped comes again in the next turn. */
static void
raft_message_later(RaftTurn *turn)
{
	raft_message_receive(turn->store,
						 bytes_make(turn->message->bytes, turn->message->len));
}

static void
step_raft(RaftTurn *turn, Peer *peer, const PeerMessage *m)
{
	RaftMessage raft = m->raft;
	Status s;

	if (m->raft.type == RAFT_MSG_SNAPSHOT && !snapshots_accept(turn, peer, m))
		return;
	FAILPOINT("store_before_step");
	/* of a round before it fell asleep */
	if (peer->sleep.asleep && m->raft.type == RAFT_MSG_HEARTBEAT_RESPONSE &&
		m->raft.term == raft_term(peer->raft))
		return;
	peer->sleep.silent_ticks = 0;
	peer->sleep.wanted &= m->raft.type == RAFT_MSG_HEARTBEAT;
	if (peer->sleep.asleep ||
		(m->raft.type != RAFT_MSG_HEARTBEAT &&
		 m->raft.type != RAFT_MSG_HEARTBEAT_RESPONSE))
		peer_wake(peer);
	note_sender(peer, &m->from);
	raft_note_starved(peer->raft, m->from.id,
					  m->disk_usage == DISK_ALREADY_FULL);
	if (m->raft.type == RAFT_MSG_APPEND)
	{
		raft.n_entries = raft_apply_takes(peer, &m->raft);
		if (raft.n_entries == 0 && m->raft.n_entries > 0)
			return;
	}
	if (m->raft.type == RAFT_MSG_READ_INDEX && m->raft.n_entries == 1 &&
		!raft_read_may_answer(peer, m->raft.entries[0].data))
	{
		raft_message_later(turn);
		return;
	}
	s = raft_step(peer->raft, &raft, (uint64) board_now_us());
	FAILPOINT("store_after_step");
	if (s == STATUS_CORRUPT)
		ereport(
			FATAL,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg(
				 "region %llu: a message from store %llu contradicts what was committed here",
				 (unsigned long long) m->region_id,
				 (unsigned long long) m->from.store_id)));
}

static void
step_one(RaftTurn *turn, Bytes bytes)
{
	Store *store = turn->store;
	PeerMessage m;
	Peer *peer;

	if (peer_message_decode(bytes, &store->arena, &m) != STATUS_OK ||
		m.to.store_id != store->meta.store_id)
		return;
	if (hibernate_take_store_message(store, &m) ||
		gc_sleepers_take_message(store, &m))
		return;
	if (FAILPOINT_ERROR("store_group_message"))
		return;
	peer = store_find_peer(store, m.region_id);
	if (peer != NULL && peer->self.id != m.to.id)
		peer = other_peer(turn, peer, &m);
	else if (peer == NULL)
		peer = create_peer(turn, &m);
	if (peer == NULL)
		return;
	/* anybody can claim to be a store */
	if (region_find_store(&peer->region, m.from.store_id) != NULL)
		disk_usage_note(store, m.from.store_id, m.disk_usage);
	if (m.is_tombstone)
	{
		if (region_epoch_is_stale(peer->region.epoch, m.epoch))
			raft_peer_destroy(turn, peer, &peer->region);
		return;
	}
	if (m.extra != EXTRA_NONE && peer->grouped)
		hibernate_take_message(peer, &m);
	/* a lone peer has nobody to listen to */
	if (m.extra == EXTRA_NONE && m.has_raft &&
		!sender_is_gone(turn, peer, &m) && peer->grouped)
		step_raft(turn, peer, &m);
}

void
raft_message_step(RaftTurn *turn)
{
	Replicas *replicas = turn->store->replicas;
	InMessage *message;
	int n = replicas->n_inbox; /* what comes again is for the next turn */

	while (n-- > 0 && (message = replicas->inbox) != NULL)
	{
		replicas->inbox = message->next;
		if (replicas->inbox == NULL)
			replicas->inbox_end = &replicas->inbox;
		replicas->n_inbox--;
		replicas->inbox_bytes -= message->len;
		turn->in_core = true;
		turn->message = message;
		step_one(turn, bytes_make(message->bytes, message->len));
		turn->in_core = false;
		turn->message = NULL;
		pfree(message);
	}
}
