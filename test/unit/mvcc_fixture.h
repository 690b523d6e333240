/*
 * mvcc_fixture.h
 *	  A history of keys in mvcc_memory.h, written down in few words.
 */
#ifndef TIKV_TEST_MVCC_FIXTURE_H
#define TIKV_TEST_MVCC_FIXTURE_H

#include "core/mvcc/read.h"
#include "mvcc_memory.h"

#define K(text) bytes_cstr(text)

/* A record; a value longer than 255 bytes goes to CF default. */
static inline void
have_record(MvccMemory *m, const char *key, uint64_t commit_ts,
			const WriteRecord *write)
{
	Arena arena;

	arena_init(&arena);
	memory_put(m, TXN_CF_WRITE, K(key), commit_ts, write_encode(write, &arena),
			   false);
	arena_free(&arena);
}

static inline void
have_write(MvccMemory *m, const char *key, WriteType type, uint64_t start_ts,
		   uint64_t commit_ts, const char *value)
{
	WriteRecord write = {.type = type, .start_ts = start_ts};

	if (value != NULL && strlen(value) <= SHORT_VALUE_MAX_LEN)
	{
		write.has_short_value = true;
		write.short_value = bytes_cstr(value);
	}
	else if (value != NULL)
		memory_put(m, TXN_CF_VALUE, K(key), start_ts, bytes_cstr(value), false);
	have_record(m, key, commit_ts, &write);
}

static inline void
have_put(MvccMemory *m, const char *key, uint64_t start_ts, uint64_t commit_ts,
		 const char *value)
{
	have_write(m, key, WRITE_TYPE_PUT, start_ts, commit_ts, value);
}

static inline void
have_rollback(MvccMemory *m, const char *key, uint64_t start_ts,
			  bool is_protected)
{
	WriteRecord write = write_rollback(start_ts, is_protected);

	have_record(m, key, start_ts, &write);
}

static inline void
have_lock(MvccMemory *m, const char *key, const Lock *lock)
{
	Arena arena;

	arena_init(&arena);
	memory_put(m, TXN_CF_LOCK, K(key), 0, lock_encode(lock, &arena), false);
	arena_free(&arena);
}

/* The record of a key at exactly this commit_ts. */
static inline bool
has_write(const MvccMemory *m, const char *key, uint64_t commit_ts,
		  WriteRecord *write)
{
	MemoryRow *row = memory_find(m, TXN_CF_WRITE, K(key), commit_ts);

	if (row != NULL)
		CHECK(write_decode(row->bytes, write) == STATUS_OK);
	return row != NULL;
}

static inline bool
has_lock(const MvccMemory *m, const char *key)
{
	return memory_find(m, TXN_CF_LOCK, K(key), 0) != NULL;
}

static inline bool
has_value(const MvccMemory *m, const char *key, uint64_t start_ts)
{
	return memory_find(m, TXN_CF_VALUE, K(key), start_ts) != NULL;
}

/* How many records, of any CF, the key has. */
static inline size_t
count_rows(const MvccMemory *m, TxnCf cf, const char *key)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_rows; i++)
		n += m->rows[i].cf == cf && bytes_eq(m->rows[i].key, K(key));
	return n;
}

#endif /* TIKV_TEST_MVCC_FIXTURE_H */
