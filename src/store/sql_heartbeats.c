/*
 * sql_heartbeats.c
 *	  Keeps the transactions of SQL sessions alive.
 *
 * A session that idles in a transaction runs no timer, so the store beats on
 * its behalf: the session's slot in shared memory names the primary for as
 * long as it lives.  The beat is an ordinary TxnHeartBeat request; if it
 * fails, the session learns at its commit that it has lost its locks.  If
 * another store leads the primary's region, the request goes there.
 */
#include "postgres.h"

#include "bus/sql_txns.h"
#include "bus/tso_shared.h"
#include "core/base/later.h"
#include "core/codec/memcomparable.h"
#include "store/elsewhere.h"

/* Requests at once; the others come with the next round. */
#define BEATS_MAX 256

typedef struct Beat
{
	Request request;
	Kvrpcpb__TxnHeartBeatRequest message;
	Kvrpcpb__Context context;
	Metapb__RegionEpoch epoch;
	Metapb__Peer peer;
	Store *store;
	int slot;
	uint64 start_ts;
	Arena arena;
} Beat;

static void
free_beat(void *arg)
{
	Beat *beat = arg;

	arena_free(&beat->arena);
	free(beat);
}

static void
beat_end(Beat *beat)
{
	beat->store->sql_beats--;
	later_free(free_beat, beat);
}

static void
take_answer(Beat *beat, const Kvrpcpb__TxnHeartBeatResponse *answer)
{
	if (answer != NULL && answer->region_error == NULL && answer->error == NULL)
		sql_txn_beat(beat->slot, beat->start_ts);
	beat_end(beat);
}

static void
beat_done(Request *request, const ProtobufCMessage *reply)
{
	take_answer(request->owner, (const void *) reply);
}

static void
beat_answered_elsewhere(void *arg, const ProtobufCMessage *reply,
						const Whereabouts *where)
{
	(void) where;
	take_answer(arg, (const void *) reply);
}

static void
beat_failed(Request *request, int code, const char *text)
{
	(void) code;
	(void) text;
	beat_end(request->owner);
}

static bool
address(Beat *beat, Bytes bound)
{
	BoardRegion *region = arena_alloc(&beat->arena, sizeof(*region));

	if (!board_find_key(bound, region) || !region->is_leader)
		return false;
	kvrpcpb__context__init(&beat->context);
	metapb__region_epoch__init(&beat->epoch);
	metapb__peer__init(&beat->peer);
	beat->epoch.conf_ver = region->region.epoch.conf_ver;
	beat->epoch.version = region->region.epoch.version;
	beat->peer.id = region->self.id;
	beat->peer.store_id = region->self.store_id;
	beat->context.region_id = region->region.id;
	beat->context.region_epoch = &beat->epoch;
	beat->context.peer = &beat->peer;
	beat->context.api_version = beat->store->meta.api == API_V2 ?
		KVRPCPB__APIVERSION__V2 :
		KVRPCPB__APIVERSION__V1;
	return true;
}

static void
send_beat(Store *store, int slot, const SqlTxnView *view)
{
	Beat *beat = calloc(1, sizeof(*beat));
	Bytes primary;
	Bytes bound;

	if (beat == NULL)
		return;
	arena_init(&beat->arena);
	beat->store = store;
	beat->slot = slot;
	beat->start_ts = view->start_ts;
	store->sql_beats++;
	primary =
		arena_copy(&beat->arena, bytes_make(view->primary, view->primary_len));
	bound = memcomparable_encode(primary, &beat->arena);
	kvrpcpb__txn_heart_beat_request__init(&beat->message);
	beat->message.primary_lock.data = unconstify(uint8 *, primary.data);
	beat->message.primary_lock.len = primary.len;
	beat->message.start_version = view->start_ts;
	beat->message.advise_lock_ttl =
		(uint64) tso_age_ms(view->start_ts) + SQL_TXN_TTL_MS;
	if (!address(beat, bound))
	{
		if (!elsewhere_ask(store, bound, METHOD_KV_TXN_HEART_BEAT,
						   &beat->message.base, beat_answered_elsewhere, beat))
			beat_end(beat);
		return;
	}
	beat->message.context = &beat->context;
	beat->request.method = service_method(METHOD_KV_TXN_HEART_BEAT);
	beat->request.message = &beat->message.base;
	beat->request.arena = &beat->arena;
	beat->request.received_us = dispatch_now_us();
	beat->request.deadline_us = PG_INT64_MAX;
	beat->request.done = beat_done;
	beat->request.fail = beat_failed;
	beat->request.owner = beat;
	dispatch_submit(&store->dispatch, &beat->request);
}

void
sql_heartbeats_send(Store *store)
{
	SqlTxnView *view = palloc(sizeof(*view));

	for (int i = 0; i < sql_txn_slots() && store->sql_beats < BEATS_MAX; i++)
		if (sql_txn_view(i, view) && view->primary_len > 0)
			send_beat(store, i, view);
	pfree(view);
}
