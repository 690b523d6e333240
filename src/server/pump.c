/*
 * pump.c
 *	  Drives the completion queue from the worker's loop.
 *
 * server_poll takes finished operations out of gRPC in handfuls and hands
 * them to the handlers; server_wait sleeps inside gRPC, so that the thread
 * that will handle a request is the one that the socket wakes.  A second
 * thread that drains the queue was measured to cost streams 1.3 to 4 times
 * their throughput.
 */
#include <string.h>
#include <unistd.h>

#include "core/base/check.h"
#include "server/internal.h"

/*
 * An unanswered unary call is watched for cancellation only after this time
 * or before a sleep: most calls are answered sooner, and the watch costs an
 * operation.
 */
#define WATCH_AFTER_US 5000

void
pump_todo(Call *call)
{
	Server *server = call->server;

	if (call->in_todo)
		return;
	call->in_todo = true;
	call->todo_next = NULL;
	*server->todo_tail = call;
	server->todo_tail = &call->todo_next;
}

/* Post requests until every method has its target waiting. */
static void
post_requests(Server *server)
{
	ServerMethod *method = server->short_methods;

	server->short_methods = NULL;
	while (method != NULL)
	{
		ServerMethod *next = method->short_next;

		method->is_short = false;
		while (!server->stopping && method->posted < method->target)
			call_post(server, method);
		method = next;
	}
}

void
pump_start_todo(Server *server)
{
	if (server->porter != NULL)
		porter_admit(server->porter, server);
	if (waker_set_back(server->waker))
		setback_connect(server);
	post_requests(server);
	client_start_todo(server);
	while (server->todo != NULL)
	{
		Call *call = server->todo;

		server->todo = call->todo_next;
		if (server->todo == NULL)
			server->todo_tail = &server->todo;
		call->in_todo = false;
		server_note_progress(server, 2);
		call_advance(call);
	}
}

void
server_wake_at(Server *server, int64_t at_us)
{
	if (at_us < server->wake_at_us)
		server->wake_at_us = at_us;
}

/* Ask to be told of cancellations of calls received before a moment. */
static void
watch_calls(Server *server, int64_t before_us)
{
	while (!link_empty(&server->fresh))
	{
		Call *call = (Call *) server->fresh.next;

		if (call->received_us >= before_us)
			break;
		link_move_to(&server->live, &call->link);
		call->watch = true;
		pump_todo(call);
	}
}

/*
 * Take events until none is ready, waiting for the first one until deadline.
 * Ours are dealt with here.  Entered.
 */
static void
gather(Server *server, gpr_timespec deadline)
{
	server->next_event = 0;
	server->n_events = 0;
	while (server->n_events < SERVER_EVENTS)
	{
		grpc_event event =
			grpc_completion_queue_next(server->cq, deadline, NULL);

		server_note_progress(server, 2);
		deadline = gpr_inf_past(GPR_CLOCK_MONOTONIC);
		if (event.type != GRPC_OP_COMPLETE)
			break;
		if (event.tag == server->waker)
		{
			waker_kicked(server->waker);
			server->woken = true;
		}
		else if (event.tag == server)
			server->stopped = true;
		else
			server->events[server->n_events++] = event;
	}
}

static bool
has_events(const Server *server)
{
	return server->next_event < server->n_events;
}

static bool
refill(Server *server)
{
	server_enter(server);
	pump_start_todo(server);
	gather(server, gpr_inf_past(GPR_CLOCK_MONOTONIC));
	server_leave(server);
	return has_events(server);
}

int
server_poll(Server *server, int max_events)
{
	int handled = 0;

	warden_watch(server->warden);
	if (server->config.tls != NULL)
		tls_grpc_look(server);
	if (!link_empty(&server->fresh))
		watch_calls(server, server_now_us() - WATCH_AFTER_US);
	server->yields = false;
	while (handled < max_events && !server->yields &&
		   (has_events(server) || refill(server)))
	{
		grpc_event event = server->events[server->next_event++];
		uintptr_t tag = (uintptr_t) event.tag;

		handled++;
		if ((tag & OP_MASK) == OP_CLIENT)
			client_event((void *) (tag & ~OP_MASK), event.success != 0);
		else
			call_event((Call *) (tag & ~OP_MASK), (OpKind) (tag & OP_MASK),
					   event.success != 0);
	}
	if (server->todo != NULL || server->short_methods != NULL ||
		server->client_todo != NULL)
	{
		server_enter(server);
		pump_start_todo(server);
		server_leave(server);
	}
	return handled;
}

static gpr_timespec
deadline_of(Server *server, int64_t timeout_us)
{
	int64_t at = INT64_MAX;

	if (timeout_us >= 0)
		at = server_now_us() + timeout_us;
	if (server->wake_at_us < at)
		at = server->wake_at_us;
	if (at == INT64_MAX)
		return gpr_inf_future(GPR_CLOCK_MONOTONIC);
	return (gpr_timespec){.tv_sec = at / 1000000,
						  .tv_nsec = (int32_t) (at % 1000000) * 1000,
						  .clock_type = GPR_CLOCK_MONOTONIC};
}

/* Nothing is ready: sleep.  Entered. */
static void
sleep_in_grpc(Server *server, int64_t timeout_us)
{
	sigset_t deliverable;

	watch_calls(server, INT64_MAX);
	pump_start_todo(server);
	unsent_trim(server);
	memset(&deliverable, 0, sizeof(deliverable)); /* compared as memory */
	sigfillset(&deliverable);
	for (int sig = 1; sig < NSIG; sig++)
		if (sigismember(&server->saved_mask, sig) == 1)
			sigdelset(&deliverable, sig);
	if (waker_arm(server->waker, &deliverable))
		gather(server, deadline_of(server, timeout_us));
	waker_disarm(server->waker);
}

void
server_wait(Server *server, int64_t timeout_us)
{
	if (!has_events(server) && !server->woken && !refill(server) &&
		!server->woken)
	{
		server_enter(server);
		sleep_in_grpc(server, timeout_us);
		server_leave(server);
	}
	server->woken = false;
	server->wake_at_us = INT64_MAX;
}

void
server_yield(Server *server)
{
	server->yields = true;
}

void
server_wake(Server *server)
{
	uint64_t one = 1;
	ssize_t rc = write(server->config.wake_fd, &one, sizeof(one));

	/* A full counter wakes as well, and there is nobody to tell. */
	(void) rc;
}
