/*
 * service.h
 *	  The table of PD's RPCs: messages <-> decisions of the machine.
 *
 * Every path of the services on PD's port is listed; one without a handler
 * is answered with UNIMPLEMENTED by intent.  Handlers fill a response; the
 * header, errors and the round's changes are service.c's.
 */
#ifndef TIKV_PD_SERVICE_H
#define TIKV_PD_SERVICE_H

#include <protobuf-c/protobuf-c.h>

#include "core/base/rpc_code.h"
#include "pd/core/state.h"
#include "server/server.h"

struct Pd;

/* One request while it is decided. */
typedef struct PdAsk
{
	struct Pd *pd;
	Arena *arena;	   /* lives until the answer is packed */
	PdChanges changes; /* what the handler decides */
	PdError error;	   /* for the header; the payload is left out */
	int code;		   /* an RpcCode other than OK: a gRPC status */
	const char *text;
	const PdRegion *heard;	  /* noted once the changes are applied */
	bool silent;			  /* streams: no response to this message */
	const struct ReplyTo *to; /* for those who answer themselves */
	int64_t now;			  /* unix seconds */
	int64_t now_ns;
	size_t most; /* arena->allocated beyond which the answer is too large */
} PdAsk;

/* `response` is initialised; its header is the caller's business. */
typedef void (*PdHandler)(PdAsk *ask, const void *request, void *response);

typedef enum PdFlags
{
	PD_ANY_CLUSTER = 1,	   /* the header's cluster id is not looked at */
	PD_BOOTSTRAPPED = 2,   /* NOT_BOOTSTRAPPED before the bootstrap */
	PD_TSO = 4,			   /* answered by tso_service.c */
	PD_PUSHES = 8,		   /* one request, then answers until cancelled */
	PD_ANSWERS_LAST = 16,  /* many requests, an answer at their end */
	PD_KEEPS_PAYLOAD = 32, /* with an error in the header, too */
	PD_ANY_MEMBER = 64,	   /* answered by every member, leader or not */
	PD_NAMES_SENDER = 128, /* passed on with this member's id */
	PD_AT_ONCE = 256,	   /* what is no error shows no state that is saved,
							* or none that is final for who asked */
	PD_WHILE_READ = 512	   /* served as long as the client reads */
} PdFlags;

/* What has no place in TiKV's protocols, between members of ours. */
#define PD_OWN_SERVICE "/tikv_fdw.Pd/"

typedef struct PdMethod
{
	const char *path;
	RpcKind kind;
	const ProtobufCMessageDescriptor *request; /* NULL: UNIMPLEMENTED */
	const ProtobufCMessageDescriptor *response;
	PdHandler handler;
	int flags;
} PdMethod;

extern const PdMethod pd_methods[];
extern const int pd_n_methods;

/* The same table for the gRPC server; made once. */
extern const RpcMethod *pd_rpc_methods(void);

/* The method behind a number of the bus (METHOD_PD_...), or NULL. */
extern const PdMethod *pd_bus_method(int id);

/* ---- handlers, by file ---- */

/* service_member.c: members */
extern void pd_get_members(PdAsk *, const void *, void *);
extern void pd_join(PdAsk *, const void *, void *);
extern void pd_leave(PdAsk *, const void *, void *);

/* service_cluster.c: ids, stores, settings */
extern void pd_get_cluster_info(PdAsk *, const void *, void *);
extern void pd_bootstrap(PdAsk *, const void *, void *);
extern void pd_is_bootstrapped(PdAsk *, const void *, void *);
extern void pd_alloc_id(PdAsk *, const void *, void *);
extern void pd_is_snapshot_recovering(PdAsk *, const void *, void *);
extern void pd_get_store(PdAsk *, const void *, void *);
extern void pd_put_store(PdAsk *, const void *, void *);
extern void pd_get_all_stores(PdAsk *, const void *, void *);
extern void pd_store_heartbeat(PdAsk *, const void *, void *);
extern void pd_get_cluster_config(PdAsk *, const void *, void *);
extern void pd_put_cluster_config(PdAsk *, const void *, void *);
extern void pd_report_min_resolved_ts(PdAsk *, const void *, void *);
extern void pd_set_external_timestamp(PdAsk *, const void *, void *);
extern void pd_get_external_timestamp(PdAsk *, const void *, void *);

/* service_region.c: routing, heartbeats */
extern void pd_get_region(PdAsk *, const void *, void *);
extern void pd_get_prev_region(PdAsk *, const void *, void *);
extern void pd_get_region_by_id(PdAsk *, const void *, void *);
extern void pd_query_region(PdAsk *, const void *, void *);
extern void pd_scan_regions(PdAsk *, const void *, void *);
extern void pd_batch_scan_regions(PdAsk *, const void *, void *);
extern void pd_region_heartbeat(PdAsk *, const void *, void *);
extern void pd_report_buckets(PdAsk *, const void *, void *);

/* service_split.c: splits, scattering, operators */
extern void pd_ask_split(PdAsk *, const void *, void *);
extern void pd_ask_batch_split(PdAsk *, const void *, void *);
extern void pd_report_split(PdAsk *, const void *, void *);
extern void pd_scatter_region(PdAsk *, const void *, void *);
extern void pd_get_operator(PdAsk *, const void *, void *);
extern void pd_split_regions(PdAsk *, const void *, void *);
extern void pd_split_and_scatter_regions(PdAsk *, const void *, void *);

/* service_gc.c: safe points and barriers */
extern GcTime pd_gc_time(const PdAsk *ask);
extern void pd_get_gc_safe_point(PdAsk *, const void *, void *);
extern void pd_update_gc_safe_point(PdAsk *, const void *, void *);
extern void pd_update_service_gc_safe_point(PdAsk *, const void *, void *);
extern void pd_get_gc_state(PdAsk *, const void *, void *);
extern void pd_get_all_gc_states(PdAsk *, const void *, void *);
extern void pd_advance_txn_safe_point(PdAsk *, const void *, void *);
extern void pd_advance_gc_safe_point(PdAsk *, const void *, void *);
extern void pd_set_gc_barrier(PdAsk *, const void *, void *);
extern void pd_delete_gc_barrier(PdAsk *, const void *, void *);
extern void pd_set_global_gc_barrier(PdAsk *, const void *, void *);
extern void pd_delete_global_gc_barrier(PdAsk *, const void *, void *);
extern void pd_get_gc_safe_point_v2(PdAsk *, const void *, void *);
extern void pd_update_gc_safe_point_v2(PdAsk *, const void *, void *);
extern void pd_update_service_safe_point_v2(PdAsk *, const void *, void *);
extern void pd_get_all_gc_safe_point_v2(PdAsk *, const void *, void *);

/* service_meta.c: keyspaces, MetaStorage, global configuration */
extern void pd_load_keyspace(PdAsk *, const void *, void *);
extern void pd_load_keyspace_by_id(PdAsk *, const void *, void *);
extern void pd_lookup_keyspace(PdAsk *, const void *, void *);
extern void pd_get_all_keyspaces(PdAsk *, const void *, void *);
extern void pd_update_keyspace_state(PdAsk *, const void *, void *);
extern void pd_create_keyspace(PdAsk *, const void *, void *);
extern void pd_meta_get(PdAsk *, const void *, void *);
extern void pd_meta_put(PdAsk *, const void *, void *);
extern void pd_meta_delete(PdAsk *, const void *, void *);
extern void pd_store_global_config(PdAsk *, const void *, void *);
extern void pd_load_global_config(PdAsk *, const void *, void *);

/* service_etcd.c, service_etcd_txn.c: etcd's keys, members, status */
extern void pd_etcd_member_list(PdAsk *, const void *, void *);
extern void pd_etcd_range(PdAsk *, const void *, void *);
extern void pd_etcd_put(PdAsk *, const void *, void *);
extern void pd_etcd_delete_range(PdAsk *, const void *, void *);
extern void pd_etcd_txn(PdAsk *, const void *, void *);
extern void pd_etcd_compact(PdAsk *, const void *, void *);
extern void pd_etcd_alarm(PdAsk *, const void *, void *);
extern void pd_etcd_status(PdAsk *, const void *, void *);

/* service_lease.c: etcd's leases */
extern void pd_etcd_lease_grant(PdAsk *, const void *, void *);
extern void pd_etcd_lease_revoke(PdAsk *, const void *, void *);
extern void pd_etcd_lease_keep_alive(PdAsk *, const void *, void *);
extern void pd_etcd_lease_time_to_live(PdAsk *, const void *, void *);
extern void pd_etcd_lease_leases(PdAsk *, const void *, void *);

/* watch_open.c: streams that are told of changes */
extern void pd_watch_keyspaces(PdAsk *, const void *, void *);
extern void pd_watch_global_config(PdAsk *, const void *, void *);
extern void pd_meta_watch(PdAsk *, const void *, void *);
extern void pd_etcd_watch(PdAsk *, const void *, void *);

/* watch.c: a leader's stream of heartbeats, for signs of life and orders. */
extern void watch_heartbeats(PdAsk *ask, uint64_t store_id);

/* ---- shared by the services over keys ---- */

/* etcd's header, after the changes that the request makes. */
extern void *etcd_header(PdAsk *ask, int64_t revision);

/* An error if what was put together for the answer is too much. */
extern KvError pd_check_room(const PdAsk *ask);

/*
 * The same once it is whole: what is packed may be more, where messages point
 * to the state.  Who has changed something was checked before.
 */
extern KvError pd_check_size(const PdAsk *ask,
							 const ProtobufCMessage *response);

/* True if it is an error, which then is the answer. */
extern bool kv_failed(PdAsk *ask, KvError error);

#endif /* TIKV_PD_SERVICE_H */
