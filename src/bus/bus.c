/*
 * bus.c
 *	  Requests between processes: who sends, who takes, who answers, who
 *	  gives up.
 *
 * Every step is one compare-and-swap of a slot's state (README.md); the
 * plain fields belong to whoever the state names.  Only bus_call waits (and
 * its halves, bus_end and bus_abandon).
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "bus/board.h"
#include "bus/bus.h"
#include "bus/grants.h"
#include "bus/slot.h"
#include "guc.h"

/* gRPC's RESOURCE_EXHAUSTED: an answer that does not fit into the area. */
#define CODE_NO_MEMORY 8

/* How often a waiter looks whether its worker is still the same process. */
#define LOOK_INTERVAL_MS 1000

/* NULL in a server that did not preload the library. */
static BusShared *
bus(void)
{
	TikvShmem *shmem = tikv_shmem();

	return shmem == NULL ? NULL : shmem->bus;
}

static Bytes
copy_bytes(Bytes from)
{
	uint8 *to = MemoryContextAllocHuge(CurrentMemoryContext, from.len + 1);

	if (from.len > 0)
		memcpy(to, from.data, from.len);
	return bytes_make(to, from.len);
}

/* --------------------------------------------------------------- sending */

/* What a requester asks for, until it is in the worker's queue. */
typedef struct Sending
{
	WorkerKind to;
	int method;
	Bytes request;
	int from;
	Latch *latch;
	uint64 tag;
	const BusOrigin *origin; /* NULL: this process, without a deadline */
	uint32 index;			 /* the slot, once there is one */
	uint64 generation;
} Sending;

static BusOrigin
origin_of(const Sending *sending)
{
	BusOrigin origin = {.deadline_us = PG_INT64_MAX};

	if (sending->origin != NULL)
		origin = *sending->origin;
	if (origin.source == 0)
		origin.source = (uint64) MyProcPid;
	return origin;
}

/* True if the bytes fit; a system error frees the slot and goes on up. */
static bool
fill_slot(const Sending *sending, BusSlot *slot)
{
	bool stored;

	slot->method = sending->method;
	slot->from = sending->from;
	slot->from_pid = MyProcPid;
	slot->origin = origin_of(sending);
	slot->latch = sending->latch;
	slot->tag = sending->tag;
	PG_TRY();
	{
		stored = slot_put(&slot->request, sending->request);
	}
	PG_CATCH();
	{
		slot_free(sending->index);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return stored;
}

/* Into the worker's queue, unless it does not serve. */
static bool
enqueue(BusShared *shared, const Sending *sending)
{
	BusQueue *queue = &shared->requests[sending->to];
	bool pushed = false;

	SpinLockAcquire(&queue->mutex);
	if (shared->open[sending->to])
	{
		/* Before the push: whoever pops it must find it QUEUED. */
		pg_atomic_write_u64(&shared->slots[sending->index].word,
							slot_word(sending->generation, SLOT_QUEUED));
		pushed = ring_push(queue->ring, sending->index);
	}
	SpinLockRelease(&queue->mutex);
	return pushed;
}

static BusCode
send_request(Sending *sending)
{
	BusShared *shared = bus();

	if (shared == NULL || !shared->open[sending->to])
		return BUS_DOWN;
	sending->index = slot_claim(sending->to, &sending->generation);
	if (sending->index == NO_SLOT)
		return BUS_BUSY;
	if (!fill_slot(sending, &shared->slots[sending->index]))
	{
		slot_free(sending->index);
		return BUS_BUSY;
	}
	if (!enqueue(shared, sending))
	{
		slot_free(sending->index);
		return BUS_DOWN;
	}
	worker_wake(sending->to);
	return BUS_OK;
}

BusCode
bus_send_for(WorkerKind self, WorkerKind to, int method, Bytes request,
			 uint64 tag, const BusOrigin *origin, BusTicket *ticket)
{
	Sending sending = {
		.to = to,
		.method = method,
		.request = request,
		.from = self,
		.tag = tag,
		.origin = origin,
	};
	BusCode code = send_request(&sending);

	if (ticket != NULL)
		*ticket = (BusTicket){.to = to,
							  .slot = sending.index,
							  .generation = sending.generation};
	return code;
}

BusCode
bus_send(WorkerKind self, WorkerKind to, int method, Bytes request, uint64 tag)
{
	return bus_send_for(self, to, method, request, tag, NULL, NULL);
}

WorkerKind
bus_least_busy(WorkerKind first, int n)
{
	BusShared *shared = bus();
	WorkerKind least = WORKER_KINDS;

	for (int i = 0; shared != NULL && i < n; i++)
	{
		WorkerKind kind = (WorkerKind) (first + i);

		/* Numbers of the moment: a wrong guess costs a little time. */
		if (shared->open[kind] &&
			(least == WORKER_KINDS || shared->used[kind] < shared->used[least]))
			least = kind;
	}
	return least;
}

/* --------------------------------------------------------------- waiting */

static SlotState
slot_state(const BusTicket *ticket)
{
	uint64 word = pg_atomic_read_u64(&bus()->slots[ticket->slot].word);

	Assert(word >> 8 == ticket->generation);
	return (SlotState) (word & 0xff);
}

/* Take the answer and give the slot back. */
static BusReply
take_answer(uint32 index)
{
	BusSlot *slot = &bus()->slots[index];
	BusReply reply;

	pg_read_barrier();
	reply.code = slot->code;
	reply.grpc_code = slot->grpc_code;
	reply.bytes = copy_bytes(slot_get(&slot->reply));
	slot_free(index);
	return reply;
}

/*
 * Give up.  The result says what is known: BUS_BUSY if the worker never saw
 * the request (it will be skipped), BUS_TIMEOUT if it did, BUS_OK if the
 * answer came just now and is the caller's to take.
 */
static BusCode
leave_slot(const BusTicket *ticket)
{
	BusSlot *slot = &bus()->slots[ticket->slot];

	if (slot_move(slot, ticket->generation, SLOT_QUEUED, SLOT_LEFT_QUEUED))
		return BUS_BUSY;
	if (slot_move(slot, ticket->generation, SLOT_TAKEN, SLOT_LEFT_TAKEN))
		return BUS_TIMEOUT;
	return BUS_OK;
}

void
bus_withdraw(const BusTicket *ticket)
{
	(void) leave_slot(ticket);
}

/* An error or the end of the process while waiting. */
static void
leave_on_error(int code, Datum arg)
{
	const BusTicket *ticket = (const BusTicket *) DatumGetPointer(arg);

	(void) code;
	if (leave_slot(ticket) == BUS_OK)
		slot_free(ticket->slot);
}

/* The time of day may be set meanwhile: waits go by a clock that is not. */
static int64
end_of_wait_us(int timeout_ms)
{
	return board_now_us() + (int64) timeout_ms * 1000;
}

/* Rounded up; not above zero when it is over. */
static long
left_ms(int64 end_us)
{
	return (long) ((end_us - board_now_us() + 999) / 1000);
}

/* Sleep until the answer, an interrupt, or the next look. */
static void
wait_a_while(int64 timeout_ms)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 Min(timeout_ms, LOOK_INTERVAL_MS), PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/*
 * BUS_OK when the answer is there.  A worker that went away answers what it
 * had when it goes and when its successor comes; looking at its pid only
 * covers what neither of them could do.
 */
static BusCode
wait_for_answer(const BusTicket *ticket, int timeout_ms)
{
	int64 end_us = end_of_wait_us(timeout_ms);
	BusCode left = BUS_OK;

	while (slot_state(ticket) != SLOT_ANSWERED)
	{
		long remaining = left_ms(end_us);
		WorkerView worker;

		if (remaining <= 0)
			return leave_slot(ticket);
		wait_a_while(remaining);
		if (slot_state(ticket) == SLOT_ANSWERED)
			break;
		worker_view(ticket->to, &worker);
		if (worker.pid != ticket->worker_pid)
		{
			left = leave_slot(ticket);
			return left == BUS_TIMEOUT ? BUS_LOST :
				left == BUS_BUSY	   ? BUS_DOWN :
										 BUS_OK;
		}
	}
	return BUS_OK;
}

BusCode
bus_begin(WorkerKind to, int method, Bytes request, BusTicket *ticket)
{
	Sending sending = {
		.to = to,
		.method = method,
		.request = request,
		.from = FROM_LATCH,
		.latch = MyLatch,
	};
	WorkerView worker;
	BusCode code;

	worker_view(to, &worker);
	code = send_request(&sending);
	ticket->to = to;
	ticket->worker_pid = worker.pid;
	ticket->slot = sending.index;
	ticket->generation = sending.generation;
	return code;
}

BusReply
bus_end(const BusTicket *ticket, int timeout_ms)
{
	BusReply reply = {0};

	PG_ENSURE_ERROR_CLEANUP(leave_on_error, PointerGetDatum(ticket));
	{
		reply.code = wait_for_answer(ticket, timeout_ms);
	}
	PG_END_ENSURE_ERROR_CLEANUP(leave_on_error, PointerGetDatum(ticket));
	return reply.code == BUS_OK ? take_answer(ticket->slot) : reply;
}

BusReply
bus_call(WorkerKind to, int method, Bytes request, int timeout_ms)
{
	BusReply reply = {0};
	BusTicket ticket;

	reply.code = bus_begin(to, method, request, &ticket);
	return reply.code == BUS_OK ? bus_end(&ticket, timeout_ms) : reply;
}

/* The latch may have been set for others, too: it is set again at the end. */
void
bus_abandon(const BusTicket *ticket, int patience_ms)
{
	BusSlot *slot = &bus()->slots[ticket->slot];
	int64 end_us = end_of_wait_us(patience_ms);

	if (slot_move(slot, ticket->generation, SLOT_QUEUED, SLOT_LEFT_QUEUED))
		return;
	while (slot_state(ticket) != SLOT_ANSWERED)
	{
		long remaining = left_ms(end_us);

		if (remaining <= 0 ||
			(WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_POSTMASTER_DEATH,
					   remaining, PG_WAIT_EXTENSION) &
			 WL_POSTMASTER_DEATH) != 0)
			break;
		ResetLatch(MyLatch);
	}
	SetLatch(MyLatch);
	if (leave_slot(ticket) == BUS_OK)
		slot_free(ticket->slot);
}

/*
 * Answers to requests of a predecessor of this worker are dropped here:
 * their tags mean nothing to us.
 */
bool
bus_take_reply(WorkerKind self, BusAnswer *answer)
{
	BusShared *shared = bus();
	uint32 index;

	while (queue_pop(&shared->replies[self], &index))
	{
		BusSlot *slot = &shared->slots[index];

		if (slot->from_pid == MyProcPid)
		{
			answer->tag = slot->tag;
			answer->reply = take_answer(index);
			return true;
		}
		slot_free(index);
	}
	return false;
}

/* -------------------------------------------------------------- answering */

bool
bus_take(WorkerKind self, BusRequest *request)
{
	BusShared *shared = bus();
	uint32 index;

	while (queue_pop(&shared->requests[self], &index))
	{
		BusSlot *slot = &shared->slots[index];
		uint64 generation = pg_atomic_read_u64(&slot->word) >> 8;

		if (!slot_move(slot, generation, SLOT_QUEUED, SLOT_TAKEN))
		{
			/* Its requester has left: nobody else holds it now. */
			slot_free(index);
			continue;
		}
		request->slot = index;
		request->generation = generation;
		request->method = slot->method;
		request->origin = slot->origin;
		request->bytes = slot_get(&slot->request);
		return true;
	}
	return false;
}

/* The answer's bytes into the slot; without memory it becomes an error. */
static void
put_reply(BusSlot *slot, BusCode code, int grpc_code, Bytes reply)
{
	slot->code = code;
	slot->grpc_code = grpc_code;
	if (slot_put(&slot->reply, reply))
		return;
	slot->code = BUS_ERROR;
	slot->grpc_code = CODE_NO_MEMORY;
	(void) slot_put(&slot->reply,
					bytes_cstr("the answer does not fit into tikv.bus_memory"));
}

/* As put_reply, without letting a system error out. */
static void
put_reply_safely(BusSlot *slot, BusCode code, int grpc_code, Bytes reply)
{
	MemoryContext context = CurrentMemoryContext;

	if (reply.len <= SLOT_INLINE)
	{
		put_reply(slot, code, grpc_code, reply);
		return;
	}
	PG_TRY();
	{
		put_reply(slot, code, grpc_code, reply);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		slot->code = BUS_ERROR;
		slot->grpc_code = CODE_NO_MEMORY;
		(void) slot_put(&slot->reply, bytes_cstr("no memory for the answer"));
	}
	PG_END_TRY();
}

/* Hand an answered slot to its requester, or free it if that one has left. */
static void
deliver(uint32 index, uint64 generation)
{
	BusShared *shared = bus();
	BusSlot *slot = &shared->slots[index];
	int from = slot->from;
	Latch *latch = slot->latch;

	/* The answer may wait for its requester; the request's memory need not. */
	slot_drop(&slot->request);
	if (!slot_move(slot, generation, SLOT_TAKEN, SLOT_ANSWERED))
	{
		slot_free(index);
		return;
	}

	/* The slot is not ours any more; a latch set in vain is harmless. */
	if (from == FROM_LATCH)
		SetLatch(latch);
	else
	{
		(void) queue_push(&shared->replies[from], index);
		worker_wake((WorkerKind) from);
	}
}

/* True if this worker still has the request in hand. */
static bool
in_hand(const BusSlot *slot, uint64 generation)
{
	uint64 word =
		pg_atomic_read_u64(unconstify(pg_atomic_uint64 *, &slot->word));

	return word == slot_word(generation, SLOT_TAKEN) ||
		word == slot_word(generation, SLOT_LEFT_TAKEN);
}

bool
bus_is_withdrawn(const BusRequest *request)
{
	return pg_atomic_read_u64(&bus()->slots[request->slot].word) !=
		slot_word(request->generation, SLOT_TAKEN);
}

void
bus_answer(const BusRequest *request, BusCode code, int grpc_code, Bytes reply)
{
	BusSlot *slot = &bus()->slots[request->slot];

	if (!in_hand(slot, request->generation))
		return;
	put_reply_safely(slot, code, grpc_code, reply);
	deliver(request->slot, request->generation);
}

Size
bus_answer_limit(void)
{
	return (Size) tikv_fdw_settings.bus_memory_kb * 1024 / 4;
}

bool
bus_try_answer(const BusRequest *request, Bytes reply)
{
	BusSlot *slot = &bus()->slots[request->slot];

	if (!in_hand(slot, request->generation))
		return true;
	if (!slot_put(&slot->reply, reply))
		return false;
	slot->code = BUS_OK;
	slot->grpc_code = 0;
	deliver(request->slot, request->generation);
	return true;
}

bool
bus_pending(WorkerKind self)
{
	BusShared *shared = bus();

	return (self == WORKER_STORE && grants_have_news()) ||
		ring_length(shared->requests[self].ring) > 0 ||
		ring_length(shared->replies[self].ring) > 0;
}

/* --------------------------------------------- a worker starts and stops */

void
bus_worker_open(WorkerKind self, bool open)
{
	BusShared *shared = bus();
	BusQueue *queue = &shared->requests[self];

	SpinLockAcquire(&queue->mutex);
	shared->open[self] = open;
	SpinLockRelease(&queue->mutex);
}

/* Answer everything that still waits in the queue: nothing happened to it. */
static void
refuse_queued(WorkerKind self)
{
	BusRequest request;

	while (bus_take(self, &request))
		bus_answer(&request, BUS_DOWN, 0, bytes_empty());
}

/* Answer what was taken and never answered: nobody knows what became of it. */
static void
lose_taken(WorkerKind self)
{
	BusShared *shared = bus();

	for (uint32 i = 0; i < shared->n_slots; i++)
	{
		BusSlot *slot = &shared->slots[i];
		BusRequest request = {0};

		request.slot = i;
		request.generation = pg_atomic_read_u64(&slot->word) >> 8;
		if (in_hand(slot, request.generation) && slot->to == (int) self)
			bus_answer(&request, BUS_LOST, 0, bytes_empty());
	}
}

void
bus_worker_reset(WorkerKind self)
{
	bus_worker_open(self, false);
	lose_taken(self);
	refuse_queued(self);
}
