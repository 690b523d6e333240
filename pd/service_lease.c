/*
 * service_lease.c
 *	  Handlers: etcd's leases; and the end of those that run out.
 */
#include "postgres.h"

#include <stdlib.h>

#include "bus/board.h"
#include "core/base/check.h"
#include "etcdserverpb.pb-c.h"
#include "pd/convert.h"
#include "pd/pd.h"

/* How long to wait with a lease whose end could not be saved. */
#define RETRY_US INT64CONST(1000000)

/*
 * Between two slices of one that has very many keys: others want to be served,
 * and a quorum has to follow.
 */
#define REST_US INT64CONST(20000)

/*
 * What ends in one round, so that timestamps need not wait for all of it when
 * many leases run out together.
 */
#define LEASES_PER_ROUND 256
#define KEYS_PER_ROUND 1024

static void *
header_now(PdAsk *ask)
{
	return etcd_header(ask, ask->pd->state.kv.revision);
}

void
pd_etcd_lease_grant(PdAsk *ask, const void *request, void *response)
{
	const Etcdserverpb__LeaseGrantRequest *in = request;
	Etcdserverpb__LeaseGrantResponse *out = response;
	uint64 random = 0;
	Lease lease;

	if (in->id == 0 && !pg_strong_random(&random, sizeof(random)))
	{
		ask->code = RPC_INTERNAL;
		ask->text = "could not get random bytes";
		return;
	}
	if (kv_failed(ask,
				  lease_grant(&ask->pd->state.leases, in->id,
							  (int64) (random >> 1), in->ttl, &ask->changes,
							  &lease)))
		return;

	/* Its time begins when it is taken over, in this very round. */
	lease_expires_from(&ask->changes, lease.id, board_now_us());
	out->header = header_now(ask);
	out->id = lease.id;
	out->ttl = lease.ttl;
}

/* ---- leases that take longer than a round to end ---- */

/* Who waits for the end of one. */
typedef struct LeaseEnd
{
	struct LeaseEnd *next;
	int64 lease;
	ReplyTo to;
} LeaseEnd;

static void
wait_for_end(PdAsk *ask, int64 lease)
{
	LeaseEnd *end = malloc(sizeof(*end));

	CHECK(end != NULL && ask->to->call != NULL);
	end->lease = lease;
	end->to = *ask->to;
	end->next = ask->pd->lease_ends;
	ask->pd->lease_ends = end;
	call_hold(end->to.call);
	ask->silent = true;
}

static void
drop_end(LeaseEnd **place)
{
	LeaseEnd *end = *place;

	*place = end->next;
	call_release(end->to.call);
	free(end);
}

/* The lease is gone with the round that is decided now. */
static void
tell_end(Pd *pd, int64 lease)
{
	Etcdserverpb__LeaseRevokeResponse out =
		ETCDSERVERPB__LEASE_REVOKE_RESPONSE__INIT;
	PdAsk ask = {.pd = pd, .arena = &pd->arena};
	LeaseEnd **place = &pd->lease_ends;

	while (*place != NULL)
	{
		if ((*place)->lease != lease)
		{
			place = &(*place)->next;
			continue;
		}
		out.header = header_now(&ask);
		pd_reply(pd, &(*place)->to, &out.base);
		drop_end(place);
	}
}

void
lease_ends_fail(Pd *pd, const char *text)
{
	while (pd->lease_ends != NULL)
	{
		pd_fail(pd, &pd->lease_ends->to, RPC_UNAVAILABLE, text);
		drop_end(&pd->lease_ends);
	}
}

/* The first slice is gone, and nobody is told before the last one is. */
static void
begin_end(PdAsk *ask, int64 lease)
{
	const char *why;

	if (!pd_change(ask->pd, &ask->changes, &why))
	{
		ask->code = RPC_UNAVAILABLE;
		ask->text = why;
		return;
	}
	pd_changes_init(&ask->changes, ask->arena);
	ask->pd->lease_retry_us = board_now_us() + REST_US;
	wait_for_end(ask, lease);
}

void
pd_etcd_lease_revoke(PdAsk *ask, const void *request, void *response)
{
	const Etcdserverpb__LeaseRevokeRequest *in = request;
	const Lease *lease = leases_get(&ask->pd->state.leases, in->id);
	bool whole;
	KvTxn txn;

	if (lease != NULL && lease->ttl == LEASE_DEAD)
	{
		wait_for_end(ask, in->id);
		return;
	}
	kv_begin(&txn, &ask->pd->state.kv, &ask->pd->state.leases, &ask->changes);
	if (kv_failed(ask, kv_revoke(&txn, in->id, &whole)))
		return;
	((Etcdserverpb__LeaseRevokeResponse *) response)->header =
		etcd_header(ask, kv_revision(&txn));
	kv_end(&txn);
	if (!whole)
		begin_end(ask, in->id);
}

/* ---- what keeps them, and what is known of them ---- */

/* An unknown lease is answered with a time to live of 0. */
void
pd_etcd_lease_keep_alive(PdAsk *ask, const void *request, void *response)
{
	const Etcdserverpb__LeaseKeepAliveRequest *in = request;
	Etcdserverpb__LeaseKeepAliveResponse *out = response;
	Leases *leases = &ask->pd->state.leases;

	out->header = header_now(ask);
	out->id = in->id;
	if (lease_refresh(leases, in->id, board_now_us()))
		out->ttl = leases_get(leases, in->id)->ttl;
}

void
pd_etcd_lease_time_to_live(PdAsk *ask, const void *request, void *response)
{
	const Etcdserverpb__LeaseTimeToLiveRequest *in = request;
	Etcdserverpb__LeaseTimeToLiveResponse *out = response;
	const KvStore *store = &ask->pd->state.kv;
	const Lease *lease = leases_alive(&ask->pd->state.leases, in->id);

	out->header = header_now(ask);
	out->id = in->id;
	out->ttl = -1;
	if (lease == NULL)
		return;
	out->grantedttl = lease->ttl;
	out->ttl = Max((lease->expire_us - board_now_us()) / 1000000, 0);
	if (!in->keys)
		return;
	out->keys = arena_alloc(ask->arena, store->n * sizeof(*out->keys));
	for (size_t i = 0; i < store->n && !kv_failed(ask, pd_check_room(ask)); i++)
		if (kv_store_item(store, i)->lease == in->id)
			out->keys[out->n_keys++] =
				to_binary(arena_copy(ask->arena, kv_store_item(store, i)->key));
}

void
pd_etcd_lease_leases(PdAsk *ask, const void *request, void *response)
{
	Etcdserverpb__LeaseLeasesResponse *out = response;
	const Leases *leases = &ask->pd->state.leases;

	(void) request;
	out->header = header_now(ask);
	out->n_leases = leases->n;
	out->leases = arena_alloc(ask->arena, leases->n * sizeof(*out->leases));
	for (size_t i = 0; i < leases->n; i++)
	{
		out->leases[i] = NEW_MESSAGE(ask->arena, Etcdserverpb__LeaseStatus,
									 etcdserverpb__lease_status__init);
		out->leases[i]->id = leases->items[i].id;
	}
}

/* ---- those that run out ---- */

void
lease_tick(Pd *pd)
{
	int64 now = board_now_us();
	int64_t ids[LEASES_PER_ROUND];
	PdChanges changes;
	KvTxn txn;
	const char *why;
	size_t n;

	if (!pd->leading || now < pd->lease_retry_us)
		return;
	n = leases_expired(&pd->state.leases, now, ids, LEASES_PER_ROUND);
	if (n == 0)
		return;
	pd_changes_init(&changes, &pd->arena);
	kv_begin(&txn, &pd->state.kv, &pd->state.leases, &changes);
	n = kv_revoke_some(&txn, ids, n, KEYS_PER_ROUND);
	kv_end(&txn);
	if (!pd_change(pd, &changes, &why))
	{
		pd->lease_retry_us = now + RETRY_US;
		return;
	}
	if (n == 0)
		pd->lease_retry_us = now + REST_US;
	for (size_t i = 0; i < n; i++)
		tell_end(pd, ids[i]);
}
