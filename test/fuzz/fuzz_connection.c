/*
 * fuzz_connection.c
 *	  What one client writes on a connection, on a port for gRPC and HTTP/1.1:
 *	  from the first bytes to unary calls, streams of BatchCommands and HTTP
 *	  requests.
 *
 * gRPC's and libmicrohttpd's own code is not instrumented; what the fuzzer
 * learns from is ours around it, and the sanitizers watch both.
 */
#include "messages.h"

#include <errno.h>
#include <grpc/grpc.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http2.h"
#include "kvrpcpb.pb-c.h"
#include "server/batch.h"
#include "server/tikv_methods.h"
#include "tikvpb.pb-c.h"

/* How long the server may take over what it was sent. */
#define MAX_ROUNDS 1000
#define MOMENT_US 50
#define MAX_ATTEMPTS 100000

static Server *server;
static HttpServer *http;

/* ---------------------------------------------------------------- service */

static void
submit(void *arg, Request *request)
{
	ProtobufCMessage *reply =
		arena_alloc(request->arena, request->method->response->sizeof_message);

	(void) arg;
	if (request->method->id == METHOD_RAW_DELETE)
		request->fail(request, RPC_UNAVAILABLE, "not now");
	else
	{
		request->method->response->message_init(reply);
		request->done(request, reply);
	}
}

static uint64_t
store_id(void *arg)
{
	(void) arg;
	return 1;
}

static void
start(void)
{
	static const BatchService service = {.submit = submit,
										 .store_id = store_id,
										 .max_inflight = 100};
	static ServerConfig config = {.addr = "127.0.0.1:0",
								  .parent_fd = -1,
								  .max_message = 1 << 20,
								  .max_calls = 100};
	static HttpConfig http_config = {.max_body = 4096,
									 .max_connections = 100,
									 .idle_s = 5};
	char err[256];

	grpc_init();
	config.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	http_config.wake_fd = config.wake_fd;
	http = http_start(&http_config, err, sizeof(err));
	CHECK(http != NULL);
	batch_configure(&service);
	config.http = http;
	config.methods = tikv_methods;
	config.n_methods = tikv_n_methods;
	server = server_start(&config, err, sizeof(err));
	CHECK(server != NULL);
	server_set_serving(server, true);
}

/*
 * A turn of the worker's loop, but for its sleep, which counts in
 * milliseconds: other threads only get a moment.
 */
static void
serve(void)
{
	HttpRequest *request;

	server_poll(server, 1000);
	batch_flush();
	while ((request = http_take(http)) != NULL)
		http_answer(request, 200, "text/plain", http_body(request));
	usleep(MOMENT_US);
}

/* ----------------------------------------------------------------- client */

/* -1: not now, and errno says why. */
static int
try_to_connect(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET,
							 .sin_port = htons((uint16_t) server_port(server))};
	struct linger at_once = {.l_onoff = 1};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int why;

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0)
		return -1;
	/* Or the ports of the machine would be used up waiting. */
	(void) setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	if (connect(fd, (struct sockaddr *) &sa, sizeof(sa)) == 0)
		return fd;
	why = errno;
	close(fd);
	errno = why;
	return -1;
}

/*
 * The fuzzer's alarm interrupts, and connections that ended are given up by
 * threads that may not have had their turn: so it is tried again.  A server
 * that keeps what it should give up is found out in the end.
 */
static int
connect_to_server(void)
{
	int fd;

	for (int i = 0; (fd = try_to_connect()) < 0 && i < MAX_ATTEMPTS; i++)
		serve();
	if (fd < 0)
		perror("fuzz_connection: no connection to the server");
	CHECK(fd >= 0);
	return fd;
}

/* Take what has come; false at the end. */
static bool
read_some(int fd)
{
	char bytes[4096];
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput in = fuzz_input(data, size);
	uint8_t split = fuzz_u8(&in);
	int fd;

	if (server == NULL)
		start();
	fd = connect_to_server();
	while (in.left > 0)
	{
		Bytes part = fuzz_bytes(&in, split == 0 ? in.left : split * 16);

		if (send(fd, part.data, part.len, MSG_NOSIGNAL) <= 0)
			break;
		if (in.left > 0)
			serve();
	}
	(void) shutdown(fd, SHUT_WR);
	for (int i = 0; i < MAX_ROUNDS && read_some(fd); i++)
		serve();
	close(fd);
	return 0;
}

/* ----------------------------------------------------------------- seeds */

static void
seed_frame(FuzzSeed *seed, int type, int flags, uint32_t stream, Bytes payload)
{
	uint8_t head[HTTP2_HEAD];

	add_frame_head(head, type, flags, stream, (uint32_t) payload.len);
	seed_add(seed, head, sizeof(head));
	seed_add(seed, payload.data, payload.len);
}

static void
seed_call(FuzzSeed *seed, uint32_t stream, const char *path, Bytes message,
		  int data_flags)
{
	uint8_t prefix[5] = {0, 0, 0, (uint8_t) (message.len >> 8),
						 (uint8_t) message.len};
	uint8_t fields[256];
	uint8_t *end = add_call_fields(fields, path, "application/grpc+proto");
	FuzzSeed body = {0};

	seed_frame(seed, FRAME_HEADERS, FLAG_END_HEADERS, stream,
			   bytes_make(fields, (size_t) (end - fields)));
	seed_add(&body, prefix, sizeof(prefix));
	seed_add(&body, message.data, message.len);
	seed_frame(seed, FRAME_DATA, data_flags, stream,
			   bytes_make(body.data, body.len));
	free(body.data);
}

static void
seed_grpc(const char *path, Bytes message, int split)
{
	uint8_t preface[sizeof(HTTP2_PREFACE) + HTTP2_HEAD];
	FuzzSeed seed = {0};

	seed_u8(&seed, split);
	seed_add(&seed, preface, (size_t) (add_preface(preface) - preface));
	seed_call(&seed, 1, path, message, 0);
	seed_frame(&seed, FRAME_WINDOW_UPDATE, 0, 0, bytes_make("\0\0\1\0", 4));
	seed_frame(&seed, FRAME_PING, 0, 0, bytes_make("12345678", 8));
	seed_call(&seed, 3, path, message, FLAG_END_STREAM);
	seed_frame(&seed, FRAME_RST_STREAM, 0, 1,
			   bytes_make(http2_cancel, sizeof(http2_cancel)));
	fuzz_seed(&seed);
}

static void
write_seeds(void)
{
	static const char *const requests[] =
		{"\0GET /metrics?a=b HTTP/1.1\r\nHost: a\r\n\r\n",
		 "\1POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
		 "\2PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		 "4\r\nbody\r\n0\r\n\r\n"};
	Arena arena;
	Example example = {.arena = &arena, .n_repeated = 2};

	arena_init(&arena);
	for (example.member = 0; example.member < 40; example.member += 6)
		seed_grpc("/tikvpb.Tikv/BatchCommands",
				  example_packed(&example,
								 &tikvpb__batch_commands_request__descriptor),
				  (int) example.member);
	seed_grpc("/tikvpb.Tikv/RawPut",
			  example_packed(&example, &kvrpcpb__raw_put_request__descriptor),
			  0);
	seed_grpc("/grpc.health.v1.Health/Check", bytes_empty(), 1);
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		fuzz_seed_bytes(bytes_make(requests[i], 1 + strlen(requests[i] + 1)));
	arena_free(&arena);
}
