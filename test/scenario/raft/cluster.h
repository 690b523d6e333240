/*
 * cluster.h
 *	  A small cluster that a scenario moves by hand, message by message.
 */
#ifndef TIKV_SCENARIO_CLUSTER_H
#define TIKV_SCENARIO_CLUSTER_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/check.h"
#include "core/raft/raft.h"

#define MAX_NODES 9 /* ids 1 to 9 */
#define START \
	5 /* index and term that a new group's log begins
								 * after, as a region's does */
#define MAX_LOG 512
#define MAX_DATA 48

typedef struct LogEntry
{
	uint64_t term;
	RaftEntryType type;
	char data[MAX_DATA];
} LogEntry;

/* What a node has stored. */
typedef struct State
{
	RaftHardState hard_state;
	RaftConfState conf;
	uint64_t applied_index;
	uint64_t applied_term;
	uint64_t truncated_index;
	uint64_t truncated_term;
	int n;
	LogEntry log[MAX_LOG]; /* log[i] has index truncated_index + 1 + i */
} State;

typedef struct Mail
{
	struct Mail *next;
	RaftMessage m;
	RaftEntry *entries;
	RaftSnapshot snapshot;
	Arena arena;
} Mail;

typedef struct MailList
{
	Mail *first;
	Mail **end;
} MailList;

typedef struct Node
{
	uint64_t id;
	Raft *raft; /* NULL: not running */
	RaftConfig config;
	State stored;	 /* what its transactions see */
	State flushed;	 /* what a crash leaves */
	MailList held;	 /* waits for the flush */
	uint64_t number; /* of the newest ready that was advanced */
	RaftReady ready;
	bool ready_out;
	uint64_t now_us;
	bool slow_snapshot; /* none is ready when asked for */
	Arena arena;
} Node;

typedef struct Cluster
{
	Node *nodes[MAX_NODES + 1];				/* by id; NULL: none */
	bool cut[MAX_NODES + 1][MAX_NODES + 1]; /* [from][to] */
	MailList mail;							/* under way, oldest first */
	MailList held;							/* held up on the way */
	RaftConfig options;						/* of nodes yet to be made */
	FILE *out;
} Cluster;

/* cluster.c */
extern void cluster_init(Cluster *c, FILE *out);
extern void cluster_free(Cluster *c);
extern Node *cluster_add(Cluster *c, uint64_t id, const RaftConfState *conf);
extern void node_create(Cluster *c, Node *n, bool restarted);
extern void node_stop(Node *n);
extern void node_flush(Cluster *c, Node *n);
extern bool node_ready(Cluster *c, Node *n, bool print);
extern void node_advance(Cluster *c, Node *n);
extern void node_messages(Cluster *c, Node *n);
extern bool node_turn(Cluster *c, Node *n, bool print);
extern void mail_deliver(Cluster *c, Mail *mail);
extern void mail_free(Mail *mail);
extern void mail_init(MailList *list);
extern void mail_push(MailList *list, Mail *mail);
extern bool parse_change(const char *text, RaftConfChange *out);

/* print.c */
extern void print_message(FILE *out, const RaftMessage *m);
extern void print_entries(FILE *out, const RaftEntry *e, int n);
extern void print_ready(FILE *out, const Node *n, const RaftReady *rd);
extern void print_conf(FILE *out, const RaftConfState *conf);
extern void print_status(FILE *out, const Node *n);
extern void print_log(FILE *out, const Node *n);
extern void print_progress(FILE *out, const Node *n);
extern const char *role_name(RaftRole role);
extern const char *message_name(RaftMessageType type);

/* setup.c */
extern bool setup_command(Cluster *c, const char *word, char *rest);

/* commands.c */
extern bool parse_u64(const char *s, uint64_t *out);
extern Node *node_arg(Cluster *c, const char *word);
extern void run_command(Cluster *c, char *line);

#endif /* TIKV_SCENARIO_CLUSTER_H */
