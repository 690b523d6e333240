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

void
expiry_map_reset(ExpiryMap *map)
{
	map->n = 0;
	map->next = 0;
}

void
expiry_map_resize(ExpiryMap *map, uint32_t n)
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
		map->earliest[i] = EXPIRY_UNKNOWN;
	map->n = n;
	if (map->next >= n)
		map->next = 0;
}

/*
 * A segment behind the known end is unknown anyway, and so is one that was
 * not looked at: what is noted must not hide what is still to be found.
 */
void
expiry_map_note(ExpiryMap *map, uint32_t segment, int64_t expires_at)
{
	if (segment < map->n && expires_at < map->earliest[segment])
		map->earliest[segment] = expires_at;
}

void
expiry_map_seen(ExpiryMap *map, uint32_t segment, int64_t earliest)
{
	if (segment < map->n)
		map->earliest[segment] = earliest;
}

bool
expiry_map_next(ExpiryMap *map, int64_t now_s, uint32_t *segment)
{
	for (uint32_t i = 0; i < map->n; i++)
	{
		uint32_t at = map->next;

		map->next = at + 1 == map->n ? 0 : at + 1;
		if (map->earliest[at] <= now_s)
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
		if (map->earliest[i] <= now_s)
			due++;
	return due;
}
