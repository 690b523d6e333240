/*
 * kv_touched.h
 *	  What a list of steps puts and deletes: a key is put once, and not deleted
 *	  by a step that is done with it.
 *
 * As etcd has it (etcd-io/etcd server/etcdserver/api/v3rpc/key.go,
 * checkIntervals).  Deletions of a list are held against all puts in it, those
 * of transactions inside it too; deletions inside a transaction against what
 * stands behind that in the list.  Of a transaction's two lists one is done, so
 * they are not held against each other.
 */
#ifndef TIKV_PD_CORE_KV_TOUCHED_H
#define TIKV_PD_CORE_KV_TOUCHED_H

#include "pd/core/kv_store.h"

typedef struct KvTouchedPut
{
	Bytes key;
	size_t step; /* of the list, that puts it itself or inside */
} KvTouchedPut;

typedef struct KvTouchedRange
{
	KvRange range;
	KvRange reach; /* which of those up to here in order ends last */
} KvTouchedRange;

/* Of one list; all is the arena's. */
typedef struct KvTouched
{
	Arena *arena;
	KvTouchedPut *puts;
	size_t n_puts;
	size_t room_puts;
	KvTouchedRange *deletes;
	size_t n_deletes;
	size_t room_deletes;
	bool in_order; /* the deletions, by their first keys */
} KvTouched;

extern void kv_touched_init(KvTouched *touched, Arena *arena);

extern void kv_touch_delete(KvTouched *touched, KvRange range);

/* False: the key is deleted as well. */
extern bool kv_touch_put(KvTouched *touched, Bytes key, size_t step);

/*
 * The transaction that is a step, with its two lists.  False: a key that it puts
 * is deleted in this list, or in a transaction before.
 */
extern bool kv_touch_inside(KvTouched *touched, const KvTouched *success,
							const KvTouched *failure, size_t step);

/* Once all steps are in.  False: two of them put the same key. */
extern bool kv_touched_once(KvTouched *touched);

#endif /* TIKV_PD_CORE_KV_TOUCHED_H */
