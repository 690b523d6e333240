/*
 * test_txn_rollback.c
 *	  Rolling back: BatchRollback, Cleanup and what they share.
 */
#include "txn_kit.h"

static Kit kit;

static void
roll_back(const char *key, uint64_t start_ts)
{
	Bytes keys[] = {K(key)};

	RUN(txn_batch_rollback, BatchRollbackCommand, .keys = keys, .n_keys = 1,
		.start_ts = start_ts);
}

static void
clean_up(const char *key, uint64_t start_ts, uint64_t current_ts)
{
	RUN(txn_cleanup, CleanupCommand, .key = K(key), .start_ts = start_ts,
		.current_ts = current_ts);
}

/* Locks that live in memory are seen by commands, and end like others. */
static void
load_lock(void)
{
	kit_reset(&kit);
	LOCK("k", PESSIMISTIC, 10, .for_update_ts = 12);
	memory_find(&kit.m, TXN_CF_LOCK, K("k"), 0)->memory_only = true;
	roll_back("k", 10);
	KEY_IS("k", "| 10=R@10", "txn-semantics 7 LoadLock: memory locks count");
	RELEASED_IS("k@10>0", "and their waiters wake");
}

/* 7, MakeRollback: the record, or the mark on another's commit. */
static void
make_rollback(void)
{
	kit_reset(&kit);
	roll_back("k", 10);
	KEY_IS("k", "| 10=R@10", "txn-semantics 7 MakeRollback: a record");
	kit_reset(&kit);
	clean_up("k", 10, 0);
	KEY_IS("k", "| 10=R@10p", "protected, where asked for");
	kit_reset(&kit);
	PUT("k", 10, 5, "v");
	roll_back("k", 10);
	KEY_IS("k", "| 10=P@5", "an unprotected one leaves another's commit alone");
	clean_up("k", 10, 0);
	KEY_IS("k", "| 10=P@5+R+f0",
		   "txn-semantics 28 row 7: a protected one marks it");
	clean_up("k", 10, 0);
	KEY_IS("k", "| 10=P@5+R+f0", "and finds its mark again");
	kit_reset(&kit);
	PUT("k", 10, 5, "v");
	WRITE("k", 15, LOCK, 11);
	WRITE("k", 20, DELETE, 12);
	PUT("k", 30, 25, "w");
	clean_up("k", 10, 0);
	KEY_IS("k", "| 30=P@25 20=D@12 15=L@11 10=P@5+R+f20",
		   "the fence is the next Put or Delete above");
}

static void
collapse_prev(void)
{
	kit_reset(&kit);
	ROLLBACK("k", 5, false);
	roll_back("k", 10);
	KEY_IS("k", "| 10=R@10",
		   "txn-semantics 7 CollapsePrev: the previous Rollback goes");
	ROLLBACK("k", 20, true);
	roll_back("k", 30);
	KEY_IS("k", "| 30=R@30 20=R@20p 10=R@10",
		   "txn-semantics 10.2: a protected one stays, and hides older ones");
	kit_reset(&kit);
	ROLLBACK("k", 5, false);
	WRITE("k", 8, LOCK, 7);
	roll_back("k", 10);
	KEY_IS("k", "| 10=R@10 8=L@7 5=R@5", "only the newest record is looked at");
	kit_reset(&kit);
	ROLLBACK("k", 20, false);
	roll_back("k", 10);
	KEY_IS("k", "| 20=R@20 10=R@10", "younger ones are left alone");
}

/* A rollback whose record another's commit may cover. */
static void
mark_on_mismatch(void)
{
	kit_reset(&kit);
	LOCK("k", PUT, 5, .use_async_commit = true, .min_commit_ts = 10);
	clean_up("k", 10, 0);
	KEY_IS("k", "P@5 mc10 async rb10 | 10=R@10p",
		   "txn-semantics 7 MarkOnMismatch: an async lock is told");
	clean_up("k", 12, 0);
	KEY_IS("k", "P@5 mc10 async rb10 rb12 | 12=R@12p 10=R@10p",
		   "of each rollback");
	clean_up("k", 9, 0);
	KEY_IS("k", "P@5 mc10 async rb10 rb12 | 12=R@12p 10=R@10p 9=R@9p",
		   "not below its min_commit_ts");
	roll_back("k", 14);
	KEY_IS("k", "P@5 mc10 async rb10 rb12 | 14=R@14 12=R@12p 10=R@10p 9=R@9p",
		   "not of unprotected ones");
	kit_reset(&kit);
	LOCK("k", PUT, 5, .min_commit_ts = 6);
	clean_up("k", 10, 0);
	KEY_IS("k", "P@5 mc6 | 10=R@10p", "nor locks without async commit");
	kit_reset(&kit);
	PUT("k", 10, 3, "v");
	LOCK("k", PUT, 5, .use_async_commit = true, .min_commit_ts = 6);
	clean_up("k", 10, 0);
	KEY_IS("k", "P@5 mc6 async | 10=P@3+R+f0",
		   "nor when a record that exists is marked instead");
}

/* RollbackLock: what is left of a lock. */
static void
rollback_lock(void)
{
	kit_reset(&kit);
	VALUE("k", 10, "a long one");
	LONG_LOCK("k", 10);
	roll_back("k", 10);
	KEY_IS("k", "| 10=R@10", "txn-semantics 10.1 RollbackLock: no value left");
	RELEASED_IS("k@10>0", "waiters wake");
	kit_reset(&kit);
	LOCK("pk", PUT, 10);
	ROLLBACK("pk", 5, false);
	roll_back("pk", 10);
	KEY_IS("pk", "| 10=R@10p", "a primary's Rollback is protected");
	kit_reset(&kit);
	LOCK("k", LOCK, 10, .generation = 3);
	roll_back("k", 10);
	KEY_IS("k", "| 10=R@10p", "so is a flushed lock's");
	kit_reset(&kit);
	LOCK("k", DELETE, 10);
	PUT("k", 10, 5, "v");
	roll_back("k", 10);
	KEY_IS("k", "| 10=P@5", "a secondary's disappears below a commit");
	LOCK("pk", DELETE, 10);
	PUT("pk", 10, 5, "v");
	roll_back("pk", 10);
	KEY_IS("pk", "| 10=P@5+R+f0", "a primary's marks it");
	kit_reset(&kit);
	LONG_LOCK("pk", 10);
	VALUE("pk", 10, "kept by whoever rolled back");
	ROLLBACK("pk", 10, false);
	roll_back("pk", 10);
	KEY_IS("pk", "| 10=R@10 v10", "rolled back before: only the lock goes");
	kit_reset(&kit);
	LOCK("k", PUT, 10);
	PUT("k", 10, 5, "v");
	clean_up("k", 10, 0);
	KEY_IS("k", "| 10=P@5",
		   "Cleanup protects a missing lock, not that of a secondary");
}

/* A lock beside the commit of its own transaction (tikv/tikv#19891). */
static void
lock_beside_commit(void)
{
	kit_reset(&kit);
	VALUE("k", 10, "the committed value");
	WRITE("k", 20, PUT, 10);
	LONG_LOCK("k", 10);
	roll_back("k", 10);
	ERRORS_ARE("Committed k start10 commit20",
			   "tikv/tikv#19891: committed beside a lock: no rollback");
	KEY_IS("k", "P@10 | 20=P@10 v10", "and nothing is touched");
	clean_up("k", 10, 0);
	EQ_U64(kit.answer.commit_ts, 20, "Cleanup tells the commit");
	KEY_IS("k", "| 20=P@10 v10", "and takes the lock away");
}

static void
cleanup_rows(void)
{
	kit_reset(&kit);
	LOCK("k", PUT, MS(10), .ttl_ms = 5);
	clean_up("k", MS(10), MS(15));
	ERRORS_ARE("KeyIsLocked k P@10ms ttl5",
			   "txn-semantics 10.1 row 1: alive to the last millisecond");
	KEY_IS("k", "P@10ms ttl5 |", "nothing happens");
	clean_up("k", MS(10), MS(16));
	KEY_IS("k", "| 10ms=R@10ms", "txn-semantics 10.1 row 2: expired");
	kit_reset(&kit);
	LOCK("k", PUT, MS(10), .ttl_ms = UINT64_MAX);
	clean_up("k", MS(10), MS(1000));
	EQ_U64(kit.answer.n_errors, 1, "an endless ttl does not wrap around");
	clean_up("k", MS(10), 0);
	KEY_IS("k", "| 10ms=R@10ms", "0 asks for no ttl");
	kit_reset(&kit);
	SHARED("k", MEMBER(PESSIMISTIC, MS(10), .ttl_ms = 5),
		   MEMBER(LOCK, MS(11), .ttl_ms = 5));
	clean_up("k", MS(10), MS(15));
	ERRORS_ARE("KeyIsLocked k H{S@10ms ttl5, L@11ms ttl5}",
			   "a member of a shared lock lives as long");
	clean_up("k", MS(10), MS(16));
	KEY_IS("k", "H{L@11ms ttl5} | 10ms=R@10ms",
		   "txn-semantics 10.1 row 2: own shared entry");
	RELEASED_IS("", "others hold it still");
	ROLLBACK("k", MS(11), true);
	roll_back("k", MS(11));
	KEY_IS("k", "| 11ms=R@11msp 10ms=R@10ms", "the last member takes it along");
	RELEASED_IS("k@11ms>0", "and wakes waiters");
}

static void
missing_rows(void)
{
	kit_reset(&kit);
	PUT("k", 20, 10, "v");
	roll_back("k", 10);
	ERRORS_ARE("Committed k start10 commit20",
			   "txn-semantics 10.1 row 3: committed");
	kit_reset(&kit);
	ROLLBACK("k", 10, false);
	clean_up("k", 10, 0);
	KEY_IS("k", "| 10=R@10", "txn-semantics 10.1 row 4: rolled back before");
	PUT("k", 20, 5, "v");
	clean_up("k", 20, 0);
	roll_back("k", 20);
	KEY_IS("k", "| 20=P@5+R+f0 10=R@10", "also by a mark");
	ERRORS_ARE("", "which is no error");
	kit_reset(&kit);
	ROLLBACK("k", 5, false);
	LOCK("k", PUT, 7);
	roll_back("k", 10);
	KEY_IS("k", "P@7 | 10=R@10", "txn-semantics 10.1 row 5: unprotected");
	kit_reset(&kit);
	ROLLBACK("k", 5, false);
	LOCK("k", PUT, 7, .use_async_commit = true, .min_commit_ts = 8);
	clean_up("k", 10, 0);
	KEY_IS("k", "P@7 mc8 async rb10 | 10=R@10p 5=R@5",
		   "txn-semantics 10.1 row 6: protected, nothing collapses");
	kit_reset(&kit);
	SHARED("k", MEMBER(LOCK, 7));
	clean_up("k", 10, 0);
	KEY_IS("k", "H{L@7} | 10=R@10p", "others' shared locks are left alone");
}

static void
commands(void)
{
	Bytes keys[] = {K("a"), K("b"), K("c")};

	kit_reset(&kit);
	LOCK("a", PUT, 10);
	PUT("b", 20, 10, "v");
	LOCK("c", PUT, 10);
	RUN(txn_batch_rollback, BatchRollbackCommand, .keys = keys, .n_keys = 3,
		.start_ts = 10);
	ERRORS_ARE("Committed b start10 commit20",
			   "txn-semantics 10.1 row 7: one error fails all");
	KEY_IS("a", "P@10 |", "txn-semantics 28 row 19: the batch did nothing");
	EQ_U64(kit.m.max_ts, 0, "and read nothing that max_ts guards");
	kit_reset(&kit);
	ROLLBACK("b", 5, false);
	RUN(txn_batch_rollback, BatchRollbackCommand, .keys = keys, .n_keys = 3,
		.start_ts = 10);
	KEY_IS("b", "| 10=R@10", "txn-semantics 28 row 19: a missing key");
	KNOWN_IS("", "rollbacks are not remembered");
	kit_reset(&kit);
	PUT("k", 20, 10, "v");
	clean_up("k", 10, 0);
	EQ_U64(kit.answer.commit_ts, 20,
		   "txn-semantics 10.1 row 8: commit_version");
	ERRORS_ARE("", "is no error of Cleanup");
	EQ_U64(kit.m.max_ts, 10, "max_ts rises first");
}

static void
keys_twice(void)
{
	Bytes keys[] = {K("pk"), K("k"), K("pk")};

	kit_reset(&kit);
	LOCK("pk", PUT, 10);
	LOCK("k", PUT, 10);
	RUN(txn_batch_rollback, BatchRollbackCommand, .keys = keys, .n_keys = 3,
		.start_ts = 10);
	KEY_IS("pk", "| 10=R@10p", "a key named twice is rolled back once");
}

int
main(void)
{
	kit_init(&kit);
	load_lock();
	make_rollback();
	collapse_prev();
	mark_on_mismatch();
	rollback_lock();
	lock_beside_commit();
	cleanup_rows();
	missing_rows();
	commands();
	keys_twice();
	kit_free(&kit);
	return unit_done();
}
