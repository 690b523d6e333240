/*
 * test_txn_scan_lock.c
 *	  ScanLock, and the inspection of keys.
 */
#include "core/mvcc/inspect.h"
#include "txn_kit.h"

static Kit kit;

static const char *
scan(uint64_t max_ts, const char *lower, const char *upper, uint32_t limit)
{
	RUN(txn_scan_lock, ScanLockCommand, .max_ts = max_ts,
		.range = {K(lower), K(upper)}, .limit = limit);
	if (kit.answer.n_errors > 0)
		return kit_errors(&kit);
	return kit_infos(&kit, kit.answer.locks, kit.answer.n_locks);
}

static void
scan_lock(void)
{
	kit_reset(&kit);
	LOCK("a", PUT, 10);
	LOCK("b", PESSIMISTIC, 20);
	LOCK("c", LOCK, 30);
	LOCK("d", DELETE, 31);
	LOCK("e", PESSIMISTIC, 5);
	memory_find(&kit.m, TXN_CF_LOCK, K("e"), 0)->memory_only = true;
	EQ_STR(scan(30, "", "", 0), "a P@10, b S@20, c L@30, e S@5",
		   "txn-semantics 19: all kinds, up to max_ts, memory too");
	EQ_U64(kit.m.max_ts, 30, "max_ts rises");
	EQ_U64(kit.effects.n_modifies, 0, "nothing is written");
	EQ_STR(scan(30, "b", "c", 0), "b S@20", "from start_key to before end_key");
	EQ_STR(scan(30, "", "", 2), "a P@10, b S@20", "as many as asked for");
	EQ_STR(scan(4, "", "", 0), "", "none is old enough");
	kit.env.region.lower = K("b");
	kit.env.region.upper = K("d");
	EQ_STR(scan(40, "", "", 0), "b S@20, c L@30", "those of the region");
	EQ_STR(scan(40, "c", "z", 0), "c L@30", "and of the range");
	EQ_STR(scan(40, "a", "c", 0), "b S@20", "whichever ends first");
	EQ_STR(scan(40, "x", "", 0), "", "a range elsewhere");
	kit.env.region = (KeyRange){bytes_empty(), bytes_empty()};
}

static void
shared(void)
{
	kit_reset(&kit);
	SHARED("a", MEMBER(LOCK, 10), MEMBER(PESSIMISTIC, 50), MEMBER(LOCK, 11));
	SHARED("b", MEMBER(LOCK, 60));
	LOCK("c", PUT, 12);
	EQ_STR(scan(30, "", "", 0), "a H{L@10, L@11}, c P@12",
		   "members that are old enough");
	EQ_STR(scan(30, "", "", 3), "a H{L@10, L@11}, c P@12",
		   "each counts against the limit");
	EQ_STR(scan(30, "", "", 2), "a H{L@10, L@11}", "so that two are two");
	EQ_STR(scan(30, "", "", 1), "a H{L@10}", "and may be cut");
}

static void
many(void)
{
	char want[KIT_TEXT] = "";
	char key[16];

	kit_reset(&kit);
	for (int i = 0; i < 100; i++)
	{
		snprintf(key, sizeof(key), "k%03d", i);
		LOCK(key, PUT, 10);
		snprintf(want + strlen(want), sizeof(want) - strlen(want), "%s%s P@10",
				 i == 0 ? "" : ", ", key);
	}
	EQ_STR(scan(10, "", "", 0), want, "a hundred locks in order");
}

static void
guards(void)
{
	Lock lock = {.type = LOCK_TYPE_PUT,
				 .primary = K("pk"),
				 .start_ts = 10,
				 .use_async_commit = true};

	kit_reset(&kit);
	LOCK("a", PUT, 5);
	CHECK(kit.m.cm.publish(&kit.m.cm, K("b"), &lock, 0) == PUBLISH_OK);
	EQ_STR(scan(10, "", "", 0), "KeyIsLocked b P@10 mc11 async",
		   "a lock that is being written fails the request");
	EQ_U64(kit.answer.n_locks, 0, "as a whole");
	EQ_STR(scan(9, "", "", 0), "a P@5", "unless it is too young");
	EQ_STR(scan(10, "", "b", 0), "a P@5", "or out of the range");
	kit.env.region.upper = K("b");
	EQ_STR(scan(10, "", "", 0), "a P@5", "or of the region");
	kit.env.region.upper = bytes_empty();
	kit.m.cm.retract(&kit.m.cm, K("b"), 10);
}

/* ---------------------------------------------------------- inspection */

static const char *
inspect(const char *key)
{
	MvccInfo info;

	kit_next(&kit);
	mvcc_inspect_key(&kit.m.reader, K(key), 0, &kit.arena, &info);
	kit_clear(&kit);
	if (info.has_lock)
	{
		kit_say_lock(&kit, &info.lock);
		kit_say(&kit, " ");
	}
	kit_say(&kit, "|");
	for (size_t i = 0; i < info.n_writes; i++)
		kit_say_write(&kit, &info.writes[i]);
	for (size_t i = 0; i < info.n_values; i++)
	{
		kit_say_ts(&kit, " v", info.values[i].start_ts);
		kit_say_bytes(&kit, "=", info.values[i].value);
	}
	return kit.text;
}

static const char *
find(uint64_t start_ts, const char *lower, const char *upper)
{
	KeyRange range = {K(lower), K(upper)};
	Bytes key;

	kit_next(&kit);
	if (!mvcc_find_start_ts(&kit.m.reader, &range, start_ts, &kit.arena, &key))
		return "none";
	kit_clear(&kit);
	kit_say_bytes(&kit, "", key);
	return kit.text;
}

static void
by_key(void)
{
	kit_reset(&kit);
	EQ_STR(inspect("k"), "|", "txn-semantics 21 row 6: nothing there");
	LOCK("k", PUT, 40);
	PUT("k", 30, 25, "v");
	ROLLBACK("k", 28, true);
	WRITE("k", 20, PUT, 15);
	VALUE("k", 15, "old");
	VALUE("k", 40, "new");
	VALUE("kk", 41, "another key's");
	PUT("j", 30, 25, "another key's");
	PUT("k", 0, 0, "the very first");
	EQ_STR(inspect("k"),
		   "P@40 | 30=P@25 28=R@28p 20=P@15 0=P@0 v40=new v15=old",
		   "lock, records and values, newest first");
	SHARED("k", MEMBER(LOCK, 50), MEMBER(LOCK, 51));
	EQ_STR(inspect("k"),
		   "L@50 | 30=P@25 28=R@28p 20=P@15 0=P@0 v40=new v15=old",
		   "of a shared lock the first member");
}

static void
long_lists(void)
{
	MvccInfo info;

	kit_reset(&kit);
	for (uint64_t ts = 1; ts <= 50; ts++)
	{
		WRITE("k", 2 * ts, LOCK, ts);
		VALUE("k", ts, "v");
	}
	kit_next(&kit);
	mvcc_inspect_key(&kit.m.reader, K("k"), 0, &kit.arena, &info);
	EQ_U64(info.n_writes, 50, "all records");
	EQ_U64(info.writes[49].commit_ts, 2, "down to the oldest");
	EQ_U64(info.n_values, 50, "all values");
	EQ_U64(info.values[49].start_ts, 1, "down to the oldest");
}

static const char *
list(const char *lower, const char *upper, size_t page)
{
	KeyRange range = {K(lower), K(upper)};
	MvccKeys keys;

	kit_next(&kit);
	mvcc_list_keys(&kit.m.reader, &range, page, &kit.arena, &keys);
	kit_clear(&kit);
	for (size_t i = 0; i < keys.n; i++)
		kit_say_bytes(&kit, i == 0 ? "" : " ", keys.keys[i]);
	kit_say(&kit, keys.more ? " ..." : "");
	return kit.text;
}

static void
keys_of_range(void)
{
	kit_reset(&kit);
	EQ_STR(list("", "", 8), "", "no keys");
	PUT("a", 30, 25, "v");
	PUT("b", 20, 10, "v");
	PUT("b", 30, 26, "v");
	LOCK("b", PUT, 40);
	ROLLBACK("c", 7, false);
	LOCK("d", PESSIMISTIC, 41);
	memory_find(&kit.m, TXN_CF_LOCK, K("d"), 0)->memory_only = true;
	VALUE("e", 42, "of nobody");
	LOCK("f", PUT, 43);
	EQ_STR(list("", "", 8), "a b c d f",
		   "keys with a lock or a record, each once");
	EQ_STR(list("b", "f", 8), "b c d", "of a range");
	EQ_STR(list("", "", 3), "a b c ...",
		   "some of them, and that there are more");
	EQ_STR(list("d", "", 2), "d f ...", "which may be all");
	EQ_STR(list("a", "b", 1), "a ...", "one at a time");
	EQ_STR(list("d", "", 1), "d ...", "with a lock");
	LOCK("a0", PUT, 50);
	LOCK("a1", PUT, 51);
	EQ_STR(list("", "", 2), "a a0 a1 ...",
		   "none is left out that is behind the end of the other list");
}

static void
by_start_ts(void)
{
	kit_reset(&kit);
	EQ_STR(find(10, "", ""), "none", "txn-semantics 21 row 7: nothing there");
	PUT("a", 30, 25, "v");
	PUT("b", 20, 10, "v");
	PUT("b", 30, 26, "v");
	PUT("c", 20, 10, "v");
	ROLLBACK("d", 7, false);
	PUT("d", 0, 3, "v");
	EQ_STR(find(10, "", ""), "b", "the first key with a record, old or new");
	EQ_STR(find(10, "c", ""), "c", "of the region");
	EQ_STR(find(10, "", "b"), "none", "and of no other");
	EQ_STR(find(7, "", ""), "d", "a rollback counts");
	EQ_STR(find(3, "", ""), "d", "down to the oldest");
	LOCK("a", PUT, 50);
	EQ_STR(find(50, "", ""), "none", "a lock does not");
}

int
main(void)
{
	kit_init(&kit);
	scan_lock();
	shared();
	many();
	guards();
	by_key();
	long_lists();
	keys_of_range();
	by_start_ts();
	kit_free(&kit);
	return unit_done();
}
