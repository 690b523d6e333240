/*
 * test_pd_service.c
 *	  What one client may make the Placement Driver hold and do: answers that are
 *	  bounded, what waits for a quorum; what another member may send.
 */
#include "pd_service_kit.h"

#include "pd/peer_check.h"

/* ---- answers ---- */

static void
test_named_settings(void)
{
	Pdpb__StoreGlobalConfigRequest store =
		PDPB__STORE_GLOBAL_CONFIG_REQUEST__INIT;
	Pdpb__LoadGlobalConfigRequest load = PDPB__LOAD_GLOBAL_CONFIG_REQUEST__INIT;
	Pdpb__GlobalConfigItem item = PDPB__GLOBAL_CONFIG_ITEM__INIT;
	Pdpb__GlobalConfigItem *items[] = {&item};
	char *names[200];

	begin();
	item.name = (char *) "x";
	item.payload = large_value();
	store.n_changes = 1;
	store.changes = items;
	EQ_U64(ask("/pdpb.PD/StoreGlobalConfig", &store), RPC_OK, "a setting");
	for (int i = 0; i < (int) lengthof(names); i++)
		names[i] = (char *) "x";
	load.names = names;
	load.n_names = 10;
	EQ_U64(ask("/pdpb.PD/LoadGlobalConfig", &load), RPC_OK,
		   "is loaded under ten names");
	load.n_names = lengthof(names);
	EQ_U64(ask_on(ASKER, "/pdpb.PD/LoadGlobalConfig", &load),
		   RPC_RESOURCE_EXHAUSTED, "but not under many");
	OK(world.arena.allocated < MAX_ANSWER + 2 * LARGE,
	   "as the answer would be too large");
	OK(world_yields > 0, "and the round ends, to give its memory back");
	world_round();
	end();
}

static void
test_ranges(void)
{
	Etcdserverpb__RangeRequest all = ETCDSERVERPB__RANGE_REQUEST__INIT;
	Etcdserverpb__DeleteRangeRequest gone =
		ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
	MetaStoragepb__GetRequest get = META_STORAGEPB__GET_REQUEST__INIT;
	ProtobufCBinaryData value;

	begin();
	value = large_value();
	for (int i = 0; i < 40; i++)
		CHECK(put(arena_printf(&arena, "k%d", i), value, 0) == RPC_OK);
	EQ_U64(ask("/etcdserverpb.KV/Txn", ranges(1, false)), RPC_OK,
		   "a range of much");
	EQ_U64(ask_on(ASKER, "/etcdserverpb.KV/Txn", ranges(100, false)),
		   RPC_RESOURCE_EXHAUSTED, "not a hundred times in one answer");
	OK(world.arena.allocated < MAX_ANSWER + 2 * LARGE, "as that is too much");
	world_round();

	world.max_answer = 8 * MIB;
	all.key = get.key = gone.key = binary("k");
	all.range_end = get.range_end = gone.range_end = binary("l");
	gone.prev_kv = true;
	EQ_U64(ask("/etcdserverpb.KV/Range", &all), RPC_RESOURCE_EXHAUSTED,
		   "a range that is too much");
	EQ_U64(ask("/meta_storagepb.MetaStorage/Get", &get), RPC_RESOURCE_EXHAUSTED,
		   "MetaStorage's, too");
	EQ_U64(ask("/etcdserverpb.KV/DeleteRange", &gone), RPC_RESOURCE_EXHAUSTED,
		   "a deletion that is to tell what it deleted");
	all.keys_only = true;
	EQ_U64(ask("/etcdserverpb.KV/Range", &all), RPC_OK, "its keys alone");
	EQ_U64(((Etcdserverpb__RangeResponse *)
				answered(&etcdserverpb__range_response__descriptor))
			   ->count,
		   40, "are all there");
	end();
}

/* ---- regions ---- */

static void
test_query_region(void)
{
	Pdpb__GetRegionByIDRequest get = PDPB__GET_REGION_BY_IDREQUEST__INIT;

	begin();
	add_regions();
	EQ_U64(query_regions(ASKER), RPC_OK, "regions are asked for by their ids");
	OK(answer.len > (size_t) N_REGIONS * N_BUCKETS * 3,
	   "and told with their buckets");
	world_round();
	world.max_answer = 4 * MIB;
	EQ_U64(query_regions(ASKER), RPC_RESOURCE_EXHAUSTED,
		   "not if that is too large an answer");
	OK(world.arena.allocated < 8 * MIB, "which is seen before it is made");
	world_round();
	get.header = &right_header;
	get.region_id = REGION_ID(0);
	get.need_buckets = true;
	EQ_U64(ask("/pdpb.PD/GetRegionByID", &get), RPC_OK, "one is told");
	world.max_answer = 64 * 1024;
	EQ_U64(ask("/pdpb.PD/GetRegionByID", &get), RPC_RESOURCE_EXHAUSTED,
		   "unless its buckets alone are too much");
	end();
}

/* Once more by their ranges. */
static void
test_scan_regions(void)
{
	begin();
	add_regions();
	EQ_U64(scan_regions(), RPC_OK, "regions are asked for by a range");
	OK(answer.len > (size_t) N_REGIONS * N_BUCKETS * 3,
	   "and told with their buckets");
	world_round();
	world.max_answer = 4 * MIB;
	EQ_U64(scan_regions(), RPC_RESOURCE_EXHAUSTED,
		   "not if that is too large an answer");
	OK(world.arena.allocated < 8 * MIB, "which is seen before it is made");
	world_round();
	end();
}

/* A leader's heartbeat that calls so many peers pending and down. */
static const PdRegion *
heard_with(size_t n_pending, size_t n_down)
{
	Pdpb__RegionHeartbeatRequest beat = PDPB__REGION_HEARTBEAT_REQUEST__INIT;
	const RegionTree *tree = &world.state.cluster.regions;
	const PdRegion *region = region_tree_get(tree, 1);
	Pdpb__PeerStats down = PDPB__PEER_STATS__INIT;

	right_header.cluster_id = FUZZ_CLUSTER;
	beat.header = &right_header;
	beat.region = to_region(&region->meta, &arena);
	beat.leader = to_peer(&region->meta.peers[0], &arena);
	down.peer = beat.leader;
	beat.n_pending_peers = n_pending;
	beat.pending_peers = arena_alloc(&arena, n_pending * sizeof(beat.leader));
	for (size_t i = 0; i < n_pending; i++)
		beat.pending_peers[i] = beat.leader;
	beat.n_down_peers = n_down;
	beat.down_peers = arena_alloc(&arena, n_down * sizeof(&down));
	for (size_t i = 0; i < n_down; i++)
		beat.down_peers[i] = &down;
	CHECK(ask_on(WATCHER, "/pdpb.PD/RegionHeartbeat", &beat) == RPC_OK);
	world_round();
	return region_tree_get(tree, 1);
}

/* What is kept of a region is no more than its peers are. */
static void
test_many_peers(void)
{
	const PdRegion *region;

	begin();
	region = heard_with(REGION_MAX_PEERS, 1);
	EQ_U64(region->n_pending, REGION_MAX_PEERS, "peers that are pending");
	EQ_U64(region->n_down, 1, "and down");
	region = heard_with(REGION_MAX_PEERS + 1, 2);
	EQ_U64(region->n_down, 1, "more than a region has are not believed");
	region = heard_with(2, REGION_MAX_PEERS + 1);
	EQ_U64(region->n_pending, REGION_MAX_PEERS, "in either list");
	region = heard_with(0, 0);
	EQ_U64(region->n_pending + region->n_down, 0, "the next one is");
	end();
}

static const PdBuckets *
buckets_of(int i)
{
	return region_tree_get(&world.state.cluster.regions, REGION_ID(i))->buckets;
}

static void
test_many_buckets(void)
{
	begin();
	world.max_buckets = 2 * MIB;
	add_regions();
	OK(world.state.cluster.regions.bucket_bytes > MIB &&
		   world.state.cluster.regions.bucket_bytes <= 2 * MIB,
	   "so many buckets are kept");
	OK(buckets_of(0) != NULL && buckets_of(N_REGIONS - 1) == NULL,
	   "of those regions that came first");
	EQ_U64(query_regions(ASKER), RPC_OK, "others are told without");
	world_round();
	end();
}

/* A stream's first message asks for memory, too. */
static void
test_refused_streams(void)
{
	Pdpb__TsoRequest tso = PDPB__TSO_REQUEST__INIT;

	begin();
	add_regions();
	tso.header = &right_header;
	tso.count = 1;
	OTHER->sated = true;
	EQ_U64(query_regions(OTHER), RPC_UNAVAILABLE,
		   "a stream of who has its share of memory is refused");
	EQ_U64(query_regions(ASKER), RPC_OK, "others are not");
	world_round();
	memset(OTHER, 0, sizeof(*OTHER));
	OTHER->sated = true;
	EQ_U64(ask_on(OTHER, "/pdpb.PD/Tso", &tso), RPC_OK, "nor are timestamps");
	world_round();
	OTHER->unread = 64 * 1024;
	EQ_U64(ask_on(OTHER, "/pdpb.PD/Tso", &tso), RPC_UNAVAILABLE,
		   "unless they are not read");
	world_round();
	end();
}

/* ---- timestamps ---- */

#define MOST_WAITS 65536 /* as tso_service.c has it */

static void
stream_ends(Call *call)
{
	pd_rpc_methods()[call->method].handler->half_close(call);
}

/*
 * Those that wait for a greater bound are many, of one stream or of several,
 * and a stream's end waits behind what it has asked for, no longer.
 */
static void
test_waiting_for_timestamps(void)
{
	Pdpb__TsoRequest tso = PDPB__TSO_REQUEST__INIT;
	Call *quiet = &world_calls[3];
	int waiting = 0;

	begin();
	tso.header = &right_header;
	tso.count = 1;
	quiet->method = method_of("/pdpb.PD/Tso");
	for (int i = 0; i < MOST_WAITS - 2; i++)
		waiting += ask_on(OTHER, "/pdpb.PD/Tso", &tso) == RPC_OK;
	EQ_U64(waiting, MOST_WAITS - 2, "many wait for timestamps");
	CHECK(ask_on(WATCHER, "/pdpb.PD/Tso", &tso) == RPC_OK);
	stream_ends(WATCHER);
	OK(!WATCHER->over, "a stream's end waits behind its request");
	stream_ends(quiet);
	OK(quiet->over && quiet->code == RPC_OK, "not behind those of others");
	EQ_U64(ask_on(ASKER, "/pdpb.PD/Tso", &tso), RPC_UNAVAILABLE,
		   "one more is refused");
	EQ_U64(OTHER->answers, 0, "none was answered before");
	world_round();
	EQ_U64(OTHER->answers, MOST_WAITS - 2, "then all are");
	OK(!OTHER->over && OTHER->holds == 0, "on a stream that goes on");
	OK(WATCHER->answers == 1 && WATCHER->over && WATCHER->code == RPC_OK,
	   "and the one that ends has ended");
	pg_atomic_write_u64(&world_tso.bound_ms, 0);
	memset(ASKER, 0, sizeof(*ASKER));
	EQ_U64(ask_on(ASKER, "/pdpb.PD/Tso", &tso), RPC_OK, "another one");
	EQ_U64(ASKER->answers, 0, "finds room to wait");
	world_round();
	EQ_U64(ASKER->answers, 1, "and is answered, too");
	stream_ends(OTHER);
	OK(OTHER->over, "an end with nothing before it does not wait");
	end();
}

/* ---- keyspaces ---- */

/* More than there may be: told by SQL's way of asking, and over HTTP. */
static void
test_too_many_keyspaces(void)
{
	Keyspacepb__LoadKeyspaceRequest more =
		KEYSPACEPB__LOAD_KEYSPACE_REQUEST__INIT;
	HttpRequest request = {.method = "POST",
						   .uri = "/pd/api/v2/keyspaces",
						   .body = bytes_cstr("{\"name\": \"more\"}")};

	begin();
	more.header = &right_header;
	more.name = (char *) "last";
	for (uint32 id = 1; id < KEYSPACES_MAX - 1; id++)
	{
		char name[KEYSPACE_MAX_NAME + 1];
		Keyspace keyspace = {.id = id, .name = name};

		snprintf(name, sizeof(name), "k%u", id);
		keyspaces_put(&world.state.keyspaces, &keyspace);
	}
	EQ_U64(ask("/tikv_fdw.Pd/CreateKeyspace", &more), RPC_OK,
		   "the last keyspace there may be");
	more.name = (char *) "more";
	EQ_U64(ask("/tikv_fdw.Pd/CreateKeyspace", &more), RPC_RESOURCE_EXHAUSTED,
		   "one more is refused");
	http_serve(&world, &request);
	EQ_U64(request.status, 500, "over HTTP, too");
	EQ_U64(world.state.keyspaces.n, KEYSPACES_MAX, "and is not made");
	end();
}

/* ---- HTTP ---- */

static void
test_http_memory(void)
{
	HttpRequest request = {.method = "GET", .uri = "/pd/api/v1/stores"};

	begin();
	world_lacks_memory = true;
	http_serve(&world, &request);
	EQ_U64(request.status, 503, "HTTP is refused while memory is short");
	world_lacks_memory = false;
	request.answers = 0;
	http_serve(&world, &request);
	EQ_U64(request.status, 200, "and served when it is not");
	end();
}

#define FAT ((size_t) 60 << 10)

static void
add_fat_keyspaces(size_t n)
{
	char *value = arena_alloc(&arena, FAT + 1);
	Pair pair = {"fat", value};

	memset(value, '\x01', FAT);
	value[FAT] = '\0';
	for (size_t i = 1; i <= n; i++)
	{
		Keyspace keyspace = {.id = (uint32_t) i,
							 .name = arena_printf(&arena, "k%zu", i),
							 .n_config = 1,
							 .config = &pair};

		keyspaces_put(&world.state.keyspaces, &keyspace);
	}
}

static size_t taken; /* memory, by the last request over HTTP */

static int
ask_http(HttpRequest *request, const char *method, const char *uri,
		 const char *body)
{
	size_t before = world.arena.allocated;

	memset(request, 0, sizeof(*request));
	request->method = method;
	request->uri = uri;
	request->body = bytes_cstr(body);
	http_serve(&world, request);
	taken = world.arena.allocated - before;
	world_round();
	return request->status;
}

/* An answer over HTTP takes no more than another one, however it is wanted. */
static void
test_http_answer(void)
{
	const char *all = "/pd/api/v2/keyspaces";
	const char *state = "/pd/api/v2/keyspaces/k1/state";
	HttpRequest request;

	begin();
	add_fat_keyspaces(16);
	EQ_U64(ask_http(&request, "GET", all, ""), 200, "much is answered");
	world.max_answer = 2 * MIB;
	EQ_U64(ask_http(&request, "GET", all, ""), 503, "but not too much");
	EQ_STR(request.text,
		   "\"the answer would take too much memory, ask for less\"",
		   "and it is told what to do");
	OK(taken <= 2 * MIB, "nor is it put together");
	EQ_U64(ask_http(&request, "GET", "/pd/api/v2/keyspaces?limit=1", ""), 200,
		   "less is answered");
	world.max_answer = FAT;
	EQ_U64(ask_http(&request, "PUT", state, "{\"state\":\"disabled\"}"), 503,
		   "a change is refused whose answer is too large");
	EQ_U64(keyspaces_by_name(&world.state.keyspaces, "k1")->state,
		   KEYSPACE_ENABLED, "and not made");
	world.max_answer = 2 * MIB;
	EQ_U64(ask_http(&request, "PUT", state, "{\"state\":\"disabled\"}"), 200,
		   "as others are");
	EQ_U64(keyspaces_by_name(&world.state.keyspaces, "k1")->state,
		   KEYSPACE_DISABLED, "and made");
	end();
}

/* ---- what a quorum does not have ---- */

/* A store that is told of a newer start serves no more. */
static void
test_verdict(void)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__StoreStats stats = PDPB__STORE_STATS__INIT;
	Pdpb__StoreHeartbeatRequest in = PDPB__STORE_HEARTBEAT_REQUEST__INIT;
	Pdpb__StoreHeartbeatResponse *out;

	begin();
	header.cluster_id = FUZZ_CLUSTER;
	in.header = &header;
	stats.store_id = 1;
	in.stats = &stats;
	CHECK(put("/tikv_fdw/start/1", binary("00000000000000000002 word"), 0) ==
		  RPC_OK);
	world.decided_index = world.saved.applied_index + 1;
	header.caller_id = (char *) "start 2";
	CHECK(ask_on(ASKER, "/pdpb.PD/StoreHeartbeat", &in) == RPC_OK);
	EQ_U64(ASKER->answers, 1, "a heartbeat that is taken is answered at once");
	header.caller_id = (char *) "start 1";
	CHECK(ask_on(ASKER, "/pdpb.PD/StoreHeartbeat", &in) == RPC_OK);
	EQ_U64(ASKER->answers, 0, "an error waits for what it shows");
	world_round();
	EQ_U64(ASKER->answers, 1, "and then is told");
	out = answered(&pdpb__store_heartbeat_response__descriptor);
	OK(out->header->error != NULL &&
		   out->header->error->type == PDPB__ERROR_TYPE__DUPLICATED_ENTRY,
	   "a newer start was claimed");
	world.decided_index = 0;
	end();
}

/* There may be 10,000 stores, and a heartbeat of as many MB as a message. */
static void
test_long_heartbeat(void)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__StoreStats stats = PDPB__STORE_STATS__INIT;
	Pdpb__StoreHeartbeatRequest in = PDPB__STORE_HEARTBEAT_REQUEST__INIT;
	Pdpb__GetStoreRequest get = PDPB__GET_STORE_REQUEST__INIT;
	Pdpb__GetStoreResponse *out;
	Pdpb__PeerStat peer = PDPB__PEER_STAT__INIT;
	Pdpb__PeerStat *peers[1000];
	Pdpb__TimeInterval interval = PDPB__TIME_INTERVAL__INIT;
	ProtobufCMessageUnknownField unknown[2] = {
		{.tag = 77, .wire_type = 2, .len = 1001, .data = malloc(1001)}};

	begin();
	header.cluster_id = FUZZ_CLUSTER;
	in.header = &header;
	stats.store_id = 1;
	stats.capacity = 1000;
	stats.interval = &interval;
	interval.end_timestamp = 12;
	in.stats = &stats;
	CHECK(ask_on(ASKER, "/pdpb.PD/StoreHeartbeat", &in) == RPC_OK);

	for (int i = 0; i < 1000; i++)
		peers[i] = &peer;
	stats.n_peer_stats = 1000;
	stats.peer_stats = peers;
	memset(unknown[0].data, 'x', 1001);
	memcpy(unknown[0].data, "\xE7\x07", 2); /* the length of the rest */
	unknown[1] = unknown[0];
	stats.base.n_unknown_fields = 1;
	stats.base.unknown_fields = unknown;
	interval.base.n_unknown_fields = 1;
	interval.base.unknown_fields = unknown + 1;
	stats.capacity = 2000;
	CHECK(ask_on(ASKER, "/pdpb.PD/StoreHeartbeat", &in) == RPC_OK);
	OK(cluster_store(&world.state.cluster, 1)->stats.len < 100,
	   "of a heartbeat neither lists nor what is unknown are kept");

	get.header = &header;
	get.store_id = 1;
	CHECK(ask_on(ASKER, "/pdpb.PD/GetStore", &get) == RPC_OK);
	out = answered(&pdpb__get_store_response__descriptor);
	OK(out->stats->capacity == 2000 &&
		   out->stats->interval->end_timestamp == 12,
	   "its numbers are");
	free(unknown[0].data);
	end();
}

/* ---- the safe point ---- */

static int64
put_safe_point(const char *point)
{
	CHECK(put(PD_SAFE_POINT_KEY, binary(point), 0) == RPC_OK);
	return ((Etcdserverpb__PutResponse *)
				answered(&etcdserverpb__put_response__descriptor))
		->header->revision;
}

static int
read_at(int64 revision)
{
	Etcdserverpb__RangeRequest in = ETCDSERVERPB__RANGE_REQUEST__INIT;

	in.key = binary(PD_SAFE_POINT_KEY);
	in.revision = revision;
	return ask("/etcdserverpb.KV/Range", &in);
}

static void
test_safe_point(void)
{
	Pdpb__SetGCBarrierRequest barrier = PDPB__SET_GCBARRIER_REQUEST__INIT;
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	int64 before;

	begin();
	before = world.state.kv.revision;
	EQ_U64(put_safe_point("100"), before + 1, "a safe point is a revision");
	EQ_U64(read_at(before + 1), RPC_OK, "that can be read");
	EQ_U64(put_safe_point("100"), before + 1, "the same one is none");
	header.cluster_id = FUZZ_CLUSTER;
	barrier.header = &header;
	barrier.barrier_id = (char *) "b";
	barrier.barrier_ts = 100;
	barrier.ttl_seconds = 1000;
	EQ_U64(ask("/pdpb.PD/SetGCBarrier", &barrier), RPC_OK, "a barrier");
	EQ_U64(put_safe_point("200"), before + 1, "nor is one that is held back");
	EQ_U64(read_at(before + 1), RPC_OK, "what was answered can be read");
	EQ_U64(world.state.kv.revision, before + 1, "nothing else was written");
	EQ_U64(put(PD_SAFE_POINT_KEY, binary("18446744073709551615"), 0),
		   RPC_FAILED_PRECONDITION, "one that no timestamp has reached");
	EQ_U64(world.state.gc.txn_safe_point, 100, "moves nothing");
	end();
}

/* ---- safe points beyond all timestamps ---- */

/* gRPC's status, or that of the answer's header. */
static bool
is_refused(const char *path, const void *in,
		   const ProtobufCMessageDescriptor *of)
{
	Pdpb__GetGCSafePointResponse *out;

	if (ask(path, in) == RPC_UNKNOWN)
		return true;
	out = answered(of); /* the header is the first field of each answer */
	return out->header->error != NULL &&
		out->header->error->type == PDPB__ERROR_TYPE__UNKNOWN;
}

static void
test_beyond(void)
{
	Pdpb__UpdateGCSafePointRequest update =
		PDPB__UPDATE_GCSAFE_POINT_REQUEST__INIT;
	Pdpb__UpdateGCSafePointV2Request v2 =
		PDPB__UPDATE_GCSAFE_POINT_V2_REQUEST__INIT;
	Pdpb__UpdateServiceGCSafePointRequest service =
		PDPB__UPDATE_SERVICE_GCSAFE_POINT_REQUEST__INIT;
	Pdpb__AdvanceTxnSafePointRequest advance =
		PDPB__ADVANCE_TXN_SAFE_POINT_REQUEST__INIT;
	const GcState *gc = &world.state.gc;
	uint64_t newest;

	begin();
	right_header.cluster_id = FUZZ_CLUSTER;
	newest = tso_newest();
	update.header = v2.header = service.header = advance.header = &right_header;
	update.safe_point = v2.safe_point = newest + 1;
	service.safe_point = advance.target = newest + 1;
	service.service_id = binary(GC_WORKER_ID);
	service.ttl = GC_NEVER;
	EQ_U64(ask("/pdpb.PD/UpdateGCSafePoint", &update), RPC_UNKNOWN,
		   "the oldest call is refused by a status");
	EQ_U64(ask("/pdpb.PD/UpdateGCSafePointV2", &v2), RPC_UNKNOWN,
		   "so is the next");
	EQ_U64(ask("/pdpb.PD/UpdateServiceGCSafePoint", &service), RPC_UNKNOWN,
		   "and that of services");
	OK(is_refused("/pdpb.PD/AdvanceTxnSafePoint", &advance,
				  &pdpb__advance_txn_safe_point_response__descriptor) &&
		   ASKER->code == 0,
	   "the new one in the header");
	OK(gc->txn_safe_point == 0 && gc->gc_safe_point == 0, "nothing moved");
	advance.target = newest;
	OK(!is_refused("/pdpb.PD/AdvanceTxnSafePoint", &advance,
				   &pdpb__advance_txn_safe_point_response__descriptor),
	   "up to the newest");
	update.safe_point = newest;
	EQ_U64(ask("/pdpb.PD/UpdateGCSafePoint", &update), RPC_OK, "by each");
	OK(gc->txn_safe_point == newest && gc->gc_safe_point == newest, "both");
	end();
}

/* ---- safe points under the name of a keyspace ---- */

#define KEYSPACE_MADE 7
#define KEYSPACE_UNKNOWN 8

static void
make_keyspace(void)
{
	Keyspace made = {.id = KEYSPACE_MADE, .name = "made"};

	keyspaces_put(&world.state.keyspaces, &made);
}

/* Is it done, rather than refused in the answer's header? */
static bool
accepted(const char *path, const void *in, const ProtobufCMessageDescriptor *of)
{
	Pdpb__GetGCSafePointV2Response *out;

	CHECK(ask(path, in) == RPC_OK);
	out = answered(of); /* the header is the first field of each answer */
	return out->header->error == NULL;
}

/* By its id, or by its identity. */
static bool
moves_point(uint32_t keyspace, bool identity, uint64_t to)
{
	Pdpb__UpdateGCSafePointV2Request in =
		PDPB__UPDATE_GCSAFE_POINT_V2_REQUEST__INIT;
	Apipb__KeyspaceIdentity who = APIPB__KEYSPACE_IDENTITY__INIT;

	in.header = &right_header;
	in.safe_point = to;
	in.keyspace_case =
		PDPB__UPDATE_GCSAFE_POINT_V2_REQUEST__KEYSPACE_KEYSPACE_ID;
	in.keyspace_id = keyspace;
	if (identity)
	{
		in.keyspace_case =
			PDPB__UPDATE_GCSAFE_POINT_V2_REQUEST__KEYSPACE_KEYSPACE_IDENTITY;
		who.keyspace_id = keyspace;
		in.keyspace_identity = &who;
	}
	return accepted("/pdpb.PD/UpdateGCSafePointV2", &in,
					&pdpb__update_gcsafe_point_v2_response__descriptor);
}

static bool
moves_service(uint32_t keyspace, const char *service, int64 ttl, uint64_t to)
{
	Pdpb__UpdateServiceSafePointV2Request in =
		PDPB__UPDATE_SERVICE_SAFE_POINT_V2_REQUEST__INIT;

	in.header = &right_header;
	in.service_id = binary(service);
	in.ttl = ttl;
	in.safe_point = to;
	in.keyspace_case =
		PDPB__UPDATE_SERVICE_SAFE_POINT_V2_REQUEST__KEYSPACE_KEYSPACE_ID;
	in.keyspace_id = keyspace;
	return accepted("/pdpb.PD/UpdateServiceSafePointV2", &in,
					&pdpb__update_service_safe_point_v2_response__descriptor);
}

static bool
reads_point(uint32_t keyspace)
{
	Pdpb__GetGCSafePointV2Request in = PDPB__GET_GCSAFE_POINT_V2_REQUEST__INIT;

	in.header = &right_header;
	in.keyspace_case = PDPB__GET_GCSAFE_POINT_V2_REQUEST__KEYSPACE_KEYSPACE_ID;
	in.keyspace_id = keyspace;
	return accepted("/pdpb.PD/GetGCSafePointV2", &in,
					&pdpb__get_gcsafe_point_v2_response__descriptor);
}

/* A state is that of no keyspace; what is told of keyspaces is that they have none. */
static void
check_states(void)
{
	Pdpb__GetGCStateRequest one = PDPB__GET_GCSTATE_REQUEST__INIT;
	Pdpb__GetAllKeyspacesGCStatesRequest all =
		PDPB__GET_ALL_KEYSPACES_GCSTATES_REQUEST__INIT;
	Pdpb__KeyspaceScope scope = PDPB__KEYSPACE_SCOPE__INIT;
	Pdpb__GetGCStateResponse *state;
	Pdpb__GetAllKeyspacesGCStatesResponse *states;

	scope.keyspace_case = PDPB__KEYSPACE_SCOPE__KEYSPACE_KEYSPACE_ID;
	scope.keyspace_id = KEYSPACE_MADE;
	one.header = all.header = &right_header;
	one.keyspace_scope = &scope;
	CHECK(ask("/pdpb.PD/GetGCState", &one) == RPC_OK);
	state = answered(&pdpb__get_gcstate_response__descriptor);
	EQ_U64(state->gc_state->keyspace_scope->keyspace_id, KEYSPACE_NULL_ID,
		   "the state is that of no keyspace");
	EQ_U64(state->gc_state->txn_safe_point, 150, "and holds the point");
	CHECK(ask("/pdpb.PD/GetAllKeyspacesGCStates", &all) == RPC_OK);
	states = answered(&pdpb__get_all_keyspaces_gcstates_response__descriptor);
	CHECK(states->n_gc_states == 3); /* none, DEFAULT, and made */
	EQ_U64(states->gc_states[0]->txn_safe_point, 150, "that of no keyspace");
	EQ_U64(states->gc_states[2]->keyspace_scope->keyspace_id, KEYSPACE_MADE,
		   "a keyspace is named");
	OK(states->gc_states[2]->txn_safe_point == 0 &&
		   states->gc_states[2]->gc_safe_point == 0,
	   "with no points, as it has none of its own");
}

/* All keyspaces share the points, so none is moved in the name of one. */
static void
test_gc_of_keyspaces(void)
{
	const GcState *gc = &world.state.gc;

	begin();
	right_header.cluster_id = FUZZ_CLUSTER;
	make_keyspace();
	OK(!moves_point(KEYSPACE_MADE, false, 100),
	   "a keyspace's GC moves nothing");
	OK(!moves_point(KEYSPACE_MADE, true, 100), "nor by its identity");
	OK(!moves_point(KEYSPACE_UNKNOWN, false, 100), "nor one that is not there");
	OK(!moves_service(KEYSPACE_MADE, GC_WORKER_ID, GC_NEVER, 100),
	   "nor as the GC worker");
	OK(gc->gc_safe_point == 0 && gc->txn_safe_point == 0, "both points stay");
	OK(!moves_service(KEYSPACE_UNKNOWN, "backup", 60, 200),
	   "no service of a keyspace that is not there");
	EQ_U64(gc->barriers.n, 0, "is a barrier");
	OK(moves_service(KEYSPACE_MADE, "backup", 60, 200),
	   "a service may hold GC back for a keyspace");
	EQ_U64(gc->barriers.n, 1, "and is a barrier");
	OK(!reads_point(KEYSPACE_MADE), "a keyspace has no point of its own");
	OK(!reads_point(KEYSPACE_UNKNOWN), "nor has one that is not there");
	OK(reads_point(KEYSPACE_NULL_ID), "that of no keyspace is read");
	OK(moves_point(KEYSPACE_NULL_ID, false, 100), "GC of no keyspace moves it");
	EQ_U64(gc->gc_safe_point, 100, "that of all");
	OK(moves_service(KEYSPACE_NULL_ID, GC_WORKER_ID, GC_NEVER, 150),
	   "so does its GC worker");
	EQ_U64(gc->txn_safe_point, 150, "the one of transactions");
	check_states();
	end();
}

/* ---- what another member sends ---- */

static ProposalItem
record(PdRecordKind kind, uint64_t number)
{
	PdRecord of = {.kind = kind, .number = number};

	return record_encode(&of, FUZZ_CLUSTER, &arena);
}

/* In an entry, or as all that a snapshot holds beside the cluster's id. */
static bool
may_send(ProposalItem item, bool snapshot)
{
	ProposalItem id = record(PD_RECORD_CLUSTER_ID, FUZZ_CLUSTER);
	RaftEntry entry = {.type = RAFT_ENTRY_NORMAL};
	RaftSnapshot all = {.meta = {.index = 9, .term = 6}};
	RaftMessage m = {.type = snapshot ? RAFT_MSG_SNAPSHOT : RAFT_MSG_APPEND,
					 .entries = &entry,
					 .n_entries = 1,
					 .snapshot = &all};
	Proposal proposal;

	proposal_init(&proposal, &arena);
	if (snapshot)
		proposal_add(&proposal, &id);
	if (item.key.len > 0)
		proposal_add(&proposal, &item);
	all.data = entry.data = proposal_encode(&proposal);
	return peer_can_apply(&m, FUZZ_CLUSTER);
}

static void
test_records_of_others(void)
{
	ProposalItem none = {.key = bytes_empty()};
	ProposalItem unknown = {.key = bytes_cstr("raft/x/1")};
	ProposalItem no_text = {.key = bytes_cstr("raft/s/\xff")};
	ProposalItem no_store = {.key = bytes_cstr("raft/s/1"),
							 .value = bytes_cstr("\x08")};
	uint8_t key[3000];
	ProposalItem too_long = {.key = bytes_make(key, sizeof(key))};
	ProposalItem gone = record(PD_RECORD_CLUSTER_ID, FUZZ_CLUSTER);
	RaftEntry change = {.type = RAFT_ENTRY_CONF_CHANGE,
						.data = bytes_cstr("\x08")};
	RaftSnapshot empty = {.data = bytes_empty()};
	RaftMessage m = {.type = RAFT_MSG_APPEND,
					 .entries = &change,
					 .n_entries = 1};

	memset(key, 'a', sizeof(key));
	gone.removed = no_text.removed = too_long.removed = true;
	for (int snapshot = 0; snapshot < 2; snapshot++)
	{
		OK(may_send(none, snapshot), "nothing");
		OK(may_send(record(PD_RECORD_ALLOC_ID, 7), snapshot), "a record");
		OK(may_send(unknown, snapshot), "a key of a newer version");
		OK(!may_send(no_text, snapshot), "a key that is no text");
		OK(!may_send(too_long, snapshot), "a key that no index takes");
		OK(!may_send(no_store, snapshot), "a value that is cut short");
		OK(!may_send(gone, snapshot), "the cluster loses its id");
		OK(!may_send(record(PD_RECORD_KV_REVISION, INT64_MAX), snapshot),
		   "a revision that has no next");
		OK(!may_send(record(PD_RECORD_TIMESTAMP, UINT64_MAX), snapshot),
		   "a time that fits into no timestamp");
		OK(!may_send(record(PD_RECORD_CLUSTER_ID, 8), snapshot),
		   "another cluster's");
	}
	OK(!peer_can_apply(&m, FUZZ_CLUSTER), "a change that cannot be read");
	m.type = RAFT_MSG_SNAPSHOT;
	m.snapshot = &empty;
	OK(!peer_can_apply(&m, FUZZ_CLUSTER), "a snapshot of no cluster");
}

int
main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	test_named_settings();
	test_ranges();
	test_query_region();
	test_scan_regions();
	test_many_peers();
	test_many_buckets();
	test_refused_streams();
	test_waiting_for_timestamps();
	test_too_many_keyspaces();
	test_http_memory();
	test_http_answer();
	test_verdict();
	test_long_heartbeat();
	test_safe_point();
	test_beyond();
	test_gc_of_keyspaces();
	arena_init(&arena);
	test_records_of_others();
	arena_free(&arena);
	return unit_done();
}
