/*
 * test_txn_resolve.c
 *	  ResolveLock in its three forms, its slices, and shared locks.
 */
#include "core/txn/pending.h"
#include "txn_kit.h"

static Kit kit;

/* Runs slices until there are no more; answers how many there were. */
static int
resolve(const TxnStatusOf *txns, size_t n_txns)
{
	ResolveLockCommand command = {.txns = txns, .n_txns = n_txns};
	uint8_t cursor[64];
	int slices = 0;

	do
	{
		kit_next(&kit);
		txn_resolve_lock(&kit.env, &command, &kit.answer);
		kit_apply(&kit);
		CHECK(command.cursor.len <= sizeof(cursor));
		if (command.cursor.len > 0)
			memcpy(cursor, command.cursor.data, command.cursor.len);
		command.cursor = bytes_make(cursor, command.cursor.len);
		slices++;
	} while (kit.answer.n_errors == 0 && kit.answer.more);
	return slices;
}

static void
resolve_one(uint64_t start_ts, uint64_t commit_ts)
{
	TxnStatusOf txn = {start_ts, commit_ts};

	(void) resolve(&txn, 1);
}

static void
full(void)
{
	kit_reset(&kit);
	LOCK("a", PUT, 10);
	LOCK("b", PUT, 11);
	LOCK("c", DELETE, 10);
	LOCK("d", PESSIMISTIC, 10);
	resolve_one(10, 20);
	KEY_IS("a", "| 20=P@10", "txn-semantics 13 row 1: all locks of the range");
	KEY_IS("c", "| 20=D@10", "are committed");
	KEY_IS("d", "|", "a pessimistic one goes");
	KEY_IS("b", "P@11 |", "others stay");
	RELEASED_IS("a@10>20 c@10>20 d@10>0", "waiters wake");
	KNOWN_IS("10>20", "the commit is remembered once");
	resolve_one(11, 0);
	KEY_IS("b", "| 11=R@11", "txn-semantics 10.1 row 9: rolled back");
	KNOWN_IS("", "which is not remembered");
	resolve_one(12, 0);
	EQ_U64(kit.effects.n_modifies, 0, "no lock, no record");
	ERRORS_ARE("", "and no error");
}

static void
region_bounds(void)
{
	kit_reset(&kit);
	kit.env.region.lower = K("b");
	kit.env.region.upper = K("d");
	LOCK("a", PUT, 10);
	LOCK("b", PUT, 10);
	LOCK("d", PUT, 10);
	resolve_one(10, 20);
	KEY_IS("a", "P@10 |", "keys before the region are others'");
	KEY_IS("b", "| 20=P@10", "its first one is not");
	KEY_IS("d", "P@10 |", "its end is");
	kit.env.region.lower = bytes_empty();
	kit.env.region.upper = bytes_empty();
}

static void
batch(void)
{
	TxnStatusOf txns[] = {{10, 20}, {12, 0}, {14, 24}};

	kit_reset(&kit);
	LOCK("a", PUT, 10);
	LOCK("b", PUT, 11);
	LOCK("c", PUT, 12);
	LOCK("d", PUT, 14);
	(void) resolve(txns, 3);
	KEY_IS("a", "| 20=P@10", "txn-semantics 13 row 2: each by its status");
	KEY_IS("b", "P@11 |", "those not named stay");
	KEY_IS("c", "| 12=R@12", "0 rolls back");
	KEY_IS("d", "| 24=P@14", "and the last");
	KNOWN_IS("10>20 14>24", "commits are remembered");
	(void) resolve(NULL, 0);
	EQ_U64(kit.effects.n_modifies, 0, "no transactions, no effects");
}

static void
errors(void)
{
	kit_reset(&kit);
	LOCK("a", PUT, 10);
	resolve_one(10, 10);
	ERRORS_ARE("InvalidTxnTso start10 commit10",
			   "a commit_ts must be above start_ts");
	resolve_one(11, 11);
	ERRORS_ARE("", "but only a lock brings it to light");
	LOCK("b", PUT, 10, .min_commit_ts = 30);
	resolve_one(10, 20);
	ERRORS_ARE("CommitTsExpired b start10 commit20 min30", "an error");
	KEY_IS("a", "P@10 |", "fails the whole slice");
	kit_reset(&kit);
	LOCK("a", PUT, 10);
	PUT("a", 20, 10, "v");
	resolve_one(10, 0);
	ERRORS_ARE("Committed a start10 commit20", "no rollback beside a commit");
}

/* In-memory pessimistic locks are not the walk's business. */
static void
memory_locks(void)
{
	kit_reset(&kit);
	LOCK("a", PESSIMISTIC, 10);
	memory_find(&kit.m, TXN_CF_LOCK, K("a"), 0)->memory_only = true;
	resolve_one(10, 20);
	KEY_IS("a", "S@10 memory |", "the walk sees durable locks only");
}

static void
lite(void)
{
	Bytes keys[] = {K("a"), K("c")};
	TxnStatusOf txn = {10, 20};
	ResolveLockCommand command = {.txns = &txn,
								  .n_txns = 1,
								  .keys = keys,
								  .n_keys = 2};

	kit_reset(&kit);
	LOCK("a", PUT, 10);
	LOCK("b", PUT, 10);
	LOCK("c", PESSIMISTIC, 10);
	memory_find(&kit.m, TXN_CF_LOCK, K("c"), 0)->memory_only = true;
	kit_next(&kit);
	txn_resolve_lock(&kit.env, &command, &kit.answer);
	kit_apply(&kit);
	KEY_IS("a", "| 20=P@10", "txn-semantics 13 row 3: keys that are named");
	KEY_IS("b", "P@10 |", "only these");
	KEY_IS("c", "|", "memory locks too");
	KNOWN_IS("10>20", "the commit is remembered");
	kit_next(&kit);
	txn_resolve_lock(&kit.env, &command, &kit.answer);
	ERRORS_ARE("TxnLockNotFound c start10 commit20",
			   "a lock that is gone is an error, though it was pessimistic");
	txn.commit_ts = 5;
	kit_reset(&kit);
	LOCK("a", PUT, 10);
	LOCK("c", PUT, 10);
	kit_next(&kit);
	txn_resolve_lock(&kit.env, &command, &kit.answer);
	ERRORS_ARE("", "nobody compares the timestamps");
	txn.commit_ts = 0;
	kit_next(&kit);
	txn_resolve_lock(&kit.env, &command, &kit.answer);
	kit_apply(&kit);
	KEY_IS("c", "| 10=R@10", "0 rolls back");
	KNOWN_IS("", "which is not remembered");
	txn.start_ts = 0;
	kit_next(&kit);
	txn_resolve_lock(&kit.env, &command, &kit.answer);
	ERRORS_ARE("Abort", "a start_version it must have");
}

/* ------------------------------------------------------------- slices */

static Bytes
numbered(char *buf, int i)
{
	snprintf(buf, 16, "k%05d", i);
	return K(buf);
}

static void
many_locks(int n, LockType type, uint64_t start_ts, Bytes value)
{
	char buf[16];

	for (int i = 0; i < n; i++)
		kit_put_lock(&kit, numbered(buf, i),
					 (Lock){.type = type,
							.primary = K("pk"),
							.start_ts = start_ts,
							.has_short_value = value.len > 0,
							.short_value = value});
}

static size_t
count_rows(TxnCf cf)
{
	size_t n = 0;

	for (size_t i = 0; i < kit.m.n_rows; i++)
		n += kit.m.rows[i].cf == cf;
	return n;
}

static void
slices(void)
{
	TxnStatusOf txn = {10, 20};
	uint8_t big[SHORT_VALUE_MAX_LEN];

	kit_reset(&kit);
	many_locks(600, LOCK_TYPE_LOCK, 10, bytes_empty());
	EQ_U64(resolve(&txn, 1), 3, "txn-semantics 27 row 4: 256 keys at a time");
	EQ_U64(count_rows(TXN_CF_LOCK), 0, "until none is left");
	EQ_U64(count_rows(TXN_CF_WRITE), 600, "all committed");
	kit_reset(&kit);
	memset(big, 'x', sizeof(big));
	/* So few that only their bytes can divide them. */
	many_locks(200, LOCK_TYPE_PUT, 10, bytes_make(big, sizeof(big)));
	EQ_U64(resolve(&txn, 1), 2, "txn-semantics 27 row 4: or 32 KiB");
	EQ_U64(count_rows(TXN_CF_LOCK), 0, "until none is left");
	EQ_U64(count_rows(TXN_CF_WRITE), 200, "all committed");
	kit_reset(&kit);
	many_locks(256, LOCK_TYPE_LOCK, 10, bytes_empty());
	EQ_U64(resolve(&txn, 1), 2, "a full slice does not know what follows");
	kit_reset(&kit);
	many_locks(5000, LOCK_TYPE_LOCK, 11, bytes_empty());
	LOCK("last", LOCK, 10);
	EQ_U64(resolve(&txn, 1), 2, "a slice looks at so many locks only");
	KEY_IS("last", "| 20=L@10", "and finds those behind");
	EQ_U64(count_rows(TXN_CF_LOCK), 5000, "the others stay");
}

/* -------------------------------------------------------- shared locks */

static void
shared(void)
{
	TxnStatusOf txns[] = {{10, 20}, {12, 0}, {14, 24}};
	TxnStatusOf rest = {11, 0};

	kit_reset(&kit);
	SHARED("k", MEMBER(LOCK, 10), MEMBER(LOCK, 11), MEMBER(LOCK, 12),
		   MEMBER(PESSIMISTIC, 14));
	(void) resolve(txns, 3);
	KEY_IS("k", "H{L@11} | 20=L@10 12=R@12",
		   "members of one key see each other go");
	RELEASED_IS("", "one holds on");
	(void) resolve(&rest, 1);
	KEY_IS("k", "| 20=L@10 12=R@12 11=R@11", "the last rolls back");
	RELEASED_IS("k@11>0", "and wakes waiters");
	kit_reset(&kit);
	SHARED("k", MEMBER(LOCK, 10), MEMBER(LOCK, 14));
	(void) resolve(txns, 3);
	KEY_IS("k", "| 24=L@14 20=L@10", "all at once");
	RELEASED_IS("k@14>24", "one wake for all");
	/* The first one's commit lies where the second's Rollback would. */
	kit_reset(&kit);
	SHARED("k", MEMBER(LOCK, 10), MEMBER(LOCK, 12));
	txns[0].commit_ts = 12;
	(void) resolve(txns, 3);
	KEY_IS("k", "| 12=L@10", "a rollback does not cover a commit of the slice");
}

/* A Rollback of the slice is the previous one to the next of the slice. */
static void
collapse_in_slice(void)
{
	TxnStatusOf txns[] = {{10, 0}, {11, 0}, {12, 0}};

	kit_reset(&kit);
	ROLLBACK("k", 5, false);
	SHARED("k", MEMBER(LOCK, 10), MEMBER(LOCK, 11), MEMBER(LOCK, 12));
	(void) resolve(txns, 3);
	KEY_IS("k", "| 12=R@12", "one record is enough");
}

/* ---------------------------------------------- a lock gone since the scan */

static bool
no_lock(MvccReader *reader, Bytes key, Arena *arena, Lock *lock)
{
	(void) reader;
	(void) key;
	(void) arena;
	(void) lock;
	return false;
}

static void
gone_since(void)
{
	kit_reset(&kit);
	LOCK("a", PESSIMISTIC, 10);
	LOCK("b", PESSIMISTIC, 10);
	kit.m.reader.get_lock = no_lock;
	resolve_one(10, 20);
	ERRORS_ARE("", "a pessimistic lock may be gone");
	KNOWN_IS("", "then nothing was committed");
	LOCK("b", PUT, 10);
	resolve_one(10, 20);
	ERRORS_ARE("TxnLockNotFound b start10 commit20", "a prewritten one not");
}

/* ------------------------------------------------------- PendingReader */

static void
pending(void)
{
	PendingReader pending;
	MvccReader *reader = &pending.reader;
	WriteRecord w = {.type = WRITE_TYPE_LOCK, .start_ts = 3};
	WriteAt at;
	Lock lock;

	kit_reset(&kit);
	PUT("k", 30, 25, "v");
	PUT("k", 20, 15, "v");
	PUT("k", 0, 0, "v");
	LOCK("k", PUT, 40);
	effects_put_write(&kit.effects, K("k"), 35, &w);
	pending_init(&pending, kit.env.reader, &kit.effects, K("k"));
	OK(reader->seek_write(reader, K("k"), 50, &kit.arena, &at) &&
		   at.commit_ts == 30,
	   "effects from before its time do not show");
	effects_put_write(&kit.effects, K("k"), 25, &w);
	effects_put_write(&kit.effects, K("k"), 10, &w);
	OK(reader->seek_write(reader, K("k"), 29, &kit.arena, &at) &&
		   at.commit_ts == 25 && at.write.start_ts == 3,
	   "a new record shows between old ones");
	OK(reader->seek_write(reader, K("k"), 24, &kit.arena, &at) &&
		   at.commit_ts == 20,
	   "an old one below it");
	effects_delete_write(&kit.effects, K("k"), 20);
	OK(reader->seek_write(reader, K("k"), 24, &kit.arena, &at) &&
		   at.commit_ts == 10,
	   "a deleted one does not show");
	effects_delete_write(&kit.effects, K("k"), 10);
	OK(reader->seek_write(reader, K("k"), 24, &kit.arena, &at) &&
		   at.commit_ts == 0,
	   "nor a new one that was deleted");
	effects_put_write(&kit.effects, K("k"), 20, &w);
	OK(reader->seek_write(reader, K("k"), 24, &kit.arena, &at) &&
		   at.commit_ts == 20 && at.write.start_ts == 3,
	   "put again it shows");
	effects_delete_write(&kit.effects, K("k"), 0);
	OK(!reader->seek_write(reader, K("k"), 5, &kit.arena, &at),
	   "the very last may be deleted");
	OK(reader->get_lock(reader, K("k"), &kit.arena, &lock) &&
		   lock.start_ts == 40,
	   "the old lock shows");
	lock.start_ts = 41;
	effects_put_lock(&kit.effects, K("k"), &lock);
	OK(reader->get_lock(reader, K("k"), &kit.arena, &lock) &&
		   lock.start_ts == 41,
	   "a new one in its place");
	effects_delete_lock(&kit.effects, K("k"));
	OK(!reader->get_lock(reader, K("k"), &kit.arena, &lock), "a deleted none");
}

int
main(void)
{
	kit_init(&kit);
	full();
	region_bounds();
	batch();
	errors();
	memory_locks();
	lite();
	slices();
	shared();
	collapse_in_slice();
	pending();
	gone_since();
	kit_free(&kit);
	return unit_done();
}
