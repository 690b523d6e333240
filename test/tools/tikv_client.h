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

#include <errno.h>
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

#include "kvrpcpb.pb-c.h"
#include "metapb.pb-c.h"
#include "pdpb.pb-c.h"

#define CALL_TIMEOUT_S 10
#define MAX_PEM_BYTES 65536

typedef struct Client
{
	grpc_completion_queue *queue;
	grpc_channel *pd;
	grpc_channel *store;
	uint64_t cluster_id;
} Client;

static void die(const char *fmt, ...)
	__attribute__((noreturn, format(printf, 1, 2)));

static inline void
die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

/* The text of a PEM file that a variable names; the process's for ever. */
static inline char *
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

static inline grpc_channel *
open_channel(const char *target)
{
	grpc_channel_credentials *credentials = getenv("TIKV_CA") == NULL ?
		grpc_insecure_credentials_create() :
		tls_credentials();
	grpc_arg no_limit = {.type = GRPC_ARG_INTEGER,
						 .key = (char *) GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
						 .value.integer = -1};
	grpc_channel_args args = {1, &no_limit};
	grpc_channel *channel = grpc_channel_create(target, credentials, &args);

	grpc_channel_credentials_release(credentials);
	return channel;
}

static inline grpc_byte_buffer *
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

static inline ProtobufCMessage *
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
static inline void *
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

static inline ProtobufCBinaryData
binary(char *text)
{
	ProtobufCBinaryData data = {strlen(text), (uint8_t *) text};

	return data;
}

#endif /* TIKV_TEST_TIKV_CLIENT_H */
