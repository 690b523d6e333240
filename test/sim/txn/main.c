/*
 * main.c
 *	  Runs seeds: SEED=n STEPS=n replays one, SEEDS=n FROM=n runs many.
 *
 * A failure prints the command that replays it.  SIM_TRACE=1 prints what
 * happens on the way.
 */
#include <stdarg.h>

#include "sim.h"

#define STEPS_DEFAULT 2500
#define HEAL_US (3000 * MS) /* all transactions end within this time */

Sim *sim;
static Sim the_sim;

bool
sim_mutation(const char *name)
{
	static const char *wanted;

	if (wanted == NULL)
	{
		wanted = getenv("MUTATION");
		if (wanted == NULL)
			wanted = "";
	}
	return wanted[0] != '\0' && strcmp(wanted, name) == 0;
}

void
sim_fail(const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "not ok - seed %" PRIu64 ", step %" PRIu64 ": ", sim->seed,
			sim->step);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\n  make txn-sim SEED=%" PRIu64 " STEPS=%" PRIu64 "\n",
			sim->seed, sim->steps_max);
	exit(1);
}

void
sim_trace(const char *fmt, ...)
{
	va_list args;

	if (!sim->trace)
		return;
	printf("%6" PRIu64 " %5" PRId64 ".%03" PRId64 " ", sim->step, sim->now / MS,
		   sim->now % MS);
	if (sim->current != NULL)
		printf("client %d: ", sim->current->slot);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
}

static void
on_check(const char *expr, const char *file, int line)
{
	sim_fail("check failed: %s, %s:%d", expr, file, line);
}

uint64_t
sim_rand(uint64_t n)
{
	uint64_t x;

	sim->rng += UINT64_C(0x9E3779B97F4A7C15);
	x = sim->rng;
	x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
	return (x ^ x >> 31) % n;
}

bool
sim_chance(double p)
{
	return (double) sim_rand(1000000) < p * 1000000;
}

/*
 * Often the very next number, so that commits and starts meet: the physical
 * part moves in leaps.
 */
uint64_t
sim_tso(void)
{
	uint64_t physical = (uint64_t) (sim->now / sim->tso_leap_us) *
			(uint64_t) (sim->tso_leap_us / MS)
		<< 18;

	sim->tso = sim->tso < physical ? physical : sim->tso + 1;
	return sim->tso;
}

void *
sim_alloc(size_t size)
{
	return arena_zalloc(&sim->arena, size);
}

void
sim_grow(void **array, size_t n, size_t *room, size_t size)
{
	void *more;

	if (n < *room)
		return;
	*room = *room == 0 ? 64 : *room * 2;
	more = arena_alloc(&sim->arena, *room * size);
	if (n > 0)
		memcpy(more, *array, n * size);
	*array = more;
}

/* Some runs have a subject. */
static void
choose_profile(void)
{
	uint64_t profile = sim_rand(10);

	if (profile == 0)
	{
		/* Locks are lost, and asked for once more, while clients think. */
		sim->stormy = sim->memory_locks = sim->one_list = true;
		sim->loss = 0.1;
		sim->election_rate = 0.03;
		sim->idle_us = 4 * MS;
		sim->n_clients = 4;
	}
	else if (profile == 1)
	{
		/* Long turns that often abort, over few keys. */
		sim->pipelined = sim->one_list = true;
		sim->abort_rate = 0.3;
		sim->turn_size = 8;
		sim->turn_hunger = 0.95;
		sim->idle_us = 4 * MS;
		sim->n_clients = SIM_CLIENTS;
	}
}

static void
init(uint64_t seed, uint64_t steps)
{
	static const char *const names[SIM_KEYS] = {"a0", "a1", "a2", "q0", "q1",
												"q2", "b0", "b1", "b2", "r0",
												"r1", "r2", "c0", "s0", "d0",
												"d1", "t0", "t1"};

	sim = &the_sim;
	memset(sim, 0, sizeof(*sim));
	sim->seed = seed;
	sim->steps_max = steps;
	sim->rng = seed * UINT64_C(0xD1342543DE82EF95) + 1;
	sim->trace = getenv("SIM_TRACE") != NULL;
	sim->now = 1000 * MS;
	arena_init(&sim->arena);
	for (int i = 0; i < SIM_KEYS; i++)
		sim->keys[i] = bytes_cstr(names[i]);
	sim->memory_locks = sim_chance(0.6);
	sim->pipelined = sim_chance(0.3);
	sim->turn_size = 1 + sim_rand(8);
	sim->turn_hunger = 0.3 + (double) sim_rand(65) / 100;
	sim->death = sim_chance(0.7) ? 0.01 : 0;
	sim->loss = sim_chance(0.7) ? 0.08 : 0;
	sim->abort_rate = sim_chance(0.5) ? sim_chance(0.5) ? 0.05 : 0.2 : 0;
	sim->election_rate = sim_chance(0.3) ? 0.02 : 0.002;
	sim->tso_leap_us = sim_chance(0.3) ? 40 * MS : 8 * MS;
	sim->ttl_ms = sim_chance(0.3) ? 16 : 60;
	sim->idle_us = sim_chance(0.2) ? 80 * MS : 10 * MS;
	sim->collect_rate = sim_chance(0.2) ? 0.2 : 0.03;
	sim->n_accounts = sim_chance(0.3) ? 2 : SIM_ACCOUNTS;
	sim->one_list = sim_chance(0.15);
	sim->n_clients = 2 + (int) sim_rand(SIM_CLIENTS - 1);
	choose_profile();
	store_init();
	clients_init();
}

static void
destroy(void)
{
	clients_free();
	store_free();
	arena_free(&sim->arena);
}

/* One step of somebody, or time goes on to when there is one. */
static void
step(void)
{
	bool store_first = sim_chance(0.5);
	int64_t due;

	sim->step++;
	if (sim_chance(0.3))
		sim->now += (int64_t) sim_rand(2 * MS);
	if (store_first ? store_step() || clients_step() :
					  clients_step() || store_step())
		return;
	due = store_next_due();
	if (clients_next_due() < due)
		due = clients_next_due();
	if (due == INT64_MAX)
		sim_fail("nothing will ever happen");
	if (due > sim->now)
		sim->now = due;
}

static void
faults(void)
{
	if (sim_chance(0.001))
		sim->now += (int64_t) sim_rand(100) * MS;
	if (sim_chance(sim->election_rate))
		store_lose_leadership();
	if (!sim->max_ts_synced && sim_chance(0.05))
		store_sync_max_ts();
}

static void
run(void)
{
	int64_t heal_end;

	while (sim->step < sim->steps_max)
	{
		step();
		faults();
	}
	sim->healing = true;
	sim->death = sim->loss = sim->abort_rate = 0;
	store_sync_max_ts();
	heal_end = sim->now + HEAL_US;
	while (!clients_are_done())
	{
		if (sim->now > heal_end)
			sim_fail("no end of transactions within %d ms", HEAL_US / MS);
		step();
	}
	client_start_cleaner();
	heal_end = sim->now + HEAL_US;
	while (!clients_are_done())
	{
		if (sim->now > heal_end)
			sim_fail("locks are left after %d ms", HEAL_US / MS);
		step();
	}
	model_check();
}

static uint64_t
env_u64(const char *name, uint64_t otherwise)
{
	const char *s = getenv(name);

	return s == NULL || *s == '\0' ? otherwise : strtoull(s, NULL, 0);
}

static void
add_up(Sim *sum)
{
	sum->step += sim->step;
	sum->n_txns += sim->n_txns;
	sum->n_reads += sim->n_reads;
	sum->n_committed += sim->n_committed;
	sum->n_failed += sim->n_failed;
	sum->n_unknown += sim->n_unknown;
	sum->n_async += sim->n_async;
	sum->n_one_pc += sim->n_one_pc;
	sum->n_pipelined += sim->n_pipelined;
	sum->n_resolved += sim->n_resolved;
	sum->n_deadlocks += sim->n_deadlocks;
	sum->n_conflict_locks += sim->n_conflict_locks;
	sum->n_aborted_turns += sim->n_aborted_turns;
	sum->n_elections += sim->n_elections;
	sum->n_collections += sim->n_collections;
}

int
main(void)
{
	bool one = getenv("SEED") != NULL && *getenv("SEED") != '\0';
	uint64_t from = one ? env_u64("SEED", 1) : env_u64("FROM", 1);
	uint64_t seeds = one ? 1 : env_u64("SEEDS", 2000);
	uint64_t steps = env_u64("STEPS", STEPS_DEFAULT);
	static Sim sum;

	check_set_hook(on_check);
	for (uint64_t seed = from; seed < from + seeds; seed++)
	{
		init(seed, steps);
		run();
		add_up(&sum);
		destroy();
		if (seeds > 10000 && (seed - from + 1) % 10000 == 0)
		{
			printf("# %" PRIu64 " seeds\n", seed - from + 1);
			fflush(stdout);
		}
	}
	printf("ok - %" PRIu64 " seeds from %" PRIu64 ", %" PRIu64
		   " steps: %zu transactions, %" PRIu64 " committed (%" PRIu64
		   " async, %" PRIu64 " 1PC, %" PRIu64 " pipelined), %" PRIu64
		   " failed, %" PRIu64 " unknown; %zu reads, %" PRIu64
		   " locks resolved, %" PRIu64 " deadlocks, %" PRIu64
		   " locked with conflict, %" PRIu64 " turns aborted, %" PRIu64
		   " elections, %" PRIu64 " garbage collections\n",
		   seeds, from, sum.step, sum.n_txns, sum.n_committed, sum.n_async,
		   sum.n_one_pc, sum.n_pipelined, sum.n_failed, sum.n_unknown,
		   sum.n_reads, sum.n_resolved, sum.n_deadlocks, sum.n_conflict_locks,
		   sum.n_aborted_turns, sum.n_elections, sum.n_collections);
	return 0;
}
