/*
 * service.c
 *	  The table of RPCs, and unpacking of bytes that nobody vouches for.
 *
 * Only methods that are built are listed: a number that is missing here is
 * answered with UNIMPLEMENTED (unary) or an empty response (BatchCommands).
 */
#include "service/service.h"

#include <stdlib.h>

#include "errorpb.pb-c.h"
#include "kvrpcpb.pb-c.h"
#include "pdpb.pb-c.h"
#include "raft_cmdpb.pb-c.h"
#include "service/wire.h"
#include "tikvpb.pb-c.h"

#define KV(id, name, kind, type, in_batch)                                     \
	{                                                                          \
		id, "/tikvpb.Tikv/" name, kind, &kvrpcpb__##type##request__descriptor, \
			&kvrpcpb__##type##response__descriptor, in_batch                   \
	}

const ServiceMethod service_methods[] = {
	KV(METHOD_KV_GET, "KvGet", SERVICE_READ, get_, true),
	KV(METHOD_KV_SCAN, "KvScan", SERVICE_READ, scan_, true),
	KV(METHOD_KV_BATCH_GET, "KvBatchGet", SERVICE_READ, batch_get_, true),
	KV(METHOD_KV_PREWRITE, "KvPrewrite", SERVICE_WRITE, prewrite_, true),
	KV(METHOD_KV_COMMIT, "KvCommit", SERVICE_WRITE, commit_, true),
	KV(METHOD_KV_CLEANUP, "KvCleanup", SERVICE_WRITE, cleanup_, true),
	KV(METHOD_KV_BATCH_ROLLBACK, "KvBatchRollback", SERVICE_WRITE,
	   batch_rollback_, true),
	KV(METHOD_KV_SCAN_LOCK, "KvScanLock", SERVICE_WRITE, scan_lock_, true),
	KV(METHOD_KV_RESOLVE_LOCK, "KvResolveLock", SERVICE_WRITE, resolve_lock_,
	   true),
	KV(METHOD_KV_PESSIMISTIC_LOCK, "KvPessimisticLock", SERVICE_WRITE,
	   pessimistic_lock_, true),
	KV(METHOD_KV_PESSIMISTIC_ROLLBACK, "KVPessimisticRollback", SERVICE_WRITE,
	   pessimistic_rollback_, true),
	KV(METHOD_KV_CHECK_TXN_STATUS, "KvCheckTxnStatus", SERVICE_WRITE,
	   check_txn_status_, true),
	KV(METHOD_KV_TXN_HEART_BEAT, "KvTxnHeartBeat", SERVICE_WRITE,
	   txn_heart_beat_, true),
	KV(METHOD_KV_CHECK_SECONDARY_LOCKS, "KvCheckSecondaryLocks", SERVICE_WRITE,
	   check_secondary_locks_, true),
	KV(METHOD_KV_FLUSH, "KvFlush", SERVICE_WRITE, flush_, true),
	KV(METHOD_KV_BUFFER_BATCH_GET, "KvBufferBatchGet", SERVICE_READ,
	   buffer_batch_get_, true),
	KV(METHOD_KV_PREPARE_FLASHBACK, "KvPrepareFlashbackToVersion",
	   SERVICE_WRITE, prepare_flashback_to_version_, true),
	KV(METHOD_KV_FLASHBACK_TO_VERSION, "KvFlashbackToVersion", SERVICE_WRITE,
	   flashback_to_version_, true),
	KV(METHOD_KV_DELETE_RANGE, "KvDeleteRange", SERVICE_WRITE, delete_range_,
	   true),
	KV(METHOD_UNSAFE_DESTROY_RANGE, "UnsafeDestroyRange", SERVICE_WRITE,
	   unsafe_destroy_range_, false),
	KV(METHOD_BROADCAST_TXN_STATUS, "BroadcastTxnStatus", SERVICE_STORE,
	   broadcast_txn_status_, true),
	KV(METHOD_MVCC_GET_BY_KEY, "MvccGetByKey", SERVICE_READ, mvcc_get_by_key_,
	   false),
	KV(METHOD_MVCC_GET_BY_START_TS, "MvccGetByStartTs", SERVICE_READ,
	   mvcc_get_by_start_ts_, false),
	KV(METHOD_SPLIT_REGION, "SplitRegion", SERVICE_STORE, split_region_, false),
	KV(METHOD_GET_LOCK_WAIT_INFO, "GetLockWaitInfo", SERVICE_STORE,
	   get_lock_wait_info_, false),

	KV(METHOD_RAW_GET, "RawGet", SERVICE_READ, raw_get_, true),
	KV(METHOD_RAW_BATCH_GET, "RawBatchGet", SERVICE_READ, raw_batch_get_, true),
	KV(METHOD_RAW_PUT, "RawPut", SERVICE_WRITE, raw_put_, true),
	KV(METHOD_RAW_BATCH_PUT, "RawBatchPut", SERVICE_WRITE, raw_batch_put_,
	   true),
	KV(METHOD_RAW_DELETE, "RawDelete", SERVICE_WRITE, raw_delete_, true),
	KV(METHOD_RAW_BATCH_DELETE, "RawBatchDelete", SERVICE_WRITE,
	   raw_batch_delete_, true),
	KV(METHOD_RAW_SCAN, "RawScan", SERVICE_READ, raw_scan_, true),
	KV(METHOD_RAW_DELETE_RANGE, "RawDeleteRange", SERVICE_WRITE,
	   raw_delete_range_, true),
	KV(METHOD_RAW_BATCH_SCAN, "RawBatchScan", SERVICE_READ, raw_batch_scan_,
	   true),
	KV(METHOD_RAW_COPROCESSOR, "RawCoprocessor", SERVICE_INFO, raw_coprocessor_,
	   true),
	KV(METHOD_RAW_GET_KEY_TTL, "RawGetKeyTTL", SERVICE_READ, raw_get_key_ttl,
	   false),
	KV(METHOD_RAW_CAS, "RawCompareAndSwap", SERVICE_WRITE, raw_cas, false),
	KV(METHOD_RAW_CHECKSUM, "RawChecksum", SERVICE_READ, raw_checksum_, false),
	KV(METHOD_GET_HEALTH_FEEDBACK, "GetHealthFeedback", SERVICE_INFO,
	   get_health_feedback_, true),
	KV(METHOD_GET_STORE_SAFE_TS, "GetStoreSafeTS", SERVICE_INFO, store_safe_ts,
	   false),

	/* no RPCs of their own */
	{METHOD_EMPTY, NULL, SERVICE_INFO,
	 &tikvpb__batch_commands_empty_request__descriptor,
	 &tikvpb__batch_commands_empty_response__descriptor, true},
	{METHOD_SQL_INSERT, NULL, SERVICE_WRITE,
	 &kvrpcpb__raw_put_request__descriptor,
	 &kvrpcpb__raw_put_response__descriptor, false},
	{METHOD_STORE_ADMIN, "/tikv_fdw.Store/Order", SERVICE_STORE,
	 &raft_cmdpb__raft_cmd_request__descriptor,
	 &raft_cmdpb__raft_cmd_response__descriptor, false},
	{METHOD_STORE_LOCKS, "/tikv_fdw.Store/Locks", SERVICE_READ,
	 &kvrpcpb__scan_lock_request__descriptor,
	 &kvrpcpb__scan_lock_response__descriptor, false},
	{METHOD_STORE_VERSIONS, "/tikv_fdw.Store/Versions", SERVICE_READ,
	 &kvrpcpb__scan_request__descriptor, &kvrpcpb__scan_response__descriptor,
	 false},
	{METHOD_SQL_BATCH_INSERT, NULL, SERVICE_WRITE,
	 &kvrpcpb__raw_batch_put_request__descriptor,
	 &kvrpcpb__raw_batch_put_response__descriptor, false},
	{METHOD_SQL_GRANT, NULL, SERVICE_WRITE,
	 &kvrpcpb__prewrite_request__descriptor,
	 &kvrpcpb__prewrite_response__descriptor, false},
	{METHOD_STORE_ORDER, NULL, SERVICE_STORE,
	 &pdpb__region_heartbeat_response__descriptor,
	 &pdpb__region_heartbeat_response__descriptor, false},
};
const int service_n_methods =
	sizeof(service_methods) / sizeof(service_methods[0]);

#define METHOD_ID_MAX 512

const ServiceMethod *
service_method(int id)
{
	static const ServiceMethod *by_id[METHOD_ID_MAX];
	static bool filled = false;

	if (!filled)
	{
		for (int i = 0; i < service_n_methods; i++)
			by_id[service_methods[i].id] = &service_methods[i];
		filled = true;
	}
	return id >= 0 && id < METHOD_ID_MAX ? by_id[id] : NULL;
}

bool
service_has_region_error(const ServiceMethod *method)
{
	const ProtobufCFieldDescriptor *field =
		protobuf_c_message_descriptor_get_field(method->response, 1);

	return field != NULL && field->descriptor == &errorpb__error__descriptor;
}

/* ---- memory ---- */

static void *
alloc_from_arena(void *arena, size_t size)
{
	return arena_alloc(arena, size);
}

static void
free_nothing(void *data, void *pointer)
{
	(void) data;
	(void) pointer;
}

ProtobufCAllocator
service_allocator(Arena *arena)
{
	ProtobufCAllocator a = {alloc_from_arena, free_nothing, arena};

	return a;
}

/*
 * Two bytes of a message can become hundreds in memory (an empty element of
 * a repeated field), so what unpacking may take is bounded.  A list of keys
 * of one byte, which is legitimate, takes about fifty times its size; beyond
 * MEMORY_CAP, nothing that clients send needs even a tenth of that.
 */
#define MEMORY_BASE ((size_t) 64 * 1024)
#define MEMORY_FACTOR ((size_t) 64)
#define MEMORY_CAP ((size_t) 256 * 1024 * 1024)

typedef struct Budget
{
	Arena *arena;
	size_t left;
} Budget;

static void *
alloc_from_budget(void *data, size_t size)
{
	Budget *budget = data;

	if (size > budget->left)
		return NULL;
	budget->left -= size;
	return arena_alloc(budget->arena, size);
}

static size_t
memory_allowed(size_t len)
{
	if (len > MEMORY_CAP / MEMORY_FACTOR)
		return len + MEMORY_CAP;
	return MEMORY_BASE + MEMORY_FACTOR * len;
}

/* ---- depth ---- */

/*
 * protobuf-c recurses once per level of nesting.  Most types bound that
 * themselves; one that can contain itself must be looked at first.
 */
#define DEPTH_MAX 64
#define TYPES_MAX 256

typedef struct TypeNote
{
	const ProtobufCMessageDescriptor *type;
	bool recursive;
} TypeNote;

static bool
on_path(const ProtobufCMessageDescriptor *type,
		const ProtobufCMessageDescriptor **path, int depth)
{
	for (int i = 0; i < depth; i++)
		if (path[i] == type)
			return true;
	return false;
}

/* Can a message of this type hold one that holds itself? */
static bool
reaches_cycle(const ProtobufCMessageDescriptor *type,
			  const ProtobufCMessageDescriptor **path, int depth)
{
	if (depth == DEPTH_MAX || on_path(type, path, depth))
		return true;
	path[depth] = type;
	for (unsigned i = 0; i < type->n_fields; i++)
		if (type->fields[i].type == PROTOBUF_C_TYPE_MESSAGE &&
			reaches_cycle(type->fields[i].descriptor, path, depth + 1))
			return true;
	return false;
}

static bool
type_is_recursive(const ProtobufCMessageDescriptor *type)
{
	static TypeNote notes[TYPES_MAX];
	const ProtobufCMessageDescriptor *path[DEPTH_MAX];
	size_t at = ((uintptr_t) type >> 4) % TYPES_MAX;

	for (int i = 0; i < TYPES_MAX && notes[at].type != NULL; i++)
	{
		if (notes[at].type == type)
			return notes[at].recursive;
		at = (at + 1) % TYPES_MAX;
	}
	if (notes[at].type != NULL)
		return reaches_cycle(type, path, 0);
	notes[at].recursive = reaches_cycle(type, path, 0);
	notes[at].type = type;
	return notes[at].recursive;
}

static bool
depth_is_bounded(const ProtobufCMessageDescriptor *type, Bytes bytes, int depth)
{
	WireReader r = wire_reader(bytes);
	WireField f;

	if (depth > DEPTH_MAX)
		return false;
	while (wire_read_field(&r, &f))
	{
		const ProtobufCFieldDescriptor *field;

		if (f.type != WIRE_BYTES)
			continue;
		field = protobuf_c_message_descriptor_get_field(type, f.number);
		if (field != NULL && field->type == PROTOBUF_C_TYPE_MESSAGE &&
			!depth_is_bounded(field->descriptor, f.bytes, depth + 1))
			return false;
	}
	return !r.bad;
}

ProtobufCMessage *
service_unpack(const ProtobufCMessageDescriptor *type, Bytes bytes,
			   Arena *arena)
{
	Budget budget = {arena, memory_allowed(bytes.len)};
	ProtobufCAllocator allocator = {alloc_from_budget, free_nothing, &budget};

	if (type_is_recursive(type) && !depth_is_bounded(type, bytes, 0))
		return NULL;
	return protobuf_c_message_unpack(type, &allocator, bytes.len, bytes.data);
}

const void *
service_field(const ProtobufCMessage *message, const char *name)
{
	const ProtobufCFieldDescriptor *field =
		protobuf_c_message_descriptor_get_field_by_name(message->descriptor,
														name);

	if (field == NULL)
		return NULL;
	return *(const void *const *) ((const uint8_t *) message + field->offset);
}
