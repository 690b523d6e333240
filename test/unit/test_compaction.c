/*
 * test_compaction.c
 *	  When a table is made shorter, and the mark that its rows go to.
 */
#include "core/kv/compaction.h"
#include "unit.h"

#define BLOCK 8192

static void
when_it_pays(void)
{
	uint64_t enough = (uint64_t) 4096 * BLOCK / 4 * 3;

	OK(!compaction_pays(4095, 4095, (uint64_t) 4095 * BLOCK, 0, BLOCK),
	   "a short table is left alone, however empty");
	OK(compaction_pays(4096, 4096, enough, 0, BLOCK),
	   "three quarters are enough");
	OK(!compaction_pays(4096, 4096, enough - 1, 0, BLOCK), "and nothing less");
	OK(compaction_pays(UINT32_MAX - 1, 4096, (uint64_t) 4096 * 7000, 0, BLOCK),
	   "what was looked at counts for all");
	OK(!compaction_pays(4096, 0, 0, 0, BLOCK), "nothing was looked at");
	OK(compaction_pays(4096, 4096, enough, enough, BLOCK),
	   "as much is written again as becomes free");
	OK(!compaction_pays(4096, 4096, enough, enough + 1, BLOCK),
	   "and no more than that");
}

static void
marks_meet(void)
{
	RoomMark mark;

	room_mark_start(&mark, 10);
	for (uint32_t i = 0; i < 5; i++)
	{
		OK(!mark.met && mark.next == i, "one block after the other");
		room_mark_found(&mark);
		OK(room_mark_step(&mark, 10), "there are more");
	}
	room_mark_lower(&mark, 8);
	OK(!mark.met && mark.end == 8, "the other mark has come down");
	room_mark_lower(&mark, 9);
	EQ_U64(mark.end, 8, "it goes up no more");
	room_mark_lower(&mark, 5);
	OK(mark.met, "they have met");

	room_mark_start(&mark, 10);
	room_mark_found(&mark);
	room_mark_found(&mark);
	EQ_U64(mark.found, 1, "a block counts once");
	for (int i = 0; i < 9; i++)
		OK(room_mark_step(&mark, 10) && !mark.met, "not yet");
	OK(room_mark_step(&mark, 10) && mark.met,
	   "the lower one alone has seen all");
	EQ_U64(mark.next, 0, "where it had found room it begins again");
	EQ_U64(mark.end, 10, "and needs no more");
}

static void
no_room(void)
{
	RoomMark mark;

	room_mark_start(&mark, 100);
	for (int i = 0; i < 100; i++)
	{
		if (i % 10 == 0)
			room_mark_found(&mark);
		OK(room_mark_step(&mark, 1000), "there are more");
	}
	EQ_U64(mark.next, 100, "for a tenth of them it does not walk again");

	room_mark_start(&mark, 2);
	OK(room_mark_step(&mark, 100) && !mark.met, "the second block");
	OK(room_mark_step(&mark, 100), "some behind the end are there");
	EQ_U64(mark.next, 2, "which come next");
	EQ_U64(mark.end, 66, "64 of them");
	for (int i = 0; i < 63; i++)
		OK(room_mark_step(&mark, 100), "one after the other");
	OK(room_mark_step(&mark, 100), "then the rest of the table");
	EQ_U64(mark.end, 100, "and no more than there is");
	for (int i = 0; i < 33; i++)
		OK(room_mark_step(&mark, 100), "all of it");
	OK(!room_mark_step(&mark, 100), "it is full");

	room_mark_start(&mark, 0);
	OK(mark.met, "an empty table has nothing to move");
	OK(!room_mark_step(&mark, 0), "and no room");
}

int
main(void)
{
	when_it_pays();
	marks_meet();
	no_room();
	return unit_done();
}
