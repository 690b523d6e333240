/*
 * group.c
 *	  PD's Raft group over its tables: leadership and rounds.
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

#include "access/xact.h"
#include "bus/board.h"
#include "bus/failpoints.h"
#include "core/base/check.h"
#include "pd/group_internal.h"
#include "pd/group_lock.h"
#include "pd/group_table.h"
#include "pd/record_codec.h"

/* Readies in one round of the loop. */
#define MAX_READIES 8

/* As if an election were due by then: the process looks around every second. */
#define MAX_TICKS 1000

bool
group_is_sole(const Pd *pd)
{
	return pd->raft != NULL && pd->leading && pd->waiting == NULL &&
		pd->log.n == 0 && raft_role(pd->raft) == RAFT_LEADER &&
		raft_is_sole(pd->raft);
}

/* ---- leadership ---- */

/* From the tables, whatever was decided and not applied is forgotten. */
static bool
reload_state(Pd *pd)
{
	if (!group_table_begin(pd))
		return false;
	group_load_state(pd);
	group_table_end();
	return true;
}

/*
 * All entries are applied, one of this term among them: all that was committed
 * is in the tables, and timestamps begin behind the saved bound.
 */
static bool
begin_to_lead(Pd *pd)
{
	PdChanges changes;
	const char *why;
	size_t mended;

	if (!reload_state(pd))
		return false;
	FAILPOINT_PASS("pd_before_lead");
	pd->leading = true;
	pd->term = raft_term(pd->raft);
	pd_changes_init(&changes, &pd->arena);
	group_mend_safe_points(pd, &changes);
	mended = changes.n;
	pd_lead(pd);
	ereport(LOG,
			(errmsg("tikv pd: member %llu leads the placement driver",
					(unsigned long long) pd->saved.member_id),
			 errdetail("Term %llu.", (unsigned long long) pd->term)));
	FAILPOINT_PASS("pd_leads");
	group_describe_leader(pd, &changes);
	if (!pd_change(pd, &changes, &why))
	{
		/* The tables are locked: nobody is to hear of what is not believed. */
		changes.n = mended;
		pd_state_apply_all(&pd->state, &changes);
	}
	pd_note_local_regions(pd);
	return true;
}

/*
 * Only an entry of this term says what earlier ones have committed.  And what
 * this member proposed before it stopped in the same term is still under way:
 * the state would be loaded without it, and never get it.  While leadership is
 * handed over, nothing can be proposed.
 */
static bool
may_begin(const Pd *pd)
{
	RaftStatus status;

	if (raft_role(pd->raft) != RAFT_LEADER)
		return false;
	raft_status(pd->raft, &status);
	return pd->saved.applied_term == status.hard_state.term &&
		pd->saved.applied_index >= status.last_index &&
		status.transferee == RAFT_NONE;
}

/* What waits will not be answered by this member any more. */
static void
stop_leading(Pd *pd)
{
	ereport(LOG,
			(errmsg("tikv pd: member %llu leads the placement driver no more",
					(unsigned long long) pd->saved.member_id)));
	FAILPOINT_PASS("pd_before_resign");
	pd->leading = false;
	pd->settled = false;
	pd->changing = false;
	pd->decided_index = 0;
	proposal_init(&pd->proposal, &pd->arena);
	pd_resign(pd, "not leader");
	FAILPOINT_PASS("pd_resigned");
	pd->must_reload = true;
}

/* What the round decided is not told, either. */
static void
lose_leadership(Pd *pd)
{
	stop_leading(pd);
	pd_flush_outbox(pd, false);
}

static void
follow_leadership(Pd *pd)
{
	bool leader = raft_role(pd->raft) == RAFT_LEADER;

	if (pd->leading && (!leader || raft_term(pd->raft) != pd->term))
		stop_leading(pd);
	if (pd->must_reload && !pd->leading)
		pd->must_reload = !reload_state(pd);
	if (!pd->leading && !pd->must_reload && may_begin(pd))
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
	pd->deciding = false;
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

/* ---- the end of a round ---- */

static bool
commit_sole(Pd *pd)
{
	/* Somebody who was removed may tell of a later term in between. */
	if (pd->proposal.n > 0 && raft_role(pd->raft) != RAFT_LEADER)
	{
		AbortCurrentTransaction();
		lose_leadership(pd);
		return true;
	}
	if (pd->proposal.n == 0 && !raft_has_ready(pd->raft))
	{
		/* All that the round was begun for was refused. */
		AbortCurrentTransaction();
		pd->changing = false;
		return true;
	}
	if (group_run_ready(pd, true) != READY_DONE)
		return false;
	pd->changing = false;
	return true;
}

/* What the round changed waits for a quorum. */
static void
propose_round(Pd *pd)
{
	if (pd->proposal.n > 0 && group_propose(pd) != STATUS_OK)
	{
		lose_leadership(pd);
		return;
	}
	FAILPOINT_PASS("pd_after_propose");
	if (pd->deciding)
		pd->decided_index = pd->proposed_index;
	if (pd->tso_bound_ms != 0 && pd->tso_bound_index == 0)
		pd->tso_bound_index = pd->proposed_index;
	pd->changing = false;
}

static bool
run_readies(Pd *pd)
{
	for (int i = 0; i < MAX_READIES && raft_has_ready(pd->raft); i++)
		switch (group_run_ready(pd, false))
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
	if (!settle_round(pd) || !group_cut_log(pd))
		return false;
	refresh_members(pd);
	follow_leadership(pd);
	if (pd->changing && !settle_round(pd))
		return false;
	FAILPOINT_PASS("pd_before_answers");
	pd_flush_waiting(pd);
	return true;
}

/* Alone for good: nobody has to be heard. */
static bool
needs_no_ticks(const Pd *pd)
{
	return pd->raft == NULL || (group_is_sole(pd) && pd->state.members.n == 1);
}

/*
 * How many ticks the group may be left alone for.  What is tried anew with each
 * of them keeps it from sleeping longer: members on their way into the group, a
 * lease, tables that are locked.
 */
static int
ticks_to_sleep(const Pd *pd)
{
	bool leads = raft_role(pd->raft) == RAFT_LEADER;

	if (pd->must_reload || pd->members_stale || leads != pd->leading ||
		(leads && !(pd->settled && group_may_serve(pd))))
		return 1;
	return Min(raft_ticks_due(pd->raft), MAX_TICKS);
}

/*
 * Who slept for longer than it meant to stood still, and has messages that it
 * did not look at: the tick that would do something, say campaign, comes after
 * these.
 */
static int64
ticks_over(const Pd *pd, int64 over)
{
	int due = Min(raft_ticks_due(pd->raft), MAX_TICKS);

	return over <= due ? over : Max(due - 1, 1);
}

void
group_clock(Pd *pd)
{
	int64 now = board_now_us();
	int64 over = (now - pd->ticked_us) / GROUP_TICK_US;
	int64 n;

	if (needs_no_ticks(pd))
	{
		pd->ticked_us = now;
		return;
	}
	n = ticks_over(pd, over);
	for (int64 i = 0; i < n; i++)
		raft_tick(pd->raft, (uint64) now);
	pd->ticked_us = n < over ? now : pd->ticked_us + n * GROUP_TICK_US;
	pd->ticked |= n > 0;
}

void
group_tick(Pd *pd)
{
	if (!pd->ticked || needs_no_ticks(pd))
		return;
	pd->ticked = false;
	starts_tick(pd);
	members_tick(pd);
}

int64
group_sleep_us(const Pd *pd)
{
	int64 now = board_now_us();

	if (needs_no_ticks(pd))
		return -1;
	if (raft_has_ready(pd->raft))
		return pd->retry_us > now ? pd->retry_us - now : 1;
	return Max(pd->ticked_us + ticks_to_sleep(pd) * GROUP_TICK_US - now, 1);
}
