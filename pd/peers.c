/*
 * peers.c
 *	  PD's members to each other: messages of their group, and their starts.
 *
 * Messages are those of stores, raft_serverpb.RaftMessage over the streams of
 * src/transport, on the port of PD.  A member is its own store here.
 */
#include "postgres.h"

#include "bus/board.h"
#include "bus/failpoints.h"
#include "core/cmd/peer_message.h"
#include "pd/convert.h"
#include "pd/pd.h"
#include "pd/peer_check.h"
#include "transport/fence.h"
#include "transport/transport.h"

/* The number of PD's group in the messages' envelope. */
#define PD_REGION 1

/* ---- messages ---- */

static void
resolve(void *arg, uint64_t id)
{
	Pd *pd = arg;
	const PdMember *member = members_find(&pd->state.members, id);

	transport_resolved(pd->transport, id,
					   member == NULL ?
						   NULL :
						   url_address(member->peer_url, &pd->arena));
}

/*
 * This member has forgotten what it told the others, or somebody else has its
 * place: it must not vote, and waits for whoever mends it.
 */
static void
fence(Pd *pd, const char *why)
{
	if (pd->fenced[0] != '\0')
		return;
	snprintf(pd->fenced, sizeof(pd->fenced),
			 "%s: this data directory is a copy, or was rolled back", why);
	ereport(
		WARNING,
		(errmsg("tikv pd: this member takes part no more: %s", pd->fenced),
		 errhint(
			 "Stop the copy, or remove the member and its store, and have the node begin anew with tikv_reset_store().")));
}

/* Of a newer version, or of nobody that is a member: it goes on without. */
static void
refuse(Pd *pd, uint64 from)
{
	if (pd->refuses)
		return;
	pd->refuses = true;
	ereport(
		WARNING,
		(errmsg(
			"tikv pd: member %llu sends changes that this member cannot read, and takes none of them",
			(unsigned long long) from)));
}

static void
on_message(void *arg, Bytes bytes)
{
	Pd *pd = arg;
	PeerMessage m;

	if (pd->raft == NULL || pd->fenced[0] != '\0' ||
		peer_message_decode(bytes, &pd->arena, &m) != STATUS_OK ||
		m.region_id != PD_REGION || !m.has_raft ||
		m.to.id != pd->saved.member_id)
		return;
	if (!peer_can_apply(&m.raft, pd->state.cluster_id))
	{
		refuse(pd, m.from.id);
		return;
	}
	FAILPOINT_PASS("pd_message_received");
	/* A member that stood still in this round: that was before it hears this. */
	group_clock(pd);
	switch (raft_step(pd->raft, &m.raft, (uint64) board_now_us()))
	{
		case STATUS_CORRUPT:
			fence(pd,
				  arena_printf(&pd->arena,
							   "member %llu contradicts what is committed here",
							   (unsigned long long) m.from.id));
			break;
		default:
			break;
	}
}

static void
on_unreachable(void *arg, uint64_t id)
{
	Pd *pd = arg;

	if (pd->raft == NULL)
		return;
	raft_report_unreachable(pd->raft, id);
	raft_report_snapshot(pd->raft, id, false);
}

static void
on_refused(void *arg, uint64_t id, const char *text)
{
	Pd *pd = arg;

	const char *why =
		arena_printf(&pd->arena, "member %llu refuses this node: %s",
					 (unsigned long long) id, text);

	if (strstr(text, FENCE_SEEN) != NULL)
		fence(pd, why);
	else
		ereport(WARNING, (errmsg("tikv pd: %s", why)));
	strlcpy(pd->reason, why, sizeof(pd->reason));
}

void
peers_start(Pd *pd)
{
	TransportConfig config = {0};

	if (pd->transport != NULL || pd->raft == NULL || pd->server == NULL)
		return;
	config.server = pd->server;
	config.cluster_id = pd->state.cluster_id;
	config.self_id = pd->saved.member_id;
	config.start_seq = pd->saved.start_seq;
	config.resolve = resolve;
	config.on_message = on_message;
	config.on_unreachable = on_unreachable;
	config.on_refused = on_refused;
	config.arg = pd;
	pd->transport = transport_start(&config);
	pd->n_met = 0;
	starts_tick(pd);
}

void
peers_stop(Pd *pd)
{
	if (pd->transport != NULL)
		transport_stop(pd->transport);
	pd->transport = NULL;
}

/*
 * A snapshot goes the way of all messages, so what is sent to its receiver from
 * now on comes behind it, and finds out whether it was taken: the answer to it
 * may be lost, and comes once.
 */
static void
is_on_its_way(Pd *pd, const PackedMessage *message)
{
	if (message->type == RAFT_MSG_SNAPSHOT)
		raft_report_snapshot(pd->raft, message->to, true);
}

PackedMessage *
peers_pack(Pd *pd, const RaftMessage *messages, int n)
{
	PackedMessage *packed =
		arena_alloc(&pd->arena, (size_t) n * sizeof(*packed));

	for (int i = 0; i < n && pd->transport != NULL; i++)
	{
		PeerMessage m = {.region_id = PD_REGION,
						 .extra = EXTRA_NONE,
						 .has_raft = true,
						 .raft = messages[i]};

		m.from.id = m.from.store_id = messages[i].from;
		m.to.id = m.to.store_id = messages[i].to;
		packed[i].to = messages[i].to;
		packed[i].type = messages[i].type;
		packed[i].bytes = peer_message_encode(&m, &pd->arena);
	}
	return packed;
}

void
peers_send(Pd *pd, const PackedMessage *messages, int n)
{
	for (int i = 0; i < n && pd->transport != NULL; i++)
	{
		FAILPOINT_PASS("pd_message_out");
		if (transport_send(pd->transport, messages[i].to, messages[i].bytes))
			is_on_its_way(pd, &messages[i]);
		else
			on_unreachable(pd, messages[i].to);
	}
}

/* What may go though nothing can be saved now. */
void
peers_send_urgent(Pd *pd)
{
	const RaftMessage *messages;
	int n = raft_take_messages(pd->raft, &pd->arena, (uint64) board_now_us(),
							   &messages);

	peers_send(pd, peers_pack(pd, messages, n), n);
}

/* ---- starts ---- */

/*
 * Who was a member and is none may come back and begin anew.  If it was none for
 * so short a time that no look came in between, its start tells.
 */
static void
forget_gone(Pd *pd)
{
	const Members *members = &pd->state.members;

	for (size_t i = 0; i < pd->n_met; i++)
	{
		const PdMember *member = members_find(members, pd->met[i].id);

		if (member == NULL ||
			FENCE_SEQ(member->start) < FENCE_SEQ(pd->met[i].start))
			transport_forget(pd->transport, pd->met[i].id);
	}
	pd->n_met = members->n;
	for (size_t i = 0; i < members->n; i++)
		pd->met[i] = (MetMember){members->items[i]->member.id,
								 members->items[i]->member.start};
}

static uint64
newest_start(Pd *pd, const PdMember *member)
{
	return member->id == pd->saved.member_id ?
		transport_own_start(pd->transport) :
		transport_seen_start(pd->transport, member->id);
}

/* The leader saves what it has seen for the others, and for their restarts. */
static void
save_starts(Pd *pd)
{
	const Members *members = &pd->state.members;
	PdChanges changes;
	const char *why;

	pd_changes_init(&changes, &pd->arena);
	for (size_t i = 0; i < members->n; i++)
	{
		PdMember next = members->items[i]->member;
		uint64 seen = newest_start(pd, &next);

		if (FENCE_SEQ(seen) <= FENCE_SEQ(next.start))
			continue;
		next.start = seen;
		if (pd_state_put_member(&pd->state, &next, &changes).type != PD_OK)
			return;
	}
	if (changes.n > 0)
		(void) pd_change(pd, &changes, &why);
}

void
starts_tick(Pd *pd)
{
	const Members *members = &pd->state.members;

	if (pd->transport == NULL)
		return;
	forget_gone(pd);
	for (size_t i = 0; i < members->n; i++)
	{
		const PdMember *member = &members->items[i]->member;

		if (member->start != 0 && member->id != pd->saved.member_id)
			transport_know_start(pd->transport, member->id, member->start);
	}
	if (pd->leading && !pd->changing)
		save_starts(pd);
}
