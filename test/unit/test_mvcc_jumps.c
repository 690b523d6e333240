/*
 * test_mvcc_jumps.c
 *	  How far the lookups of a key's history walk, and where they jump.
 *
 * Counts what is asked of the reader; what the lookups answer in general is
 * test_mvcc_lookup.c's.
 */
#include "mvcc_memory.h"
#include "unit.h"

typedef struct History
{
	MvccMemory memory;
	MvccReader counting; /* counts what is asked of it */
	size_t n_seeks;
	Arena arena;
} History;

static History h;

static bool
counting_seek(MvccReader *reader, Bytes key, uint64_t ts, Arena *arena,
			  WriteAt *out)
{
	(void) reader;
	h.n_seeks++;
	return h.memory.reader.seek_write(&h.memory.reader, key, ts, arena, out);
}

static void
begin(void)
{
	memset(&h, 0, sizeof(h));
	memory_init(&h.memory);
	arena_init(&h.arena);
	h.counting = h.memory.reader;
	h.counting.seek_write = counting_seek;
}

static void
end(void)
{
	memory_free(&h.memory);
	arena_free(&h.arena);
}

static Bytes
key(void)
{
	return bytes_cstr("k");
}

static void
store(uint64_t commit_ts, const WriteRecord *write)
{
	memory_put(&h.memory, TXN_CF_WRITE, key(), commit_ts,
			   write_encode(write, &h.arena), false);
}

static void
record(WriteType type, uint64_t start_ts, uint64_t commit_ts)
{
	WriteRecord write = {.type = type, .start_ts = start_ts};

	store(commit_ts, &write);
}

static void
fenced(WriteType type, uint64_t start_ts, uint64_t commit_ts, uint64_t fence)
{
	WriteRecord write = {.type = type,
						 .start_ts = start_ts,
						 .has_overlapped_rollback = true,
						 .has_gc_fence = true,
						 .gc_fence = fence};

	store(commit_ts, &write);
}

static void
pointing(WriteType type, uint64_t commit_ts, uint64_t ts, uint64_t versions)
{
	WriteRecord write = {.type = type,
						 .start_ts = commit_ts,
						 .last_change = {ts, versions}};

	store(commit_ts, &write);
}

/* -------------------------------------------------------------- GetWrite */

/* The commit_ts of the Put found, or 0. */
static uint64_t
get(uint64_t ts, uint64_t limit)
{
	WriteAt at;

	return mvcc_get_put(&h.counting, key(), ts, limit, &h.arena, &at) ?
		at.commit_ts :
		0;
}

static void
jumps(void)
{
	begin();
	record(WRITE_TYPE_PUT, 4, 5);
	for (uint64_t ts = 10; ts < 110; ts++)
		record(WRITE_TYPE_ROLLBACK, ts, ts);
	h.n_seeks = 0;
	EQ_U64(get(UINT64_MAX, 0), 5, "a hundred Rollbacks that do not say");
	EQ_U64(h.n_seeks, 101, "are walked");
	pointing(WRITE_TYPE_LOCK, 109, 5, 100);
	h.n_seeks = 0;
	EQ_U64(get(UINT64_MAX, 0), 5, "a last_change");
	EQ_U64(h.n_seeks, 2, "is jumped to");
	pointing(WRITE_TYPE_LOCK, 109, 5, 8);
	h.n_seeks = 0;
	get(UINT64_MAX, 0);
	EQ_U64(h.n_seeks, 2, "from eight versions on");
	pointing(WRITE_TYPE_LOCK, 109, 5, 7);
	h.n_seeks = 0;
	EQ_U64(get(UINT64_MAX, 0), 5, "below");
	EQ_U64(h.n_seeks, 101, "it is walked to");
	pointing(WRITE_TYPE_LOCK, 109, 0, 1);
	h.n_seeks = 0;
	EQ_U64(get(UINT64_MAX, 0), 0, "NotExist");
	EQ_U64(h.n_seeks, 1, "ends it at once");
	pointing(WRITE_TYPE_LOCK, 109, 7, 100);
	EQ_U64(get(UINT64_MAX, 0), 0, "one that was collected is not replaced");
	end();
}

static void
change_record(void)
{
	WriteAt from;
	WriteAt at;

	begin();
	record(WRITE_TYPE_DELETE, 4, 5);
	record(WRITE_TYPE_LOCK, 6, 7);
	OK(h.memory.reader.seek_write(&h.memory.reader, key(), UINT64_MAX, &h.arena,
								  &from) &&
		   mvcc_last_change_record(&h.memory.reader, key(), &from, &h.arena,
								   &at) &&
		   at.commit_ts == 5,
	   "the newest change may be a Delete");
	memory_delete(&h.memory, TXN_CF_WRITE, key(), 5);
	OK(!mvcc_last_change_record(&h.memory.reader, key(), &from, &h.arena, &at),
	   "or none");
	end();
}

/* -------------------------------------------------------- NextLastChange */

static LastChange
next_change(void)
{
	WriteAt newest;

	CHECK(h.memory.reader.seek_write(&h.memory.reader, key(), UINT64_MAX,
									 &h.arena, &newest));
	return mvcc_next_last_change(&h.memory.reader, key(), &newest, &h.arena);
}

static bool
change_is(uint64_t ts, uint64_t versions)
{
	LastChange change = next_change();

	return change.ts == ts && change.versions == versions;
}

static void
next_last_change(void)
{
	begin();
	record(WRITE_TYPE_PUT, 4, 5);
	OK(change_is(5, 1), "txn-semantics 7 NextLastChange: over a Put");
	record(WRITE_TYPE_DELETE, 6, 7);
	OK(change_is(7, 1), "over a Delete");
	pointing(WRITE_TYPE_LOCK, 10, 7, 3);
	OK(change_is(7, 4), "over a Lock that says where, one further");
	pointing(WRITE_TYPE_ROLLBACK, 11, 0, 6);
	OK(change_is(0, 1), "over one that says NotExist");
	record(WRITE_TYPE_ROLLBACK, 12, 12);
	OK(change_is(0, 1), "or that finds one which does");
	memory_delete(&h.memory, TXN_CF_WRITE, key(), 11);
	memory_delete(&h.memory, TXN_CF_WRITE, key(), 10);
	OK(change_is(0, 1), "one that finds a Delete: NotExist");
	memory_delete(&h.memory, TXN_CF_WRITE, key(), 7);
	OK(change_is(5, 2), "one that finds a Put");
	record(WRITE_TYPE_LOCK, 13, 14);
	OK(change_is(5, 3), "which is as far as it had to walk");
	pointing(WRITE_TYPE_LOCK, 12, 5, 50);
	OK(change_is(5, 52), "or to jump");
	memory_delete(&h.memory, TXN_CF_WRITE, key(), 5);
	OK(change_is(0, 1), "nothing below: NotExist");
	fenced(WRITE_TYPE_PUT, 4, 5, 9);
	OK(change_is(0, 1), "and so is garbage");
	EQ_U64(last_change_none().versions, 1, "NotExist is written with 1");
	end();
}

/* -------------------------------------------------------- DataConstraint */

/* The start_ts of what exists, or 0. */
static uint64_t
existing(void)
{
	WriteAt newest;
	WriteAt put;
	bool exists;

	CHECK(h.memory.reader.seek_write(&h.memory.reader, key(), UINT64_MAX,
									 &h.arena, &newest));
	exists =
		mvcc_existing_put(&h.memory.reader, key(), &newest, &h.arena, &put);
	CHECK(exists ==
		  mvcc_key_exists(&h.memory.reader, key(), &newest, &h.arena));
	return exists ? put.write.start_ts : 0;
}

static void
data_constraint(void)
{
	begin();
	record(WRITE_TYPE_PUT, 4, 5);
	EQ_U64(existing(), 4, "txn-semantics 7 DataConstraint: a Put exists");
	record(WRITE_TYPE_LOCK, 6, 7);
	record(WRITE_TYPE_ROLLBACK, 8, 8);
	EQ_U64(existing(), 4, "below Lock and Rollback too");
	fenced(WRITE_TYPE_PUT, 4, 5, 6);
	EQ_U64(existing(), 0, "not if it is fenced off");
	record(WRITE_TYPE_DELETE, 4, 5);
	EQ_U64(existing(), 0, "or a Delete");
	record(WRITE_TYPE_DELETE, 9, 10);
	EQ_U64(existing(), 0, "which needs no look further down");
	record(WRITE_TYPE_PUT, 4, 5);
	fenced(WRITE_TYPE_LOCK, 11, 12, 13);
	EQ_U64(existing(), 0, "nor does a newest record that is fenced");
	fenced(WRITE_TYPE_PUT, 11, 12, 0);
	EQ_U64(existing(), 11, "a fence of 0 is none");
	end();

	begin();
	record(WRITE_TYPE_ROLLBACK, 0, 0);
	EQ_U64(existing(), 0, "a walk may end at timestamp 0");
	end();
}

/* ---------------------------------------------------------------- values */

static void
values(void)
{
	WriteRecord put = {.type = WRITE_TYPE_PUT,
					   .start_ts = 4,
					   .has_short_value = true,
					   .short_value = bytes_cstr("short")};
	KeyRange range = {bytes_cstr("a"), bytes_cstr("k")};
	Bytes value;

	begin();
	OK(mvcc_load_value(&h.memory.reader, key(), &put, &h.arena, &value) &&
		   bytes_eq(value, bytes_cstr("short")),
	   "a short value is in the record");
	put.has_short_value = false;
	OK(!mvcc_load_value(&h.memory.reader, key(), &put, &h.arena, &value),
	   "a long one that is missing is told");
	memory_put(&h.memory, TXN_CF_VALUE, key(), 4, bytes_cstr("long"), false);
	OK(mvcc_load_value(&h.memory.reader, key(), &put, &h.arena, &value) &&
		   bytes_eq(value, bytes_cstr("long")),
	   "or comes from its row");
	record(WRITE_TYPE_ROLLBACK, 4, 4);
	OK(!mvcc_has_writes(&h.memory.reader, &range), "no record in the range");
	range.upper = bytes_cstr("k0");
	OK(mvcc_has_writes(&h.memory.reader, &range), "one of any type counts");
	end();
}

int
main(void)
{
	jumps();
	change_record();
	next_last_change();
	data_constraint();
	values();
	return unit_done();
}
