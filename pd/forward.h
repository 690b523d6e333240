/*
 * forward.h
 *	  Between the files that bring requests to the leader.
 */
#ifndef TIKV_PD_FORWARD_H
#define TIKV_PD_FORWARD_H

#include "pd/pd.h"
#include "server/client.h"

/* Sent along, so that two who are wrong do not pass a call to and fro. */
#define FORWARDED_KEY "tikv-pd-forwarded"

extern const ClientHeader forward_header;

/* How often a leader is looked for. */
#define FORWARD_ASK_US INT64CONST(500000)

/* Until the next attempt after one that failed: as fast as it failed otherwise. */
#define FORWARD_RETRY_US INT64CONST(100000)

/* A request that waits for the leader's answer, or for a leader. */
typedef struct Forwarded
{
	struct Forwarded *next;
	Pd *pd;
	ReplyTo to;
	const PdMethod *method;
	uint32 count; /* of timestamps */
	int64 until_us;
	int64 not_before_us; /* of the next attempt */
	ClientCall *call;	 /* NULL: not on its way */
	size_t len;
	uint8_t bytes[FLEXIBLE_ARRAY_MEMBER];
} Forwarded;

/* Timestamps of several requests, asked for at once. */
typedef struct TsoBatch
{
	struct TsoBatch *next;
	Forwarded *first; /* in order */
	uint32 count;
} TsoBatch;

/* A client's stream that is passed on. */
typedef struct Pipe
{
	struct Pipe *next;
	Pd *pd;
	Call *call; /* held */
	ClientCall *upstream;
	size_t charged; /* to the client, of what is on its way upstream */
} Pipe;

typedef struct Forward
{
	char leader[160]; /* host:port; empty: unknown */
	char leader_url[176];
	ClientChannel *channel; /* to it */
	Forwarded *calls;
	int n_calls;
	Forwarded *tso_wanted; /* no batch yet */
	Forwarded **tso_wanted_tail;
	TsoBatch *tso_sent;
	TsoBatch **tso_sent_tail;
	ClientCall *tso;
	ClientCall *beats;
	Pipe *pipes;
	bool regions_told; /* on this stream of heartbeats */

	/* The next attempts, after streams that ended; of a new leader 0. */
	int64 tso_not_before_us;
	int64 beats_not_before_us;

	/* looking for it */
	ClientChannel *asked;
	ClientCall *asking;
	int64 next_ask_us;
	int ask_at;
} Forward;

/* ---- forward.c ---- */
extern Forwarded *forward_new(Pd *pd, const PdMethod *method, Bytes bytes,
							  const ReplyTo *to);
extern void forward_free(Forwarded *f);

/* Answer it with a status, and free it. */
extern void forward_refuse(Forwarded *f, int code, const char *text);

/* Tell a client that the leader did not answer, and why. */
extern void forward_fail(Pd *pd, const ReplyTo *to, const ClientResult *result);

/* Our own processes leave out what they need not know: the cluster's id. */
extern Bytes forward_with_header(Pd *pd, const PdMethod *method, Bytes bytes);

/* ---- forward_tso.c ---- */
extern void forward_tso(Pd *pd, const PdMethod *method, Bytes bytes,
						const ReplyTo *to);
extern void forward_send_tso(Pd *pd);

/* Nobody got a timestamp of what was under way: ask again. */
extern void forward_recall_tso(Forward *fw);

/* ---- forward_stream.c ---- */
extern void forward_beat(Pd *pd, const PdMethod *method, Bytes bytes,
						 const ReplyTo *to);
extern void forward_stream(Pd *pd, const PdMethod *method, Bytes bytes,
						   const ReplyTo *to);

/* A new leader hears of the regions at once, from the board. */
extern void forward_tell_regions(Pd *pd);
extern void forward_drop_pipes(Forward *fw);

/* What streams have on its way to the leader counts to their clients. */
extern void forward_count_pipes(Forward *fw);

/* ---- forward_leader.c ---- */
extern void forward_find_leader(Pd *pd);

/* The leader's streams are not used any more. */
extern void forward_forget_streams(Forward *fw);

#endif /* TIKV_PD_FORWARD_H */
