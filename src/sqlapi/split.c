/*
 * split.c
 *	  tikv_split(), on any node: the store that leads the region splits it.
 *
 * SplitRegion is an RPC of clients, so another store is asked as by one.  Where
 * transactions are the store makes a bound of theirs of a raw key of API V1,
 * which may be another region's.
 */
#include "postgres.h"

#include "fmgr.h"

#include "guc.h"
#include "service/service.h"
#include "sqlapi/route.h"
#include "sqlapi/txn_internal.h"

PG_FUNCTION_INFO_V1(tikv_split);

typedef struct Split
{
	Bytes key; /* as it is stored */
	bool transactional;
	bool last; /* the key has no other form */
	Patience patience;
	const char *why; /* nothing was done the last time */
	Arena *arena;
} Split;

typedef enum SplitEnd
{
	SPLIT_DONE,
	SPLIT_OTHER_FORM, /* its bound is not in that region */
	SPLIT_AGAIN
} SplitEnd;

static BusReply
ask_split(const Split *split, const Route *route)
{
	Kvrpcpb__SplitRegionRequest request = KVRPCPB__SPLIT_REGION_REQUEST__INIT;
	ProtobufCBinaryData keys[1];
	RemoteContext context;

	remote_context(&context, &route->region, route->leader);
	keys[0] = bytes_wire(split->key);
	request.context = &context.context;
	request.split_keys = keys;
	request.n_split_keys = 1;
	request.is_raw_kv = !split->transactional;
	return store_call(route->leader.store_id, METHOD_SPLIT_REGION,
					  &request.base, &split->patience);
}

static void
report_not_split(const Split *split)
{
	report_unless_serving(WORKER_STORE);
	ereport(
		ERROR,
		(errcode(ERRCODE_CANNOT_CONNECT_NOW),
		 errmsg("no store splits the key's region"),
		 errdetail("Nothing was done within %d ms: %s.",
				   tikv_fdw_settings.request_timeout_ms, split->why),
		 errhint(
			 "The store that leads the region must be reached; see tikv.regions and tikv.stores.")));
}

/* It met another region, or one that somebody else leads; or it is over. */
static SplitEnd
take_error(Split *split, const Route *route, const Errorpb__Error *error)
{
	if (error->key_not_in_region != NULL && !split->last)
		return SPLIT_OTHER_FORM;
	split->why =
		psprintf("store %llu answered: %s",
				 (unsigned long long) route->leader.store_id, error->message);
	if (error->not_leader != NULL || error->region_not_found != NULL ||
		error->epoch_not_match != NULL || error->key_not_in_region != NULL ||
		error->store_not_match != NULL || error->mismatch_peer_id != NULL)
	{
		route_failed(route->region.id, route->leader.store_id, error);
		return SPLIT_AGAIN;
	}
	if (error->server_is_busy != NULL)
		return SPLIT_AGAIN;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the region is not split: %s", error->message),
			 errdetail("Store %llu leads region %llu.",
					   (unsigned long long) route->leader.store_id,
					   (unsigned long long) route->region.id),
			 errhint("See tikv.regions.")));
}

/* *id: of the region that ends where the old one did. */
static SplitEnd
take_answer(Split *split, const Route *route, const BusReply *reply, uint64 *id)
{
	const Kvrpcpb__SplitRegionResponse *message;

	if (reply->code == BUS_DOWN || reply->code == BUS_BUSY)
	{
		split->why =
			psprintf("store %llu %s",
					 (unsigned long long) route->leader.store_id,
					 reply->code == BUS_BUSY ? "is busy" : "is not reached");
		if (reply->code == BUS_DOWN)
			route_failed(route->region.id, route->leader.store_id, NULL);
		return SPLIT_AGAIN;
	}
	if (reply->code != BUS_OK)
		remote_report(route->leader.store_id, reply);
	message = (const void *)
		service_unpack(&kvrpcpb__split_region_response__descriptor,
					   reply->bytes, split->arena);
	if (message == NULL)
		elog(ERROR, "the answer of store %llu is not readable",
			 (unsigned long long) route->leader.store_id);
	if (message->region_error != NULL)
		return take_error(split, route, message->region_error);
	*id = message->n_regions == 0 ?
		0 :
		message->regions[message->n_regions - 1]->id;
	return SPLIT_DONE;
}

static SplitEnd
try_split(Split *split, uint64 *id)
{
	Bytes bound = split->transactional ? txn_bound(split->key, false) :
										 sql_bound(split->key);
	Route route;
	BusReply reply;

	if (!route_find(bound, false, &split->patience, &route))
	{
		split->why = "nobody knows who leads it";
		return SPLIT_AGAIN;
	}
	reply = ask_split(split, &route);
	return take_answer(split, &route, &reply, id);
}

static void
take_form(Split *split, Bytes given, bool transactional)
{
	split->transactional = transactional;
	split->key = transactional ? txn_stored_key(given) : sql_stored_key(given);
	split->last = transactional || sql_api() == API_V2;
}

Datum
tikv_split(PG_FUNCTION_ARGS)
{
	Bytes given = bytea_bytes(PG_GETARG_DATUM(0));
	Split split = {.patience = patience_begin(), .arena = call_arena()};
	uint64 id = 0;
	SplitEnd end;

	(void) session_tables(&split.patience);
	take_form(&split, given, PG_GETARG_BOOL(1));
	while ((end = try_split(&split, &id)) != SPLIT_DONE)
	{
		if (end == SPLIT_OTHER_FORM)
			take_form(&split, given, true);
		else if (patience_left_ms(&split.patience) == 0)
			report_not_split(&split);
		else
			patience_retry(&split.patience);
	}
	arena_reset(split.arena);
	PG_RETURN_INT64((int64) id);
}
