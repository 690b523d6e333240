/*
 * pd.h
 *	  All state of a `tikv pd` process in one struct.
 *
 * The folder's own header.  The loop works in rounds: what has arrived is
 * decided at once over the state in memory; the changes of a round become one
 * entry of PD's Raft group and one transaction; what was answered after the
 * first change waits in the outbox until that is durable.
 */
#ifndef TIKV_PD_PD_H
#define TIKV_PD_PD_H

#include "postgres.h"

#include "bus/bus.h"
#include "core/base/share.h"
#include "core/raft/raft.h"
#include "core/raft/silence.h"
#include "pd/core/group_log.h"
#include "pd/core/proposal.h"
#include "pd/core/schedule.h"
#include "pd/core/state.h"
#include "pd/service.h"
#include "server/server.h"

/* Version that this PD announces of itself. */
#define PD_VERSION CLUSTER_VERSION

/* Who waits for an answer: a gRPC call, HTTP, or a requester on the bus. */
typedef struct ReplyTo
{
	Call *call;		   /* NULL: not gRPC */
	HttpRequest *http; /* both NULL: bus */
	BusRequest bus;
	bool stream;

	/* For the counters; NULL: it is no answer, or one to HTTP. */
	const struct PdMethod *asked;
	int64 asked_us; /* monotonic */
	bool error;		/* in the answer's header */
} ReplyTo;

typedef enum ReplyKind
{
	REPLY_MESSAGE,
	REPLY_FAIL,	 /* gRPC status */
	REPLY_HTTP,	 /* text, with an HTTP status */
	REPLY_STORE, /* no answer: something for this node's store to do */
	REPLY_FINISH /* a stream's end, behind its messages */
} ReplyKind;

typedef struct Reply
{
	ReplyTo to;
	ReplyKind kind;
	Bytes bytes;	  /* REPLY_MESSAGE, REPLY_HTTP; of the round's arena */
	int code;		  /* REPLY_FAIL, REPLY_FINISH, REPLY_HTTP */
	const char *text; /* why; REPLY_HTTP: content type */
	uint64 index;	  /* leaves once this entry is applied */
	struct Reply *next;
} Reply;

/* What pd_raft_state holds. */
typedef struct GroupRow
{
	bool found;
	bool asks;		  /* there is one, for a member that has no place yet */
	uint64 member_id; /* ... the word that it asks with */
	uint64 start_seq; /* grows at every start: see transport/fence.h */
	RaftHardState hard;
	uint64 applied_index;
	uint64 applied_term;
	uint64 truncated_index;
	uint64 truncated_term;
	RaftConfState conf;
} GroupRow;

/* Arguments of the group's storage. */
typedef struct GroupStorage
{
	struct Pd *pd;
	RaftStorage log;
} GroupStorage;

/* Are the data where they were last served from? */
typedef enum PdMoved
{
	PD_MOVED_NOT,
	PD_MOVED,
	PD_MOVED_UNKNOWN /* they cannot be looked at now */
} PdMoved;

#define GROUP_TICK_US INT64CONST(100000)

/* A request for timestamps that waits for a greater bound. */
typedef struct TsoWait
{
	ReplyTo to;
	bool half_close;			   /* not a request: the stream's good end */
	const struct PdMethod *method; /* Tso or GetMinTS */
	uint32 count;
	int64 since_us; /* monotonic */
	struct TsoWait *next;
} TsoWait;

/* A member and its start, as they were. */
typedef struct MetMember
{
	uint64 id;
	uint64 start;
} MetMember;

typedef struct Pd
{
	PdState state;
	Schedule schedule;
	bool leading;	  /* state is loaded and this node may decide */
	char reason[256]; /* why not, or why it refused a change lately */
	char fenced[256]; /* why this member must not take part any more */

	/* the group; raft is NULL until this member has a place in one */
	Raft *raft;
	GroupRow saved; /* as last committed */
	GroupLog log;
	GroupStorage storage;
	struct Transport *transport;
	bool may_found;		   /* no tikv.join, no tikv.pd_endpoints */
	uint64 place_word;	   /* it asks for a place with: see join.c; else 0 */
	bool in_ready;		   /* the tables are open for a ready */
	bool must_reload;	   /* the state holds what was never applied */
	bool members_stale;	   /* a member was removed from the tables */
	bool refuses;		   /* what others send cannot be applied: was said */
	uint64 term;		   /* that it leads */
	uint64 revision;	   /* index of the last applied entry */
	uint64 proposed_index; /* of the last entry proposed */
	uint64 decided_index;  /* of the last one that answers may show */
	int64 heard_us;		   /* when a leader was known last */
	bool leaderless;	   /* none is for long: tikv_status() says so */
	int64 ticked_us;	   /* until when the group was given ticks */
	bool ticked;		   /* in this round */
	bool
		settled; /* of a leader: all members are in the group, and up to date */
	int64 retry_us;		  /* the tables could not be had: try again then */
	int64 lease_asked_us; /* a round of heartbeats was asked for */
	RaftSilence silences[PD_MAX_MEMBERS];
	MetMember met[PD_MAX_MEMBERS]; /* members when starts were last looked at */
	size_t n_met;
	char name[80];
	struct Forward *forward; /* to the leader: see forward.c */
	struct Join *join;		 /* on its way into a group: see join.c */

	Server *server;
	HttpServer *http; /* NULL: none, with TLS only */
	Tls *tls;		  /* NULL: off */
	char client_url[160];
	int64 start_time; /* unix seconds */

	struct Watcher *watchers; /* see watch.c */
	Shares watching;		  /* how many of them each connection has */
	int64 next_watcher_us;	  /* when one of them has something to do */
	bool watchers_behind;	  /* some were not told of all changes yet */
	bool watchers_wait;		  /* ... and not because they do not read */
	struct RegionTask *tasks; /* see region_tasks.c */
	int64 next_task_us;
	int64 lease_retry_us;		 /* no lease ends before */
	struct LeaseEnd *lease_ends; /* waited for; see service_lease.c */
	int64 min_resolved_saved_us; /* when min_resolved_ts was last saved */

	/* the round */
	Arena arena;
	size_t max_answer;	/* bytes of it for one request; see room.c */
	size_t max_round;	/* ... beyond which the round ends */
	size_t max_buckets; /* bytes, of all regions; see room.c */
	bool changing;		/* something was decided */
	bool deciding;		/* and it is more than a bound of timestamps */
	bool round_sole;	/* and a transaction is open, locks are held */
	Proposal proposal;
	Reply *outbox;
	Reply **outbox_tail;
	Reply *waiting; /* for their entries to be applied; by malloc */
	Reply **waiting_tail;

	/* timestamps; see tso_service.c */
	TsoWait *tso_waits;
	TsoWait **tso_waits_tail;
	int n_tso_waits;
	PdMoved moved; /* the data may be a copy: see moved.c */
	char moved_how[128];
	uint64 tso_bound_ms;	/* decided and not yet published, 0 none */
	uint64 tso_bound_index; /* of its entry, 0: published with the round */
	int64 tso_extended_us;	/* when the bound was last raised */
	uint64 tso_last_seen;	/* newest timestamp at that time */

	uint64 rounds; /* writing rounds since start */
	uint64 aborted_rounds;
} Pd;

/* ---- life.c ---- */

/* Before anything is loaded, and after the last round. */
extern void pd_init(Pd *pd);
extern void pd_free(Pd *pd);

/*
 * Leadership begins (everything is loaded), does in every round what is due,
 * and ends: who waits for an answer is told `text`.
 */
extern void pd_lead(Pd *pd);
extern void pd_lead_tick(Pd *pd);
extern void pd_resign(Pd *pd, const char *text);

/* ---- round.c ---- */

/* From the tables.  False, with pd->reason set, if that cannot be done now. */
extern bool pd_start(Pd *pd);

/*
 * End of a round: what was decided becomes durable, then it is told.  False:
 * it was lost.
 */
extern bool pd_finish_round(Pd *pd, bool *wrote);

/* Nobody is answered any more; then the server may stop. */
extern void pd_stop(Pd *pd);

/* ---- moved.c ---- */

/* Needs a transaction and SPI.  If so, *how says in which way. */
extern PdMoved pd_data_moved(char *how, Size size);

/* ---- service.c ---- */

/*
 * Decide one request; the answer goes out now or with the round.  The bytes
 * are only read during the call.
 */
extern void pd_serve(Pd *pd, const struct PdMethod *method, Bytes bytes,
					 const ReplyTo *to);

/* Answers, in order: at once, or behind what the round has changed. */
extern void pd_reply(Pd *pd, const ReplyTo *to,
					 const ProtobufCMessage *message);
extern void pd_fail(Pd *pd, const ReplyTo *to, int code, const char *text);
extern void pd_finish(Pd *pd, const ReplyTo *to);

/* A stream's end with a status, behind what it was sent before. */
extern void pd_finish_with(Pd *pd, const ReplyTo *to, int code,
						   const char *text);

/* Have this node's store do what the bytes say (METHOD_STORE_ORDER). */
extern void pd_tell_store(Pd *pd, Bytes order);

extern void pd_reply_http(Pd *pd, const ReplyTo *to, int status,
						  const char *type, Bytes body);

/*
 * Make changes part of the round and tell who watches.  False, with nothing
 * changed, if that cannot be done now; *why says who is in the way.
 */
extern bool pd_change(Pd *pd, PdChanges *changes, const char **why);

/* The same for bytes that are a message already. */
extern void pd_reply_bytes(Pd *pd, const ReplyTo *to, Bytes message);

/*
 * With several members: what the round has answered waits for the last entry
 * that was proposed; send what need not wait any more; answer all of it with
 * UNAVAILABLE.
 */
extern void pd_keep_outbox(Pd *pd);
extern void pd_flush_waiting(Pd *pd);
extern void pd_fail_waiting(Pd *pd, const char *text);

/* Send what waits; `committed` false: the round was lost, say so instead. */
extern void pd_flush_outbox(Pd *pd, bool committed);

/* Is the header's cluster id acceptable?  If not it was answered. */
extern bool pd_check_cluster(Pd *pd, const ReplyTo *to, bool has_header,
							 uint64 cluster_id);

/* ---- room.c ---- */

/* From what clients may have the process hold; 0: no limit. */
extern void pd_set_bounds(Pd *pd, size_t limit);

/* What may not be put together, since it takes more than max_answer. */
#define PD_ANSWER_TOO_LARGE \
	"the answer would take too much memory, ask for less"

/* Of what may wait in the HTTP server: `most`, or one's share of the limit. */
extern size_t pd_http_bound(size_t most, size_t limit);

/* It holds so much that it should end before anything else is decided. */
extern bool pd_round_is_full(const Pd *pd);

/*
 * May a message of this call be served?  A stream's is a request like any
 * other; those of unary calls are refused by the server.
 */
extern bool pd_admits(const Call *call, const PdMethod *method);

/* May so much that the leader says on a stream be queued for its client? */
extern bool pd_may_pass_on(const Call *call, size_t len);

/* What is kept for who waits for an answer counts to whom it is from. */
extern void pd_charge(const ReplyTo *to, size_t n);
extern void pd_uncharge(const ReplyTo *to, size_t n);

/* ---- watch.c ---- */

/* Before the first watch, and after the last. */
extern void watch_init(Pd *pd);
extern void watch_free(Pd *pd);

/* Changes were taken over since the store of keys was at this revision. */
extern void watch_notify(Pd *pd, int64 since_revision,
						 const PdChanges *changes);

/* The stream of a store's heartbeats; NULL: it has none here. */
extern Call *watch_heartbeat_stream(const Pd *pd, uint64 store_id);

/* The call is over. */
extern void watch_forget(Pd *pd, const Call *call);

/* Signs of life that are due; then, when the next one is. */
extern void watch_tick(Pd *pd);

/* How long the loop may sleep for the sake of watchers; -1 for ever. */
extern int64 watch_sleep_us(const Pd *pd);

/* The process stops serving: all watches end. */
extern void watch_end_all(Pd *pd);

/* ---- service_lease.c ---- */

/* Remove what has run out. */
extern void lease_tick(Pd *pd);

/* Who waits for the end of a lease is told no more of it. */
extern void lease_ends_fail(Pd *pd, const char *text);

/* ---- observe.c ---- */

/* Count a request that is answered; failed: by a gRPC status. */
extern void observe_reply(const ReplyTo *to, bool failed);

/* Once per round of the loop: what the server counts. */
extern void observe_round(const Pd *pd);

/* ---- http.c ---- */
extern void http_serve(Pd *pd, HttpRequest *request);
/* ---- service_region.c ---- */

/*
 * Take from shared memory what this node's store leads.  A store that runs
 * already tells it only every ten seconds, and until then clients would not
 * know whom to ask.  To be called once the bus is open: a store that comes up
 * later sends a heartbeat.
 */
extern void pd_note_local_regions(Pd *pd);

/* ---- orders.c ---- */

/* A region's heartbeat was taken over: tell its leader what to do. */
extern void orders_heard(Pd *pd, uint64 region_id);

/* Scheduling that needs no heartbeat, once a second. */
extern void orders_tick(Pd *pd);

/* On its way with the round. */
extern void orders_send(Pd *pd, const Order *order);

/* ---- region_tasks.c ---- */

/* What is to be done; everything is copied. */
typedef struct RegionTaskWish
{
	const Bytes *keys; /* split at these bounds; and then */
	size_t n_keys;
	bool scatter;		 /* what begins at them; or, without keys, */
	const uint64_t *ids; /* these regions */
	size_t n_ids;
	bool single; /* a refusal is an error of the call */
	const char *group;
	bool skip_store_limit;
	uint64_t retry_limit;
} RegionTaskWish;

/* False, with nothing begun, if there is too much to do already. */
extern bool region_task_begin(Pd *pd, const ReplyTo *to,
							  const RegionTaskWish *wish);
extern void region_tasks_tick(Pd *pd);
extern void region_tasks_fail(Pd *pd, const char *text);

/* How long the loop may sleep for their sake; -1 for ever. */
extern int64 region_tasks_sleep_us(const Pd *pd);

/* ---- tso_service.c ---- */
extern void tso_request(Pd *pd, const struct PdMethod *method, Bytes bytes,
						const ReplyTo *to);
extern void tso_half_close(Pd *pd, const ReplyTo *to);

/* Ask for a greater bound if one is needed or soon will be. */
extern void tso_before_commit(Pd *pd);

/* The round's bound is durable: publish it, answer who waited. */
extern void tso_after_commit(Pd *pd);

/* Leadership begins (everything is loaded), lasts until then, and ends. */
extern void tso_lead(Pd *pd);
extern void tso_lease(Pd *pd, uint64 until_us);
extern void tso_resign(Pd *pd);

/* How long the loop may sleep for the sake of timestamps; -1 for ever. */
extern int64 tso_sleep_us(const Pd *pd);

/* ---- group.c, group_start.c ---- */

/*
 * Load the state from the tables, and lead if this is the only member.
 * False, with pd->reason set, if that cannot be done now.
 */
extern bool group_start(Pd *pd);
extern void group_stop(Pd *pd);

/* This start was refused and does not count.  False: try again. */
extern bool group_uncount_start(Pd *pd);

/* A place in a group that exists.  False: the tables cannot be had now. */
extern bool group_join(Pd *pd, uint64 member_id, uint64 cluster_id,
					   const Members *members);

/*
 * Its clock, at the start of each round, before any message is taken; and what
 * is looked at with each tick.
 */
extern void group_clock(Pd *pd);
extern void group_tick(Pd *pd);

/* How long the loop may sleep for the group's sake; -1 for ever. */
extern int64 group_sleep_us(const Pd *pd);

/* Nobody else has to be asked. */
extern bool group_is_sole(const Pd *pd);

/* It leads, and nobody else can yet. */
extern bool group_may_serve(const Pd *pd);

/* This member as it announces itself; borrowed. */
extern void group_describe_self(const Pd *pd, PdMember *out);

/* ---- peers.c ---- */

/* Begin to talk, as soon as there is a group and a server. */
extern void peers_start(Pd *pd);
extern void peers_stop(Pd *pd);

/* A message as bytes, the arena's: it needs its group no more. */
typedef struct PackedMessage
{
	uint64 to;
	RaftMessageType type;
	Bytes bytes;
} PackedMessage;

extern PackedMessage *peers_pack(Pd *pd, const RaftMessage *messages, int n);
extern void peers_send(Pd *pd, const PackedMessage *messages, int n);
extern void peers_send_urgent(Pd *pd);

/* Who has started lately is known to all members, and outlives them. */
extern void starts_tick(Pd *pd);

/* ---- places.c ---- */

/* One step towards what the members should make of the group. */
extern void members_tick(Pd *pd);

/*
 * May a store and a member go, without force?  0 is none; `asks` says that
 * their own node asks for it.  See core/leaving.h.
 */
extern PdError pd_may_leave(Pd *pd, uint64 store_id, uint64 member_id,
							bool asks, Arena *arena);

/* ---- service_member.c ---- */

/* NULL: unknown. */
extern const PdMember *pd_leader(const Pd *pd);
extern PdError pd_member_leaves(const PdState *state, uint64 id,
								PdChanges *changes);

/* ---- forward.c, forward_stream.c, forward_leader.c ---- */
extern void forward_start(Pd *pd);
extern void forward_stop(Pd *pd);
extern void forward_serve(Pd *pd);
extern void forward_tick(Pd *pd);
extern int64 forward_sleep_us(const Pd *pd);

/* Have the leader answer; this member cannot. */
extern void forward_request(Pd *pd, const struct PdMethod *method, Bytes bytes,
							const ReplyTo *to);

/* The client of a stream that is passed on is done, or gone. */
extern bool forward_half_close(Pd *pd, const ReplyTo *to);
extern void forward_closed(Pd *pd, Call *call);

/* Where HTTP goes; NULL: nobody knows. */
extern const char *forward_leader_url(Pd *pd);

/* ---- join.c ---- */

/* While it has no place in a group: ask for one. */
extern void join_tick(Pd *pd);

/*
 * True if this life of the process has to end: with a reason, the node must
 * not serve at all; without, it begins anew in another cluster.
 */
extern bool join_verdict(Pd *pd, char *reason, Size size);
extern void join_stop(Pd *pd);
extern int64 join_sleep_us(const Pd *pd);

/*
 * The round's first change: open the transaction and lock the tables.  False
 * if they cannot be had at once; *why and pd->reason say who is in the way.
 */
extern bool group_begin(Pd *pd, const char **why);

/*
 * Add changes to the round and take them over into the state.  False, with
 * nothing changed, if another session has locked one of the records.
 */
extern bool group_change(Pd *pd, const PdChanges *changes, const char **why);

/* Make the round durable.  False: it was lost and the state is reloaded. */
extern bool group_commit(Pd *pd);

#endif /* TIKV_PD_PD_H */
