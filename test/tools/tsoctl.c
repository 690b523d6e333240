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
#include <grpc/grpc_security.h>
#include <inttypes.h>
#include <time.h>
#include <unistd.h>

#include "grpc_call.h"
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

/* The answer, or NULL if the call failed. */
static ProtobufCMessage *
call(grpc_channel *channel, const char *path, const ProtobufCMessage *request,
	 const ProtobufCMessageDescriptor *type)
{
	gpr_timespec deadline =
		gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
					 gpr_time_from_millis(CALL_TIMEOUT_MS, GPR_TIMESPAN));
	ProtobufCMessage *answer = NULL;
	UnaryCall u = {0};

	unary_start(&u, create_call(channel, queue, path, deadline), pack(request),
				NULL);
	next_event(queue);
	if (u.status == GRPC_STATUS_OK && u.reply != NULL)
		answer = unpack(u.reply, type);
	unary_end(&u);
	unary_free(&u);
	return answer;
}

/* Ask this member who leads. */
static void
ask_member(const char *address)
{
	Pdpb__GetMembersRequest request = PDPB__GET_MEMBERS_REQUEST__INIT;
	grpc_channel *member = open_channel(address);
	Pdpb__GetMembersResponse *in = (Pdpb__GetMembersResponse *)
		call(member, "/pdpb.PD/GetMembers", &request.base,
			 &pdpb__get_members_response__descriptor);

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
	in = (Pdpb__GetMinTSResponse *) call(leader, "/pdpb.PD/GetMinTS",
										 &request.base,
										 &pdpb__get_min_tsresponse__descriptor);
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
