/*
 * pd_service_kit.h
 *	  The Placement Driver's service in memory, one client that asks, others that
 *	  watch, and what they ask.
 */
#ifndef TIKV_TEST_PD_SERVICE_KIT_H
#define TIKV_TEST_PD_SERVICE_KIT_H

#include "pd_world.h"

#include <time.h>

#include "etcdserverpb.pb-c.h"
#include "meta_storagepb.pb-c.h"
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
scan_regions(void)
{
	Pdpb__BatchScanRegionsRequest scan = PDPB__BATCH_SCAN_REGIONS_REQUEST__INIT;
	Pdpb__KeyRange all = PDPB__KEY_RANGE__INIT;
	Pdpb__KeyRange *ranges[] = {&all};

	scan.header = &right_header;
	scan.need_buckets = true;
	scan.n_ranges = 1;
	scan.ranges = ranges;
	return ask_on(ASKER, "/pdpb.PD/BatchScanRegions", &scan);
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

#endif /* TIKV_TEST_PD_SERVICE_KIT_H */
