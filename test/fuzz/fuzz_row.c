/*
 * fuzz_row.c
 *	  What foreign tables read: values as rows, keys as columns.  A client may
 *	  have put any bytes there.
 *
 * Decoders must agree with their encoders: what was decoded and encoded again
 * is what it was, or decodes to the same.
 */
#include "fuzz.h"

#include "core/row/key_codec.h"
#include "core/row/row.h"

#define MAX_FIELDS 64

static size_t
read_row(Bytes bytes, RowField *fields)
{
	RowReader reader;
	Status status;
	size_t n = 0;

	if (row_begin(bytes, &reader) != STATUS_OK)
		return 0;
	while (n < MAX_FIELDS &&
		   (status = row_next(&reader, &fields[n])) == STATUS_OK)
		n++;
	return n < MAX_FIELDS && status == STATUS_NOT_FOUND ? n : 0;
}

static void
whole_row(Bytes bytes, Arena *arena)
{
	RowField fields[MAX_FIELDS];
	RowField again[MAX_FIELDS];
	size_t n = read_row(bytes, fields);
	size_t len;
	uint8_t *copy;

	if (n == 0)
		return;
	len = row_len(fields, n);
	copy = arena_alloc(arena, len);
	CHECK(row_put(copy, fields, n) == copy + len);
	CHECK(read_row(bytes_make(copy, len), again) == n);
	for (size_t i = 0; i < n; i++)
	{
		bool has_bytes =
			fields[i].kind == ROW_BYTES || fields[i].kind == ROW_TEXT;

		CHECK(again[i].column == fields[i].column &&
			  again[i].kind == fields[i].kind);
		CHECK(has_bytes ? bytes_eq(again[i].bytes, fields[i].bytes) :
						  again[i].number == fields[i].number);
	}
}

/* Parts of kinds that the input names, one behind the other. */
static void
columns_of_key(Bytes bytes, Arena *arena)
{
	FuzzInput in = fuzz_input(bytes.data, bytes.len);
	KeyKind kinds[8];
	size_t n = fuzz_u8(&in) % 8 + 1;
	Bytes key;

	for (size_t i = 0; i < n; i++)
		kinds[i] = (KeyKind) (fuzz_u8(&in) % (KEY_REST + 1));
	key = fuzz_rest(&in);
	for (size_t i = 0; i < n; i++)
	{
		Bytes before = key;
		KeyPart part = {0};
		uint8_t *copy;
		size_t len;

		if (key_part_get(&key, kinds[i], arena, &part) != STATUS_OK)
			return;
		len = key_part_len(kinds[i], &part);
		CHECK(len + key.len == before.len);
		copy = arena_alloc(arena, len + 1);
		CHECK(key_part_put(copy, kinds[i], &part) == copy + len);
		CHECK(bytes_eq(bytes_make(copy, len), bytes_make(before.data, len)));
	}
}

static const FuzzDecoder decoders[] = {whole_row, columns_of_key};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_decode(decoders, sizeof(decoders) / sizeof(decoders[0]), data, size);
	return 0;
}

static void
write_seeds(void)
{
	RowField fields[] = {{1, ROW_NUMBER, -5, {0}},
						 {2, ROW_FIXED, 7, {0}},
						 {3, ROW_BYTES, 0, bytes_cstr("bytes")},
						 {9, ROW_DATE, 100, {0}}};
	uint8_t row[64];
	uint8_t *end = row_put(row, fields, 4);

	fuzz_seed_for(0, bytes_make(row, (size_t) (end - row)));
	fuzz_seed_for(1,
				  bytes_make("\1\0\3"
							 "\200\0\0\0\0\0\0\1"
							 "ab\0\0\0\0\0\0\371",
							 20));
}
