/*
 * txn_io.c
 *	  The world of core/client in a backend: regions from the board, commands
 *	  over the bus, timestamps from shared memory, and waiting.
 *
 * A wait ends with the call's patience and obeys cancel, except while a
 * cancel would leave open whether a transaction has committed.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/wait_event.h"

#include "core/codec/memcomparable.h"
#include "guc.h"
#include "pd/tso_local.h"
#include "pdpb.pb-c.h"
#include "service/service.h"
#include "service/txn_client.h"
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
begins_behind_keys(const BoardRegion *found, Bytes key)
{
	Arena arena;
	bool behind;

	if (found->region.start_key.len == 0)
		return false;
	arena_init(&arena);
	behind = bytes_cmp(memcomparable_ceil(found->region.start_key, &arena),
					   key) >= 0;
	arena_free(&arena);
	return behind;
}

static bool
find_below(Bytes bound, Bytes key, BoardRegion *out)
{
	bool found = board_find_below(bound, out);

	while (found && begins_behind_keys(out, key))
	{
		Bytes start = out->region.start_key;
		uint8 *copy = palloc(start.len);

		memcpy(copy, start.data, start.len);
		found = board_find_below(bytes_make(copy, start.len), out);
		pfree(copy);
	}
	return found;
}

/* Regions of transactional keys are bounded by encoded keys. */
bool
txn_find_region(Bytes key, bool below, BoardRegion *out)
{
	uint8 *room;
	Bytes bound = key;
	bool found;

	if (below && key.len == 0)
		return board_find_below(key, out);
	room = palloc(memcomparable_len(key.len));
	(void) memcomparable_put(room, key);
	bound = bytes_make(room, memcomparable_len(key.len));
	found = below ? find_below(bound, key, out) : board_find_key(bound, out);
	pfree(room);
	return found;
}

static bool
io_locate(ClientIo *io, Bytes key, Arena *arena, Region *region,
		  RegionPeer *leader)
{
	BoardRegion *found = palloc(sizeof(*found));
	bool ok = txn_find_region(key, false, found);

	(void) io;
	if (ok)
	{
		*region = found->region;
		region->start_key = arena_copy(arena, found->region.start_key);
		region->end_key = arena_copy(arena, found->region.end_key);
		*leader = found->leader.id != 0 ? found->leader : found->self;
	}
	pfree(found);
	return ok;
}

/* ---------------------------------------------------------------- commands */

static void
fill_context(const CachedRegion *cached, bool is_retry,
			 Kvrpcpb__Context *context, Metapb__RegionEpoch *epoch,
			 Metapb__Peer *peer)
{
	kvrpcpb__context__init(context);
	metapb__region_epoch__init(epoch);
	metapb__peer__init(peer);
	epoch->conf_ver = cached->region.epoch.conf_ver;
	epoch->version = cached->region.epoch.version;
	peer->id = cached->leader.id;
	peer->store_id = cached->leader.store_id;
	context->region_id = cached->region.id;
	context->region_epoch = epoch;
	context->peer = peer;
	context->is_retry_request = is_retry;
	context->api_version =
		sql_api() == API_V2 ? KVRPCPB__APIVERSION__V2 : KVRPCPB__APIVERSION__V1;
}

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
	Kvrpcpb__Context context;
	Metapb__RegionEpoch epoch;
	Metapb__Peer peer;

	fill_context(region, false, &context, &epoch, &peer);
	context.task_id = task_id;
	return pack(txn_client_request(command, &context, arena));
}

/* May the transaction be committed by this command? */
static bool
may_commit(const TxnCommand *command)
{
	return command->kind == TXN_CMD_COMMIT ||
		(command->kind == TXN_CMD_PREWRITE &&
		 (command->prewrite.try_one_pc || command->prewrite.use_async_commit));
}

/* A lock request may wait in the store for longer than others. */
static int
time_for(const TxnCommand *command)
{
	int left_ms = Max(patience_left_ms(&current->patience), 1);

	if (command->kind == TXN_CMD_PESSIMISTIC_LOCK &&
		command->pessimistic_lock.wait_timeout_ms > 0)
		left_ms += (int) command->pessimistic_lock.wait_timeout_ms;
	return left_ms;
}

static BusReply
call_store(const TxnCommand *command, Bytes request)
{
	int method = txn_client_method(command->kind);
	BusReply reply;

	current->counts.requests++;
	if (!may_commit(command))
		return bus_call(WORKER_STORE, method, request, time_for(command));
	HOLD_INTERRUPTS();
	reply = bus_call(WORKER_STORE, method, request, time_for(command));
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
	if (may_commit(command))
		return SUBMIT_UNKNOWN;
	report_bus(WORKER_STORE, bus);
}

static SubmitOutcome
io_submit(ClientIo *io, const CachedRegion *region, const TxnCommand *command,
		  bool is_retry, Arena *arena, ClientReply *reply)
{
	Kvrpcpb__Context context;
	Metapb__RegionEpoch epoch;
	Metapb__Peer peer;
	SubmitOutcome outcome;
	BusReply bus;
	Bytes request;

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
	fill_context(region, is_retry, &context, &epoch, &peer);
	request = pack(txn_client_request(command, &context, arena));
	bus = call_store(command, request);
	pfree(unconstify(uint8 *, request.data));
	outcome = judge(command, &bus, arena, reply);
	current->progressed =
		outcome == SUBMIT_ANSWERED && reply->region_error == REGION_OK;
	if (bus.bytes.data != NULL)
		pfree(unconstify(uint8 *, bus.bytes.data));
	return outcome;
}

/* --------------------------------------------------------------- timestamps */

/* PD extends the window; then it is ours, too. */
static bool
ask_pd_for_window(void)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__TsoRequest message = PDPB__TSO_REQUEST__INIT;
	BoardStore store;
	BusReply reply;
	Bytes request;

	board_store(&store);
	header.cluster_id = store.cluster_id;
	message.header = &header;
	message.count = 1;
	request = pack(&message.base);
	reply = bus_call(WORKER_PD, METHOD_PD_TSO, request,
					 Max(patience_left_ms(&current->patience), 1));
	pfree(unconstify(uint8 *, request.data));
	if (reply.bytes.data != NULL)
		pfree(unconstify(uint8 *, reply.bytes.data));
	return reply.code == BUS_OK;
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
	while (!tso_allocate(1, ts))
		if (!ask_pd_for_window() && !nap(10))
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
