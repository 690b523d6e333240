/*
 * quorum.h
 *	  Counting majorities, of one set of voters or of both halves of a joint
 *	  configuration.
 */
#ifndef TIKV_RAFT_QUORUM_H
#define TIKV_RAFT_QUORUM_H

#include "core/raft/raft_types.h"

typedef enum RaftVoteResult
{
	RAFT_VOTE_PENDING,
	RAFT_VOTE_LOST,
	RAFT_VOTE_WON
} RaftVoteResult;

/* How far a voter has come; what it counts is the caller's business. */
typedef uint64_t (*RaftAckedFn)(const void *arg, uint64_t id);

/* Positive: yes, negative: no, 0: has not answered. */
typedef int (*RaftVoteFn)(const void *arg, uint64_t id);

extern bool raft_set_has(const RaftIdSet *set, uint64_t id);
extern bool raft_set_add(RaftIdSet *set, uint64_t id); /* false: full */
extern void raft_set_remove(RaftIdSet *set, uint64_t id);
extern bool raft_set_valid(const RaftIdSet *set);

extern uint64_t raft_quorum_acked(const RaftIdSet *voters, RaftAckedFn acked,
								  const void *arg);
extern uint64_t raft_joint_acked(const RaftConfState *conf, RaftAckedFn acked,
								 const void *arg);
extern RaftVoteResult raft_quorum_vote(const RaftIdSet *voters, RaftVoteFn vote,
									   const void *arg);
extern RaftVoteResult raft_joint_vote(const RaftConfState *conf,
									  RaftVoteFn vote, const void *arg);

#endif /* TIKV_RAFT_QUORUM_H */
