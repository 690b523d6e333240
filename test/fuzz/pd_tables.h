/*
 * pd_tables.h
 *	  The tables of PD's group in memory, with transactions that fail when an
 *	  input wants it, and Postgres's errors.
 *
 * In place of pd/group_table.c and pd/group_lock.c.
 */
#ifndef TIKV_FUZZ_PD_TABLES_H
#define TIKV_FUZZ_PD_TABLES_H

#define PG_ERRORS_ARE_THROWN
#include "pd_calls.h"
#include "pg_errors.h"

#include "core/cmd/raft_codec.h"
#include "pd/group_lock.h"
#include "pd/group_table.h"

/* ----------------------------------------------------------------- errors */

sigjmp_buf *PG_exception_stack = NULL;
ErrorContextCallback *error_context_stack = NULL;

/* Where errors go that nobody catches. */
static sigjmp_buf member_end;
static int error_level;

bool
errstart(int elevel, const char *domain)
{
	(void) domain;
	CHECK(elevel <= ERROR);
	error_level = elevel;
	return elevel == ERROR;
}

void
errfinish(const char *filename, int lineno, const char *funcname)
{
	(void) filename;
	(void) lineno;
	(void) funcname;
	CHECK(error_level == ERROR && PG_exception_stack != NULL);
	siglongjmp(*PG_exception_stack, 1);
}

void
EmitErrorReport(void)
{
}

void
FlushErrorState(void)
{
}

/* ----------------------------------------------------------------- tables */

typedef struct LogRow
{
	uint64 index;
	Bytes entry;
} LogRow;

typedef struct Tables
{
	bool has_row;
	GroupRow row;
	Bytes conf;
	ProposalItem *items;
	size_t n_items;
	size_t room; /* in items; 0: others see them */
	LogRow *log;
	size_t n_log;
} Tables;

/* What goes wrong with them next, once. */
typedef enum TableMood
{
	TABLES_FINE,
	TABLES_LOCKED,
	TABLES_ROW_LOCKED,
	TABLES_RECORDS_LOCKED,
	TABLES_FULL,
	TABLE_MOODS
} TableMood;

static Tables saved_tables;
static Tables open_tables;
static bool tables_open;
static Arena table_arena; /* all that they ever held */
static TableMood table_mood;
static bool tables_were_full;

static bool
is_the_mood(TableMood mood)
{
	bool is = table_mood == mood;

	if (is)
		table_mood = TABLES_FINE;
	return is;
}

/* A copy with more room. */
static void *
copy_rows(const void *rows, size_t n, size_t size, size_t room)
{
	void *out = arena_alloc(&table_arena, room * size);

	if (n > 0)
		memcpy(out, rows, n * size);
	return out;
}

static void
tables_begin(void)
{
	CHECK(!tables_open);
	tables_open = true;
	open_tables = saved_tables;
	open_tables.room = 0;
}

bool
group_table_begin(Pd *pd)
{
	if (is_the_mood(TABLES_LOCKED))
	{
		snprintf(pd->reason, sizeof(pd->reason), "locked");
		return false;
	}
	tables_begin();
	return true;
}

/* Where nobody catches it the process ends, without giving back its memory. */
void
group_table_end(void)
{
	CHECK(tables_open);
	if (PG_exception_stack != &member_end && is_the_mood(TABLES_FULL))
	{
		tables_were_full = true;
		elog(ERROR, "the disk is full");
	}
	saved_tables = open_tables;
	tables_open = false;
}

void
AbortCurrentTransaction(void)
{
	tables_open = false;
}

bool
group_lock_row(Pd *pd, bool exists)
{
	(void) pd;
	CHECK(tables_open);
	return !is_the_mood(TABLES_ROW_LOCKED);
}

bool
group_lock_records(Pd *pd, const ProposalItem *items, size_t n)
{
	(void) pd;
	(void) items;
	(void) n;
	CHECK(tables_open);
	return !is_the_mood(TABLES_RECORDS_LOCKED);
}

void
group_limit_patience(void)
{
}

void
group_end_patience(void)
{
}

void
group_table_load_row(GroupRow *row)
{
	memset(row, 0, sizeof(*row));
	if (!open_tables.has_row)
		return;
	*row = open_tables.row;
	row->found = !row->asks;
	if (row->asks)
		row->start_seq = 0;
	CHECK(raft_conf_state_decode(open_tables.conf, &row->conf) == STATUS_OK);
}

void
group_table_write_row(const GroupRow *row, bool exists)
{
	ProtoWriter w;

	CHECK(tables_open && exists == open_tables.has_row);
	proto_writer_init(&w, &table_arena, 64 * RAFT_MAX_PEERS);
	raft_conf_state_put(&w, &row->conf);
	open_tables.conf = proto_written(&w);
	open_tables.row = *row;
	open_tables.has_row = true;
}

void
group_table_remove_row(void)
{
	CHECK(tables_open);
	open_tables.has_row = false;
}

void
group_table_load_records(PdState *state, Arena *arena)
{
	for (size_t i = 0; i < open_tables.n_items; i++)
	{
		const ProposalItem *item = &open_tables.items[i];
		PdRecord record;
		Status status = record_decode(item->key, item->value, arena, &record);

		if (status == STATUS_NOT_FOUND)
			continue;
		if (status != STATUS_OK)
			elog(ERROR, "a record cannot be read");
		pd_state_apply(state, &record);
	}
}

Bytes
group_table_read_all(Arena *arena)
{
	Proposal all;

	CHECK(tables_open);
	proposal_init(&all, arena);
	for (size_t i = 0; i < open_tables.n_items; i++)
		proposal_add(&all, &open_tables.items[i]);
	return proposal_encode(&all);
}

void
group_table_write_item(const ProposalItem *item)
{
	Tables *t = &open_tables;
	size_t at = 0;

	CHECK(tables_open && item->key.len > 0);
	if (item->key.len > 2690)
		elog(ERROR, "the index takes no such key");
	if (t->n_items >= t->room)
	{
		t->room = 2 * t->n_items + 16;
		t->items = copy_rows(t->items, t->n_items, sizeof(*item), t->room);
	}
	while (at < t->n_items && !bytes_eq(t->items[at].key, item->key))
		at++;
	if (item->removed && at < t->n_items)
		t->items[at] = t->items[--t->n_items];
	if (item->removed)
		return;
	if (at == t->n_items)
		t->n_items++;
	t->items[at].key = arena_copy(&table_arena, item->key);
	t->items[at].value = arena_copy(&table_arena, item->value);
	t->items[at].removed = false;
}

void
group_table_clear_records(void)
{
	CHECK(tables_open);
	open_tables.n_items = open_tables.room = 0;
}

void
group_table_load_log(GroupLog *log, Arena *arena)
{
	(void) arena;
	for (size_t i = 0; i < open_tables.n_log; i++)
	{
		RaftEntry entry;

		CHECK(raft_entry_decode(open_tables.log[i].entry, &entry) == STATUS_OK);
		CHECK(entry.index == open_tables.log[i].index);
		if (entry.index <= log->truncated_index)
			continue;
		if (entry.index != group_log_last(log) + 1)
			elog(ERROR, "the log has a hole");
		group_log_replace(log, &entry, 1);
	}
}

void
group_table_write_log(const RaftEntry *entries, int n, uint64 last_index,
					  Arena *arena)
{
	Tables *t = &open_tables;

	(void) arena;
	CHECK(tables_open);
	while (n > 0 && entries[0].index <= last_index && t->n_log > 0 &&
		   t->log[t->n_log - 1].index >= entries[0].index)
		t->n_log--;
	for (int i = 0; i < n; i++)
	{
		CHECK(t->n_log == 0 ||
			  t->log[t->n_log - 1].index + 1 == entries[i].index);
		t->log = copy_rows(t->log, t->n_log, sizeof(LogRow), t->n_log + 1);
		t->log[t->n_log].index = entries[i].index;
		t->log[t->n_log].entry = raft_entry_encode(&entries[i], &table_arena);
		t->n_log++;
	}
}

void
group_table_cut_log(uint64 index)
{
	Tables *t = &open_tables;
	size_t n = 0;

	CHECK(tables_open);
	while (n < t->n_log && t->log[n].index <= index)
		n++;
	t->log += n;
	t->n_log -= n;
}

#endif /* TIKV_FUZZ_PD_TABLES_H */
