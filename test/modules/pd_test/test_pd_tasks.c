/*
 * test_pd_tasks.c
 *	  Regions that are to be split or scattered while clients wait: who leaves,
 *	  asks for what is not there or asks for much keeps nobody else out.
 */
#include "pd_service_kit.h"

#define SECOND_US INT64CONST(1000000)
#define MAX_HTTP 128
#define MAX_ITEMS ((size_t) 1 << 16)

/* A key within a region, at which nobody splits. */
#define SPLIT "{\"split_keys\":[\"303035\"],\"retry_limit\":30}"

static HttpRequest requests[MAX_HTTP + 1];

static void
post(HttpRequest *request, const char *what, const char *body)
{
	memset(request, 0, sizeof(*request));
	request->method = "POST";
	request->uri = arena_printf(&arena, "/pd/api/v1/regions/%s", what);
	request->body = bytes_cstr(body);
	http_serve(&world, request);
	world_round();
}

static void
pass(int64 us)
{
	world_us += us;
	region_tasks_tick(&world);
	world_round();
}

static void
end_tasks(void)
{
	region_tasks_fail(&world, "the test is over");
	world_round();
	end();
}

static void
test_unknown_regions(void)
{
	begin();
	add_regions();
	post(requests, "scatter", "{\"regions_id\":[999999],\"retry_limit\":30}");
	pass(0);
	EQ_U64(requests[0].answers, 1, "what is no region is not waited for");
	EQ_STR(requests[0].text, "{\"processed-percentage\":0}", "and not done");
	EQ_U64(requests[0].status, 200, "which is no failure");
	end_tasks();
}

static void
test_who_leaves(void)
{
	begin();
	add_regions();
	post(&requests[0], "split", SPLIT);
	post(&requests[1], "split", SPLIT);
	for (int i = 0; i < 10; i++)
		pass(SECOND_US);
	EQ_U64(requests[0].answers + requests[1].answers, 0, "clients wait");
	requests[0].left = true;
	pass(SECOND_US);
	EQ_U64(requests[0].answers, 1, "one that has left does not any more");
	EQ_U64(requests[1].answers, 0, "the other one does");
	end_tasks();
}

/* One that nobody leads cannot be scattered now. */
static void
add_leaderless(uint64_t id)
{
	PdRegion region = {.meta = {.id = id,
								.epoch = {1, 2},
								.start_key = bytes_cstr("90"),
								.n_peers = 1,
								.peers = {{.id = id + 1, .store_id = 1}}}};

	region_tree_put(&world.state.cluster.regions, &region);
}

/* A task that rests for a minute sees within a second that nobody waits. */
static void
test_who_leaves_late(void)
{
	int64 sleep_us;

	begin();
	add_regions();
	add_leaderless(7000);
	post(requests, "scatter", "{\"regions_id\":[7000],\"retry_limit\":30}");
	for (int i = 0; i < 15; i++)
		pass(60 * SECOND_US);
	EQ_U64(requests[0].answers, 0, "a region that may have a leader is tried");
	sleep_us = region_tasks_sleep_us(&world);
	OK(sleep_us > 0 && sleep_us <= SECOND_US, "the loop sleeps no longer");
	requests[0].left = true;
	pass(SECOND_US);
	EQ_U64(requests[0].answers, 1, "so that it sees who has left");
	end_tasks();
}

static int
split_at(Call *call, size_t n)
{
	Pdpb__SplitRegionsRequest in = PDPB__SPLIT_REGIONS_REQUEST__INIT;

	in.header = &right_header;
	in.n_split_keys = n;
	in.split_keys = arena_alloc(&arena, n * sizeof(*in.split_keys));
	for (size_t i = 0; i < n; i++)
		in.split_keys[i] = binary("005");
	in.retry_limit = 30;
	(void) ask_on(call, "/pdpb.PD/SplitRegions", &in);
	world_round();
	return call->code;
}

static void
test_much_of_http(void)
{
	int waiting = 0;

	begin();
	add_regions();
	for (int i = 0; i <= MAX_HTTP; i++)
		post(&requests[i], "split", SPLIT);
	for (int i = 0; i < MAX_HTTP; i++)
		waiting += requests[i].answers == 0;
	EQ_U64(waiting, MAX_HTTP, "so many wait");
	EQ_U64(requests[MAX_HTTP].status, 500, "one more is refused");
	EQ_STR(requests[MAX_HTTP].text,
		   "\"too many regions are to be split or scattered\"",
		   "with the reason");
	EQ_U64(split_at(ASKER, 1), RPC_OK, "one of gRPC is not");
	for (int i = 0; i < MAX_HTTP; i++)
		requests[i].left = true;
	pass(SECOND_US);
	post(&requests[MAX_HTTP], "split", SPLIT);
	EQ_U64(requests[MAX_HTTP].answers, 0, "when they have left there is room");
	end_tasks();
}

static void
test_much_of_one(void)
{
	begin();
	add_regions();
	EQ_U64(split_at(ASKER, MAX_ITEMS + 1), RPC_RESOURCE_EXHAUSTED,
		   "one connection does not get all that may be done");
	EQ_U64(split_at(OTHER, MAX_ITEMS), RPC_OK, "but half of it");
	EQ_U64(split_at(ASKER, 1), RPC_OK, "beside which others go on");
	end_tasks();
}

int
main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	test_unknown_regions();
	test_who_leaves();
	test_who_leaves_late();
	test_much_of_http();
	test_much_of_one();
	return unit_done();
}
