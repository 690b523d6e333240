/*
 * cluster.h
 *	  Stores and regions of the cluster: bootstrap, registration, heartbeats.
 *
 * Decisions read the state and add changes; cluster_apply takes changes over.
 * What heartbeats report beside the region itself (leader, term, sizes) is
 * noted directly and is not replicated: a new leader hears it again within a
 * minute.
 */
#ifndef TIKV_PD_CORE_CLUSTER_H
#define TIKV_PD_CORE_CLUSTER_H

#include "core/base/version.h"
#include "pd/core/record.h"

/* How many stores may register; all are looked through at each change. */
#define CLUSTER_MAX_STORES 10000

/* Voters that the placement rules ask for per region. */
#define CLUSTER_MAX_REPLICAS 3

typedef struct StoreItem
{
	PdStore store; /* its strings are the arena's */
	Arena arena;
} StoreItem;

typedef struct Cluster
{
	bool bootstrapped;
	uint32_t max_peer_count;
	int64_t bootstrap_time; /* unix nanoseconds */
	StoreItem **stores;		/* by id */
	size_t n_stores;
	size_t size;
	RegionTree regions;
} Cluster;

extern void cluster_init(Cluster *cluster);
extern void cluster_free(Cluster *cluster);

/* True for the records of this state, which it then has taken over. */
extern bool cluster_apply(Cluster *cluster, const PdRecord *record);

extern const PdStore *cluster_store(const Cluster *cluster, uint64_t id);

/* The lowest version of the stores that are not tombstones; never NULL. */
extern const char *cluster_version(const Cluster *cluster);

/* The first store and the first region make the cluster exist. */
extern PdError cluster_bootstrap(const Cluster *cluster, uint64_t cluster_id,
								 const PdStore *store, const Region *region,
								 int64_t now_ns, PdChanges *changes);

/* A store registers or tells its new addresses, version, labels. */
extern PdError cluster_put_store(const Cluster *cluster, const PdStore *store,
								 PdChanges *changes);

/* Note a store's statistics (StoreStats as it came). */
extern PdError cluster_store_heartbeat(Cluster *cluster, uint64_t store_id,
									   Bytes stats, int64_t now_ns,
									   Arena *arena);

/* A sign of life of a store, by the driver's monotonic clock. */
extern void cluster_heard_store(Cluster *cluster, uint64_t store_id,
								int64_t now_us);

/*
 * A region as its leader describes it: refused when it is older than what is
 * known, else what changed durably is added.  Once that is applied,
 * cluster_note_region keeps the rest.
 */
extern PdError cluster_region_heartbeat(const Cluster *cluster,
										const PdRegion *region,
										PdChanges *changes);
extern void cluster_note_region(Cluster *cluster, const PdRegion *region);

/*
 * Note how far a store has resolved.  *cluster_min is what holds for all
 * stores that lead regions, UINT64_MAX if that is not known yet.
 */
extern PdError cluster_min_resolved_ts(Cluster *cluster, uint64_t store_id,
									   uint64_t ts, Arena *arena,
									   uint64_t *cluster_min);

/* Regions that a store leads, and peers that it has. */
typedef struct StoreLoad
{
	size_t leaders;
	size_t regions;
	size_t learners;
	size_t pending;
	uint64_t leader_size; /* MiB */
	uint64_t region_size;
} StoreLoad;

extern StoreLoad cluster_store_load(const Cluster *cluster, uint64_t store_id);

/*
 * What an operator asks of a store: to leave (refused if too few stay, or if
 * it is a tombstone), to come back before it has left, labels.
 */
extern PdError cluster_offline_store(const Cluster *cluster, uint64_t store_id,
									 bool physically_destroyed,
									 PdChanges *changes);
extern PdError cluster_up_store(const Cluster *cluster, uint64_t store_id,
								PdChanges *changes);
extern PdError cluster_label_store(const Cluster *cluster, uint64_t store_id,
								   const Pair *labels, size_t n_labels,
								   bool replace, PdChanges *changes);

/* The settings that metapb.Cluster has. */
extern PdError cluster_put_config(const Cluster *cluster,
								  uint32_t max_peer_count, PdChanges *changes);

/* May the region be split as its leader sees it? */
extern PdError cluster_check_split(const Cluster *cluster, const Region *region,
								   Arena *arena);

#endif /* TIKV_PD_CORE_CLUSTER_H */
