/*
 * measure.c
 *	  What load generators measure: latencies, errors, CPU time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "measure.h"

uint64_t done;
uint64_t errors;
double own_s;
double server_s;
const char *server_pids;

int64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

uint64_t
next_random(void)
{
	static uint64_t x = 88172645463325252ULL;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

/* Latencies: 32 steps per power of two, so within 3 % of the truth. */
#define HISTOGRAM_STEPS 32
#define HISTOGRAM_SIZE (40 * HISTOGRAM_STEPS)

static uint64_t histogram[HISTOGRAM_SIZE];
static bool measuring;

static int
histogram_slot(int64_t us)
{
	int power = 0;

	if (us < HISTOGRAM_STEPS)
		return us < 0 ? 0 : (int) us;
	while (us >> power >= 2 * HISTOGRAM_STEPS)
		power++;
	return (power + 1) * HISTOGRAM_STEPS + (int) (us >> power) -
		HISTOGRAM_STEPS;
}

static int64_t
histogram_value(int slot)
{
	int power = slot / HISTOGRAM_STEPS;

	if (power == 0)
		return slot;
	return (int64_t) (HISTOGRAM_STEPS + slot % HISTOGRAM_STEPS) << (power - 1);
}

int64_t
percentile(double share)
{
	uint64_t total = 0;
	uint64_t seen = 0;

	for (int i = 0; i < HISTOGRAM_SIZE; i++)
		total += histogram[i];
	for (int i = 0; i < HISTOGRAM_SIZE; i++)
	{
		seen += histogram[i];
		if (total > 0 && (double) seen >= share * (double) total)
			return histogram_value(i);
	}
	return 0;
}

void
count_one(int64_t us)
{
	if (!measuring)
		return;
	done++;
	histogram[histogram_slot(us)]++;
}

void
count_error(const char *what)
{
	if (errors++ == 0)
		fprintf(stderr, "first error: %s\n", what);
	if (errors > 100000)
		exit(1);
}

static double
own_cpu_s(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return (double) ru.ru_utime.tv_sec + (double) ru.ru_stime.tv_sec +
		1e-6 * (double) (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec);
}

/* utime and stime are fields 14 and 15 of /proc/PID/stat. */
static double
process_cpu_s(long pid)
{
	char path[64];
	char line[1024];
	unsigned long utime = 0;
	unsigned long stime = 0;
	FILE *f;
	char *p;

	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	f = fopen(path, "r");
	if (f == NULL)
		return 0;
	if (fgets(line, sizeof(line), f) != NULL &&
		(p = strrchr(line, ')')) != NULL)
		sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
			   &utime, &stime);
	fclose(f);
	return (double) (utime + stime) / (double) sysconf(_SC_CLK_TCK);
}

static double
server_cpu_s(void)
{
	const char *p = server_pids;
	double sum = 0;

	while (p != NULL && *p != '\0')
	{
		char *end;

		sum += process_cpu_s(strtol(p, &end, 10));
		p = *end == ',' ? end + 1 : NULL;
	}
	return sum;
}

void
keep_time(int64_t now, int64_t warm_until, int64_t until)
{
	bool inside = now >= warm_until && now < until;

	if (inside == measuring)
		return;
	measuring = inside;
	/* What was used up to now: when it begins, and less that when it ends. */
	own_s = own_cpu_s() - own_s;
	server_s = server_cpu_s() - server_s;
}
