/*
 * test_mvcc_lookup.c
 *	  What the commands ask of a key's history.
 */
#include "txn_kit.h"

static Kit kit;

/* "single 20=P@10", "none", "none on 20=P@15 fence30", "overlapped". */
static const char *
commit_record(uint64_t start_ts)
{
	CommitRecord r;

	kit_next(&kit);
	mvcc_commit_record(&kit.m.reader, K("k"), start_ts, &kit.arena, &r);
	kit_clear(&kit);
	switch (r.kind)
	{
		case COMMIT_RECORD_SINGLE:
			kit_say(&kit, "single ");
			kit_say_write(&kit, &r.at);
			break;
		case COMMIT_RECORD_OVERLAPPED_ROLLBACK:
			kit_say(&kit, "overlapped");
			break;
		case COMMIT_RECORD_NONE:
			kit_say(&kit, "none");
			if (r.has_overlapped)
			{
				kit_say(&kit, " on ");
				kit_say_write(&kit, &r.at);
			}
			kit_say_nonzero(&kit, "fence", r.fence);
			break;
	}
	if (commit_record_is_commit(&r))
		kit_say(&kit, " committed");
	if (commit_record_is_rollback(&r))
		kit_say(&kit, " rolled back");
	return kit.text;
}

static void
commit_records(void)
{
	kit_reset(&kit);
	EQ_STR(commit_record(10), "none", "txn-semantics 7 CommitRecord: no key");
	PUT("k", 20, 10, "v");
	EQ_STR(commit_record(10), "single 20=P@10 committed", "its own commit");
	ROLLBACK("k", 15, false);
	EQ_STR(commit_record(15), "single 15=R@15 rolled back", "its own Rollback");
	WRITE("k", 14, LOCK, 13);
	EQ_STR(commit_record(13), "single 14=L@13 committed", "a Lock is a commit");
	EQ_STR(commit_record(14), "none on 14=L@13 fence20",
		   "another's commit in its place, a Put above");
	EQ_STR(commit_record(20), "none on 20=P@10", "none above");
	WRITE("k", 25, LOCK, 24);
	ROLLBACK("k", 26, true);
	EQ_STR(commit_record(20), "none on 20=P@10",
		   "Lock and Rollback make no fence");
	WRITE("k", 30, DELETE, 27);
	PUT("k", 40, 35, "v");
	EQ_STR(commit_record(20), "none on 20=P@10 fence30", "the nearest above");
	EQ_STR(commit_record(16), "none", "nothing of it, and no fence");
	WRITE("k", 20, PUT, 10, .has_overlapped_rollback = true);
	EQ_STR(commit_record(20), "overlapped rolled back", "a mark");
	EQ_STR(commit_record(10), "single 20=P@10+R committed",
		   "which says nothing of the commit's own transaction");
	PUT("k", 60, 5, "v");
	EQ_STR(commit_record(5), "single 60=P@5 committed",
		   "an older transaction may commit above younger ones");
	EQ_STR(commit_record(0), "none", "0 is no transaction");
}

static const char *
get_put(uint64_t ts, uint64_t fence_limit)
{
	WriteAt at;

	kit_next(&kit);
	kit_clear(&kit);
	kit_say(&kit, " ");
	if (mvcc_get_put(&kit.m.reader, K("k"), ts, fence_limit, &kit.arena, &at))
		kit_say_write(&kit, &at);
	return kit.text + 1;
}

static void
get_writes(void)
{
	kit_reset(&kit);
	EQ_STR(get_put(50, 50), "", "txn-semantics 7 GetWrite: no key");
	PUT("k", 20, 10, "v");
	EQ_STR(get_put(50, 50), "20=P@10", "a Put");
	EQ_STR(get_put(20, 50), "20=P@10", "at its own time");
	EQ_STR(get_put(19, 50), "", "not before");
	WRITE("k", 30, LOCK, 25);
	ROLLBACK("k", 31, false);
	EQ_STR(get_put(50, 50), "20=P@10", "below Lock and Rollback");
	WRITE("k", 40, DELETE, 35);
	EQ_STR(get_put(50, 50), "", "a Delete hides it");
	EQ_STR(get_put(39, 50), "20=P@10", "from its time on");
	WRITE("k", 20, PUT, 10, .has_gc_fence = true, .gc_fence = 25);
	EQ_STR(get_put(39, 24), "20=P@10+f25", "below its fence a Put is visible");
	EQ_STR(get_put(39, 25), "", "from the fence on it is garbage");
	WRITE("k", 20, PUT, 10, .has_gc_fence = true, .gc_fence = 0);
	EQ_STR(get_put(39, 50), "20=P@10+f0", "0 is no fence");
	WRITE("k", 30, LOCK, 25, .last_change = {0, 1});
	EQ_STR(get_put(30, 50), "", "last_change says that there is none");
	WRITE("k", 30, LOCK, 25, .last_change = {5, 7});
	EQ_STR(get_put(30, 50), "20=P@10+f0", "near ones are walked to");
	PUT("k", 5, 4, "v");
	WRITE("k", 30, LOCK, 25, .last_change = {5, 8});
	EQ_STR(get_put(30, 50), "5=P@4", "eight versions are jumped over");
	WRITE("k", 5, DELETE, 4);
	EQ_STR(get_put(30, 50), "", "to a Delete, too");
	memory_delete(&kit.m, TXN_CF_WRITE, K("k"), 5);
	PUT("k", 3, 2, "v");
	EQ_STR(get_put(30, 50), "", "what was collected is not searched below");
}

static const char *
next_last_change(uint64_t ts)
{
	WriteAt at;
	LastChange change;

	kit_next(&kit);
	CHECK(memory_seek_write(&kit.m.reader, K("k"), ts, &kit.arena, &at));
	change = mvcc_next_last_change(&kit.m.reader, K("k"), &at, &kit.arena);
	kit_clear(&kit);
	kit_say(&kit, "%" PRIu64 "/%" PRIu64, change.ts, change.versions);
	return kit.text;
}

static void
last_changes(void)
{
	kit_reset(&kit);
	PUT("k", 20, 10, "v");
	EQ_STR(next_last_change(20), "20/1",
		   "txn-semantics 7 NextLastChange: above a Put");
	WRITE("k", 30, DELETE, 25);
	EQ_STR(next_last_change(30), "30/1", "above a Delete");
	WRITE("k", 22, LOCK, 21, .last_change = {20, 3});
	EQ_STR(next_last_change(22), "20/4", "one more than a Lock says");
	WRITE("k", 15, LOCK, 14, .last_change = {0, 1});
	EQ_STR(next_last_change(15), "0/1", "none is none");
	ROLLBACK("k", 24, false);
	EQ_STR(next_last_change(24), "20/3",
		   "a Rollback does not say: look and count");
	kit_reset(&kit);
	ROLLBACK("k", 24, false);
	EQ_STR(next_last_change(24), "0/1", "and find none");
	WRITE("k", 20, DELETE, 19);
	EQ_STR(next_last_change(24), "0/1", "or a Delete, which is as good");
}

static const char *
existing(uint64_t ts)
{
	WriteAt newest;
	WriteAt put;

	kit_next(&kit);
	CHECK(memory_seek_write(&kit.m.reader, K("k"), ts, &kit.arena, &newest));
	if (!mvcc_existing_put(&kit.m.reader, K("k"), &newest, &kit.arena, &put))
		return "";
	CHECK(mvcc_key_exists(&kit.m.reader, K("k"), &newest, &kit.arena));
	kit_clear(&kit);
	kit_say(&kit, "%" PRIu64, put.write.start_ts);
	return kit.text;
}

static void
data_constraint(void)
{
	kit_reset(&kit);
	PUT("k", 20, 10, "v");
	EQ_STR(existing(20), "10", "txn-semantics 7 DataConstraint: a Put");
	WRITE("k", 30, LOCK, 25);
	EQ_STR(existing(30), "10", "below a Lock");
	ROLLBACK("k", 35, false);
	EQ_STR(existing(35), "10", "or a Rollback");
	WRITE("k", 40, DELETE, 36);
	EQ_STR(existing(40), "", "a Delete");
	ROLLBACK("k", 45, false);
	EQ_STR(existing(45), "", "below a Rollback too");
	WRITE("k", 50, PUT, 46, .has_gc_fence = true, .gc_fence = 60);
	EQ_STR(existing(50), "", "a newest record with a fence is garbage");
	WRITE("k", 50, PUT, 46, .has_gc_fence = true, .gc_fence = 0);
	EQ_STR(existing(50), "46", "0 is no fence");
}

static void
values(void)
{
	WriteRecord put = {.type = WRITE_TYPE_PUT, .start_ts = 10};
	Bytes value;

	kit_reset(&kit);
	OK(!mvcc_load_value(&kit.m.reader, K("k"), &put, &kit.arena, &value),
	   "a lost value is noticed");
	VALUE("k", 10, "long");
	OK(mvcc_load_value(&kit.m.reader, K("k"), &put, &kit.arena, &value) &&
		   bytes_eq(value, K("long")),
	   "a long value by start_ts");
	put.has_short_value = true;
	OK(mvcc_load_value(&kit.m.reader, K("k"), &put, &kit.arena, &value) &&
		   value.len == 0,
	   "an empty short value is a value");
}

int
main(void)
{
	kit_init(&kit);
	commit_records();
	get_writes();
	last_changes();
	data_constraint();
	values();
	kit_free(&kit);
	return unit_done();
}
