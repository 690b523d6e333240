/*
 * row.c
 *	  The columns of a row that are no key, as one value.
 */
#include "core/row/row.h"

#define ROW_VERSION 1
#define KIND_BITS 3
#define KIND_MASK 7
#define MAX_COLUMN 65535

static uint64_t
zigzag(int64_t v)
{
	return ((uint64_t) v << 1) ^ (v < 0 ? UINT64_MAX : 0);
}

static int64_t
unzigzag(uint64_t v)
{
	return (int64_t) ((v >> 1) ^ ((v & 1) != 0 ? UINT64_MAX : 0));
}

static size_t
var_len(uint64_t v)
{
	size_t len = 1;

	for (; v >= 0x80; v >>= 7)
		len++;
	return len;
}

static uint64_t
tag(const RowField *field)
{
	return (uint64_t) field->column << KIND_BITS | (uint64_t) field->kind;
}

static bool
has_bytes(RowKind kind)
{
	return kind == ROW_BYTES || kind == ROW_TEXT;
}

size_t
row_len(const RowField *fields, size_t n)
{
	size_t len = 1;

	for (size_t i = 0; i < n; i++)
	{
		len += var_len(tag(&fields[i]));
		if (has_bytes(fields[i].kind))
			len += var_len(fields[i].bytes.len) + fields[i].bytes.len;
		else if (fields[i].kind == ROW_FIXED)
			len += 8;
		else
			len += var_len(zigzag(fields[i].number));
	}
	return len;
}

static uint8_t *
put_bytes(uint8_t *p, Bytes bytes)
{
	p = put_var_u64(p, bytes.len);
	if (bytes.len > 0)
		memcpy(p, bytes.data, bytes.len);
	return p + bytes.len;
}

uint8_t *
row_put(uint8_t *p, const RowField *fields, size_t n)
{
	p = put_u8(p, ROW_VERSION);
	for (size_t i = 0; i < n; i++)
	{
		p = put_var_u64(p, tag(&fields[i]));
		if (has_bytes(fields[i].kind))
			p = put_bytes(p, fields[i].bytes);
		else if (fields[i].kind == ROW_FIXED)
			p = put_u64(p, (uint64_t) fields[i].number);
		else
			p = put_var_u64(p, zigzag(fields[i].number));
	}
	return p;
}

Status
row_begin(Bytes row, RowReader *reader)
{
	uint8_t version;

	reader->bytes = number_reader(row);
	reader->last_column = 0;
	if (!get_u8(&reader->bytes, &version) || version != ROW_VERSION)
		return STATUS_INVALID;
	return STATUS_OK;
}

static bool
get_payload(NumberReader *bytes, RowField *out)
{
	uint64_t v;

	switch (out->kind)
	{
		case ROW_NUMBER:
		case ROW_DATE:
		case ROW_TIME:
			if (!get_var_u64(bytes, &v))
				return false;
			out->number = unzigzag(v);
			return true;
		case ROW_FIXED:
			if (!get_u64(bytes, &v))
				return false;
			out->number = (int64_t) v;
			return true;
		case ROW_BYTES:
		case ROW_TEXT:
			return get_var_u64(bytes, &v) && get_bytes(bytes, v, &out->bytes);
	}
	return false;
}

Status
row_next(RowReader *reader, RowField *out)
{
	uint64_t t;
	uint64_t column;

	if (number_left(&reader->bytes) == 0)
		return STATUS_NOT_FOUND;
	if (!get_var_u64(&reader->bytes, &t))
		return STATUS_INVALID;
	column = t >> KIND_BITS;
	if (column <= reader->last_column || column > MAX_COLUMN)
		return STATUS_INVALID;
	out->column = (uint32_t) column;
	out->kind = (RowKind) (t & KIND_MASK);
	if (!get_payload(&reader->bytes, out))
		return STATUS_INVALID;
	reader->last_column = out->column;
	return STATUS_OK;
}
