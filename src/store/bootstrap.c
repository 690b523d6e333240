/*
 * bootstrap.c
 *	  How a store learns who it is, and what it tells PD.
 *
 * First start: an id from PD, then region 1's descriptor is saved, then PD is
 * asked to bootstrap with it; a crash between any two of these resumes where
 * it stopped (raftstore-and-pd 20).  Another store may have been faster by
 * then: see core/region/first_region.h.  Every start registers the store
 * again, with its present addresses.
 */
#include "postgres.h"

#include <time.h>

#include "access/xact.h"
#include "bus/bus.h"
#include "bus/failpoints.h"
#include "bus/lock_table.h"
#include "bus/tso_shared.h"
#include "core/cmd/region_change.h"
#include "core/region/first_region.h"
#include "guc.h"
#include "miscadmin.h"
#include "pdpb.pb-c.h"
#include "store/api_switch.h"
#include "store/damage.h"
#include "store/store.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#define PD_CALL_TIMEOUT_MS 10000

/* A timestamp is physical_ms << 18 | logical. */
#define TSO_LOGICAL_BITS 18

/* The TiKV release whose behaviour clients may expect (DESIGN 7). */
#define STORE_VERSION "8.5.0"

/* One request to PD; the reply is unpacked into the store's arena. */
ProtobufCMessage *
store_pd_call(int method, const ProtobufCMessage *request,
			  const ProtobufCMessageDescriptor *reply_type, Arena *arena,
			  char *reason, Size size)
{
	size_t len = protobuf_c_message_get_packed_size(request);
	uint8 *bytes = arena_alloc(arena, len);
	BusReply reply;
	ProtobufCMessage *message;

	protobuf_c_message_pack(request, bytes);
	reply =
		bus_call(WORKER_PD, method, bytes_make(bytes, len), PD_CALL_TIMEOUT_MS);
	if (reply.code != BUS_OK)
	{
		snprintf(reason, size,
				 "the placement driver does not answer (%s)%s%.*s",
				 request->descriptor->short_name,
				 reply.code == BUS_ERROR ? ": " : "",
				 reply.code == BUS_ERROR ? (int) reply.bytes.len : 0,
				 (const char *) reply.bytes.data);
		return NULL;
	}
	message = service_unpack(reply_type, reply.bytes, arena);
	if (message == NULL)
		snprintf(reason, size,
				 "the placement driver's answer to %s is not readable",
				 request->descriptor->short_name);
	return message;
}

static bool
header_ok(const Pdpb__ResponseHeader *header, char *reason, Size size)
{
	if (header != NULL && header->error == NULL)
		return true;
	snprintf(reason, size, "the placement driver refused: %s",
			 header == NULL ? "no header" : header->error->message);
	return false;
}

static bool
pd_cluster_id(Arena *arena, uint64 *cluster_id, int *n_members, char *reason,
			  Size size)
{
	Pdpb__GetMembersRequest request = PDPB__GET_MEMBERS_REQUEST__INIT;
	Pdpb__GetMembersResponse *reply;

	reply = (Pdpb__GetMembersResponse *)
		store_pd_call(METHOD_PD_GET_MEMBERS, &request.base,
					  &pdpb__get_members_response__descriptor, arena, reason,
					  size);
	if (reply == NULL || !header_ok(reply->header, reason, size))
		return false;
	*cluster_id = reply->header->cluster_id;
	*n_members = (int) reply->n_members;
	return true;
}

/*
 * Then PD's tables are this node's own, and nobody but itself has heard of its
 * store (claim.c).  False: PD cannot tell.
 */
static bool
is_alone(const Store *store, Arena *arena, int n_members, bool *alone,
		 char *reason, Size size)
{
	bool others;

	*alone = false;
	if (n_members > 1 || tikv_fdw_settings.pd_endpoints[0] != '\0' ||
		tikv_fdw_settings.join[0] != '\0')
		return true;
	if (!store_has_others(store, arena, &others, reason, size))
		return false;
	*alone = !others;
	return true;
}

static bool
pd_alloc_id(Arena *arena, Pdpb__RequestHeader *header, uint64 *id, char *reason,
			Size size)
{
	Pdpb__AllocIDRequest request = PDPB__ALLOC_IDREQUEST__INIT;
	Pdpb__AllocIDResponse *reply;

	request.header = header;
	reply = (Pdpb__AllocIDResponse *)
		store_pd_call(METHOD_PD_ALLOC_ID, &request.base,
					  &pdpb__alloc_idresponse__descriptor, arena, reason, size);
	if (reply == NULL || !header_ok(reply->header, reason, size))
		return false;
	*id = reply->id;
	return true;
}

static bool
pd_is_bootstrapped(Arena *arena, Pdpb__RequestHeader *header, bool *answer,
				   char *reason, Size size)
{
	Pdpb__IsBootstrappedRequest request = PDPB__IS_BOOTSTRAPPED_REQUEST__INIT;
	Pdpb__IsBootstrappedResponse *reply;

	request.header = header;
	reply = (Pdpb__IsBootstrappedResponse *)
		store_pd_call(METHOD_PD_IS_BOOTSTRAPPED, &request.base,
					  &pdpb__is_bootstrapped_response__descriptor, arena,
					  reason, size);
	if (reply == NULL || !header_ok(reply->header, reason, size))
		return false;
	*answer = reply->bootstrapped;
	return true;
}

/*
 * Reads may have been served at any timestamp handed out so far, so async
 * commit and 1PC wait for one that is newer (txn-semantics 24).
 */
static bool
pd_sync_max_ts(Arena *arena, Pdpb__RequestHeader *header, char *reason,
			   Size size)
{
	Pdpb__TsoRequest request = PDPB__TSO_REQUEST__INIT;
	Pdpb__TsoResponse *reply;
	uint64 ts;

	request.header = header;
	request.count = 1;
	reply = (Pdpb__TsoResponse *) store_pd_call(METHOD_PD_TSO, &request.base,
												&pdpb__tso_response__descriptor,
												arena, reason, size);
	if (reply == NULL || !header_ok(reply->header, reason, size))
		return false;
	if (reply->timestamp == NULL)
	{
		snprintf(reason, size, "the placement driver's timestamp is missing");
		return false;
	}
	ts = (uint64) reply->timestamp->physical << TSO_LOGICAL_BITS |
		(uint64) reply->timestamp->logical;
	tso_heard(ts);
	lock_table_raise_max_ts(ts);
	return true;
}

/* What may have been collected before this start. */
static bool
pd_gc_state(Store *store, Arena *arena, Pdpb__RequestHeader *header,
			char *reason, Size size)
{
	Pdpb__GetGCStateRequest request = PDPB__GET_GCSTATE_REQUEST__INIT;
	Pdpb__KeyspaceScope scope = PDPB__KEYSPACE_SCOPE__INIT;
	Pdpb__GetGCStateResponse *reply;

	scope.keyspace_id = PG_UINT32_MAX;
	request.header = header;
	request.keyspace_scope = &scope;
	reply = (Pdpb__GetGCStateResponse *)
		store_pd_call(METHOD_PD_GET_GC_STATE, &request.base,
					  &pdpb__get_gcstate_response__descriptor, arena, reason,
					  size);
	if (reply == NULL || !header_ok(reply->header, reason, size))
		return false;
	if (reply->gc_state == NULL)
	{
		snprintf(reason, size, "the placement driver's GC state is missing");
		return false;
	}
	gc_know(store, reply->gc_state->txn_safe_point,
			reply->gc_state->gc_safe_point);
	return true;
}

static const char *
advertised(const char *advertise, const char *addr)
{
	return advertise[0] != '\0' ? advertise : addr;
}

static void
store_message(const Store *store, Metapb__Store *out)
{
	metapb__store__init(out);
	out->id = store->meta.store_id;
	out->address = (char *) advertised(tikv_fdw_settings.advertise_addr,
									   tikv_fdw_settings.addr);
	out->peer_address =
		(char *) advertised(tikv_fdw_settings.peer_advertise_addr,
							tikv_fdw_settings.peer_addr);

	/* Without a port there is nothing to reach by another address. */
	if (tikv_fdw_settings.status_addr[0] != '\0')
		out->status_address =
			(char *) advertised(tikv_fdw_settings.status_advertise_addr,
								tikv_fdw_settings.status_addr);
	out->version = STORE_VERSION;
	out->node_state = METAPB__NODE_STATE__Serving;
	out->start_timestamp = (int64) time(NULL);
	out->deploy_path = DataDir;
}

static bool
pd_put_store(const Store *store, Arena *arena, Pdpb__RequestHeader *header,
			 char *reason, Size size)
{
	Pdpb__PutStoreRequest request = PDPB__PUT_STORE_REQUEST__INIT;
	Pdpb__PutStoreResponse *reply;
	Metapb__Store message;

	store_message(store, &message);
	request.header = header;
	request.store = &message;
	reply = (Pdpb__PutStoreResponse *)
		store_pd_call(METHOD_PD_PUT_STORE, &request.base,
					  &pdpb__put_store_response__descriptor, arena, reason,
					  size);
	return reply != NULL && header_ok(reply->header, reason, size);
}

static bool
pd_bootstrap(const Store *store, const Region *region, Arena *arena,
			 Pdpb__RequestHeader *header, char *reason, Size size)
{
	Pdpb__BootstrapRequest request = PDPB__BOOTSTRAP_REQUEST__INIT;
	Pdpb__BootstrapResponse *reply;
	Metapb__Store message;

	store_message(store, &message);
	request.header = header;
	request.store = &message;
	request.region = service_region_message(region, arena);
	reply = (Pdpb__BootstrapResponse *)
		store_pd_call(METHOD_PD_BOOTSTRAP, &request.base,
					  &pdpb__bootstrap_response__descriptor, arena, reason,
					  size);
	return reply != NULL && header_ok(reply->header, reason, size);
}

/* ------------------------------------------------------- what is stored */

static void
begin(void)
{
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
}

static void
end(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/* Save the descriptor of the first region and where its log begins. */
static void
save_first_region(Store *store, uint64 region_id, uint64 peer_id)
{
	Region region = {0};
	GroupState state = {0};

	region.id = region_id;
	region.start_key = bytes_empty();
	region.end_key = bytes_empty();
	region.epoch.conf_ver = 1;
	region.epoch.version = 1;
	region.n_peers = 1;
	region.peers[0].id = peer_id;
	region.peers[0].store_id = store->meta.store_id;
	region.peers[0].role = PEER_VOTER;
	state.region_id = region_id;
	state.term = FIRST_LOG_TERM;
	state.commit_index = FIRST_LOG_INDEX;
	state.applied_index = FIRST_LOG_INDEX;
	state.applied_term = FIRST_LOG_TERM;
	state.truncated_index = FIRST_LOG_INDEX;
	state.truncated_term = FIRST_LOG_TERM;
	begin();
	region_table_save(&region, peer_id, PEER_STATE_NORMAL);
	group_state_insert(&state);
	end();
}

static void
corrupt_peer(const Store *store, uint64 region_id)
{
	ereport(
		FATAL,
		(errcode(ERRCODE_DATA_CORRUPTED),
		 errmsg("region %llu of store %llu has no peer or no Raft state",
				(unsigned long long) region_id,
				(unsigned long long) store->meta.store_id),
		 errhint(
			 "Restore tikv_internal.region and raft_state from one consistent backup.")));
}

static void
load_peer(Store *store, const RegionRow *row)
{
	Peer *peer = store_add_peer(store, row->region.id);

	peer->self =
		(RegionPeer){.id = row->peer_id, .store_id = store->meta.store_id};
	peer->life = row->state;
	peer->saved_flashback_ts = row->region.flashback_start_ts;
	peer_set_region(peer, &row->region);

	/*
	 * It had applied its own removal and was to go in the next turn; nobody
	 * would tell it again, its epoch being theirs.
	 */
	peer->destroying = row->region.n_peers > 0 &&
		region_find_store(&row->region, store->meta.store_id) == NULL;
	if (peer->self.id != row->peer_id ||
		!group_state_load(row->region.id, &peer->saved))
		corrupt_peer(store, row->region.id);
}

static void
load_peers(Store *store)
{
	RegionRow *rows;
	MemoryContext old;
	int n;

	begin();
	old = MemoryContextSwitchTo(store->context);
	while (store->n_peers > 0)
		store_remove_peer(store, store->peers[0]);
	n = region_table_load(&rows);
	for (int i = 0; i < n; i++)
		if (rows[i].state == PEER_STATE_TOMBSTONE)
			store_add_tombstone(store, &rows[i].region, rows[i].peer_id);
		else
			load_peer(store, &rows[i]);
	pfree(rows);
	MemoryContextSwitchTo(old);
	end();
}

/* Read the ident, count this start.  False if the tables can't be served. */
static bool
load_meta(Store *store, uint64 cluster_id, char *reason, Size size)
{
	begin();
	store_meta_load(&store->meta);
	end();
	if (store->meta.cluster_id == 0)
		return true;
	if (store->meta.storage_format != STORAGE_FORMAT)
	{
		snprintf(
			reason, size,
			"the tables have storage format %d, this library serves %d; run ALTER EXTENSION tikv_fdw UPDATE or install the matching library",
			store->meta.storage_format, STORAGE_FORMAT);
		return false;
	}
	if (store->meta.cluster_id != cluster_id)
	{
		snprintf(
			reason, size,
			"the store belongs to cluster %llu, the placement driver to %llu",
			(unsigned long long) store->meta.cluster_id,
			(unsigned long long) cluster_id);
		return false;
	}
	return true;
}

static bool
make_ident(Store *store, uint64 cluster_id, Arena *arena,
		   Pdpb__RequestHeader *header, char *reason, Size size)
{
	if (!pd_alloc_id(arena, header, &store->meta.store_id, reason, size))
		return false;
	FAILPOINT("store_id_given");
	store->meta.cluster_id = cluster_id;
	store->meta.api = api_of_our_settings();
	store->meta.storage_format = STORAGE_FORMAT;
	return true;
}

/*
 * A start that PD has not accepted goes on with its number and word, however
 * often it is tried and wherever it was cut short: a copy must not catch up by
 * being started often.
 */
static void
save_meta(Store *store, bool alone)
{
	StoreMeta *meta = &store->meta;
	bool is_first = meta->start_seq == 0;

	if (alone || meta->claim_word == 0)
		meta->start_seq++;
	if (alone)
		meta->claim_word = 0;
	while (!alone && meta->claim_word == 0)
		if (!pg_strong_random(&meta->claim_word, sizeof(meta->claim_word)))
			elog(ERROR, "could not get random bytes");
	begin();
	if (is_first)
		store_meta_save(meta);
	else
		store_meta_update(meta);
	FAILPOINT("store_before_start_counted");
	end();
	FAILPOINT("store_after_start_counted");
}

/* Before it serves, or the next start would be taken for this one. */
static bool
claim_start(Store *store, Arena *arena, char *reason, Size size)
{
	const char *claimed;

	if (!store_claim_start(store, arena, &claimed, reason, size))
		return false;
	FAILPOINT("store_start_claimed");
	store->meta.claim_word = 0;
	begin();
	store_meta_update(&store->meta);
	end();
	FAILPOINT("store_word_forgotten");
	return store_confirm_start(store, arena, claimed, reason, size);
}

static void
load_background(Store *store)
{
	begin();
	background_load(store);
	end();
}

/* ------------------------------------------------------ the first region */

/* Which region has the first key; PD that knows of none is not believed. */
static bool
pd_first_region(Arena *arena, Pdpb__RequestHeader *header, uint64 *id,
				char *reason, Size size)
{
	Pdpb__GetRegionRequest request = PDPB__GET_REGION_REQUEST__INIT;
	Pdpb__GetRegionResponse *reply;

	request.header = header;
	reply = (Pdpb__GetRegionResponse *)
		store_pd_call(METHOD_PD_GET_REGION, &request.base,
					  &pdpb__get_region_response__descriptor, arena, reason,
					  size);
	if (reply == NULL || !header_ok(reply->header, reason, size))
		return false;
	*id = reply->region == NULL ? 0 : reply->region->id;
	if (*id == 0)
		snprintf(
			reason, size,
			"the placement driver says that the cluster has a first region, and does not know which");
	return *id != 0;
}

static bool
prepare_first_region(Store *store, Arena *arena, Pdpb__RequestHeader *header,
					 char *reason, Size size)
{
	uint64 region_id;
	uint64 peer_id;

	if (!pd_alloc_id(arena, header, &region_id, reason, size) ||
		!pd_alloc_id(arena, header, &peer_id, reason, size))
		return false;
	damage_forget(); /* what stood still was of tables that are gone */
	FAILPOINT("store_before_first_region");
	save_first_region(store, region_id, peer_id);
	FAILPOINT("store_after_first_region");
	load_peers(store);
	return true;
}

/* The one that was prepared goes if the cluster began with another one. */
static bool
compare_first_region(Store *store, Arena *arena, Pdpb__RequestHeader *header,
					 char *reason, Size size)
{
	uint64 ours = store->peers[0]->region.id;
	uint64 first;

	if (!pd_first_region(arena, header, &first, reason, size))
		return false;
	if (first == ours)
		return true;
	ereport(
		LOG,
		(errmsg(
			"tikv store %llu gives up region %llu, which it had prepared: the cluster has begun with region %llu",
			(unsigned long long) store->meta.store_id,
			(unsigned long long) ours, (unsigned long long) first)));
	begin();
	region_table_remove(ours);
	group_state_remove(ours);
	end();
	load_peers(store);
	return true;
}

static FirstRegionView
first_region_view(const Store *store, bool bootstrapped)
{
	FirstRegionView view = {.bootstrapped = bootstrapped,
							.n_regions = store->n_peers};

	view.joins = tikv_fdw_settings.join[0] != '\0' &&
		tikv_fdw_settings.pd_endpoints[0] == '\0';
	if (store->n_peers == 1)
	{
		const Peer *peer = store->peers[0];

		view.prepared = peer->life == PEER_STATE_NORMAL &&
			first_region_is_prepared(&peer->region, store->meta.store_id,
									 peer->saved.term,
									 peer->saved.applied_index);
	}
	return view;
}

/* *later: the cluster has not begun, and it is to be asked again when it has. */
static bool
agree_on_api(Store *store, Arena *arena, Pdpb__RequestHeader *header,
			 bool *later, char *reason, Size size)
{
	bool bootstrapped;

	if (!pd_is_bootstrapped(arena, header, &bootstrapped, reason, size))
		return false;
	return store_api_agree(store, arena, bootstrapped,
						   first_region_view(store, bootstrapped).prepared,
						   later, reason, size);
}

/* See that the cluster has a first region, and this store no second one. */
static bool
bootstrap_cluster(Store *store, Arena *arena, Pdpb__RequestHeader *header,
				  char *reason, Size size)
{
	FirstRegionView view;
	bool bootstrapped;

	if (!pd_is_bootstrapped(arena, header, &bootstrapped, reason, size))
		return false;
	view = first_region_view(store, bootstrapped);
	switch (first_region_step(&view))
	{
		case FIRST_REGION_SETTLED:
			return true;
		case FIRST_REGION_COMPARE:
			return compare_first_region(store, arena, header, reason, size);
		case FIRST_REGION_WAIT:
			snprintf(
				reason, size,
				"the cluster of tikv.join has no first region yet: a node without tikv.join has to make it");
			return false;
		case FIRST_REGION_PREPARE:
			if (!prepare_first_region(store, arena, header, reason, size))
				return false;
			break;
		case FIRST_REGION_ASK:
			break;
	}
	return pd_bootstrap(store, &store->peers[0]->region, arena, header, reason,
						size);
}

bool
store_bootstrap(Store *store, char *reason, Size size)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Arena arena;
	uint64 cluster_id;
	int n_members;
	bool alone = false;
	bool later = false;
	bool ok;

	arena_init(&arena);
	ok = pd_cluster_id(&arena, &cluster_id, &n_members, reason, size) &&
		load_meta(store, cluster_id, reason, size);
	if (ok)
	{
		header.cluster_id = cluster_id;
		if (store->meta.cluster_id == 0)
			ok = make_ident(store, cluster_id, &arena, &header, reason, size);
	}
	if (ok)
	{
		load_peers(store);
		ok = store_adopt(store, &arena, reason, size) &&
			is_alone(store, &arena, n_members, &alone, reason, size);
		FAILPOINT("store_peers_loaded");
	}
	/* Before anything is written: a start that is refused counts for nothing. */
	ok = ok && api_switch(store, reason, size) &&
		agree_on_api(store, &arena, &header, &later, reason, size);
	if (ok)
	{
		save_meta(store, alone);
		ok = alone || claim_start(store, &arena, reason, size);
		FAILPOINT("store_after_claim");
	}
	if (ok)
	{
		FAILPOINT("store_before_registered");
		load_background(store);
		ok = bootstrap_cluster(store, &arena, &header, reason, size) &&
			(!later ||
			 agree_on_api(store, &arena, &header, &later, reason, size)) &&
			pd_put_store(store, &arena, &header, reason, size) &&
			pd_gc_state(store, &arena, &header, reason, size) &&
			pd_sync_max_ts(&arena, &header, reason, size);
		FAILPOINT("store_registered");
		store->max_ts_synced = ok;
	}
	arena_free(&arena);
	return ok;
}
