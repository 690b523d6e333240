/*
 * test_txn_memory_locks.c
 *	  Pessimistic locks beyond the limits of memory become durable, all of a
 *	  request's, and those within stay in memory.
 */
#include "core/txn/memory_locks.h"
#include "unit.h"

#define REGION 7

typedef struct Fixture
{
	Arena arena;
	TxnEffects effects;
	MemoryLocks region;
	MemoryLocks instance;
	MemoryLockLimits limits;
} Fixture;

static void
begin(Fixture *f, uint64_t region_limit, uint64_t instance_limit)
{
	memset(f, 0, sizeof(*f));
	arena_init(&f->arena);
	f->limits.region = region_limit;
	f->limits.instance = instance_limit;
}

/* A command that locks n keys, and writes one lock of another kind. */
static bool
request(Fixture *f, int n, uint64_t turn, MemoryLocks *region)
{
	Lock lock = {.type = LOCK_TYPE_PESSIMISTIC,
				 .primary = bytes_cstr("primary"),
				 .start_ts = 1};

	effects_init(&f->effects, &f->arena);
	for (int i = 0; i < n; i++)
		effects_put_memory_lock(&f->effects, bytes_cstr("a key"), &lock);
	effects_put_lock(&f->effects, bytes_cstr("another"), &lock);
	return memory_locks_admit(&f->effects, REGION, turn, region, &f->instance,
							  &f->limits);
}

static size_t
n_in_memory(const Fixture *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->effects.n_modifies; i++)
		n += f->effects.modifies[i].memory_only;
	return n;
}

static uint64_t
bytes_of_one(Fixture *f)
{
	(void) request(f, 1, UINT64_MAX, &f->region);
	f->region.pending = f->instance.pending = 0;
	return memory_lock_bytes(f->effects.modifies[0].key.len,
							 f->effects.modifies[0].bytes.len);
}

static void
test_limit_of_a_region(void)
{
	Fixture f;
	uint64_t one;

	begin(&f, UINT64_MAX, UINT64_MAX);
	one = bytes_of_one(&f);
	f.limits.region = 3 * one;

	OK(request(&f, 2, 1, &f.region),
	   "txn-semantics 6 memory locks: two locks fit");
	EQ_U64(n_in_memory(&f), 2, "and stay in memory");
	EQ_U64(f.effects.modifies[0].region_id, REGION, "as the region's");
	EQ_U64(f.effects.modifies[2].region_id, 0, "the durable one is nobody's");
	OK(!request(&f, 2, 1, &f.region), "two more in the same turn do not");
	EQ_U64(n_in_memory(&f), 0, "none of them stays, though one would fit");
	EQ_U64(f.effects.n_modifies, 3, "all of them are taken all the same");
	OK(request(&f, 1, 1, &f.region), "that one fits: the refused count not");

	/* The turn is durable: its locks are in the table. */
	memory_locks_change(&f.region, (int64_t) (3 * one));
	OK(!request(&f, 1, 2, &f.region), "the next turn finds it full");
	memory_locks_change(&f.region, -(int64_t) one);
	OK(request(&f, 1, 3, &f.region), "until a lock ends");

	/* A turn that came to nothing takes nothing. */
	OK(request(&f, 1, 4, &f.region), "what was pending went with its turn");
	arena_free(&f.arena);
}

static void
test_limit_of_the_instance(void)
{
	Fixture f;
	MemoryLocks other = {0};
	uint64_t one;

	begin(&f, UINT64_MAX, UINT64_MAX);
	one = bytes_of_one(&f);
	f.limits.instance = 3 * one;

	OK(request(&f, 2, 1, &f.region), "two locks of a region");
	OK(!request(&f, 2, 1, &other), "two of another are too many");
	EQ_U64(other.pending, 0, "and count nowhere");
	OK(request(&f, 1, 1, &other), "one is not");
	EQ_U64(f.instance.pending, 3 * one, "together");
	arena_free(&f.arena);
}

static void
test_bounds(void)
{
	Fixture f;

	begin(&f, 0, 0);
	OK(request(&f, 0, 1, &f.region), "without locks nothing is too much");
	OK(!request(&f, 1, 1, &f.region), "a limit of 0 keeps none in memory");
	memory_locks_change(&f.region, 10);
	memory_locks_change(&f.region, -20);
	EQ_U64(f.region.bytes, 0, "never below zero");
	arena_free(&f.arena);
}

int
main(void)
{
	test_limit_of_a_region();
	test_limit_of_the_instance();
	test_bounds();
	return unit_done();
}
