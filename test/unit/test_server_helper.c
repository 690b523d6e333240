/*
 * test_server_helper.c
 *	  A broken invariant on a helper thread: the main thread ends the process,
 *	  and if it does not, the process aborts.
 */
#include "server/helper.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/check.h"
#include "unit.h"

#define LONG_MS 60000
#define SHORT_MS 100

/* How the process ended. */
#define ENDED_IN_ORDER 7
#define WRONG_THREAD 8

static int wake_fd;
static int patience_ms;

static void
wake(void)
{
	uint64_t one = 1;
	ssize_t rc = write(wake_fd, &one, sizeof(one));

	(void) rc;
}

/* As a worker's. */
static void
on_check(const char *expr, const char *file, int line)
{
	HelperFailure failure = {.expr = expr, .file = file, .line = line};

	if (!helper_is_main_thread())
		helper_failed(&failure, wake, patience_ms);
	_exit(WRONG_THREAD);
}

static void *
fail(void *arg)
{
	(void) arg;
	CHECK(1 + 1 == 3);
	return NULL;
}

/* A worker whose helpers fail; `looks`: it does look in its rounds. */
static void
live(int n_threads, bool looks)
{
	struct pollfd p = {.events = POLLIN};
	HelperFailure failure;
	pthread_t thread;

	p.fd = wake_fd = eventfd(0, EFD_CLOEXEC);
	check_set_hook(on_check);
	if (helper_has_failed(&failure))
		_exit(1);
	for (int i = 0; i < n_threads; i++)
		pthread_create(&thread, NULL, fail, NULL);
	if (!looks)
		(void) poll(NULL, 0, LONG_MS);
	(void) poll(&p, 1, LONG_MS);
	while (!helper_has_failed(&failure))
		(void) poll(NULL, 0, 1);
	_exit(strcmp(failure.expr, "1 + 1 == 3") == 0 &&
				  strstr(failure.file, "test_server_helper.c") != NULL &&
				  failure.line > 0 ?
			  ENDED_IN_ORDER :
			  2);
}

/* The status of such a process; what it said is in `said`. */
static int
run(int n_threads, bool looks, int patience, char *said, size_t size)
{
	int pipes[2];
	int status = 0;
	ssize_t n;
	pid_t pid;

	if (pipe(pipes) != 0)
		abort();
	fflush(stdout);
	pid = fork();
	if (pid == 0)
	{
		dup2(pipes[1], STDERR_FILENO);
		patience_ms = patience;
		live(n_threads, looks);
	}
	close(pipes[1]);
	waitpid(pid, &status, 0);
	n = read(pipes[0], said, size - 1);
	said[n < 0 ? 0 : n] = '\0';
	close(pipes[0]);
	return status;
}

static void
main_thread_is_itself(void)
{
	OK(helper_is_main_thread(), "the main thread knows itself");
}

static void
main_thread_ends_it(void)
{
	char said[4096];
	int status = run(1, true, LONG_MS, said, sizeof(said));

	OK(WIFEXITED(status) && WEXITSTATUS(status) == ENDED_IN_ORDER,
	   "the main thread is woken and ends the process, with the reason");
	OK(strstr(said, "broken invariant 1 + 1 == 3 at ") != NULL,
	   "stderr has it, too");
	status = run(8, true, LONG_MS, said, sizeof(said));
	OK(WIFEXITED(status) && WEXITSTATUS(status) == ENDED_IN_ORDER,
	   "and so it does when several fail at once");
}

static void
or_nobody_does(void)
{
	char said[4096];
	int status = run(1, false, SHORT_MS, said, sizeof(said));

	OK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
	   "a main thread that does not come back is not waited for");
}

int
main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	main_thread_is_itself();
	main_thread_ends_it();
	or_nobody_does();
	return unit_done();
}
