/*
 * write.c
 *	  The Write record of CF write, as TiKV encodes it.
 */
#include "core/codec/write.h"

#include "core/base/check.h"
#include "core/codec/number.h"

enum
{
	TAG_SHORT_VALUE = 'v',
	TAG_OVERLAPPED_ROLLBACK = 'R',
	TAG_GC_FENCE = 'F',
	TAG_LAST_CHANGE = 'l',
	TAG_TXN_SOURCE = 'S'
};

/* Type, five numbers and their tags at their largest. */
#define FIXED_ROOM 64

static const uint8_t protected_mark = 'p';

Bytes
write_encode(const WriteRecord *write, Arena *arena)
{
	uint8_t *data = arena_alloc(arena, FIXED_ROOM + write->short_value.len);
	uint8_t *p = put_u8(data, (uint8_t) write->type);

	p = put_var_u64(p, write->start_ts);
	if (write->has_short_value)
	{
		CHECK(write->short_value.len <= SHORT_VALUE_MAX_LEN);
		p = put_u8(put_u8(p, TAG_SHORT_VALUE),
				   (uint8_t) write->short_value.len);
		if (write->short_value.len > 0)
			memcpy(p, write->short_value.data, write->short_value.len);
		p += write->short_value.len;
	}
	if (write->has_overlapped_rollback)
		p = put_u8(p, TAG_OVERLAPPED_ROLLBACK);
	if (write->has_gc_fence)
		p = put_u64(put_u8(p, TAG_GC_FENCE), write->gc_fence);
	if (!last_change_is_unknown(write->last_change))
	{
		p = put_u64(put_u8(p, TAG_LAST_CHANGE), write->last_change.ts);
		p = put_var_u64(p,
						last_change_not_exist(write->last_change) ?
							1 :
							write->last_change.versions);
	}
	if (write->txn_source != 0)
		p = put_var_u64(put_u8(p, TAG_TXN_SOURCE), write->txn_source);
	return bytes_make(data, (size_t) (p - data));
}

static bool
read_field(NumberReader *r, uint8_t tag, WriteRecord *write, bool *known)
{
	uint8_t len;

	switch (tag)
	{
		case TAG_SHORT_VALUE:
			write->has_short_value = true;
			return get_u8(r, &len) && get_bytes(r, len, &write->short_value);
		case TAG_OVERLAPPED_ROLLBACK:
			write->has_overlapped_rollback = true;
			return true;
		case TAG_GC_FENCE:
			write->has_gc_fence = true;
			return get_u64(r, &write->gc_fence);
		case TAG_LAST_CHANGE:
			return get_u64(r, &write->last_change.ts) &&
				get_var_u64(r, &write->last_change.versions) &&
				last_change_is_valid(write->last_change);
		case TAG_TXN_SOURCE:
			return get_var_u64(r, &write->txn_source);
		default:
			*known = false;
			return true;
	}
}

static bool
type_is_known(uint8_t type)
{
	return type == WRITE_TYPE_PUT || type == WRITE_TYPE_DELETE ||
		type == WRITE_TYPE_LOCK || type == WRITE_TYPE_ROLLBACK;
}

Status
write_decode(Bytes bytes, WriteRecord *write)
{
	NumberReader r = number_reader(bytes);
	bool known = true;
	uint8_t type;
	uint8_t tag;

	memset(write, 0, sizeof(*write));
	if (!get_u8(&r, &type) || !type_is_known(type) ||
		!get_var_u64(&r, &write->start_ts))
		return STATUS_CORRUPT;
	write->type = (WriteType) type;
	while (known && get_u8(&r, &tag))
		if (!read_field(&r, tag, write, &known))
			return STATUS_CORRUPT;
	return STATUS_OK;
}

bool
write_is_protected(const WriteRecord *write)
{
	return write->type == WRITE_TYPE_ROLLBACK && write->has_short_value &&
		write->short_value.len == 1 &&
		write->short_value.data[0] == protected_mark;
}

WriteRecord
write_rollback(uint64_t start_ts, bool is_protected)
{
	WriteRecord write = {.type = WRITE_TYPE_ROLLBACK, .start_ts = start_ts};

	if (is_protected)
	{
		write.has_short_value = true;
		write.short_value = bytes_make(&protected_mark, 1);
	}
	return write;
}

WriteType
write_type_of_lock(LockType type)
{
	switch (type)
	{
		case LOCK_TYPE_PUT:
			return WRITE_TYPE_PUT;
		case LOCK_TYPE_DELETE:
			return WRITE_TYPE_DELETE;
		default:
			CHECK(type == LOCK_TYPE_LOCK);
			return WRITE_TYPE_LOCK;
	}
}
