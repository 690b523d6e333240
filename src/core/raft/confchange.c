/*
 * confchange.c
 *	  What a conf change makes of a configuration.
 *
 * A pure function from configuration and change to configuration: simple
 * changes of at most one voter, entering and leaving a joint configuration
 * (Raft thesis 4.1 and 4.3).  Whether a change may be proposed now is decided
 * in config.c; rules about roles and epochs belong to the region.  Behaviour
 * after etcd-io/raft confchange/.
 */
#include "core/raft/confchange.h"

#include "core/raft/quorum.h"

bool
raft_conf_is_joint(const RaftConfState *conf)
{
	return conf->voters_outgoing.n > 0;
}

static bool
disjoint(const RaftIdSet *a, const RaftIdSet *b)
{
	for (int i = 0; i < a->n; i++)
		if (raft_set_has(b, a->id[i]))
			return false;
	return true;
}

static void
sort_set(RaftIdSet *set)
{
	RaftIdSet sorted = {0};

	for (int i = 0; i < set->n; i++)
		(void) raft_set_add(&sorted, set->id[i]);
	*set = sorted;
}

void
raft_conf_normalize(RaftConfState *conf)
{
	sort_set(&conf->voters);
	sort_set(&conf->learners);
	sort_set(&conf->voters_outgoing);
	sort_set(&conf->learners_next);
}

void
raft_conf_members(const RaftConfState *conf, RaftIdSet *out)
{
	const RaftIdSet *sets[] = {&conf->voters, &conf->voters_outgoing,
							   &conf->learners, &conf->learners_next};

	memset(out, 0, sizeof(*out));
	for (size_t s = 0; s < sizeof(sets) / sizeof(sets[0]); s++)
		for (int i = 0; i < sets[s]->n; i++)
			if (!raft_set_add(out, sets[s]->id[i]))
			{
				out->n = 0;
				return;
			}
}

/*
 * An empty configuration is valid: that of a peer which waits for its first
 * snapshot.
 */
bool
raft_conf_valid(const RaftConfState *conf)
{
	RaftIdSet members;

	if (!raft_set_valid(&conf->voters) || !raft_set_valid(&conf->learners) ||
		!raft_set_valid(&conf->voters_outgoing) ||
		!raft_set_valid(&conf->learners_next))
		return false;
	raft_conf_members(conf, &members);
	if (conf->voters.n == 0)
		return conf->learners.n == 0 && conf->voters_outgoing.n == 0 &&
			conf->learners_next.n == 0 && !conf->auto_leave;
	if (members.n == 0 || !disjoint(&conf->learners, &conf->voters) ||
		!disjoint(&conf->learners, &conf->voters_outgoing) ||
		!disjoint(&conf->learners_next, &conf->voters))
		return false;
	for (int i = 0; i < conf->learners_next.n; i++)
		if (!raft_set_has(&conf->voters_outgoing, conf->learners_next.id[i]))
			return false;
	return raft_conf_is_joint(conf) ||
		(conf->learners_next.n == 0 && !conf->auto_leave);
}

static bool
make_voter(RaftConfState *conf, uint64_t id)
{
	raft_set_remove(&conf->learners, id);
	raft_set_remove(&conf->learners_next, id);
	return raft_set_add(&conf->voters, id);
}

/*
 * A voter of the outgoing half stays one until the joint configuration is
 * left, so it can only be noted as a learner of the next one.
 */
static bool
make_learner(RaftConfState *conf, uint64_t id)
{
	raft_set_remove(&conf->voters, id);
	if (raft_set_has(&conf->voters_outgoing, id))
		return raft_set_add(&conf->learners_next, id);
	return raft_set_add(&conf->learners, id);
}

static bool
remove_peer(RaftConfState *conf, uint64_t id)
{
	raft_set_remove(&conf->voters, id);
	raft_set_remove(&conf->learners, id);
	raft_set_remove(&conf->learners_next, id);
	return true;
}

static bool
apply_single(RaftConfState *conf, const RaftConfChangeSingle *c)
{
	if (c->id == RAFT_NONE)
		return false;
	switch (c->type)
	{
		case RAFT_CONF_ADD_NODE:
			return make_voter(conf, c->id);
		case RAFT_CONF_REMOVE_NODE:
			return remove_peer(conf, c->id);
		case RAFT_CONF_ADD_LEARNER:
			return make_learner(conf, c->id);
	}
	return false;
}

static bool
no_duplicates(const RaftConfChange *cc)
{
	for (int i = 0; i < cc->n; i++)
		for (int j = 0; j < i; j++)
			if (cc->changes[i].id == cc->changes[j].id)
				return false;
	return true;
}

static Status
leave_joint(RaftConfState *conf)
{
	if (!raft_conf_is_joint(conf))
		return STATUS_INVALID;
	for (int i = 0; i < conf->learners_next.n; i++)
		if (!raft_set_add(&conf->learners, conf->learners_next.id[i]))
			return STATUS_INVALID;
	memset(&conf->learners_next, 0, sizeof(conf->learners_next));
	memset(&conf->voters_outgoing, 0, sizeof(conf->voters_outgoing));
	conf->auto_leave = false;
	return STATUS_OK;
}

/* How many voters differ: a simple change may move one, or quorums part. */
static int
voters_moved(const RaftIdSet *before, const RaftIdSet *after)
{
	int moved = 0;

	for (int i = 0; i < before->n; i++)
		moved += !raft_set_has(after, before->id[i]);
	for (int i = 0; i < after->n; i++)
		moved += !raft_set_has(before, after->id[i]);
	return moved;
}

Status
raft_conf_changed(const RaftConfState *conf, const RaftConfChange *cc,
				  RaftConfState *out)
{
	bool joint = cc->transition != RAFT_CONF_AUTO || cc->n > 1;

	*out = *conf;
	if (cc->n < 0 || cc->n > RAFT_MAX_PEERS || !no_duplicates(cc))
		return STATUS_INVALID;
	if (cc->n == 0)
		return cc->transition == RAFT_CONF_AUTO ? leave_joint(out) :
												  STATUS_INVALID;
	if (raft_conf_is_joint(conf) || conf->voters.n == 0)
		return STATUS_INVALID;
#ifdef RAFT_MUTATION_JOINT_AS_SIMPLE
	joint = false;
#endif
	if (joint)
	{
		out->voters_outgoing = out->voters;
		out->auto_leave = cc->transition != RAFT_CONF_EXPLICIT;
	}
	for (int i = 0; i < cc->n; i++)
		if (!apply_single(out, &cc->changes[i]))
			return STATUS_INVALID;
#ifndef RAFT_MUTATION_JOINT_AS_SIMPLE
	if (!joint && voters_moved(&conf->voters, &out->voters) > 1)
		return STATUS_INVALID;
#else
	(void) voters_moved;
#endif
	return out->voters.n > 0 && raft_conf_valid(out) ? STATUS_OK :
													   STATUS_INVALID;
}
