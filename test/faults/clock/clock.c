/*
 * clock.c
 *	  Has the time of day of a process be off by what a file says.
 *
 * Preloaded into an instance (LD_PRELOAD).  TIKV_TEST_CLOCK names a file of 8
 * bytes: nanoseconds by which CLOCK_REALTIME is ahead, now.  It is mapped, so
 * that a step is there at once for all processes, and so that the clock may be
 * read by a signal handler and by many threads.  Other clocks are as they are.
 *
 * Why not libfaketime: it leaves the kernel's waits alone that end at a time of
 * day.  gRPC's timers wait so (Abseil calls futex() itself), so on a node that
 * is ahead by an hour none of them would end within that hour, and on one that
 * is behind its threads would spin.  Here such a wait ends when the clock that
 * the process sees gets there, as it does when a real clock is set.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)

/* A wait looks at the clock so often. */
#define LOOK INT64_C(20000000)

static long (*real_syscall)(long, ...);
static int (*real_clock_gettime)(clockid_t, struct timespec *);
static const volatile int64_t *ahead;

/* A library that was asked in vain would be a fault that is none. */
static void
end(const char *what)
{
	perror(what);
	_exit(127);
}

__attribute__((constructor)) static void
begin(void)
{
	const char *file = getenv("TIKV_TEST_CLOCK");
	void *place;
	int fd;

	if (ahead != NULL)
		return;
	real_syscall = (long (*)(long, ...)) dlsym(RTLD_NEXT, "syscall");
	real_clock_gettime =
		(int (*)(clockid_t, struct timespec *)) dlsym(RTLD_NEXT,
													  "clock_gettime");
	if (file == NULL || real_syscall == NULL || real_clock_gettime == NULL)
		end("TIKV_TEST_CLOCK must name the file of the clock");
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || lseek(fd, 0, SEEK_END) < (off_t) sizeof(*ahead))
		end(file);
	place = mmap(NULL, sizeof(*ahead), PROT_READ, MAP_SHARED, fd, 0);
	if (place == MAP_FAILED)
		end(file);
	close(fd);
	ahead = place;
}

/* ----------------------------------------------------------------- clocks */

/* "Never" may be more seconds than nanoseconds can count. */
static int64_t
ns_of(const struct timespec *ts)
{
	if (ts->tv_sec >= INT64_MAX / SECOND)
		return INT64_MAX;
	return ts->tv_sec * SECOND + ts->tv_nsec;
}

static struct timespec
timespec_of(int64_t ns)
{
	return (struct timespec){.tv_sec = ns / SECOND, .tv_nsec = ns % SECOND};
}

/* Libraries that are set up before this one ask for the time, too. */
static int64_t
time_of_day(clockid_t clock)
{
	struct timespec now;

	begin();
	if (real_clock_gettime(clock, &now) != 0)
		end("clock_gettime");
	return ns_of(&now) + *ahead;
}

int
clock_gettime(clockid_t clock, struct timespec *now)
{
	begin();
	if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)
		return real_clock_gettime(clock, now);
	*now = timespec_of(time_of_day(clock));
	return 0;
}

int
gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	int64_t ns = time_of_day(CLOCK_REALTIME);

	(void) zone;
	*now =
		(struct timeval){.tv_sec = ns / SECOND, .tv_usec = ns % SECOND / 1000};
	return 0;
}

time_t
time(time_t *now)
{
	time_t s = time_of_day(CLOCK_REALTIME) / SECOND;

	if (now != NULL)
		*now = s;
	return s;
}

int
timespec_get(struct timespec *now, int base)
{
	if (base != TIME_UTC)
		return 0;
	*now = timespec_of(time_of_day(CLOCK_REALTIME));
	return base;
}

/* ------------------------------------------------------------------ waits */

/*
 * How long the kernel shall wait before the clock is looked at again.  What is
 * over is over: gRPC waits until 1970 for "no time at all", which less an hour
 * is no time that the kernel takes (EINVAL, which ends Abseil's process).
 */
static int64_t
next_look(int64_t left)
{
	if (left < 0)
		return 0;
	return left < LOOK ? left : LOOK;
}

/*
 * Until the process's time of day is there, a little at a time: the kernel, too,
 * looks again at such waits when the clock is set.
 */
static long
futex_until(const struct timespec *until, const long *a)
{
	for (;;)
	{
		int64_t offset = *ahead;
		int64_t left = ns_of(until) - time_of_day(CLOCK_REALTIME);
		struct timespec next =
			timespec_of(time_of_day(CLOCK_REALTIME) - offset + next_look(left));
		long answer =
			real_syscall(SYS_futex, a[0], a[1], a[2], &next, a[4], a[5]);

		if (answer != -1 || errno != ETIMEDOUT ||
			time_of_day(CLOCK_REALTIME) >= ns_of(until))
			return answer;
	}
}

static int
ends_at_time_of_day(long operation)
{
	int command = (int) operation & FUTEX_CMD_MASK;

	return ((int) operation & FUTEX_CLOCK_REALTIME) != 0 &&
		command == FUTEX_WAIT_BITSET;
}

long
syscall(long number, ...)
{
	va_list list;
	long a[6];

	begin();
	va_start(list, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (number == SYS_futex && ends_at_time_of_day(a[1]) && a[3] != 0)
		return futex_until((const struct timespec *) a[3], a);
	return real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
