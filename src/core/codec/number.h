/*
 * number.h
 *	  Numbers in TiKV's encodings: fixed big endian, LEB128, zig-zag.
 *
 * Writers need room that the caller has computed; readers check every length
 * and never read past the end.  Source: tikv/tikv
 * components/codec/src/number.rs, components/tikv_util/src/codec/bytes.rs.
 */
#ifndef TIKV_CODEC_NUMBER_H
#define TIKV_CODEC_NUMBER_H

#include "core/base/bytes.h"

#define VAR_U64_MAX_LEN 10

static inline uint8_t *
put_u8(uint8_t *p, uint8_t v)
{
	*p = v;
	return p + 1;
}

static inline uint8_t *
put_u64(uint8_t *p, uint64_t v)
{
	for (int shift = 56; shift >= 0; shift -= 8)
		*p++ = (uint8_t) (v >> shift);
	return p;
}

/* Newer sorts first: the timestamps behind keys. */
static inline uint8_t *
put_u64_desc(uint8_t *p, uint64_t v)
{
	return put_u64(p, ~v);
}

static inline uint8_t *
put_var_u64(uint8_t *p, uint64_t v)
{
	while (v >= 0x80)
	{
		*p++ = (uint8_t) (v | 0x80);
		v >>= 7;
	}
	*p++ = (uint8_t) v;
	return p;
}

/* "Compact bytes": a zig-zag length, then the bytes.  Not comparable. */
static inline uint8_t *
put_compact_bytes(uint8_t *p, Bytes b)
{
	p = put_var_u64(p, (uint64_t) b.len << 1);
	if (b.len > 0)
		memcpy(p, b.data, b.len);
	return p + b.len;
}

/* Room that put_compact_bytes needs at most. */
static inline size_t
compact_bytes_room(Bytes b)
{
	return VAR_U64_MAX_LEN + b.len;
}

typedef struct NumberReader
{
	const uint8_t *next;
	const uint8_t *end;
} NumberReader;

static inline NumberReader
number_reader(Bytes b)
{
	NumberReader r = {b.data, b.data == NULL ? NULL : b.data + b.len};

	return r;
}

static inline size_t
number_left(const NumberReader *r)
{
	return (size_t) (r->end - r->next);
}

static inline bool
get_u8(NumberReader *r, uint8_t *v)
{
	if (r->next == r->end)
		return false;
	*v = *r->next++;
	return true;
}

static inline bool
get_u64(NumberReader *r, uint64_t *v)
{
	if (number_left(r) < 8)
		return false;
	*v = 0;
	for (int i = 0; i < 8; i++)
		*v = *v << 8 | *r->next++;
	return true;
}

/* False as well for more than 64 bits. */
static inline bool
get_var_u64(NumberReader *r, uint64_t *v)
{
	*v = 0;
	for (int shift = 0; shift < 70 && r->next != r->end; shift += 7)
	{
		uint8_t byte = *r->next++;

		if (shift == 63 && byte > 1)
			return false;
		*v |= (uint64_t) (byte & 0x7f) << shift;
		if (byte < 0x80)
			return true;
	}
	return false;
}

/* Borrowed from what is read. */
static inline bool
get_bytes(NumberReader *r, uint64_t len, Bytes *b)
{
	if (len > number_left(r))
		return false;
	*b = bytes_make(r->next, (size_t) len);
	r->next += len;
	return true;
}

static inline bool
get_compact_bytes(NumberReader *r, Bytes *b)
{
	uint64_t zigzag;

	return get_var_u64(r, &zigzag) && (zigzag & 1) == 0 &&
		get_bytes(r, zigzag >> 1, b);
}

#endif /* TIKV_CODEC_NUMBER_H */
