/*
 * utf8.c
 *	  Are these bytes text?
 */
#include "pd/core/utf8.h"

/* Continuation bytes that a first byte announces; -1: it begins nothing. */
static int
n_following(uint8_t first)
{
	if (first >= 0x01 && first <= 0x7f)
		return 0;
	if (first >= 0xc2 && first <= 0xdf)
		return 1;
	if (first >= 0xe0 && first <= 0xef)
		return 2;
	if (first >= 0xf0 && first <= 0xf4)
		return 3;
	return -1;
}

/*
 * Four first bytes narrow what may come second: to exclude what is overlong
 * (E0, F0), surrogates (ED), and what is above U+10FFFF (F4).
 */
static bool
second_fits(uint8_t first, uint8_t second)
{
	uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
	uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;

	return second >= low && second <= high;
}

bool
utf8_valid(Bytes text)
{
	size_t at = 0;

	while (at < text.len)
	{
		const uint8_t *c = text.data + at;
		int n = n_following(c[0]);

		if (n < 0 || (size_t) n >= text.len - at)
			return false;
		if (n > 0 && !second_fits(c[0], c[1]))
			return false;
		for (int i = 2; i <= n; i++)
			if ((c[i] & 0xc0) != 0x80)
				return false;
		at += (size_t) n + 1;
	}
	return true;
}
