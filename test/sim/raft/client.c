/*
 * client.c
 *	  Clients that write and read registers, and whether what they see is
 *	  linearizable.
 *
 * The log orders all writes, so linearizability of a register comes down to:
 * nothing that ends before something else begins may be newer than it.  For
 * every key `floor` is the index of the newest write that any finished
 * operation has shown; an operation must end at or above the floor it began
 * with.
 */
#include "sim.h"

uint64_t
op_new(Sim *sim, OpKind kind)
{
	Op *op;

	if (sim->n_ops + 1 >= sim->cap_ops)
	{
		sim->cap_ops = sim->cap_ops == 0 ? 1024 : sim->cap_ops * 2;
		sim->ops = realloc(sim->ops, sim->cap_ops * sizeof(Op));
		CHECK(sim->ops != NULL);
	}
	op = &sim->ops[++sim->n_ops];
	memset(op, 0, sizeof(*op));
	op->kind = kind;
	op->begun_us = sim->now;
	return sim->n_ops;
}

static void
wait_for(Sim *sim, uint64_t id)
{
	if (sim->n_waiting == sim->cap_waiting)
	{
		sim->cap_waiting = sim->cap_waiting == 0 ? 64 : sim->cap_waiting * 2;
		sim->waiting =
			realloc(sim->waiting, (size_t) sim->cap_waiting * sizeof(uint64_t));
		CHECK(sim->waiting != NULL);
	}
	sim->ops[id].waiting = true;
	sim->waiting[sim->n_waiting++] = id;
}

static void
sweep(Sim *sim)
{
	int kept = 0;

	for (int i = 0; i < sim->n_waiting; i++)
		if (sim->ops[sim->waiting[i]].waiting)
			sim->waiting[kept++] = sim->waiting[i];
	sim->n_waiting = kept;
}

/* An operation on this key ends having seen the version of `index`. */
static void
ended(Sim *sim, const char *what, const Node *n, int key, uint64_t floor,
	  uint64_t index)
{
	if (index < floor)
		sim_fail(sim,
				 "stale %s on node %d (term %" PRIu64
				 "): key %d of index %" PRIu64 ", but %" PRIu64
				 " was visible before",
				 what, n->slot, raft_term(n->raft), key, index, floor);
	if (index > sim->floor[key])
		sim->floor[key] = index;
}

bool
client_write(Sim *sim, Node *n)
{
	uint64_t id = op_new(sim, OP_WRITE);
	Op *op = &sim->ops[id];
	RaftEntry e = {.type = RAFT_ENTRY_NORMAL};

	op->key = (int) sim_rand(sim, SIM_KEYS);
	op->floor = sim->floor[op->key];
	op->slot = n->slot;
	op->incarnation = n->incarnation;
	if (raft_takes_payload(n->raft) && sim_chance(sim, 0.7))
	{
		e.payload = (void *) (uintptr_t) id;
		e.payload_size = 8;
	}
	else
		e.data = bytes_make(&id, sizeof(id));
	if (raft_propose(n->raft, &e, &op->index, &op->term) != STATUS_OK)
		return false;
	wait_for(sim, id);
	node_want_turn(sim, n);
	return true;
}

static void
lease_read(Sim *sim, Node *n)
{
	int key = (int) sim_rand(sim, SIM_KEYS);

	if (node_clock(sim, n) >= raft_lease_end_us(n->raft))
		return;
	sim->lease_reads++;
	ended(sim, "lease read", n, key, sim->floor[key],
		  n->visible.machine.kv[key].index);
}

static void
index_read(Sim *sim, Node *n)
{
	uint64_t id = op_new(sim, OP_READ_INDEX);
	Op *op = &sim->ops[id];

	op->key = (int) sim_rand(sim, SIM_KEYS);
	op->floor = sim->floor[op->key];
	op->slot = n->slot;
	op->incarnation = n->incarnation;
	if (raft_read_index(n->raft, bytes_make(&id, sizeof(id))) != STATUS_OK)
		return;
	wait_for(sim, id);
	node_want_turn(sim, n);
}

void
client_read_state(Sim *sim, Node *n, const RaftReadState *s)
{
	uint64_t id;
	Op *op;

	CHECK(s->context.len == sizeof(id));
	memcpy(&id, s->context.data, sizeof(id));
	op = &sim->ops[id];
	if (!op->waiting || op->slot != n->slot ||
		op->incarnation != n->incarnation)
		return;
	op->index = s->index;
	op->ready = true;
}

static void
finish_write(Sim *sim, Node *n, Op *op)
{
	op->waiting = false;
	if (!op->ready) /* another entry took its place */
		return;
	sim->acked++;
	ended(sim, "write", n, op->key, op->floor, op->index);
}

/*
 * Answer what can be answered on this node: writes that are applied and
 * flushed here, reads whose index is applied.
 */
void
client_applied(Sim *sim, Node *n, uint64_t flushed_index)
{
	uint64_t applied = n->visible.machine.applied;

	for (int i = 0; i < sim->n_waiting; i++)
	{
		Op *op = &sim->ops[sim->waiting[i]];

		if (op->slot != n->slot || op->incarnation != n->incarnation)
			continue;
		if (op->kind == OP_WRITE && flushed_index >= op->index)
			finish_write(sim, n, op);
		else if (op->kind == OP_READ_INDEX && op->ready && applied >= op->index)
		{
			op->waiting = false;
			sim->index_reads++;
			ended(sim, "index read", n, op->key, op->floor,
				  n->visible.machine.kv[op->key].index);
		}
		else if (sim->now - op->begun_us > 10000 * MS)
			op->waiting = false;
	}
	sweep(sim);
}

/* The node goes: nobody learns what became of their operations there. */
void
client_lost(Sim *sim, Node *n)
{
	for (int i = 0; i < sim->n_waiting; i++)
	{
		Op *op = &sim->ops[sim->waiting[i]];

		if (op->slot == n->slot)
			op->waiting = false;
	}
	sweep(sim);
}

static Node *
any_node(Sim *sim, bool leaders)
{
	int start = (int) sim_rand(sim, SIM_SLOTS);

	for (int i = 0; i < SIM_SLOTS; i++)
	{
		Node *n = &sim->nodes[(start + i) % SIM_SLOTS];

		if (node_runs(sim, n) &&
			(!leaders || raft_role(n->raft) == RAFT_LEADER))
			return n;
	}
	return NULL;
}

void
client_event(Sim *sim)
{
	uint64_t what = sim_rand(sim, 100);
	Node *n = any_node(sim, what < 90);

	sim_push(sim,
			 (Event){.at = sim->now + MS + sim_rand(sim, 60 * MS),
					 .kind = EV_CLIENT});
	/* every leader there is, since one of them may be an old one */
	for (int i = 0; i < SIM_SLOTS && what < 90; i++)
		if (node_runs(sim, &sim->nodes[i]))
			lease_read(sim, &sim->nodes[i]);
	if (n == NULL)
		return;
	if (what < 60 && !sim->quiet)
		(void) client_write(sim, n);
	else
		index_read(sim, n);
}
