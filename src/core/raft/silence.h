/*
 * silence.h
 *	  Since when a leader has not heard its peers.
 *
 * For what is longer than an election timeout: who is called down, and
 * whose place another one gets.
 */
#ifndef TIKV_RAFT_SILENCE_H
#define TIKV_RAFT_SILENCE_H

#include "core/raft/raft.h"

typedef struct RaftSilence
{
	uint64_t id; /* 0: free */
	uint64_t term;
	int64_t since_us;
} RaftSilence;

/*
 * What a leader's status says now.  Of more silent peers than there are places
 * some are not noted.
 */
extern void raft_note_silences(RaftSilence *places, int n,
							   const RaftStatus *status, int64_t now_us);

/* As it was noted last; 0: it was heard. */
extern int64_t raft_silent_since(const RaftSilence *places, int n, uint64_t id);

#endif /* TIKV_RAFT_SILENCE_H */
