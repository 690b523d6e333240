/*
 * expiry_map.h
 *	  Where in a table rows will expire, and when: which parts are worth a
 *	  look of the sweeper.
 *
 * The table is cut into segments of some blocks.  Each has the earliest moment
 * at which a row in it may expire: EXPIRY_UNKNOWN until it was looked at,
 * EXPIRY_NEVER if nothing in it does.  Every row that will expire is noted when
 * it is written, so what the table had at the start is read once, and after
 * that only what is due.  Eight bytes per segment.
 *
 * A segment that cannot be looked at as a whole is put off until a moment, and
 * what is noted meanwhile brings that no nearer.
 */
#ifndef TIKV_KV_EXPIRY_MAP_H
#define TIKV_KV_EXPIRY_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPIRY_UNKNOWN INT64_C(0)
#define EXPIRY_NEVER INT64_MAX

typedef struct ExpiryMap
{
	int64_t
		*earliest; /* of each segment; below 0: put off until its negative */
	uint32_t n;
	uint32_t room;
	uint32_t next; /* where the search for one that is due goes on */
	bool started;
} ExpiryMap;

extern void expiry_map_init(ExpiryMap *map);
extern void expiry_map_free(ExpiryMap *map);

/* Begin with a table of n segments of which nothing is known. */
extern void expiry_map_start(ExpiryMap *map, uint32_t n);

/*
 * A row that expires then was put into the segment, which may lie behind the
 * end: the table has grown.  Nothing is noted before the start.
 */
extern void expiry_map_note(ExpiryMap *map, uint32_t segment,
							int64_t expires_at);

/* The segment was looked at: the earliest expiry that is left in it. */
extern void expiry_map_seen(ExpiryMap *map, uint32_t segment, int64_t earliest);

/* The segment is not due before then, which lies behind 0. */
extern void expiry_map_put_off(ExpiryMap *map, uint32_t segment,
							   int64_t until_s);

/* How many are put off, whether they are due again or not. */
extern uint32_t expiry_map_n_put_off(const ExpiryMap *map);

/* A segment that is due, round and round; false if there is none. */
extern bool expiry_map_next(ExpiryMap *map, int64_t now_s, uint32_t *segment);

/* How many are due. */
extern uint32_t expiry_map_due(const ExpiryMap *map, int64_t now_s);

#endif /* TIKV_KV_EXPIRY_MAP_H */
