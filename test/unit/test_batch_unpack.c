/*
 * test_batch_unpack.c
 *	  Bytes that nobody vouches for: service_unpack, the wire reader, and the
 *	  table of methods.
 */
#include <stdlib.h>

#include "kvrpcpb.pb-c.h"
#include "service/service.h"
#include "service/wire.h"
#include "dice.h"
#include "unit.h"

static void
test_table(void)
{
	bool good = true;

	for (int i = 0; i < service_n_methods; i++)
	{
		const ServiceMethod *m = &service_methods[i];

		good = good && service_method(m->id) == m && m->request != NULL &&
			m->response != NULL;
		if (m->in_batch && m->id != METHOD_EMPTY &&
			m->id != METHOD_BROADCAST_TXN_STATUS)
			good = good && m->response->n_fields > 0 &&
				strcmp(m->response->fields[0].name, "region_error") == 0 &&
				m->response->fields[0].id == 1;
	}
	OK(good, "every method is found; region_error is field 1 of its response");
	OK(service_method(-1) == NULL && service_method(0) == NULL &&
		   service_method(511) == NULL && service_method(100000) == NULL,
	   "other numbers are nobody's");
}

static void
test_good(void)
{
	static const uint8_t bytes[] = {0x0a, 0x02, 0x08, 0x07, 0x12, 0x03,
									'a',  0,	'b',  0xf8, 0x7f, 0x05};
	Arena arena;
	Kvrpcpb__RawGetRequest *get;

	arena_init(&arena);
	get = (Kvrpcpb__RawGetRequest *)
		service_unpack(&kvrpcpb__raw_get_request__descriptor,
					   bytes_make(bytes, sizeof(bytes)), &arena);
	OK(get != NULL && get->context != NULL && get->context->region_id == 7 &&
		   get->key.len == 3 && memcmp(get->key.data, "a\0b", 3) == 0,
	   "a request is unpacked, with a field that we do not know");
	get = (Kvrpcpb__RawGetRequest *)
		service_unpack(&kvrpcpb__raw_get_request__descriptor, bytes_empty(),
					   &arena);
	OK(get != NULL && get->context == NULL && get->key.len == 0,
	   "no bytes are an empty request");
	arena_free(&arena);
}

/* LockInfo holds LockInfos in field 12. */
static bool
unpack_nested(int depth)
{
	uint8_t bytes[8192];
	size_t at = sizeof(bytes);
	Arena arena;
	bool good;

	for (int i = 0; i < depth; i++)
	{
		size_t len = sizeof(bytes) - at;

		at -= wire_varint_len(len);
		wire_write_varint(&bytes[at], len);
		bytes[--at] = (uint8_t) wire_key(12, WIRE_BYTES);
	}
	arena_init(&arena);
	good = service_unpack(&kvrpcpb__lock_info__descriptor,
						  bytes_make(&bytes[at], sizeof(bytes) - at),
						  &arena) != NULL;
	arena_free(&arena);
	return good;
}

static void
test_depth(void)
{
	OK(unpack_nested(10), "ten levels of nesting are unpacked");
	OK(!unpack_nested(1000), "a thousand are refused");
}

static void
test_memory(void)
{
	size_t n = 2 * 1024 * 1024;
	uint8_t *bytes = malloc(4 * n);
	uint8_t *p = bytes;
	Arena arena;

	/* RawBatchPut: empty pairs, two bytes each */
	for (size_t i = 0; i < n; i++)
	{
		*p++ = (uint8_t) wire_key(2, WIRE_BYTES);
		*p++ = 0;
	}
	arena_init(&arena);
	OK(service_unpack(&kvrpcpb__raw_batch_put_request__descriptor,
					  bytes_make(bytes, 2 * n), &arena) == NULL,
	   "two million empty pairs are refused");
	OK(arena.allocated < (size_t) 512 * 1024 * 1024, "in bounded memory");
	arena_free(&arena);

	/* RawBatchGet: 100000 keys of one byte are fine */
	p = bytes;
	for (int i = 0; i < 100000; i++)
	{
		*p++ = (uint8_t) wire_key(2, WIRE_BYTES);
		*p++ = 1;
		*p++ = 'k';
	}
	arena_init(&arena);
	OK(service_unpack(&kvrpcpb__raw_batch_get_request__descriptor,
					  bytes_make(bytes, 300000), &arena) != NULL,
	   "100000 short keys are unpacked");
	printf("# in %zu bytes for 300000\n", arena.allocated);
	arena_free(&arena);
	free(bytes);
}

/* Every prefix of a good message, and many damaged ones: no crash. */
static void
test_damaged(void)
{
	Kvrpcpb__Context context = KVRPCPB__CONTEXT__INIT;
	Metapb__RegionEpoch epoch = METAPB__REGION_EPOCH__INIT;
	Kvrpcpb__RawPutRequest put = KVRPCPB__RAW_PUT_REQUEST__INIT;
	uint8_t good[256];
	uint8_t bytes[256];
	size_t len;
	Arena arena;
	int accepted = 0;

	epoch.version = 9;
	context.region_id = 1234567890123;
	context.region_epoch = &epoch;
	put.context = &context;
	put.key.data = (uint8_t *) "some key";
	put.key.len = 8;
	put.cf = "default";
	len = kvrpcpb__raw_put_request__pack(&put, good);
	arena_init(&arena);
	for (int round = 0; round < 20000; round++)
	{
		memcpy(bytes, good, len);
		for (int i = 0; i < round % 6; i++)
			bytes[next_random() % len] = (uint8_t) next_random();
		accepted +=
			service_unpack(service_methods[round % service_n_methods].request,
						   bytes_make(bytes,
									  round % 3 == 0 ? next_random() % len :
													   len),
						   &arena) != NULL;
		arena_reset(&arena);
	}
	arena_free(&arena);
	OK(accepted > 0 && accepted < 20000, "20000 damaged messages do no harm");
}

static void
test_wire(void)
{
	static const uint64_t values[] = {0,   1,		   127,		  128,
									  300, UINT32_MAX, INT64_MAX, UINT64_MAX};
	uint8_t buf[16];
	bool good = true;

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
	{
		size_t len = (size_t) (wire_write_varint(buf, values[i]) - buf);
		WireReader r = wire_reader(bytes_make(buf, len));
		uint64_t back = 0;

		good = good && len == wire_varint_len(values[i]) &&
			wire_read_varint(&r, &back) && back == values[i] && r.next == r.end;
		r = wire_reader(bytes_make(buf, len - 1));
		good = good && !wire_read_varint(&r, &back) && r.bad;
	}
	OK(good, "varints go there and back, and not when cut short");
}

int
main(void)
{
	test_table();
	test_good();
	test_depth();
	test_memory();
	test_damaged();
	test_wire();
	return unit_done();
}
