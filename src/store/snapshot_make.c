/*
 * snapshot_make.c
 *	  Snapshots for other stores: rows read in slices, files, sending.
 *
 * One region at a time.  A slice runs between two turns, so what it sees is
 * the state at the peer's applied index; entries applied since the slice
 * before are folded into the changes, and after the last row they follow in
 * the file, which is then the region at the applied index of that moment.
 * Index, term and configuration are those of the same moment: nobody else
 * writes them.
 *
 * A region whose range changes meanwhile is begun anew, and so is one whose
 * log no longer has the entries.
 */
#include "postgres.h"

#include <unistd.h>

#include "access/xact.h"
#include "bus/tasks.h"
#include "core/cmd/region_change.h"
#include "storage/raft_log_table.h"
#include "store/damage.h"
#include "store/snapshots.h"
#include "store/stalled.h"
#include "transport/transport.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* What may change in a region while it is read; more: begin anew, later. */
#define MAX_CHANGED_BYTES ((size_t) 64 << 20)

/* Of entries read back in one slice. */
#define MAX_LOG_BYTES ((size_t) 4 << 20)

/* A file that nobody has asked for in so long. */
#define MADE_LIFE_US INT64CONST(600000000)

/* The log says again that a region's snapshot cannot be sent. */
#define UNSENT_LOG_US INT64CONST(600000000)

/* Until a region is read again whose file the disk did not take. */
#define ROOM_RETRY_US INT64CONST(10000000)

static bool
is_wanted(const Snapshots *s, uint64 region_id)
{
	for (int i = 0; i < s->n_wanted; i++)
		if (s->wanted[i] == region_id)
			return true;
	return s->job != NULL && s->job->region_id == region_id;
}

static void
count(const Snapshots *s)
{
	tasks_set(TASK_SNAPSHOTS_TO_MAKE,
			  (uint64) (s->n_wanted + (s->job != NULL ? 1 : 0)));
	tasks_set(TASK_SNAPSHOTS_SENT, s->n_sent);
}

/* ---------------------------------------------------------------- questions */

static bool
names(const RaftConfState *conf, uint64 id)
{
	const RaftIdSet *sets[] = {&conf->voters, &conf->learners,
							   &conf->voters_outgoing, &conf->learners_next};

	for (int i = 0; i < 4; i++)
		for (int k = 0; k < sets[i]->n; k++)
			if (sets[i]->id[k] == id)
				return true;
	return false;
}

/* One that the log goes on from, that knows the peer it is for. */
static SnapshotMade *
find_made(Store *store, const Peer *peer, uint64 to, uint64 index)
{
	for (SnapshotMade *made = store->snapshots->made; made != NULL;
		 made = made->next)
		if (made->info.region.id == peer->region.id &&
			made->life_number == peer->life_number &&
			made->meta.index >= index &&
			made->info.region.epoch.version == peer->region.epoch.version &&
			names(&made->meta.conf, to))
			return made;
	return NULL;
}

/* One whose disk is short would refuse it, however often it is made. */
static bool
would_take(const Store *store, const Peer *peer, uint64 to)
{
	const RegionPeer *at = region_find_peer(&peer->region, to);

	return at == NULL || disk_usage_of(store, at->store_id) == DISK_NORMAL;
}

Status
snapshots_get(void *arg, Peer *peer, uint64 to, uint64 index, Arena *arena,
			  RaftSnapshot *out)
{
	Store *store = arg;
	Snapshots *s = store->snapshots;
	SnapshotMade *made;

	if (!would_take(store, peer, to))
		return STATUS_UNAVAILABLE;
	made = find_made(store, peer, to, Max(index, peer->saved.truncated_index));
	if (made == NULL)
	{
		FAILPOINT_PASS("store_snapshot_wanted");
		if (!is_wanted(s, peer->region.id) && s->n_wanted < SNAPSHOT_WANTED_MAX)
			s->wanted[s->n_wanted++] = peer->region.id;
		count(s);
		return STATUS_UNAVAILABLE;
	}
	made->made_us = dispatch_now_us();
	out->meta = made->meta;
	out->data = snapshot_info_encode(&made->info, arena);
	return STATUS_OK;
}

/* ------------------------------------------------------------------ a job */

static bool
write_job(void *arg, Bytes bytes)
{
	SnapshotJob *job = arg;

	return snapshot_write_file(job->fd, bytes, &job->back);
}

static void
copy_region(SnapshotJob *job, const Region *region)
{
	job->region = *region;
	job->region.start_key = arena_copy(&job->arena, region->start_key);
	job->region.end_key = arena_copy(&job->arena, region->end_key);
}

static SnapshotPath
path_made(uint64 number)
{
	return snapshot_path(SNAPSHOT_FILE_MADE, number, 0, 0);
}

static void
begin_job(Store *store, Peer *peer)
{
	Snapshots *s = store->snapshots;
	MemoryContext context =
		AllocSetContextCreate(store->context, "tikv snapshot",
							  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	SnapshotJob *job = palloc0(sizeof(SnapshotJob));
	SnapshotPath path = path_made(++s->next_number);
	SnapshotRanges ranges;
	SnapshotHead head;

	job->context = context;
	job->number = s->next_number;
	job->region_id = peer->region.id;
	job->life_number = peer->life_number;
	job->begun_us = dispatch_now_us();
	arena_init(&job->arena);
	copy_region(job, &peer->region);
	ranges = snapshot_ranges(&job->region, store->meta.api, &job->arena);
	snapshot_walk_init(&job->walk, &ranges);
	job->changes =
		snapshot_changes_new(&job->region, store->meta.api, MAX_CHANGED_BYTES);
	snapshot_changes_begin(job->changes, peer->saved.applied_index);
	FAILPOINT("store_snapshot_begin");
	job->fd = snapshot_open(&path, true);
	snapshot_writer_init(&job->writer, write_job, job);
	s->job = job;
	MemoryContextSwitchTo(old);
	head = (SnapshotHead){.region_id = job->region.id,
						  .epoch = job->region.epoch,
						  .api = store->meta.api,
						  .start_key = job->region.start_key,
						  .end_key = job->region.end_key};
	if (job->fd >= 0)
		snapshot_write_head(&job->writer, &head);
}

/* Whatever became of it: the file stays only if it was made. */
static void
drop_job(Store *store, bool made)
{
	Snapshots *s = store->snapshots;
	SnapshotJob *job = s->job;
	SnapshotPath path = path_made(job->number);

	s->job = NULL;
	if (job->fd >= 0)
		close(job->fd);
	if (!made)
		snapshot_unlink(&path);
	snapshot_writer_free(&job->writer);
	snapshot_changes_free(job->changes);
	arena_free(&job->arena);
	MemoryContextDelete(job->context);
	count(s);
}

void
snapshot_job_end(Store *store)
{
	if (store->snapshots->job != NULL)
		drop_job(store, false);
}

/* The region is not read for a while; Raft goes on asking. */
static void
rest(Peer *peer)
{
	peer->next_snapshot_us = dispatch_now_us() + ROOM_RETRY_US;
}

void
snapshot_tell_stalled(Store *store)
{
	Snapshots *s = store->snapshots;

	s->n_stalled = 0;
	for (int i = 0; i < store->n_peers; i++)
		if (store->peers[i]->snapshot_stalled &&
			peer_is_leader(store->peers[i]))
			s->n_stalled++;
	stalled_note(STALLED_MAKING, (uint64) s->n_stalled);
}

static void
set_stalled(Store *store, Peer *peer, bool stalled)
{
	if (stalled)
		peer->next_snapshot_us = dispatch_now_us() + DAMAGED_RETRY_US;
	/* Each time: it may lead again after others did, and be told of no more. */
	if (!stalled && !peer->snapshot_stalled)
		return;
	peer->snapshot_stalled = stalled;
	snapshot_tell_stalled(store);
}

/* The reserve is not for files: a failed write of the WAL takes Postgres down. */
static void
wait_for_room(Store *store, Peer *peer)
{
	rest(peer);
	ereport(
		LOG,
		(errmsg(
			 "tikv store %llu: no room for a snapshot of region %llu above tikv.reserve_space",
			 (unsigned long long) store->meta.store_id,
			 (unsigned long long) peer->region.id),
		 errdetail("%llu MiB are free above it.",
				   (unsigned long long) (store->guard.room >> 20)),
		 errhint(
			 "The peers that need it wait. Make room on the disk of this node, or lead the region from another one.")));
}

static bool
has_room(Store *store, const Peer *peer)
{
	uint64 bytes;
	uint64 keys;

	region_size_told(peer, &bytes, &keys);
	return guard_has_room(&store->guard, dispatch_now_us(), bytes);
}

/* The next region that asks, if it still leads. */
static void
next_job(Store *store)
{
	Snapshots *s = store->snapshots;

	while (s->job == NULL && s->n_wanted > 0)
	{
		Peer *peer = store_find_peer(store, s->wanted[0]);

		s->n_wanted--;
		memmove(&s->wanted[0], &s->wanted[1],
				(Size) s->n_wanted * sizeof(s->wanted[0]));
		if (peer == NULL || !peer->grouped || !peer_is_leader(peer) ||
			peer->life != PEER_STATE_NORMAL ||
			dispatch_now_us() < peer->next_snapshot_us)
			continue;
		if (has_room(store, peer))
			begin_job(store, peer);
		else
			wait_for_room(store, peer);
	}
	count(s);
}

/* ----------------------------------------------------------------- a slice */

static void
put_base(void *arg, const SnapshotRecord *record)
{
	SnapshotJob *job = arg;

	snapshot_write(&job->writer, SNAPSHOT_BASE, record);
}

/*
 * Entries applied since the last slice; false: they do not go together with
 * what was read, or are gone.  *all: there are no more.
 */
static bool
add_entries(Store *store, const Peer *peer, const OpenTables *tables,
			Snapshot snapshot, bool *all)
{
	SnapshotJob *job = store->snapshots->job;
	uint64 from = snapshot_changes_index(job->changes) + 1;
	RaftEntry *entries;
	int n;

	*all = from > peer->saved.applied_index;
	if (*all)
		return true;
	FAILPOINT("store_snapshot_entries");
	n = log_table_read(tables, snapshot, peer->region.id, from,
					   peer->saved.applied_index + 1, MAX_LOG_BYTES,
					   &store->arena, &entries);
	for (int i = 0; i < n; i++)
		if (snapshot_changes_add(job->changes, &entries[i]) != STATUS_OK)
			return false;
	*all = snapshot_changes_index(job->changes) == peer->saved.applied_index;
	return n > 0;
}

static void
finish(Store *store, Peer *peer)
{
	Snapshots *s = store->snapshots;
	SnapshotJob *job = s->job;
	SnapshotMade *made;

	snapshot_changes_write(job->changes, &job->writer);
	FAILPOINT("store_snapshot_before_end");
	if (!snapshot_write_end(&job->writer))
	{
		drop_job(store, false);
		return;
	}
	made = MemoryContextAllocZero(store->context, sizeof(SnapshotMade));
	made->number = job->number;
	made->life_number = job->life_number;
	made->made_us = dispatch_now_us();
	made->meta.index = peer->saved.applied_index;
	made->meta.term = peer->saved.applied_term;
	region_conf_state(&peer->region, &made->meta.conf);
	arena_init(&made->arena);
	made->info.region = peer->region;
	made->info.region.start_key =
		arena_copy(&made->arena, peer->region.start_key);
	made->info.region.end_key = arena_copy(&made->arena, peer->region.end_key);
	made->info.size = job->writer.size;
	made->info.checksum = job->writer.checksum;
	made->info.gc_safe_point = board_gc_safe_point();
	FAILPOINT("store_snapshot_made");
	made->next = s->made;
	s->made = made;
	s->n_made++;
	set_stalled(store, peer, false);
	ereport(LOG,
			(errmsg("tikv store %llu: made a snapshot of region %llu",
					(unsigned long long) store->meta.store_id,
					(unsigned long long) peer->region.id),
			 errdetail("%llu rows, %llu bytes, %lld ms.",
					   (unsigned long long) job->writer.records,
					   (unsigned long long) made->info.size,
					   (long long) (made->made_us - job->begun_us) / 1000)));
	drop_job(store, true);
}

/* Is it still the same region, led from here? */
static Peer *
job_peer(Store *store)
{
	SnapshotJob *job = store->snapshots->job;
	Peer *peer = store_find_peer(store, job->region_id);

	if (peer == NULL || peer->life_number != job->life_number ||
		!peer->grouped || !peer_is_leader(peer) ||
		peer->region.epoch.version != job->region.epoch.version)
		return NULL;
	return peer;
}

/* In a transaction with open tables. */
static void
read_slice(Store *store, Peer *peer, const OpenTables *tables,
		   Snapshot snapshot)
{
	SnapshotJob *job = store->snapshots->job;
	bool all;

	FAILPOINT("store_snapshot_slice");
	job->walk.deletes = store->ranges.items;
	job->walk.n_deletes = store->ranges.n;
	(void) snapshot_walk_slice(&job->walk, tables, snapshot,
							   SNAPSHOT_SLICE_BYTES, SNAPSHOT_SLICE_ROWS,
							   put_base, job);
	if (!add_entries(store, peer, tables, snapshot, &all))
		drop_job(store, false);
	else if (all && job->walk.step == SNAPSHOT_STEP_DONE)
		finish(store, peer);
}

static void
run_slice(Store *store, Peer *peer)
{
	OpenTables tables;
	Snapshot snapshot;

	StartTransactionCommand();
	MemoryContextSwitchTo(store->turn_context);
	if (tables_open(&store->tables,
					TABLES_RAW | TABLES_TXN | TABLES_SPILL | TABLES_LOG, false,
					false, &tables) != TABLES_OK)
	{
		store->snapshots->job_due_us = dispatch_now_us() + BACKGROUND_RETRY_US;
		CommitTransactionCommand();
		return;
	}
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	read_slice(store, peer, &tables, snapshot);
	UnregisterSnapshot(snapshot);
	tables_close(&tables, false);
	CommitTransactionCommand();
}

void
snapshot_make_slice(Store *store)
{
	Snapshots *s = store->snapshots;
	Peer *peer;

	s->job_due_us = 0;
	if (s->job == NULL)
		next_job(store);
	if (s->job == NULL)
		return;
	peer = job_peer(store);
	if (peer == NULL)
	{
		drop_job(store, false);
		return;
	}
	if (!guard_has_room(&store->guard, dispatch_now_us(), 0))
	{
		drop_job(store, false);
		wait_for_room(store, peer);
		return;
	}
	if (s->job->fd < 0 || s->job->writer.failed)
	{
		/* The log has why: the disk may have been full for a moment. */
		drop_job(store, false);
		rest(peer);
		return;
	}
	PG_TRY();
	{
		run_slice(store, peer);
	}
	PG_CATCH();
	{
		bool lasts = damage_is_lasting(geterrcode());

		MemoryContextSwitchTo(store->turn_context);
		EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
		snapshot_job_end(store);
		if (lasts)
			set_stalled(store, peer, true);
		s->job_due_us = dispatch_now_us() + BACKGROUND_RETRY_US;
	}
	PG_END_TRY();
	turn_finish(store);
}

/* ------------------------------------------------------------------ sending */

typedef struct Sending
{
	Store *store;
	uint64 region_id;
	uint64 life_number;
	uint64 to_peer;
	uint64 number; /* of the file */
	int fd;
} Sending;

static bool
read_made(void *arg, uint64_t offset, uint8_t *out, size_t len)
{
	Sending *sending = arg;

	return snapshot_read_file(sending->fd, offset, out, len);
}

/* Raft tries again twice a second: the log has it now and then. */
static void
tell_unsent(const Sending *sending, Peer *peer, const char *text)
{
	int64 now_us = dispatch_now_us();

	if (peer != NULL && now_us < peer->unsent_us)
		return;
	if (peer != NULL)
		peer->unsent_us = now_us + UNSENT_LOG_US;
	ereport(
		LOG,
		(errmsg(
			 "tikv store %llu: a snapshot of region %llu could not be sent to peer %llu: %s",
			 (unsigned long long) sending->store->meta.store_id,
			 (unsigned long long) sending->region_id,
			 (unsigned long long) sending->to_peer, text),
		 errdetail(
			 "It is sent again until the peer has it; this is said every ten minutes.")));
}

/* Raft hears of it, and asks for another one if it has to. */
static void
sent(void *arg, bool ok, const char *text)
{
	Sending *sending = arg;
	Store *store = sending->store;
	Snapshots *s = store->snapshots;
	Peer *peer = store_find_peer(store, sending->region_id);

	if (!ok)
		tell_unsent(sending, peer, text);
	else
		s->n_sent++;
	if (ok && peer != NULL)
		peer->unsent_us = 0;
	for (SnapshotMade *made = s->made; made != NULL; made = made->next)
		if (made->number == sending->number)
			made->n_sending--;
	FAILPOINT_PASS("store_snapshot_sent");
	if (peer != NULL && peer->life_number == sending->life_number)
		raft_report_snapshot(peer->raft, sending->to_peer, ok);
	close(sending->fd);
	pfree(sending);
	count(s);
}

/* The file that a message is about. */
static SnapshotMade *
find_sent(Store *store, const Peer *peer, Bytes message)
{
	SnapshotMade *made = NULL;
	PeerMessage m;
	Arena arena;

	arena_init(&arena);
	if (peer != NULL && peer_message_decode(message, &arena, &m) == STATUS_OK &&
		m.has_raft && m.raft.snapshot != NULL)
		made = store->snapshots->made;
	while (made != NULL &&
		   (made->info.region.id != peer->region.id ||
			made->life_number != peer->life_number ||
			made->meta.index != m.raft.snapshot->meta.index ||
			made->meta.term != m.raft.snapshot->meta.term))
		made = made->next;
	arena_free(&arena);
	return made;
}

bool
snapshots_send(void *arg, Peer *peer, uint64 to_store, uint64 to_peer,
			   Bytes message)
{
	Store *store = arg;
	Transport *transport =
		store->server == NULL ? NULL : server_attached(store->server);
	SnapshotMade *made = find_sent(store, peer, message);
	SnapshotSource source = {.read = read_made, .done = sent};
	SnapshotPath path;
	Sending *sending;

	if (transport == NULL || made == NULL)
		return false;
	FAILPOINT_PASS("store_snapshot_before_send");
	path = path_made(made->number);
	sending = MemoryContextAllocZero(store->context, sizeof(Sending));
	*sending = (Sending){.store = store,
						 .region_id = peer->region.id,
						 .life_number = peer->life_number,
						 .to_peer = to_peer,
						 .number = made->number,
						 .fd = snapshot_open(&path, false)};
	source.size = made->info.size;
	source.arg = sending;
	if (sending->fd >= 0 &&
		transport_send_snapshot(transport, to_store, message, &source))
	{
		made->n_sending++;
		FAILPOINT_PASS("store_snapshot_sending");
		return true;
	}
	if (sending->fd >= 0)
		close(sending->fd);
	pfree(sending);
	return false;
}

/* ------------------------------------------------------------------ the end */

/* Does it stay, with so many that are newer?  On a full disk none does. */
static bool
stays(const Store *store, const SnapshotMade *made, int n_newer)
{
	return made->n_sending > 0 ||
		(n_newer < SNAPSHOT_MADE_MAX && store->guard.disk == GUARD_OK &&
		 dispatch_now_us() - made->made_us < MADE_LIFE_US);
}

/* Forget files that are not needed; the newest are at the front. */
void
snapshot_made_sweep(Store *store, bool all)
{
	Snapshots *s = store->snapshots;
	SnapshotMade **at = &s->made;
	int n = 0;

	while (*at != NULL)
	{
		SnapshotMade *made = *at;
		SnapshotPath path = path_made(made->number);

		if (!all && stays(store, made, n))
		{
			n++;
			at = &made->next;
			continue;
		}
		*at = made->next;
		s->n_made--;
		snapshot_unlink(&path);
		arena_free(&made->arena);
		pfree(made);
	}
}
