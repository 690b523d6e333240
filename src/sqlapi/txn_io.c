/*
 * txn_io.c
 *	  The world of core/client in a backend: regions from the board or PD,
 *	  commands over the bus, timestamps from shared memory or PD, and waiting.
 *
 * A wait ends with the call's patience and obeys cancel, except while a
 * cancel would leave open whether a transaction has committed.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/wait_event.h"

#include "core/base/rpc_code.h"
#include "core/codec/memcomparable.h"
#include "guc.h"
#include "pd/tso_local.h"
#include "pdpb.pb-c.h"
#include "service/service.h"
#include "service/txn_client.h"
#include "sqlapi/route.h"
#include "sqlapi/txn_internal.h"

/* io's functions have no argument of their own: one session, one process. */
static TxnSession *current;

void
txn_io_use(TxnSession *session)
{
	current = session;
}

/* ---------------------------------------------------------------- regions */

/*
 * Has the region no transactional key below this one?  It may begin with a
 * raw key, behind the last of them.
 */
static bool
begins_behind_keys(const Region *found, Bytes key)
{
	Arena arena;
	bool behind;

	if (found->start_key.len == 0)
		return false;
	arena_init(&arena);
	behind = bytes_cmp(memcomparable_ceil(found->start_key, &arena), key) >= 0;
	arena_free(&arena);
	return behind;
}

static bool
find_below(Bytes bound, Bytes key, BoardRegion *out)
{
	bool found = board_find_below(bound, out);

	while (found && begins_behind_keys(&out->region, key))
	{
		Bytes start = out->region.start_key;
		uint8 *copy = palloc(start.len);

		memcpy(copy, start.data, start.len);
		found = board_find_below(bytes_make(copy, start.len), out);
		pfree(copy);
	}
	return found;
}

/*
 * Regions of transactional keys are bounded by encoded keys; what is below an
 * empty bound is the end.
 */
Bytes
txn_bound(Bytes key, bool below)
{
	uint8 *room;

	if (below && key.len == 0)
		return bytes_empty();
	room = palloc(memcomparable_len(key.len));
	(void) memcomparable_put(room, key);
	return bytes_make(room, memcomparable_len(key.len));
}

bool
txn_find_region(Bytes key, bool below, BoardRegion *out)
{
	Bytes bound = txn_bound(key, below);
	bool found = below && key.len > 0 ? find_below(bound, key, out) :
		below						  ? board_find_below(bound, out) :
										board_find_key(bound, out);

	if (bound.data != NULL)
		pfree(unconstify(uint8 *, bound.data));
	return found;
}

bool
txn_find_route(Bytes key, bool below, const Patience *patience, Route *route)
{
	bool found = route_find(txn_bound(key, below), below, patience, route);

	while (found && below && key.len > 0 &&
		   begins_behind_keys(&route->region, key))
		found = route_find(route->region.start_key, true, patience, route);
	return found;
}

/* Led here, as the board has it; else wherever it is led. */
static bool
io_locate(ClientIo *io, Bytes key, Arena *arena, Region *region,
		  RegionPeer *leader)
{
	BoardRegion *found = palloc(sizeof(*found));
	Route route = {0};
	bool ok = txn_find_region(key, false, found) && found->is_leader;

	(void) io;
	if (ok)
	{
		route.region = found->region;
		route.leader = found->self;
	}
	else
		ok = route_find(txn_bound(key, false), false, &current->patience,
						&route);
	if (ok)
	{
		*region = route.region;
		region->start_key = arena_copy(arena, route.region.start_key);
		region->end_key = arena_copy(arena, route.region.end_key);
		*leader = route.leader;
	}
	pfree(found);
	return ok;
}

/* ---------------------------------------------------------------- commands */

static Bytes
pack(const ProtobufCMessage *message)
{
	size_t len = protobuf_c_message_get_packed_size(message);
	uint8 *bytes = MemoryContextAllocHuge(CurrentMemoryContext, len + 1);

	protobuf_c_message_pack(message, bytes);
	return bytes_make(bytes, len);
}

Bytes
txn_pack_request(const CachedRegion *region, const TxnCommand *command,
				 uint64 task_id, Arena *arena)
{
	RemoteContext context;

	remote_context(&context, &region->region, region->leader);
	context.context.task_id = task_id;
	return pack(txn_client_request(command, &context.context, arena));
}

/* May the transaction be committed by this command? */
static bool
may_commit(const TxnCommand *command)
{
	return command->kind == TXN_CMD_COMMIT ||
		(command->kind == TXN_CMD_PREWRITE &&
		 (command->prewrite.try_one_pc || command->prewrite.use_async_commit));
}

/*
 * A lock request may wait in the store for longer than others.  Commands may be
 * sent twice, so a store that hangs is not waited for to the end.
 */
static int
time_for(const TxnCommand *command, bool elsewhere)
{
	int left_ms = Max(patience_left_ms(&current->patience), 1);

	if (elsewhere)
		left_ms = remote_attempt_ms(&current->patience);
	if (command->kind == TXN_CMD_PESSIMISTIC_LOCK &&
		command->pessimistic_lock.wait_timeout_ms > 0)
		left_ms += (int) command->pessimistic_lock.wait_timeout_ms;
	return left_ms;
}

static BusReply
call_here(const TxnCommand *command, const ProtobufCMessage *message)
{
	Bytes request = pack(message);
	BusReply reply = bus_call(WORKER_STORE, txn_client_method(command->kind),
							  request, time_for(command, false));

	pfree(unconstify(uint8 *, request.data));
	return reply;
}

static BusReply
call_leader(const CachedRegion *region, const TxnCommand *command,
			const ProtobufCMessage *message)
{
	BoardStore store;

	board_store(&store);
	if (region->leader.store_id == store.store_id)
		return call_here(command, message);
	return remote_call(region->leader.store_id,
					   txn_client_method(command->kind), message,
					   &current->patience, time_for(command, true));
}

static BusReply
call_store(const CachedRegion *region, const TxnCommand *command,
		   const ProtobufCMessage *message)
{
	BusReply reply;

	current->counts.requests++;
	if (!may_commit(command))
		return call_leader(region, command, message);
	HOLD_INTERRUPTS();
	reply = call_leader(region, command, message);
	RESUME_INTERRUPTS();
	return reply;
}

static SubmitOutcome
judge(const TxnCommand *command, const BusReply *bus, Arena *arena,
	  ClientReply *reply)
{
	switch (bus->code)
	{
		case BUS_OK:
			if (!txn_client_reply(command, arena_copy(arena, bus->bytes), arena,
								  reply))
				return SUBMIT_UNKNOWN;
			return SUBMIT_ANSWERED;
		case BUS_BUSY:
			memset(reply, 0, sizeof(*reply));
			reply->region_error = REGION_SERVER_IS_BUSY;
			reply->backoff_ms = 50;
			reply->text =
				"too much waits for it, or it did not come to this request in time";
			return SUBMIT_ANSWERED;
		case BUS_DOWN:
			return SUBMIT_UNSENT;
		case BUS_TIMEOUT:
		case BUS_LOST:
			return SUBMIT_UNKNOWN;
		case BUS_ERROR:
			break;
	}
	/* UNAVAILABLE: it was begun, and its store stopped (raft_write.c). */
	if (may_commit(command) || bus->grpc_code == RPC_UNAVAILABLE)
		return SUBMIT_UNKNOWN;
	report_bus(WORKER_STORE, bus);
}

/* What was wrong about the region is asked about anew, elsewhere. */
static void
learn_route(const CachedRegion *region, SubmitOutcome outcome,
			const ClientReply *reply)
{
	if (outcome == SUBMIT_ANSWERED &&
		(reply->region_error == REGION_OK ||
		 reply->region_error == REGION_SERVER_IS_BUSY ||
		 (reply->region_error == REGION_NOT_LEADER && reply->leader.id != 0)))
		return;
	route_failed(region->region.id, region->leader.store_id, NULL);
}

static SubmitOutcome
io_submit(ClientIo *io, const CachedRegion *region, const TxnCommand *command,
		  bool is_retry, Arena *arena, ClientReply *reply)
{
	RemoteContext context;
	SubmitOutcome outcome;
	BusReply bus;

	(void) io;
	if (current->finishing)
	{
		/* A large transaction has much to finish; who ends it need not wait. */
		if (QueryCancelPending || ProcDiePending)
			return SUBMIT_UNSENT;
		if (current->progressed)
			current->patience = patience_begin();
	}
	current->progressed = false;
	if (is_retry)
		current->counts.retries++;
	if (command->kind == TXN_CMD_RESOLVE_LOCK)
		current->counts.locks_resolved++;
	remote_context(&context, &region->region, region->leader);
	context.context.is_retry_request = is_retry;
	bus = call_store(region, command,
					 txn_client_request(command, &context.context, arena));
	outcome = judge(command, &bus, arena, reply);
	learn_route(region, outcome, reply);
	current->progressed =
		outcome == SUBMIT_ANSWERED && reply->region_error == REGION_OK;
	if (bus.bytes.data != NULL)
		pfree(unconstify(uint8 *, bus.bytes.data));
	return outcome;
}

/* --------------------------------------------------------------- timestamps */

#define TS_PHYSICAL_SHIFT 18

/* The timestamp of PD's answer; false if it has none. */
static bool
take_timestamp(Bytes bytes, uint64_t *ts)
{
	const Pdpb__TsoResponse *reply;
	Arena arena;
	bool ok;

	arena_init(&arena);
	reply = (const void *) service_unpack(&pdpb__tso_response__descriptor,
										  bytes, &arena);
	ok = reply != NULL && reply->timestamp != NULL;
	if (ok)
		*ts = ((uint64_t) reply->timestamp->physical << TS_PHYSICAL_SHIFT) +
			(uint64_t) reply->timestamp->logical;
	arena_free(&arena);
	return ok;
}

/* From PD, wherever it leads. */
static bool
ask_pd_for_timestamp(uint64_t *ts)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__TsoRequest message = PDPB__TSO_REQUEST__INIT;
	BoardStore store;
	BusReply reply;
	Bytes request;
	bool ok;

	board_store(&store);
	header.cluster_id = store.cluster_id;
	message.header = &header;
	message.count = 1;
	request = pack(&message.base);
	reply = bus_call(WORKER_PD, METHOD_PD_TSO, request,
					 Max(patience_left_ms(&current->patience), 1));
	pfree(unconstify(uint8 *, request.data));
	ok = reply.code == BUS_OK && take_timestamp(reply.bytes, ts);
	if (reply.bytes.data != NULL)
		pfree(unconstify(uint8 *, reply.bytes.data));
	return ok;
}

static bool
nap(int64 ms)
{
	int left_ms = patience_left_ms(&current->patience);

	if (left_ms == 0 ||
		(current->finishing && (QueryCancelPending || ProcDiePending)))
		return false;
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 (long) Min(ms, left_ms), PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	return true;
}

static bool
io_timestamp(ClientIo *io, uint64_t *ts)
{
	(void) io;
	while (!tso_allocate(1, ts) && !ask_pd_for_timestamp(ts))
		if (!nap(10))
			return false;
	return true;
}

uint64
txn_timestamp(TxnSession *session)
{
	uint64_t ts;

	txn_io_use(session);
	if (!io_timestamp(NULL, &ts))
		report_not_serving(WORKER_PD);
	return ts;
}

/* ----------------------------------------------------------------- waiting */

/* The latch is also set by what we do not wait for: wait to the end. */
static bool
io_sleep(ClientIo *io, int64_t ms)
{
	int64 end_us = board_now_us() + ms * 1000;

	(void) io;
	for (;;)
	{
		int64 left_us = end_us - board_now_us();

		if (left_us <= 0)
			return patience_left_ms(&current->patience) > 0;
		if (!nap((left_us + 999) / 1000))
			return false;
	}
}

void
txn_io_init(ClientIo *io)
{
	io->locate = io_locate;
	io->submit = io_submit;
	io->timestamp = io_timestamp;
	io->sleep = io_sleep;
}
