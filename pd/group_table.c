/*
 * group_table.c
 *	  The tables of PD's group: its row, its log, its records.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "core/cmd/raft_codec.h"
#include "executor/spi.h"
#include "pd/group_lock.h"
#include "pd/group_table.h"
#include "pd/record_codec.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

bool
group_table_begin(Pd *pd)
{
	StartTransactionCommand();
	if (group_lock_tables(pd))
	{
		SPI_connect();
		PushActiveSnapshot(GetTransactionSnapshot());
		return true;
	}
	AbortCurrentTransaction();
	return false;
}

void
group_table_end(void)
{
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
}

static void
corrupted(const char *table)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("tikv_internal.%s holds what cannot be read", table)));
}

static Datum
make_varlena(Bytes bytes)
{
	return PointerGetDatum(cstring_to_text_with_len((const char *) bytes.data,
													(int) bytes.len));
}

static Bytes
datum_bytes(Datum datum)
{
	struct varlena *v = PG_DETOAST_DATUM_PACKED(datum);

	return bytes_make(VARDATA_ANY(v), VARSIZE_ANY_EXHDR(v));
}

static Bytes
bytes_column(uint64 row, int i)
{
	bool isnull;

	return datum_bytes(SPI_getbinval(SPI_tuptable->vals[row],
									 SPI_tuptable->tupdesc, i, &isnull));
}

static int64
int_column(uint64 row, int i)
{
	bool isnull;

	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[row],
									   SPI_tuptable->tupdesc, i, &isnull));
}

/* ---- the row ---- */

#define ROW_COLUMNS                                          \
	"term, vote, commit_index, applied_index, applied_term," \
	" truncated_index, truncated_term, member_id, start_seq, conf"
#define N_ROW_COLUMNS 10

/* In start_seq: the member has no place yet, and asks for one. */
#define SEQ_ASKS INT64CONST(-1)

void
group_table_load_row(GroupRow *row)
{
	memset(row, 0, sizeof(*row));
	if (SPI_execute("SELECT " ROW_COLUMNS " FROM tikv_internal.pd_raft_state",
					true, 2) != SPI_OK_SELECT ||
		SPI_processed > 1)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("tikv_internal.pd_raft_state must have one row")));
	if (SPI_processed == 0)
		return;
	row->found = true;
	row->hard.term = (uint64) int_column(0, 1);
	row->hard.vote = (uint64) int_column(0, 2);
	row->hard.commit = (uint64) int_column(0, 3);
	row->applied_index = (uint64) int_column(0, 4);
	row->applied_term = (uint64) int_column(0, 5);
	row->truncated_index = (uint64) int_column(0, 6);
	row->truncated_term = (uint64) int_column(0, 7);
	row->member_id = (uint64) int_column(0, 8);
	row->start_seq = (uint64) int_column(0, 9);
	if (raft_conf_state_decode(bytes_column(0, 10), &row->conf) != STATUS_OK)
		corrupted("pd_raft_state");
	if ((int64) row->start_seq == SEQ_ASKS)
	{
		row->asks = true;
		row->found = false;
		row->start_seq = 0;
	}
}

static Bytes
conf_bytes(const RaftConfState *conf, Arena *arena)
{
	ProtoWriter w;

	proto_writer_init(&w, arena, 64 * RAFT_MAX_PEERS);
	raft_conf_state_put(&w, conf);
	return proto_written(&w);
}

void
group_table_write_row(const GroupRow *row, bool exists)
{
	static const char *const insert =
		"INSERT INTO tikv_internal.pd_raft_state (" ROW_COLUMNS ")"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
	static const char *const update =
		"UPDATE tikv_internal.pd_raft_state SET (" ROW_COLUMNS ")"
		" = ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
	Oid types[N_ROW_COLUMNS] = {INT8OID, INT8OID, INT8OID, INT8OID, INT8OID,
								INT8OID, INT8OID, INT8OID, INT8OID, BYTEAOID};
	Datum values[N_ROW_COLUMNS];
	Arena arena;
	int rc;

	arena_init(&arena);
	values[0] = Int64GetDatum((int64) row->hard.term);
	values[1] = Int64GetDatum((int64) row->hard.vote);
	values[2] = Int64GetDatum((int64) row->hard.commit);
	values[3] = Int64GetDatum((int64) row->applied_index);
	values[4] = Int64GetDatum((int64) row->applied_term);
	values[5] = Int64GetDatum((int64) row->truncated_index);
	values[6] = Int64GetDatum((int64) row->truncated_term);
	values[7] = Int64GetDatum((int64) row->member_id);
	values[8] = Int64GetDatum(row->asks ? SEQ_ASKS : (int64) row->start_seq);
	values[9] = make_varlena(conf_bytes(&row->conf, &arena));
	arena_free(&arena);
	rc = SPI_execute_with_args(exists ? update : insert, N_ROW_COLUMNS, types,
							   values, NULL, false, 0);
	if ((rc != SPI_OK_INSERT && rc != SPI_OK_UPDATE) || SPI_processed != 1)
		elog(ERROR, "could not write tikv_internal.pd_raft_state");
}

void
group_table_remove_row(void)
{
	if (SPI_execute("DELETE FROM tikv_internal.pd_raft_state", false, 0) !=
		SPI_OK_DELETE)
		elog(ERROR, "could not empty tikv_internal.pd_raft_state");
}

/* ---- records ---- */

static void
select_records(void)
{
	if (SPI_execute("SELECT key, value FROM tikv_internal.pd_kv", true, 0) !=
		SPI_OK_SELECT)
		elog(ERROR, "could not read tikv_internal.pd_kv");
}

void
group_table_load_records(PdState *state, Arena *arena)
{
	select_records();
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		Bytes key = bytes_column(i, 1);
		PdRecord record;
		Status status = record_decode(key, bytes_column(i, 2), arena, &record);

		/* It came from a leader of a newer version, and is kept for it. */
		if (status == STATUS_NOT_FOUND)
			continue;
		if (status != STATUS_OK)
			ereport(
				ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg(
					 "tikv_internal.pd_kv holds a record that cannot be read"),
				 errdetail("Key \"%.*s\".", (int) key.len, key.data)));
		pd_state_apply(state, &record);
	}
}

Bytes
group_table_read_all(Arena *arena)
{
	Proposal all;

	proposal_init(&all, arena);
	select_records();
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		ProposalItem item = {.removed = false};

		item.key = bytes_column(i, 1);
		item.value = bytes_column(i, 2);
		proposal_add(&all, &item);
	}
	return proposal_encode(&all);
}

void
group_table_write_item(const ProposalItem *item)
{
	static const char *const put =
		"INSERT INTO tikv_internal.pd_kv (key, value) VALUES ($1, $2)"
		" ON CONFLICT (key) DO UPDATE SET value = excluded.value";
	static const char *const drop =
		"DELETE FROM tikv_internal.pd_kv WHERE key = $1";
	Oid types[] = {TEXTOID, BYTEAOID};
	Datum values[] = {make_varlena(item->key), make_varlena(item->value)};
	int rc =
		SPI_execute_with_args(item->removed ? drop : put, item->removed ? 1 : 2,
							  types, values, NULL, false, 0);

	if (rc != SPI_OK_INSERT && rc != SPI_OK_DELETE)
		elog(ERROR, "could not write tikv_internal.pd_kv: %s",
			 SPI_result_code_string(rc));
}

void
group_table_clear_records(void)
{
	if (SPI_execute("DELETE FROM tikv_internal.pd_kv", false, 0) !=
		SPI_OK_DELETE)
		elog(ERROR, "could not empty tikv_internal.pd_kv");
}

/* ---- the log ---- */

void
group_table_load_log(GroupLog *log, Arena *arena)
{
	Oid types[] = {INT8OID};
	Datum values[] = {Int64GetDatum((int64) log->truncated_index)};

	if (SPI_execute_with_args(
			"SELECT index, entry FROM tikv_internal.pd_raft_log"
			" WHERE index > $1 ORDER BY index",
			1, types, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read tikv_internal.pd_raft_log");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		RaftEntry entry;
		Bytes bytes = arena_copy(arena, bytes_column(i, 2));

		if ((uint64) int_column(i, 1) != group_log_last(log) + 1 ||
			raft_entry_decode(bytes, &entry) != STATUS_OK ||
			entry.index != group_log_last(log) + 1)
			corrupted("pd_raft_log");
		group_log_replace(log, &entry, 1);
	}
}

static void
delete_log(const char *where, uint64 index)
{
	Oid types[] = {INT8OID};
	Datum values[] = {Int64GetDatum((int64) index)};
	char query[128];

	snprintf(query, sizeof(query),
			 "DELETE FROM tikv_internal.pd_raft_log WHERE index %s $1", where);
	if (SPI_execute_with_args(query, 1, types, values, NULL, false, 0) !=
		SPI_OK_DELETE)
		elog(ERROR, "could not write tikv_internal.pd_raft_log");
}

void
group_table_write_log(const RaftEntry *entries, int n, uint64 last_index,
					  Arena *arena)
{
	Oid types[] = {INT8OID, INT8OID, BYTEAOID};

	if (n > 0 && entries[0].index <= last_index)
		delete_log(">=", entries[0].index);
	for (int i = 0; i < n; i++)
	{
		Datum values[] = {Int64GetDatum((int64) entries[i].index),
						  Int64GetDatum((int64) entries[i].term),
						  make_varlena(raft_entry_encode(&entries[i], arena))};

		if (SPI_execute_with_args(
				"INSERT INTO tikv_internal.pd_raft_log (index, term, entry)"
				" VALUES ($1, $2, $3)",
				3, types, values, NULL, false, 0) != SPI_OK_INSERT)
			elog(ERROR, "could not write tikv_internal.pd_raft_log");
	}
}

void
group_table_cut_log(uint64 index)
{
	delete_log("<=", Min(index, (uint64) PG_INT64_MAX));
}
