/*
 * gc_barrier.c
 *	  What SQL transactions of this node may still read is kept on all stores.
 *
 * The store that moves the safe points knows its own sessions only.  So each
 * store has a barrier at PD for the oldest transaction of its node, renewed as
 * long as there is one, and forgotten by itself if the node is lost.  Most
 * transactions end before they need one.
 */
#include "postgres.h"

#include "bus/failpoints.h"
#include "bus/sql_txns.h"
#include "bus/tso_shared.h"
#include "guc.h"
#include "pdpb.pb-c.h"
#include "store/store.h"

/* A transaction that is older than this, or than a third of the life time. */
#define OLD_MS 5000
#define TTL_S 60
#define RENEW_US INT64CONST(15000000)
#define NULL_KEYSPACE PG_UINT32_MAX

static void
fill(Store *store, Pdpb__RequestHeader *header, Pdpb__KeyspaceScope *scope,
	 char *name, Size size)
{
	header->cluster_id = store->meta.cluster_id;
	scope->keyspace_id = NULL_KEYSPACE;
	snprintf(name, size, "tikv_fdw/sql/%llu",
			 (unsigned long long) store->meta.store_id);
}

static bool
send_to_pd(int method, const ProtobufCMessage *message)
{
	size_t len = protobuf_c_message_get_packed_size(message);
	uint8 *bytes = palloc(len);
	BusCode code;

	protobuf_c_message_pack(message, bytes);
	code = bus_send(WORKER_STORE, WORKER_PD, method, bytes_make(bytes, len),
					(uint64) method);
	pfree(bytes);
	return code == BUS_OK;
}

static bool
set_barrier(Store *store, uint64 ts)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__KeyspaceScope scope = PDPB__KEYSPACE_SCOPE__INIT;
	Pdpb__SetGCBarrierRequest request = PDPB__SET_GCBARRIER_REQUEST__INIT;
	char name[64];

	FAILPOINT_PASS("store_barrier_before_set");
	fill(store, &header, &scope, name, sizeof(name));
	request.header = &header;
	request.keyspace_scope = &scope;
	request.barrier_id = name;
	request.barrier_ts = ts;
	request.ttl_seconds = TTL_S;
	return send_to_pd(METHOD_PD_SET_GC_BARRIER, &request.base);
}

static bool
delete_barrier(Store *store)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__KeyspaceScope scope = PDPB__KEYSPACE_SCOPE__INIT;
	Pdpb__DeleteGCBarrierRequest request = PDPB__DELETE_GCBARRIER_REQUEST__INIT;
	char name[64];

	fill(store, &header, &scope, name, sizeof(name));
	request.header = &header;
	request.keyspace_scope = &scope;
	request.barrier_id = name;
	return send_to_pd(METHOD_PD_DELETE_GC_BARRIER, &request.base);
}

/*
 * How old what a transaction reads is: by PD's time, or, where that stands still
 * since a clock was set back, for as long as it runs.  Neither goes back, so a
 * barrier stays as long as whom it is for.
 */
static int64
age_ms(uint64 start_ts)
{
	return Max(tso_age_ms(start_ts), sql_txn_age_ms(start_ts));
}

/* 0: none needs one. */
static uint64
wanted(void)
{
	uint64 oldest = sql_txn_oldest();
	int64 old_ms = OLD_MS;

	if (tikv_fdw_settings.gc_life_time_s > 0)
		old_ms = Min(old_ms, (int64) tikv_fdw_settings.gc_life_time_s * 333);
	if (oldest == PG_UINT64_MAX || age_ms(oldest) < old_ms)
		return 0;
	return oldest - 1;
}

void
gc_barrier_run(Store *store)
{
	Gc *gc = &store->gc;
	uint64 ts = wanted();
	int64 now_us = dispatch_now_us();

	if (ts == 0 && gc->barrier_ts != 0)
	{
		FAILPOINT_PASS("store_barrier_before_delete");
		if (delete_barrier(store))
			gc->barrier_ts = 0;
		FAILPOINT_PASS("store_barrier_deleted");
	}
	else if (ts != 0 &&
			 (ts != gc->barrier_ts || now_us > gc->barrier_us + RENEW_US) &&
			 set_barrier(store, ts))
	{
		FAILPOINT_PASS("store_barrier_asked");
		gc->barrier_ts = ts;
		gc->barrier_us = now_us;
	}
}

/* One that was not set is tried again with the next look. */
bool
gc_barrier_take_pd_answer(Store *store, const BusAnswer *answer)
{
	const Pdpb__SetGCBarrierResponse *reply = NULL;
	Arena arena;

	if (answer->tag == METHOD_PD_DELETE_GC_BARRIER)
		return true;
	if (answer->tag != METHOD_PD_SET_GC_BARRIER)
		return false;
	FAILPOINT_PASS("store_barrier_answer");
	arena_init(&arena);
	if (answer->reply.code == BUS_OK)
		reply = (const void *)
			service_unpack(&pdpb__set_gcbarrier_response__descriptor,
						   answer->reply.bytes, &arena);
	if (reply == NULL || reply->header == NULL || reply->header->error != NULL)
		store->gc.barrier_us = 0;
	arena_free(&arena);
	return true;
}
