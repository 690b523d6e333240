/*
 * raw.h
 *	  The raw API: kvrpcpb messages <-> plain commands.
 */
#ifndef TIKV_SERVICE_RAW_H
#define TIKV_SERVICE_RAW_H

#include "core/kv/api_version.h"
#include "core/kv/raw_cas.h"
#include "service/service.h"

/* What the service needs to know of the settings. */
typedef struct RawLimits
{
	size_t max_key_size;
	size_t max_entry_size; /* bytes of one write in the log, 8 MiB in TiKV */
	uint64_t cluster_id;   /* a request that names another is refused */
	ApiVersion api;		   /* of the data */
	size_t max_reply_size; /* memory of one answer's pairs; 0: no limit */

	/* The clock that keys expire by: unix seconds. */
	int64_t (*now_s)(void);

	/* Why a long read should be given up now, or NULL.  May be NULL itself. */
	const char *(*interrupted)(const Request *request);
} RawLimits;

typedef struct RawCommand
{
	RequestContext context;
	RawCf cf;
	Arena *arena; /* the request's */
	bool encoded; /* region bounds are memcomparable keys: API V2 */

	/* reads */
	Bytes *keys; /* get, its ttl and CAS: 1, batch get: n */
	size_t n_keys;
	RawScan *scans; /* scan: 1, batch scan and checksum: n; not yet cut */
	size_t n_scans; /* to the region */

	/* writes */
	RawModify *modifies;
	size_t n_modifies;
	size_t write_bytes;	 /* what it takes in the log, at most */
	bool atomic;		 /* for_cas: in one order with CAS of the key */
	bool must_be_absent; /* METHOD_SQL_(BATCH_)INSERT: fail if a key exists */
	RawCas *cas;		 /* METHOD_RAW_CAS; its swap is no modify yet */
	bool deletes_range;	 /* METHOD_RAW_DELETE_RANGE: [lower, upper) */
	Bytes lower;
	Bytes upper; /* empty: +infinity */
} RawCommand;

/*
 * Decode and validate a request's message.  Returns false if it was answered
 * already: through request->done with the protocol's `error` text, or
 * request->fail.
 */
extern bool raw_decode(Request *request, const RawLimits *limits,
					   RawCommand *command);

/*
 * True if all keys the command touches (and the bounds that a scan starts
 * from) lie in the region; else fills *error.
 */
extern bool raw_check_range(const RawCommand *command, int method,
							const Region *region, RegionError *error);

/* How many pairs are read between two looks whether to go on. */
#define RAW_LOOK_EVERY 256

/* And how many bytes of them. */
#define RAW_LOOK_BYTES ((size_t) 256 * 1024)

/* Run a read over a reader and answer it.  `region` bounds a scan. */
extern void raw_read(Request *request, const RawCommand *command,
					 const Region *region, RawReader *reader,
					 const RawLimits *limits);

/* Answer a write that succeeded; a CAS with what it met. */
extern void raw_write_done(Request *request);
extern void raw_cas_done(Request *request, const RawCasResult *result);

/* Answer a RawCoprocessor request: there are no plugins. */
extern void raw_coprocessor_answer(Request *request);

/* Answer any KV request with a region error. */
extern void service_region_error(Request *request, const RegionError *error);

/* The same as a message, for responses that have it elsewhere. */
extern struct Errorpb__Error *service_error_message(const RegionError *error,
													Arena *arena);

/* The reason of ServerIsBusy when a command was not begun or done in time. */
#define SERVICE_TOO_LATE "deadline is exceeded"

/* Answer it with ServerIsBusy and a reason; nothing was done. */
extern void service_busy(Request *request, const char *reason);

/* The error of a read that met a row which cannot be read. */
#define SERVICE_DAMAGED \
	"damaged data: a row cannot be read, the server's log says why"

/* Answer a read with that; whoever asks again is told the same. */
extern void service_damaged(Request *request);

/*
 * A write that may have been carried out, or may be yet.  Of a failed call of a
 * raw write clients know no better than to send it again: UndeterminedResult;
 * of all else the call fails.
 */
extern void service_unknown(Request *request, const char *reason);

/*
 * What RawLimits.interrupted says of a read that has taken long and that
 * another process should do from the beginning.
 */
extern const char service_too_long[];

/*
 * End a read that was interrupted: busy with this reason.  One that is too
 * long is not answered: who said so goes on with it.
 */
extern void service_give_up(Request *request, const char *reason);

/* Answer a raw request with the `error` text of its response. */
extern void raw_error(Request *request, const char *text);

/* The same of a read, so that every client hears of it. */
extern void raw_answer_read_error(Request *request, const char *text);

#endif /* TIKV_SERVICE_RAW_H */
