/*
 * guard.c
 *	  Reasons to refuse writes while Postgres still stands.
 */
#include "postgres.h"

#include <sys/statvfs.h>

#include "access/transam.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "guc.h"
#include "miscadmin.h"
#include "bus/failpoints.h"
#include "bus/versions.h"
#include "storage/lwlock.h"
#include "store/guard.h"

#define GUARD_INTERVAL_US INT64CONST(200000)

/* Stop this many transaction ids before Postgres itself starts to refuse. */
#define XID_MARGIN 40000000

#define GIB ((uint64) 1 << 30)

/* Free and total bytes for the unprivileged; false if it can't be told. */
static bool
directory_space(const char *path, uint64 *free_bytes, uint64 *total_bytes)
{
	struct statvfs fs;

	if (statvfs(path, &fs) != 0)
		return false;
	*free_bytes = (uint64) fs.f_bavail * fs.f_frsize;
	if (FAILPOINT_ERROR("store_disk_space"))
		*free_bytes = 0;
	*total_bytes = (uint64) fs.f_blocks * fs.f_frsize;
	return true;
}

/* tikv.reserve_space: automatic is the larger of 1 GiB and 5 %. */
static uint64
reserve_bytes(uint64 total_bytes)
{
	if (tikv_fdw_settings.reserve_space_mb >= 0)
		return (uint64) tikv_fdw_settings.reserve_space_mb << 20;
	return Max(GIB, total_bytes / 20);
}

static Space
directory_judge(const char *path, Guard *guard)
{
	uint64 free_bytes;
	uint64 total_bytes;
	uint64 reserve;
	Space space;

	if (!directory_space(path, &free_bytes, &total_bytes))
	{
		snprintf(guard->reason, sizeof(guard->reason),
				 "cannot tell the free space of \"%s\": %m", path);
		return (Space){.level = GUARD_ALREADY_FULL};
	}
	reserve = reserve_bytes(total_bytes);
	space = space_judge(free_bytes, reserve);
	if (space.level != GUARD_OK)
		snprintf(
			guard->reason, sizeof(guard->reason),
			"disk full: %llu MiB free below \"%s\", tikv.reserve_space is %llu MiB",
			(unsigned long long) (free_bytes >> 20), path,
			(unsigned long long) (reserve >> 20));
	return space;
}

/* True if Postgres will soon refuse to hand out transaction ids. */
static bool
xids_are_low(void)
{
	TransactionId next = XidFromFullTransactionId(ReadNextFullTransactionId());
	TransactionId stop;

	LWLockAcquire(XidGenLock, LW_SHARED);
	stop = ShmemVariableCache->xidStopLimit;
	LWLockRelease(XidGenLock);
	return (int32) (stop - next) < XID_MARGIN;
}

void
guard_refresh(Guard *guard, int64 now_us)
{
	Space data;
	Space wal;

	if (guard->checked_us != 0 &&
		now_us - guard->checked_us < GUARD_INTERVAL_US)
		return;
	guard->checked_us = now_us;
	data = directory_judge(DataDir, guard);
	wal = directory_judge(XLOGDIR, guard);
	guard->disk = space_level(&data, &wal);
	guard->room = data.room;
	guard->starved = space_starved(&data, &wal, guard->starved);
	guard->xids_low = xids_are_low();
}

bool
guard_has_room(Guard *guard, int64 now_us, uint64 bytes)
{
	guard_refresh(guard, now_us);
	return guard->disk == GUARD_OK && bytes <= guard->room;
}

bool
guard_allows_disk(const Guard *guard, int disk_full_opt)
{
	return (int) guard->disk <= disk_full_opt;
}
