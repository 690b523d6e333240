/*
 * test_pd_kv_touched.c
 *	  Which transactions of etcd's put a key twice: the rule case by case, and
 *	  random lists against a look at every pair.
 */
#include "pd/core/kv_touched.h"

#include <stdlib.h>

#include "unit.h"

static Arena arena;

static KvRange
range(const char *key, const char *end)
{
	return (KvRange){bytes_cstr(key), bytes_cstr(end)};
}

static KvTouched
list(void)
{
	KvTouched touched;

	kv_touched_init(&touched, &arena);
	return touched;
}

static KvTouched
puts_one(const char *key)
{
	KvTouched touched = list();

	OK(kv_touch_put(&touched, bytes_cstr(key), 0), "a put");
	return touched;
}

static KvTouched
deletes_one(const char *key, const char *end)
{
	KvTouched touched = list();

	kv_touch_delete(&touched, range(key, end));
	return touched;
}

static void
test_one_list(void)
{
	KvTouched touched = deletes_one("b", "d");

	OK(kv_touched_once(&(KvTouched){.arena = &arena}), "nothing at all");
	OK(kv_touch_put(&touched, bytes_cstr("a"), 1), "before a deletion");
	OK(kv_touch_put(&touched, bytes_cstr("d"), 2), "at its end");
	OK(!kv_touch_put(&touched, bytes_cstr("b"), 3), "at its first key");
	OK(kv_touched_once(&touched), "two keys");
	OK(kv_touch_put(&touched, bytes_cstr("a"), 4) && !kv_touched_once(&touched),
	   "a key twice");
}

static void
test_inside(void)
{
	KvTouched none = list();
	KvTouched put = puts_one("k");
	KvTouched same = puts_one("k");
	KvTouched touched = list();

	OK(kv_touch_inside(&touched, &put, &same, 0) && kv_touched_once(&touched),
	   "in both lists of a transaction: one of them is done");
	EQ_U64(touched.n_puts, 1, "and counts once");
	OK(kv_touch_put(&touched, bytes_cstr("k"), 1) && !kv_touched_once(&touched),
	   "inside, and in the list itself");
	touched = list();
	OK(kv_touch_inside(&touched, &put, &none, 0) &&
		   kv_touch_inside(&touched, &none, &same, 1) &&
		   !kv_touched_once(&touched),
	   "in two transactions");
	touched = deletes_one("a", "z");
	OK(!kv_touch_inside(&touched, &none, &put, 0), "inside, and deleted here");
}

static void
test_deleted_inside(void)
{
	KvTouched none = list();
	KvTouched put = puts_one("k");
	KvTouched deletion = deletes_one("k", "");
	KvTouched touched = list();

	OK(kv_touch_inside(&touched, &put, &deletion, 0),
	   "one list puts, the other deletes");
	touched = list();
	OK(kv_touch_inside(&touched, &deletion, &none, 0) &&
		   !kv_touch_inside(&touched, &put, &none, 1),
	   "deleted in a transaction before");
	touched = list();
	OK(kv_touch_inside(&touched, &put, &none, 0) &&
		   kv_touch_inside(&touched, &none, &deletion, 1) &&
		   kv_touched_once(&touched),
	   "and in one behind it, which etcd lets pass");
	OK(!kv_touch_put(&touched, bytes_cstr("k"), 2),
	   "deleted inside, put by the list itself");
}

/* ---- random ---- */

#define RANGES 12

/* Of few letters, so that they meet. */
static Bytes
random_bytes(size_t most)
{
	size_t len = 1 + (size_t) rand() % most;
	uint8_t letters[4];

	for (size_t i = 0; i < len; i++)
		letters[i] = (uint8_t) ('a' + rand() % 3);
	return arena_copy(&arena, bytes_make(letters, len));
}

static KvRange
random_range(void)
{
	KvRange made = {random_bytes(3), bytes_empty()};

	switch (rand() % 4)
	{
		case 0:
			break;
		case 1:
			if (rand() % 8 == 0)
				made.end = bytes_make((const uint8_t *) "", 1);
			break;
		default:
			made.end = random_bytes(3);
			break;
	}
	return made;
}

static void
test_random(void)
{
	size_t n_deleted = 0;
	size_t n_wrong = 0;

	srand(4711);
	for (int round = 0; round < 20000; round++)
	{
		KvTouched touched = list();
		KvRange ranges[RANGES];
		size_t n = (size_t) rand() % (RANGES + 1);
		Bytes key = random_bytes(3);
		bool deleted = false;

		for (size_t i = 0; i < n; i++)
		{
			ranges[i] = random_range();
			kv_touch_delete(&touched, ranges[i]);
			deleted = deleted || kv_range_has(ranges[i], key);
		}
		n_deleted += deleted;
		n_wrong += kv_touch_put(&touched, key, 0) == deleted;
		arena_reset(&arena);
	}
	EQ_U64(n_wrong, 0, "20,000 keys against random ranges");
	OK(n_deleted > 5000 && n_deleted < 15000, "many of them deleted, many not");
}

int
main(void)
{
	arena_init(&arena);
	test_one_list();
	test_inside();
	test_deleted_inside();
	test_random();
	arena_free(&arena);
	return unit_done();
}
