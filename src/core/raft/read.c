/*
 * read.c
 *	  ReadIndex: linearizable reads without a log entry.
 *
 * Reads that came since the last ready share one heartbeat round; once a
 * quorum has answered it, the commit index as of the round's start is the
 * read's index (Raft thesis 6.4).  A new leader knows that index only after
 * committing an entry of its own term, so earlier reads wait for that.
 */
#include "core/raft/raft_internal.h"

static void
free_context(Raft *r, RaftRead *read)
{
	r->read_bytes -= read->context_len;
	raft_alloc_free(r, read->context);
}

static void
free_reads(Raft *r, RaftRead *reads, int n)
{
	for (int i = 0; i < n; i++)
		free_context(r, &reads[i]);
}

static void
set_context(Raft *r, RaftRead *read, Bytes context)
{
	read->context = r->alloc.alloc(r->alloc.arg, context.len + 1);
	read->context_len = context.len;
	if (context.len > 0)
		memcpy(read->context, context.data, context.len);
	r->read_bytes += context.len;
}

/* Is there room for another, in numbers and in bytes? */
static bool
has_room(const Raft *r, int n, size_t len)
{
	return n < r->config.max_pending_reads &&
		(r->read_bytes == 0 ||
		 (len <= r->config.max_read_bytes &&
		  r->read_bytes <= r->config.max_read_bytes - len));
}

/* Leadership changed: nobody answers these any more. */
void
raft_drop_reads(Raft *r)
{
	free_reads(r, r->reads, r->n_reads);
	r->n_reads = 0;
}

void
raft_clear_read_states(Raft *r)
{
	free_reads(r, r->read_states, r->n_read_states);
	r->n_read_states = 0;
}

static bool
can_serve(const Raft *r)
{
#ifdef RAFT_MUTATION_READ_BEFORE_OWN_TERM
	return true;
#endif
	return raft_committed_own_term(r);
}

/* Is there a read for which a round has to begin? */
bool
raft_reads_waiting(const Raft *r)
{
	return r->role == RAFT_LEADER && r->n_reads > 0 &&
		r->reads[r->n_reads - 1].round == 0 && can_serve(r);
}

void
raft_reads_join_round(Raft *r)
{
	if (!raft_reads_waiting(r))
		return;
	for (int i = r->n_reads - 1; i >= 0 && r->reads[i].round == 0; i--)
	{
		r->reads[i].round = r->round;
		r->reads[i].index = r->log.commit;
	}
}

static void
add_read_state(Raft *r, const RaftRead *read)
{
	r->read_states = raft_grow(r, r->read_states, r->n_read_states,
							   &r->cap_read_states, sizeof(RaftRead));
	r->read_states[r->n_read_states++] = *read;
}

static void
answer_read(Raft *r, RaftRead *read)
{
	RaftMessage m = {.type = RAFT_MSG_READ_INDEX_RESP, .to = read->from};

	if (read->from == RAFT_NONE)
	{
		add_read_state(r, read);
		return;
	}
	m.index = read->index;
	raft_send_data(r, &m, bytes_make(read->context, read->context_len));
	free_context(r, read);
}

/* A quorum has answered the rounds up to this one. */
void
raft_reads_done(Raft *r, uint64_t round)
{
	int done = 0;

	while (done < r->n_reads && r->reads[done].round != 0 &&
		   r->reads[done].round <= round)
		answer_read(r, &r->reads[done++]);
	r->n_reads -= done;
	if (done > 0 && r->n_reads > 0)
		memmove(r->reads, r->reads + done,
				(size_t) r->n_reads * sizeof(RaftRead));
}

static Status
queue_read(Raft *r, uint64_t from, Bytes context)
{
	RaftRead *read;

	/* what is answered counts too, until a ready takes it along */
	if (!has_room(r, r->n_reads + r->n_read_states, context.len))
		return STATUS_BUSY;
	r->reads =
		raft_grow(r, r->reads, r->n_reads, &r->cap_reads, sizeof(RaftRead));
	read = &r->reads[r->n_reads++];
	memset(read, 0, sizeof(*read));
	read->from = from;
	set_context(r, read, context);
	return STATUS_OK;
}

Status
raft_read_index(Raft *r, Bytes context)
{
	RaftMessage m = {.type = RAFT_MSG_READ_INDEX, .to = r->leader};

	if (context.len > RAFT_READ_CONTEXT_MAX)
		return STATUS_TOO_LARGE;
	raft_wake(r);
	if (r->role == RAFT_LEADER)
		return queue_read(r, RAFT_NONE, context);
	if (r->leader == RAFT_NONE)
		return STATUS_UNAVAILABLE;
	if (r->n_msgs >= r->config.max_pending_msgs || !has_room(r, 0, context.len))
		return STATUS_BUSY;
	raft_send_data(r, &m, context);
	return STATUS_OK;
}

/* A follower's reader asks; one that is not the leader lets it ask again. */
Status
raft_handle_read_index(Raft *r, const RaftMessage *m)
{
	if (r->role != RAFT_LEADER)
		return STATUS_OK;
	return queue_read(r, m->from, m->entries[0].data);
}

/* The leader's answer to a reader here. */
Status
raft_handle_read_answer(Raft *r, const RaftMessage *m)
{
	RaftRead read = {.index = m->index};
	Bytes context = m->entries[0].data;

	if (r->role != RAFT_FOLLOWER || r->leader != m->from)
		return STATUS_OK;
	if (!has_room(r, r->n_read_states, context.len))
		return STATUS_BUSY;
	set_context(r, &read, context);
	add_read_state(r, &read);
	return STATUS_OK;
}
