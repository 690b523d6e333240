/*
 * txn_range.c
 *	  Which user keys and timestamps a transactional request names, and
 *	  whether the keys are the region's.
 *
 * The bounds of a region of transactional keys are memcomparable; keys in
 * requests and tables are not (DESIGN 2).
 */
#include "core/codec/memcomparable.h"
#include "service/txn.h"

static bool
contains(const Region *region, Bytes key)
{
	return (region->start_key.len == 0 ||
			memcomparable_cmp(key, region->start_key) >= 0) &&
		(region->end_key.len == 0 ||
		 memcomparable_cmp(key, region->end_key) < 0);
}

static bool
refuse(const Region *region, Bytes key, RegionError *error)
{
	memset(error, 0, sizeof(*error));
	error->kind = REGION_KEY_NOT_IN_REGION;
	error->region_id = region->id;
	error->key = key;
	error->current = region;
	return false;
}

static bool
check_keys(const Bytes *keys, size_t n, const Region *region,
		   RegionError *error)
{
	for (size_t i = 0; i < n; i++)
		if (!contains(region, keys[i]))
			return refuse(region, keys[i], error);
	return true;
}

static bool
check_mutations(const Mutation *mutations, size_t n, const Region *region,
				RegionError *error)
{
	for (size_t i = 0; i < n; i++)
		if (!contains(region, mutations[i].key))
			return refuse(region, mutations[i].key, error);
	return true;
}

static bool
check_command(const TxnCommand *command, const Region *region,
			  RegionError *error)
{
	switch (command->kind)
	{
		case TXN_CMD_PREWRITE:
		case TXN_CMD_FLUSH:
			return check_mutations(command->prewrite.mutations,
								   command->prewrite.n_mutations, region,
								   error);
		case TXN_CMD_PESSIMISTIC_LOCK:
			return check_mutations(command->pessimistic_lock.mutations,
								   command->pessimistic_lock.n_mutations,
								   region, error);
		case TXN_CMD_COMMIT:
			return check_keys(command->commit.keys, command->commit.n_keys,
							  region, error);
		case TXN_CMD_BATCH_ROLLBACK:
			return check_keys(command->batch_rollback.keys,
							  command->batch_rollback.n_keys, region, error);
		case TXN_CMD_CLEANUP:
			return check_keys(&command->cleanup.key, 1, region, error);
		case TXN_CMD_CHECK_TXN_STATUS:
			return check_keys(&command->check_txn_status.primary_key, 1, region,
							  error);
		case TXN_CMD_CHECK_SECONDARY_LOCKS:
			return check_keys(command->check_secondary_locks.keys,
							  command->check_secondary_locks.n_keys, region,
							  error);
		case TXN_CMD_RESOLVE_LOCK:
			return check_keys(command->resolve_lock.keys,
							  command->resolve_lock.n_keys, region, error);
		case TXN_CMD_TXN_HEART_BEAT:
			return check_keys(&command->txn_heart_beat.primary_key, 1, region,
							  error);
		case TXN_CMD_PESSIMISTIC_ROLLBACK:
			return check_keys(command->pessimistic_rollback.keys,
							  command->pessimistic_rollback.n_keys, region,
							  error);
		default:
			return true;
	}
}

/* Forward: the lower bound lies inside.  Reverse: the upper is in or at it. */
static bool
scan_starts_inside(const MvccScan *scan, const Region *region)
{
	if (!scan->reverse)
		return contains(region, scan->range.lower);
	if (scan->range.upper.len == 0)
		return true;
	return (region->start_key.len == 0 ||
			memcomparable_cmp(scan->range.upper, region->start_key) > 0) &&
		(region->end_key.len == 0 ||
		 memcomparable_cmp(scan->range.upper, region->end_key) <= 0);
}

bool
txn_check_range(const TxnRequest *txn, int method, const Region *region,
				RegionError *error)
{
	const MvccScan *scan = &txn->scan;

	if (method == METHOD_KV_SCAN)
		return scan_starts_inside(scan, region) ||
			refuse(region,
				   scan->reverse ? scan->range.upper : scan->range.lower,
				   error);
	if (txn->n_keys > 0)
		return check_keys(txn->keys, txn->n_keys, region, error);
	return check_command(&txn->command, region, error);
}

/* In API V1 a bound may be a raw key, between two encoded ones. */
KeyRange
txn_region_range(const Region *region, Arena *arena)
{
	/* The impossible range that nothing lies in: below the empty key. */
	static const uint8_t zero = 0;
	KeyRange nothing = {bytes_make(&zero, 1), bytes_make(&zero, 1)};
	KeyRange range = {bytes_empty(), bytes_empty()};

	if (region->start_key.len > 0)
		range.lower = memcomparable_ceil(region->start_key, arena);
	if (region->end_key.len == 0)
		return range;
	range.upper = memcomparable_ceil(region->end_key, arena);
	return range.upper.len == 0 ? nothing : range;
}

KeyRange
txn_clip_range(KeyRange range, KeyRange region)
{
	if (bytes_cmp(range.lower, region.lower) < 0)
		range.lower = region.lower;
	if (region.upper.len > 0 &&
		(range.upper.len == 0 || bytes_cmp(range.upper, region.upper) > 0))
		range.upper = region.upper;
	return range;
}

static uint64_t
newer(uint64_t a, uint64_t b)
{
	if (b == UINT64_MAX)
		return a;
	return a > b ? a : b;
}

uint64_t
txn_newest_ts(const TxnCommand *command)
{
	const PrewriteCommand *prewrite = &command->prewrite;
	const CheckTxnStatusCommand *status = &command->check_txn_status;
	const PessimisticLockCommand *lock = &command->pessimistic_lock;

	switch (command->kind)
	{
		case TXN_CMD_PREWRITE:
		case TXN_CMD_FLUSH:
			return newer(newer(prewrite->start_ts, prewrite->for_update_ts),
						 prewrite->min_commit_ts);
		case TXN_CMD_PESSIMISTIC_LOCK:
			return newer(newer(lock->start_ts, lock->for_update_ts),
						 lock->min_commit_ts);
		case TXN_CMD_COMMIT:
			return command->commit.commit_ts;
		case TXN_CMD_BATCH_ROLLBACK:
			return command->batch_rollback.start_ts;
		case TXN_CMD_CLEANUP:
			return newer(command->cleanup.start_ts,
						 command->cleanup.current_ts);
		case TXN_CMD_CHECK_TXN_STATUS:
			return newer(newer(status->lock_ts, status->caller_start_ts),
						 status->current_ts);
		case TXN_CMD_CHECK_SECONDARY_LOCKS:
			return command->check_secondary_locks.start_ts;
		case TXN_CMD_TXN_HEART_BEAT:
			return command->txn_heart_beat.min_commit_ts;
		case TXN_CMD_FLASHBACK_ROLLBACK_LOCKS:
		case TXN_CMD_FLASHBACK_WRITE:
			return newer(command->flashback.start_ts,
						 command->flashback.commit_ts);
		case TXN_CMD_SCAN_LOCK:
			return newer(0, command->scan_lock.max_ts);
		default:
			return 0;
	}
}
