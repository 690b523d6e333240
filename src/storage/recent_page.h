/*
 * recent_page.h
 *	  Pages that this process has had pinned a moment ago.
 *
 * The table of shared buffers has a chain per page, and a look-up waits for
 * memory twice.  Who reads the same pages again and again remembers the buffer
 * that held one; Postgres checks the memory as it pins the buffer
 * (ReadRecentBuffer), so that it may be wrong in any way.
 */
#ifndef TIKV_STORAGE_RECENT_PAGE_H
#define TIKV_STORAGE_RECENT_PAGE_H

#include "postgres.h"

#include "storage/block.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "utils/relcache.h"

/*
 * Where the page may be in memory; NULL if that is forgotten.  It may be
 * another page by now: an address to fetch ahead, not to read.  What pins the
 * page is on its way.
 */
extern Page recent_page_guess(BlockNumber block);

/* As ReadBuffer, of a block that exists in a table that is no temporary one. */
extern Buffer recent_page_pin(Relation rel, BlockNumber block);

/* The same if it is in shared memory and can be read; else InvalidBuffer. */
extern Buffer page_in_memory(Relation rel, BlockNumber block);

#endif /* TIKV_STORAGE_RECENT_PAGE_H */
