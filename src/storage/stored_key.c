/*
 * stored_key.c
 *	  How keys lie in the columns `key` and `key_rest`.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "utils/memutils.h"

#include "storage/stored_key.h"

/* Of a key, for people. */
#define SHOWN_BYTES 64

Datum
key_probe_set(KeyProbe *probe, Bytes prefix)
{
	Assert(prefix.len <= KEY_PREFIX_LEN);
	SET_VARSIZE(probe->bytes, VARHDRSZ + prefix.len);
	if (prefix.len > 0)
		memcpy(VARDATA(probe->bytes), prefix.data, prefix.len);
	return PointerGetDatum(probe->bytes);
}

Datum
bytea_datum(Bytes bytes)
{
	bytea *datum = palloc(VARHDRSZ + bytes.len);

	SET_VARSIZE(datum, VARHDRSZ + bytes.len);
	if (bytes.len > 0)
		memcpy(VARDATA(datum), bytes.data, bytes.len);
	return PointerGetDatum(datum);
}

void
stored_key_form(Bytes key, Datum *prefix, Datum *rest, bool *rest_isnull)
{
	StoredKey split = stored_key_split(key);

	*prefix = bytea_datum(split.prefix);
	*rest_isnull = split.rest.len == 0;
	*rest = *rest_isnull ? (Datum) 0 : bytea_datum(split.rest);
}

Bytes
fetch_bytes(Datum datum, MemoryContext context)
{
	struct varlena *value = (struct varlena *) DatumGetPointer(datum);

	if (VARATT_IS_EXTERNAL(value) || VARATT_IS_COMPRESSED(value))
	{
		MemoryContext caller = MemoryContextSwitchTo(context);

		value = detoast_attr(value);
		MemoryContextSwitchTo(caller);
	}
	return inline_bytes(PointerGetDatum(value));
}

Size
datum_length(Datum datum)
{
	return toast_raw_datum_size(datum) - VARHDRSZ;
}

bool
stored_rest_is(Datum stored, bool isnull, Bytes rest, MemoryContext scratch)
{
	if (isnull || rest.len == 0)
		return isnull && rest.len == 0;
	/* The length alone settles most, without a fetch. */
	if (toast_raw_datum_size(stored) != rest.len + VARHDRSZ)
		return false;
	return bytes_eq(fetch_bytes(stored, scratch), rest);
}

const char *
stored_key_shown(Bytes key)
{
	static char text[2 * SHOWN_BYTES + sizeof("...")];
	size_t n = Min(key.len, SHOWN_BYTES);

	for (size_t i = 0; i < n; i++)
		snprintf(text + 2 * i, 3, "%02x", key.data[i]);
	strcpy(text + 2 * n, key.len > n ? "..." : "");
	return text;
}
