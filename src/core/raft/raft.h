/*
 * raft.h
 *	  One peer of one Raft group, as a machine without clock, disk or network.
 *
 * The driver says what happened (raft_step, raft_tick, raft_propose ...), asks
 * what to do about it (raft_ready), does it in one transaction, and says so
 * (raft_advance when committed, raft_persisted when flushed).  In the manner
 * of etcd-io/raft and tikv/raft-rs; README.md explains the protocol and how it
 * differs from theirs.  Not thread safe; groups share nothing.
 */
#ifndef TIKV_RAFT_H
#define TIKV_RAFT_H

#include "core/raft/raft_types.h"

typedef struct Raft Raft;

typedef struct RaftConfig
{
	uint64_t id; /* this peer, not 0 */

	/* Where it left off; all zero for a peer that waits for a snapshot. */
	RaftHardState hard_state;
	RaftConfState conf;
	uint64_t applied_index;
	uint64_t applied_term;
	uint64_t truncated_index;
	uint64_t truncated_term;

	/* It may have voted or acknowledged before: wait one election timeout. */
	bool restarted;

	int election_ticks; /* E; randomised to 2E */
	int heartbeat_ticks;
	uint64_t tick_us;		/* the driver's tick, to check lease_us against */
	uint64_t lease_us;		/* at most 0.9 of E; 0 for no lease */
	bool skip_bcast_commit; /* commit index rides on the next message */
	int64_t priority;		/* of a voter in elections; higher wins ties */
	uint64_t seed;			/* of the election timeouts */

	size_t max_entry_bytes; /* larger proposals: TOO_LARGE */
	size_t max_bytes_per_msg;
	int max_inflight_msgs; /* per follower */
	size_t max_inflight_bytes;
	size_t max_uncommitted_bytes; /* proposals beyond: BUSY */
	size_t max_unstored_bytes;	  /* received appends beyond are dropped */
	size_t max_committed_bytes;	  /* handed out by one ready */
	size_t cache_bytes;			  /* stored entries kept in memory */
	int max_pending_reads;		  /* beyond: BUSY */
	size_t max_read_bytes;		  /* of their contexts; beyond: BUSY */
	int max_pending_msgs;		  /* between two readies; beyond: dropped */
} RaftConfig;

/*
 * What has to be done, in one transaction: write the hard state, replace the
 * log from entries[0].index on by `entries`, install the snapshot if there is
 * one, apply `committed` in order.  Committed entries are already in the
 * stored log or among this ready's entries.  Then raft_advance.
 *
 * `messages` leave once this ready's transaction is committed, flushed or not:
 * what they call committed is then visible here.  `persisted_messages` leave
 * once it is flushed.  A `sole` ready must be flushed before
 * raft_advance; its entries need no rows, since all of them are in `committed`.
 *
 * A conf change is always the last of `committed`; having applied it the
 * driver calls raft_apply_conf_change before raft_advance, or nothing if it
 * refused the change.
 *
 * All of it lives in the arena or in the group, until raft_advance.
 */
typedef struct RaftReady
{
	uint64_t number; /* grows by one */
	bool sole;
	bool has_hard_state;
	RaftHardState hard_state;
	bool has_soft_state; /* role or leader changed */
	RaftRole role;
	uint64_t leader;
	const RaftEntry *entries;
	int n_entries;
	const RaftSnapshot *snapshot; /* NULL: none */
	const RaftEntry *committed;
	int n_committed;
	const RaftMessage *messages;
	int n_messages;
	const RaftMessage *persisted_messages;
	int n_persisted_messages;
	const RaftReadState *read_states;
	int n_read_states;
} RaftReady;

typedef enum RaftProgressState
{
	RAFT_PROBE = 0,
	RAFT_REPLICATE = 1,
	RAFT_SNAPSHOT = 2
} RaftProgressState;

/* What the leader knows of one peer. */
typedef struct RaftPeerStatus
{
	uint64_t id;
	uint64_t match;
	uint64_t next;
	RaftProgressState state;
	bool learner;
	bool recent_active; /* heard of since silences were noted last, each E */
	bool silent;		/* not heard of between the last two, nor since */
	bool heard;			/* it lives, as far as this leader knows */
	bool paused;		/* nothing is sent until it answers */
	bool installing;	/* a snapshot that it has: it can serve nothing yet */
	uint64_t pending_snapshot;
	int inflight_msgs;
	size_t inflight_bytes;
} RaftPeerStatus;

typedef struct RaftStatus
{
	uint64_t id;
	RaftHardState hard_state;
	RaftRole role;
	uint64_t leader;
	uint64_t transferee; /* of a transfer under way */
	uint64_t applied_index;
	uint64_t applied_term;
	uint64_t truncated_index;
	uint64_t truncated_term;
	uint64_t last_index;
	uint64_t last_term;
	uint64_t stored_index;	  /* in the driver's log */
	uint64_t persisted_index; /* and flushed */
	uint64_t
		pending_conf_index; /* a conf change at or below may be unapplied */
	RaftConfState conf;
	int pending_reads;
	size_t memory_bytes;   /* of entries held in memory */
	uint64_t dropped_msgs; /* by max_pending_msgs */
	bool hibernated;
	int n_peers; /* leader only */
	RaftPeerStatus peers[RAFT_MAX_PEERS];
} RaftStatus;

/* Defaults of DESIGN: tick 100 ms, heartbeat 0.5 s, E 3 s, lease 0.9 E. */
extern void raft_config_init(RaftConfig *config, uint64_t id);

/*
 * Start from the stored state.  CORRUPT: it contradicts itself; INVALID: the
 * configuration does.  The storage and allocator are copied, what they point
 * to must outlive the group.
 */
extern Status raft_create(const RaftConfig *config, const RaftStorage *storage,
						  const RaftAllocator *allocator, uint64_t now_us,
						  Raft **out) MUST_CHECK;
extern void raft_destroy(Raft *r);

/* Input.  now_us is monotonic; at most one tick per tick_us. */
extern void raft_tick(Raft *r, uint64_t now_us);

/*
 * Which of the next ticks, the first being 1, is the next that does more than
 * count.  A driver may sleep until then and give the ticks of that time
 * together, if it gives those that are over before anything else it tells the
 * group.  INT_MAX while that sleeps.
 */
extern int raft_ticks_due(const Raft *r);

/*
 * A message from another peer, copied as far as needed.  INVALID: it breaks
 * the protocol and was ignored.  CORRUPT: it contradicts what this peer knows
 * to be committed; nothing was changed, and the driver should stop the group.
 */
extern Status raft_step(Raft *r, const RaftMessage *m,
						uint64_t now_us) MUST_CHECK;

/*
 * Append a proposal; index and term of the entry come back.  NOT_LEADER,
 * UNAVAILABLE (leadership is being transferred), BUSY, TOO_LARGE: nothing was
 * done; INVALID: a payload is not possible now.  Only type, data, context and
 * payload of `e` are read; data and context are copied, the payload is not.
 */
extern Status raft_propose(Raft *r, const RaftEntry *e, uint64_t *index,
						   uint64_t *term) MUST_CHECK;

/*
 * Propose a conf change whose encoded form is e->data.  BUSY: an earlier one
 * may be unapplied.  INVALID: the current configuration does not allow it.
 */
extern Status raft_propose_conf_change(Raft *r, const RaftConfChange *cc,
									   const RaftEntry *e, uint64_t *index,
									   uint64_t *term) MUST_CHECK;

/* Would the change be accepted by the current configuration? */
extern Status raft_check_conf_change(const Raft *r, const RaftConfChange *cc,
									 RaftConfState *result) MUST_CHECK;

/*
 * And would it be wise?  UNAVAILABLE: whom it makes a voter was no learner or
 * has not got its data, or a majority of the voters after it lacks what the log
 * has given up; who installs a snapshot has nothing until that is done.
 */
extern Status raft_check_conf_change_safe(const Raft *r,
										  const RaftConfChange *cc) MUST_CHECK;

/*
 * And would it leave a group that can go on?  UNAVAILABLE: the voters change,
 * and those after it have no majority that is heard of (RaftPeerStatus.silent;
 * the leader counts).  A joint configuration may always be left.
 */
extern Status raft_check_conf_change_alive(const Raft *r,
										   const RaftConfChange *cc) MUST_CHECK;

/*
 * A committed conf change of the ready that is out takes effect; the new
 * configuration comes back, to be stored in the same transaction.  INVALID:
 * refused, nothing changed.
 */
extern Status raft_apply_conf_change(Raft *r, const RaftConfChange *cc,
									 RaftConfState *result) MUST_CHECK;

/*
 * Start an election now.  A sole peer is leader when this returns.
 * UNAVAILABLE: a leader is heard, the peer has just restarted, is no voter, or
 * may have a committed conf change to apply first.
 */
extern Status raft_campaign(Raft *r, uint64_t now_us) MUST_CHECK;

/*
 * Ask for a read index.  The answer is a RaftReadState with this context in a
 * later ready, or none at all if leadership changes: ask again after some
 * ticks.  On a follower the question goes to the leader; UNAVAILABLE if none
 * is known.
 */
extern Status raft_read_index(Raft *r, Bytes context) MUST_CHECK;

/* Hand leadership to a voter; the lease ends now.  UNAVAILABLE: not fit. */
extern Status raft_transfer_leader(Raft *r, uint64_t to) MUST_CHECK;

extern void raft_report_unreachable(Raft *r, uint64_t id);
extern void raft_report_snapshot(Raft *r, uint64_t id, bool ok);

/* Output. */
extern bool raft_has_ready(const Raft *r);

/*
 * What is to be done now; false if nothing.  Ready and advance alternate, and
 * raft_persisted may lag behind by any number of readies.  Everything else may
 * be called in between; its effects are in the next ready.
 */
extern bool raft_ready(Raft *r, Arena *arena, uint64_t now_us, RaftReady *out);

/*
 * The ready's transaction is committed (and flushed, if it was sole).  Its
 * snapshot is the state machine from here on, and brings its configuration.
 */
extern void raft_advance(Raft *r, const RaftReady *ready);

/* All readies up to this number are flushed. */
extern void raft_persisted(Raft *r, uint64_t number);

/*
 * Only the messages that need no flush, for a driver that cannot commit now:
 * heartbeats go on.  Valid until the next call that changes the group.
 */
extern int raft_take_messages(Raft *r, Arena *arena, uint64_t now_us,
							  const RaftMessage **out);

/*
 * The log up to `index` <= applied, whose entry has this term (raft_term_at),
 * is gone: the driver has removed the rows and stored both as truncated.  A
 * sole ready implies it for all that it applied.
 */
extern void raft_compact(Raft *r, uint64_t index, uint64_t term);

/*
 * While on, a snapshot is being applied: no committed entries are handed out,
 * and this peer neither campaigns nor is handed leadership.
 */
extern void raft_pause_apply(Raft *r, bool on);

/*
 * What the next ready would have to apply, for a driver that looks at it first;
 * returns how many entries.  They are read from the log where they must be.
 */
extern int raft_committed(const Raft *r, Arena *arena, const RaftEntry **out);

/*
 * Nothing from this index on is handed out, which is not applied yet; 0: all is
 * again.  Not while a ready is out.  The log goes on, but until then this peer
 * is as one that installs a snapshot: it does not campaign, and says so.  A
 * snapshot that is installed ends it.
 */
extern void raft_hold_apply(Raft *r, uint64_t index);
extern bool raft_holds_apply(const Raft *r);

/*
 * While on, this peer leaves elections and orders to lead to other voters, if
 * there are any: its driver takes no entries now.  It campaigns all the same
 * when no leader was heard for RAFT_STAND_BACK election timeouts, since nobody
 * else may have the whole log.
 */
#define RAFT_STAND_BACK 4
extern void raft_stand_back(Raft *r, bool on);

/*
 * A peer says that it takes no entries for want of disk space, or that it does
 * again.  As a leader this one sends it but bare entries meanwhile: those that
 * raft_bare_entries counts from the first one on, and the peer's driver takes.
 */
extern void raft_note_starved(Raft *r, uint64_t id, bool on);
extern int raft_bare_entries(const RaftEntry *entries, int n);

/*
 * Of a leader: would a majority take the first entry of another one?  Else it
 * could not even serve reads, as this one does.
 */
extern bool raft_permits_new_leader(const Raft *r);

/* Questions. */

/* one voter, this one; no learner, not joint, no snapshot to install */
extern bool raft_is_sole(const Raft *r);

/* and leader, no conf change pending */
extern bool raft_takes_payload(const Raft *r);
extern RaftRole raft_role(const Raft *r);
extern uint64_t raft_term(const Raft *r);
extern uint64_t raft_leader(const Raft *r);

/*
 * It is heard, or this peer: a follower has heard it within an election
 * timeout.  Who is no member any more is told of no later one.
 */
extern bool raft_hears_leader(const Raft *r);
extern uint64_t raft_applied_index(const Raft *r);
extern uint64_t raft_last_index(const Raft *r);

/*
 * The configuration at raft_applied_index; while a ready is out, with the
 * change that was applied from it, but not with its snapshot.
 */
extern void raft_conf(const Raft *r, RaftConfState *out);
extern void raft_status(const Raft *r, RaftStatus *out);

/* NOT_FOUND also while a snapshot that replaces the log is not installed */
extern Status raft_term_at(const Raft *r, uint64_t index, uint64_t *term);

/*
 * Until when reads may be served here without asking anybody: 0 if not at all,
 * UINT64_MAX for a sole leader.  Suspending (a split or merge is committed and
 * not applied) makes it 0; what was granted before is not given back.
 */
extern uint64_t raft_lease_end_us(const Raft *r);
extern void raft_lease_suspend(Raft *r, bool on);

/*
 * Hibernation: a group without work may stop being ticked once all peers
 * agree (the driver asks them).  Any step, proposal, read or campaign wakes.
 */
extern bool raft_can_hibernate(const Raft *r);
extern void raft_hibernate(Raft *r);
extern void raft_wake(Raft *r);

/*
 * As raft_wake, of a follower whose leader is believed to be gone.  The caller
 * knows that more than an election timeout has passed since this group went to
 * sleep: so it owes that leader no promise any more.
 */
extern void raft_wake_orphan(Raft *r);

/*
 * Memory of entries that are in the driver's log as well, and giving back what
 * is above so many bytes: they are read again when somebody needs them.  Not
 * while a ready is out.
 */
extern size_t raft_cached_bytes(const Raft *r);
extern void raft_give_back(Raft *r, size_t cached_bytes);

#endif /* TIKV_RAFT_H */
