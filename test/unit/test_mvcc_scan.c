/*
 * test_mvcc_scan.c
 *	  Scans both ways: limits, samples, locks among the pairs.
 *
 * What a scan emits is written into one line: "key=value", "key!" for a
 * locked pair, "key?" for a conflict, "key#" for a missing long value.
 */
#include "mvcc_fixture.h"
#include "unit.h"

static MvccMemory memory;
static Arena arena;
static char line[512];
static uint32_t stop_after;
static uint32_t emitted;

static bool
write_down(void *arg, const ReadResult *result)
{
	static const char mark[] = {'=', ' ', '!', '?', '#'};
	size_t len = strlen(line);

	OK(arg == &memory, "the argument is passed on");
	snprintf(line + len, sizeof(line) - len, "%s%.*s%c%.*s",
			 len == 0 ? "" : " ", (int) result->key.len, result->key.data,
			 mark[result->outcome], (int) result->value.len,
			 result->value.len == 0 ? (const uint8_t *) "" :
									  result->value.data);
	return ++emitted != stop_after;
}

static MetLock
met(const char *key, LockVerdict verdict, const char *value)
{
	MetLock m = {.key = K(key), .verdict = verdict};

	m.lock.type = value == NULL ? LOCK_TYPE_DELETE : LOCK_TYPE_PUT;
	m.lock.start_ts = 7;
	m.lock.has_short_value = value != NULL;
	m.lock.short_value = value == NULL ? bytes_empty() : K(value);
	return m;
}

/* Keys a to f, some with several versions, some gone. */
static void
begin(void)
{
	memory_init(&memory);
	arena_init(&arena);
	have_put(&memory, "a", 1, 2, "a2");
	have_put(&memory, "a", 8, 9, "a9");
	have_put(&memory, "b", 1, 2, "b2");
	have_write(&memory, "b", WRITE_TYPE_DELETE, 4, 5, NULL);
	have_put(&memory, "c", 1, 2, "c2");
	have_rollback(&memory, "c", 6, true);
	have_put(&memory, "d", 10, 11, "d11");
	have_put(&memory, "e", 1, 2, "e2");
	have_put(&memory, "f", 1, 2, "f2");
}

static void
end(void)
{
	memory_free(&memory);
	arena_free(&arena);
}

static MvccScan
forward(const char *lower, const char *upper, uint32_t limit)
{
	MvccScan scan = {.range = {K(lower), K(upper)}, .limit = limit};

	return scan;
}

static uint32_t
run(uint64_t ts, Isolation isolation, const MvccScan *scan, const MetLock *list,
	size_t n)
{
	ReadContext context = {.ts = ts, .isolation = isolation};

	line[0] = '\0';
	emitted = 0;
	return mvcc_scan(&memory.reader, &context, scan, list, n, &arena,
					 write_down, &memory);
}

static void
ranges_and_limits(void)
{
	MvccScan scan = forward("", "", 100);

	begin();
	EQ_U64(run(10, ISOLATION_SI, &scan, NULL, 0), 4, "four keys are visible");
	EQ_STR(line, "a=a9 c=c2 e=e2 f=f2",
		   "txn-semantics 23.4 row 3: all visible keys of the range");
	run(8, ISOLATION_SI, &scan, NULL, 0);
	EQ_STR(line, "a=a2 c=c2 e=e2 f=f2", "older versions at an older ts");
	scan = forward("b", "f", 100);
	run(11, ISOLATION_SI, &scan, NULL, 0);
	EQ_STR(line, "c=c2 d=d11 e=e2", "txn-semantics 23.4 row 3: [lower, upper)");
	scan.limit = 2;
	EQ_U64(run(11, ISOLATION_SI, &scan, NULL, 0), 2, "the limit is reached");
	EQ_STR(line, "c=c2 d=d11", "txn-semantics 23.4 row 3: limit pairs");
	scan.limit = 0;
	EQ_U64(run(11, ISOLATION_SI, &scan, NULL, 0), 0,
		   "a limit of 0 answers nothing");
	EQ_STR(line, "", "and emits nothing");
	scan = forward("", "", 100);
	stop_after = 2;
	run(10, ISOLATION_SI, &scan, NULL, 0);
	EQ_STR(line, "a=a9 c=c2", "emit stops the scan");
	stop_after = 0;
	end();
}

static void
backwards(void)
{
	MvccScan scan = forward("c", "f", 100);
	MetLock list[] = {met("d", LOCK_BLOCKS, "x"), met("cc", LOCK_BLOCKS, "x")};

	begin();
	scan.reverse = true;
	run(11, ISOLATION_SI, &scan, NULL, 0);
	EQ_STR(line, "e=e2 d=d11 c=c2",
		   "txn-semantics 23.4 row 4: downwards, upper bound exclusive");
	run(11, ISOLATION_SI, &scan, list, 2);
	EQ_STR(line, "e=e2 d! cc! c=c2",
		   "txn-semantics 23.4 row 4: locks in the same order");
	scan.limit = 2;
	run(11, ISOLATION_SI, &scan, list, 2);
	EQ_STR(line, "e=e2 d!", "txn-semantics 23.4 row 4: the limit");
	end();
}

static void
locks_among_pairs(void)
{
	MvccScan scan = forward("", "", 100);
	MetLock list[] = {met("A", LOCK_BLOCKS, "x"), met("a", LOCK_BLOCKS, "x"),
					  met("c", LOCK_IGNORED, "x"), met("d", LOCK_BLOCKS, "x"),
					  met("z", LOCK_BLOCKS, "x")};
	MetLock accessed[] = {met("aa", LOCK_ACCESSED, "new"),
						  met("c", LOCK_ACCESSED, "cc"),
						  met("e", LOCK_ACCESSED, NULL)};

	begin();
	EQ_U64(run(10, ISOLATION_SI, &scan, list, 5), 7, "locked pairs count");
	EQ_STR(line, "A! a! c=c2 d! e=e2 f=f2 z!",
		   "txn-semantics 23.4 row 3: a locked key is a pair, and on it goes");
	scan.limit = 3;
	run(10, ISOLATION_SI, &scan, list, 5);
	EQ_STR(line, "A! a! c=c2",
		   "txn-semantics 23.4 row 3: the limit counts locked pairs");
	scan.limit = 100;
	run(10, ISOLATION_SI, &scan, accessed, 3);
	EQ_STR(line, "a=a9 aa=new c=cc f=f2",
		   "values of committed locks take their place among the pairs");
	scan = forward("x", "", 100);
	run(10, ISOLATION_SI, &scan, list + 4, 1);
	EQ_STR(line, "z!", "a lock where no record lies");
	end();
}

static void
what_ends_a_scan(void)
{
	MvccScan scan = forward("", "", 100);
	MetLock list[] = {met("b", LOCK_CONFLICTS, "x")};
	WriteRecord lost = {.type = WRITE_TYPE_PUT, .start_ts = 1};

	begin();
	run(10, ISOLATION_RC_CHECK_TS, &scan, list, 1);
	EQ_STR(line, "a=a9 b?",
		   "txn-semantics 23.4 row 3: a conflict by a lock is the last");
	EQ_U64(run(10, ISOLATION_RC_CHECK_TS, &scan, NULL, 0), 2,
		   "a conflict does not count");
	EQ_STR(line, "a=a9 c=c2 d?",
		   "txn-semantics 23.4 row 3: so is one by a newer record");
	run(10, ISOLATION_RC, &scan, NULL, 0);
	EQ_STR(line, "a=a9 c=c2 e=e2 f=f2", "RC sees none");
	run(11, ISOLATION_RC_CHECK_TS, &scan, NULL, 0);
	EQ_STR(line, "a=a9 c=c2 d=d11 e=e2 f=f2", "nor RcCheckTs at the newest");
	have_record(&memory, "c", 2, &lost);
	run(10, ISOLATION_SI, &scan, NULL, 0);
	EQ_STR(line, "a=a9 c#",
		   "txn-semantics 23.4 row 3: a missing long value ends it too");
	scan.key_only = true;
	run(10, ISOLATION_SI, &scan, NULL, 0);
	EQ_STR(line,
		   "a= c= e= f=", "txn-semantics 23.4 row 5: keys alone need no value");
	end();
}

static void
key_only(void)
{
	MvccScan scan = forward("", "", 100);
	MetLock list[] = {met("aa", LOCK_ACCESSED, "x"),
					  met("c", LOCK_BLOCKS, "x")};

	begin();
	scan.key_only = true;
	run(10, ISOLATION_SI, &scan, list, 2);
	EQ_STR(line, "a= aa= c! e= f=",
		   "txn-semantics 23.4 row 5: visibility and locks as ever");
	end();
}

static void
samples(void)
{
	MvccScan scan = forward("", "", 100);
	MetLock list[] = {met("aa", LOCK_BLOCKS, "x"), met("e", LOCK_BLOCKS, "x")};

	begin();
	have_put(&memory, "g", 1, 2, "g2");
	scan.sample_step = 2;
	run(11, ISOLATION_SI, &scan, NULL, 0);
	EQ_STR(line, "a=a9 d=d11 f=f2",
		   "txn-semantics 23.4 row 6: rows 1, n+1, 2n+1");
	run(11, ISOLATION_SI, &scan, list, 2);
	EQ_STR(line, "a=a9 aa! d=d11 e! g=g2",
		   "txn-semantics 23.4 row 6: locks are kept and are no step");
	scan.limit = 2;
	run(11, ISOLATION_SI, &scan, NULL, 0);
	EQ_STR(line, "a=a9 d=d11",
		   "txn-semantics 23.4 row 6: the limit counts what is returned");
	scan.sample_step = 1;
	run(11, ISOLATION_SI, &scan, NULL, 0);
	EQ_STR(line, "a=a9 c=c2", "txn-semantics 23.4 row 6: a step of 1 is all");
	scan.sample_step = 10;
	scan.limit = 100;
	run(11, ISOLATION_SI, &scan, NULL, 0);
	EQ_STR(line, "a=a9", "txn-semantics 23.4 row 6: a large step");
	end();
}

/* Arenas must not grow with the length of a scan. */
static void
memory_of_long_scans(void)
{
	MvccScan scan = forward("", "", 2000);
	char key[16];

	memory_init(&memory);
	arena_init(&arena);
	for (int i = 0; i < 1000; i++)
	{
		snprintf(key, sizeof(key), "k%06d", i);
		have_put(&memory, key, 1, 2, "some value that takes a few bytes");
		have_rollback(&memory, key, 5, true);
	}
	EQ_U64(run(10, ISOLATION_SI, &scan, NULL, 0), 1000, "all keys are found");
	OK(arena.allocated <= 16384, "the arena is reset between pairs");
	end();
}

int
main(void)
{
	ranges_and_limits();
	backwards();
	locks_among_pairs();
	what_ends_a_scan();
	key_only();
	samples();
	memory_of_long_scans();
	return unit_done();
}
