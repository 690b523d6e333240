/*
 * check.c
 *	  Does a process with the clock of clock.c before it wait as the kernel has it?
 *
 * Run with clock.c preloaded and a clock that is ahead by an hour.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int failed;

/* What the wait until then says, if *word is still what it was. */
static int
wait_until(struct timespec until, uint32_t expected)
{
	static uint32_t word = 1;
	long answer =
		syscall(SYS_futex, &word,
				FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME,
				expected, &until, NULL, FUTEX_BITSET_MATCH_ANY);

	return answer == 0 ? 0 : errno;
}

static void
expect(const char *what, int got, int wanted)
{
	if (got == wanted)
		return;
	fprintf(stderr, "a wait until %s: error %d, wanted %d\n", what, got,
			wanted);
	failed = 1;
}

int
main(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	expect("1970", wait_until((struct timespec){0, 0}, 1), ETIMEDOUT);
	expect("1970, woken before", wait_until((struct timespec){0, 0}, 2),
		   EAGAIN);
	expect("a minute ago",
		   wait_until((struct timespec){now.tv_sec - 60, now.tv_nsec}, 1),
		   ETIMEDOUT);
	now.tv_sec++;
	expect("in a second", wait_until(now, 1), ETIMEDOUT);
	expect("never, woken before",
		   wait_until((struct timespec){INT64_MAX, 999999999}, 2), EAGAIN);
	return failed;
}
