/*
 * load_request.h
 *	  The requests that rpc_load sends and the answers that it gets, by hand.
 */
#ifndef TIKV_BENCH_LOAD_REQUEST_H
#define TIKV_BENCH_LOAD_REQUEST_H

#include "load_measure.h"
#include "service/wire.h"

typedef struct Options
{
	const char *addr;
	const char *mode;
	const char *method;
	const char *pd;
	long inflight;
	long batch;
	long connections;
	long seconds;
	long warmup;
	long keys;
	long key_size;
	long value_size;
	long hot;
	long fill;
} Options;

static Options opt = {.addr = "127.0.0.1:20160",
					  .mode = "rawget",
					  .method = "/bench.Echo/Empty",
					  .inflight = 64,
					  .batch = 16,
					  .connections = 1,
					  .seconds = 5,
					  .warmup = 1,
					  .keys = 100000,
					  .key_size = 16,
					  .value_size = 100};

static uint8_t context[256]; /* a packed kvrpcpb.Context */
static size_t context_len;
static uint8_t *value;

static uint8_t *
put_bytes(uint8_t *p, uint32_t field, const uint8_t *data, size_t len)
{
	p = wire_write_varint(p, wire_key(field, WIRE_BYTES));
	p = wire_write_varint(p, len);
	memcpy(p, data, len);
	return p + len;
}

static size_t
bytes_size(size_t len)
{
	return 1 + wire_varint_len(len) + len;
}

static void
write_key(uint8_t *key, uint64_t n)
{
	char digits[32];
	size_t len = (size_t) snprintf(digits, sizeof(digits), "%llu",
								   (unsigned long long) n);

	memset(key, '0', (size_t) opt.key_size);
	memcpy(key, "key", 3);
	memcpy(key + opt.key_size - (long) len, digits, len);
}

/* RawGetRequest: 1 context, 2 key.  RawPutRequest: the same and 3 value. */
static size_t
request_size(bool put)
{
	return bytes_size(context_len) + bytes_size((size_t) opt.key_size) +
		(put ? bytes_size((size_t) opt.value_size) : 0);
}

static uint8_t *
write_request(uint8_t *p, bool put, uint64_t n)
{
	uint8_t key[4096];

	write_key(key, n);
	p = put_bytes(p, 1, context, context_len);
	p = put_bytes(p, 2, key, (size_t) opt.key_size);
	if (put)
		p = put_bytes(p, 3, value, (size_t) opt.value_size);
	return p;
}

static uint64_t
pick_key(void)
{
	return opt.hot ? 0 : next_random() % (uint64_t) opt.keys;
}

/* An answer: field 1 is a region error, field 2 an error text. */
static void
check_answer(Bytes answer)
{
	WireReader r = wire_reader(answer);
	WireField f;

	while (wire_read_field(&r, &f))
	{
		char text[200];

		if (f.number > 2 || f.type != WIRE_BYTES)
			continue;
		snprintf(text, sizeof(text), "%s: %.*s",
				 f.number == 1 ? "region error" : "error",
				 f.bytes.len > 150 ? 150 : (int) f.bytes.len,
				 (const char *) f.bytes.data);
		count_error(text);
	}
	if (r.bad)
		count_error("malformed answer");
}

#endif /* TIKV_BENCH_LOAD_REQUEST_H */
