/*
 * remote.c
 *	  A session asks another store: by way of this node's store, which has the
 *	  channels (a backend has no gRPC).
 *
 * What may be repeated is given less time than the call has, so that a leader
 * that hangs is not waited for when there is another one.
 */
#include "postgres.h"

#include "core/base/rpc_code.h"
#include "guc.h"
#include "miscadmin.h"
#include "service/raw.h"
#include "service/relay.h"
#include "sqlapi/route.h"
#include "utils/memutils.h"

#define ATTEMPT_MIN_MS 500
#define ASK_PD_MS 3000
#define MAX_STORES 128

/* The worker that passes on and answers is given this much more. */
#define BUS_MARGIN_MS 20

typedef struct StoreAddress
{
	uint64 id;
	char address[RELAY_ADDRESS_MAX + 1];
} StoreAddress;

static StoreAddress *stores;
static int n_stores;

/* --------------------------------------------------------------- addresses */

static void
keep_addresses(const Pdpb__GetAllStoresResponse *reply)
{
	n_stores = 0;
	for (size_t i = 0; i < reply->n_stores && n_stores < MAX_STORES; i++)
	{
		StoreAddress *store = &stores[n_stores];

		if (strlen(reply->stores[i]->address) > RELAY_ADDRESS_MAX)
			continue;
		store->id = reply->stores[i]->id;
		strcpy(store->address, reply->stores[i]->address);
		n_stores++;
	}
}

static void
ask_addresses(const Patience *patience)
{
	Pdpb__GetAllStoresRequest request = PDPB__GET_ALL_STORES_REQUEST__INIT;
	Pdpb__RequestHeader header;
	Pdpb__GetAllStoresResponse *reply;
	uint8 *bytes;
	size_t len;
	BusReply bus;
	Arena arena;

	if (stores == NULL)
		stores = MemoryContextAlloc(TopMemoryContext,
									MAX_STORES * sizeof(StoreAddress));
	pd_fill_header(&header);
	request.header = &header;
	request.exclude_tombstone_stores = true;
	len = protobuf_c_message_get_packed_size(&request.base);
	bytes = palloc(len);
	protobuf_c_message_pack(&request.base, bytes);
	bus = bus_call(WORKER_PD, METHOD_PD_GET_ALL_STORES, bytes_make(bytes, len),
				   Max(Min(patience_left_ms(patience), ASK_PD_MS), 1));
	pfree(bytes);
	if (bus.code == BUS_OK)
	{
		arena_init(&arena);
		reply = (Pdpb__GetAllStoresResponse *)
			service_unpack(&pdpb__get_all_stores_response__descriptor,
						   bus.bytes, &arena);
		if (reply != NULL)
			keep_addresses(reply);
		arena_free(&arena);
	}
	if (bus.bytes.data != NULL)
		pfree(unconstify(uint8 *, bus.bytes.data));
}

static const char *
known_address(uint64 store_id)
{
	for (int i = 0; i < n_stores; i++)
		if (stores[i].id == store_id)
			return stores[i].address;
	return NULL;
}

static const char *
address_of(uint64 store_id, const Patience *patience)
{
	if (known_address(store_id) == NULL)
		ask_addresses(patience);
	return known_address(store_id);
}

/* ---------------------------------------------------------------- requests */

void
remote_context(RemoteContext *to, const Region *region, RegionPeer leader)
{
	BoardStore store;

	board_store(&store);
	kvrpcpb__context__init(&to->context);
	metapb__region_epoch__init(&to->epoch);
	metapb__peer__init(&to->peer);
	to->epoch.conf_ver = region->epoch.conf_ver;
	to->epoch.version = region->epoch.version;
	to->peer.id = leader.id;
	to->peer.store_id = leader.store_id;
	to->context.region_id = region->id;
	to->context.cluster_id = store.cluster_id;
	to->context.region_epoch = &to->epoch;
	to->context.peer = &to->peer;
	to->context.api_version =
		sql_api() == API_V2 ? KVRPCPB__APIVERSION__V2 : KVRPCPB__APIVERSION__V1;
}

int
remote_attempt_ms(const Patience *patience)
{
	int part = Max(tikv_fdw_settings.request_timeout_ms / 4, ATTEMPT_MIN_MS);

	return Max(Min(patience_left_ms(patience), part), 1);
}

/* A packed request in its envelope, palloc'd. */
static Bytes
seal(const char *address, int method, const ProtobufCMessage *message,
	 int timeout_ms)
{
	RelayEnvelope envelope = {.method = method,
							  .timeout_ms = (uint32) timeout_ms,
							  .address = bytes_cstr(address)};
	size_t size;
	uint8 *bytes;

	envelope.message.len = protobuf_c_message_get_packed_size(message);
	size = relay_envelope_size(&envelope);
	if (size > (size_t) tikv_fdw_settings.bus_memory_kb * 1024)
		ereport(
			ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("the request is too large"),
			 errdetail("The request has %zu bytes; tikv.bus_memory is %d kB.",
					   size, tikv_fdw_settings.bus_memory_kb)));
	bytes = MemoryContextAllocHuge(CurrentMemoryContext, size);
	protobuf_c_message_pack(message, relay_envelope_put(&envelope, bytes));
	return bytes_make(bytes, size);
}

BusReply
remote_call(uint64 store_id, int method, const ProtobufCMessage *message,
			const Patience *patience, int timeout_ms)
{
	const char *address = address_of(store_id, patience);
	BusReply reply = {.code = BUS_DOWN};
	Bytes bytes;

	if (address == NULL)
		return reply;
	bytes = seal(address, method, message, timeout_ms);
	reply =
		bus_call(WORKER_STORE, METHOD_RELAY, bytes, timeout_ms + BUS_MARGIN_MS);
	pfree(unconstify(uint8 *, bytes.data));

	/* It may have moved. */
	if (reply.code == BUS_DOWN || reply.code == BUS_LOST)
		n_stores = 0;
	return reply;
}

BusReply
store_call(uint64 store_id, int method, const ProtobufCMessage *message,
		   const Patience *patience)
{
	int timeout_ms = Max(patience_left_ms(patience), 1);
	BoardStore store;
	BusReply reply;
	Bytes bytes;

	board_store(&store);
	if (store_id != store.store_id)
		return remote_call(store_id, method, message, patience, timeout_ms);
	bytes.len = protobuf_c_message_get_packed_size(message);
	bytes.data = palloc(bytes.len);
	protobuf_c_message_pack(message, unconstify(uint8 *, bytes.data));
	reply = bus_call(WORKER_STORE, method, bytes, timeout_ms);
	pfree(unconstify(uint8 *, bytes.data));
	return reply;
}

void
remote_report(uint64 store_id, const BusReply *reply)
{
	if (reply->code == BUS_TIMEOUT || reply->code == BUS_LOST)
		report_unanswered(psprintf("store %llu", (unsigned long long) store_id),
						  reply->code);
	report_bus(WORKER_STORE, reply);
}

/* A busy store may be less so a moment later; a read can wait for that. */
static bool
passes(const Errorpb__Error *error)
{
	return error->server_is_busy != NULL || error->stale_command != NULL ||
		error->read_index_not_ready != NULL ||
		error->data_is_not_ready != NULL ||
		error->max_timestamp_not_synced != NULL;
}

/* Neither later nor in smaller parts would it be read. */
static void
report_damage(const Route *route)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("store %llu, which leads region %llu, cannot read a row",
					(unsigned long long) route->leader.store_id,
					(unsigned long long) route->region.id),
			 errhint("The log of that node says why.")));
}

static ProtobufCMessage *
take_reply(const Route *route, int method, const BusReply *reply, Arena *arena,
		   bool *too_long)
{
	ProtobufCMessage *message =
		service_unpack(service_method(method)->response,
					   arena_copy(arena, reply->bytes), arena);
	const Errorpb__Error *error;

	if (message == NULL)
		elog(ERROR, "the answer of store %llu is not readable",
			 (unsigned long long) route->leader.store_id);
	error = service_field(message, "region_error");
	if (error == NULL)
		return message;
	if (strcmp(error->message, SERVICE_DAMAGED) == 0)
		report_damage(route);
	if (error->raft_entry_too_large != NULL && too_long != NULL)
		*too_long = true; /* the answer is */
	else if (!passes(error))
	{
		report_region_error(error);
		route_failed(route->region.id, route->leader.store_id, error);
	}
	return NULL;
}

ProtobufCMessage *
remote_read(const Route *route, int method, const ProtobufCMessage *message,
			const Patience *patience, Arena *arena, bool *too_long)
{
	BusReply reply = remote_call(route->leader.store_id, method, message,
								 patience, remote_attempt_ms(patience));
	ProtobufCMessage *answer = NULL;

	switch (reply.code)
	{
		case BUS_OK:
			answer = take_reply(route, method, &reply, arena, too_long);
			break;
		case BUS_BUSY:
			break;
		case BUS_ERROR:
			if (reply.grpc_code != RPC_RESOURCE_EXHAUSTED || too_long == NULL)
				report_bus(WORKER_STORE, &reply);
			*too_long = true;
			break;
		default:
			route_failed(route->region.id, route->leader.store_id, NULL);
			break;
	}
	if (reply.bytes.data != NULL)
		pfree(unconstify(uint8 *, reply.bytes.data));
	return answer;
}
