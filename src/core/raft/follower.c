/*
 * follower.c
 *	  The follower's side of the log: appends and heartbeats.
 *
 * An append is taken if it follows an entry that this log has; what differs
 * after it gives way.  The acknowledgement waits for the flush (ready.c).
 */
#include "core/raft/raft_internal.h"

/* Say where the logs may agree, so that the leader need not go step by step. */
static void
refuse(Raft *r, const RaftMessage *m)
{
	RaftMessage answer = {.type = RAFT_MSG_APPEND_RESPONSE, .to = m->from};
	uint64_t last = raft_log_last(&r->log);
	uint64_t hint = m->index < last ? m->index : last;

	hint = raft_log_find_conflict(&r->log, hint, m->log_term, &answer.log_term);
	answer.index = m->index;
	answer.reject = true;
	answer.reject_hint = hint;
	raft_send(r, &answer);
}

static void
acknowledge(Raft *r, uint64_t to, uint64_t index)
{
	RaftMessage answer = {.type = RAFT_MSG_APPEND_RESPONSE, .to = to};

	answer.index = index;
	answer.request_snapshot = raft_uninstalled_snapshot(r);
	raft_send(r, &answer);
}

/* The first entry that this log does not have; n_entries if it has all. */
static int
first_new(const Raft *r, const RaftMessage *m)
{
	int i = 0;

	while (i < m->n_entries &&
		   raft_log_matches(&r->log, m->entries[i].index, m->entries[i].term))
		i++;
	return i;
}

static bool
too_much(const Raft *r, const RaftMessage *m, int from)
{
	size_t bytes = r->log.unstored_bytes;

	for (int i = from; i < m->n_entries; i++)
		bytes += raft_entry_bytes(&m->entries[i]);
	return r->log.unstored_bytes > 0 && bytes > r->config.max_unstored_bytes;
}

Status
raft_handle_append(Raft *r, const RaftMessage *m)
{
	uint64_t last_new = m->index + (uint64_t) m->n_entries;
	uint64_t commit = m->commit < last_new ? m->commit : last_new;
	int from;

	if (m->index < r->log.commit)
	{
		acknowledge(r, m->from, r->log.commit);
		return STATUS_OK;
	}
	if (!raft_log_matches(&r->log, m->index, m->log_term))
	{
		refuse(r, m);
		return STATUS_OK;
	}
	from = first_new(r, m);
	if (from < m->n_entries)
	{
		uint64_t at = m->entries[from].index;

		if (at <= r->log.commit)
			return STATUS_CORRUPT;
		/* the leader sends it again when this peer has caught its breath */
		if (too_much(r, m, from))
			return STATUS_OK;
		if (at <= raft_log_last(&r->log))
			raft_log_cut(&r->log, at);
		for (int i = from; i < m->n_entries; i++)
			raft_log_append(&r->log, &m->entries[i]);
	}
	if (commit > r->log.commit)
		r->log.commit = commit;
	acknowledge(r, m->from, last_new);
	return STATUS_OK;
}

Status
raft_handle_heartbeat(Raft *r, const RaftMessage *m)
{
	RaftMessage answer = {.type = RAFT_MSG_HEARTBEAT_RESPONSE, .to = m->from};

	/* the leader has seen it acknowledged: then entries were lost here */
	if (m->commit > raft_log_last(&r->log))
		return STATUS_CORRUPT;
	if (m->commit > r->log.commit)
		r->log.commit = m->commit;
	if (m->context.len == 16)
	{
		uint64_t generation = raft_get_u64(m->context.data + 8);

		if (generation > r->generation || r->generation_term != r->term)
			r->generation = generation;
		r->generation_term = r->term;
		answer.context = m->context;
	}
	answer.request_snapshot = raft_uninstalled_snapshot(r);
	raft_send(r, &answer);
	return STATUS_OK;
}
