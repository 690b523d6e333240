/*
 * heir.c
 *	  Who shall lead where a leader has to go.
 */
#include "pd/core/heir.h"

#include "pd/core/placement.h"

/*
 * A leader that refuses does so at once; one that cannot finish a transfer
 * gives it up after an election timeout, which is sooner than so many orders
 * (SCHEDULE_RETELL_US).
 */
#define MAX_TOLD 3

static bool
is_busy(const PlacementStores *stores, const RegionPeer *peer)
{
	const PlacementStore *store = placement_find(stores, peer->store_id);

	return store != NULL && store->busy;
}

static bool
may_inherit(const PdRegion *region, const Operator *op, const RegionPeer *peer)
{
	return peer_may_lead(peer) && !operator_demotes(op, peer->id) &&
		peer->id != region->leader.id && !peer_is_down(region, peer->id) &&
		!peer_is_pending(region, peer->id);
}

static int
place_of(const Region *region, uint64_t peer_id)
{
	for (int i = 0; i < region->n_peers; i++)
		if (region->peers[i].id == peer_id)
			return i;
	return -1;
}

const RegionPeer *
heir_find(const PdRegion *region, const Operator *op,
		  const PlacementStores *stores, uint64_t after)
{
	int from = place_of(&region->meta, after) + 1;
	int n = region->meta.n_peers;

	for (int busy = 0; busy <= 1; busy++)
		for (int i = 0; i < n; i++)
		{
			const RegionPeer *peer = &region->meta.peers[(from + i) % n];

			if (peer->id != after && may_inherit(region, op, peer) &&
				is_busy(stores, peer) == busy)
				return peer;
		}
	return NULL;
}

/* Of those that are to vote. */
static const RegionPeer *
promoted_heir(const Operator *op, const PlacementStores *stores)
{
	for (int i = 0; i < op->n_promoted; i++)
		if (!is_busy(stores, &op->promoted[i]))
			return &op->promoted[i];
	return op->n_promoted > 0 ? &op->promoted[0] : NULL;
}

bool
heir_plan_roles(const PdRegion *region, const PlacementStores *stores,
				Operator *op)
{
	bool hand_over = operator_demotes(op, region->leader.id);
	const RegionPeer *stays = heir_find(region, op, stores, 0);
	const RegionPeer *comes = promoted_heir(op, stores);

	if (hand_over && stays == NULL && comes == NULL)
		return false;

	/* Who comes can lead only while both configurations count. */
	if (stays != NULL &&
		(comes == NULL || !is_busy(stores, stays) || is_busy(stores, comes)))
		comes = NULL;
	if (hand_over && comes == NULL)
		operator_add_heir(op, stays);
	if (op->n_promoted + op->n_demoted == 0)
		return true;
	operator_add_roles(op, STEP_CHANGE_ROLES);
	if (hand_over && comes != NULL)
		operator_add_heir(op, comes);
	operator_add_roles(op, STEP_LEAVE_JOINT);
	return true;
}

void
heir_try_other(const PdRegion *region, const PlacementStores *stores,
			   Operator *op)
{
	OperatorStep *step = &op->steps[op->step];
	const RegionPeer *other;

	if (step->kind != STEP_TRANSFER_LEADER || !step->to_anybody ||
		op->n_told < MAX_TOLD)
		return;
	other = heir_find(region, op, stores, step->peer.id);
	if (other != NULL)
	{
		step->peer = *other;
		op->n_told = 0;
	}
	else if (is_busy(stores, &step->peer))
		op->status = OPERATOR_CANCEL;
}
