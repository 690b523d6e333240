/*
 * splits.c
 *	  Splitting a region at given keys: SplitRegion of clients, tikv_split(),
 *	  and regions that are too large (region_size.c).
 *
 * PD gives the ids, the region's leader proposes BatchSplit, every replica
 * makes the new peers when it applies it (raftstore-and-pd 16).  The old id
 * keeps the rightmost piece, so that many keys are split at in rounds, from the
 * lowest on.  Who asked is answered when all is applied here.
 */
#include "postgres.h"

#include "bus/bus.h"
#include "core/base/rpc_code.h"
#include "core/cmd/region_change.h"
#include "core/codec/memcomparable.h"
#include "pdpb.pb-c.h"
#include "store/replicas.h"
#include "utils/memutils.h"

#define MAX_SPLITS_AT_ONCE 64

/*
 * Keys of one request; tikv/client-go sends up to 2,048 of a region
 * (tikv/split_region.go, splitBatchRegionLimit).
 */
#define MAX_KEYS 8192
#define PATIENCE_US INT64CONST(10000000)

struct SplitJob
{
	struct SplitJob *next;
	uint64 id;
	uint64 region_id;
	RegionEpoch epoch;
	CmdAdmin admin;	  /* of this round */
	CmdSplit *splits; /* of all rounds, in order */
	int n_splits;
	int n_done;
	Region *pieces; /* that earlier rounds have made */
	int n_pieces;
	Arena *arena; /* the request's, or */
	Arena own;
	Request *request; /* NULL: the store's own wish */
	PieceSize *sizes; /* of the pieces; NULL: not known */
	int64 begun_us;
};

/* Of its order to the turn, which knows nothing else of it. */
static void *
order_arg(const SplitJob *job)
{
	return (void *) (uintptr_t) job->id;
}

/* Its keys go, so an order that still waits must not be made. */
static void
forget(Store *store, SplitJob *job)
{
	SplitJob **at = &store->replicas->splits;

	while (*at != job)
		at = &(*at)->next;
	*at = job->next;
	store->replicas->n_splits--;
	raft_turn_take_back(store, order_arg(job));
	arena_free(&job->own);
	pfree(job);
}

static void
fail(Store *store, SplitJob *job, const RegionError *error)
{
	Request *request = job->request;

	if (request == NULL)
		ereport(LOG,
				(errmsg("tikv store %llu: region %llu could not be split: %s",
						(unsigned long long) store->meta.store_id,
						(unsigned long long) job->region_id, error->reason)));
	if (request == NULL && store_find_peer(store, job->region_id) != NULL)
		region_size_look_again(store_find_peer(store, job->region_id), false);
	forget(store, job);
	if (request != NULL)
		service_region_error(request, error);
}

static void
fail_with(Store *store, SplitJob *job, const char *why)
{
	RegionError error = {.kind = REGION_MESSAGE_ONLY,
						 .region_id = job->region_id,
						 .reason = arena_strdup(job->arena, why)};

	fail(store, job, &error);
}

static SplitJob *
find_job(Store *store, uint64 id)
{
	for (SplitJob *job = store->replicas->splits; job != NULL; job = job->next)
		if (job->id == id)
			return job;
	return NULL;
}

/* -------------------------------------------------------------- the keys */

/* Where a region is to be split, in order; without ids yet. */
typedef struct SplitPlan
{
	CmdSplit *splits;
	int n;
} SplitPlan;

/*
 * The key as a bound.  A raw one of API V1 is the bound itself (tikv/tikv
 * src/server/service/kv.rs, split_region: is_raw_kv), but where transactions
 * are: their clients decode every bound that PD tells them of.
 */
typedef enum BoundForm
{
	BOUND_ENCODED,
	BOUND_RAW,
	BOUND_RAW_IF_ENCODED
} BoundForm;

static BoundForm
form_of_bounds(Store *store, const Peer *peer, bool raw)
{
	if (!raw || store->meta.api == API_V2)
		return BOUND_ENCODED;
	if (peer->raw_bounds)
		return BOUND_RAW;
	return region_sizes_any_version(store) ? BOUND_RAW_IF_ENCODED : BOUND_RAW;
}

static Bytes
bound_of(Bytes key, BoundForm form, Arena *arena)
{
	if (form == BOUND_RAW ||
		(form == BOUND_RAW_IF_ENCODED && region_bound_is_encoded(key)))
		return key;
	return memcomparable_encode(key, arena);
}

/* In API V2 every key has its encoded form, and so has every bound. */
static bool
is_bound_of(const Store *store, Bytes bound)
{
	return store->meta.api != API_V2 || region_bound_is_encoded(bound);
}

/*
 * Transactions may have begun since the bounds were chosen: their locks and
 * versions would be lost beyond a raw one.
 */
bool
splits_may_propose(Peer *peer, const CmdAdmin *admin)
{
	Store *store = peer->store;
	bool all_encoded = true;

	for (int i = 0; i < admin->n_splits; i++)
	{
		if (!is_bound_of(store, admin->splits[i].split_key))
			return false;
		all_encoded &= region_bound_is_encoded(admin->splits[i].split_key);
	}
	if (all_encoded || peer->raw_bounds)
		return true;
	for (const Write *write = peer->proposals; write != NULL;
		 write = write->next_proposal)
		if (write->txn != NULL)
			return false;
	return !region_sizes_look_for_versions(store, store->replicas->tables,
										   store->replicas->snapshot);
}

static int
compare_bounds(const void *a, const void *b)
{
	return bytes_cmp(*(const Bytes *) a, *(const Bytes *) b);
}

/* In order and once, without where the region begins. */
static void
take_bounds(SplitPlan *plan, const Region *region, Bytes *bounds, int n,
			Arena *arena)
{
	plan->splits = arena_zalloc(arena, (size_t) n * sizeof(CmdSplit));
	plan->n = 0;
	if (n > 0)
		qsort(bounds, (size_t) n, sizeof(Bytes), compare_bounds);
	for (int i = 0; i < n; i++)
	{
		Bytes before = plan->n == 0 ? region->start_key :
									  plan->splits[plan->n - 1].split_key;

		if (!bytes_eq(bounds[i], before))
			plan->splits[plan->n++].split_key = bounds[i];
	}
}

static bool
take_keys(Store *store, const Peer *peer,
		  const Kvrpcpb__SplitRegionRequest *message, Arena *arena,
		  SplitPlan *plan, RegionError *error)
{
	size_t n = message->n_split_keys;
	BoundForm form;
	Bytes *bounds;
	int n_bounds = 0;

	memset(error, 0, sizeof(*error));
	error->region_id = peer->region.id;
	error->kind = REGION_MESSAGE_ONLY;
	error->reason = "no valid key found for split.";
	if (n > MAX_KEYS)
	{
		error->reason = "too many split keys";
		return false;
	}
	bounds = arena_alloc(arena, (n + 1) * sizeof(Bytes));
	form = form_of_bounds(store, peer, message->is_raw_kv);
	for (size_t i = 0; i < n + 1; i++)
	{
		const ProtobufCBinaryData *from =
			i < n ? &message->split_keys[i] : &message->split_key;
		Bytes key = bytes_make(from->data, from->len);

		if (key.len == 0)
			continue;
		bounds[n_bounds] = bound_of(key, form, arena);
		if (region_contains(&peer->region, bounds[n_bounds++]))
			continue;
		error->kind = REGION_KEY_NOT_IN_REGION;
		error->key = key;
		error->current = &peer->region;
		return false;
	}
	take_bounds(plan, &peer->region, bounds, n_bounds, arena);
	return plan->n > 0;
}

/* ---------------------------------------------------------------- the ids */

static bool
ask_ids(Store *store, const Peer *peer, const SplitJob *job)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__AskBatchSplitRequest request = PDPB__ASK_BATCH_SPLIT_REQUEST__INIT;
	uint8 *bytes;
	size_t len;

	header.cluster_id = store->meta.cluster_id;
	request.header = &header;
	request.region = service_region_message(&peer->region, job->arena);
	request.split_count = (uint32) job->admin.n_splits;
	len = protobuf_c_message_get_packed_size(&request.base);
	bytes = arena_alloc(job->arena, len);
	protobuf_c_message_pack(&request.base, bytes);
	return bus_send(WORKER_STORE, WORKER_PD, METHOD_PD_ASK_BATCH_SPLIT,
					bytes_make(bytes, len), SPLIT_TAG | job->id) == BUS_OK;
}

static bool
take_ids(const Pdpb__AskBatchSplitResponse *reply, CmdAdmin *admin)
{
	if (reply == NULL || reply->n_ids != (size_t) admin->n_splits)
		return false;
	for (int i = 0; i < admin->n_splits; i++)
	{
		const Pdpb__SplitID *ids = reply->ids[i];
		CmdSplit *split = &admin->splits[i];

		if (ids->n_new_peer_ids > REGION_MAX_PEERS)
			return false;
		split->region_id = ids->new_region_id;
		split->n_peers = (int) ids->n_new_peer_ids;
		for (int k = 0; k < split->n_peers; k++)
			split->peer_ids[k] = ids->new_peer_ids[k];
	}
	return true;
}

static void
proposed(Store *store, AdminJob *admin_job, bool ok, const char *why)
{
	SplitJob *job = find_job(store, (uint64) (uintptr_t) admin_job->arg);

	if (job != NULL && !ok)
		fail_with(store, job, why);
}

bool
splits_take_pd_answer(Store *store, const BusAnswer *answer)
{
	Pdpb__AskBatchSplitResponse *reply = NULL;
	AdminJob order = {.done = proposed};
	SplitJob *job;

	if ((answer->tag & SPLIT_TAG) == 0 || (answer->tag & (SPLIT_TAG << 1)) != 0)
		return false;
	job = find_job(store, answer->tag & ~SPLIT_TAG);
	if (job == NULL)
		return true;
	if (answer->reply.code == BUS_OK)
		reply = (Pdpb__AskBatchSplitResponse *)
			service_unpack(&pdpb__ask_batch_split_response__descriptor,
						   answer->reply.bytes, job->arena);
	if (reply != NULL && reply->header != NULL && reply->header->error != NULL)
		fail_with(store, job, reply->header->error->message);
	else if (!take_ids(reply, &job->admin))
		fail_with(store, job, "the placement driver gave no ids");
	else
	{
		FAILPOINT_PASS("store_split_ids");
		order.region_id = job->region_id;
		order.admin = job->admin;
		order.arg = order_arg(job);
		raft_turn_order(store, &order);
	}
	return true;
}

/* ------------------------------------------------------------- who asks */

static bool
may_split(Store *store, const Peer *peer, const RequestContext *context,
		  RegionError *error)
{
	if (!orders_may_reach(peer, context->region_id, error))
		return false;
	error->kind = REGION_EPOCH_NOT_MATCH;
	error->current = &peer->region;
	if (context->epoch.version != peer->region.epoch.version)
		return false;
	error->kind = REGION_SERVER_IS_BUSY;
	error->reason = "too many regions are being split";
	return store->replicas->n_splits < MAX_SPLITS_AT_ONCE;
}

/* The next keys, as many as one entry takes. */
static void
begin_round(Store *store, const Peer *peer, SplitJob *job)
{
	memset(&job->admin, 0, sizeof(job->admin));
	job->admin.type = CMD_ADMIN_BATCH_SPLIT;
	job->admin.right_derive = true;
	job->admin.splits = job->splits + job->n_done;
	job->admin.n_splits = Min(job->n_splits - job->n_done, CMD_MAX_SPLITS);
	job->epoch = peer->region.epoch;
	job->begun_us = dispatch_now_us();
	if (!ask_ids(store, peer, job))
		fail_with(store, job, "the placement driver does not take requests");
}

static SplitJob *
new_job(Store *store, const Peer *peer)
{
	SplitJob *job = MemoryContextAllocZero(store->context, sizeof(SplitJob));

	arena_init(&job->own);
	job->arena = &job->own;
	job->id = ++store->replicas->next_split;
	job->region_id = peer->region.id;
	job->next = store->replicas->splits;
	store->replicas->splits = job;
	store->replicas->n_splits++;
	return job;
}

static bool
may_begin(const Store *store, uint64 region_id)
{
	for (SplitJob *job = store->replicas->splits; job != NULL; job = job->next)
		if (job->region_id == region_id)
			return false;
	return store->replicas->n_splits < MAX_SPLITS_AT_ONCE;
}

void
splits_begin(Store *store, Peer *peer, const Bytes *keys, int n,
			 const PieceSize *sizes)
{
	SplitJob *job;

	Assert(n <= CMD_MAX_SPLITS);
	if (!may_begin(store, peer->region.id))
		return;
	job = new_job(store, peer);
	job->n_splits = n;
	job->splits = arena_zalloc(job->arena, (Size) n * sizeof(CmdSplit));
	for (int i = 0; i < n; i++)
		job->splits[i].split_key = arena_copy(job->arena, keys[i]);
	job->sizes = arena_alloc(job->arena, (Size) (n + 1) * sizeof(PieceSize));
	memcpy(job->sizes, sizes, (Size) (n + 1) * sizeof(PieceSize));
	begin_round(store, peer, job);
}

/*
 * Told again while it is under way, and then not wanted twice.  Whoever gave
 * them to PD may have given keys that are no bounds.
 */
void
splits_order(Store *store, Peer *peer, const Pdpb__SplitRegion *order)
{
	SplitPlan plan;
	SplitJob *job;
	Bytes *bounds;
	int n = 0;

	if (order->n_keys > MAX_KEYS || !may_begin(store, peer->region.id))
		return;
	job = new_job(store, peer);
	bounds = arena_alloc(job->arena, (order->n_keys + 1) * sizeof(Bytes));
	for (size_t i = 0; i < order->n_keys; i++)
	{
		bounds[n] = bytes_make(order->keys[i].data, order->keys[i].len);
		if (bounds[n].len == 0 || !is_bound_of(store, bounds[n]) ||
			!region_contains(&peer->region, bounds[n]))
			continue;
		bounds[n] = arena_copy(job->arena, bounds[n]);
		n++;
	}
	take_bounds(&plan, &peer->region, bounds, n, job->arena);
	job->splits = plan.splits;
	job->n_splits = plan.n;
	if (plan.n == 0)
		forget(store, job);
	else
		begin_round(store, peer, job);
}

/* Only the version of the epoch is compared (raftstore-and-pd 16). */
void
splits_take(Store *store, Request *request)
{
	const Kvrpcpb__SplitRegionRequest *message =
		(const void *) request->message;
	RequestContext context = {0};
	RegionError error;
	SplitPlan plan;
	SplitJob *job;
	Peer *peer;

	if (message->context != NULL)
		service_decode_context(message->context, &context);
	peer = store_find_peer(store, context.region_id);
	if (!may_split(store, peer, &context, &error) ||
		!take_keys(store, peer, message, request->arena, &plan, &error))
	{
		service_region_error(request, &error);
		return;
	}
	job = new_job(store, peer);
	job->splits = plan.splits;
	job->n_splits = plan.n;
	job->arena = request->arena;
	job->request = request;
	FAILPOINT_PASS("store_split_asked");
	begin_round(store, peer, job);
}

/* ----------------------------------------------------------- what became */

static void
report(Store *store, const Region *pieces, int n)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__ReportBatchSplitRequest request =
		PDPB__REPORT_BATCH_SPLIT_REQUEST__INIT;
	Arena *arena = &store->arena;
	uint8 *bytes;
	size_t len;

	header.cluster_id = store->meta.cluster_id;
	request.header = &header;
	request.n_regions = (size_t) n;
	request.regions = arena_alloc(arena, (size_t) n * sizeof(Metapb__Region *));
	for (int i = 0; i < n; i++)
		request.regions[i] = service_region_message(&pieces[i], arena);
	len = protobuf_c_message_get_packed_size(&request.base);
	bytes = arena_alloc(arena, len);
	protobuf_c_message_pack(&request.base, bytes);
	(void) bus_send(WORKER_STORE, WORKER_PD, METHOD_PD_REPORT_BATCH_SPLIT,
					bytes_make(bytes, len),
					(uint64) METHOD_PD_REPORT_BATCH_SPLIT);
}

static void
answer(SplitJob *job, const Region *pieces, int n)
{
	Kvrpcpb__SplitRegionResponse reply = KVRPCPB__SPLIT_REGION_RESPONSE__INIT;
	size_t total = (size_t) (job->n_pieces + n);

	reply.n_regions = total;
	reply.regions = arena_alloc(job->arena, total * sizeof(Metapb__Region *));
	for (int i = 0; i < job->n_pieces; i++)
		reply.regions[i] = service_region_message(&job->pieces[i], job->arena);
	for (int i = 0; i < n; i++)
		reply.regions[job->n_pieces + i] =
			service_region_message(&pieces[i], job->arena);
	if (total == 2)
	{
		reply.left = reply.regions[0];
		reply.right = reply.regions[1];
	}
	job->request->done(job->request, &reply.base);
}

/* All but the last, which the next round splits. */
static void
keep_pieces(SplitJob *job, const Region *pieces, int n)
{
	if (job->pieces == NULL)
		job->pieces =
			arena_alloc(job->arena, (Size) job->n_splits * sizeof(Region));
	for (int i = 0; i < n - 1; i++)
	{
		Region *kept = &job->pieces[job->n_pieces++];

		*kept = pieces[i];
		kept->start_key = arena_copy(job->arena, kept->start_key);
		kept->end_key = arena_copy(job->arena, kept->end_key);
	}
}

/* Pieces that were counted before; the others are to be counted. */
static void
tell_sizes(Store *store, const SplitJob *job, const Region *pieces, int n)
{
	for (int i = 0; i < n; i++)
	{
		Peer *peer = store_find_peer(store, pieces[i].id);

		if (peer == NULL || job->sizes == NULL)
			continue;
		region_size_known(peer, &job->sizes[i]);
		region_size_look_again(peer, true);
	}
}

/* A split of this region is applied and committed here. */
void
splits_applied(Store *store, const Peer *parent, const Region *pieces, int n)
{
	SplitJob *next;

	if (peer_is_leader(parent))
		report(store, pieces, n);
	for (SplitJob *job = store->replicas->splits; job != NULL; job = next)
	{
		next = job->next;
		if (job->region_id != parent->region.id ||
			job->epoch.version + (uint64) job->admin.n_splits !=
				parent->region.epoch.version)
			continue;
		FAILPOINT_PASS("store_before_split_answer");
		tell_sizes(store, job, pieces, n);
		job->n_done += job->admin.n_splits;
		if (job->n_done < job->n_splits)
		{
			keep_pieces(job, pieces, n);
			begin_round(store, parent, job);
			continue;
		}
		if (job->request != NULL)
			answer(job, pieces, n);
		forget(store, job);
	}
	for (int i = 0; i < n; i++)
	{
		Peer *peer = store_find_peer(store, pieces[i].id);

		if (peer != NULL)
			region_size_consider(peer);
	}
	store->next_news_us = 0;
}

/* Those that wait for too long, whatever the reason. */
void
splits_run(Store *store)
{
	int64 now_us = dispatch_now_us();
	SplitJob *next;

	for (SplitJob *job = store->replicas->splits; job != NULL; job = next)
	{
		next = job->next;
		if (now_us > job->begun_us + PATIENCE_US ||
			FAILPOINT_ERROR("store_split_patience"))
			fail_with(store, job,
					  "the split takes too long: look whether it was made");
	}
}

void
splits_stop(Store *store, const char *reason)
{
	while (store->replicas->splits != NULL)
		fail_with(store, store->replicas->splits, reason);
}
