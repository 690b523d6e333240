/*
 * import.c
 *	  IMPORT FOREIGN SCHEMA: a prefix is a schema, what follows it up to the
 *	  next separator a table.
 *
 * Keys shop/orders/1 and shop/stock/1 make the tables orders and stock of the
 * schema shop, plain ones, since keys do not tell what they are made of.
 */
#include "postgres.h"

#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "fdw/allow.h"
#include "sqlapi/sqlapi.h"
#include "fdw/fdw.h"

typedef struct Import
{
	const ImportForeignSchemaStmt *stmt;
	const char *server;
	char *separator;
	char *type; /* of the columns */
	char *mode;
	const KvAccess *kv;
	List *commands;
} Import;

/* The server's mode is the default, and named in the table only if another. */
static KvMode
take_options(Import *import, Oid server_oid)
{
	ForeignServer *server = GetForeignServer(server_oid);
	char *mode = "raw";
	ListCell *cell;

	import->server = server->servername;
	import->separator = "/";
	import->type = "bytea";
	foreach (cell, server->options)
		if (strcmp(lfirst_node(DefElem, cell)->defname, "mode") == 0)
			mode = defGetString(lfirst(cell));
	foreach (cell, import->stmt->options)
	{
		DefElem *def = lfirst_node(DefElem, cell);

		if (strcmp(def->defname, "separator") == 0)
			import->separator = defGetString(def);
		else if (strcmp(def->defname, "type") == 0)
			import->type = defGetString(def);
		else if (strcmp(def->defname, "mode") == 0)
			mode = import->mode = defGetString(def);
		else
			ereport(
				ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid option \"%s\"", def->defname),
				 errhint(
					 "Valid options in this context are: separator, type, mode.")));
	}
	if (import->separator[0] == '\0' ||
		(strcmp(import->type, "bytea") != 0 &&
		 strcmp(import->type, "text") != 0) ||
		(strcmp(mode, "raw") != 0 && strcmp(mode, "txn") != 0))
		ereport(
			ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid options of IMPORT FOREIGN SCHEMA"),
			 errdetail(
				 "The separator is not empty, the type bytea or text, the mode raw or txn.")));
	return strcmp(mode, "txn") == 0 ? KV_TXN : KV_RAW;
}

static Bytes
schema_prefix(const Import *import)
{
	const char *schema = import->stmt->remote_schema;
	Size len = strlen(schema);
	Size separator = strlen(import->separator);

	if (len >= separator &&
		strcmp(schema + len - separator, import->separator) == 0)
		return bytes_cstr(schema);
	return bytes_cstr(psprintf("%s%s", schema, import->separator));
}

/* The table's part of a key; empty if no separator follows. */
static Bytes
table_part(const Import *import, Bytes key, Size prefix_len)
{
	Bytes separator = bytes_cstr(import->separator);
	Bytes rest = bytes_make(key.data + prefix_len, key.len - prefix_len);
	const uint8 *end =
		memmem(rest.data, rest.len, separator.data, separator.len);

	return end == NULL ? bytes_empty() :
						 bytes_make(rest.data, (Size) (end - rest.data));
}

/* The prefix as the option has it: as bytea is written. */
static char *
prefix_literal(Bytes prefix)
{
	StringInfoData text;

	for (size_t i = 0; i < prefix.len; i++)
		if (prefix.data[i] < ' ' || prefix.data[i] >= 0x7f ||
			prefix.data[i] == '\\')
		{
			initStringInfo(&text);
			appendStringInfoString(&text, "\\x");
			for (i = 0; i < prefix.len; i++)
				appendStringInfo(&text, "%02x", prefix.data[i]);
			return text.data;
		}
	return pnstrdup((const char *) prefix.data, prefix.len);
}

static void
add_table(Import *import, Bytes part, Bytes prefix)
{
	StringInfoData command;
	char *name;

	if (part.len >= NAMEDATALEN ||
		!pg_verify_mbstr(GetDatabaseEncoding(), (const char *) part.data,
						 (int) part.len, true))
	{
		ereport(
			WARNING,
			(errmsg("prefix %s is not imported: it gives no name of a table",
					key_text(prefix))));
		return;
	}
	name = pnstrdup((const char *) part.data, part.len);
	initStringInfo(&command);
	appendStringInfo(&command,
					 "CREATE FOREIGN TABLE %s (key %s NOT NULL, value %s) "
					 "SERVER %s OPTIONS (prefix %s",
					 quote_identifier(name), import->type, import->type,
					 quote_identifier(import->server),
					 quote_literal_cstr(prefix_literal(prefix)));
	if (import->mode != NULL)
		appendStringInfo(&command, ", mode %s",
						 quote_literal_cstr(import->mode));
	appendStringInfoString(&command, ")");
	import->commands = lappend(import->commands, command.data);
}

static bool
is_wanted(const ImportForeignSchemaStmt *stmt, Bytes part)
{
	ListCell *cell;
	bool listed = false;

	if (stmt->list_type == FDW_IMPORT_SCHEMA_ALL)
		return true;
	foreach (cell, stmt->table_list)
		if (bytes_eq(bytes_cstr(lfirst_node(RangeVar, cell)->relname), part))
			listed = true;
	return listed == (stmt->list_type == FDW_IMPORT_SCHEMA_LIMIT_TO);
}

static Bytes
append(Bytes a, Bytes b)
{
	uint8 *both = palloc(a.len + b.len + 1);

	if (a.len > 0)
		memcpy(both, a.data, a.len);
	if (b.len > 0)
		memcpy(both + a.len, b.data, b.len);
	return bytes_make(both, a.len + b.len);
}

/* The table that the first key of the range belongs to; then go on behind. */
static bool
next_table(Import *import, KvRange *range, Bytes prefix, KvPage *page)
{
	KvCursor *cursor = import->kv->open(range, false, true);
	KvCounters counters = {0};
	Bytes part = bytes_empty();
	Bytes table = bytes_empty();

	kv_page_clear(page);
	while (part.len == 0 &&
		   import->kv->fetch(cursor, page->n == 0 ? 1 : 1024, page, &counters))
	{
		Bytes key = kv_page_key(page, page->n - 1);

		for (int i = 0; i < page->n && part.len == 0; i++)
		{
			key = kv_page_key(page, i);
			part = table_part(import, key, prefix.len);
		}
		if (part.len == 0)
			continue;
		part = append(part, bytes_empty());
		table = append(append(prefix, part), bytes_cstr(import->separator));
	}
	import->kv->close(cursor);
	if (part.len == 0)
		return false;
	if (is_wanted(import->stmt, part))
		add_table(import, part, table);
	range->lower = key_prefix_end(table, palloc(table.len + 1));
	return range->lower.len > 0;
}

List *
tikvImportForeignSchema(ImportForeignSchemaStmt *stmt, Oid serverOid)
{
	Import import = {.stmt = stmt};
	Bytes prefix;
	KvRange range;
	KvPage *page = kv_page_new(CurrentMemoryContext);

	import.kv = kv_access(take_options(&import, serverOid));
	prefix = schema_prefix(&import);
	range.lower = prefix;
	range.upper = key_prefix_end(prefix, palloc(prefix.len + 1));
	allow_range(GetUserId(), GRANT_READ, &range);
	while (next_table(&import, &range, prefix, page))
		CHECK_FOR_INTERRUPTS();
	return import.commands;
}
