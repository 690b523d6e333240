/*
 * test_bus.c
 *	  Every way a request can go: answered, abandoned, refused, lost; and many
 *	  processes at once.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bus/bus.h"
#include "bus/slot.h"
#include "shims.h"
#include "unit.h"

#define SLOTS 16
#define WORKER_SHARE 12 /* three quarters */
#define STORE_PID 7
#define BACKEND_PID 3
#define LONG_BYTES 5000

static uint8 long_bytes[LONG_BYTES];

static void
serve(void)
{
	shim_set_worker(WORKER_STORE, STORE_PID, WORKER_SERVING);
}

/* All slots free, none of the area used. */
static bool
all_free(void)
{
	for (int i = 0; i < WORKER_KINDS; i++)
		if (tikv_shmem()->bus->used[i] != 0)
			return false;
	return shim_chunks_used() == 0;
}

/* Answer the next request with its own bytes, as the store. */
static bool
echo_one(void)
{
	BusRequest request;

	if (!bus_take(WORKER_STORE, &request))
		return false;
	bus_answer(&request, BUS_OK, 0, request.bytes);
	return true;
}

static void
free_reply(BusReply *reply)
{
	free((void *) reply->bytes.data);
	reply->bytes.data = NULL;
}

/* ------------------------------------------------------------- send and take */

static void
check_echo(Bytes bytes, const char *what)
{
	BusAnswer answer;

	OK(bus_send(WORKER_PD, WORKER_STORE, 15, bytes, 42) == BUS_OK, what);
	OK(bus_pending(WORKER_STORE), "the worker has something to do");
	OK(!bus_take_reply(WORKER_PD, &answer), "no answer yet");
	OK(echo_one(), "the worker takes it");
	OK(!bus_pending(WORKER_STORE), "and that was all");
	OK(bus_take_reply(WORKER_PD, &answer), "the answer comes back");
	EQ_U64(answer.tag, 42, "with its tag");
	OK(answer.reply.code == BUS_OK && bytes_eq(answer.reply.bytes, bytes),
	   "and the same bytes");
	free_reply(&answer.reply);
	OK(all_free(), "nothing is left behind");
}

static void
test_echo(void)
{
	shim_become(BACKEND_PID);
	serve();
	check_echo(bytes_empty(), "an empty request");
	check_echo(bytes_cstr("short"), "a short one, in the slot");
	check_echo(bytes_make(long_bytes, SLOT_INLINE), "the longest in the slot");
	check_echo(bytes_make(long_bytes, SLOT_INLINE + 1), "one byte more");
	check_echo(bytes_make(long_bytes, LONG_BYTES), "a long one, in the area");
}

/* For whom a request is, as the worker that takes it sees it. */
static void
test_origin(void)
{
	BusOrigin origin = {.source = UINT64CONST(0xfedcba9876543210),
						.deadline_us = 123456789};
	BusRequest request;
	BusAnswer answer;

	OK(bus_send_for(WORKER_PD, WORKER_STORE, 15, bytes_cstr("x"), 1, &origin,
					NULL) == BUS_OK,
	   "sent for somebody");
	OK(bus_take(WORKER_STORE, &request), "taken");
	EQ_U64(request.origin.source, origin.source, "it is known for whom");
	EQ_U64(request.origin.deadline_us, origin.deadline_us, "and until when");
	bus_answer(&request, BUS_OK, 0, bytes_empty());
	OK(bus_take_reply(WORKER_PD, &answer), "answered");
	free_reply(&answer.reply);
	bus_send(WORKER_PD, WORKER_STORE, 15, bytes_cstr("x"), 2);
	OK(bus_take(WORKER_STORE, &request), "taken");
	EQ_U64(request.origin.source, BACKEND_PID, "one's own is the process's");
	EQ_U64(request.origin.deadline_us, PG_INT64_MAX, "and has no deadline");
	bus_answer(&request, BUS_OK, 0, bytes_empty());
	OK(bus_take_reply(WORKER_PD, &answer), "answered");
	free_reply(&answer.reply);
	OK(all_free(), "nothing is left behind");
}

/* A worker that sends gives up what nobody wants any more. */
static void
test_withdrawn(void)
{
	BusOrigin origin = {.source = 1, .deadline_us = PG_INT64_MAX};
	BusRequest request;
	BusTicket ticket;
	BusAnswer answer;

	bus_send_for(WORKER_PD, WORKER_STORE, 15,
				 bytes_make(long_bytes, LONG_BYTES), 1, &origin, &ticket);
	bus_withdraw(&ticket);
	OK(!bus_take(WORKER_STORE, &request), "what was withdrawn is not taken");
	OK(all_free(), "and leaves nothing behind");

	bus_send_for(WORKER_PD, WORKER_STORE, 15, bytes_cstr("x"), 2, &origin,
				 &ticket);
	OK(bus_take(WORKER_STORE, &request), "what was taken");
	OK(!bus_is_withdrawn(&request), "is wanted");
	bus_withdraw(&ticket);
	OK(bus_is_withdrawn(&request), "until it is withdrawn");
	bus_answer(&request, BUS_OK, 0, bytes_make(long_bytes, LONG_BYTES));
	OK(!bus_take_reply(WORKER_PD, &answer), "its answer reaches nobody");
	OK(all_free(), "and leaves nothing behind, too");

	bus_send_for(WORKER_PD, WORKER_STORE, 15, bytes_cstr("x"), 3, &origin,
				 &ticket);
	OK(echo_one(), "what was answered");
	bus_withdraw(&ticket);
	OK(bus_take_reply(WORKER_PD, &answer) && answer.tag == 3,
	   "is answered all the same");
	free_reply(&answer.reply);
	bus_withdraw(&ticket);
	OK(all_free(), "and once over it cannot be withdrawn");
}

static void
test_any_order(void)
{
	BusRequest first;
	BusRequest second;
	BusAnswer answer;

	bus_send(WORKER_PD, WORKER_STORE, 1, bytes_cstr("a"), 1);
	bus_send(WORKER_PD, WORKER_STORE, 2, bytes_cstr("b"), 2);
	OK(bus_take(WORKER_STORE, &first) && first.method == 1, "first come");
	OK(bus_take(WORKER_STORE, &second) && second.method == 2, "first taken");
	bus_answer(&second, BUS_ERROR, 13, bytes_cstr("why"));
	bus_answer(&first, BUS_OK, 0, bytes_cstr("A"));
	OK(bus_take_reply(WORKER_PD, &answer) && answer.tag == 2,
	   "answers come in the order in which they were given");
	OK(answer.reply.code == BUS_ERROR && answer.reply.grpc_code == 13 &&
		   bytes_eq(answer.reply.bytes, bytes_cstr("why")),
	   "an error says why");
	free_reply(&answer.reply);
	OK(bus_take_reply(WORKER_PD, &answer) && answer.tag == 1, "then the other");
	free_reply(&answer.reply);
	OK(all_free(), "nothing is left behind");
}

/* ------------------------------------------------------------------- bounds */

static void
drain(void)
{
	BusAnswer answer;

	while (echo_one())
		;
	while (bus_take_reply(WORKER_PD, &answer))
		free_reply(&answer.reply);
}

static void
test_bounds(void)
{
	int n = 0;

	while (bus_send(WORKER_PD, WORKER_STORE, 1, bytes_cstr("x"), 0) == BUS_OK)
		n++;
	EQ_U64(n, WORKER_SHARE, "one worker can keep three quarters of the slots");
	shim_set_worker(WORKER_SERVER, 8, WORKER_SERVING);
	for (n = 0;
		 bus_send(WORKER_PD, WORKER_SERVER, 1, bytes_empty(), 0) == BUS_OK;)
		n++;
	EQ_U64(n, SLOTS - WORKER_SHARE, "another one gets the rest");
	bus_worker_reset(WORKER_SERVER);
	drain();
	OK(all_free(), "all come back");

	for (n = 0; bus_send(WORKER_PD, WORKER_STORE, 1,
						 bytes_make(long_bytes, LONG_BYTES), 0) == BUS_OK;)
		n++;
	EQ_U64(n, WORKER_SHARE, "also with long requests");
	drain();
	OK(bus_send(WORKER_PD, WORKER_STORE, 1,
				bytes_make(long_bytes, (size_t) 2 << 20), 0) == BUS_BUSY,
	   "more than all the memory is busy");
	OK(all_free(), "and keeps nothing");
	serve();
}

static void
send_long(void *arg)
{
	(void) arg;
	bus_send(WORKER_PD, WORKER_STORE, 1, bytes_make(long_bytes, LONG_BYTES), 0);
}

static void
test_no_memory(void)
{
	BusRequest request;
	BusAnswer answer;

	shim_fail_next_chunk();
	OK(shim_throws(send_long, NULL), "an error of the system goes up");
	OK(all_free(), "and the slot comes back");

	bus_send(WORKER_PD, WORKER_STORE, 1, bytes_cstr("x"), 5);
	OK(bus_take(WORKER_STORE, &request), "taken");
	shim_fail_next_chunk();
	bus_answer(&request, BUS_OK, 0, bytes_make(long_bytes, LONG_BYTES));
	OK(bus_take_reply(WORKER_PD, &answer) && answer.tag == 5,
	   "an answer without memory is still one");
	OK(answer.reply.code == BUS_ERROR && answer.reply.grpc_code == 8,
	   "an error that says so");
	free_reply(&answer.reply);
	OK(all_free(), "nothing is left behind");
}

/* ------------------------------------------------------------ calls that wait */

typedef struct CallArg
{
	Bytes request;
	int timeout_ms;
	BusReply reply;
} CallArg;

static void
call_store(void *arg)
{
	CallArg *call = arg;

	call->reply = bus_call(WORKER_STORE, 15, call->request, call->timeout_ms);
}

/* What the other process does while this one waits in bus_call. */
static pid_t
in_child(void (*act)(void))
{
	pid_t child = fork();

	if (child != 0)
		return child;
	shim_become(STORE_PID);
	usleep(20000);
	act();
	_exit(0);
}

static void
echo_until_done(void)
{
	while (!echo_one())
		usleep(100);
}

static void
take_and_answer_too_late(void)
{
	BusRequest request;

	while (!bus_take(WORKER_STORE, &request))
		usleep(100);
	while ((pg_atomic_read_u64(&tikv_shmem()->bus->slots[request.slot].word) &
			0xff) != SLOT_LEFT_TAKEN)
		usleep(100);
	bus_answer(&request, BUS_OK, 0, bytes_make(long_bytes, LONG_BYTES));
}

static void
take_and_die(void)
{
	BusRequest request;

	while (!bus_take(WORKER_STORE, &request))
		usleep(100);
	bus_worker_reset(WORKER_STORE);
}

static void
go_without_taking(void)
{
	bus_worker_reset(WORKER_STORE);
}

static BusReply
call_while(void (*act)(void), int timeout_ms)
{
	CallArg call = {bytes_make(long_bytes, LONG_BYTES), timeout_ms, {0}};
	pid_t child = act == NULL ? 0 : in_child(act);

	call_store(&call);
	if (child != 0)
		waitpid(child, NULL, 0);
	if (call.reply.code != BUS_OK)
		free_reply(&call.reply);
	return call.reply;
}

static void
test_call(void)
{
	BusReply reply;

	serve();
	reply = call_while(echo_until_done, 5000);
	OK(reply.code == BUS_OK && reply.bytes.len == LONG_BYTES &&
		   memcmp(reply.bytes.data, long_bytes, LONG_BYTES) == 0,
	   "a call gets its answer");
	free_reply(&reply);
	OK(all_free(), "nothing is left behind");

	reply = call_while(NULL, 30);
	OK(reply.code == BUS_BUSY, "time up before it was taken: nothing happened");
	OK(!echo_one(), "the worker skips it");
	OK(all_free(), "and frees it");

	reply = call_while(take_and_answer_too_late, 1000);
	OK(reply.code == BUS_TIMEOUT, "time up after it was taken: unknown");
	OK(all_free(), "the late answer frees the slot");

	reply = call_while(take_and_die, 5000);
	OK(reply.code == BUS_LOST, "the worker goes with it in hand: unknown");
	serve();
	reply = call_while(go_without_taking, 5000);
	OK(reply.code == BUS_DOWN,
	   "it goes without having taken it: nothing happened");
	OK(call_while(NULL, 5000).code == BUS_DOWN, "and is down from then on");
	OK(all_free(), "nothing is left behind");
}

/* A call in its two halves, with something done between. */
static void
test_halves(void)
{
	BusTicket ticket;
	BusReply reply;
	BusRequest request;
	pid_t child;

	serve();
	OK(bus_begin(WORKER_STORE, 15, bytes_make(long_bytes, LONG_BYTES),
				 &ticket) == BUS_OK,
	   "a request is sent");
	OK(bus_take(WORKER_STORE, &request), "the worker takes it");
	OK(shim_chunks_used() == 1, "its bytes lie in the area");
	bus_answer(&request, BUS_OK, 0, bytes_cstr("done"));
	OK(shim_chunks_used() == 0,
	   "they are given back by the answer, not when it is taken");
	reply = bus_end(&ticket, 0);
	OK(reply.code == BUS_OK && bytes_eq(reply.bytes, bytes_cstr("done")),
	   "the answer that was there is taken without waiting");
	free_reply(&reply);
	OK(all_free(), "nothing is left behind");

	OK(bus_begin(WORKER_STORE, 15, bytes_cstr("x"), &ticket) == BUS_OK,
	   "another");
	child = in_child(echo_until_done);
	reply = bus_end(&ticket, 5000);
	waitpid(child, NULL, 0);
	OK(reply.code == BUS_OK, "its answer is waited for");
	free_reply(&reply);
	OK(all_free(), "nothing is left behind");
	bus_worker_reset(WORKER_STORE);
	OK(bus_begin(WORKER_STORE, 15, bytes_cstr("x"), &ticket) == BUS_DOWN,
	   "a worker that is down gets none");
	OK(all_free(), "nothing is left behind");
}

static void
take_and_answer(void)
{
	BusRequest request;

	while (!bus_take(WORKER_STORE, &request))
		usleep(100);
	usleep(20000);
	bus_answer(&request, BUS_OK, 0, bytes_make(long_bytes, LONG_BYTES));
}

static void
test_abandon(void)
{
	BusTicket ticket;
	BusRequest request;
	pid_t child;

	serve();
	bus_begin(WORKER_STORE, 15, bytes_make(long_bytes, LONG_BYTES), &ticket);
	bus_abandon(&ticket, 5000);
	OK(!bus_take(WORKER_STORE, &request),
	   "what was not taken is withdrawn without waiting");
	OK(all_free(), "and freed");

	bus_begin(WORKER_STORE, 15, bytes_cstr("x"), &ticket);
	child = in_child(take_and_answer);
	while ((pg_atomic_read_u64(&tikv_shmem()->bus->slots[ticket.slot].word) &
			0xff) != SLOT_TAKEN)
		usleep(100);
	bus_abandon(&ticket, 5000);
	OK(all_free(), "of what was taken the end is awaited");
	waitpid(child, NULL, 0);

	bus_begin(WORKER_STORE, 15, bytes_cstr("x"), &ticket);
	OK(bus_take(WORKER_STORE, &request), "one is taken and not answered");
	bus_abandon(&ticket, 20);
	OK(!all_free(), "it is left after a while");
	bus_answer(&request, BUS_OK, 0, bytes_empty());
	OK(all_free(), "and the late answer frees the slot");
}

/* The worker was replaced without anybody having answered. */
static void
test_replaced(void)
{
	BusRequest request;
	BusReply reply;
	pid_t child;

	serve();
	child = fork();
	if (child == 0)
	{
		usleep(20000);
		while (!bus_take(WORKER_STORE, &request))
			usleep(100);
		shim_set_worker(WORKER_STORE, STORE_PID + 1, WORKER_SERVING);
		_exit(0);
	}
	reply = call_while(NULL, 5000);
	waitpid(child, NULL, 0);
	OK(reply.code == BUS_LOST,
	   "another process in the worker's place: unknown");
	bus_worker_reset(WORKER_STORE);
	OK(all_free(), "the successor's reset frees what was left");
}

static void
test_cancel(void)
{
	CallArg call = {bytes_cstr("x"), 5000, {0}};
	BusRequest request;

	serve();
	shim_cancel();
	OK(shim_throws(call_store, &call), "a cancel goes up");
	OK(!bus_take(WORKER_STORE, &request), "the worker skips the request");
	OK(all_free(), "and nothing is left behind");
}

/* ------------------------------------------------------------- generations */

static void
test_late_answer(void)
{
	BusRequest old;
	BusRequest new;
	BusAnswer answer;

	serve();
	bus_send(WORKER_PD, WORKER_STORE, 1, bytes_cstr("old"), 1);
	OK(bus_take(WORKER_STORE, &old), "taken");
	bus_worker_reset(WORKER_STORE);
	OK(bus_take_reply(WORKER_PD, &answer) && answer.reply.code == BUS_LOST,
	   "a reset answers what was taken");
	free_reply(&answer.reply);
	serve();
	bus_send(WORKER_PD, WORKER_STORE, 2, bytes_cstr("new"), 2);
	OK(bus_take(WORKER_STORE, &new) && new.slot == old.slot,
	   "the slot is used again");
	bus_answer(&old, BUS_OK, 0, bytes_cstr("late"));
	OK(!bus_take_reply(WORKER_PD, &answer), "a late answer reaches nobody");
	bus_answer(&new, BUS_OK, 0, bytes_cstr("right"));
	bus_answer(&new, BUS_OK, 0, bytes_cstr("twice"));
	OK(bus_take_reply(WORKER_PD, &answer) && answer.tag == 2 &&
		   bytes_eq(answer.reply.bytes, bytes_cstr("right")),
	   "the right one does");
	free_reply(&answer.reply);
	OK(!bus_take_reply(WORKER_PD, &answer), "once");
	OK(all_free(), "nothing is left behind");
}

static void
test_successor(void)
{
	BusAnswer answer;

	serve();
	bus_send(WORKER_PD, WORKER_STORE, 1, bytes_cstr("x"), 1);
	shim_become(BACKEND_PID + 1);
	OK(echo_one(), "answered after the requester was replaced");
	OK(!bus_take_reply(WORKER_PD, &answer),
	   "the successor does not see its predecessor's answers");
	OK(all_free(), "and they are freed");
	shim_become(BACKEND_PID);
}

/* ---------------------------------------------------------- many processes */

#define CALLERS 6
#define CALLS 2000

/* 0 if most calls were answered and none wrongly. */
static int
call_many(int seed)
{
	int wrong = 0;
	int answered = 0;

	srandom(seed);
	shim_become(20 + seed);
	for (int i = 0; i < CALLS; i++)
	{
		size_t len = random() % (random() % 2 ? 100 : LONG_BYTES);
		CallArg call = {bytes_make(long_bytes + i % 7, len > 8 ? len - 8 : len),
						random() % 10 == 0 ? 1 : 2000,
						{0}};

		if (random() % 20 == 0)
			shim_cancel();
		if (shim_throws(call_store, &call))
			continue;
		if (call.reply.code == BUS_OK &&
			!bytes_eq(call.reply.bytes, call.request))
			wrong++;
		answered += call.reply.code == BUS_OK;
		if (call.reply.code == BUS_LOST || call.reply.code == BUS_DOWN)
			wrong++;
		free_reply(&call.reply);
	}
	return wrong > 0 || answered < CALLS / 2;
}

static void
answer_many(int done_fd)
{
	char end;

	shim_become(STORE_PID);
	for (;;)
	{
		if (echo_one())
			continue;
		if (read(done_fd, &end, 1) == 0)
			break;
		usleep(50);
	}
	while (echo_one())
		;
	_exit(0);
}

static void
test_many(void)
{
	int done[2];
	pid_t store;
	int status;
	int wrong = 0;

	serve();
	if (pipe2(done, O_NONBLOCK) != 0)
		abort();
	store = fork();
	if (store == 0)
	{
		close(done[1]);
		answer_many(done[0]);
	}
	for (int i = 0; i < CALLERS; i++)
		if (fork() == 0)
			_exit(call_many(i));
	close(done[0]);
	for (int i = 0; i < CALLERS; i++)
	{
		wait(&status);
		wrong += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
	}
	close(done[1]);
	waitpid(store, &status, 0);
	EQ_U64(wrong, 0,
		   "callers that time out and cancel never get another's answer");
	OK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the worker lives");
	OK(all_free(), "and every slot and chunk comes back");
}

int
main(void)
{
	alarm(100);
	for (int i = 0; i < LONG_BYTES; i++)
		long_bytes[i] = (uint8) (i * 7 + i / 251);
	shim_start(SLOTS, 1024);
	shim_become(BACKEND_PID);
	OK(bus_send(WORKER_PD, WORKER_STORE, 1, bytes_empty(), 0) == BUS_DOWN,
	   "a worker that does not serve gets nothing");
	test_echo();
	test_origin();
	test_withdrawn();
	test_any_order();
	test_bounds();
	test_no_memory();
	test_call();
	test_halves();
	test_abandon();
	test_replaced();
	test_cancel();
	test_late_answer();
	test_successor();
	test_many();
	return unit_done();
}
