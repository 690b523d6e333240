/*
 * test_txn_secondary.c
 *	  CheckSecondaryLocks and TxnHeartBeat, row by row.
 */
#include "txn_kit.h"

static Kit kit;

static const char *
check(uint64_t start_ts, const Bytes *keys, size_t n_keys)
{
	RUN(txn_check_secondary_locks, CheckSecondaryLocksCommand, .keys = keys,
		.n_keys = n_keys, .start_ts = start_ts);
	if (kit.answer.n_errors > 0)
		return kit_errors(&kit);
	if (kit.answer.n_locks > 0)
		return kit_infos(&kit, kit.answer.locks, kit.answer.n_locks);
	kit_clear(&kit);
	kit_say(&kit, kit.answer.commit_ts > 0 ? "committed" : "rolled back");
	kit_say_nonzero(&kit, "", kit.answer.commit_ts);
	return kit.text;
}

static const char *
check_key(const char *key, uint64_t start_ts)
{
	Bytes keys[] = {K(key)};

	return check(start_ts, keys, 1);
}

static void
locked(void)
{
	Bytes keys[] = {K("a"), K("b"), K("c")};

	kit_reset(&kit);
	LOCK("a", PUT, 10, .use_async_commit = true, .min_commit_ts = 11);
	LOCK("b", LOCK, 10);
	LOCK("c", DELETE, 10);
	EQ_STR(check(10, keys, 3), "a P@10 mc11 async, b L@10, c D@10",
		   "txn-semantics 12 row 1: all are prewritten");
	EQ_U64(kit.effects.n_modifies, 0, "nothing is written");
	EQ_U64(kit.m.max_ts, 10, "max_ts rises");
	LOCK("b", PESSIMISTIC, 10);
	LOCK("c", PESSIMISTIC, 10);
	EQ_STR(check(10, keys, 3), "rolled back", "one key decides");
	KEY_IS("b", "| 10=R@10p", "it is rolled back");
	KEY_IS("c", "S@10 |", "those behind it are not looked at");
	EQ_U64(kit.answer.n_locks, 0, "those before it are not reported");
}

static void
pessimistic(void)
{
	kit_reset(&kit);
	LOCK("k", PESSIMISTIC, 10);
	ROLLBACK("k", 5, false);
	EQ_STR(check_key("k", 10), "rolled back",
		   "txn-semantics 12 row 2: not prewritten in time");
	KEY_IS("k", "| 10=R@10p", "txn-semantics 28 row 9: for good");
	RELEASED_IS("k@10>0", "waiters wake");
	LOCK("k", PESSIMISTIC, 20, .locked_with_conflict = true);
	EQ_STR(check_key("k", 20), "rolled back", "a force-lock likewise");
	KEY_IS("k", "| 20=R@20p 10=R@10p", "while its fate is open");
	kit_reset(&kit);
	PUT("k", 10, 5, "v");
	LOCK("k", PESSIMISTIC, 10);
	EQ_STR(check_key("k", 10), "rolled back", "on another's commit");
	KEY_IS("k", "| 10=P@5+R+f0", "the commit is marked");
	kit_reset(&kit);
	PUT("k", 20, 10, "v");
	LOCK("k", PESSIMISTIC, 10, .locked_with_conflict = true);
	EQ_STR(check_key("k", 10), "committed 20",
		   "txn-semantics 12 row 3: a stale force-lock, committed");
	KEY_IS("k", "| 20=P@10", "it goes");
	KNOWN_IS("10>20", "the commit is remembered");
	ROLLBACK("k", 8, false);
	LOCK("k", PESSIMISTIC, 8, .locked_with_conflict = true);
	EQ_STR(check_key("k", 8), "rolled back", "rolled back");
	KEY_IS("k", "| 20=P@10 8=R@8", "nothing but the lock goes");
	LOCK("k", PESSIMISTIC, 10);
	EQ_STR(check_key("k", 10), "committed 20",
		   "a commit beside an ordinary lock decides as well");
	KEY_IS("k", "| 20=P@10 8=R@8", "only the lock goes");
}

static void
no_lock(void)
{
	kit_reset(&kit);
	PUT("k", 20, 10, "v");
	LOCK("k", PUT, 25);
	EQ_STR(check_key("k", 10), "committed 20",
		   "txn-semantics 12 row 4: below another's lock");
	SHARED("k", MEMBER(LOCK, 25), MEMBER(LOCK, 10));
	EQ_STR(check_key("k", 10), "committed 20", "or a shared one");
	KEY_IS("k", "H{L@25, L@10} | 20=P@10", "nothing is written");
	ROLLBACK("k", 11, false);
	EQ_STR(check_key("k", 11), "rolled back",
		   "txn-semantics 12 row 5: rolled back before");
	KEY_IS("k", "H{L@25, L@10} | 20=P@10 11=R@11", "as it was");
	PUT("k", 12, 3, "v");
	EQ_STR(check_key("k", 12), "rolled back", "a commit lies there");
	KEY_IS("k", "H{L@25, L@10} | 20=P@10 12=P@3+R+f20 11=R@11",
		   "and is marked, with a fence");
	EQ_STR(check_key("k", 12), "rolled back", "the mark is found again");
	kit_reset(&kit);
	ROLLBACK("k", 5, false);
	LOCK("k", PUT, 7, .use_async_commit = true, .min_commit_ts = 8);
	EQ_STR(check_key("k", 10), "rolled back",
		   "txn-semantics 12 row 6: never there");
	KEY_IS("k", "P@7 mc8 async rb10 | 10=R@10p",
		   "the lock is told, the previous rollback collapses");
	RELEASED_IS("", "nobody wakes");
	EQ_STR(check(10, NULL, 0), "rolled back", "no keys: nothing is locked");
}

static void
beat(const char *key, uint64_t start_ts, uint64_t ttl, uint64_t min_commit_ts)
{
	RUN(txn_heart_beat, TxnHeartBeatCommand, .primary_key = K(key),
		.start_ts = start_ts, .advise_lock_ttl_ms = ttl,
		.min_commit_ts = min_commit_ts);
}

static void
heart_beat(void)
{
	kit_reset(&kit);
	LOCK("pk", PUT, 10, .ttl_ms = 5);
	beat("pk", 10, 7, 99);
	EQ_U64(kit.answer.lock_ttl_ms, 7, "txn-semantics 14: the ttl grows");
	KEY_IS("pk", "P@10 ttl7 |", "and nothing else, without generation");
	beat("pk", 10, 6, 0);
	EQ_U64(kit.answer.lock_ttl_ms, 7, "txn-semantics 28 row 16: never shrinks");
	EQ_U64(kit.effects.n_modifies, 0, "nothing is written");
	LOCK("pk", PUT, 10, .ttl_ms = 5, .generation = 2, .min_commit_ts = 11);
	beat("pk", 10, 5, 20);
	KEY_IS("pk", "P@10 ttl5 mc20 gen2 |", "a flushed lock's min_commit_ts");
	beat("pk", 10, 5, 19);
	EQ_U64(kit.effects.n_modifies, 0, "only rises");
	beat("pk", 10, 5, 0);
	EQ_U64(kit.effects.n_modifies, 0, "and is left alone without one");
	LOCK("pk", PUT, 10, .ttl_ms = 5, .generation = 2, .use_async_commit = true);
	beat("pk", 10, 5, 20);
	EQ_U64(kit.effects.n_modifies, 0, "and with async commit");
	LOCK("k", PESSIMISTIC, 10, .ttl_ms = 5);
	beat("k", 10, 9, 0);
	KEY_IS("k", "S@10 ttl9 |", "pessimistic, and not even the primary");
	beat("k", 11, 9, 0);
	ERRORS_ARE("TxnNotFound k start11", "another's lock");
	beat("none", 10, 9, 0);
	ERRORS_ARE("TxnNotFound none start10", "no lock");
	SHARED("k", MEMBER(LOCK, 10), MEMBER(LOCK, 11));
	beat("k", 10, 9, 0);
	ERRORS_ARE("PrimaryMismatch k H{L@10, L@11}", "a member of a shared lock");
	beat("k", 12, 9, 0);
	ERRORS_ARE("TxnNotFound k start12", "no member");
}

int
main(void)
{
	kit_init(&kit);
	locked();
	pessimistic();
	no_lock();
	heart_beat();
	kit_free(&kit);
	return unit_done();
}
