/*
 * print.c
 *	  Messages, readies and states as lines of text.
 */
#include "cluster.h"

const char *
role_name(RaftRole role)
{
	static const char *const names[] = {"follower", "candidate", "leader",
										"pre-candidate"};

	return names[role];
}

const char *
message_name(RaftMessageType type)
{
	static const char *const names[] = {"Hup",
										"Beat",
										"Propose",
										"Append",
										"AppendResponse",
										"Vote",
										"VoteResponse",
										"Snapshot",
										"Heartbeat",
										"HeartbeatResponse",
										"Unreachable",
										"SnapStatus",
										"CheckQuorum",
										"TransferLeader",
										"TimeoutNow",
										"ReadIndex",
										"ReadIndexResp",
										"PreVote",
										"PreVoteResponse"};

	return names[type];
}

static void
print_entry(FILE *out, const RaftEntry *e)
{
	fprintf(out, " %" PRIu64 "/%" PRIu64, e->index, e->term);
	if (e->type != RAFT_ENTRY_NORMAL)
		fprintf(out, " conf");
	if (e->data.len > 0)
		fprintf(out, " \"%.*s\"", (int) e->data.len,
				(const char *) e->data.data);
}

void
print_entries(FILE *out, const RaftEntry *e, int n)
{
	for (int i = 0; i < n; i++)
	{
		print_entry(out, &e[i]);
		if (i + 1 < n)
			fprintf(out, ",");
	}
}

static uint64_t
number_at(Bytes b, size_t at)
{
	uint64_t v = 0;

	for (size_t i = at; i < at + 8 && i < b.len; i++)
		v = v << 8 | b.data[i];
	return v;
}

/* The core's own contexts: rounds, and orders to campaign. */
static void
print_context(FILE *out, const RaftMessage *m)
{
	if (m->context.len == 0)
		return;
	switch (m->type)
	{
		case RAFT_MSG_HEARTBEAT:
		case RAFT_MSG_HEARTBEAT_RESPONSE:
			fprintf(out, " round %" PRIu64, number_at(m->context, 0));
			if (number_at(m->context, 8) > 0)
				fprintf(out, " generation %" PRIu64, number_at(m->context, 8));
			break;
		case RAFT_MSG_TIMEOUT_NOW:
			fprintf(out, " generation %" PRIu64, number_at(m->context, 0));
			break;
		default:
			fprintf(out, " ordered");
			break;
	}
}

static void
print_answer(FILE *out, const RaftMessage *m)
{
	if (m->reject)
		fprintf(out, " reject");
	if (m->type != RAFT_MSG_APPEND_RESPONSE)
	{
		if (m->reject && m->commit > 0)
			fprintf(out, " (commit %" PRIu64 "/%" PRIu64 ")", m->commit,
					m->commit_term);
		return;
	}
	if (!m->reject || m->index > 0)
		fprintf(out, " %" PRIu64, m->index);
	if (m->reject && m->log_term + m->reject_hint > 0)
		fprintf(out, ", try %" PRIu64 "/%" PRIu64, m->reject_hint, m->log_term);
}

void
print_message(FILE *out, const RaftMessage *m)
{
	fprintf(out, "%" PRIu64 "->%" PRIu64 " %s t%" PRIu64, m->from, m->to,
			message_name(m->type), m->term);
	switch (m->type)
	{
		case RAFT_MSG_APPEND:
			fprintf(out, " after %" PRIu64 "/%" PRIu64 " commit %" PRIu64,
					m->index, m->log_term, m->commit);
			if (m->n_entries > 0)
				fprintf(out, ":");
			print_entries(out, m->entries, m->n_entries);
			break;
		case RAFT_MSG_HEARTBEAT:
			fprintf(out, " commit %" PRIu64, m->commit);
			break;
		case RAFT_MSG_SNAPSHOT:
			fprintf(out, " %" PRIu64 "/%" PRIu64, m->snapshot->meta.index,
					m->snapshot->meta.term);
			print_conf(out, &m->snapshot->meta.conf);
			break;
		case RAFT_MSG_REQUEST_VOTE:
		case RAFT_MSG_REQUEST_PRE_VOTE:
			fprintf(out, " last %" PRIu64 "/%" PRIu64, m->index, m->log_term);
			break;
		case RAFT_MSG_READ_INDEX:
		case RAFT_MSG_READ_INDEX_RESP:
			if (m->type == RAFT_MSG_READ_INDEX_RESP)
				fprintf(out, " %" PRIu64, m->index);
			fprintf(out, " \"%.*s\"", (int) m->entries[0].data.len,
					(const char *) m->entries[0].data.data);
			break;
		default:
			print_answer(out, m);
			break;
	}
	print_context(out, m);
	fprintf(out, "\n");
}

void
print_ready(FILE *out, const Node *n, const RaftReady *rd)
{
	fprintf(out, "ready %" PRIu64 " of node %" PRIu64 "%s\n", rd->number, n->id,
			rd->sole ? ", sole" : "");
	if (rd->has_soft_state)
	{
		fprintf(out, "  %s", role_name(rd->role));
		if (rd->leader != 0 && rd->leader != n->id)
			fprintf(out, " of %" PRIu64, rd->leader);
		fprintf(out, "\n");
	}
	if (rd->has_hard_state)
		fprintf(out, "  term %" PRIu64 " vote %" PRIu64 " commit %" PRIu64 "\n",
				rd->hard_state.term, rd->hard_state.vote,
				rd->hard_state.commit);
	if (rd->snapshot != NULL)
		fprintf(out, "  install %" PRIu64 "/%" PRIu64 "\n",
				rd->snapshot->meta.index, rd->snapshot->meta.term);
	if (rd->n_entries > 0)
	{
		fprintf(out, "  store");
		print_entries(out, rd->entries, rd->n_entries);
		fprintf(out, "\n");
	}
	if (rd->n_committed > 0)
	{
		fprintf(out, "  apply");
		print_entries(out, rd->committed, rd->n_committed);
		fprintf(out, "\n");
	}
	for (int i = 0; i < rd->n_read_states; i++)
		fprintf(out, "  read \"%.*s\" at %" PRIu64 "\n",
				(int) rd->read_states[i].context.len,
				(const char *) rd->read_states[i].context.data,
				rd->read_states[i].index);
	for (int i = 0; i < rd->n_messages; i++)
	{
		fprintf(out, "  send ");
		print_message(out, &rd->messages[i]);
	}
	for (int i = 0; i < rd->n_persisted_messages; i++)
	{
		fprintf(out, "  after the flush ");
		print_message(out, &rd->persisted_messages[i]);
	}
}

static void
print_set(FILE *out, const char *name, const RaftIdSet *set)
{
	if (set->n == 0)
		return;
	fprintf(out, " %s", name);
	for (int i = 0; i < set->n; i++)
		fprintf(out, "%c%" PRIu64, i == 0 ? ' ' : ',', set->id[i]);
}

void
print_conf(FILE *out, const RaftConfState *conf)
{
	print_set(out, "voters", &conf->voters);
	print_set(out, "outgoing", &conf->voters_outgoing);
	print_set(out, "learners", &conf->learners);
	print_set(out, "learners next", &conf->learners_next);
	if (conf->auto_leave)
		fprintf(out, " auto leave");
}

void
print_status(FILE *out, const Node *n)
{
	RaftStatus st;

	if (n->raft == NULL)
	{
		fprintf(out, "node %" PRIu64 " is down\n", n->id);
		return;
	}
	raft_status(n->raft, &st);
	fprintf(out,
			"node %" PRIu64 " %s term %" PRIu64 " commit %" PRIu64
			" applied %" PRIu64 " last %" PRIu64 "/%" PRIu64,
			n->id, role_name(st.role), st.hard_state.term, st.hard_state.commit,
			st.applied_index, st.last_index, st.last_term);
	if (st.truncated_index > 0)
		fprintf(out, " truncated %" PRIu64, st.truncated_index);
	if (st.transferee != 0)
		fprintf(out, " transfer to %" PRIu64, st.transferee);
	if (st.hibernated)
		fprintf(out, " asleep");
	fprintf(out, "\n");
}

/* The terms of a log, with the part that is committed before a bar. */
void
print_log(FILE *out, const Node *n)
{
	RaftStatus st;

	if (n->raft == NULL)
		return;
	raft_status(n->raft, &st);
	fprintf(out, "node %" PRIu64 " log:", n->id);
	for (uint64_t i = st.truncated_index + 1; i <= st.last_index; i++)
	{
		uint64_t term = 0;

		CHECK(raft_term_at(n->raft, i, &term) == STATUS_OK);
		fprintf(out, " %" PRIu64, term);
		if (i == st.hard_state.commit && i < st.last_index)
			fprintf(out, " |");
	}
	fprintf(out, "\n");
}

void
print_progress(FILE *out, const Node *n)
{
	static const char *const states[] = {"probe", "replicate", "snapshot"};
	RaftStatus st;

	if (n->raft == NULL)
		return;
	raft_status(n->raft, &st);
	for (int i = 0; i < st.n_peers; i++)
	{
		const RaftPeerStatus *p = &st.peers[i];

		if (p->id == n->id)
			continue;
		fprintf(out, "%" PRIu64 " %s match %" PRIu64 " next %" PRIu64, p->id,
				states[p->state], p->match, p->next);
		if (p->inflight_msgs > 0)
			fprintf(out, " in flight %d", p->inflight_msgs);
		if (p->pending_snapshot > 0)
			fprintf(out, " snapshot %" PRIu64, p->pending_snapshot);
		fprintf(out, "%s%s%s\n", p->paused ? " paused" : "",
				p->learner ? " learner" : "",
				p->recent_active ? "" : " silent");
	}
}
