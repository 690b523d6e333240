/*
 * test_write_back.c
 *	  What is left of a file for its last flush is bounded, whatever it grows by.
 */
#include "core/snapshot/write_back.h"
#include "unit.h"

#define FILE_BYTES (200 * WRITE_BACK_PIECE)

/* All that was not waited for in the end; *waits: how often it was waited. */
static uint64_t
receive(uint64_t chunk, int *waits)
{
	WriteBack back = {0};
	uint64_t longest = 0;
	bool in_order = true;

	*waits = 0;
	while (back.written < FILE_BYTES)
	{
		uint64_t settle;

		back.written += chunk;
		back.told = write_back_tell(&back);
		settle = write_back_settle(&back);
		in_order &= settle <= back.told && settle >= back.settled;
		if (settle > back.settled)
			++*waits;
		if (settle - back.settled > longest)
			longest = settle - back.settled;
		back.settled = settle;
	}
	OK(in_order, "what is waited for was told before");
	OK(longest < 2 * WRITE_BACK_PIECE || longest <= chunk,
	   "no wait is for much more than a piece, or what has just come");
	return back.written - back.settled;
}

int
main(void)
{
	static const uint64_t chunks[] = {1000, 4096, 65536, 1 << 20, 3000000};
	WriteBack back = {0};
	int waits;

	back.written = WRITE_BACK_PIECE - 1;
	EQ_U64(write_back_tell(&back), 0, "less than a piece is left alone");
	back.written++;
	EQ_U64(write_back_tell(&back), WRITE_BACK_PIECE, "a piece is not");
	back.told = WRITE_BACK_AHEAD;
	EQ_U64(write_back_settle(&back), 0, "some pieces may be on their way");
	back.told++;
	EQ_U64(write_back_settle(&back), 1, "more are waited for");
	for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++)
	{
		uint64_t left = receive(chunks[i], &waits);

		OK(left < WRITE_BACK_AHEAD + WRITE_BACK_PIECE,
		   "little is left for the last flush");
		OK(waits > 50, "since it was waited on the way");
	}
	return unit_done();
}
