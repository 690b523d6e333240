/*
 * submit.c
 *	  The way of a SQL function's write: to the store, over the bus, as the
 *	  same message a TiKV client would send.
 *
 * The store evaluates, commits and answers; so the write is durable when the
 * function returns, whatever becomes of the SQL transaction.  A write that
 * met another region than it meant did nothing and is sent again; one whose
 * outcome is open never is.  Of regions that other stores lead the message goes
 * on to the leader (remote.c).
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"

#include "guc.h"
#include "service/service.h"
#include "sqlapi/grants.h"
#include "sqlapi/route.h"
#include "sqlapi/sqlapi.h"

/* An error elsewhere waits so long for the end of what was sent ahead. */
#define ABANDON_MS 1000

/* For the context lines of errors. */
typedef struct Progress
{
	const SqlWrite *write;
	int done; /* keys known to be written */
	bool waiting;
} Progress;

static void
add_context(void *arg)
{
	const Progress *progress = arg;

	if (progress->waiting)
		errcontext(
			"%s was waiting for the store; the write may yet be carried out",
			progress->write->function);
	if (progress->done > 0)
		errcontext("%s has written the first %d of %d keys",
				   progress->write->function, progress->done,
				   progress->write->n);
}

/* A request's addressing, as a client would fill it. */
static void
fill_context(const BoardRegion *region, Kvrpcpb__Context *context,
			 Metapb__RegionEpoch *epoch, Metapb__Peer *peer)
{
	kvrpcpb__context__init(context);
	metapb__region_epoch__init(epoch);
	metapb__peer__init(peer);
	epoch->conf_ver = region->region.epoch.conf_ver;
	epoch->version = region->region.epoch.version;
	peer->id = region->self.id;
	peer->store_id = region->self.store_id;
	context->region_id = region->region.id;
	context->api_version =
		sql_api() == API_V2 ? KVRPCPB__APIVERSION__V2 : KVRPCPB__APIVERSION__V1;
	context->region_epoch = epoch;
	context->peer = peer;
}

/* How many keys from `from` on are in the region. */
static int
keys_in_region(const SqlWrite *write, int from, const Region *region)
{
	int n = 1;

	while (from + n < write->n && sql_in_region(region, write->keys[from + n]))
		n++;
	return n;
}

static Bytes
pack(const ProtobufCMessage *message)
{
	size_t len = protobuf_c_message_get_packed_size(message);
	uint8 *bytes;

	if (len > (size_t) tikv_fdw_settings.bus_memory_kb * 1024)
		ereport(
			ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("the write is too large"),
			 errdetail("The request has %zu bytes; tikv.bus_memory is %d kB.",
					   len, tikv_fdw_settings.bus_memory_kb)));
	bytes = MemoryContextAllocHuge(CurrentMemoryContext, len + 1);
	protobuf_c_message_pack(message, bytes);
	return bytes_make(bytes, len);
}

/* An insert of keys [from, from + n) was refused, and the caller wants to know. */
static bool
met_a_key(const SqlWrite *write, int from, int n, const char *error)
{
	if (write->met == NULL || strcmp(error, "key exists") != 0)
		return false;
	write->met->from = from;
	write->met->n = n;
	return true;
}

/*
 * True if it was carried out or met a key, false if it must be sent again;
 * elsewhere: the route it took, or NULL.
 */
static bool
judge(const SqlWrite *write, int from, int n, Bytes reply, Arena *arena,
	  const Route *elsewhere)
{
	ProtobufCMessage *message = service_unpack(write->response, reply, arena);
	const Errorpb__Error *region_error;
	const char *error;

	if (message == NULL)
		elog(ERROR, "the store's answer is not readable");
	region_error = service_field(message, "region_error");
	if (region_error != NULL)
	{
		report_region_error(region_error);
		if (elsewhere != NULL)
			route_failed(elsewhere->region.id, elsewhere->leader.store_id,
						 region_error);
		return false;
	}
	error = service_field(message, "error");
	if (error[0] != '\0' && met_a_key(write, from, n, error))
		return true;
	if (error[0] != '\0')
		report_raw_error(error, sql_user_key(write->keys[from]));
	if (write->take != NULL)
		write->take(write, message);
	return true;
}

/* The request for keys [from, from + n), which lie in the region. */
static Bytes
form_request(const SqlWrite *write, int from, int n, const BoardRegion *region)
{
	Kvrpcpb__Context context;
	Metapb__RegionEpoch epoch;
	Metapb__Peer peer;

	fill_context(region, &context, &epoch, &peer);
	return pack(write->build(write, from, n, &context, call_arena()));
}

/* True if it was carried out or met a key, false if it must be sent again. */
static bool
take_reply(const SqlWrite *write, int from, int n, const BusReply *reply)
{
	if (reply->code == BUS_DOWN)
		return false;
	if (reply->code != BUS_OK)
		report_bus(WORKER_STORE, reply);
	return judge(write, from, n, reply->bytes, call_arena(), NULL);
}

/* One request to one region; as take_reply. */
static bool
send_part(Progress *progress, int from, int n, const BoardRegion *region,
		  const Patience *patience)
{
	const SqlWrite *write = progress->write;
	Bytes request = form_request(write, from, n, region);
	BusReply reply;

	progress->waiting = true;
	reply = bus_call(WORKER_STORE, write->method, request,
					 Max(patience_left_ms(patience), 1));
	progress->waiting = false;
	pfree(unconstify(uint8 *, request.data));
	return take_reply(write, from, n, &reply);
}

/* --------------------------------------------------------------- elsewhere */

static bool
is_insert(const SqlWrite *write)
{
	return write->method == METHOD_SQL_INSERT ||
		write->method == METHOD_SQL_BATCH_INSERT;
}

/* The network has no insert: the first key's, as a swap of nothing. */
static ProtobufCMessage *
insert_as_swap(const ProtobufCMessage *message, Arena *arena)
{
	const Kvrpcpb__RawPutRequest *put = (const void *) message;
	const Kvrpcpb__RawBatchPutRequest *batch = (const void *) message;
	Kvrpcpb__RawCASRequest *cas = arena_alloc(arena, sizeof(*cas));

	kvrpcpb__raw_casrequest__init(cas);
	cas->previous_not_exist = true;
	if (message->descriptor == &kvrpcpb__raw_put_request__descriptor)
	{
		cas->context = put->context;
		cas->key = put->key;
		cas->value = put->value;
		cas->ttl = put->ttl;
	}
	else
	{
		cas->context = batch->context;
		cas->key = batch->pairs[0]->key;
		cas->value = batch->pairs[0]->value;
		cas->ttl = batch->n_ttls > 0 ? batch->ttls[0] : 0;
	}
	return &cas->base;
}

static bool
judge_swap(const SqlWrite *write, int from, Bytes reply, Arena *arena,
		   const Route *route)
{
	SqlWrite swap = {
		.response = &kvrpcpb__raw_casresponse__descriptor,
		.keys = write->keys,
	};
	const Kvrpcpb__RawCASResponse *answer;

	if (!judge(&swap, from, 1, reply, arena, route))
		return false;
	answer = (const void *) service_unpack(swap.response, reply, arena);
	if (!answer->succeed && !met_a_key(write, from, 1, "key exists"))
		report_raw_error("key exists", sql_user_key(write->keys[from]));
	return true;
}

/* As send_part, to the store that leads the region. */
static bool
send_elsewhere(Progress *progress, int from, int n, const Route *route,
			   const Patience *patience)
{
	const SqlWrite *write = progress->write;
	bool swaps = is_insert(write);
	Arena *arena = call_arena();
	RemoteContext context;
	ProtobufCMessage *message;
	BusReply reply;

	remote_context(&context, &route->region, route->leader);
	message = write->build(write, from, n, &context.context, arena);
	if (swaps)
		message = insert_as_swap(message, arena);
	progress->waiting = true;
	reply = remote_call(route->leader.store_id,
						swaps ? METHOD_RAW_CAS : write->method, message,
						patience, Max(patience_left_ms(patience), 1));
	progress->waiting = false;
	if (reply.code == BUS_DOWN)
	{
		route_failed(route->region.id, route->leader.store_id, NULL);
		return false;
	}
	if (reply.code != BUS_OK)
		remote_report(route->leader.store_id, &reply);
	return swaps ? judge_swap(write, from, reply.bytes, arena, route) :
				   judge(write, from, n, reply.bytes, arena, route);
}

/* The next part: to where its region is led. */
static bool
send_next(Progress *progress, const Patience *patience, int *n)
{
	const SqlWrite *write = progress->write;
	int from = progress->done;
	BoardRegion region;
	Route route;

	if (sql_find_region(write->keys[from], false, &region) && region.is_leader)
	{
		*n = keys_in_region(write, from, &region.region);
		return send_part(progress, from, *n, &region, patience);
	}
	if (!route_find(sql_bound(write->keys[from]), false, patience, &route) ||
		route.local)
		return false;
	*n = is_insert(write) ? 1 : keys_in_region(write, from, &route.region);
	return send_elsewhere(progress, from, *n, &route, patience);
}

static void
send_all(Progress *progress)
{
	const SqlWrite *write = progress->write;
	Patience patience = patience_begin();

	while (progress->done < write->n)
	{
		int n;

		(void) session_tables(&patience);
		if (!send_next(progress, &patience, &n))
			patience_retry(&patience);
		else if (write->met != NULL && write->met->n > 0)
			return;
		else
			progress->done += n;
	}
}

/* May the user write what is named?  Of a range the end is the value. */
static void
need_grant(const SqlWrite *write)
{
	if (write->allowed)
		return;
	if (write->method == METHOD_RAW_DELETE_RANGE)
		grants_need_range(GetUserId(), GRANT_WRITE, write->keys[0],
						  write->values[0]);
	else
		grants_need_keys(GetUserId(), GRANT_WRITE, write->keys, write->n);
}

static void
check_write(const SqlWrite *write)
{
	PreventCommandDuringRecovery(write->function);
	PreventCommandIfReadOnly(write->function);
	PreventCommandIfParallelMode(write->function);
	for (int i = 0; i < write->n; i++)
		check_key_length(write->keys[i]);
	need_grant(write);
}

void
sql_write(const SqlWrite *write)
{
	Progress progress = {.write = write};
	ErrorContextCallback callback = {
		.previous = error_context_stack,
		.callback = add_context,
		.arg = &progress,
	};

	check_write(write);
	error_context_stack = &callback;
	send_all(&progress);
	error_context_stack = callback.previous;
	(void) call_arena();
}

/* ------------------------------------------------------------ sent ahead */

struct SqlAhead
{
	SqlWrite write;
	Bytes request; /* empty: it cannot be sent as one */
	BusTicket ticket;
	bool sent;
	MemoryContextCallback callback;
};

/* The statement failed elsewhere: nothing is written behind its back. */
static void
abandon_ahead(void *arg)
{
	SqlAhead *ahead = arg;

	if (ahead->sent)
		bus_abandon(&ahead->ticket, ABANDON_MS);
	ahead->sent = false;
}

SqlAhead *
sql_ahead_new(const SqlWrite *write)
{
	SqlAhead *ahead = palloc0(sizeof(SqlAhead));
	Patience patience = patience_begin();
	BoardRegion region;

	check_write(write);
	ahead->write = *write;
	ahead->callback.func = abandon_ahead;
	ahead->callback.arg = ahead;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &ahead->callback);
	(void) session_tables(&patience);
	if (sql_find_region(write->keys[0], false, &region) && region.is_leader &&
		keys_in_region(write, 0, &region.region) == write->n)
		ahead->request = form_request(write, 0, write->n, &region);
	(void) call_arena();
	return ahead;
}

void
sql_ahead_send(SqlAhead *ahead)
{
	ahead->sent = ahead->request.len > 0 &&
		bus_begin(WORKER_STORE, ahead->write.method, ahead->request,
				  &ahead->ticket) == BUS_OK;
}

bool
sql_ahead_end(SqlAhead *ahead)
{
	Progress progress = {.write = &ahead->write, .waiting = true};
	ErrorContextCallback callback = {
		.previous = error_context_stack,
		.callback = add_context,
		.arg = &progress,
	};
	BusReply reply;
	bool done;

	if (!ahead->sent)
		return false;
	error_context_stack = &callback;
	ahead->sent = false;
	reply = bus_end(&ahead->ticket, tikv_fdw_settings.request_timeout_ms);
	progress.waiting = false;
	done = take_reply(&ahead->write, 0, ahead->write.n, &reply) &&
		(ahead->write.met == NULL || ahead->write.met->n == 0);
	error_context_stack = callback.previous;
	(void) call_arena();
	return done;
}
