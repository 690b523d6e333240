/*
 * clients.c
 *	  Clients as coroutines, and what the network does to their requests.
 *
 * A client that dies is never resumed; another one begins on its stack.
 */
#include "sim.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define STACK_SIZE ((size_t) 512 * 1024)
#else
#define STACK_SIZE ((size_t) 128 * 1024)
#endif

/* Where the scheduler's own stack lies, for the sanitizer. */
#if defined(__SANITIZE_ADDRESS__)
static const void *home_stack;
static size_t home_size;
#endif

static void
switch_to_client(Client *c)
{
#if defined(__SANITIZE_ADDRESS__)
	void *fake;

	__sanitizer_start_switch_fiber(&fake, c->stack, STACK_SIZE);
#endif
	sim->current = c;
	if (swapcontext(&sim->context, &c->context) != 0)
		abort();
	sim->current = NULL;
#if defined(__SANITIZE_ADDRESS__)
	__sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
}

static void
switch_to_scheduler(Client *c)
{
#if defined(__SANITIZE_ADDRESS__)
	void *fake;

	__sanitizer_start_switch_fiber(&fake, home_stack, home_size);
#endif
	if (swapcontext(&c->context, &sim->context) != 0)
		abort();
#if defined(__SANITIZE_ADDRESS__)
	__sanitizer_finish_switch_fiber(fake, &home_stack, &home_size);
#endif
}

static void
client_main(void)
{
	Client *c = sim->current;

#if defined(__SANITIZE_ADDRESS__)
	__sanitizer_finish_switch_fiber(NULL, &home_stack, &home_size);
#endif
	if (c->is_cleaner)
		resolve_everything(c);
	while (!sim->healing)
	{
		client_sleep(c, (int64_t) sim_rand((uint64_t) sim->idle_us));
		if (sim_chance(sim->collect_rate))
			collect_garbage(c);
		else
			run_transaction(c);
	}
	c->done = true;
	for (;;)
		switch_to_scheduler(c);
}

static void
client_start(Client *c)
{
	uint64_t call = c->call + 1;
	char *stack = c->stack;
	int slot = c->slot;

	memset(c, 0, sizeof(*c));
	c->call = call; /* answers to who was here before are not for this one */
	c->stack = stack;
	c->slot = slot;
#if defined(__SANITIZE_ADDRESS__)
	__asan_unpoison_memory_region(stack, STACK_SIZE);
#endif
	if (getcontext(&c->context) != 0)
		abort();
	c->context.uc_stack.ss_sp = stack;
	c->context.uc_stack.ss_size = STACK_SIZE;
	c->context.uc_link = NULL;
	makecontext(&c->context, client_main, 0);
}

void
clients_init(void)
{
	static char *stacks[SIM_CLIENTS + 1];

	for (int i = 0; i <= SIM_CLIENTS; i++)
	{
		Client *c = &sim->clients[i];

		if (stacks[i] == NULL)
			stacks[i] = malloc(STACK_SIZE);
		c->slot = i;
		c->stack = stacks[i];
		client_start(c);
		c->done = i >= sim->n_clients;
	}
}

void
clients_free(void)
{
	/* The stacks serve the next seed. */
}

void
client_start_cleaner(void)
{
	Client *c = &sim->clients[SIM_CLIENTS];

	client_start(c);
	c->is_cleaner = true;
}

static bool
can_run(const Client *c)
{
	return !c->done && (!c->sleeping || c->wake_us <= sim->now);
}

bool
clients_step(void)
{
	int first = (int) sim_rand(SIM_CLIENTS + 1);

	for (int n = 0; n <= SIM_CLIENTS; n++)
	{
		Client *c = &sim->clients[(first + n) % (SIM_CLIENTS + 1)];

		if (!can_run(c))
			continue;
		c->sleeping = false;
		switch_to_client(c);
		if (c->dead)
			client_start(c);
		return true;
	}
	return false;
}

int64_t
clients_next_due(void)
{
	int64_t due = INT64_MAX;

	for (int i = 0; i <= SIM_CLIENTS; i++)
	{
		const Client *c = &sim->clients[i];
		int64_t wake = c->sleeping ? c->wake_us : sim->now;

		if (!c->done && wake < due)
			due = wake;
	}
	return due;
}

bool
clients_are_done(void)
{
	for (int i = 0; i <= SIM_CLIENTS; i++)
		if (!sim->clients[i].done)
			return false;
	return true;
}

/* ------------------------------------------------------ in the coroutine */

void
client_pause(Client *c)
{
	switch_to_scheduler(c);
}

void
client_sleep(Client *c, int64_t us)
{
	c->sleeping = true;
	c->wake_us = sim->now + us;
	switch_to_scheduler(c);
}

void
client_may_die(Client *c)
{
	if (!sim_chance(sim->death))
		return;
	sim_trace("dies");
	if (c->txn != NULL)
	{
		c->txn->active = false;
		c->txn->ended_us = sim->now;
	}
	c->dead = true;
	switch_to_scheduler(c);
}

static void
send(Client *c, const TxnCommand *command, int region, bool is_retry)
{
	Rpc *rpc = sim_alloc(sizeof(*rpc));

	rpc->command = *command;
	rpc->region = region;
	rpc->is_retry = is_retry;
	rpc->client = c;
	rpc->call = c->call;
	rpc->due_us = sim->now + (int64_t) sim_rand(3 * MS);
	/* Some arrive long after the client has tried again, locks above all. */
	if (sim_chance(command->kind == TXN_CMD_PESSIMISTIC_LOCK ? 3 * sim->loss :
															   sim->loss))
		rpc->due_us += (int64_t) sim_rand(RPC_LIFE_US);
	rpc->expires_us = sim->now + RPC_LIFE_US;
	rpc->generation = sim->generation;
	store_queue(rpc);
}

ReplyKind
client_call(Client *c, const TxnCommand *command, int region, bool is_retry)
{
	client_may_die(c);
	c->call++;
	c->reply = REPLY_NONE;
	if (!sim_chance(sim->loss))
		send(c, command, region, is_retry);
	client_sleep(c,
				 RPC_TIMEOUT_US +
					 (command->kind == TXN_CMD_PESSIMISTIC_LOCK ?
						  WAIT_CEILING_US :
						  0));
	client_may_die(c);
	c->call++;
	return c->reply == REPLY_NONE ? REPLY_TIMEOUT : c->reply;
}

const TxnAnswer *
client_must_call(Client *c, const TxnCommand *command, int region)
{
	for (int attempt = 0; attempt < 12; attempt++)
	{
		if (client_call(c, command, region, attempt > 0) == REPLY_ANSWER)
			return c->answer;
		client_sleep(c, (int64_t) sim_rand(3 * MS));
	}
	return NULL;
}
