/*
 * bad_block.h
 *	  Blocks that cannot be read: which one an error is about, and out of the
 *	  free space map with it.
 *
 * Postgres chooses by that map where a new row goes.  A block that has room and
 * cannot be read would fail the turns that insert, one after the other.
 */
#ifndef TIKV_STORAGE_BAD_BLOCK_H
#define TIKV_STORAGE_BAD_BLOCK_H

#include "postgres.h"

#include "storage/block.h"
#include "utils/relcache.h"

typedef enum BadBlockAnswer
{
	BAD_BLOCK_NONE,	  /* none of our tables has one that the error names */
	BAD_BLOCK_ROWS,	  /* it has rows, and no row is put there anyway */
	BAD_BLOCK_PASSED, /* no row is put there any more */
	BAD_BLOCK_INDEX	  /* of an index, which has to be made anew */
} BadBlockAnswer;

typedef struct BadBlock
{
	BlockNumber block;
	char table[2 * NAMEDATALEN + 8]; /* or index, with its schema */
} BadBlock;

/* May a damaged page or a disk have said this? */
extern bool bad_block_may_say(int sqlstate);

/*
 * Look for the block that an error is about, in a transaction of its own.  What
 * is committed is only the free space map, which is no data.
 */
extern BadBlockAnswer bad_block_pass(const ErrorData *error, BadBlock *found);

/*
 * Within a subtransaction.  NULL: it can be read; else why not, in
 * CurrentMemoryContext.
 */
extern ErrorData *bad_block_try(Relation rel, BlockNumber block);

#endif /* TIKV_STORAGE_BAD_BLOCK_H */
