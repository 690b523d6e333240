/*
 * orders.c
 *	  What scheduling wants regions to do, on its way to their leaders.
 *
 * An order goes to the store of the region's leader: by the stream of that
 * store's heartbeats, or over the bus if it is this node's own.  It leaves
 * with the round, since the ids of new peers must be durable first.
 */
#include "postgres.h"

#include "bus/board.h"
#include "guc.h"
#include "bus/failpoints.h"
#include "pd/convert.h"
#include "pd/pd.h"
#include "service/service.h"

/* ---- as a message ---- */

static Pdpb__ChangePeer *
change_message(const PeerOrder *change, Arena *arena)
{
	Pdpb__ChangePeer *out =
		NEW_MESSAGE(arena, Pdpb__ChangePeer, pdpb__change_peer__init);

	out->peer = to_peer(&change->peer, arena);
	if (change->removed)
		out->change_type = ERAFTPB__CONF_CHANGE_TYPE__RemoveNode;
	else if (change->peer.role == PEER_LEARNER)
		out->change_type = ERAFTPB__CONF_CHANGE_TYPE__AddLearnerNode;
	else
		out->change_type = ERAFTPB__CONF_CHANGE_TYPE__AddNode;
	return out;
}

static void
fill_changes(const Order *order, Pdpb__RegionHeartbeatResponse *out,
			 Arena *arena)
{
	Pdpb__ChangePeerV2 *v2 =
		NEW_MESSAGE(arena, Pdpb__ChangePeerV2, pdpb__change_peer_v2__init);

	v2->n_changes = (size_t) order->n_changes;
	v2->changes = arena_alloc(arena, v2->n_changes * sizeof(*v2->changes));
	for (int i = 0; i < order->n_changes; i++)
		v2->changes[i] = change_message(&order->changes[i], arena);
	out->change_peer_v2 = v2;
}

static Pdpb__SplitRegion *
split_message(const Order *order, Arena *arena)
{
	Pdpb__SplitRegion *out =
		NEW_MESSAGE(arena, Pdpb__SplitRegion, pdpb__split_region__init);

	out->policy = PDPB__CHECK_POLICY__USEKEY;
	out->n_keys = order->n_keys;
	out->keys = arena_alloc(arena, out->n_keys * sizeof(*out->keys));
	for (size_t i = 0; i < order->n_keys; i++)
		out->keys[i] = to_binary(order->keys[i]);
	return out;
}

static Pdpb__RegionHeartbeatResponse *
order_message(Pd *pd, const Order *order)
{
	Arena *arena = &pd->arena;
	Pdpb__RegionHeartbeatResponse *out =
		NEW_MESSAGE(arena, Pdpb__RegionHeartbeatResponse,
					pdpb__region_heartbeat_response__init);

	out->header =
		NEW_MESSAGE(arena, Pdpb__ResponseHeader, pdpb__response_header__init);
	out->header->cluster_id = pd->state.cluster_id;
	out->region_id = order->region_id;
	out->region_epoch =
		NEW_MESSAGE(arena, Metapb__RegionEpoch, metapb__region_epoch__init);
	out->region_epoch->conf_ver = order->epoch.conf_ver;
	out->region_epoch->version = order->epoch.version;
	out->target_peer = to_peer(&order->target, arena);
	if (order->kind == ORDER_TRANSFER_LEADER)
	{
		out->transfer_leader = NEW_MESSAGE(arena, Pdpb__TransferLeader,
										   pdpb__transfer_leader__init);
		out->transfer_leader->peer = to_peer(&order->leader, arena);
	}
	else if (order->kind == ORDER_SPLIT)
		out->split_region = split_message(order, arena);
	else
		fill_changes(order, out, arena);
	return out;
}

/* ---- on its way ---- */

void
orders_send(Pd *pd, const Order *order)
{
	Call *stream = watch_heartbeat_stream(pd, order->target.store_id);
	Pdpb__RegionHeartbeatResponse *message = order_message(pd, order);
	ReplyTo to = {.call = stream, .stream = true};
	BoardStore store;

	FAILPOINT_PASS("pd_order_out");
	if (stream != NULL)
	{
		pd_reply(pd, &to, &message->base);
		return;
	}
	board_store(&store);
	if (store.store_id == order->target.store_id &&
		store.cluster_id == pd->state.cluster_id)
		pd_tell_store(pd, pack_message(&message->base, &pd->arena));
}

/* An operator whose ids cannot be saved has not begun. */
void
orders_heard(Pd *pd, uint64 region_id)
{
	PdChanges changes;
	const char *why;
	Order order;
	bool told;

	pd_changes_init(&changes, &pd->arena);
	told = schedule_region(&pd->schedule, &pd->state, region_id, board_now_us(),
						   &changes, &order);
	if (!pd_change(pd, &changes, &why))
		(void) schedule_cancel(&pd->schedule, region_id, board_now_us());
	else if (told)
		orders_send(pd, &order);
}

void
orders_tick(Pd *pd)
{
	int64 now = board_now_us();
	PdChanges changes;
	const char *why;
	Order *orders;
	size_t n;

	if (!pd->leading || now < schedule_next_us(&pd->schedule))
		return;
	pd->schedule.max_down_us =
		(int64) tikv_fdw_settings.max_store_down_time_s * 1000000;
	pd_changes_init(&changes, &pd->arena);
	schedule_tick(&pd->schedule, &pd->state, now, &changes, &orders, &n);
	if (!pd_change(pd, &changes, &why))
	{
		/* Ids were not saved: whatever was to use them begins anew. */
		schedule_lead(&pd->schedule, pd->schedule.since_us);
		pd->schedule.tick_us = now + 1000000;
		return;
	}
	for (size_t i = 0; i < n; i++)
		orders_send(pd, &orders[i]);
}
