/*
 * inflate.h
 *	  Compressed request messages, made long again within a bound.
 */
#ifndef TIKV_SERVER_INFLATE_H
#define TIKV_SERVER_INFLATE_H

#include <stddef.h>

#include <grpc/byte_buffer.h>

typedef enum InflateResult
{
	INFLATE_OK,
	INFLATE_TOO_LARGE, /* longer than the limit */
	INFLATE_BAD		   /* not what its compression says */
} InflateResult;

/*
 * Inflate a message compressed with gzip or deflate into one slice of at most
 * max bytes, which the caller owns.  Memory grows with the output, so that a
 * few bytes cannot ask for gigabytes.
 */
extern InflateResult inflate_message(const grpc_byte_buffer *message,
									 size_t max, grpc_slice *out);

#endif /* TIKV_SERVER_INFLATE_H */
