/*
 * route.h
 *	  Where a key is served: here, or by another store; and asking that store.
 *
 * What this store leads is on the board.  Of other regions a session keeps
 * what it learned from the board, from PD and from refusals; it may be wrong,
 * and then a store says so.
 */
#ifndef TIKV_SQLAPI_ROUTE_H
#define TIKV_SQLAPI_ROUTE_H

#include "bus/versions.h"
#include "core/client/client.h"
#include "sqlapi/sqlapi.h"

typedef struct Route
{
	Region region; /* keys palloc'd */
	RegionPeer leader;
	bool local; /* read it here: this store leads it, and has a lease */
} Route;

/*
 * The region of a bound (as regions have it), or of what is just below it;
 * false if nobody can say now: wait and ask again.  Throws on cancel only.
 */
extern bool route_find(Bytes bound, bool below, const Patience *patience,
					   Route *route);

/* Does this store lead it, with a lease that is not over? */
extern bool board_serves(const BoardRegion *board);

/* The same of the region of a bound, as the board has it. */
extern bool route_is_local(Bytes bound, bool below);

/*
 * A store would not serve the region: what `error` teaches is remembered; NULL:
 * it did not answer.
 */
extern void route_failed(uint64 region_id, uint64 store_id,
						 const Errorpb__Error *error);

/* ---- leader_look.c ---- */

/* The leader of a region that is known by its id. */
typedef struct LeaderLook
{
	uint64 region_id;
	Region region; /* keys live in the arena, or in `board` */
	RegionPeer leader;
	const char *why; /* nothing is known, or nothing was done */

	BoardRegion *board;
	bool told;	   /* by a store, just now: no need to look */
	uint64 n;	   /* so often it was looked */
	int n_unknown; /* so often PD did not know the region */
	Arena *arena;
} LeaderLook;

extern void leader_look_init(LeaderLook *look, uint64 region_id, Arena *arena);

/*
 * False if nobody can say now: wait and look again.  Throws if there is no
 * such region.
 */
extern bool leader_look(LeaderLook *look, const Patience *patience);

/* The store that was looked up has not done what it was asked for. */
extern void leader_look_learn(LeaderLook *look, const Errorpb__Error *error);

/* ---- remote.c ---- */

/* The context of a request to the region's leader. */
typedef struct RemoteContext
{
	Kvrpcpb__Context context;
	Metapb__RegionEpoch epoch;
	Metapb__Peer peer;
} RemoteContext;

extern void remote_context(RemoteContext *to, const Region *region,
						   RegionPeer leader);

/*
 * Send a packed message to a store, by a worker that has channels, and wait.
 * BUS_DOWN and BUS_BUSY: it was not sent.  BUS_TIMEOUT, BUS_LOST: nobody knows.
 */
extern BusReply remote_call(uint64 store_id, int method,
							const ProtobufCMessage *message,
							const Patience *patience, int timeout_ms);

/*
 * The same of any store: this node's is asked over the bus.  Once, and it may
 * take all that is left of the patience.
 */
extern BusReply store_call(uint64 store_id, int method,
						   const ProtobufCMessage *message,
						   const Patience *patience);

/* What one attempt of a request that may be repeated waits for at most. */
extern int remote_attempt_ms(const Patience *patience);

/*
 * Ask the leader of a route to read.  The response without a region error; NULL:
 * look for the route again.  *too_long: its answer did not fit, ask for less;
 * may be NULL.  What waiting does not mend is thrown.
 */
extern ProtobufCMessage *remote_read(const Route *route, int method,
									 const ProtobufCMessage *message,
									 const Patience *patience, Arena *arena,
									 bool *too_long);

/* A write to another store did not get through, or nobody knows. */
extern void remote_report(uint64 store_id, const BusReply *reply)
	pg_attribute_noreturn();

/* ---- round_remote.c ---- */

/*
 * A reader for rounds over regions of which some are led elsewhere; `keys` are
 * those that will be asked for, in that order, and live as long as it does.
 */
extern RawReader *remote_reader_open(const Bytes *keys, int n);
extern void remote_reader_want_ttl(RawReader *reader);

#endif /* TIKV_SQLAPI_ROUTE_H */
