/*
 * slow_log.h
 *	  The line of the log that tells of a slow request.
 */
#ifndef TIKV_STATS_SLOW_LOG_H
#define TIKV_STATS_SLOW_LOG_H

#include "core/base/bytes.h"

/* When a request reached its steps; monotonic microseconds, 0: never did. */
typedef struct SlowRequest
{
	const char *method; /* "RawPut" */
	const char *result; /* "ok", "server_is_busy" ... */
	uint64_t region_id; /* 0: none */
	bool has_key;
	Bytes key;			 /* the first one it names */
	int64_t received_us; /* came in */
	int64_t begun_us;	 /* its turn or its round of reads began */
	int64_t decided_us;	 /* ... was decided, or read */
	int64_t durable_us;	 /* ... was committed and flushed */
	int64_t answered_us;
	int64_t waited_us; /* how long it waited for a lock */
} SlowRequest;

/* Bytes of a key that are shown. */
#define SLOW_LOG_KEY_BYTES 32

#define SLOW_LOG_TEXT_SIZE 512

/*
 * One line, whatever bytes the key has.  The steps are shown as far as the
 * request got; what is left of the time is the reply's, or "run" if it was
 * answered while it was decided, as reads are.
 */
extern void slow_log_text(const SlowRequest *request,
						  char out[SLOW_LOG_TEXT_SIZE]);

/* How long it took, without what it waited for a lock: that is no fault. */
extern int64_t slow_log_took_us(const SlowRequest *request);

#endif /* TIKV_STATS_SLOW_LOG_H */
