/*
 * convert.c
 *	  Messages of metapb, pdpb and keyspacepb <-> the core's plain structs.
 */
#include "pd/convert.h"

void *
new_message(Arena *arena, size_t size, void (*init)(ProtobufCMessage *))
{
	ProtobufCMessage *message = arena_alloc(arena, size);

	init(message);
	return message;
}

Bytes
pack_message(const ProtobufCMessage *message, Arena *arena)
{
	size_t len = protobuf_c_message_get_packed_size(message);
	uint8_t *out = arena_alloc(arena, len);

	protobuf_c_message_pack(message, out);
	return bytes_make(out, len);
}

RegionPeer
from_peer(const Metapb__Peer *peer)
{
	RegionPeer out = {0, 0, PEER_VOTER};

	if (peer == NULL)
		return out;
	out.id = peer->id;
	out.store_id = peer->store_id;
	out.role = (PeerRole) peer->role;
	return out;
}

Metapb__Peer *
to_peer(const RegionPeer *peer, Arena *arena)
{
	Metapb__Peer *out = NEW_MESSAGE(arena, Metapb__Peer, metapb__peer__init);

	out->id = peer->id;
	out->store_id = peer->store_id;
	out->role = (Metapb__PeerRole) peer->role;
	return out;
}

bool
from_region(const Metapb__Region *message, Region *out)
{
	memset(out, 0, sizeof(*out));
	if (message->n_peers > REGION_MAX_PEERS)
		return false;
	out->id = message->id;
	out->start_key = from_binary(message->start_key);
	out->end_key = from_binary(message->end_key);
	if (message->region_epoch != NULL)
	{
		out->epoch.conf_ver = message->region_epoch->conf_ver;
		out->epoch.version = message->region_epoch->version;
	}
	if (message->is_in_flashback)
		out->flashback_start_ts = message->flashback_start_ts;
	out->n_peers = (int) message->n_peers;
	for (int i = 0; i < out->n_peers; i++)
		out->peers[i] = from_peer(message->peers[i]);
	return true;
}

Metapb__Region *
to_region(const Region *region, Arena *arena)
{
	Metapb__Region *out =
		NEW_MESSAGE(arena, Metapb__Region, metapb__region__init);

	out->id = region->id;
	out->start_key = to_binary(region->start_key);
	out->end_key = to_binary(region->end_key);
	out->region_epoch =
		NEW_MESSAGE(arena, Metapb__RegionEpoch, metapb__region_epoch__init);
	out->region_epoch->conf_ver = region->epoch.conf_ver;
	out->region_epoch->version = region->epoch.version;
	out->is_in_flashback = region->flashback_start_ts != 0;
	out->flashback_start_ts = region->flashback_start_ts;
	out->n_peers = (size_t) region->n_peers;
	out->peers = arena_alloc(arena, out->n_peers * sizeof(*out->peers));
	for (int i = 0; i < region->n_peers; i++)
		out->peers[i] = to_peer(&region->peers[i], arena);
	return out;
}

void
from_store(const Metapb__Store *message, PdStore *out, Arena *arena)
{
	memset(out, 0, sizeof(*out));
	out->id = message->id;
	out->address = message->address;
	out->peer_address = message->peer_address;
	out->status_address = message->status_address;
	out->version = message->version;
	out->git_hash = message->git_hash;
	out->deploy_path = message->deploy_path;
	out->state = (StoreState) message->state;
	out->node_state = (NodeState) message->node_state;
	out->start_timestamp = message->start_timestamp;
	out->last_heartbeat = message->last_heartbeat;
	out->physically_destroyed = message->physically_destroyed;
	out->n_labels = message->n_labels;
	out->labels = arena_alloc(arena, out->n_labels * sizeof(Pair));
	for (size_t i = 0; i < out->n_labels; i++)
	{
		out->labels[i].key = message->labels[i]->key;
		out->labels[i].value = message->labels[i]->value;
	}
}

Metapb__Store *
to_store(const PdStore *store, Arena *arena)
{
	Metapb__Store *out = NEW_MESSAGE(arena, Metapb__Store, metapb__store__init);

	out->id = store->id;
	out->address = (char *) store->address;
	out->peer_address = (char *) store->peer_address;
	out->status_address = (char *) store->status_address;
	out->version = (char *) store->version;
	out->git_hash = (char *) store->git_hash;
	out->deploy_path = (char *) store->deploy_path;
	out->state = (Metapb__StoreState) store->state;
	out->node_state = (Metapb__NodeState) store->node_state;
	out->start_timestamp = store->start_timestamp;
	out->last_heartbeat = store->last_heartbeat;
	out->physically_destroyed = store->physically_destroyed;
	out->n_labels = store->n_labels;
	out->labels = arena_alloc(arena, out->n_labels * sizeof(*out->labels));
	for (size_t i = 0; i < store->n_labels; i++)
	{
		out->labels[i] =
			NEW_MESSAGE(arena, Metapb__StoreLabel, metapb__store_label__init);
		out->labels[i]->key = (char *) store->labels[i].key;
		out->labels[i]->value = (char *) store->labels[i].value;
	}
	return out;
}

const char *
url_address(const char *url, Arena *arena)
{
	const char *at = strstr(url, "://");
	char *out = arena_strdup(arena, at == NULL ? url : at + 3);

	out[strcspn(out, "/")] = '\0';
	return out;
}

/* pdpb.Member has no field for it; nobody is to prefer it as a leader. */
#define LEAVING_PRIORITY (-1)

void
from_member(const Pdpb__Member *message, PdMember *out)
{
	out->id = message->member_id;
	out->name = message->name;
	out->client_url = message->n_client_urls > 0 ? message->client_urls[0] : "";
	out->peer_url = message->n_peer_urls > 0 ? message->peer_urls[0] : "";
	out->version = message->binary_version;
	out->leaving = message->leader_priority == LEAVING_PRIORITY;
	out->start = 0;
}

static char **
one_string(const char *s, Arena *arena)
{
	char **out = arena_alloc(arena, sizeof(*out));

	*out = (char *) s;
	return out;
}

/*
 * With its texts copied: the change that the same request makes may free the
 * record that they stand in before the answer is packed.
 */
Pdpb__Member *
to_member(const PdMember *member, Arena *arena)
{
	Pdpb__Member *out = NEW_MESSAGE(arena, Pdpb__Member, pdpb__member__init);

	out->name = arena_strdup(arena, member->name);
	out->member_id = member->id;
	out->n_client_urls = 1;
	out->client_urls =
		one_string(arena_strdup(arena, member->client_url), arena);
	out->n_peer_urls = 1;
	out->peer_urls = one_string(arena_strdup(arena, member->peer_url), arena);
	out->binary_version = arena_strdup(arena, member->version);
	if (member->leaving)
		out->leader_priority = LEAVING_PRIORITY;
	return out;
}

void
from_keyspace(const Keyspacepb__KeyspaceMeta *message, Keyspace *out,
			  Arena *arena)
{
	memset(out, 0, sizeof(*out));
	if (message->keyspace_case == KEYSPACEPB__KEYSPACE_META__KEYSPACE_ID)
		out->id = message->id;
	out->name = message->name;
	out->state = (int) message->state;
	out->created_at = message->created_at;
	out->state_changed_at = message->state_changed_at;
	out->n_config = message->n_config;
	out->config = arena_alloc(arena, out->n_config * sizeof(Pair));
	for (size_t i = 0; i < out->n_config; i++)
	{
		out->config[i].key = message->config[i]->key;
		out->config[i].value = message->config[i]->value;
	}
}

Keyspacepb__KeyspaceMeta *
to_keyspace(const Keyspace *keyspace, Arena *arena)
{
	Keyspacepb__KeyspaceMeta *out =
		NEW_MESSAGE(arena, Keyspacepb__KeyspaceMeta,
					keyspacepb__keyspace_meta__init);

	out->keyspace_case = KEYSPACEPB__KEYSPACE_META__KEYSPACE_ID;
	out->id = keyspace->id;
	out->name = (char *) keyspace->name;
	out->state = (Keyspacepb__KeyspaceState) keyspace->state;
	out->created_at = keyspace->created_at;
	out->state_changed_at = keyspace->state_changed_at;
	out->n_config = keyspace->n_config;
	out->config = arena_alloc(arena, out->n_config * sizeof(*out->config));
	for (size_t i = 0; i < keyspace->n_config; i++)
	{
		out->config[i] =
			NEW_MESSAGE(arena, Keyspacepb__KeyspaceMeta__ConfigEntry,
						keyspacepb__keyspace_meta__config_entry__init);
		out->config[i]->key = (char *) keyspace->config[i].key;
		out->config[i]->value = (char *) keyspace->config[i].value;
	}
	return out;
}

static KvItem
copy_item(const KvItem *item, bool with_value, Arena *arena)
{
	KvItem copy = *item;

	copy.key = arena_copy(arena, item->key);
	copy.value = with_value ? arena_copy(arena, item->value) : bytes_empty();
	return copy;
}

MetaStoragepb__KeyValue *
to_meta_item(const KvItem *item, Arena *arena)
{
	MetaStoragepb__KeyValue *out = NEW_MESSAGE(arena, MetaStoragepb__KeyValue,
											   meta_storagepb__key_value__init);
	KvItem copy = copy_item(item, true, arena);

	FILL_ITEM(out, &copy);
	return out;
}

Mvccpb__KeyValue *
to_etcd_item(const KvItem *item, bool with_value, Arena *arena)
{
	Mvccpb__KeyValue *out =
		NEW_MESSAGE(arena, Mvccpb__KeyValue, mvccpb__key_value__init);
	KvItem copy = copy_item(item, with_value, arena);

	FILL_ITEM(out, &copy);
	return out;
}
