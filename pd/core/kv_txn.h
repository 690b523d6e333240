/*
 * kv_txn.h
 *	  Reading and changing the keys of kv_store.h: one transaction, one
 *	  revision.
 *
 * A transaction sees its own changes; they are taken over when the caller
 * applies the list.  Rules and texts of refusals are etcd's
 * (etcd-io/etcd api/v3rpc/rpctypes/error.go, server/etcdserver/api/v3rpc/key.go).
 */
#ifndef TIKV_PD_CORE_KV_TXN_H
#define TIKV_PD_CORE_KV_TXN_H

#include "pd/core/kv_store.h"
#include "pd/core/lease.h"

typedef struct KvTxn
{
	const KvStore *store;
	const Leases *leases;
	PdChanges *changes;
	size_t first;	  /* where its own changes begin */
	int64_t added;	  /* bytes that its puts add at most */
	size_t put_bytes; /* of keys and values that they write */
	size_t made;	  /* keys that they make at most */
	size_t gone;	  /* keys that its deletions remove */
	bool wrote;
	struct KvOwn *own; /* what it has looked up; the arena's */
} KvTxn;

extern void kv_begin(KvTxn *txn, const KvStore *store, const Leases *leases,
					 PdChanges *changes);

/* The revision that a reader is told: with its own changes, if any. */
extern int64_t kv_revision(const KvTxn *txn);

/* A key of its own revision is written elsewhere, when it is taken over. */
extern void kv_will_write(KvTxn *txn);

/* Refuse another step of one that has gone through too many keys. */
extern KvError kv_check_work(const KvTxn *txn);

/* What took as long as to go through so many keys. */
extern void kv_add_work(const KvTxn *txn, size_t n);

/* Refuse reads of a revision that is not the newest. */
extern KvError kv_check_revision(const KvTxn *txn, int64_t revision);

extern const KvItem *kv_get(const KvTxn *txn, Bytes key);

/* The items of a range in order of their keys; the array is the arena's. */
extern size_t kv_scan(const KvTxn *txn, KvRange range, const KvItem ***out);

typedef struct KvPut
{
	Bytes key;
	Bytes value;
	int64_t lease;
	bool ignore_value; /* keep the old value */
	bool ignore_lease; /* keep the old lease */
} KvPut;

/* *prev is what the key held, NULL if it was not there. */
extern KvError kv_put(KvTxn *txn, const KvPut *put, const KvItem **prev);

/*
 * Remove the keys of a range: *n of them, which are in *prevs.  Refused if the
 * transaction would remove more than KV_MAX_REMOVED.
 */
extern KvError kv_delete(KvTxn *txn, KvRange range, const KvItem ***prevs,
						 size_t *n);

/*
 * Remove a lease with all its keys.  Not *whole: it has more than
 * KV_LEASE_SLICE, of which so many are removed; it is dead, and goes with the
 * last of them (kv_revoke_some).
 */
extern KvError kv_revoke(KvTxn *txn, int64_t lease, bool *whole);

/*
 * The same for the first of some leases, which are in order of their ids: as
 * many as have max_keys together, but one at least.  Returns how many are
 * whole: 0 if the first one is not.
 */
extern size_t kv_revoke_some(KvTxn *txn, const int64_t *ids, size_t n,
							 size_t max_keys);

/* Forget what is older than a revision. */
extern KvError kv_compact(KvTxn *txn, int64_t revision);

/* At the end, once: the revision is part of the changes. */
extern void kv_end(KvTxn *txn);

#endif /* TIKV_PD_CORE_KV_TXN_H */
