/*
 * id.c
 *	  Ids of stores, regions and peers: one counter, saved in steps.
 */
#include "pd/core/id.h"

#include <stdbool.h>

Status
id_take(IdAllocator *ids, uint32_t count, uint64_t *last, uint64_t *saved_end)
{
	uint64_t n = count == 0 ? 1 : count;

	if (n > ID_MAX_COUNT)
		return STATUS_TOO_LARGE;
	if (ids->last > UINT64_MAX - ID_MAX_COUNT - ID_STEP)
		return STATUS_UNAVAILABLE;

	ids->last += n;
	*last = ids->last;
	*saved_end = ids->saved;
	if (ids->last > ids->saved)
		*saved_end = ids->last - 1 + ID_STEP - (ids->last - 1) % ID_STEP;
	return STATUS_OK;
}
