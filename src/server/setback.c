/*
 * setback.c
 *	  Has gRPC look at the clock again after the time of day was set back.
 *
 * gRPC 1.51 means CLOCK_MONOTONIC, but its Abseil waits until a time of day.
 * The kernel leaves such a wait alone when that is set back, so the thread that
 * sleeps until the next timer sleeps on, by so much longer, and a timer that is
 * set meanwhile wakes it only if it comes first of all.  Deadlines of calls,
 * tries to connect and pings of connections would then have no end.
 *
 * There are two such threads.  The one of the C core, which has all timers but
 * one, can be woken.  The other one has the pauses before a channel connects
 * again, and nobody can reach it: until its wait is over, those pauses are ended
 * from outside, one after the other.
 */
#include <time.h>

#include "server/client_internal.h"

/* What the time of day may lose between two looks, and nobody notices. */
#define SLACK_US INT64_C(100000)

/* No pause before another try to connect is longer: see client_channel.c. */
#define LONGEST_PAUSE_US INT64_C(5000000)

/*
 * gRPC's grpc_kick_poller, by the name that its compiler gives it: it belongs to
 * no interface, so a library may be without it.
 */
extern void wake_timer_thread(void) __asm__("_Z16grpc_kick_pollerv")
	__attribute__((weak));

static int64_t
time_of_day_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/*
 * A thread that is held up between the two clocks sees a step where there was
 * none.  That costs nothing but some needless work.
 */
static void
look(Setback *setback, int64_t day_us, int64_t now_us)
{
	bool first = setback->next_look_us == 0;
	int64_t lost_us = setback->ahead_us - (day_us - now_us);
	int64_t until_us = day_us + lost_us + LONGEST_PAUSE_US;

	setback->next_look_us = now_us + SETBACK_LOOK_MS * 1000;
	setback->ahead_us = day_us - now_us;
	if (first || lost_us <= SLACK_US)
		return;
	if (until_us > setback->until_us)
		setback->until_us = until_us;
	if (wake_timer_thread != NULL)
		wake_timer_thread();
}

bool
setback_look(Setback *setback)
{
	int64_t day_us = time_of_day_us();
	int64_t now_us = server_now_us();

	if (now_us < setback->next_look_us)
		return false;
	look(setback, day_us, now_us);
	return day_us < setback->until_us;
}

void
setback_connect(Server *server)
{
	for (Link *l = server->channels.next; l != &server->channels; l = l->next)
	{
		grpc_channel *grpc = ((ClientChannel *) l)->grpc;

		if (grpc != NULL &&
			grpc_channel_check_connectivity_state(grpc, 0) ==
				GRPC_CHANNEL_TRANSIENT_FAILURE)
			grpc_channel_reset_connect_backoff(grpc);
	}
}
