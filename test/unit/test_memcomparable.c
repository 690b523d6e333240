/*
 * test_memcomparable.c
 *	  Keys in order-preserving form: known encodings, order, garbage.
 */
#include <stdlib.h>

#include "core/codec/memcomparable.h"
#include "unit.h"

static Arena arena;

static bool
encodes_to(const char *key, const char *encoded, size_t len)
{
	return bytes_eq(memcomparable_encode(bytes_cstr(key), &arena),
					bytes_make(encoded, len));
}

static void
known(void)
{
	OK(encodes_to("", "\0\0\0\0\0\0\0\0\xf7", 9), "the empty key has a group");
	OK(encodes_to("abc", "abc\0\0\0\0\0\xfa", 9), "a short key is padded");
	OK(encodes_to("12345678", "12345678\xff\0\0\0\0\0\0\0\0\xf7", 18),
	   "a full group is followed by an empty one");
	OK(encodes_to("123456789",
				  "12345678\xff"
				  "9\0\0\0\0\0\0\0\xf8",
				  18),
	   "nine bytes are two groups");
}

static Bytes
random_key(void)
{
	static const uint8_t few[] = {0, 1, 'a', 0xfe, 0xff};
	size_t len = (size_t) rand() % 20;
	uint8_t *key = arena_alloc(&arena, len);

	for (size_t i = 0; i < len; i++)
		key[i] = few[(size_t) rand() % sizeof(few)];
	return bytes_make(key, len);
}

static void
order_and_back(void)
{
	bool ordered = true;
	bool back = true;
	bool compared = true;

	srand(1);
	for (int i = 0; i < 20000; i++)
	{
		Bytes a = random_key();
		Bytes b = random_key();
		Bytes ea = memcomparable_encode(a, &arena);
		Bytes eb = memcomparable_encode(b, &arena);
		int plain = bytes_cmp(a, b);
		int encoded = bytes_cmp(ea, eb);
		Bytes got;

		ordered = ordered &&
			(plain > 0) - (plain < 0) == (encoded > 0) - (encoded < 0);
		back = back &&
			memcomparable_decode(ea, &arena, &got, NULL) == STATUS_OK &&
			bytes_eq(got, a);
		encoded = memcomparable_cmp(a, eb);
		compared = compared &&
			(plain > 0) - (plain < 0) == (encoded > 0) - (encoded < 0);
		if (i % 500 == 0)
			arena_reset(&arena);
	}
	OK(ordered, "encoded keys compare as the keys do");
	OK(back, "and decode to them");
	OK(compared, "and may be compared with one that is not encoded");
}

static bool
decodes(const char *bytes, size_t len)
{
	Bytes key;

	return memcomparable_decode(bytes_make(bytes, len), &arena, &key, NULL) ==
		STATUS_OK;
}

static void
garbage(void)
{
	Bytes key = bytes_empty();
	Bytes rest = bytes_empty();

	OK(!decodes("", 0), "nothing is no key");
	OK(!decodes("abc\0\0\0\0\0", 8), "half a group is none");
	OK(!decodes("abc\0\0\0\0\1\xfa", 9), "padding is zeros");
	OK(!decodes("abc\0\0\0\0\0\xf6", 9), "a marker is at least 247");
	OK(!decodes("12345678\xff", 9), "a full group is not the last");
	OK(memcomparable_decode(bytes_make("abc\0\0\0\0\0\xfa!", 10), &arena, &key,
							&rest) == STATUS_OK &&
		   bytes_eq(key, bytes_cstr("abc")) && bytes_eq(rest, bytes_cstr("!")),
	   "what follows is handed out");
}

/* Few different bytes, so that bounds meet keys. */
static Bytes
random_bound(void)
{
	static const uint8_t bytes[] = {0, 0, 0, 1, 0xf6, 0xf7, 0xf8, 0xfe, 0xff};
	size_t len = (size_t) (rand() % 20);
	uint8_t *data = arena_alloc(&arena, len + 1);

	for (size_t i = 0; i < len; i++)
		data[i] = bytes[(size_t) rand() % sizeof(bytes)];
	return bytes_make(data, len);
}

static void
bounds(void)
{
	bool least = true;
	bool exact = true;

	for (int i = 0; i < 200000; i++)
	{
		Bytes key = random_bound();
		Bytes encoded = memcomparable_encode(key, &arena);
		Bytes bound = random_bound();
		Bytes other;
		Bytes found;

		/* Also such that are nearly the encoding of the key. */
		if (i % 3 == 0)
			bound =
				bytes_make(encoded.data, (size_t) rand() % (encoded.len + 1));
		else if (i % 3 == 1)
		{
			uint8_t *near = arena_alloc(&arena, encoded.len);

			memcpy(near, encoded.data, encoded.len);
			near[(size_t) rand() % encoded.len] = (uint8_t) (rand() % 256);
			bound = bytes_make(near, encoded.len);
		}
		found = memcomparable_ceil(bound, &arena);
		other = i % 2 == 0 ? key : random_bound();
		least = least && memcomparable_cmp(found, bound) >= 0 &&
			(memcomparable_cmp(other, bound) >= 0) ==
				(bytes_cmp(other, found) >= 0);
		exact = exact && bytes_eq(memcomparable_ceil(encoded, &arena), key);
		if (i % 500 == 0)
			arena_reset(&arena);
	}
	OK(least, "the least key behind any bound");
	OK(exact, "which is the key if it is the encoding of one");
}

int
main(void)
{
	arena_init(&arena);
	known();
	order_and_back();
	garbage();
	bounds();
	arena_free(&arena);
	return unit_done();
}
