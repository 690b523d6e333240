/*
 * expiry_map.c
 *	  Where in a table rows will expire, and when.
 */
#include "core/kv/expiry_map.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"

void
expiry_map_init(ExpiryMap *map)
{
	memset(map, 0, sizeof(*map));
}

void
expiry_map_free(ExpiryMap *map)
{
	free(map->earliest);
	expiry_map_init(map);
}

static void
extend(ExpiryMap *map, uint32_t n, int64_t earliest)
{
	if (n > map->room)
	{
		uint32_t room = n + n / 2 + 64;
		int64_t *grown = realloc(map->earliest, (size_t) room * sizeof(*grown));

		CHECK(grown != NULL);
		map->earliest = grown;
		map->room = room;
	}
	for (uint32_t i = map->n; i < n; i++)
		map->earliest[i] = earliest;
	map->n = n;
}

void
expiry_map_start(ExpiryMap *map, uint32_t n)
{
	map->n = 0;
	map->next = 0;
	map->started = true;
	extend(map, n, EXPIRY_UNKNOWN);
}

/*
 * Segments that the table got since the start hold nothing but what was noted.
 * A segment that was not looked at stays so: what is noted must not hide what
 * is still to be found.
 */
void
expiry_map_note(ExpiryMap *map, uint32_t segment, int64_t expires_at)
{
	if (!map->started)
		return;
	if (segment >= map->n)
		extend(map, segment + 1, EXPIRY_NEVER);
	if (map->earliest[segment] >= 0 && expires_at < map->earliest[segment])
		map->earliest[segment] = expires_at;
}

void
expiry_map_seen(ExpiryMap *map, uint32_t segment, int64_t earliest)
{
	if (segment < map->n)
		map->earliest[segment] = earliest;
}

void
expiry_map_put_off(ExpiryMap *map, uint32_t segment, int64_t until_s)
{
	CHECK(until_s > 0);
	if (segment < map->n)
		map->earliest[segment] = -until_s;
}

uint32_t
expiry_map_n_put_off(const ExpiryMap *map)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < map->n; i++)
		if (map->earliest[i] < 0)
			n++;
	return n;
}

static bool
is_due(const ExpiryMap *map, uint32_t segment, int64_t now_s)
{
	int64_t at = map->earliest[segment];

	return (at < 0 ? -at : at) <= now_s;
}

bool
expiry_map_next(ExpiryMap *map, int64_t now_s, uint32_t *segment)
{
	for (uint32_t i = 0; i < map->n; i++)
	{
		uint32_t at = map->next;

		map->next = at + 1 == map->n ? 0 : at + 1;
		if (is_due(map, at, now_s))
		{
			*segment = at;
			return true;
		}
	}
	return false;
}

uint32_t
expiry_map_due(const ExpiryMap *map, int64_t now_s)
{
	uint32_t due = 0;

	for (uint32_t i = 0; i < map->n; i++)
		if (is_due(map, i, now_s))
			due++;
	return due;
}
