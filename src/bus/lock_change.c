/*
 * lock_change.c
 *	  The lock table in shared memory, as the store changes it, and the
 *	  concurrency manager over it.
 *
 * There is one store, so nothing here waits for another writer, and what only
 * the store looks at (the allocator, a node that is not linked yet) is used
 * without the lock.  A change throws nothing.  If its maker dies in the middle
 * all the same, `changing` is left set, and readers believe nothing until the
 * next store has begun anew.
 */
#include "postgres.h"

#include "bus/board.h"
#include "bus/lock_shared.h"
#include "core/base/check.h"
#include "core/txn/env.h"
#include "core/txn/memory_locks.h"

static void
change_begin(LockShared *shared)
{
	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	pg_atomic_write_u32(&shared->changing, 1);
	pg_write_barrier();
}

static void
change_end(LockShared *shared)
{
	pg_write_barrier();
	pg_atomic_write_u32(&shared->changing, 0);
	LWLockRelease(&shared->lock);
}

/* ------------------------------------------------------- begin and rebuild */

/* From odd to odd, if a rebuilding was not finished. */
void
lock_table_reset(void)
{
	LockShared *shared = lock_shared();
	uint64 epoch;

	if (shared == NULL)
		return;
	change_begin(shared);
	epoch = pg_atomic_read_u64(&shared->epoch);
	pg_atomic_write_u64(&shared->epoch, epoch + 1 + (epoch & 1));
	pg_memory_barrier();
	for (uint32 i = 0; shared->dirty && i < shared->n_buckets; i++)
		if (pg_atomic_read_u32(&shared->buckets[i]) != 0)
			pg_atomic_write_u32(&shared->buckets[i], 0);
	shared->dirty = false;
	memset(shared->first, 0, sizeof(shared->first));
	shared->last = 0;
	lock_memory_reset(shared);
	pg_atomic_write_u64(&shared->n_nodes, 0);
	pg_atomic_write_u64(&shared->n_spilled, 0);
	pg_atomic_write_u64(&shared->n_locks, 0);
	pg_atomic_write_u64(&shared->n_memory_locks, 0);
	pg_atomic_write_u64(&shared->n_guards, 0);
	change_end(shared);
}

void
lock_table_open(void)
{
	LockShared *shared = lock_shared();
	uint64 epoch;

	if (shared == NULL)
		return;
	epoch = pg_atomic_read_u64(&shared->epoch);
	pg_memory_barrier();
	pg_atomic_write_u64(&shared->epoch, epoch + (epoch & 1));
}

uint64
lock_table_generation(void)
{
	LockShared *shared = lock_shared();

	return shared == NULL ? 0 : (pg_atomic_read_u64(&shared->epoch) + 1) / 2;
}

/* ------------------------------------------------------------------- nodes */

static void
count(pg_atomic_uint64 *counter, int64 delta)
{
	pg_atomic_write_u64(counter, pg_atomic_read_u64(counter) + delta);
}

static void (*memory_note)(void *arg, uint64 region_id, int64 bytes);
static void *memory_note_arg;

void
lock_table_watch_memory(void (*note)(void *arg, uint64 region_id, int64 bytes),
						void *arg)
{
	memory_note = note;
	memory_note_arg = arg;
}

static void
count_node(LockShared *shared, const LockNode *node, int64 delta)
{
	if (node->kind == LOCK_KIND_GUARD)
	{
		count(&shared->n_guards, delta);
		return;
	}
	count(&shared->n_locks, delta);
	if (node->kind != LOCK_KIND_MEMORY)
		return;
	count(&shared->n_memory_locks, delta);
	if (memory_note != NULL)
		memory_note(memory_note_arg, node->slot,
					delta *
						(int64) memory_lock_bytes(node->key_len,
												  node->record_len));
}

/* Bytes of a node before its record. */
static Size
record_offset(uint8 levels, Bytes key)
{
	return offsetof(LockNode, next) + levels * sizeof(LockRef) + key.len;
}

/* A node for a record of this length, not linked; 0 if it does not fit. */
static LockRef
make_node(LockShared *shared, Bytes key, Size length)
{
	uint8 levels = lock_order_levels(shared);
	LockNode *node;
	LockRef ref;

	if (key.len > LOCK_TABLE_KEY_MAX || length > LOCK_TABLE_RECORD_MAX)
		return 0;
	ref = lock_memory_alloc(shared, record_offset(levels, key) + length);
	if (ref == 0)
		return 0;
	node = (LockNode *) (lock_pages(shared) + (Size) ref * LOCK_UNIT);
	memset(node, 0, offsetof(LockNode, next));
	node->hash = lock_hash(shared, key);
	node->levels = levels;
	node->key_len = (uint16) key.len;
	node->record_len = (uint16) length;
	if (key.len > 0)
		memcpy(&node->next[levels], key.data, key.len);
	return ref;
}

static void
set_record(LockNode *node, Bytes record)
{
	node->record_len = (uint16) record.len;
	memcpy((char *) node + record_offset(node->levels, lock_node_key(node)),
		   record.data, record.len);
}

static void
link_node(LockShared *shared, LockRef ref)
{
	lock_order_link(shared, ref);
	count_node(shared, lock_node(shared, ref), 1);
}

static void
unlink_node(LockShared *shared, LockRef ref)
{
	count_node(shared, lock_node(shared, ref), -1);
	lock_order_unlink(shared, ref);
}

/* ------------------------------------------------------------------- locks */

static LockRef
find_lock(LockShared *shared, Bytes key)
{
	uint64 hash = lock_hash(shared, key);
	LockRef ref = pg_atomic_read_u32(lock_bucket(shared, hash));

	while ((ref = lock_bucket_find(shared, ref, hash, key)) != 0)
	{
		LockNode *node = lock_node(shared, ref);

		if (node->kind != LOCK_KIND_GUARD)
			break;
		ref = node->bucket_next;
	}
	return ref;
}

bool
lock_table_find(Bytes key, LockPlace *out)
{
	LockShared *shared = lock_shared();
	LockRef ref = shared == NULL ? 0 : find_lock(shared, key);
	LockNode *node;

	if (ref == 0)
		return false;
	node = lock_node(shared, ref);
	out->kind = (LockKind) node->kind;
	out->slot = node->slot;
	return true;
}

/* Whether a record of this length fits into the node as it is. */
static bool
has_room(LockShared *shared, LockRef ref, Bytes key, Size length)
{
	LockNode *node = lock_node(shared, ref);

	return length <= LOCK_TABLE_RECORD_MAX &&
		record_offset(node->levels, key) + length <=
		lock_memory_room(shared, ref);
}

bool
lock_table_reserve(Bytes key, Bytes record, LockRoom *room)
{
	LockShared *shared = lock_shared();
	LockRef present = shared == NULL ? 0 : find_lock(shared, key);

	room->node = 0;
	room->length = (uint32) Min(record.len, PG_UINT32_MAX);
	if (shared == NULL)
		return false;
	if (present != 0 && has_room(shared, present, key, record.len))
		return true;
	room->node = make_node(shared, key, record.len);
	return room->node != 0;
}

void
lock_table_unreserve(LockRoom *room)
{
	if (room->node != 0)
		lock_memory_free(lock_shared(), room->node);
	room->node = 0;
}

static void
change_lock(LockShared *shared, LockRef ref, Bytes record, LockPlace place)
{
	LockNode *node = lock_node(shared, ref);

	change_begin(shared);
	count_node(shared, node, -1);
	node->kind = (uint8) place.kind;
	node->slot = place.slot;
	set_record(node, record);
	count_node(shared, node, 1);
	change_end(shared);
}

void
lock_table_put(LockRoom *room, Bytes key, Bytes record, LockPlace place)
{
	LockShared *shared = lock_shared();
	LockRef present = find_lock(shared, key);
	LockRef ref = room->node;
	LockNode *node;

	CHECK(record.len == room->length && place.kind != LOCK_KIND_GUARD);
	room->node = 0;
	if (ref == 0)
	{
		CHECK(present != 0);
		change_lock(shared, present, record, place);
		return;
	}
	node = lock_node(shared, ref);
	node->kind = (uint8) place.kind;
	node->slot = place.slot;
	node->seq = shared->next_seq++;
	set_record(node, record);
	/* In this order: a look without the lock must not find nothing. */
	change_begin(shared);
	link_node(shared, ref);
	if (present != 0)
		unlink_node(shared, present);
	change_end(shared);
	if (present != 0)
		lock_memory_free(shared, present);
}

void
lock_table_delete(Bytes key)
{
	LockShared *shared = lock_shared();
	LockRef ref = shared == NULL ? 0 : find_lock(shared, key);

	if (ref == 0)
		return;
	change_begin(shared);
	unlink_node(shared, ref);
	change_end(shared);
	lock_memory_free(shared, ref);
}

void
lock_table_add_spilled(int64 n)
{
	LockShared *shared = lock_shared();

	if (shared == NULL)
		return;
	count(&shared->n_spilled, n);
	pg_memory_barrier();
}

/* ------------------------------------------------------------------ guards */

/* The next guard of the transaction on the key, from `ref` on. */
static LockRef
find_guard_of(LockShared *shared, Bytes key, uint64 start_ts)
{
	uint64 hash = lock_hash(shared, key);
	LockRef ref = pg_atomic_read_u32(lock_bucket(shared, hash));

	while ((ref = lock_bucket_find(shared, ref, hash, key)) != 0)
	{
		LockNode *node = lock_node(shared, ref);

		if (node->kind == LOCK_KIND_GUARD && node->start_ts == start_ts)
			break;
		ref = node->bucket_next;
	}
	return ref;
}

void
lock_table_end_guard(Bytes key, uint64 start_ts)
{
	LockShared *shared = lock_shared();
	LockRef ref;

	if (shared == NULL)
		return;
	while ((ref = find_guard_of(shared, key, start_ts)) != 0)
	{
		change_begin(shared);
		unlink_node(shared, ref);
		change_end(shared);
		lock_memory_free(shared, ref);
	}
}

bool
lock_table_restore_guard(Bytes key, Bytes record, uint64 start_ts,
						 uint64 min_commit_ts, bool use_one_pc)
{
	LockShared *shared = lock_shared();
	LockNode *node;
	LockRef ref;

	ref = shared == NULL ? 0 : make_node(shared, key, record.len);
	if (ref == 0)
		return false;
	node = lock_node(shared, ref);
	node->kind = LOCK_KIND_GUARD;
	node->start_ts = start_ts;
	node->min_commit_ts = min_commit_ts;
	node->use_one_pc = use_one_pc;
	node->seq = shared->next_seq++;
	set_record(node, record);
	change_begin(shared);
	link_node(shared, ref);
	change_end(shared);
	return true;
}

/* --------------------------------------------------- concurrency manager */

typedef struct TableCm
{
	ConcurrencyManager base; /* first: the interface is this struct */
	Arena scratch;
} TableCm;

static void
cm_raise_max_ts(ConcurrencyManager *cm, uint64_t ts)
{
	(void) cm;
	lock_table_raise_max_ts(ts);
}

/* The guard's record is as long with any min_commit_ts but 0. */
static Size
record_length(const Lock *lock, Arena *scratch)
{
	Lock probe = *lock;

	probe.min_commit_ts = PG_UINT64_MAX;
	arena_reset(scratch);
	return lock_encode(&probe, scratch).len;
}

/*
 * W1 to W3 of lock_table.c: link, barrier, read max_ts.  True if the guard
 * stays.
 */
static bool
link_guard(LockShared *shared, LockRef ref, Lock *lock, uint64 max_commit_ts,
		   Arena *scratch)
{
	LockNode *node = lock_node(shared, ref);
	Bytes record;
	uint64 least;

	link_node(shared, ref);
	pg_memory_barrier();
	least = Max(Max(board_max_ts(), lock->start_ts), lock->for_update_ts) + 1;
	lock->min_commit_ts = Max(lock->min_commit_ts, least);
	if (max_commit_ts != 0 && lock->min_commit_ts > max_commit_ts)
	{
		unlink_node(shared, ref);
		return false;
	}
	arena_reset(scratch);
	record = lock_encode(lock, scratch);
	CHECK(record.len == node->record_len);
	set_record(node, record);
	node->min_commit_ts = lock->min_commit_ts;
	return true;
}

static PublishAnswer
cm_publish(ConcurrencyManager *cm, Bytes key, Lock *lock,
		   uint64_t max_commit_ts)
{
	Arena *scratch = &((TableCm *) cm)->scratch;
	LockShared *shared = lock_shared();
	LockNode *node;
	LockRef ref;
	bool stays;

	if (shared == NULL)
		return PUBLISH_FULL;
	ref = make_node(shared, key, record_length(lock, scratch));
	if (ref == 0)
		return PUBLISH_FULL;
	node = lock_node(shared, ref);
	node->kind = LOCK_KIND_GUARD;
	node->start_ts = lock->start_ts;
	node->use_one_pc = lock->use_one_pc;
	node->seq = shared->next_seq++;
	change_begin(shared);
	stays = link_guard(shared, ref, lock, max_commit_ts, scratch);
	change_end(shared);
	if (!stays)
		lock_memory_free(shared, ref);
	return stays ? PUBLISH_OK : PUBLISH_TOO_LARGE;
}

static void
cm_retract(ConcurrencyManager *cm, Bytes key, uint64_t start_ts)
{
	(void) cm;
	lock_table_end_guard(key, start_ts);
}

/* The store looks at its own table: no lock, no copy until it is found. */
static bool
cm_find_guard(ConcurrencyManager *cm, const KeyRange *range, uint64_t max_ts,
			  Arena *arena, Bytes *key, Lock *lock)
{
	LockShared *shared = lock_shared();
	LockNode *node;

	(void) cm;
	if (shared == NULL || pg_atomic_read_u64(&shared->n_guards) == 0)
		return false;
	node = lock_node(shared, lock_order_first(shared, range->lower));
	while (node != NULL && lock_below(lock_node_key(node), range->upper))
	{
		if (node->kind == LOCK_KIND_GUARD && node->start_ts <= max_ts)
		{
			*key = arena_copy(arena, lock_node_key(node));
			CHECK(lock_decode(arena_copy(arena, lock_node_record(node)), arena,
							  lock) == STATUS_OK);
			lock->use_one_pc = node->use_one_pc;
			return true;
		}
		node = lock_node(shared, node->next[0]);
	}
	return false;
}

ConcurrencyManager *
lock_table_cm(void)
{
	static TableCm cm = {
		.base = {cm_raise_max_ts, cm_publish, cm_retract, cm_find_guard},
	};

	return &cm.base;
}
