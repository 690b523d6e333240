/*
 * conf.c
 *	  Members come and go: what a placement driver asks of the leader.
 */
#include "sim.h"

#include "core/raft/confchange.h"
#include "core/raft/quorum.h"

static Node *
free_slot(Sim *sim)
{
	for (int i = 0; i < SIM_SLOTS; i++)
		if (sim->nodes[i].id == 0)
			return &sim->nodes[i];
	return NULL;
}

static bool
propose(Sim *sim, Node *leader, const RaftConfChange *cc, uint64_t *id_out)
{
	uint64_t id = op_new(sim, OP_CONF);
	Op *op = &sim->ops[id];
	RaftEntry e = {.type = RAFT_ENTRY_CONF_CHANGE_V2};

	op->change = *cc;
	op->slot = -1;
	e.data = bytes_make(&id, sizeof(id));
	if (raft_propose_conf_change(leader->raft, cc, &e, &op->index, &op->term) !=
		STATUS_OK)
		return false;
	sim_trace(sim, "node %d proposes a change of %d at %" PRIu64, leader->slot,
			  cc->n, op->index);
	if (id_out != NULL)
		*id_out = id;
	node_want_turn(sim, leader);
	return true;
}

static void
add(RaftConfChange *cc, RaftConfChangeType type, uint64_t id)
{
	cc->changes[cc->n++] = (RaftConfChangeSingle){type, id};
}

static void
grow(Sim *sim, Node *leader)
{
	Node *n = free_slot(sim);
	RaftConfChange cc = {.n = 0};

	if (n == NULL)
		return;
	n->id = sim->next_id++;
	n->add_op = 0;
	add(&cc, sim_chance(sim, 0.3) ? RAFT_CONF_ADD_NODE : RAFT_CONF_ADD_LEARNER,
		n->id);
	if (!propose(sim, leader, &cc, &n->add_op))
		n->id = 0;
}

static uint64_t
pick(Sim *sim, const RaftIdSet *set)
{
	return set->n == 0 ? 0 : set->id[sim_rand(sim, (uint64_t) set->n)];
}

static bool
up(const Sim *sim, uint64_t id)
{
	int slot = net_slot_of(sim, id);

	return slot >= 0 && sim->nodes[slot].raft != NULL;
}

static void
promote(Sim *sim, Node *leader, const RaftConfState *conf)
{
	RaftConfChange cc = {.n = 0};
	uint64_t id = pick(sim, &conf->learners);

	if (id == 0 || !up(sim, id))
		return;
	add(&cc, RAFT_CONF_ADD_NODE, id);
	(void) propose(sim, leader, &cc, NULL);
}

static void
shrink(Sim *sim, Node *leader, const RaftConfState *conf)
{
	RaftConfChange cc = {.n = 0};
	bool learner = conf->learners.n > 0 && sim_chance(sim, 0.4);
	uint64_t id = pick(sim, learner ? &conf->learners : &conf->voters);

	if (!learner && conf->voters.n == 1)
		return;
	if (id == leader->id && sim_chance(sim, 0.7))
		return;
	add(&cc,
		sim_chance(sim, 0.3) && !learner ? RAFT_CONF_ADD_LEARNER :
										   RAFT_CONF_REMOVE_NODE,
		id);
	(void) propose(sim, leader, &cc, NULL);
}

/* Several changes at once: learners in, as many voters out or down. */
static void
rearrange(Sim *sim, Node *leader, const RaftConfState *conf)
{
	RaftConfChange cc = {.transition = (RaftConfTransition) sim_rand(sim, 3)};
	int voters = conf->voters.n;

	for (int i = 0; i < conf->learners.n; i++)
		if (sim_chance(sim, 0.8) && up(sim, conf->learners.id[i]))
		{
			add(&cc, RAFT_CONF_ADD_NODE, conf->learners.id[i]);
			voters++;
		}
	for (int i = 0; i < conf->voters.n && voters > 1; i++)
		if (sim_chance(sim, 0.5) &&
			(conf->voters.id[i] != leader->id || sim_chance(sim, 0.1)))
		{
			add(&cc,
				sim_chance(sim, 0.5) ? RAFT_CONF_REMOVE_NODE :
									   RAFT_CONF_ADD_LEARNER,
				conf->voters.id[i]);
			voters--;
		}
	if (cc.n >= 2 && propose(sim, leader, &cc, NULL) && !sim->healing &&
		sim_chance(sim, 0.5))
		fault_event(sim, true);
}

static void
transfer(Sim *sim, Node *leader, const RaftConfState *conf)
{
	uint64_t id = pick(sim, &conf->voters);

	if (raft_transfer_leader(leader->raft, id) == STATUS_OK)
		sim_trace(sim, "node %d hands over to peer %" PRIu64, leader->slot, id);
	node_want_turn(sim, leader);
}

/*
 * Peers that the leader's durable configuration lacks are told to go, and
 * places whose change was lost are free again.  An old leader does not know.
 */
static void
sweep_absent(Sim *sim, const Node *leader)
{
	RaftIdSet members;

	if (leader->durable.machine.applied < check_committed(sim))
		return;
	raft_conf_members(&leader->durable.machine.conf, &members);
	for (int i = 0; i < SIM_SLOTS; i++)
	{
		Node *n = &sim->nodes[i];

		if (n->id == 0)
			continue;
		if (raft_set_has(&members, n->id))
		{
			n->absent_since = 0;
			n->add_op = 0;
			continue;
		}
		if (n->add_op != 0)
		{
			if (sim->ops[n->add_op].index <= leader->durable.machine.applied)
				node_remove(sim, n);
		}
		else if (n->absent_since == 0)
			n->absent_since = sim->now;
		else if (sim->now - n->absent_since > 2000 * MS)
			node_remove(sim, n);
	}
}

/* Everybody asleep, once the drivers have agreed that all is done. */
static void
maybe_hibernate(Sim *sim)
{
	Node *leader = sim_leader(sim);

	if (!sim->hibernates || leader == NULL || !sim_chance(sim, 0.5))
		return;
	for (int i = 0; i < SIM_SLOTS; i++)
	{
		const Node *n = &sim->nodes[i];

		if (n->id != 0 &&
			(n->raft == NULL || !raft_can_hibernate(n->raft) ||
			 raft_term(n->raft) != raft_term(leader->raft)))
			return;
	}
	for (int i = 0; i < SIM_SLOTS; i++)
		if (sim->nodes[i].raft != NULL)
			raft_hibernate(sim->nodes[i].raft);
}

/* A store looks after groups that slept long, lest their leader be gone. */
static void
wake_some(Sim *sim)
{
	for (int i = 0; i < SIM_SLOTS; i++)
		if (sim->nodes[i].raft != NULL && sim_chance(sim, 0.3))
		{
			raft_wake(sim->nodes[i].raft);
			node_want_turn(sim, &sim->nodes[i]);
		}
}

void
conf_event(Sim *sim)
{
	Node *leader = sim_leader(sim);
	RaftConfState conf;
	uint64_t what = sim_rand(sim, 100);

	sim_push(sim,
			 (Event){.at = sim->now + 50 * MS + sim_rand(sim, 600 * MS),
					 .kind = EV_CONF});
	wake_some(sim);
	maybe_hibernate(sim);
	if (leader == NULL || !node_runs(sim, leader))
		return;
	sweep_absent(sim, leader);
	raft_conf(leader->raft, &conf);
	if (raft_conf_is_joint(&conf) && (sim->healing || sim_chance(sim, 0.4)))
	{
		RaftConfChange leave = {.n = 0};

		(void) propose(sim, leader, &leave, NULL);
		return;
	}
	if (sim->healing)
		return;
	if (what < 25)
		transfer(sim, leader, &conf);
	else if (what < 45 && conf.voters.n + conf.learners.n < sim->max_members)
		grow(sim, leader);
	else if (what < 60)
		promote(sim, leader, &conf);
	else if (what < 70)
		shrink(sim, leader, &conf);
	else if (what < 85)
		rearrange(sim, leader, &conf);
}
