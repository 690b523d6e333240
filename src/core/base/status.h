/*
 * status.h
 *	  What a core function answers when it can fail.
 *
 * Expected answers of the protocol (KeyIsLocked, NotLeader ...) are results,
 * not statuses.  Core never logs and never jumps: the caller, who knows the
 * context, turns a Status into an error of its own world (SQLSTATE, gRPC
 * status, errorpb).
 */
#ifndef TIKV_BASE_STATUS_H
#define TIKV_BASE_STATUS_H

#define MUST_CHECK __attribute__((warn_unused_result))

/* Postgres's c.h has a macro of this name and value, for other uses. */
#undef STATUS_OK

typedef enum Status
{
	STATUS_OK = 0,
	STATUS_INVALID,		/* bytes or arguments that break the protocol */
	STATUS_TOO_LARGE,	/* over a limit that the caller knows */
	STATUS_BUSY,		/* a bound was reached; nothing was done */
	STATUS_NOT_LEADER,	/* only the leader of the group can do this */
	STATUS_UNAVAILABLE, /* not now: starting, stopping, no quorum */
	STATUS_NOT_FOUND,
	STATUS_CORRUPT /* stored data contradicts itself */
} Status;

/* A short lower-case text for a Status, for messages; never NULL. */
extern const char *status_text(Status s);

#endif /* TIKV_BASE_STATUS_H */
