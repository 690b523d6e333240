/*
 * test_server_inflate.c
 *	  Compressed messages: what is inflated, and what is refused without
 *	  taking its memory.
 */
#include <stdlib.h>
#include <grpc/grpc.h>
#include <zlib.h>

#include "server/inflate.h"
#include "unit.h"

/* A message of n equal bytes, compressed, in slices of the given size. */
static grpc_byte_buffer *
compressed(size_t n, int byte, grpc_compression_algorithm how, size_t part)
{
	uint8_t *plain = malloc(n + 1);
	size_t room = n / 100 + 1000;
	uint8_t *packed = malloc(room);
	grpc_slice slices[512];
	size_t n_slices = 0;
	z_stream z = {0};
	grpc_byte_buffer *buffer;

	memset(plain, byte, n + 1);
	deflateInit2(&z, 9, Z_DEFLATED, 15 + (how == GRPC_COMPRESS_GZIP ? 16 : 0),
				 8, Z_DEFAULT_STRATEGY);
	z.next_in = plain;
	z.avail_in = (uInt) n;
	z.next_out = packed;
	z.avail_out = (uInt) room;
	deflate(&z, Z_FINISH);
	room -= z.avail_out;
	deflateEnd(&z);
	for (size_t at = 0; at < room && n_slices < 512; at += part)
		slices[n_slices++] =
			grpc_slice_from_copied_buffer((char *) packed + at,
										  room - at < part ? room - at : part);
	buffer = grpc_raw_compressed_byte_buffer_create(slices, n_slices, how);
	for (size_t i = 0; i < n_slices; i++)
		grpc_slice_unref(slices[i]);
	free(plain);
	free(packed);
	return buffer;
}

static void
expect(size_t n, size_t max, grpc_compression_algorithm how, size_t part,
	   InflateResult want, const char *what)
{
	grpc_byte_buffer *buffer = compressed(n, 'x', how, part);
	grpc_slice out;
	InflateResult got = inflate_message(buffer, max, &out);

	EQ_U64(got, want, what);
	if (got == INFLATE_OK)
	{
		OK(GRPC_SLICE_LENGTH(out) == n &&
			   (n == 0 || GRPC_SLICE_START_PTR(out)[n - 1] == 'x'),
		   "all bytes are there");
		grpc_slice_unref(out);
	}
	grpc_byte_buffer_destroy(buffer);
}

static void
garbage(void)
{
	grpc_slice slice = grpc_slice_from_copied_string("this is not gzip");
	grpc_byte_buffer *buffer =
		grpc_raw_compressed_byte_buffer_create(&slice, 1, GRPC_COMPRESS_GZIP);
	grpc_slice out;

	EQ_U64(inflate_message(buffer, 1000, &out), INFLATE_BAD,
		   "bytes that are not gzip are refused");
	grpc_byte_buffer_destroy(buffer);
	grpc_slice_unref(slice);
	buffer = compressed(100000, 'y', GRPC_COMPRESS_GZIP, 10);
	buffer->data.raw.slice_buffer.count--;
	EQ_U64(inflate_message(buffer, 200000, &out), INFLATE_BAD,
		   "so is a message that ends early");
	buffer->data.raw.slice_buffer.count++;
	grpc_byte_buffer_destroy(buffer);
}

int
main(void)
{
	grpc_init();
	expect(0, 10, GRPC_COMPRESS_GZIP, 1000, INFLATE_OK, "an empty message");
	expect(1, 1, GRPC_COMPRESS_GZIP, 1000, INFLATE_OK, "exactly the limit");
	expect(2, 1, GRPC_COMPRESS_GZIP, 1000, INFLATE_TOO_LARGE, "one over it");
	expect(100000, 100000, GRPC_COMPRESS_DEFLATE, 7, INFLATE_OK,
		   "deflate in many slices");
	expect(16384, 16384, GRPC_COMPRESS_GZIP, 1000, INFLATE_OK,
		   "the first room exactly");
	expect(50000000, 1000000, GRPC_COMPRESS_GZIP, 4096, INFLATE_TOO_LARGE,
		   "a bomb is refused at the limit");
	garbage();
	grpc_shutdown();
	return unit_done();
}
