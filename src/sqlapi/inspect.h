/*
 * inspect.h
 *	  A range of transactional keys as they are stored, region by region, here
 *	  or at the store that leads the region.
 *
 * What is to be shown of them is the caller's: InspectKind.
 */
#ifndef TIKV_SQLAPI_INSPECT_H
#define TIKV_SQLAPI_INSPECT_H

#include "core/mvcc/reader.h"
#include "nodes/execnodes.h"
#include "sqlapi/route.h"

typedef struct Inspection Inspection;

typedef struct InspectKind
{
	/* Keys in a request to another store. */
	int page;

	/*
	 * Show the first keys of the range, all of them in one region.  True if
	 * there may be more behind *last, which lives in the arena.
	 */
	bool (*here)(Inspection *in, MvccReader *reader, const KeyRange *range,
				 Bytes *last);

	/* The method that asks another store for so many of them, in the arena. */
	int method;
	ProtobufCMessage *(*ask)(Inspection *in, Kvrpcpb__Context *context,
							 const KeyRange *range, int limit);

	/*
	 * Show what it answered; *last is the last key.  False if it has none: an
	 * answer with a key does not tell whether there are others behind it.
	 */
	bool (*take)(Inspection *in, const ProtobufCMessage *reply, Bytes *last);
} InspectKind;

struct Inspection
{
	const InspectKind *kind;
	ReturnSetInfo *result;
	KeyRange left;	  /* of the range; in the context of the call */
	bool leader_only; /* a replica will not do */
	void *arg;
	Arena arena; /* of a page */

	/* The rest is inspect.c's. */
	Patience patience;
	int limit;			 /* of keys in an answer */
	uint64 region_id;	 /* that was tried last, and ... */
	uint64 leader_store; /* ... who leads it; 0: nobody knows */
	bool replicas_do;	 /* a leader did not answer in time */
	uint64 n_replicas;	 /* regions that were shown without their leaders */
	uint64 last_replica; /* the last one of them */
};

/*
 * Show the whole range.  Throws if a region can't be shown; what its leader
 * does not answer for is shown as this store's replica has it, with a warning,
 * unless there is none.  Frees the arena.
 */
extern void inspect(Inspection *in);

/* ---- mvcc.c: values of columns ---- */

/* The time of a timestamp, as a timestamptz. */
extern Datum sql_ts_time(uint64 ts);
extern const char *sql_lock_name(LockType type);

#endif /* TIKV_SQLAPI_INSPECT_H */
