/*
 * space.h
 *	  What the free space of a disk means, against the reserve that is kept.
 */
#ifndef TIKV_BASE_SPACE_H
#define TIKV_BASE_SPACE_H

#include <stdbool.h>
#include <stdint.h>

typedef enum GuardLevel
{
	GUARD_OK,
	GUARD_ALMOST_FULL, /* below the reserve */
	GUARD_ALREADY_FULL /* below half of it */
} GuardLevel;

/* Of a directory. */
typedef struct Space
{
	GuardLevel level;
	uint64_t room;	/* bytes above the reserve */
	bool recovered; /* an eighth of the reserve more than half of it is free */
} Space;

extern Space space_judge(uint64_t free_bytes, uint64_t reserve);

/* The worse of two directories. */
extern GuardLevel space_level(const Space *data, const Space *wal);

/*
 * Already full, or was so (`before`) and has hardly more since: a disk at the
 * edge would take and refuse in turns.
 */
extern bool space_starved(const Space *data, const Space *wal, bool before);

#endif /* TIKV_BASE_SPACE_H */
