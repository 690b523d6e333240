/*
 * schedule_kit.h
 *	  Stores and regions for the tests of scheduling, made in one line each.
 */
#ifndef TIKV_TEST_SCHEDULE_KIT_H
#define TIKV_TEST_SCHEDULE_KIT_H

#include "pd/core/schedule.h"

#include <stdarg.h>

#include "core/base/check.h"
#include "core/codec/proto.h"

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)

static Arena kit_arena;

/* Peers as "1v 2l 3i 4d": store and role; peer ids are 100 + store. */
static inline PdRegion
kit_region(uint64_t id, const char *peers, uint64_t leader_store)
{
	PdRegion r;

	memset(&r, 0, sizeof(r));
	r.meta.id = id;
	r.meta.epoch = (RegionEpoch){7, 3};
	r.meta.start_key = bytes_cstr(arena_printf(&kit_arena, "%06d", (int) id));
	r.meta.end_key = bytes_cstr(arena_printf(&kit_arena, "%06d", (int) id + 1));
	r.term = 6;
	for (const char *at = peers; *at != '\0'; at += at[2] == ' ' ? 3 : 2)
	{
		RegionPeer peer = {100 + (uint64_t) (at[0] - '0'),
						   (uint64_t) (at[0] - '0'), PEER_VOTER};

		peer.role = at[1] == 'l' ? PEER_LEARNER :
			at[1] == 'i'		 ? PEER_INCOMING_VOTER :
			at[1] == 'd'		 ? PEER_DEMOTING_VOTER :
								   PEER_VOTER;
		r.meta.peers[r.meta.n_peers++] = peer;
		if (peer.store_id == leader_store)
			r.leader = peer;
	}
	return r;
}

static inline void
kit_store(Cluster *cluster, uint64_t id, StoreState state, int64_t heard_us)
{
	PdStore s;
	PdRecord record = {.kind = PD_RECORD_STORE, .store = &s};

	memset(&s, 0, sizeof(s));
	s.id = id;
	s.address = arena_printf(&kit_arena, "127.0.0.1:%d", (int) id);
	s.peer_address = s.status_address = s.git_hash = s.deploy_path = "";
	s.version = "8.5.0";
	s.state = state;
	s.node_state = state == STORE_UP ? NODE_SERVING : NODE_REMOVING;
	cluster_apply(cluster, &record);
	cluster_heard_store(cluster, id, heard_us);
}

/* The disk of a store, in GiB, and how many regions it says it has. */
static inline void
kit_space(Cluster *cluster, uint64_t id, uint64_t capacity, uint64_t available,
		  uint64_t regions, bool busy)
{
	bool was_bootstrapped = cluster->bootstrapped;
	ProtoWriter w;

	proto_writer_init(&w, &kit_arena, 64);
	proto_put_u64(&w, 2, capacity << 30);
	proto_put_u64(&w, 3, available << 30);
	proto_put_u64(&w, 4, regions);
	proto_put_u64(&w, 9, busy);
	cluster->bootstrapped = true;
	CHECK(cluster_store_heartbeat(cluster, id, proto_written(&w), 1, &kit_arena)
			  .type == PD_OK);
	cluster->bootstrapped = was_bootstrapped;
}

static inline void
kit_down(PdRegion *region, uint64_t store, uint64_t seconds)
{
	static DownPeer down[4];

	down[0] = (DownPeer){*region_peer_on(&region->meta, store), seconds};
	region->down = down;
	region->n_down = 1;
}

static inline void
kit_pending(PdRegion *region, uint64_t store)
{
	static RegionPeer pending[4];

	pending[0] = *region_peer_on(&region->meta, store);
	region->pending = pending;
	region->n_pending = 1;
}

/* A plan in the same form, sorted by store. */
static inline const char *
kit_plan_text(const RegionPlan *plan)
{
	const char *out = "";

	for (uint64_t id = 1; id < 10; id++)
		for (int i = 0; i < plan->n; i++)
			if (plan->peers[i].store_id == id)
				out =
					arena_printf(&kit_arena, "%s%s%d%c", out,
								 out[0] == '\0' ? "" : " ", (int) id,
								 plan->peers[i].role == PEER_VOTER ? 'v' : 'l');
	return out;
}

static inline RegionPlan
kit_plan(const char *text)
{
	PdRegion r = kit_region(1, text, 0);
	RegionPlan plan = {0};

	for (int i = 0; i < r.meta.n_peers; i++)
		plan.peers[plan.n++] =
			(PlannedPeer){r.meta.peers[i].store_id, r.meta.peers[i].role};
	return plan;
}

#endif /* TIKV_TEST_SCHEDULE_KIT_H */
