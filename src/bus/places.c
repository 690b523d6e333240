/*
 * places.c
 *	  The place cache: buckets of (tag, TID) words.
 *
 * A word is 16 bits of the hash, the block and the offset.  No TID has offset
 * 0, so an empty word is 0 and needs no flag.  A bucket's words are ordered by
 * age; keys that share a bucket drive the oldest out, and those that share
 * the tag as well cost a wasted fetch, since every user verifies the row.
 * Nothing here is ever an answer, so the words of a bucket need not agree and
 * no lock is taken.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "port/atomics.h"
#include "storage/shmem.h"

#include "bus/places.h"

/* 8 MiB of address space; pages are touched as keys are used. */
#define PLACE_BUCKETS ((uint64) 1 << 18)
#define PLACE_WORDS (PLACE_BUCKETS * PLACE_WAYS)

struct PlaceShared
{
	/* Nothing was set since the last clearing: a clear has nothing to do. */
	pg_atomic_uint32 used;
	/* No bucket lies on two cache lines. */
	char pad[PG_CACHE_LINE_SIZE - sizeof(pg_atomic_uint32)];
	pg_atomic_uint64 words[FLEXIBLE_ARRAY_MEMBER];
};

static PlaceShared *
places(void)
{
	TikvShmem *shmem = tikv_shmem();

	return shmem == NULL ? NULL : shmem->places;
}

static inline pg_atomic_uint64 *
place_bucket(PlaceShared *shared, uint64 hash)
{
	return &shared->words[(hash & (PLACE_BUCKETS - 1)) * PLACE_WAYS];
}

static inline uint64
place_pack(uint64 hash, const ItemPointerData *tid)
{
	return (hash >> 48) << 48 |
		(uint64) ItemPointerGetBlockNumberNoCheck(tid) << 16 |
		ItemPointerGetOffsetNumberNoCheck(tid);
}

static inline void
unpack_place(uint64 word, ItemPointerData *tid)
{
	ItemPointerSet(tid, (BlockNumber) (word >> 16), (OffsetNumber) word);
}

static inline bool
place_is_of(uint64 word, uint64 hash)
{
	return word != 0 && word >> 48 == hash >> 48;
}

uint64
place_hash(uint8 cf, Bytes key)
{
	return hash_bytes_extended(key.data, (int) key.len, cf);
}

int
place_find(uint64 hash, ItemPointerData found[PLACE_WAYS])
{
	PlaceShared *shared = places();
	pg_atomic_uint64 *bucket;
	int n = 0;

	if (shared == NULL)
		return 0;
	bucket = place_bucket(shared, hash);
	for (int i = 0; i < PLACE_WAYS; i++)
	{
		uint64 word = pg_atomic_read_u64(&bucket[i]);

		if (!place_is_of(word, hash))
			continue;
		unpack_place(word, &found[n++]);
	}
	return n;
}

void
place_hash_many(uint8 cf, const Bytes *keys, int n, uint64 *hashes)
{
	PlaceShared *shared = places();

	for (int i = 0; i < n; i++)
	{
		hashes[i] = place_hash(cf, keys[i]);
		if (shared != NULL)
			__builtin_prefetch(place_bucket(shared, hashes[i]));
	}
}

void
place_prefetch(uint64 hash)
{
	PlaceShared *shared = places();

	if (shared != NULL)
		__builtin_prefetch(place_bucket(shared, hash), 1);
}

void
place_find_many(const uint64 *hashes, int n, ItemPointerData *newest)
{
	PlaceShared *shared = places();

	for (int i = 0; i < n; i++)
	{
		pg_atomic_uint64 *bucket;

		ItemPointerSetInvalid(&newest[i]);
		if (shared == NULL)
			continue;
		bucket = place_bucket(shared, hashes[i]);
		for (int way = 0; way < PLACE_WAYS; way++)
		{
			uint64 word = pg_atomic_read_u64(&bucket[way]);

			if (!place_is_of(word, hashes[i]))
				continue;
			unpack_place(word, &newest[i]);
			break;
		}
	}
}

/*
 * Of this key two places are kept, so that a hot key does not drive out the
 * others of its bucket.
 */
void
place_set(uint64 hash, const ItemPointerData *tid)
{
	PlaceShared *shared = places();
	pg_atomic_uint64 *bucket;
	uint64 keep[PLACE_WAYS] = {0};
	bool previous = false;
	int n = 0;

	if (shared == NULL)
		return;
	/* Mostly read: the flag's cache line stays shared between processes. */
	if (pg_atomic_read_u32(&shared->used) == 0)
		pg_atomic_write_u32(&shared->used, 1);
	bucket = place_bucket(shared, hash);
	keep[n++] = place_pack(hash, tid);
	for (int i = 0; i < PLACE_WAYS && n < PLACE_WAYS; i++)
	{
		uint64 word = pg_atomic_read_u64(&bucket[i]);
		bool same_key = place_is_of(word, hash);

		if (word == 0 || word == keep[0] || (same_key && previous))
			continue;
		previous = previous || same_key;
		keep[n++] = word;
	}
	for (int i = 0; i < PLACE_WAYS; i++)
	{
		if (pg_atomic_read_u64(&bucket[i]) != keep[i])
			pg_atomic_write_u64(&bucket[i], keep[i]);
	}
}

/* Forget this key only: a word that another key took over stays. */
void
place_forget(uint64 hash)
{
	PlaceShared *shared = places();
	pg_atomic_uint64 *bucket;

	if (shared == NULL)
		return;
	bucket = place_bucket(shared, hash);
	for (int i = 0; i < PLACE_WAYS; i++)
	{
		uint64 seen = pg_atomic_read_u64(&bucket[i]);

		if (place_is_of(seen, hash))
			(void) pg_atomic_compare_exchange_u64(&bucket[i], &seen, 0);
	}
}

/*
 * Forget everything; for when the table's file was replaced.  Words set
 * meanwhile may survive, which is as harmless as any wrong word.
 */
void
place_clear(void)
{
	PlaceShared *shared = places();

	if (shared == NULL || pg_atomic_exchange_u32(&shared->used, 0) == 0)
		return;
	for (uint64 i = 0; i < PLACE_WORDS; i++)
	{
		if (pg_atomic_read_u64(&shared->words[i]) != 0)
			pg_atomic_write_u64(&shared->words[i], 0);
	}
}

Size
places_shmem_size(void)
{
	return add_size(offsetof(PlaceShared, words),
					mul_size(PLACE_WORDS, sizeof(pg_atomic_uint64)));
}

/*
 * New shared memory is zero, which is an initialised atomic wherever 64-bit
 * atomics are native; touching every page to say so again would make each
 * idle server 8 MiB larger.
 */
void
places_shmem_init(TikvShmem *shmem, bool found)
{
	bool attached;

	shmem->places =
		ShmemInitStruct("tikv_fdw places", places_shmem_size(), &attached);
	if (found || attached)
		return;
	pg_atomic_init_u32(&shmem->places->used, 0);
#ifdef PG_HAVE_ATOMIC_U64_SIMULATION
	for (uint64 i = 0; i < PLACE_WORDS; i++)
		pg_atomic_init_u64(&shmem->places->words[i], 0);
#endif
}
