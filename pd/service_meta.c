/*
 * service_meta.c
 *	  Handlers: keyspaces, MetaStorage, global configuration.
 *
 * MetaStorage and the global configuration keep their items as keys of the
 * store that etcd's clients see (core/kv_store.h), as tikv/pd does.
 */
#include "postgres.h"

#include "keyspacepb.pb-c.h"
#include "meta_storagepb.pb-c.h"
#include "pd/convert.h"
#include "pd/core/utf8.h"
#include "pd/global_config.h"
#include "pd/pd.h"

/* ---- keyspaces ---- */

static void
answer_keyspace(PdAsk *ask, const Keyspace *keyspace,
				Keyspacepb__LoadKeyspaceResponse *out)
{
	if (keyspace != NULL)
		out->keyspace = to_keyspace(keyspace, ask->arena);
	else
		ask->error = pd_error(PD_ENTRY_NOT_FOUND, "keyspace does not exist");
}

void
pd_load_keyspace(PdAsk *ask, const void *request, void *response)
{
	const Keyspacepb__LoadKeyspaceRequest *in = request;

	answer_keyspace(ask, keyspaces_by_name(&ask->pd->state.keyspaces, in->name),
					response);
}

void
pd_load_keyspace_by_id(PdAsk *ask, const void *request, void *response)
{
	const Keyspacepb__LoadKeyspaceByIDRequest *in = request;
	const Keyspace *found = NULL;

	if (in->keyspace_case ==
		KEYSPACEPB__LOAD_KEYSPACE_BY_IDREQUEST__KEYSPACE_ID)
		found = keyspaces_by_id(&ask->pd->state.keyspaces, in->id);
	answer_keyspace(ask, found, response);
}

void
pd_get_all_keyspaces(PdAsk *ask, const void *request, void *response)
{
	const Keyspacepb__GetAllKeyspacesRequest *in = request;
	Keyspacepb__GetAllKeyspacesResponse *out = response;
	const Keyspaces *all = &ask->pd->state.keyspaces;
	size_t first = 0;
	size_t n;

	if (in->start_keyspace_case ==
		KEYSPACEPB__GET_ALL_KEYSPACES_REQUEST__START_KEYSPACE_START_ID)
		first = keyspaces_seek(all, in->start_id);
	n = all->n - first;
	if (in->limit > 0 && n > in->limit)
		n = in->limit;
	out->keyspaces = arena_alloc(ask->arena, n * sizeof(*out->keyspaces));
	for (size_t i = 0; i < n && !kv_failed(ask, pd_check_room(ask)); i++)
		out->keyspaces[out->n_keyspaces++] =
			to_keyspace(&all->items[first + i]->keyspace, ask->arena);
}

/* Without namespaces a name has one keyspace, or none. */
void
pd_lookup_keyspace(PdAsk *ask, const void *request, void *response)
{
	const Keyspacepb__LookupKeyspaceRequest *in = request;
	Keyspacepb__LookupKeyspaceResponse *out = response;
	const Keyspace *found =
		keyspaces_by_name(&ask->pd->state.keyspaces, in->name);

	if (found == NULL)
		return;
	out->n_keyspaces = 1;
	out->keyspaces = arena_alloc(ask->arena, sizeof(*out->keyspaces));
	out->keyspaces[0] = to_keyspace(found, ask->arena);
}

/* The answer is packed after the change took effect: it must be a copy. */
static Keyspacepb__KeyspaceMeta *
keyspace_copy(PdAsk *ask, const Keyspace *keyspace)
{
	Keyspacepb__KeyspaceMeta *out = to_keyspace(keyspace, ask->arena);

	out->name = arena_strdup(ask->arena, out->name);
	for (size_t i = 0; i < out->n_config; i++)
	{
		out->config[i]->key = arena_strdup(ask->arena, out->config[i]->key);
		out->config[i]->value = arena_strdup(ask->arena, out->config[i]->value);
	}
	return out;
}

void
pd_update_keyspace_state(PdAsk *ask, const void *request, void *response)
{
	const Keyspacepb__UpdateKeyspaceStateRequest *in = request;
	Keyspacepb__UpdateKeyspaceStateResponse *out = response;
	const Keyspace *keyspace;

	if (in->keyspace_case !=
		KEYSPACEPB__UPDATE_KEYSPACE_STATE_REQUEST__KEYSPACE_ID)
		ask->error = pd_error(PD_ENTRY_NOT_FOUND, "keyspace does not exist");
	else
		ask->error = keyspace_set_state(&ask->pd->state.keyspaces, in->id,
										(int) in->state, ask->now,
										&ask->changes, &keyspace);
	if (ask->error.type == PD_OK)
		out->keyspace = keyspace_copy(ask, keyspace);
}

/* Of the bus: tikv_create_keyspace(). */
void
pd_create_keyspace(PdAsk *ask, const void *request, void *response)
{
	const Keyspacepb__LoadKeyspaceRequest *in = request;
	Keyspacepb__LoadKeyspaceResponse *out = response;
	const Keyspace *keyspace;

	ask->error = keyspace_create(&ask->pd->state.keyspaces, in->name, NULL, 0,
								 ask->now, &ask->changes, &keyspace);
	if (ask->error.type == PD_OK)
		out->keyspace = keyspace_copy(ask, keyspace);
	else if (ask->error.type == PD_RESOURCE_EXHAUSTED)
		(void) kv_failed(ask,
						 kv_error(RPC_RESOURCE_EXHAUSTED, ask->error.text));
}

/* ---- meta storage ---- */

static KvTxn
begin(PdAsk *ask)
{
	KvTxn txn;

	kv_begin(&txn, &ask->pd->state.kv, &ask->pd->state.leases, &ask->changes);
	return txn;
}

/* Refusals ride in the header, with gRPC's OK. */
static MetaStoragepb__ResponseHeader *
meta_header(PdAsk *ask, const KvTxn *txn, KvError error)
{
	MetaStoragepb__ResponseHeader *out =
		NEW_MESSAGE(ask->arena, MetaStoragepb__ResponseHeader,
					meta_storagepb__response_header__init);

	out->cluster_id = ask->pd->state.cluster_id;
	out->revision = kv_revision(txn);
	if (error.code == RPC_OK)
		return out;
	out->error = NEW_MESSAGE(ask->arena, MetaStoragepb__Error,
							 meta_storagepb__error__init);
	out->error->type = META_STORAGEPB__ERROR_TYPE__UNKNOWN;
	out->error->message = (char *) error.text;
	return out;
}

static KvError
check_key(ProtobufCBinaryData key)
{
	return key.len > 0 ?
		kv_ok() :
		kv_error(RPC_INVALID_ARGUMENT, "etcdserver: key is not provided");
}

void
pd_meta_get(PdAsk *ask, const void *request, void *response)
{
	const MetaStoragepb__GetRequest *in = request;
	MetaStoragepb__GetResponse *out = response;
	KvRange range = {from_binary(in->key), from_binary(in->range_end)};
	KvTxn txn = begin(ask);
	KvError error = check_key(in->key);
	const KvItem **items;
	size_t n;

	if (error.code == RPC_OK)
		error = kv_check_revision(&txn, in->revision);
	out->header = meta_header(ask, &txn, error);
	if (error.code != RPC_OK)
		return;
	n = kv_scan(&txn, range, &items);
	out->count = (int64) n;
	out->n_kvs = n;
	if (in->limit > 0 && n > (size_t) in->limit)
	{
		out->n_kvs = (size_t) in->limit;
		out->more = true;
	}
	out->kvs = arena_alloc(ask->arena, out->n_kvs * sizeof(*out->kvs));
	for (size_t i = 0; i < out->n_kvs; i++)
	{
		out->kvs[i] = to_meta_item(items[i], ask->arena);
		if (kv_failed(ask, pd_check_room(ask)))
			return;
	}
}

/* The safe point is moved by its own RPCs. */
static KvError
check_not_safe_point(const KvTxn *txn, KvRange range)
{
	Bytes key = bytes_cstr(PD_SAFE_POINT_KEY);

	if (kv_range_has(range, key) &&
		(range.end.len == 0 || kv_get(txn, key) != NULL))
		return kv_error(RPC_FAILED_PRECONDITION,
						PD_SAFE_POINT_KEY " cannot be changed here");
	return kv_ok();
}

void
pd_meta_put(PdAsk *ask, const void *request, void *response)
{
	const MetaStoragepb__PutRequest *in = request;
	MetaStoragepb__PutResponse *out = response;
	KvPut put = {.key = from_binary(in->key),
				 .value = from_binary(in->value),
				 .lease = in->lease};
	KvTxn txn = begin(ask);
	KvError error =
		check_not_safe_point(&txn, (KvRange){put.key, bytes_empty()});
	const KvItem *prev = NULL;

	if (error.code == RPC_OK)
		error = kv_put(&txn, &put, &prev);
	out->header = meta_header(ask, &txn, error);
	if (error.code == RPC_OK && in->prev_kv && prev != NULL)
		out->prev_kv = to_meta_item(prev, ask->arena);
	kv_end(&txn);
}

void
pd_meta_delete(PdAsk *ask, const void *request, void *response)
{
	const MetaStoragepb__DeleteRequest *in = request;
	MetaStoragepb__DeleteResponse *out = response;
	KvRange range = {from_binary(in->key), from_binary(in->range_end)};
	KvTxn txn = begin(ask);
	KvError error = check_key(in->key);
	const KvItem **prevs;
	size_t n = 0;

	if (error.code == RPC_OK)
		error = check_not_safe_point(&txn, range);
	if (error.code == RPC_OK)
		error = kv_delete(&txn, range, &prevs, &n);
	out->header = meta_header(ask, &txn, error);
	out->deleted = (int64) n;
	if (in->prev_kv && n > 0)
	{
		out->n_prev_kvs = n;
		out->prev_kvs = arena_alloc(ask->arena, n * sizeof(*out->prev_kvs));
		for (size_t i = 0; i < n; i++)
		{
			out->prev_kvs[i] = to_meta_item(prevs[i], ask->arena);
			if (kv_failed(ask, pd_check_room(ask)))
				return;
		}
	}
	kv_end(&txn);
}

/* ---- the global configuration ---- */

#define CONFIG_ROOT "/global/config"

/* Resource control loads its own settings this way, and only loads them. */
#define CONTROLLER_PATH "resource_group/controller"

const char *
global_config_path(const char *path, Arena *arena)
{
	size_t root = strlen(CONFIG_ROOT);

	if (path[0] == '\0' || strcmp(path, CONFIG_ROOT) == 0)
		return CONFIG_ROOT "/";
	if (strncmp(path, CONFIG_ROOT "/", root + 1) != 0 ||
		!utf8_valid(bytes_cstr(path)))
		return NULL;
	return path[strlen(path) - 1] == '/' ? path :
										   arena_printf(arena, "%s/", path);
}

Pdpb__GlobalConfigItem *
global_config_item(Bytes name, Bytes payload, bool removed, Arena *arena)
{
	Pdpb__GlobalConfigItem *out = NEW_MESSAGE(arena, Pdpb__GlobalConfigItem,
											  pdpb__global_config_item__init);

	out->name =
		arena_printf(arena, "%.*s", (int) name.len, (const char *) name.data);
	if (!utf8_valid(bytes_cstr(out->name)))
		out->name = "";
	out->payload = to_binary(arena_copy(arena, payload));
	out->kind = removed ? PDPB__EVENT_TYPE__DELETE : PDPB__EVENT_TYPE__PUT;
	return out;
}

/* The key of an item; without a name the path itself. */
static Bytes
config_key(const char *path, const char *name, Arena *arena)
{
	if (name[0] == '\0')
		return bytes_make(path, strlen(path) - 1);
	return bytes_cstr(arena_printf(arena, "%s%s", path, name));
}

/* value is an older form of payload, and comes first if both are there. */
static Bytes
config_value(const Pdpb__GlobalConfigItem *item)
{
	return item->value[0] != '\0' ? bytes_cstr(item->value) :
									from_binary(item->payload);
}

static KvError
store_item(KvTxn *txn, const char *path, const Pdpb__GlobalConfigItem *item,
		   Arena *arena)
{
	KvPut put = {.key = config_key(path, item->name, arena),
				 .value = config_value(item)};
	const KvItem *prev;
	const KvItem **prevs;
	size_t n;

	if (!utf8_valid(bytes_cstr(item->name)))
		return kv_error(RPC_INVALID_ARGUMENT, "the name is not valid UTF-8");
	if (item->kind != PDPB__EVENT_TYPE__DELETE)
		return kv_put(txn, &put, &prev);
	return kv_delete(txn, (KvRange){put.key, bytes_empty()}, &prevs, &n);
}

void
pd_store_global_config(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__StoreGlobalConfigRequest *in = request;
	const char *path = global_config_path(in->config_path, ask->arena);
	KvTxn txn = begin(ask);

	(void) response;
	if (path == NULL)
	{
		(void) kv_failed(ask,
						 kv_error(RPC_INVALID_ARGUMENT,
								  GLOBAL_CONFIG_BAD_PATH));
		return;
	}
	if (in->n_changes > KV_MAX_TXN_OPS)
	{
		(void) kv_failed(
			ask,
			kv_error(RPC_INVALID_ARGUMENT,
					 "etcdserver: too many operations in txn request"));
		return;
	}
	for (size_t i = 0; i < in->n_changes; i++)
		if (kv_failed(ask, store_item(&txn, path, in->changes[i], ask->arena)))
			return;
	kv_end(&txn);
}

static void
load_named(PdAsk *ask, const KvTxn *txn, const char *path,
		   const Pdpb__LoadGlobalConfigRequest *in,
		   Pdpb__LoadGlobalConfigResponse *out)
{
	out->items = arena_alloc(ask->arena, in->n_names * sizeof(*out->items));
	for (size_t i = 0; i < in->n_names; i++)
	{
		const KvItem *item =
			kv_get(txn, config_key(path, in->names[i], ask->arena));
		Pdpb__GlobalConfigItem *to =
			global_config_item(bytes_cstr(in->names[i]),
							   item == NULL ? bytes_empty() : item->value,
							   false, ask->arena);

		if (item == NULL)
		{
			to->error = NEW_MESSAGE(ask->arena, Pdpb__Error, pdpb__error__init);
			to->error->type = PDPB__ERROR_TYPE__GLOBAL_CONFIG_NOT_FOUND;
			to->error->message =
				arena_printf(ask->arena, "key %s not found", to->name);
		}
		out->items[out->n_items++] = to;
		if (kv_failed(ask, pd_check_room(ask)))
			return;
	}
}

/* Without names all of the path, by the whole keys. */
void
pd_load_global_config(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__LoadGlobalConfigRequest *in = request;
	Pdpb__LoadGlobalConfigResponse *out = response;
	const char *path = global_config_path(in->config_path, ask->arena);
	KvTxn txn = begin(ask);
	const KvItem **items;
	size_t n;

	if (in->n_names == 0 && strcmp(in->config_path, CONTROLLER_PATH) == 0)
		path = in->config_path;
	if (path == NULL)
	{
		(void) kv_failed(ask,
						 kv_error(RPC_INVALID_ARGUMENT,
								  GLOBAL_CONFIG_BAD_PATH));
		return;
	}
	out->revision = ask->pd->state.kv.revision;
	if (in->n_names > 0)
	{
		load_named(ask, &txn, path, in, out);
		return;
	}
	n = kv_scan(&txn, kv_prefix(bytes_cstr(path), ask->arena), &items);
	out->items = arena_alloc(ask->arena, n * sizeof(*out->items));
	for (size_t i = 0; i < n; i++)
	{
		out->items[out->n_items++] =
			global_config_item(items[i]->key, items[i]->value, false,
							   ask->arena);
		if (kv_failed(ask, pd_check_room(ask)))
			return;
	}
}
