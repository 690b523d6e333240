/*
 * guc.h
 *	  All settings, in one struct that both libraries share.
 *
 * tikv_fdw (preloaded) owns and exports the struct; tikv_worker refers to it.
 */
#ifndef TIKV_GUC_H
#define TIKV_GUC_H

#include "postgres.h"

/* When a SQL transaction learns of conflicts. */
typedef enum TxnMode
{
	TXN_MODE_PESSIMISTIC, /* as it writes: it locks the key */
	TXN_MODE_OPTIMISTIC	  /* as it commits */
} TxnMode;

/* One Postgres commit for keys and tables (DESIGN 8). */
typedef enum LocalAtomic
{
	LOCAL_ATOMIC_OFF,
	LOCAL_ATOMIC_AUTO,
	LOCAL_ATOMIC_REQUIRE
} LocalAtomic;

typedef struct TikvSettings
{
	char *database;			   /* tikv.database */
	char *addr;				   /* tikv.addr, host:port of the KV service */
	char *advertise_addr;	   /* tikv.advertise_addr, "" = addr */
	char *peer_addr;		   /* tikv.peer_addr */
	char *peer_advertise_addr; /* tikv.peer_advertise_addr, "" = peer_addr */
	char *pd_addr;			   /* tikv.pd_addr */
	char *pd_advertise_addr;   /* tikv.pd_advertise_addr, "" = pd_addr */
	char *join;				   /* tikv.join, "" = a cluster of its own */
	char *pd_endpoints;		   /* tikv.pd_endpoints, "" = its own PD */
	char *pd_http_addr;		   /* tikv.pd_http_addr, used with TLS */
	char *status_addr;		   /* tikv.status_addr */
	/* tikv.status_advertise_addr, "" = status_addr */
	char *status_advertise_addr;
	char *tls_ca;			   /* tikv.tls_ca, "" = no TLS */
	char *tls_cert;			   /* tikv.tls_cert */
	char *tls_key;			   /* tikv.tls_key */
	char *tls_allowed_cn;	   /* tikv.tls_allowed_cn, "" = all */
	int server_workers;		   /* tikv.server_workers, -1 = by cores */
	int readers;			   /* tikv.readers */
	int memory_limit_mb;	   /* tikv.memory_limit, -1 = automatic */
	int request_timeout_ms;	   /* tikv.request_timeout */
	int gc_life_time_s;		   /* tikv.gc_life_time, 0 = others do it */
	int turn_min_interval_us;  /* tikv.turn_min_interval */
	int max_store_down_time_s; /* tikv.max_store_down_time */
	int slow_log_ms;		   /* tikv.slow_log_threshold, -1 = off */
	int max_pending_writes;	   /* tikv.max_pending_writes, requests */
	int max_pending_kb;		   /* tikv.max_pending_bytes, kB */
	int bus_slots;			   /* tikv.bus_slots */
	int bus_memory_kb;		   /* tikv.bus_memory, kB */
	int lock_memory_kb;		   /* tikv.lock_memory, kB */
	int reserve_space_mb;	   /* tikv.reserve_space, -1 = automatic */
	int max_regions;		   /* tikv.max_regions */
	bool hibernate_regions;	   /* tikv.hibernate_regions */
	int max_leader_missing_s;  /* tikv.max_leader_missing_duration */
	int region_split_mb;	   /* tikv.region_split_size, 0 = never */
	int region_split_keys;	   /* tikv.region_split_keys */
	int log_gc_threshold;	   /* tikv.raft_log_gc_threshold, entries */
	int log_gc_count;		   /* tikv.raft_log_gc_count_limit, -1 = auto */
	int log_gc_size_mb;		   /* tikv.raft_log_gc_size_limit, -1 = auto */
	int max_key_size;		   /* tikv.max_key_size, bytes */
	int lock_wait_timeout_ms;  /* tikv.lock_wait_timeout, 0 = no limit */
	int txn_mode;			   /* tikv.txn_mode, a TxnMode */
	int local_atomic;		   /* tikv.local_atomic, a LocalAtomic */
	int txn_memory_kb;		   /* tikv.txn_memory, kB */
	int api_version;		   /* tikv.api_version, 1 or 2 */
	int keyspace_id;		   /* tikv.keyspace_id, of SQL functions in V2 */
	bool enable_ttl;		   /* tikv.enable_ttl */
	bool allow_unsafe;		   /* tikv.allow_unsafe */
	bool in_memory_pessimistic_locks;	  /* tikv.in_memory_pessimistic_locks */
	int in_memory_peer_size_limit_kb;	  /* tikv.in_memory_peer_size_limit */
	int in_memory_instance_size_limit_kb; /* ... instance_size_limit */
	bool lookup_join;					  /* tikv.lookup_join */
	char refused[256];					  /* see guc_define */
} TikvSettings;

extern PGDLLEXPORT TikvSettings tikv_fdw_settings;

/*
 * Define all settings; called once by _PG_init.  Postgres warns of a value that
 * a library's setting cannot have, and goes on with the default.  Where that
 * would be another cluster, or data of another kind, `refused` says so, and no
 * worker is to serve; "" if there is none.
 */
extern void guc_define(void);

#endif /* TIKV_GUC_H */
