/*
 * space.c
 *	  What the free space of a disk means, against the reserve that is kept.
 */
#include "core/base/space.h"

static GuardLevel
level_of(uint64_t free_bytes, uint64_t reserve)
{
	if (free_bytes >= reserve)
		return GUARD_OK;
	return free_bytes < reserve / 2 ? GUARD_ALREADY_FULL : GUARD_ALMOST_FULL;
}

Space
space_judge(uint64_t free_bytes, uint64_t reserve)
{
	return (Space){.level = level_of(free_bytes, reserve),
				   .room = free_bytes > reserve ? free_bytes - reserve : 0,
				   .recovered = free_bytes >= reserve / 2 + reserve / 8};
}

GuardLevel
space_level(const Space *data, const Space *wal)
{
	return data->level > wal->level ? data->level : wal->level;
}

bool
space_starved(const Space *data, const Space *wal, bool before)
{
	return space_level(data, wal) == GUARD_ALREADY_FULL ||
		(before && !(data->recovered && wal->recovered));
}
