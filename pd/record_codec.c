/*
 * record_codec.c
 *	  Records as keys and values: the names that tikv/pd gives its keys,
 *	  values as protobuf or decimal text.
 *
 * Names are those of tikv/pd pkg/utils/keypath, without the root
 * /pd/{cluster_id}/; keys outside that root keep their leading slash.  What
 * etcd's clients store is below kv/, which is ours.
 */
#include "pd/record_codec.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/base/check.h"
#include "keyspacepb.pb-c.h"
#include "metapb.pb-c.h"
#include "pd/convert.h"
#include "pd/core/state.h"
#include "pd/core/tso.h"
#include "pdpb.pb-c.h"
#include "service/service.h"

#define STORE_PREFIX "raft/s/"
#define PEER_PREFIX "member/"
#define REGION_PREFIX "raft/r/"
#define BARRIER_PREFIX "gc/safe_point/service/"
#define GLOBAL_BARRIER_PREFIX "gc/global_gc_barriers/"
#define KEYSPACE_PREFIX "keyspaces/meta/"
#define KV_PREFIX "kv/key/"
#define LEASE_PREFIX "kv/lease/"

/* Keys that are one number. */
typedef struct NumberKey
{
	PdRecordKind kind;
	const char *key;
} NumberKey;

static const NumberKey number_keys[] = {
	{PD_RECORD_CLUSTER_ID, "/pd/cluster_id"},
	{PD_RECORD_ALLOC_ID, "alloc_id"},
	{PD_RECORD_TIMESTAMP, "timestamp"},
	{PD_RECORD_BOOTSTRAP_TIME, "raft/status/raft_bootstrap_time"},
	{PD_RECORD_GC_SAFE_POINT, "gc/safe_point"},
	{PD_RECORD_TXN_SAFE_POINT, PD_SAFE_POINT_KEY},
	{PD_RECORD_EXTERNAL_TS, "raft/external_timestamp"},
	{PD_RECORD_MIN_RESOLVED_TS, "raft/min_resolved_ts"},
	{PD_RECORD_KEYSPACE_ID, "keyspaces/alloc_id"},
	{PD_RECORD_KV_REVISION, "kv/revision"},
	{PD_RECORD_KV_COMPACTED, "kv/compacted"},
};

#define N_NUMBER_KEYS (sizeof(number_keys) / sizeof(number_keys[0]))
#define MEMBER_KEY "leader"
#define CLUSTER_KEY "raft"

/* ---- records to items ---- */

static const char *
number_key(PdRecordKind kind)
{
	for (size_t i = 0; i < N_NUMBER_KEYS; i++)
		if (number_keys[i].kind == kind)
			return number_keys[i].key;
	CHECK(false);
	return NULL;
}

static Bytes
encode_cluster(uint64_t max_peer_count, uint64_t cluster_id, Arena *arena)
{
	Metapb__Cluster cluster = METAPB__CLUSTER__INIT;

	cluster.id = cluster_id;
	cluster.max_peer_count = (uint32_t) max_peer_count;
	return pack_message(&cluster.base, arena);
}

/* "timestamp expiry", both decimal. */
static Bytes
encode_barrier(const GcBarrier *barrier, Arena *arena)
{
	return bytes_cstr(arena_printf(arena, "%" PRIu64 " %" PRId64, barrier->ts,
								   barrier->expires_at));
}

/* Bytes as text: what is not plain ASCII becomes %XX. */
static const char *
escape(Bytes key, Arena *arena)
{
	static const char digits[] = "0123456789ABCDEF";
	char *out = arena_alloc(arena, 3 * key.len + 1);
	char *at = out;

	for (size_t i = 0; i < key.len; i++)
	{
		uint8_t byte = key.data[i];

		if (byte > ' ' && byte < 0x7F && byte != '%')
		{
			*at++ = (char) byte;
			continue;
		}
		*at++ = '%';
		*at++ = digits[byte >> 4];
		*at++ = digits[byte & 15];
	}
	*at = '\0';
	return out;
}

static Bytes
encode_kv(const KvItem *item, Arena *arena)
{
	Mvccpb__KeyValue out = MVCCPB__KEY_VALUE__INIT;

	FILL_ITEM(&out, item);
	return pack_message(&out.base, arena);
}

static const char *
record_key(const PdRecord *record, Arena *arena)
{
	switch (record->kind)
	{
		case PD_RECORD_MEMBER:
			return MEMBER_KEY;
		case PD_RECORD_PEER:
			return arena_printf(arena, PEER_PREFIX "%020" PRIu64,
								record->removed ? record->number :
												  record->member->id);
		case PD_RECORD_CLUSTER:
			return CLUSTER_KEY;
		case PD_RECORD_STORE:
			return arena_printf(arena, STORE_PREFIX "%020" PRIu64,
								record->removed ? record->number :
												  record->store->id);
		case PD_RECORD_REGION:
			return arena_printf(arena, REGION_PREFIX "%020" PRIu64,
								record->removed ? record->number :
												  record->region->meta.id);
		case PD_RECORD_GC_BARRIER:
			return arena_printf(arena, BARRIER_PREFIX "%s", record->barrier.id);
		case PD_RECORD_GLOBAL_BARRIER:
			return arena_printf(arena, GLOBAL_BARRIER_PREFIX "%s",
								record->barrier.id);
		case PD_RECORD_KEYSPACE:
			return arena_printf(arena, KEYSPACE_PREFIX "%08u",
								record->keyspace->id);
		case PD_RECORD_KV:
			return arena_printf(arena, KV_PREFIX "%s",
								escape(record->kv->key, arena));
		case PD_RECORD_LEASE:
			return arena_printf(arena, LEASE_PREFIX "%020" PRId64,
								record->lease.id);
		default:
			return number_key(record->kind);
	}
}

/* Its start has no field of its own, and nobody but us reads the record. */
static Bytes
encode_member(const PdMember *member, Arena *arena)
{
	Pdpb__Member *message = to_member(member, arena);

	if (member->start != 0)
		message->git_hash =
			(char *) arena_printf(arena, "start %" PRIu64, member->start);
	return pack_message(&message->base, arena);
}

static Bytes
record_value(const PdRecord *record, uint64_t cluster_id, Arena *arena)
{
	switch (record->kind)
	{
		case PD_RECORD_MEMBER:
		case PD_RECORD_PEER:
			return encode_member(record->member, arena);
		case PD_RECORD_CLUSTER:
			return encode_cluster(record->number, cluster_id, arena);
		case PD_RECORD_STORE:
			return pack_message(&to_store(record->store, arena)->base, arena);
		case PD_RECORD_REGION:
			return pack_message(&to_region(&record->region->meta, arena)->base,
								arena);
		case PD_RECORD_GC_BARRIER:
		case PD_RECORD_GLOBAL_BARRIER:
			return encode_barrier(&record->barrier, arena);
		case PD_RECORD_KEYSPACE:
			return pack_message(&to_keyspace(record->keyspace, arena)->base,
								arena);
		case PD_RECORD_KV:
			return encode_kv(record->kv, arena);
		case PD_RECORD_LEASE:
			return bytes_cstr(arena_printf(arena, "%" PRId64,
										   record->lease.ttl));
		default:
			return bytes_cstr(arena_printf(arena, "%" PRIu64, record->number));
	}
}

ProposalItem
record_encode(const PdRecord *record, uint64_t cluster_id, Arena *arena)
{
	ProposalItem item = {.removed = record->removed};

	item.key = bytes_cstr(record_key(record, arena));
	if (!record->removed)
		item.value = record_value(record, cluster_id, arena);
	return item;
}

/* ---- items to records ---- */

bool
parse_number(Bytes text, uint64_t *out)
{
	uint64_t number = 0;

	if (text.len == 0 || text.len > 20)
		return false;
	for (size_t i = 0; i < text.len; i++)
	{
		uint64_t digit = (uint64_t) text.data[i] - '0';

		if (digit > 9 || number > (UINT64_MAX - digit) / 10)
			return false;
		number = number * 10 + digit;
	}
	*out = number;
	return true;
}

static bool
has_prefix(Bytes key, const char *prefix, Bytes *rest)
{
	size_t len = strlen(prefix);

	if (key.len <= len || memcmp(key.data, prefix, len) != 0)
		return false;
	*rest = bytes_make(key.data + len, key.len - len);
	return true;
}

static const char *
text_of(Bytes b, Arena *arena)
{
	char *out = arena_alloc(arena, b.len + 1);

	memcpy(out, b.data, b.len);
	out[b.len] = '\0';
	return out;
}

static Status
decode_store(Bytes value, Arena *arena, PdRecord *out)
{
	const Metapb__Store *message =
		(const Metapb__Store *) service_unpack(&metapb__store__descriptor,
											   value, arena);
	PdStore *store = arena_alloc(arena, sizeof(*store));

	if (message == NULL || message->id == 0)
		return STATUS_CORRUPT;
	from_store(message, store, arena);
	out->kind = PD_RECORD_STORE;
	out->store = store;
	return STATUS_OK;
}

static Status
decode_region(Bytes value, Arena *arena, PdRecord *out)
{
	const Metapb__Region *message =
		(const Metapb__Region *) service_unpack(&metapb__region__descriptor,
												value, arena);
	PdRegion *region = arena_zalloc(arena, sizeof(*region));

	if (message == NULL || message->id == 0 ||
		!from_region(message, &region->meta))
		return STATUS_CORRUPT;
	out->kind = PD_RECORD_REGION;
	out->region = region;
	return STATUS_OK;
}

static Status
decode_member(PdRecordKind kind, Bytes value, Arena *arena, PdRecord *out)
{
	const Pdpb__Member *message =
		(const Pdpb__Member *) service_unpack(&pdpb__member__descriptor, value,
											  arena);
	PdMember *member = arena_alloc(arena, sizeof(*member));

	if (message == NULL || message->member_id == 0)
		return STATUS_CORRUPT;
	from_member(message, member);
	if (sscanf(message->git_hash, "start %" SCNu64, &member->start) != 1)
		member->start = 0;
	out->kind = kind;
	out->member = member;
	return STATUS_OK;
}

static Status
decode_cluster(Bytes value, Arena *arena, PdRecord *out)
{
	const Metapb__Cluster *message =
		(const Metapb__Cluster *) service_unpack(&metapb__cluster__descriptor,
												 value, arena);

	if (message == NULL)
		return STATUS_CORRUPT;
	out->kind = PD_RECORD_CLUSTER;
	out->number = message->max_peer_count;
	return STATUS_OK;
}

static Status
decode_keyspace(Bytes value, Arena *arena, PdRecord *out)
{
	const Keyspacepb__KeyspaceMeta *message = (const Keyspacepb__KeyspaceMeta *)
		service_unpack(&keyspacepb__keyspace_meta__descriptor, value, arena);
	Keyspace *keyspace = arena_alloc(arena, sizeof(*keyspace));

	if (message == NULL)
		return STATUS_CORRUPT;
	from_keyspace(message, keyspace, arena);
	out->kind = PD_RECORD_KEYSPACE;
	out->keyspace = keyspace;
	return STATUS_OK;
}

static Status
decode_barrier(PdRecordKind kind, Bytes id, Bytes value, Arena *arena,
			   PdRecord *out)
{
	const uint8_t *space =
		value.len == 0 ? NULL : memchr(value.data, ' ', value.len);
	size_t ts_len;
	uint64_t expires_at;

	/* as in requests: an id is a C string that is not empty */
	if (space == NULL || id.len == 0 || memchr(id.data, '\0', id.len) != NULL)
		return STATUS_CORRUPT;
	ts_len = (size_t) (space - value.data);
	if (!parse_number(bytes_make(value.data, ts_len), &out->barrier.ts) ||
		!parse_number(bytes_make(space + 1, value.len - ts_len - 1),
					  &expires_at) ||
		expires_at > INT64_MAX)
		return STATUS_CORRUPT;
	out->kind = kind;
	out->barrier.id = text_of(id, arena);
	out->barrier.expires_at = (int64_t) expires_at;
	return STATUS_OK;
}

/* There has to be a next one. */
static bool
is_revision(int64_t number)
{
	return number >= 0 && number <= KV_LAST_REVISION;
}

static Status
decode_kv(Bytes value, Arena *arena, PdRecord *out)
{
	const Mvccpb__KeyValue *message = (const Mvccpb__KeyValue *)
		service_unpack(&mvccpb__key_value__descriptor, value, arena);
	KvItem *item = arena_zalloc(arena, sizeof(*item));

	if (message == NULL || message->key.len == 0 ||
		!is_revision(message->create_revision) ||
		!is_revision(message->mod_revision) || !is_revision(message->version))
		return STATUS_CORRUPT;
	item->key = from_binary(message->key);
	item->value = from_binary(message->value);
	item->create_revision = message->create_revision;
	item->mod_revision = message->mod_revision;
	item->version = message->version;
	item->lease = message->lease;
	out->kind = PD_RECORD_KV;
	out->kv = item;
	return STATUS_OK;
}

static Status
decode_lease(Bytes id, Bytes value, PdRecord *out)
{
	uint64_t number;
	uint64_t ttl;

	if (!parse_number(id, &number) || number > INT64_MAX ||
		!parse_number(value, &ttl) || ttl > INT64_MAX)
		return STATUS_CORRUPT;
	out->kind = PD_RECORD_LEASE;
	out->lease.id = (int64_t) number;
	out->lease.ttl = (int64_t) ttl;
	out->lease.expire_us = INT64_MAX;
	return STATUS_OK;
}

/* What is counted on from there, or into what it has to fit. */
static uint64_t
largest(PdRecordKind kind)
{
	switch (kind)
	{
		case PD_RECORD_KV_REVISION:
		case PD_RECORD_KV_COMPACTED:
			return KV_LAST_REVISION;
		case PD_RECORD_TIMESTAMP:
			return UINT64_MAX >> (TSO_LOGICAL_BITS + 1);
		case PD_RECORD_BOOTSTRAP_TIME:
			return INT64_MAX;
		default:
			return UINT64_MAX;
	}
}

static Status
decode_number(Bytes key, Bytes value, PdRecord *out)
{
	for (size_t i = 0; i < N_NUMBER_KEYS; i++)
		if (bytes_eq(key, bytes_cstr(number_keys[i].key)))
		{
			out->kind = number_keys[i].kind;
			return parse_number(value, &out->number) &&
					out->number <= largest(out->kind) ?
				STATUS_OK :
				STATUS_CORRUPT;
		}
	return STATUS_NOT_FOUND;
}

bool
record_is_cluster_id(Bytes key)
{
	return bytes_eq(key, bytes_cstr(number_key(PD_RECORD_CLUSTER_ID)));
}

bool
record_is_of_members(Bytes key)
{
	Bytes rest;

	return has_prefix(key, PEER_PREFIX, &rest) ||
		bytes_eq(key, bytes_cstr(MEMBER_KEY)) || record_is_cluster_id(key);
}

Status
record_decode(Bytes key, Bytes value, Arena *arena, PdRecord *out)
{
	Bytes rest;

	memset(out, 0, sizeof(*out));
	if (has_prefix(key, STORE_PREFIX, &rest))
		return decode_store(value, arena, out);
	if (has_prefix(key, REGION_PREFIX, &rest))
		return decode_region(value, arena, out);
	if (has_prefix(key, BARRIER_PREFIX, &rest))
		return decode_barrier(PD_RECORD_GC_BARRIER, rest, value, arena, out);
	if (has_prefix(key, GLOBAL_BARRIER_PREFIX, &rest))
		return decode_barrier(PD_RECORD_GLOBAL_BARRIER, rest, value, arena,
							  out);
	if (has_prefix(key, KEYSPACE_PREFIX, &rest))
		return decode_keyspace(value, arena, out);
	if (has_prefix(key, KV_PREFIX, &rest))
		return decode_kv(value, arena, out);
	if (has_prefix(key, LEASE_PREFIX, &rest))
		return decode_lease(rest, value, out);
	if (bytes_eq(key, bytes_cstr(MEMBER_KEY)))
		return decode_member(PD_RECORD_MEMBER, value, arena, out);
	if (has_prefix(key, PEER_PREFIX, &rest))
		return decode_member(PD_RECORD_PEER, value, arena, out);
	if (bytes_eq(key, bytes_cstr(CLUSTER_KEY)))
		return decode_cluster(value, arena, out);
	return decode_number(key, value, out);
}
