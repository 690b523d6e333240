/*
 * raw.h
 *	  Raw keys as the core sees them: reads through an interface, writes as
 *	  effects.
 *
 * A command function reads through RawReader and returns RawModify effects;
 * who keeps the rows (a heap table, a test's array) is not its business.
 */
#ifndef TIKV_KV_RAW_H
#define TIKV_KV_RAW_H

#include "core/base/arena.h"
#include "core/base/status.h"

/* Column families of the raw API, kvrpcpb `cf`; "" means default. */
typedef enum RawCf
{
	RAW_CF_DEFAULT = 'd',
	RAW_CF_LOCK = 'l',
	RAW_CF_WRITE = 'w'
} RawCf;

/* False if the name is none of "", "default", "lock", "write". */
extern bool raw_cf_parse(const char *name, RawCf *cf);

typedef struct RawPair
{
	Bytes key;
	Bytes value;		/* empty when only keys were asked for */
	int64_t expires_at; /* unix seconds, 0 never */
	int64_t era;		/* range deletions accepted before it was written */
} RawPair;

/* A scan in the request's own terms; results never leave [lower, upper). */
typedef struct RawScan
{
	RawCf cf;
	Bytes lower;  /* inclusive */
	Bytes upper;  /* exclusive, empty is +infinity */
	bool reverse; /* newest bound first: descending keys */
	bool key_only;
	bool lengths; /* of the value its length alone, without data */
	uint32_t limit;

	/*
	 * Asked now and then, with the argument of emit, while rows are passed over
	 * that are no pairs any more; false ends the scan.  NULL: it goes on.
	 */
	bool (*goes_on)(void *arg);
} RawScan;

typedef struct RawReader RawReader;

struct RawReader
{
	/*
	 * Find one key.  Returns false if it is absent.  value and expires_at
	 * are copied into the arena.
	 */
	bool (*get)(RawReader *reader, RawCf cf, Bytes key, Arena *arena,
				RawPair *out);

	/*
	 * Walk a range in order, calling emit for each pair until it answers
	 * false, the limit is reached or the range ends.  The pair is valid only
	 * during the call.
	 */
	void (*scan)(RawReader *reader, const RawScan *scan,
				 bool (*emit)(void *arg, const RawPair *pair), void *arg);

	/*
	 * Find many keys at once, calling emit with the place in `keys` of each
	 * that exists, in their order, until it answers false.  The pair is valid
	 * only during the call.  Keys in order are found fastest.  NULL: ask for
	 * one after the other.
	 */
	void (*get_many)(RawReader *reader, RawCf cf, const Bytes *keys, int n,
					 bool (*emit)(void *arg, int i, const RawPair *pair),
					 void *arg);
};

typedef enum RawModifyKind
{
	RAW_PUT,
	RAW_DELETE
} RawModifyKind;

/* One effect of a write command: set or remove one key. */
typedef struct RawModify
{
	RawModifyKind kind;
	RawCf cf;
	Bytes key;
	Bytes value;		/* RAW_PUT */
	int64_t expires_at; /* RAW_PUT: unix seconds, 0 never */
	int64_t era;		/* RAW_PUT: as in RawPair; set when it is decided */
	bool absent;		/* RAW_PUT: it is known that no row has the key */
} RawModify;

#endif /* TIKV_KV_RAW_H */
