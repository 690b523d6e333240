/*
 * test_failpoint.c
 *	  Failpoints: what their text means, and when they take place.
 *
 * The code is included, with failpoints built in, whatever this build has.
 */
#ifndef TIKV_FAILPOINTS
#define TIKV_FAILPOINTS
#endif
#include "core/base/failpoint.c"

#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

/* How a process ends that comes by. */
static int
ends(const char *name)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(failpoint_hit(name) ? 1 : 0);
	(void) waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int n_claims;
static int n_passed;
static char noted[64];

static bool
claim_once(const char *name)
{
	return strcmp(name, "a") == 0 && n_claims++ == 0;
}

static void
note_hit(const char *name, const char *what)
{
	if (what == NULL)
		n_passed++;
	else
		snprintf(noted, sizeof(noted), "%s %s", name, what);
}

/* With a data directory: who was there first, and what was passed. */
static void
test_host(void)
{
	static const FailpointHost host = {claim_once, note_hit};
	static const FailpointHost none;

	failpoints_host(&host);
	OK(failpoints_set("a=once:error;b=once:error"), "once in all lives");
	OK(FAILPOINT_ERROR("a") && !FAILPOINT_ERROR("a"), "is once");
	EQ_U64(n_claims, 2, "and asked for each time");
	OK(!FAILPOINT_ERROR("b"), "nothing, if another was first");
	EQ_U64(n_passed, 3, "each is noted");
	OK(strcmp(noted, "a error") == 0, "and what took place");
	OK(failpoints_set("a=once:2*error"), "at the second time");
	n_claims = 0;
	OK(!FAILPOINT_ERROR("a") && n_claims == 0, "the first is no claim");
	OK(FAILPOINT_ERROR("a") && n_claims == 1, "the second is");
	OK(failpoints_set("d=delay(0)") && !FAILPOINT_ERROR("d") &&
		   strcmp(noted, "d delay") == 0,
	   "a delay is noted");
	n_passed = 0;
	OK(failpoints_set("*=count") && !FAILPOINT_ERROR("c") &&
		   !FAILPOINT_ERROR("d") && n_passed == 2,
	   "all are counted");
	failpoints_host(&none);
	OK(failpoints_set("a=once:error") && FAILPOINT_ERROR("a"),
	   "without one, once is always");
}

static void
test_clock(void)
{
	EQ_U64(FAILPOINT_CLOCK_S, 0, "the clock is right");
	OK(failpoints_set("clock=-3600;a=error") && FAILPOINT_CLOCK_S == -3600 &&
		   FAILPOINT_ERROR("a"),
	   "an hour behind");
	OK(failpoints_set("clock=3600") && FAILPOINT_CLOCK_S == 3600 &&
		   !failpoints_active,
	   "an hour ahead, and nothing else");
	OK(failpoints_set("") && FAILPOINT_CLOCK_S == 0, "right again");
	OK(!failpoints_set("clock=soon") && !failpoints_set("clock=") &&
		   FAILPOINT_CLOCK_S == 0,
	   "what is no number is none");
}

int
main(void)
{
	test_host();
	test_clock();
	OK(!FAILPOINT_ERROR("a"), "nothing is set at first");
	OK(failpoints_set("a=error;b=crash;c=delay(1);d=off"), "four are set");
	OK(FAILPOINT_ERROR("a") && FAILPOINT_ERROR("a"), "an error, each time");
	EQ_U64(-ends("b"), 9, "a crash");
	OK(!FAILPOINT_ERROR("c"), "a delay goes on");
	OK(!FAILPOINT_ERROR("d") && !FAILPOINT_ERROR("e"), "others are nothing");
	OK(failpoints_set("a=3*error"), "the third time alone");
	OK(!FAILPOINT_ERROR("a") && !FAILPOINT_ERROR("a") && FAILPOINT_ERROR("a") &&
		   !FAILPOINT_ERROR("a"),
	   "is the third time");
	OK(failpoints_set("") && !failpoints_active, "nothing is set any more");
	OK(!failpoints_set("a") && !failpoints_set("=error") &&
		   !failpoints_set("a=often") && !failpoints_set("a=0*error") &&
		   !failpoints_set("a=error;b") && !failpoints_set("a=delay(x)"),
	   "what is not understood sets nothing");
	OK(!failpoints_active, "at all");
	return unit_done();
}
