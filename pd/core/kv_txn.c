/*
 * kv_txn.c
 *	  Reading and changing the keys of kv_store.h: one transaction, one
 *	  revision.
 */
#include "pd/core/kv_txn.h"

#include <stdlib.h>

void
kv_begin(KvTxn *txn, const KvStore *store, const Leases *leases,
		 PdChanges *changes)
{
	memset(txn, 0, sizeof(*txn));
	txn->store = store;
	txn->leases = leases;
	txn->changes = changes;
	txn->first = changes->n;
}

int64_t
kv_revision(const KvTxn *txn)
{
	return txn->store->revision + (txn->wrote ? 1 : 0);
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

/* The newest change of the key by this transaction, or NULL. */
static const PdRecord *
own_change(const KvTxn *txn, Bytes key)
{
	for (size_t i = txn->changes->n; i > txn->first; i--)
	{
		const PdRecord *record = &txn->changes->records[i - 1];

		if (record->kind == PD_RECORD_KV && bytes_eq(record->kv->key, key))
			return record;
	}
	return NULL;
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

/* Merge two lists that are in order of the keys; own changes win. */
size_t
kv_scan(const KvTxn *txn, KvRange range, const KvItem ***out)
{
	const KvStore *store = txn->store;
	size_t at = kv_store_seek(store, range.key);
	size_t end = at;
	Own *own;
	size_t n_own = own_changes(txn, range, &own);
	size_t n = 0;

	while (end < store->n && kv_range_has(range, store->items[end]->key))
		end++;
	*out =
		arena_alloc(txn->changes->arena, (end - at + n_own) * sizeof(KvItem *));
	for (size_t i = 0; at < end || i < n_own;)
	{
		const KvItem *item = i < n_own ? own[i].record->kv : NULL;
		int order = at == end ? 1 :
			item == NULL	  ? -1 :
								bytes_cmp(store->items[at]->key, item->key);

		if (order < 0)
		{
			(*out)[n++] = store->items[at++];
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
	if (put->lease != 0 && leases_get(txn->leases, put->lease) == NULL)
		return kv_error(RPC_NOT_FOUND, "etcdserver: requested lease not found");
	if (put->key.len > KV_MAX_KEY_BYTES ||
		put->key.len + put->value.len > KV_MAX_REQUEST_BYTES)
		return kv_error(RPC_INVALID_ARGUMENT,
						"etcdserver: request is too large");
	if (txn->store->bytes + txn->added + put->key.len + put->value.len >
		KV_MAX_BYTES)
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
	if (put->ignore_value)
		item.value = old->value;
	if (put->ignore_lease)
		item.lease = old->lease;
	item.create_revision =
		old == NULL ? txn->store->revision + 1 : old->create_revision;
	item.version = old == NULL ? 1 : old->version + 1;
	txn->added += item.key.len + item.value.len;
	add_change(txn, &item, false);
	return kv_ok();
}

size_t
kv_delete(KvTxn *txn, KvRange range, const KvItem ***prevs)
{
	size_t n = kv_scan(txn, range, prevs);

	for (size_t i = 0; i < n; i++)
	{
		KvItem gone = {.key = (*prevs)[i]->key};

		add_change(txn, &gone, true);
	}
	return n;
}

KvError
kv_revoke(KvTxn *txn, int64_t lease)
{
	PdRecord record = {.kind = PD_RECORD_LEASE, .removed = true};

	if (leases_get(txn->leases, lease) == NULL)
		return kv_error(RPC_NOT_FOUND, "etcdserver: requested lease not found");
	for (size_t i = 0; i < txn->store->n; i++)
	{
		const KvItem *item = txn->store->items[i];
		KvItem gone = {.key = item->key};

		if (item->lease == lease)
			add_change(txn, &gone, true);
	}
	record.lease.id = lease;
	pd_changes_add(txn->changes, &record);
	return kv_ok();
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
