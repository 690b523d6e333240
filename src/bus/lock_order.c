/*
 * lock_order.c
 *	  The lock table's two ways to a node: buckets by hash, and a skip list in
 *	  the order of keys.
 *
 * Nodes of one key follow each other in the list, its lock first, then its
 * guards as they came.  Walks follow only references that can be nodes and
 * make a bounded number of steps, for what a dead store left may be anything.
 */
#include "postgres.h"

#include "bus/lock_shared.h"

/* A place in the order. */
typedef struct OrderKey
{
	Bytes key;
	bool guard;
	uint64 seq;
} OrderKey;

/* The last node before a place, on every level; 0: the list's beginning. */
typedef struct Path
{
	LockRef before[LOCK_LEVELS];
} Path;

static OrderKey
order_key(const LockNode *node)
{
	OrderKey at = {lock_node_key(node), node->kind == LOCK_KIND_GUARD,
				   node->seq};

	return at;
}

static int
order_cmp(OrderKey a, OrderKey b)
{
	int c = bytes_cmp(a.key, b.key);

	if (c != 0)
		return c;
	if (a.guard != b.guard)
		return a.guard ? 1 : -1;
	return (a.seq > b.seq) - (a.seq < b.seq);
}

static LockRef
next_of(LockShared *shared, LockRef ref, int level)
{
	LockNode *node;

	if (ref == 0)
		return shared->first[level];
	node = lock_node(shared, ref);
	return node == NULL || level >= node->levels ? 0 : node->next[level];
}

static void
set_next(LockShared *shared, LockRef ref, int level, LockRef next)
{
	if (ref == 0)
		shared->first[level] = next;
	else
		lock_node(shared, ref)->next[level] = next;
}

static void
find_path(LockShared *shared, OrderKey at, Path *path)
{
	uint64 steps = pg_atomic_read_u64(&shared->n_nodes) + LOCK_LEVELS;
	LockRef ref = 0;

	for (int level = LOCK_LEVELS - 1; level >= 0; level--)
	{
		LockRef next = next_of(shared, ref, level);
		LockNode *node = lock_node(shared, next);

		while (node != NULL && steps > 0 && order_cmp(order_key(node), at) < 0)
		{
			steps--;
			ref = next;
			next = next_of(shared, ref, level);
			node = lock_node(shared, next);
		}
		path->before[level] = ref;
	}
}

static void
set_prev(LockShared *shared, LockRef ref, LockRef prev)
{
	if (ref == 0)
		shared->last = prev;
	else
		lock_node(shared, ref)->prev = prev;
}

static void
count_nodes(LockShared *shared, int64 delta)
{
	pg_atomic_write_u64(&shared->n_nodes,
						pg_atomic_read_u64(&shared->n_nodes) + delta);
}

void
lock_order_link(LockShared *shared, LockRef ref)
{
	LockNode *node = lock_node(shared, ref);
	pg_atomic_uint32 *bucket = lock_bucket(shared, node->hash);
	Path path;

	find_path(shared, order_key(node), &path);
	for (int level = 0; level < node->levels; level++)
	{
		node->next[level] = next_of(shared, path.before[level], level);
		set_next(shared, path.before[level], level, ref);
	}
	node->prev = path.before[0];
	set_prev(shared, node->next[0], ref);
	node->bucket_next = pg_atomic_read_u32(bucket);
	pg_atomic_write_u32(bucket, ref);
	count_nodes(shared, 1);
}

static void
leave_bucket(LockShared *shared, LockRef ref, LockNode *node)
{
	pg_atomic_uint32 *bucket = lock_bucket(shared, node->hash);
	LockRef at = pg_atomic_read_u32(bucket);

	if (at == ref)
	{
		pg_atomic_write_u32(bucket, node->bucket_next);
		return;
	}
	while (at != 0)
	{
		LockNode *other = lock_node(shared, at);

		if (other->bucket_next == ref)
		{
			other->bucket_next = node->bucket_next;
			return;
		}
		at = other->bucket_next;
	}
}

void
lock_order_unlink(LockShared *shared, LockRef ref)
{
	LockNode *node = lock_node(shared, ref);
	Path path;

	find_path(shared, order_key(node), &path);
	for (int level = 0; level < node->levels; level++)
		set_next(shared, path.before[level], level, node->next[level]);
	set_prev(shared, node->next[0], path.before[0]);
	leave_bucket(shared, ref, node);
	count_nodes(shared, -1);
}

LockRef
lock_order_first(LockShared *shared, Bytes key)
{
	OrderKey at = {key, false, 0};
	Path path;

	find_path(shared, at, &path);
	return next_of(shared, path.before[0], 0);
}

LockRef
lock_order_before(LockShared *shared, Bytes key)
{
	OrderKey at = {key, false, 0};
	Path path;

	find_path(shared, at, &path);
	return path.before[0];
}

/* A quarter of the nodes of a level are on the next one, too. */
uint8
lock_order_levels(LockShared *shared)
{
	uint8 levels = 1;
	uint32 x = shared->random;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	shared->random = x;
	for (; levels < LOCK_LEVELS && (x & 3) == 0; x >>= 2)
		levels++;
	return levels;
}

LockRef
lock_bucket_find(LockShared *shared, LockRef ref, uint64 hash, Bytes key)
{
	uint64 steps = pg_atomic_read_u64(&shared->n_nodes);
	LockNode *node = lock_node(shared, ref);

	while (node != NULL &&
		   (node->hash != hash || !bytes_eq(lock_node_key(node), key)))
	{
		ref = node->bucket_next;
		node = steps-- == 0 ? NULL : lock_node(shared, ref);
	}
	return node == NULL ? 0 : ref;
}
