/*
 * cluster.c
 *	  Nodes with a stored and a flushed state, and mail between them.
 */
#include "cluster.h"

/* ---------------------------------------------------------------- mail */

void
mail_init(MailList *list)
{
	list->first = NULL;
	list->end = &list->first;
}

void
mail_push(MailList *list, Mail *mail)
{
	mail->next = NULL;
	*list->end = mail;
	list->end = &mail->next;
}

static Mail *
mail_make(const RaftMessage *m)
{
	Mail *mail = calloc(1, sizeof(*mail));

	CHECK(mail != NULL);
	arena_init(&mail->arena);
	mail->m = *m;
	mail->m.context = arena_copy(&mail->arena, m->context);
	mail->entries =
		arena_alloc(&mail->arena,
					(size_t) (m->n_entries + 1) * sizeof(RaftEntry));
	for (int i = 0; i < m->n_entries; i++)
	{
		mail->entries[i] = m->entries[i];
		mail->entries[i].data = arena_copy(&mail->arena, m->entries[i].data);
	}
	mail->m.entries = mail->entries;
	if (m->snapshot != NULL)
	{
		mail->snapshot = *m->snapshot;
		mail->snapshot.data = arena_copy(&mail->arena, m->snapshot->data);
		mail->m.snapshot = &mail->snapshot;
	}
	return mail;
}

void
mail_free(Mail *mail)
{
	arena_free(&mail->arena);
	free(mail);
}

static void
mail_clear(MailList *list)
{
	while (list->first != NULL)
	{
		Mail *mail = list->first;

		list->first = mail->next;
		mail_free(mail);
	}
	mail_init(list);
}

static void
post(Cluster *c, Mail *mail)
{
	if (mail->m.to > MAX_NODES || c->cut[mail->m.from][mail->m.to])
		mail_free(mail);
	else
		mail_push(&c->mail, mail);
}

/* The mail reaches its node, which may have to be made first. */
void
mail_deliver(Cluster *c, Mail *mail)
{
	Node *n = c->nodes[mail->m.to];
	RaftConfState none = {.auto_leave = false};
	Status s;

	if (n == NULL)
		n = cluster_add(c, mail->m.to, &none);
	if (n->raft == NULL)
		return;
	s = raft_step(n->raft, &mail->m, n->now_us);
	if (s != STATUS_OK)
		fprintf(c->out, "node %" PRIu64 ": %s\n", n->id, status_text(s));
}

/* --------------------------------------------------------- stored log */

static LogEntry *
entry_at(State *s, uint64_t index)
{
	CHECK(index > s->truncated_index &&
		  index <= s->truncated_index + (uint64_t) s->n);
	return &s->log[index - s->truncated_index - 1];
}

static Status
stored_entries(void *arg, uint64_t low, uint64_t high, size_t max_bytes,
			   Arena *arena, RaftEntry **out, int *n)
{
	Node *node = arg;
	size_t bytes = 0;

	*out = arena_zalloc(arena, (size_t) (high - low) * sizeof(RaftEntry));
	for (*n = 0; low < high; low++)
	{
		const LogEntry *from = entry_at(&node->stored, low);
		RaftEntry *to = &(*out)[*n];

		*to = (RaftEntry){.type = from->type, .term = from->term, .index = low};
		to->data = arena_copy(arena, bytes_cstr(from->data));
		bytes += sizeof(RaftEntry) + to->data.len;
		if (*n > 0 && bytes > max_bytes)
			break;
		(*n)++;
	}
	return STATUS_OK;
}

static Status
stored_term(void *arg, uint64_t index, uint64_t *term)
{
	*term = entry_at(&((Node *) arg)->stored, index)->term;
	return STATUS_OK;
}

static uint64_t
stored_last(void *arg)
{
	const State *s = &((Node *) arg)->stored;

	return s->truncated_index + (uint64_t) s->n;
}

static Status
stored_snapshot(void *arg, uint64_t to, uint64_t index, Arena *arena,
				RaftSnapshot *out)
{
	Node *n = arg;
	const State *s = &n->stored;

	(void) to;
	if (n->slow_snapshot || s->applied_index < index)
		return STATUS_UNAVAILABLE;
	out->meta.conf = s->conf;
	out->meta.index = s->applied_index;
	out->meta.term = s->applied_term;
	out->data = arena_copy(arena, bytes_cstr("data"));
	return STATUS_OK;
}

/* -------------------------------------------------------------- nodes */

static void *
alloc(void *arg, size_t size)
{
	(void) arg;
	return malloc(size);
}

static void
release(void *arg, void *p)
{
	(void) arg;
	free(p);
}

void
node_create(Cluster *c, Node *n, bool restarted)
{
	RaftStorage storage = {n,			stored_entries,	 stored_term,
						   stored_last, stored_snapshot, NULL};
	RaftAllocator allocator = {NULL, alloc, release};
	const State *s = &n->stored;
	Status status;

	n->config.hard_state = s->hard_state;
	n->config.conf = s->conf;
	n->config.applied_index = s->applied_index;
	n->config.applied_term = s->applied_term;
	n->config.truncated_index = s->truncated_index;
	n->config.truncated_term = s->truncated_term;
	n->config.restarted = restarted;
	n->number = 0;
	status = raft_create(&n->config, &storage, &allocator, n->now_us, &n->raft);
	if (status != STATUS_OK)
	{
		fprintf(c->out, "node %" PRIu64 " does not start: %s\n", n->id,
				status_text(status));
		n->raft = NULL;
	}
}

Node *
cluster_add(Cluster *c, uint64_t id, const RaftConfState *conf)
{
	Node *n = calloc(1, sizeof(*n));

	CHECK(n != NULL && id >= 1 && id <= MAX_NODES && c->nodes[id] == NULL);
	n->id = id;
	n->config = c->options;
	n->config.id = id;
	n->config.seed = id;
	n->now_us = 1000000;
	n->stored.conf = *conf;
	if (conf->voters.n > 0)
	{
		State *s = &n->stored;

		s->hard_state = (RaftHardState){START, 0, START};
		s->truncated_index = s->applied_index = START;
		s->truncated_term = s->applied_term = START;
	}
	arena_init(&n->arena);
	mail_init(&n->held);
	n->flushed = n->stored;
	c->nodes[id] = n;
	node_create(c, n, false);
	return n;
}

/* A crash: what was not flushed is gone. */
void
node_stop(Node *n)
{
	raft_destroy(n->raft);
	n->raft = NULL;
	n->ready_out = false;
	mail_clear(&n->held);
	n->stored = n->flushed;
}

void
cluster_init(Cluster *c, FILE *out)
{
	memset(c, 0, sizeof(*c));
	c->out = out;
	mail_init(&c->mail);
	mail_init(&c->held);
	raft_config_init(&c->options, 1);
	c->options.election_ticks = 10;
	c->options.heartbeat_ticks = 2;
	c->options.lease_us = 900 * 1000;
}

void
cluster_free(Cluster *c)
{
	mail_clear(&c->mail);
	mail_clear(&c->held);
	for (int i = 1; i <= MAX_NODES; i++)
	{
		Node *n = c->nodes[i];

		if (n == NULL)
			continue;
		node_stop(n);
		arena_free(&n->arena);
		free(n);
	}
}

/* --------------------------------------------------------------- turn */

static void
store_entries(State *s, const RaftReady *rd)
{
	for (int i = 0; i < rd->n_entries; i++)
	{
		const RaftEntry *e = &rd->entries[i];
		LogEntry *to;

		if (i == 0)
			s->n = (int) (e->index - s->truncated_index - 1);
		CHECK(s->n < MAX_LOG && e->data.len < MAX_DATA);
		to = &s->log[s->n++];
		memset(to, 0, sizeof(*to));
		to->term = e->term;
		to->type = e->type;
		if (e->data.len > 0)
			memcpy(to->data, e->data.data, e->data.len);
	}
}

static void
apply_change(Cluster *c, Node *n, const RaftEntry *e)
{
	RaftConfChange cc;
	char text[MAX_DATA] = {0};

	if (e->data.len > 0)
		memcpy(text, e->data.data, e->data.len);
	CHECK(parse_change(text, &cc));
	if (raft_apply_conf_change(n->raft, &cc, &n->stored.conf) != STATUS_OK)
		fprintf(c->out, "  refused\n");
}

static void
apply(Cluster *c, Node *n, const RaftReady *rd)
{
	State *s = &n->stored;

	for (int i = 0; i < rd->n_committed; i++)
	{
		const RaftEntry *e = &rd->committed[i];

		if (e->type != RAFT_ENTRY_NORMAL)
			apply_change(c, n, e);
		s->applied_index = e->index;
		s->applied_term = e->term;
	}
	if (rd->sole && rd->n_committed > 0)
	{
		s->truncated_index = s->applied_index;
		s->truncated_term = s->applied_term;
		s->n = 0;
	}
}

static void
install(State *s, const RaftSnapshot *snapshot)
{
	s->n = 0;
	s->applied_index = s->truncated_index = snapshot->meta.index;
	s->applied_term = s->truncated_term = snapshot->meta.term;
	s->conf = snapshot->meta.conf;
}

/* A ready is handed out; false if there is nothing to do. */
bool
node_ready(Cluster *c, Node *n, bool print)
{
	if (n->raft == NULL || n->ready_out)
		return false;
	arena_reset(&n->arena);
	n->ready_out = raft_ready(n->raft, &n->arena, n->now_us, &n->ready);
	if (n->ready_out && print)
		print_ready(c->out, n, &n->ready);
	return n->ready_out;
}

/* Its transaction: all of it is stored and applied, and messages leave. */
void
node_advance(Cluster *c, Node *n)
{
	const RaftReady *rd = &n->ready;

	CHECK(n->ready_out);
	if (rd->has_hard_state)
		n->stored.hard_state = rd->hard_state;
	if (rd->snapshot != NULL)
		install(&n->stored, rd->snapshot);
	if (!rd->sole)
		store_entries(&n->stored, rd);
	apply(c, n, rd);
	for (int i = 0; i < rd->n_messages; i++)
		post(c, mail_make(&rd->messages[i]));
	for (int i = 0; i < rd->n_persisted_messages; i++)
		mail_push(&n->held, mail_make(&rd->persisted_messages[i]));
	if (rd->sole)
		n->flushed = n->stored;
	raft_advance(n->raft, rd);
	n->number = rd->number;
	n->ready_out = false;
}

/* What needs no transaction leaves. */
void
node_messages(Cluster *c, Node *n)
{
	const RaftMessage *msgs;
	int count = raft_take_messages(n->raft, &n->arena, n->now_us, &msgs);

	for (int i = 0; i < count; i++)
	{
		fprintf(c->out, "send ");
		print_message(c->out, &msgs[i]);
		post(c, mail_make(&msgs[i]));
	}
}

/* One ready as one transaction; false if there is nothing to do. */
bool
node_turn(Cluster *c, Node *n, bool print)
{
	if (!node_ready(c, n, print))
		return false;
	node_advance(c, n);
	return true;
}

/* Everything stored so far survives; what waited for that leaves. */
void
node_flush(Cluster *c, Node *n)
{
	if (n->raft == NULL)
		return;
	n->flushed = n->stored;
	while (n->held.first != NULL)
	{
		Mail *mail = n->held.first;

		n->held.first = mail->next;
		post(c, mail);
	}
	mail_init(&n->held);
	if (n->number > 0)
		raft_persisted(n->raft, n->number);
}
