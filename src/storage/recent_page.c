/*
 * recent_page.c
 *	  Pages that this process has had pinned a moment ago.
 *
 * A page's entry is at its number, so neighbours share a cache line.  Tables
 * are not told apart: those that meet at an entry drive each other out, and
 * Postgres finds out whose page it is.
 */
#include "postgres.h"

#include "pgstat.h"
#include "storage/buf_internals.h"
#include "utils/rel.h"

#include "storage/recent_page.h"

#define RECENT_PAGES 4096

/*
 * Postgres does not count such a pin as a use of the buffer, which keeps it
 * from being evicted; so each entry is forgotten after a while, and the page
 * looked up.
 */
#define RECENT_USES 8

static Buffer recent_buffer[RECENT_PAGES];
static uint8 recent_uses[RECENT_PAGES];

Page
recent_page_guess(BlockNumber block)
{
	Buffer buffer = recent_buffer[block % RECENT_PAGES];

	if (!BufferIsValid(buffer))
		return NULL;
	__builtin_prefetch(GetBufferDescriptor(buffer - 1), 1);
	return (Page) BufferGetBlock(buffer);
}

static bool
pin_recent(Relation rel, BlockNumber block, Buffer buffer)
{
#if PG_VERSION_NUM >= 160000
	return ReadRecentBuffer(rel->rd_locator, MAIN_FORKNUM, block, buffer);
#else
	return ReadRecentBuffer(rel->rd_node, MAIN_FORKNUM, block, buffer);
#endif
}

Buffer
recent_page_pin(Relation rel, BlockNumber block)
{
	int at = (int) (block % RECENT_PAGES);
	Buffer buffer = recent_buffer[at];

	if (BufferIsValid(buffer) && recent_uses[at] > 0 &&
		pin_recent(rel, block, buffer))
	{
		recent_uses[at]--;
		pgstat_count_buffer_read(rel);
		pgstat_count_buffer_hit(rel);
		return buffer;
	}
	buffer = ReadBuffer(rel, block);
	recent_buffer[at] = buffer;
	recent_uses[at] = RECENT_USES;
	return buffer;
}

Buffer
page_in_memory(Relation rel, BlockNumber block)
{
	Buffer buffer =
		PrefetchSharedBuffer(RelationGetSmgr(rel), MAIN_FORKNUM, block)
			.recent_buffer;

	/* One that could not be read may be known as well, and is not valid. */
	return BufferIsValid(buffer) && pin_recent(rel, block, buffer) ?
		buffer :
		InvalidBuffer;
}
