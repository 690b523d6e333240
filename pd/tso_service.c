/*
 * tso_service.c
 *	  Timestamps for clients: requests, the window, and who waits for it.
 *
 * A request takes its timestamps from shared memory like any local process.
 * When the window is used up it waits for the round that saves a greater
 * bound; requests behind it wait as well, so that a stream's answers keep
 * their order.  Errors end the stream with a status and never ride in a
 * header (client-contract 1.6).
 */
#include "postgres.h"

#include "bus/board.h"
#include "bus/failpoints.h"
#include "pd/convert.h"
#include "pd/pd.h"
#include "pd/tso_local.h"
#include "service/service.h"
#include "utils/memutils.h"

/* How long a request may wait for a window (the clients' own deadline). */
#define TSO_PATIENCE_US INT64CONST(3000000)

/* More than clocks that are kept in time differ. */
#define COPY_AHEAD_MS 10000
#define TSO_MAX_WAITS 65536

/* While the clock is behind, the window grows in steps of about this. */
#define TSO_RETRY_US INT64CONST(10000)

static TsoShared *
shared(void)
{
	return tikv_shmem()->tso;
}

/* ---- answers ---- */

static void
reply_tso(Pd *pd, const ReplyTo *to, uint32 count, uint64 last)
{
	Pdpb__ResponseHeader header = PDPB__RESPONSE_HEADER__INIT;
	Pdpb__Timestamp timestamp = PDPB__TIMESTAMP__INIT;
	Pdpb__TsoResponse response = PDPB__TSO_RESPONSE__INIT;

	header.cluster_id = pd->state.cluster_id;
	timestamp.physical = (int64) tso_physical(last);
	timestamp.logical = tso_logical(last);
	response.header = &header;
	response.count = count;
	response.timestamp = &timestamp;
	pd_reply(pd, to, &response.base);
}

static void
reply_min_ts(Pd *pd, const ReplyTo *to, uint64 last)
{
	Pdpb__ResponseHeader header = PDPB__RESPONSE_HEADER__INIT;
	Pdpb__Timestamp timestamp = PDPB__TIMESTAMP__INIT;
	Pdpb__GetMinTSResponse response = PDPB__GET_MIN_TSRESPONSE__INIT;

	header.cluster_id = pd->state.cluster_id;
	timestamp.physical = (int64) tso_physical(last);
	timestamp.logical = tso_logical(last);
	response.header = &header;
	response.timestamp = &timestamp;
	pd_reply(pd, to, &response.base);
}

/* True if it was answered; false if it has to wait for a window. */
static bool
serve_request(Pd *pd, const TsoWait *wait)
{
	uint64 last;

	if (wait->half_close)
	{
		pd_finish(pd, &wait->to);
		return true;
	}
	switch (tso_take(wait->count, &last))
	{
		case TSO_OK:
			if (wait->method->response == &pdpb__tso_response__descriptor)
				reply_tso(pd, &wait->to, wait->count, last);
			else
				reply_min_ts(pd, &wait->to, last);
			return true;
		case TSO_ZERO_COUNT:
			pd_fail(pd, &wait->to, RPC_INVALID_ARGUMENT,
					"tso count should be positive");
			return true;
		case TSO_TOO_MANY:
			pd_fail(pd, &wait->to, RPC_INVALID_ARGUMENT,
					"tso count does not fit into one physical tick");
			return true;
		case TSO_NO_WINDOW:
			break;
	}
	return false;
}

/* ---- waiting ---- */

/* A call's own pointer is the newest of what waits of it: see tso_half_close. */
static void
queue_wait(Pd *pd, const TsoWait *wait)
{
	TsoWait *kept = MemoryContextAlloc(TopMemoryContext, sizeof(TsoWait));

	*kept = *wait;
	kept->next = NULL;
	kept->since_us = board_now_us();
	if (kept->to.call != NULL)
	{
		call_hold(kept->to.call);
		call_set_user(kept->to.call, kept);
	}
	*pd->tso_waits_tail = kept;
	pd->tso_waits_tail = &kept->next;
	pd->n_tso_waits++;
}

static void
pop_wait(Pd *pd)
{
	TsoWait *wait = pd->tso_waits;

	pd->tso_waits = wait->next;
	if (pd->tso_waits == NULL)
		pd->tso_waits_tail = &pd->tso_waits;
	pd->n_tso_waits--;
	if (wait->to.call != NULL)
	{
		if (call_user(wait->to.call) == wait)
			call_set_user(wait->to.call, NULL);
		call_release(wait->to.call);
	}
	pfree(wait);
}

static void
serve_or_wait(Pd *pd, const TsoWait *wait)
{
	if (pd->tso_waits == NULL && serve_request(pd, wait))
		return;
	if (pd->n_tso_waits >= TSO_MAX_WAITS)
		pd_fail(pd, &wait->to, RPC_UNAVAILABLE,
				"too many requests wait for timestamps");
	else
		queue_wait(pd, wait);
}

static void
serve_waits(Pd *pd)
{
	while (pd->tso_waits != NULL)
	{
		TsoWait *wait = pd->tso_waits;

		if (!serve_request(pd, wait))
		{
			if (board_now_us() - wait->since_us < TSO_PATIENCE_US)
				return;
			pd_fail(
				pd, &wait->to, RPC_UNAVAILABLE,
				"no timestamps: the saved window could not be extended in time");
		}
		pop_wait(pd);
	}
}

/* ---- requests ---- */

void
tso_request(Pd *pd, const PdMethod *method, Bytes bytes, const ReplyTo *to)
{
	TsoWait wait = {.to = *to, .method = method, .count = 1};
	ProtobufCMessage *message =
		service_unpack(method->request, bytes, &pd->arena);
	Pdpb__RequestHeader *header;

	if (message == NULL)
	{
		pd_fail(pd, to, RPC_INVALID_ARGUMENT, "malformed request message");
		return;
	}
	if (method->request == &pdpb__tso_request__descriptor)
	{
		header = ((Pdpb__TsoRequest *) message)->header;
		wait.count = ((Pdpb__TsoRequest *) message)->count;
	}
	else
		header = ((Pdpb__GetMinTSRequest *) message)->header;
	if (pd_check_cluster(pd, to, header != NULL,
						 header != NULL ? header->cluster_id : 0))
		serve_or_wait(pd, &wait);
}

void
tso_half_close(Pd *pd, const ReplyTo *to)
{
	TsoWait wait = {.to = *to, .half_close = true};

	if (call_user(to->call) != NULL)
		queue_wait(pd, &wait);
	else
		pd_finish(pd, to);
}

/* ---- the window ---- */

/*
 * Ahead of need only while somebody uses timestamps: an idle node saves
 * nothing, and its next request waits for one commit.
 */
static bool
bound_is_wanted(const Pd *pd)
{
	uint64 last = pg_atomic_read_u64(&shared()->last);

	if (pd->tso_waits != NULL)
		return true;
	return last != pd->tso_last_seen &&
		tso_wants_bound(last, pg_atomic_read_u64(&shared()->bound_ms),
						tso_now_ms());
}

/* The first bound has to lie beyond where tso_lead began. */
static uint64
elapsed_ms(const Pd *pd)
{
	uint64 began_ms = tso_physical(pg_atomic_read_u64(&shared()->last));

	if (pd->tso_extended_us == 0)
		return TSO_WINDOW_MS +
			(began_ms > pd->state.tso_saved_ms ?
				 began_ms - pd->state.tso_saved_ms :
				 0);
	return (uint64) (board_now_us() - pd->tso_extended_us) / 1000;
}

void
tso_before_commit(Pd *pd)
{
	uint64 bound_ms;
	PdChanges changes;
	const char *why;

	if (!pd->leading || pd->tso_bound_ms != 0 || !bound_is_wanted(pd))
		return;
	bound_ms = tso_extend(pg_atomic_read_u64(&shared()->last),
						  pd->state.tso_saved_ms, tso_now_ms(), elapsed_ms(pd));
	if (bound_ms <= pg_atomic_read_u64(&shared()->bound_ms) ||
		!group_begin(pd, &why))
		return;
	pd_changes_init(&changes, &pd->arena);
	FAILPOINT("pd_tso_before_save");
	pd_changes_number(&changes, PD_RECORD_TIMESTAMP, bound_ms);
	if (!group_change(pd, &changes, &why))
		return;
	pd->tso_bound_ms = bound_ms;
	pd->tso_bound_index = 0;
	FAILPOINT("pd_tso_saving");
}

void
tso_after_commit(Pd *pd)
{
	if (pd->tso_bound_ms != 0 && pd->saved.applied_index >= pd->tso_bound_index)
	{
		FAILPOINT_PASS("pd_tso_saved");
		pg_atomic_write_u64(&shared()->bound_ms, pd->tso_bound_ms);
		pd->tso_bound_ms = 0;
		pd->tso_bound_index = 0;
		pd->tso_extended_us = board_now_us();
		pd->tso_last_seen = pg_atomic_read_u64(&shared()->last);
	}
	FAILPOINT_PASS("pd_tso_before_answers");
	serve_waits(pd);
}

/*
 * Timestamps go on after everything that may have been handed out: below the
 * saved bound, or seen in shared memory, which outlives this process.  The
 * original of a copy may have gone on by a clock that is ahead of ours.
 */
void
tso_lead(Pd *pd)
{
	bool moved = pd->moved != PD_MOVED_NOT; /* unknown: be careful */
	uint64 start;

	if (moved)
		ereport(
			LOG,
			(errmsg(
				"tikv pd: the data may be a copy: timestamps go on %d s ahead of the clock",
				COPY_AHEAD_MS / 1000)));
	start = tso_begin(pd->state.tso_saved_ms,
					  moved ? tso_make(COPY_AHEAD_MS, 0) : 0);
	FAILPOINT_PASS("pd_tso_lead");
	pd->tso_last_seen = start;
	pd->tso_extended_us = 0;

	tso_lease(pd, raft_lease_end_us(pd->raft));
}

/*
 * Until when nobody else can lead: for ever for a sole member.  Who takes a
 * timestamp looks at this afterwards, so none that is given out was taken
 * while another leader may have been at work.
 */
void
tso_lease(Pd *pd, uint64 until_us)
{
	(void) pd;
	if (pg_atomic_read_u64(&shared()->lead_until_us) != until_us)
		pg_atomic_write_u64(&shared()->lead_until_us, until_us);
}

void
tso_resign(Pd *pd)
{
	pg_atomic_write_u64(&shared()->lead_until_us, 0);
	pg_atomic_write_u64(&shared()->bound_ms, 0);
	pd->tso_bound_ms = 0;
	pd->tso_bound_index = 0;
	while (pd->tso_waits != NULL)
	{
		pd_fail(pd, &pd->tso_waits->to, RPC_UNAVAILABLE, "not leader");
		pop_wait(pd);
	}
}

int64
tso_sleep_us(const Pd *pd)
{
	uint64 last = pg_atomic_read_u64(&shared()->last);
	uint64 bound_ms = pg_atomic_read_u64(&shared()->bound_ms);
	uint64 now_ms = tso_now_ms();

	if (pd->tso_waits != NULL)
		return TSO_RETRY_US;
	if (last == pd->tso_last_seen || bound_ms == 0)
		return -1;
	if (now_ms + TSO_REFRESH_MS >= bound_ms)
		return TSO_RETRY_US;
	return (int64) (bound_ms - TSO_REFRESH_MS - now_ms) * 1000;
}
