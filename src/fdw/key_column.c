/*
 * key_column.c
 *	  Between columns and keys.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "fdw/fdw.h"
#include "sqlapi/sqlapi.h"

bool
key_kind_of_type(Oid type, KeyKind *kind)
{
	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			*kind = KEY_INT;
			return true;
		case BOOLOID:
			*kind = KEY_BOOL;
			return true;
		case UUIDOID:
			*kind = KEY_UUID;
			return true;
		case TEXTOID:
		case VARCHAROID:
		case BYTEAOID:
			*kind = KEY_BYTES;
			return true;
		default:
			return false;
	}
}

void
key_part_of_datum(Oid type, Datum value, KeyPart *part)
{
	struct varlena *bytes;

	switch (type)
	{
		case INT2OID:
			part->number = DatumGetInt16(value);
			break;
		case INT4OID:
			part->number = DatumGetInt32(value);
			break;
		case DATEOID:
			part->number = DatumGetDateADT(value);
			break;
		case INT8OID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			part->number = DatumGetInt64(value);
			break;
		case BOOLOID:
			part->number = DatumGetBool(value);
			break;
		case UUIDOID:
			part->bytes = bytes_make(DatumGetUUIDP(value)->data, KEY_UUID_LEN);
			break;
		default:
			bytes = PG_DETOAST_DATUM_PACKED(value);
			part->bytes =
				bytes_make(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
			break;
	}
}

/* ------------------------------------------------------- columns to a key */

static void
refuse_null(const TableMap *map, AttrNumber attnum)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_NOT_NULL_VIOLATION),
		 errmsg(
			 "null value in column \"%s\" violates the key of the foreign table",
			 NameStr(TupleDescAttr(map->desc, attnum - 1)->attname)),
		 errdetail("Columns of the key have a value.")));
}

static Bytes
whole_key(const TableMap *map, const KeyPart *part)
{
	Bytes key = part->bytes;

	if (key.len < map->prefix.len ||
		(map->prefix.len > 0 &&
		 memcmp(key.data, map->prefix.data, map->prefix.len) != 0))
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("key is outside the foreign table"),
				 errdetail("Key %s does not begin with the prefix %s.",
						   key_text(key), key_text(map->prefix))));
	return key;
}

Bytes
key_of_values(const TableMap *map, const Datum *values, const bool *nulls)
{
	KeyPart parts[INDEX_MAX_KEYS] = {{0}};
	Size len = map->prefix.len;
	uint8 *key;
	uint8 *p;

	for (int i = 0; i < map->n_keys; i++)
	{
		const KeyColumn *column = &map->keys[i];

		if (nulls[column->attnum - 1])
			refuse_null(map, column->attnum);
		key_part_of_datum(column->type, values[column->attnum - 1], &parts[i]);
		len += key_part_len(column->kind, &parts[i]);
	}
	if (map->key_format == KEY_FORMAT_WHOLE)
		return whole_key(map, &parts[0]);
	p = key = palloc(len + 1);
	if (map->prefix.len > 0)
		memcpy(p, map->prefix.data, map->prefix.len);
	p += map->prefix.len;
	for (int i = 0; i < map->n_keys; i++)
		p = key_part_put(p, map->keys[i].kind, &parts[i]);
	return bytes_make(key, len);
}

/* ------------------------------------------------------- a key to columns */

static bool
fits_type(Oid type, int64 number)
{
	switch (type)
	{
		case INT2OID:
			return number >= PG_INT16_MIN && number <= PG_INT16_MAX;
		case INT4OID:
			return number >= PG_INT32_MIN && number <= PG_INT32_MAX;
		case DATEOID:
			return number == (int64) DATEVAL_NOBEGIN ||
				number == (int64) DATEVAL_NOEND ||
				(number >= PG_INT32_MIN && number <= PG_INT32_MAX &&
				 IS_VALID_DATE((DateADT) number));
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return TIMESTAMP_NOT_FINITE(number) || IS_VALID_TIMESTAMP(number);
		default:
			return true;
	}
}

static Datum
copy_varlena(Bytes bytes)
{
	return PointerGetDatum(cstring_to_text_with_len((const char *) bytes.data,
													(int) bytes.len));
}

static bool
is_text(Bytes bytes)
{
	return pg_verify_mbstr(GetDatabaseEncoding(), (const char *) bytes.data,
						   (int) bytes.len, true);
}

/* Is the part a value of the type? */
static bool
is_value(Oid type, const KeyPart *part)
{
	if (type == TEXTOID || type == VARCHAROID)
		return is_text(part->bytes);
	return fits_type(type, part->number);
}

static Datum
part_to_datum(Oid type, const KeyPart *part)
{
	switch (type)
	{
		case INT2OID:
			return Int16GetDatum((int16) part->number);
		case INT4OID:
		case DATEOID:
			return Int32GetDatum((int32) part->number);
		case INT8OID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return Int64GetDatum(part->number);
		case BOOLOID:
			return BoolGetDatum(part->number != 0);
		case UUIDOID:
			return PointerGetDatum(memcpy(palloc(UUID_LEN), part->bytes.data,
										  UUID_LEN));
		default:
			return copy_varlena(part->bytes);
	}
}

/* Memory of one key's parts, for the session. */
static Arena *
part_arena(void)
{
	static Arena arena;
	static bool ready;

	if (!ready)
		arena_init(&arena);
	ready = true;
	arena_reset(&arena);
	return &arena;
}

bool
key_to_values(const TableMap *map, Bytes key, const bool *wanted, Datum *values,
			  bool *nulls)
{
	Arena *arena = part_arena();

	if (map->key_format != KEY_FORMAT_WHOLE)
		key = bytes_make(key.data + map->prefix.len, key.len - map->prefix.len);
	for (int i = 0; i < map->n_keys; i++)
	{
		const KeyColumn *column = &map->keys[i];
		KeyPart part = {0};

		if (key_part_get(&key, column->kind, arena, &part) != STATUS_OK)
			return false;
		/* A key is one of the table's or not, whatever the query wants. */
		if (!is_value(column->type, &part))
			return false;
		if (!wanted[column->attnum - 1])
			continue;
		values[column->attnum - 1] = part_to_datum(column->type, &part);
		nulls[column->attnum - 1] = false;
	}
	return key.len == 0;
}
