/*
 * id.h
 *	  Ids of stores, regions and peers: one counter, saved in steps.
 *
 * Only the end of the current step is durable; after a restart the counter
 * goes on there, so ids are never used twice, though some are never used.
 */
#ifndef TIKV_PD_CORE_ID_H
#define TIKV_PD_CORE_ID_H

#include "core/base/status.h"

#include <stdint.h>

/* What tikv/pd saves ahead (pkg/id/id.go). */
#define ID_STEP 1000

/* The largest number of ids in one request. */
#define ID_MAX_COUNT 1000000

typedef struct IdAllocator
{
	uint64_t last;	/* the newest id handed out */
	uint64_t saved; /* ids up to here may be handed out */
} IdAllocator;

/*
 * Take `count` contiguous ids (0 means 1) and give back the last of them.
 * *saved_end is the end that must be durable before they are shown to
 * anybody; it equals ids->saved if nothing has to be saved.  The caller
 * changes ids->saved when it applies the new end.
 */
extern MUST_CHECK Status id_take(IdAllocator *ids, uint32_t count,
								 uint64_t *last, uint64_t *saved_end);

#endif /* TIKV_PD_CORE_ID_H */
