/*
 * test_deadlock.c
 *	  The graph of who waits for whom (txn-semantics 17).
 */
#include "core/txn/deadlock.h"

#include <stdlib.h>

#include "unit.h"

#define TTL_US 1000000

static Arena arena;

static WaitForEntry
edge(uint64_t txn, uint64_t wait_for, uint64_t hash, const char *key)
{
	WaitForEntry entry = {.txn = txn,
						  .wait_for_txn = wait_for,
						  .key_hash = hash,
						  .key = bytes_cstr(key),
						  .resource_group_tag = bytes_cstr("tag")};

	return entry;
}

static bool
detect(Deadlocks *d, uint64_t txn, uint64_t wait_for, int64_t now_us,
	   DeadlockFound *found)
{
	WaitForEntry entry = edge(txn, wait_for, txn * 100 + wait_for, "key");
	DeadlockFound ignored;

	return deadlocks_detect(d, &entry, now_us, &arena,
							found != NULL ? found : &ignored);
}

static void
cycles(void)
{
	Deadlocks *d = deadlocks_new(TTL_US, 1 << 20);
	DeadlockFound found;

	OK(!detect(d, 1, 2, 0, NULL), "one edge is no cycle");
	OK(detect(d, 2, 1, 1, &found), "txn-semantics 17: two edges may be one");
	OK(found.n_chain == 1 && found.chain[0].txn == 1 &&
		   found.chain[0].wait_for_txn == 2 && found.chain[0].key_hash == 102 &&
		   bytes_eq(found.chain[0].key, bytes_cstr("key")) &&
		   bytes_eq(found.chain[0].resource_group_tag, bytes_cstr("tag")),
	   "txn-semantics 17: the chain is what was there before");
	EQ_U64(found.key_hash, 102,
		   "txn-semantics 17: the hash of the edge that closes the cycle");
	EQ_U64(deadlocks_count(d), 1,
		   "txn-semantics 17: the edge asked about is not kept");
	OK(!detect(d, 2, 3, 2, NULL), "a longer way");
	OK(!detect(d, 2, 5, 2, NULL), "with a branch");
	OK(!detect(d, 5, 6, 2, NULL), "that leads nowhere");
	OK(!detect(d, 3, 4, 2, NULL), "and on");
	OK(detect(d, 4, 1, 3, &found), "comes round");
	OK(found.n_chain == 3 && found.chain[0].txn == 1 &&
		   found.chain[1].txn == 2 && found.chain[1].wait_for_txn == 3 &&
		   found.chain[2].txn == 3 && found.key_hash == 304,
	   "txn-semantics 17: the chain is in the order of waiting");
	OK(!detect(d, 4, 6, 4, NULL), "another edge from there is fine");
	deadlocks_free(d);
}

static void
time_to_live(void)
{
	Deadlocks *d = deadlocks_new(TTL_US, 1 << 20);

	detect(d, 1, 2, 0, NULL);
	OK(detect(d, 2, 1, TTL_US - 1, NULL), "an edge lives for its time");
	OK(!detect(d, 2, 1, TTL_US, NULL),
	   "txn-semantics 17: and closes no cycle after it");
	EQ_U64(deadlocks_count(d), 1, "the old edge is gone");
	deadlocks_clear(d);
	detect(d, 1, 2, 0, NULL);
	OK(!detect(d, 1, 2, TTL_US / 2, NULL), "the same edge again");
	OK(detect(d, 2, 1, TTL_US, NULL),
	   "txn-semantics 17: refreshes it and is no deadlock");
	deadlocks_free(d);
}

static void
cleaning_up(void)
{
	Deadlocks *d = deadlocks_new(TTL_US, 1 << 20);
	WaitForEntry a = edge(1, 2, 7, "a");
	WaitForEntry b = edge(1, 2, 8, "b");
	DeadlockFound found;

	deadlocks_detect(d, &a, 0, &arena, &found);
	deadlocks_detect(d, &b, 0, &arena, &found);
	deadlocks_detect(d, &b, 0, &arena, &found);
	EQ_U64(deadlocks_count(d), 1, "two keys share an edge");
	deadlocks_clean_up_wait_for(d, 1, 2, 7);
	OK(detect(d, 2, 1, 1, &found) && found.key_hash == 8,
	   "txn-semantics 17: an edge stays while one key is left");
	deadlocks_clean_up_wait_for(d, 1, 2, 9);
	deadlocks_clean_up_wait_for(d, 1, 3, 8);
	deadlocks_clean_up_wait_for(d, 4, 2, 8);
	EQ_U64(deadlocks_count(d), 1, "what is not there cannot be removed");
	deadlocks_clean_up_wait_for(d, 1, 2, 8);
	EQ_U64(deadlocks_count(d), 0, "txn-semantics 17: CleanUpWaitFor");
	EQ_U64(deadlocks_bytes(d), 0, "and its memory is given back");
	OK(!detect(d, 2, 1, 1, NULL), "no way back any more");

	detect(d, 5, 6, 1, NULL);
	detect(d, 5, 7, 1, NULL);
	deadlocks_clean_up(d, 5);
	deadlocks_clean_up(d, 99);
	EQ_U64(deadlocks_count(d), 1,
		   "txn-semantics 17: CleanUp removes all edges of a transaction");
	deadlocks_clear(d);
	EQ_U64(deadlocks_bytes(d), 0,
		   "txn-semantics 17: a new leader begins with nothing");
	deadlocks_free(d);
}

static void
bounds(void)
{
	Deadlocks *d = deadlocks_new(TTL_US, 4096);
	size_t most = 0;

	for (uint64_t i = 1; i < 1000; i++)
	{
		detect(d, i, i + 1, 0, NULL);
		if (deadlocks_bytes(d) > most)
			most = deadlocks_bytes(d);
	}
	OK(most <= 4096, "the graph keeps to its memory");
	OK(deadlocks_count(d) > 10, "and holds what fits");
	OK(!detect(d, 2000, 2001, TTL_US * 2, NULL), "one more, later");
	EQ_U64(deadlocks_count(d), 1, "takes the place of what is out of date");
	deadlocks_free(d);

	/* Many short-lived edges are swept away long before memory runs out. */
	d = deadlocks_new(TTL_US, (size_t) 1 << 30);
	most = 0;
	for (uint64_t i = 1; i < 50000; i++)
	{
		detect(d, i, i + 100000, (int64_t) i * (TTL_US / 100), NULL);
		if (deadlocks_count(d) > most)
			most = deadlocks_count(d);
	}
	OK(most <= 1024, "edges out of date do not pile up");
	deadlocks_free(d);
	deadlocks_free(NULL);
}

/* Against a plain search over a matrix of the live edges. */
static bool
reaches(bool m[8][8], int from, int to)
{
	bool seen[8] = {false};
	bool more = true;

	seen[from] = true;
	while (more)
	{
		more = false;
		for (int i = 0; i < 8; i++)
			for (int j = 0; j < 8; j++)
				if (seen[i] && m[i][j] && !seen[j])
					more = seen[j] = true;
	}
	return seen[to];
}

static void
against_a_matrix(void)
{
	uint32_t x = 12345;
	bool same = true;

	for (int round = 0; round < 200; round++)
	{
		Deadlocks *d = deadlocks_new(TTL_US, 1 << 20);
		bool m[8][8] = {{false}};

		for (int step = 0; step < 60; step++)
		{
			int a = (int) ((x = x * 1664525 + 1013904223) >> 24) % 8;
			int b = (int) ((x = x * 1664525 + 1013904223) >> 24) % 8;
			bool cycle = !m[a][b] && reaches(m, b, a);

			if (a == b)
				continue;
			if (x >> 28 == 0)
			{
				deadlocks_clean_up(d, (uint64_t) a + 1);
				memset(m[a], 0, sizeof(m[a]));
				continue;
			}
			same = same &&
				detect(d, (uint64_t) a + 1, (uint64_t) b + 1, 0, NULL) == cycle;
			m[a][b] = m[a][b] || !cycle;
			arena_reset(&arena);
		}
		deadlocks_free(d);
	}
	OK(same, "the same cycles as a search over a matrix");
}

/* Adds up what it is told. */
static void
sum_edge(void *arg, const WaitForEntry *entry)
{
	*(uint64_t *) arg += entry->txn * 100 + entry->wait_for_txn;
}

static void
inspection(void)
{
	Deadlocks *d = deadlocks_new(TTL_US, 1 << 20);
	uint64_t sum = 0;

	(void) detect(d, 1, 2, 0, NULL);
	(void) detect(d, 3, 4, TTL_US / 2, NULL);
	deadlocks_each(d, TTL_US / 2, &arena, sum_edge, &sum);
	EQ_U64(sum, 102 + 304, "all edges are told of");
	sum = 0;
	deadlocks_each(d, TTL_US, &arena, sum_edge, &sum);
	EQ_U64(sum, 304, "but for those that are out of date");
	deadlocks_clear(d);
	sum = 0;
	deadlocks_each(d, TTL_US, &arena, sum_edge, &sum);
	EQ_U64(sum, 0, "of an empty graph none");
	deadlocks_free(d);
}

int
main(void)
{
	arena_init(&arena);
	inspection();
	cycles();
	time_to_live();
	cleaning_up();
	bounds();
	against_a_matrix();
	arena_free(&arena);
	return unit_done();
}
