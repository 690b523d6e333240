/*
 * test_codec.c
 *	  Encodings of keys and numbers, byte for byte (txn-semantics 1 and 2).
 *
 * The vectors were made by hand from the layouts; each is encoded and decoded.
 */
#include "codec_case.h"
#include "core/codec/memcomparable.h"
#include "core/codec/number.h"

/* --------------------------------------------------------- memcomparable */

static void
memcomparable_vector(const char *key, const char *encoded, const char *what)
{
	Bytes k = hex(key);
	Bytes e = hex(encoded);
	Bytes longer = hex(arena_printf(&arena, "%s0102", encoded));
	Bytes back;
	Bytes rest;

	EQ_BYTES(memcomparable_encode(k, &arena), e, what);
	EQ_U64(memcomparable_len(k.len), e.len, "as long as foretold");
	OK(memcomparable_decode(longer, &arena, &back, &rest) == STATUS_OK &&
		   bytes_eq(back, k) && rest.len == 2 && rest.data[0] == 1,
	   "and back, leaving what follows");
	OK(memcomparable_cmp(k, e) == 0, "equal without encoding");
	for (size_t n = 0; n < e.len; n++)
	{
		Bytes cut = tight_copy(bytes_make(e.data, n));
		bool refused =
			memcomparable_decode(cut, &arena, &back, NULL) == STATUS_INVALID;

		if (!refused || memcomparable_cmp(k, cut) <= 0)
			OK(false, "a truncated encoding is refused, and smaller");
		tight_free(cut);
	}
}

static void
memcomparable_vectors(void)
{
	Bytes out;

	memcomparable_vector("", "0000000000000000 f7",
						 "txn-semantics 1.1 row 1: the empty string");
	memcomparable_vector("616263", "6162630000000000 fa",
						 "txn-semantics 1.1 row 2: a short string");
	memcomparable_vector("0102030405060708",
						 "0102030405060708 ff 0000000000000000 f7",
						 "txn-semantics 1.1 row 3: a full group");
	memcomparable_vector("010203040506070809",
						 "0102030405060708 ff 0900000000000000 f8",
						 "a group and a byte");
	memcomparable_vector("00000000000000", "0000000000000000 fe",
						 "zeros are told from padding");
	EQ_BYTES(
		memcomparable_encode_ts(hex("61"), 5, &arena),
		hex("6100000000000000 f8 fffffffffffffffa"),
		"txn-semantics 2 row 1, txn-semantics 2 row 3: a version's key ends "
		"in its inverted ts");
	EQ_BYTES(memcomparable_encode(hex("61"), &arena),
			 hex("6100000000000000 f8"),
			 "txn-semantics 2 row 2: a lock's key has none");
	OK(memcomparable_decode(hex("6162630000000000 f6"), &arena, &out, NULL) ==
		   STATUS_INVALID,
	   "a marker beyond the group is refused");
	OK(memcomparable_decode(hex("6162630000000100 fa"), &arena, &out, NULL) ==
		   STATUS_INVALID,
	   "so is padding that is not zero");
	OK(memcomparable_decode(hex("6162636465666768 ff"), &arena, &out, NULL) ==
		   STATUS_INVALID,
	   "and a last group that is missing");
}

static int
sign(int c)
{
	return (c > 0) - (c < 0);
}

static void
memcomparable_random(void)
{
	size_t wrong = 0;

	for (int i = 0; i < 20000; i++)
	{
		Bytes a = random_bytes(20, 3);
		Bytes b = random_bytes(20, 3);
		Bytes x = memcomparable_encode(a, &arena);
		Bytes y = memcomparable_encode(b, &arena);
		Bytes bound = rnd() % 2 == 0 ? y : b;
		Bytes back;

		wrong += sign(bytes_cmp(x, y)) != sign(bytes_cmp(a, b));
		wrong += memcomparable_decode(x, &arena, &back, NULL) != STATUS_OK ||
			!bytes_eq(a, back);
		wrong += sign(memcomparable_cmp(a, bound)) != sign(bytes_cmp(x, bound));
		/* Random bytes: refused, or the one encoding of what they give. */
		if (memcomparable_decode(b, &arena, &back, NULL) == STATUS_OK)
		{
			Bytes again = memcomparable_encode(back, &arena);

			wrong +=
				again.len > b.len || memcmp(again.data, b.data, again.len) != 0;
		}
		if (i % 100 == 0)
			arena_reset(&arena);
	}
	EQ_U64(wrong, 0, "order, way back and comparison hold at random");
}

/* --------------------------------------------------------------- numbers */

static void
numbers(void)
{
	static const uint64_t values[] =
		{0, 1, 127, 128, 300, 1u << 14, UINT64_MAX >> 1, UINT64_MAX};
	static const char *const leb[] = {"00",
									  "01",
									  "7f",
									  "8001",
									  "ac02",
									  "808001",
									  "ffffffffffffffff7f",
									  "ffffffffffffffffff01"};
	uint8_t room[64];
	NumberReader r;
	uint64_t v;
	uint8_t byte;
	Bytes bytes;

	EQ_BYTES(bytes_make(room, (size_t) (put_u64(room, 0x0102) - room)),
			 hex("0000000000000102"), "txn-semantics 1.2 row 1: big endian");
	r = number_reader(bytes_make(room, 8));
	OK(get_u64(&r, &v) && v == 0x0102, "and back");
	EQ_BYTES(bytes_make(room, (size_t) (put_u64_desc(room, 5) - room)),
			 hex("fffffffffffffffa"), "txn-semantics 1.2 row 2: inverted");
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
	{
		Bytes want = hex(leb[i]);

		EQ_BYTES(bytes_make(room,
							(size_t) (put_var_u64(room, values[i]) - room)),
				 want, "txn-semantics 1.2 row 4: LEB128");
		r = number_reader(want);
		OK(get_var_u64(&r, &v) && v == values[i] && number_left(&r) == 0,
		   "and back");
		r = number_reader(bytes_make(want.data, want.len - 1));
		OK(!get_var_u64(&r, &v), "not without its last byte");
	}
	r = number_reader(hex("ffffffffffffffffff02"));
	OK(!get_var_u64(&r, &v), "65 bits are too many");
	r = number_reader(hex("8080808080808080808000"));
	OK(!get_var_u64(&r, &v), "so are eleven bytes");
	EQ_BYTES(bytes_make(room,
						(size_t) (put_compact_bytes(room, bytes_cstr("abc")) -
								  room)),
			 hex("06616263"),
			 "txn-semantics 1.2 row 5, txn-semantics 1.2 row 6: a zig-zag "
			 "length, then the bytes");
	r = number_reader(hex("06616263"));
	OK(get_compact_bytes(&r, &bytes) && bytes_eq(bytes, bytes_cstr("abc")),
	   "and back");
	r = number_reader(hex("05616263"));
	OK(!get_compact_bytes(&r, &bytes), "a negative length is refused");
	r = number_reader(hex("08616263"));
	OK(!get_compact_bytes(&r, &bytes), "so is one beyond the end");
	r = number_reader(bytes_empty());
	OK(!get_u8(&r, &byte) && !get_u64(&r, &v) && !get_var_u64(&r, &v) &&
		   get_bytes(&r, 0, &bytes),
	   "nothing is in nothing");
}

int
main(void)
{
	arena_init(&arena);
	memcomparable_vectors();
	memcomparable_random();
	numbers();
	arena_free(&arena);
	return unit_done();
}
