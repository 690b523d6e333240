/*
 * group.c
 *	  PD's Raft group over its tables: start, leadership, rounds.
 *
 * With one member an entry is applied in the transaction that stores the
 * position it leaves the group at, and everything is durable before anybody is
 * told.  With several, what a leader decides is in its state at once and in
 * the tables once a quorum has it; what depends on it waits (see keep_outbox).
 * A leader that steps down forgets what was not applied, by loading the state
 * again from the tables, exactly as after a restart.
 *
 * What a ready asks for is one transaction that commits synchronously, before
 * any message leaves (PD changes rarely).  A transaction that fails ends this
 * life of the process's state: nothing was sent, so it is as if it had crashed
 * before.  Nobody is waited for: see group_lock.h.
 */
#include "postgres.h"

#include <time.h>

#include "access/xact.h"
#include "bus/board.h"
#include "bus/metrics.h"
#include "core/base/check.h"
#include "core/cmd/raft_codec.h"
#include "guc.h"
#include "miscadmin.h"
#include "pd/group_lock.h"
#include "pd/group_table.h"
#include "pd/pd.h"
#include "pd/record_codec.h"
#include "utils/memutils.h"

/* Where a group's log begins, as in regions (raftstore-and-pd 1). */
#define FIRST_INDEX 5
#define FIRST_TERM 5

/* The log is cut when it is this long, to this length. */
#define LOG_MAX_ENTRIES 4096
#define LOG_MAX_BYTES ((size_t) 16 << 20)
#define LOG_KEEP 512

/* Readies in one round of the loop. */
#define MAX_READIES 8

/* ---- the Raft group ---- */

static void *
raft_alloc(void *arg, size_t size)
{
	(void) arg;
	return MemoryContextAllocHuge(TopMemoryContext, size);
}

static void
raft_release(void *arg, void *p)
{
	(void) arg;
	pfree(p);
}

/*
 * Everything that is applied, for a member that needs more than the log has.
 * Only inside a ready's transaction the tables can be read.
 */
static Status
make_snapshot(void *arg, uint64_t to, uint64_t index, Arena *arena,
			  RaftSnapshot *out)
{
	Pd *pd = ((GroupStorage *) arg)->pd;

	(void) to;
	if (!pd->in_ready || pd->saved.applied_index < index)
		return STATUS_UNAVAILABLE;
	memset(out, 0, sizeof(*out));
	out->meta.conf = pd->saved.conf;
	out->meta.index = pd->saved.applied_index;
	out->meta.term = pd->saved.applied_term;
	out->data = group_table_read_all(arena);
	return STATUS_OK;
}

/* The log's functions take the log as their argument, the snapshot takes pd. */
static Status
log_entries(void *arg, uint64_t low, uint64_t high, size_t max_bytes,
			Arena *arena, RaftEntry **out, int *n)
{
	GroupStorage *s = arg;

	return s->log.entries(s->log.arg, low, high, max_bytes, arena, out, n);
}

static Status
log_term(void *arg, uint64_t index, uint64_t *term)
{
	GroupStorage *s = arg;

	return s->log.term(s->log.arg, index, term);
}

static uint64_t
log_last_index(void *arg)
{
	GroupStorage *s = arg;

	return s->log.last_index(s->log.arg);
}

/* Make the group from what is saved. */
static void
start_raft(Pd *pd, bool restarted)
{
	const GroupRow *saved = &pd->saved;
	RaftAllocator allocator = {NULL, raft_alloc, raft_release};
	RaftStorage storage = {&pd->storage, log_entries, log_term, log_last_index,
						   make_snapshot};
	RaftConfig config;

	pd->storage.pd = pd;
	pd->storage.log = group_log_storage(&pd->log);
	raft_config_init(&config, saved->member_id);
	config.hard_state = saved->hard;
	config.conf = saved->conf;
	config.applied_index = saved->applied_index;
	config.applied_term = saved->applied_term;
	config.truncated_index = saved->truncated_index;
	config.truncated_term = saved->truncated_term;
	config.restarted = restarted;
	config.max_entry_bytes = config.max_uncommitted_bytes = SIZE_MAX / 4;
	config.max_unstored_bytes = SIZE_MAX / 4;
	config.max_committed_bytes = SIZE_MAX / 4;
	config.seed = saved->member_id ^ (uint64) board_now_us();
	if (raft_create(&config, &storage, &allocator, (uint64) board_now_us(),
					&pd->raft) != STATUS_OK)
		ereport(
			ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg(
				 "the stored Raft state of the placement driver is inconsistent")));
	pd->term = raft_term(pd->raft);
	pd->next_tick_us = board_now_us();
}

/* The configuration is this member alone, and so it has been for long. */
static bool
is_sole_row(const GroupRow *row)
{
	return row->conf.voters.n == 1 && row->conf.learners.n == 0 &&
		row->conf.voters_outgoing.n == 0 &&
		row->conf.voters.id[0] == row->member_id &&
		row->truncated_index == row->applied_index;
}

bool
group_is_sole(const Pd *pd)
{
	return pd->raft != NULL && pd->leading && pd->waiting == NULL &&
		pd->log.n == 0 && raft_role(pd->raft) == RAFT_LEADER &&
		raft_is_sole(pd->raft);
}

/* ---- start and stop ---- */

static uint64
random_id(void)
{
	uint64 id;

	if (!pg_strong_random(&id, sizeof(id)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not get random bytes")));
	return (id >> 1) | 1;
}

static void
first_row(GroupRow *row)
{
	row->member_id = random_id();
	row->hard.term = row->applied_term = row->truncated_term = FIRST_TERM;
	row->hard.commit = row->applied_index = row->truncated_index = FIRST_INDEX;
	row->conf.voters.n = 1;
	row->conf.voters.id[0] = row->member_id;
}

/*
 * Version 0.1 had one member always, named by a record, and no log.
 */
static void
complete_row(GroupRow *row, uint64 member_id)
{
	if (member_id == 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("tikv_internal.pd_kv names no member"),
			 errhint(
				 "Restore the database from a backup taken before the update.")));
	row->member_id = member_id;
	row->truncated_index = row->applied_index;
	row->truncated_term = row->applied_term;
	row->conf.voters.n = 1;
	row->conf.voters.id[0] = member_id;
}

void
group_describe_self(const Pd *pd, PdMember *out)
{
	memset(out, 0, sizeof(*out));
	out->id = pd->saved.member_id;
	out->name = pd->name;
	out->client_url = pd->client_url;
	out->peer_url = pd->client_url;
	out->version = PD_VERSION;
}

/* The leader, as it is configured now; the id stays. */
static void
describe_leader(Pd *pd, PdChanges *changes)
{
	const PdMember *known =
		members_find(&pd->state.members, pd->saved.member_id);
	PdMember *member = arena_alloc(&pd->arena, sizeof(*member));

	group_describe_self(pd, member);
	if (known != NULL)
		member->leaving = known->leaving;
	pd_state_set_member(&pd->state, member, changes);
	(void) pd_state_put_member(&pd->state, member, changes);
}

static void
load_state(Pd *pd)
{
	pd_state_free(&pd->state);
	group_table_load_records(&pd->state, &pd->arena);
	pd_state_loaded(&pd->state);
	pd->moved = pd_data_moved();
	pd->revision = pd->saved.applied_index;
}

static const char *
advertised_address(void)
{
	return tikv_fdw_settings.pd_advertise_addr[0] != '\0' ?
		tikv_fdw_settings.pd_advertise_addr :
		tikv_fdw_settings.pd_addr;
}

static void
give_up_start(Pd *pd)
{
	AbortCurrentTransaction();
	pd->changing = false;
	group_stop(pd);
}

/* Alone: lead, and save what the start itself changes. */
static bool
lead_alone(Pd *pd)
{
	uint32 random = (uint32) random_id();
	PdChanges changes;
	const char *why;

	pd->changing = pd->round_sole = true;
	pd_changes_init(&changes, &pd->arena);
	if (pd->state.cluster_id == 0)
		pd_state_first(random, (int64) time(NULL), &changes);
	describe_leader(pd, &changes);
	pd_state_mirror_safe_point(&pd->state, &changes);
	proposal_init(&pd->proposal, &pd->arena);
	if (!group_change(pd, &changes, &why))
	{
		give_up_start(pd);
		return false;
	}
	start_raft(pd, pd->saved.found);
	if (raft_campaign(pd->raft, (uint64) board_now_us()) != STATUS_OK)
		ereport(
			ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg(
				 "the stored Raft state of the placement driver is inconsistent")));
	pd->term = raft_term(pd->raft);
	pd->leading = true;
	return group_commit(pd);
}

/* One of several: follow until it is elected. */
static bool
follow(Pd *pd)
{
	group_table_load_log(&pd->log, &pd->arena);
	group_table_write_row(&pd->saved, true);
	group_table_end();
	start_raft(pd, true);
	return true;
}

bool
group_start(Pd *pd)
{
	snprintf(pd->client_url, sizeof(pd->client_url), "%s://%s",
			 pd->tls != NULL ? "https" : "http", advertised_address());
	snprintf(pd->name, sizeof(pd->name), "pd-%s", advertised_address());
	group_log_init(&pd->log);
	if (!group_table_begin(pd))
		return false;
	group_table_load_row(&pd->saved);
	if (!pd->saved.found && !pd->may_found)
	{
		/* It waits for its place in somebody else's group. */
		AbortCurrentTransaction();
		pd_state_init(&pd->state);
		return true;
	}
	pd_state_init(&pd->state);
	if (!pd->saved.found)
		first_row(&pd->saved);
	pd->saved.start_seq++;
	load_state(pd);
	if (pd->saved.member_id == 0)
		complete_row(&pd->saved, pd->state.member.id);
	group_log_reset(&pd->log, pd->saved.truncated_index,
					pd->saved.truncated_term);
	if (!group_lock_row(pd, pd->saved.found))
	{
		give_up_start(pd);
		return false;
	}
	return is_sole_row(&pd->saved) ? lead_alone(pd) : follow(pd);
}

/*
 * A place in an existing group: this member waits for a snapshot from its
 * leader.  `cluster_id` and the members let it be found by then.
 */
bool
group_join(Pd *pd, uint64 member_id, uint64 cluster_id, const Members *members)
{
	PdRecord id = {.kind = PD_RECORD_CLUSTER_ID, .number = cluster_id};
	ProposalItem item;

	if (!group_table_begin(pd))
		return false;
	memset(&pd->saved, 0, sizeof(pd->saved));
	pd->saved.member_id = member_id;
	pd->saved.start_seq = 1;
	item = record_encode(&id, cluster_id, &pd->arena);
	group_table_write_item(&item);
	pd_state_apply(&pd->state, &id);
	for (size_t i = 0; i < members->n; i++)
	{
		PdRecord record = {.kind = PD_RECORD_PEER,
						   .member = &members->items[i]->member};

		item = record_encode(&record, cluster_id, &pd->arena);
		group_table_write_item(&item);
		pd_state_apply(&pd->state, &record);
	}
	group_table_write_row(&pd->saved, false);
	group_table_end();
	pd->saved.found = true;
	group_log_reset(&pd->log, 0, 0);
	start_raft(pd, false);
	return true;
}

void
group_stop(Pd *pd)
{
	pd->leading = false;
	if (pd->raft != NULL)
		raft_destroy(pd->raft);
	pd->raft = NULL;
	group_log_free(&pd->log);
	pd_state_free(&pd->state);
}

/* ---- leadership ---- */

/* From the tables, whatever was decided and not applied is forgotten. */
static bool
reload_state(Pd *pd)
{
	if (!group_table_begin(pd))
		return false;
	load_state(pd);
	group_table_end();
	return true;
}

/*
 * An entry of this term is applied: all that earlier leaders have committed is
 * in the tables, and timestamps begin behind their saved bound.
 */
static bool
begin_to_lead(Pd *pd)
{
	PdChanges changes;
	const char *why;

	if (!reload_state(pd))
		return false;
	pd->leading = true;
	pd->term = raft_term(pd->raft);
	tso_lead(pd);
	schedule_lead(&pd->schedule, board_now_us());
	leases_refresh_all(&pd->state.leases, board_now_us());
	ereport(LOG,
			(errmsg("tikv pd: member %llu leads the placement driver",
					(unsigned long long) pd->saved.member_id),
			 errdetail("Term %llu.", (unsigned long long) pd->term)));
	pd_changes_init(&changes, &pd->arena);
	describe_leader(pd, &changes);
	pd_state_mirror_safe_point(&pd->state, &changes);
	(void) pd_change(pd, &changes, &why);
	pd_note_local_regions(pd);
	return true;
}

/* What waits will not be answered by this member any more. */
static void
stop_leading(Pd *pd)
{
	ereport(LOG,
			(errmsg("tikv pd: member %llu leads the placement driver no more",
					(unsigned long long) pd->saved.member_id)));
	pd->leading = false;
	pd->changing = false;
	proposal_init(&pd->proposal, &pd->arena);
	tso_resign(pd);
	watch_end_all(pd);
	pd_fail_waiting(pd, "not leader");
	pd->must_reload = true;
}

static void
follow_leadership(Pd *pd)
{
	bool leader = raft_role(pd->raft) == RAFT_LEADER;

	if (pd->leading && (!leader || raft_term(pd->raft) != pd->term))
		stop_leading(pd);
	if (pd->must_reload && !pd->leading)
		pd->must_reload = !reload_state(pd);
	if (!pd->leading && leader && !pd->must_reload &&
		pd->saved.applied_term == raft_term(pd->raft))
		(void) begin_to_lead(pd);
	if (pd->leading)
		tso_lease(pd, raft_lease_end_us(pd->raft));
}

bool
group_may_serve(const Pd *pd)
{
	return pd->leading && raft_lease_end_us(pd->raft) > (uint64) board_now_us();
}

/* ---- a round ---- */

bool
group_begin(Pd *pd, const char **why)
{
	if (pd->changing)
		return true;
	pd->round_sole = group_is_sole(pd);
	if (!pd->round_sole)
		pd->changing = true;
	else if (group_table_begin(pd))
	{
		if (group_lock_row(pd, pd->saved.found))
			pd->changing = true;
		else
			AbortCurrentTransaction();
	}
	if (!pd->changing)
	{
		*why = arena_strdup(&pd->arena, pd->reason);
		return false;
	}
	proposal_init(&pd->proposal, &pd->arena);
	return true;
}

bool
group_change(Pd *pd, const PdChanges *changes, const char **why)
{
	ProposalItem *items =
		arena_alloc(&pd->arena, changes->n * sizeof(ProposalItem));

	for (size_t i = 0; i < changes->n; i++)
		items[i] = record_encode(&changes->records[i], pd->state.cluster_id,
								 &pd->arena);
	if (pd->round_sole && !group_lock_records(pd, items, changes->n))
	{
		*why = arena_strdup(&pd->arena, pd->reason);
		return false;
	}
	for (size_t i = 0; i < changes->n; i++)
	{
		proposal_add(&pd->proposal, &items[i]);
		pd_state_apply(&pd->state, &changes->records[i]);
	}
	return true;
}

static Status
propose(Pd *pd)
{
	RaftEntry entry = {.type = RAFT_ENTRY_NORMAL};
	uint64_t term;

	entry.data = proposal_encode(&pd->proposal);
	return raft_propose(pd->raft, &entry, &pd->proposed_index, &term);
}

/* ---- what a ready asks for ---- */

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
	Proposal proposal;

	proposal_init(&proposal, &pd->arena);
	if (proposal_decode(&proposal, data) != STATUS_OK)
		corrupted_entry();
	for (size_t i = 0; i < proposal.n; i++)
	{
		group_table_write_item(&proposal.items[i]);
		notice_members(pd, &proposal.items[i]);
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

		if (entry->type != RAFT_ENTRY_NORMAL)
			apply_conf(pd, entry, row);
		else
			apply_items(pd, entry->data);
		row->applied_index = entry->index;
		row->applied_term = entry->term;
	}
	if (row->hard.commit < row->applied_index)
		row->hard.commit = row->applied_index;
}

static void
install_snapshot(Pd *pd, const RaftSnapshot *snapshot, GroupRow *row)
{
	group_table_clear_records();
	group_table_cut_log(PG_UINT64_MAX);
	apply_items(pd, snapshot->data);
	row->conf = snapshot->meta.conf;
	row->applied_index = row->truncated_index = snapshot->meta.index;
	row->applied_term = row->truncated_term = snapshot->meta.term;
	pd->members_stale = true;
}

/* What the ready leaves of the log in memory; after the commit. */
static void
note_log(Pd *pd, const RaftReady *ready, const GroupRow *row)
{
	if (ready->snapshot != NULL)
		group_log_reset(&pd->log, ready->snapshot->meta.index,
						ready->snapshot->meta.term);
	if (ready->sole)
		group_log_reset(&pd->log, row->truncated_index, row->truncated_term);
	else
		group_log_replace(&pd->log, ready->entries, ready->n_entries);
}

/* Everything of the ready into the tables; the transaction stays open. */
static void
write_ready(Pd *pd, RaftReady *ready, GroupRow *row)
{
	CHECK(raft_ready(pd->raft, &pd->arena, (uint64) board_now_us(), ready));
	*row = pd->saved;
	if (ready->has_hard_state)
		row->hard = ready->hard_state;
	if (ready->snapshot != NULL)
		install_snapshot(pd, ready->snapshot, row);
	if (!ready->sole)
		group_table_write_log(ready->entries, ready->n_entries,
							  group_log_last(&pd->log), &pd->arena);
	apply_committed(pd, ready, row);
	if (ready->sole)
	{
		if (pd->log.n > 0)
			group_table_cut_log(PG_UINT64_MAX);
		row->truncated_index = row->applied_index;
		row->truncated_term = row->applied_term;
	}
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
	group_stop(pd);
	pd_flush_outbox(pd, false);
}

/* The ready's transaction has committed. */
static void
ready_done(Pd *pd, const RaftReady *ready, const GroupRow *row)
{
	note_log(pd, ready, row);
	pd->saved = *row;
	pd->saved.found = true;
	pd->revision = row->applied_index;
	raft_advance(pd->raft, ready);
	if (!ready->sole)
		raft_persisted(pd->raft, ready->number);
	peers_send(pd, ready->messages, ready->n_messages);
	peers_send(pd, ready->persisted_messages, ready->n_persisted_messages);
	pd->rounds++;
	metrics_add(VALUE_TURNS, 1);
}

typedef enum ReadyAnswer
{
	READY_DONE,
	READY_LATER, /* the tables cannot be had now */
	READY_LOST
} ReadyAnswer;

/* `open`: the transaction is, since a sole round began it. */
static ReadyAnswer
run_ready(Pd *pd, bool open)
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
			propose(pd) != STATUS_OK)
			elog(ERROR, "the placement driver's group refused a proposal");
		write_ready(pd, &ready, &row);
		group_table_end();
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
static bool
cut_log(Pd *pd)
{
	GroupRow row;
	volatile bool ok = true;

	if (!next_cut(pd, &row) || !group_table_begin(pd))
		return true;
	PG_TRY();
	{
		group_limit_patience();
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
	group_log_compact(&pd->log, row.truncated_index);
	raft_compact(pd->raft, row.truncated_index, row.truncated_term);
	return true;
}

/* ---- the end of a round ---- */

static bool
commit_sole(Pd *pd)
{
	if (pd->proposal.n == 0 && !raft_has_ready(pd->raft))
	{
		/* All that the round was begun for was refused. */
		AbortCurrentTransaction();
		pd->changing = false;
		return true;
	}
	if (run_ready(pd, true) != READY_DONE)
		return false;
	pd->changing = false;
	return true;
}

/* What the round changed waits for a quorum. */
static void
propose_round(Pd *pd)
{
	if (pd->proposal.n > 0 && propose(pd) != STATUS_OK)
	{
		stop_leading(pd);
		pd_flush_outbox(pd, false);
		return;
	}
	if (pd->tso_bound_ms != 0 && pd->tso_bound_index == 0)
		pd->tso_bound_index = pd->proposed_index;
	pd->changing = false;
}

static bool
run_readies(Pd *pd)
{
	for (int i = 0; i < MAX_READIES && raft_has_ready(pd->raft); i++)
		switch (run_ready(pd, false))
		{
			case READY_DONE:
				break;
			case READY_LATER:
				peers_send_urgent(pd);
				pd->retry_us = board_now_us() + 10000;
				return true;
			case READY_LOST:
				return false;
		}
	return true;
}

/* The members as the tables have them, if a record of one was removed. */
static void
refresh_members(Pd *pd)
{
	if (pd->members_stale && !pd->leading)
		pd->members_stale = !reload_state(pd);
}

/*
 * Without a lease nobody is served: do not wait for the next heartbeat, as
 * when a first learner comes and the lease of a sole member ends.
 */
static void
ask_for_lease(Pd *pd)
{
	int64 now = board_now_us();

	if (!pd->leading || group_may_serve(pd) ||
		now - pd->lease_asked_us < GROUP_TICK_US)
		return;
	pd->lease_asked_us = now;
	if (raft_read_index(pd->raft, bytes_cstr("lease")) != STATUS_OK)
		elog(DEBUG1, "tikv pd: a lease could not be asked for");
}

/* What was decided becomes durable, or is on its way to be. */
static bool
settle_round(Pd *pd)
{
	if (pd->changing && pd->round_sole && !commit_sole(pd))
		return false;
	if (pd->changing)
		propose_round(pd);
	pd_keep_outbox(pd);
	ask_for_lease(pd);
	return run_readies(pd);
}

bool
group_commit(Pd *pd)
{
	if (pd->raft == NULL)
		return true;
	if (!settle_round(pd) || !cut_log(pd))
		return false;
	refresh_members(pd);
	follow_leadership(pd);
	if (pd->changing && !settle_round(pd))
		return false;
	pd_flush_waiting(pd);
	return true;
}

void
group_tick(Pd *pd)
{
	int64 now = board_now_us();

	if (pd->raft == NULL || now < pd->next_tick_us)
		return;
	if (group_is_sole(pd) && pd->state.members.n == 1)
		return;
	pd->next_tick_us = now + GROUP_TICK_US;
	raft_tick(pd->raft, (uint64) now);
	members_tick(pd);
}

int64
group_sleep_us(const Pd *pd)
{
	int64 now = board_now_us();

	if (pd->raft == NULL || (group_is_sole(pd) && pd->state.members.n == 1))
		return -1;
	if (raft_has_ready(pd->raft))
		return pd->retry_us > now ? pd->retry_us - now : 1;
	return pd->next_tick_us > now ? pd->next_tick_us - now : 1;
}
