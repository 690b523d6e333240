/*
 * round.c
 *	  A member's start, the end of each of its rounds, and its end.
 */
#include "postgres.h"

#include "bus/failpoints.h"
#include "core/base/check.h"
#include "guc.h"
#include "pd/pd.h"
#include "transport/transport.h"

bool
pd_start(Pd *pd)
{
	pd->may_found = tikv_fdw_settings.join[0] == '\0' &&
		tikv_fdw_settings.pd_endpoints[0] == '\0';
	if (!group_start(pd))
		return false;
	arena_reset(&pd->arena);
	if (pd->leading)
		pd_lead(pd);
	else
		tso_resign(pd);
	return true;
}

bool
pd_finish_round(Pd *pd, bool *wrote)
{
	forward_serve(pd);
	if (pd->leading)
		pd_lead_tick(pd);
	FAILPOINT_PASS("pd_round");
	join_tick(pd);
	peers_start(pd);
	group_tick(pd);
	*wrote = pd->changing;
	if (!group_commit(pd))
		return false;
	pd_flush_outbox(pd, true);
	tso_after_commit(pd);
	forward_tick(pd);
	if (pd->transport != NULL)
		transport_run(pd->transport);

	/* Who was answered just now is behind others that wait for a quorum. */
	pd_keep_outbox(pd);
	pd_flush_outbox(pd, true);

	/* What was not settled would outlive the memory that it is in. */
	CHECK(!pd->changing && pd->outbox == NULL);
	arena_reset(&pd->arena);
	return true;
}

void
pd_stop(Pd *pd)
{
	pd_resign(pd, "the placement driver stops");
	join_stop(pd);
	forward_stop(pd);
	pd_flush_outbox(pd, true);
	peers_stop(pd);
}
