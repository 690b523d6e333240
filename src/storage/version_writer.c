/*
 * version_writer.c
 *	  Writes rows of (ts, key, key_rest, bytes).
 *
 * There is one writer, and a turn writes each row once, so the row that its
 * snapshot sees is the current one.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "storage/uint_datum.h"
#include "storage/version_hint.h"
#include "storage/version_row.h"

void
version_writer_open(VersionWriter *writer, const OpenTable *table,
					Snapshot snapshot)
{
	writer->table = table;
	writer->hinted = false;
	writer->finder = version_finder_open(table, snapshot);
	writer->scratch =
		AllocSetContextCreate(CurrentMemoryContext, "version writer row",
							  ALLOCSET_SMALL_SIZES);
}

void
version_writer_close(VersionWriter *writer)
{
	version_finder_close(writer->finder);
	MemoryContextDelete(writer->scratch);
}

/* Find the row's address; the page is let go of. */
static bool
find_row(VersionWriter *writer, Bytes key, uint64 ts, ItemPointer tid)
{
	bool found = version_find_exact(writer->finder, key, ts);

	if (found)
		*tid = writer->finder->slot->tts_tid;
	version_finder_release(writer->finder);
	return found;
}

/* Known to be absent: no version of the key is as new. */
static bool
is_above_hint(const VersionWriter *writer, Bytes key, uint64 ts)
{
	const VersionHint *hint = writer->hinted ? version_hint_find(key) : NULL;

	return hint != NULL && hint->ts < ts;
}

bool
version_put(VersionWriter *writer, Bytes key, uint64 ts, Bytes bytes)
{
	const OpenTable *table = writer->table;
	MemoryContext caller = MemoryContextSwitchTo(writer->scratch);
	Datum values[VERSION_COLUMNS];
	bool isnull[VERSION_COLUMNS] = {false};
	ItemPointerData old;
	HeapTuple tuple;
	bool found;

	values[VERSION_TS - 1] = uint64_to_int8(ts, "timestamp");
	stored_key_form(key, &values[VERSION_KEY - 1],
					&values[VERSION_KEY_REST - 1],
					&isnull[VERSION_KEY_REST - 1]);
	values[VERSION_BYTES - 1] = bytea_datum(bytes);
	found = !is_above_hint(writer, key, ts) && find_row(writer, key, ts, &old);
	tuple = heap_form_tuple(RelationGetDescr(table->heap), values, isnull);
	if (found)
		row_update(table->heap, &table->indexes, &old, tuple, values, isnull);
	else
		row_insert(table->heap, &table->indexes, tuple, values, isnull);
	if (writer->hinted)
		version_hint_written(key, ts, &tuple->t_self);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(writer->scratch);
	return !found;
}

bool
version_delete(VersionWriter *writer, Bytes key, uint64 ts)
{
	ItemPointerData old;
	bool found = find_row(writer, key, ts, &old);

	if (found)
		row_delete(writer->table->heap, &old);
	return found;
}
