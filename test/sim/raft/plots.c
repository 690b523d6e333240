/*
 * plots.c
 *	  Faults in an order that leads up to known traps.
 *
 * Chance alone seldom cuts the right link in the right ten milliseconds.  Each
 * plot sets the stage of a trap that protocols like this one have fallen into;
 * what happens on it is left to the run.
 */
#include "sim.h"

enum
{
	PLOT_NONE,
	PLOT_FAST_RESTART,
	PLOT_SILENT_TRANSFER,
	PLOT_LATE_ORDER,
	PLOT_CHURN
};

/* The leader and two other members. */
static bool
cast(Sim *sim)
{
	Node *leader = sim_leader(sim);
	int n = 0;

	if (leader == NULL || leader->paused_until > sim->now)
		return false;
	sim->plot_slot[n++] = leader->slot;
	for (int i = 0; i < SIM_SLOTS && n < 3; i++)
		if (i != leader->slot && node_runs(sim, &sim->nodes[i]))
			sim->plot_slot[n++] = i;
	if (n == 3 && sim_chance(sim, 0.5))
	{
		int swap = sim->plot_slot[1];

		sim->plot_slot[1] = sim->plot_slot[2];
		sim->plot_slot[2] = swap;
	}
	return n == 3;
}

/*
 * One follower does not hear the leader and waits for its turn, with nothing
 * missing from its log; the other does hear it, then restarts, and forgets,
 * just when the leader is cut off from both.
 */
static void
fast_restart(Sim *sim)
{
	int leader = sim->plot_slot[0];
	int hungry = sim->plot_slot[1];

	if (sim->plot_stage++ == 0)
	{
		fault_mend(sim);
		sim->quiet = true;
		fault_cut(sim, leader, hungry, true);
		sim->fault_until =
			sim->now + ELECTION_US + sim_rand(sim, 2 * ELECTION_US);
		return;
	}
	sim->quiet = false;
	fault_isolate(sim, leader);
	for (int i = 0; i < SIM_SLOTS; i++)
		if (i != leader && i != hungry)
			fault_crash(sim, &sim->nodes[i], sim_rand(sim, 20 * MS));
	sim->fault_until = sim->now + 2 * ELECTION_US;
	sim->plot = PLOT_NONE;
}

static void
hand_over(Sim *sim, Node *from, const Node *to)
{
	if (from->raft != NULL &&
		raft_transfer_leader(from->raft, to->id) == STATUS_OK)
		node_want_turn(sim, from);
}

static void
deafen(Sim *sim, int slot)
{
	for (int i = 0; i < SIM_SLOTS; i++)
		fault_cut(sim, i, slot, false);
}

/* A transfer whose outcome the old leader does not hear of. */
static void
silent_transfer(Sim *sim)
{
	Node *leader = &sim->nodes[sim->plot_slot[0]];

	if (sim->plot_stage++ == 0)
	{
		fault_mend(sim);
		sim->loss = 0;
		hand_over(sim, leader, &sim->nodes[sim->plot_slot[1]]);
		sim->fault_until = sim->now + sim_rand(sim, 10 * MS);
		return;
	}
	deafen(sim, leader->slot);
	sim->fault_until = sim->now + ELECTION_US;
	sim->plot = PLOT_NONE;
}

/*
 * The target of a transfer sleeps until the leader has given it up and has a
 * lease again; then it finds the order, and the leader goes deaf.
 */
static void
late_order(Sim *sim)
{
	Node *leader = &sim->nodes[sim->plot_slot[0]];
	Node *target = &sim->nodes[sim->plot_slot[1]];

	if (sim->plot_stage++ == 0)
	{
		fault_mend(sim);
		sim->loss = 0;
		sim->quiet = true; /* or its log falls behind */
		hand_over(sim, leader, target);
		fault_pause(target,
					sim->now + ELECTION_US + 250 * MS +
						sim_rand(sim, 400 * MS));
		sim->fault_until = target->paused_until;
		return;
	}
	sim->quiet = false;
	deafen(sim, leader->slot);
	sim->fault_until = sim->now + ELECTION_US;
	sim->plot = PLOT_NONE;
}

/*
 * Leaders that come and go with entries only one other peer has, each gone
 * soon after its election (Raft paper figure 8).
 */
static void
churn(Sim *sim)
{
	Node *leader = sim_leader(sim);
	int friend;

	fault_mend(sim);
	sim->fault_until = sim->now + 3 * ELECTION_US;
	if (sim->plot_stage++ >= 16)
	{
		sim->plot = PLOT_NONE;
		return;
	}
	if (leader == NULL)
		return;
	if (sim->plot_stage % 2 == 0)
	{
		fault_crash(sim, leader, sim_rand(sim, 3 * ELECTION_US));
		return;
	}
	do
		friend = (int) sim_rand(sim, SIM_SLOTS);
	while (friend == leader->slot);
	for (int i = 0; i < SIM_SLOTS; i++)
		if (i != friend)
			fault_cut(sim, leader->slot, i, true);
	sim->fault_until = sim->now + 20 * MS + sim_rand(sim, 200 * MS);
}

/* A leader was elected: a churn strikes again at once. */
void
plot_new_leader(Sim *sim)
{
	if (sim->plot != PLOT_CHURN || sim->healing)
		return;
	sim->fault_until = sim->now + sim_rand(sim, 25 * MS);
	sim_push(sim,
			 (Event){.at = sim->fault_until, .kind = EV_FAULT, .flag = true});
}

/* The next stage, if there is a plot. */
bool
plot_play(Sim *sim)
{
	switch (sim->plot)
	{
		case PLOT_FAST_RESTART:
			fast_restart(sim);
			break;
		case PLOT_SILENT_TRANSFER:
			silent_transfer(sim);
			break;
		case PLOT_LATE_ORDER:
			late_order(sim);
			break;
		case PLOT_CHURN:
			churn(sim);
			break;
		default:
			return false;
	}
	sim_trace(sim, "plot %d: stage %d, leader %d", sim->plot, sim->plot_stage,
			  sim->plot_slot[0]);
	return true;
}

void
plot_begin(Sim *sim)
{
	if (!cast(sim))
		return;
	sim->plot = 1 + (int) sim_rand(sim, PLOT_CHURN);
	sim->plot_stage = 0;
	(void) plot_play(sim);
}
