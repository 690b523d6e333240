/*
 * json_read.c
 *	  Reading JSON: RFC 8259 into a tree in an arena.
 */
#include <stdlib.h>

#include "pd/core/json.h"
#include "pd/core/utf8.h"

typedef struct Reader
{
	const uint8_t *at;
	const uint8_t *end;
	Arena *arena;
	size_t values; /* so far */
} Reader;

static bool read_value(Reader *reader, JsonValue *out, int depth);

static void
skip_space(Reader *reader)
{
	while (reader->at < reader->end &&
		   (*reader->at == ' ' || *reader->at == '\t' || *reader->at == '\n' ||
			*reader->at == '\r'))
		reader->at++;
}

/* Skip space, then the character if it is next. */
static bool
accept(Reader *reader, char c)
{
	skip_space(reader);
	if (reader->at == reader->end || *reader->at != (uint8_t) c)
		return false;
	reader->at++;
	return true;
}

static bool
accept_word(Reader *reader, const char *word)
{
	size_t len = strlen(word);

	if ((size_t) (reader->end - reader->at) < len ||
		memcmp(reader->at, word, len) != 0)
		return false;
	reader->at += len;
	return true;
}

/* ---- strings ---- */

static bool
read_hex4(Reader *reader, unsigned int *out)
{
	*out = 0;
	if (reader->end - reader->at < 4)
		return false;
	for (int i = 0; i < 4; i++)
	{
		uint8_t c = *reader->at++;

		*out <<= 4;
		if (c >= '0' && c <= '9')
			*out |= (unsigned int) (c - '0');
		else if (c >= 'a' && c <= 'f')
			*out |= (unsigned int) (c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			*out |= (unsigned int) (c - 'A' + 10);
		else
			return false;
	}
	return true;
}

static char *
put_utf8(char *to, unsigned int c)
{
	if (c < 0x80)
		*to++ = (char) c;
	else if (c < 0x800)
	{
		*to++ = (char) (0xC0 | c >> 6);
		*to++ = (char) (0x80 | (c & 0x3F));
	}
	else if (c < 0x10000)
	{
		*to++ = (char) (0xE0 | c >> 12);
		*to++ = (char) (0x80 | (c >> 6 & 0x3F));
		*to++ = (char) (0x80 | (c & 0x3F));
	}
	else
	{
		*to++ = (char) (0xF0 | c >> 18);
		*to++ = (char) (0x80 | (c >> 12 & 0x3F));
		*to++ = (char) (0x80 | (c >> 6 & 0x3F));
		*to++ = (char) (0x80 | (c & 0x3F));
	}
	return to;
}

/* What follows \u; a surrogate needs its other half. */
static bool
read_unicode(Reader *reader, char **to)
{
	unsigned int c;
	unsigned int low;

	if (!read_hex4(reader, &c) || c == 0 || (c >= 0xDC00 && c < 0xE000))
		return false;
	if (c >= 0xD800 && c < 0xDC00)
	{
		if (!accept_word(reader, "\\u") || !read_hex4(reader, &low) ||
			low < 0xDC00 || low > 0xDFFF)
			return false;
		c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
	}
	*to = put_utf8(*to, c);
	return true;
}

static bool
read_escape(Reader *reader, char **to)
{
	static const char from[] = "\"\\/bfnrt";
	static const char into[] = "\"\\/\b\f\n\r\t";
	const char *found;
	char c;

	if (reader->at == reader->end)
		return false;
	c = (char) *reader->at++;
	if (c == 'u')
		return read_unicode(reader, to);
	found = c == '\0' ? NULL : strchr(from, c);
	if (found == NULL)
		return false;
	*(*to)++ = into[found - from];
	return true;
}

/* After the opening quote.  No escape is longer than what it stands for. */
static bool
read_string(Reader *reader, const char **out)
{
	const uint8_t *close = reader->at;
	char *to;
	char *start;

	while (close < reader->end && *close != '"')
		close += *close == '\\' ? 2 : 1;
	if (close >= reader->end)
		return false;
	start = to = arena_alloc(reader->arena, (size_t) (close - reader->at) + 1);
	while (reader->at < close)
	{
		uint8_t c = *reader->at++;

		if (c < 0x20 || (c == '\\' && !read_escape(reader, &to)))
			return false;
		if (c != '\\')
			*to++ = (char) c;
	}
	reader->at++;
	*to = '\0';
	*out = start;
	return utf8_valid(bytes_make(start, (size_t) (to - start)));
}

/* ---- numbers ---- */

static size_t
skip_digits(Reader *reader)
{
	const uint8_t *start = reader->at;

	while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9')
		reader->at++;
	return (size_t) (reader->at - start);
}

static bool
read_number(Reader *reader, JsonValue *out)
{
	const uint8_t *start = reader->at;
	char *text;

	if (reader->at < reader->end && *reader->at == '-')
		reader->at++;
	if (reader->at < reader->end && *reader->at == '0')
		reader->at++;
	else if (skip_digits(reader) == 0)
		return false;
	if (reader->at < reader->end && *reader->at == '.')
	{
		reader->at++;
		if (skip_digits(reader) == 0)
			return false;
	}
	if (reader->at < reader->end && (*reader->at == 'e' || *reader->at == 'E'))
	{
		reader->at++;
		if (reader->at < reader->end &&
			(*reader->at == '+' || *reader->at == '-'))
			reader->at++;
		if (skip_digits(reader) == 0)
			return false;
	}
	text = arena_alloc(reader->arena, (size_t) (reader->at - start) + 1);
	memcpy(text, start, (size_t) (reader->at - start));
	text[reader->at - start] = '\0';
	out->type = JSON_NUMBER;
	out->text = text;
	out->number = strtod(text, NULL);
	return true;
}

/* ---- arrays and objects ---- */

static bool
read_member(Reader *reader, bool object, JsonValue *out, int depth)
{
	if (object)
	{
		const char *key;

		if (!accept(reader, '"') || !read_string(reader, &key) ||
			!accept(reader, ':') || !read_value(reader, out, depth + 1))
			return false;
		out->key = key;
		return true;
	}
	return read_value(reader, out, depth + 1);
}

static bool
read_list(Reader *reader, JsonValue *out, int depth)
{
	bool object = out->type == JSON_OBJECT;
	char close = object ? '}' : ']';
	JsonValue **tail = &out->first;

	if (accept(reader, close))
		return true;
	do
	{
		JsonValue *value = arena_zalloc(reader->arena, sizeof(*value));

		if (!read_member(reader, object, value, depth))
			return false;
		*tail = value;
		tail = &value->next;
		out->n++;
	} while (accept(reader, ','));
	return accept(reader, close);
}

static bool
read_value(Reader *reader, JsonValue *out, int depth)
{
	memset(out, 0, sizeof(*out));
	if (depth > JSON_MAX_DEPTH || ++reader->values > JSON_MAX_VALUES)
		return false;
	skip_space(reader);
	if (accept(reader, '"'))
	{
		out->type = JSON_STRING;
		return read_string(reader, &out->text);
	}
	if (accept(reader, '{') || accept(reader, '['))
	{
		out->type = reader->at[-1] == '{' ? JSON_OBJECT : JSON_ARRAY;
		return read_list(reader, out, depth);
	}
	if (accept_word(reader, "null"))
		return true;
	out->type = JSON_BOOL;
	if (accept_word(reader, "true"))
	{
		out->truth = true;
		return true;
	}
	if (accept_word(reader, "false"))
		return true;
	return read_number(reader, out);
}

const JsonValue *
json_parse(Bytes text, Arena *arena)
{
	Reader reader = {.at = text.data,
					 .end = text.data + text.len,
					 .arena = arena};
	JsonValue *value = arena_alloc(arena, sizeof(*value));

	if (text.len == 0 || !read_value(&reader, value, 0))
		return NULL;
	skip_space(&reader);
	return reader.at == reader.end ? value : NULL;
}

/* ---- looking things up ---- */

const JsonValue *
json_get(const JsonValue *object, const char *key)
{
	const JsonValue *found = NULL;

	if (object == NULL || object->type != JSON_OBJECT)
		return NULL;
	for (const JsonValue *value = object->first; value != NULL;
		 value = value->next)
		if (strcmp(value->key, key) == 0)
			found = value;
	return found;
}

const char *
json_get_text(const JsonValue *object, const char *key)
{
	const JsonValue *value = json_get(object, key);

	return value != NULL && value->type == JSON_STRING ? value->text : NULL;
}

bool
json_get_uint(const JsonValue *object, const char *key, uint64_t *out)
{
	const JsonValue *value = json_get(object, key);
	const char *digit;

	if (value == NULL || value->type != JSON_NUMBER)
		return false;
	*out = 0;
	for (digit = value->text; *digit >= '0' && *digit <= '9'; digit++)
	{
		uint64_t add = (uint64_t) (*digit - '0');

		if (*out > (UINT64_MAX - add) / 10)
			return false;
		*out = *out * 10 + add;
	}
	return *digit == '\0';
}
