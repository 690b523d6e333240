/*
 * gc_damage.c
 *	  Keys that garbage collection passes by, since a row of theirs is damaged.
 *
 * A slice that meets one is undone, and its key is known then.  From then on
 * slices end before such a key and go on behind it.  After an hour they are
 * forgotten: somebody may have mended them.  Where a key is not known, or there
 * are too many, the rest of the region is passed by.
 */
#include "postgres.h"

#include "storage/last_look.h"
#include "storage/stored_key.h"
#include "store/stalled.h"
#include "store/gc_internal.h"
#include "utils/memutils.h"

#define FORGET_US INT64CONST(3600000000)

static bool
is_known(const GcDamage *damage, Bytes key)
{
	for (int i = 0; i < damage->n; i++)
		if (bytes_eq(damage->keys[i], key))
			return true;
	return false;
}

/* The least one from a key on that is in the range; NULL: none. */
static const Bytes *
first_known(const GcDamage *damage, const KeyRange *range)
{
	const Bytes *first = NULL;

	for (int i = 0; i < damage->n; i++)
	{
		const Bytes *key = &damage->keys[i];

		if (bytes_cmp(*key, range->lower) >= 0 &&
			(range->upper.len == 0 || bytes_cmp(*key, range->upper) < 0) &&
			(first == NULL || bytes_cmp(*key, *first) < 0))
			first = key;
	}
	return first;
}

static Bytes
key_behind(Gc *gc, Bytes key)
{
	uint8 *behind = arena_zalloc(&gc->arena, key.len + 1);

	if (key.len > 0)
		memcpy(behind, key.data, key.len);
	return bytes_make(behind, key.len + 1);
}

void
gc_damage_bound(Gc *gc, KeyRange *range)
{
	const Bytes *known;

	if (bytes_cmp(gc->cursor, range->lower) > 0)
		range->lower = gc->cursor;
	while ((known = first_known(&gc->damage, range)) != NULL &&
		   bytes_eq(*known, range->lower))
		range->lower = key_behind(gc, *known);
	gc->damage.next = known;
	if (known != NULL)
		range->upper = *known;
}

static void
tell(const GcDamage *damage)
{
	stalled_note(STALLED_GC, (uint64) damage->n + damage->n_regions);
}

bool
gc_damage_begins_behind(Gc *gc)
{
	if (gc->damage.next == NULL)
		return false;
	gc_set_cursor(gc, *gc->damage.next);
	return true;
}

static void
remember(const Store *store, Gc *gc, Bytes key)
{
	GcDamage *damage = &gc->damage;
	uint8 *copy = MemoryContextAlloc(gc->keep, key.len + 1);

	if (key.len > 0)
		memcpy(copy, key.data, key.len);
	damage->keys[damage->n++] = bytes_make(copy, key.len);
	ereport(
		LOG,
		(errcode(ERRCODE_DATA_CORRUPTED),
		 errmsg(
			 "tikv store %llu: garbage collection passes by a key with a damaged row",
			 (unsigned long long) store->meta.store_id),
		 errdetail("It is key \\x%s of region %llu; the error before this says "
				   "what is wrong with it.",
				   stored_key_shown(key), (unsigned long long) gc->region_id),
		 errhint("Mend the table, or restore it from another replica; the key "
				 "is tried again every hour.")));
}

static void
pass_region(const Store *store, Gc *gc)
{
	gc->damage.n_regions++;
	if (gc->damage.told_us != 0 &&
		dispatch_now_us() - gc->damage.told_us < FORGET_US)
		return;
	gc->damage.told_us = dispatch_now_us();
	ereport(
		LOG,
		(errcode(ERRCODE_DATA_CORRUPTED),
		 errmsg(
			 "tikv store %llu: garbage collection passes by what is left of region %llu",
			 (unsigned long long) store->meta.store_id,
			 (unsigned long long) gc->region_id),
		 errdetail(
			 "Damaged rows, of which %d keys are known, are from key \\x%s on.",
			 gc->damage.n, stored_key_shown(gc->cursor))));
}

bool
gc_damage_meet(Store *store)
{
	Gc *gc = &store->gc;
	Bytes key = last_look_key();

	if (gc->damage.n == 0)
		gc->damage.since_us = dispatch_now_us();
	if (key.len > 0 && gc->damage.n < GC_DAMAGED_KEYS &&
		bytes_cmp(key, gc->cursor) >= 0 && !is_known(&gc->damage, key))
	{
		remember(store, gc, key);
		tell(&gc->damage);
		return true;
	}
	pass_region(store, gc);
	tell(&gc->damage);
	return false;
}

void
gc_damage_end_pass(const Gc *gc)
{
	tell(&gc->damage);
}

bool
gc_damage_is_known(const Gc *gc)
{
	return gc->damage.n > 0 || gc->damage.n_regions > 0;
}

/* They are garbage again, once they can be read. */
void
gc_damage_forget_old(Gc *gc)
{
	GcDamage *damage = &gc->damage;

	if (damage->n == 0 || dispatch_now_us() - damage->since_us < FORGET_US)
		return;
	while (damage->n > 0)
		pfree(unconstify(uint8 *, damage->keys[--damage->n].data));
	gc->garbage = Max(gc->garbage, 1);
}
