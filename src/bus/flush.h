/*
 * flush.h
 *	  `tikv flush`: the process that waits for the disk in the store's place.
 *
 * A store with groups of several peers commits without waiting.  It says up to
 * which position the WAL is to be flushed, goes on, and is woken when it is.
 * Without this process (no free slot of max_worker_processes) it flushes
 * itself.
 */
#ifndef TIKV_BUS_FLUSH_H
#define TIKV_BUS_FLUSH_H

#include "bus/shmem.h"

#include "access/xlogdefs.h"

/* Have the process run; to be called now and then by the store. */
extern void flush_worker_ensure(void);

/* Flush up to here, and wake the store.  False: there is nobody to do it. */
extern bool flush_request(XLogRecPtr lsn);

extern void flush_shmem_init(TikvShmem *shmem);

#endif /* TIKV_BUS_FLUSH_H */
