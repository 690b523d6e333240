/*
 * test_raft_log.c
 *	  The tail in memory over the stored log: which entries are where, and what
 *	  is known to be durable.
 */
#include "core/raft/log.h"
#include "raft_fixture.h"
#include "unit.h"

static Fixture disk; /* its stored log only */
static RaftLog log_;

/* A log whose stored entries 6.. have these terms. */
static void
start(const char *terms)
{
	RaftStorage storage;
	static RaftAllocator alloc = {&disk, fixture_alloc, fixture_release};

	memset(&disk, 0, sizeof(disk));
	arena_init(&disk.arena);
	disk.truncated_index = disk.truncated_term = disk.last = 5;
	for (; *terms != '\0'; terms++)
	{
		disk.last++;
		disk.log[disk.last] =
			(RaftEntry){.index = disk.last, .term = (uint64_t) (*terms - '0')};
	}
	storage = fixture_storage(&disk);
	raft_log_init(&log_, &storage, &alloc);
	log_.truncated_index = log_.truncated_term = 5;
	log_.applied = log_.commit = 5;
	log_.applied_term = 5;
	log_.first = disk.last + 1;
	log_.stored = log_.persisted = disk.last;
}

static void
end(void)
{
	raft_log_free(&log_);
	CHECK(disk.live == 0);
	arena_free(&disk.arena);
}

static void
append(uint64_t term, const char *data)
{
	RaftEntry e = {.index = raft_log_last(&log_) + 1, .term = term};

	e.data = bytes_cstr(data);
	e.context = bytes_cstr("c");
	raft_log_append(&log_, &e);
}

/* The driver stores what is in memory only, as ready `number`. */
static void
store(uint64_t number)
{
	for (uint64_t i = log_.stored + 1; i <= raft_log_last(&log_); i++)
	{
		uint64_t term = 0;

		CHECK(raft_log_term(&log_, i, &term) == STATUS_OK);
		disk.log[i] = (RaftEntry){.index = i, .term = term};
		disk.last = i;
	}
	raft_log_record(&log_, number, raft_log_last(&log_), 7);
	raft_log_stored(&log_, raft_log_last(&log_));
}

static uint64_t
term_at(uint64_t index)
{
	uint64_t term = 0;

	return raft_log_term(&log_, index, &term) == STATUS_OK ? term : 0;
}

static void
test_terms(void)
{
	start("556");
	append(7, "a");
	EQ_U64(raft_log_last(&log_), 9, "three stored entries and one");
	EQ_U64(term_at(5), 5, "the truncated one");
	EQ_U64(term_at(8), 6, "a stored one");
	EQ_U64(term_at(9), 7, "one in memory");
	EQ_U64(term_at(4), 0, "below");
	EQ_U64(term_at(10), 0, "beyond");
	EQ_U64(raft_log_last_term(&log_), 7, "last");
	OK(raft_log_matches(&log_, 8, 6) && !raft_log_matches(&log_, 8, 5) &&
		   !raft_log_matches(&log_, 10, 7),
	   "matches");
	OK(raft_log_up_to_date(&log_, 9, 7) && raft_log_up_to_date(&log_, 6, 8) &&
		   !raft_log_up_to_date(&log_, 8, 7) &&
		   !raft_log_up_to_date(&log_, 99, 6),
	   "up to date: the later term, then the longer log");
	end();
}

static void
test_find_conflict(void)
{
	uint64_t term;

	start("556678");
	EQ_U64(raft_log_find_conflict(&log_, 11, 6, &term), 9, "skips terms above");
	EQ_U64(term, 6, "and names the term there");
	EQ_U64(raft_log_find_conflict(&log_, 11, 9, &term), 11, "nothing to skip");
	EQ_U64(raft_log_find_conflict(&log_, 9, 3, &term), 4,
		   "everything is above: below the log, where no term is known");
	EQ_U64(term, 0, "so none is named");
	EQ_U64(raft_log_find_conflict(&log_, 0, 3, &term), 0, "from nothing");
	end();
}

static void
test_find_conflict_bound(void)
{
	uint64_t term;

	start("");
	for (int i = 0; i < 3000; i++)
		append(9, "");
	EQ_U64(raft_log_find_conflict(&log_, 3000, 4, &term), 3000 - 1023,
		   "a long run is searched in pieces");
	EQ_U64(term, 9, "with the term found so far");
	end();
}

static void
test_slices(void)
{
	RaftEntry *e;
	int n;

	start("555");
	append(7, "abc");
	append(7, "d");
	EQ_U64(raft_log_slice(&log_, 6, 11, SIZE_MAX, &disk.arena, &e, &n),
		   STATUS_OK, "from the stored part");
	EQ_U64(n, 3, "ends where memory begins");
	OK(raft_log_slice(&log_, 9, 11, SIZE_MAX, &disk.arena, &e, &n) ==
			   STATUS_OK &&
		   n == 2 && bytes_eq(e[0].data, bytes_cstr("abc")) &&
		   bytes_eq(e[1].context, bytes_cstr("c")),
	   "from memory, with its bytes");
	OK(raft_log_slice(&log_, 9, 11, 1, &disk.arena, &e, &n) == STATUS_OK &&
		   n == 1,
	   "one entry whatever the limit");
	OK(raft_log_slice(&log_, 6, 9, 1, &disk.arena, &e, &n) == STATUS_OK &&
		   n == 1,
	   "likewise from the stored part");
	end();
}

static void
test_cut(void)
{
	start("555");
	append(7, "a");
	append(7, "b");
	raft_log_cut(&log_, 10);
	EQ_U64(raft_log_last(&log_), 9, "cut in memory");
	raft_log_cut(&log_, 7);
	EQ_U64(raft_log_last(&log_), 6, "cut in the stored part");
	OK(log_.stored == 6 && log_.persisted == 6, "what is stored ends there");
	OK(log_.bytes == 0 && log_.unstored_bytes == 0, "no memory is left");
	append(8, "c");
	EQ_U64(term_at(7), 8, "another entry in its place");
	end();
}

static void
test_flush_order(void)
{
	start("");
	append(7, "a");
	store(1);
	append(7, "b");
	store(2);
	EQ_U64(log_.persisted, 5, "nothing is flushed");
	raft_log_flushed(&log_, 1);
	EQ_U64(log_.persisted, 6, "one flush");
	raft_log_flushed(&log_, 2);
	EQ_U64(log_.persisted, 7, "the next");
	EQ_U64(log_.persisted_term, 7, "with its term");
	append(7, "c");
	store(3);
	append(7, "d");
	store(4);
	raft_log_flushed(&log_, 4);
	EQ_U64(log_.persisted, 9, "one report for two");
	EQ_U64(log_.n_records, 0, "nothing is remembered");
	end();
}

/*
 * Entry 6 is stored by ready 1, replaced in ready 2, and put back by ready 3:
 * ready 1's flush says nothing about it, since ready 2 may become durable
 * before ready 3.
 */
static void
test_flush_of_replaced_entry(void)
{
	start("");
	append(7, "a");
	store(1);
	raft_log_cut(&log_, 6);
	append(8, "other");
	store(2);
	raft_log_cut(&log_, 6);
	append(7, "a");
	store(3);
	raft_log_flushed(&log_, 1);
	EQ_U64(log_.persisted, 5, "the first flush does not count");
	raft_log_flushed(&log_, 2);
	EQ_U64(log_.persisted, 5, "nor the second");
	raft_log_flushed(&log_, 3);
	EQ_U64(log_.persisted, 6, "the third does");
	end();
}

static void
test_many_unflushed(void)
{
	start("");
	for (uint64_t i = 1; i <= 2000; i++)
	{
		append(7, "x");
		store(i);
	}
	EQ_U64(log_.n_records, 1024, "records are bounded");
	raft_log_flushed(&log_, 1500);
	EQ_U64(log_.persisted, 5 + 1023, "the shared one waits for its last");
	raft_log_flushed(&log_, 2000);
	EQ_U64(log_.persisted, 2005, "then all");
	end();
}

static void
test_release_and_compact(void)
{
	start("");
	for (int i = 0; i < 20; i++)
		append(7, "some data");
	raft_log_release(&log_, 100, 0);
	EQ_U64(log_.n, 20, "what is not stored stays");
	store(1);
	log_.commit = log_.applied = 25;
	raft_log_release(&log_, 10, SIZE_MAX);
	EQ_U64(log_.first, 10, "released up to what is asked for");
	raft_log_release(&log_, 10, raft_entry_bytes(&disk.log[6]) * 3 + 60);
	OK(log_.n <= 3 && log_.bytes > 0, "and more to fit the cache");
	EQ_U64(term_at(12), 7, "which is read back");
	raft_log_compact(&log_, 12, 7);
	EQ_U64(term_at(12), 7, "the truncated one");
	EQ_U64(term_at(11), 0, "is the last that is known");
	raft_log_compact(&log_, 25, 7);
	OK(log_.n == 0 && raft_log_last(&log_) == 25, "empty");
	append(8, "next");
	EQ_U64(raft_log_last(&log_), 26, "goes on");
	end();
}

static void
test_restore(void)
{
	RaftSnapshot s = {.meta = {.index = 40, .term = 9}};

	start("555");
	append(7, "a");
	raft_log_lend(&log_); /* something still points at the entry */
	s.data = bytes_cstr("contents");
	raft_log_restore(&log_, &s);
	OK(raft_log_last(&log_) == 40 && log_.commit == 40 && term_at(40) == 9,
	   "the log begins after the snapshot");
	OK(bytes_eq(log_.snapshot->data, bytes_cstr("contents")), "kept as a copy");
	OK(log_.n_limbo > 0, "what a ready points to is kept");
	s.meta.index = 50;
	raft_log_restore(&log_, &s);
	EQ_U64(log_.snapshot->meta.index, 50, "a newer one replaces it");
	raft_log_ready_done(&log_);
	EQ_U64(log_.n_limbo, 0, "freed when the ready is done");
	append(9, "b");
	EQ_U64(term_at(51), 9, "entries follow");
	end();
}

/*
 * However long a ready is out, it holds up the memory of what was there when
 * it was handed out, and no more.
 */
static void
test_lent(void)
{
	RaftSnapshot s = {.meta = {.index = 40, .term = 9}};
	int before;

	start("555");
	append(7, "lent");
	append(7, "lent too");
	raft_log_lend(&log_);
	raft_log_cut(&log_, raft_log_last(&log_));
	EQ_U64(log_.n_limbo, 1, "what is lent is kept when it is cut");
	before = disk.live;
	for (int i = 0; i < 100; i++)
	{
		append((uint64_t) i + 8, "new");
		raft_log_cut(&log_, raft_log_last(&log_));
	}
	OK(disk.live == before && log_.n_limbo == 1, "what came after it is not");
	raft_log_restore(&log_, &s);
	EQ_U64(log_.n_limbo, 2, "a snapshot replaces what else is lent");
	before = disk.live;
	for (uint64_t i = 41; i < 100; i++)
	{
		s.meta.index = i;
		raft_log_restore(&log_, &s);
	}
	OK(disk.live == before && log_.n_limbo == 2, "and gives way to newer ones");
	raft_log_lend(&log_);
	s.meta.index++;
	raft_log_restore(&log_, &s);
	EQ_U64(log_.n_limbo, 3, "unless it is lent itself");
	raft_log_drop_snapshot(&log_);
	raft_log_ready_done(&log_);
	EQ_U64(log_.n_limbo, 0, "all that goes with the ready");
	end();
}

/* The room that a burst of entries took does not stay taken. */
static void
test_room(void)
{
	start("5");
	for (int i = 0; i < 2000; i++)
		append(7, "x");
	OK(log_.cap >= 2000, "room for a burst");
	raft_log_stored(&log_, raft_log_last(&log_));
	raft_log_release(&log_, raft_log_last(&log_), 1 << 20);
	OK(log_.n == 1 && log_.cap >= 2000, "is kept as long as there are entries");
	raft_log_release(&log_, raft_log_last(&log_) + 1, 1 << 20);
	OK(log_.n == 0 && log_.cap == 0, "and goes with the last one");
	append(7, "y");
	raft_log_stored(&log_, raft_log_last(&log_));
	raft_log_release(&log_, raft_log_last(&log_) + 1, 1 << 20);
	OK(log_.n == 0 && log_.cap > 0, "a little room stays");
	raft_log_trim(&log_, 0);
	EQ_U64(disk.live, 0, "unless all of it is wanted back");
	append(7, "z");
	EQ_U64(raft_log_last(&log_), 2008, "the log goes on");
	end();
}

int
main(void)
{
	test_terms();
	test_find_conflict();
	test_find_conflict_bound();
	test_slices();
	test_cut();
	test_flush_order();
	test_flush_of_replaced_entry();
	test_many_unflushed();
	test_release_and_compact();
	test_restore();
	test_lent();
	test_room();
	return unit_done();
}
