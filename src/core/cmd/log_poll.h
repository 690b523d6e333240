/*
 * log_poll.h
 *	  Which regions hold no locks, by what all their stores say of their logs.
 *
 * One who asks names regions that follow each other, whether it has peers of
 * them or not, and gives the question to every store that has some, itself
 * among them.  Each raises its max_ts before it looks, so a prewrite that it
 * decides later commits above that; what it decided before is in its log, or
 * with it applied.  So an answer need be true of one moment only, and stays
 * good for as long as one is interested in locks up to the timestamp.
 *
 * The moments may be different ones.  What all have applied is committed, so at
 * one index it is the same, and what a leader of that term has decided before it
 * answers is in its log, and so in its index.  Who comes to lead afterwards, or
 * begins anew, has a later term, an entry of its own, and allows no async commit
 * before it has a timestamp of PD (store/raft_max_ts.c).
 *
 * A store that has not answered in time is not asked again until it is
 * forgotten: it may be of a version that cannot answer.
 */
#ifndef TIKV_CMD_LOG_POLL_H
#define TIKV_CMD_LOG_POLL_H

#include "core/cmd/log_ends.h"

/* Stores of one question. */
#define LOG_POLL_STORES 64

typedef struct LogPollRegion
{
	Bytes start;
	Bytes end;
	LogEnd first; /* the first answer; before that: what is asked */
	bool asked;
	bool differs;	/* another answer has another index */
	bool has_locks; /* one of them says so */
	int n_peers;
	uint64_t stores[REGION_MAX_PEERS];
	uint32_t agreed; /* by place in stores */
} LogPollRegion;

typedef struct LogPoll
{
	uint64_t question; /* 0: none was asked */
	uint64_t ts;
	Arena arena; /* the bounds */
	int n;
	LogPollRegion regions[LOG_ENDS_MAX];

	int n_stores;
	uint64_t stores[LOG_POLL_STORES];
	bool answered[LOG_POLL_STORES];

	/* who was silent; one more than there is room for counts as all */
	int n_silent;
	uint64_t silent[LOG_POLL_STORES];
} LogPoll;

extern void log_poll_init(LogPoll *poll);
extern void log_poll_free(LogPoll *poll);

/* What was learned is good no longer, and who was silent is forgotten. */
extern void log_poll_forget(LogPoll *poll);

/* A new question, which is none of those before. */
extern void log_poll_begin(LogPoll *poll, uint64_t question, uint64_t ts);

/*
 * One more region, which begins where the last one ends; false if there is no
 * room.  If it is not asked about, as because a store was silent, it counts as
 * one that may have locks.
 */
extern bool log_poll_add(LogPoll *poll, const Region *region,
						 bool ask) MUST_CHECK;

/* Is there anything to be asked? */
extern bool log_poll_asks(const LogPoll *poll);

/* What one of poll->stores is asked. */
extern void log_poll_question(const LogPoll *poll, uint64_t store_id,
							  LogEnds *out);

/* To another question, or of a store that was not asked, it is nothing. */
extern void log_poll_answer(LogPoll *poll, uint64_t store_id,
							const LogEnds *ends);

/* Stores that have not answered. */
extern int log_poll_left(const LogPoll *poll);

/* No more answers are waited for. */
extern void log_poll_close(LogPoll *poll);

/* The region that begins at a bound; -1: it was not asked about. */
extern int log_poll_find(const LogPoll *poll, Bytes bound);

/* How many regions from there on, one after the other, have no locks. */
extern int log_poll_count_clean(const LogPoll *poll, int from);

#endif /* TIKV_CMD_LOG_POLL_H */
