/*
 * pd_member.h
 *	  A member of PD among others: its rounds over tables in memory, and the
 *	  other members' side of everything as an input says.
 *
 * Stands in for src/transport (tried by fuzz_transport) and the client of
 * src/server; pd_tables.h and pd_calls.h do for the rest.  pd/group*.c but for
 * its tables, round.c, peers.c, join.c and forward*.c are the real ones.  An
 * error that nobody catches ends the life of the process, and another one
 * begins with what was committed.
 */
#ifndef TIKV_FUZZ_PD_MEMBER_H
#define TIKV_FUZZ_PD_MEMBER_H

#include "pd_tables.h"

#include "core/cmd/peer_message.h"
#include "pd/adopt.h"
#include "pd/forward.h"
#include "transport/fence.h"
#include "transport/transport.h"

/* ------------------------------------------------- what else is Postgres's */

static AdoptAnswer adopt_answer;

AdoptAnswer
adopt_forget_own(const PdState *state, const char **holds)
{
	(void) state;
	*holds = "data";
	if (adopt_answer == ADOPT_DONE)
		memset(&saved_tables, 0, sizeof(saved_tables));
	return adopt_answer;
}

PdMoved
pd_data_moved(char *how, Size size)
{
	snprintf(how, size, "as told");
	return PD_MOVED_NOT;
}

uint64
GetSystemIdentifier(void)
{
	return FUZZ_CLUSTER;
}

bool
pg_strong_random(void *buf, size_t len)
{
	memset(buf, 0x55, len);
	return true;
}

void *
MemoryContextAllocHuge(MemoryContext context, Size size)
{
	return MemoryContextAlloc(context, size);
}

/* ------------------------------------------------- who asks this member */

#define BUS_ASKS 8

static bool bus_asks[BUS_ASKS];		   /* wait for an answer */
static uint8_t call_says[WORLD_CALLS]; /* 1: passed on once, 2: shall be */

void
bus_answer(const BusRequest *request, BusCode code, int grpc_code, Bytes reply)
{
	uint8_t *read = malloc(reply.len + 1);

	(void) code;
	(void) grpc_code;
	CHECK(read != NULL && request->slot < BUS_ASKS && bus_asks[request->slot]);
	if (reply.len > 0)
		memcpy(read, reply.data, reply.len);
	free(read);
	bus_asks[request->slot] = false;
}

Bytes
call_metadata(Call *call, const char *key)
{
	int bit = strcmp(key, FORWARDED_KEY) == 0 ? 1 : 2;

	return call_says[call - world_calls] & bit ? bytes_cstr("1") :
												 bytes_make(NULL, 0);
}

/* Some clients give no time, some a little. */
int64_t
call_deadline_left_us(Call *call)
{
	return (call - world_calls) % 2 == 0 ? INT64_MAX : 1500;
}

/* ------------------------------------------------ whom this member asks */

struct ClientChannel
{
	ClientChannel *next;
	bool closed;
	char address[256];
};

struct ClientCall
{
	ClientCall *next;
	ClientChannel *channel;
	const ClientHandler *handler; /* of a stream */
	ClientDone done;			  /* of a unary call */
	void *user;
	bool cancelled;
	bool half_closed;
	Bytes request; /* owned */
	size_t queued; /* of a stream: the leader reads nothing of it */
};

static ClientChannel *channels; /* closed ones too, to the end */
static ClientCall *asked;
static ClientCall *ending; /* its last callback is under way */
static int channels_opened;

ClientChannel *
client_open(Server *server, const char *addr)
{
	ClientChannel *channel = calloc(1, sizeof(*channel));

	CHECK(channel != NULL && server == &world_server);
	strncpy(channel->address, addr, sizeof(channel->address) - 1);
	channel->next = channels;
	channels = channel;
	channels_opened++;
	return channel;
}

void
client_close(ClientChannel *channel)
{
	CHECK(!channel->closed);
	channel->closed = true;
}

const char *
client_address(const ClientChannel *channel)
{
	CHECK(!channel->closed);
	return channel->address;
}

static ClientCall *
new_asked(ClientChannel *channel, const char *path, void *user)
{
	ClientCall *call = calloc(1, sizeof(*call));

	CHECK(call != NULL && !channel->closed && path[0] == '/');
	call->channel = channel;
	call->user = user;
	call->next = asked;
	asked = call;
	return call;
}

ClientCall *
client_call(ClientChannel *channel, const char *path, Bytes request,
			const ClientOptions *options, ClientDone done, void *arg)
{
	ClientCall *call = new_asked(channel, path, arg);

	CHECK(options == NULL || options->n_headers <= 1);
	call->done = done;
	call->request = fuzz_own(request);
	return call;
}

ClientCall *
client_stream(ClientChannel *channel, const char *path,
			  const ClientOptions *options, const ClientHandler *handler,
			  void *user)
{
	ClientCall *call = new_asked(channel, path, user);

	(void) options;
	call->handler = handler;
	return call;
}

void *
client_user(const ClientCall *call)
{
	return call->user;
}

bool
client_send_bytes(ClientCall *call, Bytes message)
{
	fuzz_disown(fuzz_own(message));
	if (call->cancelled || call->half_closed)
		return false;
	call->queued += message.len;
	return true;
}

size_t
client_send_queued(const ClientCall *call)
{
	return call->queued;
}

void
client_half_close(ClientCall *call)
{
	call->half_closed = true;
}

void
client_cancel(ClientCall *call)
{
	call->cancelled = true;
}

static void
forget_asked(ClientCall *call)
{
	ClientCall **place = &asked;

	while (*place != call)
	{
		CHECK(*place != NULL);
		place = &(*place)->next;
	}
	*place = call->next;
}

static void
free_asked(ClientCall *call)
{
	if (call->done != NULL)
		fuzz_disown(call->request);
	free(call);
}

void
client_drop(ClientCall *call)
{
	if (call == ending)
		return;
	forget_asked(call);
	free_asked(call);
}

/* Its last callback. */
static void
end_asked(ClientCall *call, const ClientResult *result)
{
	forget_asked(call);
	ending = call;
	if (call->done != NULL)
		call->done(call->user, result);
	else
		call->handler->closed(call, result);
	ending = NULL;
	free_asked(call);
}

/* Those whose end is known here are told of it. */
static void
end_cancelled(void)
{
	ClientResult result = {.code = RPC_CANCELLED, .text = "cancelled"};
	ClientCall *call = asked;

	while (call != NULL)
	{
		if (call->cancelled || call->channel->closed)
		{
			end_asked(call, &result);
			call = asked;
		}
		else
			call = call->next;
	}
}

/* -------------------------------------------------------------- transport */

#define STARTS 8

struct Transport
{
	bool running;
	bool deaf;		  /* the next message is not taken */
	uint8_t beat[16]; /* context of the last heartbeat */
	TransportConfig config;
	uint64_t seen[STARTS];

	/* By receiver and kind, so many messages of the group. */
	int n_sent[STARTS][RAFT_MSG_REQUEST_PRE_VOTE_RESPONSE + 1];
};

static Transport transport;

Transport *
transport_start(const TransportConfig *config)
{
	CHECK(!transport.running);
	memset(&transport, 0, sizeof(transport));
	transport.running = true;
	transport.config = *config;
	return &transport;
}

void
transport_stop(Transport *t)
{
	CHECK(t->running);
	t->running = false;
}

/* What leaves must be understood. */
bool
transport_send(Transport *t, uint64_t to_id, Bytes raft_message)
{
	bool deaf = t->deaf;
	PeerMessage m;
	Arena arena;

	arena_init(&arena);
	CHECK(t->running && to_id != t->config.self_id);
	CHECK(peer_message_decode(raft_message, &arena, &m) == STATUS_OK);
	CHECK(m.has_raft && m.to.id == to_id && m.from.id == t->config.self_id);
	if (m.raft.type == RAFT_MSG_HEARTBEAT &&
		m.raft.context.len == sizeof(t->beat))
		memcpy(t->beat, m.raft.context.data, sizeof(t->beat));
	t->n_sent[to_id % STARTS][m.raft.type]++;
	arena_free(&arena);
	t->deaf = false;
	return !deaf;
}

void
transport_run(Transport *t)
{
	CHECK(t->running);
}

void
transport_resolved(Transport *t, uint64_t id, const char *addr)
{
	(void) id;
	CHECK(t->running && (addr == NULL || strlen(addr) < SIZE_MAX));
}

void
transport_forget(Transport *t, uint64_t id)
{
	t->seen[id % STARTS] = 0;
}

uint64_t
transport_own_start(const Transport *t)
{
	return FENCE_START(t->config.start_seq, 1);
}

uint64_t
transport_seen_start(const Transport *t, uint64_t id)
{
	return t->seen[id % STARTS];
}

void
transport_know_start(Transport *t, uint64_t id, uint64_t start)
{
	CHECK(t->running);
	if (FENCE_SEQ(start) > FENCE_SEQ(t->seen[id % STARTS]))
		t->seen[id % STARTS] = start;
}

/* --------------------------------------------------- the life of a member */

static int lives;

/* As pd/worker.c up to its loop; false: not now. */
static bool
life_begin(void)
{
	Pd *pd = &world;

	lives++;
	pd_init(pd);
	pd_set_bounds(pd, 0);
	if (!pd_start(pd))
	{
		pd_free(pd);
		return false;
	}
	pd->server = &world_server;
	forward_start(pd);
	pd_note_local_regions(pd);
	return true;
}

/* As pd/worker.c after it, and what ends with the process. */
static void
life_end(void)
{
	Pd *pd = &world;

	tables_open = false;
	pd_stop(pd);
	pd->server = NULL;
	group_stop(pd);
	pd_free(pd);
	memset(bus_asks, 0, sizeof(bus_asks));
}

/* An error that nobody caught: nothing of the round is told. */
static void
life_lost(void)
{
	world.changing = false;
	pd_flush_outbox(&world, false);
	life_end();
}

/* As a turn of pd/worker.c's loop; false: this life is over. */
static bool
life_round(void)
{
	Pd *pd = &world;
	char reason[256];
	bool wrote;

	tables_were_full = false;
	end_cancelled();
	group_clock(pd);
	if (!pd_finish_round(pd, &wrote))
	{
		CHECK(tables_were_full);
		return false;
	}
	CHECK(!tables_open);
	(void) (group_sleep_us(pd) + forward_sleep_us(pd) + join_sleep_us(pd));
	if (pd->fenced[0] != '\0' && group_uncount_start(pd))
		return false;
	return !join_verdict(pd, reason, sizeof(reason));
}

#endif /* TIKV_FUZZ_PD_MEMBER_H */
