/*
 * test_row.c
 *	  Rows as values: there and back, columns added and dropped, garbage.
 */
#include <stdlib.h>

#include "core/base/arena.h"
#include "core/row/row.h"
#include "unit.h"

static Arena arena;

static Bytes
encode(const RowField *fields, size_t n)
{
	size_t len = row_len(fields, n);
	uint8_t *data = arena_alloc(&arena, len);

	OK(row_put(data, fields, n) == data + len,
	   "the length is what was announced");
	return bytes_make(data, len);
}

/* The number of fields, -1 if the row is none. */
static int
decode(Bytes row, RowField *fields, int max)
{
	RowReader reader;
	RowField field = {0};
	int n = 0;
	Status status;

	if (row_begin(row, &reader) != STATUS_OK)
		return -1;
	while ((status = row_next(&reader, &field)) == STATUS_OK)
	{
		if (n < max)
			fields[n] = field;
		n++;
	}
	return status == STATUS_NOT_FOUND ? n : -1;
}

static bool
same_field(const RowField *a, const RowField *b)
{
	if (a->column != b->column || a->kind != b->kind)
		return false;
	if (a->kind == ROW_BYTES || a->kind == ROW_TEXT)
		return bytes_eq(a->bytes, b->bytes);
	return a->number == b->number;
}

static void
there_and_back(void)
{
	static const int64_t numbers[] = {0,  1,   -1,		  63,		-64,
									  64, 300, INT64_MAX, INT64_MIN};
	RowField fields[16] = {{0}};
	RowField got[16];
	size_t n = 0;
	bool same = true;
	Bytes row;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
	{
		fields[n] =
			(RowField){(uint32_t) i + 1, ROW_NUMBER, numbers[i], {NULL, 0}};
		n++;
	}
	fields[n++] = (RowField){100, ROW_FIXED, INT64_MIN + 5, {NULL, 0}};
	fields[n++] = (RowField){101, ROW_DATE, -3, {NULL, 0}};
	fields[n++] = (RowField){102, ROW_TIME, INT64_MAX, {NULL, 0}};
	fields[n++] = (RowField){1000, ROW_BYTES, 0, bytes_cstr("")};
	fields[n++] = (RowField){1001, ROW_BYTES, 0, bytes_make("a\0b", 3)};
	fields[n++] = (RowField){65535, ROW_TEXT, 0, bytes_cstr("1.5")};
	row = encode(fields, n);
	EQ_U64(decode(row, got, 16), n, "as many fields come back");
	for (size_t i = 0; i < n; i++)
		same = same && same_field(&fields[i], &got[i]);
	OK(same, "and are the same");
	OK(bytes_eq(encode(fields, 0), bytes_make("\1", 1)),
	   "a row of NULLs is its version");
	EQ_U64(decode(bytes_make("\1", 1), got, 16), 0, "and has no fields");
	OK(bytes_eq(encode(fields + 2, 1), bytes_make("\1\x18\1", 3)),
	   "the third column, -1: two bytes");
}

static bool
refused(const char *data, size_t len)
{
	RowField fields[4];

	return decode(bytes_make(data, len), fields, 4) == -1;
}

static void
garbage(void)
{
	RowField field = {3, ROW_BYTES, 0, bytes_cstr("hello")};
	Bytes row = encode(&field, 1);
	bool cut = true;

	OK(refused("", 0), "nothing is no row");
	OK(refused("\2", 1), "a later version is none");
	OK(refused("hello", 5), "neither is text");
	OK(refused("\1\x18\1\x18\1", 5), "a column comes once");
	OK(refused("\1\x18\1\x10\1", 5), "columns ascend");
	OK(refused("\1\0\1", 3), "there is no column 0");
	OK(refused("\1\x0e\1", 3), "there are six kinds");
	OK(refused("\1\x80\x80\x80\1\1", 6), "columns have a bound");
	for (size_t len = 2; len < row.len; len++)
		cut = cut && refused((const char *) row.data, len);
	OK(cut, "a row that is cut is none");
	for (int i = 0; i < 50000; i++)
	{
		uint8_t data[24];
		RowField fields[4];
		size_t len = (size_t) rand() % sizeof(data);

		for (size_t k = 0; k < len; k++)
			data[k] = (uint8_t) (rand() % 4 == 0 ? rand() : rand() % 16);
		data[0] = 1;
		(void) decode(bytes_make(data, len), fields, 4);
	}
	OK(true, "random bytes are survived");
}

int
main(void)
{
	arena_init(&arena);
	srand(3);
	there_and_back();
	garbage();
	arena_free(&arena);
	return unit_done();
}
