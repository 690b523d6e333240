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
#include "guc.h"

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
copy_key(BoardShared *shared, uint32 index, int which, uint8 *to, Bytes *out)
{
	Bytes key = entry_key(shared, index, which);

	memcpy(to, key.data, key.len);
	*out = bytes_make(to, key.len);
}

static void
copy_body(BoardShared *shared, uint32 index, BoardRegion *out)
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
copy_entry(BoardShared *shared, uint32 index, BoardRegion *out)
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
		out->index = (int) index;
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
	int64 index;

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

/* How many entries have a start key that fits: the first ones. */
static uint32
count_starts(BoardShared *shared, Bytes key, StartBound bound)
{
	uint32 low = 0;
	uint32 high = directory_length(shared);

	while (low < high)
	{
		uint32 middle = low + (high - low) / 2;
		Bytes start = entry_key(shared, directory_entry(shared, middle), 0);

		if (start_fits(start, key, bound))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Index of the last entry whose start key fits; -1 if none. */
static int64
find_start(BoardShared *shared, Bytes key, StartBound bound)
{
	uint32 n = count_starts(shared, key, bound);

	return n == 0 ? -1 : (int64) directory_entry(shared, n - 1);
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
		int64 index = find_id(shared, region_id);

		if (index >= 0 && copy_entry(shared, (uint32) index, out) &&
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
		int64 index = find_start(shared, key, bound);

		if (index >= 0 && copy_entry(shared, (uint32) index, out) &&
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

/* The entry behind the walk's place; false if there is none. */
static bool
walk_to(BoardShared *shared, const BoardWalk *walk, BoardRegion *out)
{
	uint32 at = 0;

	if (walk->started)
		at =
			count_starts(shared, bytes_make(walk->key, walk->len), START_UP_TO);
	return at < directory_length(shared) &&
		copy_entry(shared, directory_entry(shared, at), out);
}

bool
board_walk_next(BoardWalk *walk, BoardRegion *out)
{
	BoardShared *shared = board();
	ReadTry try;

	if (shared == NULL)
		return false;
	try = (ReadTry){.sequence = &shared->directory_sequence};
	while (read_begin(&try))
	{
		bool found = walk_to(shared, walk, out);

		if (!read_ok(&try))
			continue;
		if (!found)
			return false;
		walk->started = true;
		walk->len = out->region.start_key.len;
		if (walk->len > 0)
			memcpy(walk->key, out->region.start_key.data, walk->len);
		return true;
	}
	return false;
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
			now.region.flashback_start_ts == seen->region.flashback_start_ts &&
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

/* ---------------------------------------------------------- GC safe point */

/* The store alone raises it. */
void
board_raise_gc_safe_point(uint64 ts)
{
	BoardShared *shared = board();

	if (ts > pg_atomic_read_u64(&shared->gc_safe_point))
		pg_atomic_write_u64(&shared->gc_safe_point, ts);
	pg_memory_barrier();
}

/* A snapshot takes a lock of Postgres, which is the barrier before this. */
uint64
board_gc_safe_point(void)
{
	BoardShared *shared = board();

	return shared == NULL ? 0 : pg_atomic_read_u64(&shared->gc_safe_point);
}

/* ---------------------------------------------------- deletions of ranges */

/* Atomic additions are full barriers, as the locks of a snapshot are. */
void
board_range_begins(void)
{
	pg_atomic_fetch_add_u64(&board()->ranges_begun, 1);
}

void
board_ranges_end(uint64 n)
{
	pg_atomic_fetch_add_u64(&board()->ranges_over, (int64) n);
}

/* An earlier life may have counted one as begun that it never committed. */
void
board_ranges_found(uint64 n)
{
	BoardShared *shared = board();
	uint64 begun = pg_atomic_read_u64(&shared->ranges_begun);
	uint64 over = pg_atomic_read_u64(&shared->ranges_over);

	if (begun - over < n)
		begun = pg_atomic_add_fetch_u64(&shared->ranges_begun,
										(int64) (n - (begun - over)));
	pg_atomic_fetch_add_u64(&shared->ranges_over, (int64) (begun - n - over));
}

uint64
board_ranges_begun(void)
{
	BoardShared *shared = board();

	return shared == NULL ? 0 : pg_atomic_read_u64(&shared->ranges_begun);
}

uint64
board_ranges_over(void)
{
	BoardShared *shared = board();

	return shared == NULL ? 0 : pg_atomic_read_u64(&shared->ranges_over);
}

/* ------------------------------------------------------------- the memory */

typedef struct BoardSizes
{
	uint32 capacity;
	uint32 hash_size;
	size_t half_size;
	size_t order;
	size_t by_id;
	size_t entries;
	size_t keys;
	size_t total;
} BoardSizes;

static BoardSizes
board_sizes(void)
{
	BoardSizes sizes = {.capacity = (uint32) tikv_fdw_settings.max_regions};

	sizes.hash_size = 64;
	while (sizes.hash_size < 2 * sizes.capacity)
		sizes.hash_size *= 2;
	sizes.half_size =
		Max((size_t) sizes.capacity * BOARD_KEY_ROOM, 8 * BOARD_KEY_MAX);
	sizes.order = MAXALIGN(sizeof(BoardShared));
	sizes.by_id = sizes.order + MAXALIGN(sizes.capacity * sizeof(uint32));
	sizes.entries = sizes.by_id + MAXALIGN(sizes.hash_size * sizeof(uint32));
	sizes.keys = sizes.entries + MAXALIGN(sizes.capacity * sizeof(BoardEntry));
	sizes.total = sizes.keys + 2 * sizes.half_size;
	return sizes;
}

Size
board_shmem_size(void)
{
	return board_sizes().total;
}

/* Entries and keys are made when a region needs them. */
void
board_shmem_init(TikvShmem *shmem, bool found)
{
	BoardSizes sizes = board_sizes();
	BoardShared *shared;
	bool attached;

	shared = ShmemInitStruct("tikv_fdw board", sizes.total, &attached);
	shmem->board = shared;
	if (found || attached)
		return;
	memset(shared, 0, sizes.entries);
	pg_atomic_init_u64(&shared->generation, 0);
	pg_atomic_init_u64(&shared->max_ts, 0);
	pg_atomic_init_u64(&shared->gc_safe_point, 0);
	pg_atomic_init_u64(&shared->ranges_begun, 0);
	pg_atomic_init_u64(&shared->ranges_over, 0);
	pg_atomic_init_u64(&shared->store_sequence, 0);
	pg_atomic_init_u64(&shared->directory_sequence, 0);
	shared->capacity = sizes.capacity;
	shared->hash_size = sizes.hash_size;
	shared->half_size = sizes.half_size;
	shared->order = (uint32 *) ((uint8 *) shared + sizes.order);
	shared->by_id = (uint32 *) ((uint8 *) shared + sizes.by_id);
	shared->entries = (BoardEntry *) ((uint8 *) shared + sizes.entries);
	shared->keys = (uint8 *) shared + sizes.keys;
}
