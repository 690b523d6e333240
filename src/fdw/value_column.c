/*
 * value_column.c
 *	  Between the columns that are no key and the value.
 *
 * Three formats: core/row's compact rows, JSON objects that other programs
 * read as well, and one column whose value it is.  Values were written by
 * anybody, so what does not decode is expected: an error that names the key, or
 * NULL where the table says on_error 'null'.
 */
#include "postgres.h"

#include <time.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "fdw/fdw.h"
#include "sqlapi/sqlapi.h"

/* How a column is stored in a row. */
typedef struct ValueColumn
{
	AttrNumber attnum;
	Oid type; /* the base type of a domain */
	int32 typmod;
	RowKind kind;
	bool is_array; /* ROW_BYTES in the binary form of an array */
	bool can_read; /* the functions are looked up */
	bool can_write;
	FmgrInfo input;
	Oid io_param;
	FmgrInfo output;
} ValueColumn;

struct ValueCodec
{
	const TableMap *map;
	MemoryContext context;
	int n;
	ValueColumn *columns;
	int *by_attnum;		/* attnum - 1 to the place in columns, or -1 */
	bool style_matters; /* the text form of a column depends on settings */
	TupleDesc object;	/* the columns alone, for JSON */
	Datum empty_object; /* a record of it, all NULL */
	FmgrInfo populate;
	Bytes key; /* being decoded, for messages */
	AttrNumber attnum;
};

/* --------------------------------------------------------------- the codec */

static RowKind
kind_of_type(Oid type)
{
	switch (type)
	{
		case BOOLOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return ROW_NUMBER;
		case FLOAT4OID:
		case FLOAT8OID:
			return ROW_FIXED;
		case DATEOID:
			return ROW_DATE;
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return ROW_TIME;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case BYTEAOID:
		case UUIDOID:
		case INT4ARRAYOID:
		case INT8ARRAYOID:
		case FLOAT4ARRAYOID:
		case FLOAT8ARRAYOID:
			return ROW_BYTES;
		default:
			return ROW_TEXT;
	}
}

static bool
is_number_array(Oid type)
{
	return type == INT4ARRAYOID || type == INT8ARRAYOID ||
		type == FLOAT4ARRAYOID || type == FLOAT8ARRAYOID;
}

/* Its text is the same under all settings. */
static bool
has_one_text(Oid type)
{
	return type == NUMERICOID || type == JSONOID || type == JSONBOID ||
		kind_of_type(type) == ROW_NUMBER || type == TEXTOID ||
		type == VARCHAROID || type == BPCHAROID || type == UUIDOID;
}

/* A tuple descriptor of the value's columns, under their names. */
static void
describe_object(ValueCodec *codec)
{
	TupleDesc desc = CreateTemplateTupleDesc(codec->n);
	Datum *values = palloc0(sizeof(Datum) * Max(codec->n, 1));
	bool *nulls = palloc(sizeof(bool) * Max(codec->n, 1));
	Expr *record;

	for (int i = 0; i < codec->n; i++)
		TupleDescCopyEntry(desc, (AttrNumber) (i + 1), codec->map->desc,
						   codec->columns[i].attnum);
	codec->object = BlessTupleDesc(desc);
	memset(nulls, true, sizeof(bool) * codec->n);
	codec->empty_object =
		HeapTupleGetDatum(heap_form_tuple(codec->object, values, nulls));

	/* The function finds out the type of its record by its expression. */
	fmgr_info_cxt(F_JSONB_POPULATE_RECORD, &codec->populate, codec->context);
	record = (Expr *) makeNullConst(RECORDOID, -1, InvalidOid);
	fmgr_info_set_expr((Node *)
						   makeFuncExpr(F_JSONB_POPULATE_RECORD, RECORDOID,
										list_make2(record,
												   makeNullConst(JSONBOID, -1,
																 InvalidOid)),
										InvalidOid, InvalidOid,
										COERCE_EXPLICIT_CALL),
					   &codec->populate);
}

ValueCodec *
value_codec_new(const TableMap *map)
{
	ValueCodec *codec = palloc0(sizeof(ValueCodec));
	int natts = map->desc->natts;

	codec->map = map;
	codec->context = CurrentMemoryContext;
	codec->columns = palloc0(sizeof(ValueColumn) * Max(natts, 1));
	codec->by_attnum = palloc(sizeof(int) * Max(natts, 1));
	for (AttrNumber a = 1; a <= natts; a++)
	{
		Form_pg_attribute att = TupleDescAttr(map->desc, a - 1);
		ValueColumn *column = &codec->columns[codec->n];

		codec->by_attnum[a - 1] = -1;
		if (att->attisdropped || a == map->ttl || table_map_key(map, a) >= 0)
			continue;
		codec->by_attnum[a - 1] = codec->n++;
		column->attnum = a;
		column->type = getBaseType(att->atttypid);
		column->typmod = att->atttypmod;
		column->kind = kind_of_type(column->type);
		column->is_array = is_number_array(column->type);
		if (!has_one_text(column->type))
			codec->style_matters = true;
	}
	if (map->value_format == VALUE_FORMAT_JSONB)
		describe_object(codec);
	return codec;
}

static void
need_input(ValueCodec *codec, ValueColumn *column)
{
	Oid function;

	if (column->can_read)
		return;
	if (column->is_array)
		getTypeBinaryInputInfo(column->type, &function, &column->io_param);
	else
		getTypeInputInfo(column->type, &function, &column->io_param);
	fmgr_info_cxt(function, &column->input, codec->context);
	column->can_read = true;
}

static void
need_output(ValueCodec *codec, ValueColumn *column)
{
	Oid function;
	bool is_varlena;

	if (column->can_write)
		return;
	if (column->is_array)
		getTypeBinaryOutputInfo(column->type, &function, &is_varlena);
	else
		getTypeOutputInfo(column->type, &function, &is_varlena);
	fmgr_info_cxt(function, &column->output, codec->context);
	column->can_write = true;
}

/* ------------------------------------------------------------------ errors */

static void
add_context(void *arg)
{
	const ValueCodec *codec = arg;

	if (codec->attnum == 0)
		errcontext("value of key %s in foreign table \"%s\"",
				   key_text(codec->key), get_rel_name(codec->map->relid));
	else
		errcontext("column \"%s\" of key %s in foreign table \"%s\"",
				   NameStr(TupleDescAttr(codec->map->desc, codec->attnum - 1)
							   ->attname),
				   key_text(codec->key), get_rel_name(codec->map->relid));
}

/* What does not decode without anybody having thrown. */
static void
refuse(const ValueCodec *codec, const char *what)
{
	if (codec->map->null_on_error)
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
		 errmsg("value of key %s is not %s", key_text(codec->key), what),
		 errhint(
			 "The table's option value_format says how values are stored; with on_error 'null' such columns are NULL.")));
}

/*
 * Only what is wrong with the data is the table's business.  Types complain of
 * data in many ways: that a message is too short, an array too large or of
 * another type, an expression none, a name that of nothing.
 */
static bool
is_about_data(int sqlerrcode)
{
	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case ERRCODE_DATA_EXCEPTION:
		case ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION:
		case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
			return true;
		case ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION:
			return sqlerrcode != ERRCODE_INSUFFICIENT_PRIVILEGE;
		default:
			return sqlerrcode == ERRCODE_PROTOCOL_VIOLATION;
	}
}

typedef Datum (*Reading)(ValueCodec *codec, void *arg);

/*
 * Call what may throw; false if it did and the table wants NULL instead.  A
 * subtransaction puts right what the failed call left.
 */
static bool
read_safely(ValueCodec *codec, Reading reading, void *arg, Datum *value)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool ok = true;

	if (!codec->map->null_on_error)
	{
		*value = reading(codec, arg);
		return true;
	}
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		*value = reading(codec, arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();

		if (!is_about_data(error->sqlerrcode))
			ReThrowError(error);
		FreeErrorData(error);
		ok = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	return ok;
}

/* As pg_dump and postgres_fdw set them, so that every session reads them. */
static int
set_styles(void)
{
	int level = NewGUCNestLevel();

	(void) set_config_option("datestyle", "ISO", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("intervalstyle", "postgres", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("extra_float_digits", "3", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return level;
}

/* ------------------------------------------------------------ reading text */

typedef struct TextReading
{
	ValueColumn *column;
	char *text;	 /* or, of an array, */
	Bytes bytes; /* its binary form */
} TextReading;

static Datum
read_text(ValueCodec *codec, void *arg)
{
	TextReading *reading = arg;
	ValueColumn *column = reading->column;
	StringInfoData bytes;

	need_input(codec, column);
	if (!column->is_array)
		return InputFunctionCall(&column->input, reading->text,
								 column->io_param, column->typmod);
	initStringInfo(&bytes);
	appendBinaryStringInfo(&bytes, (const char *) reading->bytes.data,
						   (int) reading->bytes.len);
	return ReceiveFunctionCall(&column->input, &bytes, column->io_param,
							   column->typmod);
}

/* NUL-terminated; NULL if the bytes are no text of this database. */
static char *
text_of_bytes(Bytes bytes)
{
	if (!pg_verify_mbstr(GetDatabaseEncoding(), (const char *) bytes.data,
						 (int) bytes.len, true))
		return NULL;
	return pnstrdup((const char *) bytes.data, bytes.len);
}

static bool
bytes_by_input(ValueCodec *codec, ValueColumn *column, Bytes bytes,
			   Datum *value)
{
	TextReading reading = {.column = column, .bytes = bytes};

	if (!column->is_array)
	{
		reading.text = text_of_bytes(bytes);
		if (reading.text == NULL)
		{
			refuse(codec, "text in the database's encoding");
			return false;
		}
	}
	return read_safely(codec, read_text, &reading, value);
}

/* Bytes as they are stored in a plain value or a ROW_BYTES field. */
static bool
bytes_to_datum(ValueCodec *codec, ValueColumn *column, Bytes bytes,
			   Datum *value)
{
	switch (column->type)
	{
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			if (!pg_verify_mbstr(GetDatabaseEncoding(),
								 (const char *) bytes.data, (int) bytes.len,
								 true))
			{
				refuse(codec, "text in the database's encoding");
				return false;
			}
			/* fall through */
		case BYTEAOID:
			*value = PointerGetDatum(cstring_to_text_with_len((const char *)
																  bytes.data,
															  (int) bytes.len));
			return true;
		case UUIDOID:
			if (bytes.len != UUID_LEN ||
				codec->map->value_format == VALUE_FORMAT_PLAIN)
				return bytes_by_input(codec, column, bytes, value);
			*value =
				PointerGetDatum(memcpy(palloc(UUID_LEN), bytes.data, UUID_LEN));
			return true;
		default:
			return bytes_by_input(codec, column, bytes, value);
	}
}

/* ------------------------------------------------------------ reading rows */

/* False if the number is no value of the column's type. */
static bool
number_to_datum(Oid type, const RowField *field, Datum *value)
{
	int64 number = field->number;
	union
	{
		int64 bits;
		double number;
	} fixed = {number};

	switch (type)
	{
		case BOOLOID:
			*value = BoolGetDatum(number != 0);
			return number == 0 || number == 1;
		case INT2OID:
			*value = Int16GetDatum((int16) number);
			return number == (int16) number;
		case INT4OID:
			*value = Int32GetDatum((int32) number);
			return number == (int32) number;
		case DATEOID:
			*value = DateADTGetDatum((DateADT) number);
			return number == (DateADT) number;
		case FLOAT4OID:
			*value = Float4GetDatum((float4) fixed.number);
			return true;
		case FLOAT8OID:
			*value = Float8GetDatum(fixed.number);
			return true;
		default:
			*value = Int64GetDatum(number);
			return true;
	}
}

/*
 * The column had another type when the row was written: through the text form,
 * as ALTER TABLE would go.
 */
static bool
field_by_text(ValueCodec *codec, ValueColumn *column, const RowField *field,
			  Datum *value)
{
	union
	{
		int64 bits;
		double number;
	} fixed = {field->number};
	TextReading reading = {.column = column};
	int level;
	bool ok;

	if (column->is_array)
	{
		refuse(codec, "an array where its column is one");
		return false;
	}
	if (field->kind == ROW_BYTES || field->kind == ROW_TEXT)
		return bytes_to_datum(codec, column, field->bytes, value);
	level = set_styles();
	if (field->kind == ROW_NUMBER)
		reading.text = psprintf(INT64_FORMAT, field->number);
	else if (field->kind == ROW_FIXED)
		reading.text =
			DatumGetCString(DirectFunctionCall1(float8out,
												Float8GetDatum(fixed.number)));
	else if (field->kind == ROW_DATE)
		reading.text =
			DatumGetCString(DirectFunctionCall1(date_out,
												DateADTGetDatum((DateADT) field
																	->number)));
	else
		reading.text = DatumGetCString(DirectFunctionCall1(
			timestamp_out, TimestampGetDatum(field->number)));
	ok = read_safely(codec, read_text, &reading, value);
	AtEOXact_GUC(true, level);
	return ok;
}

static bool
field_to_datum(ValueCodec *codec, ValueColumn *column, const RowField *field,
			   Datum *value)
{
	bool ok;

	if (field->kind == ROW_TEXT && column->kind == ROW_TEXT)
		return bytes_by_input(codec, column, field->bytes, value);
	if (field->kind != column->kind)
		return field_by_text(codec, column, field, value);
	if (field->kind == ROW_BYTES)
		return bytes_to_datum(codec, column, field->bytes, value);
	ok = number_to_datum(column->type, field, value);
	if (!ok)
		refuse(codec, "in the range of its column");
	return ok;
}

static void
row_to_columns(ValueCodec *codec, Bytes value, const bool *wanted,
			   Datum *values, bool *nulls)
{
	int natts = codec->map->desc->natts;
	RowReader reader;
	RowField field = {0};
	Status status = row_begin(value, &reader);

	while (status == STATUS_OK &&
		   (status = row_next(&reader, &field)) == STATUS_OK)
	{
		int a = (int) field.column - 1;
		int place = a < natts ? codec->by_attnum[a] : -1;

		if (place < 0 || !wanted[a])
			continue;
		codec->attnum = (AttrNumber) field.column;
		nulls[a] =
			!field_to_datum(codec, &codec->columns[place], &field, &values[a]);
		codec->attnum = 0;
	}
	if (status == STATUS_NOT_FOUND)
		return;
	for (int i = 0; i < codec->n; i++)
		nulls[codec->columns[i].attnum - 1] = true;
	refuse(codec, "a row");
}

/* ----------------------------------------------------------- reading others */

static Datum
read_object(ValueCodec *codec, void *arg)
{
	LOCAL_FCINFO(call, 2);
	Datum object = DirectFunctionCall1(jsonb_in, CStringGetDatum(arg));

	if (!JB_ROOT_IS_OBJECT(DatumGetJsonbP(object)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_JSON_TEXT),
				 errmsg("value of key %s is not a JSON object",
						key_text(codec->key))));
	InitFunctionCallInfoData(*call, &codec->populate, 2, InvalidOid, NULL,
							 NULL);
	call->args[0].value = codec->empty_object;
	call->args[0].isnull = false;
	call->args[1].value = object;
	call->args[1].isnull = false;
	return FunctionCallInvoke(call);
}

static void
object_to_columns(ValueCodec *codec, Bytes value, const bool *wanted,
				  Datum *values, bool *nulls)
{
	char *text = text_of_bytes(value);
	Datum *fields = palloc(sizeof(Datum) * Max(codec->n, 1));
	bool *missing = palloc(sizeof(bool) * Max(codec->n, 1));
	HeapTupleData tuple = {0};
	Datum record;

	if (text == NULL)
	{
		refuse(codec, "text in the database's encoding");
		return;
	}
	if (!read_safely(codec, read_object, text, &record))
		return;
	tuple.t_data = DatumGetHeapTupleHeader(record);
	tuple.t_len = HeapTupleHeaderGetDatumLength(tuple.t_data);
	heap_deform_tuple(&tuple, codec->object, fields, missing);
	for (int i = 0; i < codec->n; i++)
	{
		int a = codec->columns[i].attnum - 1;

		if (!wanted[a])
			continue;
		values[a] = fields[i];
		nulls[a] = missing[i];
	}
}

void
value_to_columns(ValueCodec *codec, Bytes key, Bytes value, const bool *wanted,
				 Datum *values, bool *nulls)
{
	AttrNumber plain = codec->map->plain;
	ErrorContextCallback callback = {
		.previous = error_context_stack,
		.callback = add_context,
		.arg = codec,
	};

	codec->key = key;
	codec->attnum = 0;
	error_context_stack = &callback;
	if (codec->map->value_format == VALUE_FORMAT_ROW)
		row_to_columns(codec, value, wanted, values, nulls);
	else if (codec->map->value_format == VALUE_FORMAT_JSONB)
		object_to_columns(codec, value, wanted, values, nulls);
	else if (plain != 0 && wanted[plain - 1])
		nulls[plain - 1] =
			!bytes_to_datum(codec, &codec->columns[codec->by_attnum[plain - 1]],
							value, &values[plain - 1]);
	error_context_stack = callback.previous;
}

/* ----------------------------------------------------------------- writing */

static Bytes
varlena_bytes(Datum value)
{
	struct varlena *bytes = PG_DETOAST_DATUM_PACKED(value);

	return bytes_make(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
}

static Bytes
datum_to_text(ValueCodec *codec, ValueColumn *column, Datum value)
{
	need_output(codec, column);
	if (column->is_array)
		return varlena_bytes(PointerGetDatum(SendFunctionCall(&column->output,
															  value)));
	return bytes_cstr(OutputFunctionCall(&column->output, value));
}

static void
datum_to_field(ValueCodec *codec, ValueColumn *column, Datum value,
			   RowField *field)
{
	union
	{
		double number;
		int64 bits;
	} fixed;

	field->column = (uint32) column->attnum;
	field->kind = column->kind;
	switch (column->type)
	{
		case BOOLOID:
			field->number = DatumGetBool(value);
			break;
		case INT2OID:
			field->number = DatumGetInt16(value);
			break;
		case INT4OID:
			field->number = DatumGetInt32(value);
			break;
		case DATEOID:
			field->number = DatumGetDateADT(value);
			break;
		case INT8OID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			field->number = DatumGetInt64(value);
			break;
		case FLOAT4OID:
			fixed.number = DatumGetFloat4(value);
			field->number = fixed.bits;
			break;
		case FLOAT8OID:
			fixed.number = DatumGetFloat8(value);
			field->number = fixed.bits;
			break;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case BYTEAOID:
			field->bytes = varlena_bytes(value);
			break;
		case UUIDOID:
			field->bytes = bytes_make(DatumGetUUIDP(value)->data, UUID_LEN);
			break;
		default:
			field->bytes = datum_to_text(codec, column, value);
			break;
	}
}

static Bytes
columns_to_row(ValueCodec *codec, const Datum *values, const bool *nulls)
{
	RowField *fields = palloc0(sizeof(RowField) * Max(codec->n, 1));
	size_t n = 0;
	size_t len;
	uint8 *row;

	for (int i = 0; i < codec->n; i++)
	{
		ValueColumn *column = &codec->columns[i];

		if (!nulls[column->attnum - 1])
			datum_to_field(codec, column, values[column->attnum - 1],
						   &fields[n++]);
	}
	len = row_len(fields, n);
	row = palloc(len);
	(void) row_put(row, fields, n);
	return bytes_make(row, len);
}

/* The fields of `old` that are no columns stay. */
static Bytes
merge_objects(Bytes old, Bytes fresh)
{
	char *text = text_of_bytes(old);
	Datum before;
	Datum after;

	if (text == NULL)
		return fresh;
	before = DirectFunctionCall1(jsonb_in, CStringGetDatum(text));
	after =
		DirectFunctionCall1(jsonb_in,
							CStringGetDatum(pnstrdup((const char *) fresh.data,
													 fresh.len)));
	if (!JB_ROOT_IS_OBJECT(DatumGetJsonbP(before)))
		return fresh;
	return bytes_cstr(DatumGetCString(DirectFunctionCall1(
		jsonb_out, DirectFunctionCall2(jsonb_concat, before, after))));
}

static Bytes
columns_to_object(ValueCodec *codec, Bytes old, const Datum *values,
				  const bool *nulls)
{
	Datum *fields = palloc(sizeof(Datum) * Max(codec->n, 1));
	bool *missing = palloc(sizeof(bool) * Max(codec->n, 1));
	Bytes object;

	for (int i = 0; i < codec->n; i++)
	{
		fields[i] = values[codec->columns[i].attnum - 1];
		missing[i] = nulls[codec->columns[i].attnum - 1];
	}
	object = varlena_bytes(DirectFunctionCall1(
		row_to_json,
		HeapTupleGetDatum(heap_form_tuple(codec->object, fields, missing))));
	return old.len == 0 ? object : merge_objects(old, object);
}

static Bytes
column_to_plain(ValueCodec *codec, const Datum *values, const bool *nulls)
{
	AttrNumber plain = codec->map->plain;
	ValueColumn *column;

	if (plain == 0)
		return bytes_empty();
	if (nulls[plain - 1])
		ereport(
			ERROR,
			(errcode(ERRCODE_NOT_NULL_VIOLATION),
			 errmsg("null value in column \"%s\" of foreign table \"%s\"",
					NameStr(TupleDescAttr(codec->map->desc, plain - 1)
								->attname),
					get_rel_name(codec->map->relid)),
			 errdetail(
				 "With value_format plain the column is the value, and a key has one.")));
	column = &codec->columns[codec->by_attnum[plain - 1]];
	if (column->type == BYTEAOID)
		return varlena_bytes(values[plain - 1]);
	return datum_to_text(codec, column, values[plain - 1]);
}

Bytes
value_of_columns(ValueCodec *codec, Bytes old, const Datum *values,
				 const bool *nulls)
{
	int level = codec->style_matters ? set_styles() : 0;
	Bytes value;

	if (codec->map->value_format == VALUE_FORMAT_ROW)
		value = columns_to_row(codec, values, nulls);
	else if (codec->map->value_format == VALUE_FORMAT_JSONB)
		value = columns_to_object(codec, old, values, nulls);
	else
		value = column_to_plain(codec, values, nulls);
	if (codec->style_matters)
		AtEOXact_GUC(true, level);
	return value;
}

/* ------------------------------------------------------------ time to live */

static int64
seconds_until(TimestampTz end)
{
	TimestampTz now = GetCurrentTimestamp();

	if (TIMESTAMP_IS_NOEND(end))
		return 0;
	if (end <= now)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the time of expiry has passed"),
				 errdetail("A key cannot be stored that has expired at %s.",
						   timestamptz_to_str(end))));
	return (end - now + USECS_PER_SEC - 1) / USECS_PER_SEC;
}

uint64
ttl_of_column(const TableMap *map, const Datum *values, const bool *nulls)
{
	int a = map->ttl - 1;
	Oid type;
	int64 ttl;

	if (map->ttl == 0 || nulls[a])
		return 0;
	type = getBaseType(TupleDescAttr(map->desc, a)->atttypid);
	if (type == TIMESTAMPTZOID)
		return ttl_seconds(seconds_until(DatumGetTimestampTz(values[a])));
	ttl = type == INT4OID ? DatumGetInt32(values[a]) : DatumGetInt64(values[a]);
	return ttl_seconds(ttl);
}

/* About the year 287,000; Postgres's timestamps end a little later. */
#define LAST_EXPIRY INT64CONST(9000000000000)

/*
 * The key had not expired when it was read; a last second is left to it, since
 * 0 would be written back as never.
 */
void
ttl_to_column(const TableMap *map, int64 expires_at, Datum *values, bool *nulls)
{
	int a = map->ttl - 1;
	Oid type;
	int64 left;

	if (expires_at == 0)
		return;
	type = getBaseType(TupleDescAttr(map->desc, a)->atttypid);
	left = Max(expires_at - (int64) time(NULL), 1);
	if (type == TIMESTAMPTZOID && expires_at > LAST_EXPIRY)
		values[a] = TimestampTzGetDatum(DT_NOEND);
	else if (type == TIMESTAMPTZOID)
		values[a] =
			TimestampTzGetDatum(time_t_to_timestamptz((pg_time_t) expires_at));
	else if (type == INT4OID)
		values[a] = Int32GetDatum((int32) Min(left, PG_INT32_MAX));
	else
		values[a] = Int64GetDatum(left);
	nulls[a] = false;
}
