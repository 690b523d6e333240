/*
 * memcomparable.c
 *	  Byte strings encoded so that their order survives concatenation.
 */
#include "core/codec/memcomparable.h"

#include "core/codec/number.h"

#define GROUP 8
#define MARKER 0xFF

/* The group that begins at `at`: its bytes, padded, and its marker. */
static void
make_group(Bytes key, size_t at, uint8_t group[GROUP + 1])
{
	size_t left = key.len - at;
	size_t n = left < GROUP ? left : GROUP;

	memset(group, 0, GROUP);
	if (n > 0)
		memcpy(group, key.data + at, n);
	group[GROUP] = (uint8_t) (MARKER - (GROUP - n));
}

uint8_t *
memcomparable_put(uint8_t *p, Bytes key)
{
	for (size_t at = 0; at <= key.len; at += GROUP)
	{
		make_group(key, at, p);
		p += GROUP + 1;
	}
	return p;
}

Bytes
memcomparable_encode(Bytes key, Arena *arena)
{
	size_t len = memcomparable_len(key.len);
	uint8_t *data = arena_alloc(arena, len);

	memcomparable_put(data, key);
	return bytes_make(data, len);
}

Bytes
memcomparable_encode_ts(Bytes key, uint64_t ts, Arena *arena)
{
	size_t len = memcomparable_len(key.len) + 8;
	uint8_t *data = arena_alloc(arena, len);

	put_u64_desc(memcomparable_put(data, key), ts);
	return bytes_make(data, len);
}

static bool
is_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != 0)
			return false;
	return true;
}

Status
memcomparable_decode(Bytes encoded, Arena *arena, Bytes *key, Bytes *rest)
{
	uint8_t *data = arena_alloc(arena, encoded.len);
	size_t len = 0;

	for (size_t at = 0; at + GROUP < encoded.len; at += GROUP + 1)
	{
		const uint8_t *group = encoded.data + at;
		size_t pad = (size_t) (MARKER - group[GROUP]);

		if (pad > GROUP || !is_zero(group + GROUP - pad, pad))
			return STATUS_INVALID;
		memcpy(data + len, group, GROUP - pad);
		len += GROUP - pad;
		if (pad == 0)
			continue;
		*key = bytes_make(data, len);
		if (rest != NULL)
			*rest =
				bytes_make(group + GROUP + 1, encoded.len - at - (GROUP + 1));
		return STATUS_OK;
	}
	return STATUS_INVALID;
}

/*
 * How many bytes of the last group the least key has: zeros at its end may be
 * padding, unless the marker, or what follows it, asks for more.
 */
static size_t
ceil_len(const uint8_t *group, size_t n, size_t len)
{
	size_t least = n;

	while (least > 0 && group[least - 1] == 0)
		least--;
	if (len > GROUP && group[GROUP] >= MARKER - GROUP)
	{
		size_t marked =
			(size_t) (group[GROUP] - (MARKER - GROUP)) + (len > GROUP + 1);

		if (marked > least)
			least = marked;
	}
	return least;
}

Bytes
memcomparable_ceil(Bytes bound, Arena *arena)
{
	uint8_t *data = arena_alloc(arena, bound.len + 1);
	size_t len = 0;
	size_t at = 0;

	for (; at + GROUP < bound.len && bound.data[at + GROUP] == MARKER;
		 at += GROUP + 1)
	{
		memcpy(data + len, bound.data + at, GROUP);
		len += GROUP;
	}
	if (at < bound.len)
	{
		const uint8_t *group = bound.data + at;
		size_t left = bound.len - at;
		size_t n = left < GROUP ? left : GROUP;

		n = ceil_len(group, n, left);
		memcpy(data + len, group, n);
		len += n;
	}
	return bytes_make(data, len);
}

int
memcomparable_cmp(Bytes key, Bytes bound)
{
	uint8_t group[GROUP + 1];
	size_t done = 0;

	for (size_t at = 0; at <= key.len; at += GROUP)
	{
		size_t n = bound.len - done;
		int c;

		make_group(key, at, group);
		if (n > GROUP + 1)
			n = GROUP + 1;
		c = n == 0 ? 0 : memcmp(group, bound.data + done, n);
		if (c != 0)
			return c;
		if (n < GROUP + 1)
			return 1;
		done += n;
	}
	return done < bound.len ? -1 : 0;
}
