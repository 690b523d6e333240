/*
 * build_id.h
 *	  Whether the library of a worker belongs to the one that is preloaded.
 *
 * tikv_fdw.so stays in the postmaster as it was when the server started, and
 * shared memory has its layout.  tikv_worker.so and tikv_status.so are read
 * anew by each worker that starts: after `make install`, or the upgrade of a
 * package, a worker that restarts has another build's.  It must not look at
 * shared memory or settings.  What it may use is here, and keeps its form:
 * both are tikv_fdw's, found by name when the worker's library is loaded.
 */
#ifndef TIKV_BUILD_ID_H
#define TIKV_BUILD_ID_H

#include "postgres.h"

/* Of the preloaded library: version and hash of the sources (build/config.mk). */
extern PGDLLEXPORT const char tikv_fdw_build[];

/*
 * The process is a worker with another build's library: say so in the log, once,
 * and in tikv_status(), wait until it is asked to stop or a minute has passed,
 * and end.  Never returns.
 */
extern PGDLLEXPORT void tikv_fdw_refuse_worker(const char *build)
	pg_attribute_noreturn();

#endif /* TIKV_BUILD_ID_H */
