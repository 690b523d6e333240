/*
 * test_pd_http.c
 *	  Numbers, switches and keys in paths and queries of PD's HTTP interface:
 *	  what is none is told, and never taken for another one.  And what a member
 *	  says that does not lead.
 */
#include "pd_service_kit.h"

typedef struct HttpCase
{
	const char *method;
	const char *path; /* below /pd/api/ */
	int status;
	const char *text; /* that the answer begins with; NULL: any */
} HttpCase;

static HttpRequest request;

static void
ask_at(const char *root, const HttpCase *wanted, const char *body)
{
	const char *what =
		arena_printf(&arena, "%s %s is answered with %d", wanted->method,
					 wanted->path, wanted->status);

	memset(&request, 0, sizeof(request));
	request.method = wanted->method;
	request.uri = arena_printf(&arena, "%s%s", root, wanted->path);
	request.body = bytes_cstr(body);
	http_serve(&world, &request);
	EQ_U64(request.status, wanted->status, what);
	if (wanted->text != NULL)
	{
		request.text[Min(strlen(request.text), strlen(wanted->text))] = '\0';
		EQ_STR(request.text, wanted->text, "with what was wrong, or is there");
	}
}

static void
ask_with(const HttpCase *wanted, const char *body)
{
	ask_at("/pd/api/", wanted, body);
}

static void
ask_http(const HttpCase *wanted)
{
	ask_with(wanted, "{}");
}

#define NO_NUMBER(name, value) \
	"\"" name " must be a number, not \\\"" value "\\\"\""

static const HttpCase bad[] = {
	{"GET", "v1/stores?state=abc", 400,
	 "\"state must be 0 (Up), 1 (Offline) or 2 (Tombstone), not \\\"abc\\\"\""},
	{"GET", "v1/stores?state=", 400, NULL},
	{"GET", "v1/stores?state=3", 400, NULL},
	{"GET", "v1/stores?state=-1", 400, NULL},
	{"GET", "v1/stores?state=0x0", 400, NULL},
	{"GET", "v1/stores?state=%200", 400, NULL},
	{"GET", "v1/stores?state=0%00", 400, NULL},
	{"GET", "v1/stores?state=0&state=Up", 400, NULL},
	{"GET", "v1/stores?state=18446744073709551616", 400, NULL},
	{"GET", "v1/store/x", 400, NO_NUMBER("the id", "x")},
	{"GET", "v1/store/+1", 400, NULL},
	{"GET", "v1/store/-1", 400, NULL},
	{"GET", "v1/store/1%00", 400, NULL},
	{"GET", "v1/store/18446744073709551616", 400, NULL},
	{"DELETE", "v1/store/x?force", 400, NULL},
	{"POST", "v1/store/1/state?state=1", 400,
	 "\"state must be Up or Offline, not \\\"1\\\"\""},
	{"POST", "v1/store/x/state?state=Up", 400, NULL},
	{"POST", "v1/store/x/label", 400, NULL},
	{"DELETE", "v1/store/x/label", 400, NULL},
	{"GET", "v1/stores/limit?include_tombstone=yes", 400,
	 "\"include_tombstone must be true or false, not \\\"yes\\\"\""},
	{"GET", "v1/hotspot/regions/read?store_id=a", 400,
	 NO_NUMBER("store_id", "a")},
	{"GET", "v1/hotspot/regions/write?store_id=1&store_id=", 400, NULL},
	{"DELETE", "v1/members/id/x", 400, NULL},
	{"DELETE", "v1/members/id/1?force=maybe", 400,
	 "\"force must be true or false, not \\\"maybe\\\"\""},
	{"GET", "v1/min-resolved-ts/x", 400, NULL},
	{"GET", "v1/min-resolved-ts?scope=x", 400,
	 "\"scope must be \\\"cluster\\\", or numbers with commas between them, "
	 "not \\\"x\\\"\""},
	{"GET", "v1/min-resolved-ts?scope=1,", 400, NULL},
	{"GET", "v1/min-resolved-ts?scope=1,,2", 400, NULL},
	{"GET", "v1/min-resolved-ts?scope=1,cluster", 400, NULL},
	{"GET", "v1/min-resolved-ts?scope=1%00", 400, NULL},
	{"GET", "v1/min-resolved-ts?scope=-1", 400, NULL},
	{"GET", "v1/region/id/1x", 400, NO_NUMBER("the id", "1x")},
	{"GET", "v1/region/key/6?format=hex", 400,
	 "\"the key must be hexadecimal, not \\\"6\\\"\""},
	{"GET", "v1/regions/store/x", 400, NULL},
	{"GET", "v1/regions/store/1?type=leaders", 400,
	 "\"type must be all, leader, follower, learner, pending or witness, not "
	 "\\\"leaders\\\"\""},
	{"GET", "v1/regions/sibling/x", 400, NULL},
	{"GET", "v1/regions/key?limit=x", 400, NO_NUMBER("limit", "x")},
	{"GET", "v1/regions/key?limit=--1", 400, NULL},
	{"GET", "v1/regions/key?limit=1.5", 400, NULL},
	{"GET", "v1/regions/key?limit=9223372036854775808", 400, NULL},
	{"GET", "v1/regions/key?limit=5%00", 400, NULL},
	{"GET", "v1/regions/key?key=6&format=hex", 400, NULL},
	{"GET", "v1/regions/key?end_key=xx&format=hex", 400, NULL},
	{"GET", "v1/regions/writeflow?limit=x", 400, NULL},
	{"GET", "v1/regions/cpu?limit=1e3", 400, NULL},
	{"GET", "v1/regions/replicated?startKey=6&endKey=", 400, NULL},
	{"GET", "v1/regions/replicated?startKey=&endKey=zz", 400, NULL},
	{"GET", "v1/operators/x", 400, NULL},
	{"DELETE", "v1/operators/x", 400, NULL},
	{"GET", "v2/keyspaces?page_token=x", 400,
	 "\"page_token must be a number up to 16777215, not \\\"x\\\"\""},
	{"GET", "v2/keyspaces?page_token=-1", 400, NULL},
	{"GET", "v2/keyspaces?page_token=16777216", 400, NULL},
	{"GET", "v2/keyspaces?limit=x", 400, NULL},
	{"GET", "v2/keyspaces/id/x", 400, NO_NUMBER("the id", "x")}};

static void
test_bad(void)
{
	begin();
	for (int i = 0; i < (int) lengthof(bad); i++)
		ask_http(&bad[i]);
	ask_with(&(HttpCase){"POST", "v1/config?ttlSecond=6x", 400,
						 NO_NUMBER("ttlSecond", "6x")},
			 "{\"max-replicas\": 5}");
	ask_with(&(HttpCase){"POST", "v1/config?ttlSecond=60", 400,
						 "\"unsupported ttl config max-replicas"},
			 "{\"max-replicas\": 5}");
	EQ_U64(world.state.cluster.max_peer_count, CLUSTER_MAX_REPLICAS,
		   "a setting for some time is not made for ever");
	ask_http(&(HttpCase){
		"GET",
		"v1/stores?state="
		"0123456789012345678901234567890123456789012345678901234567890123456789",
		400,
		"\"state must be 0 (Up), 1 (Offline) or 2 (Tombstone), not "
		"\\\"0123456789012345678901234567890123456789012345678901234567890123"
		"\\\"...\""});
	end();
}

#define ONE "{\"count\":1,"
#define NONE "{\"count\":0,"

static const HttpCase good[] = {
	{"GET", "v1/stores", 200, ONE},
	{"GET", "v1/stores?state=0", 200, ONE},
	{"GET", "v1/stores?state=%2B0", 200, ONE},
	{"GET", "v1/stores?state=1", 200, NONE},
	{"GET", "v1/stores?state=1&state=0", 200, ONE},
	{"GET", "v1/stores?state=2", 200, NONE},
	{"GET", "v1/store/1", 200, NULL},
	{"GET", "v1/store/7", 404, NULL},
	{"DELETE", "v1/gc/safepoint/gc_worker", 200,
	 "\"Delete service GC safepoint successfully.\""},
	{"DELETE", "v1/gc/safepoint/nobody", 200, NULL},
	{"GET", "v1/stores/limit?include_tombstone=T", 200, "{}"},
	{"GET", "v1/stores/limit?include_tombstone=", 200, "{}"},
	{"GET", "v1/hotspot/regions/read?store_id=1&store_id=2", 200, NULL},
	{"GET", "v1/min-resolved-ts", 200,
	 "{\"is_real_time\":true,\"min_resolved_ts\":0,\"persist_interval\":\"1s\","
	 "\"stores_min_resolved_ts\":null}"},
	{"GET", "v1/min-resolved-ts?scope=cluster", 200,
	 "{\"is_real_time\":true,\"min_resolved_ts\":0,\"persist_interval\":\"1s\","
	 "\"stores_min_resolved_ts\":{\"1\":0}}"},
	{"GET", "v1/min-resolved-ts?scope=7,1", 200,
	 "{\"is_real_time\":true,\"min_resolved_ts\":0,\"persist_interval\":\"1s\","
	 "\"stores_min_resolved_ts\":{\"1\":0}}"},
	{"GET", "v1/min-resolved-ts?scope=7", 200,
	 "{\"is_real_time\":true,\"min_resolved_ts\":18446744073709551615,"},
	{"GET", "v1/regions/store/1", 200, ONE},
	{"GET", "v1/regions/store/1?type=all", 200, ONE},
	{"GET", "v1/regions/store/1?type=leader", 200, NONE},
	{"GET", "v1/regions/store/1?type=follower", 200, ONE},
	{"GET", "v1/regions/store/1?type=learner", 200, NONE},
	{"GET", "v1/regions/store/1?type=pending", 200, NONE},
	{"GET", "v1/regions/store/1?type=witness", 200, NONE},
	{"GET", "v1/regions/store/2?type=follower", 200, NONE},
	{"GET", "v1/regions/key?limit=-1", 200, ONE},
	{"GET", "v1/regions/key?limit=-5", 200, ONE},
	{"GET", "v1/regions/key?limit=9223372036854775807", 200, ONE},
	{"GET", "v1/regions/key?limit=", 200, ONE},
	{"GET", "v1/regions/replicated", 200, "\"INPROGRESS\""},
	{"GET", "v1/regions/replicated?startKey=61&endKey=62", 200,
	 "\"INPROGRESS\""},
	{"GET", "v1/schedulers", 200, "[\"balance-leader-scheduler\""},
	{"GET", "v1/schedulers?timestamp=x", 200, "[\"balance-leader-scheduler\""},
	{"GET", "v1/operators?kind=x&object=y", 200, "[]"},
	{"GET", "v1/stats/region?count=x&use_hot=y&engine=z", 200, ONE},
	{"GET", "v1/schedulers?status=disabled", 200, "[]"},
	{"GET", "v1/schedulers?status=paused", 200, "[]"},
	{"POST", "v1/config?ttlSecond=60", 200, "\"The input is empty.\""},
	{"GET", "v2/keyspaces", 200, "{\"keyspaces\":[{\"id\":0,"},
	{"GET", "v2/keyspaces?page_token=0&limit=-1", 200,
	 "{\"keyspaces\":[{\"id\":0,"},
	{"GET", "v2/keyspaces?page_token=1", 200,
	 "{\"keyspaces\":[],\"next_page_token\":\"\"}"},
	{"GET", "v2/keyspaces?page_token=16777215", 200, "{\"keyspaces\":[],"},
	{"GET", "v2/keyspaces/id/0", 200, "{\"id\":0,"},
	{"GET", "v2/keyspaces/id/1", 500, NULL}};

static void
test_good(void)
{
	begin();
	for (int i = 0; i < (int) lengthof(good); i++)
		ask_http(&good[i]);
	end();
}

/*
 * What a store told of itself fitted into the bounds of its message, which may
 * have been longer, and does not into its own.
 */
static void
test_stats(void)
{
	static const HttpCase all = {"GET", "v1/stores", 200, ONE};
	static const HttpCase one = {"GET", "v1/store/1", 200, NULL};

	begin();
	CHECK(cluster_store_heartbeat(&world.state.cluster, 1, bytes_cstr("\xFF"),
								  1, &arena)
			  .type == PD_OK);
	ask_http(&all);
	ask_http(&one);
	end();
}

/* Of each store in turn: what is unpacked of one is no more when the next is. */
static void
test_large_stats(void)
{
	static const HttpCase all = {"GET", "v1/stores", 200, ONE};
	Pdpb__StoreStats stats = PDPB__STORE_STATS__INIT;
	Pdpb__PeerStat peer = PDPB__PEER_STAT__INIT;
	size_t before;

	begin();
	stats.n_peer_stats = 20000;
	stats.peer_stats =
		arena_alloc(&arena, stats.n_peer_stats * sizeof(*stats.peer_stats));
	for (size_t i = 0; i < stats.n_peer_stats; i++)
		stats.peer_stats[i] = &peer;
	CHECK(cluster_store_heartbeat(&world.state.cluster, 1, packed(&stats), 1,
								  &arena)
			  .type == PD_OK);
	before = world.arena.allocated;
	ask_http(&all);
	OK(world.arena.allocated - before < MIB,
	   "what a store told at length is not held as long as the answer");
	end();
}

/* A count of tries that is no number is none: the regions are not there. */
static void
test_retry_limit(void)
{
	begin();
	memset(&request, 0, sizeof(request));
	request.method = "POST";
	request.uri = "/pd/api/v1/regions/scatter";
	request.body = bytes_cstr("{\"regions_id\":[77],\"retry_limit\":\"x\"}");
	http_serve(&world, &request);
	for (int i = 0; i < 10 && request.answers == 0; i++)
	{
		world_us += 1000000;
		world_round();
	}
	EQ_U64(request.status, 200, "a retry_limit that is no number is not read");
	end();
}

/* What is not below /pd/api/, and what only begins like it. */
static void
test_other_roots(void)
{
	static const HttpCase cases[] = {{"GET", "/pd/ping", 200, ""},
									 {"HEAD", "/pd/ping?x=1", 200, ""},
									 {"GET", "/pd/health", 200, "[]"},
									 {"POST", "/pd/ping", 405, NULL},
									 {"GET", "/pd/members", 404, NULL},
									 {"GET", "/pd/ping/x", 404, NULL},
									 {"GET", "/ping", 404, NULL},
									 {"GET", "/px/ping", 404, NULL},
									 {"GET", "/metrics", 200, "# HELP world"},
									 {"GET", "/metrics?x", 200, NULL},
									 {"POST", "/metrics", 404, NULL},
									 {"GET", "/metrics/x", 404, NULL}};

	begin();
	for (int i = 0; i < (int) lengthof(cases); i++)
		ask_at("", &cases[i], "");
	end();
}

/* Who leads, who learns, who is behind; and a range of two. */
static void
test_roles(void)
{
	PdRegion region =
		{.meta = {.id = 1,
				  .end_key = bytes_cstr("m"),
				  .epoch = {2, 2},
				  .n_peers = 3,
				  .peers = {{.id = 2, .store_id = 1},
							{.id = 3, .store_id = 2},
							{.id = 4, .store_id = 3, .role = PEER_LEARNER}}},
		 .leader = {.id = 2, .store_id = 1}};
	RegionPeer pending = {.id = 3, .store_id = 2};
	static const HttpCase cases[] =
		{{"GET", "v1/regions/store/1?type=leader", 200, "{\"count\":2,"},
		 {"GET", "v1/regions/store/1?type=follower", 200, NONE},
		 {"GET", "v1/regions/store/2?type=leader", 200, NONE},
		 {"GET", "v1/regions/store/2?type=follower", 200, ONE},
		 {"GET", "v1/regions/store/2?type=pending", 200, ONE},
		 {"GET", "v1/regions/store/3?type=follower", 200, NONE},
		 {"GET", "v1/regions/store/3?type=learner", 200, ONE},
		 {"GET", "v1/regions/store/3?type=pending", 200, NONE},
		 {"GET", "v1/regions/store/2?type=learner", 200, NONE},
		 {"GET", "v1/regions/replicated?startKey=&endKey=6d", 200,
		  "\"REPLICATED\""},
		 {"GET", "v1/regions/replicated?startKey=61&endKey=62", 200,
		  "\"REPLICATED\""},
		 {"GET", "v1/regions/replicated?startKey=61&endKey=6e", 200,
		  "\"INPROGRESS\""},
		 {"GET", "v1/regions/replicated", 200, "\"INPROGRESS\""}};

	begin();
	world.state.cluster.max_peer_count = 2;
	region.pending = &pending;
	region.n_pending = 1;
	cluster_note_region(&world.state.cluster, &region);
	region.meta.id = 9;
	region.meta.start_key = bytes_cstr("m");
	region.meta.end_key = bytes_empty();
	region.meta.n_peers = 1;
	region.n_pending = 0;
	cluster_note_region(&world.state.cluster, &region);
	for (int i = 0; i < (int) lengthof(cases); i++)
		ask_http(&cases[i]);
	end();
}

/* Of two that are wanted one votes. */
static void
test_even(void)
{
	PdRegion region =
		{.meta = {.id = 1,
				  .epoch = {2, 2},
				  .n_peers = 2,
				  .peers = {{.id = 2, .store_id = 1},
							{.id = 3, .store_id = 2, .role = PEER_LEARNER}}},
		 .leader = {.id = 2, .store_id = 1}};
	static const HttpCase all[] =
		{{"GET", "v1/regions/replicated", 200, "\"REPLICATED\""},
		 {"GET", "v1/regions/check/miss-peer", 200, NONE},
		 {"GET", "v1/regions/check/extra-peer", 200, NONE}};
	static const HttpCase more[] = {{"GET", "v1/regions/replicated", 200,
									 "\"INPROGRESS\""},
									{"GET", "v1/regions/check/miss-peer", 200,
									 ONE}};
	static const HttpCase less = {"GET", "v1/regions/check/extra-peer", 200,
								  ONE};

	begin();
	cluster_note_region(&world.state.cluster, &region);
	world.state.cluster.max_peer_count = 2;
	for (int i = 0; i < (int) lengthof(all); i++)
		ask_http(&all[i]);
	world.state.cluster.max_peer_count = 3;
	for (int i = 0; i < (int) lengthof(more); i++)
		ask_http(&more[i]);
	world.state.cluster.max_peer_count = 1;
	ask_http(&less);
	end();
}

static void
add_member(void)
{
	PdMember member = {.id = raft_leader(world.raft),
					   .name = "other",
					   .peer_url = "https://127.0.0.1:2380",
					   .client_url = "https://127.0.0.1:2379",
					   .version = ""};

	members_put(&world.state.members, &member);
}

/* With TLS nobody can be sent to the leader, but told of it. */
static void
test_follower(void)
{
	static const HttpCase here[] = {
		{"GET", "v1/members", 200, "{\"header\":"},
		{"GET", "v1/leader", 200, "{\"name\":\"other\","},
		{"GET", "v1/ping", 200, ""},
		{"GET", "v1/version", 200, "{\"version\":"},
		{"GET", "v1/status", 200, "{\"build_ts\":"},
		{"DELETE", "v1/members/name/other?force=true", 503, NULL},
		{"GET", "v1/health", 503, NULL},
		{"GET", "v1/stores", 503,
		 "\"this member does not lead, and where the leader serves HTTPS is not "
		 "known here: its gRPC address is https://127.0.0.1:2389, ask it at its "
		 "tikv.pd_http_addr\""}};
	static const HttpCase nobody = {"GET", "v1/stores", 503, "\"no leader\""};
	static const HttpCase sent = {"GET", "v1/members", 307,
								  "https://127.0.0.1:2389/pd/api/v1/members"};
	static char tls;

	begin();
	add_member();
	world.leading = false;
	ask_http(&(HttpCase){"GET", "v1/members", 503, "\"no leader\""});
	world.tls = (Tls *) &tls;
	ask_http(&nobody);
	world_leader_url = "https://127.0.0.1:2389";
	for (int i = 0; i < (int) lengthof(here); i++)
		ask_http(&here[i]);
	world.tls = NULL;
	ask_http(&sent);
	ask_at("",
		   &(HttpCase){"GET", "/pd/ping", 307,
					   "https://127.0.0.1:2389/pd/ping"},
		   "");
	ask_at("", &(HttpCase){"GET", "/metrics", 200, "# HELP world"}, "");
	world_leader_url = NULL;
	world.leading = true;
	end();
}

int
main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	test_bad();
	test_good();
	test_stats();
	test_large_stats();
	test_retry_limit();
	test_other_roots();
	test_roles();
	test_even();
	test_follower();
	return unit_done();
}
