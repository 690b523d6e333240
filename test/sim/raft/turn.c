/*
 * turn.c
 *	  A node's turn: one ready as one transaction, and its flush.
 *
 * The turn has stages; between two of them the node may be interrupted by
 * messages, ticks, requests, flushes of earlier turns or its own end.
 */
#include "sim.h"

static SimEntry
decode(const RaftEntry *e)
{
	SimEntry out = {.term = e->term, .type = e->type};

	if (e->payload != NULL)
		out.op = (uint64_t) (uintptr_t) e->payload;
	else if (e->data.len == sizeof(out.op))
		memcpy(&out.op, e->data.data, sizeof(out.op));
	return out;
}

static void
take_log(const RaftReady *rd, Txn *txn)
{
	txn->has_hard_state = rd->has_hard_state;
	txn->hard_state = rd->hard_state;
	if (rd->snapshot != NULL)
	{
		CHECK(rd->snapshot->data.len == sizeof(Machine));
		txn->has_snapshot = true;
		memcpy(&txn->snapshot, rd->snapshot->data.data, sizeof(Machine));
	}
	if (rd->n_entries == 0 || rd->sole)
		return;
	txn->first = rd->entries[0].index;
	txn->n_entries = rd->n_entries;
	txn->entries = calloc((size_t) rd->n_entries, sizeof(SimEntry));
	CHECK(txn->entries != NULL);
	for (int i = 0; i < rd->n_entries; i++)
		txn->entries[i] = decode(&rd->entries[i]);
}

static void
apply_change(Sim *sim, Node *n, const SimEntry *e, Machine *m)
{
	RaftConfChange leave = {.n = 0};
	RaftConfState result;

	if (raft_apply_conf_change(n->raft,
							   e->op == 0 ? &leave : &sim->ops[e->op].change,
							   &result) != STATUS_OK)
		return;
	check_conf(sim, n, &m->conf, &result);
	sim_trace(sim,
			  "node %d applies the change at %" PRIu64
			  ": %d voters, %d outgoing, %d learners",
			  n->slot, m->applied, result.voters.n, result.voters_outgoing.n,
			  result.learners.n);
	m->conf = result;
	sim->conf_changes++;
}

/* The effects of the committed entries; returns whether there was a change. */
static bool
apply(Sim *sim, Node *n, const RaftReady *rd, Txn *txn)
{
	Machine *m = &txn->machine;
	bool change = false;

	if (rd->n_committed == 0)
		return false;
	*m = txn->has_snapshot ? txn->snapshot : n->visible.machine;
	txn->has_machine = true;
	for (int i = 0; i < rd->n_committed; i++)
	{
		SimEntry e = decode(&rd->committed[i]);
		uint64_t index = rd->committed[i].index;

		if (index != m->applied + 1)
			sim_fail(sim, "node %d applies %" PRIu64 " after %" PRIu64, n->slot,
					 index, m->applied);
		m->chain = machine_hash(m->chain, index, &e);
		m->applied = index;
		m->applied_term = e.term;
		if (e.type != RAFT_ENTRY_NORMAL)
		{
			apply_change(sim, n, &e, m);
			change = true;
		}
		else if (e.op != 0)
			m->kv[sim->ops[e.op].key] = (Value){e.op, index};
	}
	return change;
}

/* The transaction commits: only now its entries count as applied. */
static void
applied(Sim *sim, const Node *n, const RaftReady *rd, const Txn *txn)
{
	uint64_t chain =
		txn->has_snapshot ? txn->snapshot.chain : n->visible.machine.chain;

	for (int i = 0; i < rd->n_committed; i++)
	{
		SimEntry e = decode(&rd->committed[i]);
		uint64_t index = rd->committed[i].index;

		chain = machine_hash(chain, index, &e);
		check_apply(sim, n, index, &e, chain);
		if (e.op != 0 && sim->ops[e.op].slot == n->slot &&
			sim->ops[e.op].incarnation == n->incarnation)
			sim->ops[e.op].ready = true;
	}
}

static void
push_txn(Node *n, Txn *txn)
{
	txn->next = NULL;
	*n->pending_end = txn;
	n->pending_end = &txn->next;
	image_apply(&n->visible, txn);
}

static void
start_flush(Sim *sim, Node *n, uint64_t number)
{
	if (n->flushing || n->pending == NULL)
		return;
	n->flushing = true;
	sim_push(sim,
			 (Event){.at = sim->now + 1 + sim_rand(sim, n->disk_us),
					 .kind = EV_FLUSH,
					 .slot = n->slot,
					 .incarnation = n->incarnation,
					 .arg = number});
}

static void
flush_to(Sim *sim, Node *n, uint64_t number)
{
	while (n->pending != NULL && n->pending->number <= number)
	{
		Txn *txn = n->pending;

		n->pending = txn->next;
		if (n->pending == NULL)
			n->pending_end = &n->pending;
		check_durable(sim, n, txn);
		while (txn->packets != NULL)
		{
			Packet *p = txn->packets;

			txn->packets = p->next;
			net_send(sim, n->slot, p);
		}
		txn_free(txn);
	}
}

void
node_flush_now(Sim *sim, Node *n)
{
	flush_to(sim, n, UINT64_MAX);
}

static bool
of_turn(const Node *n, const Txn *txn)
{
	return n->turn.stage == STAGE_COMMITTED && txn->number == n->turn.rd.number;
}

void
node_flushed(Sim *sim, Node *n, uint64_t number)
{
	uint64_t newest = number;

	n->flushing = false;
	flush_to(sim, n, number);
	raft_persisted(n->raft, number);
	client_applied(sim, n, n->durable.machine.applied);
	/* the turn under way is flushed after it has ended */
	for (Txn *txn = n->pending; txn != NULL && !of_turn(n, txn);
		 txn = txn->next)
		newest = txn->number;
	if (n->pending != NULL && !of_turn(n, n->pending))
		start_flush(sim, n, newest);
	if (raft_has_ready(n->raft))
		node_want_turn(sim, n);
}

/* Messages that need the flush leave with it, in their order. */
static void
hold_packets(Sim *sim, const RaftReady *rd, Txn *txn)
{
	Packet **end = &txn->packets;

	for (int i = 0; i < rd->n_persisted_messages; i++)
	{
		*end = packet_make(sim, &rd->persisted_messages[i]);
		end = &(*end)->next;
	}
}

/* The transaction failed: start over from what is stored. */
static void
abort_turn(Sim *sim, Node *n)
{
	sim_trace(sim, "node %d aborts a turn", n->slot);
	node_flush_now(sim, n);
	client_lost(sim, n);
	node_turn_drop(n);
	raft_destroy(n->raft);
	n->raft = NULL;
	node_start(sim, n);
}

/* Give up the front of the log, in the transaction `number` or after it. */
static void
compact_some(Sim *sim, Node *n, uint64_t number)
{
	uint64_t applied = raft_applied_index(n->raft);
	uint64_t index;
	Txn *txn;

	if (applied <= n->visible.truncated_index + 8 || !sim_chance(sim, 0.05))
		return;
	index = applied - sim_rand(sim, 8);
	txn = calloc(1, sizeof(*txn));
	CHECK(txn != NULL);
	txn->number = number;
	txn->compact_index = index;
	if (raft_term_at(n->raft, index, &txn->compact_term) != STATUS_OK)
	{
		RaftStatus st;

		/* a snapshot that waits to be installed has replaced the log */
		raft_status(n->raft, &st);
		if (st.truncated_index <= st.applied_index)
			sim_fail(sim, "node %d does not know the term of %" PRIu64, n->slot,
					 index);
		free(txn);
		return;
	}
	push_txn(n, txn);
	raft_compact(n->raft, index, txn->compact_term);
}

/* For a snapshot that is installed, or from some entry on. */
static void
maybe_pause_apply(Sim *sim, Node *n)
{
	uint64_t applied = raft_applied_index(n->raft);
	bool slow;

	if (!n->apply_slow)
		return;
	slow = !sim->healing && sim_chance(sim, 0.5);
	raft_pause_apply(n->raft, slow && applied % 2 == 0);
	raft_hold_apply(n->raft,
					slow && applied % 2 == 1 ? applied + 1 + applied % 4 : 0);
}

/* -------------------------------------------------------------- stages */

static void
hand_out(Sim *sim, Node *n)
{
	Turn *turn = &n->turn;

	arena_reset(&n->arena);
	maybe_pause_apply(sim, n);
	if (!raft_ready(n->raft, &n->arena, node_clock(sim, n), &turn->rd))
		return;
	turn->stage = STAGE_OUT;
	turn->term = raft_term(n->raft);
	check_node(sim, n);
}

static void
write(Sim *sim, Node *n)
{
	Turn *turn = &n->turn;
	Txn *txn = calloc(1, sizeof(*txn));

	CHECK(txn != NULL);
	txn->number = turn->rd.number;
	take_log(&turn->rd, txn);
	turn->at_once = apply(sim, n, &turn->rd, txn) && !sim->lazy_changes;
	if (turn->rd.sole && turn->rd.n_committed > 0)
	{
		txn->compact_index = txn->machine.applied;
		txn->compact_term = txn->machine.applied_term;
	}
	hold_packets(sim, &turn->rd, txn);
	turn->txn = txn;
	turn->stage = STAGE_WRITTEN;
}

/* Messages that need no flush leave once the transaction is visible. */
static void
commit(Sim *sim, Node *n)
{
	Turn *turn = &n->turn;

	applied(sim, n, &turn->rd, turn->txn);
	push_txn(n, turn->txn);
	check_machine(sim, n, &n->visible.machine);
	turn->txn = NULL;
	turn->stage = STAGE_COMMITTED;
	if (turn->rd.sole || turn->at_once)
		node_flush_now(sim, n);
	net_send_all(sim, n->slot, turn->rd.messages, turn->rd.n_messages);
}

static void
finish(Sim *sim, Node *n)
{
	const RaftReady *rd = &n->turn.rd;

	n->turn.stage = STAGE_NONE;
	raft_advance(n->raft, rd);
	if (n->turn.at_once && !rd->sole)
		raft_persisted(n->raft, rd->number);
	check_node(sim, n);
	check_stored(sim, n);
	if (!rd->sole)
		compact_some(sim, n, rd->number);
	for (int i = 0; i < rd->n_read_states; i++)
		client_read_state(sim, n, &rd->read_states[i]);
	client_applied(sim, n, n->durable.machine.applied);
	start_flush(sim, n, rd->number);
}

/* The log is compacted while a ready is out. */
void
node_compact_some(Sim *sim, Node *n)
{
	const Turn *turn = &n->turn;

	if (!turn->rd.sole)
		compact_some(sim, n,
					 turn->stage == STAGE_COMMITTED ? turn->rd.number :
													  turn->rd.number - 1);
}

void
node_turn_drop(Node *n)
{
	if (n->turn.txn != NULL)
		txn_free(n->turn.txn);
	memset(&n->turn, 0, sizeof(n->turn));
}

/* Does something else happen before the turn's next stage? */
static bool
interrupted(Sim *sim, Node *n)
{
	uint64_t us = sim->healing ? 2 * MS : n->turn_us;

	if (!sim_chance(sim, sim->gaps))
		return false;
	n->turn_due = true;
	sim_push(sim,
			 (Event){.at = sim->now + 1 + sim_rand(sim, us),
					 .kind = EV_TURN,
					 .slot = n->slot,
					 .incarnation = n->incarnation});
	return true;
}

void
node_turn(Sim *sim, Node *n)
{
	Turn *turn = &n->turn;

	n->turn_due = false;
	do
	{
		if ((turn->stage == STAGE_OUT || turn->stage == STAGE_WRITTEN) &&
			sim_chance(sim, turn->rd.sole ? 0.01 : 0.0005))
		{
			abort_turn(sim, n);
			return;
		}
		switch (turn->stage)
		{
			case STAGE_NONE:
				hand_out(sim, n);
				break;
			case STAGE_OUT:
				write(sim, n);
				break;
			case STAGE_WRITTEN:
				commit(sim, n);
				break;
			case STAGE_COMMITTED:
				finish(sim, n);
				break;
		}
	} while (turn->stage != STAGE_NONE && !interrupted(sim, n));
	if (turn->stage == STAGE_NONE && raft_has_ready(n->raft))
		node_want_turn(sim, n);
}
