/*
 * write_back.h
 *	  How far a snapshot's file is written back while it grows.
 *
 * The flush that makes a received file durable waits for all that is not on
 * the disk by then, and the store with it.  So pieces are told to be written
 * back as they come, and of a file that is to be durable they are waited for a
 * few pieces later: where the disk is slower than the network, in many short
 * waits instead of a long one, and the sender waits with the store.
 */
#ifndef TIKV_CORE_SNAPSHOT_WRITE_BACK_H
#define TIKV_CORE_SNAPSHOT_WRITE_BACK_H

#include <stdint.h>

/* Told to be written back in pieces of so much. */
#define WRITE_BACK_PIECE ((uint64_t) 1024 * 1024)

/* So much may be on its way to the disk. */
#define WRITE_BACK_AHEAD (4 * WRITE_BACK_PIECE)

/* Bytes from the beginning of the file; none is less than the one below. */
typedef struct WriteBack
{
	uint64_t written;
	uint64_t told;	  /* to be written back */
	uint64_t settled; /* waited for */
} WriteBack;

/* Where the next piece ends that is to be told, from `told` on; or there. */
static inline uint64_t
write_back_tell(const WriteBack *back)
{
	return back->written - back->told >= WRITE_BACK_PIECE ? back->written :
															back->told;
}

/* Up to where to wait now, from `settled` on; or there. */
static inline uint64_t
write_back_settle(const WriteBack *back)
{
	return back->told - back->settled > WRITE_BACK_AHEAD ?
		back->told - WRITE_BACK_AHEAD :
		back->settled;
}

#endif /* TIKV_CORE_SNAPSHOT_WRITE_BACK_H */
