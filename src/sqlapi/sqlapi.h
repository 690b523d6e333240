/*
 * sqlapi.h
 *	  What the SQL functions share: may this session use the store, where does
 *	  a key live, and which error is which.
 *
 * The folder's own header.  The functions read the tables themselves (the
 * read path of src/read) and write by asking the store over the bus; so a
 * write is no part of the SQL transaction around it.
 */
#ifndef TIKV_SQLAPI_SQLAPI_H
#define TIKV_SQLAPI_SQLAPI_H

#include "postgres.h"

#include "bus/board.h"
#include "bus/bus.h"
#include "bus/versions.h"
#include "fmgr.h"
#include "kvrpcpb.pb-c.h"
#include "pdpb.pb-c.h"
#include "read/read.h"
#include "storage/tables.h"

/* How long this call may still wait: tikv.request_timeout from its start. */
typedef struct Patience
{
	int64 end_us; /* board_now_us() */
} Patience;

/* ---- session.c ---- */

extern Patience patience_begin(void);
extern int patience_left_ms(const Patience *patience);

/* Sleep a little before the next try; throws if the time is up. */
extern void patience_retry(const Patience *patience);

/* How often this session did that. */
extern uint64 session_retries(void);

/*
 * Why this session can't use the store, or NULL; *hint says what to do.
 * Never throws, for tikv_status.
 */
extern const char *session_refusal(const char **hint);

/*
 * The tables of the extension in this database, which the store serves; waits
 * for a store that is still starting.  Throws if it will not serve them.
 */
extern const TableOids *session_tables(const Patience *patience);

/* The tables were found missing: look them up again next time. */
extern void session_forget_tables(void);

/* ---- round.c ---- */

/* Address a request to a region as the board has it. */
extern RequestContext region_context(const BoardRegion *region);

/*
 * A round over the regions of all keys, begun and valid; with n_keys 1 and
 * `below`, over the region just below that bound instead.  *seen gets the
 * region of each key.  Waits and retries; throws when the time is up.
 *
 * If other stores lead some of the regions, the reader asks them when it is
 * asked, in rounds of its own; *seen then has the first key's region alone.
 */
typedef struct SqlRound
{
	ReadRound *round;
	RawReader *reader;
	const BoardRegion **seen; /* one per key */
	bool remote; /* some region is led elsewhere: the reader asks there */
} SqlRound;

extern void sql_round_begin(SqlRound *round, const Bytes *keys, int n_keys,
							bool below);

/* One attempt, of regions that this store leads; false: begin again. */
extern bool sql_round_try(SqlRound *round, const TableOids *tables,
						  const Bytes *keys, int n_keys, bool below);

/*
 * When keys expire is of interest, too: what other stores answer does not say
 * it unless they are asked.
 */
extern void sql_round_want_ttl(SqlRound *round);
extern void sql_round_end(SqlRound *round);

/* ---- submit.c ---- */

typedef struct SqlWrite SqlWrite;

/* Keys [from, from + n) of a write; n 0: none. */
typedef struct SqlPart
{
	int from;
	int n;
} SqlPart;

/* A write of some keys; cut into one request per region that holds some. */
struct SqlWrite
{
	const char *function; /* "tikv_put()", for messages */
	int method;
	const ProtobufCMessageDescriptor *response;
	const Bytes *keys;
	const Bytes *values; /* NULL for deletes */
	int n;
	uint64 ttl; /* of all keys, in seconds; 0: they do not expire */

	/* The request for keys [from, from + n), in the arena. */
	ProtobufCMessage *(*build)(const SqlWrite *write, int from, int n,
							   Kvrpcpb__Context *context, Arena *arena);

	/* Look at the answer of a request that was carried out; may be NULL. */
	void (*take)(const SqlWrite *write, const ProtobufCMessage *reply);
	void *arg;

	/*
	 * If not NULL, an insert that met a key is no error: *met gets the part
	 * that was not inserted, what follows it was not sent.
	 */
	SqlPart *met;

	bool allowed; /* the caller has checked what the user may write */
};

/* Returns when all is durable; throws otherwise. */
extern void sql_write(const SqlWrite *write);

/*
 * A write that is formed, sent and waited for in three steps, so that its
 * session can do something else meanwhile.  In CurrentMemoryContext, where
 * all that `write` points to must live as long; if it is reset after an error
 * before the end, the request is withdrawn or its end awaited for a moment.
 */
typedef struct SqlAhead SqlAhead;

extern SqlAhead *sql_ahead_new(const SqlWrite *write);
extern void sql_ahead_send(SqlAhead *ahead);

/*
 * True once all is durable.  False if nothing was written: it met a key, could
 * not be sent as one request, or met another region; then sql_write may say
 * more.
 */
extern bool sql_ahead_end(SqlAhead *ahead);

/* ---- put.c ---- */

/* SqlWrite's `build` of a RawBatchDelete. */
extern ProtobufCMessage *sql_build_batch_delete(const SqlWrite *write, int from,
												int n,
												Kvrpcpb__Context *context,
												Arena *arena);

/* ---- range.c ---- */

/*
 * Delete stored keys [lower, upper), some thousands at a time; `allowed` is
 * SqlWrite's.
 */
extern void sql_delete_range(const char *function, Bytes lower, Bytes upper,
							 bool allowed);

/* ---- keyspace.c ---- */

extern ApiVersion sql_api(void);

/* A key as it is stored, palloc'd or the same; a range's end, empty: all. */
extern Bytes sql_stored_key(Bytes key);
extern Bytes sql_stored_end(Bytes end);
extern void sql_stored_keys(Bytes *keys, int n);

/* The key of a stored one; borrows. */
extern Bytes sql_user_key(Bytes stored);

/* The region of a stored key, or of the keys below a bound. */
extern bool sql_find_region(Bytes key, bool below, BoardRegion *out);

/* A stored key as regions are bounded: palloc'd, or borrowed. */
extern Bytes sql_bound(Bytes key);
extern bool sql_in_region(const Region *region, Bytes key);

/* A region's bound as a stored key: palloc'd, or borrowed. */
extern Bytes sql_plain_bound(Bytes bound);

/* Narrow a range of stored keys to what lies in the region. */
extern void sql_cut_to_region(Bytes *lower, Bytes *upper, const Region *region);

/* ---- cluster.c ---- */

typedef struct Pdpb__RequestHeader Pdpb__RequestHeader;
typedef struct Pdpb__ResponseHeader Pdpb__ResponseHeader;

/* A request's header; PD refuses what names another cluster. */
extern void pd_fill_header(Pdpb__RequestHeader *header);

/* Ask PD, waiting for it while it starts; the reply lives in the arena. */
extern ProtobufCMessage *pd_ask(int method, const ProtobufCMessage *request,
								const ProtobufCMessageDescriptor *type,
								Arena *arena);

/* Throws if PD refused. */
extern void pd_check_header(const Pdpb__ResponseHeader *header);

/* ---- privilege.c ---- */

/* Throws unless the user may call the function that reads, too. */
extern void sql_need_read(FunctionCallInfo fcinfo, const char *reader,
						  const char *function);

/* ---- ttl.c ---- */

/* The argument of a function that writes; throws if it can't be. */
extern uint64 ttl_argument(FunctionCallInfo fcinfo, int argument);
extern uint64 ttl_seconds(int64 ttl);

/* ---- check_state.c ---- */

typedef void (*DefectReport)(void *arg, const char *defect);

/* Verify ident, regions and Raft positions against each other. */
extern void check_state(DefectReport defect, void *arg);

/* ---- value.c ---- */

/* Borrowed from the (detoasted) datum. */
extern Bytes bytea_bytes(Datum datum);

extern ProtobufCBinaryData bytes_wire(Bytes bytes);

/* palloc'd, of any length. */
extern Bytes bytes_copy(Bytes bytes);

/* The same in a context; `after`: the least key after it, one byte longer. */
extern Bytes bound_copy(MemoryContext context, Bytes key, bool after);

/* Let a copy take the place of a bound, which was one, too. */
extern void bound_move(MemoryContext context, Bytes *bound, Bytes key,
					   bool after);

/* How a key is shown: as bytea is, cut where it gets long. */
extern char *key_text(Bytes key);

/* An argument that must not be NULL; borrows. */
extern Bytes not_null_argument(FunctionCallInfo fcinfo, int argument,
							   const char *what);

/* The third argument of a scan: how many pairs at most, NULL: all. */
extern int64 limit_argument(FunctionCallInfo fcinfo);

/* The elements of a bytea[]; throws on a NULL one. */
extern Bytes *bytea_array(Datum array, const char *what, int *n);

/* Throws if a key is longer than tikv.max_key_size. */
extern void check_key_length(Bytes key);

/* Memory for what the core hands out during one call; emptied by this. */
extern Arena *call_arena(void);

/* ---- report.c ---- */

/* A worker does not serve, or the store has no region for a key; and why. */
extern void report_not_serving(WorkerKind kind) pg_attribute_noreturn();

/* What to look at when nobody leads who would have to; inside of ereport. */
extern int hint_leader(void);

/* Throws if it does not: that explains more than what did not come of it. */
extern void report_unless_serving(WorkerKind kind);

/* BUS_TIMEOUT or BUS_LOST of one that was asked to write, by its name. */
extern void report_unanswered(const char *whose, BusCode code)
	pg_attribute_noreturn();

/* An answer of the bus that is no reply. */
extern void report_bus(WorkerKind to, const BusReply *reply)
	pg_attribute_noreturn();

/* Throws unless the write was refused in a way that allows to try again. */
extern void report_region_error(const Errorpb__Error *error);

/* The region takes part in a flashback: it serves raw keys afterwards. */
extern void report_flashback(uint64 region_id) pg_attribute_noreturn();

/* The `error` text of a raw response. */
extern void report_raw_error(const char *text, Bytes key)
	pg_attribute_noreturn();

#endif /* TIKV_SQLAPI_SQLAPI_H */
