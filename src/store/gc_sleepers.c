/*
 * gc_sleepers.c
 *	  Locks of groups that sleep: looked for without waking them.
 *
 * A round of the garbage collection looks for old locks in every region, and
 * with thousands of them that sleep some would always be awake for it.  What a
 * group has committed by now is known here if this store's peer has applied all
 * of its log, and no other peer's log goes further (core/cmd/log_ends.h), and
 * then the locks are those that this store has.  The other stores raise their
 * max_ts to the safe point first, so no async commit lands below it afterwards.
 *
 * As many regions as follow each other and hold no locks here are asked about
 * together.  Those that have something under way are scanned as others are, and so
 * are all, for the rest of the round, when a store has not answered in time: it
 * may be of a version that cannot, and would be waited for at every region.
 */
#include "postgres.h"

#include "bus/lock_table.h"
#include "core/cmd/log_ends.h"
#include "core/cmd/region_change.h"
#include "read/txn_look.h"
#include "store/gc_internal.h"
#include "store/replicas.h"
#include "utils/memutils.h"

/* How long other stores are waited for. */
#define PATIENCE_US INT64CONST(1000000)

/* Others are scanned. */
#define STORES_MAX 64

struct GcSleepers
{
	bool open;
	bool in_vain; /* a store has not answered: others are scanned this round */
	int left;	  /* stores that have not answered */
	LogEnds asked;
	uint32 agreed[LOG_ENDS_MAX]; /* by place in the region's peers */
};

static GcSleepers *
sleepers(Store *store)
{
	Gc *gc = &store->gc;

	if (gc->sleepers == NULL)
		gc->sleepers = MemoryContextAllocZero(gc->keep, sizeof(GcSleepers));
	return gc->sleepers;
}

void
gc_sleepers_forget(Store *store)
{
	sleepers(store)->open = false;
	sleepers(store)->in_vain = false;
}

/* It sleeps, and has applied what its log holds. */
static bool
is_asleep(const Peer *peer)
{
	return peer->grouped && peer->sleep.asleep &&
		peer->saved.applied_index == raft_last_index(peer->raft);
}

static bool
has_locks(Store *store, const Peer *peer)
{
	LockScan scan = {.range = txn_region_range(&peer->region, &store->gc.arena),
					 .max_locks = 1};
	LockScanResult found;

	return lock_table_n_spilled() > 0 ||
		!lock_table_scan(&scan, &store->gc.arena, &found) || found.n > 0;
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
ask_store(Store *store, uint64 store_id)
{
	const LogEnds *asked = &store->gc.sleepers->asked;
	LogEnds *ends = palloc(sizeof(LogEnds));

	*ends = *asked;
	ends->n = 0;
	for (int i = 0; i < asked->n; i++)
	{
		const Peer *peer = store_find_peer(store, asked->ends[i].region_id);

		if (region_find_store(&peer->region, store_id) != NULL)
			ends->ends[ends->n++] = asked->ends[i];
	}
	store->gc.sleepers->left++;
	send_ends(store, store_id, EXTRA_LOG_ENDS_REQUEST, ends);
	pfree(ends);
}

static void
ask_stores(Store *store)
{
	const LogEnds *asked = &store->gc.sleepers->asked;
	uint64 stores[STORES_MAX] = {store->meta.store_id};
	int n = 1;

	for (int i = 0; i < asked->n; i++)
	{
		const Region *region =
			&store_find_peer(store, asked->ends[i].region_id)->region;

		for (int k = 0; k < region->n_peers; k++)
		{
			uint64 id = region->peers[k].store_id;
			int at = 0;

			while (at < n && stores[at] != id)
				at++;
			if (at < n || n == STORES_MAX)
				continue;
			stores[n++] = id;
			ask_store(store, id);
		}
	}
}

/*
 * The other store's side.  What it says is true of one moment after max_ts was
 * raised, and that is enough.
 */
static void
answer(Store *store, const PeerMessage *m)
{
	LogEnds *ends = palloc(sizeof(LogEnds));
	int n = 0;

	if (log_ends_decode(m->extra_context, ends) != STATUS_OK ||
		txn_judge_ts(ends->ts) != TXN_LOOK_OK)
	{
		pfree(ends);
		return;
	}
	lock_table_raise_max_ts(ends->ts);
	for (int i = 0; i < ends->n; i++)
	{
		const Peer *peer = store_find_peer(store, ends->ends[i].region_id);

		if (peer != NULL && is_asleep(peer) &&
			raft_last_index(peer->raft) == ends->ends[i].index)
			ends->ends[n++] = ends->ends[i];
	}
	ends->n = n;
	send_ends(store, m->from.store_id, EXTRA_LOG_ENDS_RESPONSE, ends);
	pfree(ends);
}

/* --------------------------------------------------------------- the question */

/* The group is as it was when it was asked about. */
static const Peer *
find_asked(Store *store, int i)
{
	const LogEnd *end = &store->gc.sleepers->asked.ends[i];
	const Peer *peer = store_find_peer(store, end->region_id);

	return peer != NULL && is_asleep(peer) &&
			raft_last_index(peer->raft) == end->index ?
		peer :
		NULL;
}

static bool
all_agreed(Store *store, const Peer *peer, int i)
{
	for (int k = 0; k < peer->region.n_peers; k++)
		if (peer->region.peers[k].id != peer->self.id &&
			(store->gc.sleepers->agreed[i] & UINT32_C(1) << k) == 0)
			return false;
	return true;
}

static void
agree(Store *store, uint64 from, int i)
{
	const Peer *peer = find_asked(store, i);

	for (int k = 0; peer != NULL && k < peer->region.n_peers; k++)
		if (peer->region.peers[k].store_id == from)
			store->gc.sleepers->agreed[i] |= UINT32_C(1) << k;
}

/* The answer has its ends in the order of the question. */
static void
take_answer(Store *store, uint64 from, const LogEnds *ends)
{
	GcSleepers *asks = store->gc.sleepers;
	const LogEnds *asked = &asks->asked;
	int k = 0;

	for (int i = 0; i < asked->n && k < ends->n; i++)
		if (ends->ends[k].region_id == asked->ends[i].region_id)
		{
			if (ends->ends[k].index == asked->ends[i].index)
				agree(store, from, i);
			k++;
		}
	if (--asks->left <= 0)
		store->gc.due_us = dispatch_now_us();
}

static void
take_response(Store *store, const PeerMessage *m)
{
	const GcSleepers *asks = store->gc.sleepers;
	LogEnds *ends = palloc(sizeof(LogEnds));

	if (asks != NULL && asks->open && store->gc.phase == GC_SCANS_LOCKS &&
		log_ends_decode(m->extra_context, ends) == STATUS_OK &&
		ends->question == asks->asked.question)
		take_answer(store, m->from.store_id, ends);
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

/* ----------------------------------------------------------- the search's part */

/* Those from a bound on that sleep and hold no locks; false: the first does not. */
static bool
ask(Store *store, Bytes bound)
{
	Gc *gc = &store->gc;
	GcSleepers *asks = gc->sleepers;
	LogEnds *asked = &asks->asked;

	asked->n = 0;
	do
	{
		const Peer *peer = store_find_peer_of_key(store, bound);

		if (peer == NULL || !is_asleep(peer) || has_locks(store, peer))
			break;
		asked->ends[asked->n++] =
			(LogEnd){peer->region.id, raft_last_index(peer->raft)};
		bound = peer->region.end_key;
	} while (bound.len > 0 && asked->n < LOG_ENDS_MAX);
	if (asked->n == 0)
		return false;
	asked->question =
		((uint64) store->meta.start_seq << 32) + (uint32) (asked->question + 1);
	asked->ts = gc->safe_point;
	memset(asks->agreed, 0, sizeof(asks->agreed));
	asks->open = true;
	asks->left = 0;
	gc->due_us = dispatch_now_us() + PATIENCE_US;
	ask_stores(store);
	return true;
}

/* How many of them, one after the other, have no locks. */
static int
count_clean(Store *store, Bytes bound, Bytes *end)
{
	int n = 0;

	for (; n < store->gc.sleepers->asked.n; n++)
	{
		const Peer *peer = find_asked(store, n);

		if (peer == NULL || bytes_cmp(peer->region.start_key, bound) != 0 ||
			!all_agreed(store, peer, n) || has_locks(store, peer))
			break;
		bound = *end = peer->region.end_key;
	}
	return n;
}

GcSleepersStep
gc_pass_over_sleepers(Store *store, Bytes bound, Bytes *end)
{
	GcSleepers *asks = sleepers(store);

	if (!asks->open && asks->in_vain)
		return GC_SLEEPERS_NONE;
	if (!asks->open)
		return ask(store, bound) ? GC_SLEEPERS_ASKED : GC_SLEEPERS_NONE;
	asks->open = false;
	asks->in_vain = asks->left > 0;
	store->gc.step_us = dispatch_now_us();
	return count_clean(store, bound, end) > 0 ? GC_SLEEPERS_PASSED :
												GC_SLEEPERS_NONE;
}
