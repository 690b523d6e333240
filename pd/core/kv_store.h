/*
 * kv_store.h
 *	  Keys with revisions, as etcd's clients know them.
 *
 * The store holds the newest value of each key.  Every transaction that
 * changes keys makes one revision.  The newest changes are remembered, within
 * bounds, so that who watches can begin a little in the past; older values
 * are not kept, so a read at an older revision is "compacted".  The history
 * is not saved: it begins anew with each start.
 *
 * How requests read and change the store is kv_txn.h.
 */
#ifndef TIKV_PD_CORE_KV_STORE_H
#define TIKV_PD_CORE_KV_STORE_H

#include "pd/core/record.h"

/* Bounds of what is kept. */
#define KV_MAX_BYTES ((size_t) 64 << 20)
#define KV_MAX_KEYS ((size_t) 1 << 20) /* each takes more than its bytes */
#define KV_MAX_EVENTS 16384
#define KV_MAX_EVENT_BYTES ((size_t) 16 << 20)

/*
 * Where stores keep their notes (src/store/claim.c, api_agreed.c), and room
 * beyond the bounds for these, some 100 bytes for each store: clients that have
 * filled theirs keep no store from its start.
 */
#define KV_OWN_PREFIX "/tikv_fdw/"
#define KV_OWN_BYTES ((size_t) 1 << 20)
#define KV_OWN_KEYS ((size_t) 1 << 14)

/* The etcd key under which GC workers keep the txn safe point. */
#define KV_SAFE_POINT_KEY "/tidb/store/gcworker/saved_safe_point"

/* Keys are stored escaped in an indexed column. */
#define KV_MAX_KEY_BYTES 800

/* Of revisions that are stored: they grow by one. */
#define KV_LAST_REVISION (INT64_MAX / 2)

/* etcd's own default limits (etcd server/embed/config.go). */
#define KV_MAX_REQUEST_BYTES ((size_t) 3 << 19)
#define KV_MAX_TXN_OPS 128

/*
 * What the puts of one transaction write, kept values among it: it is one entry
 * of the log, held several times over.  etcd bounds the request alone.
 */
#define KV_MAX_TXN_BYTES ((size_t) 24 << 20)

/*
 * Of a transaction with all that are in it: compares and steps, and keys that
 * these go through, or compare to sort them, before the last of them.  etcd
 * bounds neither.
 */
#define KV_MAX_TXN_STEPS 8192
#define KV_MAX_TXN_WORK ((size_t) 4 << 20)

/*
 * Keys that one transaction removes, and those of a lease that go at once:
 * each is a record of the proposal and a row of the table, and all others wait
 * meanwhile.  etcd bounds neither.
 */
#define KV_MAX_REMOVED 16384
#define KV_LEASE_SLICE 4096

/* One change that is remembered; removed keys have version 0. */
typedef struct KvEvent
{
	KvItem *item;
	KvItem *prev; /* NULL: there was none */
} KvEvent;

typedef struct KvStore
{
	KvItem **items; /* by key, with a gap: kv_store_item; owned */
	size_t n;
	size_t size;	  /* places, those in the gap too */
	size_t gap;		  /* so many items are before it */
	size_t bytes;	  /* of keys and values */
	int64_t revision; /* of the newest change; 1 before the first */
	int64_t compacted;

	KvEvent *events; /* a ring, oldest at first_event */
	size_t first_event;
	size_t n_events;
	size_t event_bytes;
	int64_t history; /* all changes from this revision on are remembered */
} KvStore;

/* A key (end empty), [key, end), or all from key on (end one zero byte). */
typedef struct KvRange
{
	Bytes key;
	Bytes end;
} KvRange;

extern void kv_store_init(KvStore *store);
extern void kv_store_free(KvStore *store);

/* True for the records of this store, which it then has taken over. */
extern bool kv_store_apply(KvStore *store, const PdRecord *record);

/* All that was saved is applied: changes are remembered from here on. */
extern void kv_store_loaded(KvStore *store);

/* The i-th item by key, and where it is until the next change. */
static inline KvItem **
kv_store_place(const KvStore *store, size_t i)
{
	return &store->items[i < store->gap ? i : i + (store->size - store->n)];
}

static inline KvItem *
kv_store_item(const KvStore *store, size_t i)
{
	return *kv_store_place(store, i);
}

/* Of the cluster itself: a store's note, or the safe point. */
extern bool kv_is_own(Bytes key);

extern const KvItem *kv_store_get(const KvStore *store, Bytes key);

/* The position of the first item whose key is not less. */
extern size_t kv_store_seek(const KvStore *store, Bytes key);

extern bool kv_range_has(KvRange range, Bytes key);

/* All keys with a prefix; the end is the arena's. */
extern KvRange kv_prefix(Bytes prefix, Arena *arena);

/* The i-th remembered change, the oldest first. */
extern const KvEvent *kv_store_event(const KvStore *store, size_t i);

/* Reads and watches from a revision below this are refused. */
extern int64_t kv_store_first_revision(const KvStore *store);

#endif /* TIKV_PD_CORE_KV_STORE_H */
