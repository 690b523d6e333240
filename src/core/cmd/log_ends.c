/*
 * log_ends.c
 *	  Where the logs of peers end: a question from store to store.
 */
#include "core/cmd/log_ends.h"

#include "core/codec/proto.h"

/* Four numbers of ten bytes at most, their tags, and what is around them. */
#define END_ROOM 52

Bytes
log_ends_encode(const LogEnds *ends, Arena *arena)
{
	ProtoWriter w;

	proto_writer_init(&w, arena, (size_t) (ends->n + 1) * END_ROOM);
	proto_put_u64(&w, 1, ends->question);
	proto_put_u64(&w, 2, ends->ts);
	for (int i = 0; i < ends->n; i++)
	{
		const LogEnd *end = &ends->ends[i];
		ProtoMark mark = proto_begin(&w, 3, END_ROOM);

		proto_put_u64(&w, 1, end->region_id);
		proto_put_u64(&w, 2, end->index);
		proto_put_u64(&w, 3, end->epoch.conf_ver);
		proto_put_u64(&w, 4, end->epoch.version);
		proto_put_u64(&w, 5, end->has_locks ? 1 : 0);
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
		else if (field.number == 3)
			out->epoch.conf_ver = proto_get_u64(&r, &field);
		else if (field.number == 4)
			out->epoch.version = proto_get_u64(&r, &field);
		else if (field.number == 5)
			out->has_locks = proto_get_u64(&r, &field) != 0;
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

bool
log_end_answer(LogEnd *end, const LogSight *sight)
{
	if (!sight->asleep || sight->applied_index != sight->last_index ||
		sight->epoch.conf_ver != end->epoch.conf_ver ||
		sight->epoch.version != end->epoch.version)
		return false;
	end->index = sight->last_index;
	end->has_locks = sight->has_locks;
	return true;
}
