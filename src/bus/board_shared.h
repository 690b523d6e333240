/*
 * board_shared.h
 *	  The board as it lies in shared memory; for board.c, which reads it, and
 *	  board_write.c, which is the store's.
 */
#ifndef TIKV_BUS_BOARD_SHARED_H
#define TIKV_BUS_BOARD_SHARED_H

#include "bus/board.h"
#include "core/base/hash.h"

/* What of an entry is no key: copied as a whole. */
typedef struct BoardBody
{
	Region region; /* of its keys only the lengths are used */
	RegionPeer self;
	RegionPeer leader;
	uint64 term;
	bool is_leader;
	int64 lease_end_us;
	uint64 safe_ts;
} BoardBody;

typedef struct BoardEntry
{
	pg_atomic_uint64 sequence;		/* odd: being written */
	pg_atomic_uint64 applied_index; /* outside of the seqlock */
	bool used;
	uint32 next_free;	  /* of unused ones: the next, plus one */
	size_t key_offset[2]; /* of start and end key, in `keys` */
	BoardBody body;

	/* Apart, lest telling it makes readers look again. */
	pg_atomic_uint64 raft_sequence;
	BoardRaft raft;
} BoardEntry;

/*
 * Arrays follow it; their lengths are fixed when the server starts.  Entries
 * and keys that no region has used yet are memory that nobody touched.
 *
 * Keys lie one behind the other in one of two halves.  When that is full the
 * keys that are still used move to the other one, entry by entry.
 */
struct BoardShared
{
	pg_atomic_uint64 generation;
	pg_atomic_uint64 max_ts;
	pg_atomic_uint64 gc_safe_point;
	pg_atomic_uint64 ranges_begun;
	pg_atomic_uint64 ranges_over;
	pg_atomic_uint64 store_sequence;
	BoardStore store;
	uint32 capacity;  /* of order[] and entries[] */
	uint32 hash_size; /* of by_id[], a power of two */
	size_t half_size; /* of keys[] */
	uint32 *order;	  /* entries by start key */
	uint32 *by_id;	  /* entries plus one by region id; 0: free */
	BoardEntry *entries;
	uint8 *keys;
	pg_atomic_uint64 directory_sequence; /* of order[], by_id[], start keys */
	uint32 n;							 /* entries in order[] */

	/* The writer's. */
	uint32 n_touched;  /* entries that were used at some time */
	uint32 first_free; /* ... and are free now, plus one */
	int half;		   /* where keys are added */
	size_t half_used;
};

/* NULL in a server that did not preload the library. */
static inline BoardShared *
board(void)
{
	TikvShmem *shmem = tikv_shmem();

	return shmem == NULL ? NULL : shmem->board;
}

/*
 * A key of an entry, 0 start, 1 end.  To a reader place and length may be
 * torn, so they are bounded here.
 */
static inline Bytes
entry_key(BoardShared *shared, uint32 index, int which)
{
	const BoardEntry *entry = &shared->entries[index];
	const Region *region = &entry->body.region;
	size_t len = which == 0 ? region->start_key.len : region->end_key.len;
	size_t offset = entry->key_offset[which];
	size_t size = 2 * shared->half_size;

	offset = Min(offset, size);
	len = Min(len, BOARD_KEY_MAX);
	return bytes_make(shared->keys + offset, Min(len, size - offset));
}

static inline uint32
directory_length(BoardShared *shared)
{
	return Min(shared->n, shared->capacity);
}

static inline uint32
directory_entry(BoardShared *shared, uint32 position)
{
	uint32 index = shared->order[position];

	return index < shared->capacity ? index : 0;
}

static inline uint32
id_slot(BoardShared *shared, uint64 region_id)
{
	return (uint32) hash_mix64(region_id, UINT64CONST(0x9E3779B97F4A7C15)) &
		(shared->hash_size - 1);
}

/* Index of a region's entry as the directory has it now; -1 if none. */
static inline int64
find_id(BoardShared *shared, uint64 region_id)
{
	uint32 slot = id_slot(shared, region_id);

	for (uint32 i = 0; i < shared->hash_size; i++)
	{
		uint32 found = shared->by_id[slot];

		if (found == 0 || found > shared->capacity)
			return -1;
		if (shared->entries[found - 1].body.region.id == region_id)
			return (int64) found - 1;
		slot = (slot + 1) & (shared->hash_size - 1);
	}
	return -1;
}

#endif /* TIKV_BUS_BOARD_SHARED_H */
