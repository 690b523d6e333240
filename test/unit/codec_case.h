/*
 * codec_case.h
 *	  What tests of encodings begin with: bytes by hex digits, at random, and
 *	  in memory that ends where they do.
 */
#ifndef TIKV_TEST_CODEC_CASE_H
#define TIKV_TEST_CODEC_CASE_H

#include <stdlib.h>

#include "core/base/arena.h"
#include "unit.h"

static Arena arena;
static uint64_t seed = 1;

static inline uint64_t
rnd(void)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return seed >> 33;
}

/* Bytes of hex digits; spaces are for the eye. */
static inline Bytes
hex(const char *digits)
{
	uint8_t *data = arena_alloc(&arena, strlen(digits) / 2 + 1);
	size_t n = 0;

	for (int high = -1; *digits != 0; digits++)
	{
		int v = *digits <= '9' ? *digits - '0' : *digits - 'a' + 10;

		if (*digits == ' ')
			continue;
		if (high >= 0)
			data[n++] = (uint8_t) (high << 4 | v);
		high = high >= 0 ? -1 : v;
	}
	return bytes_make(data, n);
}

/* A copy that ends where its memory does, for the sanitizer to see. */
static inline Bytes
tight_copy(Bytes b)
{
	uint8_t *data = malloc(b.len > 0 ? b.len : 1);

	if (b.len > 0)
		memcpy(data, b.data, b.len);
	return bytes_make(data, b.len);
}

static inline void
tight_free(Bytes b)
{
	free((void *) (uintptr_t) b.data);
}

static inline void
check_bytes(Bytes got, Bytes want, const char *what, int line)
{
	if (unit_check(bytes_eq(got, want), what, __FILE__, line))
		return;
	printf("#   got ");
	for (size_t i = 0; i < got.len; i++)
		printf(" %02x", got.data[i]);
	printf("\n");
}

#define EQ_BYTES(got, want, what) check_bytes((got), (want), (what), __LINE__)

static inline Bytes
random_bytes(size_t max, unsigned alphabet)
{
	size_t len = rnd() % (max + 1);
	uint8_t *data = arena_alloc(&arena, len);

	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t) (rnd() % alphabet == 0 ? 0xFF : rnd() % alphabet);
	return bytes_make(data, len);
}

#endif /* TIKV_TEST_CODEC_CASE_H */
