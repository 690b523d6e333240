/*
 * process_stats.c
 *	  What the operating system says about a process of this server.
 *
 * From /proc, see proc(5); the names that the values get are those of
 * Prometheus's client libraries.
 */
#include "postgres.h"

#include <dirent.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "bus/process_stats.h"
#include "storage/fd.h"

/* Read a whole small file; false if it is not there. */
static bool
read_small(const char *path, char *out, size_t size)
{
	FILE *file = AllocateFile(path, "r");
	size_t n;

	if (file == NULL)
		return false;
	n = fread(out, 1, size - 1, file);
	out[n] = '\0';
	FreeFile(file);
	return n > 0;
}

/* When the system booted, in unix seconds; 0 unknown. */
static double
boot_seconds(void)
{
	static double boot;
	char *text;
	char *line;

	if (boot > 0)
		return boot;
	text = palloc(65536);
	if (read_small("/proc/stat", text, 65536) &&
		(line = strstr(text, "\nbtime ")) != NULL)
		boot = strtod(line + strlen("\nbtime "), NULL);
	pfree(text);
	return boot;
}

/* The command in parentheses may hold anything, parentheses as well. */
static bool
read_stat(int pid, ProcessStats *out)
{
	double tick = (double) sysconf(_SC_CLK_TCK);
	char path[64];
	char text[2048];
	char *rest;
	unsigned long long utime;
	unsigned long long stime;
	unsigned long long threads;
	unsigned long long start;
	unsigned long long size;
	long long pages;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (!read_small(path, text, sizeof(text)) ||
		(rest = strrchr(text, ')')) == NULL ||
		sscanf(rest + 1,
			   " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d "
			   "%*d %*d %*d %llu %*d %llu %llu %lld",
			   &utime, &stime, &threads, &start, &size, &pages) != 6)
		return false;
	out->cpu_seconds = (double) (utime + stime) / tick;
	out->threads = threads;
	out->start_seconds = boot_seconds() + (double) start / tick;
	out->virtual_bytes = size;
	out->resident_bytes = (uint64) pages * (uint64) sysconf(_SC_PAGESIZE);
	return true;
}

static uint64
count_fds(int pid)
{
	char path[64];
	struct dirent *entry;
	DIR *dir;
	uint64 n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = AllocateDir(path);
	if (dir == NULL)
		return 0;
	while ((entry = readdir(dir)) != NULL)
		n += entry->d_name[0] != '.';
	FreeDir(dir);
	return n;
}

static uint64
fd_limit(int pid)
{
	char path[64];
	char text[4096];
	char *line;

	snprintf(path, sizeof(path), "/proc/%d/limits", pid);
	if (!read_small(path, text, sizeof(text)) ||
		(line = strstr(text, "Max open files")) == NULL)
		return 0;
	return strtoull(line + strlen("Max open files"), NULL, 10);
}

bool
process_stats(int pid, ProcessStats *out)
{
	memset(out, 0, sizeof(*out));
	if (!read_stat(pid, out))
		return false;
	out->open_fds = count_fds(pid);
	out->max_fds = fd_limit(pid);
	return true;
}

bool
disk_space(const char *path, uint64 *available, uint64 *capacity, uint64 *used)
{
	struct statvfs fs;

	if (statvfs(path, &fs) != 0)
		return false;
	*available = (uint64) fs.f_bavail * fs.f_frsize;
	*capacity = (uint64) fs.f_blocks * fs.f_frsize;
	*used = (uint64) (fs.f_blocks - fs.f_bfree) * fs.f_frsize;
	return true;
}
