/*
 * proto.c
 *	  Protobuf's wire format, as far as the core writes and reads it by hand.
 */
#include "core/codec/proto.h"

#include "core/base/check.h"

/* A field's number has 29 bits. */
#define MAX_FIELD ((UINT64_C(1) << 29) - 1)

/* ----------------------------------------------------------------- writing */

void
proto_writer_init(ProtoWriter *w, Arena *arena, size_t room)
{
	w->arena = arena;
	w->len = 0;
	w->room = room;
	w->data = arena_alloc(arena, room);
}

/* Room for n bytes more; returns where they go. */
static uint8_t *
reserve(ProtoWriter *w, size_t n)
{
	uint8_t *data;
	size_t room = w->room;

	if (n <= w->room - w->len)
		return w->data + w->len;
	while (room - w->len < n)
		room = room < 64 ? 128 : room * 2;
	data = arena_alloc(w->arena, room);
	if (w->len > 0)
		memcpy(data, w->data, w->len);
	w->data = data;
	w->room = room;
	return w->data + w->len;
}

static void
put_varint(ProtoWriter *w, uint64_t value)
{
	uint8_t *p = reserve(w, VAR_U64_MAX_LEN);

	w->len += (size_t) (put_var_u64(p, value) - p);
}

static void
put_tag(ProtoWriter *w, uint32_t field, ProtoWire wire)
{
	put_varint(w, (uint64_t) field << 3 | (uint64_t) wire);
}

void
proto_put_element(ProtoWriter *w, uint32_t field, uint64_t value)
{
	put_tag(w, field, PROTO_VARINT);
	put_varint(w, value);
}

void
proto_put_u64(ProtoWriter *w, uint32_t field, uint64_t value)
{
	if (value != 0)
		proto_put_element(w, field, value);
}

void
proto_put_raw(ProtoWriter *w, Bytes bytes)
{
	if (bytes.len == 0)
		return;
	memcpy(reserve(w, bytes.len), bytes.data, bytes.len);
	w->len += bytes.len;
}

void
proto_put_bytes(ProtoWriter *w, uint32_t field, Bytes value)
{
	if (value.len == 0)
		return;
	put_tag(w, field, PROTO_BYTES);
	put_varint(w, value.len);
	proto_put_raw(w, value);
}

static size_t
varint_len(uint64_t value)
{
	size_t n = 1;

	for (; value >= 0x80; value >>= 7)
		n++;
	return n;
}

ProtoMark
proto_begin(ProtoWriter *w, uint32_t field, size_t guess)
{
	ProtoMark mark = {.room = varint_len(guess)};

	put_tag(w, field, PROTO_BYTES);
	(void) reserve(w, mark.room);
	mark.start = w->len;
	w->len += mark.room;
	return mark;
}

void
proto_end(ProtoWriter *w, ProtoMark mark)
{
	size_t from = mark.start + mark.room;
	size_t len = w->len - from;
	size_t needed = varint_len(len);

	CHECK(w->len >= from);
	if (needed > mark.room)
		(void) reserve(w, needed - mark.room);
	if (needed != mark.room && len > 0)
		memmove(w->data + mark.start + needed, w->data + from, len);
	w->len = mark.start + needed + len;
	put_var_u64(w->data + mark.start, len);
}

/* ----------------------------------------------------------------- reading */

ProtoReader
proto_reader(Bytes bytes)
{
	return (ProtoReader){.in = number_reader(bytes), .bad = false};
}

/* Little endian numbers are not used by our messages, but may be unknown. */
static bool
skip_fixed(ProtoReader *r, size_t n, ProtoField *field)
{
	Bytes skipped;

	field->value = 0;
	return get_bytes(&r->in, n, &skipped);
}

static bool
get_value(ProtoReader *r, ProtoField *field)
{
	uint64_t len;

	field->bytes = bytes_empty();
	field->value = 0;
	switch (field->wire)
	{
		case PROTO_VARINT:
			return get_var_u64(&r->in, &field->value);
		case PROTO_FIXED64:
			return skip_fixed(r, 8, field);
		case PROTO_FIXED32:
			return skip_fixed(r, 4, field);
		case PROTO_BYTES:
			return get_var_u64(&r->in, &len) &&
				get_bytes(&r->in, len, &field->bytes);
	}
	return false;
}

bool
proto_next(ProtoReader *r, ProtoField *field)
{
	uint64_t tag;

	if (r->bad || number_left(&r->in) == 0)
		return false;
	if (get_var_u64(&r->in, &tag) && tag >> 3 != 0 && tag >> 3 <= MAX_FIELD)
	{
		field->number = (uint32_t) (tag >> 3);
		field->wire = (ProtoWire) (tag & 7);
		if (get_value(r, field))
			return true;
	}
	r->bad = true;
	return false;
}

uint64_t
proto_get_u64(ProtoReader *r, const ProtoField *field)
{
	if (field->wire == PROTO_VARINT)
		return field->value;
	r->bad = true;
	return 0;
}

Bytes
proto_get_bytes(ProtoReader *r, const ProtoField *field)
{
	if (field->wire == PROTO_BYTES)
		return field->bytes;
	r->bad = true;
	return bytes_empty();
}

size_t
proto_count(Bytes bytes, uint32_t number)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;
	size_t n = 0;

	while (proto_next(&r, &field))
		if (field.number == number)
			n++;
	return n;
}

static void
append(ProtoReader *r, uint64_t value, uint64_t *out, int *n, int max)
{
	if (*n < max)
		out[(*n)++] = value;
	else
		r->bad = true;
}

void
proto_get_list(ProtoReader *r, const ProtoField *field, uint64_t *out, int *n,
			   int max)
{
	NumberReader packed = number_reader(field->bytes);
	uint64_t value;

	if (field->wire == PROTO_VARINT)
		append(r, field->value, out, n, max);
	else if (field->wire != PROTO_BYTES)
		r->bad = true;
	else
		while (number_left(&packed) > 0 && !r->bad)
		{
			if (get_var_u64(&packed, &value))
				append(r, value, out, n, max);
			else
				r->bad = true;
		}
}
