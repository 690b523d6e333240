/*
 * outbuf.h
 *	  A message under construction, in the memory that gRPC will send.
 *
 * Answers are packed where they leave from: outbuf_reserve hands out room at
 * the end of a list of slices, and the finished list becomes one gRPC message
 * without another copy.  What was reserved is part of the message.
 */
#ifndef TIKV_SERVER_OUTBUF_H
#define TIKV_SERVER_OUTBUF_H

#include <grpc/grpc.h>
#include <grpc/slice.h>
#include <stdint.h>

typedef struct OutBuf
{
	grpc_slice *slices; /* the last one is still being filled */
	size_t n_slices;
	size_t cap_slices;
	size_t used;	 /* bytes of the last slice */
	size_t room;	 /* bytes left in it */
	size_t len;		 /* of the whole message */
	size_t last_len; /* of the previous message: a guess */
} OutBuf;

extern void outbuf_init(OutBuf *out);

/* Room for exactly n > 0 contiguous bytes, appended to the message. */
extern uint8_t *outbuf_reserve(OutBuf *out, size_t n);

/* The message as gRPC wants it (the caller destroys it); out is empty again. */
extern grpc_byte_buffer *outbuf_take(OutBuf *out);

/* Throw away the message and give back the memory. */
extern void outbuf_free(OutBuf *out);

#endif /* TIKV_SERVER_OUTBUF_H */
