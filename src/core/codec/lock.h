/*
 * lock.h
 *	  The Lock record of CF lock, as TiKV encodes it.
 *
 * Source: tikv/tikv components/txn_types/src/lock.rs; txn-semantics 3.
 */
#ifndef TIKV_CODEC_LOCK_H
#define TIKV_CODEC_LOCK_H

#include "core/base/arena.h"
#include "core/base/status.h"

/* Values up to this long live in the Lock and Write records themselves. */
#define SHORT_VALUE_MAX_LEN 255

typedef enum LockType
{
	LOCK_TYPE_PUT = 'P',
	LOCK_TYPE_DELETE = 'D',
	LOCK_TYPE_LOCK = 'L',
	LOCK_TYPE_PESSIMISTIC = 'S',
	LOCK_TYPE_SHARED = 'H' /* a container of members */
} LockType;

/*
 * Where the last Put or Delete below a Lock or Rollback record lies.
 * (0, 0) unknown; (0, n) there is none, or a Delete; (ts, n) at ts, about n
 * versions on.
 */
typedef struct LastChange
{
	uint64_t ts;
	uint64_t versions;
} LastChange;

static inline bool
last_change_is_unknown(LastChange c)
{
	return c.ts == 0 && c.versions == 0;
}

static inline bool
last_change_not_exist(LastChange c)
{
	return c.ts == 0 && c.versions > 0;
}

/* A place is some versions away: (ts, 0) is none of the above. */
static inline bool
last_change_is_valid(LastChange c)
{
	return c.ts == 0 || c.versions > 0;
}

typedef struct Lock
{
	LockType type;
	Bytes primary;	   /* raw key */
	uint64_t start_ts; /* of its transaction */
	uint64_t ttl_ms;
	bool has_short_value;
	Bytes short_value;
	uint64_t for_update_ts; /* not 0: a pessimistic transaction */
	uint64_t txn_size;
	uint64_t min_commit_ts;
	bool use_async_commit;
	const Bytes *secondaries; /* raw keys; of an async primary */
	size_t n_secondaries;
	const uint64_t *rollback_ts;
	size_t n_rollback_ts;
	LastChange last_change;
	uint64_t txn_source;
	bool locked_with_conflict;
	uint64_t generation; /* pipelined DML */

	/* LOCK_TYPE_SHARED: one ordinary lock per transaction */
	bool shrink_only;
	struct Lock *members;
	size_t n_members;

	bool use_one_pc; /* in memory only */
} Lock;

extern Bytes lock_encode(const Lock *lock, Arena *arena);

/*
 * Byte strings are borrowed from `bytes`, lists live in the arena.  An
 * unknown tag ends the record, as in TiKV.  STATUS_CORRUPT if it is none.
 */
extern Status lock_decode(Bytes bytes, Arena *arena, Lock *lock) MUST_CHECK;

/* A copy that borrows nothing from the original. */
extern void lock_copy(const Lock *from, Arena *arena, Lock *to);

#endif /* TIKV_CODEC_LOCK_H */
