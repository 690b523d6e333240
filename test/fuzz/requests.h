/*
 * requests.h
 *	  A sequence of KV requests from an input, and what every answer must be.
 *
 * An input is: a byte of settings, then requests, each a byte for the method
 * (its place among those of the target) and a piece with its message.
 */
#ifndef TIKV_FUZZ_REQUESTS_H
#define TIKV_FUZZ_REQUESTS_H

#include "core/base/rpc_code.h"
#include "messages.h"
#include "service/raw.h"
#include "service/txn.h"

#define FUZZ_NOW 1000

/* Counted for the request at hand, which must be answered once. */
static int fuzz_answers;

static inline void
on_done(Request *request, const ProtobufCMessage *reply)
{
	size_t len = protobuf_c_message_get_packed_size(reply);
	uint8_t *bytes = malloc(len + 1);

	CHECK(bytes != NULL);
	CHECK(reply->descriptor == request->method->response);
	CHECK(protobuf_c_message_pack(reply, bytes) == len);
	free(bytes);
	fuzz_answers++;
}

static inline void
on_fail(Request *request, int code, const char *text)
{
	(void) request;
	CHECK(code != RPC_OK && text != NULL);
	fuzz_answers++;
}

static inline int64_t
fuzz_clock(void)
{
	return FUZZ_NOW;
}

static inline RawLimits
fuzz_limits(uint8_t settings)
{
	static const ApiVersion apis[] = {API_V1, API_V1TTL, API_V2};
	RawLimits limits = {.max_key_size = 64,
						.max_entry_size = 1000,
						.cluster_id = FUZZ_CLUSTER,
						.api = apis[settings % 3],
						.max_reply_size = (settings & 4) != 0 ? 1000 : 0,
						.now_s = fuzz_clock};

	return limits;
}

/* Region 1, of all keys or, by a setting, of some. */
static inline Region
fuzz_region(uint8_t settings)
{
	Region region = {.id = 1,
					 .epoch = {1, 1},
					 .n_peers = 1,
					 .peers = {{.id = 1, .store_id = 1}}};

	if ((settings & 8) == 0)
		return region;
	region.start_key = bytes_make("a\0\0\0\0\0\0\0\xf8", 9);
	region.end_key = bytes_make("y\0\0\0\0\0\0\0\xf8", 9);
	return region;
}

static inline bool
fuzz_context_is_good(const RequestContext *context, const Region *region,
					 RegionError *error)
{
	RegionState state = {.region = region,
						 .self = region->peers[0],
						 .leader = region->peers[0],
						 .term = 5,
						 .is_leader = true};

	return region_check(1, &state, context, EPOCH_DATA, error);
}

static inline Request
fuzz_request(const ServiceMethod *method, const ProtobufCMessage *message,
			 Arena *arena)
{
	Request request = {.method = method,
					   .message = message,
					   .arena = arena,
					   .deadline_us = INT64_MAX,
					   .done = on_done,
					   .fail = on_fail};

	fuzz_answers = 0;
	return request;
}

/* Methods of the target: those of transactions, or of raw keys. */
static inline const ServiceMethod *
fuzz_method(uint8_t which, bool txn)
{
	const ServiceMethod *found[64];
	int n = 0;

	for (int i = 0; i < service_n_methods; i++)
		if (txn_is_method(service_methods[i].id) == txn &&
			(service_methods[i].kind == SERVICE_READ ||
			 service_methods[i].kind == SERVICE_WRITE))
			found[n++] = &service_methods[i];
	return found[which % n];
}

/* ----------------------------------------------------------------- seeds */

static inline void
seed_request(FuzzSeed *seed, Example *example, int which, bool txn)
{
	seed_u8(seed, which);
	seed_piece(seed,
			   example_packed(example,
							  fuzz_method((uint8_t) which, txn)->request));
}

/*
 * Some requests that follow each other, with every setting, beginning with
 * each method.
 */
static inline void
request_seeds(bool txn, int n_methods)
{
	FuzzSeed seed = {0};
	Arena arena;

	arena_init(&arena);
	for (int settings = 0; settings < 16; settings++)
		for (int first = 0; first < n_methods; first++)
		{
			Example example = {.arena = &arena, .n_repeated = 2};

			example.api = settings % 3;
			if (example.api == 2)
				example.mode = txn ? 'x' : 'r';
			seed_u8(&seed, settings);
			for (int i = 0; i < 6; i++)
			{
				example.member = (unsigned int) (settings / 3 + i);
				seed_request(&seed, &example,
							 (first + i * (1 + settings / 3)) % n_methods, txn);
			}
			fuzz_seed(&seed);
		}
	arena_free(&arena);
}

#endif /* TIKV_FUZZ_REQUESTS_H */
