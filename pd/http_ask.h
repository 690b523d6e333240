/*
 * http_ask.h
 *	  One HTTP request while it is decided; what the files http_*.c share.
 */
#ifndef TIKV_PD_HTTP_ASK_H
#define TIKV_PD_HTTP_ASK_H

#include "pd/core/json.h"
#include "pd/core/url.h"
#include "pd/pd.h"

typedef struct HttpAsk
{
	Pd *pd;
	Arena *arena;
	Url url;
	Bytes body;
	const ReplyTo *to;
	PdChanges changes;	/* what the handler decides */
	uint64 operator_of; /* a region: began one, which needs the changes */
	bool later;			/* answered by region_tasks.c */
	JsonWriter json;	/* the answer; empty is an empty body */
	int status;
	int64 now; /* unix seconds */
	int64 now_ns;
} HttpAsk;

typedef void (*HttpHandler)(HttpAsk *ask);

typedef struct HttpRoute
{
	const char *method;
	const char *path; /* below /pd/api/; "{}" is any segment */
	bool bootstrapped;
	HttpHandler handler;
} HttpRoute;

extern const HttpRoute http_member_routes[]; /* any member may answer */
extern const HttpRoute http_cluster_routes[];
extern const HttpRoute http_schedule_routes[];
extern const HttpRoute http_store_routes[];
extern const HttpRoute http_region_routes[];
extern const HttpRoute http_stats_routes[];
extern const HttpRoute http_task_routes[];
extern const HttpRoute http_config_routes[];
extern const HttpRoute http_keyspace_routes[];

#define HTTP_JSON "application/json; charset=UTF-8"

#define HTTP_OK 200
#define HTTP_BAD_REQUEST 400
#define HTTP_NOT_FOUND 404
#define HTTP_METHOD_NOT_ALLOWED 405
#define HTTP_CONFLICT 409
#define HTTP_GONE 410
#define HTTP_INTERNAL 500
#define HTTP_NOT_IMPLEMENTED 501
#define HTTP_UNAVAILABLE 503

/* Of a path that tikv/pd may have, and this PD has not. */
#define HTTP_NO_SUCH_PAGE                                               \
	"404 page not found: this Placement Driver does not serve it, see " \
	"docs/compatibility.md"

/* The answer is this text as a JSON string, as tikv/pd answers. */
extern void http_say(HttpAsk *ask, int status, const char *text);

/* True if it is an error, which then is the answer. */
extern bool http_failed(HttpAsk *ask, PdError error);

/* The body as a JSON object; NULL was answered with 400. */
extern const JsonValue *http_object(HttpAsk *ask);

/* Bytes of an array of hexadecimal strings; false was answered with 400. */
extern bool http_hex_keys(HttpAsk *ask, const JsonValue *array, Bytes **out,
						  size_t *n);

/* Key and value of each member of an object of strings; false: it is none. */
extern bool http_pairs(HttpAsk *ask, const JsonValue *object, bool nulls,
					   Pair **out, size_t *n);

/* http_metrics.c: true if it asked for them and is answered. */
extern bool http_serve_metrics(Pd *pd, HttpRequest *request);

/* http_region.c: what a region is, or not. */
extern bool http_has_peer_on(const PdRegion *region, const HttpAsk *ask,
							 uint64 store_id);
extern bool http_region_is_empty(const PdRegion *region, const HttpAsk *ask,
								 uint64 arg);

/* Unix nanoseconds as RFC 3339. */
extern const char *http_time(int64 ns, Arena *arena);

/* As Go prints a duration: "1h0m0s". */
extern const char *http_duration(int64 seconds, Arena *arena);

/* Bytes as people read them: "1.5GiB". */
extern const char *http_size(uint64 bytes, Arena *arena);

/*
 * http_query.c.  What is not what it should be was answered with 400: then
 * they are false.
 */

/* Of a value: `name` must be `wanted`. */
extern bool http_bad_value(HttpAsk *ask, const char *name, Bytes value,
						   const char *wanted);

/* Decimal digits; nothing is answered. */
extern bool http_number(const char *text, uint64_t *out);

/* A segment that is a number. */
extern bool http_id(HttpAsk *ask, int segment, uint64_t *out);

/* "limit" of the query, `most` at most, which negative numbers mean as well. */
extern bool http_limit(HttpAsk *ask, size_t otherwise, size_t most,
					   size_t *out);

/* A number of the query; 0 without one. */
extern bool http_query_number(HttpAsk *ask, const char *name, uint64_t most,
							  uint64_t *out);

/* The states of stores that the query names, as bits; all but tombstones. */
extern bool http_states(HttpAsk *ask, unsigned int *out);

/* All values of the query's parameter, or those of a list, are numbers. */
extern bool http_check_ids(HttpAsk *ask, const char *name);
extern bool http_id_list(HttpAsk *ask, const char *name, Bytes list,
						 uint64_t **out, size_t *n);

/* true or false, as which also counts what is not there or empty. */
extern bool http_switch(HttpAsk *ask, const char *name, bool *out);

/* "ttlSecond": no item can be set for some time.  NULL: there is none. */
extern bool http_check_ttl(HttpAsk *ask, const char *item);

#endif /* TIKV_PD_HTTP_ASK_H */
