/*
 * read.c
 *	  Reads of one key at a timestamp, and which locks stand in their way.
 *
 * Source: tikv/tikv components/txn_types/src/lock.rs (check_ts_conflict) and
 * src/storage/mvcc/reader/point_getter.rs; txn-semantics 23.
 */
#include "core/mvcc/read.h"

#include "core/base/check.h"
#include "core/mvcc/visible.h"

static bool
contains(const uint64_t *list, size_t n, uint64_t ts)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == ts)
			return true;
	return false;
}

/* Whether the rules of both levels that check locks let this one pass. */
static bool
lets_pass(const ReadContext *context, Bytes key, const Lock *lock)
{
	bool si = context->isolation == ISOLATION_SI;

	if (lock->type == LOCK_TYPE_SHARED)
		return true;
	if (si && lock->start_ts > context->ts)
		return true;
	if (lock->type == LOCK_TYPE_LOCK || lock->type == LOCK_TYPE_PESSIMISTIC)
		return true;
	if (si && lock->min_commit_ts > context->ts)
		return true;
	if (contains(context->resolved_locks, context->n_resolved_locks,
				 lock->start_ts))
		return true;

	/*
	 * The newest value of a primary is what is committed: its transaction
	 * has not committed while this lock is there, if the commit of the
	 * primary decides.  A replica may be behind that decision.
	 */
	return si && context->ts == UINT64_MAX && !context->replica_read &&
		bytes_eq(key, lock->primary) && !lock->use_async_commit &&
		!lock->use_one_pc;
}

LockVerdict
mvcc_lock_verdict(const ReadContext *context, Bytes key, const Lock *lock,
				  bool guard)
{
	if (context->isolation == ISOLATION_RC || lets_pass(context, key, lock))
		return LOCK_IGNORED;

	/* A lock does not know its commit_ts; a guard is not durable yet. */
	if (!guard && !context->need_commit_ts &&
		contains(context->committed_locks, context->n_committed_locks,
				 lock->start_ts))
		return LOCK_ACCESSED;
	return context->isolation == ISOLATION_SI ? LOCK_BLOCKS : LOCK_CONFLICTS;
}

static void
default_missing(uint64_t start_ts, ReadResult *result)
{
	result->outcome = READ_DEFAULT_MISSING;
	result->start_ts = start_ts;
}

void
mvcc_read_lock(MvccReader *reader, const MetLock *met, bool key_only,
			   Arena *arena, ReadResult *result)
{
	const Lock *lock = &met->lock;

	switch (met->verdict)
	{
		case LOCK_BLOCKS:
			result->outcome = READ_LOCKED;
			result->met = met;
			return;
		case LOCK_CONFLICTS:
			result->outcome = READ_CONFLICT;
			result->met = met;
			result->conflict_ts = lock->start_ts;
			return;
		default:
			CHECK(met->verdict == LOCK_ACCESSED);
			break;
	}
	result->outcome = lock->type == LOCK_TYPE_PUT ? READ_FOUND : READ_NOT_FOUND;
	if (lock->type != LOCK_TYPE_PUT || key_only)
		return;
	if (lock->has_short_value)
		result->value = lock->short_value;
	else if (!reader->get_value(reader, met->key, lock->start_ts, arena,
								&result->value))
		default_missing(lock->start_ts, result);
}

void
mvcc_read_from(MvccReader *reader, const ReadContext *context, Bytes key,
			   const WriteAt *from, bool key_only, Arena *arena,
			   ReadResult *result)
{
	WriteAt put;

	if (from->commit_ts > context->ts)
	{
		result->outcome = READ_CONFLICT;
		result->conflict_ts = from->write.start_ts;
		result->conflict_commit_ts = from->commit_ts;
		return;
	}
	result->outcome = READ_NOT_FOUND;
	if (!mvcc_get_put_from(reader, key, from, context->ts, arena, &put))
		return;
	result->outcome = READ_FOUND;
	result->commit_ts = put.commit_ts;
	if (!key_only &&
		!mvcc_load_value(reader, key, &put.write, arena, &result->value))
		default_missing(put.write.start_ts, result);
}

uint64_t
mvcc_look_from(const ReadContext *context)
{
	/* RcCheckTs wants to hear of anything newer than its timestamp. */
	return context->isolation == ISOLATION_RC_CHECK_TS ? UINT64_MAX :
														 context->ts;
}

void
mvcc_get(MvccReader *reader, const ReadContext *context, Bytes key,
		 const MetLock *met, Arena *arena, ReadResult *result)
{
	WriteAt from;

	memset(result, 0, sizeof(*result));
	result->key = key;
	if (met != NULL && met->verdict != LOCK_IGNORED)
		mvcc_read_lock(reader, met, false, arena, result);
	else if (reader->seek_write(reader, key, mvcc_look_from(context), arena,
								&from))
		mvcc_read_from(reader, context, key, &from, false, arena, result);
	else
		result->outcome = READ_NOT_FOUND;
}
