/*
 * cluster.c
 *	  What the Placement Driver says and does for SQL: the views tikv.stores,
 *	  tikv.members and tikv.keyspaces, and tikv_create_keyspace().
 *
 * Asked over the bus in pdpb's own messages, so a view can't differ from what
 * a client is told.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "keyspacepb.pb-c.h"
#include "pdpb.pb-c.h"
#include "service/service.h"
#include "sqlapi/sqlapi.h"

PG_FUNCTION_INFO_V1(tikv_stores);
PG_FUNCTION_INFO_V1(tikv_members);
PG_FUNCTION_INFO_V1(tikv_keyspaces);
PG_FUNCTION_INFO_V1(tikv_create_keyspace);
PG_FUNCTION_INFO_V1(tikv_leave);

/* --------------------------------------------------------------- the asking */

/* A request's header; PD refuses what names another cluster. */
void
sql_pd_header(Pdpb__RequestHeader *header)
{
	BoardStore store;

	board_store(&store);
	pdpb__request_header__init(header);
	header->cluster_id = store.cluster_id;
}

/* Ask PD, waiting for it while it starts; the reply lives in the arena. */
ProtobufCMessage *
sql_ask_pd(int method, const ProtobufCMessage *request,
		   const ProtobufCMessageDescriptor *type, Arena *arena)
{
	size_t len = protobuf_c_message_get_packed_size(request);
	uint8 *bytes = arena_alloc(arena, len);
	Patience patience = patience_begin();
	ProtobufCMessage *message;
	BusReply reply;

	(void) session_tables(&patience);
	protobuf_c_message_pack(request, bytes);
	while ((reply = bus_call(WORKER_PD, method, bytes_make(bytes, len),
							 Max(patience_left_ms(&patience), 1)))
				   .code == BUS_DOWN &&
		   patience_left_ms(&patience) > 0)
		patience_retry(&patience);
	if (reply.code != BUS_OK)
		report_bus(WORKER_PD, &reply);
	message = service_unpack(type, reply.bytes, arena);
	if (message == NULL)
		elog(ERROR, "the answer of PD is not readable");
	return message;
}

void
sql_check_pd(const Pdpb__ResponseHeader *header)
{
	if (header != NULL && header->error != NULL &&
		header->error->type != PDPB__ERROR_TYPE__OK)
		ereport(ERROR,
				(errcode(ERRCODE_CANNOT_CONNECT_NOW),
				 errmsg("tikv pd refused: %s", header->error->message)));
}

/* ---------------------------------------------------------------- the stores */

static Datum
text_or_null(const char *text, bool *isnull)
{
	*isnull = text == NULL || text[0] == '\0';
	return *isnull ? (Datum) 0 : CStringGetTextDatum(text);
}

static const char *
store_state(const Metapb__Store *store)
{
	switch (store->state)
	{
		case METAPB__STORE_STATE__Up:
			return "up";
		case METAPB__STORE_STATE__Offline:
			return "offline";
		case METAPB__STORE_STATE__Tombstone:
			return "tombstone";
		default:
			return "unknown";
	}
}

static Datum
unix_time(int64 seconds, bool *isnull)
{
	*isnull = seconds <= 0;
	return TimestampTzGetDatum(time_t_to_timestamptz((pg_time_t) seconds));
}

static void
put_store(ReturnSetInfo *result, const Metapb__Store *store)
{
	Datum values[8];
	bool nulls[8] = {false};

	values[0] = Int64GetDatum((int64) store->id);
	values[1] = text_or_null(store->address, &nulls[1]);
	values[2] = text_or_null(store->peer_address, &nulls[2]);
	values[3] = text_or_null(store->status_address, &nulls[3]);
	values[4] = text_or_null(store->version, &nulls[4]);
	values[5] = CStringGetTextDatum(store_state(store));
	values[6] = unix_time(store->start_timestamp, &nulls[6]);

	/* Nanoseconds in metapb. */
	values[7] = unix_time(store->last_heartbeat / 1000000000, &nulls[7]);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
tikv_stores(PG_FUNCTION_ARGS)
{
	Pdpb__GetAllStoresRequest request = PDPB__GET_ALL_STORES_REQUEST__INIT;
	Pdpb__RequestHeader header;
	Pdpb__GetAllStoresResponse *reply;
	Arena *arena = call_arena();

	InitMaterializedSRF(fcinfo, 0);
	sql_pd_header(&header);
	request.header = &header;
	reply = (Pdpb__GetAllStoresResponse *)
		sql_ask_pd(METHOD_PD_GET_ALL_STORES, &request.base,
				   &pdpb__get_all_stores_response__descriptor, arena);
	sql_check_pd(reply->header);
	for (size_t i = 0; i < reply->n_stores; i++)
		put_store((ReturnSetInfo *) fcinfo->resultinfo, reply->stores[i]);
	arena_reset(arena);
	return (Datum) 0;
}

/* --------------------------------------------------------------- the members */

static Datum
text_array(char **texts, size_t n)
{
	Datum *elements = palloc(sizeof(Datum) * Max(n, 1));

	for (size_t i = 0; i < n; i++)
		elements[i] = CStringGetTextDatum(texts[i]);
	return PointerGetDatum(construct_array(elements, (int) n, TEXTOID, -1,
										   false, TYPALIGN_INT));
}

/* Member ids use all 64 bits. */
static Datum
unsigned_numeric(uint64 value)
{
	char text[24];

	snprintf(text, sizeof(text), UINT64_FORMAT, value);
	return DirectFunctionCall3(numeric_in, CStringGetDatum(text),
							   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

static void
put_member(ReturnSetInfo *result, const Pdpb__Member *member,
		   const Pdpb__Member *leader)
{
	Datum values[5];
	bool nulls[5] = {false};

	values[0] = CStringGetTextDatum(member->name);
	values[1] = unsigned_numeric(member->member_id);
	values[2] = text_array(member->peer_urls, member->n_peer_urls);
	values[3] = text_array(member->client_urls, member->n_client_urls);
	values[4] =
		BoolGetDatum(leader != NULL && leader->member_id == member->member_id);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
tikv_members(PG_FUNCTION_ARGS)
{
	Pdpb__GetMembersRequest request = PDPB__GET_MEMBERS_REQUEST__INIT;
	Pdpb__RequestHeader header;
	Pdpb__GetMembersResponse *reply;
	Arena *arena = call_arena();

	InitMaterializedSRF(fcinfo, 0);
	sql_pd_header(&header);
	request.header = &header;
	reply = (Pdpb__GetMembersResponse *)
		sql_ask_pd(METHOD_PD_GET_MEMBERS, &request.base,
				   &pdpb__get_members_response__descriptor, arena);
	sql_check_pd(reply->header);
	for (size_t i = 0; i < reply->n_members; i++)
		put_member((ReturnSetInfo *) fcinfo->resultinfo, reply->members[i],
				   reply->leader);
	arena_reset(arena);
	return (Datum) 0;
}

/* ------------------------------------------------------------- the keyspaces */

static Datum
settings_array(const Keyspacepb__KeyspaceMeta *keyspace)
{
	Datum *elements = palloc(sizeof(Datum) * Max(keyspace->n_config, 1));

	for (size_t i = 0; i < keyspace->n_config; i++)
		elements[i] =
			CStringGetTextDatum(psprintf("%s=%s", keyspace->config[i]->key,
										 keyspace->config[i]->value));
	return PointerGetDatum(construct_array(elements, (int) keyspace->n_config,
										   TEXTOID, -1, false, TYPALIGN_INT));
}

static const char *
keyspace_state(const Keyspacepb__KeyspaceMeta *keyspace)
{
	static const char *const names[] = {"enabled", "disabled", "archived",
										"tombstone"};
	int state = (int) keyspace->state;

	return state >= 0 && state < (int) lengthof(names) ? names[state] :
														 "unknown";
}

static void
put_keyspace(ReturnSetInfo *result, const Keyspacepb__KeyspaceMeta *keyspace)
{
	Datum values[6];
	bool nulls[6] = {false};

	values[0] = Int64GetDatum((int64) keyspace->id);
	values[1] = CStringGetTextDatum(keyspace->name);
	values[2] = CStringGetTextDatum(keyspace_state(keyspace));
	values[3] = unix_time(keyspace->created_at, &nulls[3]);
	values[4] = unix_time(keyspace->state_changed_at, &nulls[4]);
	values[5] = settings_array(keyspace);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
tikv_keyspaces(PG_FUNCTION_ARGS)
{
	Keyspacepb__GetAllKeyspacesRequest request =
		KEYSPACEPB__GET_ALL_KEYSPACES_REQUEST__INIT;
	Pdpb__RequestHeader header;
	Keyspacepb__GetAllKeyspacesResponse *reply;
	Arena *arena = call_arena();

	InitMaterializedSRF(fcinfo, 0);
	sql_pd_header(&header);
	request.header = &header;
	reply = (Keyspacepb__GetAllKeyspacesResponse *)
		sql_ask_pd(METHOD_PD_GET_ALL_KEYSPACES, &request.base,
				   &keyspacepb__get_all_keyspaces_response__descriptor, arena);
	sql_check_pd(reply->header);
	for (size_t i = 0; i < reply->n_keyspaces; i++)
		put_keyspace((ReturnSetInfo *) fcinfo->resultinfo, reply->keyspaces[i]);
	arena_reset(arena);
	return (Datum) 0;
}

/* The errors that a name may give. */
static void
check_created(const Pdpb__ResponseHeader *header, const char *name)
{
	const Pdpb__Error *error = header == NULL ? NULL : header->error;

	if (error == NULL)
		return;
	if (error->type == PDPB__ERROR_TYPE__DUPLICATED_ENTRY)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("keyspace \"%s\" already exists", name)));
	if (error->type == PDPB__ERROR_TYPE__INVALID_VALUE)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_NAME),
			 errmsg("\"%s\" is not a name for a keyspace", name),
			 errhint(
				 "Use at most 20 letters, digits, underscores and hyphens.")));
	sql_check_pd(header);
}

Datum
tikv_create_keyspace(PG_FUNCTION_ARGS)
{
	Keyspacepb__LoadKeyspaceRequest request =
		KEYSPACEPB__LOAD_KEYSPACE_REQUEST__INIT;
	Pdpb__RequestHeader header;
	Keyspacepb__LoadKeyspaceResponse *reply;
	Arena *arena = call_arena();
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int64 id;

	sql_pd_header(&header);
	request.header = &header;
	request.name = name;
	reply = (Keyspacepb__LoadKeyspaceResponse *)
		sql_ask_pd(METHOD_PD_CREATE_KEYSPACE, &request.base,
				   &keyspacepb__load_keyspace_response__descriptor, arena);
	check_created(reply->header, name);
	if (reply->keyspace == NULL)
		elog(ERROR, "the answer of PD names no keyspace");
	id = (int64) reply->keyspace->id;
	arena_reset(arena);
	PG_RETURN_INT64(id);
}

/* The node's store and its member of PD leave; both take their time. */
Datum
tikv_leave(PG_FUNCTION_ARGS)
{
	Pdpb__GetStoreRequest request = PDPB__GET_STORE_REQUEST__INIT;
	Pdpb__RequestHeader header;
	Pdpb__PutStoreResponse *reply;
	Arena *arena = call_arena();
	BoardStore store;

	board_store(&store);
	if (store.generation == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the store of this node is not known yet"),
				 errhint("See tikv_status().")));
	sql_pd_header(&header);
	request.header = &header;
	request.store_id = store.store_id;
	reply = (Pdpb__PutStoreResponse *)
		sql_ask_pd(METHOD_PD_LEAVE, &request.base,
				   &pdpb__put_store_response__descriptor, arena);
	sql_check_pd(reply->header);
	arena_reset(arena);
	PG_RETURN_VOID();
}
