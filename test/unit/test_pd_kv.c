/*
 * test_pd_kv.c
 *	  Keys, revisions, the history of changes, and leases.
 */
#include <time.h>

#include "pd/core/state.h"

#include "unit.h"

static Arena arena;
static KvStore store;
static Leases leases;
static PdChanges changes;
static KvTxn txn;

static void
begin(void)
{
	pd_changes_init(&changes, &arena);
	kv_begin(&txn, &store, &leases, &changes);
}

static void
commit(void)
{
	kv_end(&txn);
	for (size_t i = 0; i < changes.n; i++)
		OK(kv_store_apply(&store, &changes.records[i]) ||
			   leases_apply(&leases, &changes.records[i]),
		   "the change belongs here");
}

static RpcCode
put(const char *key, const char *value, int64_t lease)
{
	KvPut request = {.key = bytes_cstr(key),
					 .value = bytes_cstr(value),
					 .lease = lease};
	const KvItem *prev;

	return kv_put(&txn, &request, &prev).code;
}

static void
put_one(const char *key, const char *value)
{
	begin();
	EQ_U64(put(key, value, 0), RPC_OK, "put");
	commit();
}

static KvRange
range(const char *key, const char *end)
{
	KvRange out = {bytes_cstr(key), bytes_cstr(end)};

	return out;
}

static size_t
remove_keys(KvRange which)
{
	const KvItem **prevs;
	size_t n;

	EQ_U64(kv_delete(&txn, which, &prevs, &n).code, RPC_OK, "a deletion");
	return n;
}

static size_t
delete_range(const char *key, const char *end)
{
	size_t n;

	begin();
	n = remove_keys(range(key, end));
	commit();
	return n;
}

static const KvItem *
get(const char *key)
{
	return kv_store_get(&store, bytes_cstr(key));
}

static bool
has_value(const KvItem *item, const char *value)
{
	return item != NULL && bytes_eq(item->value, bytes_cstr(value));
}

static void
test_revisions(void)
{
	EQ_U64(store.revision, 1, "an empty store is at revision 1");
	put_one("a", "1");
	EQ_U64(store.revision, 2, "a put makes a revision");
	put_one("a", "2");
	EQ_U64(get("a")->create_revision, 2, "it remembers when it was made");
	EQ_U64(get("a")->mod_revision, 3, "and when it was changed");
	EQ_U64(get("a")->version, 2, "and how often");
	EQ_U64(delete_range("a", ""), 1, "delete");
	OK(get("a") == NULL, "it is gone");
	EQ_U64(store.revision, 4, "a delete makes a revision");
	EQ_U64(delete_range("a", ""), 0, "delete again");
	EQ_U64(store.revision, 4, "which changes nothing");
	put_one("a", "3");
	EQ_U64(get("a")->version, 1, "a key made anew begins anew");
	EQ_U64(store.bytes, 2, "the bytes are counted");
	delete_range("a", "");
	EQ_U64(store.bytes, 0, "and given back");
}

static void
test_own_changes(void)
{
	const KvItem **items;

	put_one("b", "old");
	put_one("c", "old");
	begin();
	EQ_U64(put("a", "new", 0), RPC_OK, "put before the others");
	EQ_U64(put("b", "new", 0), RPC_OK, "put over one");
	EQ_U64(remove_keys(range("c", "")), 1, "delete one");
	EQ_U64(put("d", "new", 0), RPC_OK, "put behind them");
	EQ_U64(kv_scan(&txn, range("a", "z"), &items), 3, "sees its own changes");
	OK(has_value(items[0], "new") && has_value(items[1], "new") &&
		   bytes_eq(items[2]->key, bytes_cstr("d")),
	   "in order of the keys");
	OK(kv_get(&txn, bytes_cstr("c")) == NULL, "does not see what it removed");
	OK(has_value(get("b"), "old"), "nothing has changed yet");
	EQ_U64(put("a", "newer", 0), RPC_OK, "put a second time");
	EQ_U64(remove_keys(range("a", "b")), 1, "and delete it");
	EQ_U64(kv_scan(&txn, range("a", "z"), &items), 2, "the last change counts");
	commit();
	OK(get("a") == NULL && has_value(get("b"), "new") && get("c") == NULL,
	   "all of it is taken over");
	EQ_U64(get("b")->mod_revision, get("d")->mod_revision, "with one revision");
	delete_range("a", "z");
}

static void
test_ranges(void)
{
	static const uint8_t high[] = {'a', 0xFF, 0xFF};
	static const uint8_t all_high[] = {0xFF};
	KvRange prefix = kv_prefix(bytes_make(high, 3), &arena);

	OK(bytes_eq(prefix.end, bytes_cstr("b")), "the end of a prefix with 0xFF");
	prefix = kv_prefix(bytes_make(all_high, 1), &arena);
	OK(prefix.end.len == 1 && prefix.end.data[0] == 0,
	   "there is nothing behind 0xFF");
	OK(kv_range_has(prefix, bytes_make(all_high, 1)) &&
		   !kv_range_has(prefix, bytes_cstr("a")),
	   "to the end of all keys");
	OK(kv_range_has(range("a", ""), bytes_cstr("a")) &&
		   !kv_range_has(range("a", ""), bytes_cstr("ab")),
	   "a range without an end is a key");
	OK(!kv_range_has(range("a", "c"), bytes_cstr("c")), "ends are exclusive");
}

static void
test_refusals(void)
{
	static char long_key[KV_MAX_KEY_BYTES + 2];
	const KvItem *prev;

	memset(long_key, 'k', KV_MAX_KEY_BYTES + 1);
	begin();
	EQ_U64(put("", "v", 0), RPC_INVALID_ARGUMENT, "no key");
	EQ_U64(put(long_key, "v", 0), RPC_INVALID_ARGUMENT,
		   "a key that is too long");
	EQ_U64(put("a", "v", 12345), RPC_NOT_FOUND, "an unknown lease");
	EQ_U64(kv_put(&txn, &(KvPut){.key = bytes_cstr("a"), .ignore_value = true},
				  &prev)
			   .code,
		   RPC_INVALID_ARGUMENT, "the value of a key that is not there");
	EQ_U64(kv_put(&txn,
				  &(KvPut){.key = bytes_cstr("a"),
						   .value = bytes_cstr("v"),
						   .ignore_value = true},
				  &prev)
			   .code,
		   RPC_INVALID_ARGUMENT, "a value that is to be ignored");
	EQ_U64(changes.n, 0, "nothing was changed");
	EQ_U64(kv_check_revision(&txn, store.revision).code, RPC_OK,
		   "read the newest revision");
	EQ_U64(kv_check_revision(&txn, store.revision + 1).code, RPC_OUT_OF_RANGE,
		   "or one that is not yet there");
	EQ_U64(kv_check_revision(&txn, store.revision - 1).code, RPC_OUT_OF_RANGE,
		   "or one that is gone");
}

static RpcCode
try_put(const char *key, size_t len)
{
	KvPut request = {.key = bytes_cstr(key)};
	const KvItem *prev;

	request.value = bytes_make(arena_zalloc(&arena, len), len);
	return kv_put(&txn, &request, &prev).code;
}

static RpcCode
put_if_room(const char *key, size_t len)
{
	RpcCode code;

	begin();
	code = try_put(key, len);
	commit();
	return code;
}

/* Clients have filled it, and stores go on. */
static void
test_own_room(void)
{
	EQ_U64(store.bytes, KV_MAX_BYTES, "it is full");
	EQ_U64(put_if_room("/tikv_fdw/start/9", 50), RPC_OK,
		   "there is room for a store's note");
	EQ_U64(put_if_room(PD_SAFE_POINT_KEY, 18), RPC_OK, "for the safe point");
	EQ_U64(put_if_room("/tikv_fdw", 1), RPC_RESOURCE_EXHAUSTED,
		   "for nothing else");
	EQ_U64(put_if_room("f", 0), RPC_RESOURCE_EXHAUSTED, "nor for a client");
	EQ_U64(put_if_room("f0", get("f0")->value.len), RPC_OK,
		   "who may put again what is there");
	EQ_U64(put_if_room("/tikv_fdw/note", KV_OWN_BYTES), RPC_RESOURCE_EXHAUSTED,
		   "and there is an end to notes");
}

/* Up to the last byte, and no further; f0 is there and large. */
static void
test_full_puts(void)
{
	size_t left = KV_MAX_BYTES - store.bytes;
	size_t len = get("f0")->value.len;

	EQ_U64(put_if_room("fz", left - 1), RPC_RESOURCE_EXHAUSTED,
		   "a byte too much");
	EQ_U64(put_if_room("fz", left - 2), RPC_OK, "the rest");
	EQ_U64(store.bytes, KV_MAX_BYTES, "is used to the last byte");
	EQ_U64(put_if_room("f0", len), RPC_OK, "what is there is put again");
	EQ_U64(put_if_room("f0", len + 1), RPC_RESOURCE_EXHAUSTED, "but not more");
	EQ_U64(put_if_room("f0", len - 1), RPC_OK, "or less");
	begin();
	EQ_U64(put("f", "", 0), RPC_OK, "which makes room");
	EQ_U64(put("g", "", 0), RPC_RESOURCE_EXHAUSTED,
		   "for as much, in the same transaction, too");
	commit();
	EQ_U64(delete_range("f", ""), 1, "of which nothing stays");
	EQ_U64(put_if_room("f0", len), RPC_OK, "and is full again");
	begin();
	EQ_U64(put("f0", "", 0), RPC_OK, "a transaction that makes room");
	EQ_U64(put("f0", "", 0), RPC_OK, "makes it once");
	EQ_U64(try_put("fy", len - 1), RPC_RESOURCE_EXHAUSTED, "for no more");
	EQ_U64(try_put("fy", len - 2), RPC_OK, "than it gives up");
	test_own_room();
}

static void
test_full(void)
{
	char *value = arena_zalloc(&arena, KV_MAX_REQUEST_BYTES);
	KvPut request = {.value = bytes_make(value, KV_MAX_REQUEST_BYTES - 8)};
	const KvItem *prev;
	KvError error = kv_ok();
	int n = 0;

	while (error.code == RPC_OK && n < 100)
	{
		request.key = bytes_cstr(arena_printf(&arena, "f%d", n++));
		begin();
		error = kv_put(&txn, &request, &prev);
		if (error.code == RPC_OK)
			commit();
	}
	EQ_U64(error.code, RPC_RESOURCE_EXHAUSTED, "at last it is full");
	OK(store.bytes <= KV_MAX_BYTES, "and holds no more than it may");
	OK(store.event_bytes <= KV_MAX_EVENT_BYTES,
	   "nor remembers more than it may");
	test_full_puts();
	EQ_U64(delete_range("f", "g"), (uint64_t) n, "it can be emptied");
	delete_range("/", "0");
	request.value = bytes_make(value, KV_MAX_REQUEST_BYTES + 1);
	begin();
	EQ_U64(kv_put(&txn, &request, &prev).code, RPC_INVALID_ARGUMENT,
		   "a value that is too long");
}

static void
test_history(void)
{
	int64_t from = store.revision;
	const KvEvent *last;

	put_one("h", "1");
	put_one("h", "2");
	delete_range("h", "");
	last = kv_store_event(&store, store.n_events - 1);
	EQ_U64(last->item->version, 0, "the last event is the delete");
	EQ_U64(last->item->mod_revision, from + 3, "with its revision");
	OK(has_value(last->prev, "2"), "and what was there");
	last = kv_store_event(&store, store.n_events - 3);
	OK(last->prev == NULL && has_value(last->item, "1"),
	   "the first one is new");

	for (int i = 0; i < KV_MAX_EVENTS; i++)
	{
		begin();
		(void) put("h", "x", 0);
		kv_end(&txn);
		for (size_t k = 0; k < changes.n; k++)
			kv_store_apply(&store, &changes.records[k]);
		arena_reset(&arena);
	}
	EQ_U64(store.n_events, KV_MAX_EVENTS, "so many are remembered");
	EQ_U64(kv_store_first_revision(&store), store.revision - KV_MAX_EVENTS + 1,
		   "from that revision on");
	EQ_U64(kv_store_event(&store, 0)->item->mod_revision,
		   kv_store_first_revision(&store), "without a gap");
	begin();
	EQ_U64(kv_compact(&txn, store.revision - 10).code, RPC_OK, "compact");
	commit();
	EQ_U64(kv_store_first_revision(&store), store.revision - 10,
		   "which forgets what is older");
	begin();
	EQ_U64(kv_compact(&txn, store.revision - 10).code, RPC_OUT_OF_RANGE,
		   "not twice");
	EQ_U64(kv_compact(&txn, store.revision + 1).code, RPC_OUT_OF_RANGE,
		   "nor the future");
	delete_range("h", "");
}

static void
test_leases(void)
{
	Lease lease;
	int64_t now = 1000000;
	int64_t ids[8];
	bool whole;

	begin();
	EQ_U64(lease_grant(&leases, 0, 77, 10, &changes, &lease).code, RPC_OK,
		   "grant");
	EQ_U64(lease.id, 77, "with an id of its own");
	lease_expires_from(&changes, lease.id, now);
	commit();
	begin();
	EQ_U64(lease_grant(&leases, 77, 0, 10, &changes, &lease).code,
		   RPC_FAILED_PRECONDITION, "not the same once more");
	EQ_U64(lease_grant(&leases, 0, 77, 1, &changes, &lease).code, RPC_OK,
		   "another one by itself");
	EQ_U64(lease.id, 78, "gets the next id");
	EQ_U64(lease.ttl, LEASE_MIN_TTL, "and lives for some time at least");
	EQ_U64(lease_grant(&leases, 0, 1, LEASE_MAX_TTL + 1, &changes, &lease).code,
		   RPC_OUT_OF_RANGE, "not for ever");
	EQ_U64(lease_grant(&leases, -1, 1, 10, &changes, &lease).code,
		   RPC_INVALID_ARGUMENT, "no negative id");
	lease_expires_from(&changes, 78, now);
	commit();

	begin();
	EQ_U64(put("l/1", "v", 77), RPC_OK, "a key with a lease");
	EQ_U64(put("l/2", "v", 77), RPC_OK, "two");
	EQ_U64(put("l/3", "v", 0), RPC_OK, "one without");
	commit();
	EQ_U64(leases_next_expiry(&leases), now + 2000000, "the shorter one first");
	EQ_U64(leases_expired(&leases, now + 1999999, ids, 8), 0, "not yet");
	EQ_U64(leases_expired(&leases, now + 2000000, ids, 8), 1, "now");
	EQ_U64(ids[0], 78, "the one that was short");
	EQ_U64(leases_expired(&leases, now + 2000000, ids, 0), 0,
		   "no more than are wanted");
	EQ_U64(leases_expired(&leases, now + 2000000, ids, 8), 1, "and again");
	OK(lease_refresh(&leases, 78, now + 2000000), "it is kept alive");
	EQ_U64(leases_expired(&leases, now + 2000001, ids, 8), 0, "and lives");
	OK(!lease_refresh(&leases, 99, now), "an unknown one does not");

	begin();
	EQ_U64(kv_revoke(&txn, 77, &whole).code, RPC_OK, "revoke");
	OK(whole, "all of it");
	commit();
	OK(get("l/1") == NULL && get("l/2") == NULL && get("l/3") != NULL,
	   "its keys are gone, and only they");
	OK(leases_get(&leases, 77) == NULL, "so is the lease");
	begin();
	EQ_U64(kv_revoke(&txn, 77, &whole).code, RPC_NOT_FOUND, "once");
	leases_refresh_all(&leases, 5000000);
	EQ_U64(leases_next_expiry(&leases), 7000000, "a start gives all the time");
}

static void
grant_with_keys(int64_t id, int n_keys)
{
	Lease lease;

	begin();
	EQ_U64(lease_grant(&leases, id, 0, 10, &changes, &lease).code, RPC_OK,
		   "a lease");
	commit();
	begin();
	for (int i = 0; i < n_keys; i++)
		EQ_U64(put(arena_printf(&arena, "s/%d/%d", i, (int) id), "v", id),
			   RPC_OK, "its key");
	commit();
}

static size_t
revoke_some(const int64_t *ids, size_t n, size_t max_keys)
{
	size_t done;

	begin();
	done = kv_revoke_some(&txn, ids, n, max_keys);
	commit();
	return done;
}

/* Several at once, as far as they do not have too many keys. */
static void
test_revoke_some(void)
{
	static const int64_t ids[] = {101, 102, 103, 104};
	int64_t revision;

	grant_with_keys(101, 3);
	grant_with_keys(102, 2);
	grant_with_keys(103, 0);
	grant_with_keys(104, 9);
	grant_with_keys(105, 1);
	revision = store.revision;
	EQ_U64(revoke_some(ids, 4, 6), 3, "those that have six keys together");
	EQ_U64(store.revision, revision + 1, "in one revision");
	OK(leases_get(&leases, 101) == NULL && leases_get(&leases, 103) == NULL &&
		   leases_get(&leases, 104) != NULL,
	   "are gone");
	OK(get("s/0/101") == NULL && get("s/2/101") == NULL &&
		   get("s/1/102") == NULL && get("s/0/104") != NULL &&
		   get("s/0/105") != NULL,
	   "with their keys and no others");
	EQ_U64(revoke_some(ids + 3, 1, 6), 1, "one of many keys ends all the same");
	OK(get("s/8/104") == NULL, "and has no keys any more");
	EQ_U64(revoke_some(ids, 0, 6), 0, "none");
	delete_range("s", "t");
}

/* Keys come and go all over the place, and the order stays. */
static void
test_order(void)
{
	bool here[500] = {false};
	size_t n = 0;
	bool ordered = true;
	uint32_t dice = 1;

	delete_range("a", "z");
	for (int i = 0; i < 4000; i++)
	{
		int at = (int) ((dice = dice * 1664525 + 1013904223) >> 8) % 500;
		const char *key = arena_printf(&arena, "o%03d", at);

		if (here[at])
			delete_range(key, "");
		else
			put_one(key, key);
		here[at] = !here[at];
	}
	for (size_t i = 0; i < 500; i++)
	{
		const char *key = arena_printf(&arena, "o%03d", (int) i);

		n += here[i] ? 1 : 0;
		ordered = ordered && has_value(get(key), key) == here[i];
	}
	EQ_U64(store.n, n, "as many as should be");
	for (size_t i = 1; i < store.n; i++)
		ordered = ordered &&
			bytes_cmp(kv_store_item(&store, i - 1)->key,
					  kv_store_item(&store, i)->key) < 0;
	OK(ordered, "each where it should be");
	delete_range("o", "p");
	EQ_U64(store.n, 0, "and none");
}

/* As commit, without a check for each of very many changes. */
static void
apply_quietly(void)
{
	kv_end(&txn);
	for (size_t i = 0; i < changes.n; i++)
		if (!kv_store_apply(&store, &changes.records[i]))
			leases_apply(&leases, &changes.records[i]);
	arena_reset(&arena);
	pd_changes_init(&changes, &arena);
}

static void
put_many(const char *prefix, int n, int64_t lease)
{
	for (int from = 0; from < n; from += 1000)
	{
		begin();
		for (int i = from; i < from + 1000 && i < n; i++)
			(void) put(arena_printf(&arena, "%s%06d", prefix, i), "", lease);
		apply_quietly();
	}
}

/* Removing a range takes time in proportion to it, also from the front. */
static void
test_large_range(void)
{
	enum
	{
		N = 200000,
		STEP = 10000
	};
	size_t removed = 0;
	clock_t began;
	double took = 0;

	put_many("r", N, 0);
	for (int from = 0; from < N; from += STEP)
	{
		begin();
		removed +=
			remove_keys(range(arena_printf(&arena, "r%06d", from),
							  arena_printf(&arena, "r%06d", from + STEP)));
		began = clock();
		apply_quietly();
		took += (double) (clock() - began) / CLOCKS_PER_SEC;
	}
	printf("# %.2f s\n", took);
	EQ_U64(removed, N, "delete all");
	EQ_U64(store.n, 0, "they are gone");
	OK(took < 4, "soon");
}

/* One transaction removes so many keys, and not one more. */
static void
test_removed(void)
{
	const KvItem **prevs;
	size_t n;

	put_many("r", KV_MAX_REMOVED + 1, 0);
	begin();
	EQ_U64(kv_delete(&txn, range("r", "s"), &prevs, &n).code,
		   RPC_RESOURCE_EXHAUSTED, "too many keys at once");
	EQ_U64(changes.n, 0, "none is removed");
	EQ_U64(remove_keys(range("r000001", "s")), KV_MAX_REMOVED, "one less");
	EQ_U64(kv_delete(&txn, range("r000000", ""), &prevs, &n).code,
		   RPC_RESOURCE_EXHAUSTED, "nor one beside them");
	apply_quietly();
	EQ_U64(delete_range("r", "s"), 1, "which goes afterwards");
}

/* A lease with very many keys ends in slices, and nothing revives it. */
static void
test_slices(void)
{
	enum
	{
		N = 2 * KV_LEASE_SLICE + 10
	};
	static const int64_t ids[] = {201, 202};
	Lease lease;

	grant_with_keys(201, 0);
	grant_with_keys(202, 2);
	put_many("r", N, 201);
	begin();
	EQ_U64(kv_revoke_some(&txn, ids, 2, 6), 0, "it does not end at once");
	apply_quietly();
	EQ_U64(store.n, N + 2 - KV_LEASE_SLICE, "a slice of its keys is gone");
	OK(leases_get(&leases, 201) != NULL && leases_alive(&leases, 201) == NULL,
	   "it is there, and dead");
	OK(leases_next_expiry(&leases) <= 1, "the next slice is due");
	OK(!lease_refresh(&leases, 201, 5000000), "nothing keeps it alive");
	leases_refresh_all(&leases, 5000000);
	OK(leases_next_expiry(&leases) <= 5000000, "nor a start");
	begin();
	EQ_U64(put("t", "v", 201), RPC_NOT_FOUND, "no key gets it");
	EQ_U64(lease_grant(&leases, 201, 0, 10, &changes, &lease).code,
		   RPC_FAILED_PRECONDITION, "nor is it granted again");
	EQ_U64(kv_revoke_some(&txn, ids, 2, 6), 0, "another slice");
	EQ_U64(changes.n, KV_LEASE_SLICE, "and the lease is not written again");
	apply_quietly();
	begin();
	EQ_U64(kv_revoke_some(&txn, ids, 2, 6), 1, "the last one");
	apply_quietly();
	EQ_U64(store.n, 2, "its keys are gone, and only they");
	OK(leases_get(&leases, 201) == NULL && leases_alive(&leases, 202) != NULL,
	   "and so is it");
	EQ_U64(revoke_some(ids + 1, 1, 6), 1, "the other one");
}

/* Looking for own changes among very many costs no more than among few. */
static void
test_many_own_changes(void)
{
	enum
	{
		N = 100000
	};
	clock_t began = clock();
	double took;
	const KvItem *prev;

	begin();
	for (int i = 0; i < N; i++)
	{
		KvPut one = {.key =
						 bytes_cstr(arena_printf(&arena, "q%d", i % (N / 2)))};

		(void) kv_put(&txn, &one, &prev);
		if (i == N / 2 + 7)
			OK(prev != NULL && prev->version == 1,
			   "the second change of a key");
	}
	EQ_U64(kv_get(&txn, bytes_cstr("q77"))->version, 2, "the newest counts");
	OK(kv_get(&txn, bytes_cstr("q")) == NULL, "what is not there is not there");
	took = (double) (clock() - began) / CLOCKS_PER_SEC;
	printf("# %.2f s\n", took);
	OK(took < 10, "soon");
	arena_reset(&arena);
}

static size_t
apply_all(PdState *state)
{
	size_t n = changes.n;

	for (size_t i = 0; i < n; i++)
		pd_state_apply(state, &changes.records[i]);
	pd_changes_init(&changes, &arena);
	return n;
}

/*
 * A put that keeps the value, behind one that did so in the same transaction and
 * others by which all that is remembered of the key before is forgotten.
 */
static void
test_kept_value(void)
{
	KvPut keep = {.key = bytes_cstr("kept"), .ignore_value = true};
	const size_t len = KV_MAX_REQUEST_BYTES / 2;
	const KvItem *prev;

	put_one("kept", "value");
	begin();
	EQ_U64(kv_put(&txn, &keep, &prev).code, RPC_OK, "keep a value");
	for (size_t bytes = 0; bytes <= KV_MAX_EVENT_BYTES; bytes += len)
		EQ_U64(try_put("large", len), RPC_OK, "put much");
	EQ_U64(kv_put(&txn, &keep, &prev).code, RPC_OK, "keep it once more");
	commit();
	OK(store.n_events > 0 && kv_store_event(&store, 0)->item->version > 2,
	   "what was before is forgotten");
	OK(has_value(get("kept"), "value"), "and the value is there");
	EQ_U64(get("kept")->version, 3, "put three times");
	delete_range("kept", "l");
	delete_range("large", "");
}

/* A put that keeps a value is short and writes much. */
static void
test_much_kept(void)
{
	KvPut keep = {.key = bytes_cstr("kept"), .ignore_value = true};
	const size_t len = KV_MAX_REQUEST_BYTES / 2;
	size_t n = 0;
	const KvItem *prev;

	begin();
	EQ_U64(try_put("kept", len), RPC_OK, "a large value");
	commit();
	begin();
	while (n < 1000 && kv_put(&txn, &keep, &prev).code == RPC_OK)
		n++;
	EQ_U64(n, KV_MAX_TXN_BYTES / (len + strlen("kept")),
		   "is kept as often as one transaction may write it");
	EQ_U64(try_put("kept", len), RPC_INVALID_ARGUMENT, "nor put once more");
	EQ_U64(try_put("kept", 0), RPC_OK, "but something small is");
	commit();
	EQ_U64(get("kept")->version, n + 2, "all of which is done");
	delete_range("kept", "");
}

/* The key of the safe point follows the GC state, whoever moves it. */
static void
test_safe_point(void)
{
	Bytes key = bytes_cstr(PD_SAFE_POINT_KEY);
	GcAdvance advance;
	PdState state;

	pd_state_init(&state);
	pd_changes_init(&changes, &arena);
	pd_state_mirror_safe_point(&state, &changes);
	EQ_U64(changes.n, 0, "no safe point, no key");
	EQ_U64(gc_advance_txn_safe_point(&state.gc, 500, (GcTime){1, 500}, &changes,
									 &advance)
			   .type,
		   PD_OK, "advance");
	pd_state_mirror_safe_point(&state, &changes);
	apply_all(&state);
	OK(has_value(kv_store_get(&state.kv, key), "500"), "the key follows");
	pd_state_mirror_safe_point(&state, &changes);
	EQ_U64(changes.n, 0, "nothing to do twice");
	pd_state_loaded(&state);
	pd_state_free(&state);

	/* What an older version saved has no such key. */
	pd_changes_init(&changes, &arena);
	pd_changes_number(&changes, PD_RECORD_TXN_SAFE_POINT, 600);
	apply_all(&state);
	pd_state_mirror_safe_point(&state, &changes);
	apply_all(&state);
	OK(has_value(kv_store_get(&state.kv, key), "600"), "it is made up for");
	pd_state_free(&state);
}

int
main(void)
{
	arena_init(&arena);
	kv_store_init(&store);
	kv_store_loaded(&store);
	leases_init(&leases);
	test_revisions();
	test_own_changes();
	test_ranges();
	test_refusals();
	test_full();
	test_history();
	test_leases();
	test_revoke_some();
	test_order();
	test_large_range();
	test_removed();
	test_slices();
	test_many_own_changes();
	test_kept_value();
	test_much_kept();
	test_safe_point();
	kv_store_free(&store);
	leases_free(&leases);
	arena_free(&arena);
	return unit_done();
}
