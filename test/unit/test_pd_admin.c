/*
 * test_pd_admin.c
 *	  Stores that come and go, labels, resolved timestamps, buckets, settings.
 */
#include "pd/core/state.h"

#include "unit.h"

static Arena arena;
static Cluster cluster;
static PdChanges changes;

static void
take_over(PdError error)
{
	for (size_t i = 0; error.type == PD_OK && i < changes.n; i++)
		cluster_apply(&cluster, &changes.records[i]);
	pd_changes_init(&changes, &arena);
}

static void
add_store(uint64_t id, StoreState state)
{
	PdStore s;
	PdRecord record = {.kind = PD_RECORD_STORE, .store = &s};

	memset(&s, 0, sizeof(s));
	s.id = id;
	s.address = arena_printf(&arena, "127.0.0.1:%d", (int) id);
	s.peer_address = s.status_address = s.git_hash = s.deploy_path = "";
	s.version = "8.5.0";
	s.state = state;
	s.node_state = NODE_SERVING;
	cluster_apply(&cluster, &record);
}

static void
add_region(uint64_t id, const char *start, const char *end, uint64_t leader)
{
	PdRegion r;

	memset(&r, 0, sizeof(r));
	r.meta.id = id;
	r.meta.start_key = bytes_cstr(start);
	r.meta.end_key = bytes_cstr(end);
	r.meta.epoch = (RegionEpoch){1, 1};
	r.meta.n_peers = 2;
	r.meta.peers[0] = (RegionPeer){id + 100, leader, PEER_VOTER};
	r.meta.peers[1] = (RegionPeer){id + 200, 3, PEER_LEARNER};
	r.leader = r.meta.peers[0];
	r.approximate_size = 10;
	region_tree_put(&cluster.regions, &r);
}

static PdErrorType
offline(uint64_t id)
{
	PdError error = cluster_offline_store(&cluster, id, false, &changes);

	take_over(error);
	return error.type;
}

static PdErrorType
up(uint64_t id)
{
	PdError error = cluster_up_store(&cluster, id, &changes);

	take_over(error);
	return error.type;
}

static void
test_leaving(void)
{
	EQ_U64(offline(9), PD_ENTRY_NOT_FOUND, "an unknown store");
	EQ_U64(offline(4), PD_STORE_TOMBSTONE, "one that is gone");
	EQ_U64(cluster_put_config(&cluster, 2, &changes).type, PD_OK,
		   "two replicas");
	take_over(pd_ok());
	EQ_U64(cluster.max_peer_count, 2, "are wanted now");
	EQ_U64(offline(1), PD_OK, "one of three may go");
	EQ_U64(cluster_store(&cluster, 1)->state, STORE_OFFLINE, "it goes");
	EQ_U64(cluster_store(&cluster, 1)->node_state, NODE_REMOVING,
		   "in both ways to say it");
	EQ_U64(offline(2), PD_OK, "so may the next: regions make do with fewer");
	EQ_U64(offline(3), PD_UNKNOWN, "the last one may not");
	pd_changes_init(&changes, &arena);
	EQ_U64(up(2), PD_OK, "one comes back");
	EQ_U64(offline(1), PD_OK, "asking again changes nothing");
	EQ_U64(up(1), PD_OK, "it comes back");
	EQ_U64(cluster_store(&cluster, 1)->node_state, NODE_SERVING, "and serves");
	EQ_U64(up(4), PD_STORE_TOMBSTONE, "a tombstone does not");
	EQ_U64(cluster_offline_store(&cluster, 1, true, &changes).type, PD_OK,
		   "its machine is destroyed");
	take_over(pd_ok());
	EQ_U64(up(1), PD_UNKNOWN, "then it does not come back");
}

static void
test_config(void)
{
	Cluster none;

	cluster_init(&none);
	pd_changes_init(&changes, &arena);
	EQ_U64(cluster_put_config(&none, 3, &changes).type, PD_NOT_BOOTSTRAPPED,
		   "no cluster");
	EQ_U64(cluster_put_config(&cluster, 0, &changes).type, PD_INVALID_VALUE,
		   "no replicas");
	EQ_U64(cluster_put_config(&cluster, REGION_MAX_PEERS + 1, &changes).type,
		   PD_INVALID_VALUE, "more than a region can have");
	EQ_U64(cluster_put_config(&cluster, 3, &changes).type, PD_OK, "as it is");
	EQ_U64(changes.n, 0, "changes nothing");
}

static PdErrorType
label(const char *key, const char *value, bool replace)
{
	Pair pair = {key, value};
	PdError error =
		cluster_label_store(&cluster, 2, &pair, 1, replace, &changes);

	take_over(error);
	return error.type;
}

static void
test_labels(void)
{
	EQ_U64(label("zone", "z1", false), PD_OK, "a label");
	EQ_U64(label("host", "h1", false), PD_OK, "another");
	EQ_U64(cluster_store(&cluster, 2)->n_labels, 2, "both are there");
	EQ_U64(label("zone", "z2", false), PD_OK, "changed");
	EQ_U64(label("host", "", false), PD_OK, "an empty value removes");
	EQ_U64(cluster_store(&cluster, 2)->n_labels, 1, "one is left");
	EQ_STR(cluster_store(&cluster, 2)->labels[0].value, "z2", "as changed");
	EQ_U64(label("rack", "r1", true), PD_OK, "in place of all");
	EQ_STR(cluster_store(&cluster, 2)->labels[0].key, "rack", "it is alone");
	EQ_U64(label("", "x", false), PD_INVALID_VALUE, "no key");
	EQ_U64(label("a", "\377", false), PD_INVALID_VALUE, "not UTF-8");
}

static PdErrorType
resolve(uint64_t store_id, uint64_t ts, uint64_t *common)
{
	return cluster_min_resolved_ts(&cluster, store_id, ts, &arena, common).type;
}

static void
test_resolved(void)
{
	uint64_t common;

	EQ_U64(resolve(9, 5, &common), PD_UNKNOWN, "an unknown store");
	EQ_U64(resolve(4, 5, &common), PD_STORE_TOMBSTONE, "one that is gone");
	EQ_U64(resolve(1, 50, &common), PD_OK, "the first");
	EQ_U64(common, 0, "the other leader has not reported");
	EQ_U64(resolve(2, 40, &common), PD_OK, "the second");
	EQ_U64(common, 40, "the lower of both");
	EQ_U64(resolve(2, 30, &common), PD_OK, "going back");
	EQ_U64(common, 40, "is not believed");
	EQ_U64(resolve(3, 1, &common), PD_OK, "one that leads nothing");
	EQ_U64(common, 40, "holds nobody back");
	(void) label("zone", "z3", false);
	EQ_U64(cluster_store(&cluster, 2)->min_resolved_ts, 40,
		   "a change of the store keeps it");
}

static void
test_load(void)
{
	StoreLoad load = cluster_store_load(&cluster, 1);

	EQ_U64(load.leaders, 1, "a leader");
	EQ_U64(load.leader_size, 10, "of a size");
	load = cluster_store_load(&cluster, 3);
	EQ_U64(load.leaders, 0, "none");
	EQ_U64(load.regions, 2, "but peers");
	EQ_U64(load.learners, 2, "that learn");
}

static size_t most = 1000; /* bytes of all buckets */

static bool
set_buckets(uint64_t id, uint64_t version, const char *middle)
{
	Bytes keys[3] = {bytes_cstr(""), bytes_cstr(middle), bytes_cstr("m")};
	PdBuckets buckets = {version, 3, keys, 0};

	return region_tree_set_buckets(&cluster.regions, id, &buckets, most);
}

static const PdBuckets *
buckets_of(uint64_t id)
{
	return region_tree_get(&cluster.regions, id)->buckets;
}

static void
test_buckets(void)
{
	OK(!set_buckets(99, 1, "c"), "of an unknown region");
	OK(buckets_of(10) == NULL, "none at first");
	OK(set_buckets(10, 5, "c"), "set");
	OK(bytes_eq(buckets_of(10)->keys[1], bytes_cstr("c")), "they are kept");
	OK(set_buckets(10, 4, "d"), "older ones");
	EQ_U64(buckets_of(10)->version, 5, "are ignored");
	OK(set_buckets(10, 6, "e"), "newer ones");
	OK(bytes_eq(buckets_of(10)->keys[1], bytes_cstr("e")), "are kept");
	add_region(10, "", "m", 1);
	EQ_U64(buckets_of(10)->version, 6, "a heartbeat leaves them");
	add_region(10, "", "k", 1);
	OK(buckets_of(10) == NULL, "a new range does not");
	EQ_U64(cluster.regions.bucket_bytes, 0, "they are counted no more");
	OK(set_buckets(10, 1, "c"), "they are counted");
	most = cluster.regions.bucket_bytes;
	OK(most > 0 && set_buckets(10, 2, "d"), "as many bytes in their place");
	EQ_U64(buckets_of(10)->version, 2, "are kept");
	OK(set_buckets(10, 3, "too long"), "of too many");
	OK(buckets_of(10) == NULL, "none are kept, nor the old ones");
	EQ_U64(cluster.regions.bucket_bytes, 0, "which are not counted");
	most = 0;
	OK(set_buckets(10, 4, "d") && buckets_of(10) == NULL, "none may be");
	most = 1000;
	OK(set_buckets(10, 1, "c"), "set again, to be freed with the tree");
}

int
main(void)
{
	arena_init(&arena);
	cluster_init(&cluster);
	pd_changes_init(&changes, &arena);
	pd_changes_number(&changes, PD_RECORD_CLUSTER, 3);
	take_over(pd_ok());
	for (uint64_t id = 1; id <= 3; id++)
		add_store(id, STORE_UP);
	add_store(4, STORE_TOMBSTONE);
	add_region(10, "", "m", 1);
	add_region(11, "m", "", 2);
	test_config();
	test_labels();
	test_resolved();
	test_load();
	test_leaving();
	test_buckets();
	cluster_free(&cluster);
	arena_free(&arena);
	return unit_done();
}
