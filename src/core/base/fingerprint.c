/*
 * fingerprint.c
 *	  FarmHash's Fingerprint64, by its published definition (google/farmhash,
 *	  the "na" family).
 *
 * Four ways by length: up to 16 bytes, up to 32, up to 64, and beyond that
 * rounds of 64 bytes over seven words of state.  Words are little endian.
 */
#include "core/base/fingerprint.h"

#define K0 UINT64_C(0xc3a5c85c97cb3127)
#define K1 UINT64_C(0xb492b66fbe98f273)
#define K2 UINT64_C(0x9ae16a3b2f90404f)
#define ROUND 64

typedef struct Pair
{
	uint64_t first;
	uint64_t second;
} Pair;

static inline uint64_t
word(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 7; i >= 0; i--)
		v = v << 8 | p[i];
	return v;
}

static inline uint64_t
half_word(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 3; i >= 0; i--)
		v = v << 8 | p[i];
	return v;
}

static inline uint64_t
rotate(uint64_t v, int shift)
{
	return v >> shift | v << (64 - shift);
}

static inline uint64_t
fold(uint64_t v)
{
	return v ^ v >> 47;
}

/* Two words to one. */
static inline uint64_t
join(uint64_t u, uint64_t v, uint64_t mul)
{
	uint64_t a = fold((u ^ v) * mul);

	return fold((v ^ a) * mul) * mul;
}

static uint64_t
up_to_16(const uint8_t *s, size_t len)
{
	uint64_t mul = K2 + len * 2;

	if (len >= 8)
	{
		uint64_t a = word(s) + K2;
		uint64_t b = word(s + len - 8);

		return join(rotate(b, 37) * mul + a, (rotate(a, 25) + b) * mul, mul);
	}
	if (len >= 4)
		return join(len + (half_word(s) << 3), half_word(s + len - 4), mul);
	if (len > 0)
	{
		uint64_t y = s[0] + ((uint64_t) s[len >> 1] << 8);
		uint64_t z = len + ((uint64_t) s[len - 1] << 2);

		return fold((y * K2) ^ (z * K0)) * K2;
	}
	return K2;
}

static uint64_t
up_to_32(const uint8_t *s, size_t len)
{
	uint64_t mul = K2 + len * 2;
	uint64_t a = word(s) * K1;
	uint64_t b = word(s + 8);
	uint64_t c = word(s + len - 8) * mul;
	uint64_t d = word(s + len - 16) * K2;

	return join(rotate(a + b, 43) + rotate(c, 30) + d,
				a + rotate(b + K2, 18) + c, mul);
}

static uint64_t
up_to_64(const uint8_t *s, size_t len)
{
	uint64_t mul = K2 + len * 2;
	uint64_t a = word(s) * K2;
	uint64_t b = word(s + 8);
	uint64_t c = word(s + len - 8) * mul;
	uint64_t d = word(s + len - 16) * K2;
	uint64_t y = rotate(a + b, 43) + rotate(c, 30) + d;
	uint64_t z = join(y, a + rotate(b + K2, 18) + c, mul);
	uint64_t e = word(s + 16) * mul;
	uint64_t f = word(s + 24);
	uint64_t g = (y + word(s + len - 32)) * mul;
	uint64_t h = (z + word(s + len - 24)) * mul;

	return join(rotate(e + f, 43) + rotate(g, 30) + h,
				e + rotate(f + a, 18) + g, mul);
}

/* 32 bytes into a pair of words. */
static inline Pair
absorb(const uint8_t *s, uint64_t a, uint64_t b)
{
	uint64_t w = word(s);
	uint64_t x = word(s + 8);
	uint64_t y = word(s + 16);
	uint64_t z = word(s + 24);
	uint64_t c;
	Pair out;

	a += w;
	b = rotate(b + a + z, 21);
	c = a;
	a += x + y;
	b += rotate(a, 44);
	out.first = a + z;
	out.second = b + c;
	return out;
}

typedef struct State
{
	uint64_t x;
	uint64_t y;
	uint64_t z;
	Pair v;
	Pair w;
} State;

/* One round; the last differs in its factors. */
static inline void
take_round(State *t, const uint8_t *s, uint64_t mul, uint64_t factor)
{
	uint64_t x = rotate(t->x + t->y + t->v.first + word(s + 8), 37) * mul;
	uint64_t y = rotate(t->y + t->v.second + word(s + 48), 42) * mul;
	uint64_t z = rotate(t->z + t->w.first, 33) * mul;

	x ^= t->w.second * factor;
	y += t->v.first * factor + word(s + 40);
	t->v = absorb(s, t->v.second * mul, x + t->w.first);
	t->w = absorb(s + 32, z + t->w.second, y + word(s + 16));
	t->x = z;
	t->y = y;
	t->z = x;
}

uint64_t
fingerprint64(Bytes key)
{
	const uint64_t seed = 81;
	const uint8_t *s = key.data;
	const uint8_t *last;
	State t = {0};
	uint64_t mul;

	if (key.len <= 16)
		return up_to_16(s, key.len);
	if (key.len <= 32)
		return up_to_32(s, key.len);
	if (key.len <= ROUND)
		return up_to_64(s, key.len);

	t.y = seed * K1 + 113;
	t.z = fold(t.y * K2 + 113) * K2;
	t.x = seed * K2 + word(s);
	last = s + key.len - ROUND;
	for (size_t left = (key.len - 1) / ROUND; left > 0; left--, s += ROUND)
		take_round(&t, s, K1, 1);

	/* The last 64 bytes, which overlap those before. */
	mul = K1 + ((t.z & 0xff) << 1);
	t.w.first += (key.len - 1) % ROUND;
	t.v.first += t.w.first;
	t.w.first += t.v.first;
	take_round(&t, last, mul, 9);
	return join(join(t.v.first, t.w.first, mul) + fold(t.y) * K0 + t.z,
				join(t.v.second, t.w.second, mul) + t.x, mul);
}
