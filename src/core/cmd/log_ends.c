/*
 * log_ends.c
 *	  Where the logs of peers end: a question from store to store.
 */
#include "core/cmd/log_ends.h"

#include "core/codec/proto.h"

/* Two numbers of ten bytes at most, their tags, and what is around them. */
#define END_ROOM 24

Bytes
log_ends_encode(const LogEnds *ends, Arena *arena)
{
	ProtoWriter w;

	proto_writer_init(&w, arena, (size_t) (ends->n + 1) * END_ROOM);
	proto_put_u64(&w, 1, ends->question);
	proto_put_u64(&w, 2, ends->ts);
	for (int i = 0; i < ends->n; i++)
	{
		ProtoMark mark = proto_begin(&w, 3, END_ROOM);

		proto_put_u64(&w, 1, ends->ends[i].region_id);
		proto_put_u64(&w, 2, ends->ends[i].index);
		proto_end(&w, mark);
	}
	return proto_written(&w);
}

static Status
get_end(Bytes bytes, LogEnd *out)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;

	while (proto_next(&r, &field))
		if (field.number == 1)
			out->region_id = proto_get_u64(&r, &field);
		else if (field.number == 2)
			out->index = proto_get_u64(&r, &field);
	return proto_status(&r);
}

Status
log_ends_decode(Bytes bytes, LogEnds *out)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;

	memset(out, 0, sizeof(*out));
	while (proto_next(&r, &field))
		if (field.number == 1)
			out->question = proto_get_u64(&r, &field);
		else if (field.number == 2)
			out->ts = proto_get_u64(&r, &field);
		else if (field.number != 3)
			continue;
		else if (out->n == LOG_ENDS_MAX ||
				 get_end(proto_get_bytes(&r, &field), &out->ends[out->n++]) !=
					 STATUS_OK)
			return STATUS_INVALID;
	return proto_status(&r);
}
