/*
 * snapshot_receive.c
 *	  Snapshots of other stores: checked while they come in, kept as files.
 *
 * Raft hears of one when its file is complete and durable.  What could go
 * wrong when it is installed is found before: a region that overlaps another
 * one, an older state, damage, records that are none.
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "core/cmd/region_change.h"
#include "guc.h"
#include "storage/fd.h"
#include "store/snapshots.h"
#include "utils/memutils.h"

/* A file that Raft did not want after all. */
#define RECEIVED_LIFE_US INT64CONST(600000000)

/* Of its size: the file, and the rows that it becomes while it is there. */
#define ROOM_TIMES 2

/* More than any disk has; sums of some do not overflow. */
#define MAX_FILE_BYTES (UINT64CONST(1) << 50)

/* ------------------------------------------------------------ may it come in */

static bool
ranges_overlap(const Region *a, const Region *b)
{
	return region_ranges_overlap((RegionRange){a->start_key, a->end_key},
								 (RegionRange){b->start_key, b->end_key});
}

/* Another region of ours, or another one that comes in. */
static bool
overlaps(const Store *store, const Region *region)
{
	for (int i = 0; i < store->n_peers; i++)
	{
		const Region *other = &store->peers[i]->region;

		if (other->id != region->id && other->n_peers > 0 &&
			ranges_overlap(other, region))
			return true;
	}
	for (const SnapshotIncoming *in = store->snapshots->incoming; in != NULL;
		 in = in->next)
		if (in->region_id != region->id &&
			ranges_overlap(&in->checker.data.region, region))
			return true;
	return false;
}

static bool
comes_in(const Snapshots *s, uint64 region_id)
{
	for (const SnapshotIncoming *in = s->incoming; in != NULL; in = in->next)
		if (in->region_id == region_id)
			return true;
	return false;
}

static bool
is_installed(const Snapshots *s, uint64 region_id)
{
	for (const SnapshotInstalling *in = s->installing; in != NULL;
		 in = in->next)
		if (in->at.region_id == region_id)
			return true;
	return false;
}

static bool
same_ids(const RaftIdSet *a, const RaftIdSet *b)
{
	if (a->n != b->n)
		return false;
	for (int i = 0; i < a->n; i++)
	{
		bool found = false;

		for (int k = 0; k < b->n; k++)
			found |= a->id[i] == b->id[k];
		if (!found)
			return false;
	}
	return true;
}

/* Raft goes by the one, the next start of this store by the other. */
static bool
conf_agrees(const RaftConfState *conf, const Region *region)
{
	RaftConfState own;

	region_conf_state(region, &own);
	return same_ids(&conf->voters, &own.voters) &&
		same_ids(&conf->learners, &own.learners) &&
		same_ids(&conf->voters_outgoing, &own.voters_outgoing) &&
		same_ids(&conf->learners_next, &own.learners_next);
}

/* Why it is refused; NULL: it is not. */
static const char *
judge(Store *store, const PeerMessage *m, SnapshotInfo *info)
{
	Snapshots *s = store->snapshots;
	const Peer *peer = store_find_peer(store, m->region_id);

	if (!m->has_raft || m->raft.type != RAFT_MSG_SNAPSHOT ||
		m->raft.snapshot == NULL)
		return "it has no message of a snapshot";
	if (m->to.store_id != store->meta.store_id)
		return "it is for another store";
	if (snapshot_info_decode(m->raft.snapshot->data, info) != STATUS_OK)
		return "its files are not of a kind that this store knows";
	if (info->region.id != m->region_id)
		return "it is of another region";
	if (peer == NULL || peer->self.id != m->to.id)
		return "this store has no such peer";
	if (region_find_peer(&info->region, m->to.id) == NULL)
		return "the peer is not in its region";
	if (!conf_agrees(&m->raft.snapshot->meta.conf, &info->region))
		return "its configuration is not its region's";
	if (m->raft.snapshot->meta.index <= peer->saved.applied_index)
		return "the peer has come further";
	if (is_installed(s, m->region_id) || comes_in(s, m->region_id))
		return "another one is on its way";
	if (overlaps(store, &info->region))
		return "its region overlaps another one";
	return NULL;
}

/*
 * What those that come in are still to take.  Installing one stops by itself
 * where the disk is short.
 */
static uint64
promised_room(const Snapshots *s)
{
	uint64 bytes = 0;

	for (const SnapshotIncoming *in = s->incoming; in != NULL; in = in->next)
		bytes += ROOM_TIMES * in->checker.data.size - in->back.written;
	return bytes;
}

/* Bounds: how many, how large. */
static const char *
judge_room(Store *store, const SnapshotInfo *info)
{
	if (store->snapshots->n_incoming >= SNAPSHOT_INCOMING_MAX ||
		store->snapshots->n_installing >= SNAPSHOT_INCOMING_MAX)
		return "too many snapshots";
	if (info->size > MAX_FILE_BYTES ||
		!guard_has_room(&store->guard, dispatch_now_us(),
						promised_room(store->snapshots) +
							ROOM_TIMES * info->size) ||
		store->guard.xids_low)
		return "the disk is almost full";
	return NULL;
}

static SnapshotIncoming *
new_incoming(Store *store, uint64 from_store, const PeerMessage *m,
			 const SnapshotInfo *info, Bytes message)
{
	SnapshotIncoming *in =
		MemoryContextAllocZero(store->context, sizeof(SnapshotIncoming));
	SnapshotPath path = snapshot_path(SNAPSHOT_FILE_INCOMING, m->region_id,
									  m->raft.snapshot->meta.index,
									  m->raft.snapshot->meta.term);

	in->store = store;
	in->from_store = from_store;
	in->region_id = m->region_id;
	in->index = m->raft.snapshot->meta.index;
	in->term = m->raft.snapshot->meta.term;
	in->message_len = message.len;
	in->message = MemoryContextAlloc(store->context, message.len);
	memcpy(in->message, message.data, message.len);
	FAILPOINT_PASS("store_snapshot_admitted");
	in->fd = snapshot_open(&path, true);
	snapshot_check_init(&in->checker, info, store->meta.api,
						(size_t) tikv_fdw_settings.max_key_size);
	in->next = store->snapshots->incoming;
	store->snapshots->incoming = in;
	store->snapshots->n_incoming++;
	return in;
}

void *
snapshots_begin(void *arg, uint64_t from_store, Bytes message, const char **why)
{
	Store *store = arg;
	SnapshotIncoming *in = NULL;
	SnapshotInfo info;
	PeerMessage m;
	Arena arena;

	arena_init(&arena);
	if (peer_message_decode(message, &arena, &m) != STATUS_OK)
		*why = "its message is not good";
	else if ((*why = judge(store, &m, &info)) == NULL &&
			 (*why = judge_room(store, &info)) == NULL)
		in = new_incoming(store, from_store, &m, &info, message);
	arena_free(&arena);
	return in;
}

/* ----------------------------------------------------------------- the bytes */

bool
snapshots_data(void *snapshot, Bytes data)
{
	SnapshotIncoming *in = snapshot;

	FAILPOINT_PASS("store_snapshot_data");
	/* Others write, too. */
	if (!guard_has_room(&in->store->guard, dispatch_now_us(), 0))
	{
		ereport(
			LOG,
			(errmsg(
				"tikv store %llu: gave up a snapshot of region %llu that comes in: %s",
				(unsigned long long) in->store->meta.store_id,
				(unsigned long long) in->region_id, in->store->guard.reason)));
		return false;
	}
	return in->fd >= 0 && snapshot_check_bytes(&in->checker, data) &&
		snapshot_write_file(in->fd, data, &in->back) &&
		snapshot_settle_file(in->fd, &in->back);
}

static void
forget_incoming(SnapshotIncoming *in)
{
	Snapshots *s = in->store->snapshots;
	SnapshotIncoming **at = &s->incoming;

	while (*at != in)
		at = &(*at)->next;
	*at = in->next;
	s->n_incoming--;
	if (in->fd >= 0)
		close(in->fd);
	snapshot_check_free(&in->checker);
	pfree(in->message);
	pfree(in);
}

static void
note_received(Store *store, const SnapshotIncoming *in)
{
	SnapshotReceived *r =
		MemoryContextAllocZero(store->context, sizeof(SnapshotReceived));

	r->region_id = in->region_id;
	r->index = in->index;
	r->term = in->term;
	r->received_us = dispatch_now_us();
	r->next = store->snapshots->received;
	store->snapshots->received = r;
}

/* The file has its name when it is durable. */
static bool
keep_file(SnapshotIncoming *in)
{
	SnapshotPath part = snapshot_path(SNAPSHOT_FILE_INCOMING, in->region_id,
									  in->index, in->term);
	SnapshotPath whole = snapshot_path(SNAPSHOT_FILE_RECEIVED, in->region_id,
									   in->index, in->term);

	FAILPOINT_PASS("store_snapshot_before_rename");
	return in->fd >= 0 && snapshot_check_end(&in->checker) &&
		durable_rename(part.path, whole.path, LOG) == 0;
}

bool
snapshots_end(void *snapshot, bool complete)
{
	SnapshotIncoming *in = snapshot;
	Store *store = in->store;
	SnapshotPath part = snapshot_path(SNAPSHOT_FILE_INCOMING, in->region_id,
									  in->index, in->term);
	bool kept = complete && keep_file(in);

	if (kept)
	{
		FAILPOINT_PASS("store_snapshot_durable");
		note_received(store, in);
		raft_message_receive(store, bytes_make(in->message, in->message_len));
		FAILPOINT_PASS("store_snapshot_queued");
	}
	else
	{
		if (in->checker.bad != NULL)
			ereport(
				LOG,
				(errmsg(
					"tikv store %llu: a snapshot of region %llu from store %llu is refused: %s",
					(unsigned long long) store->meta.store_id,
					(unsigned long long) in->region_id,
					(unsigned long long) in->from_store, in->checker.bad)));
		snapshot_unlink(&part);
	}
	forget_incoming(in);
	return kept;
}

/* -------------------------------------------------------------- what was kept */

static SnapshotReceived *
find_received(const Store *store, uint64 region_id, uint64 index, uint64 term)
{
	SnapshotReceived *r = store->snapshots->received;

	while (r != NULL &&
		   (r->region_id != region_id || r->index != index || r->term != term))
		r = r->next;
	return r;
}

/*
 * Two that overlap may have come while neither was a region of this store, of
 * one before a split and of what it split off: the rows of the older one must
 * not be put over those of the newer.
 */
static bool
is_alone_in_turn(RaftTurn *turn, const Region *region)
{
	Arena *arena = &turn->store->arena;
	AcceptedRegion *accepted;

	for (accepted = turn->accepted; accepted != NULL; accepted = accepted->next)
		if (accepted->region.id != region->id &&
			ranges_overlap(&accepted->region, region))
			return false;
	accepted = arena_zalloc(arena, sizeof(*accepted));
	accepted->region = *region;
	accepted->region.start_key = arena_copy(arena, region->start_key);
	accepted->region.end_key = arena_copy(arena, region->end_key);
	accepted->next = turn->accepted;
	turn->accepted = accepted;
	return true;
}

/* Regions may have come since the stream began. */
bool
snapshots_accept(RaftTurn *turn, const Peer *peer, const PeerMessage *m)
{
	Store *store = turn->store;
	const RaftSnapshot *snapshot = m->raft.snapshot;
	SnapshotInfo info;

	return snapshot != NULL && peer->life == PEER_STATE_NORMAL &&
		find_received(store, peer->region.id, snapshot->meta.index,
					  snapshot->meta.term) != NULL &&
		snapshot_info_decode(snapshot->data, &info) == STATUS_OK &&
		info.region.id == peer->region.id && !overlaps(store, &info.region) &&
		is_alone_in_turn(turn, &info.region);
}

bool
snapshot_is_kept(const Store *store, const SnapshotInstall *at)
{
	const SnapshotInstalling *in = store->snapshots->installing;

	while (in != NULL &&
		   (in->at.region_id != at->region_id || in->at.index != at->index ||
			in->at.term != at->term))
		in = in->next;
	return in != NULL ||
		find_received(store, at->region_id, at->index, at->term) != NULL;
}

void
snapshot_received_take(Store *store, const SnapshotInstall *at)
{
	SnapshotReceived **link = &store->snapshots->received;

	while (*link != NULL)
	{
		SnapshotReceived *r = *link;

		if (r->region_id != at->region_id || r->index != at->index ||
			r->term != at->term)
		{
			link = &r->next;
			continue;
		}
		*link = r->next;
		pfree(r);
	}
}

void
snapshot_received_sweep(Store *store, bool all)
{
	SnapshotReceived **at = &store->snapshots->received;
	int64 now_us = dispatch_now_us();

	while (*at != NULL)
	{
		SnapshotReceived *r = *at;
		SnapshotPath path = snapshot_path(SNAPSHOT_FILE_RECEIVED, r->region_id,
										  r->index, r->term);
		bool installing = false;

		for (const SnapshotInstalling *in = store->snapshots->installing;
			 in != NULL; in = in->next)
			installing |= in->at.region_id == r->region_id &&
				in->at.index == r->index && in->at.term == r->term;
		if (!all && !installing && now_us - r->received_us < RECEIVED_LIFE_US)
		{
			at = &r->next;
			continue;
		}
		*at = r->next;
		if (!installing)
			snapshot_unlink(&path);
		pfree(r);
	}
}
