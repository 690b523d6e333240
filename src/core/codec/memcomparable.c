/*
 * memcomparable.c
 *	  The order-preserving form of keys.
 */
#include "core/codec/memcomparable.h"

#define MARKER 0xff

void
memcomparable_write(Bytes key, uint8_t *out)
{
	size_t at = 0;
	size_t n;

	do
	{
		n = key.len - at < MEMCOMPARABLE_GROUP ? key.len - at :
												 MEMCOMPARABLE_GROUP;
		memset(out, 0, MEMCOMPARABLE_GROUP);
		if (n > 0)
			memcpy(out, key.data + at, n);
		out[MEMCOMPARABLE_GROUP] =
			(uint8_t) (MARKER - (MEMCOMPARABLE_GROUP - n));
		out += MEMCOMPARABLE_GROUP + 1;
		at += n;
	} while (n == MEMCOMPARABLE_GROUP);
}

Bytes
memcomparable_encode(Bytes key, Arena *arena)
{
	size_t size = memcomparable_size(key.len);
	uint8_t *out = arena_alloc(arena, size);

	memcomparable_write(key, out);
	return bytes_make(out, size);
}

/* The bytes of a group that are the key's; -1 if it is no group. */
static int
group_length(const uint8_t *group)
{
	int padding = MARKER - group[MEMCOMPARABLE_GROUP];

	if (padding > MEMCOMPARABLE_GROUP)
		return -1;
	for (int i = MEMCOMPARABLE_GROUP - padding; i < MEMCOMPARABLE_GROUP; i++)
		if (group[i] != 0)
			return -1;
	return MEMCOMPARABLE_GROUP - padding;
}

bool
memcomparable_decode(Bytes encoded, Arena *arena, Bytes *key, Bytes *rest)
{
	uint8_t *out = arena_alloc(arena, encoded.len);
	size_t len = 0;
	size_t at = 0;
	int n;

	do
	{
		if (encoded.len - at < MEMCOMPARABLE_GROUP + 1)
			return false;
		n = group_length(encoded.data + at);
		if (n < 0)
			return false;
		memcpy(out + len, encoded.data + at, (size_t) n);
		len += (size_t) n;
		at += MEMCOMPARABLE_GROUP + 1;
	} while (n == MEMCOMPARABLE_GROUP);
	*key = bytes_make(out, len);
	if (rest != NULL)
		*rest = bytes_make(encoded.data + at, encoded.len - at);
	return rest != NULL || at == encoded.len;
}
