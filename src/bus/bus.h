/*
 * bus.h
 *	  Requests between processes: (method, bytes) to a worker, (code, bytes)
 *	  back.
 *
 * The requester takes a slot, leaves the request in dynamic shared memory,
 * puts the slot's number into the worker's ring and wakes it.  The worker
 * takes requests from its ring, answers in any order and wakes the requester.
 * Nothing here waits except bus_call, and every bound (slots, ring, memory)
 * answers BUS_BUSY at once.  `method` numbers are service.h's.
 *
 * Slots are freed by whoever is last: the requester when it took the answer,
 * or the worker when it answers a request that was abandoned.
 */
#ifndef TIKV_BUS_BUS_H
#define TIKV_BUS_BUS_H

#include "bus/shmem.h"
#include "core/base/bytes.h"

typedef enum BusCode
{
	BUS_OK = 0,	 /* reply holds the response message */
	BUS_BUSY,	 /* a bound (of time, too); nothing happened */
	BUS_DOWN,	 /* the worker is not serving; nothing happened */
	BUS_TIMEOUT, /* gave up waiting: outcome unknown */
	BUS_LOST,	 /* the worker went away: outcome unknown */
	BUS_ERROR	 /* reply holds a text; see grpc_code */
} BusCode;

/* ---- requester ---- */

typedef struct BusReply
{
	BusCode code;
	int grpc_code; /* with BUS_ERROR */
	Bytes bytes;   /* palloc'd in CurrentMemoryContext */
} BusReply;

/*
 * Send and wait, at most timeout_ms, obeying query cancel and termination
 * (an interrupt abandons the slot; the request may still be carried out).
 * For SQL backends and other processes with a Postgres latch.
 */
extern BusReply bus_call(WorkerKind to, int method, Bytes request,
						 int timeout_ms);

/*
 * The two halves of bus_call, for a requester that has something to do
 * meanwhile: bus_begin answers BUS_OK, BUS_BUSY or BUS_DOWN.  After BUS_OK
 * exactly one of the others must follow, whatever happens.
 */
typedef struct BusTicket
{
	WorkerKind to;
	int worker_pid; /* of the worker that it was sent to */
	uint32 slot;
	uint64 generation;
} BusTicket;

extern BusCode bus_begin(WorkerKind to, int method, Bytes request,
						 BusTicket *ticket);

/* Wait as bus_call does; if it throws, the slot is abandoned all the same. */
extern BusReply bus_end(const BusTicket *ticket, int timeout_ms);

/*
 * Nobody wants the answer any more; for error cleanup, so it never throws and
 * heeds no interrupt.  A request that the worker has not taken is withdrawn; of
 * one that it has taken the end is awaited, but not longer than patience_ms.
 */
extern void bus_abandon(const BusTicket *ticket, int patience_ms);

/*
 * Send without waiting, for workers: the answer comes out of bus_take_reply
 * of this process, tagged with `tag`.  BUS_OK, BUS_BUSY or BUS_DOWN.  The
 * answer wakes worker `self` by its eventfd.
 */
extern BusCode bus_send(WorkerKind self, WorkerKind to, int method,
						Bytes request, uint64 tag);

/* For whom a worker sends: what the request had when it came to the worker. */
typedef struct BusOrigin
{
	uint64 source;	   /* connection or process; 0: this process */
	int64 deadline_us; /* CLOCK_MONOTONIC; INT64_MAX: none */
} BusOrigin;

/* As bus_send, for somebody else; *ticket (may be NULL) is for bus_withdraw. */
extern BusCode bus_send_for(WorkerKind self, WorkerKind to, int method,
							Bytes request, uint64 tag, const BusOrigin *origin,
							BusTicket *ticket);

/*
 * Nobody wants the answer any more: what the worker has not taken it skips, and
 * of what it has taken it can know.  An answer that is on its way comes.
 */
extern void bus_withdraw(const BusTicket *ticket);

/*
 * Of several workers from `first` on that do the same, the one to send to: it
 * serves and has the least to do.  WORKER_KINDS if none serves.
 */
extern WorkerKind bus_least_busy(WorkerKind first, int n);

typedef struct BusAnswer
{
	uint64 tag;
	BusReply reply;
} BusAnswer;

/* Next answer to bus_send of this worker, if any; bytes are palloc'd. */
extern bool bus_take_reply(WorkerKind self, BusAnswer *answer);

/* ---- worker ---- */

typedef struct BusRequest
{
	uint32 slot;
	uint64 generation; /* of the slot: a late answer is recognised */
	int method;
	BusOrigin origin; /* its source is never 0 */
	Bytes bytes;	  /* in shared memory until bus_answer */
} BusRequest;

/* The next request for this worker, if any. */
extern bool bus_take(WorkerKind self, BusRequest *request);

/* Answer it; frees the request's bytes.  Never waits, never throws. */
extern void bus_answer(const BusRequest *request, BusCode code, int grpc_code,
					   Bytes reply);

/*
 * The same with BUS_OK, for a worker that can wait: false, with the request
 * still in hand, if there is no memory for the answer now.
 */
extern bool bus_try_answer(const BusRequest *request, Bytes reply);

/* Does nobody want the answer any more? */
extern bool bus_is_withdrawn(const BusRequest *request);

/* What may be taken of tikv.bus_memory by one answer of bus_try_answer. */
extern Size bus_answer_limit(void);

/* True if something waits in the worker's ring or reply list. */
extern bool bus_pending(WorkerKind self);

/*
 * A worker starts or stops: requests that its predecessor took and never
 * answered, and those still queued, get BUS_LOST / BUS_DOWN.
 */
extern void bus_worker_reset(WorkerKind self);

/* Let requests to the worker in, or answer them BUS_DOWN; by worker_report. */
extern void bus_worker_open(WorkerKind self, bool open);

extern Size bus_shmem_size(void);
extern void bus_shmem_init(TikvShmem *shmem, bool found);

#endif /* TIKV_BUS_BUS_H */
