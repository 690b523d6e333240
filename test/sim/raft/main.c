/*
 * main.c
 *	  Runs seeds: SEED=n STEPS=n replays one, SEEDS=n FROM=n runs many.
 *
 * A failure prints the command that replays it.  SIM_TRACE=1 prints what
 * happens on the way.
 */
#include <stdarg.h>

#include "sim.h"

#define STEPS_DEFAULT 12000
#define HEAL_US (60000 * MS) /* progress is due within this time */

static const Sim *running;

static void
print_set(const char *name, const RaftIdSet *set)
{
	if (set->n == 0)
		return;
	fprintf(stderr, " %s", name);
	for (int i = 0; i < set->n; i++)
		fprintf(stderr, "%c%" PRIu64, i == 0 ? ' ' : ',', set->id[i]);
}

/* Where everybody stood when it went wrong. */
static void
print_nodes(const Sim *sim)
{
	for (int i = 0; i < SIM_SLOTS; i++)
	{
		const Node *n = &sim->nodes[i];
		RaftStatus st;

		if (n->raft == NULL)
			continue;
		raft_status(n->raft, &st);
		fprintf(stderr,
				"  node %d peer %" PRIu64 ": role %d term %" PRIu64
				" leader %" PRIu64 " truncated %" PRIu64 " applied %" PRIu64
				" commit %" PRIu64 " last %" PRIu64 " flushed %" PRIu64,
				n->slot, n->id, (int) st.role, st.hard_state.term, st.leader,
				st.truncated_index, st.applied_index, st.hard_state.commit,
				st.last_index, n->durable.machine.applied);
		print_set("voters", &st.conf.voters);
		print_set("outgoing", &st.conf.voters_outgoing);
		print_set("learners", &st.conf.learners);
		fprintf(stderr, "%s\n", n->paused_until > sim->now ? " paused" : "");
		for (int p = 0; p < st.n_peers; p++)
			fprintf(stderr,
					"    %" PRIu64 ": match %" PRIu64 " next %" PRIu64
					" state %d paused %d active %d\n",
					st.peers[p].id, st.peers[p].match, st.peers[p].next,
					(int) st.peers[p].state, (int) st.peers[p].paused,
					(int) st.peers[p].recent_active);
	}
}

void
sim_fail(const Sim *sim, const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr,
			"not ok - seed %" PRIu64 ", step %" PRIu64 ", %" PRIu64 " ms: ",
			sim->seed, sim->step, sim->now / MS);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\n  make sim SEED=%" PRIu64 " STEPS=%" PRIu64 "\n",
			sim->seed, sim->steps_max);
	if (sim->trace)
		print_nodes(sim);
	exit(1);
}

void
sim_trace(const Sim *sim, const char *fmt, ...)
{
	va_list args;

	if (!sim->trace)
		return;
	printf("%8" PRIu64 ".%03" PRIu64 " ", sim->now / MS, sim->now % MS);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
}

static void
on_check(const char *expr, const char *file, int line)
{
	sim_fail(running, "check failed: %s, %s:%d", expr, file, line);
}

static void
place_first_members(Sim *sim, int members)
{
	RaftConfState conf = {.voters = {.n = 0}};

	for (int i = 0; i < members; i++)
		conf.voters.id[conf.voters.n++] = sim->next_id + (uint64_t) i;
	for (int i = 0; i < members; i++)
	{
		Node *n = &sim->nodes[i];
		Image *v = &n->visible;

		n->id = sim->next_id++;
		v->hard_state = (RaftHardState){SIM_START, 0, SIM_START};
		v->truncated_index = v->truncated_term = SIM_START;
		v->machine.applied = v->machine.applied_term = SIM_START;
		v->machine.conf = conf;
		image_copy(&n->durable, v);
	}
}

static void
init(Sim *sim, uint64_t seed, uint64_t steps)
{
	static const int members[] = {3, 3, 1, 4, 5};

	memset(sim, 0, sizeof(*sim));
	sim->seed = seed;
	sim->steps_max = steps;
	sim->rng = seed * UINT64_C(0xD1342543DE82EF95) + 1;
	sim->trace = getenv("SIM_TRACE") != NULL;
	sim->next_id = 1;
	sim->now = 1000 * MS;
	sim->delay_us = 10 * MS;
	sim->max_members = 3 + (int) sim_rand(sim, 3);
	sim->hibernates = sim_chance(sim, 0.2);
	sim->small_limits = sim_chance(sim, 0.3);
	sim->tiny_messages = sim_chance(sim, 0.4);
	sim->skip_bcast = sim_chance(sim, 0.3);
	sim->lazy_changes = sim_chance(sim, 0.5);
	sim->gaps =
		sim_chance(sim, 0.6) ? 0.1 + (double) sim_rand(sim, 6) / 10.0 : 0;
	check_init(sim);
	for (int i = 0; i < SIM_SLOTS; i++)
	{
		Node *n = &sim->nodes[i];

		n->slot = i;
		arena_init(&n->arena);
		n->pending_end = &n->pending;
		n->disk_us = n->turn_us = 3 * MS;
		n->rate = 0.97 + (double) sim_rand(sim, 61) / 1000.0;
		n->clock_base = sim_rand(sim, 100000 * MS) + 10000 * MS;
		n->clock_since = sim->now;
	}
	place_first_members(sim, members[sim_rand(sim, 5)]);
	for (int i = 0; i < SIM_SLOTS; i++)
		if (sim->nodes[i].id != 0)
			node_start(sim, &sim->nodes[i]);
	sim_push(sim, (Event){.at = sim->now, .kind = EV_CLIENT});
	sim_push(sim, (Event){.at = sim->now + 500 * MS, .kind = EV_CONF});
	sim_push(sim, (Event){.at = sim->now + 1500 * MS, .kind = EV_FAULT});
}

static void
dispatch(Sim *sim, const Event *e)
{
	switch (e->kind)
	{
		case EV_CLIENT:
			client_event(sim);
			break;
		case EV_CONF:
			conf_event(sim);
			break;
		case EV_FAULT:
			fault_event(sim, e->flag);
			break;
		case EV_PACKET:
			if (e->packet->to_slot >= 0)
			{
				node_event(sim, e);
				break;
			}
			packet_free(e->packet);
			break;
		default:
			node_event(sim, e);
			break;
	}
	sim->step++;
}

static void
destroy(Sim *sim)
{
	for (int i = 0; i < SIM_SLOTS; i++)
		node_free(&sim->nodes[i]);
	sim_queue_free(sim);
	check_free(sim);
	free(sim->ops);
	free(sim->waiting);
}

static void
run(Sim *sim)
{
	Event e;
	uint64_t heal_end;
	uint64_t acked;

	while (sim->step < sim->steps_max && sim_pop(sim, &e))
	{
		sim->now = e.at;
		dispatch(sim, &e);
	}
	fault_heal(sim);
	heal_end = sim->now + HEAL_US;
	acked = sim->acked;
	while (!(sim->acked > acked + 3 && check_settled(sim)))
	{
		if (!sim_pop(sim, &e) || e.at > heal_end)
			sim_fail(sim, "no progress within %d s after faults ended",
					 (int) (HEAL_US / MS / 1000));
		sim->now = e.at;
		dispatch(sim, &e);
	}
}

static uint64_t
env_u64(const char *name, uint64_t otherwise)
{
	const char *s = getenv(name);

	return s == NULL || *s == '\0' ? otherwise : strtoull(s, NULL, 0);
}

int
main(void)
{
	static Sim sim;
	bool one = getenv("SEED") != NULL && *getenv("SEED") != '\0';
	uint64_t from = one ? env_u64("SEED", 1) : env_u64("FROM", 1);
	uint64_t seeds = one ? 1 : env_u64("SEEDS", 3000);
	uint64_t steps = env_u64("STEPS", STEPS_DEFAULT);
	Sim sum = {0};

	check_set_hook(on_check);
	running = &sim;
	for (uint64_t seed = from; seed < from + seeds; seed++)
	{
		init(&sim, seed, steps);
		run(&sim);
		sum.acked += sim.acked;
		sum.lease_reads += sim.lease_reads;
		sum.index_reads += sim.index_reads;
		sum.elections += sim.elections;
		sum.conf_changes += sim.conf_changes;
		sum.snapshots += sim.snapshots;
		sum.step += sim.step;
		destroy(&sim);
		if (seeds > 10000 && (seed - from + 1) % 10000 == 0)
		{
			printf("# %" PRIu64 " seeds\n", seed - from + 1);
			fflush(stdout);
		}
	}
	printf("ok - %" PRIu64 " seeds from %" PRIu64 ", %" PRIu64
		   " events: %" PRIu64 " writes acknowledged, %" PRIu64
		   " lease reads, %" PRIu64 " index reads, %" PRIu64
		   " leaders, %" PRIu64 " conf changes applied, %" PRIu64
		   " snapshots sent\n",
		   seeds, from, sum.step, sum.acked, sum.lease_reads, sum.index_reads,
		   sum.elections, sum.conf_changes, sum.snapshots);
	return 0;
}
