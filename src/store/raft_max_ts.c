/*
 * raft_max_ts.c
 *	  Questions for timestamps: how far they have come, before a new leader
 *	  allows async commit and 1PC, and what time PD has.
 */
#include "postgres.h"

#include "bus/bus.h"
#include "bus/lock_table.h"
#include "bus/tso_shared.h"
#include "core/region/question.h"
#include "pdpb.pb-c.h"
#include "read/txn_look.h"
#include "store/replicas.h"

/* How often a leader asks PD again for a timestamp. */
#define MAX_TS_RETRY_US INT64CONST(1000000)

/*
 * Tags of such questions among the answers of PD; below is what was asked for.
 * The bits above are those of splits, of addresses and of long reads.
 */
#define MAX_TS_TAG (UINT64CONST(1) << 60)
StaticAssertDecl(QUESTION_BITS < 60, "the bit below is stale_peer.c's");

/* How often the store asks what time PD has: it need not be this node's. */
#define PD_TIME_INTERVAL_US INT64CONST(3000000)

/* Numbers of questions about doubts begin with 1 again after so many. */
#define MAX_DOUBTS 1000

#define TSO_LOGICAL_BITS 18
#define TS_DRIFT (TXN_MAX_DRIFT_MS << TSO_LOGICAL_BITS)

static void
ask_timestamp(Store *store, uint64 tag)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__TsoRequest request = PDPB__TSO_REQUEST__INIT;
	Arena arena;
	uint8 *bytes;
	size_t len;

	header.cluster_id = store->meta.cluster_id;
	request.header = &header;
	request.count = 1;
	len = protobuf_c_message_get_packed_size(&request.base);
	arena_init(&arena);
	bytes = arena_alloc(&arena, len);
	protobuf_c_message_pack(&request.base, bytes);
	(void) bus_send(WORKER_STORE, WORKER_PD, METHOD_PD_TSO,
					bytes_make(bytes, len), tag);
	arena_free(&arena);
}

/* Reads were served at other stores, up to any timestamp given out by now. */
void
raft_ask_max_ts(Peer *peer, int64 now_us)
{
	uint64 term = raft_term(peer->raft);

	if (!peer_is_leader(peer) || peer->max_ts_term == term ||
		(peer->max_ts_asked == term &&
		 now_us < peer->max_ts_asked_us + MAX_TS_RETRY_US))
		return;
	peer->max_ts_asked = term;
	peer->max_ts_asked_us = now_us;
	ask_timestamp(peer->store,
				  MAX_TS_TAG | question_number(peer->region.id, term));
}

/*
 * A timestamp far ahead of PD is refused.  This node's clock may be off, or
 * that of the node that leads PD was: what counts is what PD gives out.
 */
void
raft_ask_pd_time(Store *store, int64 now_us)
{
	Replicas *replicas = store->replicas;

	if (now_us < replicas->next_pd_time_us)
		return;
	replicas->next_pd_time_us = now_us + PD_TIME_INTERVAL_US;
	ask_timestamp(store, MAX_TS_TAG);
}

/*
 * One question at a time, and the next one soon if PD does not answer.  Its
 * number is that of no region.
 */
void
raft_ask_about_doubt(Store *store, int64 now_us)
{
	Replicas *replicas = store->replicas;

	if (replicas->doubted != 0 && now_us < replicas->next_doubt_us)
		return;
	replicas->doubted = tso_take_doubt();
	if (replicas->doubted == 0)
		return;
	replicas->next_doubt_us = now_us + MAX_TS_RETRY_US;
	replicas->doubt_question =
		question_number(0,
						question_term(replicas->doubt_question) % MAX_DOUBTS +
							1);
	ask_timestamp(store, MAX_TS_TAG | replicas->doubt_question);
}

/* An answer to an earlier question tells nothing of what was doubted since. */
static void
settle_doubt(Store *store, uint64 question, uint64 ts)
{
	Replicas *replicas = store->replicas;

	if (replicas->doubted == 0 || question != replicas->doubt_question)
		return;
	if (ts < replicas->doubted && replicas->doubted - ts > TS_DRIFT)
		tso_deny(replicas->doubted);
	replicas->doubted = 0;
}

/* The term it was asked in must still be the leader's own. */
static void
take_timestamp(Store *store, uint64 question, const Pdpb__Timestamp *timestamp)
{
	Peer *peer = store_find_peer(store, question_region(question));
	uint64 ts = (uint64) timestamp->physical << TSO_LOGICAL_BITS |
		(uint64) timestamp->logical;

	tso_heard(ts);
	settle_doubt(store, question, ts);
	if (peer == NULL)
		return;
	FAILPOINT("store_max_ts_answer");
	lock_table_raise_max_ts(ts);
	if (peer_is_leader(peer) &&
		question_is_of(question, peer->region.id, raft_term(peer->raft)))
		peer->max_ts_term = raft_term(peer->raft);
}

bool
raft_take_pd_answer(Store *store, const BusAnswer *answer)
{
	uint64 question = answer->tag & ~MAX_TS_TAG;
	Pdpb__TsoResponse *reply;
	Arena arena;

	if ((answer->tag & MAX_TS_TAG) == 0)
		return false;
	if (answer->reply.code != BUS_OK)
		return true;
	arena_init(&arena);
	reply =
		(Pdpb__TsoResponse *) service_unpack(&pdpb__tso_response__descriptor,
											 answer->reply.bytes, &arena);
	if (reply != NULL && reply->timestamp != NULL &&
		(reply->header == NULL || reply->header->error == NULL))
		take_timestamp(store, question, reply->timestamp);
	arena_free(&arena);
	return true;
}
