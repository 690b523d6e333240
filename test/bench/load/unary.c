/*
 * unary.c
 *	  A load of unary calls.
 */
#include "answer.h"
#include "channels.h"
#include "measure.h"
#include "options.h"
#include "request.h"
#include "unary.h"

typedef struct Unary
{
	Task task;
	UnaryCall rpc;
	grpc_channel *channel;
	void **registered; /* by step */
} Unary;

/* Send the next request of the task. */
static void
unary_send(Unary *u)
{
	size_t len = task_write(&u->task);
	grpc_slice bytes = grpc_slice_from_copied_buffer((char *) scratch, len);
	void *method = u->registered[task_step(&u->task)];

	unary_start(&u->rpc,
				grpc_channel_create_registered_call(
					u->channel, NULL, 0, cq, method,
					gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL),
				buffer_of(bytes), u);
}

static void
unary_begin(Unary *u)
{
	task_begin(&u->task, mode);
	unary_send(u);
}

/* Take the answer; true if the task is over. */
static bool
unary_answer(Unary *u)
{
	bool over = true;
	grpc_slice hold;

	if (u->rpc.status != GRPC_STATUS_OK || u->rpc.reply == NULL)
	{
		char text[300];

		snprintf(text, sizeof(text), "status %d: %.*s", (int) u->rpc.status,
				 (int) GRPC_SLICE_LENGTH(u->rpc.text),
				 (char *) GRPC_SLICE_START_PTR(u->rpc.text));
		count_error(text);
	}
	else if (task_step(&u->task) == STEP_EMPTY)
		count_one(now_us() - u->task.begin_us);
	else
	{
		hold = slice_of(u->rpc.reply);
		over = task_answer(&u->task, slice_bytes(hold));
		grpc_slice_unref(hold);
		if (over)
			count_one(now_us() - u->task.begin_us);
	}
	unary_end(&u->rpc);
	return over;
}

/* The handles of the mode's methods on a connection, by step. */
static void **
register_steps(grpc_channel *channel)
{
	void **handles = calloc(N_STEPS, sizeof(*handles));

	for (int i = 0; i < MAX_STEPS && mode->steps[i] != STEP_END; i++)
		handles[mode->steps[i]] =
			grpc_channel_register_call(channel, step_path(mode->steps[i]), NULL,
									   NULL);
	return handles;
}

static Unary *
open_unaries(void)
{
	Unary *calls = calloc((size_t) opt.inflight, sizeof(*calls));

	for (long i = 0; i < opt.inflight; i++)
	{
		Unary *u = &calls[i];

		u->task.number = i;
		u->channel = channels[i % opt.connections];
		u->registered = i < opt.connections ?
			register_steps(u->channel) :
			calls[i - opt.connections].registered;
		unary_begin(u);
	}
	return calls;
}

static void
close_unaries(Unary *calls)
{
	for (long i = 0; i < opt.inflight; i++)
	{
		if (i < opt.connections)
			free(calls[i].registered);
		unary_free(&calls[i].rpc);
	}
	free(calls);
}

/* Is there another task to begin? */
static bool
goes_on(int64_t now, int64_t until)
{
	return filling ? fill_next < (uint64_t) opt.keys : now < until;
}

void
run_unary(int64_t warm_until, int64_t until)
{
	Unary *calls = open_unaries();
	long active = opt.inflight;

	while (active > 0)
	{
		Unary *u = next_event(cq).tag;
		int64_t now = now_us();

		if (!filling)
			keep_time(now, warm_until, until);
		if (!unary_answer(u))
			unary_send(u);
		else if (goes_on(now, until))
			unary_begin(u);
		else
			active--;
	}
	close_unaries(calls);
}

void
fill_unary(void)
{
	const Mode *measured = mode;

	mode = fill_mode;
	filling = true;
	run_unary(0, 0);
	filling = false;
	mode = measured;
	if (errors > 0)
		exit(1);
}
