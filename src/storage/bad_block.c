/*
 * bad_block.c
 *	  Blocks that cannot be read, and the free space map.
 *
 * An error does not say in a field of its own which block it is about.  Its text
 * does, in whatever language: each pair of numbers in it that may be a file of
 * ours and a block is tried, so a wrong guess costs a look.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "storage/freespace.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/resowner.h"

#include "storage/bad_block.h"
#include "storage/low_rooms.h"
#include "storage/table_names.h"

#define MAX_NUMBERS 16

typedef struct Search
{
	uint64 numbers[MAX_NUMBERS];
	int n;
	BadBlock *found;
	BadBlockAnswer answer;
} Search;

bool
bad_block_may_say(int sqlstate)
{
	return sqlstate == ERRCODE_DATA_CORRUPTED || sqlstate == ERRCODE_IO_ERROR;
}

/*
 * The subtransaction takes care of what a failed read leaves behind.  It is
 * rolled back in any case: it has done nothing, and the end of one that succeeds
 * would count as a command of the turn.
 */
ErrorData *
bad_block_try(Relation rel, BlockNumber block)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		ReleaseBuffer(ReadBuffer(rel, block));
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error != NULL && !bad_block_may_say(error->sqlerrcode))
		ReThrowError(error);
	return error;
}

static void
take_numbers(Search *search, const char *text)
{
	while (*text != '\0' && search->n < MAX_NUMBERS)
	{
		char *end;

		if (*text < '0' || *text > '9')
		{
			text++;
			continue;
		}
		search->numbers[search->n++] = strtou64(text, &end, 10);
		text = end;
	}
}

static bool
names(const Search *search, uint64 number)
{
	for (int i = 0; i < search->n; i++)
		if (search->numbers[i] == number)
			return true;
	return false;
}

/*
 * A table that the map knows no room in is tried at its last block, so that must
 * not be the bad one.  An empty page is what Postgres itself leaves there when
 * it has made a table longer.
 */
static void
add_block(Relation heap)
{
	Buffer buffer;

	LockRelationForExtension(heap, ExclusiveLock);
	buffer = ReadBuffer(heap, P_NEW);
	UnlockRelationForExtension(heap, ExclusiveLock);
	RecordPageWithFreeSpace(heap, BufferGetBlockNumber(buffer),
							BLCKSZ - SizeOfPageHeaderData);
	ReleaseBuffer(buffer);
}

static BadBlockAnswer
pass(Relation heap, BlockNumber block)
{
	bool is_target;
	bool is_last = block + 1 == RelationGetNumberOfBlocks(heap);
	bool has_room = GetRecordedFreeSpace(heap, block) > 0;

	(void) RelationGetSmgr(heap);
	is_target = RelationGetTargetBlock(heap) == block;
	if (!is_target && !is_last && !has_room)
		return BAD_BLOCK_ROWS;
	RelationSetTargetBlock(heap, InvalidBlockNumber);
	RecordPageWithFreeSpace(heap, block, 0);
	if (is_last)
		add_block(heap);
	return BAD_BLOCK_PASSED;
}

static void
look_at_block(Search *search, Relation rel, BlockNumber block)
{
	ErrorData *error = bad_block_try(rel, block);

	if (error == NULL)
		return;
	FreeErrorData(error);
	search->found->block = block;
	strlcpy(search->found->table,
			quote_qualified_identifier(
				get_namespace_name(RelationGetNamespace(rel)),
				RelationGetRelationName(rel)),
			sizeof(search->found->table));
	search->answer = rel->rd_rel->relkind == RELKIND_INDEX ? BAD_BLOCK_INDEX :
															 pass(rel, block);
}

static void
look_at_relation(Search *search, Relation rel)
{
	BlockNumber blocks;

	if (!names(search, heap_file(rel)))
		return;
	blocks = RelationGetNumberOfBlocks(rel);
	for (int i = 0; i < search->n && search->answer == BAD_BLOCK_NONE; i++)
		if (search->numbers[i] < blocks)
			look_at_block(search, rel, (BlockNumber) search->numbers[i]);
}

/* A table that somebody has locked is left alone. */
static void
look_at_table(Search *search, Oid oid)
{
	Relation heap;
	List *indexes;
	ListCell *cell;

	if (!OidIsValid(oid) || search->answer != BAD_BLOCK_NONE ||
		!ConditionalLockRelationOid(oid, RowExclusiveLock))
		return;
	heap = try_relation_open(oid, NoLock);
	if (heap == NULL)
		return;
	look_at_relation(search, heap);
	indexes = RelationGetIndexList(heap);
	foreach (cell, indexes)
	{
		Relation index = index_open(lfirst_oid(cell), RowExclusiveLock);

		if (search->answer == BAD_BLOCK_NONE)
			look_at_relation(search, index);
		index_close(index, NoLock);
	}
	list_free(indexes);
	look_at_table(search, heap->rd_rel->reltoastrelid);
	relation_close(heap, NoLock);
}

static void
look_at_tables(Search *search)
{
	Oid schema = get_namespace_oid("tikv_internal", true);

	for (int i = 0; OidIsValid(schema) && store_table_names[i] != NULL; i++)
		look_at_table(search, get_relname_relid(store_table_names[i], schema));
}

BadBlockAnswer
bad_block_pass(const ErrorData *error, BadBlock *found)
{
	Search search = {.found = found, .answer = BAD_BLOCK_NONE};
	MemoryContext context = CurrentMemoryContext;

	if (!bad_block_may_say(error->sqlerrcode))
		return BAD_BLOCK_NONE;
	take_numbers(&search, error->message);
	StartTransactionCommand();
	MemoryContextSwitchTo(context);
	look_at_tables(&search);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return search.answer;
}
