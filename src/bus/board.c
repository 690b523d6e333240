/*
 * board.c
 *	  The board of regions in shared memory, as everybody reads it: without
 *	  locks.
 *
 * Every entry is a seqlock, and so is the directory that orders entries by
 * start key.  Readers copy and check afterwards; what they see in between
 * may be torn, so lengths are clamped and nothing is followed.  A writer that
 * died half way leaves an odd sequence behind: readers give up on it after a
 * bounded number of tries.
 */
#include "postgres.h"

#include <sched.h>
#include <time.h>

#include "storage/shmem.h"
#include "storage/spin.h"

#include "bus/board_shared.h"

/* Tries before a reader gives up, and how often it lets others run. */
#define READ_TRIES 2000
#define READ_YIELD_EVERY 100

/* --------------------------------------------------------------- seqlocks */

typedef struct ReadTry
{
	pg_atomic_uint64 *sequence;
	uint64 seen;
	int tries;
} ReadTry;

/* Begin the next try; false if there were enough of them. */
static bool
read_begin(ReadTry *try)
{
	for (; try->tries < READ_TRIES; try->tries++)
	{
		if (try->tries > 0 && try->tries % READ_YIELD_EVERY == 0)
			sched_yield();
		try->seen = pg_atomic_read_u64(try->sequence);
		if ((try->seen & 1) == 0)
		{
			pg_read_barrier();
			try->tries++;
			return true;
		}
		SPIN_DELAY();
	}
	return false;
}

/* True if what was read since read_begin is whole. */
static bool
read_ok(const ReadTry *try)
{
	pg_read_barrier();
	return pg_atomic_read_u64(try->sequence) == try->seen;
}

/* ---------------------------------------------------------------- readers */

static void
copy_key(BoardShared *shared, int index, int which, uint8 *to, Bytes *out)
{
	Bytes key = entry_key(shared, index, which);

	memcpy(to, key.data, key.len);
	*out = bytes_make(to, key.len);
}

static void
copy_body(BoardShared *shared, int index, BoardRegion *out)
{
	const BoardBody *body = &shared->entries[index].body;

	out->region = body->region;
	copy_key(shared, index, 0, out->keys, &out->region.start_key);
	copy_key(shared, index, 1, out->keys + BOARD_KEY_MAX, &out->region.end_key);
	out->self = body->self;
	out->leader = body->leader;
	out->term = body->term;
	out->is_leader = body->is_leader;
	out->lease_end_us = body->lease_end_us;
	out->safe_ts = body->safe_ts;
}

/* A whole copy of one entry; false if it is unused or cannot be had. */
static bool
copy_entry(BoardShared *shared, int index, BoardRegion *out)
{
	BoardEntry *entry = &shared->entries[index];
	ReadTry try = {.sequence = &entry->sequence};

	out->generation = pg_atomic_read_u64(&shared->generation);
	pg_read_barrier();
	while (read_begin(&try))
	{
		bool used = entry->used;

		copy_body(shared, index, out);
		out->applied_index = pg_atomic_read_u64(&entry->applied_index);
		if (!read_ok(&try))
			continue;
		out->sequence = try.seen;
		out->index = index;
		return used;
	}
	return false;
}

void
board_store(BoardStore *out)
{
	BoardShared *shared = board();
	ReadTry try;

	if (shared != NULL)
	{
		try = (ReadTry){.sequence = &shared->store_sequence};
		while (read_begin(&try))
		{
			*out = shared->store;
			if (read_ok(&try))
				return;
		}
	}
	memset(out, 0, sizeof(*out));
}

bool
board_raft(uint64 region_id, BoardRaft *out)
{
	BoardShared *shared = board();
	ReadTry try;
	int index;

	if (shared == NULL)
		return false;
	index = find_id(shared, region_id);
	if (index < 0)
		return false;
	try = (ReadTry){.sequence = &shared->entries[index].raft_sequence};
	while (read_begin(&try))
	{
		*out = shared->entries[index].raft;
		if (read_ok(&try))
			return out->region_id == region_id;
	}
	return false;
}

typedef enum StartBound
{
	START_UP_TO, /* start <= key */
	START_BELOW	 /* start < key, an empty key being +infinity */
} StartBound;

static bool
start_fits(Bytes start, Bytes key, StartBound bound)
{
	if (bound == START_UP_TO)
		return bytes_cmp(start, key) <= 0;
	return key.len == 0 || bytes_cmp(start, key) < 0;
}

/* Index of the last entry whose start key fits; -1 if none. */
static int
find_start(BoardShared *shared, Bytes key, StartBound bound)
{
	int low = 0;
	int high = directory_length(shared);

	while (low < high)
	{
		int middle = (low + high) / 2;
		Bytes start = entry_key(shared, directory_entry(shared, middle), 0);

		if (start_fits(start, key, bound))
			low = middle + 1;
		else
			high = middle;
	}
	return low == 0 ? -1 : directory_entry(shared, low - 1);
}

bool
board_find(uint64 region_id, BoardRegion *out)
{
	BoardShared *shared = board();
	ReadTry try;

	if (shared == NULL)
		return false;
	try = (ReadTry){.sequence = &shared->directory_sequence};
	while (read_begin(&try))
	{
		int index = find_id(shared, region_id);

		if (index >= 0 && copy_entry(shared, index, out) &&
			out->region.id == region_id)
			return true;
		if (read_ok(&try))
			return false;
	}
	return false;
}

/* True if the keys just below the bound are the region's. */
static bool
holds_below(const Region *region, Bytes bound)
{
	if (!start_fits(region->start_key, bound, START_BELOW))
		return false;
	if (region->end_key.len == 0)
		return true;
	return bound.len > 0 && bytes_cmp(bound, region->end_key) <= 0;
}

static bool
find_by_key(Bytes key, StartBound bound, BoardRegion *out)
{
	BoardShared *shared = board();
	ReadTry try;

	if (shared == NULL)
		return false;
	try = (ReadTry){.sequence = &shared->directory_sequence};
	while (read_begin(&try))
	{
		int index = find_start(shared, key, bound);

		if (index >= 0 && copy_entry(shared, index, out) &&
			(bound == START_UP_TO ? region_contains(&out->region, key) :
									holds_below(&out->region, key)))
			return true;
		if (read_ok(&try))
			return false;
	}
	return false;
}

bool
board_find_key(Bytes key, BoardRegion *out)
{
	return find_by_key(key, START_UP_TO, out);
}

bool
board_find_below(Bytes key, BoardRegion *out)
{
	return find_by_key(key, START_BELOW, out);
}

int
board_all(BoardRegion **out)
{
	BoardShared *shared = board();
	ReadTry try;

	*out = NULL;
	if (shared == NULL)
		return 0;
	*out = palloc(BOARD_MAX_REGIONS * sizeof(BoardRegion));
	try = (ReadTry){.sequence = &shared->directory_sequence};
	while (read_begin(&try))
	{
		int length = directory_length(shared);
		int n = 0;

		for (int i = 0; i < length; i++)
		{
			if (copy_entry(shared, directory_entry(shared, i), &(*out)[n]))
				n++;
		}
		if (read_ok(&try))
			return n;
	}
	return 0;
}

/*
 * Usually nothing was written since and the copy says it all.  Else compare
 * what makes an answer wrong: another range, another term, no leadership.
 */
bool
board_same_region(const BoardRegion *seen)
{
	BoardShared *shared = board();
	BoardEntry *entry = &shared->entries[seen->index];
	ReadTry try = {.sequence = &entry->sequence};

	pg_read_barrier();
	if (pg_atomic_read_u64(&shared->generation) != seen->generation)
		return false;
	while (read_begin(&try))
	{
		bool used = entry->used;
		BoardBody now = entry->body;

		if (!read_ok(&try))
			continue;
		return used && now.region.id == seen->region.id &&
			now.region.epoch.version == seen->region.epoch.version &&
			now.self.id == seen->self.id;
	}
	return false;
}

bool
board_still_valid(const BoardRegion *seen, int64 now_us)
{
	BoardShared *shared = board();
	BoardEntry *entry = &shared->entries[seen->index];
	ReadTry try = {.sequence = &entry->sequence};

	/* The reads of the caller come before the look. */
	pg_read_barrier();
	if (pg_atomic_read_u64(&shared->generation) != seen->generation)
		return false;
	if (pg_atomic_read_u64(&entry->sequence) == seen->sequence)
		return seen->is_leader && now_us < seen->lease_end_us;
	while (read_begin(&try))
	{
		bool used = entry->used;
		BoardBody now = entry->body;

		if (!read_ok(&try))
			continue;
		return used && now.region.id == seen->region.id &&
			now.region.epoch.version == seen->region.epoch.version &&
			now.region.epoch.conf_ver == seen->region.epoch.conf_ver &&
			now.self.id == seen->self.id && now.term == seen->term &&
			now.is_leader && now_us < now.lease_end_us;
	}
	return false;
}

int64
board_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return (int64) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ----------------------------------------------------------------- max_ts */

/*
 * UINT64_MAX reads the newest version and promises nothing about later
 * writes, so it never counts (tikv/tikv components/concurrency_manager).
 *
 * Who raises max_ts looks at the lock table next: the barrier keeps the two in
 * order, whether there was something to raise or not.
 */
void
board_raise_max_ts(uint64 ts)
{
	BoardShared *shared = board();
	uint64 seen;

	if (shared == NULL || ts == PG_UINT64_MAX)
		return;
	seen = pg_atomic_read_u64(&shared->max_ts);
	while (seen < ts &&
		   !pg_atomic_compare_exchange_u64(&shared->max_ts, &seen, ts))
		;
	pg_memory_barrier();
}

uint64
board_max_ts(void)
{
	BoardShared *shared = board();

	return shared == NULL ? 0 : pg_atomic_read_u64(&shared->max_ts);
}

/* ------------------------------------------------------------- the memory */

Size
board_shmem_size(void)
{
	return sizeof(BoardShared);
}

void
board_shmem_init(TikvShmem *shmem, bool found)
{
	BoardShared *shared;
	bool attached;

	shared = ShmemInitStruct("tikv_fdw board", board_shmem_size(), &attached);
	shmem->board = shared;
	if (found || attached)
		return;
	memset(shared, 0, offsetof(BoardShared, keys));
	pg_atomic_init_u64(&shared->generation, 0);
	pg_atomic_init_u64(&shared->max_ts, 0);
	pg_atomic_init_u64(&shared->store_sequence, 0);
	pg_atomic_init_u64(&shared->directory_sequence, 0);
	for (int i = 0; i < BOARD_MAX_REGIONS; i++)
	{
		pg_atomic_init_u64(&shared->entries[i].sequence, 0);
		pg_atomic_init_u64(&shared->entries[i].raft_sequence, 0);
		pg_atomic_init_u64(&shared->entries[i].applied_index, 0);
	}
}
