/*
 * pd_world.h
 *	  The whole of PD's service without its tables, its ports and Postgres.
 *
 * For fuzzing, and for test/modules/pd_test.
 *
 * Stands in for pd/group.c (a round is encoded and decoded, as a follower or
 * the next start would do it) and for Postgres's errors; pd_calls.h does for
 * the rest.
 */
#ifndef TIKV_FUZZ_PD_WORLD_H
#define TIKV_FUZZ_PD_WORLD_H

#include "pd_calls.h"
#include "pg_errors.h"

#include "core/raft/empty_log.h"

void
bus_answer(const BusRequest *request, BusCode code, int grpc_code, Bytes reply)
{
	(void) request;
	(void) code;
	(void) grpc_code;
	(void) reply;
	CHECK(false);
}

/* -------------------------------------------------- the group, of one member */

bool
group_is_sole(const Pd *pd)
{
	(void) pd;
	return true;
}

bool
group_may_serve(const Pd *pd)
{
	return pd->leading;
}

void
forward_request(Pd *pd, const struct PdMethod *method, Bytes bytes,
				const ReplyTo *to)
{
	(void) method;
	(void) bytes;
	pd_fail(pd, to, RPC_UNAVAILABLE, "not leader");
}

bool
forward_half_close(Pd *pd, const ReplyTo *to)
{
	(void) pd;
	(void) to;
	return false;
}

void
forward_closed(Pd *pd, Call *call)
{
	(void) pd;
	(void) call;
}

static const char *world_leader_url; /* of another member */

const char *
forward_leader_url(Pd *pd)
{
	(void) pd;
	return world_leader_url;
}

bool
group_begin(Pd *pd, const char **why)
{
	(void) why;
	if (!pd->changing)
		proposal_init(&pd->proposal, &pd->arena);
	pd->changing = true;
	return true;
}

bool
group_change(Pd *pd, const PdChanges *changes, const char **why)
{
	(void) why;
	for (size_t i = 0; i < changes->n; i++)
	{
		ProposalItem item = record_encode(&changes->records[i],
										  pd->state.cluster_id, &pd->arena);

		proposal_add(&pd->proposal, &item);
	}
	for (size_t i = 0; i < changes->n; i++)
		pd_state_apply(&pd->state, &changes->records[i]);
	return true;
}

/* What was decided can be read again, and then means the same. */
bool
group_commit(Pd *pd)
{
	Proposal read;

	if (!pd->changing)
		return true;
	proposal_init(&read, &pd->arena);
	CHECK(proposal_decode(&read, proposal_encode(&pd->proposal)) == STATUS_OK);
	CHECK(read.n == pd->proposal.n);
	for (size_t i = 0; i < read.n; i++)
	{
		PdRecord record;
		ProposalItem again;

		if (read.items[i].removed)
			continue;
		CHECK(record_decode(read.items[i].key, read.items[i].value, &pd->arena,
							&record) == STATUS_OK);
		again = record_encode(&record, pd->state.cluster_id, &pd->arena);
		CHECK(bytes_eq(again.key, read.items[i].key));
	}
	pd->changing = false;
	pd->revision++;
	return true;
}

/* As pd_finish_round. */
static void
world_round(void)
{
	pd_lead_tick(&world);
	CHECK(group_commit(&world));
	pd_flush_outbox(&world, true);
	tso_after_commit(&world);
	arena_reset(&world.arena);
}

/* ------------------------------------------------------- begin and end */

static void *
raft_alloc(void *arg, size_t size)
{
	(void) arg;
	return malloc(size);
}

static void
raft_release(void *arg, void *p)
{
	(void) arg;
	free(p);
}

/* A sole member that leads. */
static void
world_raft(void)
{
	static const uint64_t applied_index = 5;
	RaftStorage storage = raft_empty_log(&applied_index);
	RaftAllocator allocator = {NULL, raft_alloc, raft_release};
	RaftConfig config;
	RaftReady ready;

	raft_config_init(&config, 1);
	config.hard_state.term = config.applied_term = config.truncated_term = 5;
	config.hard_state.commit = config.applied_index = config.truncated_index =
		applied_index;
	config.conf.voters.n = 1;
	config.conf.voters.id[0] = 1;
	CHECK(raft_create(&config, &storage, &allocator, (uint64) world_us,
					  &world.raft) == STATUS_OK);
	CHECK(raft_campaign(world.raft, (uint64) world_us) == STATUS_OK);
	CHECK(raft_ready(world.raft, &world.arena, (uint64) world_us, &ready));
	raft_advance(world.raft, &ready);
}

static void
world_change(PdChanges *changes)
{
	const char *why;

	CHECK(pd_change(&world, changes, &why));
}

/* A cluster that has just been made; with a store and a region if wanted. */
static void
world_begin(bool bootstrapped)
{
	PdChanges changes;
	Region region = {.id = 1,
					 .epoch = {1, 1},
					 .n_peers = 1,
					 .peers = {{.id = 2, .store_id = 1}}};
	PdStore store = {.id = 1,
					 .address = "127.0.0.1:20160",
					 .peer_address = "127.0.0.1:20170",
					 .status_address = "127.0.0.1:20180",
					 .version = "8.5.0",
					 .git_hash = "",
					 .deploy_path = ""};
	PdMember member = {.id = 1,
					   .name = "pd",
					   .client_url = "http://127.0.0.1:1",
					   .peer_url = "http://127.0.0.1:1",
					   .version = "8.5.0"};

	memset(&world_tso, 0, sizeof(world_tso));
	memset(world_calls, 0, sizeof(world_calls));
	world_us = 1000000;
	pd_init(&world);
	pd_set_bounds(&world, 0);
	pd_state_init(&world.state);
	pd_state_loaded(&world.state);
	pd_changes_init(&changes, &world.arena);
	pd_changes_number(&changes, PD_RECORD_CLUSTER_ID, FUZZ_CLUSTER);
	keyspaces_first(1000, &changes);
	pd_state_set_member(&world.state, &member, &changes);
	world_change(&changes);
	if (bootstrapped)
	{
		pd_changes_init(&changes, &world.arena);
		CHECK(cluster_bootstrap(&world.state.cluster, FUZZ_CLUSTER, &store,
								&region, 1000, &changes)
				  .type == PD_OK);
		world_change(&changes);
	}
	world_raft();
	world.leading = true;
	world.start_time = 1000;
	tso_lead(&world);
	world_round();
}

static void
world_end(void)
{
	world_round();
	pd_resign(&world, "the end");
	for (int i = 0; i < WORLD_CALLS; i++)
		CHECK(world_calls[i].holds == 0 && world_calls[i].charged == 0);
	raft_destroy(world.raft);
	pd_state_free(&world.state);
	pd_free(&world);
}

#endif /* TIKV_FUZZ_PD_WORLD_H */
