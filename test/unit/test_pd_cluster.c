/*
 * test_pd_cluster.c
 *	  Bootstrap, registration of stores, and which heartbeats are believed.
 */
#include "pd/core/state.h"

#include "unit.h"

#define CLUSTER_ID UINT64_C(7000000000000000001)

static Arena arena;

static PdStore
store(uint64_t id, const char *address)
{
	PdStore s;

	memset(&s, 0, sizeof(s));
	s.id = id;
	s.address = address;
	s.peer_address = s.status_address = s.git_hash = s.deploy_path = "";
	s.version = "8.5.1";
	return s;
}

static PdRegion
region(uint64_t id, const char *start, const char *end, uint64_t conf_ver,
	   uint64_t version)
{
	PdRegion r;

	memset(&r, 0, sizeof(r));
	r.meta.id = id;
	r.meta.start_key = bytes_cstr(start);
	r.meta.end_key = bytes_cstr(end);
	r.meta.epoch = (RegionEpoch){conf_ver, version};
	r.meta.n_peers = 1;
	r.meta.peers[0] = (RegionPeer){id + 100, 1, PEER_VOTER};
	r.leader = r.meta.peers[0];
	r.term = 6;
	return r;
}

/* Decide and, if it was accepted, apply; the changes stay for a look. */
static PdChanges changes;

static PdErrorType
beat(Cluster *cluster, const PdRegion *r)
{
	PdError error;

	pd_changes_init(&changes, &arena);
	error = cluster_region_heartbeat(cluster, r, &changes);
	if (error.type == PD_OK)
	{
		for (size_t i = 0; i < changes.n; i++)
			cluster_apply(cluster, &changes.records[i]);
		cluster_note_region(cluster, r);
	}
	return error.type;
}

static PdErrorType
put_store(Cluster *cluster, const PdStore *s)
{
	PdError error;

	pd_changes_init(&changes, &arena);
	error = cluster_put_store(cluster, s, &changes);
	for (size_t i = 0; error.type == PD_OK && i < changes.n; i++)
		cluster_apply(cluster, &changes.records[i]);
	return error.type;
}

static PdErrorType
bootstrap(Cluster *cluster, const PdStore *s, const Region *r)
{
	PdError error;

	pd_changes_init(&changes, &arena);
	error = cluster_bootstrap(cluster, CLUSTER_ID, s, r, 99, &changes);
	for (size_t i = 0; error.type == PD_OK && i < changes.n; i++)
		cluster_apply(cluster, &changes.records[i]);
	return error.type;
}

static void
bootstrapped(Cluster *cluster)
{
	PdStore s = store(1, "127.0.0.1:20160");
	PdRegion r = region(2, "", "", 1, 1);

	cluster_init(cluster);
	(void) bootstrap(cluster, &s, &r.meta);
}

static void
test_bootstrap(void)
{
	Cluster cluster;
	PdStore s = store(1, "127.0.0.1:20160");
	PdStore zero = store(0, "127.0.0.1:20160");
	PdRegion r = region(2, "", "", 1, 1);
	PdRegion bad;

	cluster_init(&cluster);
	EQ_U64(put_store(&cluster, &s), PD_NOT_BOOTSTRAPPED,
		   "no store before the bootstrap");
	EQ_U64(beat(&cluster, &r), PD_NOT_BOOTSTRAPPED, "no heartbeat either");
	EQ_U64(bootstrap(&cluster, &zero, &r.meta), PD_UNKNOWN, "store id 0");
	bad = region(2, "a", "", 1, 1);
	EQ_U64(bootstrap(&cluster, &s, &bad.meta), PD_UNKNOWN, "a start key");
	bad = region(2, "", "z", 1, 1);
	EQ_U64(bootstrap(&cluster, &s, &bad.meta), PD_UNKNOWN, "an end key");
	bad = region(0, "", "", 1, 1);
	EQ_U64(bootstrap(&cluster, &s, &bad.meta), PD_UNKNOWN, "region id 0");
	bad = region(2, "", "", 1, 1);
	bad.meta.n_peers = 0;
	EQ_U64(bootstrap(&cluster, &s, &bad.meta), PD_UNKNOWN, "no peer");
	bad = region(2, "", "", 1, 1);
	bad.meta.peers[0].store_id = 9;
	EQ_U64(bootstrap(&cluster, &s, &bad.meta), PD_UNKNOWN, "a foreign peer");
	bad = region(2, "", "", 1, 1);
	bad.meta.peers[0].id = 0;
	EQ_U64(bootstrap(&cluster, &s, &bad.meta), PD_UNKNOWN, "peer id 0");
	OK(!cluster.bootstrapped && changes.n == 0, "nothing came of those");

	EQ_U64(bootstrap(&cluster, &s, &r.meta), PD_OK, "bootstrap");
	OK(cluster.bootstrapped && cluster.bootstrap_time == 99, "it is so");
	EQ_U64(cluster_store(&cluster, 1)->node_state, NODE_SERVING,
		   "the first store serves");
	OK(region_tree_find(&cluster.regions, bytes_cstr("k")) != NULL,
	   "the first region holds all keys");
	EQ_U64(bootstrap(&cluster, &s, &r.meta), PD_ALREADY_BOOTSTRAPPED,
		   "only once");
	cluster_free(&cluster);
}

static void
test_stores(void)
{
	Cluster cluster;
	PdStore s = store(1, "127.0.0.1:20160");
	PdStore other = store(5, "127.0.0.1:20161");
	Pair labels[2] = {{"zone", "z1"}, {"host", "h1"}};
	Pair change[2] = {{"zone", "z2"}, {"host", ""}};
	const PdStore *kept;
	PdRecord record = {.kind = PD_RECORD_STORE};

	bootstrapped(&cluster);
	EQ_U64(put_store(&cluster, &s), PD_OK, "a store registers again");
	EQ_U64(changes.n, 0, "and says nothing new: nothing is written");
	s.status_address = "127.0.0.1:20180";
	s.labels = labels;
	s.n_labels = 2;
	EQ_U64(put_store(&cluster, &s), PD_OK, "with news");
	EQ_U64(changes.n, 1, "that is written");
	s.labels = change;
	EQ_U64(put_store(&cluster, &s), PD_OK, "with other labels");
	kept = cluster_store(&cluster, 1);
	EQ_U64(kept->n_labels, 1, "an empty label value removes the label");
	EQ_STR(kept->labels[0].value, "z2", "a new one replaces it");
	s.labels = NULL;
	s.n_labels = 0;
	EQ_U64(put_store(&cluster, &s), PD_OK, "without labels");
	EQ_U64(cluster_store(&cluster, 1)->n_labels, 1, "labels stay");

	EQ_U64(put_store(&cluster, &other), PD_OK, "a second store");
	EQ_U64(cluster_store(&cluster, 5)->node_state, NODE_SERVING, "serves");
	other = store(6, "127.0.0.1:20160");
	EQ_U64(put_store(&cluster, &other), PD_UNKNOWN, "an address in use");
	other = store(6, "127.0.0.1:20166");
	other.peer_address = "127.0.0.1:20161";
	EQ_U64(put_store(&cluster, &other), PD_UNKNOWN, "a peer address in use");
	other = store(0, "127.0.0.1:20166");
	EQ_U64(put_store(&cluster, &other), PD_UNKNOWN, "id 0");
	other = store(6, "127.0.0.1:20166");
	other.version = "eight";
	EQ_U64(put_store(&cluster, &other), PD_UNKNOWN, "no version");
	other.version = "7.1.0";
	EQ_U64(put_store(&cluster, &other), PD_UNKNOWN, "too old a version");
	other.version = "v8.5.0-rc.1";
	EQ_U64(put_store(&cluster, &other), PD_OK, "the patch level is free");
	EQ_STR(cluster_version(&cluster), "8.5.0-rc.1", "the lowest counts");

	other = *cluster_store(&cluster, 6);
	other.state = STORE_TOMBSTONE;
	other.node_state = NODE_REMOVED;
	record.store = &other;
	cluster_apply(&cluster, &record);
	EQ_STR(cluster_version(&cluster), "8.5.1", "tombstones do not count");
	other = store(6, "127.0.0.1:20166");
	EQ_U64(put_store(&cluster, &other), PD_STORE_TOMBSTONE,
		   "a tombstone does not come back");
	other = store(7, "127.0.0.1:20166");
	EQ_U64(put_store(&cluster, &other), PD_OK, "its address is free");

	EQ_U64(cluster_store_heartbeat(&cluster, 5, bytes_cstr("stats"), 1234,
								   &arena)
			   .type,
		   PD_OK, "store heartbeat");
	kept = cluster_store(&cluster, 5);
	OK(kept->last_heartbeat == 1234 && kept->stats.len == 5, "is noted");
	EQ_U64(cluster_store_heartbeat(&cluster, 6, bytes_empty(), 1, &arena).type,
		   PD_STORE_TOMBSTONE, "not of a tombstone");
	EQ_U64(cluster_store_heartbeat(&cluster, 66, bytes_empty(), 1, &arena).type,
		   PD_UNKNOWN, "nor of a stranger");
	other = *kept;
	other.git_hash = "abc";
	EQ_U64(put_store(&cluster, &other), PD_OK, "news of a store with stats");
	EQ_U64(cluster_store(&cluster, 5)->stats.len, 5, "keep its stats");
	cluster_free(&cluster);
}

static void
test_heartbeats(void)
{
	Cluster cluster;
	PdRegion r = region(2, "", "", 1, 1);
	PdRegion bad;

	bootstrapped(&cluster);
	EQ_U64(beat(&cluster, &r), PD_OK, "the first heartbeat");
	EQ_U64(changes.n, 0, "writes nothing");
	EQ_U64(region_tree_get(&cluster.regions, 2)->leader.id, 102,
		   "and tells the leader");
	r.term = 5;
	EQ_U64(beat(&cluster, &r), PD_UNKNOWN, "a lower term is stale");
	r.term = 0;
	EQ_U64(beat(&cluster, &r), PD_OK, "no term is not");
	EQ_U64(region_tree_get(&cluster.regions, 2)->term, 6, "the known stays");
	r = region(2, "", "", 2, 1);
	EQ_U64(beat(&cluster, &r), PD_OK, "a conf change");
	EQ_U64(changes.n, 1, "is written");
	r = region(2, "", "", 1, 5);
	EQ_U64(beat(&cluster, &r), PD_UNKNOWN, "a lower conf_ver is stale");

	bad = region(2, "", "", 2, 1);
	bad.leader.id = 0;
	EQ_U64(beat(&cluster, &bad), PD_UNKNOWN, "no leader");
	bad = region(0, "", "", 2, 1);
	EQ_U64(beat(&cluster, &bad), PD_UNKNOWN, "region id 0");
	bad = region(2, "", "", 2, 1);
	bad.meta.n_peers = 0;
	EQ_U64(beat(&cluster, &bad), PD_UNKNOWN, "no peers");
	bad = region(2, "b", "a", 2, 9);
	EQ_U64(beat(&cluster, &bad), PD_UNKNOWN, "an inverted range");
	cluster_free(&cluster);
}

/* A split seen in either order, then a stale leader, then a merge. */
static void
test_ranges(void)
{
	Cluster cluster;
	PdRegion left = region(2, "", "m", 1, 2);
	PdRegion right = region(3, "m", "", 1, 2);
	PdRegion stale = region(2, "", "", 1, 1);
	PdRegion merged = region(3, "", "", 1, 4);

	bootstrapped(&cluster);
	EQ_U64(beat(&cluster, &right), PD_OK, "the new half reports first");
	EQ_U64(changes.n, 2, "the old region goes, the new comes");
	OK(changes.records[0].removed && changes.records[0].number == 2,
	   "its record too");
	EQ_U64(cluster.regions.n, 1, "a hole until the other half reports");
	EQ_U64(beat(&cluster, &left), PD_OK, "the other half");
	EQ_U64(cluster.regions.n, 2, "no hole any more");
	EQ_U64(beat(&cluster, &stale), PD_UNKNOWN,
		   "the range before the split is stale");
	EQ_U64(cluster_check_split(&cluster, &stale.meta, &arena).type, PD_UNKNOWN,
		   "and cannot be split");
	EQ_U64(cluster_check_split(&cluster, &left.meta, &arena).type, PD_OK,
		   "what is known can");
	EQ_U64(beat(&cluster, &merged), PD_OK, "a merge");
	EQ_U64(cluster.regions.n, 1, "one region remains");
	EQ_U64(beat(&cluster, &left), PD_UNKNOWN, "the merged one is stale");
	OK(strstr(cluster_region_heartbeat(&cluster, &left, &changes).text,
			  "region is stale") != NULL,
	   "the text says so");

	/* The same version over a neighbour wins, as in tikv/pd. */
	right = region(9, "x", "", 1, 4);
	EQ_U64(beat(&cluster, &right), PD_OK, "equal versions: the newer report");
	EQ_U64(cluster.regions.n, 1, "replaces what it overlaps");
	cluster_free(&cluster);
}

static void
test_state(void)
{
	PdState state;
	PdMember member = {.id = 77,
					   .name = "pd-0",
					   .client_url = "http://127.0.0.1:2379",
					   .peer_url = "http://127.0.0.1:2380",
					   .version = "8.5.0"};
	uint64_t last = 0;

	pd_state_init(&state);
	pd_changes_init(&changes, &arena);
	pd_state_first(5, 1700000000, &changes);
	pd_state_set_member(&state, &member, &changes);
	pd_state_apply_all(&state, &changes);
	EQ_U64(state.cluster_id, (UINT64_C(1700000000) << 32) + 5, "cluster id");
	OK(keyspaces_by_name(&state.keyspaces, "DEFAULT") ==
			   keyspaces_by_id(&state.keyspaces, 0) &&
		   keyspaces_by_id(&state.keyspaces, 0) != NULL,
	   "DEFAULT is keyspace 0");
	OK(keyspaces_by_name(&state.keyspaces, "default") == NULL &&
		   keyspaces_by_id(&state.keyspaces, 1) == NULL,
	   "there is no other");
	EQ_STR(state.member.client_url, member.client_url, "the member is kept");

	pd_changes_init(&changes, &arena);
	pd_state_set_member(&state, &member, &changes);
	EQ_U64(changes.n, 0, "the same member is no change");
	member.client_url = "http://10.0.0.1:2379";
	pd_state_set_member(&state, &member, &changes);
	EQ_U64(changes.n, 1, "another address is");
	pd_state_apply_all(&state, &changes);

	pd_changes_init(&changes, &arena);
	OK(pd_state_take_ids(&state, 1, &last, &changes) == STATUS_OK, "an id");
	EQ_U64(changes.n, 1, "saves a step");
	pd_state_apply_all(&state, &changes);
	pd_changes_init(&changes, &arena);
	OK(pd_state_take_ids(&state, 1, &last, &changes) == STATUS_OK &&
		   last == 2 && changes.n == 0,
	   "the next saves nothing");
	pd_state_loaded(&state);
	OK(pd_state_take_ids(&state, 1, &last, &changes) == STATUS_OK &&
		   last == ID_STEP + 1,
	   "a restart goes on behind the step");
	pd_state_free(&state);
}

/* Every text of a store, one at a time. */
static void
test_texts(void)
{
	Cluster cluster;
	PdStore s = store(1, "127.0.0.1:20160");
	PdRegion r = region(2, "", "", 1, 1);
	Pair label = {"zone", "caf\xc3\xa9"};
	const char **const texts[] = {&s.address,		 &s.peer_address,
								  &s.status_address, &s.git_hash,
								  &s.deploy_path,	 &label.key,
								  &label.value};
	int refused = 0;

	cluster_init(&cluster);
	s.address = "host\xff:20160";
	EQ_U64(bootstrap(&cluster, &s, &r.meta), PD_INVALID_VALUE,
		   "no bootstrap with an address that is not UTF-8");
	cluster_free(&cluster);

	bootstrapped(&cluster);
	s = store(7, "127.0.0.1:20167");
	s.labels = &label;
	s.n_labels = 1;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		const char *valid = *texts[i];

		*texts[i] = "\xe2\x82";
		refused += put_store(&cluster, &s) == PD_INVALID_VALUE;
		*texts[i] = valid;
	}
	EQ_U64(refused, sizeof(texts) / sizeof(texts[0]),
		   "no text of a store that is not UTF-8");
	OK(cluster_store(&cluster, 7) == NULL, "and the store is not there");
	EQ_U64(put_store(&cluster, &s), PD_OK, "UTF-8 beyond ASCII is accepted");
	cluster_free(&cluster);
}

static void
test_too_many_stores(void)
{
	Cluster cluster;
	PdStore s;
	char address[32];
	int accepted = 1; /* the first */

	bootstrapped(&cluster);
	for (uint64_t id = 2; id <= CLUSTER_MAX_STORES + 1; id++)
	{
		PdRecord record = {.kind = PD_RECORD_STORE, .store = &s};

		snprintf(address, sizeof(address), "host%d", (int) id);
		s = store(id, address);
		if (id < CLUSTER_MAX_STORES)
			accepted += cluster_apply(&cluster, &record);
		else
			accepted += put_store(&cluster, &s) == PD_OK;
	}
	EQ_U64(accepted, CLUSTER_MAX_STORES, "the last store that fits, no more");
	s = store(2, "elsewhere");
	EQ_U64(put_store(&cluster, &s), PD_OK, "a known store can still move");
	cluster_free(&cluster);
}

int
main(void)
{
	arena_init(&arena);
	test_texts();
	test_too_many_stores();
	test_bootstrap();
	test_stores();
	test_heartbeats();
	test_ranges();
	test_state();
	arena_free(&arena);
	return unit_done();
}
