/*
 * api_agreed.c
 *	  The API version of the cluster, which PD keeps in a key of its store of
 *	  keys: said by a store that has the data, kept to by all others.
 */
#include "postgres.h"

#include "bus/failpoints.h"
#include "core/kv/api_agree.h"
#include "store/api_switch.h"
#include "store/pd_key.h"

#define API_KEY "/tikv_fdw/api_version"

/* Others may say something at the same time; then it is looked at anew. */
#define MAX_TRIES 3

static bool
has_regions(const Store *store, bool only_prepared)
{
	if (only_prepared)
		return false;
	for (int i = 0; i < store->n_peers; i++)
		if (store->peers[i]->region.n_peers > 0)
			return true;
	return false;
}

/* True if nobody said anything else meanwhile; false with or without reason. */
static bool
say(Arena *arena, const ApiView *view, char *reason, Size size)
{
	Etcdserverpb__Compare compare = ETCDSERVERPB__COMPARE__INIT;
	const Etcdserverpb__TxnResponse *reply;

	pd_key_compare_none(&compare, API_KEY);
	if (view->said != NULL)
	{
		compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE;
		compare.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE;
		compare.value = pd_key_binary(view->said);
	}
	reply = pd_key_put_if(arena, &compare, api_name(view->ours), reason, size);
	return reply != NULL && reply->succeeded;
}

static void
explain(ApiAgreement agreement, const ApiView *view, char *reason, Size size)
{
	ApiVersion said;

	if (agreement == API_WAIT)
		snprintf(
			reason, size,
			"no store that has data has told the cluster's tikv.api_version: each does when it starts with this release of tikv_fdw");
	else if (agreement == API_SAY)
		snprintf(
			reason, size,
			"the cluster's tikv.api_version is being changed by other stores");
	else if (api_of_name(view->said, &said))
		snprintf(
			reason, size,
			"the cluster's stores have %s, the settings here are %s; set them as on the other nodes, and restart",
			api_settings(said), api_settings(view->ours));
	else
		snprintf(reason, size,
				 "the cluster's API version, \"%s\", is none of this library",
				 view->said);
}

bool
store_api_agree(const Store *store, Arena *arena, bool bootstrapped,
				bool only_prepared, bool *later, char *reason, Size size)
{
	ApiView view = {.bootstrapped = bootstrapped, .ours = store->meta.api};
	ApiAgreement agreement = API_LATER;

	FAILPOINT("store_before_api_agreed");
	view.regions = has_regions(store, only_prepared);
	for (int i = 0; i < MAX_TRIES; i++)
	{
		if (bootstrapped &&
			(!store_has_others(store, arena, &view.others, reason, size) ||
			 !pd_key_get(arena, API_KEY, &view.said, reason, size)))
			return false;
		agreement = api_agree(&view);
		*later = agreement == API_LATER;
		if (*later || agreement == API_AGREED)
			return true;
		if (agreement != API_SAY)
			break;
		reason[0] = '\0';
		if (say(arena, &view, reason, size))
			return true;
		if (reason[0] != '\0')
			return false;
	}
	explain(agreement, &view, reason, size);
	return false;
}
