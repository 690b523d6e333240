/*
 * lock_shared.h
 *	  The lock table as it lies in shared memory; for the lock_*.c files.
 *
 * Nodes (a lock or a guard each) live in cells of pages (lock_memory.c), and
 * are linked twice: into a bucket by the hash of their key, and into a skip
 * list by the key itself (lock_order.c).  References are offsets, in units of
 * 16 bytes from the start of the pages; 0 is none.
 */
#ifndef TIKV_BUS_LOCK_SHARED_H
#define TIKV_BUS_LOCK_SHARED_H

#include "bus/lock_table.h"
#include "core/base/hash.h"

#define LOCK_UNIT 16
#define LOCK_PAGE_SIZE 32768
#define LOCK_PAGE_HEADER 64
#define LOCK_CLASSES 21
#define LOCK_LEVELS 12

typedef uint32 LockRef;

typedef struct LockNode
{
	LockRef bucket_next;
	LockRef prev; /* in the order of keys */
	uint64 hash;
	uint64 start_ts;	  /* guards */
	uint64 min_commit_ts; /* guards */
	uint64 seq;	 /* orders nodes of one key and kind: no two are equal */
	uint64 slot; /* durable locks; memory: the region's id */
	uint16 key_len;
	uint16 record_len;
	uint8 kind; /* LockKind */
	uint8 levels;
	bool use_one_pc;					 /* guards: not part of the record */
	LockRef next[FLEXIBLE_ARRAY_MEMBER]; /* then the key, then the record */
} LockNode;

typedef struct LockPage
{
	uint16 class;
	uint16 used;  /* cells */
	uint32 fresh; /* offset of the first cell that was never used */
	LockRef free; /* cells given back, linked by their first word */
	uint32 next;  /* number + 1 in the list of free or partly used pages */
	uint32 prev;
} LockPage;

struct LockShared
{
	LWLock lock;

	/*
	 * Even: readers may believe what they see.  Odd: being rebuilt.  Grows
	 * at each change, so that a look that spans one is noticed.
	 */
	pg_atomic_uint64 epoch;
	/* A change is under way; seen with the lock held, its maker died. */
	pg_atomic_uint32 changing;
	/* The table was used since it was last empty: a reset has work to do. */
	bool dirty;

	/* Written by the store alone. */
	pg_atomic_uint64 n_nodes;
	pg_atomic_uint64 n_spilled;
	pg_atomic_uint64 n_locks;
	pg_atomic_uint64 n_memory_locks;
	pg_atomic_uint64 n_guards;
	pg_atomic_uint64 bytes_used;
	uint64 next_seq;
	uint32 random;

	/* Pages: the first pages_touched were used at some time. */
	uint32 n_pages;
	uint32 pages_touched;
	uint32 free_pages;
	uint32 partial[LOCK_CLASSES]; /* pages with a free cell */

	LockRef first[LOCK_LEVELS];
	LockRef last;

	uint32 n_buckets; /* a power of two */
	Size pages_at;	  /* offset of the pages from this struct */
	uint64 seed;	  /* of the hash, so that nobody can choose collisions */

	/* Heads; 0 while no node is in the bucket. */
	pg_atomic_uint32 buckets[FLEXIBLE_ARRAY_MEMBER];
};

static inline LockShared *
lock_shared(void)
{
	TikvShmem *shmem = tikv_shmem();

	return shmem == NULL ? NULL : shmem->locks;
}

static inline char *
lock_pages(LockShared *shared)
{
	return (char *) shared + shared->pages_at;
}

static inline Bytes
lock_node_key(const LockNode *node)
{
	return bytes_make(&node->next[node->levels], node->key_len);
}

static inline Bytes
lock_node_record(const LockNode *node)
{
	return bytes_make((const uint8 *) &node->next[node->levels] + node->key_len,
					  node->record_len);
}

static inline uint64
lock_hash(const LockShared *shared, Bytes key)
{
	return hash_bytes64(key, shared->seed);
}

static inline pg_atomic_uint32 *
lock_bucket(LockShared *shared, uint64 hash)
{
	return &shared->buckets[hash & (shared->n_buckets - 1)];
}

/*
 * The node behind a reference, NULL for none and for what cannot be one: a
 * store that died in the middle of a change may have left anything.
 */
extern LockNode *lock_node(LockShared *shared, LockRef ref);

/* The table in zeroed memory of this size. */
extern Size lock_shared_size(int memory_kb);
extern void lock_shared_init(LockShared *shared, int memory_kb);

/* ---- memory (lock_memory.c): the store alone ---- */

/* A cell for so many bytes; 0 if there is none. */
extern LockRef lock_memory_alloc(LockShared *shared, Size size);
extern void lock_memory_free(LockShared *shared, LockRef ref);

/* Bytes of the cell. */
extern Size lock_memory_room(LockShared *shared, LockRef ref);

/* All pages are free. */
extern void lock_memory_reset(LockShared *shared);

/* ---- order (lock_order.c) ---- */

/* Link a node into its bucket and into the order; unlink it. */
extern void lock_order_link(LockShared *shared, LockRef ref);
extern void lock_order_unlink(LockShared *shared, LockRef ref);

/* The first node whose key is >= key; the last one whose key is < key. */
extern LockRef lock_order_first(LockShared *shared, Bytes key);
extern LockRef lock_order_before(LockShared *shared, Bytes key);

/* How many levels the next node gets. */
extern uint8 lock_order_levels(LockShared *shared);

/* The next node of this key in its bucket, `ref` included; 0 if none. */
extern LockRef lock_bucket_find(LockShared *shared, LockRef ref, uint64 hash,
								Bytes key);

/* Key before the upper bound of a range? */
static inline bool
lock_below(Bytes key, Bytes upper)
{
	return upper.len == 0 || bytes_cmp(key, upper) < 0;
}

#endif /* TIKV_BUS_LOCK_SHARED_H */
