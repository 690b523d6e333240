/*
 * txn_kit.h
 *	  Transaction commands over an MvccMemory, and their outcome as text.
 *
 * A test puts rows, runs a command and compares what is left with one line:
 *
 *		P@10 mc15 | 20=P@10+R+f0 5=R@5p | v10
 *
 * the lock of transaction 10, the records at 20 and 5, the long value.
 * Timestamps with milliseconds and no logical part print as "7ms".
 */
#ifndef TIKV_TEST_TXN_KIT_H
#define TIKV_TEST_TXN_KIT_H

#include <stdarg.h>

#include "mvcc_memory.h"
#include "unit.h"

#define KIT_TEXT 4096

typedef struct Kit
{
	MvccMemory m;
	Arena arena;
	TxnEffects effects;
	TxnEnv env;
	TxnAnswer answer;
	char text[KIT_TEXT];
	size_t len;
} Kit;

/* The timestamp of a millisecond. */
#define MS(ms) ((uint64_t) (ms) << 18)
#define K(s) bytes_cstr(s)

static inline void
kit_next(Kit *kit)
{
	arena_reset(&kit->arena);
	effects_init(&kit->effects, &kit->arena);
	memset(&kit->answer, 0, sizeof(kit->answer));
}

static inline void
kit_init(Kit *kit)
{
	memset(kit, 0, sizeof(*kit));
	memory_init(&kit->m);
	arena_init(&kit->arena);
	kit->env.reader = &kit->m.reader;
	kit->env.cm = &kit->m.cm;
	kit->env.arena = &kit->arena;
	kit->env.effects = &kit->effects;
	kit->env.max_ts_synced = true;
	kit_next(kit);
}

static inline void
kit_free(Kit *kit)
{
	arena_free(&kit->arena);
	memory_free(&kit->m);
}

/* Empty tables and an environment without wishes again. */
static inline void
kit_reset(Kit *kit)
{
	kit_free(kit);
	kit_init(kit);
}

/* What the driver does with the effects of a command that has answered. */
static inline void
kit_apply(Kit *kit)
{
	if (kit->answer.n_errors == 0 || kit->answer.keep_effects)
		memory_apply(&kit->m, &kit->effects);
}

/* ------------------------------------------------------------------ rows */

static inline void
kit_put_lock(Kit *kit, Bytes key, Lock lock)
{
	Arena arena;

	arena_init(&arena);
	memory_put(&kit->m, TXN_CF_LOCK, key, 0, lock_encode(&lock, &arena), false);
	arena_free(&arena);
}

static inline void
kit_put_write(Kit *kit, Bytes key, uint64_t commit_ts, WriteRecord write)
{
	Arena arena;

	arena_init(&arena);
	memory_put(&kit->m, TXN_CF_WRITE, key, commit_ts,
			   write_encode(&write, &arena), false);
	arena_free(&arena);
}

/* LOCK(key, PUT, 10, .ttl_ms = 5): of a transaction whose primary is "pk". */
#define LOCK(k, t, ts, ...)                                                \
	kit_put_lock(&kit, K(k),                                               \
				 (Lock){.type = LOCK_TYPE_##t,                             \
						.primary = K("pk"),                                \
						.start_ts = (ts),                                  \
						.has_short_value = LOCK_TYPE_##t == LOCK_TYPE_PUT, \
						__VA_ARGS__})
/* A Put whose value is in CF default. */
#define LONG_LOCK(k, ts)                       \
	kit_put_lock(&kit, K(k),                   \
				 (Lock){.type = LOCK_TYPE_PUT, \
						.primary = K("pk"),    \
						.start_ts = (ts)})
#define MEMBER(t, ts, ...)                                           \
	{                                                                \
		.type = LOCK_TYPE_##t, .primary = K("pk"), .start_ts = (ts), \
		__VA_ARGS__                                                  \
	}
#define SHARED(k, ...)                                                    \
	do                                                                    \
	{                                                                     \
		Lock members_[] = {__VA_ARGS__};                                  \
		kit_put_lock(&kit, K(k),                                          \
					 (Lock){.type = LOCK_TYPE_SHARED,                     \
							.members = members_,                          \
							.n_members =                                  \
								sizeof(members_) / sizeof(members_[0])}); \
	} while (0)
#define SHARED_CLOSED(k, ...)                                             \
	do                                                                    \
	{                                                                     \
		Lock members_[] = {__VA_ARGS__};                                  \
		kit_put_lock(&kit, K(k),                                          \
					 (Lock){.type = LOCK_TYPE_SHARED,                     \
							.shrink_only = true,                          \
							.members = members_,                          \
							.n_members =                                  \
								sizeof(members_) / sizeof(members_[0])}); \
	} while (0)
#define WRITE(k, commit, t, start, ...)                 \
	kit_put_write(&kit, K(k), commit,                   \
				  (WriteRecord){.type = WRITE_TYPE_##t, \
								.start_ts = (start),    \
								__VA_ARGS__})
#define PUT(k, commit, start, val) \
	WRITE(k, commit, PUT, start, .has_short_value = true, .short_value = K(val))
#define ROLLBACK(k, ts, prot) \
	kit_put_write(&kit, K(k), ts, write_rollback(ts, prot))
#define VALUE(k, ts, val) \
	memory_put(&kit.m, TXN_CF_VALUE, K(k), ts, K(val), false)

/* ------------------------------------------------------------------ text */

static inline void __attribute__((format(printf, 2, 3)))
kit_say(Kit *kit, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(kit->text + kit->len, KIT_TEXT - kit->len, fmt, args);
	va_end(args);
	CHECK(n >= 0 && kit->len + (size_t) n < KIT_TEXT);
	kit->len += (size_t) n;
}

static inline void
kit_clear(Kit *kit)
{
	kit->len = 0;
	kit->text[0] = '\0';
}

static inline void
kit_say_ts(Kit *kit, const char *before, uint64_t ts)
{
	if (ts >= MS(1) && (ts & (MS(1) - 1)) == 0)
		kit_say(kit, "%s%" PRIu64 "ms", before, ts >> 18);
	else
		kit_say(kit, "%s%" PRIu64, before, ts);
}

static inline void
kit_say_bytes(Kit *kit, const char *before, Bytes b)
{
	kit_say(kit, "%s%.*s", before, (int) b.len,
			b.len > 0 ? (const char *) b.data : "");
}

static inline void
kit_say_nonzero(Kit *kit, const char *name, uint64_t ts)
{
	if (ts != 0)
	{
		kit_say(kit, " %s", name);
		kit_say_ts(kit, "", ts);
	}
}

static inline void
kit_say_plain_lock(Kit *kit, const Lock *lock)
{
	kit_say(kit, "%c", lock->type);
	kit_say_ts(kit, "@", lock->start_ts);
	if (lock->ttl_ms != 0)
		kit_say(kit, " ttl%" PRIu64, lock->ttl_ms);
	kit_say_nonzero(kit, "fu", lock->for_update_ts);
	kit_say_nonzero(kit, "mc", lock->min_commit_ts);
	if (lock->use_async_commit)
		kit_say(kit, " async");
	for (size_t i = 0; i < lock->n_rollback_ts; i++)
		kit_say_nonzero(kit, "rb", lock->rollback_ts[i]);
	if (lock->locked_with_conflict)
		kit_say(kit, " conflict");
	if (lock->last_change.versions > 0)
		kit_say(kit, " lc%" PRIu64 "/%" PRIu64, lock->last_change.ts,
				lock->last_change.versions);
	kit_say_nonzero(kit, "gen", lock->generation);
}

static inline void
kit_say_lock(Kit *kit, const Lock *lock)
{
	if (lock->type != LOCK_TYPE_SHARED)
	{
		kit_say_plain_lock(kit, lock);
		return;
	}
	kit_say(kit, "H%s{", lock->shrink_only ? "!" : "");
	for (size_t i = 0; i < lock->n_members; i++)
	{
		if (i > 0)
			kit_say(kit, ", ");
		kit_say_plain_lock(kit, &lock->members[i]);
	}
	kit_say(kit, "}");
}

static inline void
kit_say_write(Kit *kit, const WriteAt *at)
{
	kit_say_ts(kit, kit->text[kit->len - 1] == ' ' ? "" : " ", at->commit_ts);
	kit_say(kit, "=%c", at->write.type);
	kit_say_ts(kit, "@", at->write.start_ts);
	if (write_is_protected(&at->write))
		kit_say(kit, "p");
	if (at->write.has_overlapped_rollback)
		kit_say(kit, "+R");
	if (at->write.has_gc_fence)
		kit_say(kit, "+f%" PRIu64, at->write.gc_fence);
	if (at->write.last_change.versions > 0)
		kit_say(kit, "+lc%" PRIu64 "/%" PRIu64, at->write.last_change.ts,
				at->write.last_change.versions);
	if (at->write.txn_source != 0)
		kit_say(kit, "+src%" PRIu64, at->write.txn_source);
}

/* All that is stored of a key. */
static inline const char *
kit_key(Kit *kit, const char *name)
{
	Bytes key = K(name);
	MemoryRow *row = memory_find(&kit->m, TXN_CF_LOCK, key, 0);
	uint64_t ts = UINT64_MAX;
	Arena arena;
	Lock lock;
	WriteAt at;

	arena_init(&arena);
	kit_clear(kit);
	if (row != NULL)
	{
		CHECK(lock_decode(row->bytes, &arena, &lock) == STATUS_OK);
		kit_say_lock(kit, &lock);
		kit_say(kit, "%s ", row->memory_only ? " memory" : "");
	}
	kit_say(kit, "|");
	while (memory_seek_write(&kit->m.reader, key, ts, &arena, &at))
	{
		kit_say_write(kit, &at);
		if (at.commit_ts == 0)
			break;
		ts = at.commit_ts - 1;
	}
	for (size_t i = 0; i < kit->m.n_rows; i++)
		if (kit->m.rows[i].cf == TXN_CF_VALUE &&
			bytes_eq(kit->m.rows[i].key, key))
			kit_say_ts(kit, " v", kit->m.rows[i].ts);
	arena_free(&arena);
	return kit->text;
}

/* Waiters that wake: "k@10>20" for a commit, "k@10>0" for a rollback. */
static inline const char *
kit_released(Kit *kit)
{
	kit_clear(kit);
	for (size_t i = 0; i < kit->effects.n_released; i++)
	{
		const TxnReleased *r = &kit->effects.released[i];

		kit_say_bytes(kit, i == 0 ? "" : " ", r->key);
		kit_say_ts(kit, "@", r->start_ts);
		kit_say_ts(kit, ">", r->commit_ts);
	}
	return kit->text;
}

/* What goes into the status cache: "10>20". */
static inline const char *
kit_known(Kit *kit)
{
	kit_clear(kit);
	for (size_t i = 0; i < kit->effects.n_known; i++)
	{
		kit_say_ts(kit, i == 0 ? "" : " ", kit->effects.known[i].start_ts);
		kit_say_ts(kit, ">", kit->effects.known[i].commit_ts);
	}
	return kit->text;
}

static const char *const kit_error_names[] = {
	[TXN_OK] = "Ok",
	[TXN_KEY_IS_LOCKED] = "KeyIsLocked",
	[TXN_WRITE_CONFLICT] = "WriteConflict",
	[TXN_ALREADY_EXIST] = "AlreadyExist",
	[TXN_DEADLOCK] = "Deadlock",
	[TXN_COMMIT_TS_EXPIRED] = "CommitTsExpired",
	[TXN_TXN_NOT_FOUND] = "TxnNotFound",
	[TXN_COMMIT_TS_TOO_LARGE] = "CommitTsTooLarge",
	[TXN_ASSERTION_FAILED] = "AssertionFailed",
	[TXN_PRIMARY_MISMATCH] = "PrimaryMismatch",
	[TXN_LOCK_NOT_FOUND] = "TxnLockNotFound",
	[TXN_COMMITTED] = "Committed",
	[TXN_PESSIMISTIC_LOCK_NOT_FOUND] = "PessimisticLockNotFound",
	[TXN_PESSIMISTIC_LOCK_ROLLED_BACK] = "PessimisticLockRolledBack",
	[TXN_LOCK_TYPE_NOT_MATCH] = "LockTypeNotMatch",
	[TXN_INVALID_TXN_TSO] = "InvalidTxnTso",
	[TXN_KEY_TOO_LARGE] = "KeyTooLarge",
	[TXN_LOCK_IF_EXISTS_FAILED] = "LockIfExistsFailed",
	[TXN_DEFAULT_NOT_FOUND] = "DefaultNotFound",
	[TXN_GENERATION_OUT_OF_ORDER] = "GenerationOutOfOrder",
	[TXN_MAX_TS_NOT_SYNCED] = "MaxTsNotSynced",
	[TXN_FLASHBACK_IN_PROGRESS] = "FlashbackInProgress",
	[TXN_FLASHBACK_NOT_PREPARED] = "FlashbackNotPrepared",
	[TXN_ABORT] = "Abort",
};

/* The errors of the answer: "TxnLockNotFound k start10 commit20". */
static inline const char *
kit_errors(Kit *kit)
{
	kit_clear(kit);
	for (size_t i = 0; i < kit->answer.n_errors; i++)
	{
		const TxnError *e = &kit->answer.errors[i];

		kit_say(kit, "%s%s", i == 0 ? "" : "; ", kit_error_names[e->kind]);
		if (e->kind == TXN_KEY_IS_LOCKED || e->kind == TXN_PRIMARY_MISMATCH)
		{
			kit_say_bytes(kit, " ", e->lock.key);
			kit_say(kit, " ");
			kit_say_lock(kit, &e->lock.lock);
			continue;
		}
		if (e->key.len > 0)
			kit_say_bytes(kit, " ", e->key);
		kit_say_nonzero(kit, "start", e->start_ts);
		kit_say_nonzero(kit, "commit", e->commit_ts);
		kit_say_nonzero(kit, "min", e->min_commit_ts);
		kit_say_nonzero(kit, "by", e->conflict_ts);
		kit_say_nonzero(kit, "at", e->conflict_commit_ts);
		kit_say_nonzero(kit, "existing", e->existing_start_ts);
		kit_say_nonzero(kit, "reason", e->reason);
	}
	return kit->text;
}

/* Lock infos: "k P@10, l P@10". */
static inline const char *
kit_infos(Kit *kit, const LockInfo *infos, size_t n)
{
	kit_clear(kit);
	for (size_t i = 0; i < n; i++)
	{
		kit_say_bytes(kit, i == 0 ? "" : ", ", infos[i].key);
		kit_say(kit, " ");
		kit_say_lock(kit, &infos[i].lock);
	}
	return kit->text;
}

/* -------------------------------------------------------------- commands */

/* RUN(txn_cleanup, CleanupCommand, .key = ...) on a `Kit kit`. */
#define RUN(function, Command, ...)                               \
	do                                                            \
	{                                                             \
		kit_next(&kit);                                           \
		function(&kit.env, &(Command){__VA_ARGS__}, &kit.answer); \
		kit_apply(&kit);                                          \
	} while (0)

#define KEY_IS(k, want, what) EQ_STR(kit_key(&kit, k), want, what)
#define ERRORS_ARE(want, what) EQ_STR(kit_errors(&kit), want, what)
#define RELEASED_IS(want, what) EQ_STR(kit_released(&kit), want, what)
#define KNOWN_IS(want, what) EQ_STR(kit_known(&kit), want, what)

#endif /* TIKV_TEST_TXN_KIT_H */
