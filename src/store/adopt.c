/*
 * adopt.c
 *	  What a store does that finds itself in another data directory than it was
 *	  last served from (DESIGN 6).
 *
 * A cluster's only store takes the data for its own: whoever restored a backup
 * or promoted a standby wants them served, and there is nobody whom a copy
 * could contradict.  PD has seen the same and jumped ahead with its timestamps.
 * In a cluster of several the original may be alive, have voted since and have
 * its regions elsewhere: a copy must not speak for it, also while all regions
 * that it knows are its own.
 */
#include "postgres.h"

#include "pdpb.pb-c.h"
#include "store/store.h"

static bool
has_peers_elsewhere(const Store *store)
{
	for (int i = 0; i < store->n_peers; i++)
		if (store->peers[i]->region.n_peers > 1)
			return true;
	return false;
}

/* Does PD know of another store that is not gone?  False: it cannot tell. */
static bool
find_others(const Store *store, Arena *arena, bool *others, char *reason,
			Size size)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__GetAllStoresRequest request = PDPB__GET_ALL_STORES_REQUEST__INIT;
	const Pdpb__GetAllStoresResponse *reply;

	header.cluster_id = store->meta.cluster_id;
	request.header = &header;
	request.exclude_tombstone_stores = true;
	reply = (const Pdpb__GetAllStoresResponse *)
		store_pd_call(METHOD_PD_GET_ALL_STORES, &request.base,
					  &pdpb__get_all_stores_response__descriptor, arena, reason,
					  size);
	if (reply == NULL)
		return false;
	*others = false;
	if (reply->header != NULL && reply->header->error != NULL &&
		reply->header->error->type == PDPB__ERROR_TYPE__NOT_BOOTSTRAPPED)
		return true;
	if (reply->header == NULL || reply->header->error != NULL)
	{
		snprintf(reason, size,
				 "the placement driver does not tell its stores: %s",
				 reply->header == NULL ? "no header" :
										 reply->header->error->message);
		return false;
	}
	for (size_t i = 0; i < reply->n_stores; i++)
		*others |= reply->stores[i]->id != store->meta.store_id;
	return true;
}

bool
store_has_others(const Store *store, Arena *arena, bool *others, char *reason,
				 Size size)
{
	*others = has_peers_elsewhere(store);
	return *others || find_others(store, arena, others, reason, size);
}

/* False with a reason if the data have moved and must not be served. */
static bool
may_adopt(const Store *store, Arena *arena, const char *how, char *reason,
		  Size size)
{
	bool others;

	if (!store_has_others(store, arena, &others, reason, size))
		return false;
	if (!others)
		return true;
	worker_fence(WORKER_STORE);
	snprintf(
		reason, size,
		"the data are a copy (%s) and the cluster has other stores: stop the copy, or have it begin anew, empty, with tikv_reset_store()",
		how);
	return false;
}

bool
store_adopt(Store *store, Arena *arena, char *reason, Size size)
{
	DataIdentity *stored = &store->meta.identity;
	DataIdentity here;
	char how[128];

	identity_here(&here);
	if (identity_moved(stored, &here))
	{
		identity_describe(stored, &here, how, sizeof(how));
		if (!may_adopt(store, arena, how, reason, size))
			return false;
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
