/*
 * json.c
 *	  Writing JSON, as far as PD's HTTP interface needs it.
 */
#include "pd/core/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "pd/core/utf8.h"

void
json_init(JsonWriter *json, Arena *arena)
{
	memset(json, 0, sizeof(*json));
	json->arena = arena;
}

static void
put(JsonWriter *json, const char *data, size_t len)
{
	if (json->full)
		return;
	if (json->size - json->len < len)
	{
		size_t size = json->size * 2 + len + 256;
		char *grown;

		json->full =
			json->most != 0 && json->arena->allocated + size > json->most;
		if (json->full)
			return;
		grown = arena_alloc(json->arena, size);
		if (json->len > 0)
			memcpy(grown, json->data, json->len);
		json->data = grown;
		json->size = size;
	}
	if (len > 0)
		memcpy(json->data + json->len, data, len);
	json->len += len;
}

static void
put_cstr(JsonWriter *json, const char *s)
{
	put(json, s, strlen(s));
}

/* How many bytes the character takes that stands there; 0: it is none. */
static size_t
character_len(const char *s)
{
	for (size_t len = 1; len <= 4; len++)
	{
		if (utf8_valid(bytes_make(s, len)))
			return len;
		if (s[len - 1] == '\0')
			break;
	}
	return 0;
}

static void
put_escaped(JsonWriter *json, unsigned char c)
{
	static const char digits[] = "0123456789abcdef";
	char escaped[] = "\\u0000";

	escaped[4] = digits[c >> 4];
	escaped[5] = digits[c & 15];
	put(json, escaped, 6);
}

/* How many bytes stand there that are themselves in JSON, whatever follows. */
static size_t
plain_len(const char *s)
{
	size_t len = 0;

	while (s[len] >= 0x20 && s[len] < 0x7f && s[len] != '"' && s[len] != '\\')
		len++;
	return len;
}

/* Bytes that are no text become the replacement character, one by one. */
static void
put_quoted(JsonWriter *json, const char *s)
{
	put(json, "\"", 1);
	while (*s != '\0' && !json->full)
	{
		size_t plain = plain_len(s);
		size_t len;

		put(json, s, plain);
		s += plain;
		if (*s == '\0')
			break;
		len = character_len(s);
		if (len == 0)
			put_cstr(json, "\\ufffd");
		else if (*s == '"' || *s == '\\')
		{
			put(json, "\\", 1);
			put(json, s, 1);
		}
		else if ((unsigned char) *s < 0x20)
			put_escaped(json, (unsigned char) *s);
		else
			put(json, s, len);
		s += len == 0 ? 1 : len;
	}
	put(json, "\"", 1);
}

static void
begin_value(JsonWriter *json, const char *key)
{
	if (json->comma)
		put(json, ",", 1);
	json->comma = true;
	if (key == NULL)
		return;
	put_quoted(json, key);
	put(json, ":", 1);
}

void
json_open(JsonWriter *json, const char *key, char bracket)
{
	begin_value(json, key);
	put(json, &bracket, 1);
	json->comma = false;
}

void
json_close(JsonWriter *json, char bracket)
{
	put(json, &bracket, 1);
	json->comma = true;
}

void
json_string(JsonWriter *json, const char *key, const char *value)
{
	begin_value(json, key);
	put_quoted(json, value == NULL ? "" : value);
}

void
json_uint(JsonWriter *json, const char *key, uint64_t value)
{
	char text[24];

	begin_value(json, key);
	snprintf(text, sizeof(text), "%" PRIu64, value);
	put_cstr(json, text);
}

void
json_int(JsonWriter *json, const char *key, int64_t value)
{
	char text[24];

	begin_value(json, key);
	snprintf(text, sizeof(text), "%" PRId64, value);
	put_cstr(json, text);
}

void
json_double(JsonWriter *json, const char *key, double value)
{
	char text[40];

	begin_value(json, key);
	if (!isfinite(value))
	{
		put_cstr(json, "0");
		return;
	}
	snprintf(text, sizeof(text), "%.15g", value);
	put_cstr(json, text);
}

void
json_bool(JsonWriter *json, const char *key, bool value)
{
	begin_value(json, key);
	put_cstr(json, value ? "true" : "false");
}

void
json_null(JsonWriter *json, const char *key)
{
	begin_value(json, key);
	put_cstr(json, "null");
}

void
json_hex(JsonWriter *json, const char *key, Bytes value)
{
	static const char digits[] = "0123456789ABCDEF";

	begin_value(json, key);
	put(json, "\"", 1);
	for (size_t i = 0; i < value.len; i++)
	{
		char two[2] = {digits[value.data[i] >> 4], digits[value.data[i] & 15]};

		put(json, two, 2);
	}
	put(json, "\"", 1);
}

void
json_raw(JsonWriter *json, const char *key, const char *value)
{
	begin_value(json, key);
	put_cstr(json, value);
}

Bytes
json_text(const JsonWriter *json)
{
	return bytes_make(json->data, json->len);
}
