/*
 * echo_server.h
 *	  A TestServer with one method, /t.T/Echo, and an HTTP server beside it.
 */
#ifndef TIKV_TEST_ECHO_SERVER_H
#define TIKV_TEST_ECHO_SERVER_H

#include "server/http.h"

#include "rpc_client.h"
#include "rpc_server.h"

#define ECHO_PATH "/t.T/Echo"

static TestServer server;
static HttpServer *http; /* NULL: gRPC alone */

static inline void
echo_message(Call *call, Bytes message)
{
	call_reply_bytes(call, message);
}

/* An HTTP server that says "well" to everything. */
static inline void
echo_answer_http(TestServer *t)
{
	HttpRequest *request;

	(void) t;
	while ((request = http_take(http)) != NULL)
		http_answer(request, 200, "text/plain", bytes_cstr("well"));
}

/* Few and small, so that tests reach them. */
static inline HttpConfig
echo_http_config(void)
{
	HttpConfig config = {.max_body = 1000,
						 .max_connections = 100,
						 .idle_s = 60};

	return config;
}

/*
 * With HTTP as in `config` if that is not NULL: its requests are `answer`'s,
 * once per round.  It is on the port of gRPC unless there is TLS; then it gets
 * what it is given (http_adopt).  False, and said why, if that cannot be.
 */
static inline bool
echo_start(const char *addr, HttpConfig *config, void (*answer)(TestServer *))
{
	static const CallHandler echo = {.message = echo_message};
	static const RpcMethod methods[] = {{ECHO_PATH, RPC_UNARY, 1, &echo}};
	char err[256] = "";

	memset(&server, 0, sizeof(server));
	server.config.addr = addr;
	server.config.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	http = NULL;
	if (config != NULL)
	{
		config->wake_fd = server.config.wake_fd;
		http = http_start(config, err, sizeof(err));
		if (http == NULL)
		{
			printf("# %s\n", err);
			return false;
		}
		server.config.tls = config->tls;
		server.config.http = config->tls == NULL ? http : NULL;
		atomic_store(&server.round, answer);
	}
	return test_server_start(&server, methods, 1);
}

static inline void
echo_stop(void)
{
	test_server_stop(&server);
	if (http != NULL)
		http_stop(http);
}

/* Over a connection of its own. */
static inline bool
echo_is_heard(int timeout_ms)
{
	RpcClient client = rpc_connect_alone(server.port);
	RpcMessage reply;
	bool ok = rpc_unary(&client, ECHO_PATH, bytes_cstr("hello"), timeout_ms,
						&reply, NULL, 0) == RPC_OK &&
		reply.len == 5 && memcmp(reply.data, "hello", 5) == 0;

	free(reply.data);
	rpc_disconnect(&client);
	return ok;
}

#endif /* TIKV_TEST_ECHO_SERVER_H */
