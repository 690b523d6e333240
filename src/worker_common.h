/*
 * worker_common.h
 *	  What all workers do before and beside their work: connect, wait for the
 *	  extension, obey signals.
 *
 * Linked into tikv_worker only.  An error that nobody catches is logged by
 * Postgres's landing point for workers and ends the process with status 1;
 * the postmaster starts it again a second later.
 */
#ifndef TIKV_WORKER_COMMON_H
#define TIKV_WORKER_COMMON_H

#include "postgres.h"

#include "bus/shmem.h"
#include "server/server.h"
#include "storage/tables.h"

/*
 * Enter the worker's slot, install signal handlers, connect to tikv.database
 * and pin the session's settings; returns only when all that is done.  Waits
 * for the database to exist and for safe settings of the server; ends the
 * process if asked to stop meanwhile, and when this library is of another build
 * than the preloaded one.
 */
extern void worker_startup(WorkerKind kind);

/*
 * Wait until the extension is installed; tables then holds its objects.
 * Returns early, with tables->extension invalid, if the worker should stop.
 */
extern void worker_wait_for_extension(WorkerKind kind, TableOids *tables);

/* Asked to stop (SIGTERM). */
extern bool worker_should_stop(void);

/*
 * To be called in every round of a worker's loop, outside transactions:
 * barriers, catch-up, reload of the configuration.  Ends the process if the
 * new configuration is unsafe.
 */
extern void worker_handle_interrupts(void);

/*
 * Sleep until a signal, the latch, worker_wake or the time is up.  For the
 * phases in which no gRPC server runs.
 */
extern void worker_sleep(WorkerKind kind, long timeout_ms);

/* tikv.memory_limit in bytes, with what -1 stands for; 0: no limit. */
extern size_t worker_memory_limit(void);

/* Once per round of a worker's loop: what its gRPC server counts. */
extern void worker_count_server(const ServerCounters *counters,
								size_t unsent_bytes);

#endif /* TIKV_WORKER_COMMON_H */
