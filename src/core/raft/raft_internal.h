/*
 * raft_internal.h
 *	  The state of a peer, and what the files of core/raft say to each other.
 */
#ifndef TIKV_RAFT_INTERNAL_H
#define TIKV_RAFT_INTERNAL_H

#include "core/base/check.h"
#include "core/raft/confchange.h"
#include "core/raft/log.h"
#include "core/raft/progress.h"
#include "core/raft/quorum.h"
#include "core/raft/raft.h"

/* Appends to one peer in one ready; what is left goes with the next. */
#define RAFT_APPENDS_PER_READY 8

/* Heartbeat rounds whose sending time is remembered for the lease. */
#define RAFT_ROUNDS 64

#define RAFT_CONTEXT_MAX 32 /* of what the core itself puts in a context */
#define RAFT_READ_CONTEXT_MAX ((size_t) 1 << 20)

typedef enum RaftCampaign
{
	RAFT_CAMPAIGN_PRE,
	RAFT_CAMPAIGN_REAL,
	RAFT_CAMPAIGN_TRANSFER
} RaftCampaign;

/* A message waiting for the next ready; it owns its context and data. */
typedef struct RaftQueued
{
	RaftMessage m;
	uint8_t context[RAFT_CONTEXT_MAX];
	uint8_t *data; /* of READ_INDEX and its answer, or NULL */
	size_t data_len;
} RaftQueued;

typedef struct RaftRead
{
	uint64_t from; /* RAFT_NONE: asked here */
	uint64_t index;
	uint64_t round; /* 0: waits for a round to begin */
	uint8_t *context;
	size_t context_len;
} RaftRead;

typedef struct RaftRound
{
	uint64_t round;
	uint64_t sent_us;
} RaftRound;

struct Raft
{
	RaftConfig config;
	RaftAllocator alloc;
	RaftLog log;
	uint64_t now_us;
	uint64_t random;

	uint64_t term;
	uint64_t vote;
	RaftRole role;
	uint64_t leader;
	uint64_t first_own; /* of a leader: where its term begins in the log */

	/* Time, in ticks. */
	int election_elapsed; /* since contact, vote or campaign */
	int election_timeout; /* randomised, > E; of a candidate perhaps less */
	int tries;			  /* of a candidate: 1, or 2 for all later ones */
	int heartbeat_elapsed;

	/*
	 * since a leader was heard: the promise that leases rest on, kept
	 * whatever else happens
	 */
	int contact_elapsed;

	/* ticks left in which a restarted peer neither votes nor campaigns */
	int quarantine;
	bool hibernated;
	bool apply_paused;	 /* the driver installs a snapshot */
	uint64_t held_index; /* from here on nothing is applied; 0: all is */
	bool stands_back;	 /* others shall lead */

	RaftConfState conf;
	RaftProgress *peers; /* everybody in conf, self included */
	int n_peers;
	uint64_t pending_conf_index;
	uint64_t transferee;
	int transfer_elapsed;
	size_t uncommitted_bytes;

	/* Lease and reads. */
	uint64_t round; /* newest heartbeat round begun in this term */

	/*
	 * Grows with each transfer that was given up; of the leader of
	 * generation_term, as far as known.  Kept when the term goes on, since
	 * an old order speaks of the term before.
	 */
	uint64_t generation;
	uint64_t generation_term;
	bool round_wanted;
	bool lease_suspended;
	uint64_t lease_start_us;
	bool lease_started;
	RaftRound rounds[RAFT_ROUNDS]; /* oldest first, a ring */
	int rounds_head;
	int n_rounds;
	RaftRead *reads; /* waiting, oldest first */
	int n_reads;
	int cap_reads;
	RaftRead *read_states; /* answered, for the next ready */
	int n_read_states;
	int cap_read_states;
	size_t read_bytes; /* contexts of all these, and of msgs */

	RaftQueued *msgs;
	int n_msgs;
	int cap_msgs;
	uint64_t dropped_msgs;

	/* What the driver knows. */
	uint64_t ready_number;
	uint64_t advanced_number;
	RaftHardState saved;
	RaftRole told_role;
	uint64_t told_leader;
	uint64_t visible_index; /* applied when the ready that is out commits */
	uint64_t told_index;	/* commit as followers were last told */
	uint64_t snapshot_out;	/* index of the snapshot in the ready that is out */
};

/* raft.c: roles, terms, time */
extern void raft_become_follower(Raft *r, uint64_t term, uint64_t leader);
extern void raft_become_leader(Raft *r);
extern void raft_reset(Raft *r, uint64_t term);
extern void raft_observe_clock(Raft *r, uint64_t now_us);
extern RaftProgress *raft_peer(const Raft *r, uint64_t id);
extern bool raft_is_voter(const Raft *r, uint64_t id);
extern void raft_alloc_free(const Raft *r, void *p);
extern void *raft_grow(const Raft *r, void *old, int n, int *cap, size_t size);

/* invariant.c */
extern void raft_check(const Raft *r);

/* message.c */
extern void raft_send(Raft *r, RaftMessage *m);
extern void raft_send_data(Raft *r, RaftMessage *m, Bytes data);
extern void raft_free_data(Raft *r, RaftQueued *q);
extern void raft_clear_msgs(Raft *r);
extern Status raft_check_message(const Raft *r,
								 const RaftMessage *m) MUST_CHECK;
extern bool raft_needs_flush(const Raft *r, RaftMessageType type, bool reject);
extern void raft_put_u64(uint8_t *p, uint64_t v);
extern uint64_t raft_get_u64(const uint8_t *p);

/* election.c */
extern bool raft_promotable(const Raft *r);
extern Status raft_hup(Raft *r, RaftCampaign kind) MUST_CHECK;
extern void raft_randomize_timeout(Raft *r);
extern bool raft_ignores_vote(const Raft *r, const RaftMessage *m);
extern void raft_handle_vote_request(Raft *r, const RaftMessage *m);
extern void raft_handle_vote_response(Raft *r, const RaftMessage *m);
extern void raft_vote_flushed(Raft *r);
extern void raft_handle_timeout_now(Raft *r, const RaftMessage *m);
extern uint64_t raft_quorum_ticks_left(const Raft *r);
extern void raft_note_silent(Raft *r);

/* replicate.c, follower.c */
extern void raft_append_own(Raft *r, const RaftEntry *e);
extern void raft_commit_advance(Raft *r);
extern void raft_tell_commit(Raft *r);
extern void raft_want_append_all(Raft *r);
extern Status raft_handle_append(Raft *r, const RaftMessage *m) MUST_CHECK;
extern Status raft_handle_heartbeat(Raft *r, const RaftMessage *m) MUST_CHECK;
extern void raft_handle_append_response(Raft *r, const RaftMessage *m);
extern void raft_handle_heartbeat_response(Raft *r, const RaftMessage *m);
extern bool raft_leader_has_sends(const Raft *r);
extern int raft_leader_sends(Raft *r, Arena *arena, RaftMessage **out);

/* transfer.c */
extern void raft_abort_transfer(Raft *r);
extern void raft_transfer_progress(Raft *r, const RaftProgress *p);

/* snapshot.c */
extern bool raft_send_snapshot(Raft *r, RaftProgress *p, Arena *arena,
							   RaftMessage *m);
extern void raft_handle_snapshot(Raft *r, const RaftMessage *m);
extern void raft_snapshot_installed(Raft *r, const RaftSnapshot *snapshot);
extern uint64_t raft_uninstalled_snapshot(const Raft *r);

/* config.c */
extern void raft_switch_conf(Raft *r, const RaftConfState *conf);
extern void raft_auto_leave(Raft *r);
extern uint64_t raft_peer_match(const void *r, uint64_t id);
extern uint64_t raft_peer_round(const void *r, uint64_t id);
extern int raft_peer_vote(const void *r, uint64_t id);
extern uint64_t raft_peer_ticks_left(const void *arg, uint64_t id);

/* lease.c */
extern void raft_begin_round(Raft *r);
extern void raft_round_acked(Raft *r, RaftProgress *p, uint64_t round);
extern void raft_rounds_advance(Raft *r);
extern void raft_lease_reset(Raft *r);
extern bool raft_committed_own_term(const Raft *r);

/* read.c */
extern bool raft_reads_waiting(const Raft *r);
extern void raft_reads_join_round(Raft *r);
extern void raft_reads_done(Raft *r, uint64_t round);
extern void raft_drop_reads(Raft *r);
extern Status raft_handle_read_index(Raft *r, const RaftMessage *m) MUST_CHECK;
extern Status raft_handle_read_answer(Raft *r, const RaftMessage *m) MUST_CHECK;
extern void raft_clear_read_states(Raft *r);

#endif /* TIKV_RAFT_INTERNAL_H */
