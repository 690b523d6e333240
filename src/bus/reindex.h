/*
 * reindex.h
 *	  `tikv reindex`: the process that rebuilds an index that is mostly free
 *	  space, by REINDEX INDEX CONCURRENTLY, so that nobody waits for it.
 *
 * It is started when there is something to do, and ends.
 */
#ifndef TIKV_BUS_REINDEX_H
#define TIKV_BUS_REINDEX_H

#include "postgres.h"

#include "utils/relcache.h"

/*
 * Have the index rebuilt, or, without `rebuild`, what another rebuilding has
 * left beside it dropped, which is done first in any case.  False: it is busy.
 * Where there is no free slot of max_worker_processes, the log says so.
 */
extern bool reindex_ask(Relation index, bool rebuild);

#endif /* TIKV_BUS_REINDEX_H */
