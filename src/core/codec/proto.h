/*
 * proto.h
 *	  Protobuf's wire format, as far as the core writes and reads it by hand.
 *
 * The core knows no protobuf library, and what stands in the log and goes
 * between stores is read on the hot path.  The writer grows in an arena; the
 * reader takes any bytes and never reads past the end.  Source: the encoding
 * page of protobuf's documentation (protobuf.dev).
 */
#ifndef TIKV_CODEC_PROTO_H
#define TIKV_CODEC_PROTO_H

#include "core/base/arena.h"
#include "core/base/status.h"
#include "core/codec/number.h"

typedef struct ProtoWriter
{
	Arena *arena;
	uint8_t *data;
	size_t len;
	size_t room;
} ProtoWriter;

extern void proto_writer_init(ProtoWriter *w, Arena *arena, size_t room);

/* Values that are 0 and strings that are empty are left out, as in proto3. */
extern void proto_put_u64(ProtoWriter *w, uint32_t field, uint64_t value);
extern void proto_put_bytes(ProtoWriter *w, uint32_t field, Bytes value);

/* Bytes as they are, such as a packed number. */
extern void proto_put_raw(ProtoWriter *w, Bytes bytes);

/* An element of a list: also if it is 0. */
extern void proto_put_element(ProtoWriter *w, uint32_t field, uint64_t value);

/*
 * A message within: what is written between the two.  A good guess of its
 * length saves moving it.  It is written even if it is empty.
 */
typedef struct ProtoMark
{
	size_t start; /* of the length */
	size_t room;  /* bytes left for it */
} ProtoMark;

extern ProtoMark proto_begin(ProtoWriter *w, uint32_t field, size_t guess);
extern void proto_end(ProtoWriter *w, ProtoMark mark);

static inline Bytes
proto_written(const ProtoWriter *w)
{
	return bytes_make(w->data, w->len);
}

typedef enum ProtoWire
{
	PROTO_VARINT = 0,
	PROTO_FIXED64 = 1,
	PROTO_BYTES = 2,
	PROTO_FIXED32 = 5
} ProtoWire;

typedef struct ProtoField
{
	uint32_t number;
	ProtoWire wire;
	uint64_t value; /* of numbers */
	Bytes bytes;	/* PROTO_BYTES; borrowed from what is read */
} ProtoField;

typedef struct ProtoReader
{
	NumberReader in;
	bool bad; /* what was read is no message */
} ProtoReader;

extern ProtoReader proto_reader(Bytes bytes);

/* The next field; false at the end, or when the bytes are bad. */
extern bool proto_next(ProtoReader *r, ProtoField *field);

/*
 * The field's value if it has the right wire type; else 0 or empty, and the
 * reader is bad.
 */
extern uint64_t proto_get_u64(ProtoReader *r, const ProtoField *field);
extern Bytes proto_get_bytes(ProtoReader *r, const ProtoField *field);

/* Of what was read so far: STATUS_INVALID if it is no message. */
static inline Status
proto_status(const ProtoReader *r)
{
	return r->bad ? STATUS_INVALID : STATUS_OK;
}

/* How many elements a repeated message has at most: for one allocation. */
extern size_t proto_count(Bytes bytes, uint32_t field);

/*
 * The numbers of a list, packed or not, appended to out; more than `max` in
 * all are bad.
 */
extern void proto_get_list(ProtoReader *r, const ProtoField *field,
						   uint64_t *out, int *n, int max);

#endif /* TIKV_CODEC_PROTO_H */
