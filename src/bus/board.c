/*
 * board.c
 *	  The board of regions in shared memory: one writer, readers without locks.
 *
 * Every entry is a seqlock, and so is the directory that orders entries by
 * start key.  Readers copy and check afterwards; what they see in between
 * may be torn, so lengths are clamped and nothing is followed.  A writer that
 * died half way leaves an odd sequence behind: readers give up on it after a
 * bounded number of tries, and board_reset of its successor mends it.
 */
#include "postgres.h"

#include <sched.h>
#include <time.h>

#include "storage/shmem.h"
#include "storage/spin.h"

#include "bus/board.h"
#include "core/base/check.h"

/* Tries before a reader gives up, and how often it lets others run. */
#define READ_TRIES 2000
#define READ_YIELD_EVERY 100

/* What of an entry is no key: copied as a whole. */
typedef struct BoardBody
{
	Region		region;			/* of its keys only the lengths are used */
	RegionPeer	self;
	RegionPeer	leader;
	uint64		term;
	bool		is_leader;
	int64		lease_end_us;
	uint64		safe_ts;
} BoardBody;

typedef struct BoardEntry
{
	pg_atomic_uint64 sequence;	/* odd: being written */
	pg_atomic_uint64 applied_index; /* outside of the seqlock */
	bool		used;
	BoardBody	body;
} BoardEntry;

struct BoardShared
{
	pg_atomic_uint64 generation;
	pg_atomic_uint64 max_ts;
	pg_atomic_uint64 store_sequence;
	BoardStore	store;
	pg_atomic_uint64 directory_sequence;
	int			n;				/* entries in order[] */
	uint16		order[BOARD_MAX_REGIONS];	/* by start key */
	BoardEntry	entries[BOARD_MAX_REGIONS];

	/* Apart, so that an idle board touches none of it: start, then end key. */
	uint8		keys[BOARD_MAX_REGIONS][2][BOARD_KEY_MAX];
};

/* NULL in a server that did not preload the library. */
static BoardShared *
board(void)
{
	TikvShmem  *shmem = tikv_shmem();

	return shmem == NULL ? NULL : shmem->board;
}

/* --------------------------------------------------------------- seqlocks */

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

typedef struct ReadTry
{
	pg_atomic_uint64 *sequence;
	uint64		seen;
	int			tries;
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

static Bytes
entry_key(BoardShared *shared, int index, int which)
{
	const Region *region = &shared->entries[index].body.region;
	size_t		len = which == 0 ? region->start_key.len : region->end_key.len;

	return bytes_make(shared->keys[index][which], Min(len, BOARD_KEY_MAX));
}

static void
copy_key(BoardShared *shared, int index, int which, uint8 *to, Bytes *out)
{
	Bytes		key = entry_key(shared, index, which);

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
	ReadTry		try = {.sequence = &entry->sequence};

	out->generation = pg_atomic_read_u64(&shared->generation);
	pg_read_barrier();
	while (read_begin(&try))
	{
		bool		used = entry->used;

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
	ReadTry		try;

	if (shared != NULL)
	{
		try = (ReadTry) {.sequence = &shared->store_sequence};
		while (read_begin(&try))
		{
			*out = shared->store;
			if (read_ok(&try))
				return;
		}
	}
	memset(out, 0, sizeof(*out));
}

static int
directory_length(BoardShared *shared)
{
	return Min(Max(shared->n, 0), BOARD_MAX_REGIONS);
}

static int
directory_entry(BoardShared *shared, int position)
{
	return shared->order[position] % BOARD_MAX_REGIONS;
}

/* Index of a region's entry as the directory has it now; -1 if none. */
static int
find_id(BoardShared *shared, uint64 region_id)
{
	int			n = directory_length(shared);

	for (int i = 0; i < n; i++)
	{
		int			index = directory_entry(shared, i);

		if (shared->entries[index].body.region.id == region_id)
			return index;
	}
	return -1;
}

typedef enum StartBound
{
	START_UP_TO,				/* start <= key */
	START_BELOW					/* start < key, an empty key being +infinity */
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
	int			low = 0;
	int			high = directory_length(shared);

	while (low < high)
	{
		int			middle = (low + high) / 2;
		Bytes		start = entry_key(shared, directory_entry(shared, middle), 0);

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
	ReadTry		try;

	if (shared == NULL)
		return false;
	try = (ReadTry) {.sequence = &shared->directory_sequence};
	while (read_begin(&try))
	{
		int			index = find_id(shared, region_id);

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
	ReadTry		try;

	if (shared == NULL)
		return false;
	try = (ReadTry) {.sequence = &shared->directory_sequence};
	while (read_begin(&try))
	{
		int			index = find_start(shared, key, bound);

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
	ReadTry		try;

	*out = NULL;
	if (shared == NULL)
		return 0;
	*out = palloc(BOARD_MAX_REGIONS * sizeof(BoardRegion));
	try = (ReadTry) {.sequence = &shared->directory_sequence};
	while (read_begin(&try))
	{
		int			length = directory_length(shared);
		int			n = 0;

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
board_still_valid(const BoardRegion *seen, int64 now_us)
{
	BoardShared *shared = board();
	BoardEntry *entry = &shared->entries[seen->index];
	ReadTry		try = {.sequence = &entry->sequence};

	/* The reads of the caller come before the look. */
	pg_read_barrier();
	if (pg_atomic_read_u64(&shared->generation) != seen->generation)
		return false;
	if (pg_atomic_read_u64(&entry->sequence) == seen->sequence)
		return seen->is_leader && now_us < seen->lease_end_us;
	while (read_begin(&try))
	{
		bool		used = entry->used;
		BoardBody	now = entry->body;

		if (!read_ok(&try))
			continue;
		return used && now.region.id == seen->region.id &&
			now.region.epoch.version == seen->region.epoch.version &&
			now.region.epoch.conf_ver == seen->region.epoch.conf_ver &&
			now.self.id == seen->self.id &&
			now.term == seen->term &&
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

/* -------------------------------------------------------------- the store */

/* An odd sequence is a predecessor's, who died while it wrote. */
static void
mend_sequence(pg_atomic_uint64 *sequence)
{
	uint64		seen = pg_atomic_read_u64(sequence);

	if (seen & 1)
		pg_atomic_write_u64(sequence, seen + 1);
}

uint64
board_reset(void)
{
	BoardShared *shared = board();
	uint64		generation;

	/* First of all, and seen by all before anything else changes. */
	generation = pg_atomic_add_fetch_u64(&shared->generation, 1);
	mend_sequence(&shared->directory_sequence);
	mend_sequence(&shared->store_sequence);
	write_begin(&shared->directory_sequence);
	shared->n = 0;
	for (int i = 0; i < BOARD_MAX_REGIONS; i++)
	{
		mend_sequence(&shared->entries[i].sequence);
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
	int			kept = 0;

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
	Bytes		start = entry_key(shared, index, 0);
	int			position = shared->n;

	CHECK(shared->n < BOARD_MAX_REGIONS);
	while (position > 0 &&
		   bytes_cmp(entry_key(shared, shared->order[position - 1], 0),
					 start) > 0)
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
	int			index = find_id(shared, from->region.id);
	bool		moved;

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
	int			index = find_id(shared, region_id);

	if (index >= 0)
		pg_atomic_write_u64(&shared->entries[index].applied_index,
							applied_index);
}

void
board_remove(uint64 region_id)
{
	BoardShared *shared = board();
	int			index = find_id(shared, region_id);

	if (index < 0)
		return;
	write_begin(&shared->directory_sequence);
	directory_remove(shared, index);
	write_begin(&shared->entries[index].sequence);
	shared->entries[index].used = false;
	write_end(&shared->entries[index].sequence);
	write_end(&shared->directory_sequence);
}

/* ----------------------------------------------------------------- max_ts */

/*
 * UINT64_MAX reads the newest version and promises nothing about later
 * writes, so it never counts (tikv/tikv components/concurrency_manager).
 */
void
board_raise_max_ts(uint64 ts)
{
	BoardShared *shared = board();
	uint64		seen;

	if (shared == NULL || ts == PG_UINT64_MAX)
		return;
	seen = pg_atomic_read_u64(&shared->max_ts);
	while (seen < ts &&
		   !pg_atomic_compare_exchange_u64(&shared->max_ts, &seen, ts))
		;
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
	bool		attached;

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
		pg_atomic_init_u64(&shared->entries[i].applied_index, 0);
	}
}
