/*
 * test_txn_flashback.c
 *	  PrepareFlashbackToVersion and FlashbackToVersion (txn-semantics 22).
 *
 * To version 50, by a transaction that starts at 100 and commits at 110.
 */
#include "core/codec/memcomparable.h"
#include "txn_slices.h"

static Kit kit;

static TxnCommand
flashback(TxnCommandKind kind)
{
	TxnCommand command = {.kind = kind,
						  .flashback = {.version = 50,
										.range = {K("a"), K("z")},
										.start_ts = 100,
										.commit_ts = 110}};

	return command;
}

static Slices
prepare(void)
{
	TxnCommand command = flashback(TXN_CMD_FLASHBACK_ROLLBACK_LOCKS);

	return run_slices(&kit, &command, 0);
}

static Slices
write_back(void)
{
	TxnCommand command = flashback(TXN_CMD_FLASHBACK_WRITE);

	return run_slices(&kit, &command, 0);
}

/*
 * b, c and d changed after 50, e is new, f was not there; g and i did not
 * change, i is of just then.
 */
static void
fill(void)
{
	kit_init(&kit);
	PUT("b", 11, 10, "old");
	PUT("b", 61, 60, "new");
	WRITE("c", 11, PUT, 10);
	VALUE("c", 10, "a long value");
	PUT("c", 61, 60, "new");
	PUT("d", 11, 10, "old");
	WRITE("d", 61, DELETE, 60);
	PUT("e", 61, 60, "new");
	PUT("f", 11, 10, "old");
	WRITE("f", 21, DELETE, 20);
	PUT("f", 61, 60, "new");
	PUT("g", 11, 10, "old");
	WRITE("g", 61, LOCK, 60);
	ROLLBACK("g", 70, true);
	PUT("i", 50, 49, "old");
	WRITE("i", 61, LOCK, 60);
	PUT("~", 61, 60, "outside");
}

static bool
lock_of(const char *key, Lock *lock)
{
	return memory_get_lock(&kit.m.reader, K(key), &kit.arena, lock);
}

static void
preparing(void)
{
	Lock lock;
	Bytes primary;

	fill();
	ROLLBACK("a", 85, false);
	LOCK("a", PUT, 90);
	LONG_LOCK("b", 80);
	VALUE("b", 80, "long");
	kit_put_lock(&kit, K("c"),
				 (Lock){.type = LOCK_TYPE_PESSIMISTIC,
						.primary = K("c"),
						.start_ts = 91});
	SHARED("h", MEMBER(LOCK, 92), MEMBER(PESSIMISTIC, 93));
	prepare();
	ERRORS_ARE("", "prepared");
	KEY_IS("a", "| 90=R@90",
		   "txn-semantics 22 row 1: every lock is rolled back, over the last");
	KEY_IS("c", "| 91=R@91p 61=P@60 11=P@10 v10",
		   "txn-semantics 22 row 1: pessimistic ones, primaries protected");
	/* The second rollback has collapsed the first, as ever. */
	KEY_IS("h", "| 93=R@93", "txn-semantics 22 row 1: members of shared ones");
	KEY_IS("b", "P@100 | 80=R@80 61=P@60 11=P@10",
		   "txn-semantics 22 row 1: the first changed key is locked");
	OK(lock_of("b", &lock), "it is");
	primary = memcomparable_encode(K("b"), &kit.arena);
	OK(bytes_eq(lock.primary, primary) && lock.ttl_ms == 0 &&
		   lock.txn_size == 1 && lock.min_commit_ts == 0 &&
		   bytes_eq(lock.short_value, K("old")),
	   "txn-semantics 22 row 1: with the encoded key and the old value");
	EQ_U64(prepare().most_modifies, 0,
		   "txn-semantics 22 row 1: skipped when a lock is there");
	kit_free(&kit);
}

static void
first_keys(void)
{
	Lock lock;

	kit_init(&kit);
	PUT("b", 61, 60, "new");
	prepare();
	OK(lock_of("b", &lock) && lock.type == LOCK_TYPE_DELETE,
	   "txn-semantics 22 row 1: a Delete when there was nothing");
	kit_reset(&kit);
	WRITE("b", 11, PUT, 10);
	VALUE("b", 10, "long");
	PUT("b", 61, 60, "new");
	prepare();
	KEY_IS("b", "P@100 | 61=P@60 11=P@10 v10 v100",
		   "txn-semantics 22 row 1: a long value is copied");
	write_back();
	KEY_IS("b", "| 110=P@100 61=P@60 11=P@10 v10 v100",
		   "txn-semantics 22 row 2: and committed");
	kit_reset(&kit);
	WRITE("b", 11, PUT, 10);
	PUT("b", 61, 60, "new");
	prepare();
	ERRORS_ARE("DefaultNotFound b start10", "a missing value is no success");
	kit_reset(&kit);
	PUT("b", 11, 10, "old");
	prepare();
	KEY_IS("b", "| 11=P@10", "nothing has changed: nothing is locked");
	write_back();
	ERRORS_ARE("", "nor written");
	KEY_IS("b", "| 11=P@10", "nothing has changed");
	kit_free(&kit);
}

static void
writing(void)
{
	TxnCommand command = flashback(TXN_CMD_FLASHBACK_WRITE);
	Slices done;

	fill();
	prepare();
	done = write_back();
	ERRORS_ARE("", "written");
	OK(done.one_pc, "txn-semantics 22 row 2: as one-phase transactions");
	KEY_IS("b", "| 110=P@100 61=P@60 11=P@10",
		   "txn-semantics 22 row 2: the locked key is committed");
	RELEASED_IS("b@100>110", "last, and its lock is gone");
	KEY_IS("c", "| 110=P@100 61=P@60 11=P@10 v10 v100",
		   "txn-semantics 22 row 2: a long value is copied");
	KEY_IS("d", "| 110=P@100 61=D@60 11=P@10",
		   "txn-semantics 22 row 2: what was deleted is back");
	KEY_IS("e", "| 110=D@100 61=P@60",
		   "txn-semantics 22 row 2: what is new is deleted");
	KEY_IS("f", "| 110=D@100 61=P@60 21=D@20 11=P@10",
		   "txn-semantics 22 row 2: what had been deleted too");
	KEY_IS("g", "| 70=R@70p 61=L@60 11=P@10",
		   "txn-semantics 22 row 2: only Puts and Deletes count");
	KEY_IS("i", "| 61=L@60 50=P@49",
		   "txn-semantics 22 row 2: what is of the version is not changed");
	KEY_IS("~", "| 61=P@60", "outside of the range");
	EQ_U64(write_back().most_modifies, 0,
		   "txn-semantics 22 row 2: again, nothing more happens");
	ERRORS_ARE("", "txn-semantics 22 row 2: and it is a success");
	command.flashback.commit_ts = 120;
	run_slices(&kit, &command, 0);
	ERRORS_ARE("FlashbackNotPrepared",
			   "txn-semantics 22 row 2: but not one of another commit_ts");
	kit_free(&kit);
}

static void
refusals(void)
{
	TxnCommand command = flashback(TXN_CMD_FLASHBACK_WRITE);

	fill();
	command.flashback.commit_ts = 100;
	run_slices(&kit, &command, 0);
	ERRORS_ARE("InvalidTxnTso start100 commit100",
			   "txn-semantics 22 row 2: commit_ts must be above start_ts");
	write_back();
	ERRORS_ARE("FlashbackNotPrepared",
			   "txn-semantics 22 row 2: not without a preparation");
	LOCK("b", PUT, 99);
	write_back();
	ERRORS_ARE("FlashbackNotPrepared",
			   "txn-semantics 22 row 2: another's lock is no preparation");
	PUT("b", 110, 99, "x");
	memory_delete(&kit.m, TXN_CF_LOCK, K("b"), 0);
	write_back();
	ERRORS_ARE("FlashbackNotPrepared",
			   "txn-semantics 22 row 2: nor is another's record");
	kit_free(&kit);

	fill();
	prepare();
	memory_delete(&kit.m, TXN_CF_VALUE, K("c"), 10);
	write_back();
	ERRORS_ARE("DefaultNotFound c start10", "a missing value is no success");
	kit_free(&kit);
}

static void
slices(void)
{
	TxnCommand command = flashback(TXN_CMD_FLASHBACK_WRITE);
	char name[32];
	Slices done;
	size_t written = 0;

	kit_init(&kit);
	for (int i = 0; i < 2500; i++)
	{
		snprintf(name, sizeof(name), "k%06d", i);
		PUT(name, 11, 10, "old");
		if (i >= 1500)
		{
			PUT(name, 61, 60, "new");
			LOCK(name, PUT, 90);
		}
	}
	done = prepare();
	OK(done.n > 5 && done.most_modifies <= 2 * TXN_SLICE_KEYS + 2,
	   "locks are rolled back in slices");
	KEY_IS("k001500", "P@100 | 90=R@90 61=P@60 11=P@10", "the first of them");

	/* Stopped in the middle and begun again. */
	run_slices(&kit, &command, 4);
	KEY_IS("k002499", "| 90=R@90 61=P@60 11=P@10", "not yet");
	done = write_back();
	OK(done.n >= 3 && done.most_modifies <= TXN_SLICE_KEYS,
	   "keys are written in slices");
	for (int i = 0; i < 2500; i++)
	{
		snprintf(name, sizeof(name), "k%06d", i);
		if (memory_find(&kit.m, TXN_CF_WRITE, K(name), 110) != NULL)
			written++;
	}
	EQ_U64(written, 1000, "all of them, and only them");
	KEY_IS("k001500", "| 110=P@100 90=R@90 61=P@60 11=P@10", "the first");
	KEY_IS("k002499", "| 110=P@100 90=R@90 61=P@60 11=P@10", "the last");
	kit_free(&kit);
}

int
main(void)
{
	preparing();
	first_keys();
	writing();
	refusals();
	slices();
	return unit_done();
}
