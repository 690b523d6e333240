/*
 * test_txn_known.c
 *	  Failures of transactions that are known from other systems, each by the
 *	  name under which it was reported.
 *
 * What needs many clients is in the simulation, which has a mutation for most
 * of these (test/sim/txn/mutations.sh), and in test/faults/txn (the bank).
 */
#include "core/mvcc/read.h"
#include "core/txn/status_cache.h"
#include "txn_kit.h"

static Kit kit;

/* One mutation of a transaction whose primary is "a". */
static PrewriteCommand
prewrite_of(const Mutation *mutations, size_t n, uint64_t start_ts)
{
	PrewriteCommand command = {.mutations = mutations,
							   .n_mutations = n,
							   .primary = K("a"),
							   .start_ts = start_ts,
							   .lock_ttl_ms = 3000,
							   .txn_size = n};

	return command;
}

static Mutation
put(const char *key)
{
	Mutation mutation = {.op = MUTATION_PUT, .key = K(key), .value = K("v")};

	return mutation;
}

static void
prewrite(const PrewriteCommand *command)
{
	kit_next(&kit);
	txn_prewrite(&kit.env, command, &kit.answer);
	kit_apply(&kit);
}

static void
begin(void)
{
	kit_reset(&kit);
	kit.m.max_guards = 16;
}

static void
async_commit_is_externally_consistent(void)
{
	Mutation a = put("a");
	PrewriteCommand command = prewrite_of(&a, 1, 10);
	ReadContext read = {.isolation = ISOLATION_SI};
	Arena arena;
	Lock lock;
	Bytes key;
	KeyRange all = {bytes_empty(), bytes_empty()};

	begin();
	command.use_async_commit = true;
	/* A reader at 50 has seen that the key has no value. */
	kit.env.cm->raise_max_ts(kit.env.cm, 50);
	prewrite(&command);
	OK(kit.answer.min_commit_ts > 50,
	   "tikv/tikv#8589: it commits above every read that missed it");
	arena_init(&arena);
	OK(kit.env.cm->find_guard(kit.env.cm, &all, UINT64_MAX, &arena, &key,
							  &lock),
	   "tikv/tikv#8589: it is in memory before its row");
	read.ts = kit.answer.min_commit_ts;
	OK(mvcc_lock_verdict(&read, key, &lock, true) == LOCK_BLOCKS,
	   "tikv/tikv#8589: where a read at its commit_ts is stopped");
	read.ts--;
	OK(mvcc_lock_verdict(&read, key, &lock, true) == LOCK_IGNORED,
	   "tikv/tikv#8589: and one below it is not");
	arena_free(&arena);

	/* The client's own bound: later than what it had been told when it began
	 * to commit. */
	begin();
	command.min_commit_ts = 71;
	prewrite(&command);
	EQ_U64(kit.answer.min_commit_ts, 71,
		   "tikv/tikv#8589: nor below the timestamp that the client names");
}

static void
bank_does_not_drift(void)
{
	Mutation both[] = {put("a"), put("b")};
	PrewriteCommand command = prewrite_of(both, 2, 10);

	begin();
	command.use_async_commit = true;
	command.try_one_pc = true;
	kit.env.cm->raise_max_ts(kit.env.cm, 50);
	prewrite(&command);
	OK(kit.answer.one_pc_commit_ts > 50,
	   "pingcap/tidb#21900: 1PC commits above a read of either account");
	KEY_IS("a", "| 51=P@10", "pingcap/tidb#21900: one account");
	KEY_IS("b", "| 51=P@10", "pingcap/tidb#21900: and the other alike");

	/* What falls back leaves locks on both, commits neither. */
	begin();
	kit.env.cm->raise_max_ts(kit.env.cm, 50);
	command.max_commit_ts = 20;
	prewrite(&command);
	EQ_U64(kit.answer.one_pc_commit_ts, 0, "pingcap/tidb#21900: a fallback");
	EQ_U64(kit.answer.min_commit_ts, 0, "is told");
	KEY_IS("a", "P@10 ttl3000 |", "pingcap/tidb#21900: it only locks the one");
	KEY_IS("b", "P@10 ttl3000 |", "pingcap/tidb#21900: and the other");

	/* One key that an earlier attempt locked plainly: no half of a 1PC. */
	begin();
	command.max_commit_ts = 0;
	LOCK("b", PUT, 10, .ttl_ms = 3000);
	prewrite(&command);
	EQ_U64(kit.answer.one_pc_commit_ts, 0,
		   "pingcap/tidb#21900: a plain lock of an earlier attempt");
	EQ_U64(kit.answer.min_commit_ts, 0, "makes it 2PC");
}

static void
resolving_for_gc_raises_max_ts(void)
{
	Mutation a = put("a");
	PrewriteCommand command = prewrite_of(&a, 1, 10);

	command.use_async_commit = true;
	begin();
	RUN(txn_scan_lock, ScanLockCommand, .max_ts = 100);
	EQ_U64(kit.answer.n_locks, 0, "no lock below the safe point");
	prewrite(&command);
	OK(kit.answer.min_commit_ts > 100,
	   "tikv/tikv#9526: so nothing commits below it any more");

	/* The other order: the guard is there first, and the scan says so. */
	begin();
	kit_next(&kit);
	txn_prewrite(&kit.env, &command, &kit.answer);
	RUN(txn_scan_lock, ScanLockCommand, .max_ts = 100);
	OK(kit.answer.n_errors == 1 &&
		   kit.answer.errors[0].kind == TXN_KEY_IS_LOCKED,
	   "tikv/tikv#9526: what is committing below it stops the scan");
}

static void
rolled_back_is_no_success(void)
{
	Mutation a = put("a");
	PrewriteCommand command = prewrite_of(&a, 1, 10);
	Bytes key = K("a");

	for (int one_pc = 0; one_pc < 2; one_pc++)
	{
		command.use_async_commit = true;
		command.try_one_pc = one_pc == 1;
		begin();
		/* A resolver finds no lock and decides, then the prewrite arrives. */
		RUN(txn_check_secondary_locks, CheckSecondaryLocksCommand, .keys = &key,
			.n_keys = 1, .start_ts = 10);
		KEY_IS("a", "| 10=R@10p", "a resolver rolls back what it misses");
		prewrite(&command);
		ERRORS_ARE("WriteConflict a start10 by10 at10 reason3",
				   "pingcap/tidb#33641: a late prewrite is told");
		OK(kit.answer.min_commit_ts == 0 && kit.answer.one_pc_commit_ts == 0,
		   "pingcap/tidb#33641: and gets no commit_ts");
		KEY_IS("a", "| 10=R@10p", "pingcap/tidb#33641: it leaves nothing");

		/* The rollback lies over the commit of another transaction. */
		begin();
		WRITE("a", 10, PUT, 5, .has_short_value = true,
			  .has_overlapped_rollback = true);
		prewrite(&command);
		OK(kit.answer.n_errors == 1 &&
			   kit.answer.errors[0].reason == CONFLICT_SELF_ROLLED_BACK,
		   "pingcap/tidb#33641: also where the rollback lies over a commit");
	}
}

static void
mixed_transactions_lose_no_update(void)
{
	Mutation a = put("a");
	PessimisticAction must_hold = DO_PESSIMISTIC_CHECK;
	PessimisticAction trusts = SKIP_PESSIMISTIC_CHECK;
	PrewriteCommand pessimistic = prewrite_of(&a, 1, 10);
	PrewriteCommand optimistic = prewrite_of(&a, 1, 8);

	pessimistic.for_update_ts = 12;
	pessimistic.actions = &must_hold;
	pessimistic.n_actions = 1;

	/* The lock of 10 was lost; an optimistic transaction came in between. */
	begin();
	PUT("a", 20, 15, "optimistic");
	prewrite(&pessimistic);
	ERRORS_ARE("PessimisticLockNotFound a start10",
			   "tikv/tikv#10552: a lost lock is not made good over newer data");
	KEY_IS("a", "| 20=P@15", "tikv/tikv#10552: the update stays");

	/* Older than the reads of the transaction: no reason to fail. */
	begin();
	PUT("a", 9, 8, "older");
	prewrite(&pessimistic);
	ERRORS_ARE("", "tikv/tikv#10552: but over older data it is");

	/* A lock of an optimistic transaction where ours should be. */
	begin();
	LOCK("a", PUT, 15);
	prewrite(&pessimistic);
	ERRORS_ARE("PessimisticLockNotFound a start10",
			   "tikv/tikv#10552: nor under another's lock");

	/* The other way round. */
	begin();
	LOCK("a", PESSIMISTIC, 10, .for_update_ts = 12);
	prewrite(&optimistic);
	OK(kit.answer.n_errors == 1 &&
		   kit.answer.errors[0].kind == TXN_KEY_IS_LOCKED,
	   "tikv/tikv#10552: a pessimistic lock stops an optimistic prewrite");
	begin();
	PUT("a", 13, 10, "pessimistic");
	prewrite(&optimistic);
	ERRORS_ARE("WriteConflict a start8 by10 at13 reason1",
			   "tikv/tikv#10552: and so does what it committed");

	/* A key that is not locked since nobody else may write it. */
	begin();
	pessimistic.actions = &trusts;
	PUT("a", 20, 15, "optimistic");
	kit.env.is_retry_request = true;
	prewrite(&pessimistic);
	ERRORS_ARE("PessimisticLockNotFound a start10",
			   "tikv/tikv#10552: a repetition looks even there");
}

/* No order of late and repeated requests puts a lock beside its commit. */
static void
no_lock_beside_its_commit(void)
{
	Mutation a = put("a");
	Mutation lock_a = {.op = MUTATION_PESSIMISTIC_LOCK, .key = K("a")};
	PessimisticAction action;
	PrewriteCommand command = prewrite_of(&a, 1, 10);
	TxnStatusCache *cache = status_cache_new(16, 4096, STATUS_CACHE_KEEP_US);

	begin();
	PUT("a", 20, 10, "v");
	prewrite(&command);
	ERRORS_ARE("", "a prewrite repeated after the commit");
	KEY_IS("a", "| 20=P@10", "tikv/tikv#19891: optimistic, locks nothing");

	command.for_update_ts = 15;
	command.actions = &action;
	command.n_actions = 1;
	status_cache_put(cache, 10, 20, 0);
	/* A busy store: thousands commit while the repetition is on its way. */
	for (uint64_t ts = 1000; ts < 4000; ts++)
		status_cache_put(cache, ts, ts + 5000, STATUS_CACHE_KEEP_US - 1);
	for (int known = 0; known < 2; known++)
	{
		/* Known to the client or to the store. */
		kit.env.is_retry_request = known == 0;
		kit.env.status_cache = known == 1 ? cache : NULL;
		action = SKIP_PESSIMISTIC_CHECK;
		prewrite(&command);
		ERRORS_ARE("", "the same of a pessimistic transaction");
		KEY_IS("a", "| 20=P@10", "tikv/tikv#19891: without a lock, too");
	}
	action = DO_PESSIMISTIC_CHECK;
	prewrite(&command);
	ERRORS_ARE("", "and for a lock that it had");
	KEY_IS("a", "| 20=P@10", "tikv/tikv#19891: which is not made good");
	RUN(txn_pessimistic_lock, PessimisticLockCommand, .mutations = &lock_a,
		.n_mutations = 1, .primary = K("a"), .start_ts = 10,
		.for_update_ts = 15, .wait_timeout_ms = -1);
	OK(kit.answer.n_errors == 1 &&
		   kit.answer.errors[0].kind == TXN_WRITE_CONFLICT,
	   "tikv/tikv#19891: a late pessimistic lock is a conflict");
	KEY_IS("a", "| 20=P@10", "and leaves nothing");
	kit.env.status_cache = NULL;
	status_cache_free(cache);
}

/* Should a lock be there all the same: no crash, and the commit counts. */
static void
lock_beside_its_commit(void)
{
	begin();
	PUT("pk", MS(20), MS(10), "v");
	LOCK("pk", PUT, MS(10), .ttl_ms = 1);
	RUN(txn_check_txn_status, CheckTxnStatusCommand, .primary_key = K("pk"),
		.lock_ts = MS(10), .current_ts = MS(99), .rollback_if_not_exist = true);
	EQ_U64(kit.answer.commit_ts, MS(20),
		   "tikv/tikv#19891: its status is the commit");
	KEY_IS("pk", "| 20ms=P@10ms", "tikv/tikv#19891: and the lock goes");
}

static void
conflict_check_sees_through_rollbacks(void)
{
	Mutation a = put("a");
	Mutation lock_a = {.op = MUTATION_PESSIMISTIC_LOCK, .key = K("a")};
	PessimisticAction action = SKIP_PESSIMISTIC_CHECK;
	PrewriteCommand command = prewrite_of(&a, 1, 10);

	begin();
	PUT("a", 20, 15, "newer");
	ROLLBACK("a", 30, true);
	prewrite(&command);
	OK(kit.answer.n_errors == 1 &&
		   kit.answer.errors[0].kind == TXN_WRITE_CONFLICT,
	   "ryogrid/gookv, conflict check: behind a Rollback, optimistic");
	command.for_update_ts = 12;
	command.actions = &action;
	command.n_actions = 1;
	kit.env.is_retry_request = true;
	prewrite(&command);
	ERRORS_ARE("PessimisticLockNotFound a start10",
			   "ryogrid/gookv, conflict check: and pessimistic");
	RUN(txn_pessimistic_lock, PessimisticLockCommand, .mutations = &lock_a,
		.n_mutations = 1, .primary = K("a"), .start_ts = 10,
		.for_update_ts = 12, .wait_timeout_ms = -1);
	OK(kit.answer.n_errors == 1 &&
		   kit.answer.errors[0].kind == TXN_WRITE_CONFLICT,
	   "ryogrid/gookv, conflict check: and when it is locked");
	KEY_IS("a", "| 30=R@30p 20=P@15", "nothing is written over the newer one");
}

static void
lock_not_found_is_no_success(void)
{
	Bytes key = K("a");

	begin();
	RUN(txn_commit, CommitCommand, .keys = &key, .n_keys = 1, .start_ts = 10,
		.commit_ts = 20);
	ERRORS_ARE("TxnLockNotFound a start10 commit20",
			   "ryogrid/gookv, TxnLockNotFound: a commit without a lock fails");
	ROLLBACK("a", 10, true);
	RUN(txn_commit, CommitCommand, .keys = &key, .n_keys = 1, .start_ts = 10,
		.commit_ts = 20);
	ERRORS_ARE("TxnLockNotFound a start10 commit20",
			   "ryogrid/gookv, TxnLockNotFound: also after its rollback");
	KEY_IS("a", "| 10=R@10p", "and writes nothing");
}

int
main(void)
{
	kit_init(&kit);
	async_commit_is_externally_consistent();
	bank_does_not_drift();
	resolving_for_gc_raises_max_ts();
	rolled_back_is_no_success();
	mixed_transactions_lose_no_update();
	no_lock_beside_its_commit();
	lock_beside_its_commit();
	conflict_check_sees_through_rollbacks();
	lock_not_found_is_no_success();
	kit_free(&kit);
	return unit_done();
}
