/*
 * key_codec.c
 *	  Columns as parts of a key: encodings whose order is that of the values.
 */
#include "core/row/key_codec.h"

#include "core/base/check.h"
#include "core/codec/memcomparable.h"
#include "core/codec/number.h"

#define SIGN ((uint64_t) 1 << 63)

size_t
key_part_len(KeyKind kind, const KeyPart *part)
{
	switch (kind)
	{
		case KEY_INT:
			return 8;
		case KEY_BOOL:
			return 1;
		case KEY_UUID:
			return KEY_UUID_LEN;
		case KEY_BYTES:
			return memcomparable_len(part->bytes.len);
		case KEY_REST:
			return part->bytes.len;
	}
	CHECK(false);
	return 0;
}

static uint8_t *
put_plain(uint8_t *p, Bytes bytes)
{
	if (bytes.len > 0)
		memcpy(p, bytes.data, bytes.len);
	return p + bytes.len;
}

uint8_t *
key_part_put(uint8_t *p, KeyKind kind, const KeyPart *part)
{
	switch (kind)
	{
		case KEY_INT:
			return put_u64(p, (uint64_t) part->number ^ SIGN);
		case KEY_BOOL:
			return put_u8(p, part->number != 0);
		case KEY_UUID:
			CHECK(part->bytes.len == KEY_UUID_LEN);
			return put_plain(p, part->bytes);
		case KEY_BYTES:
			return memcomparable_put(p, part->bytes);
		case KEY_REST:
			return put_plain(p, part->bytes);
	}
	CHECK(false);
	return p;
}

static Status
get_fixed(Bytes *key, size_t len, Bytes *out)
{
	if (key->len < len)
		return STATUS_INVALID;
	*out = bytes_make(key->data, len);
	*key = bytes_make(key->data + len, key->len - len);
	return STATUS_OK;
}

static Status
get_number(Bytes *key, KeyKind kind, KeyPart *out)
{
	Bytes bytes;
	NumberReader reader;
	uint64_t number = 0;

	if (get_fixed(key, kind == KEY_INT ? 8 : 1, &bytes) != STATUS_OK)
		return STATUS_INVALID;
	reader = number_reader(bytes);
	if (kind == KEY_INT && get_u64(&reader, &number))
		out->number = (int64_t) (number ^ SIGN);
	else
		out->number = bytes.data[0];
	return kind == KEY_BOOL && bytes.data[0] > 1 ? STATUS_INVALID : STATUS_OK;
}

Status
key_part_get(Bytes *key, KeyKind kind, Arena *arena, KeyPart *out)
{
	switch (kind)
	{
		case KEY_INT:
		case KEY_BOOL:
			return get_number(key, kind, out);
		case KEY_UUID:
			return get_fixed(key, KEY_UUID_LEN, &out->bytes);
		case KEY_BYTES:
			return memcomparable_decode(*key, arena, &out->bytes, key);
		case KEY_REST:
			return get_fixed(key, key->len, &out->bytes);
	}
	return STATUS_INVALID;
}

Bytes
key_prefix_end(Bytes prefix, uint8_t *out)
{
	size_t len = prefix.len;

	while (len > 0 && prefix.data[len - 1] == 0xFF)
		len--;
	if (len == 0)
		return bytes_empty();
	memmove(out, prefix.data, len);
	out[len - 1]++;
	return bytes_make(out, len);
}
