/*
 * fuzz_pd_http.c
 *	  PD's HTTP: URLs, queries and JSON from bytes to answers.
 *
 * An input is lines, each a request: a byte for the method, the URI, and
 * behind a tab the body.  What is answered must be JSON.
 */
#include "pd_world.h"

static const char *const methods[] = {"GET",   "POST",	 "PUT",
									  "PATCH", "DELETE", "HEAD"};

/* A C string of its own, as libmicrohttpd hands it over. */
static char *
text_of(Bytes b)
{
	char *text = malloc(b.len + 1);

	CHECK(text != NULL);
	if (b.len > 0)
		memcpy(text, b.data, b.len);
	text[b.len] = '\0';
	return text;
}

static Bytes
up_to(FuzzInput *in, uint8_t end)
{
	const uint8_t *at = in->left > 0 ? memchr(in->next, end, in->left) : NULL;
	Bytes b = fuzz_bytes(in, at != NULL ? (size_t) (at - in->next) : in->left);

	(void) fuzz_u8(in);
	return b;
}

static void
request(FuzzInput *line)
{
	HttpRequest request = {.method = methods[fuzz_u8(line) % 6]};
	char *uri = text_of(up_to(line, '\t'));

	request.uri = uri;
	request.body = fuzz_own(fuzz_rest(line));
	http_serve(&world, &request);
	world_round();

	/* What waits for regions does so for a minute a try, 31 of them at most. */
	for (int i = 0; request.answers == 0 && i < 100; i++)
	{
		world_us += INT64CONST(60000000);
		world_round();
	}
	CHECK(request.answers == 1);
	fuzz_disown(request.body);
	free(uri);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput in = fuzz_input(data, size);

	world_begin(true);
	while (in.left > 0)
	{
		Bytes b = up_to(&in, '\n');
		FuzzInput line = fuzz_input(b.data, b.len);

		request(&line);
		world_us += 1000;
	}
	world_end();
	return 0;
}

/* ----------------------------------------------------------------- seeds */

static const char *const bodies[] =
	{"", "{\"a\":1,\"b\":[true,null,-1.5e3],\"c\":\"\\u00e4\\\"\"}",
	 "{\"name\":\"ks\",\"config\":{\"k\":\"v\",\"n\":null},\"id\":1,"
	 "\"start_key\":\"61\",\"end_key\":\"62\",\"state\":\"disabled\","
	 "\"max-replicas\":3,\"zone\":\"z1\"}"};

/* The route's path with something for each {}. */
static void
seed_path(FuzzSeed *seed, const char *path)
{
	seed_add(seed, "/pd/api/", 8);
	for (const char *at = path; *at != '\0'; at++)
	{
		if (at[0] == '{' && at[1] == '}')
		{
			seed_u8(seed, '1');
			at++;
		}
		else
			seed_add(seed, at, 1);
	}
}

static void
seed_routes(const HttpRoute *routes)
{
	FuzzSeed seed = {0};

	for (const HttpRoute *route = routes; route->path != NULL; route++)
		for (int body = 0; body < 3; body++)
		{
			int method = 0;

			while (strcmp(methods[method], route->method) != 0)
				method++;
			seed_u8(&seed, method);
			seed_path(&seed, route->path);
			if (body == 1)
				seed_add(&seed, "?limit=2&key=a%62&state=0&end_key=z", 35);
			seed_add(&seed, "\t", 1);
			seed_add(&seed, bodies[body], strlen(bodies[body]));
			seed_add(&seed, "\n", 1);
			if (body == 2)
			{
				seed_u8(&seed, 0);
				seed_path(&seed, route->path);
			}
			fuzz_seed(&seed);
		}
}

static void
write_seeds(void)
{
	seed_routes(http_member_routes);
	seed_routes(http_cluster_routes);
	seed_routes(http_store_routes);
	seed_routes(http_region_routes);
	seed_routes(http_stats_routes);
	seed_routes(http_task_routes);
	seed_routes(http_schedule_routes);
	seed_routes(http_config_routes);
	seed_routes(http_keyspace_routes);
}
