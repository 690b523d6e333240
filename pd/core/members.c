/*
 * members.c
 *	  The members of the Placement Driver, and who of them votes.
 */
#include "pd/core/members.h"

#include <stdlib.h>

#include "core/base/check.h"
#include "pd/core/placement.h"

/* ---- the list ---- */

void
members_init(Members *members)
{
	memset(members, 0, sizeof(*members));
}

static void
item_free(MemberItem *item)
{
	arena_free(&item->arena);
	free(item);
}

void
members_free(Members *members)
{
	for (size_t i = 0; i < members->n; i++)
		item_free(members->items[i]);
	members_init(members);
}

static size_t
seek(const Members *members, uint64_t id)
{
	size_t at = 0;

	while (at < members->n && members->items[at]->member.id < id)
		at++;
	return at;
}

const PdMember *
members_find(const Members *members, uint64_t id)
{
	size_t at = seek(members, id);

	if (at < members->n && members->items[at]->member.id == id)
		return &members->items[at]->member;
	return NULL;
}

static MemberItem *
item_copy(const PdMember *from)
{
	MemberItem *item = malloc(sizeof(*item));

	CHECK(item != NULL);
	arena_init(&item->arena);
	item->member = *from;
	item->member.name = arena_strdup(&item->arena, from->name);
	item->member.client_url = arena_strdup(&item->arena, from->client_url);
	item->member.peer_url = arena_strdup(&item->arena, from->peer_url);
	item->member.version = arena_strdup(&item->arena, from->version);
	return item;
}

void
members_put(Members *members, const PdMember *member)
{
	size_t at = seek(members, member->id);

	if (at < members->n && members->items[at]->member.id == member->id)
	{
		MemberItem *old = members->items[at];

		members->items[at] = item_copy(member);
		item_free(old);
		return;
	}
	if (members->n == PD_MAX_MEMBERS)
		return;
	memmove(members->items + at + 1, members->items + at,
			(members->n - at) * sizeof(MemberItem *));
	members->items[at] = item_copy(member);
	members->n++;
}

void
members_remove(Members *members, uint64_t id)
{
	size_t at = seek(members, id);

	if (at == members->n || members->items[at]->member.id != id)
		return;
	item_free(members->items[at]);
	memmove(members->items + at, members->items + at + 1,
			(members->n - at - 1) * sizeof(MemberItem *));
	members->n--;
}

bool
member_equal(const PdMember *a, const PdMember *b)
{
	return a->id == b->id && a->leaving == b->leaving && a->start == b->start &&
		strcmp(a->name, b->name) == 0 &&
		strcmp(a->client_url, b->client_url) == 0 &&
		strcmp(a->peer_url, b->peer_url) == 0 &&
		strcmp(a->version, b->version) == 0;
}

/* ---- who votes ---- */

static bool
set_has(const RaftIdSet *set, uint64_t id)
{
	for (int i = 0; i < set->n; i++)
		if (set->id[i] == id)
			return true;
	return false;
}

static const MemberView *
view_of(const MemberView *views, size_t n, uint64_t id)
{
	for (size_t i = 0; i < n; i++)
		if (views[i].id == id)
			return &views[i];
	return NULL;
}

/* How much speaks for a member's vote; 0: it cannot have one. */
static int
rank(const PdMember *member, const RaftConfState *conf, uint64_t leader,
	 const MemberView *view)
{
	bool votes = set_has(&conf->voters, member->id);

	if (member->leaving)
		return 0;
	if (member->id == leader)
		return 5;
	if (votes)
		return view != NULL && view->lost ? 1 : 4;
	return view != NULL && view->active && view->caught_up ? 2 : 0;
}

typedef struct Ranked
{
	uint64_t id;
	int rank;
	bool well;
} Ranked;

static void
sort(Ranked *list, int n)
{
	for (int i = 1; i < n; i++)
		for (int k = i; k > 0 && list[k].rank > list[k - 1].rank; k--)
		{
			Ranked swap = list[k];

			list[k] = list[k - 1];
			list[k - 1] = swap;
		}
}

/* Into *out the ids that shall vote; false: as it is now. */
static bool
choose_voters(const Members *members, const RaftConfState *conf,
			  uint64_t leader, uint32_t max_replicas, const MemberView *views,
			  size_t n_views, RaftIdSet *out)
{
	Ranked list[PD_MAX_MEMBERS];
	int n = 0;
	size_t active = 0;
	int well = 0;
	int voters;
	int learners;

	for (size_t i = 0; i < members->n; i++)
	{
		const PdMember *member = &members->items[i]->member;
		const MemberView *view = view_of(views, n_views, member->id);
		int r = rank(member, conf, leader, view);

		active += !member->leaving;
		if (r > 0)
			list[n++] = (Ranked){member->id, r,
								 member->id == leader ||
									 (view != NULL && view->active)};
	}
	placement_count(active, max_replicas, &voters, &learners);
	sort(list, n);
	if (voters > n)
	{
		voters = n % 2 == 1 || n == 0 ? n : n - 1;

		/* Who is to stand in has not caught up: nobody goes before. */
		if (voters < conf->voters.n)
			return false;
	}
	out->n = 0;
	for (int i = 0; i < voters; i++)
	{
		out->id[out->n++] = list[i].id;
		well += list[i].well;
	}

	/* No change may make a majority of those who do not answer. */
	return well > voters / 2;
}

static void
add_change(RaftConfChange *change, RaftConfChangeType type, uint64_t id)
{
	change->changes[change->n++] = (RaftConfChangeSingle){type, id};
}

/* ---- steps ---- */

/* New members are learners first, one at a time. */
static bool
add_member(const Members *members, const RaftConfState *conf, MemberStep *step)
{
	for (size_t i = 0; i < members->n; i++)
	{
		const PdMember *member = &members->items[i]->member;

		if (member->leaving || set_has(&conf->voters, member->id) ||
			set_has(&conf->learners, member->id))
			continue;
		step->kind = MEMBERS_CHANGE;
		add_change(&step->change, RAFT_CONF_ADD_LEARNER, member->id);
		return true;
	}
	return false;
}

static bool
change_voters(const RaftConfState *conf, const RaftIdSet *wanted,
			  uint64_t leader, MemberStep *step)
{
	RaftConfChange *change = &step->change;

	for (int i = 0; i < wanted->n; i++)
		if (!set_has(&conf->voters, wanted->id[i]))
			add_change(change, RAFT_CONF_ADD_NODE, wanted->id[i]);
	for (int i = 0; i < conf->voters.n; i++)
		if (!set_has(wanted, conf->voters.id[i]))
			add_change(change, RAFT_CONF_ADD_LEARNER, conf->voters.id[i]);
	if (change->n == 0)
		return false;
	step->kind = MEMBERS_CHANGE;
	if (set_has(wanted, leader))
		return true;

	/* It hands over to a voter that stays, if there is one. */
	for (int i = 0; i < wanted->n; i++)
		if (set_has(&conf->voters, wanted->id[i]))
		{
			step->kind = MEMBERS_TRANSFER;
			step->id = wanted->id[i];
			change->n = 0;
			return true;
		}
	return true;
}

/* Learners that leave, or of whom no record is left. */
static bool
remove_learner(const Members *members, const RaftConfState *conf,
			   MemberStep *step)
{
	for (int i = 0; i < conf->learners.n; i++)
	{
		const PdMember *member = members_find(members, conf->learners.id[i]);

		if (member != NULL && !member->leaving)
			continue;
		step->kind = MEMBERS_CHANGE;
		add_change(&step->change, RAFT_CONF_REMOVE_NODE, conf->learners.id[i]);
		return true;
	}
	return false;
}

static bool
forget_member(const Members *members, const RaftConfState *conf,
			  MemberStep *step)
{
	for (size_t i = 0; i < members->n; i++)
	{
		const PdMember *member = &members->items[i]->member;

		if (!member->leaving || set_has(&conf->voters, member->id) ||
			set_has(&conf->learners, member->id))
			continue;
		step->kind = MEMBERS_FORGET;
		step->id = member->id;
		return true;
	}
	return false;
}

MemberStep
members_next_step(const Members *members, const RaftConfState *conf,
				  uint64_t leader, uint32_t max_replicas,
				  const MemberView *views, size_t n_views)
{
	MemberStep step = {.kind = MEMBERS_AT_REST};
	RaftIdSet wanted;

	/* A joint configuration is left by the leader itself. */
	if (conf->voters_outgoing.n > 0)
		return step;
	if (forget_member(members, conf, &step) ||
		remove_learner(members, conf, &step))
		return step;
	if (conf->voters.n + conf->learners.n < RAFT_MAX_PEERS &&
		add_member(members, conf, &step))
		return step;
	if (choose_voters(members, conf, leader, max_replicas, views, n_views,
					  &wanted))
		(void) change_voters(conf, &wanted, leader, &step);
	return step;
}
