/*
 * dispatch.c
 *	  KV requests inside a worker: reads in rounds, writes handed on.
 */
#include "postgres.h"

#include <time.h>

#include "access/xact.h"
#include "bus/failpoints.h"
#include "bus/metrics.h"
#include "core/base/rpc_code.h"
#include "kvrpcpb.pb-c.h"
#include "kvserver/dispatch.h"
#include "kvserver/long_reads.h"
#include "read/read.h"
#include "read/txn_look.h"
#include "server/server.h"
#include "utils/memutils.h"
#include "worker_common.h"

/* One round's bounds: what arrives meanwhile waits for the next. */
#define ROUND_MAX_READS 1024

/* Reads of a connection that follow each other while others wait. */
#define READS_IN_TURN 16

/*
 * A read that takes longer goes to a reader, if there is one.  It is looked at
 * every few hundred keys only, so most short ones never look at a clock.
 */
#define LONG_READ_US 200

/* Beyond this many waiting reads the worker is busy. */
#define MAX_QUEUED_READS 65536

/* A look that was overtaken by a change is repeated this often. */
#define READ_ATTEMPTS 3

/* Reads by which a round may fail before the others are read one by one. */
#define READS_THAT_FAIL 8

/* A read that a round is about to answer. */
typedef struct Read
{
	Request *request; /* NULL: answered already */
	RawCommand command;
	TxnRequest *txn; /* NULL: a raw read, `command` */
	TxnLook look;
	const BoardRegion *seen;
} Read;

int64
dispatch_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* The clock that keys expire by. */
static int64
clock_s(void)
{
	return ((int64) time(NULL) + FAILPOINT_CLOCK_S);
}

/* When the read at work was begun; 0: it may take as long as it takes. */
static int64 began_us;

/* It did not, and was not answered. */
static bool was_too_long;

/* The read that an error is put down to; NULL: to all of its round. */
static Read *at_work;

/* Asked by a long read now and then. */
static const char *
why_give_up(const Request *request)
{
	if (began_us != 0 && dispatch_now_us() - began_us >= LONG_READ_US)
	{
		was_too_long = true;
		return service_too_long;
	}
	if (worker_should_stop())
		return "the worker is stopping";
	if (dispatch_now_us() >= request->deadline_us)
		return SERVICE_TOO_LATE;
	if (request->abandoned != NULL && request->abandoned((Request *) request))
		return "the client is gone";
	return NULL;
}

void
dispatch_init(Dispatch *dispatch, MemoryContext parent)
{
	memset(dispatch, 0, sizeof(*dispatch));
	fair_init(&dispatch->reads, READS_IN_TURN);
	dispatch->limits.interrupted = why_give_up;
	dispatch->limits.now_s = clock_s;
	dispatch->context = AllocSetContextCreate(parent, "tikv read round",
											  ALLOCSET_DEFAULT_SIZES);
}

/* ---------------------------------------------------------------- submit */

static void
answer_info(Request *request)
{
	Kvrpcpb__StoreSafeTSResponse safe_ts = KVRPCPB__STORE_SAFE_TSRESPONSE__INIT;

	if (request->method->id == METHOD_GET_STORE_SAFE_TS)
		request->done(request, &safe_ts.base);
	else if (request->method->id == METHOD_RAW_COPROCESSOR)
		raw_coprocessor_answer(request);
	else
		request->fail(request, RPC_UNIMPLEMENTED, "unknown method");
}

static void
queue_read(Dispatch *dispatch, Request *request)
{
	if (!fair_admits(&dispatch->reads, request->source, 1, MAX_QUEUED_READS,
					 MAX_QUEUED_READS))
		service_busy(request, "scheduler is busy: too many reads wait");
	else
		fair_push(&dispatch->reads, request->source, &request->link, 1);
}

/* Until when the answer is of use. */
static int64
deadline_of(const Request *request, const RequestContext *context)
{
	uint64 limit_ms = context->max_execution_ms;

	if (limit_ms == 0 || limit_ms >= PG_INT32_MAX)
		return request->deadline_us;
	return Min(request->deadline_us,
			   request->received_us + (int64) limit_ms * 1000);
}

/*
 * The time that a client gives a write counts from here, whoever decides it: a
 * server worker passes the deadline on to the store.
 */
static void
submit_write(Dispatch *dispatch, Request *request)
{
	RawCommand command;
	TxnRequest *txn;

	if (txn_is_method(request->method->id))
	{
		txn = txn_decode(request, &dispatch->limits);
		if (txn == NULL)
			return;
		request->deadline_us = deadline_of(request, &txn->context);
		dispatch->write_txn(dispatch->arg, request, txn);
	}
	else if (raw_decode(request, &dispatch->limits, &command))
	{
		request->deadline_us = deadline_of(request, &command.context);
		dispatch->write(dispatch->arg, request, &command);
	}
}

void
dispatch_submit(void *arg, Request *request)
{
	Dispatch *dispatch = arg;

	if (request->method->kind == SERVICE_INFO)
		answer_info(request);
	else if (dispatch->refuse != NULL)
		service_busy(request, dispatch->refuse);
	else if (request->method->kind == SERVICE_WRITE)
		submit_write(dispatch, request);
	else if (request->method->kind == SERVICE_STORE)
		dispatch->ask_store(dispatch->arg, request);
	else
		queue_read(dispatch, request);
}

void
dispatch_indexed(Dispatch *dispatch, Request *request)
{
	request->indexed = true;
	queue_read(dispatch, request);
}

/* ----------------------------------------------------------------- reads */

static Request *
pop_read(Dispatch *dispatch)
{
	FairLink *link = fair_pop(&dispatch->reads);

	return link == NULL ? NULL :
						  (Request *) ((char *) link - offsetof(Request, link));
}

/* Does nobody wait for it any more?  Then it was answered here. */
static bool
drop_abandoned(Request *request)
{
	if (request->abandoned == NULL || !request->abandoned(request))
		return false;
	request->fail(request, RPC_CANCELLED, "the client is gone");
	return true;
}

/* False if the request was answered. */
static bool
decode_read(Dispatch *dispatch, Request *request, Read *read)
{
	read->txn = NULL;
	if (!txn_is_method(request->method->id))
		return raw_decode(request, &dispatch->limits, &read->command);
	read->txn = txn_decode(request, &dispatch->limits);
	return read->txn != NULL;
}

static RequestContext *
context_of_read(Read *read)
{
	return read->txn != NULL ? &read->txn->context : &read->command.context;
}

static const RequestContext *
context_of(const Read *read)
{
	return read->txn != NULL ? &read->txn->context : &read->command.context;
}

/* Take what waits, decoded; requests nobody waits for any more are dropped. */
static int
take_reads(Dispatch *dispatch, Read *reads)
{
	int64 now_us = dispatch_now_us();
	int max = dispatch->round_max > 0 ? dispatch->round_max : ROUND_MAX_READS;
	Request *request;
	int n = 0;

	while (n < max && (request = pop_read(dispatch)) != NULL)
	{
		Read *read = &reads[n];

		if (drop_abandoned(request))
			continue;
		if (dispatch->refuse != NULL)
			service_busy(request, dispatch->refuse);
		else if (decode_read(dispatch, request, read))
		{
			read->request = request;
			if (request->begun_us == 0)
				request->begun_us = now_us;
			context_of_read(read)->indexed = request->indexed;
			request->deadline_us = deadline_of(request, context_of(read));
			if (now_us >= request->deadline_us)
				service_busy(request, SERVICE_TOO_LATE);
			else
				n++;
		}
	}
	return n;
}

static bool
in_range(const Read *read, RegionError *error)
{
	int method = read->request->method->id;

	if (read->txn != NULL)
		return txn_check_range(read->txn, method, &read->seen->region, error);
	return raw_check_range(&read->command, method, &read->seen->region, error);
}

/* The read cannot go on now. */
static void
give_up(Read *read, TxnLookAnswer answer)
{
	RegionError error = txn_ts_error(answer, context_of(read)->region_id);

	if (answer == TXN_LOOK_TS_TOO_NEW || answer == TXN_LOOK_TS_DOUBTED)
		service_region_error(read->request, &error);
	else
		service_busy(read->request, txn_look_text(answer));
	read->request = NULL;
}

/* A read that only lacks an index goes and gets one. */
static void
refuse(Dispatch *dispatch, Read *read, const RegionError *error)
{
	Request *request = read->request;
	RegionError told = *error;

	read->request = NULL;
	if (error->kind != REGION_READ_INDEX_NOT_READY ||
		dispatch->ask_index == NULL)
	{
		read_add_siblings(context_of(read), &told);
		service_region_error(request, &told);
	}
	else
		dispatch->ask_index(dispatch->arg, request);
}

/* Before the snapshot: the region, then for transactions the locks. */
static void
look(Dispatch *dispatch, ReadRound *round, Read *reads, int n)
{
	for (int i = 0; i < n; i++)
	{
		Read *read = &reads[i];
		TxnLookAnswer answer;
		RegionError error;

		if (read->request == NULL)
			continue;
		at_work = read;
		if (!read_round_look(round, context_of(read), &read->seen, &error) ||
			!in_range(read, &error))
		{
			refuse(dispatch, read, &error);
			continue;
		}
		read_round_want(round, read->txn != NULL ? READ_TXN : READ_RAW);
		if (read->txn == NULL)
			continue;
		answer = txn_look(round, read->request, read->txn, &read->seen->region,
						  &read->look);
		if (answer != TXN_LOOK_OK)
			give_up(read, answer);
	}
	at_work = NULL;
}

static void
answer_txn(ReadRound *round, Read *read, const RawLimits *limits)
{
	const Region *region = &read->seen->region;
	MvccReader *reader = read_round_mvcc(round);
	TxnLookAnswer answer = TXN_LOOK_OK;
	uint64 safe_point;

	if (txn_read_is_collected(read->txn, &safe_point))
	{
		txn_answer_collected(read->request, read->txn->context.read_ts,
							 safe_point);
		return;
	}
	if (read_round_spilled(round))
		answer = txn_look_spilled(read->request, read->txn, region, reader,
								  &read->look);
	if (answer != TXN_LOOK_OK)
		give_up(read, answer);
	else
		txn_read(read->request, read->txn, &read->look, region, reader, limits);
}

/*
 * One read.  Where it can be handed over it is given a moment only; there is
 * no memory for its answer while all of it is taken by those of others.
 */
static void
answer_one(Dispatch *dispatch, ReadRound *round, Read *read, bool hand_over)
{
	Request *request = read->request;

	if (server_memory_is_short())
	{
		service_busy(request, "scheduler is busy: too little memory");
		return;
	}
	/* Elsewhere its index would have to be asked for again. */
	hand_over = hand_over && !request->stays && !request->indexed;
	began_us = hand_over ? dispatch_now_us() : 0;
	was_too_long = false;
	if (read->txn != NULL)
		answer_txn(round, read, &dispatch->limits);
	else
		raw_read(request, &read->command, &read->seen->region,
				 read_round_reader(round), &dispatch->limits);
	if (was_too_long)
		dispatch->hand_over(dispatch->arg, request);
}

/* Answer what the round may answer; returns how many must look again. */
static int
answer(Dispatch *dispatch, ReadRound *round, Read *reads, int n)
{
	bool hand_over = dispatch->hand_over != NULL && long_reads_possible();
	int left = 0;

	for (int i = 0; i < n; i++)
	{
		Read *read = &reads[i];

		if (read->request == NULL)
			continue;
		if (!read_round_valid(round, read->seen, context_of(read)->indexed))
		{
			left++;
			continue;
		}
		at_work = read;
		answer_one(dispatch, round, read, hand_over);
		read->request = NULL;
	}
	at_work = NULL;
	return left;
}

static void
refuse_rest(Read *reads, int n, const char *reason)
{
	for (int i = 0; i < n; i++)
		if (reads[i].request != NULL)
			service_busy(reads[i].request, reason);
}

/* One transaction, one snapshot; returns how many must look again. */
static int
run_round(Dispatch *dispatch, MemoryContext context, Read *reads, int n)
{
	ReadRound *round;
	TablesAnswer answered;
	int left = 0;

	at_work = NULL;
	StartTransactionCommand();
	MemoryContextSwitchTo(context);
	round = read_round_new(0);
	look(dispatch, round, reads, n);
	answered = read_round_begin(round, &dispatch->tables, false);
	if (answered == TABLES_OK)
		left = answer(dispatch, round, reads, n);
	read_round_end(round);
	CommitTransactionCommand();
	if (answered == TABLES_OK)
		return left;
	refuse_rest(reads, n,
				answered == TABLES_MISSING ?
					"the extension is not installed" :
					"the tables are locked by another session");
	return 0;
}

/* Will it fail the same way until somebody mends the data? */
static bool
is_damage(int sqlstate)
{
	return sqlstate == ERRCODE_DATA_CORRUPTED ||
		sqlstate == ERRCODE_INDEX_CORRUPTED;
}

/* The transaction is over; true if others of the round may go on. */
static bool
put_down_error(Read *reads, int n, int sqlstate)
{
	Read *failed = at_work;

	at_work = NULL;
	if (failed == NULL)
	{
		refuse_rest(reads, n, "the read failed, see the server's log");
		return false;
	}
	if (failed->request == NULL)
		return true;
	if (is_damage(sqlstate))
		service_damaged(failed->request);
	else
		service_busy(failed->request, "the read failed, see the server's log");
	failed->request = NULL;
	return true;
}

/*
 * Runs of the same decoded requests.  An error (a row that is damaged, no memory
 * for a value) is answered to the read that was at work; false: the others have
 * no answer yet.
 */
static bool
run_until_error(Dispatch *dispatch, Read *reads, int n)
{
	MemoryContext context =
		AllocSetContextCreate(dispatch->context, "tikv rounds until an error",
							  ALLOCSET_DEFAULT_SIZES);
	volatile bool over = true;

	PG_TRY();
	{
		int left = n;

		for (int i = 0; i < READ_ATTEMPTS && left > 0; i++)
			left = run_round(dispatch, context, reads, n);
		if (left > 0)
			refuse_rest(reads, n, "the region is changing");
	}
	PG_CATCH();
	{
		int sqlstate;

		MemoryContextSwitchTo(context);
		sqlstate = CopyErrorData()->sqlerrcode;
		EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
		over = !put_down_error(reads, n, sqlstate);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(dispatch->context);
	MemoryContextDelete(context);
	return over;
}

/* Where many of them fail, rounds of all that are left would never end. */
static void
run_rounds(Dispatch *dispatch, Read *reads, int n)
{
	for (int i = 0; i < READS_THAT_FAIL; i++)
		if (run_until_error(dispatch, reads, n))
			return;
	for (int i = 0; i < n; i++)
		if (reads[i].request != NULL)
			(void) run_until_error(dispatch, &reads[i], 1);
}

int
dispatch_run_reads(Dispatch *dispatch)
{
	Read *reads;
	int n;

	long_reads_tend();
	if (dispatch->reads.n == 0)
		return 0;
	reads = MemoryContextAllocZero(dispatch->context,
								   ROUND_MAX_READS * sizeof(Read));
	n = take_reads(dispatch, reads);
	if (n > 0)
		run_rounds(dispatch, reads, n);
	if (n > 0)
		metrics_count_size(HISTOGRAM_READ_ROUND, (uint64) n);
	MemoryContextSwitchTo(TopMemoryContext);
	MemoryContextReset(dispatch->context);
	return n;
}

void
dispatch_stop(Dispatch *dispatch, const char *reason)
{
	dispatch->refuse = reason;
	while (dispatch->reads.n > 0)
		(void) dispatch_run_reads(dispatch);
	long_reads_stop(reason);
	fair_free(&dispatch->reads);
}
