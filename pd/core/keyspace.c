/*
 * keyspace.c
 *	  Keyspaces by id and by name.
 */
#include "pd/core/keyspace.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/base/check.h"
#include "core/base/hash.h"
#include "pd/core/utf8.h"

void
keyspaces_init(Keyspaces *keyspaces)
{
	memset(keyspaces, 0, sizeof(*keyspaces));
}

void
keyspaces_free(Keyspaces *keyspaces)
{
	for (size_t i = 0; i < keyspaces->n; i++)
		free(keyspaces->items[i]);
	free(keyspaces->items);
	chain_free(&keyspaces->by_name);
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

static uint64_t
name_hash(const char *name)
{
	return hash_bytes64(bytes_cstr(name), 0);
}

const Keyspace *
keyspaces_by_name(const Keyspaces *keyspaces, const char *name)
{
	ChainLink *link = chain_first(&keyspaces->by_name, name_hash(name));

	for (; link != NULL; link = chain_next(link))
	{
		const KeyspaceItem *item = CHAIN_OWNER(KeyspaceItem, by_name, link);

		if (strcmp(item->keyspace.name, name) == 0)
			return &item->keyspace;
	}
	return NULL;
}

/* The memory of its item. */
static size_t
item_bytes(const Keyspace *keyspace)
{
	size_t bytes = sizeof(KeyspaceItem) + keyspace->n_config * sizeof(Pair) +
		strlen(keyspace->name) + 1;

	for (size_t i = 0; i < keyspace->n_config; i++)
		bytes += strlen(keyspace->config[i].key) +
			strlen(keyspace->config[i].value) + 2;
	return bytes;
}

static const char *
put_text(char **at, const char *text)
{
	char *start = *at;
	size_t size = strlen(text) + 1;

	memcpy(start, text, size);
	*at += size;
	return start;
}

static KeyspaceItem *
item_copy(const Keyspace *from)
{
	size_t bytes = item_bytes(from);
	KeyspaceItem *item = malloc(bytes);
	Keyspace *to;
	char *at;

	CHECK(item != NULL);
	memset(item, 0, sizeof(*item));
	item->bytes = bytes;
	to = &item->keyspace;
	*to = *from;
	to->config = (Pair *) (item + 1);
	at = (char *) (to->config + from->n_config);
	to->name = put_text(&at, from->name);
	for (size_t i = 0; i < from->n_config; i++)
	{
		to->config[i].key = put_text(&at, from->config[i].key);
		to->config[i].value = put_text(&at, from->config[i].value);
	}
	return item;
}

/* All but its place among those by id. */
static void
take_in(Keyspaces *keyspaces, KeyspaceItem *item)
{
	chain_insert(&keyspaces->by_name, &item->by_name,
				 name_hash(item->keyspace.name));
	keyspaces->bytes += item->bytes;
	item->changed = ++keyspaces->changes;
}

static void
take_out(Keyspaces *keyspaces, KeyspaceItem *item)
{
	chain_remove(&keyspaces->by_name, &item->by_name);
	keyspaces->bytes -= item->bytes;
	free(item);
}

void
keyspaces_put(Keyspaces *keyspaces, const Keyspace *keyspace)
{
	KeyspaceItem *item = item_copy(keyspace);
	size_t at = keyspaces_seek(keyspaces, keyspace->id);

	take_in(keyspaces, item);
	if (at < keyspaces->n &&
		keyspaces->items[at]->keyspace.id == item->keyspace.id)
	{
		take_out(keyspaces, keyspaces->items[at]);
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

/* ---- decisions ---- */

static const char *const state_names[] = {"ENABLED", "DISABLED", "ARCHIVED",
										  "TOMBSTONE"};

#define N_STATES ((int) (sizeof(state_names) / sizeof(state_names[0])))

const char *
keyspace_state_name(int state)
{
	return state >= 0 && state < N_STATES ? state_names[state] : NULL;
}

int
keyspace_state_by_name(const char *name)
{
	for (int i = 0; i < N_STATES; i++)
		if (strcmp(state_names[i], name) == 0)
			return i;
	return -1;
}

static bool
valid_name(const char *name)
{
	static const char *const allowed =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
	size_t len = strlen(name);

	return len > 0 && len <= KEYSPACE_MAX_NAME && strspn(name, allowed) == len;
}

/* As releases of tikv/pd spell it: up to 8.5, and since. */
static bool
wants_own_gc(const Pair *pair)
{
	return strcmp(pair->key, "gc_management_type") == 0 &&
		pair->value != NULL &&
		(strcmp(pair->value, "keyspace_level_gc") == 0 ||
		 strcmp(pair->value, "keyspace_level") == 0);
}

static PdError
check_pairs(const Pair *pairs, size_t n)
{
	if (n > PD_MAX_PAIRS)
		return pd_error(PD_INVALID_VALUE, "too many settings of a keyspace");
	for (size_t i = 0; i < n; i++)
		if (!utf8_valid(bytes_cstr(pairs[i].key)) ||
			(pairs[i].value != NULL && !utf8_valid(bytes_cstr(pairs[i].value))))
			return pd_error(PD_INVALID_VALUE,
							"the settings are not valid UTF-8");
		else if (wants_own_gc(&pairs[i]))
			return pd_error(PD_INVALID_VALUE,
							"GC of a keyspace by itself is not supported");
	return pd_ok();
}

/* Is there room for a new one, or for what becomes of an old one? */
static PdError
check_room(const Keyspaces *keyspaces, const Keyspace *old,
		   const Keyspace *next, Arena *arena)
{
	size_t before = old == NULL ? 0 : item_bytes(old);
	size_t after = item_bytes(next);

	if (old == NULL && keyspaces->n >= KEYSPACES_MAX)
		return pd_errorf(arena, PD_RESOURCE_EXHAUSTED,
						 "there are %zu keyspaces, and no more may be: take "
						 "one that is there, since none is ever removed",
						 keyspaces->n);
	if (after > before && after > KEYSPACE_MAX_BYTES)
		return pd_errorf(arena, PD_RESOURCE_EXHAUSTED,
						 "the settings of the keyspace would take more than "
						 "%zu KiB: remove some",
						 KEYSPACE_MAX_BYTES >> 10);
	if (after > before &&
		keyspaces->bytes - before + after > KEYSPACES_MAX_BYTES)
		return pd_errorf(arena, PD_RESOURCE_EXHAUSTED,
						 "the settings of all keyspaces would take more than "
						 "%zu MiB: remove some",
						 KEYSPACES_MAX_BYTES >> 20);
	return pd_ok();
}

static uint32_t
next_id(const Keyspaces *keyspaces)
{
	uint32_t id = keyspaces->last_id;

	if (keyspaces->n > 0 &&
		keyspaces->items[keyspaces->n - 1]->keyspace.id > id)
		id = keyspaces->items[keyspaces->n - 1]->keyspace.id;
	return id + 1;
}

/* A changed copy becomes a change. */
static void
add_keyspace(PdChanges *changes, const Keyspace *keyspace, const Keyspace **out)
{
	Keyspace *kept = arena_alloc(changes->arena, sizeof(*kept));
	PdRecord record = {.kind = PD_RECORD_KEYSPACE, .keyspace = kept};

	*kept = *keyspace;
	kept->name = arena_strdup(changes->arena, keyspace->name);
	kept->config =
		arena_alloc(changes->arena, keyspace->n_config * sizeof(Pair));
	for (size_t i = 0; i < keyspace->n_config; i++)
	{
		kept->config[i].key =
			arena_strdup(changes->arena, keyspace->config[i].key);
		kept->config[i].value =
			arena_strdup(changes->arena, keyspace->config[i].value);
	}
	pd_changes_add(changes, &record);
	*out = kept;
}

PdError
keyspace_create(const Keyspaces *keyspaces, const char *name,
				const Pair *config, size_t n_config, int64_t now,
				PdChanges *changes, const Keyspace **out)
{
	Keyspace keyspace = {.name = name,
						 .state = KEYSPACE_ENABLED,
						 .created_at = now,
						 .state_changed_at = now,
						 .n_config = n_config,
						 .config = (Pair *) config};
	PdError error = check_pairs(config, n_config);

	if (!valid_name(name))
		return pd_errorf(changes->arena, PD_INVALID_VALUE,
						 "illegal keyspace name %s, should contain only "
						 "alphanumerical and underline",
						 name);
	if (error.type != PD_OK)
		return error;
	if (keyspaces_by_name(keyspaces, name) != NULL)
		return pd_error(PD_DUPLICATED_ENTRY, "keyspace already exists");
	error = check_room(keyspaces, NULL, &keyspace, changes->arena);
	if (error.type != PD_OK)
		return error;
	keyspace.id = next_id(keyspaces);
	if (keyspace.id > KEYSPACE_MAX_ID)
		return pd_error(PD_UNKNOWN, "no keyspace id is left");
	pd_changes_number(changes, PD_RECORD_KEYSPACE_ID, keyspace.id);
	add_keyspace(changes, &keyspace, out);
	return pd_ok();
}

static PdError
find_to_change(const Keyspace *found)
{
	if (found == NULL)
		return pd_error(PD_ENTRY_NOT_FOUND, "keyspace does not exist");
	if (found->id == KEYSPACE_DEFAULT_ID)
		return pd_error(PD_UNKNOWN, "cannot modify the DEFAULT keyspace");
	return pd_ok();
}

/* Which states a state leads to, itself left out. */
static bool
may_become(int from, int to)
{
	switch (from)
	{
		case KEYSPACE_ENABLED:
			return to == KEYSPACE_DISABLED;
		case KEYSPACE_DISABLED:
			return to == KEYSPACE_ENABLED || to == KEYSPACE_ARCHIVED;
		case KEYSPACE_ARCHIVED:
			return to == KEYSPACE_TOMBSTONE;
		default:
			return false;
	}
}

PdError
keyspace_set_state(const Keyspaces *keyspaces, uint32_t id, int state,
				   int64_t now, PdChanges *changes, const Keyspace **out)
{
	const Keyspace *old = keyspaces_by_id(keyspaces, id);
	PdError error = find_to_change(old);
	Keyspace next;

	if (error.type != PD_OK)
		return error;
	*out = old;
	if (old->state == state)
		return pd_ok();
	if (keyspace_state_name(state) == NULL || !may_become(old->state, state))
		return pd_errorf(changes->arena, PD_UNKNOWN,
						 "cannot change keyspace state from %s to %s",
						 keyspace_state_name(old->state),
						 keyspace_state_name(state) == NULL ?
							 "an unknown one" :
							 keyspace_state_name(state));
	next = *old;
	next.state = state;
	next.state_changed_at = now;
	add_keyspace(changes, &next, out);
	return pd_ok();
}

static const Pair *
find_pair(const Pair *pairs, size_t n, const char *key)
{
	/* Of several, the last one counts. */
	for (size_t i = n; i > 0; i--)
		if (strcmp(pairs[i - 1].key, key) == 0)
			return &pairs[i - 1];
	return NULL;
}

PdError
keyspace_patch_config(const Keyspaces *keyspaces, const char *name,
					  const Pair *patch, size_t n_patch, PdChanges *changes,
					  const Keyspace **out)
{
	const Keyspace *old = keyspaces_by_name(keyspaces, name);
	PdError error = find_to_change(old);
	Keyspace next;

	if (error.type == PD_OK)
		error = check_pairs(patch, n_patch);
	if (error.type != PD_OK)
		return error;
	if (old->state != KEYSPACE_ENABLED && old->state != KEYSPACE_DISABLED)
		return pd_errorf(changes->arena, PD_UNKNOWN,
						 "cannot change the config of a keyspace in state %s",
						 keyspace_state_name(old->state));
	next = *old;
	next.n_config = 0;
	next.config =
		arena_alloc(changes->arena, (old->n_config + n_patch) * sizeof(Pair));
	for (size_t i = 0; i < old->n_config; i++)
		if (find_pair(patch, n_patch, old->config[i].key) == NULL)
			next.config[next.n_config++] = old->config[i];
	for (size_t i = 0; i < n_patch; i++)
		if (patch[i].value != NULL &&
			find_pair(patch, n_patch, patch[i].key) == &patch[i])
			next.config[next.n_config++] = patch[i];
	if (next.n_config > PD_MAX_PAIRS)
		return pd_error(PD_INVALID_VALUE, "too many settings of a keyspace");
	error = check_room(keyspaces, old, &next, changes->arena);
	if (error.type != PD_OK)
		return error;
	add_keyspace(changes, &next, out);
	return pd_ok();
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
