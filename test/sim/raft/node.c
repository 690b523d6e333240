/*
 * node.c
 *	  A simulated node: its clock, its starts and crashes, and what reaches it.
 */
#include "sim.h"

uint64_t
node_clock(const Sim *sim, const Node *n)
{
	return n->clock_base +
		(uint64_t) ((double) (sim->now - n->clock_since) * n->rate);
}

/* What needs no transaction, whatever the node's turn is doing. */
static void
send_some(Sim *sim, Node *n)
{
	const RaftMessage *msgs;
	int count =
		raft_take_messages(n->raft, &n->arena, node_clock(sim, n), &msgs);

	net_send_all(sim, n->slot, msgs, count);
}

/*
 * The clock is set.  The machine sees a step back at its next call, which the
 * driver makes at once.
 */
void
node_jump_clock(Sim *sim, Node *n, int64_t by_us)
{
	uint64_t now = node_clock(sim, n);

	if (by_us < 0 && now < (uint64_t) -by_us)
		return;
	n->clock_base =
		by_us < 0 ? now - (uint64_t) -by_us : now + (uint64_t) by_us;
	n->clock_since = sim->now;
	if (n->raft != NULL)
		send_some(sim, n);
}

bool
node_runs(const Sim *sim, const Node *n)
{
	return n->raft != NULL && n->paused_until <= sim->now;
}

/* --------------------------------------------------- the stored log */

static Status
disk_entries(void *arg, uint64_t low, uint64_t high, size_t max_bytes,
			 Arena *arena, RaftEntry **out, int *count)
{
	Node *n = arg;
	size_t bytes = 0;

	*out = arena_zalloc(arena, (size_t) (high - low) * sizeof(RaftEntry));
	*count = 0;
	for (; low < high; low++)
	{
		SimEntry *e = image_entry(&n->visible, low);
		RaftEntry *to = &(*out)[*count];

		to->type = e->type;
		to->term = e->term;
		to->index = low;
		if (e->op != 0)
			to->data = arena_copy(arena, bytes_make(&e->op, sizeof(e->op)));
		bytes += sizeof(RaftEntry) + to->data.len;
		if (*count > 0 && bytes > max_bytes)
			break;
		(*count)++;
	}
	return STATUS_OK;
}

static Status
disk_term(void *arg, uint64_t index, uint64_t *term)
{
	Node *n = arg;

	if (index <= n->visible.truncated_index || index > image_last(&n->visible))
		return STATUS_NOT_FOUND;
	*term = image_entry(&n->visible, index)->term;
	return STATUS_OK;
}

static uint64_t
disk_last_index(void *arg)
{
	return image_last(&((Node *) arg)->visible);
}

/* Every other time a snapshot is "being made". */
static Status
disk_snapshot(void *arg, uint64_t to, uint64_t index, Arena *arena,
			  RaftSnapshot *out)
{
	Node *n = arg;
	const Machine *m = &n->visible.machine;

	(void) to;
	n->snapshot_asked = !n->snapshot_asked;
	if (n->snapshot_asked || m->applied < index)
		return STATUS_UNAVAILABLE;
	out->meta.index = m->applied;
	out->meta.term = m->applied_term;
	out->meta.conf = m->conf;
	out->data = arena_copy(arena, bytes_make(m, sizeof(*m)));
	return STATUS_OK;
}

/* The driver has often read enough for one turn. */
static bool
disk_may_read(void *arg)
{
	Node *n = arg;

	return ++n->reads_asked % 3 == 0;
}

static void *
node_alloc(void *arg, size_t size)
{
	void *p = malloc(size);

	(void) arg;
	CHECK(p != NULL);
	return p;
}

static void
node_release(void *arg, void *p)
{
	(void) arg;
	free(p);
}

/* ------------------------------------------------- start and stop */

static void
fill_config(Sim *sim, const Node *n, RaftConfig *c)
{
	const Image *v = &n->visible;

	raft_config_init(c, n->id);
	c->hard_state = v->hard_state;
	c->conf = v->machine.conf;
	c->applied_index = v->machine.applied;
	c->applied_term = v->machine.applied_term;
	c->truncated_index = v->truncated_index;
	c->truncated_term = v->truncated_term;
	c->restarted = n->started_before;
	c->election_ticks = ELECTION_TICKS;
	c->heartbeat_ticks = 2;
	c->tick_us = TICK_US;
	c->lease_us = ELECTION_US / 10 * 9;
	c->skip_bcast_commit = sim->skip_bcast;
	c->priority = sim->seed % 5 == 0 ? (int64_t) (n->id % 3) : 0;
	c->seed = sim->seed * 131 + (uint64_t) n->incarnation;
	if (!sim->small_limits)
		return;
	c->max_bytes_per_msg = sim->tiny_messages ? 1 : 400;
	c->max_inflight_msgs = 3;
	c->max_inflight_bytes = 1500;
	c->max_uncommitted_bytes = 4000;
	c->max_unstored_bytes = 2000;
	c->max_committed_bytes = 600;
	c->cache_bytes = 500;
	c->max_pending_reads = 8;
	c->max_read_bytes = 40;
	c->max_pending_msgs = 20;
}

void
node_start(Sim *sim, Node *n)
{
	RaftStorage storage = {n,
						   disk_entries,
						   disk_term,
						   disk_last_index,
						   disk_snapshot,
						   disk_may_read};
	RaftAllocator alloc = {NULL, node_alloc, node_release};
	RaftConfig c;
	Status s;

	n->incarnation++;
	fill_config(sim, n, &c);
	s = raft_create(&c, &storage, &alloc, node_clock(sim, n), &n->raft);
	if (s != STATUS_OK)
		sim_fail(sim, "node %d does not start: %s", n->slot, status_text(s));
	sim_trace(sim, "node %d peer %" PRIu64 " starts", n->slot, n->id);
	raft_stand_back(n->raft, n->starved);
	n->started_before = true;
	n->flushing = n->turn_due = false;
	n->down_until = 0;
	n->seen_role = RAFT_FOLLOWER;
	n->seen_term = c.hard_state.term;
	sim_push(sim,
			 (Event){.at = sim->now + 1 + sim_rand(sim, TICK_US),
					 .kind = EV_TICK,
					 .slot = n->slot,
					 .incarnation = n->incarnation});
	if (raft_is_sole(n->raft) && sim_chance(sim, 0.8))
		(void) !raft_campaign(n->raft, node_clock(sim, n));
	node_want_turn(sim, n);
}

static void
stop(Sim *sim, Node *n)
{
	client_lost(sim, n);
	node_turn_drop(n);
	raft_destroy(n->raft);
	n->raft = NULL;
	n->incarnation++;
	n->isolated_since = 0;
}

/* Lose some of what was not flushed: a prefix of it survives. */
void
node_crash(Sim *sim, Node *n)
{
	bool keep = true;

	if (n->raft == NULL)
		return;
	sim_trace(sim, "node %d crashes", n->slot);
	stop(sim, n);
	while (n->pending != NULL)
	{
		Txn *txn = n->pending;

		n->pending = txn->next;
		keep = keep && sim_chance(sim, 0.5);
		if (keep)
			check_durable(sim, n, txn);
		txn_free(txn);
	}
	n->pending_end = &n->pending;
	image_copy(&n->visible, &n->durable);
	arena_reset(&n->arena);
}

/* The peer is gone for good; the place may get another one. */
void
node_remove(Sim *sim, Node *n)
{
	sim_trace(sim, "node %d peer %" PRIu64 " is removed", n->slot, n->id);
	node_crash(sim, n);
	image_reset(&n->visible);
	image_reset(&n->durable);
	n->id = 0;
	n->started_before = false;
	n->down_until = 0;
	n->absent_since = 0;
}

void
node_free(Node *n)
{
	node_turn_drop(n);
	raft_destroy(n->raft);
	while (n->pending != NULL)
	{
		Txn *txn = n->pending;

		n->pending = txn->next;
		txn_free(txn);
	}
	image_free(&n->visible);
	image_free(&n->durable);
	arena_free(&n->arena);
}

/* --------------------------------------------------------- events */

void
node_want_turn(Sim *sim, Node *n)
{
	if (n->turn_due || n->raft == NULL)
		return;
	n->turn_due = true;
	sim_push(sim,
			 (Event){.at = sim->now + sim_rand(sim, 2 * MS),
					 .kind = EV_TURN,
					 .slot = n->slot,
					 .incarnation = n->incarnation});
}

/* What messages of the peer say of its disk. */
static bool
is_starved(const Sim *sim, uint64_t id)
{
	for (int i = 0; i < SIM_SLOTS; i++)
		if (sim->nodes[i].id == id)
			return sim->nodes[i].starved;
	return false;
}

static void
receive(Sim *sim, Node *n, Packet *p)
{
	RaftMessage m;
	Status s;

	/* the first message of a leader makes the peer on its store */
	if (n->raft == NULL && n->down_until == 0 && n->id == p->m.to)
		node_start(sim, n);
	if (n->raft == NULL || n->id != p->m.to)
		return;
	m = p->m;
	raft_note_starved(n->raft, m.from, is_starved(sim, m.from));
	if (n->starved && m.type == RAFT_MSG_APPEND && m.n_entries > 0)
	{
		m.n_entries = raft_bare_entries(m.entries, m.n_entries);
		if (m.n_entries == 0)
			return;
	}
	s = raft_step(n->raft, &m, node_clock(sim, n));
	if (s != STATUS_OK && s != STATUS_BUSY && s != STATUS_UNAVAILABLE)
		sim_fail(sim,
				 "node %d: message type %d from %" PRIu64 " term %" PRIu64
				 ": %s",
				 n->slot, (int) p->m.type, p->m.from, p->m.term,
				 status_text(s));
	check_node(sim, n);
	check_stored(sim, n);
	node_want_turn(sim, n);
}

static void
tick(Sim *sim, Node *n)
{
	raft_tick(n->raft, node_clock(sim, n));
	if (sim_chance(sim, 0.002))
		(void) !raft_campaign(n->raft, node_clock(sim, n));
	if (n->turn.stage != STAGE_NONE)
	{
		node_compact_some(sim, n);
		if (sim_chance(sim, 0.5))
			send_some(sim, n);
	}
	check_node(sim, n);
	node_want_turn(sim, n);
	sim_push(sim,
			 (Event){.at = sim->now + (uint64_t) ((double) TICK_US / n->rate),
					 .kind = EV_TICK,
					 .slot = n->slot,
					 .incarnation = n->incarnation});
}

/* What waits for a paused node reaches it when it goes on. */
static bool
put_off(Sim *sim, const Node *n, const Event *e)
{
	Event later = *e;

	if (n->raft == NULL || n->paused_until <= sim->now)
		return false;
	later.at = n->paused_until + sim_rand(sim, 3 * MS);
	sim_push(sim, later);
	return true;
}

void
node_event(Sim *sim, const Event *e)
{
	Node *n = &sim->nodes[e->slot];

	if (put_off(sim, n, e))
		return;
	if (e->kind == EV_PACKET)
	{
		receive(sim, n, e->packet);
		packet_free(e->packet);
		return;
	}
	if (e->kind == EV_START)
	{
		if (n->raft == NULL && n->id != 0 && n->down_until != 0 &&
			n->down_until <= sim->now)
			node_start(sim, n);
		return;
	}
	if (n->raft == NULL || n->incarnation != e->incarnation)
		return;
	if (e->kind == EV_TICK)
		tick(sim, n);
	else if (e->kind == EV_TURN)
		node_turn(sim, n);
	else if (e->kind == EV_FLUSH)
		node_flushed(sim, n, e->arg);
	else
	{
		raft_report_snapshot(n->raft, e->arg, e->flag);
		node_want_turn(sim, n);
	}
}

/* The running leader of the highest term, if any. */
Node *
sim_leader(Sim *sim)
{
	Node *leader = NULL;

	for (int i = 0; i < SIM_SLOTS; i++)
	{
		Node *n = &sim->nodes[i];

		if (n->raft != NULL && raft_role(n->raft) == RAFT_LEADER &&
			(leader == NULL || raft_term(n->raft) > raft_term(leader->raft)))
			leader = n;
	}
	return leader;
}
