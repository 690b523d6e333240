/*
 * version_hint.c
 *	  The table of hints: a few entries per hash, of which a new key drives
 *	  out the one with the oldest version.
 *
 * Keys are told apart by a hash of 64 bits with a seed that nobody knows.
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "storage/txn_table.h"
#include "storage/version_hint.h"

/* 12 MiB of address space; pages are touched as keys are used. */
#define SET_BITS 18
#define HINTS_PER_SET 2
#define HINTS (HINTS_PER_SET * ((Size) 1 << SET_BITS))

typedef struct VersionHints
{
	Oid table;
	uint64 seed;
	uint64 epoch;
	VersionHint *entries; /* NULL: this process has none */
	bool (*is_foreign)(void *arg, Bytes key);
	void *is_foreign_arg;
} VersionHints;

static VersionHints hints;

void
version_hints_enable(void)
{
	if (hints.entries != NULL)
		return;
	if (!pg_strong_random(&hints.seed, sizeof(hints.seed)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate a random seed")));
	/* Not palloc0, which would touch every page of an idle server. */
	hints.entries = calloc(HINTS, sizeof(VersionHint));
	if (hints.entries == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
}

bool
version_hints_cover(Oid table)
{
	if (hints.entries == NULL)
		return false;
	if (hints.table != table)
	{
		if (OidIsValid(hints.table))
			memset(hints.entries, 0, HINTS * sizeof(VersionHint));
		hints.table = table;
	}
	return true;
}

static uint64
hash_of(Bytes key)
{
	uint64 hash = hash_bytes_extended(key.data, (int) key.len, hints.seed);

	return hash != 0 ? hash : 1;
}

static VersionHint *
set_of(uint64 hash)
{
	return &hints.entries[HINTS_PER_SET * (hash >> (64 - SET_BITS))];
}

/* NULL: none. */
static VersionHint *
find_entry(uint64 hash)
{
	VersionHint *set = set_of(hash);

	for (int i = 0; i < HINTS_PER_SET; i++)
		if (set[i].hash == hash)
			return &set[i];
	return NULL;
}

/* The entry that a key without one may have: a free one is of timestamp 0. */
static VersionHint *
oldest_entry(uint64 hash)
{
	VersionHint *set = set_of(hash);
	VersionHint *oldest = set;

	for (int i = 1; i < HINTS_PER_SET; i++)
		if (set[i].ts < oldest->ts)
			oldest = &set[i];
	return oldest;
}

static void
set_entry(VersionHint *entry, uint64 hash, uint64 ts,
		  const ItemPointerData *tid)
{
	entry->hash = hash;
	entry->ts = ts;
	if (tid != NULL)
		entry->tid = *tid;
	else
		ItemPointerSetInvalid(&entry->tid);
}

const VersionHint *
version_hint_find(Bytes key)
{
	return find_entry(hash_of(key));
}

uint64
version_hints_epoch(void)
{
	return hints.epoch;
}

void
version_hint_note(Bytes key, uint64 ts, const ItemPointerData *tid,
				  uint64 epoch)
{
	uint64 hash = hash_of(key);
	VersionHint *entry = find_entry(hash);

	if (epoch == hints.epoch && !version_is_foreign(key))
		set_entry(entry != NULL ? entry : oldest_entry(hash), hash, ts, tid);
}

/*
 * Of a key without an entry it is not known whether this row is the newest.
 * An entry of the same timestamp loses its row to this one.
 */
void
version_hint_written(Bytes key, uint64 ts, const ItemPointerData *tid)
{
	uint64 hash = hash_of(key);
	VersionHint *entry = find_entry(hash);

	hints.epoch++;
	if (entry != NULL && entry->ts <= ts)
		set_entry(entry, hash, ts, tid);
}

bool
version_is_foreign(Bytes key)
{
	return hints.is_foreign != NULL &&
		hints.is_foreign(hints.is_foreign_arg, key);
}

void
version_hints_except(bool (*is_foreign)(void *arg, Bytes key), void *arg)
{
	hints.is_foreign = is_foreign;
	hints.is_foreign_arg = arg;
}

/* What a search under an older snapshot finds is not noted either. */
void
version_hints_forget(Bytes key)
{
	VersionHint *entry;

	if (hints.entries == NULL)
		return;
	entry = find_entry(hash_of(key));
	hints.epoch++;
	if (entry != NULL)
		memset(entry, 0, sizeof(*entry));
}
