/*
 * test_key_codec.c
 *	  Key columns: known encodings, the order of all pairs, garbage.
 */
#include <stdlib.h>

#include "core/row/key_codec.h"
#include "unit.h"

static Arena arena;

static Bytes
encode(const KeyKind *kinds, const KeyPart *parts, int n)
{
	size_t len = 0;
	uint8_t *data;
	uint8_t *p;

	for (int i = 0; i < n; i++)
		len += key_part_len(kinds[i], &parts[i]);
	p = data = arena_alloc(&arena, len);
	for (int i = 0; i < n; i++)
		p = key_part_put(p, kinds[i], &parts[i]);
	OK((size_t) (p - data) == len, "the length is what was announced");
	return bytes_make(data, len);
}

static Bytes
encode_int(int64_t number)
{
	KeyKind kind = KEY_INT;
	KeyPart part = {.number = number};

	return encode(&kind, &part, 1);
}

/* The bytes that TiDB's EncodeInt gives. */
static void
known(void)
{
	OK(bytes_eq(encode_int(0), bytes_make("\x80\0\0\0\0\0\0\0", 8)), "zero");
	OK(bytes_eq(encode_int(1), bytes_make("\x80\0\0\0\0\0\0\1", 8)), "one");
	OK(bytes_eq(encode_int(-1),
				bytes_make("\x7f\xff\xff\xff\xff\xff\xff\xff", 8)),
	   "minus one");
	OK(bytes_eq(encode_int(INT64_MIN), bytes_make("\0\0\0\0\0\0\0\0", 8)),
	   "the least number");
	OK(bytes_eq(encode_int(INT64_MAX),
				bytes_make("\xff\xff\xff\xff\xff\xff\xff\xff", 8)),
	   "the greatest");
}

/* ------------------------------------------------- tuples of all kinds */

static const KeyKind tuple_kinds[] = {KEY_INT,	KEY_BYTES, KEY_BOOL,
									  KEY_UUID, KEY_BYTES, KEY_REST};

#define TUPLE ((int) (sizeof(tuple_kinds) / sizeof(*tuple_kinds)))
#define TUPLES 400

static Bytes
random_bytes(size_t len)
{
	static const uint8_t few[] = {0, 1, 'a', 0xfe, 0xff};
	uint8_t *data = arena_alloc(&arena, len);

	for (size_t i = 0; i < len; i++)
		data[i] = few[(size_t) rand() % sizeof(few)];
	return bytes_make(data, len);
}

static KeyPart
random_part(KeyKind kind)
{
	static const int64_t edges[] =
		{INT64_MIN, INT64_MIN + 1, -256,		  -1,		0, 1,
		 255,		256,		   INT64_MAX - 1, INT64_MAX};
	KeyPart part = {0};

	if (kind == KEY_BOOL)
		part.number = rand() % 2;
	else if (kind == KEY_INT)
		part.number = edges[(size_t) rand() % (sizeof(edges) / sizeof(*edges))];
	else if (kind == KEY_UUID)
		part.bytes = random_bytes(KEY_UUID_LEN);
	else
		part.bytes = random_bytes((size_t) rand() % 18);
	return part;
}

static int
sign(int v)
{
	return (v > 0) - (v < 0);
}

static int
compare_parts(const KeyPart *a, const KeyPart *b)
{
	for (int i = 0; i < TUPLE; i++)
	{
		int c = tuple_kinds[i] == KEY_INT || tuple_kinds[i] == KEY_BOOL ?
			(a[i].number > b[i].number) - (a[i].number < b[i].number) :
			sign(bytes_cmp(a[i].bytes, b[i].bytes));

		if (c != 0)
			return c;
	}
	return 0;
}

static bool
decodes_to(Bytes key, const KeyPart *want)
{
	for (int i = 0; i < TUPLE; i++)
	{
		KeyPart part = {0};

		if (key_part_get(&key, tuple_kinds[i], &arena, &part) != STATUS_OK ||
			part.number != want[i].number ||
			!bytes_eq(part.bytes, want[i].bytes))
			return false;
	}
	return key.len == 0;
}

/* Half of the tuples share their beginning with the one before. */
static void
order_of_all_pairs(void)
{
	static KeyPart tuples[TUPLES][TUPLE];
	static Bytes keys[TUPLES];
	bool ordered = true;
	bool back = true;

	for (int t = 0; t < TUPLES; t++)
	{
		int same = t > 0 && t % 2 == 0 ? rand() % TUPLE : 0;

		for (int i = 0; i < TUPLE; i++)
			tuples[t][i] =
				i < same ? tuples[t - 1][i] : random_part(tuple_kinds[i]);
		keys[t] = encode(tuple_kinds, tuples[t], TUPLE);
		back = back && decodes_to(keys[t], tuples[t]);
	}
	for (int a = 0; a < TUPLES; a++)
		for (int b = 0; b < TUPLES; b++)
			ordered = ordered &&
				sign(bytes_cmp(keys[a], keys[b])) ==
					compare_parts(tuples[a], tuples[b]);
	OK(ordered, "keys compare as the tuples do, all pairs");
	OK(back, "keys decode to their tuples");
}

/* ---------------------------------------------------- ends of prefixes */

static bool
begins_with(Bytes b, Bytes start)
{
	return b.len >= start.len && bytes_eq(bytes_make(b.data, start.len), start);
}

static void
prefix_ends(void)
{
	uint8_t room[8];
	bool between = true;

	OK(bytes_eq(key_prefix_end(bytes_cstr("a/"), room), bytes_cstr("a0")),
	   "the last byte goes up");
	OK(bytes_eq(key_prefix_end(bytes_make("a\xff\xff", 3), room),
				bytes_cstr("b")),
	   "full bytes at the end go");
	OK(key_prefix_end(bytes_make("\xff\xff", 2), room).len == 0,
	   "there is nothing above full bytes");
	OK(key_prefix_end(bytes_empty(), room).len == 0, "nor above nothing");
	for (int i = 0; i < 20000; i++)
	{
		Bytes prefix = random_bytes((size_t) rand() % 4);
		Bytes key = random_bytes((size_t) rand() % 6);
		Bytes end = key_prefix_end(prefix, room);
		bool inside = bytes_cmp(key, prefix) >= 0 &&
			(end.len == 0 || bytes_cmp(key, end) < 0);

		between = between && inside == begins_with(key, prefix);
		if (i % 500 == 0)
			arena_reset(&arena);
	}
	OK(between, "what begins with a prefix is what lies below its end");
}

/* -------------------------------------------------------------- garbage */

static bool
decodes(KeyKind kind, const char *data, size_t len)
{
	Bytes key = bytes_make(data, len);
	KeyPart part;

	return key_part_get(&key, kind, &arena, &part) == STATUS_OK;
}

static void
garbage(void)
{
	OK(!decodes(KEY_INT, "1234567", 7), "seven bytes are no integer");
	OK(!decodes(KEY_BOOL, "", 0), "nothing is no boolean");
	OK(!decodes(KEY_BOOL, "\2", 1), "neither is 2");
	OK(!decodes(KEY_UUID, "123456789012345", 15), "15 bytes are no uuid");
	OK(!decodes(KEY_BYTES, "abc", 3), "bytes come in groups");
	OK(decodes(KEY_REST, "", 0), "the rest may be empty");
	for (int i = 0; i < 20000; i++)
	{
		Bytes key = random_bytes((size_t) rand() % 30);

		for (int k = 0; k < TUPLE; k++)
		{
			KeyPart part;

			if (key_part_get(&key, tuple_kinds[k], &arena, &part) != STATUS_OK)
				break;
		}
		if (i % 500 == 0)
			arena_reset(&arena);
	}
	OK(true, "random bytes are survived");
}

int
main(void)
{
	arena_init(&arena);
	srand(7);
	known();
	order_of_all_pairs();
	prefix_ends();
	garbage();
	arena_free(&arena);
	return unit_done();
}
