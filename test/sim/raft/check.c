/*
 * check.c
 *	  The invariants, checked as things happen.
 */
#include "sim.h"

#include "core/raft/confchange.h"
#include "core/raft/quorum.h"

typedef struct Committed
{
	bool known;
	SimEntry entry;
	uint64_t chain;	  /* hash of the state after it */
	uint64_t conf;	  /* and of the configuration, once known */
	uint64_t by_term; /* it was committed in this term or before */
} Committed;

typedef struct Appended
{
	uint64_t index; /* 0: empty */
	SimEntry entry;
	uint64_t prev_term;
} Appended;

struct Seen
{
	Committed *committed; /* by index */
	uint64_t cap_committed;
	uint64_t last_committed;
	uint64_t *leaders; /* by term */
	uint64_t cap_leaders;
	Appended *appended; /* by (index, term), open addressing */
	uint64_t cap_appended;
	uint64_t n_appended;
};

static void *
zeroed(uint64_t n, size_t size)
{
	void *p = calloc((size_t) n, size);

	CHECK(p != NULL);
	return p;
}

void
check_init(Sim *sim)
{
	Seen *seen = zeroed(1, sizeof(Seen));

	seen->cap_committed = 4096;
	seen->committed = zeroed(seen->cap_committed, sizeof(Committed));
	seen->cap_leaders = 1024;
	seen->leaders = zeroed(seen->cap_leaders, sizeof(uint64_t));
	seen->cap_appended = 4096;
	seen->appended = zeroed(seen->cap_appended, sizeof(Appended));
	sim->seen = seen;
}

void
check_free(Sim *sim)
{
	free(sim->seen->committed);
	free(sim->seen->leaders);
	free(sim->seen->appended);
	free(sim->seen);
}

uint64_t
check_committed(const Sim *sim)
{
	return sim->seen->last_committed;
}

static Appended *
find_appended(const Seen *seen, uint64_t index, uint64_t term)
{
	uint64_t at = (index * UINT64_C(0x9E3779B97F4A7C15) ^
				   term * UINT64_C(0xBF58476D1CE4E5B9)) >>
		20;

	for (;; at++)
	{
		Appended *a = &seen->appended[at & (seen->cap_appended - 1)];

		if (a->index == 0 || (a->index == index && a->entry.term == term))
			return a;
	}
}

static void
grow_appended(Seen *seen)
{
	Seen bigger = *seen;

	bigger.cap_appended *= 2;
	bigger.appended = zeroed(bigger.cap_appended, sizeof(Appended));
	for (uint64_t i = 0; i < seen->cap_appended; i++)
		if (seen->appended[i].index != 0)
			*find_appended(&bigger, seen->appended[i].index,
						   seen->appended[i].entry.term) = seen->appended[i];
	free(seen->appended);
	*seen = bigger;
}

/*
 * Log matching: the same index and term is the same entry after the same one,
 * on every node; by induction whole logs agree up to there.
 */
static void
check_append(Sim *sim, const Node *n, uint64_t index, const SimEntry *e,
			 uint64_t prev_term)
{
	Seen *seen = sim->seen;
	Appended *a = find_appended(seen, index, e->term);

	if (a->index == 0)
	{
		*a = (Appended){index, *e, prev_term};
		if (++seen->n_appended * 2 > seen->cap_appended)
			grow_appended(seen);
		return;
	}
	if (a->entry.op != e->op || a->entry.type != e->type)
		sim_fail(sim,
				 "log matching: node %d stores another entry at %" PRIu64
				 " of term %" PRIu64,
				 n->slot, index, e->term);
	if (prev_term != 0 && a->prev_term != 0 && a->prev_term != prev_term)
		sim_fail(sim,
				 "log matching: node %d has term %" PRIu64 " before %" PRIu64
				 ", another has %" PRIu64,
				 n->slot, prev_term, index, a->prev_term);
	if (a->prev_term == 0)
		a->prev_term = prev_term;
}

/*
 * A transaction becomes durable.  What a crash takes back is not looked at:
 * nobody else saw it, since a leader keeps to itself until its term is flushed.
 */
void
check_durable(Sim *sim, Node *n, const Txn *txn)
{
	uint64_t prev_term = 0;

	image_apply(&n->durable, txn);
	if (txn->n_entries == 0 || txn->first <= n->durable.truncated_index)
		return;
	if (txn->first - 1 == n->durable.truncated_index)
		prev_term = n->durable.truncated_term;
	else
		prev_term = image_entry(&n->durable, txn->first - 1)->term;
	for (int i = 0; i < txn->n_entries; i++)
	{
		check_append(sim, n, txn->first + (uint64_t) i, &txn->entries[i],
					 prev_term);
		prev_term = txn->entries[i].term;
	}
}

/* State machine safety: everybody applies the same entry at an index. */
void
check_apply(Sim *sim, const Node *n, uint64_t index, const SimEntry *e,
			uint64_t chain)
{
	Seen *seen = sim->seen;
	Committed *c;

	if (index >= seen->cap_committed)
	{
		uint64_t cap = seen->cap_committed * 2;
		Committed *bigger = zeroed(cap, sizeof(Committed));

		memcpy(bigger, seen->committed,
			   seen->cap_committed * sizeof(Committed));
		free(seen->committed);
		seen->committed = bigger;
		seen->cap_committed = cap;
	}
	c = &seen->committed[index];
	if (!c->known)
	{
		*c = (Committed){true, *e, chain, c->conf, n->turn.term};
		if (index > seen->last_committed)
			seen->last_committed = index;
		return;
	}
	if (c->entry.term != e->term || c->entry.op != e->op ||
		c->entry.type != e->type)
		sim_fail(sim,
				 "node %d applies (%" PRIu64 ", term %" PRIu64 ", op %" PRIu64
				 "), another applied term %" PRIu64 " op %" PRIu64,
				 n->slot, index, e->term, e->op, c->entry.term, c->entry.op);
	if (c->chain != chain)
		sim_fail(sim, "node %d: state after %" PRIu64 " differs", n->slot,
				 index);
	if (n->turn.term < c->by_term)
		c->by_term = n->turn.term;
}

static uint64_t
hash_set(uint64_t hash, const RaftIdSet *set)
{
	RaftIdSet sorted = {0};

	for (int i = 0; i < set->n; i++)
		(void) raft_set_add(&sorted, set->id[i]);
	for (int i = 0; i < sorted.n; i++)
		hash = (hash ^ sorted.id[i]) * UINT64_C(0x100000001B3);
	return (hash ^ (uint64_t) sorted.n << 32) * UINT64_C(0x100000001B3);
}

/* Everybody has the same state and configuration at an index. */
void
check_machine(Sim *sim, const Node *n, const Machine *m)
{
	uint64_t conf = UINT64_C(0xCBF29CE484222325) + m->conf.auto_leave;
	Committed *c;

	if (m->applied >= sim->seen->cap_committed ||
		!sim->seen->committed[m->applied].known)
		return;
	c = &sim->seen->committed[m->applied];
	conf = hash_set(conf, &m->conf.voters);
	conf = hash_set(conf, &m->conf.learners);
	conf = hash_set(conf, &m->conf.voters_outgoing);
	conf = hash_set(conf, &m->conf.learners_next);
	if (c->conf == 0)
		c->conf = conf;
	if (c->chain != m->chain || c->conf != conf)
		sim_fail(sim, "node %d: %s at %" PRIu64 " differs", n->slot,
				 c->chain != m->chain ? "state" : "configuration", m->applied);
}

/* ------------------------------------------------------ configurations */

static bool
is_quorum(const RaftIdSet *half, uint64_t members, const RaftIdSet *all)
{
	int yes = 0;

	for (int i = 0; i < all->n; i++)
		yes += (members >> i & 1) != 0 && raft_set_has(half, all->id[i]);
	return half->n == 0 || yes > half->n / 2;
}

static bool
conf_quorum(const RaftConfState *conf, uint64_t members, const RaftIdSet *all)
{
	return is_quorum(&conf->voters, members, all) &&
		is_quorum(&conf->voters_outgoing, members, all);
}

/* No two disjoint sets of peers may decide by neighbouring configurations. */
void
check_conf(Sim *sim, const Node *n, const RaftConfState *from,
		   const RaftConfState *to)
{
	RaftIdSet all;
	RaftIdSet more;

	raft_conf_members(from, &all);
	raft_conf_members(to, &more);
	for (int i = 0; i < more.n; i++)
		if (!raft_set_add(&all, more.id[i]))
			return;
	for (uint64_t set = 0; set < UINT64_C(1) << all.n; set++)
		if (conf_quorum(from, set, &all) && conf_quorum(to, ~set, &all))
			sim_fail(sim,
					 "node %d: quorums of two neighbouring configurations"
					 " do not overlap",
					 n->slot);
}

static bool
same_set(const RaftIdSet *a, const RaftIdSet *b)
{
	for (int i = 0; i < a->n; i++)
		if (!raft_set_has(b, a->id[i]))
			return false;
	return a->n == b->n;
}

static bool
same_conf(const RaftConfState *a, const RaftConfState *b)
{
	return same_set(&a->voters, &b->voters) &&
		same_set(&a->learners, &b->learners) &&
		same_set(&a->voters_outgoing, &b->voters_outgoing) &&
		same_set(&a->learners_next, &b->learners_next) &&
		a->auto_leave == b->auto_leave;
}

/* Whom a leader tracks, and that it is one of the voters. */
static void
check_tracked(const Sim *sim, const Node *n, const RaftStatus *st)
{
	RaftIdSet members;

	if (st->role != RAFT_LEADER)
		return;
	raft_conf_members(&st->conf, &members);
	for (int i = 0; i < st->n_peers; i++)
		if (!raft_set_has(&members, st->peers[i].id))
			sim_fail(sim, "node %d tracks a stranger", n->slot);
	if (st->n_peers != members.n ||
		(!raft_set_has(&st->conf.voters, n->id) &&
		 !raft_set_has(&st->conf.voters_outgoing, n->id)))
		sim_fail(sim, "node %d leads a configuration it does not know",
				 n->slot);
}

/*
 * While no ready is out, what the core believes of the state machine is what
 * the driver has stored.
 */
void
check_stored(Sim *sim, const Node *n)
{
	const Image *v = &n->visible;
	RaftStatus st;

	if (n->turn.stage != STAGE_NONE)
		return;
	raft_status(n->raft, &st);
	if (st.applied_index != v->machine.applied ||
		st.applied_term != v->machine.applied_term)
		sim_fail(sim,
				 "node %d stands at %" PRIu64 ", but %" PRIu64 " is stored",
				 n->slot, st.applied_index, v->machine.applied);
	if (!same_conf(&st.conf, &v->machine.conf))
		sim_fail(sim,
				 "node %d has another configuration than is stored at %" PRIu64,
				 n->slot, v->machine.applied);
	check_tracked(sim, n, &st);
}

/* ---------------------------------------------------------- leadership */

static void
check_leader_complete(Sim *sim, const Node *n)
{
	const Seen *seen = sim->seen;
	uint64_t term = raft_term(n->raft);
	uint64_t index = seen->last_committed;
	uint64_t own;

	while (index > 0 &&
		   (!seen->committed[index].known ||
			seen->committed[index].by_term >= term))
		index--;
	if (index == 0 || index < n->visible.truncated_index)
		return;
	if (raft_term_at(n->raft, index, &own) != STATUS_OK)
	{
		if (index > raft_last_index(n->raft))
			sim_fail(sim,
					 "node %d leads term %" PRIu64 " without entry %" PRIu64,
					 n->slot, term, index);
		return;
	}
	if (own != seen->committed[index].entry.term)
		sim_fail(sim,
				 "node %d leads term %" PRIu64
				 " with another entry at %" PRIu64,
				 n->slot, term, index);
}

static void
check_new_leader(Sim *sim, Node *n)
{
	Seen *seen = sim->seen;
	uint64_t term = raft_term(n->raft);

	if (term >= seen->cap_leaders)
	{
		uint64_t cap = term * 2;
		uint64_t *bigger = zeroed(cap, sizeof(uint64_t));

		memcpy(bigger, seen->leaders, seen->cap_leaders * sizeof(uint64_t));
		free(seen->leaders);
		seen->leaders = bigger;
		seen->cap_leaders = cap;
	}
	if (seen->leaders[term] != 0 && seen->leaders[term] != n->id)
		sim_fail(sim,
				 "peers %" PRIu64 " and %" PRIu64 " both lead term %" PRIu64,
				 seen->leaders[term], n->id, term);
	seen->leaders[term] = n->id;
	sim->elections++;
	sim_trace(sim, "node %d leads term %" PRIu64, n->slot, term);
	check_leader_complete(sim, n);
	plot_new_leader(sim);
}

/*
 * A peer that nobody hears must not raise its term: it would depose the leader
 * when it returns.  Nor may it think for long that it leads.
 */
static void
check_isolated(Sim *sim, Node *n)
{
	RaftConfState conf;

	if (n->isolated_since == 0 ||
		sim->now < n->isolated_since + DELAY_MAX_US + 50 * MS)
	{
		n->isolated_term = 0; /* something may still be under way to it */
		return;
	}
	raft_conf(n->raft, &conf);
	if (conf.voters.n + conf.voters_outgoing.n <= 1)
	{
		n->isolated_term = 0;
		n->only_voter_at = sim->now;
	}
	if (n->isolated_term == 0)
		n->isolated_term = raft_term(n->raft);
	if (raft_role(n->raft) == RAFT_LEADER && !sim->hibernates &&
		sim->now > n->only_voter_at + 3 * ELECTION_US &&
		sim->now > n->isolated_since + DELAY_MAX_US + 3 * ELECTION_US)
		sim_fail(sim, "node %d still leads though nobody hears it", n->slot);
	if (raft_term(n->raft) > n->isolated_term)
		sim_fail(sim, "node %d went to term %" PRIu64 " while cut off", n->slot,
				 raft_term(n->raft));
}

/* A change in a sole peer's ready may give it company before the flush. */
static bool
out_as_sole(const Node *n)
{
	return n->turn.stage != STAGE_NONE && n->turn.rd.sole;
}

/* Called after whatever may have changed a node's role. */
void
check_node(Sim *sim, Node *n)
{
	RaftRole role = raft_role(n->raft);
	uint64_t term = raft_term(n->raft);

	if (term < n->seen_term)
		sim_fail(sim, "node %d went back to term %" PRIu64, n->slot, term);

	/* a sole peer takes a term with its first transaction, or not at all */
	if (role == RAFT_LEADER && n->durable.hard_state.term < term)
	{
		if (!raft_is_sole(n->raft) && !out_as_sole(n))
			sim_fail(sim,
					 "node %d leads term %" PRIu64
					 " on a vote that is not flushed",
					 n->slot, term);
		n->isolated_term = 0;
		return;
	}
	if (role == RAFT_LEADER &&
		(n->seen_role != RAFT_LEADER || n->seen_term != term))
		check_new_leader(sim, n);
	n->seen_role = role;
	n->seen_term = term;
	check_isolated(sim, n);
}

/* Is there a leader whose members all have applied all that it has? */
bool
check_settled(Sim *sim)
{
	const Node *leader = sim_leader(sim);
	RaftConfState conf;
	RaftIdSet members;

	if (leader == NULL)
		return false;
	raft_conf(leader->raft, &conf);
	if (raft_conf_is_joint(&conf))
		return false;
	raft_conf_members(&conf, &members);
	for (int i = 0; i < members.n; i++)
	{
		int slot = net_slot_of(sim, members.id[i]);
		const Node *n = slot < 0 ? NULL : &sim->nodes[slot];

		if (n == NULL || n->raft == NULL ||
			n->durable.machine.applied + 3 < raft_last_index(leader->raft) ||
			raft_term(n->raft) != raft_term(leader->raft))
			return false;
	}
	return true;
}
