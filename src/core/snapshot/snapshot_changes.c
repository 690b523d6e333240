/*
 * snapshot_changes.c
 *	  What a region's log changed while its rows were being read.
 */
#include "core/snapshot/snapshot_changes.h"

#include <stdlib.h>

#include "core/base/check.h"
#include "core/base/hash.h"

/* Counted for each row beside its key and value. */
#define ROW_OVERHEAD 96

/* In the order of the log. */
typedef struct ChangedRange
{
	struct ChangedRange *next;
	SnapshotRecord record;
} ChangedRange;

typedef struct ChangedRow
{
	struct ChangedRow *next; /* in its bucket */
	uint64_t hash;
	SnapshotRecord record;
} ChangedRow;

struct SnapshotChanges
{
	Region region;
	ApiVersion api;
	size_t max_bytes;
	size_t bytes;
	uint64_t index;
	Arena arena;   /* of what is kept */
	Arena scratch; /* of one entry */
	ChangedRow **buckets;
	size_t n_buckets;
	size_t n_rows;
	ChangedRange *ranges;
	ChangedRange **ranges_end;
};

SnapshotChanges *
snapshot_changes_new(const Region *region, ApiVersion api, size_t max_bytes)
{
	SnapshotChanges *c = calloc(1, sizeof(*c));

	CHECK(c != NULL);
	arena_init(&c->arena);
	arena_init(&c->scratch);
	c->region = *region;
	c->region.start_key = arena_copy(&c->arena, region->start_key);
	c->region.end_key = arena_copy(&c->arena, region->end_key);
	c->api = api;
	c->max_bytes = max_bytes;
	c->ranges_end = &c->ranges;
	c->n_buckets = 256;
	c->buckets = calloc(c->n_buckets, sizeof(*c->buckets));
	CHECK(c->buckets != NULL);
	return c;
}

void
snapshot_changes_free(SnapshotChanges *c)
{
	if (c == NULL)
		return;
	arena_free(&c->arena);
	arena_free(&c->scratch);
	free(c->buckets);
	free(c);
}

void
snapshot_changes_begin(SnapshotChanges *c, uint64_t index)
{
	c->index = index;
}

uint64_t
snapshot_changes_index(const SnapshotChanges *c)
{
	return c->index;
}

/* ---- rows ---- */

/* Puts and deletes of one kind of row have neighbouring numbers. */
static int
table_of(SnapshotOp op)
{
	return op <= SNAPSHOT_RAW_RANGE ? 0 :
		op <= SNAPSHOT_WRITE_DELETE ? 1 :
		op <= SNAPSHOT_VALUE_DELETE ? 2 :
									  3;
}

/* What beside the key tells rows of a table apart. */
static uint64_t
place_of(const SnapshotRecord *r)
{
	int table = table_of(r->op);

	return table == 0 ? (uint64_t) r->cf : table == 3 ? 0 : r->number;
}

static bool
same_row(const SnapshotRecord *a, const SnapshotRecord *b)
{
	return table_of(a->op) == table_of(b->op) && place_of(a) == place_of(b) &&
		bytes_eq(a->key, b->key);
}

static void
grow(SnapshotChanges *c)
{
	size_t n = 4 * c->n_buckets;
	ChangedRow **buckets = calloc(n, sizeof(*buckets));

	CHECK(buckets != NULL);
	for (size_t i = 0; i < c->n_buckets; i++)
		for (ChangedRow *row = c->buckets[i]; row != NULL;)
		{
			ChangedRow *next = row->next;

			row->next = buckets[row->hash & (n - 1)];
			buckets[row->hash & (n - 1)] = row;
			row = next;
		}
	free(c->buckets);
	c->buckets = buckets;
	c->n_buckets = n;
}

/* The last change of a row counts. */
static void
note(SnapshotChanges *c, const SnapshotRecord *record)
{
	uint64_t hash =
		hash_bytes64(record->key,
					 place_of(record) * 4 + (uint64_t) table_of(record->op));
	ChangedRow *row = c->buckets[hash & (c->n_buckets - 1)];

	while (row != NULL &&
		   (row->hash != hash || !same_row(&row->record, record)))
		row = row->next;
	if (row == NULL)
	{
		row = arena_zalloc(&c->arena, sizeof(*row));
		row->hash = hash;
		row->record.key = arena_copy(&c->arena, record->key);
		row->next = c->buckets[hash & (c->n_buckets - 1)];
		c->buckets[hash & (c->n_buckets - 1)] = row;
		c->bytes += record->key.len + ROW_OVERHEAD;
		if (++c->n_rows > 2 * c->n_buckets)
			grow(c);
	}
	row->record.op = record->op;
	row->record.cf = record->cf;
	row->record.number = record->number;
	row->record.bytes = arena_copy(&c->arena, record->bytes);
	c->bytes += record->bytes.len;
}

static void
note_raw(SnapshotChanges *c, const RawModify *m)
{
	SnapshotRecord record = {.op = SNAPSHOT_RAW_DELETE,
							 .cf = m->cf,
							 .key = m->key};

	if (m->kind == RAW_PUT)
	{
		record.op = SNAPSHOT_RAW_PUT;
		record.number = (uint64_t) m->expires_at;
		record.bytes = m->value;
	}
	note(c, &record);
}

static void
note_txn(SnapshotChanges *c, const TxnModify *m)
{
	static const SnapshotOp puts[] = {[TXN_CF_LOCK] = SNAPSHOT_LOCK_PUT,
									  [TXN_CF_WRITE] = SNAPSHOT_WRITE_PUT,
									  [TXN_CF_VALUE] = SNAPSHOT_VALUE_PUT};
	SnapshotRecord record = {.op = puts[m->cf], .key = m->key};

	if (m->cf != TXN_CF_LOCK)
		record.number = m->ts;
	if (m->is_delete)
		record.op++;
	else
		record.bytes = m->bytes;
	note(c, &record);
}

/* ---- ranges ---- */

static bool
lies_in(const SnapshotRecord *row, const CmdRange *range)
{
	return table_of(row->op) == 0 && row->cf == range->cf &&
		bytes_cmp(row->key, range->lower) >= 0 &&
		(range->upper.len == 0 || bytes_cmp(row->key, range->upper) < 0);
}

/* What was put into the range before is deleted; the rest is for the reader. */
static void
note_range(SnapshotChanges *c, const CmdRange *range)
{
	ChangedRange *r = arena_zalloc(&c->arena, sizeof(*r));

	for (size_t i = 0; i < c->n_buckets; i++)
		for (ChangedRow *row = c->buckets[i]; row != NULL; row = row->next)
			if (lies_in(&row->record, range))
			{
				row->record.op = SNAPSHOT_RAW_DELETE;
				row->record.number = 0;
				row->record.bytes = bytes_empty();
			}
	r->record.op = SNAPSHOT_RAW_RANGE;
	r->record.cf = range->cf;
	r->record.key = arena_copy(&c->arena, range->lower);
	r->record.bytes = arena_copy(&c->arena, range->upper);
	c->bytes += range->lower.len + range->upper.len + ROW_OVERHEAD;
	*c->ranges_end = r;
	c->ranges_end = &r->next;
}

/* ---- entries ---- */

/*
 * An administrative command changes no rows.  One that changes the range, or
 * the state that the file's descriptor names, ends the reading, even if it was
 * refused when it was applied.
 */
static Status
add_admin(const CmdAdmin *admin)
{
	switch (admin->type)
	{
		case CMD_ADMIN_NONE:
		case CMD_ADMIN_CHANGE_PEER:
		case CMD_ADMIN_CHANGE_PEER_V2:
		case CMD_ADMIN_COMPACT_LOG:
		case CMD_ADMIN_TRANSFER_LEADER:
			return STATUS_OK;
		case CMD_ADMIN_BATCH_SPLIT:
		case CMD_ADMIN_PREPARE_FLASHBACK:
		case CMD_ADMIN_FINISH_FLASHBACK:
			break;
	}
	return STATUS_UNAVAILABLE;
}

/* As when it was applied: one for another epoch or range had no effect. */
static bool
had_effect(const SnapshotChanges *c, const Command *command)
{
	Bytes outside;

	return region_epoch_matches(command->header.epoch, c->region.epoch,
								cmd_epoch_rule(command)) &&
		cmd_in_region(command, &c->region, c->api, &outside);
}

Status
snapshot_changes_add(SnapshotChanges *c, const RaftEntry *entry)
{
	Command command;

	c->index = entry->index;
	if (entry->type != RAFT_ENTRY_NORMAL || entry->data.len == 0)
		return STATUS_OK;
	arena_reset(&c->scratch);
	if (cmd_decode(entry->data, c->api, &c->scratch, &command) != STATUS_OK)
		return STATUS_CORRUPT;
	if (command.admin != NULL)
		return add_admin(command.admin);
	if (!had_effect(c, &command))
		return STATUS_OK;
	for (size_t i = 0; i < command.n_ranges; i++)
		note_range(c, &command.ranges[i]);
	for (size_t i = 0; i < command.n_raw; i++)
		note_raw(c, &command.raw[i]);
	for (size_t i = 0; i < command.n_txn; i++)
		note_txn(c, &command.txn[i]);
	return c->bytes > c->max_bytes ? STATUS_BUSY : STATUS_OK;
}

void
snapshot_changes_write(const SnapshotChanges *c, SnapshotWriter *w)
{
	for (const ChangedRange *r = c->ranges; r != NULL; r = r->next)
		snapshot_write(w, SNAPSHOT_RANGE, &r->record);
	for (size_t i = 0; i < c->n_buckets; i++)
		for (const ChangedRow *row = c->buckets[i]; row != NULL;
			 row = row->next)
			snapshot_write(w, SNAPSHOT_TAIL, &row->record);
}
