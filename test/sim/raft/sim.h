/*
 * sim.h
 *	  A simulated cluster: nodes, network, disks, clocks and clients, all of it
 *	  from one seed.
 *
 * Each node runs core/raft behind a driver that does what a store does: one
 * ready is one transaction, flushed some time later.  Everything that happens
 * is an event of one queue, so that a seed and a number of steps replay a run
 * exactly.
 */
#ifndef TIKV_SIM_RAFT_H
#define TIKV_SIM_RAFT_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/check.h"
#include "core/raft/raft.h"

#define SIM_SLOTS \
	6 /* places for nodes; each may hold several peers
								 * one after another, with new ids */
#define SIM_KEYS 4
#define SIM_START 5 /* truncated index and term of a new group */

#define MS ((uint64_t) 1000)
#define TICK_US (100 * MS)
#define ELECTION_TICKS 10
#define ELECTION_US (ELECTION_TICKS * TICK_US)
#define DELAY_MAX_US (400 * MS) /* no message is under way for longer */

/* ------------------------------------------------------------- clients */

typedef enum OpKind
{
	OP_WRITE,
	OP_CONF,
	OP_READ_INDEX
} OpKind;

typedef struct Op
{
	OpKind kind;
	int key;
	RaftConfChange change;
	uint64_t floor; /* what was known to be visible when it began */
	uint64_t index; /* where it was proposed; of a read: its index */
	uint64_t term;
	uint64_t begun_us;
	int slot; /* where */
	int incarnation;
	bool waiting; /* its client waits for the answer */
	bool ready;	  /* a read that has its index */
} Op;

/* ---------------------------------------------------------------- disk */

typedef struct SimEntry
{
	uint64_t term;
	RaftEntryType type;
	uint64_t op; /* place in the table of ops; 0: empty entry */
} SimEntry;

typedef struct Value
{
	uint64_t op;
	uint64_t index; /* of the entry that wrote it */
} Value;

/* The replicated state, and what a snapshot carries. */
typedef struct Machine
{
	uint64_t applied;
	uint64_t applied_term;
	uint64_t chain; /* hash of everything applied */
	RaftConfState conf;
	Value kv[SIM_KEYS];
} Machine;

/* What a disk holds. */
typedef struct Image
{
	RaftHardState hard_state;
	uint64_t truncated_index;
	uint64_t truncated_term;
	Machine machine;
	SimEntry *log; /* log[i] has index truncated_index + 1 + i */
	int n;
	int cap;
} Image;

/* One transaction of a node. */
typedef struct Txn
{
	struct Txn *next;
	uint64_t number; /* of its ready */
	bool has_hard_state;
	RaftHardState hard_state;
	bool has_snapshot;
	Machine snapshot;
	uint64_t first; /* index of entries[0] */
	SimEntry *entries;
	int n_entries;
	bool has_machine;
	Machine machine;		/* after the committed entries */
	uint64_t compact_index; /* 0: none */
	uint64_t compact_term;
	struct Packet *packets; /* to be sent when it is flushed */
} Txn;

/* ------------------------------------------------------------- network */

typedef struct Packet
{
	struct Packet *next;
	RaftMessage m;
	RaftEntry *entries;
	RaftSnapshot snapshot;
	uint8_t *bytes; /* everything the message points to */
	int to_slot;
} Packet;

/* --------------------------------------------------------------- nodes */

/* How far a node's turn has come; anything may happen in between. */
typedef enum Stage
{
	STAGE_NONE,
	STAGE_OUT,		/* the ready is handed out */
	STAGE_WRITTEN,	/* its effects are in an open transaction */
	STAGE_COMMITTED /* which is visible, and may be flushed */
} Stage;

typedef struct Turn
{
	Stage stage;
	RaftReady rd;
	uint64_t term; /* when it was handed out */
	Txn *txn;	   /* STAGE_WRITTEN: not yet among the pending ones */
	bool at_once;  /* to be flushed before it ends */
} Turn;

typedef struct Node
{
	int slot;
	uint64_t id;	 /* of the peer here; 0: none */
	int incarnation; /* grows with every start */
	Raft *raft;		 /* NULL: not running */
	Arena arena;
	Image visible; /* what its own transactions see */
	Image durable;
	Txn *pending; /* committed and not flushed, oldest first */
	Txn **pending_end;
	bool flushing;
	bool turn_due;
	Turn turn;
	uint64_t disk_us; /* time of a flush */
	uint64_t turn_us; /* and of a step of its turn, at most */
	bool started_before;

	double rate;		 /* of its clock */
	uint64_t clock_base; /* clock at clock_since */
	uint64_t clock_since;

	uint64_t paused_until;
	uint64_t down_until;   /* not running until then */
	uint64_t absent_since; /* the leader's configuration lacks it; 0: not */
	uint64_t add_op;	   /* the change that brings it, until it runs */
	bool snapshot_asked;
	int reads_asked;
	uint64_t isolated_since; /* cut off from everybody; 0: not */
	uint64_t isolated_term;
	uint64_t only_voter_at; /* when it was last seen to need nobody */
	bool apply_slow;		/* it pauses the apply now and then */
	bool starved;			/* its disk takes no entries of a leader's */
	RaftRole seen_role;
	uint64_t seen_term;
} Node;

typedef enum EventKind
{
	EV_TICK,
	EV_TURN,
	EV_FLUSH,
	EV_PACKET,
	EV_CLIENT,
	EV_FAULT,
	EV_CONF,
	EV_START,
	EV_SNAP_STATUS
} EventKind;

typedef struct Event
{
	uint64_t at;
	uint64_t seq;
	EventKind kind;
	int slot;
	int incarnation;
	uint64_t arg; /* EV_FLUSH: number; EV_SNAP_STATUS: peer */
	bool flag;	  /* EV_SNAP_STATUS: sent */
	Packet *packet;
} Event;

typedef struct Seen Seen; /* check.c */

typedef struct Sim
{
	uint64_t seed;
	uint64_t steps_max;
	uint64_t step;
	uint64_t now; /* true time */
	uint64_t rng;
	bool healing; /* faults have ended */
	bool trace;

	Event *heap;
	int n_heap;
	int cap_heap;
	uint64_t seq;

	Node nodes[SIM_SLOTS];
	uint64_t next_id;
	int max_members;
	bool cut[SIM_SLOTS][SIM_SLOTS]; /* [from][to] */
	double loss;
	double duplicate;
	uint64_t delay_us; /* usual upper bound */
	bool hibernates;   /* a trait of this run */
	bool small_limits;
	bool tiny_messages; /* one entry each */
	bool skip_bcast;
	bool lazy_changes; /* conf changes are not flushed at once */
	double gaps;	   /* how often a turn is interrupted between two stages */

	Op *ops; /* ops[0] is unused */
	uint64_t n_ops;
	uint64_t cap_ops;
	uint64_t floor[SIM_KEYS]; /* newest version any client has seen */
	uint64_t *waiting;		  /* ops whose clients wait */
	int n_waiting;
	int cap_waiting;
	uint64_t acked;
	uint64_t lease_reads;
	uint64_t index_reads;
	uint64_t elections;
	uint64_t conf_changes;
	uint64_t snapshots;
	bool quiet;			  /* clients only read */
	uint64_t fault_until; /* a composed fault is under way */
	int plot;			  /* its kind, and how far it has come */
	int plot_stage;
	int plot_slot[3];

	Seen *seen;
} Sim;

/* main.c */
extern void sim_fail(const Sim *sim, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), noreturn));
extern void sim_trace(const Sim *sim, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* queue.c */
extern uint64_t sim_rand(Sim *sim, uint64_t n); /* 0 .. n-1 */
extern bool sim_chance(Sim *sim, double p);
extern void sim_push(Sim *sim, Event e);
extern bool sim_pop(Sim *sim, Event *e);
extern void sim_queue_free(Sim *sim);

/* image.c */
extern void image_reset(Image *image);
extern void image_free(Image *image);
extern void image_copy(Image *to, const Image *from);
extern void image_apply(Image *image, const Txn *txn);
extern uint64_t image_last(const Image *image);
extern SimEntry *image_entry(const Image *image, uint64_t index);
extern void txn_free(Txn *txn);
extern uint64_t machine_hash(uint64_t chain, uint64_t index, const SimEntry *e);

/* net.c */
extern Packet *packet_make(Sim *sim, const RaftMessage *m);
extern void packet_free(Packet *p);
extern void net_send(Sim *sim, int from_slot, Packet *p);
extern void net_send_all(Sim *sim, int from_slot, const RaftMessage *m, int n);
extern int net_slot_of(const Sim *sim, uint64_t id);

/* node.c */
extern uint64_t node_clock(const Sim *sim, const Node *n);
extern void node_jump_clock(Sim *sim, Node *n, int64_t by_us);
extern void node_start(Sim *sim, Node *n);
extern void node_crash(Sim *sim, Node *n);
extern void node_remove(Sim *sim, Node *n);
extern void node_free(Node *n);
extern void node_want_turn(Sim *sim, Node *n);
extern void node_event(Sim *sim, const Event *e);
extern bool node_runs(const Sim *sim, const Node *n);
extern Node *sim_leader(Sim *sim);

/* turn.c */
extern void node_turn(Sim *sim, Node *n);
extern void node_turn_drop(Node *n);
extern void node_compact_some(Sim *sim, Node *n);
extern void node_flushed(Sim *sim, Node *n, uint64_t number);
extern void node_flush_now(Sim *sim, Node *n);

/* client.c */
extern uint64_t op_new(Sim *sim, OpKind kind);
extern void client_event(Sim *sim);
extern bool client_write(Sim *sim, Node *n);
extern void client_applied(Sim *sim, Node *n, uint64_t flushed_index);
extern void client_read_state(Sim *sim, Node *n, const RaftReadState *s);
extern void client_lost(Sim *sim, Node *n);

/* conf.c */
extern void conf_event(Sim *sim);

/* check.c */
extern void check_init(Sim *sim);
extern void check_free(Sim *sim);
extern void check_durable(Sim *sim, Node *n, const Txn *txn);
extern void check_apply(Sim *sim, const Node *n, uint64_t index,
						const SimEntry *e, uint64_t chain);
extern void check_machine(Sim *sim, const Node *n, const Machine *m);
extern void check_stored(Sim *sim, const Node *n);
extern void check_conf(Sim *sim, const Node *n, const RaftConfState *from,
					   const RaftConfState *to);
extern void check_node(Sim *sim, Node *n);
extern uint64_t check_committed(const Sim *sim);
extern bool check_settled(Sim *sim);

/* faults.c */
extern void fault_event(Sim *sim, bool extra);
extern void fault_heal(Sim *sim);
extern void fault_note_isolation(Sim *sim);
extern void fault_cut(Sim *sim, int a, int b, bool both);
extern void fault_mend(Sim *sim);
extern void fault_pause(Node *n, uint64_t until);
extern void fault_isolate(Sim *sim, int slot);
extern void fault_crash(Sim *sim, Node *n, uint64_t down_us);

/* plots.c */
extern bool plot_play(Sim *sim);
extern void plot_begin(Sim *sim);
extern void plot_new_leader(Sim *sim);

#endif /* TIKV_SIM_RAFT_H */
