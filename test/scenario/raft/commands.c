/*
 * commands.c
 *	  The words of a scenario script.
 *
 * README.md beside this file lists them.
 */
#include "cluster.h"

bool
parse_u64(const char *s, uint64_t *out)
{
	char *end;

	if (s == NULL || *s < '0' || *s > '9')
		return false;
	*out = strtoull(s, &end, 10);
	return *end == '\0';
}

/* Changes as text: "explicit v4 l5 r2", or nothing to leave a joint one. */
bool
parse_change(const char *text, RaftConfChange *out)
{
	char copy[MAX_DATA * 2];
	char *save = NULL;

	memset(out, 0, sizeof(*out));
	snprintf(copy, sizeof(copy), "%s", text);
	for (char *w = strtok_r(copy, " ", &save); w != NULL;
		 w = strtok_r(NULL, " ", &save))
	{
		RaftConfChangeSingle *c = &out->changes[out->n];

		if (strcmp(w, "explicit") == 0)
			out->transition = RAFT_CONF_EXPLICIT;
		else if (strcmp(w, "implicit") == 0)
			out->transition = RAFT_CONF_IMPLICIT;
		else if (strcmp(w, "leave") != 0)
		{
			if (out->n == RAFT_MAX_PEERS || !parse_u64(w + 1, &c->id))
				return false;
			c->type = *w == 'v' ? RAFT_CONF_ADD_NODE :
				*w == 'l'		? RAFT_CONF_ADD_LEARNER :
								  RAFT_CONF_REMOVE_NODE;
			out->n++;
		}
	}
	return true;
}

static void
say_status(Cluster *c, Status s)
{
	if (s != STATUS_OK)
		fprintf(c->out, "%s\n", status_text(s));
}

Node *
node_arg(Cluster *c, const char *word)
{
	uint64_t id;

	if (!parse_u64(word, &id) || id < 1 || id > MAX_NODES ||
		c->nodes[id] == NULL)
	{
		fprintf(c->out, "no such node: %s\n", word == NULL ? "" : word);
		return NULL;
	}
	return c->nodes[id];
}

/* --------------------------------------------------------------- time */

static void
tick(Node *n, uint64_t ticks)
{
	for (uint64_t i = 0; i < ticks && n->raft != NULL; i++)
	{
		n->now_us += n->config.tick_us;
		raft_tick(n->raft, n->now_us);
	}
}

/* "tick 1 5" or "tick all 5" */
static void
cmd_tick(Cluster *c, char *rest)
{
	char *save = NULL;
	char *who = strtok_r(rest, " ", &save);
	uint64_t ticks = 1;
	Node *n;

	(void) parse_u64(strtok_r(NULL, " ", &save), &ticks);
	if (who != NULL && strcmp(who, "all") == 0)
	{
		for (int i = 1; i <= MAX_NODES; i++)
			if (c->nodes[i] != NULL)
				tick(c->nodes[i], ticks);
	}
	else if ((n = node_arg(c, who)) != NULL)
		tick(n, ticks);
}

/* ------------------------------------------------------------- turns */

static void
deliver(Cluster *c, Mail *mail, bool print)
{
	if (print)
		print_message(c->out, &mail->m);
	mail_deliver(c, mail);
	mail_free(mail);
}

static Mail *
take_mail(Cluster *c, uint64_t from, uint64_t to)
{
	for (Mail **at = &c->mail.first; *at != NULL; at = &(*at)->next)
	{
		Mail *mail = *at;

		if ((from != 0 && mail->m.from != from) ||
			(to != 0 && mail->m.to != to))
			continue;
		*at = mail->next;
		if (mail->next == NULL)
			c->mail.end = at;
		return mail;
	}
	return NULL;
}

typedef enum Fate
{
	DELIVER,
	DROP,
	HOLD
} Fate;

/* "deliver [1->2 | 1-> | ->2]": what is under way now, not what follows */
static void
cmd_deliver(Cluster *c, char *rest, Fate fate)
{
	char *arrow = strstr(rest, "->");
	uint64_t from = 0;
	uint64_t to = 0;
	MailList taken;
	Mail *mail;

	if (arrow != NULL)
	{
		*arrow = '\0';
		(void) parse_u64(arrow + 2, &to);
	}
	(void) parse_u64(rest, &from);
	mail_init(&taken);
	while ((mail = take_mail(c, from, to)) != NULL)
		mail_push(&taken, mail);
	while ((mail = taken.first) != NULL)
	{
		taken.first = mail->next;
		if (fate == DELIVER)
			deliver(c, mail, true);
		else if (fate == HOLD)
			mail_push(&c->held, mail);
		else
		{
			fprintf(c->out, "lost ");
			print_message(c->out, &mail->m);
			mail_free(mail);
		}
	}
}

static void
deliver_held(Cluster *c)
{
	Mail *mail;

	while ((mail = c->held.first) != NULL)
	{
		c->held.first = mail->next;
		deliver(c, mail, true);
	}
	mail_init(&c->held);
}

/* What is under way arrives in the opposite order. */
static void
reverse_mail(Cluster *c)
{
	Mail *reversed = NULL;
	Mail *mail;

	while ((mail = take_mail(c, 0, 0)) != NULL)
	{
		mail->next = reversed;
		reversed = mail;
	}
	while ((mail = reversed) != NULL)
	{
		reversed = mail->next;
		mail_push(&c->mail, mail);
	}
}

/* Everything runs until nothing is left to do. */
static void
settle(Cluster *c, bool print)
{
	bool busy = true;

	for (int rounds = 0; busy && rounds < 1000; rounds++)
	{
		Mail *mail;

		busy = false;
		for (int i = 1; i <= MAX_NODES; i++)
			if (c->nodes[i] != NULL && node_turn(c, c->nodes[i], false))
			{
				node_flush(c, c->nodes[i]);
				busy = true;
			}
		for (int n = 0; n < 1000 && (mail = take_mail(c, 0, 0)) != NULL; n++)
		{
			deliver(c, mail, print);
			busy = true;
		}
	}
	if (busy)
		fprintf(c->out, "does not settle\n");
}

static void
cmd_turn(Cluster *c, Node *n, const char *word)
{
	bool done = true;

	if (strcmp(word, "ready") == 0)
		done = node_ready(c, n, true);
	else if (strcmp(word, "turn") == 0)
		done = node_turn(c, n, true);
	else if ((done = n->ready_out))
		node_advance(c, n);
	if (!done)
		fprintf(c->out, "nothing to do\n");
}

/* "elect 1": enough time for a first election, in which 1 comes first */
static void
cmd_elect(Cluster *c, Node *n)
{
	for (int i = 1; i <= MAX_NODES; i++)
		if (c->nodes[i] != NULL && c->nodes[i]->raft != NULL &&
			raft_role(c->nodes[i]->raft) != RAFT_LEADER)
			tick(c->nodes[i], 10);
	settle(c, false);
	for (int i = 0;
		 i < 12 && n->raft != NULL && raft_role(n->raft) == RAFT_FOLLOWER; i++)
		tick(n, 1);
	settle(c, false);
	print_status(c->out, n);
}

/* ---------------------------------------------------------- requests */

static void
cmd_propose(Cluster *c, Node *n, const char *data)
{
	RaftEntry e = {.type = RAFT_ENTRY_NORMAL};
	uint64_t index;
	uint64_t term;
	Status s;

	e.data = bytes_cstr(data);
	s = raft_propose(n->raft, &e, &index, &term);
	if (s == STATUS_OK)
		fprintf(c->out, "%" PRIu64 "/%" PRIu64 "\n", index, term);
	else
		say_status(c, s);
}

static void
cmd_conf(Cluster *c, Node *n, const char *text)
{
	RaftEntry e = {.type = RAFT_ENTRY_CONF_CHANGE_V2};
	RaftConfChange cc;
	uint64_t index;
	uint64_t term;
	Status s;

	if (!parse_change(text, &cc))
	{
		fprintf(c->out, "not a change: %s\n", text);
		return;
	}
	e.data = bytes_cstr(text);
	s = raft_propose_conf_change(n->raft, &cc, &e, &index, &term);
	if (s == STATUS_OK)
		fprintf(c->out, "%" PRIu64 "/%" PRIu64 "\n", index, term);
	else
		say_status(c, s);
}

static void
cmd_lease(Cluster *c, const Node *n)
{
	uint64_t end = raft_lease_end_us(n->raft);

	if (end == UINT64_MAX)
		fprintf(c->out, "without end\n");
	else if (end <= n->now_us)
		fprintf(c->out, "none\n");
	else
		fprintf(c->out, "%" PRIu64 " ms\n", (end - n->now_us) / 1000);
}

static void
cmd_compact(Cluster *c, Node *n, const char *word)
{
	State *s = &n->stored;
	uint64_t index;
	uint64_t term;
	int gone;

	if (!parse_u64(word, &index) || index > s->applied_index ||
		index <= s->truncated_index ||
		raft_term_at(n->raft, index, &term) != STATUS_OK)
	{
		fprintf(c->out, "cannot compact to %s\n", word);
		return;
	}
	gone = (int) (index - s->truncated_index);
	s->n -= gone;
	memmove(s->log, s->log + gone, (size_t) s->n * sizeof(LogEntry));
	s->truncated_index = index;
	s->truncated_term = term;
	raft_compact(n->raft, index, term);
}

/* --------------------------------------------------------- the words */

static bool
mail_command(Cluster *c, const char *word, char *rest)
{
	if (strcmp(word, "tick") == 0)
		cmd_tick(c, rest);
	else if (strcmp(word, "deliver") == 0)
		cmd_deliver(c, rest, DELIVER);
	else if (strcmp(word, "drop") == 0)
		cmd_deliver(c, rest, DROP);
	else if (strcmp(word, "hold") == 0)
		cmd_deliver(c, rest, HOLD);
	else if (strcmp(word, "deliver-held") == 0)
		deliver_held(c);
	else if (strcmp(word, "reverse") == 0)
		reverse_mail(c);
	else if (strcmp(word, "settle") == 0)
		settle(c, strcmp(rest, "quietly") != 0);
	else
		return false;
	return true;
}

static bool
time_command(Cluster *c, const char *word, Node *n, const char *rest)
{
	if (strcmp(word, "restart") == 0 || strcmp(word, "crash") == 0)
	{
		node_stop(n);
		if (*word == 'r')
			node_create(c, n, true);
	}
	else if (n->raft == NULL)
		print_status(c->out, n);
	else if (strcmp(word, "turn") == 0 || strcmp(word, "ready") == 0 ||
			 strcmp(word, "advance") == 0)
		cmd_turn(c, n, word);
	else if (strcmp(word, "messages") == 0)
		node_messages(c, n);
	else if (strcmp(word, "flush") == 0)
		node_flush(c, n);
	else if (strcmp(word, "elect") == 0)
		cmd_elect(c, n);
	else if (strcmp(word, "campaign") == 0)
		say_status(c, raft_campaign(n->raft, n->now_us));
	else if (strcmp(word, "clock") == 0)
		n->now_us += strtoull(rest, NULL, 10) * 1000;
	else if (strcmp(word, "clock-back") == 0)
		n->now_us -= strtoull(rest, NULL, 10) * 1000;
	else if (strcmp(word, "hibernate") == 0)
	{
		if (raft_can_hibernate(n->raft))
			raft_hibernate(n->raft);
		else
			fprintf(c->out, "has work\n");
	}
	else if (strcmp(word, "wake") == 0)
		raft_wake(n->raft);
	else
		return false;
	return true;
}

/* What the core believes, and what is stored if that differs. */
static void
conf_line(Cluster *c, const Node *n)
{
	RaftConfState conf;

	raft_conf(n->raft, &conf);
	fprintf(c->out, "node %" PRIu64, n->id);
	print_conf(c->out, &conf);
	if (memcmp(&conf, &n->stored.conf, sizeof(conf)) != 0)
	{
		fprintf(c->out, ", stored");
		print_conf(c->out, &n->stored.conf);
	}
	fprintf(c->out, "\n");
}

static bool
request_command(Cluster *c, const char *word, Node *n, const char *rest)
{
	uint64_t id = strtoull(rest, NULL, 10);

	if (strcmp(word, "propose") == 0)
		cmd_propose(c, n, rest);
	else if (strcmp(word, "conf") == 0)
		cmd_conf(c, n, rest);
	else if (strcmp(word, "transfer") == 0)
		say_status(c, raft_transfer_leader(n->raft, id));
	else if (strcmp(word, "read") == 0)
		say_status(c, raft_read_index(n->raft, bytes_cstr(rest)));
	else if (strcmp(word, "lease") == 0)
		cmd_lease(c, n);
	else if (strcmp(word, "suspend-lease") == 0)
		raft_lease_suspend(n->raft, strcmp(rest, "on") == 0);
	else if (strcmp(word, "compact") == 0)
		cmd_compact(c, n, rest);
	else if (strcmp(word, "pause-apply") == 0)
		raft_pause_apply(n->raft, strcmp(rest, "on") == 0);
	else if (strcmp(word, "slow-snapshot") == 0)
		n->slow_snapshot = strcmp(rest, "on") == 0;
	else if (strcmp(word, "unreachable") == 0)
		raft_report_unreachable(n->raft, id);
	else if (strcmp(word, "snapshot-sent") == 0)
		raft_report_snapshot(n->raft, id, true);
	else if (strcmp(word, "snapshot-failed") == 0)
		raft_report_snapshot(n->raft, id, false);
	else if (strcmp(word, "show-conf") == 0)
		conf_line(c, n);
	else if (strcmp(word, "log") == 0)
		print_log(c->out, n);
	else if (strcmp(word, "progress") == 0)
		print_progress(c->out, n);
	else
		return false;
	return true;
}

static void
for_all(Cluster *c, void (*print)(FILE *, const Node *))
{
	for (int i = 1; i <= MAX_NODES; i++)
		if (c->nodes[i] != NULL)
			print(c->out, c->nodes[i]);
}

void
run_command(Cluster *c, char *line)
{
	char *save = NULL;
	char *word = strtok_r(line, " ", &save);
	char *rest = save;
	Node *n;
	char *who;

	if (word == NULL || setup_command(c, word, rest) ||
		mail_command(c, word, rest))
		return;
	if (strcmp(word, "status") == 0 && *rest == '\0')
	{
		for_all(c, print_status);
		return;
	}
	if (strcmp(word, "log") == 0 && *rest == '\0')
	{
		for_all(c, print_log);
		return;
	}
	who = strtok_r(NULL, " ", &save);
	if ((n = node_arg(c, who)) == NULL)
		return;
	if (strcmp(word, "status") == 0)
		print_status(c->out, n);
	else if (!time_command(c, word, n, save) &&
			 !request_command(c, word, n, save))
		fprintf(c->out, "no such command: %s\n", word);
}
