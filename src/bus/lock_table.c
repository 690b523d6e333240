/*
 * lock_table.c
 *	  The lock table in shared memory, as everybody reads it.
 *
 * One LWLock guards it, exclusive for the store's changes, shared for looks.
 * A look at a key whose bucket is empty, or at a range while the table is,
 * takes no lock at all; that is nearly every look.
 *
 * Why no reader misses what it must see (txn-semantics 24).  A reader R at
 * timestamp T
 *
 *	R1 raises max_ts to T, then a full barrier;
 *	R2 reads the bucket's head (or n_nodes), and if it is not 0, looks with
 *	   the lock held;
 *	R3 reads n_spilled;
 *	R4 takes its snapshot.
 *
 * A transaction W that chooses its own commit_ts publishes a guard, all with
 * the lock held:
 *
 *	W1 links the guard: head and n_nodes are not 0 from now on;
 *	W2 full barrier;
 *	W3 reads max_ts, and sets min_commit_ts above it.
 *
 * Later its turn commits, its lock is put into the table (async commit), and
 * only then the guard is taken out (W4).  Take any R and W.
 *
 * a) R2 read 0.  If that was after W4, then W's turn is visible, and so is
 *	  it to the snapshot of R4; or its lock is still in the table, and head is
 *	  not 0; or that lock, too, ended, which see below.  Otherwise W1's store
 *	  was not yet visible to R2.  R1 and R2 on one side, W1 and W3 on the other
 *	  each write one word and read the other's with a full barrier between:
 *	  one of them must see the other (Dekker).  R did not, so W3 sees a
 *	  max_ts >= T and W commits above T.  That holds, too, if R1 found max_ts
 *	  high enough and wrote nothing: whoever wrote it was visible to R before
 *	  R2, hence to W3, which comes after W1, which comes after R2.
 * b) R2 took the lock before W did.  R's release and W's acquisition order R1
 *	  before W3: above T.
 * c) R2 took the lock after W did and before W4: R sees the guard, whose
 *	  min_commit_ts says whether it matters to T.
 *
 * An ordinary lock (2PC) appears after its turn's commit and before the
 * reply; its transaction fetches commit_ts after that reply.  So if R2 came
 * before it appeared, T, which R had by then, is below commit_ts.  Any lock
 * disappears after the commit that ends it is visible to new snapshots, so if
 * R2 came after, R4 sees how it ended.  A lock that is rewritten is there all
 * the while: its new node is linked before the old one is taken out.
 *
 * A spilled lock stays in lock_spill until it ends, and R reads that table
 * under the snapshot of R4, if R3 found any.  n_spilled is raised before the
 * commit that adds a row and lowered after the one that removes it; a lock
 * that grows out of the table leaves it after its row in lock_spill was
 * committed and counted, and R3 comes after R2: it is met here or there.
 */
#include "postgres.h"

#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "bus/board.h"
#include "bus/lock_shared.h"
#include "core/base/check.h"
#include "guc.h"

/* Nodes that are looked at before the store is let in. */
#define SCAN_HELD 512

/* Memory per bucket: about one lock. */
#define BYTES_PER_BUCKET 256

void
lock_table_raise_max_ts(uint64 ts)
{
	board_raise_max_ts(ts);
}

uint64
lock_table_n_spilled(void)
{
	LockShared *shared = lock_shared();
	uint64 n = shared == NULL ? 0 : pg_atomic_read_u64(&shared->n_spilled);

	pg_memory_barrier();
	return n;
}

/* -------------------------------------------------------------- one look */

/* Whether the table may be believed; for a look that holds no lock: *epoch. */
static bool
look_begin(LockShared *shared, uint64 *epoch)
{
	*epoch = pg_atomic_read_u64(&shared->epoch);
	pg_read_barrier();
	return (*epoch & 1) == 0;
}

/* Whether what was seen since look_begin, without a lock, can be believed. */
static bool
look_holds(LockShared *shared, uint64 epoch)
{
	pg_read_barrier();
	return pg_atomic_read_u64(&shared->epoch) == epoch;
}

static bool
hold(LockShared *shared)
{
	LWLockAcquire(&shared->lock, LW_SHARED);
	if ((pg_atomic_read_u64(&shared->epoch) & 1) == 0 &&
		pg_atomic_read_u32(&shared->changing) == 0)
		return true;
	LWLockRelease(&shared->lock);
	return false;
}

/* A record that was copied out, or is held. */
static bool
decode(const LockNode *node, Bytes record, Arena *arena, Lock *lock)
{
	if (lock_decode(record, arena, lock) != STATUS_OK)
		return false;
	lock->use_one_pc = node->use_one_pc;
	return true;
}

static int
by_min_commit_ts(const void *a, const void *b)
{
	uint64 x = ((const Lock *) a)->min_commit_ts;
	uint64 y = ((const Lock *) b)->min_commit_ts;

	return (x > y) - (x < y);
}

/* A guard found by a look; they are few. */
static bool
add_guard(const LockNode *node, Arena *arena, LockLook *out, Size *room)
{
	if (out->n_guards == *room)
	{
		Lock *more = arena_alloc(arena, (*room * 2 + 2) * sizeof(Lock));

		if (out->n_guards > 0)
			memcpy(more, out->guards, out->n_guards * sizeof(Lock));
		out->guards = more;
		*room = *room * 2 + 2;
	}
	return decode(node, arena_copy(arena, lock_node_record(node)), arena,
				  &out->guards[out->n_guards++]);
}

/* The nodes of a key, with the lock held. */
static bool
look_held(LockShared *shared, uint64 hash, Bytes key, Arena *arena,
		  LockLook *out)
{
	LockRef ref = pg_atomic_read_u32(lock_bucket(shared, hash));
	Size room = 0;

	while ((ref = lock_bucket_find(shared, ref, hash, key)) != 0)
	{
		const LockNode *node = lock_node(shared, ref);

		if (node->kind == LOCK_KIND_GUARD)
		{
			if (!add_guard(node, arena, out, &room))
				return false;
		}
		else
		{
			out->has_lock = true;
			out->kind = (LockKind) node->kind;
			if (!decode(node, arena_copy(arena, lock_node_record(node)), arena,
						&out->lock))
				return false;
		}
		ref = node->bucket_next;
	}
	return true;
}

bool
lock_table_look(Bytes key, Arena *arena, LockLook *out)
{
	LockShared *shared = lock_shared();
	uint64 epoch;
	uint64 hash;
	bool whole;

	memset(out, 0, sizeof(*out));
	if (shared == NULL || !look_begin(shared, &epoch))
		return false;
	if (key.len > LOCK_TABLE_KEY_MAX)
		return true;
	hash = lock_hash(shared, key);
	if (pg_atomic_read_u32(lock_bucket(shared, hash)) == 0)
		return look_holds(shared, epoch);
	if (!hold(shared))
		return false;
	whole = look_held(shared, hash, key, arena, out);
	LWLockRelease(&shared->lock);
	if (out->n_guards > 1)
		qsort(out->guards, out->n_guards, sizeof(Lock), by_min_commit_ts);
	return whole;
}

/* ----------------------------------------------------------------- ranges */

typedef struct RangeLook
{
	LockShared *shared;
	const LockScan *scan;
	Arena *arena; /* of the result */
	Arena *scratch;
	LockScanResult *out;
	Size room;
	Size bytes;
	KeyRange left; /* what was not looked at; its keys live in the arena */
} RangeLook;

static void
accept(RangeLook *look, const LockNode *node, int verdict)
{
	LockScanResult *out = look->out;
	LockMet *met;

	if (out->n == look->room)
	{
		LockMet *more =
			arena_alloc(look->arena, (look->room * 2 + 8) * sizeof(LockMet));

		if (out->n > 0)
			memcpy(more, out->met, out->n * sizeof(LockMet));
		out->met = more;
		look->room = look->room * 2 + 8;
	}
	met = &out->met[out->n++];
	met->key = arena_copy(look->arena, lock_node_key(node));
	met->kind = (LockKind) node->kind;
	met->verdict = verdict;
	/* It was decoded once; only what ran out of memory would fail now. */
	CHECK(decode(node, arena_copy(look->arena, lock_node_record(node)),
				 look->arena, &met->lock));
	look->bytes += node->key_len + node->record_len;
}

/* Judge a node; false if it does not decode. */
static bool
judge(RangeLook *look, const LockNode *node)
{
	Lock lock;
	int verdict = 1;

	arena_reset(look->scratch);
	if (!decode(node, lock_node_record(node), look->scratch, &lock))
		return false;
	if (look->scan->filter != NULL)
		verdict = look->scan->filter(look->scan->arg, lock_node_key(node),
									 &lock, (LockKind) node->kind);
	if (verdict != 0)
		accept(look, node, verdict);
	return true;
}

static bool
limit_reached(const RangeLook *look)
{
	const LockScan *scan = look->scan;

	return (scan->max_locks != 0 && look->out->n >= scan->max_locks) ||
		(scan->max_bytes != 0 && look->bytes >= scan->max_bytes);
}

/* Everything of the range up to this node was looked at. */
static void
stop_before(RangeLook *look, Bytes next, Bytes last)
{
	if (look->scan->reverse)
		look->left.upper = arena_copy(look->arena, last);
	else
		look->left.lower = arena_copy(look->arena, next);
}

static LockRef
first_of(const RangeLook *look)
{
	if (!look->scan->reverse)
		return lock_order_first(look->shared, look->left.lower);
	if (look->left.upper.len == 0)
		return look->shared->last;
	return lock_order_before(look->shared, look->left.upper);
}

static bool
in_range(const RangeLook *look, Bytes key)
{
	return look->scan->reverse ? bytes_cmp(key, look->left.lower) >= 0 :
								 lock_below(key, look->left.upper);
}

/*
 * Look at some nodes of what is left, with the lock held; *more if there are
 * others.  Stops between keys only.
 */
static bool
look_at_some(RangeLook *look, bool *more)
{
	LockRef ref = first_of(look);
	const LockNode *node = lock_node(look->shared, ref);
	uint64 steps = pg_atomic_read_u64(&look->shared->n_nodes);
	const LockNode *last = NULL;
	int seen = 0;

	*more = false;
	while (node != NULL && steps-- > 0 && in_range(look, lock_node_key(node)))
	{
		bool new_key =
			last != NULL && !bytes_eq(lock_node_key(node), lock_node_key(last));

		if (new_key && (seen >= SCAN_HELD || limit_reached(look)))
		{
			stop_before(look, lock_node_key(node), lock_node_key(last));
			*more = true;
			return true;
		}
		if (!judge(look, node))
			return false;
		seen++;
		last = node;
		ref = look->scan->reverse ? node->prev : node->next[0];
		node = lock_node(look->shared, ref);
	}
	return true;
}

static bool
look_at_range(RangeLook *look)
{
	bool more = true;

	while (more)
	{
		bool whole;

		if (!hold(look->shared))
			return false;
		whole = look_at_some(look, &more);
		LWLockRelease(&look->shared->lock);
		if (!whole)
			return false;
		if (more && limit_reached(look))
		{
			look->out->truncated = true;
			look->out->covered_until =
				look->scan->reverse ? look->left.upper : look->left.lower;
			return true;
		}
	}
	return true;
}

bool
lock_table_scan(const LockScan *scan, Arena *arena, LockScanResult *out)
{
	LockShared *shared = lock_shared();
	Arena scratch;
	RangeLook look = {shared, scan, arena, &scratch, out, .left = scan->range};
	uint64 epoch;
	bool whole;

	memset(out, 0, sizeof(*out));
	if (shared == NULL || !look_begin(shared, &epoch))
		return false;
	if (pg_atomic_read_u64(&shared->n_nodes) == 0)
		return look_holds(shared, epoch);
	arena_init(&scratch);
	whole = look_at_range(&look) && look_holds(shared, epoch);
	arena_free(&scratch);
	return whole;
}

void
lock_table_stats(LockTableStats *out)
{
	LockShared *shared = lock_shared();

	memset(out, 0, sizeof(*out));
	if (shared == NULL)
		return;
	out->locks = pg_atomic_read_u64(&shared->n_locks);
	out->memory_locks = pg_atomic_read_u64(&shared->n_memory_locks);
	out->guards = pg_atomic_read_u64(&shared->n_guards);
	out->spilled = pg_atomic_read_u64(&shared->n_spilled);
	out->bytes_used = pg_atomic_read_u64(&shared->bytes_used);
	out->bytes_total = (uint64) shared->n_pages * LOCK_PAGE_SIZE;
}

/* ------------------------------------------------------------- the memory */

static uint32
count_buckets(int memory_kb)
{
	Size wanted = (Size) memory_kb * 1024;
	uint32 n = 1;

	while ((Size) n * 2 * BYTES_PER_BUCKET <= wanted)
		n *= 2;
	return n;
}

static Size
pages_offset(int memory_kb)
{
	Size buckets = mul_size(count_buckets(memory_kb), sizeof(pg_atomic_uint32));

	return TYPEALIGN(PG_CACHE_LINE_SIZE,
					 add_size(offsetof(LockShared, buckets), buckets));
}

static uint32
count_pages(int memory_kb)
{
	return (uint32) ((Size) memory_kb * 1024 / LOCK_PAGE_SIZE);
}

Size
lock_shared_size(int memory_kb)
{
	return add_size(pages_offset(memory_kb),
					mul_size(count_pages(memory_kb), LOCK_PAGE_SIZE));
}

/*
 * Zeros are empty buckets: neither they nor the pages are touched before they
 * are needed.
 */
void
lock_shared_init(LockShared *shared, int memory_kb)
{
	int tranche = LWLockNewTrancheId();

	LWLockRegisterTranche(tranche, "TikvLocks");
	LWLockInitialize(&shared->lock, tranche);
	pg_atomic_init_u64(&shared->epoch, 1);
	pg_atomic_init_u32(&shared->changing, 0);
	pg_atomic_init_u64(&shared->n_nodes, 0);
	pg_atomic_init_u64(&shared->n_spilled, 0);
	pg_atomic_init_u64(&shared->n_locks, 0);
	pg_atomic_init_u64(&shared->n_memory_locks, 0);
	pg_atomic_init_u64(&shared->n_guards, 0);
	pg_atomic_init_u64(&shared->bytes_used, 0);
	shared->next_seq = 1;
	shared->random = 1;
	shared->n_pages = count_pages(memory_kb);
	shared->n_buckets = count_buckets(memory_kb);
	shared->pages_at = pages_offset(memory_kb);
	shared->seed = (uint64) GetCurrentTimestamp();
}

Size
lock_table_shmem_size(void)
{
	return lock_shared_size(tikv_fdw_settings.lock_memory_kb);
}

/* New shared memory is zero. */
void
lock_table_shmem_init(TikvShmem *shmem, bool found)
{
	bool attached;

	shmem->locks =
		ShmemInitStruct("tikv_fdw locks", lock_table_shmem_size(), &attached);
	if (!found && !attached)
		lock_shared_init(shmem->locks, tikv_fdw_settings.lock_memory_kb);
}
