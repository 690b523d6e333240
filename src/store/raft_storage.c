/*
 * raft_storage.c
 *	  The stored log and state of groups with several peers.
 *
 * core/raft reads its log through these functions, and only within a turn,
 * whose tables are open then, or at the start: what a store asks a group in
 * between needs no entry (raft_has_ready, raft_persisted, raft_status), since a
 * table that somebody has locked would be an error there.  A group of one peer
 * has no rows: nothing below its applied index is ever asked for.
 */
#include "postgres.h"

#include "access/xact.h"
#include "core/base/check.h"
#include "storage/raft_log_table.h"
#include "store/replicas.h"
#include "utils/snapmgr.h"

/* Rows that are given up in one turn. */
#define TRIM_ROWS 1024

void
raft_storage_open(Store *store, OpenTables *tables, Snapshot snapshot)
{
	store->replicas->tables = tables;
	store->replicas->snapshot = snapshot;
}

void
raft_storage_close(Store *store)
{
	store->replicas->tables = NULL;
	store->replicas->snapshot = NULL;
}

/* ------------------------------------------------------- what Raft asks for */

/* The tables of the running turn, or at the start opened for one look. */
typedef struct LogLook
{
	OpenTables *tables;
	Snapshot snapshot;
	OpenTables own;
	MemoryContext caller;
} LogLook;

static void
look_begin(LogLook *look, Store *store)
{
	Replicas *replicas = store->replicas;

	look->tables = replicas->tables;
	look->snapshot = replicas->snapshot;
	if (look->tables != NULL)
		return;
	look->caller = CurrentMemoryContext;
	StartTransactionCommand();
	if (tables_open(&store->tables, TABLES_LOG, false, false, &look->own) !=
		TABLES_OK)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("the Raft log is locked by another session")));
	look->tables = &look->own;
	look->snapshot = RegisterSnapshot(GetLatestSnapshot());
}

static void
look_end(LogLook *look)
{
	if (look->tables != &look->own)
		return;
	UnregisterSnapshot(look->snapshot);
	tables_close(&look->own, false);
	CommitTransactionCommand();
	MemoryContextSwitchTo(look->caller);
}

static Status
log_entries(void *arg, uint64_t low, uint64_t high, size_t max_bytes,
			Arena *arena, RaftEntry **out, int *n)
{
	Peer *peer = arg;
	LogLook look;

	look_begin(&look, peer->store);
	*n = log_table_read(look.tables, look.snapshot, peer->region.id, low, high,
						max_bytes, arena, out);
	look_end(&look);
	raft_cache_count_read(peer, *out, *n);
	return *n > 0 ? STATUS_OK : STATUS_NOT_FOUND;
}

static bool
log_may_read(void *arg)
{
	return raft_cache_may_read(arg);
}

static Status
log_term(void *arg, uint64_t index, uint64_t *term)
{
	Peer *peer = arg;
	LogLook look;
	bool found;

	if (index == peer->saved.truncated_index)
	{
		*term = peer->saved.truncated_term;
		return STATUS_OK;
	}
	if (index < peer->saved.truncated_index || index > peer->log_last)
		return STATUS_NOT_FOUND;
	look_begin(&look, peer->store);
	found = log_table_term(look.tables, look.snapshot, peer->region.id, index,
						   term);
	look_end(&look);
	return found ? STATUS_OK : STATUS_NOT_FOUND;
}

void
raft_storage_find_end(Peer *peer)
{
	LogLook look;
	uint64 index = 0;
	uint64 term;

	look_begin(&look, peer->store);
	(void) log_table_last(look.tables, look.snapshot, peer->region.id, &index,
						  &term);
	peer->log_last = Max(index, peer->saved.truncated_index);
	if (index > peer->saved.truncated_index)
		peer->log_bytes =
			log_table_bytes(look.tables, look.snapshot, peer->region.id,
							peer->saved.truncated_index + 1);
	look_end(&look);
}

static uint64_t
log_last_index(void *arg)
{
	return ((Peer *) arg)->log_last;
}

static Status
log_snapshot(void *arg, uint64_t to, uint64_t index, Arena *arena,
			 RaftSnapshot *out)
{
	Peer *peer = arg;
	const ReplicaLinks *links = &peer->store->replicas->links;

	if (links->snapshot == NULL)
		return STATUS_UNAVAILABLE;
	return links->snapshot(links->arg, peer, to, index, arena, out);
}

RaftStorage
raft_storage(Peer *peer)
{
	return (RaftStorage){peer,			 log_entries,  log_term,
						 log_last_index, log_snapshot, log_may_read};
}

/* ----------------------------------------------------------- what is stored */

/* Replace the end of the log. */
static void
save_entries(RaftTurn *turn, Peer *peer, const RaftReady *ready)
{
	const RaftEntry *last = &ready->entries[ready->n_entries - 1];
	uint64 from = ready->entries[0].index;

	FAILPOINT("store_before_append");
	if (from <= peer->log_last)
		(void) log_table_delete(&turn->tables, turn->snapshot, peer->region.id,
								from, peer->log_last + 1, PG_INT32_MAX);
	log_table_append(&turn->tables, peer->region.id, ready->entries,
					 ready->n_entries);
	for (int i = 0; i < ready->n_entries; i++)
		peer->log_bytes += ready->entries[i].data.len;
	peer->log_last = last->index;
	FAILPOINT("store_after_append");
}

/*
 * What a lone voter applies is stored by being applied: its entries are no
 * rows, and the log before them is given up.
 */
void
raft_storage_save(RaftTurn *turn, Peer *peer)
{
	const RaftReady *ready = &peer->ready;
	GroupState *state = &peer->state;

	if (ready->has_hard_state)
	{
		state->term = ready->hard_state.term;
		state->vote = ready->hard_state.vote;
		state->commit_index = ready->hard_state.commit;
	}
	if (ready->n_entries > 0 && !ready->sole)
		save_entries(turn, peer, ready);
	if (ready->sole && ready->n_committed > 0)
	{
		state->commit_index = Max(state->commit_index, state->applied_index);
		state->truncated_index = state->applied_index;
		state->truncated_term = state->applied_term;
		peer->log_last = Max(peer->log_last, state->applied_index);
	}
	raft_storage_trim(turn, peer);
	FAILPOINT("store_before_state");
	if (peer->is_new)
		group_state_insert(state);
	else if (memcmp(state, &peer->saved, sizeof(*state)) != 0)
		group_state_update(&turn->tables, turn->snapshot, state);
	FAILPOINT("store_after_state");
	if (peer->is_new || peer->region_changed)
		region_table_save(&peer->region, peer->self.id, peer->life);
}

/*
 * Rows up to the truncated index are of no use.  Those of the running turn
 * are not visible to it yet and wait for the next one; a sole peer has none,
 * and must not wait: nobody may write here until it has no log.
 */
void
raft_storage_trim(RaftTurn *turn, Peer *peer)
{
	uint64 to = peer->state.truncated_index;
	int n;

	if (!peer->ready.sole)
		to = Min(to, peer->saved.truncated_index);

	if (peer->log_first > to)
		return;
	FAILPOINT("store_before_trim");
	n = log_table_delete(&turn->tables, turn->snapshot, peer->region.id,
						 peer->log_first, to + 1, TRIM_ROWS);
	if (n < TRIM_ROWS)
		peer->log_first = to + 1;
	FAILPOINT("store_after_trim");
}
