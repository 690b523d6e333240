/*
 * links.c
 *	  The store's side of the transport: where stores are, what came, what
 *	  could not be sent.
 *
 * Addresses are asked of PD each time a stream begins: all stores at once,
 * over the bus, for whoever waits for one.
 */
#include "postgres.h"

#include "bus/bus.h"
#include "bus/metrics.h"
#include "pdpb.pb-c.h"
#include "store/snapshots.h"
#include "transport/transport.h"
#include "utils/memutils.h"

/* Of the question among the answers of PD. */
#define STORES_TAG (UINT64CONST(1) << 62)

#define ASK_AGAIN_US INT64CONST(2000000)

/* Stores that can wait for an address at once. */
#define MAX_WANTED 64

struct Links
{
	Transport *transport;
	uint64 wanted[MAX_WANTED];
	int n_wanted;
	int64 asked_us; /* 0: no question is under way */
};

static void
ask_stores(Store *store)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__GetAllStoresRequest request = PDPB__GET_ALL_STORES_REQUEST__INIT;
	size_t len;
	uint8 *bytes;

	header.cluster_id = store->meta.cluster_id;
	request.header = &header;
	request.exclude_tombstone_stores = true;
	len = protobuf_c_message_get_packed_size(&request.base);
	bytes = palloc(len);
	protobuf_c_message_pack(&request.base, bytes);
	store->links->asked_us = dispatch_now_us();
	(void) bus_send(WORKER_STORE, WORKER_PD, METHOD_PD_GET_ALL_STORES,
					bytes_make(bytes, len), STORES_TAG);
	pfree(bytes);
}

static void
resolve(void *arg, uint64_t id)
{
	Store *store = arg;
	Links *links = store->links;

	for (int i = 0; i < links->n_wanted; i++)
		if (links->wanted[i] == id)
			return;
	if (links->n_wanted == MAX_WANTED)
	{
		transport_resolved(links->transport, id, NULL);
		return;
	}
	links->wanted[links->n_wanted++] = id;
	if (links->asked_us == 0)
		ask_stores(store);
}

/* The answer is for all who wait: unknown stores are told as such. */
static void
tell_addresses(Links *links, const Pdpb__GetAllStoresResponse *reply)
{
	int n = links->n_wanted;
	uint64 wanted[MAX_WANTED];

	memcpy(wanted, links->wanted, sizeof(wanted));
	links->n_wanted = 0;
	links->asked_us = 0;
	for (int i = 0; i < n; i++)
	{
		const char *address = NULL;

		for (size_t k = 0; reply != NULL && k < reply->n_stores; k++)
			if (reply->stores[k]->id == wanted[i])
				address = reply->stores[k]->peer_address[0] != '\0' ?
					reply->stores[k]->peer_address :
					reply->stores[k]->address;
		transport_resolved(links->transport, wanted[i], address);
	}
}

bool
links_take_pd_answer(Store *store, const BusAnswer *answer)
{
	Pdpb__GetAllStoresResponse *reply = NULL;
	Arena arena;

	if (answer->tag != STORES_TAG)
		return false;
	if (store->links == NULL)
		return true;
	arena_init(&arena);
	if (answer->reply.code == BUS_OK)
		reply = (Pdpb__GetAllStoresResponse *)
			service_unpack(&pdpb__get_all_stores_response__descriptor,
						   answer->reply.bytes, &arena);
	tell_addresses(store->links, reply);
	arena_free(&arena);
	return true;
}

/* ---------------------------------------------------------------- messages */

/* Others wait while a turn that cannot begin keeps theirs waiting. */
static void
pace(Store *store)
{
	transport_pause(store->links->transport, raft_message_enough(store));
}

static void
on_message(void *arg, Bytes message)
{
	Store *store = arg;

	raft_message_receive(store, message);
	pace(store);
}

/* What this store's clock is compared with (sweeper.c). */
static void
on_clock(void *arg, uint64_t store_id, int64_t wall_ms)
{
	Store *store = arg;

	common_clock_hear(&store->sweeper.others, store_id, wall_ms,
					  dispatch_now_us() / 1000);
}

static void
report_unreachable(const Peer *peer, uint64 store_id)
{
	for (int i = 0; i < peer->region.n_peers; i++)
		if (peer->region.peers[i].store_id == store_id)
			raft_report_unreachable(peer->raft, peer->region.peers[i].id);
}

static void
on_unreachable(void *arg, uint64_t store_id)
{
	Store *store = arg;

	for (int i = 0; i < store->lists[PEERS_AWAKE].n; i++)
		report_unreachable(store->lists[PEERS_AWAKE].peers[i], store_id);
}

static void
on_refused(void *arg, uint64_t store_id, const char *text)
{
	Store *store = arg;

	ereport(LOG,
			(errmsg("tikv store %llu: store %llu refuses its messages: %s",
					(unsigned long long) store->meta.store_id,
					(unsigned long long) store_id, text)));
}

static bool
send_message(void *arg, uint64 to_store, Bytes message)
{
	Store *store = arg;

	return transport_send(store->links->transport, to_store, message);
}

/* --------------------------------------------------------------- start, stop */

void
links_start(Store *store)
{
	TransportConfig config = {.server = store->server,
							  .cluster_id = store->meta.cluster_id,
							  .self_id = store->meta.store_id,
							  .start_seq = (uint64) store->meta.start_seq,
							  .resolve = resolve,
							  .on_message = on_message,
							  .on_clock = on_clock,
							  .on_unreachable = on_unreachable,
							  .on_refused = on_refused,
							  .snapshot_begin = snapshots_begin,
							  .snapshot_data = snapshots_data,
							  .snapshot_end = snapshots_end,
							  .arg = store};

	store->links = MemoryContextAllocZero(store->context, sizeof(Links));
	store->links->transport = transport_start(&config);
	store->replicas->links.send = send_message;
	store->replicas->links.snapshot = snapshots_get;
	store->replicas->links.send_snapshot = snapshots_send;
	store->replicas->links.arg = store;
}

void
links_stop(Store *store)
{
	if (store->links == NULL)
		return;
	store->replicas->links.send = NULL;
	store->replicas->links.snapshot = NULL;
	store->replicas->links.send_snapshot = NULL;
	transport_stop(store->links->transport);
	store->links = NULL;
}

static void
count(const Store *store)
{
	TransportStats stats;

	transport_stats(store->links->transport, &stats);
	metrics_set(VALUE_RAFT_SENT, stats.sent);
	metrics_set(VALUE_RAFT_RECEIVED, stats.received);
	metrics_set(VALUE_RAFT_DROPPED, stats.dropped);
	metrics_set(VALUE_RAFT_FAILURES, stats.failures);
	metrics_set(VALUE_RAFT_QUEUED_BYTES, stats.queued_bytes);
	metrics_set(VALUE_RAFT_INBOX_DROPPED, store->replicas->inbox_dropped);
}

void
links_run(Store *store)
{
	Links *links = store->links;

	if (links == NULL)
		return;
	if (links->asked_us != 0 &&
		dispatch_now_us() > links->asked_us + ASK_AGAIN_US)
		tell_addresses(links, NULL);
	pace(store);
	transport_run(links->transport);
	count(store);
}
