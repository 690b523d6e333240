/*
 * test_pd_utf8.c
 *	  Which bytes are text: the borders of every row of RFC 3629's table.
 */
#include "pd/core/utf8.h"

#include <stdlib.h>

#include "unit.h"

/* In a block of its own, so that a look beyond the end is noticed. */
static bool
valid(const char *bytes, size_t len)
{
	uint8_t *copy = malloc(len + (len == 0));
	bool answer;

	memcpy(copy, bytes, len);
	answer = utf8_valid(bytes_make(copy, len));
	free(copy);
	return answer;
}

#define VALID(s, name) OK(valid(s, sizeof(s) - 1), name)
#define INVALID(s, name) OK(!valid(s, sizeof(s) - 1), name)

static void
test_valid(void)
{
	VALID("", "nothing");
	VALID("ticdc-default", "ASCII");
	VALID("\x01\x7f", "the ends of one byte");
	VALID("\xc2\x80\xdf\xbf", "the ends of two bytes");
	VALID("\xe0\xa0\x80\xef\xbf\xbf", "the ends of three bytes");
	VALID("\xed\x9f\xbf\xee\x80\x80", "around the surrogates");
	VALID("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", "the ends of four bytes");
	VALID("a\xc3\xa4z\xe2\x82\xac\xf0\x9f\x90\xac", "all lengths mixed");
}

static void
test_invalid(void)
{
	INVALID("\0", "a zero byte");
	INVALID("a\0b", "a zero byte inside");
	INVALID("\x80", "a continuation first");
	INVALID("a\xbf", "a continuation after ASCII");
	INVALID("\xc0\x80", "an overlong zero");
	INVALID("\xc1\xbf", "overlong in two bytes");
	INVALID("\xe0\x9f\xbf", "overlong in three bytes");
	INVALID("\xf0\x8f\xbf\xbf", "overlong in four bytes");
	INVALID("\xed\xa0\x80", "the first surrogate");
	INVALID("\xed\xbf\xbf", "the last surrogate");
	INVALID("\xf4\x90\x80\x80", "above U+10FFFF");
	INVALID("\xf5\x80\x80\x80", "a first byte that begins nothing");
	INVALID("\xff", "255");
	INVALID("\xc2", "two bytes cut");
	INVALID("\xe2\x82", "three bytes cut");
	INVALID("\xf0\x9f\x90", "four bytes cut");
	INVALID("\xc2"
			"a",
			"ASCII instead of the second byte");
	INVALID("\xe2\x82"
			"a",
			"instead of the third");
	INVALID("\xf0\x9f\x90\xc2", "a first byte instead of the fourth");
}

int
main(void)
{
	test_valid();
	test_invalid();
	return unit_done();
}
