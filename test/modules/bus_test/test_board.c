/*
 * test_board.c
 *	  The board: finding by id and by key, in both directions; what a second
 *	  look refuses; readers against a writer that never rests.
 */
#include "postgres.h"

#include <sys/wait.h>
#include <unistd.h>

#include "bus/board.h"
#include "guc.h"
#include "shims.h"
#include "unit.h"

#define MAX_REGIONS 300

static BoardRegion entry;
static BoardRegion found;

static void
publish(uint64 id, const char *start, const char *end, uint64 version)
{
	memset(&entry, 0, offsetof(BoardRegion, keys));
	entry.region.id = id;
	entry.region.start_key = bytes_cstr(start);
	entry.region.end_key = bytes_cstr(end);
	entry.region.epoch = (RegionEpoch){1, version};
	entry.self = (RegionPeer){id + 100, 1, PEER_VOTER};
	entry.leader = entry.self;
	entry.term = 6;
	entry.is_leader = true;
	entry.lease_end_us = PG_INT64_MAX;
	entry.applied_index = id * 10;
	if (!board_publish(&entry))
		abort();
}

/* Id of the region for a key, 0 if there is none. */
static uint64
at_key(const char *key)
{
	return board_find_key(bytes_cstr(key), &found) ? found.region.id : 0;
}

static uint64
below(const char *bound)
{
	return board_find_below(bytes_cstr(bound), &found) ? found.region.id : 0;
}

static void
test_empty(void)
{
	BoardStore store;

	board_store(&store);
	EQ_U64(store.generation, 0, "a new board has no generation");
	EQ_U64(at_key("k"), 0, "and no regions");
	EQ_U64(below(""), 0, "from above, either");
	OK(!board_find(1, &found), "nor by id");
	EQ_U64(board_reset(), 1, "the first store begins generation 1");
}

static void
test_find(void)
{
	static BoardWalk walk;
	uint64 seen[8] = {0};
	int n = 0;

	publish(3, "m", "t", 1);
	publish(1, "", "g", 1);
	publish(4, "t", "", 1);
	publish(2, "g", "k", 1); /* [k, m) is somebody else's */
	EQ_U64(at_key(""), 1, "the empty key is in the first");
	EQ_U64(at_key("fzz"), 1, "just below a bound");
	EQ_U64(at_key("g"), 2, "at a bound");
	EQ_U64(at_key("k"), 0, "in the gap");
	EQ_U64(at_key("lll"), 0, "further in the gap");
	EQ_U64(at_key("m"), 3, "after the gap");
	EQ_U64(at_key("zzz"), 4, "in the last");
	EQ_U64(below(""), 4, "below infinity is the last");
	EQ_U64(below("t"), 3, "below a bound is the one before");
	EQ_U64(below("t1"), 4, "above it the one that begins there");
	EQ_U64(below("m"), 0, "below it is a gap");
	EQ_U64(below("k"), 2, "the end of one");
	EQ_U64(below("a"), 1, "within one");
	OK(board_find(3, &found) && found.applied_index == 30 &&
		   bytes_eq(found.region.start_key, bytes_cstr("m")) &&
		   bytes_eq(found.region.end_key, bytes_cstr("t")),
	   "by id, whole");
	while (n < 8 && board_walk_next(&walk, &found))
		seen[n++] = found.region.id;
	EQ_U64(n, 4, "all of them");
	OK(seen[0] == 1 && seen[1] == 2 && seen[2] == 3 && seen[3] == 4,
	   "in the order of keys");
}

static void
test_change(void)
{
	publish(2, "h", "k", 2);
	EQ_U64(at_key("g"), 0, "a start that moved up");
	EQ_U64(at_key("h"), 2, "and where it is now");
	publish(1, "", "h", 2);
	EQ_U64(at_key("g"), 1, "an end that moved");
	publish(2, "w", "x", 3);
	publish(4, "t", "w", 2);
	EQ_U64(at_key("w"), 2, "a start that moved past others");
	EQ_U64(below("w"), 4, "leaves the order right");
	board_remove(3);
	EQ_U64(at_key("n"), 0, "removed");
	OK(!board_find(3, &found), "by id, too");
	EQ_U64(at_key("u"), 4, "and only that one");
	board_publish_applied(4, 99);
	OK(board_find(4, &found) && found.applied_index == 99,
	   "applied moves alone");
}

static void
test_valid(void)
{
	BoardRegion seen;
	int64 now_us = board_now_us();

	publish(7, "p", "q", 5);
	OK(board_find(7, &seen) && board_still_valid(&seen, now_us),
	   "what was just seen holds");
	board_publish_applied(7, 1234);
	OK(board_still_valid(&seen, now_us), "also when it applied more");
	publish(7, "p", "q", 5);
	OK(board_still_valid(&seen, now_us),
	   "and when the same is published again");
	publish(7, "p", "q", 6);
	OK(!board_still_valid(&seen, now_us), "not with another epoch");
	OK(board_find(7, &seen), "seen again");
	entry.is_leader = false;
	board_publish(&entry);
	OK(!board_still_valid(&seen, now_us), "not without leadership");
	publish(7, "p", "q", 6);
	OK(board_find(7, &seen), "seen again");
	entry.term = 7;
	board_publish(&entry);
	OK(!board_still_valid(&seen, now_us), "not in another term");
	publish(7, "p", "q", 6);
	OK(board_find(7, &seen), "seen again");
	entry.region.flashback_start_ts = 9;
	board_publish(&entry);
	OK(!board_still_valid(&seen, now_us), "not once a flashback began");
	OK(board_find(7, &seen) && seen.region.flashback_start_ts == 9 &&
		   board_still_valid(&seen, now_us),
	   "which is seen");
	entry.region.flashback_start_ts = 0;
	board_publish(&entry);
	OK(!board_still_valid(&seen, now_us), "nor once it ended");
	entry.lease_end_us = now_us + 1000000;
	board_publish(&entry);
	OK(board_find(7, &seen) && board_still_valid(&seen, now_us),
	   "within the lease");
	OK(!board_still_valid(&seen, now_us + 1000000), "not at its end");
	board_remove(7);
	OK(!board_still_valid(&seen, now_us), "not when it is gone");
	publish(7, "p", "q", 6);
	OK(board_find(7, &seen), "back");
	board_reset();
	publish(7, "p", "q", 6);
	OK(!board_still_valid(&seen, now_us), "nothing holds over a restart");
}

static void
test_store(void)
{
	BoardStore store = {.generation = 77, .store_id = 5, .cluster_id = 6};

	board_publish_store(&store);
	board_store(&store);
	EQ_U64(store.generation, 2, "the generation is the board's own");
	EQ_U64(store.store_id, 5, "the rest is the store's");
	board_reset();
	board_store(&store);
	EQ_U64(store.store_id, 0, "a reset forgets who served");
}

static void
test_full(void)
{
	char start[16];
	char end[16];
	int wrong = 0;

	board_reset();
	for (int i = MAX_REGIONS - 1; i >= 0; i--)
	{
		snprintf(start, sizeof(start), "%04d", i);
		snprintf(end, sizeof(end), "%04d", i + 1);
		publish(i + 1, start, end, 1);
	}
	for (int i = 0; i < MAX_REGIONS; i++)
	{
		snprintf(start, sizeof(start), "%04d5", i);
		wrong += at_key(start) != (uint64) i + 1;
		wrong += below(start) != (uint64) i + 1;
	}
	EQ_U64(wrong, 0, "a full board finds all of its regions");
	entry.region.id = MAX_REGIONS + 1;
	OK(!board_publish(&entry), "one more is refused");
	board_remove(17);
	OK(board_publish(&entry), "unless there is room again");
	board_reset();
	EQ_U64(at_key("00175"), 0, "a reset empties it");
}

/* Ids come and go in any order: those that are there are found. */
static void
test_ids(void)
{
	static bool there[2000];
	char start[16];
	uint64 random = 1;
	int n = 0;
	int wrong = 0;

	board_reset();
	for (int i = 0; i < 20000; i++)
	{
		uint64 id;

		random = random * UINT64CONST(6364136223846793005) + 1442695;
		id = (random >> 33) % lengthof(there);
		if (there[id])
		{
			board_remove(id * 977);
			there[id] = false;
			n--;
		}
		else if (n < MAX_REGIONS)
		{
			snprintf(start, sizeof(start), "%04d", (int) id);
			publish(id * 977, start, "~", 1);
			there[id] = true;
			n++;
		}
		id = (random >> 20) % lengthof(there);
		wrong += board_find(id * 977, &found) != there[id];
	}
	EQ_U64(wrong, 0, "what is there is found, and nothing else");
	board_reset();
}

static char *
long_key(int i, int version, int len)
{
	static char keys[4][BOARD_KEY_MAX + 1];
	static int turn;
	char *key = keys[turn++ % 4];

	memset(key, 'x', (size_t) len);
	key[len] = 0;
	snprintf(key, 16, "%04d.%08d", i, version);
	key[13] = '-';
	return key;
}

/* Long bounds that change all the time; their memory is used again. */
static void
test_keys(void)
{
	int n = 0;
	int wrong = 0;

	board_reset();
	for (int version = 0; version < 200; version++)
		for (int i = 0; i < 20; i++)
		{
			publish((uint64) i + 1, long_key(i, version, 3000),
					long_key(i + 1, 0, 20), (uint64) version);
			wrong += at_key(long_key(i, version, 3001)) != (uint64) i + 1;
			wrong += !board_find((uint64) i + 1, &found) ||
				found.region.epoch.version != (uint64) version ||
				!bytes_eq(found.region.start_key,
						  bytes_cstr(long_key(i, version, 3000)));
		}
	EQ_U64(wrong, 0, "bounds that change are what they were set to");
	board_reset();
	for (;;)
	{
		entry.region.id = (uint64) n + 1;
		entry.region.start_key = bytes_cstr(long_key(n, 0, BOARD_KEY_MAX));
		entry.region.end_key = bytes_cstr(long_key(n, 1, BOARD_KEY_MAX));
		if (!board_publish(&entry))
			break;
		n++;
	}
	EQ_U64(n, MAX_REGIONS * BOARD_KEY_ROOM / (2 * BOARD_KEY_MAX),
		   "the longest of them are refused when their memory is full");
	EQ_U64(board_key_room() / (2 * BOARD_KEY_MAX), n, "as was said");
	for (int i = 0; i < n; i++)
		wrong += !board_find((uint64) i + 1, &found) ||
			!bytes_eq(found.region.start_key,
					  bytes_cstr(long_key(i, 0, BOARD_KEY_MAX)));
	EQ_U64(wrong, 0, "which leaves the others as they are");
	publish(2, long_key(1, 0, BOARD_KEY_MAX), long_key(1, 1, BOARD_KEY_MAX), 7);
	OK(board_find(2, &found) && found.region.epoch.version == 7,
	   "one whose bounds stay needs no room");
	entry.region.start_key = bytes_cstr(long_key(1, 2, BOARD_KEY_MAX));
	entry.region.end_key = bytes_cstr(long_key(1, 3, BOARD_KEY_MAX));
	OK(board_find(2, &found) && !board_publish(&entry),
	   "other bounds have no room");
	OK(!board_find(2, &found) && !board_same_region(&found) &&
		   at_key(long_key(1, 0, BOARD_KEY_MAX)) != 2,
	   "and the old ones are not told any more");
	publish(2, long_key(1, 0, BOARD_KEY_MAX), long_key(1, 1, BOARD_KEY_MAX), 8);
	board_remove(1);
	publish(1, "", long_key(0, 5, BOARD_KEY_MAX), 1);
	EQ_U64(at_key("0"), 1, "and there is room again when one goes");
	board_reset();
}

/* A bound that no board has room for is refused, and ends nobody. */
static void
test_too_long(void)
{
	static uint8 key[BOARD_KEY_MAX + 1];

	board_reset();
	publish(1, "", "", 1);
	entry.region.end_key = bytes_make(key, sizeof(key));
	OK(!board_publish(&entry), "a bound that is too long is refused");
	EQ_U64(at_key("a"), 0, "what it was is not told any more");
	entry.region.end_key.len--;
	OK(board_publish(&entry), "the longest is not");
	board_reset();
}

/* ------------------------------------------------- a writer that never rests */

#define LOOKS 100000

/*
 * Two regions whose border moves between "f", "m" and "s", with the version
 * that belongs to it: a reader must never see a mixture.
 */
static const char *const borders[] = {"f", "m", "s"};

static void
write_for_ever(void)
{
	for (uint64 i = 0;; i++)
	{
		const char *border = borders[i % 3];

		/* The one that shrinks first, so that there is no overlap. */
		if (i % 3 != 0)
		{
			publish(2, border, "", i % 3);
			publish(1, "", border, i % 3);
		}
		else
		{
			publish(1, "", border, i % 3);
			publish(2, border, "", i % 3);
		}
	}
}

static bool
is_whole(const BoardRegion *seen)
{
	Bytes border = bytes_cstr(borders[seen->region.epoch.version % 3]);

	if (seen->region.id == 1)
		return bytes_eq(seen->region.end_key, border) && seen->self.id == 101;
	return seen->region.id == 2 && bytes_eq(seen->region.start_key, border) &&
		seen->self.id == 102;
}

static void
test_torn(void)
{
	pid_t writer;
	int torn = 0;
	int known = 0;

	board_reset();
	publish(1, "", "f", 0);
	publish(2, "f", "", 0);
	writer = fork();
	if (writer == 0)
		write_for_ever();
	for (int i = 0; i < LOOKS; i++)
	{
		bool here = i % 2 == 0 ?
			board_find(1 + i % 4 / 2, &found) :
			board_find_key(bytes_cstr(i % 4 == 1 ? "a" : "z"), &found);

		known += here;
		torn += here && !is_whole(&found);
	}
	kill(writer, SIGKILL);
	waitpid(writer, NULL, 0);
	EQ_U64(torn, 0, "readers see no entry half written");
	OK(known > LOOKS / 2, "and mostly see one");
	board_reset();
	publish(1, "", "", 9);
	EQ_U64(at_key("k"), 1, "a successor mends what a killed writer left");
}

static void
test_max_ts(void)
{
	board_raise_max_ts(10);
	board_raise_max_ts(5);
	EQ_U64(board_max_ts(), 10, "max_ts is never lowered");
	board_raise_max_ts(PG_UINT64_MAX);
	EQ_U64(board_max_ts(), 10, "the greatest timestamp does not count");
	board_reset();
	EQ_U64(board_max_ts(), 10, "it outlives the store");
}

int
main(void)
{
	alarm(100);
	tikv_fdw_settings.max_regions = MAX_REGIONS;
	shim_start(16, 1024);
	shim_become(1);
	test_empty();
	test_find();
	test_change();
	test_valid();
	test_store();
	test_full();
	test_ids();
	test_keys();
	test_too_long();
	test_torn();
	test_max_ts();
	return unit_done();
}
