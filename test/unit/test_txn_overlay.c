/*
 * test_txn_overlay.c
 *	  The overlay of a turn shows what carrying the effects out would, and
 *	  writes each row once.
 */
#include <setjmp.h>

#include "core/txn/overlay.h"
#include "dice.h"
#include "mvcc_memory.h"
#include "unit.h"

typedef struct Turn
{
	MvccMemory base;
	Arena arena;
	TxnEffects effects;
	TxnOverlay overlay;
} Turn;

static void
begin(Turn *t)
{
	memory_init(&t->base);
	arena_init(&t->arena);
	effects_init(&t->effects, &t->arena);
	txn_overlay_init(&t->overlay);
	txn_overlay_begin(&t->overlay, &t->base.reader);
}

static void
end(Turn *t)
{
	txn_overlay_free(&t->overlay);
	memory_free(&t->base);
	arena_free(&t->arena);
}

/* Take the effects listed so far in, and list new ones. */
static void
take_in(Turn *t)
{
	txn_overlay_apply(&t->overlay, &t->effects);
	effects_init(&t->effects, &t->arena);
}

static Lock
lock_of(LockType type, uint64_t start_ts)
{
	Lock lock = {.type = type,
				 .primary = bytes_cstr("p"),
				 .start_ts = start_ts};

	return lock;
}

static WriteRecord
put_of(uint64_t start_ts)
{
	WriteRecord write = {.type = WRITE_TYPE_PUT,
						 .start_ts = start_ts,
						 .has_short_value = true,
						 .short_value = bytes_cstr("v")};

	return write;
}

static size_t
n_to_write(const Turn *t)
{
	size_t at = 0;
	size_t n = 0;

	while (txn_overlay_next(&t->overlay, &at) != NULL)
		n++;
	return n;
}

/* The commit_ts of the newest record at ts, or 0. */
static uint64_t
seek(Turn *t, const char *key, uint64_t ts)
{
	WriteAt at;

	return t->overlay.reader.seek_write(&t->overlay.reader, bytes_cstr(key), ts,
										&t->arena, &at) ?
		at.commit_ts :
		0;
}

static bool
get_lock(Turn *t, const char *key, Lock *lock)
{
	return t->overlay.reader.get_lock(&t->overlay.reader, bytes_cstr(key),
									  &t->arena, lock);
}

static void
locks(void)
{
	Turn t;
	Lock lock = lock_of(LOCK_TYPE_PUT, 10);
	Lock member = lock_of(LOCK_TYPE_LOCK, 12);
	Lock shared = {.type = LOCK_TYPE_SHARED,
				   .members = &member,
				   .n_members = 1};
	Lock seen;
	size_t at = 0;

	begin(&t);
	memory_put(&t.base, TXN_CF_LOCK, bytes_cstr("b"), 0,
			   lock_encode(&lock, &t.arena), false);
	OK(get_lock(&t, "b", &seen) && seen.start_ts == 10, "the base shows");
	effects_delete_lock(&t.effects, bytes_cstr("b"));
	effects_put_lock(&t.effects, bytes_cstr("a"), &lock);
	effects_put_lock(&t.effects, bytes_cstr("s"), &shared);
	take_in(&t);
	OK(!get_lock(&t, "b", &seen), "a deleted lock does not");
	OK(get_lock(&t, "a", &seen) && seen.start_ts == 10,
	   "txn-semantics 6 one by one: a new lock shows");
	OK(get_lock(&t, "s", &seen) && seen.members[0].start_ts == 12,
	   "so do "
	   "members");
	seen.members[0].start_ts = 99;
	OK(get_lock(&t, "s", &seen) && seen.members[0].start_ts == 12,
	   "whose copy is the reader's own");
	lock.start_ts = 20;
	effects_put_memory_lock(&t.effects, bytes_cstr("b"), &lock);
	effects_delete_lock(&t.effects, bytes_cstr("a"));
	take_in(&t);
	OK(get_lock(&t, "b", &seen) && seen.start_ts == 20, "a lock put again");
	OK(!get_lock(&t, "a", &seen), "one that came and went");
	EQ_U64(n_to_write(&t), 2, "is not written");
	OK(txn_overlay_next(&t.overlay, &at)->memory_only,
	   "the first is in memory");
	OK(bytes_eq(txn_overlay_next(&t.overlay, &at)->key, bytes_cstr("s")),
	   "rows come in order of first change");
	effects_delete_lock(&t.effects, bytes_cstr("b"));
	take_in(&t);
	at = 0;
	OK(txn_overlay_next(&t.overlay, &at)->is_delete,
	   "what the base has is deleted there");
	end(&t);
}

static void
records(void)
{
	Turn t;
	WriteRecord write = put_of(3);

	begin(&t);
	for (uint64_t ts = 10; ts <= 30; ts += 10)
		memory_put(&t.base, TXN_CF_WRITE, bytes_cstr("a"), ts,
				   write_encode(&write, &t.arena), false);
	effects_put_write(&t.effects, bytes_cstr("a"), 25, &write);
	effects_put_write(&t.effects, bytes_cstr("a"), 5, &write);
	take_in(&t);
	EQ_U64(seek(&t, "a", UINT64_MAX), 30, "the base's newest");
	EQ_U64(seek(&t, "a", 29), 25, "then the overlay's");
	EQ_U64(seek(&t, "a", 24), 20, "the base's again");
	EQ_U64(seek(&t, "a", 9), 5, "down to the oldest");
	EQ_U64(seek(&t, "a", 4), 0, "and nothing below");
	effects_put_write(&t.effects, bytes_cstr("a"), 40, &write);
	effects_delete_write(&t.effects, bytes_cstr("a"), 25);
	effects_delete_write(&t.effects, bytes_cstr("a"), 20);
	take_in(&t);
	EQ_U64(seek(&t, "a", UINT64_MAX), 40, "a newer one on top");
	EQ_U64(seek(&t, "a", 29), 10, "deleted ones are passed over");
	EQ_U64(n_to_write(&t), 3, "one that came and went is not written");
	effects_put_write(&t.effects, bytes_cstr("a"), 25, &write);
	take_in(&t);
	EQ_U64(seek(&t, "a", 29), 25, "it may come again");
	EQ_U64(n_to_write(&t), 4, "and is written then");
	effects_delete_write(&t.effects, bytes_cstr("a"), 0);
	take_in(&t);
	EQ_U64(seek(&t, "a", 4), 0, "timestamp 0 ends the walk");
	end(&t);
}

/* How often the base is asked for a record. */
static size_t n_seeks;

static bool
counting_seek(MvccReader *reader, Bytes key, uint64_t ts, Arena *arena,
			  WriteAt *out)
{
	n_seeks++;
	return memory_seek_write(reader, key, ts, arena, out);
}

static void
hot_key(void)
{
	Turn t;
	WriteRecord write = put_of(3);

	begin(&t);
	t.base.reader.seek_write = counting_seek;
	memory_put(&t.base, TXN_CF_WRITE, bytes_cstr("a"), 10,
			   write_encode(&write, &t.arena), false);
	for (uint64_t ts = 20; ts < 120; ts++)
	{
		effects_put_write(&t.effects, bytes_cstr("a"), ts, &write);
		take_in(&t);
		seek(&t, "a", UINT64_MAX);
	}
	EQ_U64(seek(&t, "a", 19), 10, "a key that changes all the time");
	EQ_U64(n_seeks, 1, "is looked up in the base once");
	EQ_U64(seek(&t, "a", 9), 0, "older versions");
	EQ_U64(n_seeks, 2, "are looked up");
	end(&t);
}

static void
values(void)
{
	Turn t;
	MvccReader *reader = &t.overlay.reader;
	Bytes value;

	begin(&t);
	memory_put(&t.base, TXN_CF_VALUE, bytes_cstr("a"), 10, bytes_cstr("base"),
			   false);
	effects_put_value(&t.effects, bytes_cstr("a"), 12, bytes_cstr("new"));
	take_in(&t);
	OK(reader->get_value(reader, bytes_cstr("a"), 12, &t.arena, &value) &&
		   bytes_eq(value, bytes_cstr("new")),
	   "a new value");
	OK(reader->get_value(reader, bytes_cstr("a"), 10, &t.arena, &value) &&
		   bytes_eq(value, bytes_cstr("base")),
	   "one of the base below it");
	OK(!reader->get_value(reader, bytes_cstr("a"), 11, &t.arena, &value),
	   "none between");
	effects_delete_value(&t.effects, bytes_cstr("a"), 10);
	effects_delete_value(&t.effects, bytes_cstr("a"), 12);
	take_in(&t);
	OK(!reader->get_value(reader, bytes_cstr("a"), 10, &t.arena, &value) &&
		   !reader->get_value(reader, bytes_cstr("a"), 12, &t.arena, &value),
	   "both gone");
	EQ_U64(n_to_write(&t), 1, "one is deleted from the base");
	end(&t);
}

/* ---------------------------------------------------------------- ranges */

static jmp_buf refused;

static void
refuse(const char *expr, const char *file, int line)
{
	(void) expr;
	(void) file;
	(void) line;
	longjmp(refused, 1);
}

static bool
count_key(void *arg, Bytes key, const WriteAt *at)
{
	(void) key;
	(void) at;
	++*(int *) arg;
	return true;
}

static bool
count_lock(void *arg, Bytes key, const Lock *lock)
{
	(void) key;
	(void) lock;
	++*(int *) arg;
	return true;
}

static bool
count_value(void *arg, Bytes key, uint64_t start_ts, Bytes value)
{
	(void) key;
	(void) start_ts;
	(void) value;
	++*(int *) arg;
	return true;
}

static int
scan(Turn *t, int what)
{
	MvccReader *reader = &t->overlay.reader;
	KeyRange all = {bytes_empty(), bytes_empty()};
	static int n;

	n = 0;
	check_set_hook(refuse);
	if (setjmp(refused) != 0)
		n = -1;
	else if (what == 0)
		reader->scan_writes(reader, &all, UINT64_MAX, false, count_key, &n);
	else if (what == 1)
		reader->scan_locks(reader, &all, UINT64_MAX, true, count_lock, &n);
	else
		reader->scan_values(reader, &all, count_value, &n);
	check_set_hook(NULL);
	return n;
}

static void
ranges(void)
{
	Turn t;
	WriteRecord write = put_of(3);
	Lock lock = lock_of(LOCK_TYPE_PUT, 10);
	KeyRange range = {bytes_cstr("c"), bytes_cstr("f")};
	KeyRange open = {bytes_cstr("c"), bytes_empty()};
	MvccReader *reader = &t.overlay.reader;

	begin(&t);
	memory_put(&t.base, TXN_CF_WRITE, bytes_cstr("a"), 5,
			   write_encode(&write, &t.arena), false);
	memory_put(&t.base, TXN_CF_LOCK, bytes_cstr("a"), 0,
			   lock_encode(&lock, &t.arena), false);
	memory_put(&t.base, TXN_CF_VALUE, bytes_cstr("a"), 3, bytes_cstr("v"),
			   false);
	for (int i = 0; i < 3; i++)
		EQ_U64(scan(&t, i), 1, "an empty overlay lets scans through");
	OK(!reader->has_writes(reader, &range), "no record in this range");
	effects_put_write(&t.effects, bytes_cstr("f"), 5, &write);
	take_in(&t);
	for (int i = 0; i < 3; i++)
		OK(scan(&t, i) == -1, "one that is not refuses them");
	OK(!reader->has_writes(reader, &range), "still none in the range");
	OK(reader->has_writes(reader, &open), "but in an open one");
	effects_delete_write(&t.effects, bytes_cstr("f"), 5);
	take_in(&t);
	EQ_U64(scan(&t, 0), 1, "what came and went is no obstacle");
	OK(!reader->has_writes(reader, &open), "nor a record");
	effects_put_lock(&t.effects, bytes_cstr("d"), &lock);
	take_in(&t);
	OK(!reader->has_writes(reader, &range), "a lock is no record");
	memory_put(&t.base, TXN_CF_WRITE, bytes_cstr("d"), 5,
			   write_encode(&write, &t.arena), false);
	OK(reader->has_writes(reader, &range), "the base's count");
	end(&t);
}

/* ---------------------------------------------------- against a model */

static const char *const model_keys[] = {"", "a", "b", "cc", "d"};

static Bytes
any_key(void)
{
	return bytes_cstr(model_keys[below(5)]);
}

/* A change of any kind; a row of CF lock or write keeps its record's form. */
static void
random_change(TxnEffects *effects)
{
	Lock lock = lock_of(LOCK_TYPE_PUT, 1 + below(1000));
	WriteRecord write = put_of(1 + below(1000));
	uint64_t ts = below(8);
	Bytes key = any_key();

	write.type = below(2) == 0 ? WRITE_TYPE_PUT : WRITE_TYPE_ROLLBACK;
	switch (below(8))
	{
		case 0:
			effects_put_lock(effects, key, &lock);
			break;
		case 1:
			effects_delete_lock(effects, key);
			break;
		case 2:
		case 3:
			effects_put_write(effects, key, ts, &write);
			break;
		case 4:
		case 5:
			effects_delete_write(effects, key, ts);
			break;
		case 6:
			effects_put_value(effects, key, ts,
							  arena_copy(effects->arena, any_key()));
			break;
		default:
			effects_delete_value(effects, key, ts);
			break;
	}
}

static bool
same_locks(MvccReader *a, MvccReader *b, Bytes key, Arena *arena)
{
	Lock x;
	Lock y;
	bool in_a = a->get_lock(a, key, arena, &x);

	return in_a == b->get_lock(b, key, arena, &y) &&
		(!in_a || bytes_eq(lock_encode(&x, arena), lock_encode(&y, arena)));
}

static bool
same_rows(MvccReader *a, MvccReader *b, Bytes key, uint64_t ts, Arena *arena)
{
	WriteAt x;
	WriteAt y;
	Bytes v;
	Bytes w;
	bool in_a = a->seek_write(a, key, ts, arena, &x);

	if (in_a != b->seek_write(b, key, ts, arena, &y) ||
		(in_a &&
		 (x.commit_ts != y.commit_ts ||
		  !bytes_eq(write_encode(&x.write, arena),
					write_encode(&y.write, arena)))))
		return false;
	in_a = a->get_value(a, key, ts, arena, &v);
	return in_a == b->get_value(b, key, ts, arena, &w) &&
		(!in_a || bytes_eq(v, w));
}

static bool
looks_the_same(Turn *t, MvccMemory *model)
{
	MvccReader *a = &t->overlay.reader;
	MvccReader *b = &model->reader;

	for (int i = 0; i < 5; i++)
	{
		Bytes key = bytes_cstr(model_keys[i]);

		if (!same_locks(a, b, key, &t->arena) ||
			!same_rows(a, b, key, UINT64_MAX, &t->arena))
			return false;
		for (uint64_t ts = 0; ts < 9; ts++)
			if (!same_rows(a, b, key, ts, &t->arena))
				return false;
	}
	return true;
}

static bool
same_memory(const MvccMemory *a, const MvccMemory *b)
{
	if (a->n_rows != b->n_rows)
		return false;
	for (size_t i = 0; i < a->n_rows; i++)
		if (memory_cmp(&a->rows[i], b->rows[i].cf, b->rows[i].key,
					   b->rows[i].ts) != 0 ||
			!bytes_eq(a->rows[i].bytes, b->rows[i].bytes))
			return false;
	return true;
}

/* Write what the overlay says into the base, as the row writer would. */
static bool
write_out(Turn *t)
{
	const TxnModify *seen[200];
	const TxnModify *m;
	size_t at = 0;
	size_t n = 0;

	while ((m = txn_overlay_next(&t->overlay, &at)) != NULL)
	{
		for (size_t i = 0; i < n; i++)
			if (seen[i]->cf == m->cf && seen[i]->ts == m->ts &&
				bytes_eq(seen[i]->key, m->key))
				return false;
		seen[n++] = m;
		if (m->is_delete)
			memory_delete(&t->base, m->cf, m->key, m->ts);
		else
			memory_put(&t->base, m->cf, m->key, m->ts, m->bytes, false);
	}
	return n == t->overlay.n_live;
}

static bool
random_turn(Turn *t, MvccMemory *model)
{
	bool same = true;

	txn_overlay_begin(&t->overlay, &t->base.reader);
	for (int command = 0; command < 6; command++)
	{
		effects_init(&t->effects, &t->arena);
		for (uint64_t n = below(6); n > 0; n--)
			random_change(&t->effects);
		memory_apply(model, &t->effects);
		txn_overlay_apply(&t->overlay, &t->effects);
		same = same && looks_the_same(t, model);
	}
	same = write_out(t) && same && same_memory(&t->base, model);
	arena_reset(&t->arena);
	return same;
}

static void
model(void)
{
	size_t wrong = 0;

	for (uint64_t run = 0; run < 200; run++)
	{
		Turn t;
		MvccMemory m;

		rng = run + 1;
		begin(&t);
		memory_init(&m);
		for (int turn = 0; turn < 4; turn++)
			wrong += !random_turn(&t, &m);
		memory_free(&m);
		end(&t);
	}
	EQ_U64(wrong, 0, "random turns look and end like the model");
}

#define MANY 5000

static void
many(void)
{
	Turn t;
	Lock lock = lock_of(LOCK_TYPE_PUT, 10);
	WriteRecord write = put_of(3);
	char(*keys)[16] = calloc(MANY, sizeof(*keys));
	size_t wrong = 0;

	begin(&t);
	for (int i = 0; i < MANY; i++)
	{
		snprintf(keys[i], sizeof(keys[i]), "key%d", i);
		effects_put_lock(&t.effects, bytes_cstr(keys[i]), &lock);
		effects_put_write(&t.effects, bytes_cstr(keys[i]), (uint64_t) i + 1,
						  &write);
		effects_put_write(&t.effects, bytes_cstr("hot"), (uint64_t) i + 1,
						  &write);
	}
	take_in(&t);
	EQ_U64(n_to_write(&t), 3 * MANY, "thousands of rows");
	for (int i = 0; i < MANY; i++)
	{
		Lock seen;

		wrong += !get_lock(&t, keys[i], &seen);
		wrong += seek(&t, keys[i], UINT64_MAX) != (uint64_t) i + 1;
	}
	EQ_U64(wrong, 0, "are all found");
	EQ_U64(seek(&t, "hot", MANY / 2), MANY / 2, "in a long chain too");
	txn_overlay_begin(&t.overlay, &t.base.reader);
	OK(txn_overlay_is_empty(&t.overlay) && seek(&t, "hot", UINT64_MAX) == 0,
	   "a new turn begins empty");
	OK(t.overlay.rows_room >= 3 * MANY, "in the room of the last");
	for (int i = 0; i < MANY; i++)
		effects_put_value(&t.effects, bytes_cstr("v"), (uint64_t) i,
						  bytes_empty());
	for (int i = 0; i < MANY; i++)
		effects_put_write(&t.effects, bytes_cstr(keys[i]), 1, &write);
	for (uint64_t ts = 2; ts < 4; ts++)
		for (int i = 0; i < MANY; i++)
			effects_put_write(&t.effects, bytes_cstr(keys[i]), ts, &write);
	take_in(&t);
	EQ_U64(n_to_write(&t), 4 * MANY, "a very large turn");
	txn_overlay_begin(&t.overlay, &t.base.reader);
	EQ_U64(t.overlay.rows_room, 0, "gives its room back");
	t.overlay.turn = UINT32_MAX;
	effects_put_write(&t.effects, bytes_cstr("hot"), 7, &write);
	take_in(&t);
	EQ_U64(seek(&t, "hot", UINT64_MAX), 7, "the last number of a turn");
	txn_overlay_begin(&t.overlay, &t.base.reader);
	EQ_U64(seek(&t, "hot", UINT64_MAX), 0, "is followed by the first");
	free(keys);
	end(&t);
}

int
main(void)
{
	locks();
	records();
	hot_key();
	values();
	ranges();
	model();
	many();
	return unit_done();
}
