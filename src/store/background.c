/*
 * background.c
 *	  Which slice of long work is due, and what slices share.
 */
#include "postgres.h"

#include "bus/tasks.h"
#include "store/stalled.h"
#include "store/store.h"

void
background_init(Store *store)
{
	memset(&store->ranges, 0, sizeof(store->ranges));
	memset(&store->sweeper, 0, sizeof(store->sweeper));
	expiry_map_init(&store->sweeper.map);
	compactor_init(store);
	store->ranges.due_us = PG_INT64_MAX;
	store->sweeper.due_us = PG_INT64_MAX;
}

void
background_free(Store *store)
{
	expiry_map_free(&store->sweeper.map);
}

void
background_load(Store *store)
{
	tasks_reset();
	stalled_reset();
	range_delete_load(store);
	store->sweeper.enabled = api_has_ttl(store->meta.api);
	store->sweeper.due_us = store->sweeper.enabled ? 0 : PG_INT64_MAX;
	compactor_load(store);
}

int64
background_due_us(const Store *store)
{
	return Min(store->compactor.due_us,
			   Min(store->ranges.due_us, store->sweeper.due_us));
}

/* While space or transaction ids are short. */
static void
put_off(Store *store, int64 now_us)
{
	int64 later_us = now_us + BACKGROUND_RETRY_US;

	if (store->ranges.due_us <= now_us)
		store->ranges.due_us = later_us;
	if (store->sweeper.due_us <= now_us)
		store->sweeper.due_us = later_us;
}

/*
 * Deletions come first: somebody waits for them.  Neither they nor the sweeper
 * write while space or transaction ids are short, since what they free comes
 * back too late; the compactor knows what it may do then.
 */
int
background_run(Store *store)
{
	int64 now_us = dispatch_now_us();

	if (now_us < background_due_us(store))
		return 0;
	guard_refresh(&store->guard, now_us);
	if (store->guard.disk != GUARD_OK || store->guard.xids_low)
		put_off(store, now_us);
	if (store->ranges.due_us <= now_us)
		range_delete_run(store);
	else if (store->sweeper.due_us <= now_us)
		sweeper_run(store);
	else if (store->compactor.due_us <= now_us)
		compactor_run(store);
	else
		return 0;
	return 1;
}

void
background_stop(Store *store, const char *reason)
{
	range_delete_stop(store, reason);
}

void
background_delete(Store *store, RawCf cf, const Bytes *keys, int n)
{
	RawModify modify = {.kind = RAW_DELETE, .cf = cf};

	if (cf != RAW_CF_LOCK)
		region_size_deleted(store, keys, n);
	for (int i = 0; i < n; i++)
	{
		modify.key = keys[i];
		overlay_apply(&store->overlay, &modify);
	}
}
