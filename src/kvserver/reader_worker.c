/*
 * reader_worker.c
 *	  The `tikv reader` process: reads that take long.
 *
 * It gets them from the store and the servers over the bus, reads as they do
 * (board, fresh snapshot, board again), one after the other, and may wait for
 * room for an answer.  It has no port and no region state of its own.
 */
#include "postgres.h"

#include "bus/board.h"
#include "bus/bus.h"
#include "kvserver/kvserver.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "worker_common.h"

PGDLLEXPORT void tikv_reader_main(Datum arg);

#define CHECK_INTERVAL_MS 1000

/* Of one connection, while those of others wait. */
#define READS_IN_TURN 1

/* Answers meanwhile go to the log of slow requests, and wait for room. */
#define READS_AT_A_TIME 1

typedef struct Reader
{
	WorkerKind self;
	TableOids tables;
	uint64 generation; /* of the board when it began to serve */
	Dispatch dispatch;
	int64 next_check_us;
} Reader;

/* Nobody sends such: the worker that got a request knows what is a read. */
static void
refuse_write(void *arg, Request *request, RawCommand *command)
{
	(void) arg;
	(void) command;
	request->fail(request, RPC_UNIMPLEMENTED, "a reader does not write");
}

static void
refuse_txn(void *arg, Request *request, TxnRequest *txn)
{
	(void) arg;
	(void) txn;
	request->fail(request, RPC_UNIMPLEMENTED, "a reader does not write");
}

static void
refuse_other(void *arg, Request *request)
{
	(void) arg;
	request->fail(request, RPC_UNIMPLEMENTED, "a reader only reads");
}

static void
reader_init(Reader *reader, WorkerKind self, MemoryContext context)
{
	memset(reader, 0, sizeof(*reader));
	reader->self = self;
	dispatch_init(&reader->dispatch, context);
	fair_init(&reader->dispatch.reads, READS_IN_TURN);
	reader->dispatch.write = refuse_write;
	reader->dispatch.write_txn = refuse_txn;
	reader->dispatch.ask_store = refuse_other;
	reader->dispatch.arg = reader;
	reader->dispatch.round_max = READS_AT_A_TIME;
}

/* As long as the store's board is the one that we began with. */
static bool
still_current(Reader *reader)
{
	BoardStore board;
	int64 now_us = dispatch_now_us();

	if (now_us < reader->next_check_us)
		return true;
	reader->next_check_us = now_us + CHECK_INTERVAL_MS * INT64CONST(1000);
	board_store(&board);
	return board.generation == reader->generation;
}

static void
serve(Reader *reader)
{
	while (!worker_should_stop() && still_current(reader))
	{
		int done;

		worker_handle_interrupts();
		done = kvserver_take_bus(reader->self, &reader->dispatch);
		done += dispatch_run_reads(&reader->dispatch);
		if (done == 0 && !bus_pending(reader->self))
			worker_sleep(reader->self, CHECK_INTERVAL_MS);
	}
}

static void
run_reader(Reader *reader)
{
	BoardStore board;

	worker_wait_for_extension(reader->self, &reader->tables);
	if (worker_should_stop() ||
		!kvserver_wait_for_store(reader->self, &reader->tables, &board))
		return;
	reader->generation = board.generation;
	reader->dispatch.tables = reader->tables;
	kvserver_limits(&reader->dispatch.limits, board.cluster_id, board.api);
	worker_report(reader->self, WORKER_SERVING, "", "");
	serve(reader);
	worker_report(reader->self, WORKER_STOPPING, "", "");
	dispatch_stop(&reader->dispatch, "the reader is stopping");
	bus_worker_reset(reader->self);
}

void
tikv_reader_main(Datum arg)
{
	WorkerKind self = WORKER_READER + DatumGetInt32(arg);

	worker_startup(self);
	while (!worker_should_stop())
	{
		MemoryContext life =
			AllocSetContextCreate(TopMemoryContext, "tikv reader",
								  ALLOCSET_DEFAULT_SIZES);
		Reader *reader = MemoryContextAlloc(life, sizeof(Reader));

		reader_init(reader, self, life);
		run_reader(reader);
		MemoryContextDelete(life);
	}
	proc_exit(1);
}
