/*
 * uint_datum.h
 *	  The protocol's unsigned 64-bit numbers as SQL values.
 *
 * Counters and ids that Postgres's int8 can hold are stored as int8, and one
 * that is too large is refused rather than shown as negative.  Numbers chosen
 * by others (a cluster id) are numeric.
 */
#ifndef TIKV_STORAGE_UINT_DATUM_H
#define TIKV_STORAGE_UINT_DATUM_H

#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

static inline Datum
uint64_to_int8(uint64 value, const char *what)
{
	if (value > (uint64) PG_INT64_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("%s " UINT64_FORMAT " is too large to be stored", what,
						value)));
	return Int64GetDatum((int64) value);
}

static inline Datum
uint64_to_numeric(uint64 value)
{
	char text[24];

	snprintf(text, sizeof(text), UINT64_FORMAT, value);
	return DirectFunctionCall3(numeric_in, CStringGetDatum(text),
							   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

static inline uint64
numeric_to_uint64(Datum value)
{
	char *text = DatumGetCString(DirectFunctionCall1(numeric_out, value));
	char *end;
	uint64 number;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || text[0] == '-')
		ereport(
			ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("stored number \"%s\" is not an unsigned 64-bit integer",
					text)));
	pfree(text);
	return number;
}

#endif /* TIKV_STORAGE_UINT_DATUM_H */
