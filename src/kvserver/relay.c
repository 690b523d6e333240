/*
 * relay.c
 *	  Requests of this node that other stores answer.
 *
 * A call holds its slot of the bus and a copy of its request inside gRPC, so
 * both are bounded: by the slots, and by the bytes under way here.
 */
#include "postgres.h"

#include "bus/failpoints.h"
#include "core/base/rpc_code.h"
#include "guc.h"
#include "kvserver/relay.h"
#include "service/relay.h"
#include "service/service.h"

#define MAX_CHANNELS 64
#define MAX_CALLS 8192

/* What the session does not wait for any more need not be waited for here. */
#define MIN_TIMEOUT_MS 1

typedef struct RelayChannel
{
	ClientChannel *channel;
	char *address;
	uint64 used_at; /* a count, not a time */
	int n_calls;
} RelayChannel;

typedef struct RelayCall
{
	struct RelayCall *prev;
	struct RelayCall *next;
	Relay *relay;
	RelayChannel *channel;
	ClientCall *call;
	Size bytes;
	bool over_bus;
	BusRequest bus;
	ClientDone done;
	void *arg;
} RelayCall;

struct Relay
{
	Server *server;
	MemoryContext context;
	RelayChannel channels[MAX_CHANNELS];
	int n_channels;
	uint64 uses;
	RelayCall *calls;
	int n_calls;
	Size bytes;
};

Relay *
relay_start(Server *server, MemoryContext context)
{
	Relay *relay = MemoryContextAllocZero(context, sizeof(Relay));

	relay->server = server;
	relay->context = context;
	return relay;
}

/* ---------------------------------------------------------------- channels */

static void
close_channel(Relay *relay, RelayChannel *channel)
{
	client_close(channel->channel);
	pfree(channel->address);
	memset(channel, 0, sizeof(*channel));
	(void) relay;
}

/* The one that was not used for longest makes room; NULL: all are busy. */
static RelayChannel *
make_room(Relay *relay)
{
	RelayChannel *oldest = NULL;

	if (relay->n_channels < MAX_CHANNELS)
		return &relay->channels[relay->n_channels++];
	for (int i = 0; i < MAX_CHANNELS; i++)
	{
		RelayChannel *channel = &relay->channels[i];

		if (channel->n_calls == 0 &&
			(oldest == NULL || channel->used_at < oldest->used_at))
			oldest = channel;
	}
	if (oldest != NULL)
		close_channel(relay, oldest);
	return oldest;
}

static RelayChannel *
find_channel(Relay *relay, const char *address)
{
	RelayChannel *channel;

	for (int i = 0; i < relay->n_channels; i++)
	{
		channel = &relay->channels[i];
		if (strcmp(channel->address, address) == 0)
		{
			channel->used_at = ++relay->uses;
			return channel;
		}
	}
	channel = make_room(relay);
	if (channel == NULL)
		return NULL;
	channel->address = MemoryContextStrdup(relay->context, address);
	channel->channel = client_open(relay->server, address);
	channel->used_at = ++relay->uses;
	return channel;
}

/* ------------------------------------------------------------------- calls */

static void
unlink_call(RelayCall *call)
{
	Relay *relay = call->relay;

	if (call->prev != NULL)
		call->prev->next = call->next;
	else
		relay->calls = call->next;
	if (call->next != NULL)
		call->next->prev = call->prev;
	relay->n_calls--;
	relay->bytes -= call->bytes;
	call->channel->n_calls--;
	pfree(call);
}

/*
 * Source of the texts: grpc/grpc src/core/lib/surface and
 * src/core/ext/filters/client_channel (the picker of a channel in
 * TRANSIENT_FAILURE).
 */
static bool
never_connected(const ClientResult *result)
{
	return result->code == RPC_UNAVAILABLE &&
		(strncmp(result->text, "failed to connect to all addresses", 34) == 0 ||
		 strncmp(result->text, "DNS resolution failed", 21) == 0);
}

BusCode
relay_bus_code(const ClientResult *result)
{
	if (never_connected(result))
		return BUS_DOWN;
	switch ((int) result->code)
	{
		case RPC_OK:
			return BUS_OK;
		case RPC_DEADLINE_EXCEEDED:
			return BUS_TIMEOUT;
		case RPC_UNAVAILABLE:
		case RPC_CANCELLED:
			return BUS_LOST;
		default:
			return BUS_ERROR;
	}
}

static void
answer_bus(const BusRequest *bus, const ClientResult *result)
{
	BusCode code = relay_bus_code(result);

	if (code == BUS_OK)
		bus_answer(bus, code, 0, result->reply);
	else if (code == BUS_ERROR)
		bus_answer(bus, code, result->code, bytes_cstr(result->text));
	else
		bus_answer(bus, code, 0, bytes_empty());
}

static void
on_done(void *arg, const ClientResult *result)
{
	RelayCall *call = arg;
	RelayCall copy = *call;

	FAILPOINT_PASS("relay_answered");
	unlink_call(call);
	if (copy.over_bus)
		answer_bus(&copy.bus, result);
	else
		copy.done(copy.arg, result);
}

static RelayCall *
send_call(Relay *relay, const char *address, int method, Bytes message,
		  int timeout_ms)
{
	const ServiceMethod *service = service_method(method);
	ClientOptions options = {.timeout_ms = Max(timeout_ms, MIN_TIMEOUT_MS)};
	Size most = (Size) tikv_fdw_settings.bus_memory_kb * 1024;
	RelayChannel *channel;
	RelayCall *call;

	if (relay->n_calls >= MAX_CALLS ||
		(relay->bytes > 0 && relay->bytes + message.len > most))
		return NULL;
	channel = find_channel(relay, address);
	if (channel == NULL)
		return NULL;
	call = MemoryContextAllocZero(relay->context, sizeof(RelayCall));
	call->relay = relay;
	call->channel = channel;
	call->bytes = message.len;
	call->next = relay->calls;
	if (relay->calls != NULL)
		relay->calls->prev = call;
	relay->calls = call;
	relay->n_calls++;
	relay->bytes += call->bytes;
	channel->n_calls++;
	FAILPOINT_PASS("relay_before_call");
	call->call = client_call(channel->channel, service->path, message, &options,
							 on_done, call);
	return call;
}

bool
relay_call(Relay *relay, const char *address, int method, Bytes message,
		   int timeout_ms, ClientDone done, void *arg)
{
	RelayCall *call = send_call(relay, address, method, message, timeout_ms);

	if (call == NULL)
		return false;
	call->done = done;
	call->arg = arg;
	return true;
}

void
relay_take(Relay *relay, const BusRequest *bus)
{
	char address[RELAY_ADDRESS_MAX + 1];
	const ServiceMethod *method;
	RelayEnvelope envelope;
	RelayCall *call;

	if (!relay_envelope_get(bus->bytes, &envelope) ||
		(method = service_method(envelope.method)) == NULL ||
		method->path == NULL)
	{
		bus_answer(bus, BUS_ERROR, RPC_INVALID_ARGUMENT,
				   bytes_cstr("the request for another store is not readable"));
		return;
	}
	memcpy(address, envelope.address.data, envelope.address.len);
	address[envelope.address.len] = '\0';
	call = send_call(relay, address, envelope.method, envelope.message,
					 (int) Min(envelope.timeout_ms, (uint32) PG_INT32_MAX));
	if (call == NULL)
	{
		bus_answer(bus, BUS_BUSY, 0, bytes_empty());
		return;
	}
	call->over_bus = true;
	call->bus = *bus;
}

void
relay_stop(Relay *relay)
{
	ClientResult gone = {.code = RPC_CANCELLED,
						 .text = "the worker is stopping"};

	if (relay == NULL)
		return;
	while (relay->calls != NULL)
	{
		RelayCall *call = relay->calls;

		client_drop(call->call);
		on_done(call, &gone);
	}
	for (int i = 0; i < relay->n_channels; i++)
		if (relay->channels[i].channel != NULL)
			close_channel(relay, &relay->channels[i]);
	pfree(relay);
}
