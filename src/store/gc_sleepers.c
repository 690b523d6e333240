/*
 * gc_sleepers.c
 *	  Locks of groups that sleep: looked for without waking them.
 *
 * A round of the garbage collection looks for old locks in every region, and
 * with thousands of them that sleep some would always be awake for it.  If the
 * logs of all of a group's peers end at one index, and they have applied all of
 * it and have no locks, the group has none (core/cmd/log_poll.h).  Every store
 * raises its max_ts to the safe point before it says so, and no async commit
 * lands below it afterwards.
 *
 * Regions that follow each other are asked about together: those of which this
 * store has peers, up to one of which it has none, and from there on those that
 * PD names.  What does not sleep everywhere, or has locks, is scanned as
 * others are, and so are, for the rest of the round, regions with a peer on a
 * store that has not answered in time: it may be of a version that cannot, and
 * would be waited for again and again.
 */
#include "postgres.h"

#include "bus/failpoints.h"
#include "bus/lock_table.h"
#include "core/cmd/log_poll.h"
#include "pdpb.pb-c.h"
#include "read/txn_look.h"
#include "store/gc_internal.h"
#include "store/replicas.h"
#include "utils/memutils.h"

/* How long other stores, or PD, are waited for. */
#define PATIENCE_US INT64CONST(1000000)

/* Among the answers of PD: ours, and before which question it was asked. */
#define SLEEPERS_TAG (UINT64CONST(1) << 57)
#define OTHER_TAGS (~(SLEEPERS_TAG | PG_UINT32_MAX))

typedef enum SleepersWait
{
	FOR_NOBODY,
	FOR_PD,
	FOR_STORES
} SleepersWait;

struct GcSleepers
{
	SleepersWait waits;
	uint32 asked; /* questions so far */
	LogPoll poll;
};

static GcSleepers *
sleepers(Store *store)
{
	Gc *gc = &store->gc;

	if (gc->sleepers == NULL)
	{
		gc->sleepers = MemoryContextAllocZero(gc->keep, sizeof(GcSleepers));
		log_poll_init(&gc->sleepers->poll);
	}
	return gc->sleepers;
}

void
gc_sleepers_forget(Store *store)
{
	sleepers(store)->waits = FOR_NOBODY;
	log_poll_forget(&sleepers(store)->poll);
}

void
gc_sleepers_free(Store *store)
{
	if (store->gc.sleepers != NULL)
		log_poll_free(&store->gc.sleepers->poll);
	store->gc.sleepers = NULL;
}

/* ------------------------------------------------------- what is known here */

static bool
has_locks(const Peer *peer)
{
	Arena arena;
	LockScan scan = {.max_locks = 1};
	LockScanResult found;
	bool has;

	arena_init(&arena);
	scan.range = txn_region_range(&peer->region, &arena);
	has = lock_table_n_spilled() > 0 ||
		!lock_table_scan(&scan, &arena, &found) || found.n > 0;
	arena_free(&arena);
	return has;
}

static LogSight
see(const Peer *peer)
{
	LogSight sight = {.epoch = peer->region.epoch,
					  .asleep = peer->grouped && peer->sleep.asleep};

	if (sight.asleep)
	{
		sight.last_index = raft_last_index(peer->raft);
		sight.applied_index = peer->saved.applied_index;
		sight.has_locks = has_locks(peer);
	}
	return sight;
}

/* What it says is true of one moment after max_ts was raised. */
static void
answer_ends(Store *store, LogEnds *ends)
{
	int n = 0;

	lock_table_raise_max_ts(ends->ts);
	for (int i = 0; i < ends->n; i++)
	{
		const Peer *peer = store_find_peer(store, ends->ends[i].region_id);
		LogEnd end = ends->ends[i];
		LogSight sight;

		if (peer == NULL)
			continue;
		sight = see(peer);
		if (log_end_answer(&end, &sight))
			ends->ends[n++] = end;
	}
	ends->n = n;
}

/* ----------------------------------------------------------------- messages */

static void
send_ends(Store *store, uint64 to, ExtraType type, const LogEnds *ends)
{
	Arena arena;

	arena_init(&arena);
	store_message_send(store, to, type, log_ends_encode(ends, &arena));
	arena_free(&arena);
}

static void
ask_stores(Store *store)
{
	GcSleepers *asks = store->gc.sleepers;
	LogPoll *poll = &asks->poll;
	LogEnds *ends = palloc(sizeof(LogEnds));

	for (int i = 0; i < poll->n_stores; i++)
	{
		log_poll_question(poll, poll->stores[i], ends);
		if (poll->stores[i] != store->meta.store_id)
			send_ends(store, poll->stores[i], EXTRA_LOG_ENDS_REQUEST, ends);
		else
		{
			answer_ends(store, ends);
			log_poll_answer(poll, store->meta.store_id, ends);
		}
	}
	pfree(ends);
	asks->waits = FOR_STORES;
	store->gc.due_us =
		dispatch_now_us() + (log_poll_left(poll) > 0 ? PATIENCE_US : 0);
	FAILPOINT_PASS("store_sleepers_out");
}

/* The other store's side. */
static void
answer(Store *store, const PeerMessage *m)
{
	LogEnds *ends = palloc(sizeof(LogEnds));

	if (log_ends_decode(m->extra_context, ends) == STATUS_OK &&
		txn_judge_ts(ends->ts) == TXN_LOOK_OK)
	{
		FAILPOINT_PASS("store_sleepers_asked");
		answer_ends(store, ends);
		FAILPOINT_PASS("store_sleepers_answer");
		send_ends(store, m->from.store_id, EXTRA_LOG_ENDS_RESPONSE, ends);
	}
	pfree(ends);
}

static void
take_response(Store *store, const PeerMessage *m)
{
	GcSleepers *asks = store->gc.sleepers;
	LogEnds *ends = palloc(sizeof(LogEnds));

	if (asks != NULL && asks->waits == FOR_STORES &&
		store->gc.phase == GC_SCANS_LOCKS &&
		log_ends_decode(m->extra_context, ends) == STATUS_OK)
	{
		FAILPOINT_PASS("store_sleepers_answered");
		log_poll_answer(&asks->poll, m->from.store_id, ends);
		if (log_poll_left(&asks->poll) == 0)
			store->gc.due_us = dispatch_now_us();
	}
	pfree(ends);
}

bool
gc_sleepers_take_message(Store *store, const PeerMessage *m)
{
	if (m->extra == EXTRA_LOG_ENDS_REQUEST)
		answer(store, m);
	else if (m->extra == EXTRA_LOG_ENDS_RESPONSE)
		take_response(store, m);
	else
		return false;
	return true;
}

/* ------------------------------------------------------------- the question */

/* Others need not be asked if something is seen here. */
static bool
add_peer(Store *store, const Peer *peer)
{
	LogEnd end = {.epoch = peer->region.epoch};
	LogSight sight = see(peer);

	return log_poll_add(&store->gc.sleepers->poll, &peer->region,
						log_end_answer(&end, &sight) && !end.has_locks);
}

/* From a bound on, as far as this store has peers. */
static void
add_peers(Store *store, Bytes bound)
{
	const Peer *peer;

	do
	{
		peer = store_find_peer_of_key(store, bound);
		if (peer == NULL || !bytes_eq(peer->region.start_key, bound) ||
			!add_peer(store, peer))
			return;
		bound = peer->region.end_key;
	} while (bound.len > 0);
}

/* False: there is nothing to ask, or no more room. */
static bool
add_region(Store *store, const Metapb__Region *from, Bytes bound)
{
	const Peer *peer = store_find_peer(store, from->id);
	Region region = {.id = from->id};

	if (peer != NULL)
		return bytes_eq(peer->region.start_key, bound) && add_peer(store, peer);
	if (from->region_epoch == NULL || from->n_peers > REGION_MAX_PEERS)
		return false;
	region.start_key = bytes_make(from->start_key.data, from->start_key.len);
	region.end_key = bytes_make(from->end_key.data, from->end_key.len);
	region.epoch.conf_ver = from->region_epoch->conf_ver;
	region.epoch.version = from->region_epoch->version;
	for (size_t i = 0; i < from->n_peers; i++)
		region.peers[region.n_peers++].store_id = from->peers[i]->store_id;
	return bytes_eq(region.start_key, bound) &&
		log_poll_add(&store->gc.sleepers->poll, &region, true);
}

/* Those that PD names; nobody is asked if none begins where it should. */
static void
add_regions(Store *store, const Pdpb__ScanRegionsResponse *reply)
{
	const LogPoll *poll = &store->gc.sleepers->poll;
	Bytes bound = store->gc.bound;

	for (size_t i = 0; i < reply->n_regions; i++)
	{
		const Metapb__Region *region = reply->regions[i]->region;

		if (region == NULL || !add_region(store, region, bound))
			return;
		bound = poll->regions[poll->n - 1].end;
		if (bound.len == 0)
			return;
	}
}

bool
gc_sleepers_take_pd_answer(Store *store, const BusAnswer *answer)
{
	GcSleepers *asks = store->gc.sleepers;
	const Pdpb__ScanRegionsResponse *reply = NULL;
	Arena arena;

	if ((answer->tag & OTHER_TAGS) != 0 || (answer->tag & SLEEPERS_TAG) == 0)
		return false;
	if (asks == NULL || asks->waits != FOR_PD ||
		store->gc.phase != GC_SCANS_LOCKS ||
		(answer->tag & PG_UINT32_MAX) != asks->asked)
		return true;
	arena_init(&arena);
	if (answer->reply.code == BUS_OK)
		reply = (const void *)
			service_unpack(&pdpb__scan_regions_response__descriptor,
						   answer->reply.bytes, &arena);
	if (reply != NULL)
		add_regions(store, reply);
	arena_free(&arena);
	ask_stores(store);
	return true;
}

static bool
ask_pd(Store *store, Bytes bound)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__ScanRegionsRequest request = PDPB__SCAN_REGIONS_REQUEST__INIT;
	Bytes packed;
	BusCode code;

	header.cluster_id = store->meta.cluster_id;
	request.header = &header;
	request.start_key.data = unconstify(uint8 *, bound.data);
	request.start_key.len = bound.len;
	request.limit = LOG_ENDS_MAX;
	packed.len = protobuf_c_message_get_packed_size(&request.base);
	packed.data = palloc(packed.len);
	protobuf_c_message_pack(&request.base, unconstify(uint8 *, packed.data));
	code = bus_send(WORKER_STORE, WORKER_PD, METHOD_PD_SCAN_REGIONS, packed,
					SLEEPERS_TAG | store->gc.sleepers->asked);
	pfree(unconstify(uint8 *, packed.data));
	if (code != BUS_OK)
		return false;
	store->gc.sleepers->waits = FOR_PD;
	store->gc.due_us = dispatch_now_us() + PATIENCE_US;
	return true;
}

/* False: there is nothing to ask about the region at the bound. */
static bool
ask(Store *store, Bytes bound)
{
	GcSleepers *asks = store->gc.sleepers;

	asks->asked++;
	log_poll_begin(&asks->poll,
				   ((uint64) store->meta.start_seq << 32) + asks->asked,
				   store->gc.safe_point);
	if (store_find_peer_of_key(store, bound) == NULL)
		return ask_pd(store, bound);
	add_peers(store, bound);
	if (!log_poll_asks(&asks->poll))
		return false;
	ask_stores(store);
	return true;
}

GcSleepersStep
gc_pass_over_sleepers(Store *store, Bytes bound, Bytes *end)
{
	GcSleepers *asks = sleepers(store);
	LogPoll *poll = &asks->poll;
	int at = log_poll_find(poll, bound);
	int n;

	if (asks->waits == FOR_NOBODY && at < 0)
		return ask(store, bound) ? GC_SLEEPERS_ASKED : GC_SLEEPERS_NONE;
	if (asks->waits != FOR_NOBODY)
	{
		log_poll_close(poll);
		asks->waits = FOR_NOBODY;
		FAILPOINT_PASS("store_sleepers_over");
	}
	store->gc.step_us = dispatch_now_us();
	n = at < 0 ? 0 : log_poll_count_clean(poll, at);
	if (n == 0)
		return GC_SLEEPERS_NONE;
	FAILPOINT_PASS("store_sleepers_passed");
	*end = poll->regions[at + n - 1].end;
	return GC_SLEEPERS_PASSED;
}
