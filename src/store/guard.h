/*
 * guard.h
 *	  Reasons to refuse writes while Postgres still stands: disk space and
 *	  transaction ids.
 *
 * A WAL write that fails takes all of Postgres down, so the space of the data
 * and WAL directories is watched and writes stop before it is used up; the
 * same for transaction ids before Postgres would stop handing them out.
 */
#ifndef TIKV_STORE_GUARD_H
#define TIKV_STORE_GUARD_H

#include "postgres.h"

#include "core/base/space.h"

typedef struct Guard
{
	int64 checked_us; /* 0: never */
	GuardLevel disk;
	uint64 room;  /* bytes above the reserve, in the data directory */
	bool starved; /* already full, or was so and has hardly more since */
	bool xids_low;
	char reason[256]; /* of the newest refusal */
} Guard;

/* Look again if the last look is older than a moment.  Needs no transaction. */
extern void guard_refresh(Guard *guard, int64 now_us);

/*
 * May a file of the data directory grow by so many bytes?  Only if the reserve
 * stays whole.  Looks again as guard_refresh does.
 */
extern bool guard_has_room(Guard *guard, int64 now_us, uint64 bytes);

/*
 * May a write with this kvrpcpb.DiskFullOpt go on?  0 not allowed, 1 when
 * almost full, 2 when already full.
 */
extern bool guard_allows_disk(const Guard *guard, int disk_full_opt);

#endif /* TIKV_STORE_GUARD_H */
