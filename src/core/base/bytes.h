/*
 * bytes.h
 *	  A borrowed run of bytes, and how keys compare.
 *
 * Keys and values are byte strings that may hold zeros, so every interface
 * passes a pointer with a length.  A Bytes never owns what it points to; who
 * does is said by the function that hands one out.
 */
#ifndef TIKV_BASE_BYTES_H
#define TIKV_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct Bytes
{
	const uint8_t *data;
	size_t len;
} Bytes;

static inline Bytes
bytes_make(const void *data, size_t len)
{
	Bytes b = {(const uint8_t *) data, len};

	return b;
}

static inline Bytes
bytes_cstr(const char *s)
{
	return bytes_make(s, strlen(s));
}

static inline Bytes
bytes_empty(void)
{
	return bytes_make(NULL, 0);
}

/* Lexicographic order of unsigned bytes, a prefix first: TiKV's key order. */
static inline int
bytes_cmp(Bytes a, Bytes b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int c = n == 0 ? 0 : memcmp(a.data, b.data, n);

	if (c != 0)
		return c;
	return (a.len > b.len) - (a.len < b.len);
}

static inline bool
bytes_eq(Bytes a, Bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

#endif /* TIKV_BASE_BYTES_H */
