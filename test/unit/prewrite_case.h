/*
 * prewrite_case.h
 *	  What tests of prewrite, flush and commit begin with and look at.
 *
 * A store in memory, one command at a time; effects stay to be looked at until
 * the next command, and are carried out by case_apply only.
 */
#ifndef TIKV_TEST_PREWRITE_CASE_H
#define TIKV_TEST_PREWRITE_CASE_H

#include "mvcc_memory.h"
#include "unit.h"

#define CASE_MAX_KEYS 32

typedef struct Case
{
	MvccMemory memory;
	Arena arena;
	TxnEffects effects;
	TxnEnv env;
	TxnAnswer answer;

	/* the prewrite that is being put together */
	PrewriteCommand command;
	Mutation mutations[CASE_MAX_KEYS];
	PessimisticAction actions[CASE_MAX_KEYS];
} Case;

static inline void
case_init(Case *c)
{
	memset(c, 0, sizeof(*c));
	memory_init(&c->memory);
	arena_init(&c->arena);
	effects_init(&c->effects, &c->arena);
	c->env.reader = &c->memory.reader;
	c->env.cm = &c->memory.cm;
	c->env.arena = &c->arena;
	c->env.effects = &c->effects;
	c->env.max_ts_synced = true;
}

static inline void
case_free(Case *c)
{
	memory_free(&c->memory);
	arena_free(&c->arena);
}

/* ------------------------------------------------------- what is there */

static inline Lock
a_lock(LockType type, const char *primary, uint64_t start_ts)
{
	Lock lock = {.type = type,
				 .primary = bytes_cstr(primary),
				 .start_ts = start_ts,
				 .ttl_ms = 3000};

	if (type == LOCK_TYPE_PUT)
	{
		lock.has_short_value = true;
		lock.short_value = bytes_cstr("v");
	}
	return lock;
}

static inline Lock
a_pessimistic_lock(const char *primary, uint64_t start_ts,
				   uint64_t for_update_ts)
{
	Lock lock = a_lock(LOCK_TYPE_PESSIMISTIC, primary, start_ts);

	lock.for_update_ts = for_update_ts;
	return lock;
}

static inline void
store_lock(Case *c, const char *key, const Lock *lock)
{
	memory_put(&c->memory, TXN_CF_LOCK, bytes_cstr(key), 0,
			   lock_encode(lock, &c->arena), false);
}

static inline WriteRecord
a_write(WriteType type, uint64_t start_ts)
{
	WriteRecord write = {.type = type, .start_ts = start_ts};

	if (type == WRITE_TYPE_PUT)
	{
		write.has_short_value = true;
		write.short_value = bytes_cstr("old");
	}
	return write;
}

static inline void
store_write(Case *c, const char *key, uint64_t commit_ts,
			const WriteRecord *write)
{
	memory_put(&c->memory, TXN_CF_WRITE, bytes_cstr(key), commit_ts,
			   write_encode(write, &c->arena), false);
}

static inline void
store_simple_write(Case *c, const char *key, WriteType type, uint64_t start_ts,
				   uint64_t commit_ts)
{
	WriteRecord write = a_write(type, start_ts);

	store_write(c, key, commit_ts, &write);
}

/* ---------------------------------------------------------- the command */

static inline void
begin_prewrite(Case *c, const char *primary, uint64_t start_ts)
{
	memset(&c->command, 0, sizeof(c->command));
	c->command.primary = bytes_cstr(primary);
	c->command.start_ts = start_ts;
	c->command.lock_ttl_ms = 1000;
	c->command.mutations = c->mutations;
	c->command.actions = c->actions;
}

static inline void
begin_pessimistic(Case *c, const char *primary, uint64_t start_ts,
				  uint64_t for_update_ts)
{
	begin_prewrite(c, primary, start_ts);
	c->command.for_update_ts = for_update_ts;
}

static inline Mutation *
mutate(Case *c, MutationOp op, const char *key, const char *value)
{
	Mutation *m = &c->mutations[c->command.n_mutations];

	memset(m, 0, sizeof(*m));
	m->op = op;
	m->key = bytes_cstr(key);
	m->value = bytes_cstr(value);
	c->actions[c->command.n_mutations++] = SKIP_PESSIMISTIC_CHECK;
	c->command.n_actions = c->command.n_mutations;
	return m;
}

static inline void
mutate_locked(Case *c, MutationOp op, const char *key, PessimisticAction action)
{
	mutate(c, op, key, op == MUTATION_PUT ? "new" : "");
	c->actions[c->command.n_mutations - 1] = action;
}

static inline void
case_clear(Case *c)
{
	effects_init(&c->effects, &c->arena);
	memset(&c->answer, 0, sizeof(c->answer));
}

/* The kind of the first error, or TXN_OK. */
static inline TxnErrorKind
case_error(const Case *c)
{
	return c->answer.n_errors == 0 ? TXN_OK : c->answer.errors[0].kind;
}

static inline TxnErrorKind
run_prewrite(Case *c)
{
	case_clear(c);
	txn_prewrite(&c->env, &c->command, &c->answer);
	return case_error(c);
}

static inline TxnErrorKind
run_flush(Case *c, uint64_t generation)
{
	case_clear(c);
	c->command.generation = generation;
	txn_flush(&c->env, &c->command, &c->answer);
	return case_error(c);
}

static inline TxnErrorKind
run_commit(Case *c, const char *key, uint64_t start_ts, uint64_t commit_ts)
{
	Bytes keys[1] = {bytes_cstr(key)};
	CommitCommand command = {.keys = keys,
							 .n_keys = 1,
							 .start_ts = start_ts,
							 .commit_ts = commit_ts};

	case_clear(c);
	txn_commit(&c->env, &command, &c->answer);
	return case_error(c);
}

/* Carry the effects out; guards end as they do when a turn is durable. */
static inline void
case_apply(Case *c)
{
	memory_apply(&c->memory, &c->effects);
	for (size_t i = 0; i < c->effects.n_guards; i++)
		c->memory.cm.retract(&c->memory.cm, c->effects.guards[i].key,
							 c->effects.guards[i].start_ts);
}

/* -------------------------------------------------------- what came of it */

static inline bool
nothing_written(const Case *c)
{
	return c->effects.n_modifies == 0 && c->effects.n_released == 0;
}

/* Error or repetition: nothing listed and no guard left. */
static inline bool
nothing_left(const Case *c)
{
	return nothing_written(c) && c->effects.n_guards == 0 &&
		c->memory.n_guards == 0;
}

/* The last effect on the row, or NULL. */
static inline const TxnModify *
find_effect(const Case *c, TxnCf cf, const char *key)
{
	for (size_t i = c->effects.n_modifies; i-- > 0;)
		if (c->effects.modifies[i].cf == cf &&
			bytes_eq(c->effects.modifies[i].key, bytes_cstr(key)))
			return &c->effects.modifies[i];
	return NULL;
}

/* The lock that is listed to be put on the key, or NULL. */
static inline const Lock *
put_lock(const Case *c, const char *key)
{
	const TxnModify *m = find_effect(c, TXN_CF_LOCK, key);

	return m == NULL || m->is_delete ? NULL : m->lock;
}

/* The Write record that is listed to be put on the key, or NULL. */
static inline const WriteRecord *
put_write(const Case *c, const char *key, uint64_t commit_ts)
{
	const TxnModify *m = find_effect(c, TXN_CF_WRITE, key);

	return m == NULL || m->is_delete || m->ts != commit_ts ? NULL : &m->write;
}

static inline bool
deletes_lock(const Case *c, const char *key)
{
	const TxnModify *m = find_effect(c, TXN_CF_LOCK, key);

	return m != NULL && m->is_delete;
}

static inline bool
is_released(const Case *c, const char *key, uint64_t start_ts,
			uint64_t commit_ts)
{
	for (size_t i = 0; i < c->effects.n_released; i++)
	{
		const TxnReleased *r = &c->effects.released[i];

		if (bytes_eq(r->key, bytes_cstr(key)) && r->start_ts == start_ts &&
			r->commit_ts == commit_ts)
			return true;
	}
	return false;
}

static inline bool
is_known(const Case *c, uint64_t start_ts, uint64_t commit_ts)
{
	return c->effects.n_known == 1 &&
		c->effects.known[0].start_ts == start_ts &&
		c->effects.known[0].commit_ts == commit_ts;
}

#endif /* TIKV_TEST_PREWRITE_CASE_H */
