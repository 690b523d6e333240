/*
 * test_client_parts.c
 *	  What a client is made of: its buffer, its backoff, its region cache.
 */
#include <stdlib.h>

#include "client_kit.h"

/* ------------------------------------------------------------- the buffer */

static const char *
list(const MemBuffer *buffer, bool reverse)
{
	static char text[KIT_TEXT];
	const BufferEntry *entry = reverse ?
		membuffer_before(buffer, bytes_empty()) :
		membuffer_from(buffer, bytes_empty());
	size_t len = 0;

	text[0] = '\0';
	while (entry != NULL)
	{
		const char *mark = entry->op == BUFFER_PUT ? "=" :
			entry->op == BUFFER_DELETE			   ? "-" :
													 "";

		len += (size_t) snprintf(text + len, sizeof(text) - len,
								 "%s%.*s%s%.*s%s%s%s", len > 0 ? " " : "",
								 (int) entry->key.len,
								 (const char *) entry->key.data, mark,
								 (int) entry->value.len,
								 (const char *) entry->value.data,
								 entry->must_not_exist ? "!" : "",
								 entry->locked ? "L" : "",
								 entry->lock_wanted ? "W" : "");
		entry = reverse ? entry->prev : membuffer_next(entry);
	}
	return text;
}

static void
test_buffer(void)
{
	MemBuffer *buffer = membuffer_new();

	EQ_STR(list(buffer, false), "", "empty");
	OK(membuffer_before(buffer, K("x")) == NULL, "nothing before");
	membuffer_put(buffer, K("b"), K("1"), false);
	membuffer_put(buffer, K("a"), K("2"), true);
	membuffer_put(buffer, K("c"), K("3"), false);
	membuffer_delete(buffer, K("b"));
	EQ_STR(list(buffer, false), "a=2! b- c=3", "in order");
	EQ_STR(list(buffer, true), "c=3 b- a=2!", "and backwards");
	OK(membuffer_find(buffer, K("b"))->op == BUFFER_DELETE, "a key is found");
	OK(membuffer_find(buffer, K("bb")) == NULL, "only that key");
	OK(bytes_eq(membuffer_from(buffer, K("bb"))->key, K("c")),
	   "from a key that is not there");
	OK(bytes_eq(membuffer_before(buffer, K("b"))->key, K("a")),
	   "before excludes its bound");
	membuffer_free(buffer);
}

static void
test_stages(void)
{
	MemBuffer *buffer = membuffer_new();

	membuffer_put(buffer, K("a"), K("0"), false);
	EQ_U64(membuffer_stage(buffer), 1, "the first stage");
	membuffer_put(buffer, K("a"), K("1"), false);
	membuffer_put(buffer, K("b"), K("1"), true);
	membuffer_locked(buffer, K("b"), 7);
	EQ_U64(membuffer_stage(buffer), 2, "the second one");
	membuffer_delete(buffer, K("a"));
	membuffer_put(buffer, K("b"), K("2"), false);
	membuffer_want_lock(buffer, K("c"));
	EQ_STR(list(buffer, false), "a- b=2!L cW", "on top");
	membuffer_undo(buffer);
	EQ_STR(list(buffer, false), "a=1 b=1!L c", "the second one undone");
	OK(!membuffer_counts(membuffer_find(buffer, K("c"))),
	   "what was undone does not count");
	membuffer_undo(buffer);
	EQ_STR(list(buffer, false), "a=0 bL c", "locks stay");
	EQ_U64(membuffer_depth(buffer), 0, "no stage is left");
	membuffer_put(buffer, K("a"), K("9"), false);
	EQ_STR(list(buffer, false), "a=9 bL c", "and on it goes");
	membuffer_free(buffer);
}

/* A stage that was kept is undone with the one below it. */
static void
test_kept_stage(void)
{
	MemBuffer *buffer = membuffer_new();

	membuffer_stage(buffer);
	membuffer_put(buffer, K("a"), K("1"), false);
	membuffer_stage(buffer);
	membuffer_put(buffer, K("a"), K("2"), false);
	membuffer_put(buffer, K("b"), K("2"), false);
	membuffer_keep(buffer);
	membuffer_put(buffer, K("b"), K("3"), false);
	EQ_STR(list(buffer, false), "a=2 b=3", "kept");
	membuffer_undo(buffer);
	EQ_STR(list(buffer, false), "a b", "undone together");
	membuffer_free(buffer);
}

/* Against arrays, with random stages. */
#define N_MODEL 40
#define MODEL_DEPTH 6

static void
test_buffer_random(void)
{
	int model[MODEL_DEPTH + 1][N_MODEL] = {{0}};
	MemBuffer *buffer = membuffer_new();
	int depth = 0;
	bool same = true;

	srand(5);
	for (int step = 0; step < 20000; step++)
	{
		char key[16];
		int k = rand() % N_MODEL;

		(void) snprintf(key, sizeof(key), "k%d", k);
		switch (rand() % 12)
		{
			case 0:
				if (depth == MODEL_DEPTH)
					break;
				membuffer_stage(buffer);
				memcpy(model[depth + 1], model[depth], sizeof(model[0]));
				depth++;
				break;
			case 1:
				if (depth == 0)
					break;
				membuffer_undo(buffer);
				depth--;
				break;
			case 2:
				if (depth == 0)
					break;
				membuffer_keep(buffer);
				memcpy(model[depth - 1], model[depth], sizeof(model[0]));
				depth--;
				break;
			case 3:
				membuffer_delete(buffer, K(key));
				model[depth][k] = -1;
				break;
			default:
			{
				char value[16];

				model[depth][k] = 1 + rand() % 1000;
				(void) snprintf(value, sizeof(value), "%d", model[depth][k]);
				membuffer_put(buffer, K(key), K(value), false);
				break;
			}
		}
		for (int i = 0; i < N_MODEL; i++)
		{
			const BufferEntry *entry;
			int want = model[depth][i];

			(void) snprintf(key, sizeof(key), "k%d", i);
			entry = membuffer_find(buffer, K(key));
			if (want == 0)
				same &= entry == NULL || entry->op == BUFFER_NONE;
			else if (want < 0)
				same &= entry != NULL && entry->op == BUFFER_DELETE;
			else
			{
				char value[16];

				(void) snprintf(value, sizeof(value), "%d", want);
				same &= entry != NULL && entry->op == BUFFER_PUT &&
					bytes_eq(entry->value, K(value));
			}
		}
	}
	OK(same, "stages behave like copies");
	membuffer_free(buffer);
}

/* --------------------------------------------------------------- backoff */

static void
test_backoff(void)
{
	Backoff backoff;
	int64_t ms = 0;
	int64_t total = 0;

	backoff_init(&backoff, 1000, 1);
	OK(backoff_next(&backoff, BACKOFF_REGION_MISS, &ms), "a first wait");
	EQ_U64(ms, 2, "is the base");
	OK(backoff_next(&backoff, BACKOFF_REGION_MISS, &ms), "a second one");
	EQ_U64(ms, 4, "is twice as long");
	OK(backoff_next(&backoff, BACKOFF_TXN_NOT_FOUND, &ms), "another class");
	EQ_U64(ms, 2, "counts for itself");
	while (backoff_next(&backoff, BACKOFF_REGION_MISS, &ms))
	{
		OK(ms <= 500, "a wait has a cap");
		total += ms;
	}
	OK(total >= 900, "the budget is used");
	OK(!backoff_next(&backoff, BACKOFF_TXN_LOCK, &ms), "by all classes");
	OK(backoff_next(&backoff, BACKOFF_SERVER_BUSY, &ms),
	   "a busy server is counted apart");
	OK(ms >= 1000 && ms <= 2000, "half of a wait is random");
}

/* ----------------------------------------------------------- the regions */

static void
test_cache(void)
{
	RegionPeer nobody = {0};
	RegionPeer leader = {.id = 9};

	world_init();
	region_cache_put(&client.cache, &regions[0], leader);
	OK(region_cache_find(&client.cache, K("m"))->leader.id == 9,
	   "one region holds all");
	world_split("m");
	region_cache_put(&client.cache, &regions[1], leader);
	OK(region_cache_find(&client.cache, K("a")) == NULL,
	   "what overlaps with a newer one goes");
	EQ_U64(region_cache_find(&client.cache, K("m"))->region.id, 2,
		   "the start belongs to a region");
	region_cache_put(&client.cache, &regions[0], leader);
	EQ_U64(region_cache_find(&client.cache, K("lzzz"))->region.id, 1,
		   "the end does not");
	{
		Region old = regions[0];

		old.end_key = bytes_empty();
		old.epoch.version--;
		region_cache_put(&client.cache, &old, leader);
		EQ_U64(region_cache_find(&client.cache, K("z"))->region.id, 2,
			   "an older one changes nothing");
	}
	region_cache_set_leader(&client.cache, 2, (RegionPeer){.id = 11});
	EQ_U64(region_cache_find(&client.cache, K("z"))->leader.id, 11,
		   "another leader");
	region_cache_set_leader(&client.cache, 2, nobody);
	OK(region_cache_find(&client.cache, K("z")) == NULL,
	   "an unknown one: ask again");
	region_cache_drop(&client.cache, 77);
	region_cache_drop(&client.cache, 1);
	OK(region_cache_find(&client.cache, K("a")) == NULL, "dropped");
	world_free();
}

/* Bounds as regions have them, whatever the form of keys. */
static void
cache_by_bounds(void)
{
	RegionPeer leader = {.id = 9, .store_id = 4};
	Region left = {.id = 1, .end_key = bytes_cstr("m")};
	Region right = {.id = 2, .start_key = bytes_cstr("p")};
	RegionCache cache;

	region_cache_init(&cache);
	OK(region_cache_find_bound(&cache, bytes_empty(), false) == NULL,
	   "an empty cache knows nothing");
	region_cache_put(&cache, &left, leader);
	region_cache_put(&cache, &right, leader);
	EQ_U64(region_cache_find_bound(&cache, bytes_empty(), false)->region.id, 1,
		   "the first bound");
	EQ_U64(region_cache_find_bound(&cache, bytes_cstr("l"), false)->region.id,
		   1, "a bound in the left region");
	OK(region_cache_find_bound(&cache, bytes_cstr("m"), false) == NULL,
	   "its end is not in it");
	EQ_U64(region_cache_find_bound(&cache, bytes_cstr("m"), true)->region.id, 1,
		   "what is below its end is");
	OK(region_cache_find_bound(&cache, bytes_cstr("p"), true) == NULL,
	   "what is below the start of the right one is unknown");
	EQ_U64(region_cache_find_bound(&cache, bytes_cstr("p"), false)->region.id,
		   2, "its start is in it");
	EQ_U64(region_cache_find_bound(&cache, bytes_empty(), true)->region.id, 2,
		   "below the end of all");
	region_cache_drop(&cache, 2);
	OK(region_cache_find_bound(&cache, bytes_empty(), true) == NULL,
	   "which is unknown without it");
	region_cache_free(&cache);
}

int
main(void)
{
	test_buffer();
	test_stages();
	test_kept_stage();
	test_buffer_random();
	test_backoff();
	test_cache();
	cache_by_bounds();
	return unit_done();
}
