/*
 * lock.c
 *	  The Lock record of CF lock, as TiKV encodes it.
 */
#include "core/codec/lock.h"

#include "core/base/check.h"
#include "core/codec/number.h"

enum
{
	TAG_SHORT_VALUE = 'v',
	TAG_FOR_UPDATE_TS = 'f',
	TAG_TXN_SIZE = 't',
	TAG_MIN_COMMIT_TS = 'c',
	TAG_ASYNC_COMMIT = 'a',
	TAG_ROLLBACK_TS = 'r',
	TAG_LAST_CHANGE = 'l',
	TAG_TXN_SOURCE = 's',
	TAG_LOCKED_WITH_CONFLICT = 'F',
	TAG_GENERATION = 'g',
	TAG_SHARED_FLAGS = 'i',
	TAG_SHARED_MEMBERS = 'h'
};

#define SHARED_FLAG_SHRINK_ONLY 0x01

/* Members of members do not exist; a record that nests deeper is corrupt. */
#define MAX_DEPTH 1

/* ------------------------------------------------------------- encoding */

static size_t
lock_room(const Lock *lock)
{
	/* Every fixed field with its tag at its largest fits in 128 bytes. */
	size_t room = 128 + compact_bytes_room(lock->primary) +
		lock->short_value.len + lock->n_rollback_ts * 8;

	for (size_t i = 0; i < lock->n_secondaries; i++)
		room += compact_bytes_room(lock->secondaries[i]);
	return room;
}

static uint8_t *
put_tagged_u64(uint8_t *p, uint8_t tag, uint64_t v)
{
	if (v == 0)
		return p;
	return put_u64(put_u8(p, tag), v);
}

static uint8_t *
put_async_commit(uint8_t *p, const Lock *lock)
{
	if (!lock->use_async_commit)
		return p;
	p = put_var_u64(put_u8(p, TAG_ASYNC_COMMIT), lock->n_secondaries);
	for (size_t i = 0; i < lock->n_secondaries; i++)
		p = put_compact_bytes(p, lock->secondaries[i]);
	return p;
}

static uint8_t *
put_rollback_ts(uint8_t *p, const Lock *lock)
{
	if (lock->n_rollback_ts == 0)
		return p;
	p = put_var_u64(put_u8(p, TAG_ROLLBACK_TS), lock->n_rollback_ts);
	for (size_t i = 0; i < lock->n_rollback_ts; i++)
		p = put_u64(p, lock->rollback_ts[i]);
	return p;
}

static uint8_t *
put_last_change(uint8_t *p, LastChange c)
{
	if (last_change_is_unknown(c))
		return p;
	p = put_u64(put_u8(p, TAG_LAST_CHANGE), c.ts);
	return put_var_u64(p, last_change_not_exist(c) ? 1 : c.versions);
}

static uint8_t *
put_fields(uint8_t *p, const Lock *lock)
{
	if (lock->has_short_value)
	{
		CHECK(lock->short_value.len <= SHORT_VALUE_MAX_LEN);
		p = put_u8(put_u8(p, TAG_SHORT_VALUE), (uint8_t) lock->short_value.len);
		if (lock->short_value.len > 0)
			memcpy(p, lock->short_value.data, lock->short_value.len);
		p += lock->short_value.len;
	}
	p = put_tagged_u64(p, TAG_FOR_UPDATE_TS, lock->for_update_ts);
	p = put_tagged_u64(p, TAG_TXN_SIZE, lock->txn_size);
	p = put_tagged_u64(p, TAG_MIN_COMMIT_TS, lock->min_commit_ts);
	p = put_async_commit(p, lock);
	p = put_rollback_ts(p, lock);
	p = put_last_change(p, lock->last_change);
	if (lock->txn_source != 0)
		p = put_var_u64(put_u8(p, TAG_TXN_SOURCE), lock->txn_source);
	if (lock->locked_with_conflict)
		p = put_u8(p, TAG_LOCKED_WITH_CONFLICT);
	return put_tagged_u64(p, TAG_GENERATION, lock->generation);
}

static bool
may_be_member(LockType type)
{
	return type == LOCK_TYPE_LOCK || type == LOCK_TYPE_PESSIMISTIC;
}

static Bytes
encode_shared(const Lock *lock, Arena *arena)
{
	Bytes *members = arena_alloc(arena, lock->n_members * sizeof(Bytes));
	size_t room = 3 + 1 + VAR_U64_MAX_LEN;
	uint8_t *data;
	uint8_t *p;

	for (size_t i = 0; i < lock->n_members; i++)
	{
		CHECK(may_be_member(lock->members[i].type));
		members[i] = lock_encode(&lock->members[i], arena);
		room += compact_bytes_room(members[i]);
	}
	data = arena_alloc(arena, room);
	p = put_u8(data, LOCK_TYPE_SHARED);
	if (lock->shrink_only)
		p = put_u8(put_u8(p, TAG_SHARED_FLAGS), SHARED_FLAG_SHRINK_ONLY);
	p = put_var_u64(put_u8(p, TAG_SHARED_MEMBERS), lock->n_members);
	for (size_t i = 0; i < lock->n_members; i++)
		p = put_compact_bytes(p, members[i]);
	return bytes_make(data, (size_t) (p - data));
}

Bytes
lock_encode(const Lock *lock, Arena *arena)
{
	uint8_t *data;
	uint8_t *p;

	if (lock->type == LOCK_TYPE_SHARED)
		return encode_shared(lock, arena);
	data = arena_alloc(arena, lock_room(lock));
	p = put_u8(data, (uint8_t) lock->type);
	p = put_compact_bytes(p, lock->primary);
	p = put_var_u64(p, lock->start_ts);
	p = put_var_u64(p, lock->ttl_ms);
	p = put_fields(p, lock);
	return bytes_make(data, (size_t) (p - data));
}

/* ------------------------------------------------------------- decoding */

static bool
read_short_value(NumberReader *r, Lock *lock)
{
	uint8_t len;

	lock->has_short_value = true;
	return get_u8(r, &len) && get_bytes(r, len, &lock->short_value);
}

static bool
read_secondaries(NumberReader *r, Arena *arena, Lock *lock)
{
	uint64_t n;
	Bytes *keys;

	lock->use_async_commit = true;
	/* Each takes a byte at least: a count beyond that is no count. */
	if (!get_var_u64(r, &n) || n > number_left(r))
		return false;
	keys = arena_alloc(arena, (size_t) n * sizeof(Bytes));
	for (size_t i = 0; i < n; i++)
		if (!get_compact_bytes(r, &keys[i]))
			return false;
	lock->secondaries = keys;
	lock->n_secondaries = (size_t) n;
	return true;
}

static bool
read_rollback_ts(NumberReader *r, Arena *arena, Lock *lock)
{
	uint64_t n;
	uint64_t *ts;

	if (!get_var_u64(r, &n) || n > number_left(r) / 8)
		return false;
	ts = arena_alloc(arena, (size_t) n * sizeof(*ts));
	for (size_t i = 0; i < n; i++)
		if (!get_u64(r, &ts[i]))
			return false;
	lock->rollback_ts = ts;
	lock->n_rollback_ts = (size_t) n;
	return true;
}

/* One tagged field; *known false for a tag of a later version. */
static bool
read_field(NumberReader *r, uint8_t tag, Arena *arena, Lock *lock, bool *known)
{
	switch (tag)
	{
		case TAG_SHORT_VALUE:
			return read_short_value(r, lock);
		case TAG_FOR_UPDATE_TS:
			return get_u64(r, &lock->for_update_ts);
		case TAG_TXN_SIZE:
			return get_u64(r, &lock->txn_size);
		case TAG_MIN_COMMIT_TS:
			return get_u64(r, &lock->min_commit_ts);
		case TAG_ASYNC_COMMIT:
			return read_secondaries(r, arena, lock);
		case TAG_ROLLBACK_TS:
			return read_rollback_ts(r, arena, lock);
		case TAG_LAST_CHANGE:
			return get_u64(r, &lock->last_change.ts) &&
				get_var_u64(r, &lock->last_change.versions) &&
				last_change_is_valid(lock->last_change);
		case TAG_TXN_SOURCE:
			return get_var_u64(r, &lock->txn_source);
		case TAG_LOCKED_WITH_CONFLICT:
			lock->locked_with_conflict = true;
			return true;
		case TAG_GENERATION:
			return get_u64(r, &lock->generation);
		default:
			*known = false;
			return true;
	}
}

static bool
read_fields(NumberReader *r, Arena *arena, Lock *lock)
{
	bool known = true;
	uint8_t tag;

	while (known && get_u8(r, &tag))
		if (!read_field(r, tag, arena, lock, &known))
			return false;
	return true;
}

static bool decode(Bytes bytes, Arena *arena, int depth, Lock *lock);

static bool
read_members(NumberReader *r, Arena *arena, int depth, Lock *lock)
{
	uint64_t n;

	if (!get_var_u64(r, &n) || n > number_left(r))
		return false;
	lock->n_members = (size_t) n;
	lock->members = arena_alloc(arena, (size_t) n * sizeof(Lock));
	for (size_t i = 0; i < n; i++)
	{
		Bytes member;

		if (!get_compact_bytes(r, &member) ||
			!decode(member, arena, depth + 1, &lock->members[i]) ||
			!may_be_member(lock->members[i].type))
			return false;
	}
	return true;
}

static bool
read_shared(NumberReader *r, Arena *arena, int depth, Lock *lock)
{
	uint8_t tag;
	uint8_t flags;

	while (get_u8(r, &tag))
	{
		if (tag == TAG_SHARED_FLAGS)
		{
			/* Unlike an unknown tag, an unknown flag must not be passed over. */
			if (!get_u8(r, &flags) || (flags & ~SHARED_FLAG_SHRINK_ONLY) != 0)
				return false;
			lock->shrink_only = (flags & SHARED_FLAG_SHRINK_ONLY) != 0;
		}
		else if (tag != TAG_SHARED_MEMBERS)
			return true;
		else if (!read_members(r, arena, depth, lock))
			return false;
	}
	return true;
}

static bool
type_is_known(uint8_t type, int depth)
{
	switch (type)
	{
		case LOCK_TYPE_PUT:
		case LOCK_TYPE_DELETE:
		case LOCK_TYPE_LOCK:
		case LOCK_TYPE_PESSIMISTIC:
			return true;
		case LOCK_TYPE_SHARED:
			return depth < MAX_DEPTH;
		default:
			return false;
	}
}

static bool
decode(Bytes bytes, Arena *arena, int depth, Lock *lock)
{
	NumberReader r = number_reader(bytes);
	uint8_t type;

	memset(lock, 0, sizeof(*lock));
	if (!get_u8(&r, &type) || !type_is_known(type, depth))
		return false;
	lock->type = (LockType) type;
	if (type == LOCK_TYPE_SHARED)
		return read_shared(&r, arena, depth, lock);
	if (!get_compact_bytes(&r, &lock->primary) ||
		!get_var_u64(&r, &lock->start_ts))
		return false;
	if (number_left(&r) == 0)
		return true;
	return get_var_u64(&r, &lock->ttl_ms) && read_fields(&r, arena, lock);
}

Status
lock_decode(Bytes bytes, Arena *arena, Lock *lock)
{
	return decode(bytes, arena, 0, lock) ? STATUS_OK : STATUS_CORRUPT;
}

/* -------------------------------------------------------------- copying */

static void
copy_lists(const Lock *from, Arena *arena, Lock *to)
{
	Bytes *secondaries =
		arena_alloc(arena, from->n_secondaries * sizeof(Bytes));
	uint64_t *rollback_ts =
		arena_alloc(arena, from->n_rollback_ts * sizeof(uint64_t));

	for (size_t i = 0; i < from->n_secondaries; i++)
		secondaries[i] = arena_copy(arena, from->secondaries[i]);
	for (size_t i = 0; i < from->n_rollback_ts; i++)
		rollback_ts[i] = from->rollback_ts[i];
	to->secondaries = secondaries;
	to->rollback_ts = rollback_ts;
}

void
lock_copy(const Lock *from, Arena *arena, Lock *to)
{
	*to = *from;
	to->primary = arena_copy(arena, from->primary);
	to->short_value = arena_copy(arena, from->short_value);
	copy_lists(from, arena, to);
	to->members = arena_alloc(arena, from->n_members * sizeof(Lock));
	for (size_t i = 0; i < from->n_members; i++)
		lock_copy(&from->members[i], arena, &to->members[i]);
}
