/*
 * rawctl.c
 *	  Put and get one raw key over gRPC, as a TiKV client does.
 *
 * usage: rawctl --pd host:port put KEY VALUE
 *        rawctl --pd host:port get KEY
 *        rawctl --pd host:port delete KEY
 *        rawctl --pd host:port delete-range START END
 *        rawctl --pd host:port scan START LIMIT
 *        rawctl --pd host:port split KEY...
 *        rawctl --pd host:port timestamp
 *        rawctl --pd host:port protect SERVICE TIMESTAMP
 *        rawctl --pd host:port collect TIMESTAMP
 *
 * tikv_client.h finds the store that leads the key's region.  PD is asked again
 * while that store answers with a region error, and that is all there is for
 * resilience.  `get` of an absent key has exit status 2; `scan` prints how many
 * pairs there are, the bytes of their values, the first key and the last.
 * `split` makes bounds of the keys, which one region has, and prints how many
 * regions came of it, if they follow each other.
 * `protect` keeps the garbage collector behind a timestamp for ten minutes,
 * which PD has to write down; `collect` moves the GC safe point there, or as far
 * as somebody allows, as TiDB does where tikv.gc_life_time is 0, and prints it.
 *
 * RAWCTL_DISK_FULL_OPT in the environment is the request's disk_full_opt: 1 is
 * a write that must go through on a disk that is almost full, 2 on a full one.
 * RAWCTL_MAX_MS is how long the request may take; it is then sent only once.
 * RAWCTL_REPLICA is a store whose peer is to read, whoever leads.
 */
#include "errorpb.pb-c.h"
#include "tikv_client.h"

#define ATTEMPTS 10
#define RETRY_PAUSE_US 200000
#define PROTECT_S 600

/* True if the answer is good; false if the region moved; else ends. */
static bool
check_answer(const Errorpb__Error *region_error, const char *error)
{
	if (region_error != NULL)
	{
		fprintf(stderr, "rawctl: region error: %s\n", region_error->message);
		return false;
	}
	if (error != NULL && error[0] != '\0')
		die("%s", error);
	return true;
}

static bool
raw_put(Client *client, Kvrpcpb__Context *context, ProtobufCBinaryData key,
		ProtobufCBinaryData value)
{
	Kvrpcpb__RawPutRequest request = KVRPCPB__RAW_PUT_REQUEST__INIT;
	Kvrpcpb__RawPutResponse *response;
	bool good;

	request.context = context;
	request.key = key;
	request.value = value;
	response = call_unary(client, client->store, "/tikvpb.Tikv/RawPut",
						  &request, &kvrpcpb__raw_put_response__descriptor);
	good = check_answer(response->region_error, response->error);
	kvrpcpb__raw_put_response__free_unpacked(response, NULL);
	return good;
}

static bool
raw_delete(Client *client, Kvrpcpb__Context *context, ProtobufCBinaryData key)
{
	Kvrpcpb__RawDeleteRequest request = KVRPCPB__RAW_DELETE_REQUEST__INIT;
	Kvrpcpb__RawDeleteResponse *response;
	bool good;

	request.context = context;
	request.key = key;
	response = call_unary(client, client->store, "/tikvpb.Tikv/RawDelete",
						  &request, &kvrpcpb__raw_delete_response__descriptor);
	good = check_answer(response->region_error, response->error);
	kvrpcpb__raw_delete_response__free_unpacked(response, NULL);
	return good;
}

/* Prints the value; *absent says that there is none. */
static bool
raw_get(Client *client, Kvrpcpb__Context *context, ProtobufCBinaryData key,
		bool *absent)
{
	Kvrpcpb__RawGetRequest request = KVRPCPB__RAW_GET_REQUEST__INIT;
	Kvrpcpb__RawGetResponse *response;
	bool good;

	request.context = context;
	request.key = key;
	response = call_unary(client, client->store, "/tikvpb.Tikv/RawGet",
						  &request, &kvrpcpb__raw_get_response__descriptor);
	good = check_answer(response->region_error, response->error);
	*absent = response->not_found;
	if (good && !response->not_found)
	{
		fwrite(response->value.data, 1, response->value.len, stdout);
		putchar('\n');
	}
	kvrpcpb__raw_get_response__free_unpacked(response, NULL);
	return good;
}

static void
print_pairs(const Kvrpcpb__RawScanResponse *response)
{
	size_t n = response->n_kvs;
	size_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		bytes += response->kvs[i]->value.len;
	printf("%zu %zu", n, bytes);
	for (size_t i = 0; n > 0 && i < 2; i++)
	{
		const Kvrpcpb__KvPair *pair = response->kvs[i == 0 ? 0 : n - 1];

		printf(" %.*s", (int) pair->key.len, (const char *) pair->key.data);
	}
	putchar('\n');
}

static bool
raw_scan(Client *client, Kvrpcpb__Context *context, ProtobufCBinaryData start,
		 const char *limit)
{
	Kvrpcpb__RawScanRequest request = KVRPCPB__RAW_SCAN_REQUEST__INIT;
	Kvrpcpb__RawScanResponse *response;
	bool good;

	request.context = context;
	request.start_key = start;
	request.limit = (uint32_t) strtoul(limit, NULL, 10);
	response = call_unary(client, client->store, "/tikvpb.Tikv/RawScan",
						  &request, &kvrpcpb__raw_scan_response__descriptor);
	good = check_answer(response->region_error, NULL);
	if (good)
		print_pairs(response);
	kvrpcpb__raw_scan_response__free_unpacked(response, NULL);
	return good;
}

static bool
raw_delete_range(Client *client, Kvrpcpb__Context *context,
				 ProtobufCBinaryData start, ProtobufCBinaryData end)
{
	Kvrpcpb__RawDeleteRangeRequest request =
		KVRPCPB__RAW_DELETE_RANGE_REQUEST__INIT;
	Kvrpcpb__RawDeleteRangeResponse *response;
	bool good;

	request.context = context;
	request.start_key = start;
	request.end_key = end;
	response =
		call_unary(client, client->store, "/tikvpb.Tikv/RawDeleteRange",
				   &request, &kvrpcpb__raw_delete_range_response__descriptor);
	good = check_answer(response->region_error, response->error);
	kvrpcpb__raw_delete_range_response__free_unpacked(response, NULL);
	return good;
}

static bool
follow_each_other(Metapb__Region **regions, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (regions[i]->start_key.len != regions[i - 1]->end_key.len ||
			memcmp(regions[i]->start_key.data, regions[i - 1]->end_key.data,
				   regions[i]->start_key.len) != 0)
			return false;
	return true;
}

static bool
split(Client *client, Kvrpcpb__Context *context, char **keys)
{
	Kvrpcpb__SplitRegionRequest request = KVRPCPB__SPLIT_REGION_REQUEST__INIT;
	Kvrpcpb__SplitRegionResponse *response;
	bool good;

	request.context = context;
	request.is_raw_kv = true;
	while (keys[request.n_split_keys] != NULL)
		request.n_split_keys++;
	request.split_keys =
		malloc(request.n_split_keys * sizeof(ProtobufCBinaryData));
	for (size_t i = 0; i < request.n_split_keys; i++)
		request.split_keys[i] = binary(keys[i]);
	response =
		call_unary(client, client->store, "/tikvpb.Tikv/SplitRegion", &request,
				   &kvrpcpb__split_region_response__descriptor);
	good = check_answer(response->region_error, NULL);
	if (good && !follow_each_other(response->regions, response->n_regions))
		die("the regions do not follow each other");
	if (good)
		printf("%zu\n", response->n_regions);
	kvrpcpb__split_region_response__free_unpacked(response, NULL);
	free(request.split_keys);
	return good;
}

/* Ask the peer on this store, as a follower. */
static void
read_at(Client *client, Kvrpcpb__Context *context, const Metapb__Region *region,
		uint64_t store_id)
{
	for (size_t i = 0; i < region->n_peers; i++)
		if (region->peers[i]->store_id == store_id)
			context->peer = region->peers[i];
	connect_store(client, store_id);
	context->replica_read = true;
}

/* Do the command once; false means that PD should be asked again. */
static bool
attempt(Client *client, char **argv, int *exit_status)
{
	ProtobufCBinaryData key = binary(argv[1]);
	Pdpb__GetRegionResponse *found = find_region(client, key);
	Kvrpcpb__Context context = KVRPCPB__CONTEXT__INIT;
	bool absent = false;
	bool good;

	fill_context(&context, found);
	if (getenv("RAWCTL_REPLICA") != NULL)
		read_at(client, &context, found->region,
				strtoull(getenv("RAWCTL_REPLICA"), NULL, 10));
	if (strcmp(argv[0], "put") == 0)
		good = raw_put(client, &context, key, binary(argv[2]));
	else if (strcmp(argv[0], "get") == 0)
		good = raw_get(client, &context, key, &absent);
	else if (strcmp(argv[0], "scan") == 0)
		good = raw_scan(client, &context, key, argv[2]);
	else if (strcmp(argv[0], "delete-range") == 0)
		good = raw_delete_range(client, &context, key, binary(argv[2]));
	else if (strcmp(argv[0], "split") == 0)
		good = split(client, &context, argv + 1);
	else
		good = raw_delete(client, &context, key);
	pdpb__get_region_response__free_unpacked(found, NULL);
	*exit_status = absent ? 2 : 0;
	return good;
}

static void
protect(Client *client, char *service, const char *timestamp)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__UpdateServiceGCSafePointRequest request =
		PDPB__UPDATE_SERVICE_GCSAFE_POINT_REQUEST__INIT;
	Pdpb__UpdateServiceGCSafePointResponse *response;

	header.cluster_id = client->cluster_id;
	request.header = &header;
	request.service_id = binary(service);
	request.ttl = PROTECT_S;
	request.safe_point = strtoull(timestamp, NULL, 10);
	response =
		call_unary(client, client->pd, "/pdpb.PD/UpdateServiceGCSafePoint",
				   &request,
				   &pdpb__update_service_gcsafe_point_response__descriptor);
	check_header(response->header, "UpdateServiceGCSafePoint");
	pdpb__update_service_gcsafe_point_response__free_unpacked(response, NULL);
}

static void
collect(Client *client, const char *timestamp)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__UpdateGCSafePointRequest request =
		PDPB__UPDATE_GCSAFE_POINT_REQUEST__INIT;
	Pdpb__UpdateGCSafePointResponse *response;

	header.cluster_id = client->cluster_id;
	request.header = &header;
	request.safe_point = strtoull(timestamp, NULL, 10);
	response =
		call_unary(client, client->pd, "/pdpb.PD/UpdateGCSafePoint", &request,
				   &pdpb__update_gcsafe_point_response__descriptor);
	check_header(response->header, "UpdateGCSafePoint");
	printf("%llu\n", (unsigned long long) response->new_safe_point);
	fflush(stdout);
	pdpb__update_gcsafe_point_response__free_unpacked(response, NULL);
}

static void
print_timestamp(Client *client)
{
	printf("%llu\n", (unsigned long long) take_timestamps(client, 1));
	fflush(stdout);
}

static bool
usage_is_good(int argc, char **argv)
{
	if (argc < 4 || strcmp(argv[1], "--pd") != 0)
		return false;
	if (strcmp(argv[3], "timestamp") == 0)
		return argc == 4;
	if (argc < 5)
		return false;
	if (strcmp(argv[3], "split") == 0)
		return true;
	if (strcmp(argv[3], "put") == 0 || strcmp(argv[3], "protect") == 0 ||
		strcmp(argv[3], "scan") == 0 || strcmp(argv[3], "delete-range") == 0)
		return argc == 6;
	return argc == 5 &&
		(strcmp(argv[3], "get") == 0 || strcmp(argv[3], "delete") == 0 ||
		 strcmp(argv[3], "collect") == 0);
}

int
main(int argc, char **argv)
{
	Client client = {0};
	int exit_status = 1;
	int tries = 0;

	if (!usage_is_good(argc, argv))
	{
		fputs("usage: rawctl --pd host:port put KEY VALUE | get KEY | "
			  "delete KEY | delete-range START END | scan START LIMIT | "
			  "split KEY... | timestamp | protect SERVICE TIMESTAMP | "
			  "collect TIMESTAMP\n",
			  stderr);
		return 1;
	}
	grpc_init();
	client.queue = grpc_completion_queue_create_for_next(NULL);
	client.pd = open_channel(argv[2]);
	fetch_cluster_id(&client);
	if (strcmp(argv[3], "timestamp") == 0)
	{
		print_timestamp(&client);
		_exit(0);
	}
	if (strcmp(argv[3], "collect") == 0)
	{
		collect(&client, argv[4]);
		_exit(0);
	}
	if (strcmp(argv[3], "protect") == 0)
	{
		protect(&client, argv[4], argv[5]);
		_exit(0);
	}
	while (!attempt(&client, argv + 3, &exit_status))
	{
		if (++tries == (getenv("RAWCTL_MAX_MS") != NULL ? 1 : ATTEMPTS))
			die("gave up after %d attempts", tries);
		usleep(RETRY_PAUSE_US);
	}
	fflush(stdout);

	/* The process ends here; tearing gRPC down would only cost time. */
	_exit(exit_status);
}
