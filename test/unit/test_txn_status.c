/*
 * test_txn_status.c
 *	  CheckTxnStatus, row by row.
 */
#include "txn_kit.h"

static Kit kit;

/* What is asked in most tests; the fields are set where they differ. */
static CheckTxnStatusCommand ask;

static void
fresh(uint64_t lock_ts, uint64_t caller_start_ts, uint64_t current_ts)
{
	kit_reset(&kit);
	memset(&ask, 0, sizeof(ask));
	ask.primary_key = K("pk");
	ask.lock_ts = lock_ts;
	ask.caller_start_ts = caller_start_ts;
	ask.current_ts = current_ts;
}

/* The answer as text: "commit20", "TTLExpireRollback", "NoAction ttl5 ...". */
static const char *
status(void)
{
	static const char *const names[] = {"NoAction",
										"TTLExpireRollback",
										"LockNotExistRollback",
										"MinCommitTSPushed",
										"TTLExpirePessimisticRollback",
										"LockNotExistDoNothing"};

	kit_next(&kit);
	txn_check_txn_status(&kit.env, &ask, &kit.answer);
	kit_apply(&kit);
	if (kit.answer.n_errors > 0)
		return kit_errors(&kit);
	kit_clear(&kit);
	kit_say(&kit, "%s", names[kit.answer.action]);
	kit_say_nonzero(&kit, "commit", kit.answer.commit_ts);
	kit_say_nonzero(&kit, "ttl", kit.answer.lock_ttl_ms);
	if (kit.answer.has_lock)
	{
		kit_say_bytes(&kit, " ", kit.answer.lock.key);
		kit_say(&kit, " ");
		kit_say_lock(&kit, &kit.answer.lock.lock);
	}
	return kit.text;
}

#define STATUS_IS(want, what) EQ_STR(status(), want, what)

static void
raises_max_ts(void)
{
	fresh(10, 30, 20);
	ask.rollback_if_not_exist = true;
	(void) status();
	EQ_U64(kit.m.max_ts, 30, "txn-semantics 11: max_ts rises to the caller's");
	fresh(10, 20, 30);
	(void) status();
	EQ_U64(kit.m.max_ts, 30, "or to current_ts");
	fresh(10, UINT64_MAX, UINT64_MAX);
	(void) status();
	EQ_U64(kit.m.max_ts, 10, "MAX does not count");
}

static void
other_primary(void)
{
	fresh(10, 15, MS(100));
	ask.primary_key = K("old");
	ask.verify_is_primary = true;
	ask.rollback_if_not_exist = true;
	LOCK("old", PESSIMISTIC, 10, .ttl_ms = 1000);
	STATUS_IS("LockNotExistRollback",
			  "txn-semantics 11.1 row 1: a leftover counts as missing");
	KEY_IS("old", "| 10=R@10p", "it goes, and the rollback lasts");
	RELEASED_IS("old@10>0", "and wakes waiters");
	LOCK("old", PESSIMISTIC, 10);
	STATUS_IS("NoAction", "rolled back before");
	KEY_IS("old", "| 10=R@10p", "it goes as well");
	LOCK("old", PESSIMISTIC, 20);
	PUT("old", 30, 20, "v");
	ask.lock_ts = 20;
	STATUS_IS("NoAction commit30", "or committed");
	KNOWN_IS("20>30", "which is remembered");
	fresh(10, 15, MS(100));
	ask.primary_key = K("old");
	ask.verify_is_primary = true;
	LOCK("old", PESSIMISTIC, 10);
	STATUS_IS("TxnNotFound old start10", "or not to be rolled back yet");
	KEY_IS("old", "S@10 |", "then it stays");
	ask.resolving_pessimistic_lock = true;
	STATUS_IS("PrimaryMismatch old S@10",
			  "txn-semantics 11.1 row 2: who asks is no better");
	LOCK("old", PUT, 10);
	ask.resolving_pessimistic_lock = false;
	STATUS_IS("PrimaryMismatch old P@10", "a prewritten lock is no leftover");
	KEY_IS("old", "P@10 |", "nothing happens");
	ask.verify_is_primary = false;
	STATUS_IS("TTLExpireRollback", "unverified, the lock decides");
}

static void
async_lock(void)
{
	fresh(10, MS(90), MS(100));
	LOCK("pk", PUT, 10, .ttl_ms = 5, .use_async_commit = true,
		 .min_commit_ts = 11);
	STATUS_IS("NoAction ttl5 pk P@10 ttl5 mc11 async",
			  "txn-semantics 11.1 row 3: an async lock is left alone");
	KEY_IS("pk", "P@10 ttl5 mc11 async |", "though it has expired");
	ask.force_sync_commit = true;
	STATUS_IS("TTLExpireRollback",
			  "txn-semantics 28 row 5: unless it is known to have fallen back");
	KEY_IS("pk", "| 10=R@10p", "then it is rolled back");
}

static void
force_lock(void)
{
	fresh(10, 15, 16);
	LOCK("pk", PESSIMISTIC, 10, .locked_with_conflict = true, .ttl_ms = 1000);
	PUT("pk", 20, 10, "v");
	STATUS_IS("NoAction commit20",
			  "txn-semantics 11.1 row 4: a stale force-lock, committed");
	KEY_IS("pk", "| 20=P@10", "it goes");
	KNOWN_IS("10>20", "the commit is remembered");
	RELEASED_IS("pk@10>0", "waiters wake");
	fresh(10, 15, 16);
	LOCK("pk", PESSIMISTIC, 10, .locked_with_conflict = true, .ttl_ms = 1000);
	ROLLBACK("pk", 10, true);
	STATUS_IS("NoAction", "rolled back");
	KEY_IS("pk", "| 10=R@10p", "it goes");
	fresh(10, 15, 16);
	LOCK("pk", PESSIMISTIC, 10, .locked_with_conflict = true, .ttl_ms = 1000);
	PUT("pk", 30, 25, "v");
	STATUS_IS("NoAction ttl1000 pk S@10 ttl1000 conflict", "undecided, alive");
	fresh(10, 15, 16);
	LOCK("pk", PESSIMISTIC, 10, .ttl_ms = 1000);
	PUT("pk", 20, 10, "v");
	STATUS_IS("NoAction ttl1000 pk S@10 ttl1000",
			  "an ordinary lock is not looked behind while it lives");
	fresh(10, 15, MS(2000));
	LOCK("pk", PESSIMISTIC, 10, .ttl_ms = 1000);
	PUT("pk", 20, 10, "v");
	STATUS_IS("NoAction commit20", "and does not undo a commit after");
	KEY_IS("pk", "| 20=P@10", "only the lock goes");
}

static void
expired(void)
{
	fresh(MS(10), 0, MS(16));
	ask.resolving_pessimistic_lock = true;
	LOCK("pk", PESSIMISTIC, MS(10), .ttl_ms = 5);
	STATUS_IS("TTLExpirePessimisticRollback",
			  "txn-semantics 11.1 row 5: the transaction may go on");
	KEY_IS("pk", "|", "no record");
	RELEASED_IS("pk@10ms>0", "waiters wake");
	fresh(MS(10), 0, MS(16));
	LOCK("pk", PESSIMISTIC, MS(10), .ttl_ms = 5);
	ROLLBACK("pk", MS(9), false);
	STATUS_IS("TTLExpireRollback", "txn-semantics 11.1 row 6: it may not");
	KEY_IS("pk", "| 10ms=R@10msp", "protected; the previous one collapses");
	RELEASED_IS("pk@10ms>0", "waiters wake");
	fresh(MS(10), 0, MS(16));
	LONG_LOCK("pk", MS(10));
	VALUE("pk", MS(10), "long");
	ROLLBACK("pk", MS(9), false);
	STATUS_IS("TTLExpireRollback", "txn-semantics 11.1 row 7: prewritten");
	KEY_IS("pk", "| 10ms=R@10msp", "without its value");
	fresh(MS(10), 0, MS(15));
	LOCK("pk", PUT, MS(10), .ttl_ms = 5);
	STATUS_IS("NoAction ttl5 pk P@10ms ttl5", "alive in its last millisecond");
	ask.current_ts = UINT64_MAX;
	STATUS_IS("TTLExpireRollback", "MAX ends everything");
	fresh(MS(10), 0, MS(16));
	LOCK("pk", PUT, MS(10), .ttl_ms = 5);
	PUT("pk", MS(12), MS(10), "v");
	STATUS_IS("NoAction commit12ms", "a commit beside the lock decides");
	KEY_IS("pk", "| 12ms=P@10ms", "and stays");
}

static void
pushed(void)
{
	fresh(10, 30, 20);
	LOCK("pk", PUT, 10, .ttl_ms = 5, .min_commit_ts = 30);
	STATUS_IS("MinCommitTSPushed ttl5 pk P@10 ttl5 mc31",
			  "txn-semantics 11.1 row 8: above the caller");
	KEY_IS("pk", "P@10 ttl5 mc31 |", "and written");
	ask.current_ts = 50;
	ask.caller_start_ts = 31;
	STATUS_IS("MinCommitTSPushed ttl5 pk P@10 ttl5 mc50", "or to current_ts");
	EQ_U64(kit.effects.n_released, 0, "nobody wakes");
	STATUS_IS("MinCommitTSPushed ttl5 pk P@10 ttl5 mc50",
			  "txn-semantics 11.1 row 9: it is there already");
	EQ_U64(kit.effects.n_modifies, 0, "nothing is written");
	ask.caller_start_ts = UINT64_MAX;
	STATUS_IS("MinCommitTSPushed ttl5 pk P@10 ttl5 mc50",
			  "a read at MAX passes anyway");
	EQ_U64(kit.effects.n_modifies, 0, "nothing is written");
	ask.caller_start_ts = 0;
	STATUS_IS("NoAction ttl5 pk P@10 ttl5 mc50",
			  "txn-semantics 11.1 row 10: nobody asks to read");
	LOCK("pk", PUT, 10, .ttl_ms = 5);
	ask.caller_start_ts = 60;
	STATUS_IS("NoAction ttl5 pk P@10 ttl5",
			  "txn-semantics 11.1 row 10: may not be pushed");
	EQ_U64(kit.effects.n_modifies, 0, "nothing is written");
	LOCK("pk", PESSIMISTIC, 10, .ttl_ms = 5, .min_commit_ts = 11);
	STATUS_IS("MinCommitTSPushed ttl5 pk S@10 ttl5 mc61",
			  "pessimistic locks are pushed");
	LOCK("pk", PUT, 10, .ttl_ms = 5, .min_commit_ts = 11,
		 .use_async_commit = true);
	ask.force_sync_commit = true;
	STATUS_IS("MinCommitTSPushed ttl5 pk P@10 ttl5 mc61 async",
			  "and async ones that fell back");
	ask.primary_key = K("k");
	LOCK("k", PUT, 10, .ttl_ms = 5, .min_commit_ts = 11);
	STATUS_IS("MinCommitTSPushed ttl5 pk P@10 ttl5 mc61",
			  "the report's key is the primary, not the one asked for");
}

static void
missing(void)
{
	fresh(10, 15, MS(100));
	PUT("pk", 20, 10, "v");
	LOCK("pk", PUT, 25);
	STATUS_IS("NoAction commit20", "txn-semantics 11.2 row 1: committed");
	KNOWN_IS("10>20", "which is remembered");
	fresh(10, 15, MS(100));
	ROLLBACK("pk", 10, false);
	STATUS_IS("NoAction", "txn-semantics 11.2 row 2: rolled back");
	WRITE("pk", 10, PUT, 5, .has_overlapped_rollback = true);
	STATUS_IS("NoAction", "also by a mark");
	fresh(10, 15, MS(100));
	STATUS_IS("TxnNotFound pk start10", "txn-semantics 11.2 row 3: nothing");
	ask.resolving_pessimistic_lock = true;
	STATUS_IS("TxnNotFound pk start10", "whatever is resolved");
	ask.rollback_if_not_exist = true;
	STATUS_IS("LockNotExistDoNothing", "txn-semantics 11.2 row 4");
	KEY_IS("pk", "|", "nothing is written");
	ask.resolving_pessimistic_lock = false;
	ROLLBACK("pk", 5, false);
	STATUS_IS("LockNotExistRollback", "txn-semantics 11.2 row 5");
	KEY_IS("pk", "| 10=R@10p 5=R@5", "protected, nothing collapses");
	fresh(10, 15, MS(100));
	ask.rollback_if_not_exist = true;
	LOCK("pk", PUT, 7, .use_async_commit = true, .min_commit_ts = 8);
	STATUS_IS("LockNotExistRollback", "below another's async lock");
	KEY_IS("pk", "P@7 mc8 async rb10 | 10=R@10p", "which is told");
	fresh(10, 15, MS(100));
	ask.rollback_if_not_exist = true;
	PUT("pk", 10, 5, "v");
	STATUS_IS("LockNotExistRollback", "on another's commit");
	KEY_IS("pk", "| 10=P@5+R+f0", "which is marked");
	SHARED("pk", MEMBER(LOCK, 10), MEMBER(LOCK, 11));
	STATUS_IS("PrimaryMismatch pk H{L@10, L@11}", "a shared key is no primary");
}

int
main(void)
{
	kit_init(&kit);
	raises_max_ts();
	other_primary();
	async_lock();
	force_lock();
	expired();
	pushed();
	missing();
	kit_free(&kit);
	return unit_done();
}
