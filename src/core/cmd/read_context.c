/*
 * read_context.c
 *	  What a question for a read index carries.
 */
#include "core/cmd/read_context.h"

#include "core/codec/proto.h"

#define REQUEST_MARK 'r'

Bytes
read_context_encode(const ReadIndexContext *context, Arena *arena)
{
	ProtoWriter request;
	uint8_t *bytes = arena_alloc(arena, 64);
	uint8_t *p = put_u64(bytes, context->asker);

	p = put_u64(p, context->id);
	if (!context->has_ts)
		return bytes_make(bytes, (size_t) (p - bytes));
	proto_writer_init(&request, arena, 16);
	proto_put_u64(&request, 1, context->start_ts);
	p = put_u8(p, REQUEST_MARK);
	p = put_var_u64(p, request.len);
	memcpy(p, request.data, request.len);
	return bytes_make(bytes, (size_t) (p + request.len - bytes));
}

static Status
get_request(Bytes bytes, ReadIndexContext *out)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;

	out->has_ts = true;
	while (proto_next(&r, &field))
		if (field.number == 1)
			out->start_ts = proto_get_u64(&r, &field);
	return proto_status(&r);
}

Status
read_context_decode(Bytes bytes, ReadIndexContext *out)
{
	NumberReader r = number_reader(bytes);
	Bytes request;
	uint64_t len;
	uint8_t mark;

	memset(out, 0, sizeof(*out));
	if (!get_u64(&r, &out->asker) || !get_u64(&r, &out->id))
		return STATUS_INVALID;
	if (!get_u8(&r, &mark) || mark != REQUEST_MARK)
		return STATUS_OK;
	if (!get_var_u64(&r, &len) || !get_bytes(&r, len, &request))
		return STATUS_INVALID;
	return get_request(request, out);
}
