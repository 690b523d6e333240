/*
 * message.c
 *	  Messages on their way out, and what a message from outside must satisfy.
 *
 * Answers wait in a bounded queue for the next ready; what a leader sends is
 * made in the ready itself (replicate.c).  A message that is dropped because
 * the queue is full is one that the network lost.
 */
#include "core/raft/raft_internal.h"

void
raft_put_u64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t) (v >> (56 - 8 * i));
}

uint64_t
raft_get_u64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

/*
 * Queue a message; from is this peer, and term the current one unless it is
 * set.  A context of up to RAFT_CONTEXT_MAX bytes is copied.
 */
void
raft_send(Raft *r, RaftMessage *m)
{
	raft_send_data(r, m, bytes_empty());
}

/* As raft_send, with one entry that holds a copy of `data`. */
void
raft_send_data(Raft *r, RaftMessage *m, Bytes data)
{
	RaftQueued *q;

	CHECK(m->to != RAFT_NONE && m->context.len <= RAFT_CONTEXT_MAX);
	if (r->n_msgs >= r->config.max_pending_msgs)
	{
		r->dropped_msgs++;
		return;
	}
	r->msgs =
		raft_grow(r, r->msgs, r->n_msgs, &r->cap_msgs, sizeof(RaftQueued));
	q = &r->msgs[r->n_msgs++];
	memset(q, 0, sizeof(*q));
	m->from = r->config.id;
	if (m->term == 0)
		m->term = r->term;
	q->m = *m;
	if (m->context.len > 0)
		memcpy(q->context, m->context.data, m->context.len);
	if (data.len > 0)
	{
		q->data = r->alloc.alloc(r->alloc.arg, data.len);
		memcpy(q->data, data.data, data.len);
		q->data_len = data.len;
		r->read_bytes += data.len;
	}
}

void
raft_free_data(Raft *r, RaftQueued *q)
{
	if (q->data == NULL)
		return;
	r->read_bytes -= q->data_len;
	raft_alloc_free(r, q->data);
}

void
raft_clear_msgs(Raft *r)
{
	for (int i = 0; i < r->n_msgs; i++)
		raft_free_data(r, &r->msgs[i]);
	r->n_msgs = 0;
}

/*
 * Must what this message promises survive a crash of the sender?  Votes and
 * acknowledgements must; so must the term of a leader, which a sole voter
 * takes without asking anybody, before it uses it.  A heartbeat's answer
 * promises nothing about the log, and the promise behind the lease outlives a
 * crash through the quarantine of restarted peers; one of which nothing is
 * stored would not know that it restarts.
 */
bool
raft_needs_flush(const Raft *r, RaftMessageType type, bool reject)
{
#ifdef RAFT_MUTATION_ACK_BEFORE_FLUSH
	return false;
#endif
	switch (type)
	{
		case RAFT_MSG_REQUEST_VOTE:
			return true;
		case RAFT_MSG_REQUEST_VOTE_RESPONSE:
		case RAFT_MSG_APPEND_RESPONSE:
			return !reject;
		case RAFT_MSG_APPEND:
		case RAFT_MSG_SNAPSHOT:
		case RAFT_MSG_HEARTBEAT:
		case RAFT_MSG_TIMEOUT_NOW:
		case RAFT_MSG_READ_INDEX_RESP:
			return r->log.persisted_term < r->term;
		case RAFT_MSG_HEARTBEAT_RESPONSE:
			return r->log.persisted_term == 0;
		default:
			return false;
	}
}

/* Are the entries a run that follows (index, log_term) in term's log? */
static Status
check_entries(const Raft *r, const RaftMessage *m)
{
	uint64_t term = m->log_term;

	if (m->n_entries < 0 || (m->n_entries > 0 && m->entries == NULL) ||
		m->index > RAFT_LAST_NUMBER || m->log_term > m->term)
		return STATUS_INVALID;
	for (int i = 0; i < m->n_entries; i++)
	{
		const RaftEntry *e = &m->entries[i];

		if (e->index != m->index + 1 + (uint64_t) i || e->term < term ||
			e->term > m->term || e->term == 0 || e->payload != NULL ||
			(unsigned) e->type > RAFT_ENTRY_CONF_CHANGE_V2)
			return STATUS_INVALID;
		if (e->data.len > r->config.max_entry_bytes ||
			e->context.len > r->config.max_entry_bytes)
			return STATUS_TOO_LARGE;
		term = e->term;
	}
	return STATUS_OK;
}

static Status
check_snapshot(const RaftMessage *m)
{
	const RaftSnapshot *s = m->snapshot;

	if (s == NULL || s->meta.index == 0 || s->meta.index > RAFT_LAST_NUMBER ||
		s->meta.term == 0 || s->meta.term > m->term ||
		!raft_conf_valid(&s->meta.conf) || s->meta.conf.voters.n == 0)
		return STATUS_INVALID;
	return STATUS_OK;
}

/*
 * Could an honest peer have sent this?  Everything that a later function
 * relies on is checked here, so that bad bytes end as an error.  Terms and
 * indexes grow by one from there: they must never come to their end.
 */
Status
raft_check_message(const Raft *r, const RaftMessage *m)
{
	if (m->from == RAFT_NONE || m->from == r->config.id || m->term == 0 ||
		m->term > RAFT_LAST_NUMBER ||
		(m->to != RAFT_NONE && m->to != r->config.id))
		return STATUS_INVALID;
	switch (m->type)
	{
		case RAFT_MSG_APPEND:
			return check_entries(r, m);
		case RAFT_MSG_SNAPSHOT:
			return check_snapshot(m);
		case RAFT_MSG_READ_INDEX:
		case RAFT_MSG_READ_INDEX_RESP:
			if (m->n_entries != 1 || m->entries == NULL)
				return STATUS_INVALID;
			return m->entries[0].data.len > RAFT_READ_CONTEXT_MAX ?
				STATUS_TOO_LARGE :
				STATUS_OK;
		case RAFT_MSG_APPEND_RESPONSE:
		case RAFT_MSG_HEARTBEAT:
		case RAFT_MSG_HEARTBEAT_RESPONSE:
		case RAFT_MSG_REQUEST_VOTE:
		case RAFT_MSG_REQUEST_VOTE_RESPONSE:
		case RAFT_MSG_REQUEST_PRE_VOTE:
		case RAFT_MSG_REQUEST_PRE_VOTE_RESPONSE:
		case RAFT_MSG_TRANSFER_LEADER:
		case RAFT_MSG_TIMEOUT_NOW:
			return STATUS_OK;
		default:
			return STATUS_INVALID;
	}
}
