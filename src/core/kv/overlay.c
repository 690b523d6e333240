/*
 * overlay.c
 *	  What a turn has decided but not yet written.
 */
#include "core/kv/overlay.h"

#include "core/base/check.h"
#include "core/base/hash.h"

#define OVERLAY_FIRST_ROOM 64

void
overlay_init(Overlay *overlay)
{
	memset(overlay, 0, sizeof(*overlay));
	arena_init(&overlay->arena);
}

void
overlay_reset(Overlay *overlay)
{
	Arena arena = overlay->arena;

	arena_reset(&arena);
	memset(overlay, 0, sizeof(*overlay));
	overlay->arena = arena;
}

void
overlay_free(Overlay *overlay)
{
	arena_free(&overlay->arena);
	overlay_init(overlay);
}

static uint64_t
key_hash(RawCf cf, Bytes key)
{
	return hash_bytes64(key, (uint64_t) cf);
}

static bool
same_key(const RawModify *modify, RawCf cf, Bytes key)
{
	return modify->cf == cf && bytes_eq(modify->key, key);
}

/* The entry of the key, or the free one where it belongs. */
static OverlayEntry *
find_entry(const Overlay *overlay, uint64_t hash, RawCf cf, Bytes key)
{
	size_t mask = overlay->n_entries - 1;

	for (size_t i = (size_t) hash & mask;; i = (i + 1) & mask)
	{
		OverlayEntry *entry = &overlay->entries[i];

		if (entry->modify == 0)
			return entry;
		if (entry->hash == hash &&
			same_key(&overlay->modifies[entry->modify - 1], cf, key))
			return entry;
	}
}

static void
grow(Overlay *overlay)
{
	size_t room = overlay->room == 0 ? OVERLAY_FIRST_ROOM : overlay->room * 2;
	RawModify *modifies =
		arena_alloc(&overlay->arena, room * sizeof(*modifies));
	OverlayEntry *old = overlay->entries;
	size_t n_old = overlay->n_entries;

	CHECK(room < UINT32_MAX / 2);
	if (overlay->n_modifies > 0)
		memcpy(modifies, overlay->modifies,
			   overlay->n_modifies * sizeof(*modifies));
	overlay->modifies = modifies;
	overlay->room = room;
	overlay->n_entries = room * 2;
	overlay->entries =
		arena_zalloc(&overlay->arena, overlay->n_entries * sizeof(*old));
	for (size_t i = 0; i < n_old; i++)
	{
		const RawModify *modify;

		if (old[i].modify == 0)
			continue;
		modify = &modifies[old[i].modify - 1];
		*find_entry(overlay, old[i].hash, modify->cf, modify->key) = old[i];
	}
}

void
overlay_apply(Overlay *overlay, const RawModify *modify)
{
	uint64_t hash = key_hash(modify->cf, modify->key);
	OverlayEntry *entry;

	if (overlay->n_modifies == overlay->room)
		grow(overlay);
	entry = find_entry(overlay, hash, modify->cf, modify->key);
	if (entry->modify == 0)
	{
		entry->hash = hash;
		entry->modify = (uint32_t) ++overlay->n_modifies;
	}
	overlay->modifies[entry->modify - 1] = *modify;
}

const RawModify *
overlay_find(const Overlay *overlay, RawCf cf, Bytes key)
{
	const OverlayEntry *entry;

	if (overlay->n_modifies == 0)
		return NULL;
	entry = find_entry(overlay, key_hash(cf, key), cf, key);
	return entry->modify == 0 ? NULL : &overlay->modifies[entry->modify - 1];
}
