/*
 * fuzz_inflate.c
 *	  Compressed messages, and the first bytes of connections.
 */
#include "fuzz.h"

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <zlib.h>

#include "server/inflate.h"
#include "server/internal.h"

#define MAX_OUTPUT 65536

/* The message in slices of a few bytes. */
static grpc_byte_buffer *
in_slices(Bytes bytes, size_t part, grpc_compression_algorithm how)
{
	grpc_slice slices[64];
	size_t n = 0;
	grpc_byte_buffer *buffer;
	FuzzInput in = fuzz_input(bytes.data, bytes.len);

	while (in.left > 0 && n < 64)
	{
		Bytes next = fuzz_bytes(&in, n == 63 ? in.left : part);

		slices[n++] =
			grpc_slice_from_copied_buffer((const char *) next.data, next.len);
	}
	buffer = grpc_raw_compressed_byte_buffer_create(slices, n, how);
	for (size_t i = 0; i < n; i++)
		grpc_slice_unref(slices[i]);
	return buffer;
}

static void
compressed(Bytes bytes, size_t part, grpc_compression_algorithm how)
{
	grpc_byte_buffer *buffer = in_slices(bytes, part, how);
	grpc_slice out;

	if (inflate_message(buffer, MAX_OUTPUT, &out) == INFLATE_OK)
	{
		CHECK(GRPC_SLICE_LENGTH(out) <= MAX_OUTPUT);
		grpc_slice_unref(out);
	}
	grpc_byte_buffer_destroy(buffer);
}

/* More bytes never change what fewer have decided. */
static void
first_bytes(Bytes bytes)
{
	PorterVerdict verdict = PORTER_WAITS;

	for (size_t len = 1; len <= bytes.len && len <= PORTER_PEEK; len++)
	{
		PorterVerdict now = porter_verdict(bytes_make(bytes.data, len));

		CHECK(verdict == PORTER_WAITS || verdict == now);
		verdict = now;
	}
	CHECK(bytes.len < PORTER_PEEK || verdict != PORTER_WAITS);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput in = fuzz_input(data, size);
	uint8_t how = fuzz_u8(&in);
	Bytes bytes = fuzz_own(fuzz_rest(&in));

	switch (how % 3)
	{
		case 0:
			compressed(bytes, 1 + how / 3, GRPC_COMPRESS_GZIP);
			break;
		case 1:
			compressed(bytes, 1 + how / 3, GRPC_COMPRESS_DEFLATE);
			break;
		default:
			first_bytes(bytes);
	}
	fuzz_disown(bytes);
	return 0;
}

/* ----------------------------------------------------------------- seeds */

/* So many equal bytes, compressed; more than MAX_OUTPUT among them. */
static void
seed_compressed(int how, size_t n)
{
	uint8_t *plain = calloc(1, n + 1);
	uint8_t packed[4096];
	FuzzSeed seed = {0};
	z_stream z = {0};

	CHECK(plain != NULL);
	CHECK(deflateInit2(&z, 9, Z_DEFLATED, how % 3 == 0 ? 31 : 15, 8,
					   Z_DEFAULT_STRATEGY) == Z_OK);
	z.next_in = plain;
	z.avail_in = (uInt) n;
	z.next_out = packed;
	z.avail_out = sizeof(packed);
	CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
	seed_u8(&seed, how);
	seed_add(&seed, packed, sizeof(packed) - z.avail_out);
	deflateEnd(&z);
	fuzz_seed(&seed);
	free(plain);
}

static void
write_seeds(void)
{
	for (int how = 0; how < 12; how++)
	{
		if (how % 3 == 2)
			continue;
		seed_compressed(how, 0);
		seed_compressed(how, 1000);
		seed_compressed(how, MAX_OUTPUT + 1);
	}
	fuzz_seed_bytes(bytes_cstr("\x02PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
	fuzz_seed_bytes(bytes_cstr("\x02GET / HTTP/1.1\r\n"));
	fuzz_seed_bytes(bytes_cstr("\x02PRX"));
}
