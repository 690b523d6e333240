/*
 * test_txn_commit_key.c
 *	  Committing one key, row by row.
 */
#include "txn_kit.h"

static Kit kit;

static void
commit(const char *key, uint64_t start_ts, uint64_t commit_ts)
{
	TxnError error;

	kit_next(&kit);
	if (!txn_commit_key(&kit.env, K(key), start_ts, commit_ts, &error))
		*txn_add_error(&kit.env, &kit.answer, error.kind) = error;
	kit_apply(&kit);
}

static void
own_lock(void)
{
	LOCK("k", PUT, 10, .min_commit_ts = 21);
	commit("k", 10, 20);
	ERRORS_ARE("CommitTsExpired k start10 commit20 min21",
			   "txn-semantics 9 row 1: below min_commit_ts");
	KEY_IS("k", "P@10 mc21 |", "nothing happens");
	LOCK("k", PESSIMISTIC, 10, .min_commit_ts = 21);
	commit("k", 10, 20);
	ERRORS_ARE("CommitTsExpired k start10 commit20 min21",
			   "which is looked at before the type");
	commit("k", 10, 21);
	KEY_IS("k", "|",
		   "txn-semantics 9 row 2: a pessimistic lock leaves nothing");
	ERRORS_ARE("", "txn-semantics 28 row 6: and is no error");
	RELEASED_IS("k@10>0", "for those who wait it was rolled back");
	LOCK("k", PUT, 10, .min_commit_ts = 20, .txn_source = 7);
	commit("k", 10, 20);
	KEY_IS("k", "| 20=P@10+src7", "txn-semantics 9 row 3: a Put");
	RELEASED_IS("k@10>20", "wakes waiters");
	kit_reset(&kit);
	LOCK("k", LOCK, 10, .last_change = {5, 2});
	commit("k", 10, 20);
	KEY_IS("k", "| 20=L@10+lc5/2", "a Lock takes last_change along");
	LOCK("k", DELETE, 30);
	commit("k", 30, 40);
	KEY_IS("k", "| 40=D@30 20=L@10+lc5/2", "a Delete");
}

static void
short_value(void)
{
	WriteAt at;

	kit_reset(&kit);
	LOCK("k", PUT, 10, .short_value = K("hello"));
	commit("k", 10, 20);
	OK(memory_seek_write(&kit.m.reader, K("k"), 20, &kit.arena, &at) &&
		   at.write.has_short_value &&
		   bytes_eq(at.write.short_value, K("hello")),
	   "the short value moves into the record");
	VALUE("k", 30, "long");
	LONG_LOCK("k", 30);
	commit("k", 30, 40);
	KEY_IS("k", "| 40=P@30 20=P@10 v30", "a long value stays where it is");
}

static void
rolled_back_here(void)
{
	uint64_t rollback_ts[] = {15, 20};

	kit_reset(&kit);
	LOCK("k", PUT, 10, .rollback_ts = rollback_ts, .n_rollback_ts = 2);
	commit("k", 10, 20);
	KEY_IS("k", "| 20=P@10+R",
		   "a commit over another's rollback carries its mark, no fence");
	LOCK("k", PUT, 30, .rollback_ts = rollback_ts, .n_rollback_ts = 2);
	commit("k", 30, 40);
	KEY_IS("k", "| 40=P@30 20=P@10+R", "elsewhere it does not");
}

static void
shared(void)
{
	kit_reset(&kit);
	SHARED("k", MEMBER(LOCK, 10, .last_change = {0, 1}), MEMBER(LOCK, 11),
		   MEMBER(PESSIMISTIC, 12));
	commit("k", 10, 20);
	KEY_IS("k", "H{L@11, S@12} | 20=L@10+lc0/1",
		   "txn-semantics 9 row 4: a member leaves");
	RELEASED_IS("", "others hold the lock");
	commit("k", 12, 22);
	KEY_IS("k", "H{L@11} | 20=L@10+lc0/1", "a pessimistic one without record");
	commit("k", 11, 21);
	KEY_IS("k", "| 21=L@11 20=L@10+lc0/1", "the last takes it along");
	RELEASED_IS("k@11>21", "and wakes waiters");
	SHARED("k", MEMBER(PESSIMISTIC, 30));
	commit("k", 30, 40);
	KEY_IS("k", "| 21=L@11 20=L@10+lc0/1", "the same for a pessimistic one");
	RELEASED_IS("k@30>0", "which was rolled back");
}

static void
no_lock(void)
{
	kit_reset(&kit);
	PUT("k", 20, 10, "v");
	commit("k", 10, 25);
	ERRORS_ARE("", "txn-semantics 9 row 5: committed before, whenever");
	KEY_IS("k", "| 20=P@10", "nothing is written");
	LOCK("k", PUT, 30);
	commit("k", 10, 25);
	ERRORS_ARE("", "also below another's lock");
	ROLLBACK("k", 11, false);
	commit("k", 11, 25);
	ERRORS_ARE("TxnLockNotFound k start11 commit25",
			   "txn-semantics 9 row 6: rolled back");
	WRITE("k", 12, LOCK, 9, .has_overlapped_rollback = true);
	commit("k", 12, 25);
	ERRORS_ARE("TxnLockNotFound k start12 commit25", "rolled back by a mark");
	commit("k", 13, 25);
	ERRORS_ARE("TxnLockNotFound k start13 commit25", "never there");
	KEY_IS("k", "P@30 | 20=P@10 12=L@9+R 11=R@11", "nothing is written");
	SHARED("k", MEMBER(LOCK, 30));
	commit("k", 13, 25);
	ERRORS_ARE("TxnLockNotFound k start13 commit25", "others share the key");
}

int
main(void)
{
	kit_init(&kit);
	own_lock();
	short_value();
	rolled_back_here();
	shared();
	no_lock();
	kit_free(&kit);
	return unit_done();
}
