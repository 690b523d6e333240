/*
 * waker.c
 *	  A thread that ends the worker's sleep inside gRPC.
 *
 * The worker sleeps in grpc_completion_queue_next, which knows neither the
 * worker's eventfd, nor the pipe that tells of the postmaster's death, nor
 * signals (they are blocked there, so that no gRPC thread is born with an
 * open mask).  This thread polls all three and kicks: it starts an empty
 * batch on a call of a lame channel bound to the same queue, which completes
 * at once.  It never touches anything else and never calls Postgres.
 *
 * Once a second it looks whether the time of day was set back (setback.c).
 *
 * After a kick, or when it finds the worker awake, the thread parks and does
 * nothing else until the worker is about to sleep again.  `sleeping` and `parked`
 * are each written by one side and then the other is read, both sequentially
 * consistent, so at least one side sees the other's: either the thread kicks,
 * or the worker sets it going again.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "core/base/check.h"
#include "server/internal.h"

#define WAKER_STACK_SIZE ((size_t) 256 * 1024)

struct Waker
{
	pthread_t thread;
	grpc_channel *channel;
	grpc_call *call;
	int wake_fd;
	int parent_fd;
	int signal_fd;		  /* of the signals that may end a sleep */
	int control_fd;		  /* eventfd: leave the park, or stop */
	sigset_t signals;	  /* what signal_fd watches */
	atomic_bool sleeping; /* written by the worker */
	atomic_bool parked;	  /* written by the thread */
	atomic_bool stopping;
	atomic_bool parent_died;
	atomic_bool kick_pending; /* a kick is in the queue */
	atomic_bool set_back;	  /* setback_connect is due */
	Setback setback;		  /* the thread's */
};

static void
add_one(int fd)
{
	uint64_t one = 1;
	ssize_t rc;

	do
		rc = write(fd, &one, sizeof(one));
	while (rc < 0 && errno == EINTR);
}

/* Take what an eventfd holds, without waiting; true if it held something. */
static bool
drain(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t count;

	if (fd < 0 || poll(&p, 1, 0) <= 0 || (p.revents & POLLIN) == 0)
		return false;
	return read(fd, &count, sizeof(count)) == sizeof(count);
}

static void
kick(Waker *waker)
{
	if (atomic_exchange(&waker->kick_pending, true))
		return;
	CHECK(grpc_call_start_batch(waker->call, NULL, 0, waker, NULL) ==
		  GRPC_CALL_OK);
}

static void
look_at_clock(Waker *waker)
{
	if (!setback_look(&waker->setback))
		return;
	atomic_store(&waker->set_back, true);
	if (atomic_load(&waker->sleeping))
		kick(waker);
}

/* True if one of them can be read; false after a second, too. */
static bool
wait_for_any(Waker *waker, struct pollfd *p, nfds_t n)
{
	int found = poll(p, n, SETBACK_LOOK_MS);

	look_at_clock(waker);
	return found > 0;
}

/* Block until the worker or waker_stop writes to control_fd. */
static void
park(Waker *waker)
{
	struct pollfd p = {.fd = waker->control_fd, .events = POLLIN};

	atomic_store(&waker->parked, true);
	if (atomic_load(&waker->sleeping))
		kick(waker);
	while (!drain(waker->control_fd) && !atomic_load(&waker->stopping))
		(void) wait_for_any(waker, &p, 1);
	atomic_store(&waker->parked, false);
}

static void *
waker_main(void *arg)
{
	Waker *waker = arg;

	look_at_clock(waker);
	while (!atomic_load(&waker->stopping))
	{
		bool dead = atomic_load(&waker->parent_died);
		struct pollfd p[] = {
			{.fd = waker->control_fd, .events = POLLIN},
			{.fd = waker->wake_fd, .events = POLLIN},
			{.fd = waker->signal_fd, .events = POLLIN},
			{.fd = dead ? -1 : waker->parent_fd, .events = POLLIN},
		};

		if (!wait_for_any(waker, p, 4))
			continue;
		if (p[0].revents != 0)
			(void) drain(waker->control_fd);
		if (p[3].revents != 0)
			atomic_store(&waker->parent_died, true);
		if (p[1].revents != 0 || p[2].revents != 0 || p[3].revents != 0)
			park(waker);
	}
	return NULL;
}

static const char *
start_thread(Waker *waker)
{
	pthread_attr_t attr;
	int rc;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, WAKER_STACK_SIZE);
	rc = pthread_create(&waker->thread, &attr, waker_main, waker);
	pthread_attr_destroy(&attr);
	return rc == 0 ? NULL : strerror(rc);
}

static void
free_waker(Waker *waker)
{
	grpc_call_unref(waker->call);
	grpc_channel_destroy(waker->channel);
	if (waker->signal_fd >= 0)
		close(waker->signal_fd);
	if (waker->control_fd >= 0)
		close(waker->control_fd);
	free(waker);
}

Waker *
waker_start(grpc_completion_queue *cq, int wake_fd, int parent_fd,
			const char **error)
{
	Waker *waker = calloc(1, sizeof(*waker));

	CHECK(waker != NULL);
	waker->wake_fd = wake_fd;
	waker->parent_fd = parent_fd;
	waker->signal_fd =
		signalfd(-1, &waker->signals, SFD_CLOEXEC | SFD_NONBLOCK);
	waker->control_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	waker->channel =
		grpc_lame_client_channel_create("waker", GRPC_STATUS_UNAVAILABLE,
										"not a channel");
	waker->call =
		grpc_channel_create_call(waker->channel, NULL, 0, cq,
								 grpc_slice_from_static_string("/"), NULL,
								 gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
	if (waker->signal_fd < 0 || waker->control_fd < 0)
		*error = strerror(errno);
	else
		*error = start_thread(waker);
	if (*error == NULL)
		return waker;
	free_waker(waker);
	return NULL;
}

void
waker_stop(Waker *waker)
{
	atomic_store(&waker->stopping, true);
	add_one(waker->control_fd);
	pthread_join(waker->thread, NULL);
	free_waker(waker);
}

/*
 * The mask changes rarely, but it is the worker's to change: a signal that
 * it has blocked itself must not end its sleep over and over.
 */
static void
watch_signals(Waker *waker, const sigset_t *deliverable)
{
	if (memcmp(&waker->signals, deliverable, sizeof(sigset_t)) == 0)
		return;
	waker->signals = *deliverable;
	CHECK(signalfd(waker->signal_fd, &waker->signals, 0) >= 0);
}

bool
waker_arm(Waker *waker, const sigset_t *deliverable)
{
	watch_signals(waker, deliverable);
	atomic_store(&waker->sleeping, true);
	if (drain(waker->wake_fd) || atomic_load(&waker->parent_died))
		return false;
	if (atomic_load(&waker->parked))
		add_one(waker->control_fd);
	return true;
}

void
waker_disarm(Waker *waker)
{
	atomic_store(&waker->sleeping, false);
	(void) drain(waker->wake_fd);
}

void
waker_kicked(Waker *waker)
{
	atomic_store(&waker->kick_pending, false);
}

bool
waker_set_back(Waker *waker)
{
	return atomic_load_explicit(&waker->set_back, memory_order_relaxed) &&
		atomic_exchange(&waker->set_back, false);
}
