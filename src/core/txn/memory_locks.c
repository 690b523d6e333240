/*
 * memory_locks.c
 *	  How many pessimistic locks may live in memory alone.
 *
 * A lock counts from the moment it is decided: as pending while its turn runs,
 * and once the turn has committed as one that there is.  What a turn releases
 * is free for the next one, and a lock that is taken again counts twice until
 * then: the limit may be felt a little early, but is never passed.
 */
#include "core/txn/memory_locks.h"

void
memory_locks_change(MemoryLocks *locks, int64_t bytes)
{
	if (bytes < 0 && (uint64_t) -bytes > locks->bytes)
		locks->bytes = 0;
	else
		locks->bytes += (uint64_t) bytes;
}

static bool
has_room(MemoryLocks *locks, uint64_t turn, uint64_t bytes, uint64_t limit)
{
	if (locks->turn != turn)
	{
		locks->turn = turn;
		locks->pending = 0;
	}
	return locks->bytes + locks->pending + bytes <= limit;
}

bool
memory_locks_admit(TxnEffects *effects, uint64_t region_id, uint64_t turn,
				   MemoryLocks *region, MemoryLocks *instance,
				   const MemoryLockLimits *limits)
{
	uint64_t bytes = 0;
	bool admitted;

	for (size_t i = 0; i < effects->n_modifies; i++)
		if (effects->modifies[i].memory_only)
			bytes += memory_lock_bytes(effects->modifies[i].key.len,
									   effects->modifies[i].bytes.len);
	if (bytes == 0)
		return true;
	admitted = has_room(region, turn, bytes, limits->region);
	admitted = has_room(instance, turn, bytes, limits->instance) && admitted;
	if (admitted)
	{
		region->pending += bytes;
		instance->pending += bytes;
	}
	for (size_t i = 0; i < effects->n_modifies; i++)
	{
		TxnModify *modify = &effects->modifies[i];

		if (modify->memory_only)
			modify->region_id = region_id;
		modify->memory_only = modify->memory_only && admitted;
	}
	return admitted;
}
