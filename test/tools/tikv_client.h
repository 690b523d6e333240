/*
 * tikv_client.h
 *	  A TiKV client in one page, for the tools of scripts and for readers.
 *
 * PD names the cluster, the region that holds the key and the store that leads
 * it.  With TIKV_CA in the environment it speaks TLS; that, TIKV_CERT and
 * TIKV_KEY name PEM files, as `scripts/cluster env` prints them.
 */
#ifndef TIKV_TEST_TIKV_CLIENT_H
#define TIKV_TEST_TIKV_CLIENT_H

#include <grpc/grpc_security.h>
#include <unistd.h>

#include "grpc_call.h"
#include "kvrpcpb.pb-c.h"
#include "metapb.pb-c.h"
#include "pdpb.pb-c.h"

#define CALL_TIMEOUT_S 10
#define MAX_PEM_BYTES 65536
#define TS_LOGICAL_BITS 18

typedef struct Client
{
	grpc_completion_queue *queue;
	grpc_channel *pd;
	grpc_channel *store;
	uint64_t cluster_id;
	int timeout_s; /* of a call; 0: CALL_TIMEOUT_S */
} Client;

/* The text of a PEM file that a variable names; the process's for ever. */
static inline char *
pem_of(const char *variable)
{
	static char texts[3][MAX_PEM_BYTES];
	static int n;
	const char *path = getenv(variable);
	FILE *file = path == NULL ? NULL : fopen(path, "r");

	if (file == NULL)
		die("%s names no file that can be read: %s", variable,
			path == NULL ? "" : path);
	if (fread(texts[n], 1, MAX_PEM_BYTES - 1, file) == 0)
		die("%s names an empty file", variable);
	fclose(file);
	return texts[n++];
}

static inline grpc_channel_credentials *
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

static inline grpc_channel_credentials *
make_credentials(void)
{
	return getenv("TIKV_CA") == NULL ? grpc_insecure_credentials_create() :
									   tls_credentials();
}

static inline grpc_channel *
open_channel(const char *target)
{
	grpc_channel_credentials *credentials = make_credentials();
	grpc_arg no_limit = {.type = GRPC_ARG_INTEGER,
						 .key = (char *) GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
						 .value.integer = -1};
	grpc_channel_args args = {1, &no_limit};
	grpc_channel *channel = grpc_channel_create(target, credentials, &args);

	grpc_channel_credentials_release(credentials);
	return channel;
}

/*
 * One unary call.  Ends the program unless the status is OK.  The answer is
 * the caller's to free with protobuf_c_message_free_unpacked.
 */
static inline void *
call_unary(Client *client, grpc_channel *channel, const char *method,
		   const void *request, const ProtobufCMessageDescriptor *response)
{
	int timeout_s = client->timeout_s > 0 ? client->timeout_s : CALL_TIMEOUT_S;
	gpr_timespec deadline =
		gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
					 gpr_time_from_seconds(timeout_s, GPR_TIMESPAN));
	UnaryCall u = {0};
	void *message;

	unary_start(&u, create_call(channel, client->queue, method, deadline),
				pack(request), NULL);
	next_event(client->queue);
	if (u.status != GRPC_STATUS_OK)
		die("%s: status %d: %.*s", method, (int) u.status,
			(int) GRPC_SLICE_LENGTH(u.text),
			(const char *) GRPC_SLICE_START_PTR(u.text));
	if (u.reply == NULL)
		die("%s: no answer", method);
	message = unpack(u.reply, response);
	unary_end(&u);
	unary_free(&u);
	return message;
}

static inline void
check_header(const Pdpb__ResponseHeader *header, const char *method)
{
	if (header == NULL)
		die("%s: answer without header", method);
	if (header->error != NULL)
		die("%s: %s", method, header->error->message);
}

static inline void
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
static inline void
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
static inline Pdpb__GetRegionResponse *
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

static inline void
fill_context(Kvrpcpb__Context *context, Pdpb__GetRegionResponse *found)
{
	context->region_id = found->region->id;
	context->region_epoch = found->region->region_epoch;
	context->peer = found->leader;
	if (getenv("RAWCTL_DISK_FULL_OPT") != NULL)
		context->disk_full_opt =
			(Kvrpcpb__DiskFullOpt) atoi(getenv("RAWCTL_DISK_FULL_OPT"));
	if (getenv("RAWCTL_MAX_MS") != NULL)
		context->max_execution_duration_ms =
			(uint64_t) atoi(getenv("RAWCTL_MAX_MS"));
}

static inline uint64_t
timestamp_of(const Pdpb__Timestamp *timestamp)
{
	return (uint64_t) timestamp->physical << TS_LOGICAL_BITS |
		(uint64_t) timestamp->logical;
}

/* New timestamps; returns the last of so many. */
static inline uint64_t
take_timestamps(Client *client, uint32_t n)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__TsoRequest request = PDPB__TSO_REQUEST__INIT;
	Pdpb__TsoResponse *response;
	uint64_t last;

	header.cluster_id = client->cluster_id;
	request.header = &header;
	request.count = n;
	response = call_unary(client, client->pd, "/pdpb.PD/Tso", &request,
						  &pdpb__tso_response__descriptor);
	check_header(response->header, "Tso");
	if (response->timestamp == NULL || response->count != n)
		die("Tso: no timestamps");
	last = timestamp_of(response->timestamp);
	pdpb__tso_response__free_unpacked(response, NULL);
	return last;
}

static inline ProtobufCBinaryData
binary(char *text)
{
	ProtobufCBinaryData data = {strlen(text), (uint8_t *) text};

	return data;
}

#endif /* TIKV_TEST_TIKV_CLIENT_H */
