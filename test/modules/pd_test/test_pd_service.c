/*
 * test_pd_service.c
 *	  What one client may make the Placement Driver hold and do: answers and
 *	  rounds that are bounded, watchers that fall behind, leases that end
 *	  together, transactions in transactions; what another member may send, and
 *	  what waits for a quorum.
 */
#include "pd_world.h"

#include <time.h>

#include "etcdserverpb.pb-c.h"
#include "meta_storagepb.pb-c.h"
#include "pd/peer_check.h"
#include "pd/watch.h"
#include "unit.h"

#define MIB ((size_t) 1 << 20)
#define LARGE (MIB + MIB / 4)
#define MAX_ANSWER (64 * MIB)

/* The one request at a time, and what was said to it. */
#define ASKER (&world_calls[0])
#define WATCHER (&world_calls[1])
#define OTHER (&world_calls[2])

static Arena arena;
static Bytes answer;
static size_t watch_bytes; /* heard by WATCHER */
static int watch_events;
static int other_events; /* heard by OTHER */
static int watch_cancels;
static int watch_refusals;	 /* ... that were never created */
static int64 watch_revision; /* of the last message */

/* fuzz.h wants it. */
static void
write_seeds(void)
{
}

static int
method_of(const char *path)
{
	int method = 0;

	while (strcmp(pd_methods[method].path, path) != 0)
		method++;
	return method;
}

static void
hear(Call *call, Bytes message)
{
	Etcdserverpb__WatchResponse *told;
	Arena local;

	if (call == ASKER)
		answer = arena_copy(&arena, message);
	if (call == ASKER ||
		strcmp(pd_methods[call->method].path, "/etcdserverpb.Watch/Watch") != 0)
		return;
	arena_init(&local);
	told = (Etcdserverpb__WatchResponse *)
		service_unpack(&etcdserverpb__watch_response__descriptor, message,
					   &local);
	if (call == OTHER)
		other_events += (int) told->n_events;
	else
	{
		watch_bytes += message.len;
		watch_events += (int) told->n_events;
	}
	watch_cancels += told->canceled && !told->created;
	watch_refusals += told->canceled && told->created && told->watch_id == -1 &&
		told->cancel_reason[0] != '\0';
	watch_revision = told->header->revision;
	arena_free(&local);
}

static Bytes
packed(const void *message)
{
	size_t len = protobuf_c_message_get_packed_size(message);
	uint8_t *out = arena_alloc(&arena, len);

	protobuf_c_message_pack(message, out);
	return bytes_make(out, len);
}

/* Ask, without an end of the round; the answer's gRPC status. */
static int
ask_on(Call *call, const char *path, const void *message)
{
	int method = method_of(path);

	if (call == ASKER)
	{
		CHECK(call->holds == 0);
		memset(call, 0, sizeof(*call));
		answer = bytes_empty();
	}
	call->method = method;
	pd_rpc_methods()[method].handler->message(call, packed(message));
	return call->code;
}

static int
ask(const char *path, const void *message)
{
	int code = ask_on(ASKER, path, message);

	world_round();
	return ASKER->code != 0 ? ASKER->code : code;
}

static void *
answered(const ProtobufCMessageDescriptor *type)
{
	return service_unpack(type, answer, &arena);
}

/* ---- requests ---- */

static ProtobufCBinaryData
binary(const char *text)
{
	return to_binary(bytes_cstr(text));
}

static ProtobufCBinaryData
large_value(void)
{
	return to_binary(bytes_make(arena_zalloc(&arena, LARGE), LARGE));
}

static Etcdserverpb__RequestOp *
new_op(int kind)
{
	Etcdserverpb__RequestOp *op = NEW_MESSAGE(&arena, Etcdserverpb__RequestOp,
											  etcdserverpb__request_op__init);

	op->request_case = kind;
	return op;
}

static Etcdserverpb__RequestOp *
put_op(const char *key)
{
	Etcdserverpb__RequestOp *op =
		new_op(ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT);

	op->request_put = NEW_MESSAGE(&arena, Etcdserverpb__PutRequest,
								  etcdserverpb__put_request__init);
	op->request_put->key = binary(key);
	return op;
}

static Etcdserverpb__RequestOp *
range_op(bool count_only)
{
	Etcdserverpb__RequestOp *op =
		new_op(ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE);

	op->request_range = NEW_MESSAGE(&arena, Etcdserverpb__RangeRequest,
									etcdserverpb__range_request__init);
	op->request_range->key = binary("k");
	op->request_range->range_end = binary("l");
	op->request_range->count_only = count_only;
	return op;
}

static Etcdserverpb__RequestOp *
delete_op(const char *key, const char *range_end)
{
	Etcdserverpb__RequestOp *op =
		new_op(ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE);

	op->request_delete_range =
		NEW_MESSAGE(&arena, Etcdserverpb__DeleteRangeRequest,
					etcdserverpb__delete_range_request__init);
	op->request_delete_range->key = binary(key);
	op->request_delete_range->range_end = binary(range_end);
	return op;
}

static Etcdserverpb__TxnRequest *
new_txn(size_t n)
{
	Etcdserverpb__TxnRequest *txn =
		NEW_MESSAGE(&arena, Etcdserverpb__TxnRequest,
					etcdserverpb__txn_request__init);

	txn->n_success = n;
	txn->success = arena_alloc(&arena, n * sizeof(*txn->success));
	return txn;
}

static Etcdserverpb__TxnRequest *
ranges(size_t n, bool count_only)
{
	Etcdserverpb__TxnRequest *txn = new_txn(n);

	for (size_t i = 0; i < n; i++)
		txn->success[i] = range_op(count_only);
	return txn;
}

/* Of `width` transactions with `leaves` puts in each. */
static Etcdserverpb__TxnRequest *
nested(size_t width, size_t leaves)
{
	Etcdserverpb__TxnRequest *txn = new_txn(width);

	for (size_t i = 0; i < width; i++)
	{
		txn->success[i] = new_op(ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN);
		txn->success[i]->request_txn = new_txn(leaves);
		for (size_t k = 0; k < leaves; k++)
			txn->success[i]->request_txn->success[k] =
				put_op(arena_printf(&arena, "n%zu/%zu", i, k));
	}
	return txn;
}

static int
put(const char *key, ProtobufCBinaryData value, int64 lease)
{
	Etcdserverpb__PutRequest in = ETCDSERVERPB__PUT_REQUEST__INIT;

	in.key = binary(key);
	in.value = value;
	in.lease = lease;
	return ask("/etcdserverpb.KV/Put", &in);
}

/* Keys that begin with "k"; the i-th has lease `lease` + `step` * i. */
static void
fill_from(size_t from, size_t n, int64 lease, int64 step)
{
	PdChanges changes;

	pd_changes_init(&changes, &world.arena);
	for (size_t i = from; i < from + n; i++)
	{
		KvItem *item = arena_zalloc(&world.arena, sizeof(*item));
		PdRecord record = {.kind = PD_RECORD_KV, .kv = item};

		item->key = bytes_cstr(arena_printf(&world.arena, "k%07zu", i));
		item->create_revision = item->mod_revision = 2;
		item->version = 1;
		item->lease = lease + step * (int64) i;
		pd_changes_add(&changes, &record);
	}
	pd_state_apply_all(&world.state, &changes);
	arena_reset(&world.arena);
}

/* With a lease each if `lease` is not 0. */
static void
fill(size_t n, int64 lease)
{
	fill_from(0, n, lease, lease == 0 ? 0 : 1);
}

static void
begin(void)
{
	arena_init(&arena);
	world_begin(true);
	world.max_answer = MAX_ANSWER;
	world.server = &world_server;
	world_hears = hear;
	world_yields = 0;
	watch_bytes = 0;
	watch_events = other_events = watch_cancels = watch_refusals = 0;
	watch_revision = 0;
}

static void
end(void)
{
	watch_forget(&world, WATCHER);
	watch_forget(&world, OTHER);
	world.server = NULL;
	world_end();
	arena_free(&arena);
}

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

/* ---- regions, which have much to be told of once their buckets are known ---- */

#define N_REGIONS 64
#define N_BUCKETS 20000
#define REGION_ID(i) ((uint64_t) (10 + (i)))

static Pdpb__RequestHeader right_header = PDPB__REQUEST_HEADER__INIT;

static void
report_buckets(uint64_t region_id)
{
	Pdpb__ReportBucketsRequest report = PDPB__REPORT_BUCKETS_REQUEST__INIT;
	Metapb__Buckets buckets = METAPB__BUCKETS__INIT;

	report.header = &right_header;
	report.buckets = &buckets;
	buckets.region_id = region_id;
	buckets.version = 1;
	buckets.n_keys = N_BUCKETS;
	buckets.keys = arena_alloc(&arena, N_BUCKETS * sizeof(*buckets.keys));
	for (int i = 0; i < N_BUCKETS; i++)
		buckets.keys[i] = binary("key");
	CHECK(ask("/pdpb.PD/ReportBuckets", &report) == RPC_OK);
}

static void
add_regions(void)
{
	right_header.cluster_id = FUZZ_CLUSTER;
	for (int i = 0; i < N_REGIONS; i++)
	{
		PdRegion region = {
			.meta = {.id = REGION_ID(i),
					 .epoch = {1, 2},
					 .n_peers = 1,
					 .peers = {{.id = 1000 + REGION_ID(i), .store_id = 1}}}};

		region.leader = region.meta.peers[0];
		region.meta.start_key = bytes_cstr(arena_printf(&arena, "%02d", i));
		region.meta.end_key = bytes_cstr(arena_printf(&arena, "%02d", i + 1));
		region_tree_put(&world.state.cluster.regions, &region);
		report_buckets(region.meta.id);
	}
}

static int
query_regions(Call *call)
{
	uint64_t ids[N_REGIONS];
	Pdpb__QueryRegionRequest query = PDPB__QUERY_REGION_REQUEST__INIT;

	for (int i = 0; i < N_REGIONS; i++)
		ids[i] = REGION_ID(i);
	query.header = &right_header;
	query.need_buckets = true;
	query.n_ids = lengthof(ids);
	query.ids = ids;
	return ask_on(call, "/pdpb.PD/QueryRegion", &query);
}

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

/* ---- watches ---- */

static void
watch_on(Call *call, int n)
{
	Etcdserverpb__WatchCreateRequest create =
		ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
	Etcdserverpb__WatchRequest in = ETCDSERVERPB__WATCH_REQUEST__INIT;

	create.key = binary("w");
	in.request_union_case =
		ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
	in.create_request = &create;
	for (int i = 0; i < n; i++)
		CHECK(ask_on(call, "/etcdserverpb.Watch/Watch", &in) == RPC_OK);
	world_round();
	watch_bytes = 0;
}

static void
watch(int n)
{
	watch_on(WATCHER, n);
}

static void
ask_for_progress(void)
{
	Etcdserverpb__WatchProgressRequest progress =
		ETCDSERVERPB__WATCH_PROGRESS_REQUEST__INIT;
	Etcdserverpb__WatchRequest in = ETCDSERVERPB__WATCH_REQUEST__INIT;

	in.request_union_case =
		ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_PROGRESS_REQUEST;
	in.progress_request = &progress;
	CHECK(ask_on(WATCHER, "/etcdserverpb.Watch/Watch", &in) == RPC_OK);
}

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

/* ---- leases ---- */

static void
grant(int64 id)
{
	Etcdserverpb__LeaseGrantRequest in =
		ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;

	in.id = id;
	in.ttl = 10;
	CHECK(ask("/etcdserverpb.Lease/LeaseGrant", &in) == RPC_OK);
}

static void
test_leases(void)
{
	size_t before;
	int rounds = 0;

	begin();
	for (int64 id = 1; id <= 2000; id++)
		grant(id);
	world_round();
	fill(2000, 1);
	before = world.state.kv.n;
	CHECK(world.state.leases.n == 2000);
	world_us += 20 * INT64CONST(1000000);
	world_round();
	OK(world.state.leases.n < 2000 && world.state.leases.n >= 1700,
	   "leases that run out together do not all end in one round");
	OK(before - world.state.kv.n == 2000 - world.state.leases.n,
	   "with their keys");
	OK(leases_next_expiry(&world.state.leases) <= world_us,
	   "the others end in the next ones");
	while (world.state.leases.n > 0 && rounds++ < 50)
		world_round();
	EQ_U64(world.state.leases.n, 0, "until all have");
	EQ_U64(world.state.kv.n, before - 2000, "and their keys are gone");
	world_round();
	EQ_U64(leases_next_expiry(&world.state.leases), INT64_MAX,
		   "nothing is left to do");
	end();
}

/* One with very many keys, which somebody revokes. */
static void
test_large_lease(void)
{
	Etcdserverpb__LeaseRevokeRequest in =
		ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
	int rounds = 0;
	size_t before;

	begin();
	grant(7);
	before = world.state.kv.n;
	fill_from(0, 10000, 7, 0);
	in.id = 7;
	CHECK(ask_on(ASKER, "/etcdserverpb.Lease/LeaseRevoke", &in) == RPC_OK);
	world_round();
	EQ_U64(world.state.kv.n, before + 10000 - KV_LEASE_SLICE,
		   "a slice of its keys goes in a round");
	world_round();
	EQ_U64(world.state.kv.n, before + 10000 - KV_LEASE_SLICE,
		   "others come in between");
	EQ_U64(ASKER->answers, 0, "nobody is told yet");
	while (ASKER->answers == 0 && rounds++ < 10)
	{
		world_us += 20000;
		world_round();
	}
	EQ_U64(rounds, 2, "two slices later");
	EQ_U64(world.state.kv.n, before, "all are gone");
	OK(leases_get(&world.state.leases, 7) == NULL, "and so is the lease");
	EQ_U64(((Etcdserverpb__LeaseRevokeResponse *)
				answered(&etcdserverpb__lease_revoke_response__descriptor))
			   ->header->revision,
		   world.state.kv.revision, "as is told");
	EQ_U64(ask("/etcdserverpb.Lease/LeaseRevoke", &in), RPC_NOT_FOUND, "once");

	grant(8);
	fill_from(0, 10000, 8, 0);
	in.id = 8;
	CHECK(ask_on(ASKER, "/etcdserverpb.Lease/LeaseRevoke", &in) == RPC_OK);
	world_round();
	lease_ends_fail(&world, "not leader");
	EQ_U64(ASKER->code, RPC_UNAVAILABLE, "a leader that is none says so");
	CHECK(ask_on(ASKER, "/etcdserverpb.Lease/LeaseRevoke", &in) == RPC_OK);
	EQ_U64(ASKER->answers, 0, "who asks again waits for the end");
	for (rounds = 0; ASKER->answers == 0 && rounds < 10; rounds++)
	{
		world_us += 20000;
		world_round();
	}
	EQ_U64(ASKER->code, RPC_OK, "and is told");
	EQ_U64(world.state.kv.n, before, "of it");

	grant(9);
	fill_from(0, KV_LEASE_SLICE + 1, 9, 0);
	world_us += 20 * INT64CONST(1000000);
	world_round();
	EQ_U64(world.state.kv.n, before + 1, "one that runs out ends so, too");
	world_us += 20000;
	world_round();
	EQ_U64(world.state.leases.n, 0, "and then is gone");
	end();
}

/* ---- transactions ---- */

static double
seconds(void)
{
	return (double) clock() / CLOCKS_PER_SEC;
}

static void
test_nested(void)
{
	Etcdserverpb__TxnRequest *txn;
	double began;

	begin();
	began = seconds();
	EQ_U64(ask("/etcdserverpb.KV/Txn", nested(64, 64)), RPC_OK,
		   "128 steps in depth, as etcd takes them");
	EQ_U64(world.state.kv.n, 64 * 64, "are done");
	printf("# %.2f s\n", seconds() - began);
	EQ_U64(ask("/etcdserverpb.KV/Txn", nested(64, 65)), RPC_INVALID_ARGUMENT,
		   "not one more");
	txn = new_txn(3);
	for (int i = 0; i < 3; i++)
	{
		txn->success[i] = new_op(ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN);
		txn->success[i]->request_txn = nested(62, 62);
	}
	EQ_U64(ask("/etcdserverpb.KV/Txn", txn), RPC_INVALID_ARGUMENT,
		   "and not thousands, whatever the depth");
	end();
}

static void
test_much_work(void)
{
	Etcdserverpb__TxnRequest *txn;

	begin();
	fill(100000, 0);
	EQ_U64(ask("/etcdserverpb.KV/Txn", ranges(20, true)), RPC_OK,
		   "many keys are counted many times");
	EQ_U64(ask("/etcdserverpb.KV/Txn", ranges(128, true)), RPC_INVALID_ARGUMENT,
		   "but there is a bound");

	/* Each put looks for what this transaction has changed already. */
	txn = new_txn(128);
	txn->success[0] = delete_op("k0000000", "k0016384");
	for (int i = 1; i < 128; i++)
		txn->success[i] = put_op(arena_printf(&arena, "m%d", i));
	EQ_U64(ask("/etcdserverpb.KV/Txn", txn), RPC_OK,
		   "delete many and put some");
	EQ_U64(world.state.kv.n, 100000 - KV_MAX_REMOVED + 127, "which is done");
	end();
}

/* What goes in one round is one proposal, and one transaction. */
static void
test_deletions(void)
{
	Etcdserverpb__DeleteRangeRequest in =
		ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
	MetaStoragepb__DeleteRequest meta = META_STORAGEPB__DELETE_REQUEST__INIT;
	Etcdserverpb__TxnRequest *txn;

	begin();
	fill(20000, 0);
	in.key = meta.key = binary("k");
	in.range_end = meta.range_end = binary("l");
	EQ_U64(ask("/etcdserverpb.KV/DeleteRange", &in), RPC_RESOURCE_EXHAUSTED,
		   "so many keys are not deleted at once");
	EQ_U64(ask("/meta_storagepb.MetaStorage/Delete", &meta), RPC_OK,
		   "nor by MetaStorage");
	OK(((MetaStoragepb__DeleteResponse *)
			answered(&meta_storagepb__delete_response__descriptor))
			   ->header->error != NULL,
	   "which says so in its header");
	txn = new_txn(2);
	txn->success[0] = delete_op("k0000000", "k0010000");
	txn->success[1] = delete_op("k0010000", "k0020000");
	EQ_U64(ask("/etcdserverpb.KV/Txn", txn), RPC_RESOURCE_EXHAUSTED,
		   "nor by two steps of a transaction");
	EQ_U64(world.state.kv.n, 20000, "all are there");
	in.range_end = binary("k0016384");
	EQ_U64(ask("/etcdserverpb.KV/DeleteRange", &in), RPC_OK, "as many as may");
	EQ_U64(world.state.kv.n, 20000 - KV_MAX_REMOVED, "are gone");
	end();
}

/* That all keys from "k" to "l" were changed, many times over. */
static Etcdserverpb__TxnRequest *
compares(size_t n)
{
	Etcdserverpb__TxnRequest *txn = new_txn(0);
	Etcdserverpb__Compare *compare =
		NEW_MESSAGE(&arena, Etcdserverpb__Compare, etcdserverpb__compare__init);

	compare->result = ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER;
	compare->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD;
	compare->target_union_case =
		ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION;
	compare->key = binary("k");
	compare->range_end = binary("l");
	txn->n_compare = n;
	txn->compare = arena_alloc(&arena, n * sizeof(*txn->compare));
	for (size_t i = 0; i < n; i++)
		txn->compare[i] = compare;
	return txn;
}

static void
test_compares(void)
{
	begin();
	fill(100000, 0);
	EQ_U64(ask("/etcdserverpb.KV/Txn", compares(20)), RPC_OK,
		   "many keys are compared many times");
	OK(((Etcdserverpb__TxnResponse *)
			answered(&etcdserverpb__txn_response__descriptor))
		   ->succeeded,
	   "and all are as they should be");
	EQ_U64(ask_on(ASKER, "/etcdserverpb.KV/Txn", compares(128)),
		   RPC_INVALID_ARGUMENT, "but there is a bound");
	OK(world.arena.allocated < 48 * MIB, "of what is gone through");
	world_round();
	world.max_answer = 8 * MIB;
	EQ_U64(ask("/etcdserverpb.KV/Txn", compares(20)), RPC_RESOURCE_EXHAUSTED,
		   "and of memory");
	end();
}

static void
test_many_keys(void)
{
	begin();
	for (size_t i = 0; i < KV_MAX_KEYS; i += KV_MAX_KEYS / 16)
		fill_from(i, KV_MAX_KEYS / 16, 0, 0);
	EQ_U64(put("more", binary(""), 0), RPC_RESOURCE_EXHAUSTED,
		   "so many keys, and not one more");
	EQ_U64(put("k0000000", binary("v"), 0), RPC_OK, "those there are change");
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
	test_refused_streams();
	test_many_watchers();
	test_small_rounds();
	test_silent_reader();
	test_sated_watcher();
	test_shared_watches();
	test_heartbeats();
	test_watch_bounds();
	test_waiting_answers();
	test_http_memory();
	test_leases();
	test_large_lease();
	test_nested();
	test_much_work();
	test_deletions();
	test_compares();
	test_many_keys();
	test_verdict();
	test_safe_point();
	arena_init(&arena);
	test_records_of_others();
	arena_free(&arena);
	return unit_done();
}
