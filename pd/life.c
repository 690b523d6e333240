/*
 * life.c
 *	  What begins and ends with a life of the process, and with its leadership.
 */
#include "postgres.h"

#include "bus/board.h"
#include "pd/pd.h"

void
pd_init(Pd *pd)
{
	memset(pd, 0, sizeof(*pd));
	arena_init(&pd->arena);
	pd->outbox_tail = &pd->outbox;
	pd->waiting_tail = &pd->waiting;
	pd->tso_waits_tail = &pd->tso_waits;
	watch_init(pd);
	schedule_init(&pd->schedule);
}

void
pd_free(Pd *pd)
{
	watch_free(pd);
	schedule_free(&pd->schedule);
	arena_free(&pd->arena);
}

void
pd_lead(Pd *pd)
{
	tso_lead(pd);
	schedule_lead(&pd->schedule, board_now_us());
	leases_refresh_all(&pd->state.leases, board_now_us());
}

void
pd_lead_tick(Pd *pd)
{
	lease_tick(pd);
	watch_tick(pd);
	region_tasks_tick(pd);
	orders_tick(pd);
	tso_before_commit(pd);
}

void
pd_resign(Pd *pd, const char *text)
{
	tso_resign(pd);
	watch_end_all(pd);
	pd_fail_waiting(pd, text);
	region_tasks_fail(pd, text);
	lease_ends_fail(pd, text);
}
