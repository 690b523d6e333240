/*
 * test_server_flood.c
 *	  Floods from a connection's first byte, on the port that gRPC shares with
 *	  HTTP/1.1 and on one of its own: whichever thread first reads from a
 *	  connection, who opens and resets streams without end is disconnected, and
 *	  others are let in.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "server/http.h"
#include "server/internal.h"

#include "rpc_client.h"
#include "rpc_server.h"
#include "unit.h"

enum
{
	BURST = 100,
	MOST_STREAMS = 400000,
	FLOODS = 10
};

static TestServer server;
static HttpServer *http;

static void
answer_http(TestServer *t)
{
	HttpRequest *request;

	(void) t;
	while ((request = http_take(http)) != NULL)
		http_answer(request, 200, "text/plain", bytes_cstr("well"));
}

static void
echo_message(Call *call, Bytes message)
{
	call_reply_bytes(call, message);
}

static const CallHandler echo = {.message = echo_message};
static const RpcMethod methods[] = {{"/t.T/Echo", RPC_UNARY, 1, &echo}};

/* With HTTP on the same port, or gRPC alone. */
static bool
start(bool shared)
{
	HttpConfig config = {.max_body = 1000,
						 .max_connections = 100,
						 .idle_s = 60,
						 .patience_ms = 60000};
	char err[256] = "";

	memset(&server, 0, sizeof(server));
	config.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	http = shared ? http_start(&config, err, sizeof(err)) : NULL;
	if (shared && http == NULL)
	{
		printf("# %s\n", err);
		return false;
	}
	server.config.http = http;
	server.config.addr = "127.0.0.1:0";
	server.config.wake_fd = config.wake_fd;
	if (shared)
		atomic_store(&server.round, answer_http);
	return test_server_start(&server, methods, 1);
}

/* ---- HTTP/2 by hand ---- */

static uint8_t *
add_frame(uint8_t *p, uint8_t type, uint8_t flags, uint32_t stream,
		  const void *payload, uint8_t len)
{
	uint8_t h[9] = {0,
					0,
					len,
					type,
					flags,
					(uint8_t) (stream >> 24),
					(uint8_t) (stream >> 16),
					(uint8_t) (stream >> 8),
					(uint8_t) stream};

	memcpy(p, h, sizeof(h));
	memcpy(p + sizeof(h), payload, len);
	return p + sizeof(h) + len;
}

/* A literal field of HPACK that is not indexed. */
static uint8_t *
add_field(uint8_t *p, const char *name, const char *value)
{
	*p++ = 0;
	*p++ = (uint8_t) strlen(name);
	p = (uint8_t *) memcpy(p, name, strlen(name)) + strlen(name);
	*p++ = (uint8_t) strlen(value);
	return (uint8_t *) memcpy(p, value, strlen(value)) + strlen(value);
}

/* Streams that are opened and reset at once, beginning with `stream`. */
static uint8_t *
add_burst(uint8_t *p, uint32_t stream)
{
	static const uint8_t cancel[4] = {0, 0, 0, 8};
	static const uint8_t message[5] = {0, 0, 0, 0, 0};
	uint8_t headers[256];
	uint8_t *end = add_field(headers, ":method", "POST");

	end = add_field(end, ":scheme", "http");
	end = add_field(end, ":path", "/t.T/Echo");
	end = add_field(end, ":authority", "t");
	end = add_field(end, "te", "trailers");
	end = add_field(end, "content-type", "application/grpc");
	for (uint32_t i = 0; i < BURST; i++, stream += 2)
	{
		p = add_frame(p, 1, 4, stream, headers, (uint8_t) (end - headers));
		p = add_frame(p, 0, 1, stream, message, sizeof(message));
		p = add_frame(p, 3, 0, stream, cancel, sizeof(cancel));
	}
	return p;
}

static int
dial(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
							   .sin_port = htons((uint16_t) server.port)};
	struct timeval patience = {.tv_sec = 30};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *) &addr, sizeof(addr)) != 0)
		abort();
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

/* Take what is answered, as who leaves it makes the server wait. */
static void
take_answers(int fd)
{
	static uint8_t answers[1 << 20];

	(void) !recv(fd, answers, sizeof(answers), MSG_DONTWAIT);
}

static bool
write_all(int fd, const uint8_t *p, const uint8_t *end)
{
	while (p < end)
	{
		ssize_t n = send(fd, p, (size_t) (end - p), MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		p += n;
		take_answers(fd);
	}
	return true;
}

/* Is it disconnected before it has opened MOST_STREAMS? */
static bool
flood_is_ended(void)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	static uint8_t bytes[64 * 1024];
	int fd = dial();
	uint8_t *p = (uint8_t *) memcpy(bytes, preface, sizeof(preface) - 1);
	uint32_t stream = 1;
	bool open;

	p = add_frame(p + sizeof(preface) - 1, 4, 0, 0, "", 0);
	do
	{
		open = write_all(fd, bytes, add_burst(p, stream));
		p = bytes;
		stream += 2 * BURST;
	} while (open && stream < MOST_STREAMS);
	close(fd);
	return !open;
}

static bool
others_are_served(void)
{
	grpc_arg arg = {.type = GRPC_ARG_INTEGER,
					.key = (char *) GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL,
					.value.integer = 1};
	grpc_channel_args args = {1, &arg};
	RpcClient client = rpc_connect(server.port, &args);
	RpcMessage reply;
	bool ok = rpc_unary(&client, "/t.T/Echo", bytes_cstr("hello"), 30000,
						&reply, NULL, 0) == RPC_OK;

	free(reply.data);
	rpc_disconnect(&client);
	return ok;
}

static void
test_floods(bool shared)
{
	int ended = 0;
	int served = 0;

	OK(start(shared), shared ? "gRPC and HTTP" : "gRPC alone");
	for (int i = 0; i < FLOODS; i++)
	{
		ended += flood_is_ended();
		served += others_are_served();
	}
	EQ_U64(ended, FLOODS, "who floods from the first byte is disconnected");
	EQ_U64(served, FLOODS, "and others are served");
	test_server_stop(&server);
	if (http != NULL)
		http_stop(http);
}

int
main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	grpc_init();
	test_floods(true);
	test_floods(false);
	grpc_shutdown();
	return unit_done();
}
