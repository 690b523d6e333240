/*
 * http_query.c
 *	  HTTP: numbers and switches of paths and queries.
 *
 * Read as tikv/pd reads them (Go's strconv), so what is no number is never
 * taken for one: the answer is 400, with the name, the value and what is
 * wanted.  Not even where tikv/pd says 500 (states of stores, ids of
 * keyspaces), upon which its clients ask every other member the same.
 * Parameters that no handler asks for are not looked at, as there.
 */
#include "postgres.h"

#include "pd/http_ask.h"

/* So much of a value is shown. */
#define SHOWN 64

static bool
is_digit(uint8 c)
{
	return c >= '0' && c <= '9';
}

/* As ParseUint: digits and nothing else.  A zero byte follows the text. */
static bool
read_unsigned(Bytes text, uint64_t *out)
{
	const char *start = (const char *) text.data;
	char *end;

	if (text.len == 0 || !is_digit(text.data[0]))
		return false;
	errno = 0;
	*out = strtoull(start, &end, 10);
	return errno == 0 && end == start + text.len;
}

/* As Atoi: with a sign or without. */
static bool
read_signed(Bytes text, int64 *out)
{
	const char *start = (const char *) text.data;
	size_t sign =
		text.len > 0 && (text.data[0] == '-' || text.data[0] == '+') ? 1 : 0;
	char *end;

	if (text.len == sign || !is_digit(text.data[sign]))
		return false;
	errno = 0;
	*out = strtoll(start, &end, 10);
	return errno == 0 && end == start + text.len;
}

bool
http_bad_value(HttpAsk *ask, const char *name, Bytes value, const char *wanted)
{
	http_say(ask, HTTP_BAD_REQUEST,
			 arena_printf(ask->arena, "%s must be %s, not \"%.*s\"%s", name,
						  wanted, (int) Min(value.len, SHOWN),
						  (const char *) value.data,
						  value.len > SHOWN ? "..." : ""));
	return false;
}

bool
http_number(const char *text, uint64_t *out)
{
	return text != NULL && read_unsigned(bytes_cstr(text), out);
}

bool
http_id(HttpAsk *ask, int segment, uint64_t *out)
{
	Bytes text = ask->url.segments[segment];

	return read_unsigned(text, out) ||
		http_bad_value(ask, "the id", text, "a number");
}

/* Its value if it is there and not empty, as with Go's Query().Get. */
static bool
is_given(const HttpAsk *ask, const char *name, Bytes *value)
{
	*value = url_query_bytes(&ask->url, name);
	return value->len > 0;
}

bool
http_limit(HttpAsk *ask, size_t otherwise, size_t most, size_t *out)
{
	Bytes text;
	int64 number;

	*out = otherwise;
	if (!is_given(ask, "limit", &text))
		return true;
	if (!read_signed(text, &number))
		return http_bad_value(ask, "limit", text, "a number");

	/* pd-ctl says -1 for all. */
	*out = number < 0 ? most : Min((size_t) number, most);
	return true;
}

bool
http_query_number(HttpAsk *ask, const char *name, uint64_t most, uint64_t *out)
{
	Bytes text;

	*out = 0;
	if (!is_given(ask, name, &text) ||
		(read_unsigned(text, out) && *out <= most))
		return true;
	return http_bad_value(ask, name, text,
						  arena_printf(ask->arena, "a number up to %llu",
									   (unsigned long long) most));
}

bool
http_states(HttpAsk *ask, unsigned int *out)
{
	bool named = false;

	*out = 0;
	for (int i = 0; i < ask->url.n_pairs; i++)
	{
		const UrlPair *pair = &ask->url.pairs[i];
		int64 state;

		if (strcmp(pair->name, "state") != 0)
			continue;
		if (!read_signed(pair->value, &state) || state < STORE_UP ||
			state > STORE_TOMBSTONE)
			return http_bad_value(ask, "state", pair->value,
								  "0 (Up), 1 (Offline) or 2 (Tombstone)");
		named = true;
		*out |= 1u << state;
	}
	if (!named)
		*out = 1u << STORE_UP | 1u << STORE_OFFLINE;
	return true;
}

bool
http_check_ids(HttpAsk *ask, const char *name)
{
	for (int i = 0; i < ask->url.n_pairs; i++)
	{
		const UrlPair *pair = &ask->url.pairs[i];
		uint64_t id;

		if (strcmp(pair->name, name) == 0 && !read_unsigned(pair->value, &id))
			return http_bad_value(ask, name, pair->value, "a number");
	}
	return true;
}

bool
http_id_list(HttpAsk *ask, const char *name, Bytes list, uint64_t **out,
			 size_t *n)
{
	const char *at = (const char *) list.data;
	const char *end = at + list.len;

	*n = 0;
	*out = arena_alloc(ask->arena, (list.len / 2 + 1) * sizeof(uint64_t));
	for (;;)
	{
		size_t len = strcspn(at, ",");
		const char *id = arena_printf(ask->arena, "%.*s", (int) len, at);

		if (!http_number(id, &(*out)[*n]))
			return http_bad_value(ask, name, list,
								  "\"cluster\", or numbers with commas "
								  "between them");
		(*n)++;
		at += len;
		if (at == end)
			return true;
		at++;
	}
}

/* ParseBool of Go. */
bool
http_switch(HttpAsk *ask, const char *name, bool *out)
{
	static const char *const words[] = {"1",	"t",	 "T",	  "true",
										"True", "TRUE",	 "0",	  "f",
										"F",	"false", "False", "FALSE"};
	Bytes text;

	*out = false;
	if (!is_given(ask, name, &text))
		return true;
	for (int i = 0; i < (int) lengthof(words); i++)
		if (bytes_eq(text, bytes_cstr(words[i])))
		{
			*out = i < (int) lengthof(words) / 2;
			return true;
		}
	return http_bad_value(ask, name, text, "true or false");
}

bool
http_check_ttl(HttpAsk *ask, const char *item)
{
	Bytes text;
	int64 seconds;

	if (!is_given(ask, "ttlSecond", &text))
		return true;
	if (!read_signed(text, &seconds))
		return http_bad_value(ask, "ttlSecond", text, "a number");
	if (item == NULL)
		return true;
	http_say(ask, HTTP_BAD_REQUEST,
			 arena_printf(ask->arena,
						  "unsupported ttl config %s: nothing can be set for "
						  "some time only",
						  item));
	return false;
}
