/*
 * inflate.c
 *	  Compressed request messages, made long again within a bound.
 *
 * The C core inflates a message whole before it looks at the size limit: a
 * megabyte of gzip can be a gigabyte of zeros.  So its inflating is switched
 * off, and this is used instead.
 */
#include "server/inflate.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/base/check.h"

#define FIRST_SIZE ((size_t) 16 * 1024)

/* zlib's own format, which gRPC calls deflate; 16 more means gzip's. */
#define WINDOW_BITS 15
#define GZIP_FORMAT 16

typedef struct Output
{
	uint8_t *bytes;
	size_t len;
	size_t size;
	size_t max;
} Output;

/* Room for at least one more byte; false at the limit. */
static bool
make_room(Output *out)
{
	size_t size = out->size == 0 ? FIRST_SIZE : out->size * 2;

	if (out->len < out->size)
		return true;
	if (out->len > out->max)
		return false;

	/* One byte more than allowed tells a message that is too long. */
	if (size > out->max + 1)
		size = out->max + 1;
	if (size <= out->size)
		return false;
	out->bytes = realloc(out->bytes, size);
	CHECK(out->bytes != NULL);
	out->size = size;
	return true;
}

/* Feed one slice; Z_OK to go on, Z_STREAM_END at the end, else an error. */
static int
feed(z_stream *stream, grpc_slice slice, Output *out)
{
	int rc = Z_OK;

	stream->next_in = GRPC_SLICE_START_PTR(slice);
	stream->avail_in = (uInt) GRPC_SLICE_LENGTH(slice);
	while (rc == Z_OK && stream->avail_in > 0)
	{
		if (!make_room(out))
			return Z_BUF_ERROR;
		stream->next_out = out->bytes + out->len;
		stream->avail_out = (uInt) (out->size - out->len);
		rc = inflate(stream, Z_NO_FLUSH);
		out->len = out->size - stream->avail_out;
	}
	return rc;
}

/* What is left inside zlib once all input is taken. */
static int
flush_output(z_stream *stream, Output *out)
{
	int rc = Z_OK;

	while (rc == Z_OK)
	{
		if (!make_room(out))
			return Z_BUF_ERROR;
		stream->next_out = out->bytes + out->len;
		stream->avail_out = (uInt) (out->size - out->len);
		rc = inflate(stream, Z_SYNC_FLUSH);
		out->len = out->size - stream->avail_out;
	}
	return rc;
}

static int
inflate_slices(z_stream *stream, const grpc_slice_buffer *slices, Output *out)
{
	int rc = Z_OK;

	for (size_t i = 0; i < slices->count && rc == Z_OK; i++)
		rc = feed(stream, slices->slices[i], out);
	return rc == Z_OK ? flush_output(stream, out) : rc;
}

static void
free_bytes(void *bytes)
{
	free(bytes);
}

InflateResult
inflate_message(const grpc_byte_buffer *message, size_t max, grpc_slice *out)
{
	const grpc_slice_buffer *slices = &message->data.raw.slice_buffer;
	int format =
		message->data.raw.compression == GRPC_COMPRESS_GZIP ? GZIP_FORMAT : 0;
	Output output = {.max = max};
	z_stream stream = {0};
	int rc;

	if (inflateInit2(&stream, WINDOW_BITS + format) != Z_OK)
		return INFLATE_BAD;
	rc = inflate_slices(&stream, slices, &output);
	inflateEnd(&stream);
	if (rc == Z_STREAM_END && output.len <= max)
	{
		*out = grpc_slice_new(output.bytes, output.len, free_bytes);
		return INFLATE_OK;
	}
	free(output.bytes);
	return output.len > max ? INFLATE_TOO_LARGE : INFLATE_BAD;
}
