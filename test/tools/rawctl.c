/*
 * rawctl.c
 *	  Put and get one raw key over gRPC, as a TiKV client does.
 *
 * usage: rawctl --pd host:port put KEY VALUE
 *        rawctl --pd host:port get KEY
 *        rawctl --pd host:port delete KEY
 *        rawctl --pd host:port delete-range START END
 *        rawctl --pd host:port protect SERVICE TIMESTAMP
 *
 * A client in one page, for scripts and for readers: PD names the cluster,
 * the region that holds the key and the store that leads it; the request goes
 * to that store.  It asks PD again while the store answers with a region
 * error, and that is all it does for resilience.  `get` of an absent key has
 * exit status 2.  `protect` keeps the garbage collector behind a timestamp
 * for ten minutes, which PD has to write down.
 *
 * With TIKV_CA in the environment it speaks TLS; that, TIKV_CERT and TIKV_KEY
 * name PEM files, as `scripts/cluster env` prints them.
 */
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/support/alloc.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "errorpb.pb-c.h"
#include "kvrpcpb.pb-c.h"
#include "metapb.pb-c.h"
#include "pdpb.pb-c.h"

#define CALL_TIMEOUT_S 10
#define ATTEMPTS 10
#define MAX_PEM_BYTES 65536
#define RETRY_PAUSE_US 200000
#define PROTECT_S 600

typedef struct Client
{
	grpc_completion_queue *queue;
	grpc_channel *pd;
	grpc_channel *store;
	uint64_t cluster_id;
} Client;

static void die(const char *fmt, ...)
	__attribute__((noreturn, format(printf, 1, 2)));

static void
die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fputs("rawctl: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

/* The text of a PEM file that a variable names; the process's for ever. */
static char *
pem_of(const char *variable)
{
	static char texts[3][MAX_PEM_BYTES];
	static int n;
	const char *path = getenv(variable);
	FILE *file = path == NULL ? NULL : fopen(path, "r");

	if (file == NULL)
		die("%s names no file that can be read", variable);
	if (fread(texts[n], 1, MAX_PEM_BYTES - 1, file) == 0)
		die("%s names an empty file", variable);
	fclose(file);
	return texts[n++];
}

static grpc_channel_credentials *
tls_credentials(void)
{
	static grpc_ssl_pem_key_cert_pair pair;
	static char *authority;

	if (authority == NULL)
	{
		authority = pem_of("TIKV_CA");
		if (getenv("TIKV_CERT") != NULL)
		{
			pair.cert_chain = pem_of("TIKV_CERT");
			pair.private_key = pem_of("TIKV_KEY");
		}
	}
	return grpc_ssl_credentials_create(authority,
									   pair.cert_chain == NULL ? NULL : &pair,
									   NULL, NULL);
}

static grpc_channel *
open_channel(const char *target)
{
	grpc_channel_credentials *credentials = getenv("TIKV_CA") == NULL ?
		grpc_insecure_credentials_create() :
		tls_credentials();
	grpc_channel *channel = grpc_channel_create(target, credentials, NULL);

	grpc_channel_credentials_release(credentials);
	return channel;
}

static grpc_byte_buffer *
pack(const ProtobufCMessage *message)
{
	size_t len = protobuf_c_message_get_packed_size(message);
	grpc_slice slice = grpc_slice_malloc(len);
	grpc_byte_buffer *buffer;

	protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
	buffer = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice);
	return buffer;
}

static ProtobufCMessage *
unpack(grpc_byte_buffer *buffer, const ProtobufCMessageDescriptor *type)
{
	grpc_byte_buffer_reader reader;
	grpc_slice slice;
	ProtobufCMessage *message;

	if (!grpc_byte_buffer_reader_init(&reader, buffer))
		die("unreadable answer");
	slice = grpc_byte_buffer_reader_readall(&reader);
	message = protobuf_c_message_unpack(type, NULL, GRPC_SLICE_LENGTH(slice),
										GRPC_SLICE_START_PTR(slice));
	if (message == NULL)
		die("answer is not a %s", type->name);
	grpc_slice_unref(slice);
	grpc_byte_buffer_reader_destroy(&reader);
	return message;
}

/*
 * One unary call.  Ends the program unless the status is OK.  The answer is
 * the caller's to free with protobuf_c_message_free_unpacked.
 */
static void *
call_unary(Client *client, grpc_channel *channel, const char *method,
		   const void *request, const ProtobufCMessageDescriptor *response)
{
	gpr_timespec deadline =
		gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
					 gpr_time_from_seconds(CALL_TIMEOUT_S, GPR_TIMESPAN));
	grpc_slice path = grpc_slice_from_static_string(method);
	grpc_call *call = grpc_channel_create_call(channel, NULL, 0, client->queue,
											   path, NULL, deadline, NULL);
	grpc_byte_buffer *sent = pack(request);
	grpc_byte_buffer *received = NULL;
	grpc_metadata_array initial;
	grpc_metadata_array trailing;
	grpc_status_code status;
	grpc_slice details;
	grpc_op ops[6];
	void *message;

	grpc_metadata_array_init(&initial);
	grpc_metadata_array_init(&trailing);
	memset(ops, 0, sizeof(ops));
	ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
	ops[1].op = GRPC_OP_SEND_MESSAGE;
	ops[1].data.send_message.send_message = sent;
	ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
	ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
	ops[3].data.recv_initial_metadata.recv_initial_metadata = &initial;
	ops[4].op = GRPC_OP_RECV_MESSAGE;
	ops[4].data.recv_message.recv_message = &received;
	ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
	ops[5].data.recv_status_on_client.trailing_metadata = &trailing;
	ops[5].data.recv_status_on_client.status = &status;
	ops[5].data.recv_status_on_client.status_details = &details;

	if (grpc_call_start_batch(call, ops, 6, NULL, NULL) != GRPC_CALL_OK)
		die("%s: cannot start the call", method);
	grpc_completion_queue_next(client->queue,
							   gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
	if (status != GRPC_STATUS_OK)
		die("%s: status %d: %.*s", method, (int) status,
			(int) GRPC_SLICE_LENGTH(details),
			(const char *) GRPC_SLICE_START_PTR(details));
	if (received == NULL)
		die("%s: no answer", method);
	message = unpack(received, response);

	grpc_byte_buffer_destroy(sent);
	grpc_byte_buffer_destroy(received);
	grpc_metadata_array_destroy(&initial);
	grpc_metadata_array_destroy(&trailing);
	grpc_slice_unref(details);
	grpc_call_unref(call);
	return message;
}

static void
check_header(const Pdpb__ResponseHeader *header, const char *method)
{
	if (header == NULL)
		die("%s: answer without header", method);
	if (header->error != NULL)
		die("%s: %s", method, header->error->message);
}

static void
fetch_cluster_id(Client *client)
{
	Pdpb__GetMembersRequest request = PDPB__GET_MEMBERS_REQUEST__INIT;
	Pdpb__GetMembersResponse *response =
		call_unary(client, client->pd, "/pdpb.PD/GetMembers", &request,
				   &pdpb__get_members_response__descriptor);

	check_header(response->header, "GetMembers");
	client->cluster_id = response->header->cluster_id;

	/* Any member says who leads; the rest is asked of the leader. */
	if (response->leader != NULL && response->leader->n_client_urls > 0)
	{
		const char *url = response->leader->client_urls[0];
		const char *at = strstr(url, "://");

		grpc_channel_destroy(client->pd);
		client->pd = open_channel(at == NULL ? url : at + 3);
	}
	pdpb__get_members_response__free_unpacked(response, NULL);
}

/* Point client->store at the store with this id. */
static void
connect_store(Client *client, uint64_t store_id)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__GetStoreRequest request = PDPB__GET_STORE_REQUEST__INIT;
	Pdpb__GetStoreResponse *response;

	header.cluster_id = client->cluster_id;
	request.header = &header;
	request.store_id = store_id;
	response = call_unary(client, client->pd, "/pdpb.PD/GetStore", &request,
						  &pdpb__get_store_response__descriptor);
	check_header(response->header, "GetStore");
	if (response->store == NULL)
		die("GetStore: no store %llu", (unsigned long long) store_id);
	if (client->store != NULL)
		grpc_channel_destroy(client->store);
	client->store = open_channel(response->store->address);
	pdpb__get_store_response__free_unpacked(response, NULL);
}

/* The region of a key; connects to its leader's store. */
static Pdpb__GetRegionResponse *
find_region(Client *client, ProtobufCBinaryData key)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__GetRegionRequest request = PDPB__GET_REGION_REQUEST__INIT;
	Pdpb__GetRegionResponse *response;

	header.cluster_id = client->cluster_id;
	request.header = &header;
	request.region_key = key;
	response = call_unary(client, client->pd, "/pdpb.PD/GetRegion", &request,
						  &pdpb__get_region_response__descriptor);
	check_header(response->header, "GetRegion");
	if (response->region == NULL || response->leader == NULL)
		die("GetRegion: no region or no leader for this key");
	connect_store(client, response->leader->store_id);
	return response;
}

static void
fill_context(Kvrpcpb__Context *context, Pdpb__GetRegionResponse *found)
{
	context->region_id = found->region->id;
	context->region_epoch = found->region->region_epoch;
	context->peer = found->leader;
}

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

static ProtobufCBinaryData
binary(char *text)
{
	ProtobufCBinaryData data = {strlen(text), (uint8_t *) text};

	return data;
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
	if (strcmp(argv[0], "put") == 0)
		good = raw_put(client, &context, key, binary(argv[2]));
	else if (strcmp(argv[0], "get") == 0)
		good = raw_get(client, &context, key, &absent);
	else if (strcmp(argv[0], "delete-range") == 0)
		good = raw_delete_range(client, &context, key, binary(argv[2]));
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

static bool
usage_is_good(int argc, char **argv)
{
	if (argc < 5 || strcmp(argv[1], "--pd") != 0)
		return false;
	if (strcmp(argv[3], "put") == 0 || strcmp(argv[3], "protect") == 0 ||
		strcmp(argv[3], "delete-range") == 0)
		return argc == 6;
	return argc == 5 &&
		(strcmp(argv[3], "get") == 0 || strcmp(argv[3], "delete") == 0);
}

int
main(int argc, char **argv)
{
	Client client = {0};
	int exit_status = 1;
	int tries = 0;

	if (!usage_is_good(argc, argv))
	{
		fputs(
			"usage: rawctl --pd host:port put KEY VALUE | get KEY | "
			"delete KEY | delete-range START END | protect SERVICE TIMESTAMP\n",
			stderr);
		return 1;
	}
	grpc_init();
	client.queue = grpc_completion_queue_create_for_next(NULL);
	client.pd = open_channel(argv[2]);
	fetch_cluster_id(&client);
	if (strcmp(argv[3], "protect") == 0)
	{
		protect(&client, argv[4], argv[5]);
		_exit(0);
	}
	while (!attempt(&client, argv + 3, &exit_status))
	{
		if (++tries == ATTEMPTS)
			die("gave up after %d attempts", tries);
		usleep(RETRY_PAUSE_US);
	}
	fflush(stdout);

	/* The process ends here; tearing gRPC down would only cost time. */
	_exit(exit_status);
}
