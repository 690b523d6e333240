/*
 * key_error.c
 *	  TxnError -> kvrpcpb.KeyError, in the one place that does it.
 *
 * Which field a client acts on is txn-semantics 5.1.  `retryable` and `abort`
 * texts are for people, except that clients look for their presence.
 * Source: tikv/tikv src/storage/errors.rs.
 */
#include "core/base/check.h"
#include "service/messages.h"
#include "service/txn.h"

typedef unsigned long long Llu;

static ProtobufCBinaryData
to_wire(Bytes b)
{
	ProtobufCBinaryData out = {b.len, (uint8_t *) b.data};

	return out;
}

static Kvrpcpb__Op
op_of_lock(LockType type)
{
	switch (type)
	{
		case LOCK_TYPE_PUT:
			return KVRPCPB__OP__Put;
		case LOCK_TYPE_DELETE:
			return KVRPCPB__OP__Del;
		case LOCK_TYPE_LOCK:
			return KVRPCPB__OP__Lock;
		case LOCK_TYPE_PESSIMISTIC:
			return KVRPCPB__OP__PessimisticLock;
		default:
			return KVRPCPB__OP__SharedLock;
	}
}

static void
fill_secondaries(Kvrpcpb__LockInfo *out, const Lock *lock, Arena *arena)
{
	out->n_secondaries = lock->n_secondaries;
	out->secondaries =
		arena_alloc(arena, lock->n_secondaries * sizeof(*out->secondaries));
	for (size_t i = 0; i < lock->n_secondaries; i++)
		out->secondaries[i] = to_wire(lock->secondaries[i]);
}

static void
fill_members(Kvrpcpb__LockInfo *out, const LockInfo *info, Arena *arena)
{
	const Lock *lock = &info->lock;

	out->n_shared_lock_infos = lock->n_members;
	out->shared_lock_infos =
		arena_alloc(arena, lock->n_members * sizeof(*out->shared_lock_infos));
	for (size_t i = 0; i < lock->n_members; i++)
	{
		LockInfo member = {.key = info->key,
						   .lock = lock->members[i],
						   .ttl_ms = lock->members[i].ttl_ms};

		out->shared_lock_infos[i] = txn_lock_info_message(&member, arena);
	}
}

Kvrpcpb__LockInfo *
txn_lock_info_message(const LockInfo *info, Arena *arena)
{
	const Lock *lock = &info->lock;
	Kvrpcpb__LockInfo *out = arena_alloc(arena, sizeof(*out));

	kvrpcpb__lock_info__init(out);
	out->key = to_wire(info->key);
	out->lock_type = op_of_lock(lock->type);
	out->duration_to_last_update_ms = info->duration_to_last_update_ms;
	if (lock->type == LOCK_TYPE_SHARED)
	{
		fill_members(out, info, arena);
		return out;
	}
	out->primary_lock = to_wire(lock->primary);
	out->lock_version = lock->start_ts;
	out->lock_ttl = info->ttl_ms;
	out->txn_size = lock->txn_size;
	out->lock_for_update_ts = lock->for_update_ts;
	out->use_async_commit = lock->use_async_commit;
	out->min_commit_ts = lock->min_commit_ts;
	fill_secondaries(out, lock, arena);
	return out;
}

/* A zeroed part of a KeyError; the name is protobuf-c's. */
#define NEW_PART(part, type)                       \
	((part) = arena_alloc(arena, sizeof(*(part))), \
	 kvrpcpb__##type##__init(part), (part))

static void
write_conflict(Kvrpcpb__KeyError *out, const TxnError *error, Arena *arena)
{
	Kvrpcpb__WriteConflict *part;

	out->conflict = NEW_PART(part, write_conflict);
	part->start_ts = error->start_ts;
	part->conflict_ts = error->conflict_ts;
	part->conflict_commit_ts = error->conflict_commit_ts;
	part->key = to_wire(error->key);
	part->primary = to_wire(error->primary);
	part->reason = (Kvrpcpb__WriteConflict__Reason) error->reason;
	out->retryable = arena_printf(
		arena,
		"write conflict, start_ts: %llu, conflict_start_ts: %llu, conflict_commit_ts: %llu",
		(Llu) error->start_ts, (Llu) error->conflict_ts,
		(Llu) error->conflict_commit_ts);
}

static void
already_exist(Kvrpcpb__KeyError *out, const TxnError *error, Arena *arena)
{
	Kvrpcpb__AlreadyExist *part;

	out->already_exist = NEW_PART(part, already_exist);
	part->key = to_wire(error->key);
}

static Deadlock__WaitForEntry *
wait_for_entry(const WaitForEntry *from, Arena *arena)
{
	Deadlock__WaitForEntry *out = arena_alloc(arena, sizeof(*out));

	deadlock__wait_for_entry__init(out);
	out->txn = from->txn;
	out->wait_for_txn = from->wait_for_txn;
	out->key_hash = from->key_hash;
	out->key = to_wire(from->key);
	out->resource_group_tag = to_wire(from->resource_group_tag);
	return out;
}

static void
deadlock(Kvrpcpb__KeyError *out, const TxnError *error, Arena *arena)
{
	Kvrpcpb__Deadlock *part;

	out->deadlock = NEW_PART(part, deadlock);
	part->lock_ts = error->conflict_ts;
	part->lock_key = to_wire(error->key);
	part->deadlock_key_hash = error->deadlock_key_hash;
	part->n_wait_chain = error->n_wait_chain;
	part->wait_chain =
		arena_alloc(arena, error->n_wait_chain * sizeof(*part->wait_chain));
	for (size_t i = 0; i < error->n_wait_chain; i++)
		part->wait_chain[i] = wait_for_entry(&error->wait_chain[i], arena);
}

static void
commit_ts_expired(Kvrpcpb__KeyError *out, const TxnError *error, Arena *arena)
{
	Kvrpcpb__CommitTsExpired *part;

	out->commit_ts_expired = NEW_PART(part, commit_ts_expired);
	part->start_ts = error->start_ts;
	part->attempted_commit_ts = error->commit_ts;
	part->key = to_wire(error->key);
	part->min_commit_ts = error->min_commit_ts;
}

static void
txn_not_found(Kvrpcpb__KeyError *out, const TxnError *error, Arena *arena)
{
	Kvrpcpb__TxnNotFound *part;

	out->txn_not_found = NEW_PART(part, txn_not_found);
	part->start_ts = error->start_ts;
	part->primary_key = to_wire(error->key);
}

static void
commit_ts_too_large(Kvrpcpb__KeyError *out, const TxnError *error, Arena *arena)
{
	Kvrpcpb__CommitTsTooLarge *part;

	out->commit_ts_too_large = NEW_PART(part, commit_ts_too_large);
	part->commit_ts = error->min_commit_ts;
}

static void
assertion_failed(Kvrpcpb__KeyError *out, const TxnError *error, Arena *arena)
{
	Kvrpcpb__AssertionFailed *part;

	out->assertion_failed = NEW_PART(part, assertion_failed);
	part->start_ts = error->start_ts;
	part->key = to_wire(error->key);
	part->assertion = (Kvrpcpb__Assertion) error->assertion;
	part->existing_start_ts = error->existing_start_ts;
	part->existing_commit_ts = error->existing_commit_ts;
}

static void
primary_mismatch(Kvrpcpb__KeyError *out, const TxnError *error, Arena *arena)
{
	Kvrpcpb__PrimaryMismatch *part;

	out->primary_mismatch = NEW_PART(part, primary_mismatch);
	part->lock_info = txn_lock_info_message(&error->lock, arena);
}

static void
txn_lock_not_found(Kvrpcpb__KeyError *out, const TxnError *error, Arena *arena)
{
	Kvrpcpb__TxnLockNotFound *part;

	out->txn_lock_not_found = NEW_PART(part, txn_lock_not_found);
	part->key = to_wire(error->key);
	out->retryable =
		arena_printf(arena,
					 "txn lock not found, start_ts: %llu, commit_ts: %llu",
					 (Llu) error->start_ts, (Llu) error->commit_ts);
}

/*
 * What a person reads in `abort`.  It begins with TiKV's name of the error,
 * which its texts hold, too, and programs search for: TiDB's tests look for
 * PessimisticLockNotFound and its reason.
 */
static const char *
abort_text(const TxnError *error, Arena *arena)
{
	Llu start_ts = (Llu) error->start_ts;
	const char *why = error->text == NULL ? "" : error->text;

	switch (error->kind)
	{
		case TXN_COMMITTED:
			return arena_printf(arena,
								"Committed: start_ts: %llu, commit_ts: %llu",
								start_ts, (Llu) error->commit_ts);
		case TXN_PESSIMISTIC_LOCK_NOT_FOUND:
			return arena_printf(
				arena, "PessimisticLockNotFound: start_ts: %llu, reason: %s",
				start_ts, why);
		case TXN_PESSIMISTIC_LOCK_ROLLED_BACK:
			return arena_printf(arena,
								"PessimisticLockRolledBack: start_ts: %llu",
								start_ts);
		case TXN_LOCK_TYPE_NOT_MATCH:
			return arena_printf(arena, "LockTypeNotMatch: start_ts: %llu",
								start_ts);
		case TXN_INVALID_TXN_TSO:
			return arena_printf(
				arena, "InvalidTxnTso: start_ts: %llu, commit_ts: %llu",
				start_ts, (Llu) error->commit_ts);
		case TXN_KEY_TOO_LARGE:
			return arena_printf(
				arena,
				"KeyTooLarge: max key size exceeded, size: %llu, limit: %llu",
				(Llu) error->existing_start_ts, (Llu) error->commit_ts);
		case TXN_LOCK_IF_EXISTS_FAILED:
			return arena_printf(
				arena,
				"LockIfExistsFailed: lock_only_if_exists needs return_values, start_ts: %llu",
				start_ts);
		case TXN_DEFAULT_NOT_FOUND:
			return arena_printf(
				arena, "DefaultNotFound: start_ts: %llu: the value is missing",
				start_ts);
		default:
			return error->text == NULL ? "the command was refused" :
										 error->text;
	}
}

Kvrpcpb__KeyError *
txn_key_error(const TxnError *error, Arena *arena)
{
	Kvrpcpb__KeyError *out = arena_alloc(arena, sizeof(*out));

	kvrpcpb__key_error__init(out);
	switch (error->kind)
	{
		case TXN_KEY_IS_LOCKED:
			out->locked = txn_lock_info_message(&error->lock, arena);
			break;
		case TXN_WRITE_CONFLICT:
			write_conflict(out, error, arena);
			break;
		case TXN_ALREADY_EXIST:
			already_exist(out, error, arena);
			break;
		case TXN_DEADLOCK:
			deadlock(out, error, arena);
			break;
		case TXN_COMMIT_TS_EXPIRED:
			commit_ts_expired(out, error, arena);
			break;
		case TXN_TXN_NOT_FOUND:
			txn_not_found(out, error, arena);
			break;
		case TXN_COMMIT_TS_TOO_LARGE:
			commit_ts_too_large(out, error, arena);
			break;
		case TXN_ASSERTION_FAILED:
			assertion_failed(out, error, arena);
			break;
		case TXN_PRIMARY_MISMATCH:
			primary_mismatch(out, error, arena);
			break;
		case TXN_LOCK_NOT_FOUND:
			txn_lock_not_found(out, error, arena);
			break;
		default:
			CHECK(error->kind != TXN_OK);
			out->abort = (char *) abort_text(error, arena);
			break;
	}
	return out;
}

bool
txn_is_region_error(const TxnError *error, uint64_t region_id,
					RegionError *region_error)
{
	memset(region_error, 0, sizeof(*region_error));
	region_error->region_id = region_id;
	switch (error->kind)
	{
		case TXN_MAX_TS_NOT_SYNCED:
			region_error->kind = REGION_MAX_TS_NOT_SYNCED;
			return true;
		case TXN_FLASHBACK_IN_PROGRESS:
			region_error->kind = REGION_FLASHBACK_IN_PROGRESS;
			region_error->actual = error->start_ts;
			return true;
		case TXN_FLASHBACK_NOT_PREPARED:
			region_error->kind = REGION_FLASHBACK_NOT_PREPARED;
			return true;
		default:
			return false;
	}
}
