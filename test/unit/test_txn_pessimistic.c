/*
 * test_txn_pessimistic.c
 *	  PessimisticLock, row by row.
 */
#include "txn_kit.h"

static Kit kit;

/* What is asked in most tests; the fields are set where they differ. */
static PessimisticLockCommand ask;
static Mutation mutations[4];

static void
fresh(uint64_t start_ts, uint64_t for_update_ts)
{
	kit_reset(&kit);
	memset(&ask, 0, sizeof(ask));
	memset(mutations, 0, sizeof(mutations));
	mutations[0].op = MUTATION_PESSIMISTIC_LOCK;
	mutations[0].key = K("k");
	ask.mutations = mutations;
	ask.n_mutations = 1;
	ask.primary = K("pk");
	ask.start_ts = start_ts;
	ask.for_update_ts = for_update_ts;
	ask.wait_timeout_ms = -1;
}

static void
fresh_shared(uint64_t start_ts, uint64_t for_update_ts)
{
	fresh(start_ts, for_update_ts);
	mutations[0].op = MUTATION_SHARED_PESSIMISTIC_LOCK;
}

static void
fresh_insert(uint64_t start_ts, uint64_t for_update_ts)
{
	fresh(start_ts, for_update_ts);
	mutations[0].assertion = ASSERTION_NOT_EXIST;
}

static void
say_result(const PessimisticLockResult *result)
{
	if (result->kind == LOCK_RESULT_FAILED)
		kit_say(&kit, "failed");
	else if (result->kind == LOCK_RESULT_LOCKED_WITH_CONFLICT)
		kit_say(&kit, "conflict%" PRIu64, result->locked_with_conflict_ts);
	else
		kit_say(&kit, "ok");
	if (result->exists)
		kit_say(&kit, " exists");
	if (result->value.len > 0)
		kit_say_bytes(&kit, " ", result->value);
}

/* "ok exists v", "KeyIsLocked k S@5 / failed may wait". */
static const char *
lock(void)
{
	kit_next(&kit);
	txn_pessimistic_lock(&kit.env, &ask, &kit.answer);
	kit_apply(&kit);
	(void) kit_errors(&kit);
	if (kit.answer.n_errors > 0 && kit.answer.n_results > 0)
		kit_say(&kit, " / ");
	for (size_t i = 0; i < kit.answer.n_results; i++)
	{
		if (i > 0)
			kit_say(&kit, ", ");
		say_result(&kit.answer.results[i]);
	}
	if (kit.answer.may_wait)
		kit_say(&kit, " may wait");
	return kit.text;
}

#define LOCK_IS(want, what) EQ_STR(lock(), want, what)
#define NOTHING_WRITTEN(what) EQ_U64(kit.effects.n_modifies, 0, what)

/* ------------------------------------------------- before any key (27, 15) */

static void
bad_requests(void)
{
	fresh(10, 10);
	kit.env.max_key_size = 9;
	mutations[0].key = K("1234567");
	LOCK_IS("ok", "txn-semantics 27 row 1: the memcomparable form just fits");
	mutations[0].key = K("12345678");
	LOCK_IS("KeyTooLarge 12345678 commit9 existing18", "or it does not");
	NOTHING_WRITTEN("then nothing is locked");
	kit.env.max_key_size = 0;
	ask.lock_only_if_exists = true;
	LOCK_IS("LockIfExistsFailed 12345678 start10",
			"lock_only_if_exists needs return_values");
	ask.lock_only_if_exists = false;
	ask.allow_lock_with_conflict = true;
	ask.n_mutations = 2;
	mutations[1] = mutations[0];
	LOCK_IS("Abort", "a force-lock takes one key");
}

static void
max_ts(void)
{
	fresh(10, 12);
	(void) lock();
	EQ_U64(kit.m.max_ts, 0, "a lock without a read leaves max_ts alone");
	fresh(10, 12);
	ask.return_values = true;
	(void) lock();
	EQ_U64(kit.m.max_ts, 12, "return_values is a read");
	fresh(10, 12);
	ask.check_existence = true;
	(void) lock();
	EQ_U64(kit.m.max_ts, 12, "so is check_existence");
	fresh_insert(10, 12);
	(void) lock();
	EQ_U64(kit.m.max_ts, 12, "and that it should not exist");
}

/* ------------------------------------------------------------------- 15.1 */

static void
others_lock(void)
{
	fresh(10, 12);
	LOCK("k", PUT, 5);
	LOCK_IS("KeyIsLocked k P@5", "txn-semantics 15.1 row 1: another's");
	KEY_IS("k", "P@5 |", "nothing is written");
	OK(!kit.answer.may_wait, "txn-semantics 15.4 row 1: no waiting");
	ask.wait_timeout_ms = 0;
	LOCK_IS("KeyIsLocked k P@5 may wait",
			"txn-semantics 15.4 row 2: for the default time");
	ask.wait_timeout_ms = 5;
	LOCK_IS("KeyIsLocked k P@5 may wait",
			"txn-semantics 15.4 row 3: for a given time");
	ask.lock_only_if_exists = true;
	ask.return_values = true;
	LOCK_IS("KeyIsLocked k P@5 may wait", "whatever is asked for");
	fresh(10, 12);
	LOCK("k", PUT, 10);
	LOCK_IS("LockTypeNotMatch k start10",
			"txn-semantics 15.1 row 2: prewritten before");
	KEY_IS("k", "P@10 |", "nothing is written");
}

static void
own_lock(void)
{
	fresh(10, 15);
	ask.lock_ttl_ms = 7;
	ask.min_commit_ts = 16;
	ask.return_values = true;
	PUT("k", 14, 13, "new");
	PUT("k", 8, 7, "old");
	LOCK("k", PESSIMISTIC, 10, .for_update_ts = 12, .ttl_ms = 9,
		 .min_commit_ts = 20, .last_change = {8, 1},
		 .locked_with_conflict = true);
	LOCK_IS("ok exists new",
			"txn-semantics 15.1 row 3: taken again, read at for_update_ts");
	KEY_IS("k", "S@10 ttl7 fu15 mc16 conflict lc8/1 | 14=P@13 8=P@7",
		   "txn-semantics 28 row 16: the lock is the request's");
	ask.for_update_ts = 13;
	LOCK_IS("ok exists old",
			"txn-semantics 15.1 row 4: an older request is read at its time");
	NOTHING_WRITTEN("and writes nothing");
	ask.return_values = false;
	LOCK_IS("ok", "asked for nothing, told nothing");
	ask.check_existence = true;
	LOCK_IS("ok exists", "or whether it exists");
	ask.for_update_ts = 15;
	LOCK_IS("ok exists", "equal is a duplicate");
	NOTHING_WRITTEN("too");
	ask.for_update_ts = 7;
	LOCK_IS("ok", "nothing was there at 7");
	fresh(10, 15);
	ROLLBACK("k", 10, true);
	LOCK("k", PESSIMISTIC, 10, .for_update_ts = 12);
	LOCK_IS("ok", "an own lock is not looked behind");
}

static void
own_lock_forced(void)
{
	fresh(10, 12);
	ask.allow_lock_with_conflict = true;
	PUT("k", 14, 13, "new");
	LOCK("k", PESSIMISTIC, 10, .for_update_ts = 15);
	LOCK_IS("conflict15 exists new",
			"txn-semantics 15.1 row 5: the lock's time counts");
	NOTHING_WRITTEN("nothing is written");
	ask.for_update_ts = 15;
	LOCK_IS("ok", "not for an equal one");
	ask.for_update_ts = 16;
	LOCK_IS("ok", "nor a newer one");
	KEY_IS("k", "S@10 fu16 | 14=P@13", "which is written");
}

static void
own_lock_insert(void)
{
	fresh_insert(10, 15);
	PUT("k", 14, 13, "v");
	LOCK("k", PESSIMISTIC, 10, .for_update_ts = 12);
	LOCK_IS("AlreadyExist k start10 existing13",
			"txn-semantics 15.1 row 6: it exists");
	KEY_IS("k", "S@10 fu12 | 14=P@13", "nothing is written");
	ask.for_update_ts = 13;
	LOCK_IS("ok", "it did not yet");
	LOCK("k", PESSIMISTIC, 10, .for_update_ts = 14);
	ask.allow_lock_with_conflict = true;
	LOCK_IS("WriteConflict k start10 by13 at14 reason2",
			"a force-lock is told of the conflict");
	ask.for_update_ts = 14;
	LOCK_IS("AlreadyExist k start10 existing13", "if it is one");
	LOCK("k", PESSIMISTIC, 10, .for_update_ts = 30);
	LOCK_IS("AlreadyExist k start10 existing13", "and not older");
	WRITE("k", 20, DELETE, 19);
	LOCK_IS("conflict30", "a deleted key does not exist");
	fresh_insert(10, 15);
	WRITE("k", 14, PUT, 13, .has_gc_fence = true, .gc_fence = 20,
		  .has_short_value = true);
	LOCK("k", PESSIMISTIC, 10, .for_update_ts = 12);
	LOCK_IS("ok", "nor one that was deleted and collected");
}

static void
shared_lock(void)
{
	fresh(10, 12);
	ask.wait_timeout_ms = 0;
	SHARED("k", MEMBER(PESSIMISTIC, 5), MEMBER(LOCK, 6));
	LOCK_IS("KeyIsLocked k H!{S@5, L@6}",
			"txn-semantics 15.1 row 7: the first exclusive request closes it");
	KEY_IS("k", "H!{S@5, L@6} |", "though it fails");
	LOCK_IS("KeyIsLocked k H!{S@5, L@6} may wait",
			"txn-semantics 15.1 row 8: the next one waits");
	NOTHING_WRITTEN("nothing is written");
	mutations[0].op = MUTATION_SHARED_PESSIMISTIC_LOCK;
	LOCK_IS("KeyIsLocked k H!{S@5, L@6} may wait", "so do new members");
	ask.start_ts = 5;
	ask.lock_ttl_ms = 3;
	LOCK_IS("ok", "members may go on");
	KEY_IS("k", "H!{L@6, S@5 ttl3 fu12} |", "it stays closed");
	fresh(10, 12);
	ask.allow_lock_with_conflict = true;
	SHARED("k", MEMBER(PESSIMISTIC, 5));
	LOCK_IS("KeyIsLocked k H!{S@5}", "a force-lock's turn has no result");
	LOCK_IS("KeyIsLocked k H!{S@5} / failed", "the next one has");
	fresh(10, 12);
	ask.resumed = true;
	SHARED("k", MEMBER(PESSIMISTIC, 5));
	LOCK_IS("KeyIsLocked k H{S@5} / failed may wait",
			"one that was woken waits again");
	KEY_IS("k", "H{S@5} |", "and closes nothing");
}

static void
shared_request(void)
{
	fresh_shared(10, 12);
	ask.lock_ttl_ms = 3;
	LOCK_IS("ok", "the first member");
	KEY_IS("k", "H{S@10 ttl3 fu12 lc0/1} |", "opens a container");
	ask.return_values = true;
	ask.for_update_ts = 13;
	PUT("k", 13, 11, "v");
	LOCK_IS("ok", "txn-semantics 15.1 row 9: a member again reads nothing");
	KEY_IS("k", "H{S@10 ttl3 fu13 lc0/1} | 13=P@11", "but is rewritten");
	ask.for_update_ts = 12;
	LOCK_IS("ok", "an older one is not");
	NOTHING_WRITTEN("written");
	ask.start_ts = 11;
	ask.for_update_ts = 20;
	LOCK_IS("ok exists v", "another member reads");
	KEY_IS("k", "H{S@10 ttl3 fu13 lc0/1, S@11 ttl3 fu20 lc13/1} | 13=P@11",
		   "and joins");
	ask.start_ts = 9;
	ask.for_update_ts = 12;
	LOCK_IS("WriteConflict k start9 by11 at13 reason2",
			"unless something is newer");
	fresh_shared(10, 12);
	kit.env.memory_locks = true;
	(void) lock();
	KEY_IS("k", "H{S@10 fu12 lc0/1} |", "containers are durable");
	fresh_shared(10, 12);
	LOCK("k", PESSIMISTIC, 10);
	LOCK_IS("KeyIsLocked k S@10",
			"txn-semantics 15.1 row 10: an exclusive lock, even an own one");
	fresh_shared(10, 12);
	ask.lock_only_if_exists = true;
	ask.return_values = true;
	LOCK_IS("ok", "a shared request that asks for existence");
	KEY_IS("k", "H{S@10 fu12 lc0/1} |", "is locked all the same");
}

/* ------------------------------------------------------------------- 15.2 */

static void
conflicts(void)
{
	fresh(10, 12);
	PUT("k", 14, 13, "v");
	LOCK_IS("WriteConflict k start10 by13 at14 reason2",
			"txn-semantics 15.2 row 1: something newer");
	fresh(10, 12);
	ROLLBACK("k", 14, false);
	LOCK_IS("WriteConflict k start10 by14 at14 reason2", "even a Rollback");
	fresh(10, 12);
	WRITE("k", 14, LOCK, 13);
	LOCK_IS("WriteConflict k start10 by13 at14 reason2", "or a Lock");
	fresh(15, 12);
	ROLLBACK("k", 15, true);
	LOCK_IS("WriteConflict k start15 by15 at15 reason2",
			"and the own Rollback, before it is known as such");
	fresh(10, 12);
	ask.allow_lock_with_conflict = true;
	PUT("k", 14, 13, "v");
	LOCK_IS("conflict14 exists v",
			"txn-semantics 15.2 row 1': a force-lock passes, and reads");
	KEY_IS("k", "S@10 fu14 conflict lc14/1 | 14=P@13",
		   "txn-semantics 28 row 11: the lock's time is the conflict's");
	fresh(10, 12);
	ask.allow_lock_with_conflict = true;
	PUT("k", 9, 8, "v");
	WRITE("k", 14, LOCK, 13, .last_change = {9, 1});
	LOCK_IS("conflict14 exists v", "the value below a Lock");
	KEY_IS("k", "S@10 fu14 conflict lc9/2 | 14=L@13+lc9/1 9=P@8",
		   "last_change from the Lock");
	fresh(10, 14);
	ask.allow_lock_with_conflict = true;
	PUT("k", 14, 13, "v");
	LOCK_IS("ok", "without a conflict it is a lock like others");
	KEY_IS("k", "S@10 fu14 lc14/1 | 14=P@13", "and says so");
}

static void
rolled_back(void)
{
	fresh(10, 12);
	ROLLBACK("k", 10, false);
	LOCK_IS("PessimisticLockRolledBack k start10",
			"txn-semantics 15.2 row 2: rolled back before");
	fresh(10, 12);
	WRITE("k", 10, PUT, 5, .has_overlapped_rollback = true);
	LOCK_IS("PessimisticLockRolledBack k start10",
			"txn-semantics 28 row 8: also by a mark");
	fresh(10, 12);
	PUT("k", 10, 5, "v");
	LOCK_IS("ok", "another's commit at that time does not count");
	fresh(10, 12);
	ROLLBACK("k", 10, true);
	PUT("k", 11, 9, "v");
	LOCK_IS("PessimisticLockRolledBack k start10",
			"txn-semantics 15.2 row 3: below something newer");
	fresh(10, 12);
	WRITE("k", 10, LOCK, 5, .has_overlapped_rollback = true);
	PUT("k", 11, 9, "v");
	LOCK_IS("PessimisticLockRolledBack k start10", "or by a mark below it");
	fresh(10, 12);
	ROLLBACK("k", 9, true);
	PUT("k", 11, 8, "v");
	LOCK_IS("ok", "another's Rollback does not count");
	fresh(10, 12);
	ask.allow_lock_with_conflict = true;
	ROLLBACK("k", 10, true);
	PUT("k", 20, 9, "v");
	LOCK_IS("PessimisticLockRolledBack k start10",
			"a force-lock is refused as well");
	NOTHING_WRITTEN("nothing is written");
}

static void
insert(void)
{
	fresh_insert(10, 12);
	PUT("k", 9, 8, "v");
	LOCK_IS("AlreadyExist k start10 existing8",
			"txn-semantics 15.2 row 4: it exists");
	NOTHING_WRITTEN("nothing is written");
	WRITE("k", 11, LOCK, 7);
	LOCK_IS("AlreadyExist k start10 existing8", "below a Lock");
	WRITE("k", 12, DELETE, 11);
	LOCK_IS("ok", "a deleted one does not");
	fresh_insert(10, 12);
	ask.allow_lock_with_conflict = true;
	PUT("k", 14, 13, "v");
	LOCK_IS("WriteConflict k start10 by13 at14 reason2",
			"a conflict is told instead");
	NOTHING_WRITTEN("nothing is written");
	WRITE("k", 15, DELETE, 14);
	LOCK_IS("conflict15", "a newer Delete is a conflict to pass");
}

static void
reads(void)
{
	fresh(10, 12);
	ask.return_values = true;
	PUT("k", 9, 8, "v");
	LOCK_IS("ok exists v", "txn-semantics 15.2 row 5: the value");
	fresh(10, 12);
	ask.return_values = true;
	WRITE("k", 9, PUT, 8);
	VALUE("k", 8, "a long value");
	LOCK_IS("ok exists a long value", "txn-semantics 15.3 row 1: a long one");
	fresh(10, 12);
	ask.return_values = true;
	WRITE("k", 9, PUT, 8);
	LOCK_IS("DefaultNotFound k start8", "a lost one");
	NOTHING_WRITTEN("nothing is written");
	ask.return_values = false;
	ask.check_existence = true;
	LOCK_IS("ok exists", "txn-semantics 15.3 row 2: existence reads no value");
	fresh(10, 12);
	ask.return_values = true;
	WRITE("k", 9, DELETE, 8);
	LOCK_IS("ok", "a Delete is no value");
	fresh(10, 12);
	ask.return_values = true;
	WRITE("k", 9, PUT, 8, .has_short_value = true, .short_value = K("v"),
		  .has_gc_fence = true, .gc_fence = 10);
	LOCK_IS("ok", "nor is a Put behind its fence");
	fresh(10, 12);
	ask.return_values = true;
	WRITE("k", 9, PUT, 8, .has_short_value = true, .short_value = K("v"),
		  .has_gc_fence = true, .gc_fence = 11);
	LOCK_IS("ok exists v", "a fence above start_ts is none");
	fresh(10, 12);
	ask.check_existence = true;
	PUT("k", 7, 6, "v");
	ROLLBACK("k", 9, true);
	LOCK_IS("ok exists", "below a Rollback");
	fresh(10, 12);
	PUT("k", 7, 6, "v");
	LOCK_IS("ok", "txn-semantics 15.3 row 3: not asked, not told");
}

static void
only_if_exists(void)
{
	fresh(10, 12);
	ask.lock_only_if_exists = true;
	ask.return_values = true;
	LOCK_IS("ok", "txn-semantics 15.2 row 6: no key");
	KEY_IS("k", "|", "no lock");
	WRITE("k", 9, DELETE, 8);
	LOCK_IS("ok", "a deleted key");
	KEY_IS("k", "| 9=D@8", "no lock");
	ask.allow_lock_with_conflict = true;
	WRITE("k", 20, DELETE, 19);
	LOCK_IS("WriteConflict k start10 by19 at20 reason2",
			"deleted later: a conflict");
	NOTHING_WRITTEN("no lock");
	PUT("k", 21, 18, "v");
	LOCK_IS("conflict21 exists v", "there again");
	KEY_IS("k", "S@10 fu21 conflict lc21/1 | 21=P@18 20=D@19 9=D@8", "locked");
}

static void
the_lock(void)
{
	fresh(10, 12);
	ask.lock_ttl_ms = 3;
	ask.min_commit_ts = 13;
	LOCK_IS("ok", "txn-semantics 15.2 row 7: the lock");
	KEY_IS("k", "S@10 ttl3 fu12 mc13 lc0/1 |", "is the request's");
	OK(bytes_eq(kit.effects.modifies[0].lock->primary, K("pk")),
	   "and its primary");
	EQ_U64(kit.effects.n_modifies, 1, "nothing else is written");
	fresh(10, 12);
	kit.env.memory_locks = true;
	LOCK_IS("ok", "where locks may be in memory");
	KEY_IS("k", "S@10 fu12 lc0/1 memory |", "it is in memory");
	ask.for_update_ts = 14;
	LOCK_IS("ok", "taken again");
	KEY_IS("k", "S@10 fu14 lc0/1 memory |", "it stays there");
	kit.env.memory_locks = false;
	fresh(10, 12);
	PUT("k", 5, 4, "v");
	WRITE("k", 7, LOCK, 6, .last_change = {5, 1});
	(void) lock();
	KEY_IS("k", "S@10 fu12 lc5/2 | 7=L@6+lc5/1 5=P@4", "last_change counts on");
}

/* ------------------------------------------------------------ 15.3, 15.4 */

static void
force_lock_answers(void)
{
	fresh(10, 12);
	ask.allow_lock_with_conflict = true;
	PUT("k", 9, 8, "v");
	LOCK_IS("ok", "txn-semantics 15.3 row 4: not asked, not told");
	fresh(10, 12);
	ask.allow_lock_with_conflict = true;
	PUT("k", 9, 8, "v");
	ask.return_values = true;
	LOCK_IS("ok exists v", "a value");
	fresh(10, 12);
	ask.allow_lock_with_conflict = true;
	ask.check_existence = true;
	PUT("k", 20, 19, "v");
	LOCK_IS("conflict20 exists v", "a conflict always with its value");
	fresh(10, 12);
	ask.allow_lock_with_conflict = true;
	LOCK("k", PUT, 5);
	LOCK_IS("KeyIsLocked k P@5 / failed",
			"txn-semantics 15.3 row 5: a lock has a result that failed");
	ask.wait_timeout_ms = 0;
	LOCK_IS("KeyIsLocked k P@5 / failed may wait", "for when the wait ends");
	LOCK("k", PUT, 10);
	LOCK_IS("LockTypeNotMatch k start10", "other errors have none");
	ask.resumed = true;
	LOCK_IS("LockTypeNotMatch k start10 / failed", "unless it was resumed");
	ROLLBACK("k", 10, true);
	memory_delete(&kit.m, TXN_CF_LOCK, K("k"), 0);
	LOCK_IS("PessimisticLockRolledBack k start10 / failed", "each of them");
	ask.wait_timeout_ms = -1;
	LOCK("k", PUT, 5);
	LOCK_IS("KeyIsLocked k P@5 / failed may wait",
			"and waits for the next lock");
	fresh(10, 12);
	ask.resumed = true;
	PUT("k", 20, 19, "v");
	LOCK_IS("conflict20 exists v",
			"txn-semantics 16 row 2: resumed with force");
}

static void
many_keys(void)
{
	fresh(10, 12);
	ask.n_mutations = 3;
	ask.wait_timeout_ms = 0;
	mutations[0].key = K("a");
	mutations[1] = mutations[0];
	mutations[1].key = K("b");
	mutations[2] = mutations[0];
	mutations[2].key = K("c");
	ask.return_values = true;
	PUT("a", 5, 4, "va");
	PUT("c", 5, 4, "vc");
	LOCK_IS("ok exists va, ok, ok exists vc", "a result for each key");
	EQ_U64(kit.effects.n_modifies, 3, "a lock for each");
	kit_reset(&kit);
	LOCK("b", PUT, 5);
	LOCK("c", PUT, 6);
	LOCK_IS("KeyIsLocked b P@5 may wait", "the first lock met stops it");
	KEY_IS("a", "|", "nothing is locked");
	NOTHING_WRITTEN("no effects are left");
	kit_reset(&kit);
	PUT("c", 20, 19, "v");
	LOCK_IS("WriteConflict c start10 by19 at20 reason2",
			"txn-semantics 15.3 row 6: one error");
	KEY_IS("a", "|", "nothing is locked");
	kit_reset(&kit);
	SHARED("b", MEMBER(PESSIMISTIC, 5));
	LOCK_IS("KeyIsLocked b H!{S@5}", "the turn of a shared lock");
	KEY_IS("b", "H!{S@5} |", "is kept");
	KEY_IS("a", "|", "but no lock");
}

/* --------------------------------------------------------------------- 18 */

static void
give_back(const char *key, uint64_t start_ts, uint64_t for_update_ts)
{
	Bytes keys[] = {K(key)};

	RUN(txn_pessimistic_rollback, PessimisticRollbackCommand, .keys = keys,
		.n_keys = 1, .start_ts = start_ts, .for_update_ts = for_update_ts);
}

static void
rollback_keys(void)
{
	kit_reset(&kit);
	LOCK("k", PESSIMISTIC, 10, .for_update_ts = 12);
	give_back("k", 10, 11);
	KEY_IS("k", "S@10 fu12 |",
		   "txn-semantics 28 row 10: a newer lock is not the request's");
	give_back("k", 11, 20);
	KEY_IS("k", "S@10 fu12 |", "txn-semantics 18 row 2: another's neither");
	give_back("k", 10, 12);
	KEY_IS("k", "|", "txn-semantics 18 row 1: no record");
	RELEASED_IS("k@10>0", "waiters wake");
	give_back("k", 10, 12);
	NOTHING_WRITTEN("txn-semantics 18 row 2: no lock");
	ERRORS_ARE("", "is no error");
	LOCK("k", PUT, 10, .for_update_ts = 12);
	give_back("k", 10, 12);
	KEY_IS("k", "P@10 fu12 |", "txn-semantics 18 row 2: a prewritten one");
	SHARED("k", MEMBER(PESSIMISTIC, 10, .for_update_ts = 12), MEMBER(LOCK, 11));
	give_back("k", 10, 11);
	NOTHING_WRITTEN("a newer member stays");
	give_back("k", 10, 12);
	KEY_IS("k", "H{L@11} |", "txn-semantics 18 row 3: a member leaves");
	RELEASED_IS("", "others hold it");
	give_back("k", 11, 20);
	KEY_IS("k", "H{L@11} |", "a prewritten member stays");
	SHARED("k", MEMBER(PESSIMISTIC, 10, .for_update_ts = 12));
	give_back("k", 10, 12);
	KEY_IS("k", "|", "the last takes it along");
	RELEASED_IS("k@10>0", "waiters wake");
}

static void
rollback_region(void)
{
	PessimisticRollbackCommand command = {.start_ts = 10, .for_update_ts = 12};
	uint8_t cursor[16];
	char key[16];
	int slices = 0;

	kit_reset(&kit);
	for (int i = 0; i < 300; i++)
	{
		snprintf(key, sizeof(key), "k%03d", i);
		LOCK(key, PESSIMISTIC, 10, .for_update_ts = 12);
	}
	memory_find(&kit.m, TXN_CF_LOCK, K("k007"), 0)->memory_only = true;
	LOCK("l", PESSIMISTIC, 10, .for_update_ts = 13);
	LOCK("m", PUT, 10);
	LOCK("n", PESSIMISTIC, 11);
	SHARED("o", MEMBER(PESSIMISTIC, 10), MEMBER(PESSIMISTIC, 11));
	LOCK("z", PESSIMISTIC, 10);
	kit.env.region.upper = K("z");
	do
	{
		kit_next(&kit);
		txn_pessimistic_rollback(&kit.env, &command, &kit.answer);
		kit_apply(&kit);
		CHECK(command.cursor.len <= sizeof(cursor));
		if (command.cursor.len > 0)
			memcpy(cursor, command.cursor.data, command.cursor.len);
		command.cursor.data = cursor;
		slices++;
	} while (kit.answer.more);
	EQ_U64(slices, 2, "no keys: the region, 256 locks at a time");
	KEY_IS("k000", "|", "txn-semantics 18 row 1: the first");
	KEY_IS("k007", "|", "one in memory");
	KEY_IS("k299", "|", "the last");
	KEY_IS("l", "S@10 fu13 |", "not a newer one");
	KEY_IS("m", "P@10 |", "not a prewritten one");
	KEY_IS("n", "S@11 |", "not another's");
	KEY_IS("o", "H{S@11} |", "txn-semantics 18 row 3: a member");
	KEY_IS("z", "S@10 |", "not beyond the region");
	kit.env.region.upper = bytes_empty();
}

int
main(void)
{
	kit_init(&kit);
	bad_requests();
	max_ts();
	others_lock();
	own_lock();
	own_lock_forced();
	own_lock_insert();
	shared_lock();
	shared_request();
	conflicts();
	rolled_back();
	insert();
	reads();
	only_if_exists();
	the_lock();
	force_lock_answers();
	many_keys();
	rollback_keys();
	rollback_region();
	kit_free(&kit);
	return unit_done();
}
