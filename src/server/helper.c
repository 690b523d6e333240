/*
 * helper.c
 *	  A broken invariant on one of a worker's helper threads.
 *
 * Such a thread cannot end the process by itself.  ereport(FATAL) there would
 * run proc_exit and the call-backs that take the process out of shared memory
 * beside the main thread, which uses all of it.  abort() and _exit() run none
 * of them, and that takes all of Postgres down, whatever the status: the
 * postmaster restarts everything when a child has died by a signal or with a
 * status other than 0 and 1, and also when one with status 0 or 1 has not
 * given back its slot (ReleasePostmasterChildSlot in CleanupBackend and
 * CleanupBackgroundWorker, src/backend/postmaster/postmaster.c).
 *
 * So the main thread is asked to end, as if the invariant were its own: then
 * this worker alone starts anew.  Helpers never touch data, hence what it does
 * until its next round is as good as ever.  If it does not come to that (it
 * may wait for something that the helper holds), the process aborts, which
 * leaves a core file, where that is wanted.
 */
#include "server/helper.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_bool claimed; /* by the first that failed */
static atomic_bool told;	/* `first` is complete */
static HelperFailure first;

bool
helper_is_main_thread(void)
{
	return syscall(SYS_gettid) == getpid();
}

void
helper_failed(const HelperFailure *failure, void (*wake)(void), int patience_ms)
{
	dprintf(STDERR_FILENO, "tikv helper thread: broken invariant %s at %s:%d\n",
			failure->expr, failure->file, failure->line);
	if (!atomic_exchange(&claimed, true))
	{
		first = *failure;
		atomic_store(&told, true);
	}
	wake();
	/* All signals are blocked here, so nothing shortens it. */
	(void) poll(NULL, 0, patience_ms);
	abort();
}

bool
helper_has_failed(HelperFailure *out)
{
	if (!atomic_load_explicit(&told, memory_order_acquire))
		return false;
	*out = first;
	return true;
}
