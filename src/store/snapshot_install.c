/*
 * snapshot_install.c
 *	  A region's rows replaced by those of a snapshot, in slices.
 *
 * The turn that takes the snapshot from Raft stores the region as APPLYING,
 * the log's new beginning and a cursor, and is flushed: from then on the file
 * is the region.  Slices remove the old rows and then bring in the new ones,
 * each with the cursor in one transaction; a store that starts again goes on.
 * Meanwhile nobody reads the region, Raft hands out no entries, and the log
 * goes on growing.
 */
#include "postgres.h"

#include <unistd.h>

#include "access/xact.h"
#include "bus/tasks.h"
#include "core/base/check.h"
#include "storage/raft_log_table.h"
#include "store/damage.h"
#include "store/leftovers.h"
#include "store/rows_slice.h"
#include "store/snapshots.h"
#include "store/stalled.h"
#include "utils/memutils.h"

/* What a slice works on. */
typedef struct InstallSlice
{
	Store *store;
	SnapshotInstalling *in;
	RowsSlice rows;
	bool done; /* the region is installed */
} InstallSlice;

static void
count(const Store *store)
{
	uint64 n_stalled = 0;

	for (const SnapshotInstalling *in = store->snapshots->installing;
		 in != NULL; in = in->next)
		n_stalled += in->stalled ? 1 : 0;
	stalled_note(STALLED_INSTALLS, n_stalled);
	tasks_set(TASK_SNAPSHOTS_TO_INSTALL,
			  (uint64) store->snapshots->n_installing);
	tasks_set(TASK_SNAPSHOTS_INSTALLED, store->snapshots->n_installed);
}

/* --------------------------------------------------------------- within Raft */

static SnapshotInstalling *
add_installing(Store *store, const SnapshotInstall *at, uint64 life_number)
{
	Snapshots *s = store->snapshots;
	SnapshotInstalling *in =
		MemoryContextAllocZero(store->context, sizeof(SnapshotInstalling));

	in->at = *at;
	in->life_number = life_number;
	in->fd = -1;
	arena_init(&in->arena);
	in->next = s->installing;
	s->installing = in;
	s->n_installing++;
	count(store);
	return in;
}

/* An error here ends the process, and the next start knows nothing of it. */
void
snapshots_take(RaftTurn *turn, Peer *peer)
{
	Store *store = turn->store;
	const RaftSnapshot *snapshot = peer->ready.snapshot;
	GroupState *state = &peer->state;
	SnapshotInstall at = {.region_id = peer->region.id,
						  .index = snapshot->meta.index,
						  .term = snapshot->meta.term};
	SnapshotInfo info;

	FAILPOINT("store_before_snapshot_taken");
	if (snapshot_info_decode(snapshot->data, &info) != STATUS_OK)
		elog(ERROR, "region " UINT64_FORMAT ": malformed snapshot",
			 at.region_id);
	gc_know(store, info.gc_safe_point, info.gc_safe_point);
	board_remove(peer->region.id);
	raft_write_covered(peer, at.index);
	leftovers_add_rest(peer, &info.region);
	peer_set_region(peer, &info.region);
	peer->life = PEER_STATE_APPLYING;
	peer->region_changed = true;
	state->applied_index = state->truncated_index = at.index;
	state->applied_term = state->truncated_term = at.term;
	state->commit_index = Max(state->commit_index, at.index);
	region_size_forget(peer);
	(void) log_table_delete(&turn->tables, turn->snapshot, at.region_id, 0,
							PG_INT64_MAX, PG_INT32_MAX);
	leftovers_take_over(store, &peer->region);
	peer->log_last = at.index;
	peer->log_first = at.index + 1;
	peer->log_bytes = 0;
	snapshot_install_save(&at);
	FAILPOINT("store_install_cursor");
	snapshot_received_take(store, &at);
	(void) add_installing(store, &at, peer->life_number);
	turn->at_once = true;
	FAILPOINT("store_after_snapshot_taken");
}

void
snapshots_taken(Peer *peer)
{
	raft_pause_apply(peer->raft, true);
}

/* ------------------------------------------------------------ the two phases */

static void
remove_old(InstallSlice *slice)
{
	SnapshotInstalling *in = slice->in;

	FAILPOINT("store_install_before_remove");
	(void) rows_slice_remove(&slice->rows, &in->walk);
	in->at.loading = in->walk.step == SNAPSHOT_STEP_DONE;
}

static void
corrupt_file(const SnapshotInstalling *in)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("the snapshot of region %llu is damaged at byte %llu",
					(unsigned long long) in->at.region_id,
					(unsigned long long) in->at.offset),
			 errhint("Remove this store's peer of the region.")));
}

/* The block at the cursor, in the turn's memory: writers keep its bytes. */
static void
read_block(InstallSlice *slice, SnapshotBlock *block)
{
	SnapshotInstalling *in = slice->in;
	Size need = SNAPSHOT_BLOCK_HEADER;
	Size have = 0;
	uint8 *buffer =
		MemoryContextAllocHuge(slice->store->turn_context,
							   SNAPSHOT_BLOCK_BYTES + SNAPSHOT_BLOCK_HEADER);

	for (;;)
	{
		if (need > SNAPSHOT_BLOCK_BYTES)
			buffer = repalloc_huge(buffer, need);
		if (!snapshot_read_file(in->fd, in->at.offset + have, buffer + have,
								need - have))
			corrupt_file(in);
		have = need;
		switch (snapshot_read_block(bytes_make(buffer, have), block, &need))
		{
			case SNAPSHOT_READ_OK:
				return;
			case SNAPSHOT_READ_BAD:
				corrupt_file(in);
				break;
			case SNAPSHOT_READ_MORE:
				break;
		}
	}
}

/* True if the block is done with. */
static bool
write_block(InstallSlice *slice, const SnapshotBlock *block)
{
	SnapshotCursor cursor = snapshot_records(block);
	SnapshotRecord record;

	while (snapshot_next(&cursor, &record))
	{
		if (block->kind == SNAPSHOT_RANGE)
			return rows_slice_remove_raw(&slice->rows, &record);
		rows_slice_write(&slice->rows, &record, false);
	}
	if (cursor.bad)
		corrupt_file(slice->in);
	return true;
}

/*
 * Some blocks of one kind: a row is in all of them once, as the writers want
 * it.  A range is a slice of its own, or several.
 */
static void
load_new(InstallSlice *slice)
{
	SnapshotInstalling *in = slice->in;
	SnapshotBlockKind kind = 0;
	Size bytes = 0;

	while (bytes < SNAPSHOT_SLICE_BYTES && kind != SNAPSHOT_RANGE)
	{
		SnapshotBlock block;

		FAILPOINT("store_install_block");
		read_block(slice, &block);
		if (block.kind == SNAPSHOT_END)
		{
			slice->done = true;
			return;
		}
		if (block.kind != SNAPSHOT_HEAD)
		{
			if (kind != 0 && block.kind != kind)
				return;
			kind = block.kind;
			if (!write_block(slice, &block))
				return;
		}
		bytes += block.size;
		in->at.offset += block.size;
	}
}

/* ----------------------------------------------------------------- a slice */

static Peer *
living_peer(Store *store, const SnapshotInstalling *in)
{
	Peer *peer = store_find_peer(store, in->at.region_id);

	return peer != NULL && peer->life_number == in->life_number ? peer : NULL;
}

/* The file and, for the first phase, the walk. */
static bool
prepare(Store *store, SnapshotInstalling *in, const Peer *peer)
{
	SnapshotPath path = snapshot_path(SNAPSHOT_FILE_RECEIVED, in->at.region_id,
									  in->at.index, in->at.term);
	SnapshotRanges ranges;

	if (in->fd < 0)
		in->fd = snapshot_open(&path, false);
	if (!in->at.loading && !in->walking)
	{
		MemoryContext old = MemoryContextSwitchTo(store->context);

		arena_reset(&in->arena);
		ranges = snapshot_ranges(&peer->region, store->meta.api, &in->arena);
		snapshot_walk_init(&in->walk, &ranges);
		in->walking = true;
		MemoryContextSwitchTo(old);
	}
	return in->fd >= 0;
}

/* The walk is of no more use, or has gone too far. */
static void
end_walk(SnapshotInstalling *in)
{
	if (in->walking)
		snapshot_walk_free(&in->walk);
	in->walking = false;
}

/* The last one is flushed: the file is removed after it. */
static void
commit_slice(InstallSlice *slice, const Peer *peer)
{
	const SnapshotInstall *at = &slice->in->at;

	rows_slice_close(&slice->rows);
	if (slice->done)
	{
		snapshot_install_remove(at->region_id);
		FAILPOINT("store_install_before_normal");
		region_table_save(&peer->region, peer->self.id, PEER_STATE_NORMAL);
	}
	else
		snapshot_install_save(at);
	FAILPOINT("store_before_install_commit");
	rows_slice_commit(&slice->rows, slice->done);
	FAILPOINT("store_after_install_commit");
	rows_slice_published(&slice->rows);
}

static void
run_slice(InstallSlice *slice, Peer *peer)
{
	if (!rows_slice_open(&slice->rows, slice->store))
	{
		slice->in->due_us = dispatch_now_us() + BACKGROUND_RETRY_US;
		return;
	}
	if (!slice->in->at.loading)
		remove_old(slice);
	else
		load_new(slice);
	commit_slice(slice, peer);
}

static void
installed(Store *store, SnapshotInstalling *in, Peer *peer)
{
	store->snapshots->n_installed++;
	ereport(LOG,
			(errmsg("tikv store %llu: installed a snapshot of region %llu",
					(unsigned long long) store->meta.store_id,
					(unsigned long long) peer->region.id),
			 errdetail("%llu bytes.", (unsigned long long) in->at.offset)));
	FAILPOINT("store_installed");
	peer->life = PEER_STATE_NORMAL;
	raft_pause_apply(peer->raft, false);
	peer_publish(peer);
	snapshot_install_forget(store, in);
}

static void
note_stalled(const Store *store, SnapshotInstalling *in, bool stalled)
{
	if (in->stalled == stalled)
		return;
	in->stalled = stalled;
	count(store);
}

void
snapshot_install_slice(Store *store, SnapshotInstalling *in)
{
	InstallSlice slice = {.store = store, .in = in};
	SnapshotInstall before = in->at;
	Peer *const volatile peer = living_peer(store, in);
	volatile bool failed = false;
	volatile bool damaged = false;

	in->due_us = 0;
	PG_TRY();
	{
		/* the cursor went with the peer */
		if (peer == NULL)
			snapshot_install_forget(store, in);
		else if (prepare(store, in, peer))
			run_slice(&slice, peer);
		else
			in->due_us = dispatch_now_us() + BACKGROUND_RETRY_US;
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(store->turn_context);
		error = CopyErrorData();
		EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
		damaged = damage_stalls(store, error);
		failed = true;
	}
	PG_END_TRY();
	turn_finish(store);
	if (failed)
	{
		in->at = before;
		in->due_us = dispatch_now_us() +
			(damaged ? DAMAGED_RETRY_US : BACKGROUND_RETRY_US);
		end_walk(in);
		note_stalled(store, in, damaged);
	}
	else if (slice.done)
		installed(store, in, peer);
	else if (peer != NULL)
	{
		if (in->at.loading)
			end_walk(in);
		note_stalled(store, in, false);
	}
}

/* ---------------------------------------------------------------- start, end */

void
snapshot_install_forget(Store *store, SnapshotInstalling *in)
{
	Snapshots *s = store->snapshots;
	SnapshotInstalling **at = &s->installing;
	SnapshotPath path = snapshot_path(SNAPSHOT_FILE_RECEIVED, in->at.region_id,
									  in->at.index, in->at.term);

	while (*at != in)
		at = &(*at)->next;
	*at = in->next;
	s->n_installing--;
	end_walk(in);
	if (in->fd >= 0)
		close(in->fd);
	FAILPOINT_PASS("store_install_before_unlink");
	if (!snapshot_is_kept(store, &in->at))
		snapshot_unlink(&path);
	arena_free(&in->arena);
	pfree(in);
	count(store);
}

/* A cursor whose peer is another one by now is of no use.  Needs a transaction. */
void
snapshot_install_resume(Store *store)
{
	SnapshotInstall *rows;
	int n = snapshot_install_load(&rows);

	for (int i = 0; i < n; i++)
	{
		Peer *peer = store_find_peer(store, rows[i].region_id);

		if (peer == NULL || peer->life != PEER_STATE_APPLYING)
		{
			snapshot_install_remove(rows[i].region_id);
			continue;
		}
		(void) add_installing(store, &rows[i], peer->life_number);
		raft_pause_apply(peer->raft, true);
	}
}
