/*
 * worker_tls.h
 *	  TLS as the settings want it, for all ports of a worker.
 *
 * Each worker reads the files for itself.  Linked into tikv_worker and tikv_status.
 */
#ifndef TIKV_WORKER_TLS_H
#define TIKV_WORKER_TLS_H

#include "postgres.h"

#include "bus/shmem.h"
#include "server/tls.h"

/*
 * At the start of a worker's life: wait until the files are good, saying in
 * tikv_status() and the log what is wrong.  *tls is NULL if TLS is off; it
 * lives as long as the process.  False if the worker should stop.
 */
extern bool worker_tls_start(WorkerKind kind, Tls **tls);

/*
 * Once a second: use what was renewed, or say in tikv_status() and the log why
 * not, and that what is in use has expired.  False if TLS was switched on or off
 * since, which takes a new life.
 */
extern bool worker_tls_tick(const Tls *tls);

/* Its port is open: log a warning if strangers could use it. */
extern void worker_tls_warn(WorkerKind kind, const Tls *tls,
							const char *setting, const char *addr);

/* An address as tikv_status() shows it: with TLS, as https://. */
extern const char *worker_tls_address(const Tls *tls, const char *addr);

#endif /* TIKV_WORKER_TLS_H */
