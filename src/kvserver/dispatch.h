/*
 * dispatch.h
 *	  KV requests inside a worker: reads are answered here, in rounds; writes
 *	  go where the worker says.
 *
 * The store and the server workers share it: both get requests from unary
 * calls and BatchCommands.  All reads that wait are answered over one fresh
 * snapshot, taken after the last of them arrived (DESIGN 4).
 */
#ifndef TIKV_KVSERVER_DISPATCH_H
#define TIKV_KVSERVER_DISPATCH_H

#include "postgres.h"

#include "service/raw.h"
#include "service/txn.h"
#include "storage/tables.h"

typedef struct Dispatch
{
	RawLimits limits;
	TableOids tables;
	const char *refuse; /* not NULL: answer ServerIsBusy with this */

	/* Take over a decoded write; the command's memory is the request's. */
	void (*write)(void *arg, Request *request, RawCommand *command);
	void (*write_txn)(void *arg, Request *request, TxnRequest *txn);

	/* A request that only the store can answer, as it is. */
	void (*ask_store)(void *arg, Request *request);

	/* A read that needs an index first: the store's, or on its way to it. */
	void (*ask_index)(void *arg, Request *request);
	void *arg;

	/* Do a read that takes long elsewhere; NULL: there is no elsewhere. */
	void (*hand_over)(void *arg, Request *request);

	/* of the worker's own, beside those of tikv_methods; may be NULL */
	const struct RpcMethod *more_methods;
	int n_more_methods;
	struct Relay *relay; /* to other stores; NULL: not from here */

	int round_max;		   /* reads over one snapshot; 0: the usual number */
	FairQueue reads;	   /* that wait, by source */
	MemoryContext context; /* of a round, reset after it */
} Dispatch;

extern void dispatch_init(Dispatch *dispatch, MemoryContext parent);

/* BatchService.submit and the unary handler's way in; arg is the Dispatch. */
extern void dispatch_submit(void *arg, Request *request);

/* A read whose index was found comes back. */
extern void dispatch_indexed(Dispatch *dispatch, Request *request);

/* Answer the reads that wait; returns how many. */
extern int dispatch_run_reads(Dispatch *dispatch);

/* The worker ends or begins anew: answer what waits, give memory back. */
extern void dispatch_stop(Dispatch *dispatch, const char *reason);

/* CLOCK_MONOTONIC in microseconds, as Request counts. */
extern int64 dispatch_now_us(void);

#endif /* TIKV_KVSERVER_DISPATCH_H */
