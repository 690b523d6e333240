/*
 * snapshots.c
 *	  Which slice of work on snapshots is due.
 */
#include "postgres.h"

#include <unistd.h>

#include "access/xact.h"
#include "store/snapshots.h"
#include "utils/memutils.h"

/* How often files that nobody wants any more are looked for. */
#define SWEEP_INTERVAL_US INT64CONST(10000000)

void
snapshots_init(Store *store)
{
	store->snapshots =
		MemoryContextAllocZero(store->context, sizeof(Snapshots));
	store->snapshots->next_sweep_us = PG_INT64_MAX;
}

void
snapshots_load(Store *store)
{
	StartTransactionCommand();
	snapshot_install_resume(store);
	snapshot_tidy(store);
	CommitTransactionCommand();
	store->snapshots->next_sweep_us = dispatch_now_us() + SWEEP_INTERVAL_US;
}

/* Files of snapshots that are being installed stay, and their rows. */
void
snapshots_stop(Store *store)
{
	Snapshots *s = store->snapshots;

	snapshot_job_end(store);
	snapshot_made_sweep(store, true);
	snapshot_received_sweep(store, true);
	while (s->installing != NULL)
	{
		SnapshotInstalling *in = s->installing;

		s->installing = in->next;
		if (in->fd >= 0)
			close(in->fd);
		arena_free(&in->arena);
	}
	s->n_installing = s->n_wanted = 0;
}

static bool
work_waits(const Snapshots *s)
{
	return s->job != NULL || s->n_wanted > 0;
}

int64
snapshots_due_us(const Store *store)
{
	const Snapshots *s = store->snapshots;
	int64 due_us = s->next_sweep_us;

	if (work_waits(s))
		due_us = Min(due_us, s->job_due_us);
	for (const SnapshotInstalling *in = s->installing; in != NULL;
		 in = in->next)
		due_us = Min(due_us, in->due_us);
	return due_us;
}

static void
sweep(Store *store, int64 now_us)
{
	if (now_us < store->snapshots->next_sweep_us)
		return;
	store->snapshots->next_sweep_us = now_us + SWEEP_INTERVAL_US;
	snapshot_made_sweep(store, false);
	snapshot_received_sweep(store, false);
}

/* Not while space or transaction ids are short. */
static bool
may_install(Store *store, SnapshotInstalling *in, int64 now_us)
{
	guard_refresh(&store->guard, now_us);
	if (store->guard.disk == GUARD_OK && !store->guard.xids_low)
		return true;
	in->due_us = now_us + BACKGROUND_RETRY_US;
	return false;
}

int
snapshots_run(Store *store)
{
	Snapshots *s = store->snapshots;
	int64 now_us = dispatch_now_us();
	int n = 0;

	if (now_us < snapshots_due_us(store))
		return 0;
	sweep(store, now_us);
	for (SnapshotInstalling *in = s->installing; in != NULL && n == 0;
		 in = in->next)
		if (in->due_us <= now_us && may_install(store, in, now_us))
		{
			snapshot_install_slice(store, in);
			n++;
			break;
		}
	if (work_waits(s) && s->job_due_us <= now_us)
	{
		snapshot_make_slice(store);
		n++;
	}
	return n;
}
