/*
 * progress.h
 *	  What a leader knows of one peer's log, and how much it may send.
 */
#ifndef TIKV_RAFT_PROGRESS_H
#define TIKV_RAFT_PROGRESS_H

#include "core/raft/raft.h"

/* Appends sent and not answered, oldest first: a ring that grows as needed. */
typedef struct RaftInflights
{
	struct RaftInflight
	{
		uint64_t index; /* of the last entry sent */
		size_t bytes;
	} * ring;
	int cap;
	int head;
	int n;
	size_t bytes;
} RaftInflights;

typedef struct RaftProgress
{
	uint64_t id;
	uint64_t match; /* known to be in its log */
	uint64_t next;	/* to be sent next; > match */
	RaftProgressState state;
	uint64_t pending_snapshot; /* SNAPSHOT: its index */
	uint64_t acked_round;	   /* newest heartbeat round it answered */
	int vote;				   /* as in RaftVoteFn */
	int unheard;			   /* ticks since it was heard of, at most E */
	bool recent_active;		   /* heard of since silences were noted last */
	bool silent;			   /* not heard of between the last two times */
	bool met;				   /* heard of at all by this leader */
	bool paused;			   /* one message is out, or a snapshot is made */
	bool want_append;		   /* send something even without entries */
	bool installing;		   /* a snapshot, as it has said last */
	bool starved;			   /* of disk space, likewise: whoever leads */
	uint64_t held_at;		   /* an entry that is not bare; 0: not known */
	RaftInflights inflights;
} RaftProgress;

extern void raft_inflights_add(RaftInflights *f, const RaftAllocator *alloc,
							   uint64_t index, size_t bytes);
extern void raft_inflights_free_to(RaftInflights *f, uint64_t index);
extern void raft_inflights_reset(RaftInflights *f);
extern bool raft_inflights_full(const RaftInflights *f,
								const RaftConfig *config);

extern void raft_progress_reset(RaftProgress *p, uint64_t next);
extern void raft_progress_probe(RaftProgress *p);
extern void raft_progress_replicate(RaftProgress *p);
extern void raft_progress_snapshot(RaftProgress *p, uint64_t index);
extern bool raft_progress_update(RaftProgress *p, uint64_t index);
extern bool raft_progress_reject(RaftProgress *p, uint64_t rejected,
								 uint64_t hint);
extern bool raft_progress_blocked(const RaftProgress *p,
								  const RaftConfig *config);
extern bool raft_progress_heard(const RaftProgress *p);

#endif /* TIKV_RAFT_PROGRESS_H */
