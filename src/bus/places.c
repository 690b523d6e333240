/*
 * places.c
 *	  The place cache: a direct-mapped table of (tag, TID) words.
 *
 * A word is 16 bits of the hash, the block and the offset.  No TID has offset
 * 0, so an empty word is 0 and needs no flag.  Two keys that share a word
 * drive each other out; two that share the tag as well cost a wasted fetch,
 * since every user verifies the row.  Nothing here is ever an answer.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "port/atomics.h"
#include "storage/shmem.h"

#include "bus/places.h"

/* 8 MiB of address space; pages are touched as keys are used. */
#define PLACE_WORDS ((uint64) 1 << 20)

struct PlaceShared
{
	/* Nothing was set since the last clearing: a clear has nothing to do. */
	pg_atomic_uint32 used;
	pg_atomic_uint64 words[FLEXIBLE_ARRAY_MEMBER];
};

static PlaceShared *
places(void)
{
	TikvShmem  *shmem = tikv_shmem();

	return shmem == NULL ? NULL : shmem->places;
}

static inline pg_atomic_uint64 *
place_word(PlaceShared *shared, uint64 hash)
{
	return &shared->words[hash & (PLACE_WORDS - 1)];
}

static inline uint64
place_tag(uint64 hash)
{
	return hash >> 48;
}

static inline uint64
place_pack(uint64 hash, const ItemPointerData *tid)
{
	return place_tag(hash) << 48 |
		(uint64) ItemPointerGetBlockNumberNoCheck(tid) << 16 |
		ItemPointerGetOffsetNumberNoCheck(tid);
}

/* Any hash will do as long as all processes of one server agree. */
uint64
place_hash(uint8 cf, Bytes key)
{
	return hash_bytes_extended(key.data, (int) key.len, cf);
}

/* False if nothing is remembered, or there is no shared memory. */
bool
place_find(uint64 hash, ItemPointer tid)
{
	PlaceShared *shared = places();
	uint64		word;

	if (shared == NULL)
		return false;
	word = pg_atomic_read_u64(place_word(shared, hash));
	if (word == 0 || word >> 48 != place_tag(hash))
		return false;
	ItemPointerSet(tid, (BlockNumber) (word >> 16), (OffsetNumber) word);
	return true;
}

void
place_set(uint64 hash, const ItemPointerData *tid)
{
	PlaceShared *shared = places();

	if (shared == NULL)
		return;
	/* Mostly read: the flag's cache line stays shared between processes. */
	if (pg_atomic_read_u32(&shared->used) == 0)
		pg_atomic_write_u32(&shared->used, 1);
	pg_atomic_write_u64(place_word(shared, hash), place_pack(hash, tid));
}

/* Forget this key only: a word that another key took over stays. */
void
place_forget(uint64 hash)
{
	PlaceShared *shared = places();
	pg_atomic_uint64 *word;
	uint64		seen;

	if (shared == NULL)
		return;
	word = place_word(shared, hash);
	seen = pg_atomic_read_u64(word);
	if (seen != 0 && seen >> 48 == place_tag(hash))
		(void) pg_atomic_compare_exchange_u64(word, &seen, 0);
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
	bool		attached;

	shmem->places = ShmemInitStruct("tikv_fdw places", places_shmem_size(),
									&attached);
	if (found || attached)
		return;
	pg_atomic_init_u32(&shmem->places->used, 0);
#ifdef PG_HAVE_ATOMIC_U64_SIMULATION
	for (uint64 i = 0; i < PLACE_WORDS; i++)
		pg_atomic_init_u64(&shmem->places->words[i], 0);
#endif
}
