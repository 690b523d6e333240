/*
 * group_ready.c
 *	  PD's Raft group over its tables: what a ready asks for.
 *
 * Entries, state and what was committed become one transaction that commits
 * synchronously; then messages leave.  If it fails, what the round decided is
 * forgotten.
 */
#include "postgres.h"

#include "access/xact.h"
#include "bus/board.h"
#include "bus/failpoints.h"
#include "bus/metrics.h"
#include "core/base/check.h"
#include "core/cmd/raft_codec.h"
#include "pd/group_internal.h"
#include "pd/group_lock.h"
#include "pd/group_table.h"
#include "pd/record_codec.h"
#include "utils/memutils.h"

/* The log is cut when it is this long, to this length. */
#ifdef TIKV_FAILPOINTS
#define LOG_MAX_ENTRIES 128 /* tests do not wait for long */
#define LOG_KEEP 16
#else
#define LOG_MAX_ENTRIES 4096
#define LOG_KEEP 512
#endif
#define LOG_MAX_BYTES ((size_t) 16 << 20)

Status
group_propose(Pd *pd)
{
	RaftEntry entry = {.type = RAFT_ENTRY_NORMAL};
	uint64_t term;

	entry.data = proposal_encode(&pd->proposal);
	FAILPOINT("pd_before_propose");
	return raft_propose(pd->raft, &entry, &pd->proposed_index, &term);
}

static void
corrupted_entry(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("an entry of the placement driver's log cannot be read")));
}

/* Followers know the members and nothing else of the state. */
static void
notice_members(Pd *pd, const ProposalItem *item)
{
	PdRecord record;

	if (pd->leading || !record_is_of_members(item->key))
		return;
	if (item->removed)
		pd->members_stale = true;
	else if (record_decode(item->key, item->value, &pd->arena, &record) ==
			 STATUS_OK)
		pd_state_apply(&pd->state, &record);
}

static void
apply_items(Pd *pd, Bytes data)
{
	ProposalItem item;

	while (data.len > 0)
	{
		if (proposal_next(&data, &item) != STATUS_OK)
			corrupted_entry();
		group_table_write_item(&item);
		notice_members(pd, &item);
	}
}

static void
apply_conf(Pd *pd, const RaftEntry *entry, GroupRow *row)
{
	RaftConfChange change;
	RaftConfState conf;
	Bytes context;

	if (raft_conf_change_decode(entry->type, entry->data, &change, &context) !=
		STATUS_OK)
		corrupted_entry();
	if (raft_apply_conf_change(pd->raft, &change, &conf) == STATUS_OK)
		row->conf = conf;
}

static void
apply_committed(Pd *pd, const RaftReady *ready, GroupRow *row)
{
	for (int i = 0; i < ready->n_committed; i++)
	{
		const RaftEntry *entry = &ready->committed[i];

		FAILPOINT("pd_before_apply");
		if (entry->type != RAFT_ENTRY_NORMAL)
			apply_conf(pd, entry, row);
		else
			apply_items(pd, entry->data);
		row->applied_index = entry->index;
		row->applied_term = entry->term;
		FAILPOINT("pd_after_apply");
	}
	if (row->hard.commit < row->applied_index)
		row->hard.commit = row->applied_index;
}

static void
install_snapshot(Pd *pd, const RaftSnapshot *snapshot, GroupRow *row)
{
	FAILPOINT("pd_before_snapshot");
	group_table_clear_records();
	group_table_cut_log(PG_UINT64_MAX);
	apply_items(pd, snapshot->data);
	FAILPOINT("pd_after_snapshot");
	row->conf = snapshot->meta.conf;
	row->applied_index = row->truncated_index = snapshot->meta.index;
	row->applied_term = row->truncated_term = snapshot->meta.term;
	pd->members_stale = true;
}

/*
 * A lone member's log is what it has applied.  What it was sent before it was
 * alone, and has not applied yet, stays: more than one change of members among
 * that is applied in as many readies.
 */
static void
give_up_applied(GroupLog *log, const GroupRow *row)
{
	if (row->truncated_index >= group_log_last(log))
		group_log_reset(log, row->truncated_index, row->truncated_term);
	else if (row->truncated_index > log->truncated_index)
		group_log_compact(log, row->truncated_index);
}

/* What the ready leaves of the log in memory; after the commit. */
static void
note_log(Pd *pd, const RaftReady *ready, const GroupRow *row)
{
	if (ready->snapshot != NULL)
		group_log_reset(&pd->log, ready->snapshot->meta.index,
						ready->snapshot->meta.term);
	if (ready->sole)
		give_up_applied(&pd->log, row);
	else
		group_log_replace(&pd->log, ready->entries, ready->n_entries);
}

/* Everything of the ready into the tables; the transaction stays open. */
static void
write_ready(Pd *pd, RaftReady *ready, GroupRow *row)
{
	CHECK(raft_ready(pd->raft, &pd->arena, (uint64) board_now_us(), ready));
	FAILPOINT("pd_ready_out");
	*row = pd->saved;
	if (ready->has_hard_state)
		row->hard = ready->hard_state;
	if (ready->snapshot != NULL)
		install_snapshot(pd, ready->snapshot, row);
	if (!ready->sole)
		group_table_write_log(ready->entries, ready->n_entries,
							  group_log_last(&pd->log), &pd->arena);
	FAILPOINT("pd_log_written");
	apply_committed(pd, ready, row);
	if (ready->sole)
	{
		if (pd->log.n > 0)
			group_table_cut_log(row->applied_index);
		row->truncated_index = row->applied_index;
		row->truncated_term = row->applied_term;
	}
	FAILPOINT("pd_before_row");
	group_table_write_row(row, pd->saved.found);
}

/* What was decided is not durable: forget it, start over from the tables. */
static void
lose_round(Pd *pd)
{
	MemoryContextSwitchTo(TopMemoryContext);
	EmitErrorReport();
	FlushErrorState();
	AbortCurrentTransaction();
	pd->changing = false;
	pd->in_ready = false;
	pd->aborted_rounds++;
	metrics_add(VALUE_ABORTED_TURNS, 1);
	pd->tso_bound_ms = pd->tso_bound_index = 0;
	pd_fail_waiting(pd, "the change could not be saved");
	region_tasks_fail(pd, "a change could not be saved");
	lease_ends_fail(pd, "a change could not be saved");
	group_stop(pd);
	pd_flush_outbox(pd, false);
}

/*
 * The ready's transaction has committed.  What the messages point to is no more
 * when Raft goes on, so they are bytes by then.
 */
static void
ready_done(Pd *pd, const RaftReady *ready, const GroupRow *row)
{
	const PackedMessage *messages =
		peers_pack(pd, ready->messages, ready->n_messages);
	const PackedMessage *persisted =
		peers_pack(pd, ready->persisted_messages, ready->n_persisted_messages);

	note_log(pd, ready, row);
	pd->saved = *row;
	pd->saved.found = true;
	pd->revision = row->applied_index;
	raft_advance(pd->raft, ready);
	if (!ready->sole)
		raft_persisted(pd->raft, ready->number);
	FAILPOINT_PASS("pd_before_messages");
	peers_send(pd, messages, ready->n_messages);
	peers_send(pd, persisted, ready->n_persisted_messages);
	FAILPOINT_PASS("pd_after_messages");
	pd->rounds++;
	metrics_add(VALUE_TURNS, 1);
}

/* `open`: the transaction is, since a sole round began it. */
GroupReady
group_run_ready(Pd *pd, bool open)
{
	RaftReady ready;
	GroupRow row;
	volatile bool ok = true;

	if (!open && !group_table_begin(pd))
		return READY_LATER;
	PG_TRY();
	{
		group_limit_patience();
		pd->in_ready = true;
		if (pd->round_sole && pd->changing && pd->proposal.n > 0 &&
			group_propose(pd) != STATUS_OK)
			elog(ERROR, "the placement driver's group refused a proposal");
		write_ready(pd, &ready, &row);
		FAILPOINT("pd_before_commit");
		group_table_end();
		FAILPOINT_PASS("pd_after_commit");
		pd->in_ready = false;
	}
	PG_CATCH();
	{
		ok = false;
		lose_round(pd);
	}
	PG_END_TRY();
	group_end_patience();
	if (!ok)
		return READY_LOST;
	ready_done(pd, &ready, &row);
	return READY_DONE;
}

/* Is the log too long?  Then the row with where to cut it. */
static bool
next_cut(const Pd *pd, GroupRow *row)
{
	uint64 keep = pd->log.bytes >= LOG_MAX_BYTES ? 0 : LOG_KEEP;

	*row = pd->saved;
	if (pd->raft == NULL || row->applied_index <= keep ||
		(pd->log.n < LOG_MAX_ENTRIES && pd->log.bytes < LOG_MAX_BYTES))
		return false;
	row->truncated_index = row->applied_index - keep;
	return row->truncated_index > pd->log.truncated_index &&
		group_log_term(&pd->log, row->truncated_index, &row->truncated_term) ==
		STATUS_OK;
}

/* Cut what everybody has long had. */
bool
group_cut_log(Pd *pd)
{
	GroupRow row;
	volatile bool ok = true;

	if (!next_cut(pd, &row) || !group_table_begin(pd))
		return true;
	PG_TRY();
	{
		group_limit_patience();
		FAILPOINT("pd_before_cut");
		group_table_cut_log(row.truncated_index);
		group_table_write_row(&row, true);
		group_table_end();
	}
	PG_CATCH();
	{
		ok = false;
		lose_round(pd);
	}
	PG_END_TRY();
	group_end_patience();
	if (!ok)
		return false;
	pd->saved = row;
	FAILPOINT_PASS("pd_after_cut");
	group_log_compact(&pd->log, row.truncated_index);
	raft_compact(pd->raft, row.truncated_index, row.truncated_term);
	return true;
}
