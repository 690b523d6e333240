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

static void
release_entry(BoardShared *shared, uint32 index)
{
	shared->entries[index].used = false;
	shared->entries[index].next_free = shared->first_free;
	shared->first_free = index + 1;
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
	memset(shared->by_id, 0, shared->hash_size * sizeof(uint32));
	shared->first_free = 0;
	for (uint32 i = 0; i < shared->n_touched; i++)
	{
		mend_sequence(&shared->entries[i].sequence);
		mend_sequence(&shared->entries[i].raft_sequence);
		write_begin(&shared->entries[i].sequence);
		release_entry(shared, i);
		write_end(&shared->entries[i].sequence);
	}
	shared->half_used = 0;
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

/* ---- keys ---- */

size_t
board_key_room(void)
{
	return board()->half_size;
}

/* A copy of the key in the present half; false if there is no room. */
static bool
add_key(BoardShared *shared, Bytes key, size_t *offset)
{
	if (shared->half_size - shared->half_used < key.len)
		return false;
	*offset = (size_t) shared->half * shared->half_size + shared->half_used;
	if (key.len > 0)
		memcpy(shared->keys + *offset, key.data, key.len);
	shared->half_used += key.len;
	return true;
}

/* Keys that are used move to the other half, those of one entry at a time. */
static void
move_keys(BoardShared *shared)
{
	shared->half = 1 - shared->half;
	shared->half_used = 0;
	for (uint32 i = 0; i < shared->n; i++)
	{
		uint32 index = shared->order[i];
		BoardEntry *entry = &shared->entries[index];
		size_t offset[2];

		CHECK(add_key(shared, entry_key(shared, index, 0), &offset[0]) &&
			  add_key(shared, entry_key(shared, index, 1), &offset[1]));
		write_begin(&shared->directory_sequence);
		write_begin(&entry->sequence);
		memcpy(entry->key_offset, offset, sizeof(offset));
		write_end(&entry->sequence);
		write_end(&shared->directory_sequence);
	}
}

static Bytes
bound_of(const Region *region, int which)
{
	return which == 0 ? region->start_key : region->end_key;
}

/* Is the key what it was?  Then it stays where it is. */
static bool
keeps_key(BoardShared *shared, int64 index, const Region *region, int which)
{
	return index >= 0 &&
		bytes_eq(entry_key(shared, (uint32) index, which),
				 bound_of(region, which));
}

/* After this both keys fit; false if they do not. */
static bool
make_key_room(BoardShared *shared, int64 index, const Region *region)
{
	size_t need = 0;

	for (int i = 0; i < 2; i++)
	{
		if (bound_of(region, i).len > BOARD_KEY_MAX)
			return false;
		if (!keeps_key(shared, index, region, i))
			need += bound_of(region, i).len;
	}
	if (shared->half_size - shared->half_used < need)
		move_keys(shared);
	return shared->half_size - shared->half_used >= need;
}

/* ---- entries ---- */

static int64
take_entry(BoardShared *shared)
{
	uint32 index;

	if (shared->first_free != 0)
	{
		index = shared->first_free - 1;
		shared->first_free = shared->entries[index].next_free;
		return index;
	}
	if (shared->n_touched == shared->capacity)
		return -1;
	index = shared->n_touched++;
	memset(&shared->entries[index], 0, sizeof(BoardEntry));
	pg_atomic_init_u64(&shared->entries[index].sequence, 0);
	pg_atomic_init_u64(&shared->entries[index].raft_sequence, 0);
	pg_atomic_init_u64(&shared->entries[index].applied_index, 0);
	return index;
}

/* ---- the directory; its sequence is odd meanwhile ---- */

/* The place of an entry, or where one with this start key would be. */
static uint32
find_position(BoardShared *shared, Bytes start)
{
	uint32 low = 0;
	uint32 high = shared->n;

	while (low < high)
	{
		uint32 middle = low + (high - low) / 2;

		if (bytes_cmp(entry_key(shared, shared->order[middle], 0), start) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/*
 * Take an entry out of the order, if it is in it.  Two may have the same start
 * key for a moment, while pieces are published one after the other.
 */
static void
order_remove(BoardShared *shared, uint32 index)
{
	uint32 at = find_position(shared, entry_key(shared, index, 0));

	while (at < shared->n && shared->order[at] != index)
		at++;
	if (at == shared->n)
		return;
	shared->n--;
	memmove(&shared->order[at], &shared->order[at + 1],
			(shared->n - at) * sizeof(uint32));
}

static void
order_insert(BoardShared *shared, uint32 index)
{
	uint32 at = find_position(shared, entry_key(shared, index, 0));

	CHECK(shared->n < shared->capacity);
	memmove(&shared->order[at + 1], &shared->order[at],
			(shared->n - at) * sizeof(uint32));
	shared->order[at] = index;
	shared->n++;
}

static void
hash_insert(BoardShared *shared, uint32 index, uint64 region_id)
{
	uint32 slot = id_slot(shared, region_id);

	while (shared->by_id[slot] != 0)
		slot = (slot + 1) & (shared->hash_size - 1);
	shared->by_id[slot] = index + 1;
}

/* Those behind it that are not at their place move up. */
static void
hash_remove(BoardShared *shared, uint32 index)
{
	uint32 mask = shared->hash_size - 1;
	uint32 slot = id_slot(shared, shared->entries[index].body.region.id);
	uint32 next;

	while (shared->by_id[slot] != index + 1)
		slot = (slot + 1) & mask;
	shared->by_id[slot] = 0;
	for (next = (slot + 1) & mask; shared->by_id[next] != 0;
		 next = (next + 1) & mask)
	{
		uint32 moved = shared->by_id[next] - 1;
		uint32 home = id_slot(shared, shared->entries[moved].body.region.id);

		if (((next - home) & mask) < ((next - slot) & mask))
			continue;
		shared->by_id[slot] = moved + 1;
		shared->by_id[next] = 0;
		slot = next;
	}
}

/* ---- what the store does ---- */

static void
write_body(BoardEntry *entry, const BoardRegion *from, const size_t *offset)
{
	write_begin(&entry->sequence);
	entry->used = true;
	memcpy(entry->key_offset, offset, sizeof(entry->key_offset));
	entry->body.region = from->region;
	entry->body.self = from->self;
	entry->body.leader = from->leader;
	entry->body.term = from->term;
	entry->body.is_leader = from->is_leader;
	entry->body.lease_end_us = from->lease_end_us;
	entry->body.safe_ts = from->safe_ts;
	pg_atomic_write_u64(&entry->applied_index, from->applied_index);
	write_end(&entry->sequence);
}

void
board_remove(uint64 region_id)
{
	BoardShared *shared = board();
	int64 index = find_id(shared, region_id);

	if (index < 0)
		return;
	write_begin(&shared->directory_sequence);
	order_remove(shared, (uint32) index);
	hash_remove(shared, (uint32) index);
	write_begin(&shared->entries[index].sequence);
	release_entry(shared, (uint32) index);
	write_end(&shared->entries[index].sequence);
	write_end(&shared->directory_sequence);
}

static void
place_keys(BoardShared *shared, int64 index, const Region *region,
		   size_t *offset)
{
	for (int i = 0; i < 2; i++)
		if (keeps_key(shared, index, region, i))
			offset[i] = shared->entries[index].key_offset[i];
		else
			CHECK(add_key(shared, bound_of(region, i), &offset[i]));
}

/*
 * What cannot be told any more is not told as it was: readers would take a
 * range for the region's that it has given away, under a lease without end.
 */
bool
board_publish(const BoardRegion *from)
{
	BoardShared *shared = board();
	int64 index = find_id(shared, from->region.id);
	bool is_new = index < 0;
	size_t offset[2];
	bool moved;

	if (!make_key_room(shared, index, &from->region))
	{
		board_remove(from->region.id);
		return false;
	}
	place_keys(shared, index, &from->region, offset);
	moved = is_new ||
		!bytes_eq(entry_key(shared, (uint32) index, 0), from->region.start_key);
	if (is_new)
		index = take_entry(shared);
	if (index < 0)
		return false;
	if (moved)
		write_begin(&shared->directory_sequence);
	if (moved && !is_new)
		order_remove(shared, (uint32) index);
	write_body(&shared->entries[index], from, offset);
	if (is_new)
		hash_insert(shared, (uint32) index, from->region.id);
	if (moved)
	{
		order_insert(shared, (uint32) index);
		write_end(&shared->directory_sequence);
	}
	return true;
}

void
board_publish_applied(uint64 region_id, uint64 applied_index)
{
	BoardShared *shared = board();
	int64 index = find_id(shared, region_id);

	if (index >= 0)
		pg_atomic_write_u64(&shared->entries[index].applied_index,
							applied_index);
}

void
board_publish_raft(const BoardRaft *raft)
{
	BoardShared *shared = board();
	int64 index = find_id(shared, raft->region_id);

	if (index < 0)
		return;
	write_begin(&shared->entries[index].raft_sequence);
	shared->entries[index].raft = *raft;
	write_end(&shared->entries[index].raft_sequence);
}
