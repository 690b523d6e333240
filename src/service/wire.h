/*
 * wire.h
 *	  The protobuf wire format, as far as it is read and written by hand.
 *
 * Envelopes (BatchCommands, health) are taken apart and put together here
 * without building messages, so that what is inside is decoded and copied
 * once.  Readers check every length; they never read past the end.
 */
#ifndef TIKV_SERVICE_WIRE_H
#define TIKV_SERVICE_WIRE_H

#include "core/base/bytes.h"

#define WIRE_VARINT 0
#define WIRE_FIXED64 1
#define WIRE_BYTES 2
#define WIRE_FIXED32 5

typedef struct WireReader
{
	const uint8_t *next;
	const uint8_t *end;
	bool bad; /* met bytes that are not protobuf */
} WireReader;

typedef struct WireField
{
	uint32_t number;
	int type;
	uint64_t value; /* WIRE_VARINT */
	Bytes bytes;	/* WIRE_BYTES */
} WireField;

static inline WireReader
wire_reader(Bytes b)
{
	WireReader r = {b.data, b.data == NULL ? NULL : b.data + b.len, false};

	return r;
}

static inline bool
wire_fail(WireReader *r)
{
	r->bad = true;
	return false;
}

static inline bool
wire_read_varint(WireReader *r, uint64_t *out)
{
	uint64_t v = 0;

	for (int shift = 0; shift < 64 && r->next != r->end; shift += 7)
	{
		v |= (uint64_t) (*r->next & 0x7f) << shift;
		if ((*r->next++ & 0x80) == 0)
		{
			*out = v;
			return true;
		}
	}
	return wire_fail(r);
}

static inline bool
wire_skip(WireReader *r, uint64_t len)
{
	if (len > (uint64_t) (r->end - r->next))
		return wire_fail(r);
	r->next += len;
	return true;
}

/* The next field; false at the end, or with `bad` set. */
static inline bool
wire_read_field(WireReader *r, WireField *f)
{
	uint64_t key;
	uint64_t len;

	f->value = 0;
	f->bytes = bytes_empty();
	if (r->next == r->end || !wire_read_varint(r, &key))
		return false;
	if ((key >> 3) == 0 || (key >> 3) > 536870911)
		return wire_fail(r);
	f->number = (uint32_t) (key >> 3);
	f->type = (int) (key & 7);
	switch (f->type)
	{
		case WIRE_VARINT:
			return wire_read_varint(r, &f->value);
		case WIRE_BYTES:
			if (!wire_read_varint(r, &len))
				return false;
			f->bytes = bytes_make(r->next, (size_t) len);
			return wire_skip(r, len);
		case WIRE_FIXED64:
			return wire_skip(r, 8);
		case WIRE_FIXED32:
			return wire_skip(r, 4);
		default:
			return wire_fail(r);
	}
}

static inline size_t
wire_varint_len(uint64_t v)
{
	size_t n = 1;

	while (v >= 0x80)
	{
		v >>= 7;
		n++;
	}
	return n;
}

static inline uint8_t *
wire_write_varint(uint8_t *p, uint64_t v)
{
	while (v >= 0x80)
	{
		*p++ = (uint8_t) (v | 0x80);
		v >>= 7;
	}
	*p++ = (uint8_t) v;
	return p;
}

static inline uint64_t
wire_key(uint32_t number, int type)
{
	return (uint64_t) number << 3 | (uint64_t) type;
}

#endif /* TIKV_SERVICE_WIRE_H */
