/*
 * test_txn_execute.c
 *	  Each kind of command reaches its function, and the commands of a turn
 *	  see each other through its overlay.
 */
#include "core/txn/overlay.h"
#include "prewrite_case.h"

static TxnErrorKind
run(Case *c, TxnCommand *command)
{
	case_clear(c);
	/* What a former answer left there means nothing. */
	memset(&c->answer, 0xEE, sizeof(c->answer));
	txn_execute(&c->env, command, &c->answer);
	return case_error(c);
}

static Mutation put_a = {.op = MUTATION_PUT,
						 .key = {(const uint8_t *) "a", 1},
						 .value = {(const uint8_t *) "v", 1}};

static TxnCommand
prewrite_a(uint64_t start_ts)
{
	TxnCommand command = {.kind = TXN_CMD_PREWRITE,
						  .prewrite = {.mutations = &put_a,
									   .n_mutations = 1,
									   .primary = put_a.key,
									   .start_ts = start_ts,
									   .lock_ttl_ms = 100}};

	return command;
}

static void
lives_of_a_lock(void)
{
	Case c;
	Bytes keys[1] = {bytes_cstr("a")};
	TxnCommand command = prewrite_a(10);

	case_init(&c);
	OK(run(&c, &command) == TXN_OK && put_lock(&c, "a") != NULL, "prewrite");
	case_apply(&c);

	command = (TxnCommand){.kind = TXN_CMD_TXN_HEART_BEAT,
						   .txn_heart_beat = {.primary_key = keys[0],
											  .start_ts = 10,
											  .advise_lock_ttl_ms = 500}};
	OK(run(&c, &command) == TXN_OK && c.answer.lock_ttl_ms == 500,
	   "heart beat");
	command = (TxnCommand){.kind = TXN_CMD_CHECK_SECONDARY_LOCKS,
						   .check_secondary_locks = {.keys = keys,
													 .n_keys = 1,
													 .start_ts = 10}};
	OK(run(&c, &command) == TXN_OK && c.answer.n_locks == 1,
	   "check secondary locks");
	command =
		(TxnCommand){.kind = TXN_CMD_SCAN_LOCK, .scan_lock = {.max_ts = 10}};
	OK(run(&c, &command) == TXN_OK && c.answer.n_locks == 1, "scan lock");
	command = (TxnCommand){.kind = TXN_CMD_CHECK_TXN_STATUS,
						   .check_txn_status = {.primary_key = keys[0],
												.lock_ts = 11,
												.current_ts = 12}};
	EQ_U64(run(&c, &command), TXN_TXN_NOT_FOUND, "check txn status");
	command = (TxnCommand){.kind = TXN_CMD_BATCH_ROLLBACK,
						   .batch_rollback = {.keys = keys,
											  .n_keys = 1,
											  .start_ts = 10}};
	OK(run(&c, &command) == TXN_OK && put_write(&c, "a", 10) != NULL &&
		   deletes_lock(&c, "a"),
	   "batch rollback");
	command = (TxnCommand){.kind = TXN_CMD_CLEANUP,
						   .cleanup = {.key = keys[0], .start_ts = 8}};
	OK(run(&c, &command) == TXN_OK && write_is_protected(put_write(&c, "a", 8)),
	   "cleanup");
	command = (TxnCommand){.kind = TXN_CMD_COMMIT,
						   .commit = {.keys = keys,
									  .n_keys = 1,
									  .start_ts = 10,
									  .commit_ts = 20}};
	OK(run(&c, &command) == TXN_OK && put_write(&c, "a", 20) != NULL, "commit");
	case_free(&c);
}

static void
pessimistic_and_resolving(void)
{
	Case c;
	Bytes keys[1] = {bytes_cstr("a")};
	TxnStatusOf status = {10, 20};
	Mutation mutation = put_a;
	TxnCommand command = {.kind = TXN_CMD_PESSIMISTIC_LOCK,
						  .pessimistic_lock = {.mutations = &mutation,
											   .n_mutations = 1,
											   .primary = put_a.key,
											   .start_ts = 10,
											   .lock_ttl_ms = 100,
											   .for_update_ts = 10}};

	case_init(&c);
	mutation.op = MUTATION_PESSIMISTIC_LOCK;
	OK(run(&c, &command) == TXN_OK && put_lock(&c, "a") != NULL &&
		   put_lock(&c, "a")->type == LOCK_TYPE_PESSIMISTIC,
	   "pessimistic lock");
	case_apply(&c);
	command = (TxnCommand){.kind = TXN_CMD_RESOLVE_LOCK,
						   .resolve_lock = {.txns = &status,
											.n_txns = 1,
											.keys = keys,
											.n_keys = 1}};
	OK(run(&c, &command) == TXN_OK && deletes_lock(&c, "a"), "resolve lock");
	command = (TxnCommand){.kind = TXN_CMD_PESSIMISTIC_ROLLBACK,
						   .pessimistic_rollback = {.keys = keys,
													.n_keys = 1,
													.start_ts = 10,
													.for_update_ts = 10}};
	OK(run(&c, &command) == TXN_OK && deletes_lock(&c, "a") &&
		   c.effects.n_modifies == 1,
	   "pessimistic rollback");
	command = (TxnCommand){.kind = TXN_CMD_FLUSH};
	EQ_U64(run(&c, &command), TXN_ABORT, "flush, which needs a generation");
	case_free(&c);
}

static void
ranges(void)
{
	Case c;
	Lock lock = a_lock(LOCK_TYPE_PUT, "a", 30);
	TxnCommand command = {.kind = TXN_CMD_GC, .gc = {.safe_point = 25}};

	case_init(&c);
	store_simple_write(&c, "a", WRITE_TYPE_PUT, 5, 10);
	store_simple_write(&c, "a", WRITE_TYPE_PUT, 15, 20);
	OK(run(&c, &command) == TXN_OK && c.effects.n_modifies == 1 &&
		   c.effects.modifies[0].is_delete && c.effects.modifies[0].ts == 10,
	   "garbage collection");
	store_lock(&c, "a", &lock);
	command = (TxnCommand){.kind = TXN_CMD_FLASHBACK_ROLLBACK_LOCKS,
						   .flashback = {.version = 12,
										 .start_ts = 40,
										 .commit_ts = 50}};
	OK(run(&c, &command) == TXN_OK && deletes_lock(&c, "a"),
	   "flashback takes locks away");
	memory_delete(&c.memory, TXN_CF_LOCK, bytes_cstr("a"), 0);
	command = (TxnCommand){.kind = TXN_CMD_FLASHBACK_WRITE,
						   .flashback = {.version = 12,
										 .start_ts = 40,
										 .commit_ts = 50}};
	EQ_U64(run(&c, &command), TXN_FLASHBACK_NOT_PREPARED,
		   "and writes what it has prepared");
	command = (TxnCommand){.kind = TXN_CMD_DELETE_RANGE,
						   .delete_range = {.whole_bounds = true}};
	OK(run(&c, &command) != TXN_OK, "unsafe destroy range needs bounds");
	case_free(&c);
}

static void
clean_overlays(void)
{
	static const bool needs[] = {
		[TXN_CMD_RESOLVE_LOCK] = true,
		[TXN_CMD_PESSIMISTIC_ROLLBACK] = true,
		[TXN_CMD_SCAN_LOCK] = true,
		[TXN_CMD_FLASHBACK_ROLLBACK_LOCKS] = true,
		[TXN_CMD_FLASHBACK_WRITE] = true,
		[TXN_CMD_DELETE_RANGE] = true,
		[TXN_CMD_GC] = true,
	};
	TxnCommand command;
	size_t wrong = 0;

	memset(&command, 0, sizeof(command));
	for (int kind = 0; kind <= TXN_CMD_GC; kind++)
	{
		command.kind = (TxnCommandKind) kind;
		wrong += txn_needs_clean_overlay(&command) != needs[kind];
	}
	EQ_U64(wrong, 0, "commands that walk ranges run over what is durable");
	command.kind = TXN_CMD_RESOLVE_LOCK;
	command.resolve_lock.n_keys = 1;
	OK(!txn_needs_clean_overlay(&command), "not with keys");
	memset(&command, 0, sizeof(command));
	command.kind = TXN_CMD_PESSIMISTIC_ROLLBACK;
	command.pessimistic_rollback.n_keys = 1;
	OK(!txn_needs_clean_overlay(&command), "nor this one");
}

/* Prewrite, commit and the next transaction in one turn. */
static void
turn(void)
{
	Case c;
	TxnOverlay overlay;
	Bytes keys[1] = {bytes_cstr("a")};
	TxnCommand command = prewrite_a(10);
	Mutation many[13];
	char names[13][2];

	case_init(&c);
	txn_overlay_init(&overlay);
	txn_overlay_begin(&overlay, &c.memory.reader);
	c.env.reader = &overlay.reader;
	EQ_U64(run(&c, &command), TXN_OK, "a prewrite");
	txn_overlay_apply(&overlay, &c.effects);
	command = prewrite_a(11);
	EQ_U64(run(&c, &command), TXN_KEY_IS_LOCKED, "locks the next one out");
	command = (TxnCommand){.kind = TXN_CMD_COMMIT,
						   .commit = {.keys = keys,
									  .n_keys = 1,
									  .start_ts = 10,
									  .commit_ts = 12}};
	EQ_U64(run(&c, &command), TXN_OK, "until its commit");
	txn_overlay_apply(&overlay, &c.effects);
	command = prewrite_a(11);
	EQ_U64(run(&c, &command), TXN_WRITE_CONFLICT, "which is a conflict then");
	EQ_U64(overlay.n_live, 1, "the lock that came and went is not written");

	for (int i = 0; i < 13; i++)
	{
		names[i][0] = (char) ('a' + i);
		names[i][1] = '\0';
		many[i] = put_a;
		many[i].key = bytes_cstr(names[i]);
	}
	command.prewrite.mutations = many;
	command.prewrite.n_mutations = 13;
	EQ_U64(run(&c, &command), TXN_WRITE_CONFLICT,
		   "many keys meet it as well, which looks at a range");
	command.prewrite.start_ts = 13;
	EQ_U64(run(&c, &command), TXN_OK, "behind it there is none");
	txn_overlay_free(&overlay);
	case_free(&c);
}

/* ------------------------------------------------------------- memory */

#define MANY 4000

/* Commands over a key that is named so often, and holds so large a lock. */
static TxnCommand
about_many(TxnCommandKind kind, const Bytes *keys, const Mutation *mutations)
{
	static TxnStatusOf rolled_back = {.start_ts = 10};
	TxnCommand command = {.kind = kind};

	switch (kind)
	{
		case TXN_CMD_PREWRITE:
		case TXN_CMD_FLUSH:
			command.prewrite.mutations = mutations;
			command.prewrite.n_mutations = MANY;
			command.prewrite.primary = keys[0];
			command.prewrite.start_ts = 20;
			command.prewrite.generation = kind == TXN_CMD_FLUSH;
			break;
		case TXN_CMD_PESSIMISTIC_LOCK:
			command.pessimistic_lock.mutations = mutations;
			command.pessimistic_lock.n_mutations = MANY;
			command.pessimistic_lock.primary = keys[0];
			command.pessimistic_lock.start_ts = 20;
			command.pessimistic_lock.for_update_ts = 20;
			command.pessimistic_lock.return_values = true;
			break;
		case TXN_CMD_COMMIT:
			command.commit = (CommitCommand){keys, MANY, 10, 20};
			break;
		case TXN_CMD_BATCH_ROLLBACK:
			command.batch_rollback = (BatchRollbackCommand){keys, MANY, 10};
			break;
		case TXN_CMD_CHECK_SECONDARY_LOCKS:
			command.check_secondary_locks =
				(CheckSecondaryLocksCommand){keys, MANY, 10};
			break;
		case TXN_CMD_RESOLVE_LOCK:
			command.resolve_lock.txns = &rolled_back;
			command.resolve_lock.n_txns = 1;
			command.resolve_lock.keys = keys;
			command.resolve_lock.n_keys = MANY;
			break;
		default:
			command.pessimistic_rollback.keys = keys;
			command.pessimistic_rollback.n_keys = MANY;
			command.pessimistic_rollback.start_ts = 20;
			command.pessimistic_rollback.for_update_ts = 20;
			break;
	}
	return command;
}

/* The next command may take so much; how much was taken before it. */
static size_t
bound(Case *c, size_t most)
{
	c->env.max_memory = c->arena.allocated + most;
	return c->arena.allocated;
}

/* What a command takes is bounded, and one that would take more leaves nothing. */
static void
memory_is_bounded(void)
{
	static const TxnCommandKind on_lock[] = {TXN_CMD_COMMIT,
											 TXN_CMD_BATCH_ROLLBACK,
											 TXN_CMD_CHECK_SECONDARY_LOCKS,
											 TXN_CMD_RESOLVE_LOCK,
											 TXN_CMD_PESSIMISTIC_ROLLBACK};
	static uint8_t large[4096];
	static Bytes keys[MANY];
	static Mutation mutations[MANY];
	size_t most = (size_t) 1 << 20;
	Lock lock = a_lock(LOCK_TYPE_PUT, "a", 10);
	WriteRecord write = {.type = WRITE_TYPE_PUT, .start_ts = 3};
	TxnCommand command;
	Case c;

	for (int i = 0; i < MANY; i++)
	{
		keys[i] = bytes_cstr("a");
		mutations[i] = put_a;
	}
	lock.primary = bytes_make(large, sizeof(large));
	case_init(&c);
	store_lock(&c, "a", &lock);
	for (size_t i = 0; i < sizeof(on_lock) / sizeof(on_lock[0]); i++)
	{
		size_t before = c.arena.allocated;

		command = about_many(on_lock[i], keys, mutations);
		c.env.max_memory = 0;
		EQ_U64(run(&c, &command), TXN_OK, "a long list without a bound");
		OK(c.arena.allocated > before + 2 * most, "takes much");
		before = bound(&c, most);
		EQ_U64(run(&c, &command), TXN_ABORT, "and fails with one");
		OK(c.arena.allocated < before + 2 * most, "having taken little more");
		EQ_U64(c.answer.n_errors, 1, "txn-semantics 27 row 6: for one reason");
	}

	command = about_many(TXN_CMD_PREWRITE, keys, mutations);
	c.env.max_memory = 0;
	EQ_U64(run(&c, &command), TXN_KEY_IS_LOCKED, "a prewrite meets many locks");
	EQ_U64(c.answer.n_errors, 1024, "and lists so many at most");
	bound(&c, most);
	EQ_U64(run(&c, &command), TXN_KEY_IS_LOCKED,
		   "a prewrite reports the locks that it met before that");
	OK(c.answer.n_errors < 1024 && c.effects.n_modifies == 0, "not all");
	for (int i = 0; i < MANY; i++)
		mutations[i].value = lock.primary;
	memory_delete(&c.memory, TXN_CF_LOCK, bytes_cstr("a"), 0);
	command = about_many(TXN_CMD_FLUSH, keys, mutations);
	command.prewrite.primary = lock.primary;
	bound(&c, most);
	EQ_U64(run(&c, &command), TXN_ABORT, "a flush of too much fails");
	EQ_U64(c.effects.n_modifies, 0, "and leaves nothing");
	memory_put(&c.memory, TXN_CF_VALUE, bytes_cstr("a"), 3, lock.primary,
			   false);
	store_write(&c, "a", 5, &write);
	for (int i = 0; i < MANY; i++)
		mutations[i].op = MUTATION_PESSIMISTIC_LOCK;
	command = about_many(TXN_CMD_PESSIMISTIC_LOCK, keys, mutations);
	bound(&c, most);
	EQ_U64(run(&c, &command), TXN_ABORT, "so do locks that return values");
	EQ_U64(c.effects.n_modifies, 0, "they are not taken");
	case_free(&c);
}

int
main(void)
{
	memory_is_bounded();
	lives_of_a_lock();
	pessimistic_and_resolving();
	ranges();
	clean_overlays();
	turn();
	return unit_done();
}
