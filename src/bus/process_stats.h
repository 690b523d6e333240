/*
 * process_stats.h
 *	  What the operating system says about a process of this server, and about
 *	  the disks that it writes to.
 */
#ifndef TIKV_BUS_PROCESS_STATS_H
#define TIKV_BUS_PROCESS_STATS_H

#include "postgres.h"

typedef struct ProcessStats
{
	double cpu_seconds;
	double start_seconds; /* unix time */
	uint64 virtual_bytes;
	uint64 resident_bytes;
	uint64 threads;
	uint64 open_fds;
	uint64 max_fds;
} ProcessStats;

/* False if there is no such process (any more), or no /proc. */
extern bool process_stats(int pid, ProcessStats *out);

/* Free for the unprivileged, and all; false if it can't be told. */
extern bool disk_space(const char *path, uint64 *available, uint64 *capacity,
					   uint64 *used);

#endif /* TIKV_BUS_PROCESS_STATS_H */
