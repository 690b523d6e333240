/*
 * channels.c
 *	  Connections to the server, and what PD knows of it.
 */
#include "channels.h"
#include "options.h"
#include "request.h"

#define TS_BATCH 100000
#define MAX_TS_PER_S 2000000 /* several times what one core answers */
#define MAX_WAIT_S 600		 /* for PD, and for a split of many keys */

grpc_completion_queue *cq;
grpc_channel **channels;

static void
name_file(const char *variable, const char *file)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", opt.tls, file);
	setenv(variable, path, 1);
}

/* The environment is where the client looks; here --tls alone decides. */
static void
use_tls(void)
{
	unsetenv("TIKV_CA");
	if (opt.tls == NULL)
		return;
	name_file("TIKV_CA", "ca.crt");
	name_file("TIKV_CERT", "client.crt");
	name_file("TIKV_KEY", "client.key");
}

void
connect_all(void)
{
	grpc_channel_credentials *creds;
	grpc_arg list[] = {
		{.type = GRPC_ARG_INTEGER,
		 .key = (char *) GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL,
		 .value.integer = 1},
		{.type = GRPC_ARG_INTEGER,
		 .key = (char *) GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
		 .value.integer = -1},
	};
	grpc_channel_args args = {2, list};

	use_tls();
	creds = make_credentials();
	cq = grpc_completion_queue_create_for_next(NULL);
	channels = calloc((size_t) opt.connections, sizeof(*channels));
	for (long i = 0; i < opt.connections; i++)
		channels[i] = grpc_channel_create(opt.addr, creds, &args);
	grpc_channel_credentials_release(creds);
}

Client
pd_client(void)
{
	Client client = {.queue = cq,
					 .pd = open_channel(opt.pd),
					 .timeout_s = MAX_WAIT_S};

	fetch_cluster_id(&client);
	return client;
}

Pdpb__GetRegionResponse *
region_of_key(Client *client, uint64_t n)
{
	uint8_t key[4096];
	ProtobufCBinaryData data = {(size_t) opt.key_size, key};

	write_key(key, n);
	return find_region(client, data);
}

/* More than any load takes in its time. */
static void
ask_all_timestamps(Client *client)
{
	long wanted = 2 * opt.keys + (opt.seconds + opt.warmup) * MAX_TS_PER_S;

	n_ts_ranges = (size_t) (wanted / TS_BATCH + 1);
	ts_ranges = calloc(n_ts_ranges, sizeof(*ts_ranges));
	for (size_t i = 0; i < n_ts_ranges; i++)
	{
		ts_ranges[i].end = take_timestamps(client, TS_BATCH) + 1;
		ts_ranges[i].next = ts_ranges[i].end - TS_BATCH;
	}
}

/* A region of a new node that knows no PD, where none is named. */
void
make_context(void)
{
	Kvrpcpb__Context ctx = KVRPCPB__CONTEXT__INIT;
	Metapb__RegionEpoch epoch = METAPB__REGION_EPOCH__INIT;
	Metapb__Peer peer = METAPB__PEER__INIT;
	Pdpb__GetRegionResponse *found = NULL;
	Client client;

	epoch.conf_ver = 1;
	epoch.version = 1;
	peer.id = 2;
	peer.store_id = 1;
	ctx.region_id = 1;
	ctx.region_epoch = &epoch;
	ctx.peer = &peer;
	if (opt.pd != NULL)
	{
		client = pd_client();
		found = region_of_key(&client, 0);
		fill_context(&ctx, found);
		ctx.cluster_id = client.cluster_id;
		if (mode->transactional)
			ask_all_timestamps(&client);
	}
	set_context(&ctx.base);
	if (found != NULL)
		pdpb__get_region_response__free_unpacked(found, NULL);
}
