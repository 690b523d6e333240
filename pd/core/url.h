/*
 * url.h
 *	  The path and the query of an HTTP request, taken apart.
 *
 * Segments are decoded one by one, so that a key with a slash or a zero byte
 * in it stays one segment.
 */
#ifndef TIKV_PD_CORE_URL_H
#define TIKV_PD_CORE_URL_H

#include "core/base/arena.h"

#define URL_MAX_SEGMENTS 16
#define URL_MAX_PAIRS 64

typedef struct UrlPair
{
	const char *name;
	Bytes value; /* followed by a zero byte */
} UrlPair;

typedef struct Url
{
	int n_segments;
	Bytes segments[URL_MAX_SEGMENTS]; /* each followed by a zero byte */
	int n_pairs;
	UrlPair pairs[URL_MAX_PAIRS];
} Url;

/* False: it does not begin with a slash, is too long, or is badly escaped. */
extern bool url_parse(const char *uri, Arena *arena, Url *out);

/* A segment as text; NULL if it holds a zero byte. */
extern const char *url_text(const Url *url, int segment);

/* A value of the query, NULL if it is not there; of bytes, empty then. */
extern const char *url_query(const Url *url, const char *name);
extern Bytes url_query_bytes(const Url *url, const char *name);

/* Escapes of a query, where "+" is a space, undone; false if they are bad. */
extern bool url_unescape(Bytes text, bool plus_is_space, Arena *arena,
						 Bytes *out);

/* Pairs of hexadecimal digits; false if they are not. */
extern bool url_unhex(Bytes digits, Arena *arena, Bytes *out);

#endif /* TIKV_PD_CORE_URL_H */
