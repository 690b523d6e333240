/*
 * keyspace.c
 *	  Keyspaces by id and by name.
 */
#include "pd/core/keyspace.h"

#include <stdlib.h>

#include "core/base/check.h"

void
keyspaces_init(Keyspaces *keyspaces)
{
	memset(keyspaces, 0, sizeof(*keyspaces));
}

static void
item_free(KeyspaceItem *item)
{
	arena_free(&item->arena);
	free(item);
}

void
keyspaces_free(Keyspaces *keyspaces)
{
	for (size_t i = 0; i < keyspaces->n; i++)
		item_free(keyspaces->items[i]);
	free(keyspaces->items);
	keyspaces_init(keyspaces);
}

size_t
keyspaces_seek(const Keyspaces *keyspaces, uint32_t id)
{
	size_t lo = 0;
	size_t hi = keyspaces->n;

	while (lo < hi)
	{
		size_t mid = lo + (hi - lo) / 2;

		if (keyspaces->items[mid]->keyspace.id >= id)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

const Keyspace *
keyspaces_by_id(const Keyspaces *keyspaces, uint32_t id)
{
	size_t at = keyspaces_seek(keyspaces, id);

	if (at < keyspaces->n && keyspaces->items[at]->keyspace.id == id)
		return &keyspaces->items[at]->keyspace;
	return NULL;
}

const Keyspace *
keyspaces_by_name(const Keyspaces *keyspaces, const char *name)
{
	for (size_t i = 0; i < keyspaces->n; i++)
		if (strcmp(keyspaces->items[i]->keyspace.name, name) == 0)
			return &keyspaces->items[i]->keyspace;
	return NULL;
}

static KeyspaceItem *
item_copy(const Keyspace *from)
{
	KeyspaceItem *item = malloc(sizeof(KeyspaceItem));
	Keyspace *to;

	CHECK(item != NULL);
	arena_init(&item->arena);
	to = &item->keyspace;
	*to = *from;
	to->name = arena_strdup(&item->arena, from->name);
	to->config = arena_alloc(&item->arena, from->n_config * sizeof(Pair));
	for (size_t i = 0; i < from->n_config; i++)
	{
		to->config[i].key = arena_strdup(&item->arena, from->config[i].key);
		to->config[i].value = arena_strdup(&item->arena, from->config[i].value);
	}
	return item;
}

void
keyspaces_put(Keyspaces *keyspaces, const Keyspace *keyspace)
{
	KeyspaceItem *item = item_copy(keyspace);
	size_t at = keyspaces_seek(keyspaces, keyspace->id);

	if (at < keyspaces->n &&
		keyspaces->items[at]->keyspace.id == item->keyspace.id)
	{
		item_free(keyspaces->items[at]);
		keyspaces->items[at] = item;
		return;
	}
	if (keyspaces->n == keyspaces->size)
	{
		keyspaces->size = keyspaces->size == 0 ? 8 : keyspaces->size * 2;
		keyspaces->items =
			realloc(keyspaces->items, keyspaces->size * sizeof(KeyspaceItem *));
		CHECK(keyspaces->items != NULL);
	}
	memmove(keyspaces->items + at + 1, keyspaces->items + at,
			(keyspaces->n - at) * sizeof(KeyspaceItem *));
	keyspaces->items[at] = item;
	keyspaces->n++;
}

void
keyspaces_first(int64_t now, PdChanges *changes)
{
	Keyspace *keyspace = arena_zalloc(changes->arena, sizeof(Keyspace));
	PdRecord record = {.kind = PD_RECORD_KEYSPACE, .keyspace = keyspace};

	keyspace->id = KEYSPACE_DEFAULT_ID;
	keyspace->name = KEYSPACE_DEFAULT_NAME;
	keyspace->created_at = now;
	keyspace->state_changed_at = now;
	pd_changes_add(changes, &record);
}
