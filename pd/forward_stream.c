/*
 * forward_stream.c
 *	  Streams to the leader: heartbeats of regions, and those of clients.
 *
 * All regions of this node share one stream of heartbeats, whose orders go to
 * the store; a client that asks to be passed on has a stream of its own.
 */
#include "postgres.h"

#include <stdlib.h>

#include "bus/board.h"
#include "core/base/check.h"
#include "pd/convert.h"
#include "pd/forward.h"

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
	pd->forward->beats_not_before_us = board_now_us() + FORWARD_RETRY_US;
	pd->forward->regions_told = false;
}

static const ClientHandler beat_handler = {.message = on_order,
										   .closed = on_beats_closed};

static bool
open_beats(Pd *pd)
{
	Forward *fw = pd->forward;

	if (fw->beats == NULL && fw->channel != NULL &&
		board_now_us() >= fw->beats_not_before_us)
		fw->beats = client_stream(fw->channel, "/pdpb.PD/RegionHeartbeat", NULL,
								  &beat_handler, pd);
	return fw->beats != NULL;
}

/* Its answer is that it was passed on; the leader's come when there are any. */
void
forward_beat(Pd *pd, const PdMethod *method, Bytes bytes, const ReplyTo *to)
{
	Pdpb__RegionHeartbeatResponse response =
		PDPB__REGION_HEARTBEAT_RESPONSE__INIT;
	Pdpb__ResponseHeader header = PDPB__RESPONSE_HEADER__INIT;

	if (open_beats(pd))
		(void) client_send_bytes(pd->forward->beats,
								 forward_with_header(pd, method, bytes));
	header.cluster_id = pd->state.cluster_id;
	response.header = &header;
	pd_reply(pd, to, &response.base);
}

/* A new leader hears of the regions at once, from the board. */
void
forward_tell_regions(Pd *pd)
{
	Forward *fw = pd->forward;
	BoardStore store;
	BoardRegion *region;
	BoardWalk *walk;

	board_store(&store);
	if (fw->regions_told || store.generation == 0 ||
		store.cluster_id != pd->state.cluster_id || !open_beats(pd))
		return;
	fw->regions_told = true;
	region = palloc(sizeof(*region));
	walk = palloc0(sizeof(*walk));
	while (board_walk_next(walk, region))
	{
		Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
		Pdpb__RegionHeartbeatRequest beat =
			PDPB__REGION_HEARTBEAT_REQUEST__INIT;

		if (!region->is_leader)
			continue;
		header.cluster_id = pd->state.cluster_id;
		beat.header = &header;
		beat.region = to_region(&region->region, &pd->arena);
		beat.leader = to_peer(&region->leader, &pd->arena);
		beat.term = region->term;
		(void) client_send_bytes(fw->beats,
								 pack_message(&beat.base, &pd->arena));
	}
	pfree(region);
	pfree(walk);
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
charge_pipe(Pipe *pipe, size_t n)
{
	call_uncharge(pipe->call, pipe->charged);
	call_charge(pipe->call, n);
	pipe->charged = n;
}

void
forward_count_pipes(Forward *fw)
{
	for (Pipe *pipe = fw->pipes; pipe != NULL; pipe = pipe->next)
		if (pipe->charged != client_send_queued(pipe->upstream))
			charge_pipe(pipe, client_send_queued(pipe->upstream));
}

static void
drop_pipe(Pipe **place)
{
	Pipe *pipe = *place;

	*place = pipe->next;
	charge_pipe(pipe, 0);
	call_release(pipe->call);
	free(pipe);
}

/* The stream ends, and the client may come again. */
static void
break_pipe(Pipe *pipe, const char *why)
{
	ReplyTo to = {.call = pipe->call, .stream = true};

	pd_fail(pipe->pd, &to, RPC_UNAVAILABLE, why);
	client_drop(pipe->upstream);
	drop_pipe(find_pipe(pipe->pd->forward, pipe->call));
}

/*
 * The leader is not kept from saying more, since all that this member passes on
 * to it shares one connection with what this node asks itself.
 */
static void
on_pipe_message(ClientCall *upstream, Bytes bytes)
{
	Pipe *pipe = client_user(upstream);
	Pd *pd = pipe->pd;
	ReplyTo to = {.call = pipe->call, .stream = true};

	if (!pd_may_pass_on(pipe->call, bytes.len))
	{
		break_pipe(pipe, "too many responses wait to be read");
		return;
	}
	pd_reply_bytes(pd, &to, bytes);
	if (pd_round_is_full(pd))
		server_yield(pd->server);
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
		forward_fail(pd, &to, result);
	drop_pipe(find_pipe(pd->forward, pipe->call));
}

static const ClientHandler pipe_handler = {.message = on_pipe_message,
										   .closed = on_pipe_closed};

void
forward_stream(Pd *pd, const PdMethod *method, Bytes bytes, const ReplyTo *to)
{
	Forward *fw = pd->forward;
	ClientOptions options = {.headers = &forward_header, .n_headers = 1};
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
	if (client_send_bytes(pipe->upstream, bytes))
		charge_pipe(pipe, client_send_queued(pipe->upstream));
	else
		break_pipe(pipe, "the leader does not take more");
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

void
forward_drop_pipes(Forward *fw)
{
	while (fw->pipes != NULL)
	{
		client_drop(fw->pipes->upstream);
		drop_pipe(&fw->pipes);
	}
}
