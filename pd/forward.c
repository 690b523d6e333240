/*
 * forward.c
 *	  To the leader with what this member cannot answer.
 *
 * This node's store and its SQL sessions ask their own `tikv pd` over the bus
 * and never learn who leads: here their requests go on to the leader, again
 * and again if it changes, until their time is up.  Timestamps that are asked
 * for together travel together, heartbeats of regions share one stream, whose
 * orders come back over the bus.  Clients of other members go to the leader
 * themselves ("not leader" tells them), unless they ask to be passed on
 * (metadata pd-forwarded-host, client-contract 1.15) or talk etcd, whose every
 * member answers.
 *
 * With tikv.pd_endpoints all this is what `tikv pd` does, and the leader is of
 * an external Placement Driver.
 */
#include "postgres.h"

#include <stdlib.h>

#include "bus/board.h"
#include "core/base/check.h"
#include "guc.h"
#include "pd/convert.h"
#include "pd/pd.h"
#include "server/client.h"
#include "service/service.h"

/* How long a requester on the bus is kept waiting for a leader. */
#define BUS_PATIENCE_US INT64CONST(9000000)
#define CALL_TIMEOUT_MS 3000
#define RETRY_US INT64CONST(100000)
#define ASK_US INT64CONST(500000)
#define MAX_FORWARDS 16384

/* Sent along, so that two who are wrong do not pass a call to and fro. */
#define FORWARDED_KEY "tikv-pd-forwarded"

/* A request that waits for the leader's answer, or for a leader. */
typedef struct Forwarded
{
	struct Forwarded *next;
	Pd *pd;
	ReplyTo to;
	const PdMethod *method;
	uint32 count; /* of timestamps */
	int64 until_us;
	int64 not_before_us; /* of the next attempt */
	ClientCall *call;	 /* NULL: not on its way */
	size_t len;
	uint8_t bytes[FLEXIBLE_ARRAY_MEMBER];
} Forwarded;

/* Timestamps of several requests, asked for at once. */
typedef struct TsoBatch
{
	struct TsoBatch *next;
	Forwarded *first; /* in order */
	uint32 count;
} TsoBatch;

/* A client's stream that is passed on. */
typedef struct Pipe
{
	struct Pipe *next;
	Pd *pd;
	Call *call; /* held */
	ClientCall *upstream;
} Pipe;

typedef struct Forward
{
	char leader[160]; /* host:port; empty: unknown */
	char leader_url[176];
	ClientChannel *channel; /* to it */
	Forwarded *calls;
	int n_calls;
	Forwarded *tso_wanted; /* no batch yet */
	Forwarded **tso_wanted_tail;
	TsoBatch *tso_sent;
	TsoBatch **tso_sent_tail;
	ClientCall *tso;
	ClientCall *beats;
	Pipe *pipes;
	bool regions_told; /* on this stream of heartbeats */

	/* looking for it */
	ClientChannel *asked;
	ClientCall *asking;
	int64 next_ask_us;
	int ask_at;
} Forward;

static const ClientHeader forwarded_header = {FORWARDED_KEY, "1"};

/* ---- requests ---- */

static Forwarded *
new_forwarded(Pd *pd, const PdMethod *method, Bytes bytes, const ReplyTo *to)
{
	Forwarded *f = calloc(1, offsetof(Forwarded, bytes) + bytes.len + 1);

	CHECK(f != NULL);
	f->pd = pd;
	f->to = *to;
	f->method = method;
	f->until_us = board_now_us() + BUS_PATIENCE_US;
	f->len = bytes.len;
	if (bytes.len > 0)
		memcpy(f->bytes, bytes.data, bytes.len);
	if (to->call != NULL)
		call_hold(to->call);
	pd->forward->n_calls++;
	return f;
}

static void
free_forwarded(Forwarded *f)
{
	f->pd->forward->n_calls--;
	if (f->to.call != NULL)
		call_release(f->to.call);
	free(f);
}

static void
unlink_call(Forward *fw, Forwarded *f)
{
	Forwarded **place = &fw->calls;

	while (*place != f)
		place = &(*place)->next;
	*place = f->next;
}

static void
fail(Forwarded *f, int code, const char *text)
{
	pd_fail(f->pd, &f->to, code, text);
	free_forwarded(f);
}

/* Our own processes leave out what they need not know: the cluster's id. */
static Bytes
with_header(Pd *pd, const PdMethod *method, Bytes bytes)
{
	ProtobufCMessage *message =
		service_unpack(method->request, bytes, &pd->arena);
	const ProtobufCFieldDescriptor *field;
	Pdpb__RequestHeader **header;

	if (message == NULL)
		return bytes;
	field = protobuf_c_message_descriptor_get_field(message->descriptor, 1);
	if (field == NULL || field->descriptor != &pdpb__request_header__descriptor)
		return bytes;
	header = (Pdpb__RequestHeader **) ((uint8_t *) message + field->offset);
	if (*header == NULL)
		*header = NEW_MESSAGE(&pd->arena, Pdpb__RequestHeader,
							  pdpb__request_header__init);
	if ((*header)->cluster_id == 0)
		(*header)->cluster_id = pd->state.cluster_id;
	if (method->flags & PD_NAMES_SENDER)
		(*header)->sender_id = pd->saved.member_id;
	return pack_message(message, &pd->arena);
}

/*
 * What our own processes ask may be asked again: the leader changed, or did
 * not answer in time.
 */
static bool
may_retry(const Forwarded *f, RpcCode code)
{
	return f->to.call == NULL && board_now_us() < f->until_us &&
		(code == RPC_UNAVAILABLE || code == RPC_CANCELLED ||
		 code == RPC_DEADLINE_EXCEEDED);
}

static void
on_done(void *arg, const ClientResult *result)
{
	Forwarded *f = arg;
	Pd *pd = f->pd;

	f->call = NULL;
	if (may_retry(f, result->code))
	{
		f->not_before_us = board_now_us() + RETRY_US;
		return;
	}
	unlink_call(pd->forward, f);
	if (result->code == RPC_OK)
	{
		pd_reply_bytes(pd, &f->to, result->reply);
		free_forwarded(f);
	}
	else
		fail(f, result->code, arena_strdup(&pd->arena, result->text));
}

static void
send_call(Forward *fw, Forwarded *f)
{
	ClientOptions options = {.headers = &forwarded_header,
							 .n_headers = 1,
							 .timeout_ms = CALL_TIMEOUT_MS};

	f->call = client_call(fw->channel, f->method->path,
						  bytes_make(f->bytes, f->len), &options, on_done, f);
}

static void
send_calls(Pd *pd)
{
	Forward *fw = pd->forward;
	int64 now = board_now_us();
	Forwarded *next;

	for (Forwarded *f = fw->calls; f != NULL; f = next)
	{
		next = f->next;
		if (f->call != NULL)
			continue;
		if (now >= f->until_us)
		{
			unlink_call(fw, f);
			fail(f, RPC_UNAVAILABLE, "no leader of the placement driver");
		}
		else if (fw->channel != NULL && now >= f->not_before_us)
			send_call(fw, f);
	}
}

/* ---- timestamps ---- */

static void
want_tso(Forward *fw, Forwarded *f)
{
	f->next = NULL;
	*fw->tso_wanted_tail = f;
	fw->tso_wanted_tail = &f->next;
}

static void
answer_tso(Forwarded *f, uint64 cluster_id, int64 physical, int64 logical)
{
	Pdpb__ResponseHeader header = PDPB__RESPONSE_HEADER__INIT;
	Pdpb__Timestamp timestamp = PDPB__TIMESTAMP__INIT;
	Pdpb__TsoResponse response = PDPB__TSO_RESPONSE__INIT;

	header.cluster_id = cluster_id;
	timestamp.physical = physical;
	timestamp.logical = logical;
	response.header = &header;
	response.count = f->count;
	response.timestamp = &timestamp;
	pd_reply(f->pd, &f->to, &response.base);
	free_forwarded(f);
}

/* The answer names the last of the batch; the first in order get the first. */
static void
on_tso(ClientCall *call, Bytes bytes)
{
	Pd *pd = client_user(call);
	Forward *fw = pd->forward;
	TsoBatch *batch = fw->tso_sent;
	const Pdpb__TsoResponse *in = (const Pdpb__TsoResponse *)
		service_unpack(&pdpb__tso_response__descriptor, bytes, &pd->arena);
	int64 logical;

	if (batch == NULL || in == NULL || in->timestamp == NULL ||
		in->count != batch->count ||
		in->timestamp->logical < (int64) batch->count)
	{
		client_cancel(call);
		return;
	}
	fw->tso_sent = batch->next;
	if (fw->tso_sent == NULL)
		fw->tso_sent_tail = &fw->tso_sent;
	logical = in->timestamp->logical - batch->count;
	while (batch->first != NULL)
	{
		Forwarded *f = batch->first;

		batch->first = f->next;
		logical += f->count;
		answer_tso(f, in->header == NULL ? 0 : in->header->cluster_id,
				   in->timestamp->physical, logical);
	}
	free(batch);
}

/* Nobody got a timestamp of what was under way: ask again. */
static void
recall_tso(Forward *fw)
{
	while (fw->tso_sent != NULL)
	{
		TsoBatch *batch = fw->tso_sent;
		Forwarded *last = batch->first;

		while (last->next != NULL)
			last = last->next;
		last->next = fw->tso_wanted;
		if (fw->tso_wanted == NULL)
			fw->tso_wanted_tail = &last->next;
		fw->tso_wanted = batch->first;
		fw->tso_sent = batch->next;
		free(batch);
	}
	fw->tso_sent_tail = &fw->tso_sent;
}

static void
on_tso_closed(ClientCall *call, const ClientResult *result)
{
	Pd *pd = client_user(call);

	elog(DEBUG1, "tikv pd: the leader's stream of timestamps ended: %s",
		 result->text);
	pd->forward->tso = NULL;
	recall_tso(pd->forward);
}

static const ClientHandler tso_handler = {.message = on_tso,
										  .closed = on_tso_closed};

static void
expire_tso(Forward *fw)
{
	int64 now = board_now_us();

	while (fw->tso_wanted != NULL && now >= fw->tso_wanted->until_us)
	{
		Forwarded *f = fw->tso_wanted;

		fw->tso_wanted = f->next;
		if (fw->tso_wanted == NULL)
			fw->tso_wanted_tail = &fw->tso_wanted;
		fail(f, RPC_UNAVAILABLE, "no leader of the placement driver");
	}
}

#define MAX_TSO_BATCH 100000

/* All that are wanted now, in one message. */
static TsoBatch *
make_batch(Forward *fw)
{
	TsoBatch *batch = calloc(1, sizeof(*batch));
	Forwarded *last = NULL;

	CHECK(batch != NULL);
	batch->first = fw->tso_wanted;
	while (fw->tso_wanted != NULL &&
		   (last == NULL ||
			batch->count + fw->tso_wanted->count <= MAX_TSO_BATCH))
	{
		last = fw->tso_wanted;
		batch->count += last->count;
		fw->tso_wanted = last->next;
	}
	last->next = NULL;
	if (fw->tso_wanted == NULL)
		fw->tso_wanted_tail = &fw->tso_wanted;
	return batch;
}

static void
send_tso(Pd *pd)
{
	Forward *fw = pd->forward;
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__TsoRequest request = PDPB__TSO_REQUEST__INIT;

	expire_tso(fw);
	if (fw->tso_wanted == NULL || fw->channel == NULL)
		return;
	if (fw->tso == NULL)
		fw->tso =
			client_stream(fw->channel, "/pdpb.PD/Tso", NULL, &tso_handler, pd);
	header.cluster_id = pd->state.cluster_id;
	request.header = &header;
	while (fw->tso_wanted != NULL)
	{
		TsoBatch *batch = make_batch(fw);

		*fw->tso_sent_tail = batch;
		fw->tso_sent_tail = &batch->next;
		request.count = batch->count;
		if (!client_send_bytes(fw->tso,
							   pack_message(&request.base, &pd->arena)))
			break;
	}
}

static void
forward_tso(Pd *pd, const PdMethod *method, Bytes bytes, const ReplyTo *to)
{
	const Pdpb__TsoRequest *in =
		(const Pdpb__TsoRequest *) service_unpack(method->request, bytes,
												  &pd->arena);
	Forwarded *f;

	if (in == NULL || in->count == 0 || in->count > MAX_TSO_BATCH)
	{
		pd_fail(pd, to, RPC_INVALID_ARGUMENT, "malformed request message");
		return;
	}
	f = new_forwarded(pd, method, bytes_empty(), to);
	f->count = in->count;
	want_tso(pd->forward, f);
}

/* ---- heartbeats of regions ---- */

static void
on_order(ClientCall *call, Bytes bytes)
{
	Pd *pd = client_user(call);

	pd_tell_store(pd, arena_copy(&pd->arena, bytes));
}

static void
on_beats_closed(ClientCall *call, const ClientResult *result)
{
	Pd *pd = client_user(call);

	elog(DEBUG1, "tikv pd: the leader's stream of heartbeats ended: %s",
		 result->text);
	pd->forward->beats = NULL;
	pd->forward->regions_told = false;
}

static const ClientHandler beat_handler = {.message = on_order,
										   .closed = on_beats_closed};

static bool
open_beats(Pd *pd)
{
	Forward *fw = pd->forward;

	if (fw->beats == NULL && fw->channel != NULL)
		fw->beats = client_stream(fw->channel, "/pdpb.PD/RegionHeartbeat", NULL,
								  &beat_handler, pd);
	return fw->beats != NULL;
}

/* Its answer is that it was passed on; the leader's come when there are any. */
static void
forward_beat(Pd *pd, const PdMethod *method, Bytes bytes, const ReplyTo *to)
{
	Pdpb__RegionHeartbeatResponse response =
		PDPB__REGION_HEARTBEAT_RESPONSE__INIT;
	Pdpb__ResponseHeader header = PDPB__RESPONSE_HEADER__INIT;

	if (open_beats(pd))
		(void) client_send_bytes(pd->forward->beats,
								 with_header(pd, method, bytes));
	header.cluster_id = pd->state.cluster_id;
	response.header = &header;
	pd_reply(pd, to, &response.base);
}

/* A new leader hears of the regions at once, from the board. */
static void
tell_regions(Pd *pd)
{
	Forward *fw = pd->forward;
	BoardStore store;
	BoardRegion *regions;
	int n;

	board_store(&store);
	if (fw->regions_told || store.generation == 0 ||
		store.cluster_id != pd->state.cluster_id || !open_beats(pd))
		return;
	fw->regions_told = true;
	n = board_all(&regions);
	for (int i = 0; i < n; i++)
	{
		Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
		Pdpb__RegionHeartbeatRequest beat =
			PDPB__REGION_HEARTBEAT_REQUEST__INIT;

		if (!regions[i].is_leader)
			continue;
		header.cluster_id = pd->state.cluster_id;
		beat.header = &header;
		beat.region = to_region(&regions[i].region, &pd->arena);
		beat.leader = to_peer(&regions[i].leader, &pd->arena);
		beat.term = regions[i].term;
		(void) client_send_bytes(fw->beats,
								 pack_message(&beat.base, &pd->arena));
	}
	if (regions != NULL)
		pfree(regions);
}

/* ---- streams of clients that want to be passed on ---- */

static Pipe **
find_pipe(Forward *fw, const Call *call)
{
	Pipe **place = &fw->pipes;

	while (*place != NULL && (*place)->call != call)
		place = &(*place)->next;
	return place;
}

static void
drop_pipe(Pipe **place)
{
	Pipe *pipe = *place;

	*place = pipe->next;
	call_release(pipe->call);
	free(pipe);
}

static void
on_pipe_message(ClientCall *upstream, Bytes bytes)
{
	Pipe *pipe = client_user(upstream);
	ReplyTo to = {.call = pipe->call, .stream = true};

	pd_reply_bytes(pipe->pd, &to, bytes);
}

static void
on_pipe_closed(ClientCall *upstream, const ClientResult *result)
{
	Pipe *pipe = client_user(upstream);
	Pd *pd = pipe->pd;
	ReplyTo to = {.call = pipe->call, .stream = true};

	if (result->code == RPC_OK)
		pd_finish(pd, &to);
	else
		pd_fail(pd, &to, result->code, arena_strdup(&pd->arena, result->text));
	drop_pipe(find_pipe(pd->forward, pipe->call));
}

static const ClientHandler pipe_handler = {.message = on_pipe_message,
										   .closed = on_pipe_closed};

static void
forward_stream(Pd *pd, const PdMethod *method, Bytes bytes, const ReplyTo *to)
{
	Forward *fw = pd->forward;
	ClientOptions options = {.headers = &forwarded_header, .n_headers = 1};
	Pipe *pipe = *find_pipe(fw, to->call);

	if (pipe == NULL)
	{
		pipe = calloc(1, sizeof(*pipe));
		CHECK(pipe != NULL);
		pipe->pd = pd;
		pipe->call = to->call;
		call_hold(pipe->call);
		pipe->next = fw->pipes;
		fw->pipes = pipe;
		pipe->upstream = client_stream(fw->channel, method->path, &options,
									   &pipe_handler, pipe);
	}
	(void) client_send_bytes(pipe->upstream, bytes);
}

bool
forward_half_close(Pd *pd, const ReplyTo *to)
{
	Pipe *pipe = *find_pipe(pd->forward, to->call);

	if (pipe == NULL)
		return false;
	client_half_close(pipe->upstream);
	return true;
}

void
forward_closed(Pd *pd, Call *call)
{
	Pipe **place;

	if (pd->forward == NULL)
		return;
	place = find_pipe(pd->forward, call);
	if (*place == NULL)
		return;
	client_drop((*place)->upstream);
	drop_pipe(place);
}

/* ---- what comes in ---- */

static bool
starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Clients that know members go to the leader themselves. */
static bool
passes_on(const PdMethod *method, const ReplyTo *to)
{
	if (to->call == NULL)
		return true;
	if (call_metadata(to->call, FORWARDED_KEY).data != NULL)
		return false;
	return call_metadata(to->call, "pd-forwarded-host").data != NULL ||
		starts_with(method->path, "/etcdserverpb.") ||
		starts_with(method->path, "/meta_storagepb.") ||
		starts_with(method->path, PD_OWN_SERVICE) ||
		tikv_fdw_settings.pd_endpoints[0] != '\0';
}

void
forward_request(Pd *pd, const PdMethod *method, Bytes bytes, const ReplyTo *to)
{
	Forward *fw = pd->forward;
	Forwarded *f;

	if (fw == NULL || !passes_on(method, to) ||
		(to->call != NULL && fw->channel == NULL))
		pd_fail(pd, to, RPC_UNAVAILABLE, "not leader");
	else if (fw->n_calls >= MAX_FORWARDS)
		pd_fail(pd, to, RPC_UNAVAILABLE, "too many requests wait");
	else if (method->kind == RPC_STREAM && to->call != NULL)
		forward_stream(pd, method, bytes, to);
	else if (method->request == &pdpb__tso_request__descriptor)
		forward_tso(pd, method, bytes, to);
	else if (method->request == &pdpb__region_heartbeat_request__descriptor)
		forward_beat(pd, method, bytes, to);
	else
	{
		if (to->call == NULL)
			bytes = with_header(pd, method, bytes);
		f = new_forwarded(pd, method, bytes, to);
		f->next = fw->calls;
		fw->calls = f;
	}
}

/* ---- who leads ---- */

static void
forget_streams(Forward *fw)
{
	if (fw->tso != NULL)
		client_drop(fw->tso);
	if (fw->beats != NULL)
		client_drop(fw->beats);
	fw->tso = fw->beats = NULL;
	fw->regions_told = false;
	recall_tso(fw);
}

/* host:port and URL of the leader; NULL: nobody knows. */
static void
set_leader(Pd *pd, const char *url)
{
	Forward *fw = pd->forward;
	const char *address = url == NULL ? "" : url_address(url, &pd->arena);

	if (strcmp(fw->leader, address) == 0)
		return;
	forget_streams(fw);
	if (fw->channel != NULL)
		client_close(fw->channel);
	fw->channel = NULL;
	strlcpy(fw->leader, address, sizeof(fw->leader));
	strlcpy(fw->leader_url, url == NULL ? "" : url, sizeof(fw->leader_url));
	if (address[0] != '\0')
		fw->channel = client_open(pd->server, address);
}

const char *
forward_leader_url(Pd *pd)
{
	if (pd->forward == NULL || pd->forward->leader_url[0] == '\0')
		return NULL;
	return pd->forward->leader_url;
}

static void
take_members(Pd *pd, const Pdpb__GetMembersResponse *in)
{
	const Pdpb__Member *leader = in->leader;

	if (leader == NULL || leader->n_client_urls == 0 ||
		strcmp(leader->client_urls[0], pd->client_url) == 0)
		return;
	if (pd->state.cluster_id == 0 && !pd->may_found &&
		tikv_fdw_settings.pd_endpoints[0] != '\0')
		pd->state.cluster_id = in->header->cluster_id;
	if (in->header->cluster_id == pd->state.cluster_id)
		set_leader(pd, leader->client_urls[0]);
}

static void
on_members(void *arg, const ClientResult *result)
{
	Pd *pd = arg;
	Forward *fw = pd->forward;
	const Pdpb__GetMembersResponse *in = NULL;

	fw->asking = NULL;
	if (result->code == RPC_OK)
		in = (const Pdpb__GetMembersResponse *)
			service_unpack(&pdpb__get_members_response__descriptor,
						   result->reply, &pd->arena);
	if (in != NULL && in->header != NULL && in->header->error == NULL)
		take_members(pd, in);
	client_close(fw->asked);
	fw->asked = NULL;
}

/* The next address to ask: those configured, then the members known. */
static const char *
next_address(Pd *pd)
{
	Forward *fw = pd->forward;
	const char *lists[] = {tikv_fdw_settings.pd_endpoints,
						   tikv_fdw_settings.join};
	int at = 0;

	for (int round = 0; round < 2; round++)
	{
		for (int i = 0; i < (int) lengthof(lists); i++)
		{
			char *list = arena_strdup(&pd->arena, lists[i]);
			char *rest = NULL;

			for (char *word = strtok_r(list, ", ", &rest); word != NULL;
				 word = strtok_r(NULL, ", ", &rest))
				if (at++ == fw->ask_at)
				{
					fw->ask_at++;
					return url_address(word, &pd->arena);
				}
		}
		for (size_t i = 0; i < pd->state.members.n; i++)
			if (at++ == fw->ask_at)
			{
				fw->ask_at++;
				return url_address(pd->state.members.items[i]
									   ->member.client_url,
								   &pd->arena);
			}
		fw->ask_at = at = 0;
	}
	return NULL;
}

static void
ask_around(Pd *pd)
{
	Forward *fw = pd->forward;
	ClientOptions options = {.timeout_ms = 1000};
	int64 now = board_now_us();
	const char *address;

	if (fw->asking != NULL || now < fw->next_ask_us)
		return;
	fw->next_ask_us = now + ASK_US;
	address = next_address(pd);
	if (address == NULL ||
		strcmp(address, url_address(pd->client_url, &pd->arena)) == 0)
		return;
	fw->asked = client_open(pd->server, address);
	fw->asking = client_call(fw->asked, "/pdpb.PD/GetMembers", bytes_empty(),
							 &options, on_members, pd);
}

static void
find_leader(Pd *pd)
{
	const PdMember *leader = pd_leader(pd);

	if (pd->leading)
		set_leader(pd, NULL);
	else if (leader != NULL && leader->id != pd->saved.member_id)
		set_leader(pd, leader->client_url);
	else if (pd->raft != NULL && raft_role(pd->raft) == RAFT_LEADER)
		set_leader(pd, NULL);
	else
		ask_around(pd);
}

/* Requests that came before this member led. */
static void
serve_ourselves(Pd *pd)
{
	Forward *fw = pd->forward;
	Forwarded *f;

	while (group_may_serve(pd) && (f = fw->calls) != NULL && f->call == NULL)
	{
		fw->calls = f->next;
		pd_serve(pd, f->method, bytes_make(f->bytes, f->len), &f->to);
		free_forwarded(f);
	}
	while (group_may_serve(pd) && (f = fw->tso_wanted) != NULL)
	{
		Pdpb__TsoRequest request = PDPB__TSO_REQUEST__INIT;

		fw->tso_wanted = f->next;
		if (fw->tso_wanted == NULL)
			fw->tso_wanted_tail = &fw->tso_wanted;
		request.count = f->count;
		pd_serve(pd, f->method, pack_message(&request.base, &pd->arena),
				 &f->to);
		free_forwarded(f);
	}
}

void
forward_tick(Pd *pd)
{
	if (pd->forward == NULL)
		return;
	find_leader(pd);
	if (group_may_serve(pd))
	{
		serve_ourselves(pd);
		return;
	}
	send_calls(pd);
	send_tso(pd);
	if (pd->forward->channel != NULL)
		tell_regions(pd);
}

int64
forward_sleep_us(const Pd *pd)
{
	const Forward *fw = pd->forward;

	if (fw == NULL || pd->leading)
		return -1;
	if (fw->calls != NULL || fw->tso_wanted != NULL)
		return RETRY_US / 2;
	return fw->channel == NULL ? ASK_US : -1;
}

/* ---- start and stop ---- */

void
forward_start(Pd *pd)
{
	Forward *fw = calloc(1, sizeof(*fw));

	CHECK(fw != NULL);
	fw->tso_wanted_tail = &fw->tso_wanted;
	fw->tso_sent_tail = &fw->tso_sent;
	pd->forward = fw;
}

void
forward_stop(Pd *pd)
{
	Forward *fw = pd->forward;

	if (fw == NULL)
		return;
	forget_streams(fw);
	while (fw->calls != NULL)
	{
		Forwarded *f = fw->calls;

		fw->calls = f->next;
		if (f->call != NULL)
			client_drop(f->call);
		fail(f, RPC_UNAVAILABLE, "the placement driver stops");
	}
	while (fw->tso_wanted != NULL)
	{
		Forwarded *f = fw->tso_wanted;

		fw->tso_wanted = f->next;
		fail(f, RPC_UNAVAILABLE, "the placement driver stops");
	}
	while (fw->pipes != NULL)
	{
		client_drop(fw->pipes->upstream);
		drop_pipe(&fw->pipes);
	}
	if (fw->asking != NULL)
		client_drop(fw->asking);
	if (fw->asked != NULL)
		client_close(fw->asked);
	if (fw->channel != NULL)
		client_close(fw->channel);
	free(fw);
	pd->forward = NULL;
}
