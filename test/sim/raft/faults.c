/*
 * faults.c
 *	  What goes wrong: crashes, pauses, cuts, weather, clocks and disks.
 */
#include "sim.h"

static Node *
some_node(Sim *sim)
{
	return &sim->nodes[sim_rand(sim, SIM_SLOTS)];
}

void
fault_cut(Sim *sim, int a, int b, bool both)
{
	sim->cut[a][b] = true;
	if (both)
		sim->cut[b][a] = true;
}

void
fault_mend(Sim *sim)
{
	memset(sim->cut, 0, sizeof(sim->cut));
}

void
fault_isolate(Sim *sim, int slot)
{
	for (int i = 0; i < SIM_SLOTS; i++)
		fault_cut(sim, slot, i, true);
}

/* Each node hears only its two neighbours. */
static void
ring(Sim *sim)
{
	for (int a = 0; a < SIM_SLOTS; a++)
		for (int b = 0; b < SIM_SLOTS; b++)
			if ((a + 1) % SIM_SLOTS != b && (b + 1) % SIM_SLOTS != a)
				fault_cut(sim, a, b, true);
}

static void
split(Sim *sim)
{
	uint64_t side = sim_rand(sim, 1 << SIM_SLOTS);
	bool both = sim_chance(sim, 0.7);

	for (int a = 0; a < SIM_SLOTS; a++)
		for (int b = 0; b < SIM_SLOTS; b++)
			if ((side >> a & 1) != 0 && (side >> b & 1) == 0)
				fault_cut(sim, a, b, both);
}

static void
partition(Sim *sim)
{
	int a = (int) sim_rand(sim, SIM_SLOTS);
	int b = (int) sim_rand(sim, SIM_SLOTS);
	Node *leader = sim_leader(sim);

	switch (sim_rand(sim, 6))
	{
		case 0:
			fault_cut(sim, a, b, false);
			break;
		case 1:
			fault_cut(sim, a, b, true);
			break;
		case 2:
			fault_isolate(sim, a);
			break;
		case 3:
			ring(sim);
			break;
		case 4:
			split(sim);
			break;
		default:
			if (leader != NULL)
				fault_isolate(sim, leader->slot);
			break;
	}
}

void
fault_crash(Sim *sim, Node *n, uint64_t down_us)
{
	if (n->raft == NULL)
		return;
	node_crash(sim, n);
	n->down_until = sim->now + 1 + down_us;
	sim_push(sim,
			 (Event){.at = n->down_until, .kind = EV_START, .slot = n->slot});
}

/* Often faster than a lease, sometimes long; now and then all of them. */
static void
crash_some(Sim *sim)
{
	uint64_t down = sim_chance(sim, 0.7) ? sim_rand(sim, 60 * MS) :
										   sim_rand(sim, 3000 * MS);
	bool all = sim_chance(sim, 0.1);
	Node *n = some_node(sim);

	for (int i = 0; i < SIM_SLOTS; i++)
		if (all || n->slot == i)
			fault_crash(sim, &sim->nodes[i], down);
}

/* What waits for the end of a pause arrives then, so it never gets shorter. */
void
fault_pause(Node *n, uint64_t until)
{
	if (n->paused_until < until)
		n->paused_until = until;
	if (n->isolated_since != 0)
		n->isolated_since = n->paused_until;
}

static void
pause_one(Sim *sim)
{
	Node *n = sim_chance(sim, 0.5) ? sim_leader(sim) : some_node(sim);
	uint64_t us = sim_chance(sim, 0.5) ? sim_rand(sim, 700 * MS) :
										 sim_rand(sim, 3000 * MS);

	if (n == NULL || n->raft == NULL)
		return;
	sim_trace(sim, "node %d pauses for %" PRIu64 " ms", n->slot, us / MS);
	fault_pause(n, sim->now + us);
}

static void
weather(Sim *sim)
{
	sim->loss = sim_chance(sim, 0.5) ? 0.0 : (double) sim_rand(sim, 20) / 100.0;
	sim->duplicate = (double) sim_rand(sim, 10) / 100.0;
	sim->delay_us =
		2 * MS + sim_rand(sim, sim_chance(sim, 0.7) ? 10 * MS : 150 * MS);
}

static void
clock_fault(Sim *sim)
{
	Node *n = some_node(sim);
	int64_t by = (int64_t) (200 * MS + sim_rand(sim, 5000 * MS));

	if (n->raft == NULL || n->paused_until > sim->now)
		return;
	node_jump_clock(sim, n, sim_chance(sim, 0.5) ? by : -by);
}

static void
disk_fault(Sim *sim)
{
	Node *n = some_node(sim);

	n->disk_us =
		sim_chance(sim, 0.5) ? 3 * MS : 20 * MS + sim_rand(sim, 1500 * MS);
	n->turn_us =
		sim_chance(sim, 0.5) ? 3 * MS : 20 * MS + sim_rand(sim, 1500 * MS);
	n->apply_slow = sim_chance(sim, 0.2);
	n->starved = sim_chance(sim, 0.2);
	if (n->raft != NULL)
		raft_stand_back(n->raft, n->starved);
}

/* ------------------------------------------------------------- events */

/* Who cannot hear and cannot be heard by anybody? */
void
fault_note_isolation(Sim *sim)
{
	for (int a = 0; a < SIM_SLOTS; a++)
	{
		Node *n = &sim->nodes[a];
		bool alone = n->raft != NULL;

		for (int b = 0; b < SIM_SLOTS && alone; b++)
			alone = a == b || (sim->cut[a][b] && sim->cut[b][a]);
		if (!alone)
			n->isolated_since = n->isolated_term = 0;
		else if (n->isolated_since == 0)
		{
			n->isolated_since =
				n->paused_until > sim->now ? n->paused_until : sim->now;
			n->isolated_term = 0;
		}
	}
}

static void
single_fault(Sim *sim)
{
	uint64_t what = sim_rand(sim, 100);

	if (what < 22)
		partition(sim);
	else if (what < 37)
		fault_mend(sim);
	else if (what < 50)
		crash_some(sim);
	else if (what < 60)
		pause_one(sim);
	else if (what < 66)
		weather(sim);
	else if (what < 71)
		clock_fault(sim);
	else if (what < 77)
		disk_fault(sim);
	else
		plot_begin(sim);
}

/* An extra one was asked for by a plot and is not followed by another. */
void
fault_event(Sim *sim, bool extra)
{
	uint64_t next;

	if (sim->healing)
		return;
	if (sim->fault_until <= sim->now && !plot_play(sim))
		single_fault(sim);
	fault_note_isolation(sim);
	if (extra)
		return;
	next = sim->now + 20 * MS + sim_rand(sim, 900 * MS);
	if (sim->fault_until > sim->now)
		next = sim->fault_until;
	sim_push(sim, (Event){.at = next, .kind = EV_FAULT});
}

/* Faults end: from here on there has to be progress. */
void
fault_heal(Sim *sim)
{
	sim_trace(sim, "faults end");
	sim->healing = true;
	sim->quiet = false;
	sim->plot = 0;
	fault_mend(sim);
	sim->loss = sim->duplicate = 0;
	sim->delay_us = 5 * MS;
	for (int i = 0; i < SIM_SLOTS; i++)
	{
		Node *n = &sim->nodes[i];

		n->paused_until = 0;
		n->disk_us = n->turn_us = 3 * MS;
		n->apply_slow = n->starved = false;
		if (n->raft != NULL)
		{
			raft_stand_back(n->raft, false);
			raft_pause_apply(n->raft, false);
			raft_hold_apply(n->raft, 0);
		}
		if (n->raft == NULL && n->down_until != 0)
			node_start(sim, n);
	}
	fault_note_isolation(sim);
}
