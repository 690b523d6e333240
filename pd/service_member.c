/*
 * service_member.c
 *	  Handlers: who the members are, who joins, who leaves.
 *
 * Join and Leave are our own; they carry messages of pdpb.  A member names
 * itself as GetMembersResponse.members[0], a leaving one as the header's
 * sender_id.
 */
#include "postgres.h"

#include "bus/failpoints.h"
#include "pd/convert.h"
#include "pd/pd.h"

/*
 * One that is not heard any more is not named: others may have another leader,
 * of which nobody tells a member that has left.
 */
const PdMember *
pd_leader(const Pd *pd)
{
	if (pd->raft == NULL || !raft_hears_leader(pd->raft))
		return NULL;
	return members_find(&pd->state.members, raft_leader(pd->raft));
}

static void
add_member(const PdMember *member, Pdpb__GetMembersResponse *out, Arena *arena)
{
	out->members[out->n_members++] = to_member(member, arena);
}

static void
fill_members(PdAsk *ask, Pdpb__GetMembersResponse *out)
{
	const Members *members = &ask->pd->state.members;
	const PdMember *leader = pd_leader(ask->pd);

	/* with a place for one that joins */
	out->members =
		arena_alloc(ask->arena, (members->n + 1) * sizeof(*out->members));
	for (size_t i = 0; i < members->n; i++)
		add_member(&members->items[i]->member, out, ask->arena);
	if (leader == NULL)
		return;
	out->leader = to_member(leader, ask->arena);
	out->etcd_leader = to_member(leader, ask->arena);
}

/* Every member answers, also one that knows no leader. */
void
pd_get_members(PdAsk *ask, const void *request, void *response)
{
	(void) request;
	fill_members(ask, response);
}

/* Who has the place of one that joins, or has had it as the same member. */
static const PdMember *
member_in_the_way(PdAsk *ask, const PdMember *joins)
{
	const Members *members = &ask->pd->state.members;
	const char *address = url_address(joins->peer_url, ask->arena);

	for (size_t i = 0; i < members->n; i++)
	{
		const PdMember *member = &members->items[i]->member;

		if (member->id == joins->id ?
				member->start != 0 :
				strcmp(url_address(member->peer_url, ask->arena), address) == 0)
			return member;
	}
	return NULL;
}

void
pd_join(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__GetMembersResponse *in = request;
	const PdMember *known;
	const PdMember *lost;
	PdMember member;

	if (in->n_members != 1)
	{
		ask->error = pd_error(PD_INVALID_VALUE, "one member joins at a time");
		return;
	}
	if (in->header != NULL && in->header->cluster_id != 0 &&
		in->header->cluster_id != ask->pd->state.cluster_id)
	{
		ask->error =
			pd_errorf(ask->arena, PD_INVALID_VALUE,
					  "the node belongs to cluster %llu, this is cluster %llu",
					  (unsigned long long) in->header->cluster_id,
					  (unsigned long long) ask->pd->state.cluster_id);
		return;
	}
	from_member(in->members[0], &member);
	member.leaving = false;
	known = members_find(&ask->pd->state.members, member.id);
	lost = member_in_the_way(ask, &member);
	if (lost != NULL)
	{
		/* It has voted, and does not know any more for whom. */
		ask->error =
			pd_errorf(ask->arena, PD_INVALID_VALUE,
					  "member %llu was here and has lost its data: remove it "
					  "first (DELETE /pd/api/v1/members/name/%s), or give this "
					  "node another tikv.pd_addr",
					  (unsigned long long) lost->id, lost->name);
		return;
	}
	ask->error = pd_state_put_member(&ask->pd->state, &member, &ask->changes);
	FAILPOINT_PASS("pd_join_taken");
	if (ask->error.type != PD_OK)
		return;
	fill_members(ask, response);
	if (known == NULL)
		add_member(&member, response, ask->arena);
}

static size_t
count_staying(const Members *members)
{
	size_t n = 0;

	for (size_t i = 0; i < members->n; i++)
		n += !members->items[i]->member.leaving;
	return n;
}

/* Mark a member; members_tick takes it out of the group step by step. */
PdError
pd_member_leaves(const PdState *state, uint64 id, PdChanges *changes)
{
	const PdMember *member = members_find(&state->members, id);
	PdMember next;

	if (member == NULL)
		return pd_errorf(changes->arena, PD_ENTRY_NOT_FOUND,
						 "member %llu not found", (unsigned long long) id);
	if (member->leaving)
		return pd_ok();
	if (count_staying(&state->members) == 1)
		return pd_error(PD_UNKNOWN, "the last member cannot leave");
	next = *member;
	next.leaving = true;
	return pd_state_put_member(state, &next, changes);
}

/* A node goes: its store is drained, its member leaves the group. */
void
pd_leave(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__GetStoreRequest *in = request;
	PdState *state = &ask->pd->state;
	uint64 member = in->header == NULL ? 0 : in->header->sender_id;

	(void) response;
	if (member == 0 && ask->to->call == NULL)
		member = ask->pd->saved.member_id;
	ask->error = pd_may_leave(ask->pd, in->store_id, member, true, ask->arena);
	if (ask->error.type == PD_OK && in->store_id != 0)
		ask->error = cluster_offline_store(&state->cluster, in->store_id, false,
										   &ask->changes);
	FAILPOINT_PASS("pd_leave_taken");
	if (ask->error.type == PD_OK && member != 0)
		ask->error = pd_member_leaves(state, member, &ask->changes);
}
