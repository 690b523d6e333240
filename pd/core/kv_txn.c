/*
 * kv_txn.c
 *	  Reading and changing the keys of kv_store.h: one transaction, one
 *	  revision.
 */
#include "pd/core/kv_txn.h"

#include <stdlib.h>

#include "core/base/hash.h"

/*
 * Where the newest own change of a key is: open addressing, filled up to the
 * last change when it is asked.
 */
typedef struct KvOwn
{
	uint32_t *slots; /* place among the changes + 1; 0: free */
	size_t n_slots;	 /* a power of 2, or 0 */
	size_t n_keys;
	size_t seen; /* changes before this are in it */
	size_t work; /* keys and changes gone through, and kv_add_work */
} KvOwn;

void
kv_begin(KvTxn *txn, const KvStore *store, const Leases *leases,
		 PdChanges *changes)
{
	memset(txn, 0, sizeof(*txn));
	txn->store = store;
	txn->leases = leases;
	txn->changes = changes;
	txn->first = changes->n;
	txn->own = arena_zalloc(changes->arena, sizeof(KvOwn));
	txn->own->seen = changes->n;
}

int64_t
kv_revision(const KvTxn *txn)
{
	return txn->store->revision + (txn->wrote ? 1 : 0);
}

void
kv_will_write(KvTxn *txn)
{
	txn->wrote = true;
}

KvError
kv_check_work(const KvTxn *txn)
{
	if (txn->own->work > KV_MAX_TXN_WORK)
		return kv_error(RPC_INVALID_ARGUMENT,
						"etcdserver: too many operations in txn request");
	return kv_ok();
}

void
kv_add_work(const KvTxn *txn, size_t n)
{
	txn->own->work += n;
}

KvError
kv_check_revision(const KvTxn *txn, int64_t revision)
{
	if (revision <= 0 || revision == txn->store->revision)
		return kv_ok();
	if (revision > txn->store->revision)
		return kv_error(
			RPC_OUT_OF_RANGE,
			"etcdserver: mvcc: required revision is a future revision");
	return kv_error(RPC_OUT_OF_RANGE,
					"etcdserver: mvcc: required revision has been compacted");
}

/* ---- reading ---- */

/* The slot of the key, or the free one where it belongs. */
static uint32_t *
own_slot(const KvTxn *txn, Bytes key)
{
	const KvOwn *own = txn->own;
	size_t mask = own->n_slots - 1;
	size_t at = (size_t) hash_bytes64(key, 0) & mask;

	while (own->slots[at] != 0 &&
		   !bytes_eq(txn->changes->records[own->slots[at] - 1].kv->key, key))
		at = (at + 1) & mask;
	return &own->slots[at];
}

static void
grow_own(const KvTxn *txn)
{
	KvOwn *own = txn->own;
	uint32_t *old = own->slots;
	size_t n_old = own->n_slots;

	own->n_slots = n_old == 0 ? 64 : n_old * 2;
	own->slots =
		arena_zalloc(txn->changes->arena, own->n_slots * sizeof(uint32_t));
	for (size_t i = 0; i < n_old; i++)
		if (old[i] != 0)
			*own_slot(txn, txn->changes->records[old[i] - 1].kv->key) = old[i];
}

/* The newest change of the key by this transaction, or NULL. */
static const PdRecord *
own_change(const KvTxn *txn, Bytes key)
{
	const PdRecord *records = txn->changes->records;
	KvOwn *own = txn->own;
	uint32_t *slot;

	for (; own->seen < txn->changes->n; own->seen++)
	{
		if (records[own->seen].kind != PD_RECORD_KV)
			continue;
		if (2 * own->n_keys >= own->n_slots)
			grow_own(txn);
		slot = own_slot(txn, records[own->seen].kv->key);
		if (*slot == 0)
			own->n_keys++;
		*slot = (uint32_t) own->seen + 1;
	}
	if (own->n_keys == 0)
		return NULL;
	slot = own_slot(txn, key);
	return *slot == 0 ? NULL : &records[*slot - 1];
}

const KvItem *
kv_get(const KvTxn *txn, Bytes key)
{
	const PdRecord *own = own_change(txn, key);

	if (own != NULL)
		return own->removed ? NULL : own->kv;
	return kv_store_get(txn->store, key);
}

/* A change of the transaction itself, for sorting by key. */
typedef struct Own
{
	const PdRecord *record;
	size_t at;
} Own;

/* By key, the newest change of a key first. */
static int
compare_own(const void *a, const void *b)
{
	const Own *x = a;
	const Own *y = b;
	int by_key = bytes_cmp(x->record->kv->key, y->record->kv->key);

	if (by_key != 0)
		return by_key;
	return x->at > y->at ? -1 : 1;
}

/* The newest own change of each key in the range, in order. */
static size_t
own_changes(const KvTxn *txn, KvRange range, Own **out)
{
	size_t size = txn->changes->n - txn->first;
	size_t n = 0;
	size_t kept = 0;

	*out = arena_alloc(txn->changes->arena, size * sizeof(Own));
	for (size_t i = txn->first; i < txn->changes->n; i++)
	{
		const PdRecord *record = &txn->changes->records[i];

		if (record->kind == PD_RECORD_KV &&
			kv_range_has(range, record->kv->key))
			(*out)[n++] = (Own){record, i};
	}
	qsort(*out, n, sizeof(Own), compare_own);
	for (size_t i = 0; i < n; i++)
		if (i == 0 ||
			!bytes_eq((*out)[i].record->kv->key,
					  (*out)[kept - 1].record->kv->key))
			(*out)[kept++] = (*out)[i];
	return kept;
}

static size_t
scan_key(const KvTxn *txn, Bytes key, const KvItem ***out)
{
	const KvItem *item = kv_get(txn, key);

	*out = arena_alloc(txn->changes->arena, sizeof(KvItem *));
	**out = item;
	return item != NULL ? 1 : 0;
}

/* Behind the last item of a range whose first one is at `at`. */
static size_t
range_end(const KvStore *store, KvRange range, size_t at)
{
	size_t end = range.end.len == 1 && range.end.data[0] == 0 ?
		store->n :
		kv_store_seek(store, range.end);

	return end > at ? end : at;
}

/* Merge two lists that are in order of the keys; own changes win. */
size_t
kv_scan(const KvTxn *txn, KvRange range, const KvItem ***out)
{
	const KvStore *store = txn->store;
	size_t at;
	size_t end;
	Own *own;
	size_t n_own;
	size_t n = 0;

	if (range.end.len == 0)
		return scan_key(txn, range.key, out);
	at = kv_store_seek(store, range.key);
	end = range_end(store, range, at);
	n_own = own_changes(txn, range, &own);
	txn->own->work += end - at + txn->changes->n - txn->first;
	*out =
		arena_alloc(txn->changes->arena, (end - at + n_own) * sizeof(KvItem *));
	for (size_t i = 0; at < end || i < n_own;)
	{
		const KvItem *item = i < n_own ? own[i].record->kv : NULL;
		int order = at == end ? 1 :
			item == NULL	  ? -1 :
						   bytes_cmp(kv_store_item(store, at)->key, item->key);

		if (order < 0)
		{
			(*out)[n++] = kv_store_item(store, at++);
			continue;
		}
		at += order == 0 ? 1 : 0;
		if (!own[i].record->removed)
			(*out)[n++] = item;
		i++;
	}
	return n;
}

/* ---- changing ---- */

static void
add_change(KvTxn *txn, const KvItem *item, bool removed)
{
	KvItem *kept = arena_alloc(txn->changes->arena, sizeof(*kept));
	PdRecord record = {.kind = PD_RECORD_KV, .removed = removed, .kv = kept};

	*kept = *item;
	kept->mod_revision = txn->store->revision + 1;
	pd_changes_add(txn->changes, &record);
	txn->wrote = true;
}

/* What a put writes. */
static size_t
put_bytes(const KvPut *put, const KvItem *old)
{
	size_t value = put->ignore_value ? old->value.len : put->value.len;

	return put->key.len + value;
}

/* By how many bytes it lets the store grow. */
static int64_t
growth(const KvPut *put, const KvItem *old)
{
	size_t before = old == NULL ? 0 : old->key.len + old->value.len;

	return (int64_t) put_bytes(put, old) - (int64_t) before;
}

/* What does not grow is put in any case. */
static bool
has_room(const KvTxn *txn, const KvPut *put, const KvItem *old)
{
	bool own = kv_is_own(put->key);
	int64_t grows = growth(put, old);
	int64_t most_bytes = KV_MAX_BYTES + (own ? KV_OWN_BYTES : 0);
	size_t most_keys = KV_MAX_KEYS + (own ? KV_OWN_KEYS : 0);

	if (grows > 0 &&
		(int64_t) txn->store->bytes + txn->added + grows > most_bytes)
		return false;
	return old != NULL || txn->store->n + txn->made < most_keys;
}

static KvError
check_put(const KvTxn *txn, const KvPut *put, const KvItem *old)
{
	if (put->key.len == 0)
		return kv_error(RPC_INVALID_ARGUMENT,
						"etcdserver: key is not provided");
	if (put->ignore_value && put->value.len > 0)
		return kv_error(RPC_INVALID_ARGUMENT, "etcdserver: value is provided");
	if (put->ignore_lease && put->lease != 0)
		return kv_error(RPC_INVALID_ARGUMENT, "etcdserver: lease is provided");
	if ((put->ignore_value || put->ignore_lease) && old == NULL)
		return kv_error(RPC_INVALID_ARGUMENT, "etcdserver: key not found");
	if (put->lease != 0 && leases_alive(txn->leases, put->lease) == NULL)
		return kv_error(RPC_NOT_FOUND, "etcdserver: requested lease not found");
	if (put->key.len > KV_MAX_KEY_BYTES ||
		put->key.len + put->value.len > KV_MAX_REQUEST_BYTES ||
		txn->put_bytes + put_bytes(put, old) > KV_MAX_TXN_BYTES)
		return kv_error(RPC_INVALID_ARGUMENT,
						"etcdserver: request is too large");
	if (!has_room(txn, put, old))
		return kv_error(RPC_RESOURCE_EXHAUSTED,
						"etcdserver: mvcc: database space exceeded");
	return kv_ok();
}

KvError
kv_put(KvTxn *txn, const KvPut *put, const KvItem **prev)
{
	const KvItem *old = kv_get(txn, put->key);
	KvItem item = {.key = put->key, .value = put->value, .lease = put->lease};
	KvError error = check_put(txn, put, old);

	*prev = old;
	if (error.code != RPC_OK)
		return error;

	/* What it was may be forgotten before this change is applied. */
	if (put->ignore_value)
		item.value = arena_copy(txn->changes->arena, old->value);
	if (put->ignore_lease)
		item.lease = old->lease;
	item.create_revision =
		old == NULL ? txn->store->revision + 1 : old->create_revision;
	item.version = old == NULL ? 1 : old->version + 1;
	txn->added += growth(put, old);
	txn->put_bytes += put_bytes(put, old);
	if (old == NULL)
		txn->made++;
	add_change(txn, &item, false);
	return kv_ok();
}

KvError
kv_delete(KvTxn *txn, KvRange range, const KvItem ***prevs, size_t *n)
{
	size_t found = kv_scan(txn, range, prevs);

	*n = 0;
	if (txn->gone + found > KV_MAX_REMOVED)
		return kv_error(RPC_RESOURCE_EXHAUSTED,
						"etcdserver: more than 16384 keys would be removed at "
						"once, remove smaller ranges one after another");
	for (size_t i = 0; i < found; i++)
	{
		KvItem gone = {.key = (*prevs)[i]->key};

		add_change(txn, &gone, true);
	}
	txn->gone += found;
	*n = found;
	return kv_ok();
}

/* Remove keys of a lease, so many at most; true: it has no others. */
static bool
remove_leased(KvTxn *txn, int64_t lease, size_t most)
{
	size_t n = 0;

	for (size_t i = 0; i < txn->store->n; i++)
	{
		const KvItem *item = kv_store_item(txn->store, i);
		KvItem gone = {.key = item->key};

		if (item->lease != lease)
			continue;
		if (n++ == most)
			return false;
		add_change(txn, &gone, true);
	}
	return true;
}

/*
 * A slice of a lease, and itself with the last of its keys; true: it is gone.
 * Until then it is dead, for a leader or a start that comes in between, too.
 */
static bool
end_lease(KvTxn *txn, const Lease *lease)
{
	PdRecord record = {.kind = PD_RECORD_LEASE};

	record.lease.id = lease->id;
	record.lease.ttl = LEASE_DEAD;
	record.removed = remove_leased(txn, lease->id, KV_LEASE_SLICE);
	if (record.removed || lease->ttl != LEASE_DEAD)
		pd_changes_add(txn->changes, &record);
	return record.removed;
}

KvError
kv_revoke(KvTxn *txn, int64_t lease, bool *whole)
{
	const Lease *found = leases_alive(txn->leases, lease);

	if (found == NULL)
		return kv_error(RPC_NOT_FOUND, "etcdserver: requested lease not found");
	*whole = end_lease(txn, found);
	return kv_ok();
}

/* The place of an id in a list in order; n: it is not there. */
static size_t
find_id(const int64_t *ids, size_t n, int64_t id)
{
	size_t lo = 0;
	size_t hi = n;

	while (lo < hi)
	{
		size_t mid = lo + (hi - lo) / 2;

		if (ids[mid] >= id)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo < n && ids[lo] == id ? lo : n;
}

/*
 * So many of the leases have max_keys together, but one at least; 0 if that is
 * too large.
 */
static size_t
choose_leases(const KvTxn *txn, const int64_t *ids, size_t n, size_t max_keys)
{
	size_t *keys = arena_zalloc(txn->changes->arena, (n + 1) * sizeof(*keys));
	size_t chosen = 1;
	size_t sum;

	for (size_t i = 0; i < txn->store->n; i++)
	{
		int64_t lease = kv_store_item(txn->store, i)->lease;

		if (lease != 0)
			keys[find_id(ids, n, lease)]++;
	}
	sum = keys[0];
	if (sum > KV_LEASE_SLICE)
		return 0;
	while (chosen < n && sum + keys[chosen] <= max_keys)
		sum += keys[chosen++];
	return chosen;
}

size_t
kv_revoke_some(KvTxn *txn, const int64_t *ids, size_t n, size_t max_keys)
{
	const Lease *first;

	if (n == 0)
		return 0;
	first = leases_get(txn->leases, ids[0]);
	if (first != NULL && first->ttl == LEASE_DEAD)
		return end_lease(txn, first) ? 1 : 0;
	n = choose_leases(txn, ids, n, max_keys);
	if (n == 0)
	{
		if (first != NULL)
			(void) end_lease(txn, first);
		return 0;
	}
	for (size_t i = 0; i < txn->store->n; i++)
	{
		const KvItem *item = kv_store_item(txn->store, i);
		KvItem gone = {.key = item->key};

		if (item->lease != 0 && find_id(ids, n, item->lease) < n)
			add_change(txn, &gone, true);
	}
	for (size_t i = 0; i < n; i++)
	{
		PdRecord record = {.kind = PD_RECORD_LEASE, .removed = true};

		record.lease.id = ids[i];
		pd_changes_add(txn->changes, &record);
	}
	return n;
}

KvError
kv_compact(KvTxn *txn, int64_t revision)
{
	if (revision <= txn->store->compacted)
		return kv_error(
			RPC_OUT_OF_RANGE,
			"etcdserver: mvcc: required revision has been compacted");
	if (revision > txn->store->revision)
		return kv_error(
			RPC_OUT_OF_RANGE,
			"etcdserver: mvcc: required revision is a future revision");
	pd_changes_number(txn->changes, PD_RECORD_KV_COMPACTED,
					  (uint64_t) revision);
	return kv_ok();
}

void
kv_end(KvTxn *txn)
{
	if (txn->wrote)
		pd_changes_number(txn->changes, PD_RECORD_KV_REVISION,
						  (uint64_t) txn->store->revision + 1);
}
