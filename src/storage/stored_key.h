/*
 * stored_key.h
 *	  How keys lie in the columns `key` and `key_rest`, and how columns that
 *	  may be out of line are read.
 *
 * A btree entry holds about 2,700 bytes, so `key` is the beginning of a key
 * and `key_rest` what is left, NULL if nothing is.
 */
#ifndef TIKV_STORAGE_STORED_KEY_H
#define TIKV_STORAGE_STORED_KEY_H

#include "postgres.h"

#include "core/base/bytes.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* The first bytes of a key are `key`, the rest `key_rest` (DESIGN 2). */
#define KEY_PREFIX_LEN 2048

/* A key as it is stored; `rest` is empty unless the prefix is full. */
typedef struct StoredKey
{
	Bytes prefix;
	Bytes rest;
} StoredKey;

static inline StoredKey
stored_key_split(Bytes key)
{
	Size n = Min(key.len, KEY_PREFIX_LEN);
	StoredKey split = {{key.data, n}, bytes_empty()};

	if (key.len > n)
		split.rest = bytes_make(key.data + n, key.len - n);
	return split;
}

/* Room for a bytea of a stored key, for index searches. */
typedef union KeyProbe
{
	int32 aligned;
	char bytes[VARHDRSZ + KEY_PREFIX_LEN];
} KeyProbe;

/* The prefix as a datum; lives as long as the probe. */
extern Datum key_probe_set(KeyProbe *probe, Bytes prefix);

/* A bytea of the current context. */
extern Datum bytea_datum(Bytes bytes);

/* The values of `key` and `key_rest`, allocated in the current context. */
extern void stored_key_form(Bytes key, Datum *prefix, Datum *rest,
							bool *rest_isnull);

/* A bytea that is in line and not compressed, as `key` always is. */
static inline Bytes
inline_bytes(Datum datum)
{
	struct varlena *value = (struct varlena *) DatumGetPointer(datum);

	return bytes_make(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

/*
 * A bytea that may be out of line: then it is fetched into `context`, which
 * needs a registered snapshot.
 */
extern Bytes fetch_bytes(Datum datum, MemoryContext context);

/* How many bytes that would be. */
extern Size datum_length(Datum datum);

/* Whether a `key_rest` is this one; `scratch` is used for what is fetched. */
extern bool stored_rest_is(Datum stored, bool isnull, Bytes rest,
						   MemoryContext scratch);

/* The beginning of a key in hexadecimal, for people; valid until the next. */
extern const char *stored_key_shown(Bytes key);

#endif /* TIKV_STORAGE_STORED_KEY_H */
