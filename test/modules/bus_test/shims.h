/*
 * shims.h
 *	  What the bus and the board need of a server, for a program that is none.
 *
 * Shared memory is an anonymous mapping, so processes are made by fork; the
 * DSA area is a fixed number of chunks whose use can be asked for.
 */
#ifndef TIKV_BUS_TEST_SHIMS_H
#define TIKV_BUS_TEST_SHIMS_H

#include "postgres.h"

#include "bus/shmem.h"

/* The C library's, not Postgres's own. */
#undef printf
#undef snprintf

/* Make the shared memory; once, before any fork. */
extern void shim_start(int bus_slots, int bus_memory_kb);

/* Zeroed memory that forked processes share. */
extern void *shim_map(Size size);

/* This process answers as this one from now on. */
extern void shim_become(int pid);

/* What worker_view says of a worker. */
extern void shim_set_worker(WorkerKind kind, int pid, WorkerState state);

/* Chunks of the area in use. */
extern int shim_chunks_used(void);

/* The next chunk is refused as if the system had none: an ERROR. */
extern void shim_fail_next_chunk(void);

/* The next CHECK_FOR_INTERRUPTS throws, as a query cancel does. */
extern void shim_cancel(void);

/* Run; true if it threw. */
extern bool shim_throws(void (*run)(void *arg), void *arg);

#endif /* TIKV_BUS_TEST_SHIMS_H */
