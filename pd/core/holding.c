/*
 * holding.c
 *	  Does a cluster of one node hold anything that somebody would miss?
 */
#include "pd/core/holding.h"

/* Global configuration and MetaStorage are keys, too. */
static bool
holds_keys(const KvStore *kv)
{
	for (size_t i = 0; i < kv->n; i++)
		if (!kv_is_own(kv_store_item(kv, i)->key))
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

		if (gc_barrier_ttl(barrier, now) > 0 && !gc_barrier_is_own(barrier->id))
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
