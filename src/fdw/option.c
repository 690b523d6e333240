/*
 * option.c
 *	  Options of servers, tables and columns, and what they make of a table.
 *
 * The validator looks at one object at a time; what needs the whole table (its
 * columns, their types) is checked when the table is used, by table_map.
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "access/table.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/pg_locale.h"
#include "utils/rel.h"

#include "fdw/fdw.h"
#include "guc.h"

PG_FUNCTION_INFO_V1(tikv_fdw_validator);

#define DEFAULT_FETCH_SIZE 4096
#define DEFAULT_BATCH_SIZE 2048
#define MAX_SIZE 100000

typedef struct Option
{
	const char *name;
	Oid catalog;
} Option;

static const Option options[] = {
	{"mode", ForeignServerRelationId},
	{"mode", ForeignTableRelationId},
	{"prefix", ForeignTableRelationId},
	{"key_format", ForeignTableRelationId},
	{"value_format", ForeignTableRelationId},
	{"on_error", ForeignTableRelationId},
	{"updatable", ForeignServerRelationId},
	{"updatable", ForeignTableRelationId},
	{"fetch_size", ForeignServerRelationId},
	{"fetch_size", ForeignTableRelationId},
	{"batch_size", ForeignServerRelationId},
	{"batch_size", ForeignTableRelationId},
	{"key", AttributeRelationId},
	{"ttl", AttributeRelationId},
};

/* ------------------------------------------------------------- one option */

static void
refuse_value(const DefElem *def, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"", def->defname,
					defGetString((DefElem *) def)),
			 errhint("%s", hint)));
}

/* The place of the value among the names, which end with NULL. */
static int
choose(const DefElem *def, const char *const *names, const char *hint)
{
	char *value = defGetString((DefElem *) def);

	for (int i = 0; names[i] != NULL; i++)
		if (strcmp(value, names[i]) == 0)
			return i;
	refuse_value(def, hint);
	return -1;
}

static KvMode
parse_mode(const DefElem *def)
{
	static const char *const names[] = {"raw", "txn", NULL};

	return (KvMode) choose(def, names, "Valid values are: raw, txn.");
}

static KeyFormat
parse_key_format(const DefElem *def)
{
	static const char *const names[] = {"coded", "plain", "whole", NULL};

	return (KeyFormat) choose(def, names,
							  "Valid values are: coded, plain, whole.");
}

static ValueFormat
parse_value_format(const DefElem *def)
{
	static const char *const names[] = {"row", "jsonb", "plain", NULL};

	return (ValueFormat) choose(def, names,
								"Valid values are: row, jsonb, plain.");
}

static bool
parse_on_error(const DefElem *def)
{
	static const char *const names[] = {"error", "null", NULL};

	return choose(def, names, "Valid values are: error, null.") == 1;
}

static int
parse_size(const DefElem *def)
{
	int size;

	if (!parse_int(defGetString((DefElem *) def), &size, 0, NULL) || size < 1 ||
		size > MAX_SIZE)
		refuse_value(def, psprintf("It is an integer from 1 to %d.", MAX_SIZE));
	return size;
}

/* The key is written as bytea is: \x and hexadecimal, or as text. */
static Bytes
parse_prefix(const DefElem *def)
{
	bytea *prefix = DatumGetByteaPP(DirectFunctionCall1(
		byteain, CStringGetDatum(defGetString((DefElem *) def))));
	Size len = VARSIZE_ANY_EXHDR(prefix);

	if (len > (Size) tikv_fdw_settings.max_key_size)
		refuse_value(def, "A key is not longer than tikv.max_key_size.");
	return bytes_make(VARDATA_ANY(prefix), len);
}

/* The column's place in the key from 1; 0: no key; -1: by column order. */
static int
parse_key(const DefElem *def)
{
	char *value = defGetString((DefElem *) def);
	bool is_key;
	int place;

	if (parse_int(value, &place, 0, NULL) && place >= 1 &&
		place <= INDEX_MAX_KEYS)
		return place;
	if (!parse_bool(value, &is_key))
		refuse_value(def,
					 psprintf("It is the column's place in the key from 1 to "
							  "%d, or true.",
							  INDEX_MAX_KEYS));
	return is_key ? -1 : 0;
}

static bool
parse_bool_option(const DefElem *def)
{
	bool value;

	if (!parse_bool(defGetString((DefElem *) def), &value))
		refuse_value(def, "Valid values are: true, false.");
	return value;
}

/* ----------------------------------------------------------- the validator */

static void
refuse_name(const DefElem *def, Oid catalog)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < (int) lengthof(options); i++)
		if (options[i].catalog == catalog)
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "",
							 options[i].name);
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", def->defname),
			 names.len > 0 ?
				 errhint("Valid options in this context are: %s.", names.data) :
				 errhint("There are no valid options in this context.")));
}

static bool
is_option(const char *name, Oid catalog)
{
	for (int i = 0; i < (int) lengthof(options); i++)
		if (options[i].catalog == catalog && strcmp(options[i].name, name) == 0)
			return true;
	return false;
}

static void
validate_value(const DefElem *def)
{
	if (strcmp(def->defname, "mode") == 0)
		(void) parse_mode(def);
	else if (strcmp(def->defname, "key_format") == 0)
		(void) parse_key_format(def);
	else if (strcmp(def->defname, "value_format") == 0)
		(void) parse_value_format(def);
	else if (strcmp(def->defname, "on_error") == 0)
		(void) parse_on_error(def);
	else if (strcmp(def->defname, "prefix") == 0)
		(void) parse_prefix(def);
	else if (strcmp(def->defname, "key") == 0)
		(void) parse_key(def);
	else if (strcmp(def->defname, "fetch_size") == 0 ||
			 strcmp(def->defname, "batch_size") == 0)
		(void) parse_size(def);
	else
		(void) parse_bool_option(def);
}

Datum
tikv_fdw_validator(PG_FUNCTION_ARGS)
{
	List *given = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid catalog = PG_GETARG_OID(1);
	ListCell *cell;

	foreach (cell, given)
	{
		DefElem *def = lfirst_node(DefElem, cell);

		if (!is_option(def->defname, catalog))
			refuse_name(def, catalog);
		validate_value(def);
	}
	PG_RETURN_VOID();
}

/* ------------------------------------------------------ a table's own ways */

/* What is being found out about a table. */
typedef struct MapBuilder
{
	TableMap *map;
	Relation relation;
	bool has_key_format;
	bool has_value_format;
	int *places; /* per column, as parse_key says */
} MapBuilder;

static void
take_option(MapBuilder *builder, const DefElem *def)
{
	TableMap *map = builder->map;

	if (strcmp(def->defname, "mode") == 0)
		map->mode = parse_mode(def);
	else if (strcmp(def->defname, "prefix") == 0)
		map->prefix = parse_prefix(def);
	else if (strcmp(def->defname, "key_format") == 0)
	{
		map->key_format = parse_key_format(def);
		builder->has_key_format = true;
	}
	else if (strcmp(def->defname, "value_format") == 0)
	{
		map->value_format = parse_value_format(def);
		builder->has_value_format = true;
	}
	else if (strcmp(def->defname, "on_error") == 0)
		map->null_on_error = parse_on_error(def);
	else if (strcmp(def->defname, "updatable") == 0)
		map->updatable = parse_bool_option(def);
	else if (strcmp(def->defname, "fetch_size") == 0)
		map->fetch_size = parse_size(def);
	else if (strcmp(def->defname, "batch_size") == 0)
		map->batch_size = parse_size(def);
}

static void
refuse_table(const MapBuilder *builder, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_COLUMN_NUMBER),
			 errmsg("foreign table \"%s\" cannot be used",
					RelationGetRelationName(builder->relation)),
			 errdetail("%s", detail), errhint("%s", hint)));
}

static const char *
column_name(const MapBuilder *builder, AttrNumber attnum)
{
	return NameStr(TupleDescAttr(builder->map->desc, attnum - 1)->attname);
}

static void
take_column_options(MapBuilder *builder, AttrNumber attnum)
{
	List *given =
		GetForeignColumnOptions(RelationGetRelid(builder->relation), attnum);
	ListCell *cell;

	foreach (cell, given)
	{
		DefElem *def = lfirst_node(DefElem, cell);

		if (strcmp(def->defname, "key") == 0)
			builder->places[attnum - 1] = parse_key(def);
		else if (strcmp(def->defname, "ttl") == 0 && parse_bool_option(def))
		{
			if (builder->map->ttl != 0)
				refuse_table(builder, "Two columns have the option ttl.",
							 "A key has one time to live.");
			builder->map->ttl = attnum;
		}
	}
}

/*
 * A table with the columns key and value and nothing said about keys is the
 * plain one: whole keys and their values.
 */
static void
take_plain_table(MapBuilder *builder)
{
	AttrNumber key = 0;
	int n = 0;

	for (AttrNumber a = 1; a <= builder->map->desc->natts; a++)
	{
		if (TupleDescAttr(builder->map->desc, a - 1)->attisdropped ||
			a == builder->map->ttl)
			continue;
		n++;
		if (builder->places[a - 1] != 0)
			return;
		if (strcmp(column_name(builder, a), "key") == 0)
			key = a;
		else if (strcmp(column_name(builder, a), "value") != 0)
			return;
	}
	if (n != 2 || key == 0)
		return;
	builder->places[key - 1] = 1;
	if (!builder->has_key_format)
		builder->map->key_format = KEY_FORMAT_WHOLE;
	if (!builder->has_value_format)
		builder->map->value_format = VALUE_FORMAT_PLAIN;
}

/* How the column counts in the key's order: its place, or its number. */
static bool
comes_before(const MapBuilder *builder, AttrNumber a, AttrNumber b)
{
	int place_a = builder->places[a - 1];
	int place_b = builder->places[b - 1];

	return place_a == place_b ? a < b : place_a < place_b;
}

static void
order_keys(MapBuilder *builder)
{
	TableMap *map = builder->map;

	map->keys = palloc0(sizeof(KeyColumn) * Max(map->desc->natts, 1));
	for (AttrNumber a = 1; a <= map->desc->natts; a++)
	{
		int at = map->n_keys;

		if (builder->places[a - 1] == 0)
			continue;
		while (at > 0 && comes_before(builder, a, map->keys[at - 1].attnum))
		{
			map->keys[at] = map->keys[at - 1];
			at--;
		}
		map->keys[at].attnum = a;
		map->n_keys++;
	}
	if (map->n_keys == 0)
		refuse_table(
			builder, "None of its columns is the key.",
			"Give the columns of the key the option key, as in OPTIONS (key 'true').");
	if (map->n_keys > INDEX_MAX_KEYS)
		refuse_table(builder, "Its key has too many columns.",
					 "As for indexes, INDEX_MAX_KEYS is the limit.");
}

/* All places given are 1, 2 ..., or none is. */
static void
check_places(const MapBuilder *builder)
{
	const TableMap *map = builder->map;

	for (int i = 0; i < map->n_keys; i++)
	{
		int place = builder->places[map->keys[i].attnum - 1];

		if (place !=
			(builder->places[map->keys[0].attnum - 1] == -1 ? -1 : i + 1))
			refuse_table(
				builder,
				"The places of its key columns are not 1, 2 and so on.",
				"Give every column of the key its place, or true to all.");
	}
}

static void
describe_key(const MapBuilder *builder, KeyColumn *key)
{
	Form_pg_attribute att = TupleDescAttr(builder->map->desc, key->attnum - 1);
	bool whole = builder->map->key_format != KEY_FORMAT_CODED;

	key->type = getBaseType(att->atttypid);
	key->collation = att->attcollation;
	if (!key_kind_of_type(key->type, &key->kind))
		ereport(
			ERROR,
			(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
			 errmsg(
				 "column \"%s\" of foreign table \"%s\" cannot be part of a key",
				 NameStr(att->attname),
				 RelationGetRelationName(builder->relation)),
			 errdetail("Type %s has no encoding that keeps its order.",
					   format_type_be(att->atttypid)),
			 errhint(
				 "Types of keys are smallint, integer, bigint, boolean, text, varchar, bytea, uuid, date, timestamp and timestamptz.")));
	if (OidIsValid(key->collation) &&
		!get_collation_isdeterministic(key->collation))
		ereport(
			ERROR,
			(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
			 errmsg(
				 "column \"%s\" of foreign table \"%s\" cannot be part of a key",
				 NameStr(att->attname),
				 RelationGetRelationName(builder->relation)),
			 errdetail(
				 "Texts that are equal under its nondeterministic collation have different keys.")));
	if (whole && (key->kind != KEY_BYTES || builder->map->n_keys != 1))
		refuse_table(
			builder,
			"key_format plain and whole are for one key column of type text or bytea.",
			"Leave out key_format.");
	if (whole)
		key->kind = KEY_REST;
}

static void
check_ttl(const MapBuilder *builder)
{
	const TableMap *map = builder->map;
	Oid type;

	if (map->ttl == 0)
		return;
	type = getBaseType(TupleDescAttr(map->desc, map->ttl - 1)->atttypid);
	if (builder->places[map->ttl - 1] != 0)
		refuse_table(builder, "A column is both key and ttl.",
					 "The time to live is no part of the key.");
	if (map->mode != KV_RAW)
		refuse_table(builder, "Keys of transactions do not expire.",
					 "A column with the option ttl needs mode raw.");
	if (type != INT4OID && type != INT8OID && type != TIMESTAMPTZOID)
		refuse_table(
			builder,
			psprintf("Column \"%s\" with the option ttl is of type %s.",
					 column_name(builder, map->ttl), format_type_be(type)),
			"It is integer or bigint, the seconds left, or timestamptz, the time of expiry.");
}

static void
find_plain_column(MapBuilder *builder)
{
	TableMap *map = builder->map;

	if (map->value_format != VALUE_FORMAT_PLAIN)
		return;
	for (AttrNumber a = 1; a <= map->desc->natts; a++)
	{
		if (TupleDescAttr(map->desc, a - 1)->attisdropped || a == map->ttl ||
			builder->places[a - 1] != 0)
			continue;
		if (map->plain != 0)
			refuse_table(builder, "It has more than one column beside the key.",
						 "value_format plain is for one; use row or jsonb.");
		map->plain = a;
	}
}

static void
take_all_options(MapBuilder *builder)
{
	ForeignTable *table = GetForeignTable(RelationGetRelid(builder->relation));
	ForeignServer *server = GetForeignServer(table->serverid);
	ListCell *cell;

	foreach (cell, server->options)
		take_option(builder, lfirst_node(DefElem, cell));
	foreach (cell, table->options)
		take_option(builder, lfirst_node(DefElem, cell));
}

TableMap *
table_map(Relation relation)
{
	MapBuilder builder = {0};
	TableMap *map = palloc0(sizeof(TableMap));

	builder.map = map;
	builder.relation = relation;
	map->relid = RelationGetRelid(relation);
	map->desc = RelationGetDescr(relation);
	map->updatable = true;
	map->fetch_size = DEFAULT_FETCH_SIZE;
	map->batch_size = DEFAULT_BATCH_SIZE;
	builder.places = palloc0(sizeof(int) * Max(map->desc->natts, 1));
	take_all_options(&builder);
	for (AttrNumber a = 1; a <= map->desc->natts; a++)
		if (!TupleDescAttr(map->desc, a - 1)->attisdropped)
			take_column_options(&builder, a);
	take_plain_table(&builder);
	order_keys(&builder);
	check_places(&builder);
	for (int i = 0; i < map->n_keys; i++)
		describe_key(&builder, &map->keys[i]);
	check_ttl(&builder);
	find_plain_column(&builder);
	pfree(builder.places);
	return map;
}

int
table_map_key(const TableMap *map, AttrNumber attnum)
{
	for (int i = 0; i < map->n_keys; i++)
		if (map->keys[i].attnum == attnum)
			return i;
	return -1;
}

KvRange
table_map_range(const TableMap *map)
{
	KvRange range;

	range.lower = map->prefix;
	range.upper = key_prefix_end(map->prefix, palloc(map->prefix.len + 1));
	return range;
}
