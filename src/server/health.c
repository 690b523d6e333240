/*
 * health.c
 *	  grpc.health.v1.Health for every server of ours.
 *
 * Clients ask for the service named "" only; it is SERVING or NOT_SERVING as
 * server_set_serving says.  Any other name is NOT_FOUND, or for Watch
 * SERVICE_UNKNOWN on an open stream, as the protocol wants it.
 */
#include <stdlib.h>

#include "core/base/check.h"
#include "server/internal.h"
#include "service/wire.h"

/* grpc.health.v1.HealthCheckResponse.ServingStatus */
#define STATUS_SERVING 1
#define STATUS_NOT_SERVING 2
#define STATUS_SERVICE_UNKNOWN 3

typedef struct HealthWatcher
{
	Link link; /* in server->health_watchers */
	Call *call;
} HealthWatcher;

/* HealthCheckRequest: 1 service.  False if it is no such message. */
static bool
parse_request(Bytes message, Bytes *service)
{
	WireReader r = wire_reader(message);
	WireField f;

	*service = bytes_empty();
	while (wire_read_field(&r, &f))
		if (f.number == 1 && f.type == WIRE_BYTES)
			*service = f.bytes;
	return !r.bad;
}

/* HealthCheckResponse: 1 status. */
static Bytes
response(uint8_t buf[2], int status)
{
	buf[0] = (uint8_t) wire_key(1, WIRE_VARINT);
	buf[1] = (uint8_t) status;
	return bytes_make(buf, 2);
}

static int
current_status(const Server *server)
{
	return server->serving ? STATUS_SERVING : STATUS_NOT_SERVING;
}

static void
check_message(Call *call, Bytes message)
{
	Bytes service;
	uint8_t buf[2];

	if (!parse_request(message, &service))
		call_fail(call, RPC_INVALID_ARGUMENT, "malformed request");
	else if (service.len > 0)
		call_fail(call, RPC_NOT_FOUND, "unknown service");
	else
		call_reply_bytes(call, response(buf, current_status(call->server)));
}

static void
send_status(Call *call, int status)
{
	uint8_t buf[2];

	if (!call_send_bytes(call, response(buf, status)))
		call_fail(call, RPC_RESOURCE_EXHAUSTED, "the client does not read");
}

static void
watch_message(Call *call, Bytes message)
{
	HealthWatcher *watcher;
	Bytes service;

	if (call_user(call) != NULL || !parse_request(message, &service))
	{
		call_fail(call, RPC_INVALID_ARGUMENT, "malformed request");
		return;
	}
	watcher = malloc(sizeof(*watcher));
	CHECK(watcher != NULL);
	link_init(&watcher->link);
	watcher->call = call;
	call_set_user(call, watcher);
	if (service.len > 0)
	{
		send_status(call, STATUS_SERVICE_UNKNOWN);
		return;
	}
	link_move_to(&call->server->health_watchers, &watcher->link);
	send_status(call, current_status(call->server));
}

static void
watch_closed(Call *call)
{
	HealthWatcher *watcher = call_user(call);

	if (watcher == NULL)
		return;
	link_remove(&watcher->link);
	free(watcher);
	call_set_user(call, NULL);
}

void
health_changed(Server *server)
{
	for (Link *l = server->health_watchers.next; l != &server->health_watchers;
		 l = l->next)
		send_status(((HealthWatcher *) l)->call, current_status(server));
}

static const CallHandler check_handler = {.message = check_message};
static const CallHandler watch_handler = {.message = watch_message,
										  .closed = watch_closed};

const RpcMethod health_methods[] = {
	{"/grpc.health.v1.Health/Check", RPC_UNARY, 0, &check_handler},
	{"/grpc.health.v1.Health/Watch", RPC_STREAM, 0, &watch_handler},
};
const int health_n_methods = sizeof(health_methods) / sizeof(health_methods[0]);
