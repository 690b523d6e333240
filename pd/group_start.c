/*
 * group_start.c
 *	  PD's Raft group over its tables: how it is made, and how it starts.
 *
 * Alone, a member leads at once; one of several follows until it is elected; a
 * new one begins with nothing and waits for a snapshot.
 */
#include "postgres.h"

#include <time.h>

#include "access/xact.h"
#include "bus/board.h"
#include "guc.h"
#include "miscadmin.h"
#include "bus/failpoints.h"
#include "pd/convert.h"
#include "pd/group_internal.h"
#include "pd/group_lock.h"
#include "pd/group_table.h"
#include "pd/record_codec.h"
#include "pd/tso_local.h"
#include "utils/memutils.h"

/* Where a group's log begins, as in regions (raftstore-and-pd 1). */
#define FIRST_INDEX 5
#define FIRST_TERM 5

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
	FAILPOINT("pd_snapshot_made");
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
	RaftStorage storage = {&pd->storage,   log_entries,	  log_term,
						   log_last_index, make_snapshot, NULL};
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
	pd->ticked_us = board_now_us();
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
	memset(row, 0, sizeof(*row));
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
void
group_describe_leader(Pd *pd, PdChanges *changes)
{
	const PdMember *known =
		members_find(&pd->state.members, pd->saved.member_id);
	PdMember *member = arena_alloc(&pd->arena, sizeof(*member));

	group_describe_self(pd, member);
	if (known != NULL)
	{
		member->leaving = known->leaving;
		member->start = known->start;
	}
	pd_state_set_member(&pd->state, member, changes);
	(void) pd_state_put_member(&pd->state, member, changes);
}

void
group_mend_safe_points(Pd *pd, PdChanges *changes)
{
	const GcState *gc = &pd->state.gc;
	uint64 newest = tso_beginning(pd->state.tso_saved_ms);

	if (!gc_mend_safe_points(gc, newest, changes))
		return;
	ereport(
		LOG,
		(errmsg(
			 "tikv pd: the saved safe points lie beyond all timestamps and are not believed"),
		 errdetail(
			 "That of transactions is %llu, that of GC %llu; both are put back to %llu or what they were below it.",
			 (unsigned long long) gc->txn_safe_point,
			 (unsigned long long) gc->gc_safe_point,
			 (unsigned long long) newest),
		 errhint(
			 "Stores that have heard of them keep to them until they are restarted: stop all nodes, and start them again.")));
}

void
group_load_state(Pd *pd)
{
	pd_state_free(&pd->state);
	group_table_load_records(&pd->state, &pd->arena);
	pd_state_loaded(&pd->state);
	pd->moved = pd_data_moved(pd->moved_how, sizeof(pd->moved_how));
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
	group_describe_leader(pd, &changes);
	group_mend_safe_points(pd, &changes);
	pd_state_mirror_safe_point(&pd->state, &changes);
	proposal_init(&pd->proposal, &pd->arena);
	if (!group_change(pd, &changes, &why))
	{
		give_up_start(pd);
		return false;
	}
	FAILPOINT_PASS("pd_before_founded");
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

/* ---- one of several ---- */

/* Has it others beside it, also by what its log may yet make of the group? */
static bool
has_company(const Pd *pd)
{
	const RaftConfState *conf = &pd->saved.conf;

	if (conf->voters.n != 1 || conf->voters.id[0] != pd->saved.member_id ||
		conf->learners.n > 0 || conf->voters_outgoing.n > 0)
		return true;
	for (size_t i = 0; i < pd->log.n; i++)
		if (pd->log.entries[i].index > pd->saved.applied_index &&
			pd->log.entries[i].type != RAFT_ENTRY_NORMAL)
			return true;
	return false;
}

/*
 * A voter among others is heard of where they know it to be, and nowhere else,
 * so it cannot have moved by its settings; its copy may have.  A lone voter
 * leads all the same, and tells its new address.
 */
static bool
is_known_elsewhere(Pd *pd)
{
	const PdMember *self =
		members_find(&pd->state.members, pd->saved.member_id);

	return self != NULL && pd->saved.conf.voters.n > 1 &&
		strcmp(url_address(self->peer_url, &pd->arena),
			   url_address(pd->client_url, &pd->arena)) != 0;
}

/*
 * A copy has a start that the others have not seen, so they would take it for
 * a restart, and their answers would end the original: it must not say a word.
 * False with a reason, or fenced.
 */
static bool
may_take_part(Pd *pd)
{
	const char *how = pd->moved_how;

	if (!has_company(pd))
		return true;
	if (pd->moved == PD_MOVED_UNKNOWN)
	{
		snprintf(pd->reason, sizeof(pd->reason),
				 "tikv_internal.store_meta is locked");
		return false;
	}
	if (pd->moved == PD_MOVED_NOT)
	{
		if (!is_known_elsewhere(pd))
			return true;
		how = arena_printf(&pd->arena, "the others know this member at %s",
						   url_address(members_find(&pd->state.members,
													pd->saved.member_id)
										   ->peer_url,
									   &pd->arena));
	}
	snprintf(
		pd->fenced, sizeof(pd->fenced),
		"the data are a copy (%s) and the placement driver has other members: stop the copy, or have it begin anew, empty, with tikv_reset_store()",
		how);
	ereport(WARNING,
			(errmsg("tikv pd: this member takes no part: %s", pd->fenced)));
	return false;
}

/* Follow until it is elected. */
static bool
follow(Pd *pd)
{
	if (!may_take_part(pd))
	{
		give_up_start(pd);
		return false;
	}
	group_table_write_row(&pd->saved, true);
	group_table_end();
	start_raft(pd, true);
	return true;
}

/*
 * It waits for its place in somebody else's group.  What it asks with is saved
 * before, so that it asks for the same place after a crash, and for another
 * one when its tables have been emptied.
 */
static void
wait_for_place(Pd *pd)
{
	GroupRow *row = &pd->saved;
	bool asks = tikv_fdw_settings.join[0] != '\0' &&
		tikv_fdw_settings.pd_endpoints[0] == '\0';

	if (asks && !row->asks)
	{
		row->asks = true;
		row->member_id = random_id();
		group_table_write_row(row, false);
		group_table_end();
	}
	else
		AbortCurrentTransaction();
	pd->place_word = asks ? row->member_id : 0;
	memset(row, 0, sizeof(*row));
	pd_state_init(&pd->state);
}

bool
group_start(Pd *pd)
{
	bool asked;

	snprintf(pd->client_url, sizeof(pd->client_url), "%s://%s",
			 pd->tls != NULL ? "https" : "http", advertised_address());
	snprintf(pd->name, sizeof(pd->name), "pd-%s", advertised_address());
	group_log_init(&pd->log);
	if (!group_table_begin(pd))
		return false;
	group_table_load_row(&pd->saved);
	if (!pd->saved.found && !pd->may_found)
	{
		wait_for_place(pd);
		return true;
	}
	pd_state_init(&pd->state);
	asked = pd->saved.asks;
	if (!pd->saved.found)
		first_row(&pd->saved);
	pd->saved.start_seq++;
	group_load_state(pd);
	if (pd->saved.member_id == 0)
		complete_row(&pd->saved, pd->state.member.id);
	group_log_reset(&pd->log, pd->saved.truncated_index,
					pd->saved.truncated_term);
	if (!group_lock_row(pd, pd->saved.found || asked))
	{
		give_up_start(pd);
		return false;
	}
	group_table_load_log(&pd->log, &pd->arena);
	if (asked)
		group_table_remove_row();

	/* One that was left alone may have been sent more before it knew. */
	return is_sole_row(&pd->saved) && pd->log.n == 0 ? lead_alone(pd) :
													   follow(pd);
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
	if (!group_lock_row(pd, pd->place_word != 0))
	{
		AbortCurrentTransaction();
		return false;
	}
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
	FAILPOINT("pd_before_joined");
	group_table_write_row(&pd->saved, pd->place_word != 0);
	group_table_end();
	FAILPOINT_PASS("pd_after_joined");
	pd->saved.found = true;
	group_log_reset(&pd->log, 0, 0);
	start_raft(pd, false);
	return true;
}

/*
 * Else a copy would catch up by being started often.  The group takes part in
 * nothing any more, so its row is as it was saved.
 */
bool
group_uncount_start(Pd *pd)
{
	if (!group_table_begin(pd))
		return false;
	pd->saved.start_seq--;
	group_table_write_row(&pd->saved, true);
	group_table_end();
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
