/*
 * setup.c
 *	  The words of a scenario script that set the stage: nodes, logs, links.
 */
#include "cluster.h"

/* "nodes 1 2 3 [learners 4]" */
static void
cmd_nodes(Cluster *c, char *rest)
{
	RaftConfState conf = {.auto_leave = false};
	RaftIdSet *set = &conf.voters;
	char *save = NULL;

	for (char *w = strtok_r(rest, " ", &save); w != NULL;
		 w = strtok_r(NULL, " ", &save))
	{
		if (strcmp(w, "learners") == 0)
			set = &conf.learners;
		else if (!parse_u64(w, &set->id[set->n++]))
			fprintf(c->out, "not a number: %s\n", w);
	}
	for (int i = 0; i < conf.voters.n; i++)
		cluster_add(c, conf.voters.id[i], &conf);
	for (int i = 0; i < conf.learners.n; i++)
		cluster_add(c, conf.learners.id[i], &conf);
}

/* "option max_inflight_msgs 2" */
static void
cmd_option(Cluster *c, char *rest)
{
	char *save = NULL;
	char *name = strtok_r(rest, " ", &save);
	uint64_t v = 0;
	RaftConfig *o = &c->options;

	if (name == NULL || !parse_u64(strtok_r(NULL, " ", &save), &v))
		fprintf(c->out, "option name value\n");
	else if (strcmp(name, "max_bytes_per_msg") == 0)
		o->max_bytes_per_msg = v;
	else if (strcmp(name, "max_inflight_msgs") == 0)
		o->max_inflight_msgs = (int) v;
	else if (strcmp(name, "max_inflight_bytes") == 0)
		o->max_inflight_bytes = v;
	else if (strcmp(name, "max_uncommitted_bytes") == 0)
		o->max_uncommitted_bytes = v;
	else if (strcmp(name, "max_unstored_bytes") == 0)
		o->max_unstored_bytes = v;
	else if (strcmp(name, "max_committed_bytes") == 0)
		o->max_committed_bytes = v;
	else if (strcmp(name, "cache_bytes") == 0)
		o->cache_bytes = v;
	else if (strcmp(name, "skip_bcast_commit") == 0)
		o->skip_bcast_commit = v != 0;
	else if (strcmp(name, "priority") == 0)
		o->priority = (int64_t) v;
	else
		fprintf(c->out, "no such option: %s\n", name);
}

/*
 * "start-log 1 1 1 4": node 1 starts over with entries of terms 1 1 4 from
 * index 1 on, none of them committed
 */
static void
cmd_set_log(Cluster *c, char *rest)
{
	char *save = NULL;
	Node *n = node_arg(c, strtok_r(rest, " ", &save));
	State *s;
	uint64_t term;

	if (n == NULL)
		return;
	node_stop(n);
	s = &n->stored;
	s->truncated_index = s->truncated_term = 0;
	s->applied_index = s->applied_term = 0;
	memset(&s->hard_state, 0, sizeof(s->hard_state));
	s->n = 0;
	for (char *w = strtok_r(NULL, " ", &save); parse_u64(w, &term);
		 w = strtok_r(NULL, " ", &save))
	{
		memset(&s->log[s->n], 0, sizeof(LogEntry));
		s->log[s->n++].term = term;
		if (s->hard_state.term < term)
			s->hard_state.term = term;
	}
	n->flushed = n->stored;
	node_create(c, n, false);
}

/* "start-term 1 7", "start-priority 1 2": node 1 starts over with that */
static void
cmd_start_with(Cluster *c, char *rest, bool term)
{
	char *save = NULL;
	Node *n = node_arg(c, strtok_r(rest, " ", &save));
	uint64_t value;

	if (n == NULL || !parse_u64(strtok_r(NULL, " ", &save), &value))
		return;
	node_stop(n);
	if (term)
		n->stored.hard_state.term = value;
	else
		n->config.priority = (int64_t) value;
	n->flushed = n->stored;
	node_create(c, n, false);
}

static void
cmd_cut(Cluster *c, char *rest, bool cut)
{
	char *save = NULL;
	uint64_t a = 0;
	uint64_t b = 0;

	if (!parse_u64(strtok_r(rest, " ", &save), &a) || a > MAX_NODES)
		fprintf(c->out, "which link?\n");
	else if (!parse_u64(strtok_r(NULL, " ", &save), &b) || b > MAX_NODES)
		for (int i = 1; i <= MAX_NODES; i++)
			c->cut[a][i] = c->cut[i][a] = cut;
	else
	{
		c->cut[a][b] = cut;
		if (strtok_r(NULL, " ", &save) == NULL)
			c->cut[b][a] = cut;
	}
}

bool
setup_command(Cluster *c, const char *word, char *rest)
{
	if (strcmp(word, "nodes") == 0)
		cmd_nodes(c, rest);
	else if (strcmp(word, "option") == 0)
		cmd_option(c, rest);
	else if (strcmp(word, "start-log") == 0)
		cmd_set_log(c, rest);
	else if (strcmp(word, "start-term") == 0)
		cmd_start_with(c, rest, true);
	else if (strcmp(word, "start-priority") == 0)
		cmd_start_with(c, rest, false);
	else if (strcmp(word, "cut") == 0)
		cmd_cut(c, rest, true);
	else if (strcmp(word, "join") == 0)
		cmd_cut(c, rest, false);
	else if (strcmp(word, "mend") == 0)
		memset(c->cut, 0, sizeof(c->cut));
	else
		return false;
	return true;
}
