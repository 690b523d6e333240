/*
 * channels.h
 *	  Connections to the server, and what PD knows of it.
 */
#ifndef TIKV_BENCH_LOAD_CHANNELS_H
#define TIKV_BENCH_LOAD_CHANNELS_H

#include "core/base/bytes.h"
#include "test/tools/tikv_client.h"

extern grpc_completion_queue *cq;
extern grpc_channel **channels; /* of the load */

extern void connect_all(void);

/* A client that asks the PD of --pd. */
extern Client pd_client(void);

/* The region that holds the n-th key, and the client connected to its leader. */
extern Pdpb__GetRegionResponse *region_of_key(Client *client, uint64_t n);

/*
 * Fill in the context of all requests, from the region that holds the first
 * key, and ask for the timestamps of the whole load.
 */
extern void make_context(void);

static inline Bytes
slice_bytes(grpc_slice slice)
{
	return bytes_make(GRPC_SLICE_START_PTR(slice), GRPC_SLICE_LENGTH(slice));
}

#endif /* TIKV_BENCH_LOAD_CHANNELS_H */
