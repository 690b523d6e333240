/*
 * test_pd_json.c
 *	  JSON written and read, and URLs taken apart.
 */
#include "pd/core/json.h"
#include "pd/core/url.h"

#include "unit.h"

static Arena arena;

static const char *
text_of(const JsonWriter *json)
{
	Bytes text = json_text(json);

	return arena_printf(&arena, "%.*s", (int) text.len,
						(const char *) text.data);
}

static void
test_write(void)
{
	JsonWriter json;
	static const uint8_t key[] = {0x00, 0xAB, 0xFF};

	json_init(&json, &arena);
	json_open(&json, NULL, '{');
	json_string(&json, "s", "a\"b\\c\n\001");
	json_uint(&json, "u", UINT64_MAX);
	json_int(&json, "i", INT64_MIN);
	json_double(&json, "d", 0.5);
	json_bool(&json, "b", true);
	json_null(&json, "n");
	json_hex(&json, "h", bytes_make(key, 3));
	json_open(&json, "list", '[');
	json_close(&json, ']');
	json_open(&json, "more", '[');
	json_uint(&json, NULL, 1);
	json_raw(&json, NULL, "\"x\"");
	json_close(&json, ']');
	json_close(&json, '}');
	EQ_STR(text_of(&json),
		   "{\"s\":\"a\\\"b\\\\c\\u000a\\u0001\",\"u\":18446744073709551615,"
		   "\"i\":-9223372036854775808,\"d\":0.5,\"b\":true,\"n\":null,"
		   "\"h\":\"00ABFF\",\"list\":[],\"more\":[1,\"x\"]}",
		   "all kinds of values");
	OK(json_parse(json_text(&json), &arena) != NULL, "which can be read");
}

static const JsonValue *
parse(const char *text)
{
	return json_parse(bytes_cstr(text), &arena);
}

/* Text stays as it is; what is none is replaced, byte by byte. */
static void
test_write_no_text(void)
{
	Arena arena;
	JsonWriter json;

	arena_init(&arena);
	json_init(&json, &arena);
	json_open(&json, NULL, '[');
	json_string(&json, NULL, "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80");
	json_string(&json, NULL, "a\xff\xc3");
	json_string(&json, NULL,
				"\xe2\x82"
				"b");
	json_close(&json, ']');
	EQ_STR(arena_printf(&arena, "%.*s", (int) json_text(&json).len,
						(const char *) json_text(&json).data),
		   "[\"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80\","
		   "\"a\\ufffd\\ufffd\",\"\\ufffd\\ufffdb\"]",
		   "bytes that are no text are replaced");
	OK(json_parse(json_text(&json), &arena) != NULL, "and it is JSON");
	arena_free(&arena);
}

static void
test_read(void)
{
	const JsonValue *value = parse(
		" {\"a\": \"x\\u00e4\\ud83d\\ude00\\n\", \"b\": [1, -2.5e3, true],"
		" \"c\": null, \"a\": \"y\", \"big\": 18446744073709551615} ");
	uint64_t number;

	OK(value != NULL && value->type == JSON_OBJECT, "an object");
	if (value == NULL)
		return;
	EQ_U64(value->n, 5, "with its members");
	EQ_STR(value->first->text, "x\303\244\360\237\230\200\n", "escapes");
	EQ_STR(json_get_text(value, "a"), "y", "of two, the last");
	EQ_U64(json_get(value, "b")->n, 3, "a list");
	OK(json_get(value, "b")->first->next->number == -2500.0, "a number");
	EQ_U64(json_get(value, "c")->type, JSON_NULL, "null");
	OK(json_get_uint(value, "big", &number) && number == UINT64_MAX,
	   "the largest number");
	OK(!json_get_uint(value, "c", &number) &&
		   !json_get_uint(value, "z", &number),
	   "what is none");
	OK(json_get_text(parse("[]"), "a") == NULL, "a list has no members");
	OK(!json_get_uint(parse("{\"n\":18446744073709551616}"), "n", &number) &&
		   !json_get_uint(parse("{\"n\":-1}"), "n", &number) &&
		   !json_get_uint(parse("{\"n\":1.0}"), "n", &number),
	   "numbers that do not fit");
}

static void
test_not_json(void)
{
	static const char *const bad[] = {"",
									  "{",
									  "}",
									  "[1,]",
									  "{\"a\":1,}",
									  "{a:1}",
									  "'a'",
									  "\"a",
									  "\"\\x\"",
									  "\"\\u12\"",
									  "\"\\ud800\"",
									  "\"\\u0000\"",
									  "\"a\nb\"",
									  "01",
									  "1.",
									  ".5",
									  "1e",
									  "-",
									  "tru",
									  "nullx",
									  "1 2",
									  "{\"a\" 1}",
									  "\"\377\"",
									  "\"\\",
									  "[\"\\ud83dx\"]"};
	char deep[200];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		OK(parse(bad[i]) == NULL, arena_printf(&arena, "no JSON, %zu", i));
	memset(deep, '[', 100);
	memset(deep + 100, ']', 99);
	deep[199] = '\0';
	OK(parse(deep) == NULL, "too deep and not closed");
	deep[0] = ' ';
	OK(parse(deep) == NULL, "too deep");

	/* Anything at all, each prefix in memory of its own length. */
	for (unsigned int seed = 1; seed < 3000; seed++)
	{
		static const char chars[] = "{}[]\",:\\u0d8tfn-1.e \377";
		uint8_t *text = arena_alloc(&arena, 24);
		unsigned int x = seed * 2654435761u;

		for (int i = 0; i < 24; i++)
		{
			x = x * 1664525u + 1013904223u;
			text[i] = (uint8_t) chars[(x >> 16) % (sizeof(chars) - 1)];
		}
		(void) json_parse(bytes_make(text, 24), &arena);
	}
	OK(true, "nothing is read beyond its end");
}

/* "[0,0, ... 0]" */
static const JsonValue *
parse_zeros(size_t n)
{
	size_t len = 2 * n + 1;
	char *text = arena_alloc(&arena, len);

	for (size_t i = 0; i < n; i++)
	{
		text[2 * i] = ',';
		text[2 * i + 1] = '0';
	}
	text[0] = '[';
	text[len - 1] = ']';
	return json_parse(bytes_make(text, len), &arena);
}

/* Each takes many times its two bytes. */
static void
test_many_values(void)
{
	const JsonValue *value = parse_zeros(JSON_MAX_VALUES - 1);

	OK(value != NULL && value->n == JSON_MAX_VALUES - 1, "very many values");
	OK(parse_zeros(JSON_MAX_VALUES) == NULL, "too many");
	arena_reset(&arena);
}

/* What would take more than its bound ends, and says so. */
static void
test_bound(void)
{
	static char value[100000];
	JsonWriter json;
	size_t before;

	memset(value, '\x01', sizeof(value) - 1);
	for (int bounded = 0; bounded < 2; bounded++)
	{
		arena_reset(&arena);
		before = arena.allocated;
		json_init(&json, &arena);
		json.most = bounded ? before + sizeof(value) : 0;
		json_open(&json, NULL, '[');
		json_string(&json, NULL, value);
		json_close(&json, ']');
		OK(json.full == bounded, "six bytes for each are too many");
		OK((arena.allocated - before <= sizeof(value)) == bounded,
		   "and take no memory then");
	}
	EQ_U64(json.full, true, "it is told");
	arena_reset(&arena);
	json_init(&json, &arena);
	json.most = arena.allocated + sizeof(value);
	json_string(&json, NULL, "little");
	OK(!json.full, "less is written");
	EQ_STR(text_of(&json), "\"little\"", "whole");
	arena_reset(&arena);
}

static void
test_url(void)
{
	Url url;
	Bytes bytes;

	OK(url_parse("/pd//api/v1/key/a%2Fb%00c?x=1+2&y=%41&z&x=9", &arena, &url),
	   "parse");
	EQ_U64(url.n_segments, 5, "segments, empty ones left out");
	EQ_U64(url.segments[4].len, 5, "a decoded one");
	OK(memcmp(url.segments[4].data, "a/b\0c", 5) == 0, "with its bytes");
	OK(url_text(&url, 4) == NULL, "which are no text");
	EQ_STR(url_text(&url, 0), "pd", "as others are");
	OK(url_text(&url, 5) == NULL, "or not there");
	EQ_STR(url_query(&url, "x"), "1 2", "the first of two");
	EQ_STR(url_query(&url, "y"), "A", "an escape");
	EQ_STR(url_query(&url, "z"), "", "without a value");
	OK(url_query(&url, "none") == NULL, "one that is not there");
	EQ_U64(url_query_bytes(&url, "none").len, 0, "as bytes");
	OK(url_parse("/a+b", &arena, &url), "parse");
	EQ_STR(url_text(&url, 0), "a+b", "a plus of a path is a plus");
	OK(!url_parse("pd", &arena, &url) && !url_parse("/%4", &arena, &url) &&
		   !url_parse("/%zz", &arena, &url) &&
		   !url_parse("/a?b=%", &arena, &url),
	   "bad ones");
	OK(!url_parse("/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", &arena, &url),
	   "too many segments");
	OK(url_unhex(bytes_cstr("00fF"), &arena, &bytes) && bytes.len == 2 &&
		   bytes.data[1] == 0xFF,
	   "hexadecimal");
	OK(!url_unhex(bytes_cstr("0"), &arena, &bytes) &&
		   !url_unhex(bytes_cstr("0g"), &arena, &bytes),
	   "and what is not");
}

int
main(void)
{
	arena_init(&arena);
	test_write();
	test_write_no_text();
	test_read();
	test_not_json();
	test_many_values();
	test_bound();
	test_url();
	arena_free(&arena);
	return unit_done();
}
