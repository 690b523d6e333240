/*
 * api_agree.c
 *	  All stores of a cluster have one API version: who says it, who must keep
 *	  to it.
 */
#include "core/kv/api_agree.h"

#include <string.h>

bool
api_of_name(const char *name, ApiVersion *api)
{
	for (ApiVersion each = API_V1; each <= API_V2; each++)
		if (strcmp(name, api_name(each)) == 0)
		{
			*api = each;
			return true;
		}
	return false;
}

/*
 * Where no store was heard to say it (the cluster is older than that), one
 * without regions knows nothing of the data.  A cluster's only store may change
 * its mind: whether its data allow that was looked at before.
 */
ApiAgreement
api_agree(const ApiView *view)
{
	if (!view->bootstrapped)
		return API_LATER;
	if (view->said == NULL)
		return view->regions || !view->others ? API_SAY : API_WAIT;
	if (strcmp(view->said, api_name(view->ours)) == 0)
		return API_AGREED;
	return view->others ? API_DISAGREE : API_SAY;
}
