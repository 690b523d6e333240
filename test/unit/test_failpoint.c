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

int
main(void)
{
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
