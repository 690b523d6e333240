/*
 * test_pd_group_log.c
 *	  The log of PD's group: replaced at its end, cut off at its beginning.
 */
#include "pd/core/group_log.h"

#include "unit.h"

static Arena arena;

static RaftEntry
entry(uint64_t index, uint64_t term)
{
	RaftEntry e = {.index = index, .term = term};

	e.data = bytes_cstr(arena_printf(&arena, "%d/%d", (int) index, (int) term));
	e.context = bytes_cstr("c");
	return e;
}

static void
append(GroupLog *log, uint64_t from, int n, uint64_t term)
{
	RaftEntry e[16];

	for (int i = 0; i < n; i++)
		e[i] = entry(from + (uint64_t) i, term);
	group_log_replace(log, e, n);
}

int
main(void)
{
	GroupLog log;
	RaftStorage storage;
	RaftEntry *out;
	uint64_t term = 0;
	int n;

	arena_init(&arena);
	group_log_init(&log);
	storage = group_log_storage(&log);
	group_log_reset(&log, 5, 5);
	EQ_U64(storage.last_index(storage.arg), 5, "empty: the truncated one");
	OK(group_log_term(&log, 5, &term) == STATUS_OK && term == 5, "its term");
	OK(group_log_term(&log, 6, &term) == STATUS_NOT_FOUND, "none behind it");
	append(&log, 6, 10, 6);
	EQ_U64(group_log_last(&log), 15, "ten entries");
	append(&log, 12, 2, 7);
	EQ_U64(group_log_last(&log), 13, "a new end");
	OK(group_log_term(&log, 12, &term) == STATUS_OK && term == 7, "newer");
	OK(group_log_term(&log, 11, &term) == STATUS_OK && term == 6, "as it was");
	OK(storage.entries(storage.arg, 10, 14, SIZE_MAX, &arena, &out, &n) ==
			   STATUS_OK &&
		   n == 4 && bytes_eq(out[2].data, bytes_cstr("12/7")) &&
		   bytes_eq(out[0].context, bytes_cstr("c")),
	   "read back");
	OK(storage.entries(storage.arg, 10, 14, 1, &arena, &out, &n) == STATUS_OK &&
		   n == 1,
	   "at least one");
	OK(storage.entries(storage.arg, 5, 8, 9, &arena, &out, &n) ==
		   STATUS_CORRUPT,
	   "not what is truncated");
	group_log_compact(&log, 12);
	OK(group_log_term(&log, 12, &term) == STATUS_OK && term == 7,
	   "the truncated one's term is kept");
	OK(group_log_term(&log, 11, &term) == STATUS_NOT_FOUND, "no older one");
	EQ_U64(log.n, 1, "one is left");
	EQ_U64(log.bytes, 5, "and its bytes");
	group_log_reset(&log, 100, 9);
	EQ_U64(group_log_last(&log), 100, "a snapshot replaces it all");
	EQ_U64(log.bytes, 0, "nothing is left");
	group_log_free(&log);
	arena_free(&arena);
	return unit_done();
}
