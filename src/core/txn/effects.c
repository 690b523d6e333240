/*
 * effects.c
 *	  What a command wants done, once its turn is durable.
 */
#include "core/txn/effects.h"

#include <stdlib.h>

#define FIRST_ROOM 8

void
effects_init(TxnEffects *effects, Arena *arena)
{
	memset(effects, 0, sizeof(*effects));
	effects->arena = arena;
}

void
effects_clear(TxnEffects *effects)
{
	effects->n_modifies = 0;
	effects->n_released = 0;
	effects->n_known = 0;
	effects->bytes = 0;
	effects->one_pc = false;
}

/* Room for one more element of a list; what is there moves along. */
static void *
grow(Arena *arena, void *items, size_t n, size_t *room, size_t size)
{
	void *more;

	if (n < *room)
		return items;
	*room = *room == 0 ? FIRST_ROOM : *room * 2;
	more = arena_alloc(arena, *room * size);
	if (n > 0)
		memcpy(more, items, n * size);
	return more;
}

static TxnModify *
add(TxnEffects *effects, TxnCf cf, Bytes key, uint64_t ts, Bytes bytes)
{
	TxnModify *modify;

	effects->modifies =
		grow(effects->arena, effects->modifies, effects->n_modifies,
			 &effects->modifies_room, sizeof(TxnModify));
	modify = &effects->modifies[effects->n_modifies++];
	memset(modify, 0, sizeof(*modify));
	modify->cf = cf;
	modify->key = key;
	modify->ts = ts;
	modify->bytes = bytes;
	effects->bytes += key.len + bytes.len;
	return modify;
}

static TxnModify *
add_lock(TxnEffects *effects, Bytes key, const Lock *lock)
{
	Lock *copy = arena_alloc(effects->arena, sizeof(Lock));
	TxnModify *modify =
		add(effects, TXN_CF_LOCK, key, 0, lock_encode(lock, effects->arena));

	*copy = *lock;
	modify->lock = copy;
	return modify;
}

void
effects_put_lock(TxnEffects *effects, Bytes key, const Lock *lock)
{
	add_lock(effects, key, lock);
}

void
effects_put_memory_lock(TxnEffects *effects, Bytes key, const Lock *lock)
{
	add_lock(effects, key, lock)->memory_only = true;
}

void
effects_delete_lock(TxnEffects *effects, Bytes key)
{
	add(effects, TXN_CF_LOCK, key, 0, bytes_empty())->is_delete = true;
}

void
effects_put_write(TxnEffects *effects, Bytes key, uint64_t commit_ts,
				  const WriteRecord *write)
{
	add(effects, TXN_CF_WRITE, key, commit_ts,
		write_encode(write, effects->arena))
		->write = *write;
}

void
effects_delete_write(TxnEffects *effects, Bytes key, uint64_t commit_ts)
{
	add(effects, TXN_CF_WRITE, key, commit_ts, bytes_empty())->is_delete = true;
}

void
effects_put_value(TxnEffects *effects, Bytes key, uint64_t start_ts,
				  Bytes value)
{
	add(effects, TXN_CF_VALUE, key, start_ts, value);
}

void
effects_delete_value(TxnEffects *effects, Bytes key, uint64_t start_ts)
{
	add(effects, TXN_CF_VALUE, key, start_ts, bytes_empty())->is_delete = true;
}

/* ---- orphans ---- */

static int
by_key(const void *a, const void *b)
{
	const TxnModify *x = *(const TxnModify *const *) a;
	const TxnModify *y = *(const TxnModify *const *) b;
	int c = bytes_cmp(x->key, y->key);

	/* They lie in one array: its order is theirs. */
	return c != 0 ? c : (x > y) - (x < y);
}

static bool
needs_value(const TxnModify *modify)
{
	if (modify->cf == TXN_CF_LOCK)
		return modify->lock->type == LOCK_TYPE_PUT &&
			!modify->lock->has_short_value;
	return modify->write.type == WRITE_TYPE_PUT &&
		!modify->write.has_short_value;
}

/* The modifies of one key, in their order. */
static void
drop_orphan_of(TxnEffects *effects, const TxnModify *const *of_key, size_t n)
{
	const TxnModify *value = NULL;
	const TxnModify *last = NULL;

	for (size_t i = 0; i < n; i++)
		if (of_key[i]->cf == TXN_CF_VALUE)
			value = of_key[i];
		else
			last = of_key[i];
	if (value != NULL && last != NULL && !needs_value(last))
		effects_delete_value(effects, value->key, value->ts);
}

void
effects_drop_orphans(TxnEffects *effects, Arena *scratch)
{
	size_t n = effects->n_modifies;
	TxnModify *copy = arena_alloc(scratch, n * sizeof(*copy));
	const TxnModify **puts = arena_alloc(scratch, n * sizeof(*puts));
	size_t n_puts = 0;

	/* The array may move when something is added. */
	memcpy(copy, effects->modifies, n * sizeof(*copy));
	for (size_t i = 0; i < n; i++)
		if (!copy[i].is_delete)
			puts[n_puts++] = &copy[i];
	qsort(puts, n_puts, sizeof(*puts), by_key);
	for (size_t from = 0; from < n_puts;)
	{
		size_t to = from + 1;

		while (to < n_puts && bytes_eq(puts[to]->key, puts[from]->key))
			to++;
		drop_orphan_of(effects, puts + from, to - from);
		from = to;
	}
}

void
effects_note_released(TxnEffects *effects, Bytes key, uint64_t start_ts,
					  uint64_t commit_ts, bool pessimistic)
{
	TxnReleased *released;

	effects->released =
		grow(effects->arena, effects->released, effects->n_released,
			 &effects->released_room, sizeof(TxnReleased));
	released = &effects->released[effects->n_released++];
	released->key = key;
	released->start_ts = start_ts;
	released->commit_ts = commit_ts;
	released->pessimistic = pessimistic;
}

void
effects_release(TxnEffects *effects, Bytes key, const Lock *lock,
				uint64_t commit_ts)
{
	effects_delete_lock(effects, key);
	effects_note_released(effects, key, lock->start_ts, commit_ts,
						  lock->type == LOCK_TYPE_PESSIMISTIC);
}

void
effects_know(TxnEffects *effects, uint64_t start_ts, uint64_t commit_ts)
{
	effects->known = grow(effects->arena, effects->known, effects->n_known,
						  &effects->known_room, sizeof(TxnKnown));
	effects->known[effects->n_known].start_ts = start_ts;
	effects->known[effects->n_known++].commit_ts = commit_ts;
}

void
effects_guard(TxnEffects *effects, Bytes key, uint64_t start_ts)
{
	effects->guards = grow(effects->arena, effects->guards, effects->n_guards,
						   &effects->guards_room, sizeof(TxnGuard));
	effects->guards[effects->n_guards].key = key;
	effects->guards[effects->n_guards++].start_ts = start_ts;
}
