/*
 * url.c
 *	  The path and the query of an HTTP request, taken apart.
 */
#include "pd/core/url.h"

static int
hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool
url_unescape(Bytes text, bool plus_is_space, Arena *arena, Bytes *out)
{
	uint8_t *start = arena_alloc(arena, text.len + 1);
	uint8_t *to = start;

	for (size_t i = 0; i < text.len; i++)
	{
		uint8_t c = text.data[i];

		if (c == '%')
		{
			if (text.len - i < 3 || hex_digit(text.data[i + 1]) < 0 ||
				hex_digit(text.data[i + 2]) < 0)
				return false;
			c = (uint8_t) (hex_digit(text.data[i + 1]) << 4 |
						   hex_digit(text.data[i + 2]));
			i += 2;
		}
		else if (c == '+' && plus_is_space)
			c = ' ';
		*to++ = c;
	}
	*to = '\0';
	*out = bytes_make(start, (size_t) (to - start));
	return true;
}

bool
url_unhex(Bytes digits, Arena *arena, Bytes *out)
{
	uint8_t *start = arena_alloc(arena, digits.len / 2 + 1);

	if (digits.len % 2 != 0)
		return false;
	for (size_t i = 0; i < digits.len; i += 2)
	{
		int high = hex_digit(digits.data[i]);
		int low = hex_digit(digits.data[i + 1]);

		if (high < 0 || low < 0)
			return false;
		start[i / 2] = (uint8_t) (high << 4 | low);
	}
	*out = bytes_make(start, digits.len / 2);
	return true;
}

/* Several slashes count as one. */
static bool
parse_path(Bytes path, Arena *arena, Url *out)
{
	size_t at = 0;

	while (at < path.len)
	{
		size_t end = at;

		while (end < path.len && path.data[end] != '/')
			end++;
		if (end > at)
		{
			if (out->n_segments == URL_MAX_SEGMENTS ||
				!url_unescape(bytes_make(path.data + at, end - at), false,
							  arena, &out->segments[out->n_segments++]))
				return false;
		}
		at = end + 1;
	}
	return true;
}

static bool
parse_pair(Bytes text, Arena *arena, UrlPair *out)
{
	size_t equals = 0;
	Bytes name;

	while (equals < text.len && text.data[equals] != '=')
		equals++;
	if (!url_unescape(bytes_make(text.data, equals), true, arena, &name))
		return false;
	out->name = (const char *) name.data;
	if (equals == text.len)
		return url_unescape(bytes_empty(), true, arena, &out->value);
	return url_unescape(bytes_make(text.data + equals + 1,
								   text.len - equals - 1),
						true, arena, &out->value);
}

static bool
parse_query(Bytes query, Arena *arena, Url *out)
{
	size_t at = 0;

	while (at < query.len)
	{
		size_t end = at;

		while (end < query.len && query.data[end] != '&')
			end++;
		if (end > at)
		{
			if (out->n_pairs == URL_MAX_PAIRS ||
				!parse_pair(bytes_make(query.data + at, end - at), arena,
							&out->pairs[out->n_pairs++]))
				return false;
		}
		at = end + 1;
	}
	return true;
}

bool
url_parse(const char *uri, Arena *arena, Url *out)
{
	const char *question = strchr(uri, '?');
	size_t path_len =
		question == NULL ? strlen(uri) : (size_t) (question - uri);

	memset(out, 0, sizeof(*out));
	if (uri[0] != '/' || !parse_path(bytes_make(uri, path_len), arena, out))
		return false;
	return question == NULL ||
		parse_query(bytes_cstr(question + 1), arena, out);
}

const char *
url_text(const Url *url, int segment)
{
	Bytes bytes;

	if (segment >= url->n_segments)
		return NULL;
	bytes = url->segments[segment];
	return memchr(bytes.data, 0, bytes.len) == NULL ?
		(const char *) bytes.data :
		NULL;
}

static const UrlPair *
find_pair(const Url *url, const char *name)
{
	for (int i = 0; i < url->n_pairs; i++)
		if (strcmp(url->pairs[i].name, name) == 0)
			return &url->pairs[i];
	return NULL;
}

const char *
url_query(const Url *url, const char *name)
{
	const UrlPair *pair = find_pair(url, name);

	return pair == NULL ? NULL : (const char *) pair->value.data;
}

Bytes
url_query_bytes(const Url *url, const char *name)
{
	const UrlPair *pair = find_pair(url, name);

	return pair == NULL ? bytes_empty() : pair->value;
}
