/*
 * places.c
 *	  Who belongs to PD's group: one change after the other towards what the
 *	  members should make of it, and who may go.
 */
#include "postgres.h"

#include "bus/board.h"
#include "bus/failpoints.h"
#include "core/cmd/raft_codec.h"
#include "pd/core/leaving.h"
#include "pd/pd.h"

/* Entries by which a member that has caught up may be behind. */
#define CAUGHT_UP_LAG 64

/* Silent for so long, a voter is replaced by a learner that is not. */
#define LOST_US INT64CONST(60000000)

static size_t
view_peers(Pd *pd, const RaftStatus *status, MemberView *views)
{
	int64 now = board_now_us();

	raft_note_silences(pd->silences, PD_MAX_MEMBERS, status, now);
	for (int i = 0; i < status->n_peers; i++)
	{
		const RaftPeerStatus *peer = &status->peers[i];
		int64 since = raft_silent_since(pd->silences, PD_MAX_MEMBERS, peer->id);
		MemberView *view = &views[i];

		view->id = peer->id;
		view->active = peer->heard;
		view->lost = since != 0 && now - since > LOST_US;
		view->caught_up = peer->state == RAFT_REPLICATE &&
			peer->match + CAUGHT_UP_LAG >= status->last_index;
	}
	return (size_t) status->n_peers;
}

static void
propose_change(Pd *pd, const RaftConfChange *change)
{
	RaftEntry entry = {0};
	uint64_t index;
	uint64_t term;

	entry.data =
		raft_conf_change_encode(change, bytes_empty(), &pd->arena, &entry.type);
	if (raft_propose_conf_change(pd->raft, change, &entry, &index, &term) !=
		STATUS_OK)
		return;
	FAILPOINT_PASS("pd_member_change");
	for (int i = 0; i < change->n; i++)
	{
		static const char *const words[] = {"becomes a voter", "is removed",
											"becomes a learner"};

		ereport(LOG,
				(errmsg("tikv pd: member %llu %s",
						(unsigned long long) change->changes[i].id,
						words[change->changes[i].type])));
	}
}

/* Each member has its place, and what the leader has. */
static bool
all_settled(const Pd *pd, const MemberView *views, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!views[i].caught_up)
			return false;
	return n == pd->state.members.n;
}

static uint32
max_replicas(const Pd *pd)
{
	return pd->state.cluster.max_peer_count != 0 ?
		pd->state.cluster.max_peer_count :
		CLUSTER_MAX_REPLICAS;
}

PdError
pd_may_leave(Pd *pd, uint64 store_id, uint64 member_id, bool asks, Arena *arena)
{
	PlacementClock clock = schedule_clock(&pd->schedule, board_now_us());
	MemberView views[RAFT_MAX_PEERS];
	MemberGroup group = {.members = &pd->state.members,
						 .leader = pd->saved.member_id,
						 .max_replicas = max_replicas(pd),
						 .views = views};
	RaftStatus status;
	PdError error;

	error =
		leaving_check_store(&pd->state.cluster, store_id, asks, &clock, arena);
	if (error.type != PD_OK || member_id == 0 || pd->raft == NULL)
		return error;
	raft_status(pd->raft, &status);
	group.conf = &status.conf;
	group.n_views = view_peers(pd, &status, views);
	return leaving_check_member(&group, member_id, asks, arena);
}

void
members_tick(Pd *pd)
{
	MemberView views[RAFT_MAX_PEERS];
	PdChanges changes;
	RaftStatus status;
	MemberStep step;
	const char *why;
	size_t n;

	pd->settled = false;

	if (!pd->leading || pd->changing || pd->raft == NULL)
		return;
	if (pd->state.members.n == 1 && raft_is_sole(pd->raft))
		return;
	raft_status(pd->raft, &status);
	if (status.pending_conf_index > status.applied_index ||
		status.transferee != RAFT_NONE)
		return;
	n = view_peers(pd, &status, views);
	step = members_next_step(&pd->state.members, &status.conf,
							 pd->saved.member_id, max_replicas(pd), views, n);
	switch (step.kind)
	{
		case MEMBERS_AT_REST:
			pd->settled = all_settled(pd, views, n);
			break;
		case MEMBERS_CHANGE:
			propose_change(pd, &step.change);
			break;
		case MEMBERS_TRANSFER:
			if (raft_transfer_leader(pd->raft, step.id) != STATUS_OK)
				elog(DEBUG1, "tikv pd: leadership could not be handed over");
			break;
		case MEMBERS_FORGET:
			pd_changes_init(&changes, &pd->arena);
			FAILPOINT_PASS("pd_member_forget");
			pd_state_forget_member(step.id, &changes);
			(void) pd_change(pd, &changes, &why);
			break;
	}
}
