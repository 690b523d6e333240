/*
 * mvcc_memory.h
 *	  The column families of transactions in sorted arrays, for tests.
 *
 * An MvccReader, a ConcurrencyManager and the application of effects, as
 * simple as can be: tests of commands compare what the commands left here.
 * Linear everywhere; for tests of some thousand records.
 */
#ifndef TIKV_TEST_MVCC_MEMORY_H
#define TIKV_TEST_MVCC_MEMORY_H

#include <stdlib.h>

#include "core/base/check.h"
#include "core/txn/command.h"

typedef struct MemoryRow
{
	TxnCf cf;
	Bytes key; /* malloc'd */
	uint64_t ts;
	Bytes bytes;	  /* malloc'd */
	bool memory_only; /* a pessimistic lock without a row */
} MemoryRow;

typedef struct MemoryGuard
{
	Bytes key;
	Bytes lock; /* encoded */
} MemoryGuard;

typedef struct MvccMemory
{
	MvccReader reader;
	ConcurrencyManager cm;
	MemoryRow *rows; /* by cf, key, ts */
	size_t n_rows;
	size_t room;
	MemoryGuard guards[1024];
	size_t n_guards;
	size_t max_guards; /* PUBLISH_FULL beyond; at most 1024 */
	uint64_t max_ts;
} MvccMemory;

static inline Bytes
memory_dup(Bytes b)
{
	uint8_t *data = malloc(b.len + 1);

	if (b.len > 0)
		memcpy(data, b.data, b.len);
	return bytes_make(data, b.len);
}

static inline void
memory_drop(Bytes b)
{
	free((void *) (uintptr_t) b.data);
}

static inline int
memory_cmp(const MemoryRow *row, TxnCf cf, Bytes key, uint64_t ts)
{
	int c;

	if (row->cf != cf)
		return row->cf < cf ? -1 : 1;
	c = bytes_cmp(row->key, key);
	if (c != 0)
		return c;
	return (row->ts > ts) - (row->ts < ts);
}

/* The first row that is not before (cf, key, ts). */
static inline size_t
memory_lower_bound(const MvccMemory *m, TxnCf cf, Bytes key, uint64_t ts)
{
	size_t low = 0;
	size_t high = m->n_rows;

	while (low < high)
	{
		size_t mid = (low + high) / 2;

		if (memory_cmp(&m->rows[mid], cf, key, ts) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static inline MemoryRow *
memory_find(const MvccMemory *m, TxnCf cf, Bytes key, uint64_t ts)
{
	size_t at = memory_lower_bound(m, cf, key, ts);

	if (at < m->n_rows && memory_cmp(&m->rows[at], cf, key, ts) == 0)
		return &m->rows[at];
	return NULL;
}

static inline void
memory_put(MvccMemory *m, TxnCf cf, Bytes key, uint64_t ts, Bytes bytes,
		   bool memory_only)
{
	MemoryRow *row = memory_find(m, cf, key, ts);
	size_t at;

	if (row != NULL)
	{
		Bytes old = row->bytes;

		row->bytes = memory_dup(bytes);
		row->memory_only = memory_only;
		memory_drop(old);
		return;
	}
	if (m->n_rows == m->room)
	{
		m->room = m->room == 0 ? 64 : m->room * 2;
		m->rows = realloc(m->rows, m->room * sizeof(MemoryRow));
	}
	at = memory_lower_bound(m, cf, key, ts);
	memmove(&m->rows[at + 1], &m->rows[at],
			(m->n_rows - at) * sizeof(MemoryRow));
	m->n_rows++;
	row = &m->rows[at];
	row->cf = cf;
	row->key = memory_dup(key);
	row->ts = ts;
	row->bytes = memory_dup(bytes);
	row->memory_only = memory_only;
}

static inline void
memory_delete(MvccMemory *m, TxnCf cf, Bytes key, uint64_t ts)
{
	MemoryRow *row = memory_find(m, cf, key, ts);
	size_t at;

	if (row == NULL)
		return;
	memory_drop(row->key);
	memory_drop(row->bytes);
	at = (size_t) (row - m->rows);
	m->n_rows--;
	memmove(&m->rows[at], &m->rows[at + 1],
			(m->n_rows - at) * sizeof(MemoryRow));
}

/* Carry out what a command listed. */
static inline void
memory_apply(MvccMemory *m, const TxnEffects *effects)
{
	for (size_t i = 0; i < effects->n_modifies; i++)
	{
		const TxnModify *modify = &effects->modifies[i];

		if (modify->is_delete)
			memory_delete(m, modify->cf, modify->key, modify->ts);
		else
			memory_put(m, modify->cf, modify->key, modify->ts, modify->bytes,
					   modify->memory_only);
	}
}

/* ---------------------------------------------------------------- reader */

static inline bool
memory_get_lock(MvccReader *reader, Bytes key, Arena *arena, Lock *lock)
{
	MvccMemory *m = (MvccMemory *) reader;
	MemoryRow *row = memory_find(m, TXN_CF_LOCK, key, 0);

	if (row == NULL)
		return false;
	CHECK(lock_decode(arena_copy(arena, row->bytes), arena, lock) == STATUS_OK);
	return true;
}

static inline void
memory_write_at(const MemoryRow *row, Arena *arena, WriteAt *out)
{
	out->commit_ts = row->ts;
	CHECK(write_decode(arena_copy(arena, row->bytes), &out->write) ==
		  STATUS_OK);
}

static inline bool
memory_seek_write(MvccReader *reader, Bytes key, uint64_t ts, Arena *arena,
				  WriteAt *out)
{
	MvccMemory *m = (MvccMemory *) reader;
	size_t at = memory_lower_bound(m, TXN_CF_WRITE, key, ts);

	if (at < m->n_rows && memory_cmp(&m->rows[at], TXN_CF_WRITE, key, ts) == 0)
	{
		memory_write_at(&m->rows[at], arena, out);
		return true;
	}
	if (at == 0 || m->rows[at - 1].cf != TXN_CF_WRITE ||
		!bytes_eq(m->rows[at - 1].key, key))
		return false;
	memory_write_at(&m->rows[at - 1], arena, out);
	return true;
}

static inline bool
memory_get_value(MvccReader *reader, Bytes key, uint64_t start_ts, Arena *arena,
				 Bytes *value)
{
	MvccMemory *m = (MvccMemory *) reader;
	MemoryRow *row = memory_find(m, TXN_CF_VALUE, key, start_ts);

	if (row == NULL)
		return false;
	*value = arena_copy(arena, row->bytes);
	return true;
}

static inline bool
memory_in_range(const KeyRange *range, Bytes key)
{
	return bytes_cmp(key, range->lower) >= 0 &&
		(range->upper.len == 0 || bytes_cmp(key, range->upper) < 0);
}

static inline void
memory_scan_locks(MvccReader *reader, const KeyRange *range, uint64_t max_ts,
				  bool memory,
				  bool (*emit)(void *arg, Bytes key, const Lock *lock),
				  void *arg)
{
	MvccMemory *m = (MvccMemory *) reader;
	Arena arena;
	bool more = true;

	arena_init(&arena);
	for (size_t i = 0; more && i < m->n_rows; i++)
	{
		const MemoryRow *row = &m->rows[i];
		Lock lock;

		if (row->cf != TXN_CF_LOCK || !memory_in_range(range, row->key) ||
			(row->memory_only && !memory))
			continue;
		CHECK(lock_decode(row->bytes, &arena, &lock) == STATUS_OK);
		if (lock.type == LOCK_TYPE_SHARED || lock.start_ts <= max_ts)
			more = emit(arg, row->key, &lock);
	}
	arena_free(&arena);
}

static inline void
memory_scan_writes(MvccReader *reader, const KeyRange *range, uint64_t ts,
				   bool reverse,
				   bool (*emit)(void *arg, Bytes key, const WriteAt *at),
				   void *arg)
{
	MvccMemory *m = (MvccMemory *) reader;
	Bytes last = bytes_empty();
	bool has_last = false;
	Arena arena;

	arena_init(&arena);
	for (size_t n = 0; n < m->n_rows; n++)
	{
		const MemoryRow *row = &m->rows[reverse ? m->n_rows - 1 - n : n];
		WriteAt at;

		if (row->cf != TXN_CF_WRITE || !memory_in_range(range, row->key) ||
			(has_last && bytes_eq(row->key, last)))
			continue;
		last = row->key;
		has_last = true;
		if (memory_seek_write(reader, row->key, ts, &arena, &at) &&
			!emit(arg, row->key, &at))
			break;
	}
	arena_free(&arena);
}

static inline void
memory_scan_values(MvccReader *reader, const KeyRange *range,
				   bool (*emit)(void *arg, Bytes key, uint64_t start_ts,
								Bytes value),
				   void *arg)
{
	MvccMemory *m = (MvccMemory *) reader;

	for (size_t i = 0; i < m->n_rows; i++)
	{
		const MemoryRow *row = &m->rows[i];

		if (row->cf == TXN_CF_VALUE && memory_in_range(range, row->key) &&
			!emit(arg, row->key, row->ts, row->bytes))
			break;
	}
}

/* --------------------------------------------------- concurrency manager */

static inline MvccMemory *
memory_of_cm(ConcurrencyManager *cm)
{
	return (MvccMemory *) ((char *) cm - offsetof(MvccMemory, cm));
}

static inline void
memory_raise_max_ts(ConcurrencyManager *cm, uint64_t ts)
{
	MvccMemory *m = memory_of_cm(cm);

	if (ts != UINT64_MAX && ts > m->max_ts)
		m->max_ts = ts;
}

static inline uint64_t
memory_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline PublishAnswer
memory_publish(ConcurrencyManager *cm, Bytes key, Lock *lock,
			   uint64_t max_commit_ts)
{
	MvccMemory *m = memory_of_cm(cm);
	uint64_t least =
		memory_max(memory_max(m->max_ts, lock->start_ts), lock->for_update_ts) +
		1;
	Arena arena;

	if (m->n_guards >= m->max_guards)
		return PUBLISH_FULL;
	lock->min_commit_ts = memory_max(lock->min_commit_ts, least);
	if (max_commit_ts != 0 && lock->min_commit_ts > max_commit_ts)
		return PUBLISH_TOO_LARGE;
	arena_init(&arena);
	m->guards[m->n_guards].key = memory_dup(key);
	m->guards[m->n_guards++].lock = memory_dup(lock_encode(lock, &arena));
	arena_free(&arena);
	return PUBLISH_OK;
}

static inline void
memory_drop_guard(MvccMemory *m, size_t at)
{
	memory_drop(m->guards[at].key);
	memory_drop(m->guards[at].lock);
	m->guards[at] = m->guards[--m->n_guards];
}

static inline void
memory_retract(ConcurrencyManager *cm, Bytes key, uint64_t start_ts)
{
	MvccMemory *m = memory_of_cm(cm);
	Arena arena;

	arena_init(&arena);
	for (size_t i = m->n_guards; i-- > 0;)
	{
		Lock lock;

		CHECK(lock_decode(m->guards[i].lock, &arena, &lock) == STATUS_OK);
		if (bytes_eq(m->guards[i].key, key) && lock.start_ts == start_ts)
			memory_drop_guard(m, i);
	}
	arena_free(&arena);
}

static inline bool
memory_find_guard(ConcurrencyManager *cm, const KeyRange *range,
				  uint64_t max_ts, Arena *arena, Bytes *key, Lock *lock)
{
	MvccMemory *m = memory_of_cm(cm);
	size_t best = m->n_guards;

	for (size_t i = 0; i < m->n_guards; i++)
	{
		CHECK(lock_decode(m->guards[i].lock, arena, lock) == STATUS_OK);
		if (memory_in_range(range, m->guards[i].key) &&
			lock->start_ts <= max_ts &&
			(best == m->n_guards ||
			 bytes_cmp(m->guards[i].key, m->guards[best].key) < 0))
			best = i;
	}
	if (best == m->n_guards)
		return false;
	*key = arena_copy(arena, m->guards[best].key);
	CHECK(lock_decode(arena_copy(arena, m->guards[best].lock), arena, lock) ==
		  STATUS_OK);
	return true;
}

/* -------------------------------------------------------- begin and end */

static inline void
memory_init(MvccMemory *m)
{
	memset(m, 0, sizeof(*m));
	m->max_guards = sizeof(m->guards) / sizeof(m->guards[0]);
	m->reader.get_lock = memory_get_lock;
	m->reader.seek_write = memory_seek_write;
	m->reader.get_value = memory_get_value;
	m->reader.scan_locks = memory_scan_locks;
	m->reader.scan_writes = memory_scan_writes;
	m->reader.scan_values = memory_scan_values;
	m->cm.raise_max_ts = memory_raise_max_ts;
	m->cm.publish = memory_publish;
	m->cm.retract = memory_retract;
	m->cm.find_guard = memory_find_guard;
}

static inline void
memory_free(MvccMemory *m)
{
	for (size_t i = 0; i < m->n_rows; i++)
	{
		memory_drop(m->rows[i].key);
		memory_drop(m->rows[i].bytes);
	}
	while (m->n_guards > 0)
		memory_drop_guard(m, 0);
	free(m->rows);
	memset(m, 0, sizeof(*m));
}

#endif /* TIKV_TEST_MVCC_MEMORY_H */
