/*
 * last_look.c
 *	  The key of a transaction's table that was looked at last.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "storage/last_look.h"

bool last_look_is_on = false;

static uint8 *kept;
static Size room;
static Size len;

void
last_look_begin(void)
{
	last_look_is_on = true;
	len = 0;
}

void
last_look_end(void)
{
	last_look_is_on = false;
}

Bytes
last_look_key(void)
{
	return bytes_make(kept, len);
}

void
last_look_keep(Bytes key)
{
	if (key.len > room)
	{
		Size need = Max(key.len, 256);

		len = 0;
		room = 0;
		if (kept != NULL)
			pfree(kept);
		kept = NULL;
		kept = MemoryContextAlloc(TopMemoryContext, need);
		room = need;
	}
	if (key.len > 0)
		memcpy(kept, key.data, key.len);
	len = key.len;
}
