/*
 * overlay.c
 *	  What the commands of a turn have decided but not yet written.
 */
#include "core/txn/overlay.h"

#include <stdlib.h>

#include "core/base/check.h"
#include "core/base/hash.h"
#include "core/mvcc/lookup.h"

#define FIRST_ROOM 64

/* Tables of more rows than this are given back after their turn. */
#define KEPT_ROOM 16384

/* ----------------------------------------------------------- the tables */

static TxnOverlayRow *
row_at(const TxnOverlay *overlay, uint32_t link)
{
	return &overlay->rows[link - 1];
}

/* The entry of the key, or the free one where it belongs. */
static TxnOverlayKey *
find_entry(const TxnOverlay *overlay, uint64_t hash, TxnCf cf, Bytes key)
{
	size_t mask = overlay->keys_room - 1;

	for (size_t i = (size_t) hash & mask;; i = (i + 1) & mask)
	{
		TxnOverlayKey *entry = &overlay->keys[i];
		const TxnModify *modify;

		if (entry->turn != overlay->turn)
			return entry;
		if (entry->hash != hash)
			continue;
		modify = &row_at(overlay, entry->newest)->modify;
		if (modify->cf == cf && bytes_eq(modify->key, key))
			return entry;
	}
}

/* The key's entry, or NULL if nothing of it was changed. */
static TxnOverlayKey *
find_key(const TxnOverlay *overlay, TxnCf cf, Bytes key)
{
	TxnOverlayKey *entry;

	if (overlay->n_keys == 0)
		return NULL;
	entry = find_entry(overlay, hash_bytes64(key, (uint64_t) cf), cf, key);
	return entry->turn != overlay->turn ? NULL : entry;
}

static void
grow_keys(TxnOverlay *overlay)
{
	TxnOverlayKey *old = overlay->keys;
	size_t n_old = overlay->keys_room;

	overlay->keys_room = n_old == 0 ? FIRST_ROOM : n_old * 2;
	overlay->keys = calloc(overlay->keys_room, sizeof(TxnOverlayKey));
	CHECK(overlay->keys != NULL);
	for (size_t i = 0; i < n_old; i++)
	{
		const TxnModify *modify;

		if (old[i].turn != overlay->turn)
			continue;
		modify = &row_at(overlay, old[i].newest)->modify;
		*find_entry(overlay, old[i].hash, modify->cf, modify->key) = old[i];
	}
	free(old);
}

/* A new row with this change; its link. */
static uint32_t
add_row(TxnOverlay *overlay, const TxnModify *modify, uint32_t older)
{
	TxnOverlayRow *row;

	if (overlay->n_rows == overlay->rows_room)
	{
		size_t room =
			overlay->rows_room == 0 ? FIRST_ROOM : 2 * overlay->n_rows;

		overlay->rows = realloc(overlay->rows, room * sizeof(TxnOverlayRow));
		CHECK(overlay->rows != NULL && room < UINT32_MAX);
		overlay->rows_room = room;
	}
	row = &overlay->rows[overlay->n_rows++];
	row->modify = *modify;
	row->is_void = false;
	row->older = older;
	overlay->n_live++;
	return (uint32_t) overlay->n_rows;
}

/* ------------------------------------------------------------- applying */

static bool
base_has(TxnOverlay *overlay, const TxnModify *modify)
{
	MvccReader *base = overlay->base;
	Lock lock;
	WriteAt at;
	Bytes value;

	switch (modify->cf)
	{
		case TXN_CF_LOCK:
			return base->get_lock(base, modify->key, &overlay->arena, &lock);
		case TXN_CF_WRITE:
			return base->seek_write(base, modify->key, modify->ts,
									&overlay->arena, &at) &&
				at.commit_ts == modify->ts;
		default:
			return base->get_value(base, modify->key, modify->ts,
								   &overlay->arena, &value);
	}
}

static void
replace(TxnOverlay *overlay, TxnOverlayRow *row, const TxnModify *modify)
{
	bool was_void = row->is_void;
	bool was_put = !row->modify.is_delete;

	/* A row that is void was found to be missing in the base. */
	row->is_void = modify->is_delete &&
		(was_void || (was_put && !base_has(overlay, modify)));
	row->modify = *modify;
	overlay->n_live += was_void;
	overlay->n_live -= row->is_void;
}

static void
apply(TxnOverlay *overlay, const TxnModify *modify)
{
	uint64_t hash = hash_bytes64(modify->key, (uint64_t) modify->cf);
	TxnOverlayKey *entry;
	uint32_t newer = 0;
	uint32_t link;

	/* At most half full. */
	if (2 * overlay->n_keys >= overlay->keys_room)
		grow_keys(overlay);
	entry = find_entry(overlay, hash, modify->cf, modify->key);
	if (entry->turn != overlay->turn)
	{
		memset(entry, 0, sizeof(*entry));
		entry->turn = overlay->turn;
		entry->hash = hash;
		overlay->n_keys++;
	}
	for (link = entry->newest;
		 link != 0 && row_at(overlay, link)->modify.ts > modify->ts;
		 link = row_at(overlay, link)->older)
		newer = link;
	if (link != 0 && row_at(overlay, link)->modify.ts == modify->ts)
	{
		replace(overlay, row_at(overlay, link), modify);
		return;
	}
	link = add_row(overlay, modify, link);
	if (newer == 0)
		entry->newest = link;
	else
		row_at(overlay, newer)->older = link;
}

void
txn_overlay_apply(TxnOverlay *overlay, const TxnEffects *effects)
{
	for (size_t i = 0; i < effects->n_modifies; i++)
		apply(overlay, &effects->modifies[i]);
}

const TxnModify *
txn_overlay_next(const TxnOverlay *overlay, size_t *at)
{
	while (*at < overlay->n_rows)
	{
		const TxnOverlayRow *row = &overlay->rows[(*at)++];

		if (!row->is_void)
			return &row->modify;
	}
	return NULL;
}

/* -------------------------------------------------------------- reading */

static TxnOverlay *
overlay_of(MvccReader *reader)
{
	return (TxnOverlay *) reader;
}

static bool
overlay_get_lock(MvccReader *reader, Bytes key, Arena *arena, Lock *lock)
{
	TxnOverlay *overlay = overlay_of(reader);
	const TxnOverlayKey *entry = find_key(overlay, TXN_CF_LOCK, key);
	const TxnModify *modify;

	if (entry == NULL)
		return overlay->base->get_lock(overlay->base, key, arena, lock);
	modify = &row_at(overlay, entry->newest)->modify;
	if (modify->is_delete)
		return false;
	/* Commands may change the members of a container they have loaded. */
	if (modify->lock->type == LOCK_TYPE_SHARED)
		lock_copy(modify->lock, arena, lock);
	else
		*lock = *modify->lock;
	return true;
}

/* The first row of the chain that is not newer than ts, or NULL. */
static const TxnOverlayRow *
first_from(const TxnOverlay *overlay, const TxnOverlayKey *entry, uint64_t ts)
{
	for (uint32_t link = entry->newest; link != 0;
		 link = row_at(overlay, link)->older)
		if (row_at(overlay, link)->modify.ts <= ts)
			return row_at(overlay, link);
	return NULL;
}

/* The base's answer; its newest record is kept for the next who asks. */
static bool
seek_base(TxnOverlay *overlay, TxnOverlayKey *entry, Bytes key, uint64_t ts,
		  Arena *arena, WriteAt *out)
{
	MvccReader *base = overlay->base;

	if (!entry->top_is_known)
	{
		WriteAt *top = arena_alloc(&overlay->arena, sizeof(WriteAt));

		if (base->seek_write(base, key, UINT64_MAX, &overlay->arena, top))
			entry->top = top;
		entry->top_is_known = true;
	}
	if (entry->top == NULL)
		return false;
	if (entry->top->commit_ts > ts)
		return base->seek_write(base, key, ts, arena, out);
	*out = *entry->top;
	return true;
}

static bool
overlay_seek_write(MvccReader *reader, Bytes key, uint64_t ts, Arena *arena,
				   WriteAt *out)
{
	TxnOverlay *overlay = overlay_of(reader);
	TxnOverlayKey *entry = find_key(overlay, TXN_CF_WRITE, key);

	if (entry == NULL)
		return overlay->base->seek_write(overlay->base, key, ts, arena, out);
	for (;;)
	{
		const TxnOverlayRow *row = first_from(overlay, entry, ts);
		bool in_base = seek_base(overlay, entry, key, ts, arena, out);

		if (row == NULL || (in_base && out->commit_ts > row->modify.ts))
			return in_base;
		if (!row->modify.is_delete)
		{
			out->commit_ts = row->modify.ts;
			out->write = row->modify.write;
			return true;
		}
		if (row->modify.ts == 0)
			return false;
		ts = row->modify.ts - 1;
	}
}

static bool
overlay_get_value(MvccReader *reader, Bytes key, uint64_t start_ts,
				  Arena *arena, Bytes *value)
{
	TxnOverlay *overlay = overlay_of(reader);
	const TxnOverlayKey *entry = find_key(overlay, TXN_CF_VALUE, key);
	const TxnOverlayRow *row =
		entry == NULL ? NULL : first_from(overlay, entry, start_ts);

	if (row == NULL || row->modify.ts != start_ts)
		return overlay->base->get_value(overlay->base, key, start_ts, arena,
										value);
	*value = row->modify.bytes;
	return !row->modify.is_delete;
}

static void
overlay_scan_locks(MvccReader *reader, const KeyRange *range, uint64_t max_ts,
				   bool memory,
				   bool (*emit)(void *arg, Bytes key, const Lock *lock),
				   void *arg)
{
	TxnOverlay *overlay = overlay_of(reader);

	CHECK(txn_overlay_is_empty(overlay));
	overlay->base->scan_locks(overlay->base, range, max_ts, memory, emit, arg);
}

static void
overlay_scan_writes(MvccReader *reader, const KeyRange *range, uint64_t ts,
					bool reverse,
					bool (*emit)(void *arg, Bytes key, const WriteAt *at),
					void *arg)
{
	TxnOverlay *overlay = overlay_of(reader);

	CHECK(txn_overlay_is_empty(overlay));
	overlay->base->scan_writes(overlay->base, range, ts, reverse, emit, arg);
}

static void
overlay_scan_values(MvccReader *reader, const KeyRange *range,
					bool (*emit)(void *arg, Bytes key, uint64_t start_ts,
								 Bytes value),
					void *arg)
{
	TxnOverlay *overlay = overlay_of(reader);

	CHECK(txn_overlay_is_empty(overlay));
	overlay->base->scan_values(overlay->base, range, emit, arg);
}

/* Rows that were deleted count too: the answer is a "may have". */
static bool
overlay_has_writes(MvccReader *reader, const KeyRange *range)
{
	TxnOverlay *overlay = overlay_of(reader);

	for (size_t i = 0; i < overlay->n_rows; i++)
	{
		const TxnModify *modify = &overlay->rows[i].modify;

		if (modify->cf == TXN_CF_WRITE && !overlay->rows[i].is_void &&
			bytes_cmp(modify->key, range->lower) >= 0 &&
			(range->upper.len == 0 || bytes_cmp(modify->key, range->upper) < 0))
			return true;
	}
	return mvcc_has_writes(overlay->base, range);
}

/* -------------------------------------------------------- begin and end */

void
txn_overlay_init(TxnOverlay *overlay)
{
	memset(overlay, 0, sizeof(*overlay));
	arena_init(&overlay->arena);
	overlay->turn = 1;
	overlay->reader.get_lock = overlay_get_lock;
	overlay->reader.seek_write = overlay_seek_write;
	overlay->reader.get_value = overlay_get_value;
	overlay->reader.scan_locks = overlay_scan_locks;
	overlay->reader.scan_writes = overlay_scan_writes;
	overlay->reader.scan_values = overlay_scan_values;
	overlay->reader.has_writes = overlay_has_writes;
}

static void
free_tables(TxnOverlay *overlay)
{
	free(overlay->keys);
	free(overlay->rows);
	overlay->keys = NULL;
	overlay->keys_room = 0;
	overlay->rows = NULL;
	overlay->rows_room = 0;
}

void
txn_overlay_begin(TxnOverlay *overlay, MvccReader *base)
{
	arena_reset(&overlay->arena);
	/* Entries that carry an old number must not be taken for new ones. */
	if (overlay->rows_room > KEPT_ROOM || overlay->turn == UINT32_MAX)
	{
		free_tables(overlay);
		overlay->turn = 0;
	}
	overlay->turn++;
	overlay->base = base;
	overlay->n_keys = 0;
	overlay->n_rows = 0;
	overlay->n_live = 0;
}

void
txn_overlay_free(TxnOverlay *overlay)
{
	arena_free(&overlay->arena);
	free_tables(overlay);
	txn_overlay_init(overlay);
}
