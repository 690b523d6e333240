/*
 * empty_log.c
 *	  The stored log of a sole-peer group: no entries.
 *
 * A group that asks for an entry it never stored has lost its way: CORRUPT.
 */
#include "core/raft/empty_log.h"

static Status
no_entries(void *arg, uint64_t low, uint64_t high, size_t max_bytes,
		   Arena *arena, RaftEntry **out, int *n)
{
	(void) arg;
	(void) low;
	(void) high;
	(void) max_bytes;
	(void) arena;
	(void) out;
	(void) n;
	return STATUS_CORRUPT;
}

static Status
no_term(void *arg, uint64_t index, uint64_t *term)
{
	(void) arg;
	(void) index;
	(void) term;
	return STATUS_CORRUPT;
}

static uint64_t
last_index(void *arg)
{
	return *(const uint64_t *) arg;
}

Status
raft_no_snapshot(void *arg, uint64_t to, uint64_t index, Arena *arena,
				 RaftSnapshot *out)
{
	(void) arg;
	(void) to;
	(void) index;
	(void) arena;
	(void) out;
	return STATUS_UNAVAILABLE;
}

RaftStorage
raft_empty_log(const uint64_t *applied)
{
	RaftStorage storage = {(void *) (uintptr_t) applied,
						   no_entries,
						   no_term,
						   last_index,
						   raft_no_snapshot,
						   NULL};

	return storage;
}
