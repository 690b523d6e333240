/*
 * low_rooms.c
 *	  Tables that are being made shorter: new rows go to their first blocks.
 *
 * The block is only where Postgres looks first, so a wrong one costs a look.
 * It is right almost always: nobody else inserts into raw, and few into the
 * tables of transactions.
 */
#include "postgres.h"

#include "access/heaptoast.h"
#include "access/htup_details.h"
#include "storage/bufmgr.h"
#include "storage/freespace.h"
#include "utils/rel.h"

#include "storage/bad_block.h"
#include "storage/low_rooms.h"
#include "storage/recent_page.h"

/* Blocks that one row may cost: some 40 us, if none is in memory. */
#define MAX_STEPS 16

typedef struct LowRooms
{
	Oid table; /* invalid: unused */
	Oid file;
	RoomMark mark;
} LowRooms;

static LowRooms rooms[LOW_ROOMS_TABLES];
static int n_rooms; /* that are in use: mostly none is */

/* A block that could not be read, as long as its table is compacted. */
typedef struct KnownBad
{
	Oid file; /* invalid: unused */
	BlockNumber block;
} KnownBad;

/* Of more than so many the first are tried again. */
#define MAX_BAD_BLOCKS 64

static KnownBad bad_blocks[MAX_BAD_BLOCKS];
static uint64 n_bad_blocks; /* that were found, ever */

Oid
heap_file(Relation heap)
{
	return heap->rd_rel->relfilenode;
}

static LowRooms *
find_rooms(Oid table)
{
	for (int i = 0; i < LOW_ROOMS_TABLES; i++)
		if (rooms[i].table == table)
			return &rooms[i];
	return NULL;
}

RoomMark *
low_rooms_begin(Relation heap, BlockNumber end)
{
	LowRooms *low = find_rooms(RelationGetRelid(heap));

	if (low == NULL)
	{
		low = find_rooms(InvalidOid);
		if (low == NULL)
			return NULL;
		n_rooms++;
	}
	low->table = RelationGetRelid(heap);
	low->file = heap_file(heap);
	room_mark_start(&low->mark, end);
	return &low->mark;
}

void
low_rooms_end(Oid table)
{
	LowRooms *low = OidIsValid(table) ? find_rooms(table) : NULL;

	if (low == NULL)
		return;
	for (int i = 0; i < MAX_BAD_BLOCKS; i++)
		if (bad_blocks[i].file == low->file)
			bad_blocks[i].file = InvalidOid;
	low->table = InvalidOid;
	n_rooms--;
}

void
low_rooms_reset(void)
{
	memset(rooms, 0, sizeof(rooms));
	memset(bad_blocks, 0, sizeof(bad_blocks));
	n_rooms = 0;
}

uint64
low_rooms_unreadable(void)
{
	return n_bad_blocks;
}

RoomMark *
low_rooms_mark(Relation heap)
{
	LowRooms *low;

	if (n_rooms == 0)
		return NULL;
	low = find_rooms(RelationGetRelid(heap));
	return low == NULL || low->file != heap_file(heap) ? NULL : &low->mark;
}

/* What a page must have for a row: as RelationGetBufferForTuple has it. */
static Size
room_for(Relation heap, Size len)
{
	Size full =
		MaxHeapTupleSize - MaxHeapTuplesPerPage / 8 * sizeof(ItemIdData);
	Size with_spare =
		len + RelationGetTargetPageFreeSpace(heap, HEAP_DEFAULT_FILLFACTOR);

	return with_spare > full ? Max(len, full) : with_spare;
}

/* What is left in its page of one whose value is moved out of line. */
#define SHORT_ROW 2304

static Size
inline_length(Relation heap, Size len)
{
	if (len > RelationGetToastTupleTarget(heap, TOAST_TUPLE_TARGET))
		len = Min(len, SHORT_ROW);
	return MAXALIGN(len);
}

/* ------------------------------------------------ blocks that cannot be read */

static bool
is_bad(Relation heap, BlockNumber block)
{
	for (int i = 0; i < MAX_BAD_BLOCKS && n_bad_blocks > 0; i++)
		if (bad_blocks[i].file == heap_file(heap) &&
			bad_blocks[i].block == block)
			return true;
	return false;
}

static void
note_bad(Relation heap, BlockNumber block, const ErrorData *error)
{
	KnownBad *bad = &bad_blocks[n_bad_blocks++ % MAX_BAD_BLOCKS];

	bad->file = heap_file(heap);
	bad->block = block;
	ereport(
		LOG,
		(errcode(error->sqlerrcode),
		 errmsg("block %u of table \"%s\" cannot be read: %s", block,
				RelationGetRelationName(heap), error->message),
		 errdetail(
			 "Rows that were to go there while the table is compacted go to the blocks behind it.")));
}

static bool
try_read(Relation heap, BlockNumber block)
{
	ErrorData *error = bad_block_try(heap, block);

	if (error == NULL)
		return true;
	note_bad(heap, block, error);
	FreeErrorData(error);
	return false;
}

/*
 * Pinned; InvalidBuffer: it cannot be read.  An error would fail the turn, and
 * all turns after it that have something to insert; one of a group even ends the
 * process.
 */
static Buffer
read_if_possible(Relation heap, BlockNumber block)
{
	Buffer buffer;

	if (is_bad(heap, block))
		return InvalidBuffer;
	buffer = page_in_memory(heap, block);
	if (!BufferIsValid(buffer) && try_read(heap, block))
		buffer = ReadBuffer(heap, block);
	return buffer;
}

/* ------------------------------------------------------------------- room */

/* The free bytes of a page, which is let go. */
static Size
free_of(Buffer buffer)
{
	Page page = BufferGetPage(buffer);
	Size room = 0;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	if (!PageIsNew(page))
		room = PageGetHeapFreeSpace(page);
	UnlockReleaseBuffer(buffer);
	return room;
}

/*
 * Those of a block that exists, none in one that cannot be read; the free space map is told if it is
 * not enough.  The map itself is not asked: after a crash it is one of long ago,
 * and VACUUM, which passes over pages that nobody has touched since, does not
 * mend it.
 */
static Size
room_in(Relation heap, BlockNumber block, Size need)
{
	Buffer buffer = read_if_possible(heap, block);
	Size room = BufferIsValid(buffer) ? free_of(buffer) : 0;

	if (room < need)
		RecordPageWithFreeSpace(heap, block, room);
	return room;
}

/*
 * A table is not cut without its target block being forgotten, so while the
 * mark is there the block is.
 */
static bool
aim(Relation heap, RoomMark *mark, Size need, Size *room)
{
	BlockNumber blocks = InvalidBlockNumber;

	for (int i = 0; i < MAX_STEPS; i++)
	{
		if (RelationGetTargetBlock(heap) != mark->next)
		{
			if (blocks == InvalidBlockNumber)
				blocks = RelationGetNumberOfBlocks(heap);
			if (mark->next >= blocks)
				return false;
		}
		*room = room_in(heap, mark->next, need);
		if (*room >= need)
		{
			room_mark_found(mark);
			RelationSetTargetBlock(heap, mark->next);
			return true;
		}
		if (blocks == InvalidBlockNumber)
			blocks = RelationGetNumberOfBlocks(heap);
		if (!room_mark_step(mark, blocks))
			return false;
	}
	return false;
}

BlockNumber
low_rooms_aim(Relation heap, Size len)
{
	RoomMark *mark = low_rooms_mark(heap);
	Size room;

	if (mark == NULL ||
		!aim(heap, mark, room_for(heap, inline_length(heap, len)), &room))
		return InvalidBlockNumber;
	return mark->next;
}

void
low_rooms_aim_update(Relation heap, const ItemPointerData *old, Size len)
{
	if (low_rooms_mark(heap) != NULL &&
		free_of(ReadBuffer(heap, ItemPointerGetBlockNumber(old))) <
			MAXALIGN(len))
		(void) low_rooms_aim(heap, len);
}

int
low_rooms_aim_many(Relation heap, int n, Size (*length)(void *arg, int i),
				   void *arg)
{
	RoomMark *mark = low_rooms_mark(heap);
	Size spare;
	Size room;
	int some = 0;

	if (mark == NULL)
		return n;
	if (!aim(heap, mark, room_for(heap, inline_length(heap, length(arg, 0))),
			 &room))
		return mark->next < mark->end ? 1 : n;
	spare = RelationGetTargetPageFreeSpace(heap, HEAP_DEFAULT_FILLFACTOR);
	do
	{
		Size taken =
			inline_length(heap, length(arg, some)) + sizeof(ItemIdData);

		room = room > taken ? room - taken : 0;
		some++;
	} while (some < n &&
			 room >= inline_length(heap, length(arg, some)) + spare);
	return some;
}
