/*
 * board_write.c
 *	  The store's side of the board: the only writer.
 *
 * A sequence is odd while what it guards is being written.  A process that
 * dies in between leaves it odd; its successor's board_reset mends that.
 */
#include "postgres.h"

#include "bus/board_shared.h"
#include "core/base/check.h"

static void
write_begin(pg_atomic_uint64 *sequence)
{
	pg_atomic_write_u64(sequence, pg_atomic_read_u64(sequence) | 1);
	pg_write_barrier();
}

static void
write_end(pg_atomic_uint64 *sequence)
{
	pg_write_barrier();
	pg_atomic_write_u64(sequence, pg_atomic_read_u64(sequence) + 1);
}

/* An odd sequence is a predecessor's, who died while it wrote. */
static void
mend_sequence(pg_atomic_uint64 *sequence)
{
	uint64 seen = pg_atomic_read_u64(sequence);

	if (seen & 1)
		pg_atomic_write_u64(sequence, seen + 1);
}

uint64
board_reset(void)
{
	BoardShared *shared = board();
	uint64 generation;

	/* First of all, and seen by all before anything else changes. */
	generation = pg_atomic_add_fetch_u64(&shared->generation, 1);
	mend_sequence(&shared->directory_sequence);
	mend_sequence(&shared->store_sequence);
	write_begin(&shared->directory_sequence);
	shared->n = 0;
	for (int i = 0; i < BOARD_MAX_REGIONS; i++)
	{
		mend_sequence(&shared->entries[i].sequence);
		mend_sequence(&shared->entries[i].raft_sequence);
		write_begin(&shared->entries[i].sequence);
		shared->entries[i].used = false;
		write_end(&shared->entries[i].sequence);
	}
	write_end(&shared->directory_sequence);
	write_begin(&shared->store_sequence);
	memset(&shared->store, 0, sizeof(shared->store));
	shared->store.generation = generation;
	write_end(&shared->store_sequence);
	return generation;
}

/* The generation is the board's own, whatever the caller's struct says. */
void
board_publish_store(const BoardStore *store)
{
	BoardShared *shared = board();

	write_begin(&shared->store_sequence);
	shared->store = *store;
	shared->store.generation = pg_atomic_read_u64(&shared->generation);
	write_end(&shared->store_sequence);
}

static int
find_unused(BoardShared *shared)
{
	for (int i = 0; i < BOARD_MAX_REGIONS; i++)
	{
		if (!shared->entries[i].used)
			return i;
	}
	return -1;
}

/* Take an entry out of the directory, if it is in it. */
static void
directory_remove(BoardShared *shared, int index)
{
	int kept = 0;

	for (int i = 0; i < shared->n; i++)
	{
		if (shared->order[i] != index)
			shared->order[kept++] = shared->order[i];
	}
	shared->n = kept;
}

static void
directory_insert(BoardShared *shared, int index)
{
	Bytes start = entry_key(shared, index, 0);
	int position = shared->n;

	CHECK(shared->n < BOARD_MAX_REGIONS);
	while (position > 0 &&
		   bytes_cmp(entry_key(shared, shared->order[position - 1], 0), start) >
			   0)
	{
		shared->order[position] = shared->order[position - 1];
		position--;
	}
	shared->order[position] = (uint16) index;
	shared->n++;
}

static void
write_key(BoardShared *shared, int index, int which, Bytes key)
{
	if (key.len > 0)
		memcpy(shared->keys[index][which], key.data, key.len);
}

static void
write_entry(BoardShared *shared, int index, const BoardRegion *from)
{
	BoardEntry *entry = &shared->entries[index];

	write_begin(&entry->sequence);
	entry->used = true;
	entry->body.region = from->region;
	write_key(shared, index, 0, from->region.start_key);
	write_key(shared, index, 1, from->region.end_key);
	entry->body.self = from->self;
	entry->body.leader = from->leader;
	entry->body.term = from->term;
	entry->body.is_leader = from->is_leader;
	entry->body.lease_end_us = from->lease_end_us;
	entry->body.safe_ts = from->safe_ts;
	pg_atomic_write_u64(&entry->applied_index, from->applied_index);
	write_end(&entry->sequence);
}

bool
board_publish(const BoardRegion *from)
{
	BoardShared *shared = board();
	int index = find_id(shared, from->region.id);
	bool moved;

	CHECK(from->region.start_key.len <= BOARD_KEY_MAX &&
		  from->region.end_key.len <= BOARD_KEY_MAX);
	moved = index < 0 ||
		!bytes_eq(entry_key(shared, index, 0), from->region.start_key);
	if (index < 0)
		index = find_unused(shared);
	if (index < 0)
		return false;
	if (moved)
	{
		write_begin(&shared->directory_sequence);
		directory_remove(shared, index);
	}
	write_entry(shared, index, from);
	if (moved)
	{
		directory_insert(shared, index);
		write_end(&shared->directory_sequence);
	}
	return true;
}

void
board_publish_applied(uint64 region_id, uint64 applied_index)
{
	BoardShared *shared = board();
	int index = find_id(shared, region_id);

	if (index >= 0)
		pg_atomic_write_u64(&shared->entries[index].applied_index,
							applied_index);
}

void
board_remove(uint64 region_id)
{
	BoardShared *shared = board();
	int index = find_id(shared, region_id);

	if (index < 0)
		return;
	write_begin(&shared->directory_sequence);
	directory_remove(shared, index);
	write_begin(&shared->entries[index].sequence);
	shared->entries[index].used = false;
	write_end(&shared->entries[index].sequence);
	write_end(&shared->directory_sequence);
}

void
board_publish_raft(const BoardRaft *raft)
{
	BoardShared *shared = board();
	int index = find_id(shared, raft->region_id);

	if (index < 0)
		return;
	write_begin(&shared->entries[index].raft_sequence);
	shared->entries[index].raft = *raft;
	write_end(&shared->entries[index].raft_sequence);
}
