/*
 * holding.c
 *	  Does a cluster of one node hold anything that somebody would miss?
 */
#include "pd/core/holding.h"

static bool
begins_with(const char *text, size_t len, const char *with)
{
	size_t n = strlen(with);

	return len >= n && memcmp(text, with, n) == 0;
}

/* Stores keep notes there, and the safe point is a key once it moved. */
static bool
is_own_key(Bytes key)
{
	return begins_with((const char *) key.data, key.len, KV_OWN_PREFIX) ||
		bytes_eq(key, bytes_cstr(PD_SAFE_POINT_KEY));
}

/* Global configuration and MetaStorage are keys, too. */
static bool
holds_keys(const KvStore *kv)
{
	for (size_t i = 0; i < kv->n; i++)
		if (!is_own_key(kv_store_item(kv, i)->key))
			return true;
	return false;
}

/* One that has expired holds nothing back; a store's goes with its sessions. */
static bool
holds_barriers(const BarrierSet *set, int64_t now)
{
	for (size_t i = 0; i < set->n; i++)
	{
		const GcBarrier *barrier = &set->items[i];

		if (gc_barrier_ttl(barrier, now) > 0 &&
			!begins_with(barrier->id, strlen(barrier->id), GC_OWN_PREFIX))
			return true;
	}
	return false;
}

const char *
pd_state_holding(const PdState *state, int64_t now)
{
	if (state->cluster.n_stores > 1)
		return "another store";
	if (state->cluster.regions.n > 1)
		return "regions that were split";
	if (state->members.n > 1)
		return "another member";
	if (state->keyspaces.n > 1)
		return "keyspaces";
	if (holds_keys(&state->kv))
		return "keys of etcd's clients, or settings";
	if (state->leases.n > 0)
		return "leases of etcd's clients";
	if (holds_barriers(&state->gc.barriers, now) ||
		holds_barriers(&state->gc.globals, now))
		return "GC barriers";
	if (state->external_ts != 0)
		return "an external timestamp";
	return NULL;
}
