/*
 * compaction.c
 *	  When a table is worth being made shorter, and in which block its rows
 *	  go then.
 */
#include "core/kv/compaction.h"

/* Blocks by which the part grows that rows belong to: 512 KiB. */
#define GROWTH 64

/* One block in so many must have had room for another walk over all. */
#define WORTH_A_WALK 8

bool
compaction_pays(uint32_t blocks, uint32_t looked_at, uint64_t free_bytes,
				uint64_t out_of_line, uint32_t block_bytes)
{
	if (blocks < COMPACTION_MIN_BLOCKS || looked_at == 0 ||
		out_of_line > free_bytes)
		return false;
	return free_bytes >= (uint64_t) looked_at * block_bytes / 4 * 3;
}

void
room_mark_start(RoomMark *mark, uint32_t end)
{
	mark->next = 0;
	mark->end = end;
	mark->found = 0;
	mark->in_use = false;
	mark->met = end == 0;
}

void
room_mark_lower(RoomMark *mark, uint32_t end)
{
	if (end < mark->end)
		mark->end = end;
	if (mark->next >= mark->end)
		mark->met = true;
}

void
room_mark_found(RoomMark *mark)
{
	if (!mark->in_use)
		mark->found++;
	mark->in_use = true;
}

bool
room_mark_step(RoomMark *mark, uint32_t blocks)
{
	uint32_t most = mark->end + GROWTH;

	mark->in_use = false;
	mark->next++;
	if (mark->next < mark->end)
		return true;
	mark->met = true;
	if (mark->found > 0 && mark->found >= mark->end / WORTH_A_WALK)
		mark->next = 0;
	else
	{
		mark->next = mark->end;
		mark->end = most < blocks ? most : blocks;
	}
	mark->found = 0;
	return mark->next < mark->end;
}
