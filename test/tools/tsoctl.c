/*
 * tsoctl.c
 *	  Takes timestamps from whoever leads the Placement Driver, for a while.
 *
 * usage: tsoctl host:port[,host:port...] SECONDS
 *
 * Prints a line for each: when it was asked for and when it was there, in
 * nanoseconds of CLOCK_MONOTONIC, and the timestamp. Several of these at once
 * show whether a timestamp asked for after another was there is greater.
 * It asks any member who leads, and the leader by GetMinTS; a call that fails
 * sends it back to the members, as real clients do.
 */
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/byte_buffer_reader.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "pdpb.pb-c.h"

#define CALL_TIMEOUT_MS 1000
#define PAUSE_US 20000
#define LOGICAL_BITS 18

static grpc_completion_queue *queue;
static grpc_channel *leader;
static uint64_t cluster_id;

static int64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}

static grpc_channel *
open_channel(const char *address)
{
	grpc_channel_credentials *plain = grpc_insecure_credentials_create();
	grpc_channel *channel = grpc_channel_create(address, plain, NULL);

	grpc_channel_credentials_release(plain);
	return channel;
}

/* The answer's bytes, or NULL if the call failed. */
static grpc_byte_buffer *
call(grpc_channel *channel, const char *path, const ProtobufCMessage *request)
{
	gpr_timespec deadline =
		gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
					 gpr_time_from_millis(CALL_TIMEOUT_MS, GPR_TIMESPAN));
	grpc_call *c = grpc_channel_create_call(channel, NULL, 0, queue,
											grpc_slice_from_static_string(path),
											NULL, deadline, NULL);
	grpc_slice slice =
		grpc_slice_malloc(protobuf_c_message_get_packed_size(request));
	grpc_byte_buffer *out;
	grpc_byte_buffer *in = NULL;
	grpc_metadata_array initial;
	grpc_metadata_array trailing;
	grpc_status_code status = GRPC_STATUS_UNKNOWN;
	grpc_slice details = grpc_empty_slice();
	grpc_op ops[6];

	protobuf_c_message_pack(request, GRPC_SLICE_START_PTR(slice));
	out = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_metadata_array_init(&initial);
	grpc_metadata_array_init(&trailing);
	memset(ops, 0, sizeof(ops));
	ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
	ops[1].op = GRPC_OP_SEND_MESSAGE;
	ops[1].data.send_message.send_message = out;
	ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
	ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
	ops[3].data.recv_initial_metadata.recv_initial_metadata = &initial;
	ops[4].op = GRPC_OP_RECV_MESSAGE;
	ops[4].data.recv_message.recv_message = &in;
	ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
	ops[5].data.recv_status_on_client.trailing_metadata = &trailing;
	ops[5].data.recv_status_on_client.status = &status;
	ops[5].data.recv_status_on_client.status_details = &details;
	(void) grpc_call_start_batch(c, ops, 6, c, NULL);
	(void) grpc_completion_queue_next(queue,
									  gpr_inf_future(GPR_CLOCK_MONOTONIC),
									  NULL);
	grpc_metadata_array_destroy(&initial);
	grpc_metadata_array_destroy(&trailing);
	grpc_slice_unref(details);
	grpc_slice_unref(slice);
	grpc_byte_buffer_destroy(out);
	grpc_call_unref(c);
	if (status == GRPC_STATUS_OK)
		return in;
	if (in != NULL)
		grpc_byte_buffer_destroy(in);
	return NULL;
}

static ProtobufCMessage *
unpack(const ProtobufCMessageDescriptor *type, grpc_byte_buffer *bytes)
{
	grpc_byte_buffer_reader reader;
	ProtobufCMessage *message = NULL;
	grpc_slice all;

	if (bytes == NULL)
		return NULL;
	if (grpc_byte_buffer_reader_init(&reader, bytes))
	{
		all = grpc_byte_buffer_reader_readall(&reader);
		message = protobuf_c_message_unpack(type, NULL, GRPC_SLICE_LENGTH(all),
											GRPC_SLICE_START_PTR(all));
		grpc_slice_unref(all);
		grpc_byte_buffer_reader_destroy(&reader);
	}
	grpc_byte_buffer_destroy(bytes);
	return message;
}

/* Ask this member who leads. */
static void
ask_member(const char *address)
{
	Pdpb__GetMembersRequest request = PDPB__GET_MEMBERS_REQUEST__INIT;
	grpc_channel *member = open_channel(address);
	Pdpb__GetMembersResponse *in = (Pdpb__GetMembersResponse *)
		unpack(&pdpb__get_members_response__descriptor,
			   call(member, "/pdpb.PD/GetMembers", &request.base));

	if (in != NULL && in->leader != NULL && in->leader->n_client_urls > 0)
	{
		const char *url = in->leader->client_urls[0];
		const char *at = strstr(url, "://");

		cluster_id = in->header->cluster_id;
		leader = open_channel(at == NULL ? url : at + 3);
	}
	if (in != NULL)
		protobuf_c_message_free_unpacked(&in->base, NULL);
	grpc_channel_destroy(member);
}

static void
take_one(void)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__GetMinTSRequest request = PDPB__GET_MIN_TSREQUEST__INIT;
	int64_t asked = now_ns();
	Pdpb__GetMinTSResponse *in;

	header.cluster_id = cluster_id;
	request.header = &header;
	in =
		(Pdpb__GetMinTSResponse *) unpack(&pdpb__get_min_tsresponse__descriptor,
										  call(leader, "/pdpb.PD/GetMinTS",
											   &request.base));
	if (in != NULL && in->timestamp != NULL)
		printf("%" PRId64 " %" PRId64 " %" PRIu64 "\n", asked, now_ns(),
			   (uint64_t) in->timestamp->physical << LOGICAL_BITS |
				   (uint64_t) in->timestamp->logical);
	else
	{
		grpc_channel_destroy(leader);
		leader = NULL;
	}
	if (in != NULL)
		protobuf_c_message_free_unpacked(&in->base, NULL);
}

int
main(int argc, char **argv)
{
	int64_t until;

	if (argc != 3)
	{
		fputs("usage: tsoctl host:port[,host:port...] SECONDS\n", stderr);
		return 1;
	}
	grpc_init();
	queue = grpc_completion_queue_create_for_next(NULL);
	until = now_ns() + (int64_t) (atof(argv[2]) * 1e9);
	while (now_ns() < until)
	{
		char *list = strdup(argv[1]);
		char *rest = NULL;

		for (char *word = strtok_r(list, ",", &rest);
			 word != NULL && leader == NULL; word = strtok_r(NULL, ",", &rest))
			ask_member(word);
		free(list);
		if (leader != NULL)
			take_one();
		else
			(void) usleep(PAUSE_US);
	}
	return 0;
}
