/*
 * service_fixture.h
 *	  A request whose answer is kept, for tests of services.
 */
#ifndef TIKV_TEST_SERVICE_FIXTURE_H
#define TIKV_TEST_SERVICE_FIXTURE_H

#include "service/service.h"
#include "unit.h"

static Arena arena;
static int answers;
static int fail_code;
static char fail_text[256];
static uint8_t packed[65536];
static size_t packed_len;
static const ProtobufCMessageDescriptor *packed_type;

static inline void
on_done(Request *request, const ProtobufCMessage *reply)
{
	(void) request;
	answers++;
	packed_type = reply->descriptor;
	packed_len = protobuf_c_message_pack(reply, packed);
}

static inline void
on_fail(Request *request, int code, const char *text)
{
	(void) request;
	answers++;
	fail_code = code;
	snprintf(fail_text, sizeof(fail_text), "%s", text);
}

static inline void *
reply(void)
{
	return service_unpack(packed_type, bytes_make(packed, packed_len), &arena);
}

static inline Request
request_of(int method, const ProtobufCMessage *message)
{
	Request r = {.method = service_method(method),
				 .message = message,
				 .arena = &arena,
				 .done = on_done,
				 .fail = on_fail,
				 .deadline_us = INT64_MAX};

	answers = 0;
	fail_code = 0;
	return r;
}

static inline ProtobufCBinaryData
wire(const char *s)
{
	ProtobufCBinaryData b = {strlen(s), (uint8_t *) s};

	return b;
}

#endif /* TIKV_TEST_SERVICE_FIXTURE_H */
