/*
 * grant_latches.c
 *	  What waits for grants: writes on their keys, commands that walk their
 *	  regions, orders that change those.
 *
 * In a sole-peer group a turn decides commands one after the other, so
 * nothing is latched but by grants.  A write that meets one waits in one
 * list, first come, first served: it reserves its keys there, so that no
 * later request for a grant takes them before.  Who waits holds nothing, and
 * who holds a grant waits for nothing of ours, so there is no cycle.
 *
 * Keys are known by hashes: a collision costs a wait.
 */
#include "postgres.h"

#include "access/transam.h"
#include "storage/procarray.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "bus/lock_table.h"
#include "core/base/hash.h"
#include "core/client/region_cache.h"
#include "guc.h"
#include "storage/grant_rows.h"
#include "store/damage.h"
#include "store/grants_internal.h"
#include "store/replicas.h"

/* Transactions that end without saying so are found in this time. */
#define SWEEP_US INT64CONST(100000)

#define HASH_SEED UINT64CONST(0x27d4eb2f165667c5)

typedef struct LatchedKey
{
	uint64 hash;
	int live;	  /* grants */
	int reserved; /* by writes that wait */
} LatchedKey;

typedef struct LiveGrant
{
	int grant;
	TransactionId xid;
	uint64 *regions;
	int n_regions;
	struct LiveGrant *next;
} LiveGrant;

struct Grants
{
	MemoryContext context;
	HTAB *keys; /* LatchedKey */
	LiveGrant *live;
	int n_live;
	Write *held; /* in their order */
	Write **held_end;
	int n_held;
	int held_over_bus;
	size_t held_bytes;
	int closers; /* held that walk all regions */
	int64 next_sweep_us;
};

static uint64
hash_of(Bytes key)
{
	return hash_bytes64(key, HASH_SEED);
}

/* Of a key that somebody else may be writing no hint is made. */
static bool
is_latched(void *arg, Bytes key)
{
	Grants *grants = arg;
	uint64 hash;
	const LatchedKey *found;

	if (grants->n_live == 0)
		return false;
	hash = hash_of(key);
	found = hash_search(grants->keys, &hash, HASH_FIND, NULL);
	return found != NULL && found->live > 0;
}

void
grants_init(Store *store)
{
	HASHCTL ctl = {.keysize = sizeof(uint64), .entrysize = sizeof(LatchedKey)};
	Grants *grants = MemoryContextAllocZero(store->context, sizeof(Grants));

	grants->context = store->context;
	ctl.hcxt = store->context;
	grants->keys = hash_create("keys of grants", 256, &ctl,
							   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	grants->held_end = &grants->held;
	store->grants = grants;
	version_hints_except(is_latched, grants);
}

/* ------------------------------------------------------------- the latches */

static void
count_key(Grants *grants, uint64 hash, int live, int reserved)
{
	bool found;
	LatchedKey *key = hash_search(grants->keys, &hash, HASH_ENTER, &found);

	if (!found)
		key->live = key->reserved = 0;
	key->live += live;
	key->reserved += reserved;
	if (key->live == 0 && key->reserved == 0)
		(void) hash_search(grants->keys, &hash, HASH_REMOVE, NULL);
}

static void
count_keys_of(Grants *grants, int grant, int live)
{
	Size at = 0;
	const GrantKey *key;

	while ((key = grant_next_key(grant, &at)) != NULL)
		count_key(grants, hash_of(grant_key_bytes(key)), live, 0);
}

static void
add_region(LiveGrant *live, Peer *peer)
{
	for (int i = 0; i < live->n_regions; i++)
		if (live->regions[i] == peer->region.id)
			return;
	live->regions = live->regions == NULL ?
		palloc(sizeof(uint64)) :
		repalloc(live->regions, (live->n_regions + 1) * sizeof(uint64));
	live->regions[live->n_regions++] = peer->region.id;
	peer->n_grants++;
}

/* Its regions stay what they are until it ends. */
static void
find_regions(Store *store, LiveGrant *live)
{
	Size at = 0;
	const GrantKey *key;
	Peer *peer = NULL;

	while ((key = grant_next_key(live->grant, &at)) != NULL)
	{
		Bytes name = grant_key_bytes(key);

		if (peer != NULL && region_cache_holds(&peer->region, name))
			continue;
		peer = store_find_peer_of_txn_key(store, name);
		if (peer != NULL)
			add_region(live, peer);
	}
}

void
grants_latch(Store *store, int grant)
{
	Grants *grants = store->grants;
	MemoryContext caller = MemoryContextSwitchTo(grants->context);
	LiveGrant *live = palloc0(sizeof(LiveGrant));
	GrantView view;

	grant_view(grant, &view);
	live->grant = grant;
	live->xid = view.xid;
	live->next = grants->live;
	grants->live = live;
	if (grants->n_live++ == 0)
		grants->next_sweep_us = dispatch_now_us() + SWEEP_US;
	count_keys_of(grants, grant, 1);
	find_regions(store, live);
	MemoryContextSwitchTo(caller);
}

static LiveGrant *
take_out(Grants *grants, int grant)
{
	LiveGrant **at = &grants->live;
	LiveGrant *live;

	while ((*at)->grant != grant)
		at = &(*at)->next;
	live = *at;
	*at = live->next;
	grants->n_live--;
	return live;
}

/* Hints are forgotten once more: nobody else writes these keys from here on. */
static void
end_guards(int grant)
{
	GrantView view;
	Size at = 0;
	const GrantKey *key;

	grant_view(grant, &view);
	while ((key = grant_next_key(grant, &at)) != NULL)
	{
		version_hints_forget(grant_key_bytes(key));
		if (key->guard_len > 0)
			lock_table_end_guard(grant_key_bytes(key), view.start_ts);
	}
}

void
grants_unlatch(Store *store, int grant)
{
	Grants *grants = store->grants;
	LiveGrant *live = take_out(grants, grant);

	end_guards(grant);
	count_keys_of(grants, grant, -1);
	for (int i = 0; i < live->n_regions; i++)
	{
		Peer *peer = store_find_peer(store, live->regions[i]);

		if (peer != NULL)
			peer->n_grants--;
	}
	grant_free(grant);
	if (live->regions != NULL)
		pfree(live->regions);
	pfree(live);
}

void
grants_count_end(Store *store, int grant, bool committed)
{
	const LiveGrant *live = store->grants->live;

	while (live->grant != grant)
		live = live->next;
	for (int i = 0; committed && i < live->n_regions; i++)
	{
		Peer *peer = store_find_peer(store, live->regions[i]);

		if (peer != NULL)
			peer->unlogged_grants++;
	}
}

/* -------------------------------------------------------------- who waits */

static GrantHold *
hold_of(Write *write)
{
	Arena *arena = write->request->arena;
	GrantHold *hold = write->hold;
	Bytes *keys;
	size_t n;

	if (hold != NULL)
		return hold;
	hold = write->hold = arena_zalloc(arena, sizeof(GrantHold));
	hold->region_id = write->peer == NULL ? 0 : write->peer->region.id;
	hold->ranged = txn_needs_clean_overlay(&write->txn->command) ||
		!txn_command_keys(&write->txn->command, arena, &keys, &n);
	if (hold->ranged)
		return hold;
	hold->hashes = arena_alloc(arena, n * sizeof(uint64));
	hold->n = n;
	for (size_t i = 0; i < n; i++)
		hold->hashes[i] = hash_of(keys[i]);
	return hold;
}

static bool
region_is_in_use(Store *store, uint64 region_id)
{
	const Peer *peer;

	if (region_id == 0)
		return store->grants->n_live > 0;
	peer = store_find_peer(store, region_id);
	return peer != NULL && peer->n_grants > 0;
}

/* Does somebody wait until the region has no grants? */
static const char *
is_closed(void *arg, Peer *peer)
{
	(void) arg;
	return peer != NULL && (peer->closers > 0 || peer->order_waits) ? "closed" :
																	  NULL;
}

static bool
must_wait(Store *store, const Write *write, bool behind_others)
{
	Grants *grants = store->grants;
	const GrantHold *hold = write->hold;

	if (hold->ranged)
		return region_is_in_use(store, hold->region_id);
	for (size_t i = 0; i < hold->n; i++)
	{
		const LatchedKey *key =
			hash_search(grants->keys, &hold->hashes[i], HASH_FIND, NULL);

		if (key != NULL &&
			(key->live > 0 || (behind_others && key->reserved > 0)))
			return true;
	}
	return write->wish != NULL && behind_others &&
		(grants->closers > 0 ||
		 grants_each_peer(store, write, is_closed, NULL) != NULL);
}

/* +1: it waits, -1: it does so no more. */
static void
count_held(Store *store, const Write *write, int delta)
{
	Grants *grants = store->grants;
	const GrantHold *hold = write->hold;
	Peer *peer;

	grants->n_held += delta;
	grants->held_over_bus += delta * (int) write->request->over_bus;
	grants->held_bytes += (size_t) ((int64) delta * (int64) write->bytes);
	for (size_t i = 0; i < hold->n; i++)
		count_key(grants, hold->hashes[i], 0, delta);
	if (!hold->ranged)
		return;
	if (hold->region_id == 0)
		grants->closers += delta;
	else if ((peer = store_find_peer(store, hold->region_id)) != NULL)
		peer->closers += delta;
}

static void
add_held(Store *store, Write *write)
{
	Grants *grants = store->grants;

	write->next = NULL;
	*grants->held_end = write;
	grants->held_end = &write->next;
	count_held(store, write, 1);
}

static Write *
take_all_held(Store *store)
{
	Grants *grants = store->grants;
	Write *all = grants->held;

	for (const Write *write = all; write != NULL; write = write->next)
		count_held(store, write, -1);
	grants->held = NULL;
	grants->held_end = &grants->held;
	return all;
}

/*
 * Who waits holds memory and perhaps a slot of the bus; those who end grants
 * need neither.
 */
static bool
has_room(const Grants *grants, const Write *write)
{
	if (write->inside != NULL)
		return true;
	if (write->request->over_bus &&
		grants->held_over_bus >= tikv_fdw_settings.bus_slots / 2)
		return false;
	return grants->n_held < tikv_fdw_settings.max_pending_writes &&
		grants->held_bytes + write->bytes <=
		(size_t) tikv_fdw_settings.max_pending_kb * 1024;
}

bool
grants_admit(Store *store, Write *write)
{
	Grants *grants = store->grants;
	bool was_held = write->was_held;

	write->was_held = false;
	if (grants->n_live == 0 && grants->n_held == 0)
		return true;
	(void) hold_of(write);
	if (!must_wait(store, write, !was_held))
		return true;
	if (has_room(grants, write))
		add_held(store, write);
	else
		service_busy(write->request,
					 "scheduler is busy: too many writes wait for commits");
	return false;
}

/* Those who may go on come first in the next turn, in their order. */
static void
release(Store *store)
{
	Write *write = take_all_held(store);
	WriteQueue queue;

	write_queue_init(&queue);
	while (write != NULL)
	{
		Write *next = write->next;

		if (must_wait(store, write, true))
			add_held(store, write);
		else
		{
			write->was_held = true;
			write_queue_push(&queue, write);
		}
		write = next;
	}
	if (queue.n > 0)
		write_queue_unpop(&store->queue, &queue);
}

static bool
is_too_late(Write *write)
{
	if (dispatch_now_us() < write->request->deadline_us)
		return false;
	service_busy(write->request, SERVICE_TOO_LATE);
	return true;
}

/* Nobody waits for these any more. */
static void
drop_abandoned(Store *store)
{
	Write *write = take_all_held(store);

	while (write != NULL)
	{
		Write *next = write->next;

		if (turn_is_abandoned(write))
			turn_drop(write);
		else if (!is_too_late(write))
			add_held(store, write);
		write = next;
	}
}

void
grants_stop(Store *store, const char *reason)
{
	Grants *grants = store->grants;
	Write *write;

	if (grants == NULL)
		return;
	write = take_all_held(store);
	while (write != NULL)
	{
		Write *next = write->next;

		service_busy(write->request, reason);
		write = next;
	}
	version_hints_except(NULL, NULL);
	hash_destroy(grants->keys);
	store->grants = NULL;
}

/* ----------------------------------------------------------- between turns */

/* What a backend could not write for a block is tried elsewhere next time. */
static void
pass_damage(Store *store, int grant)
{
	const char *message;
	ErrorData error = {.elevel = ERROR,
					   .sqlerrcode = grant_error(grant, &message)};

	if (error.sqlerrcode == 0)
		return;
	MemoryContextSwitchTo(store->turn_context);
	error.message = pstrdup(message);
	(void) damage_pass(store, &error);
	turn_finish(store);
}

/* End those whose transaction is over; returns how many. */
static int
end_grants(Store *store)
{
	LiveGrant *live = store->grants->live;
	int n = 0;

	while (live != NULL)
	{
		LiveGrant *next = live->next;

		if (!TransactionIdIsInProgress(live->xid))
		{
			pass_damage(store, live->grant);
			grants_finish(store, live->grant);
			n++;
		}
		live = next;
	}
	return n;
}

int
grants_run(Store *store)
{
	Grants *grants = store->grants;
	bool news = grants_take_news();
	int64 now_us;
	bool due;
	int n;

	if (grants->n_live == 0 && grants->n_held == 0)
		return 0;
	now_us = dispatch_now_us();
	due = now_us >= grants->next_sweep_us;
	if (!news && !due)
		return 0;
	n = end_grants(store);
	if (due)
	{
		grants->next_sweep_us = now_us + SWEEP_US;
		drop_abandoned(store);
	}
	if (n > 0 || due)
		release(store);
	return n;
}

/* Also those whose backend has been slow to say so. */
void
grants_end_over(Store *store)
{
	(void) end_grants(store);
}

int64
grants_sleep_us(const Store *store, int64 most)
{
	const Grants *grants = store->grants;

	if (grants->n_live == 0 && grants->n_held == 0)
		return most;
	return Max(Min(most, grants->next_sweep_us - dispatch_now_us()), 0);
}

/* ------------------------------------------------------- orders and the log */

bool
grants_stand_in_way(const Peer *peer)
{
	return peer != NULL && !peer->grouped && peer->n_grants > 0;
}

bool
grants_make_way(Store *store, Peer *peer)
{
	bool free = !grants_stand_in_way(peer);

	if (peer->order_waits && free)
		store->grants->next_sweep_us = 0;
	peer->order_waits = !free;
	return free;
}

void
grants_order_gone(Store *store, Peer *peer)
{
	if (peer->order_waits)
		store->grants->next_sweep_us = 0;
	peer->order_waits = false;
}

void
grants_advance(Store *store)
{
	for (int i = 0; i < store->lists[PEERS_TOUCHED].n; i++)
	{
		Peer *peer = store->lists[PEERS_TOUCHED].peers[i];
		RaftEntry entry = {.type = RAFT_ENTRY_NORMAL};
		uint64_t index;
		uint64_t term;

		/* A group that is asked for nothing else tells of them later. */
		if (peer->touched && !peer->grouped && peer->unlogged_grants > 0 &&
			raft_propose(peer->raft, &entry, &index, &term) == STATUS_OK)
			peer->unlogged_grants = 0;
	}
}
