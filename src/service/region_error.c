/*
 * region_error.c
 *	  RegionError -> errorpb.Error, in the one place that does it.
 *
 * Which field a client acts on is client-contract 2.5.  `message` is always
 * filled, for people.
 */
#include "core/base/check.h"
#include "core/base/rpc_code.h"
#include "errorpb.pb-c.h"
#include "service/messages.h"
#include "service/raw.h"
#include "service/txn.h"

typedef unsigned long long Llu;

Metapb__Peer *
service_peer_message(const RegionPeer *peer, Arena *arena)
{
	Metapb__Peer *out = arena_alloc(arena, sizeof(*out));

	metapb__peer__init(out);
	out->id = peer->id;
	out->store_id = peer->store_id;
	out->role = (Metapb__PeerRole) peer->role;
	return out;
}

static ProtobufCBinaryData
wire_bytes(Bytes b)
{
	ProtobufCBinaryData out = {b.len, (uint8_t *) b.data};

	return out;
}

Metapb__Region *
service_region_message(const Region *region, Arena *arena)
{
	Metapb__Region *out = arena_alloc(arena, sizeof(*out));
	Metapb__RegionEpoch *epoch = arena_alloc(arena, sizeof(*epoch));

	metapb__region__init(out);
	metapb__region_epoch__init(epoch);
	epoch->conf_ver = region->epoch.conf_ver;
	epoch->version = region->epoch.version;
	out->id = region->id;
	out->start_key = wire_bytes(region->start_key);
	out->end_key = wire_bytes(region->end_key);
	out->region_epoch = epoch;
	out->is_in_flashback = region->flashback_start_ts != 0;
	out->flashback_start_ts = region->flashback_start_ts;
	out->n_peers = (size_t) region->n_peers;
	out->peers = arena_alloc(arena, out->n_peers * sizeof(*out->peers));
	for (int i = 0; i < region->n_peers; i++)
		out->peers[i] = service_peer_message(&region->peers[i], arena);
	return out;
}

static void
not_leader(Errorpb__Error *out, const RegionError *error, Arena *arena)
{
	Errorpb__NotLeader *part = arena_alloc(arena, sizeof(*part));

	errorpb__not_leader__init(part);
	part->region_id = error->region_id;
	if (error->leader.id != 0)
		part->leader = service_peer_message(&error->leader, arena);
	out->not_leader = part;
	out->message =
		arena_printf(arena, "peer is not leader for region %llu, leader may %s",
					 (Llu) error->region_id,
					 error->leader.id != 0 ? "be the given peer" : "None");
}

static void
region_not_found(Errorpb__Error *out, const RegionError *error, Arena *arena)
{
	Errorpb__RegionNotFound *part = arena_alloc(arena, sizeof(*part));

	errorpb__region_not_found__init(part);
	part->region_id = error->region_id;
	out->region_not_found = part;
	out->message =
		arena_printf(arena, "region %llu not found", (Llu) error->region_id);
}

static void
key_not_in_region(Errorpb__Error *out, const RegionError *error, Arena *arena)
{
	Errorpb__KeyNotInRegion *part = arena_alloc(arena, sizeof(*part));

	errorpb__key_not_in_region__init(part);
	part->key = wire_bytes(error->key);
	part->region_id = error->region_id;
	part->start_key = wire_bytes(error->current->start_key);
	part->end_key = wire_bytes(error->current->end_key);
	out->key_not_in_region = part;
	out->message = arena_printf(arena, "key is not in region %llu",
								(Llu) error->region_id);
}

static void
epoch_not_match(Errorpb__Error *out, const RegionError *error, Arena *arena)
{
	Errorpb__EpochNotMatch *part = arena_alloc(arena, sizeof(*part));

	errorpb__epoch_not_match__init(part);
	part->n_current_regions = 1 + (size_t) error->n_siblings;
	part->current_regions =
		arena_alloc(arena,
					part->n_current_regions * sizeof(*part->current_regions));
	part->current_regions[0] = service_region_message(error->current, arena);
	for (int i = 0; i < error->n_siblings; i++)
		part->current_regions[1 + i] =
			service_region_message(error->siblings[i], arena);
	out->epoch_not_match = part;
	out->message = arena_printf(
		arena,
		"epoch not match, current epoch of region %llu is conf_ver: %llu version: %llu",
		(Llu) error->current->id, (Llu) error->current->epoch.conf_ver,
		(Llu) error->current->epoch.version);
}

static void
server_is_busy(Errorpb__Error *out, const RegionError *error, Arena *arena)
{
	Errorpb__ServerIsBusy *part = arena_alloc(arena, sizeof(*part));

	errorpb__server_is_busy__init(part);
	part->reason = arena_strdup(arena, error->reason);
	part->backoff_ms = error->backoff_ms;
	out->server_is_busy = part;

	/* Clients look for one spelling in the reason, the other in the message. */
	out->message = strcmp(error->reason, SERVICE_TOO_LATE) == 0 ?
		arena_strdup(arena, "Deadline is exceeded") :
		part->reason;
}

static void
store_not_match(Errorpb__Error *out, const RegionError *error, Arena *arena)
{
	Errorpb__StoreNotMatch *part = arena_alloc(arena, sizeof(*part));

	errorpb__store_not_match__init(part);
	part->request_store_id = error->expected;
	part->actual_store_id = error->actual;
	out->store_not_match = part;
	out->message =
		arena_printf(arena,
					 "request store id %llu does not match store id %llu",
					 (Llu) error->expected, (Llu) error->actual);
}

static void
entry_too_large(Errorpb__Error *out, const RegionError *error, Arena *arena)
{
	Errorpb__RaftEntryTooLarge *part = arena_alloc(arena, sizeof(*part));

	errorpb__raft_entry_too_large__init(part);
	part->region_id = error->region_id;
	part->entry_size = error->actual;
	out->raft_entry_too_large = part;
	out->message = error->reason != NULL ?
		arena_strdup(arena, error->reason) :
		arena_printf(arena,
					 "raft entry is too large, region %llu, entry size %llu",
					 (Llu) error->region_id, (Llu) error->actual);
}

static void
disk_full(Errorpb__Error *out, const RegionError *error, Arena *arena)
{
	Errorpb__DiskFull *part = arena_alloc(arena, sizeof(*part));

	errorpb__disk_full__init(part);
	part->n_store_id = error->stores != NULL ? (size_t) error->n_stores : 1;
	part->store_id =
		arena_alloc(arena, part->n_store_id * sizeof(*part->store_id));
	memcpy(part->store_id,
		   error->stores != NULL ? error->stores : &error->actual,
		   part->n_store_id * sizeof(*part->store_id));
	part->reason = arena_strdup(arena, error->reason);
	out->disk_full = part;
	out->message = part->reason;
}

static void
mismatch_peer_id(Errorpb__Error *out, const RegionError *error, Arena *arena)
{
	Errorpb__MismatchPeerId *part = arena_alloc(arena, sizeof(*part));

	errorpb__mismatch_peer_id__init(part);
	part->request_peer_id = error->expected;
	part->store_peer_id = error->actual;
	out->mismatch_peer_id = part;
	out->message = arena_printf(arena, "mismatch peer id %llu != %llu",
								(Llu) error->expected, (Llu) error->actual);
}

static void
stale_command(Errorpb__Error *out, Arena *arena)
{
	out->stale_command = arena_alloc(arena, sizeof(*out->stale_command));
	errorpb__stale_command__init(out->stale_command);
	out->message = arena_strdup(arena, "stale command");
}

static void
undetermined_result(Errorpb__Error *out, const RegionError *error, Arena *arena)
{
	Errorpb__UndeterminedResult *part = arena_alloc(arena, sizeof(*part));

	errorpb__undetermined_result__init(part);
	part->message = arena_strdup(arena, error->reason);
	out->undetermined_result = part;
	out->message = arena_printf(arena, "%s: outcome unknown", error->reason);
}

static void
read_index_not_ready(Errorpb__Error *out, const RegionError *error,
					 Arena *arena)
{
	Errorpb__ReadIndexNotReady *part = arena_alloc(arena, sizeof(*part));

	errorpb__read_index_not_ready__init(part);
	part->region_id = error->region_id;
	part->reason = arena_strdup(arena, error->reason);
	out->read_index_not_ready = part;
	out->message = part->reason;
}

static void
data_is_not_ready(Errorpb__Error *out, const RegionError *error, Arena *arena)
{
	Errorpb__DataIsNotReady *part = arena_alloc(arena, sizeof(*part));

	errorpb__data_is_not_ready__init(part);
	part->region_id = error->region_id;
	part->peer_id = error->expected;
	part->safe_ts = error->actual;
	out->data_is_not_ready = part;
	out->message = arena_printf(arena, "data of region %llu is not ready",
								(Llu) error->region_id);
}

static void
max_ts_not_synced(Errorpb__Error *out, const RegionError *error, Arena *arena)
{
	out->max_timestamp_not_synced =
		arena_alloc(arena, sizeof(*out->max_timestamp_not_synced));
	errorpb__max_timestamp_not_synced__init(out->max_timestamp_not_synced);
	out->message =
		arena_printf(arena, "max timestamp of region %llu is not synced yet",
					 (Llu) error->region_id);
}

static void
flashback_in_progress(Errorpb__Error *out, const RegionError *error,
					  Arena *arena)
{
	Errorpb__FlashbackInProgress *part = arena_alloc(arena, sizeof(*part));

	errorpb__flashback_in_progress__init(part);
	part->region_id = error->region_id;
	part->flashback_start_ts = error->actual;
	out->flashbackinprogress = part;
	out->message = arena_printf(arena, "region %llu is in flashback progress",
								(Llu) error->region_id);
}

static void
flashback_not_prepared(Errorpb__Error *out, const RegionError *error,
					   Arena *arena)
{
	Errorpb__FlashbackNotPrepared *part = arena_alloc(arena, sizeof(*part));

	errorpb__flashback_not_prepared__init(part);
	part->region_id = error->region_id;
	out->flashbacknotprepared = part;
	out->message =
		arena_printf(arena, "region %llu is not prepared for the flashback",
					 (Llu) error->region_id);
}

Errorpb__Error *
service_error_message(const RegionError *error, Arena *arena)
{
	Errorpb__Error *out = arena_alloc(arena, sizeof(*out));

	errorpb__error__init(out);
	switch (error->kind)
	{
		case REGION_NOT_LEADER:
			not_leader(out, error, arena);
			break;
		case REGION_NOT_FOUND:
			region_not_found(out, error, arena);
			break;
		case REGION_KEY_NOT_IN_REGION:
			key_not_in_region(out, error, arena);
			break;
		case REGION_EPOCH_NOT_MATCH:
			epoch_not_match(out, error, arena);
			break;
		case REGION_SERVER_IS_BUSY:
			server_is_busy(out, error, arena);
			break;
		case REGION_STALE_COMMAND:
			stale_command(out, arena);
			break;
		case REGION_UNDETERMINED:
			undetermined_result(out, error, arena);
			break;
		case REGION_STORE_NOT_MATCH:
			store_not_match(out, error, arena);
			break;
		case REGION_ENTRY_TOO_LARGE:
			entry_too_large(out, error, arena);
			break;
		case REGION_DISK_FULL:
			disk_full(out, error, arena);
			break;
		case REGION_MISMATCH_PEER_ID:
			mismatch_peer_id(out, error, arena);
			break;
		case REGION_READ_INDEX_NOT_READY:
			read_index_not_ready(out, error, arena);
			break;
		case REGION_DATA_IS_NOT_READY:
			data_is_not_ready(out, error, arena);
			break;
		case REGION_MAX_TS_NOT_SYNCED:
			max_ts_not_synced(out, error, arena);
			break;
		case REGION_FLASHBACK_IN_PROGRESS:
			flashback_in_progress(out, error, arena);
			break;
		case REGION_FLASHBACK_NOT_PREPARED:
			flashback_not_prepared(out, error, arena);
			break;
		case REGION_MESSAGE_ONLY:
			out->message = arena_strdup(arena, error->reason);
			break;
		case REGION_OK:
			CHECK(false);
			break;
	}
	return out;
}

void
service_region_error(Request *request, const RegionError *error)
{
	ProtobufCMessage *reply;
	const ProtobufCFieldDescriptor *field;

	if (!service_has_region_error(request->method))
	{
		request->fail(request, RPC_UNAVAILABLE,
					  service_error_message(error, request->arena)->message);
		return;
	}
	reply = service_new_message(request->method->response, request->arena);
	field = protobuf_c_message_descriptor_get_field(reply->descriptor, 1);
	*(Errorpb__Error **) ((uint8_t *) reply + field->offset) =
		service_error_message(error, request->arena);
	request->done(request, reply);
}

void
service_busy(Request *request, const char *reason)
{
	RegionError error = {.kind = REGION_SERVER_IS_BUSY,
						 .reason = reason,
						 .backoff_ms = 100};

	service_region_error(request, &error);
}

void
service_damaged(Request *request)
{
	if (txn_is_method(request->method->id))
		txn_answer_read_error(request, SERVICE_DAMAGED);
	else
		raw_answer_read_error(request, SERVICE_DAMAGED);
}

void
service_unknown(Request *request, const char *reason)
{
	RegionError error = {.kind = REGION_UNDETERMINED, .reason = reason};

	if (request->method->kind == SERVICE_WRITE &&
		!txn_is_method(request->method->id))
	{
		service_region_error(request, &error);
		return;
	}
	request->fail(request, RPC_UNAVAILABLE,
				  arena_printf(request->arena, "%s: outcome unknown", reason));
}

const char service_too_long[] = "the read takes long";

void
service_give_up(Request *request, const char *reason)
{
	if (reason != service_too_long)
		service_busy(request, reason);
}
