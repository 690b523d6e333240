/*
 * options.c
 *	  What the command line of rpc_load says.
 */
#include <stdlib.h>
#include <string.h>

#include "measure.h"
#include "options.h"

Options opt = {.addr = "127.0.0.1:20160",
			   .mode = "rawget",
			   .method = "/bench.Echo/Empty",
			   .inflight = 64,
			   .batch = 16,
			   .connections = 1,
			   .seconds = 5,
			   .warmup = 1,
			   .keys = 100000,
			   .key_size = 16,
			   .value_size = 100,
			   .limit = 10000};

bool
set_option(const char *name, const char *text)
{
	struct
	{
		const char *name;
		const char **text;
		long *number;
	} known[] = {
		{"--addr", &opt.addr, NULL},
		{"--mode", &opt.mode, NULL},
		{"--method", &opt.method, NULL},
		{"--pd", &opt.pd, NULL},
		{"--tls", &opt.tls, NULL},
		{"--server-pid", &server_pids, NULL},
		{"--inflight", NULL, &opt.inflight},
		{"--batch", NULL, &opt.batch},
		{"--connections", NULL, &opt.connections},
		{"--seconds", NULL, &opt.seconds},
		{"--warmup", NULL, &opt.warmup},
		{"--keys", NULL, &opt.keys},
		{"--first", NULL, &opt.first},
		{"--key-size", NULL, &opt.key_size},
		{"--value-size", NULL, &opt.value_size},
		{"--hot", NULL, &opt.hot},
		{"--fill", NULL, &opt.fill},
		{"--limit", NULL, &opt.limit},
		{"--ttl", NULL, &opt.ttl},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
	{
		if (strcmp(known[i].name, name) != 0)
			continue;
		if (known[i].text != NULL)
			*known[i].text = text;
		else
			*known[i].number = atol(text);
		return true;
	}
	return false;
}
