/*
 * outbuf.c
 *	  A message under construction, in the memory that gRPC will send.
 */
#include "server/outbuf.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"

/* A slice below the first size would live inside grpc_slice and move. */
#define OUTBUF_CHUNK_MIN ((size_t) 512)
#define OUTBUF_CHUNK_MAX ((size_t) 64 * 1024)

void
outbuf_init(OutBuf *out)
{
	memset(out, 0, sizeof(*out));
}

/* The last slice gets the length that was really used. */
static void
close_slice(OutBuf *out)
{
	if (out->n_slices > 0)
		GRPC_SLICE_SET_LENGTH(out->slices[out->n_slices - 1], out->used);
}

/*
 * Answers of a stream resemble each other in size, so the first slice is as
 * large as the last message was, with some room, and usually the only one.
 */
static size_t
chunk_size(const OutBuf *out, size_t need)
{
	size_t size =
		out->n_slices == 0 ? out->last_len + out->last_len / 4 : 2 * out->len;

	if (size < OUTBUF_CHUNK_MIN)
		size = OUTBUF_CHUNK_MIN;
	if (size > OUTBUF_CHUNK_MAX)
		size = OUTBUF_CHUNK_MAX;
	return size > need ? size : need;
}

static void
open_slice(OutBuf *out, size_t need)
{
	size_t size = chunk_size(out, need);

	close_slice(out);
	if (out->n_slices == out->cap_slices)
	{
		out->cap_slices = out->cap_slices == 0 ? 8 : 2 * out->cap_slices;
		out->slices =
			realloc(out->slices, out->cap_slices * sizeof(*out->slices));
		CHECK(out->slices != NULL);
	}
	out->slices[out->n_slices++] = grpc_slice_malloc(size);
	out->used = 0;
	out->room = size;
}

uint8_t *
outbuf_reserve(OutBuf *out, size_t n)
{
	uint8_t *p;

	if (out->n_slices == 0 || out->room < n)
		open_slice(out, n);
	p = GRPC_SLICE_START_PTR(out->slices[out->n_slices - 1]) + out->used;
	out->used += n;
	out->room -= n;
	out->len += n;
	return p;
}

static void
forget_slices(OutBuf *out)
{
	for (size_t i = 0; i < out->n_slices; i++)
		grpc_slice_unref(out->slices[i]);
	out->n_slices = 0;
	out->used = 0;
	out->room = 0;
	out->len = 0;
}

grpc_byte_buffer *
outbuf_take(OutBuf *out)
{
	grpc_byte_buffer *buffer;

	close_slice(out);
	buffer = grpc_raw_byte_buffer_create(out->slices, out->n_slices);
	out->last_len = out->len;
	forget_slices(out);
	return buffer;
}

void
outbuf_free(OutBuf *out)
{
	forget_slices(out);
	free(out->slices);
	outbuf_init(out);
}
