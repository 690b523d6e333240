/*
 * kv_store.c
 *	  Keys with revisions, as etcd's clients know them.
 *
 * The items are an array with a gap where it was changed last, so that keys
 * that come or go in order, as those of a range do, do not move all behind.
 */
#include "pd/core/kv_store.h"

#include <stdlib.h>

#include "core/base/check.h"

void
kv_store_init(KvStore *store)
{
	memset(store, 0, sizeof(*store));
	store->revision = 1;
}

static size_t
item_bytes(const KvItem *item)
{
	return item == NULL ? 0 : item->key.len + item->value.len;
}

static void
drop_oldest_event(KvStore *store)
{
	KvEvent *event = &store->events[store->first_event];

	store->history = event->item->mod_revision + 1;
	store->event_bytes -= item_bytes(event->item) + item_bytes(event->prev);
	free(event->item);
	free(event->prev);
	store->first_event = (store->first_event + 1) % KV_MAX_EVENTS;
	store->n_events--;
}

void
kv_store_free(KvStore *store)
{
	while (store->n_events > 0)
		drop_oldest_event(store);
	for (size_t i = 0; i < store->n; i++)
		free(kv_store_item(store, i));
	free(store->events);
	free(store->items);
	kv_store_init(store);
}

/* ---- looking up ---- */

size_t
kv_store_seek(const KvStore *store, Bytes key)
{
	size_t lo = 0;
	size_t hi = store->n;

	while (lo < hi)
	{
		size_t mid = lo + (hi - lo) / 2;

		if (bytes_cmp(kv_store_item(store, mid)->key, key) >= 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

bool
kv_is_own(Bytes key)
{
	size_t n = strlen(KV_OWN_PREFIX);

	return (key.len >= n && memcmp(key.data, KV_OWN_PREFIX, n) == 0) ||
		bytes_eq(key, bytes_cstr(KV_SAFE_POINT_KEY));
}

const KvItem *
kv_store_get(const KvStore *store, Bytes key)
{
	size_t at = kv_store_seek(store, key);

	if (at < store->n && bytes_eq(kv_store_item(store, at)->key, key))
		return kv_store_item(store, at);
	return NULL;
}

bool
kv_range_has(KvRange range, Bytes key)
{
	if (range.end.len == 0)
		return bytes_eq(range.key, key);
	if (bytes_cmp(key, range.key) < 0)
		return false;
	return (range.end.len == 1 && range.end.data[0] == 0) ||
		bytes_cmp(key, range.end) < 0;
}

KvRange
kv_prefix(Bytes prefix, Arena *arena)
{
	KvRange range = {prefix, bytes_empty()};
	size_t len = prefix.len;
	uint8_t *end = arena_alloc(arena, len + 1);

	while (len > 0 && prefix.data[len - 1] == 0xFF)
		len--;
	if (len == 0)
	{
		end[0] = 0;
		range.end = bytes_make(end, 1);
		return range;
	}
	memcpy(end, prefix.data, len);
	end[len - 1]++;
	range.end = bytes_make(end, len);
	return range;
}

/* ---- changes ---- */

/* One block holds the struct and its bytes. */
static KvItem *
item_copy(const KvItem *from)
{
	KvItem *to = malloc(sizeof(KvItem) + item_bytes(from));
	uint8_t *at = (uint8_t *) (to + 1);

	CHECK(to != NULL);
	*to = *from;
	if (from->key.len > 0)
		memcpy(at, from->key.data, from->key.len);
	to->key = bytes_make(at, from->key.len);
	at += from->key.len;
	if (from->value.len > 0)
		memcpy(at, from->value.data, from->value.len);
	to->value = bytes_make(at, from->value.len);
	return to;
}

/* Takes over `prev`. */
static void
remember(KvStore *store, const KvItem *item, KvItem *prev)
{
	size_t at;

	if (store->history == 0)
	{
		free(prev);
		return;
	}
	if (store->events == NULL)
	{
		store->events = malloc(KV_MAX_EVENTS * sizeof(KvEvent));
		CHECK(store->events != NULL);
	}
	store->event_bytes += item_bytes(item) + item_bytes(prev);
	while (store->n_events == KV_MAX_EVENTS ||
		   (store->n_events > 0 && store->event_bytes > KV_MAX_EVENT_BYTES))
		drop_oldest_event(store);
	at = (store->first_event + store->n_events) % KV_MAX_EVENTS;
	store->events[at].item = item_copy(item);
	store->events[at].prev = prev;
	store->n_events++;
}

/* The gap is before the item at this place from now on. */
static void
move_gap(KvStore *store, size_t at)
{
	KvItem **items = store->items;
	size_t gap = store->gap;
	size_t len = store->size - store->n;

	if (at < gap)
		memmove(items + at + len, items + at, (gap - at) * sizeof(*items));
	else if (at > gap)
		memmove(items + gap, items + gap + len, (at - gap) * sizeof(*items));
	store->gap = at;
}

static void
insert_item(KvStore *store, size_t at, KvItem *item)
{
	if (store->n == store->size)
	{
		/* There is no gap now; the new one is at the end. */
		store->gap = store->n;
		store->size = store->size == 0 ? 64 : store->size * 2;
		store->items = realloc(store->items, store->size * sizeof(KvItem *));
		CHECK(store->items != NULL);
	}
	move_gap(store, at);
	store->items[store->gap++] = item;
	store->n++;
}

static void
put_item(KvStore *store, const KvItem *from)
{
	KvItem *item = item_copy(from);
	size_t at = kv_store_seek(store, item->key);
	KvItem *prev = NULL;

	if (at < store->n && bytes_eq(kv_store_item(store, at)->key, item->key))
	{
		prev = kv_store_item(store, at);
		*kv_store_place(store, at) = item;
		store->bytes -= item_bytes(prev);
	}
	else
		insert_item(store, at, item);
	store->bytes += item_bytes(item);
	remember(store, item, prev);
}

static void
remove_item(KvStore *store, const KvItem *gone)
{
	size_t at = kv_store_seek(store, gone->key);
	KvItem tombstone = *gone;
	KvItem *prev;

	if (at == store->n || !bytes_eq(kv_store_item(store, at)->key, gone->key))
		return;
	move_gap(store, at);
	prev = kv_store_item(store, at);
	store->bytes -= item_bytes(prev);
	store->n--; /* its place is the gap's */
	tombstone.key = prev->key;
	tombstone.value = bytes_empty();
	tombstone.version = tombstone.create_revision = tombstone.lease = 0;
	remember(store, &tombstone, prev);
}

static void
compact(KvStore *store, int64_t revision)
{
	store->compacted = revision;
	while (store->n_events > 0 &&
		   store->events[store->first_event].item->mod_revision < revision)
		drop_oldest_event(store);
}

bool
kv_store_apply(KvStore *store, const PdRecord *record)
{
	switch (record->kind)
	{
		case PD_RECORD_KV:
			if (record->removed)
				remove_item(store, record->kv);
			else
				put_item(store, record->kv);
			return true;
		case PD_RECORD_KV_REVISION:
			store->revision = (int64_t) record->number;
			return true;
		case PD_RECORD_KV_COMPACTED:
			compact(store, (int64_t) record->number);
			return true;
		default:
			return false;
	}
}

void
kv_store_loaded(KvStore *store)
{
	store->history = store->revision + 1;
}

const KvEvent *
kv_store_event(const KvStore *store, size_t i)
{
	CHECK(i < store->n_events);
	return &store->events[(store->first_event + i) % KV_MAX_EVENTS];
}

int64_t
kv_store_first_revision(const KvStore *store)
{
	return store->history > store->compacted ? store->history :
											   store->compacted;
}
