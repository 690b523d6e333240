/*
 * test_pd_watch.c
 *	  Watchers of the Placement Driver that fall behind or do not read, and answers
 *	  that wait: what they hold is bounded, and counted to whom it is for.
 */
#include "pd_service_kit.h"

/* Many on one key: they are told, but not all in one round. */
static void
test_many_watchers(void)
{
	Etcdserverpb__PutRequest in = ETCDSERVERPB__PUT_REQUEST__INIT;
	int rounds = 0;

	begin();
	watch(100);
	in.key = binary("w");
	in.value = large_value();
	CHECK(ask_on(ASKER, "/etcdserverpb.KV/Put", &in) == RPC_OK);
	OK(world.arena.allocated < 80 * MIB,
	   "what watchers are told in a round is bounded");
	world_round();
	OK(watch_events > 0 && watch_events < 100, "some of them were told");
	OK(watch_sleep_us(&world) >= 0, "there is more to do");
	while (watch_events < 100 && rounds++ < 100)
		world_round();
	EQ_U64(watch_events, 100, "then the others");
	OK(watch_sleep_us(&world) < 0 && !world.watchers_behind,
	   "and there is nothing more to do");
	world_round();
	EQ_U64(watch_events, 100, "each once");
	EQ_U64(watch_cancels, 0, "none was cancelled");
	end();
}

/* The same with little memory, of which a round may take a part. */
static void
test_small_rounds(void)
{
	Etcdserverpb__PutRequest in = ETCDSERVERPB__PUT_REQUEST__INIT;
	int rounds = 0;

	begin();
	pd_set_bounds(&world, 16 * MIB);
	watch(20);
	in.key = binary("w");
	in.value = large_value();
	CHECK(ask_on(ASKER, "/etcdserverpb.KV/Put", &in) == RPC_OK);
	OK(world.arena.allocated < 12 * MIB,
	   "where memory is small a round takes less of it");
	while (watch_events < 20 && rounds++ < 30)
		world_round();
	EQ_U64(watch_events, 20, "and all are told in more of them");
	end();
}

static void
test_silent_reader(void)
{
	int64 before;

	begin();
	watch(3);
	WATCHER->unread = 5 * MIB;
	before = world.state.kv.revision;
	CHECK(put("w", binary("1"), 0) == RPC_OK);
	CHECK(put("w", binary("2"), 0) == RPC_OK);
	EQ_U64(watch_events, 0, "who does not read is told nothing more");
	OK(watch_sleep_us(&world) < 0, "and is not waited for");
	ask_for_progress();
	EQ_U64(watch_revision, before, "nor is it said to know");
	WATCHER->unread = 0;
	world_round();
	EQ_U64(watch_events, 6, "when it reads it is told all");
	ask_for_progress();
	EQ_U64(watch_revision, before + 2, "and knows");

	WATCHER->unread = 5 * MIB;
	for (int i = 0; i < 20; i++)
	{
		CHECK(put("w", large_value(), 0) == RPC_OK);
		arena_reset(&arena);
	}
	EQ_U64(watch_cancels, 3, "who is far behind is cancelled, as by etcd");
	EQ_U64(watch_events, 6, "without more events");
	OK(world.watchers == NULL, "and forgotten");
	end();
}

/* A client that has its share of the memory is told later, others at once. */
static void
test_sated_watcher(void)
{
	begin();
	watch(3);
	watch_on(OTHER, 2);
	WATCHER->sated = true;
	CHECK(put("w", binary("1"), 0) == RPC_OK);
	EQ_U64(watch_events, 0, "who has its share of memory is told nothing more");
	EQ_U64(other_events, 2, "others are");
	OK(watch_sleep_us(&world) >= 0, "it is looked at again");
	WATCHER->sated = false;
	world_round();
	EQ_U64(watch_events, 3, "and told when it has less");
	EQ_U64(other_events, 2, "which is all");
	end();
}

/* ---- keyspaces, which have no revisions ---- */

#define KEYSPACE 5

static void
add_keyspace(void)
{
	char *value = arena_zalloc(&arena, LARGE);
	Pair config = {"k", value};
	Keyspace keyspace = {.id = KEYSPACE,
						 .name = "large",
						 .n_config = 1,
						 .config = &config};

	memset(value, 'v', LARGE - 1);
	keyspaces_put(&world.state.keyspaces, &keyspace);
}

static int
set_state(Keyspacepb__KeyspaceState state)
{
	Keyspacepb__UpdateKeyspaceStateRequest in =
		KEYSPACEPB__UPDATE_KEYSPACE_STATE_REQUEST__INIT;

	in.header = &right_header;
	in.keyspace_case = KEYSPACEPB__UPDATE_KEYSPACE_STATE_REQUEST__KEYSPACE_ID;
	in.id = KEYSPACE;
	in.state = state;
	return ask_on(ASKER, "/keyspacepb.Keyspace/UpdateKeyspaceState", &in);
}

static int
watch_keyspaces(int n)
{
	Keyspacepb__WatchKeyspacesRequest in =
		KEYSPACEPB__WATCH_KEYSPACES_REQUEST__INIT;
	int code = RPC_OK;

	right_header.cluster_id = FUZZ_CLUSTER;
	in.header = &right_header;
	for (int i = 0; i < n && code == RPC_OK; i++)
	{
		code = ask_on(WATCHER, "/keyspacepb.Keyspace/WatchKeyspaces", &in);
		world_round();
	}
	return code;
}

static void
test_keyspace_watchers(void)
{
	int rounds = 0;
	int told;

	begin();
	add_keyspace();
	EQ_U64(watch_keyspaces(100), RPC_OK, "a hundred watch keyspaces");
	told = WATCHER->answers;
	EQ_U64(told, 100, "and are told of those that there are");
	CHECK(set_state(KEYSPACEPB__KEYSPACE_STATE__DISABLED) == RPC_OK);
	OK(world.arena.allocated < 80 * MIB,
	   "what they are told of a change in a round is bounded");
	world_round();
	OK(WATCHER->answers > told && WATCHER->answers < told + 100,
	   "some of them were told");
	while (WATCHER->answers < told + 100 && rounds++ < 100)
		world_round();
	world_round();
	EQ_U64(WATCHER->answers, told + 100, "then the others, each once");
	end();
}

static void
test_silent_keyspaces(void)
{
	int told;

	begin();
	add_keyspace();
	CHECK(watch_keyspaces(1) == RPC_OK);
	told = WATCHER->answers;
	WATCHER->unread = 5 * MIB;
	CHECK(set_state(KEYSPACEPB__KEYSPACE_STATE__DISABLED) == RPC_OK);
	world_round();
	CHECK(set_state(KEYSPACEPB__KEYSPACE_STATE__ARCHIVED) == RPC_OK);
	world_round();
	EQ_U64(WATCHER->answers, told, "who does not read is told nothing more");
	WATCHER->unread = 0;
	world_round();
	EQ_U64(WATCHER->answers, told + 1, "when it reads, how they are by then");
	world.max_answer = MIB;
	CHECK(set_state(KEYSPACEPB__KEYSPACE_STATE__TOMBSTONE) == RPC_OK);
	world_round();
	EQ_U64(WATCHER->code, RPC_RESOURCE_EXHAUSTED, "not if that is too much");
	OK(world.watchers == NULL, "and it is forgotten");
	memset(WATCHER, 0, sizeof(*WATCHER));
	EQ_U64(watch_keyspaces(1), RPC_RESOURCE_EXHAUSTED, "nor is it at first");
	end();
}

static int
heartbeat(Call *call)
{
	Pdpb__RegionHeartbeatRequest beat = PDPB__REGION_HEARTBEAT_REQUEST__INIT;
	const PdRegion *region = region_tree_get(&world.state.cluster.regions, 1);

	right_header.cluster_id = FUZZ_CLUSTER;
	beat.header = &right_header;
	beat.region = to_region(&region->meta, &arena);
	beat.leader = to_peer(&region->meta.peers[0], &arena);
	return ask_on(call, "/pdpb.PD/RegionHeartbeat", &beat);
}

static size_t
count_watchers(void)
{
	size_t n = 0;

	for (const Watcher *w = world.watchers; w != NULL; w = w->next)
		n++;
	return n;
}

/* Begin watches until there is one less than asked for; how many there are. */
static size_t
watch_all(Call *call)
{
	Etcdserverpb__WatchCreateRequest create =
		ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
	Etcdserverpb__WatchRequest in = ETCDSERVERPB__WATCH_REQUEST__INIT;
	size_t n = 0;

	create.key = binary("w");
	in.request_union_case =
		ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
	in.create_request = &create;
	while (count_watchers() == n)
	{
		(void) ask_on(call, "/etcdserverpb.Watch/Watch", &in);
		if (++n % 256 == 0)
			world_round();
	}
	world_round();
	return n - 1;
}

/* Watches of one client leave room for those of others. */
static void
test_shared_watches(void)
{
	begin();
	EQ_U64(watch_all(WATCHER), 8192, "one client has half of all watches");
	watch_on(OTHER, 100);
	EQ_U64(count_watchers(), 8192 + 100, "and others theirs beside it");
	watch_forget(&world, WATCHER);
	watch_on(OTHER, 100);
	EQ_U64(count_watchers(), 200, "what it had is forgotten with its stream");
	end();
}

/* Stores' heartbeats are none of them. */
static void
test_heartbeats(void)
{
	Call *store = &world_calls[3];

	begin();
	world.watching.limit = 2;
	watch_on(WATCHER, 1);
	watch_on(OTHER, 1);
	EQ_U64(heartbeat(store), RPC_OK, "with all watches taken a store is heard");
	OK(watch_heartbeat_stream(&world, 1) == store, "and told what to do");
	world_round();
	end();
}

/* etcd's stream goes on with the watches that it has. */
static void
test_watch_bounds(void)
{
	Etcdserverpb__WatchCreateRequest create =
		ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
	Etcdserverpb__WatchRequest in = ETCDSERVERPB__WATCH_REQUEST__INIT;
	MetaStoragepb__WatchRequest meta = META_STORAGEPB__WATCH_REQUEST__INIT;

	begin();
	watch(1);
	in.request_union_case =
		ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
	in.create_request = &create;
	create.key = meta.key = large_value();
	EQ_U64(ask_on(WATCHER, "/etcdserverpb.Watch/Watch", &in), RPC_OK,
		   "a key that cannot be");
	EQ_U64(watch_refusals, 1, "is no watch, which is said");
	EQ_U64(ask("/meta_storagepb.MetaStorage/Watch", &meta),
		   RPC_INVALID_ARGUMENT, "MetaStorage has one watch in a stream");
	create.key = meta.key = binary("w");
	WATCHER->sated = world_lacks_memory = true;
	EQ_U64(ask_on(WATCHER, "/etcdserverpb.Watch/Watch", &in), RPC_OK,
		   "without memory");
	EQ_U64(watch_refusals, 2, "there is no watch, either");
	EQ_U64(ask("/meta_storagepb.MetaStorage/Watch", &meta), RPC_UNAVAILABLE,
		   "MetaStorage's may be had later");
	WATCHER->sated = world_lacks_memory = false;
	CHECK(put("w", binary("1"), 0) == RPC_OK);
	EQ_U64(watch_events, 1, "the watch that there was goes on");
	WATCHER->sated = true;
	WATCHER->unread = MIB;
	EQ_U64(ask_on(WATCHER, "/etcdserverpb.Watch/Watch", &in), RPC_UNAVAILABLE,
		   "who does not read, either, has to come again");
	world_round();
	end();
}

/* ---- answers that wait for a quorum ---- */

static void
keep_answers(void)
{
	pd_keep_outbox(&world);
	pd_flush_outbox(&world, true);
	arena_reset(&world.arena);
}

static void
test_waiting_answers(void)
{
	int n = 0;

	begin();
	add_regions();
	watch(1);
	world.proposed_index = world.decided_index = world.saved.applied_index + 1;
	ask_for_progress();
	keep_answers();
	OK(WATCHER->charged > 0, "an answer that waits counts to its client");
	while (n < 20 && query_regions(OTHER) == RPC_OK)
	{
		keep_answers();
		n++;
	}
	OK(n > 5 && n < 20, "a stream may not have more waiting than unread");
	OK(OTHER->charged > 0 && OTHER->charged <= WORLD_UNREAD,
	   "what it has is bounded");
	EQ_U64(OTHER->code, RPC_UNAVAILABLE, "beyond it ends");
	keep_answers();
	watch_revision = 0;
	world.saved.applied_index = world.proposed_index;
	pd_flush_waiting(&world);
	OK(watch_revision > 0, "with a quorum the others are answered");
	OK(WATCHER->charged == 0 && OTHER->charged == 0, "and nothing is held");
	end();
}

int
main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	test_many_watchers();
	test_small_rounds();
	test_silent_reader();
	test_sated_watcher();
	test_keyspace_watchers();
	test_silent_keyspaces();
	test_shared_watches();
	test_heartbeats();
	test_watch_bounds();
	test_waiting_answers();
	return unit_done();
}
