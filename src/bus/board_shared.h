/*
 * board_shared.h
 *	  The board as it lies in shared memory; for board.c, which reads it, and
 *	  board_write.c, which is the store's.
 */
#ifndef TIKV_BUS_BOARD_SHARED_H
#define TIKV_BUS_BOARD_SHARED_H

#include "bus/board.h"

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
	BoardBody body;

	/* Apart, lest telling it makes readers look again. */
	pg_atomic_uint64 raft_sequence;
	BoardRaft raft;
} BoardEntry;

struct BoardShared
{
	pg_atomic_uint64 generation;
	pg_atomic_uint64 max_ts;
	pg_atomic_uint64 store_sequence;
	BoardStore store;
	pg_atomic_uint64 directory_sequence;
	int n;							 /* entries in order[] */
	uint16 order[BOARD_MAX_REGIONS]; /* by start key */
	BoardEntry entries[BOARD_MAX_REGIONS];

	/* Apart, so that an idle board touches none of it: start, then end key. */
	uint8 keys[BOARD_MAX_REGIONS][2][BOARD_KEY_MAX];
};

/* NULL in a server that did not preload the library. */
static inline BoardShared *
board(void)
{
	TikvShmem *shmem = tikv_shmem();

	return shmem == NULL ? NULL : shmem->board;
}

/*
 * A key of an entry, 0 start, 1 end.  To a reader it may be torn, so its
 * length is bounded here.
 */
static inline Bytes
entry_key(BoardShared *shared, int index, int which)
{
	const Region *region = &shared->entries[index].body.region;
	size_t len = which == 0 ? region->start_key.len : region->end_key.len;

	return bytes_make(shared->keys[index][which], Min(len, BOARD_KEY_MAX));
}

static inline int
directory_length(BoardShared *shared)
{
	return Min(Max(shared->n, 0), BOARD_MAX_REGIONS);
}

static inline int
directory_entry(BoardShared *shared, int position)
{
	return shared->order[position] % BOARD_MAX_REGIONS;
}

/* Index of a region's entry as the directory has it now; -1 if none. */
static inline int
find_id(BoardShared *shared, uint64 region_id)
{
	int n = directory_length(shared);

	for (int i = 0; i < n; i++)
	{
		int index = directory_entry(shared, i);

		if (shared->entries[index].body.region.id == region_id)
			return index;
	}
	return -1;
}

#endif /* TIKV_BUS_BOARD_SHARED_H */
