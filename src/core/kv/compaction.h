/*
 * compaction.h
 *	  When a table is worth being made shorter, and in which block its rows
 *	  go then.
 *
 * A snapshot that somebody holds makes tables long, and afterwards each row
 * may lie in a page of its own.  The last rows are then moved to the first
 * blocks that have room: two marks walk towards each other, one from the end
 * of the table down over the rows, one from its beginning up over the room.
 */
#ifndef TIKV_KV_COMPACTION_H
#define TIKV_KV_COMPACTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Shorter tables are left as they are: 32 MiB. */
#ifdef TIKV_FAILPOINTS
#define COMPACTION_MIN_BLOCKS 512 /* tests do not write for long */
#else
#define COMPACTION_MIN_BLOCKS 4096
#endif

/*
 * Is a table of so many blocks worth it, if of those that were looked at so
 * many bytes are free?  Three quarters must be, so that it will have half its
 * length at most, with room for updates in its pages.  Nor may the rows of
 * these blocks have more out of line than is free: what is moved is written
 * anew with that, and a table of large values has little else to it.
 */
extern bool compaction_pays(uint32_t blocks, uint32_t looked_at,
							uint64_t free_bytes, uint64_t out_of_line,
							uint32_t block_bytes);

/* The mark that goes up. */
typedef struct RoomMark
{
	uint32_t next;	/* the block to be filled */
	uint32_t end;	/* rows belong below */
	uint32_t found; /* blocks that had room since it began at 0 */
	bool in_use;	/* `next` is one of them */
	bool met;		/* all below the end was looked at, once at least */
} RoomMark;

extern void room_mark_start(RoomMark *mark, uint32_t end);

/* The other mark has come down: rows from there on are gone. */
extern void room_mark_lower(RoomMark *mark, uint32_t end);

/* `next` has room. */
extern void room_mark_found(RoomMark *mark);

/*
 * `next` has no room: go on.  At the end it begins again at 0, where there may
 * be room by now; if there was little all the way, a few blocks more become
 * those where rows belong.  False if the table, of so many blocks, is full.
 */
extern bool room_mark_step(RoomMark *mark, uint32_t blocks);

#endif /* TIKV_KV_COMPACTION_H */
