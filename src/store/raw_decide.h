/*
 * raw_decide.h
 *	  Raw writes that depend on what is there: compare and swap, insert.
 */
#ifndef TIKV_STORE_RAW_DECIDE_H
#define TIKV_STORE_RAW_DECIDE_H

#include "store/store.h"

/* True for a write that raw_decide must look at. */
extern bool raw_depends_on_rows(const RawCommand *command);

/*
 * Decide it over what the turn has so far and the rows behind the reader,
 * which reads at now_s.  The command's effects are set; true if there are any,
 * else the write's answer is known and rests on this turn.
 */
extern bool raw_decide(Store *store, Write *write, RawReader *reader,
					   int64 now_s);

#endif /* TIKV_STORE_RAW_DECIDE_H */
