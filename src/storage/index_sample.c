/*
 * index_sample.c
 *	  How much of an index is free space.
 */
#include "postgres.h"

#include "access/nbtree.h"
#include "core/kv/compaction.h"
#include "storage/bufmgr.h"
#include "storage/index_sample.h"
#include "storage/lmgr.h"
#include "utils/rel.h"

/* Blocks that are looked at. */
#define SAMPLE 128

static Size
free_in_page(Page page)
{
	BTPageOpaque opaque;

	if (PageIsNew(page))
		return BLCKSZ;
	opaque = BTPageGetOpaque(page);
	if (P_IGNORE(opaque))
		return BLCKSZ;
	return P_ISLEAF(opaque) ? PageGetExactFreeSpace(page) : 0;
}

static Size
free_in_block(Relation index, BlockNumber block, BufferAccessStrategy ring)
{
	Buffer buffer =
		ReadBufferExtended(index, MAIN_FORKNUM, block, RBM_NORMAL, ring);
	Size bytes;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	bytes = free_in_page(BufferGetPage(buffer));
	UnlockReleaseBuffer(buffer);
	return bytes;
}

/* Not the first block, which is no page of the tree. */
bool
index_sample(Relation index, HeapSample *sample, bool (*enough)(void *arg),
			 void *arg)
{
	BlockNumber n = sample->blocks = RelationGetNumberOfBlocks(index);
	BufferAccessStrategy ring;
	bool more = n >= COMPACTION_MIN_BLOCKS;

	if (!more)
		return true;
	ring = GetAccessStrategy(BAS_BULKREAD);
	for (; more && sample->looked_at < SAMPLE; sample->looked_at++)
	{
		uint64 at = 1 + (uint64) sample->looked_at * (n - 1) / SAMPLE;

		sample->free_bytes += free_in_block(index, (BlockNumber) at, ring);
		more = !enough(arg);
	}
	FreeAccessStrategy(ring);
	return sample->looked_at == SAMPLE;
}

bool
index_has_leftover(const OpenTable *table)
{
	const char *name = RelationGetRelationName(table->index);
	Size len = strlen(name);

	for (int i = 0; i < table->indexes.n; i++)
	{
		Relation index = table->indexes.rels[i];
		const char *other = RelationGetRelationName(index);

		if (!index->rd_index->indisvalid && strncmp(other, name, len) == 0 &&
			strncmp(other + len, "_cc", 3) == 0)
			return true;
	}
	return false;
}

bool
table_is_being_changed(Oid table)
{
	if (!ConditionalLockRelationOid(table, ShareUpdateExclusiveLock))
		return true;
	UnlockRelationOid(table, ShareUpdateExclusiveLock);
	return false;
}
