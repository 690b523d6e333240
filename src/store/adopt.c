/*
 * adopt.c
 *	  What a store does that finds itself in another data directory than it was
 *	  last served from (DESIGN 6).
 *
 * A sole member takes the data for its own: whoever restored a backup or
 * promoted a standby wants them served, and there is nobody whom a copy could
 * contradict.  PD has seen the same and jumped ahead with its timestamps.  In
 * a cluster of several nodes the original may be alive and have voted since:
 * a copy must not speak for it.
 */
#include "postgres.h"

#include "store/store.h"

static bool
is_sole_member(const Store *store)
{
	for (int i = 0; i < store->n_peers; i++)
		if (store->peers[i]->region.n_peers > 1)
			return false;
	return true;
}

bool
store_adopt(Store *store, char *reason, Size size)
{
	DataIdentity *stored = &store->meta.identity;
	DataIdentity here;
	char how[128];

	identity_here(&here);
	if (identity_moved(stored, &here))
	{
		identity_describe(stored, &here, how, sizeof(how));
		if (!is_sole_member(store))
		{
			worker_fence(WORKER_STORE);
			snprintf(
				reason, size,
				"the data are a copy (%s) and the store has peers elsewhere: stop the copy, or have it begin anew, empty, with tikv_reset_store()",
				how);
			return false;
		}
		ereport(
			LOG,
			(errmsg("tikv store %llu adopts its data: %s",
					(unsigned long long) store->meta.store_id, how),
			 errdetail(
				 "They were copied, restored or promoted since they were last served."),
			 errhint(
				 "If the original still serves clients, stop one of the two.")));
	}
	*stored = here;
	return true;
}
