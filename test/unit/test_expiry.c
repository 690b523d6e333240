/*
 * test_expiry.c
 *	  Times to live, and the map of where rows will expire.
 */
#include "core/kv/expiry.h"
#include "core/kv/expiry_map.h"
#include "unit.h"

#define NOW INT64_C(1000)

static void
ttls(void)
{
	EQ_U64(expiry_of_ttl(0, NOW), 0, "no ttl: never");
	EQ_U64(expiry_of_ttl(5, NOW), 1005, "five seconds from now");
	EQ_U64(expiry_of_ttl(UINT64_MAX, NOW), INT64_MAX,
		   "as far away as can be told");
	OK(!expiry_passed(0, NOW) && !expiry_passed(1001, NOW) &&
		   expiry_passed(1000, NOW) && expiry_passed(999, NOW),
	   "a key is gone from its second on");
	EQ_U64(expiry_left_s(0, NOW), 0, "0 means that it never expires");
	EQ_U64(expiry_left_s(1005, NOW), 5, "seconds that are left");
	EQ_U64(expiry_left_s(expiry_of_ttl(UINT64_MAX, NOW), NOW),
		   UINT64_MAX - (uint64_t) NOW, "up to the end of 64 bits, as in TiKV");
	EQ_U64(expiry_left_s(INT64_MAX - 1, NOW), (uint64_t) (INT64_MAX - 1 - NOW),
		   "a second less is what it was");
	EQ_U64(expiry_of_ttl(expiry_left_s(INT64_MAX, NOW), NOW + 5), INT64_MAX,
		   "which another clock does not make less");
}

static void
map_of_segments(void)
{
	ExpiryMap map;
	uint32_t segment = 0;

	expiry_map_init(&map);
	expiry_map_note(&map, 1, NOW);
	OK(!expiry_map_next(&map, NOW, &segment), "nothing before the start");
	expiry_map_start(&map, 3);
	EQ_U64(expiry_map_due(&map, NOW), 3, "what was not looked at is due");
	expiry_map_note(&map, 1, NOW + 5);
	EQ_U64(expiry_map_due(&map, NOW), 3,
		   "a note does not hide what is still to be found");
	for (uint32_t i = 0; i < 3; i++)
	{
		OK(expiry_map_next(&map, NOW, &segment) && segment == i,
		   "one after the other");
		expiry_map_seen(&map, segment, EXPIRY_NEVER);
	}
	OK(!expiry_map_next(&map, NOW, &segment), "and then none");
	expiry_map_note(&map, 1, NOW + 10);
	expiry_map_note(&map, 1, NOW + 20);
	OK(!expiry_map_next(&map, NOW + 9, &segment), "not before its time");
	OK(expiry_map_next(&map, NOW + 10, &segment) && segment == 1,
	   "the earliest counts");
	EQ_U64(expiry_map_due(&map, NOW + 10), 1, "and is due until it was seen");
	expiry_map_seen(&map, 1, NOW + 20);
	OK(!expiry_map_next(&map, NOW + 19, &segment) &&
		   expiry_map_next(&map, NOW + 20, &segment),
	   "what is left comes later");
	expiry_map_note(&map, 1000, NOW);
	EQ_U64(expiry_map_due(&map, NOW), 1,
		   "new segments hold what was noted and nothing else");
	OK(expiry_map_next(&map, NOW, &segment) && segment == 1000, "at the end");
	expiry_map_start(&map, 2);
	EQ_U64(expiry_map_due(&map, NOW), 2, "of another table nothing is known");
	expiry_map_free(&map);
}

static void
map_with_one_put_off(void)
{
	ExpiryMap map;
	uint32_t segment = 0;

	expiry_map_init(&map);
	expiry_map_start(&map, 2);
	expiry_map_seen(&map, 0, EXPIRY_NEVER);
	EQ_U64(expiry_map_n_put_off(&map), 0, "none is put off");
	expiry_map_put_off(&map, 1, NOW + 10);
	expiry_map_put_off(&map, 2, NOW);
	EQ_U64(expiry_map_n_put_off(&map), 1, "one is, and none behind the end");
	expiry_map_note(&map, 1, NOW + 1);
	OK(!expiry_map_next(&map, NOW + 9, &segment),
	   "what expires in it makes it no sooner due");
	EQ_U64(expiry_map_due(&map, NOW + 9), 0, "nor counts");
	OK(expiry_map_next(&map, NOW + 10, &segment) && segment == 1,
	   "it is due when its time has come");
	EQ_U64(expiry_map_due(&map, NOW + 10), 1, "and counts");
	expiry_map_seen(&map, 1, NOW + 20);
	EQ_U64(expiry_map_n_put_off(&map), 0, "once it was seen it is like others");
	expiry_map_note(&map, 1, NOW + 15);
	OK(expiry_map_next(&map, NOW + 15, &segment) && segment == 1,
	   "and what is noted counts");
	expiry_map_free(&map);
}

int
main(void)
{
	ttls();
	map_of_segments();
	map_with_one_put_off();
	return unit_done();
}
