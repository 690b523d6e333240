/*
 * net.c
 *	  The simulated network: loss, delay, duplication, reordering, one-way cuts.
 */
#include "sim.h"

/* Entries carry the number of their op, or nothing. */
static size_t
entries_bytes(const RaftMessage *m)
{
	size_t bytes = 0;

	for (int i = 0; i < m->n_entries; i++)
		bytes += m->entries[i].data.len;
	return bytes;
}

static Bytes
put(uint8_t **at, Bytes b)
{
	uint8_t *p = *at;

	if (b.len > 0)
		memcpy(p, b.data, b.len);
	*at += b.len;
	return bytes_make(p, b.len);
}

Packet *
packet_make(Sim *sim, const RaftMessage *m)
{
	Packet *p = calloc(1, sizeof(*p));
	size_t bytes = entries_bytes(m) + m->context.len;
	uint8_t *at;

	CHECK(p != NULL);
	if (m->snapshot != NULL)
		bytes += m->snapshot->data.len;
	p->m = *m;
	p->to_slot = net_slot_of(sim, m->to);
	p->bytes = at = malloc(bytes + 1);
	CHECK(at != NULL);
	p->m.context = put(&at, m->context);
	if (m->n_entries > 0)
	{
		p->entries = calloc((size_t) m->n_entries, sizeof(RaftEntry));
		CHECK(p->entries != NULL);
		for (int i = 0; i < m->n_entries; i++)
		{
			p->entries[i] = m->entries[i];
			p->entries[i].data = put(&at, m->entries[i].data);
			p->entries[i].payload = NULL;
			p->entries[i].payload_size = 0;
		}
	}
	p->m.entries = p->entries;
	if (m->snapshot != NULL)
	{
		p->snapshot = *m->snapshot;
		p->snapshot.data = put(&at, m->snapshot->data);
		p->m.snapshot = &p->snapshot;
	}
	return p;
}

void
packet_free(Packet *p)
{
	free(p->entries);
	free(p->bytes);
	free(p);
}

/* Where the peer lives now; -1: nowhere. */
int
net_slot_of(const Sim *sim, uint64_t id)
{
	for (int i = 0; i < SIM_SLOTS; i++)
		if (id != 0 && sim->nodes[i].id == id)
			return i;
	return -1;
}

static uint64_t
delay(Sim *sim, const Packet *p)
{
	uint64_t us = 1 * MS + sim_rand(sim, sim->delay_us);

	if (!sim->healing && sim_chance(sim, 0.02))
		us += sim_rand(sim, DELAY_MAX_US / 2);
	if (p->m.type == RAFT_MSG_SNAPSHOT)
		us += 50 * MS;
	return us < DELAY_MAX_US ? us : DELAY_MAX_US;
}

static void
deliver_later(Sim *sim, Packet *p, uint64_t at)
{
	sim_push(sim,
			 (Event){.at = at,
					 .kind = EV_PACKET,
					 .slot = p->to_slot,
					 .packet = p});
}

/* A leader that sends a snapshot is told how that went. */
static void
report_snapshot(Sim *sim, int from_slot, const Packet *p, bool sent,
				uint64_t at)
{
	if (p->m.type != RAFT_MSG_SNAPSHOT)
		return;
	sim->snapshots++;
	sim_push(sim,
			 (Event){.at = at + 1 * MS,
					 .kind = EV_SNAP_STATUS,
					 .slot = from_slot,
					 .incarnation = sim->nodes[from_slot].incarnation,
					 .arg = p->m.to,
					 .flag = sent});
}

/* Takes the packet over. */
void
net_send(Sim *sim, int from_slot, Packet *p)
{
	bool lost = p->to_slot < 0 || sim->cut[from_slot][p->to_slot] ||
		sim_chance(sim, sim->loss);
	uint64_t at = sim->now + delay(sim, p);

	report_snapshot(sim, from_slot, p, !lost, at);
	if (lost)
	{
		packet_free(p);
		return;
	}
	if (sim_chance(sim, sim->duplicate))
		deliver_later(sim, packet_make(sim, &p->m), sim->now + delay(sim, p));
	deliver_later(sim, p, at);
}

void
net_send_all(Sim *sim, int from_slot, const RaftMessage *m, int n)
{
	for (int i = 0; i < n; i++)
		net_send(sim, from_slot, packet_make(sim, &m[i]));
}
