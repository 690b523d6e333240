/*
 * replicas.h
 *	  Groups with several peers: their turns, messages, proposals and reads.
 *
 * The folder's own header.  README.md, "Groups with several peers", says how
 * the files work together.
 */
#ifndef TIKV_STORE_REPLICAS_H
#define TIKV_STORE_REPLICAS_H

#include "store/store.h"

#include "bus/failpoints.h"
#include "store/txn_turn.h"

/* Votes for regions that are still part of another one here. */
#define EARLY_VOTES_MAX 64
#define EARLY_VOTE_BYTES ((size_t) 64 << 10)

#define RAFT_TICK_US INT64CONST(100000)

/* A message from another store, as it came. */
typedef struct InMessage
{
	struct InMessage *next;
	uint64 region_id; /* of early votes */
	size_t len;
	uint8 bytes[FLEXIBLE_ARRAY_MEMBER];
} InMessage;

/* Messages of a ready, and what Raft is told, once the WAL is flushed. */
typedef struct Unflushed
{
	struct Unflushed *next;
	XLogRecPtr lsn;
	uint64 region_id;
	uint64 life_number;
	uint64 number; /* of the ready */
	int64 since_us;
	int n_messages;
	Arena arena; /* of the messages */
	struct OutMessage *messages;
} Unflushed;

typedef struct OutMessage
{
	uint64 to_store; /* 0: nobody knows where that peer is */
	uint64 to_peer;
	bool snapshot; /* goes by another stream */
	Bytes bytes;
} OutMessage;

/* A read that waits for its index. */
typedef struct IndexRead
{
	struct IndexRead *next;
	uint64 id; /* in the context of the question */
	uint64 region_id;
	uint64 life_number;
	bool answered; /* index is known */
	uint64 index;
	bool has_ts; /* of a transactional read */
	uint64 start_ts;
	int64 asked_us;
	Request *request;
} IndexRead;

/*
 * A peer that a region of ours has removed: it is told so for a while, since a
 * learner asks nobody, and no other message goes to it any more.
 */
typedef struct RemovedPeer
{
	struct RemovedPeer *next;
	uint64 region_id;
	RegionPeer peer;
	RegionPeer from;
	RegionEpoch epoch;
	int64 until_us;
	int64 next_us; /* it is told again */
	int64 rest_us; /* ... and then after twice this */
} RemovedPeer;

/* An administrative command from outside, for the next turn. */
typedef struct AdminJob
{
	struct AdminJob *next;
	uint64 region_id;
	CmdAdmin admin;

	/* The region as it was seen; another one does not take the order. */
	bool has_epoch;
	RegionEpoch epoch;

	/* Told whether it was proposed, and if not, why.  May be NULL. */
	void (*done)(Store *store, struct AdminJob *job, bool ok, const char *why);
	void *arg;
} AdminJob;

/* How messages leave, and how snapshots are made and installed. */
typedef struct ReplicaLinks
{
	/* False: dropped (no room, unknown address). */
	bool (*send)(void *arg, uint64 to_store, Bytes message);

	/*
	 * RaftStorage's snapshot, for a peer of a group; and a message with such
	 * a snapshot is to be sent.  NULL where there are no snapshots.
	 */
	Status (*snapshot)(void *arg, Peer *peer, uint64 to, uint64 index,
					   Arena *arena, RaftSnapshot *out);
	bool (*send_snapshot)(void *arg, Peer *peer, uint64 to_store,
						  uint64 to_peer, Bytes message);
	void *arg;
} ReplicaLinks;

/* Another store, by what its last message said. */
typedef struct FullStore
{
	uint64 store_id;
	DiskUsage usage;
} FullStore;

typedef struct Replicas
{
	ReplicaLinks links;
	InMessage *inbox;
	InMessage **inbox_end;
	size_t inbox_bytes;
	int n_inbox;
	uint64 inbox_dropped; /* messages, since the worker began */
	WriteQueue queue;	  /* writes of such groups, not begun */
	Latches *latches;
	Unflushed *unflushed; /* by LSN */
	Unflushed **unflushed_end;
	int n_unflushed;
	uint64 next_life;
	int64 next_tick_us;		/* monotonic */
	int64 blocked_until_us; /* tables are locked: the next try */
	int64 next_pd_time_us;
	uint64 doubted;		   /* the timestamp that PD was asked about, or 0 */
	uint64 doubt_question; /* the number of that question */
	int64 next_doubt_us;   /* if it is not answered */
	IndexRead *reads;
	int n_reads;
	uint64 next_read;
	int n_grouped; /* peers of such groups */
	uint64 turns;
	XLogRecPtr commit_lsn; /* of the newest turn that wrote */
	bool apply_held;	   /* deletions of ranges wait for earlier ones */
	size_t read_bytes;	   /* of logs, by the running turn */
	uint64 read_refused;   /* the region of the first that has to wait, or 0 */
	bool starved;		   /* the guard says so, and the peers know it */
	FullStore *full;	   /* stores that are not as they should be */
	int n_full;
	int full_room;
	AdminJob *jobs;
	AdminJob **jobs_end;
	InMessage *early_votes; /* for regions that a split will make here */
	int n_early_votes;
	RemovedPeer *removed;
	struct SplitJob *splits;
	int n_splits;
	uint64 next_split;

	/* While a turn's transaction is open. */
	OpenTables *tables;
	Snapshot snapshot;
} Replicas;

/* Regions that a split makes; peers of theirs begin after the commit. */
typedef struct SplitBorn
{
	struct SplitBorn *next;
	uint64 parent;
	Region *pieces; /* in the order of their keys; in the turn's arena */
	int n_pieces;
	GroupState *states; /* of the pieces that begin here; region_id 0: none */
} SplitBorn;

/* A region that comes with a snapshot which Raft was told of in this turn. */
typedef struct AcceptedRegion
{
	struct AcceptedRegion *next;
	Region region; /* in the turn's arena */
} AcceptedRegion;

/* Tag of questions for ids among the answers of PD. */
#define SPLIT_TAG (UINT64CONST(1) << 61)

/* The transaction of a running turn, for the files that share it. */
typedef struct RaftTurn
{
	Store *store;
	OpenTables tables;
	Snapshot snapshot;
	RawReader *reader;
	int64 now_s;
	RawWriter *writer;
	TxnTurn txn;
	int64 begun_us;
	bool wrote;			/* it took a transaction id */
	bool at_once;		/* must be flushed before anything follows from it */
	bool in_core;		/* an error now leaves the core half done */
	bool committed;		/* ... or the readies that are out, or what is gone */
	Write *current;		/* being decided */
	InMessage *message; /* being stepped */
	const RawModify *raw_at; /* being written */
	SplitBorn *born;
	AcceptedRegion *accepted;
} RaftTurn;

extern void replicas_init(Store *store);
extern void replicas_free(Store *store);

/* ---- raft_turn.c ---- */

/* Run a turn if there is something to do; returns how much was done. */
extern int raft_turn_run(Store *store);

/* Microseconds until raft_turn_run has something to do, at most `most`. */
extern int64 raft_turn_sleep_us(const Store *store, int64 most);

/* What was flushed meanwhile is told. */
extern int raft_flushed_run(Store *store);

/* A command for the next turn; the job is copied, its keys are not. */
extern void raft_turn_order(Store *store, const AdminJob *job);

/*
 * Locks that live in this store's memory alone end with its leadership, and with
 * a split of a region that others may lead: found again later they would speak
 * for transactions that went on elsewhere.
 */
extern void raft_turn_forget_memory_locks(Store *store, const Peer *peer);

/* It is not to be proposed, if it was not yet: nobody is told. */
extern void raft_turn_take_back(Store *store, const void *arg);

/* The store stops: whoever waits for an order is told. */
extern void raft_turn_stop(Store *store, const char *reason);

/* ---- raft_show.c ---- */

/* What tikv.raft shows. */
extern void raft_tell_people(Store *store);

/* ---- raft_max_ts.c ---- */

extern void raft_ask_max_ts(Peer *peer, int64 now_us);
extern void raft_ask_pd_time(Store *store, int64 now_us);

/* Somebody came with a timestamp that is far ahead: ask PD about it. */
extern void raft_ask_about_doubt(Store *store, int64 now_us);

/* The answer to a question of ours, if it is one. */
extern bool raft_take_pd_answer(Store *store, const BusAnswer *answer);

/* ---- raft_storage.c ---- */

extern void raft_storage_open(Store *store, OpenTables *tables,
							  Snapshot snapshot);
extern void raft_storage_close(Store *store);
extern RaftStorage raft_storage(Peer *peer);

/* Where its log ends and how large it is; before peer_start. */
extern void raft_storage_find_end(Peer *peer);

/* Entries, hard state and truncated position of a ready, as rows. */
extern void raft_storage_save(RaftTurn *turn, Peer *peer);

/* Remove some rows that the log does not need any more. */
extern void raft_storage_trim(RaftTurn *turn, Peer *peer);

/* ---- raft_cache.c ---- */

/*
 * What kept logs may take in memory, and messages that wait, as much again: a
 * quarter of tikv.memory_limit, 64 MiB at most and 4 MiB at least.
 */
extern size_t raft_memory_share(void);

/* After the readies of a turn: give back what is too much. */
extern void raft_cache_bound(Store *store);

/*
 * Each of those that are awake.  Entries that followers lack are read in many
 * turns: these were; may there be more?  Who has to wait is the first in the
 * next turn.
 */
extern void raft_cache_each(RaftTurn *turn,
							void (*take)(RaftTurn *turn, Peer *peer));
extern void raft_cache_count_read(Peer *peer, const RaftEntry *entries, int n);
extern bool raft_cache_may_read(Peer *peer);

/* ---- raft_apply.c ---- */

/* Apply the ready's committed entries to the overlays and the peer. */
extern void raft_apply(RaftTurn *turn, Peer *peer);

/*
 * Before each ready: with too many deletions of ranges on their way it has
 * nothing to apply from the next one on.  Before each turn: go on, if there is
 * room again.
 */
extern void raft_apply_hold(Peer *peer);
extern void raft_apply_let_go(Store *store);

/*
 * How many entries of an append its log may grow by: not by many if it is held,
 * or if there is no space.
 */
extern int raft_apply_takes(const Peer *peer, const RaftMessage *append);

/* The guard was asked: peers without space leave elections to others. */
extern void raft_apply_note_space(Store *store);

/* ---- raft_write.c ---- */

/* A write of a group with several peers. */
extern void raft_write_submit(Store *store, Write *write);

/* Decide and propose the writes that wait. */
extern void raft_write_decide(RaftTurn *turn, WriteQueue *batch);

/*
 * The entry at this index is committed, with this term: whose was it?  NULL if
 * nobody's here.  Proposals that it proves lost are answered.
 */
extern Write *raft_write_applied(Peer *peer, uint64 index, uint64 term);

/* A snapshot has what these proposals may have become: nobody can tell. */
extern void raft_write_covered(Peer *peer, uint64 index);

/* Deciding it raised this error. */
extern void raft_write_failed(Store *store, Write *write, int sqlstate);

/* It is applied: to be answered when the turn is committed. */
extern void raft_write_done(Store *store, Write *write);

/* After the commit, and after its guards ended: give back its latches. */
extern void raft_write_release(Store *store, Write *write);

/* Leadership was lost: nothing that waits here can be proposed any more. */
extern void raft_write_lost(Peer *peer);

/* What is proposed would not be applied: who waits is told to try again. */
extern void raft_write_held(Peer *peer);

/* The first entry of the own term is applied: decide what waited for it. */
extern void raft_write_begin_term(Peer *peer);

/* The peer goes away: nobody will know what became of its proposals. */
extern void raft_write_abandon(Peer *peer, const char *reason);

/* ---- raft_message.c ---- */

/* A message came; takes a copy.  Dropped, and counted, if too many wait. */
extern void raft_message_receive(Store *store, Bytes bytes);

/* Is as much waiting as shall wait? */
extern bool raft_message_enough(const Store *store);

/* A region was split off here: votes for it that came too early come again. */
extern void raft_message_again(Store *store, uint64 region_id);

/* Step what came, within the turn. */
extern void raft_message_step(RaftTurn *turn);

/* Messages of a ready in the wire's form, in the arena. */
extern OutMessage *raft_message_pack(Peer *peer, const RaftMessage *messages,
									 int n, Arena *arena);
extern void raft_message_send(Store *store, Peer *peer,
							  const OutMessage *messages, int n);

/* The region, as it was and as it is: who is gone is told, now and then. */
extern void raft_message_removed(Peer *peer, const Region *before);
extern void raft_message_tell_removed(Store *store);

/* The peer is not in its region any more, or a stale one: it goes. */
extern void raft_peer_destroy(RaftTurn *turn, Peer *peer,
							  const Region *last_region);

/* ---- disk_usage.c: which stores have little disk space left ---- */

extern DiskUsage disk_usage_own(Store *store);
extern void disk_usage_show(Store *store);

/* What another store, one that regions of ours are on, says of itself. */
extern void disk_usage_note(Store *store, uint64 store_id, DiskUsage usage);
extern DiskUsage disk_usage_of(const Store *store, uint64 store_id);

/* False: a write of this kvrpcpb.DiskFullOpt finds no majority for its entry. */
extern bool disk_usage_permits(const Peer *peer, int disk_full_opt,
							   Arena *arena, RegionError *error);

/* ---- hand_over.c ---- */

/* If it leads, and applies nothing or has no space: another one shall lead. */
extern void hand_over_tick(Peer *peer, int64 now_us);

/* ---- raft_admin.c ---- */

/*
 * Propose an administrative command of this store's own.  False with *why if
 * it cannot be done now.
 */
extern bool raft_admin_propose(Peer *peer, const CmdAdmin *admin,
							   const char **why);

/* The turn is committed: a lease that waited for a split goes on. */
extern void raft_admin_applied(Peer *peer);

/* The log's front is given up now and then. */
extern void raft_admin_compact(Peer *peer, int64 now_us);

/* An entry with an administrative command; one with a change of peers. */
extern void raft_admin_apply(RaftTurn *turn, Peer *peer, const RaftEntry *entry,
							 const Command *command);
extern void raft_admin_apply_change(RaftTurn *turn, Peer *peer,
									const RaftEntry *entry);

/* ---- raft_read.c ---- */

/* A read that needs an index of the group's log. */
extern void raft_read_submit(Store *store, Request *request);
extern void raft_read_states(Peer *peer, const RaftReadState *states, int n);

/* May a follower's question be answered now?  False: ask again. */
extern bool raft_read_may_answer(Peer *peer, Bytes question);

/* Reads whose index is applied are run; those without hope are answered. */
extern int raft_read_run(Store *store);
extern void raft_read_stop(Store *store, const char *reason);

/* ---- orders.c: what others want done with regions ---- */

typedef struct Pdpb__RegionHeartbeatResponse Pdpb__RegionHeartbeatResponse;

extern void orders_take_sql(Store *store, Request *request);

/* False: it does not lead the region, NULL: it has no peer of it. */
extern bool orders_may_reach(const Peer *peer, uint64 region_id,
							 RegionError *error);
extern void orders_take_message(Store *store, Request *request);
extern void orders_take_pd(Store *store,
						   const Pdpb__RegionHeartbeatResponse *reply);

/* ---- splits.c ---- */

typedef struct SplitJob SplitJob;

extern void splits_take(Store *store, Request *request);

/*
 * Split it at these bounds of its own accord; keys and sizes, one more than
 * keys, are copied.
 */
extern void splits_begin(Store *store, Peer *peer, const Bytes *keys, int n,
						 const PieceSize *sizes);

/* PD wants it split at bounds that it knows; copied. */
typedef struct Pdpb__SplitRegion Pdpb__SplitRegion;

extern void splits_order(Store *store, Peer *peer,
						 const Pdpb__SplitRegion *order);

/* False: the bounds are raw and there are transactions by now. */
extern bool splits_may_propose(Peer *peer, const CmdAdmin *admin);
extern bool splits_take_pd_answer(Store *store, const BusAnswer *answer);
extern void splits_applied(Store *store, const Peer *parent,
						   const Region *pieces, int n);
extern void splits_run(Store *store);
extern void splits_stop(Store *store, const char *reason);

/* ---- raft_split.c: a split is applied ---- */

extern void raft_split_apply(RaftTurn *turn, Peer *peer, const CmdAdmin *admin);

/* After the commit: the new peers begin. */
extern void raft_split_begin(RaftTurn *turn);

/* ---- links.c: to other stores ---- */

typedef struct Links Links;

extern void links_start(Store *store);
extern void links_stop(Store *store);

/* Once per round, before the sleep. */
extern void links_run(Store *store);
extern bool links_take_pd_answer(Store *store, const BusAnswer *answer);

#endif /* TIKV_STORE_REPLICAS_H */
