/*
 * leader_look.c
 *	  Which store leads a region that is named by its id, for who has something
 *	  to say to it.
 *
 * This node's board knows the regions that have a peer here, also while PD has
 * no leader; PD knows all.  Either may be late, so they are asked in turn,
 * the board first, and a store that was asked in vain says what it knows.
 */
#include "postgres.h"

#include "service/service.h"
#include "service/txn_client.h"
#include "sqlapi/route.h"

/* Of one question to PD; it may have to look for its leader. */
#define ASK_PD_MS 3000

/* PD hears of a region that was split off a moment later than its stores. */
#define UNKNOWN_TIMES 3

void
leader_look_init(LeaderLook *look, uint64 region_id, Arena *arena)
{
	memset(look, 0, sizeof(*look));
	look->region_id = region_id;
	look->board = palloc(sizeof(BoardRegion));
	look->arena = arena;
}

static bool
look_at_board(LeaderLook *look)
{
	if (!board_find(look->region_id, look->board))
		return false;
	look->region = look->board->region;
	look->leader =
		look->board->is_leader ? look->board->self : look->board->leader;
	return look->leader.id != 0;
}

static bool
take_region(LeaderLook *look, const Pdpb__GetRegionResponse *reply)
{
	if (reply == NULL || reply->header == NULL ||
		(reply->header->error != NULL &&
		 reply->header->error->type != PDPB__ERROR_TYPE__OK))
		return false;
	if (reply->region == NULL)
	{
		if (++look->n_unknown >= UNKNOWN_TIMES &&
			!board_find(look->region_id, look->board))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("there is no region %llu",
							(unsigned long long) look->region_id),
					 errhint("See tikv.regions.")));
		look->why = "the placement driver does not know the region";
		return false;
	}
	txn_client_region(reply->region, &look->region);
	if (reply->leader == NULL || reply->leader->id == 0)
	{
		look->why = "the region has no leader";
		return false;
	}
	look->leader = txn_client_peer(reply->leader);
	return true;
}

static bool
look_at_pd(LeaderLook *look, const Patience *patience)
{
	Pdpb__GetRegionByIDRequest request = PDPB__GET_REGION_BY_IDREQUEST__INIT;
	Pdpb__RequestHeader header;
	uint8 *bytes;
	size_t len;
	BusReply bus;

	pd_fill_header(&header);
	request.header = &header;
	request.region_id = look->region_id;
	len = protobuf_c_message_get_packed_size(&request.base);
	bytes = arena_alloc(look->arena, len);
	protobuf_c_message_pack(&request.base, bytes);
	look->why = "the placement driver does not say who leads the region";
	bus =
		bus_call(WORKER_PD, METHOD_PD_GET_REGION_BY_ID, bytes_make(bytes, len),
				 Max(Min(patience_left_ms(patience), ASK_PD_MS), 1));
	if (bus.code != BUS_OK)
		return false;
	return take_region(
		look,
		(const void *) service_unpack(&pdpb__get_region_response__descriptor,
									  bus.bytes, look->arena));
}

/* A peer that is gone has its last leader on the board for a moment. */
bool
leader_look(LeaderLook *look, const Patience *patience)
{
	bool pd_first = look->n++ % 2 == 1;

	if (look->told)
	{
		look->told = false;
		return true;
	}
	if (pd_first)
		return look_at_pd(look, patience) || look_at_board(look);
	return look_at_board(look) || look_at_pd(look, patience);
}

void
leader_look_learn(LeaderLook *look, const Errorpb__Error *error)
{
	look->why =
		psprintf("store %llu answered: %s",
				 (unsigned long long) look->leader.store_id, error->message);
	if (error->not_leader != NULL && error->not_leader->leader != NULL &&
		error->not_leader->leader->id != 0)
	{
		look->leader = txn_client_peer(error->not_leader->leader);
		look->told = true;
	}
	else if (error->epoch_not_match != NULL &&
			 error->epoch_not_match->n_current_regions > 0 &&
			 error->epoch_not_match->current_regions[0]->id == look->region_id)
	{
		txn_client_region(error->epoch_not_match->current_regions[0],
						  &look->region);
		look->told = true;
	}
}
