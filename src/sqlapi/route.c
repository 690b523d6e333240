/*
 * route.c
 *	  Which store serves a key, as far as a session knows.
 *
 * The board knows the leader of every region that has a peer here, PD that of
 * all, and either may be late.  So they are asked in turn: whatever turned out
 * wrong is forgotten, and the next question goes to the other one.
 *
 * A leader whose lease is over, as that of a group that sleeps is, serves no
 * session by itself: its store is asked like another one, and that wakes it.
 */
#include "postgres.h"

#include "service/service.h"
#include "service/txn_client.h"
#include "sqlapi/route.h"

/* Then the cache begins anew. */
#define CACHE_REGIONS_MAX 4096

/* Of one question to PD; it may have to look for its leader. */
#define ASK_PD_MS 3000

static RegionCache cache;
static bool pd_first;

static void
fill(Route *route, const Region *region, RegionPeer leader, bool local)
{
	route->region = *region;
	route->region.start_key = bytes_copy(region->start_key);
	route->region.end_key = bytes_copy(region->end_key);
	route->leader = leader;
	route->local = local;
}

static void
remember(const Region *region, RegionPeer leader)
{
	if (cache.n >= CACHE_REGIONS_MAX)
		region_cache_free(&cache);
	region_cache_put(&cache, region, leader);
}

/* --------------------------------------------------------------------- PD */

static void
take_region(const Pdpb__GetRegionResponse *reply)
{
	Region region;

	if (reply->region == NULL || reply->leader == NULL ||
		reply->leader->id == 0)
		return;
	txn_client_region(reply->region, &region);
	remember(&region, txn_client_peer(reply->leader));
}

static void
ask_pd(Bytes bound, bool below, const Patience *patience)
{
	Pdpb__GetRegionRequest request = PDPB__GET_REGION_REQUEST__INIT;
	Pdpb__RequestHeader header;
	Pdpb__GetRegionResponse *reply;
	uint8 *bytes;
	size_t len;
	BusReply bus;
	Arena arena;

	pd_fill_header(&header);
	request.header = &header;
	request.region_key = bytes_wire(bound);
	len = protobuf_c_message_get_packed_size(&request.base);
	bytes = palloc(len);
	protobuf_c_message_pack(&request.base, bytes);
	bus = bus_call(WORKER_PD,
				   below ? METHOD_PD_GET_PREV_REGION : METHOD_PD_GET_REGION,
				   bytes_make(bytes, len),
				   Max(Min(patience_left_ms(patience), ASK_PD_MS), 1));
	pfree(bytes);
	if (bus.code == BUS_OK)
	{
		arena_init(&arena);
		reply = (Pdpb__GetRegionResponse *)
			service_unpack(&pdpb__get_region_response__descriptor, bus.bytes,
						   &arena);
		if (reply != NULL)
			take_region(reply);
		arena_free(&arena);
	}
	if (bus.bytes.data != NULL)
		pfree(unconstify(uint8 *, bus.bytes.data));
}

/*
 * GetPrevRegion names the region before the one that holds the key; what is
 * below a bound that is none of a region's own is in the bound's region.
 */
static void
look_at_pd(Bytes bound, bool below, const Patience *patience)
{
	if (!below)
		ask_pd(bound, false, patience);
	else if (bound.len == 0)
	{
		/* No region is behind the last one: ask for the one of the last key. */
		static const uint8 last[] = {0xff, 0xff, 0xff, 0xff, 0xff,
									 0xff, 0xff, 0xff, 0xff};

		ask_pd(bytes_make(last, sizeof(last)), false, patience);
	}
	else
	{
		ask_pd(bound, false, patience);
		if (region_cache_find_bound(&cache, bound, true) == NULL)
			ask_pd(bound, true, patience);
	}
}

/* ------------------------------------------------------------------- the way */

static bool
find_on_board(Bytes bound, bool below, BoardRegion *board)
{
	return below ? board_find_below(bound, board) :
				   board_find_key(bound, board);
}

bool
board_serves(const BoardRegion *board)
{
	return board->is_leader && board->lease_end_us > board_now_us();
}

bool
route_is_local(Bytes bound, bool below)
{
	BoardRegion *board = palloc(sizeof(*board));
	bool local = find_on_board(bound, below, board) && board_serves(board);

	pfree(board);
	return local;
}

bool
route_find(Bytes bound, bool below, const Patience *patience, Route *route)
{
	BoardRegion *board = palloc(sizeof(*board));
	bool found = find_on_board(bound, below, board);
	bool leader_known = found && board->leader.id != 0 &&
		board->leader.store_id != board->self.store_id;
	const CachedRegion *cached = NULL;

	if (found && board->is_leader)
	{
		fill(route, &board->region, board->self, board_serves(board));
		pfree(board);
		return true;
	}
	cached = region_cache_find_bound(&cache, bound, below);
	if (cached == NULL && leader_known && !pd_first)
		remember(&board->region, board->leader);
	else if (cached == NULL)
		look_at_pd(bound, below, patience);
	cached = region_cache_find_bound(&cache, bound, below);
	if (cached != NULL)
		fill(route, &cached->region, cached->leader, false);
	pfree(board);
	return cached != NULL;
}

/* What there is instead; the store that says so leads most of it. */
static void
take_current(const Errorpb__EpochNotMatch *error, uint64 store_id)
{
	for (size_t i = 0; i < error->n_current_regions; i++)
	{
		Region region;

		txn_client_region(error->current_regions[i], &region);
		for (int k = 0; k < region.n_peers; k++)
			if (region.peers[k].store_id == store_id)
				remember(&region, region.peers[k]);
	}
}

void
route_failed(uint64 region_id, uint64 store_id, const Errorpb__Error *error)
{
	if (error != NULL && error->not_leader != NULL &&
		error->not_leader->leader != NULL && error->not_leader->leader->id != 0)
	{
		region_cache_set_leader(&cache, region_id,
								txn_client_peer(error->not_leader->leader));
		return;
	}
	region_cache_drop(&cache, region_id);
	pd_first = !pd_first;
	if (error != NULL && error->epoch_not_match != NULL)
		take_current(error->epoch_not_match, store_id);
}
