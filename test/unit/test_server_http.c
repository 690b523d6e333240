/*
 * test_server_http.c
 *	  HTTP/1.1 and gRPC on one port: who gets which connection, and what slow,
 *	  silent and half-closed clients may do.
 */
#include <errno.h>
#include <sys/resource.h>

#include "server/http.h"
#include "server/internal.h"

#include "echo_server.h"
#include "http2.h"
#include "unit.h"

static HttpServer *alone; /* on a port of its own; NULL: none */
static atomic_bool hold;  /* leave requests unanswered */
static atomic_long held;
static HttpRequest *kept; /* until its client has left */
static atomic_long left;
static size_t max_bodies; /* of the next server */
static size_t max_answers;
static size_t small_size;
static int patience_ms = 60000;
static uint8_t large[8 << 20];

static HttpRequest *
take(void)
{
	HttpRequest *request = http_take(http);

	return request == NULL && alone != NULL ? http_take(alone) : request;
}

/* Answers with the method, the URI and the length of the body. */
static void
answer_http(TestServer *t)
{
	HttpRequest *request;

	(void) t;
	if (kept != NULL && http_has_left(kept))
	{
		http_answer(kept, 200, "text/plain", bytes_empty());
		kept = NULL;
		atomic_fetch_add(&left, 1);
	}
	while (!atomic_load(&hold) && (request = take()) != NULL)
	{
		char text[256];

		if (strcmp(http_uri(request), "/hold") == 0)
		{
			/* Taken and kept: http_stop answers it. */
			atomic_fetch_add(&held, 1);
			continue;
		}
		if (strcmp(http_uri(request), "/keep") == 0)
		{
			kept = request;
			atomic_fetch_add(&held, 1);
			continue;
		}
		if (strcmp(http_uri(request), "/large") == 0)
		{
			http_answer(request, 200, "text/plain",
						bytes_make(large, sizeof(large)));
			continue;
		}
		snprintf(text, sizeof(text), "%s %s %zu", http_method(request),
				 http_uri(request), http_body(request).len);
		http_answer(request, 200, "text/plain", bytes_cstr(text));
	}
}

static bool
start(const char *addr)
{
	HttpConfig config = echo_http_config();

	config.max_bodies = max_bodies;
	config.max_answers = max_answers;
	config.small = small_size;
	config.patience_ms = patience_ms;
	return echo_start(addr, &config, answer_http);
}

/* ---- a client of its own ---- */

/* -1 if it is refused. */
static int
dial_port(int port)
{
	return tcp_connect(port, 10);
}

static int
dial(void)
{
	return dial_port(server.port);
}

static void
say(int fd, const char *text)
{
	(void) !send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* Read until `wanted` is in it, the end, or a time-out. */
static bool
hear(int fd, const char *wanted)
{
	char text[4096] = "";
	size_t len = 0;
	ssize_t n;

	while (len < sizeof(text) - 1 &&
		   (n = recv(fd, text + len, sizeof(text) - 1 - len, 0)) > 0)
	{
		len += (size_t) n;
		text[len] = '\0';
		if (strstr(text, wanted) != NULL)
			return true;
	}
	printf("# heard: %s\n", text);
	return false;
}

static bool
is_closed(int fd)
{
	char c;
	ssize_t n = recv(fd, &c, 1, 0);

	return n == 0 || (n < 0 && errno == ECONNRESET);
}

static bool
get_works(void)
{
	int fd = dial();
	bool ok;

	say(fd, "GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n");
	ok = hear(fd, "GET /a?b=c 0");
	close(fd);
	return ok;
}

/* ---- checks ---- */

static void
test_both(void)
{
	int fd = dial();

	OK(get_works(), "HTTP");
	OK(echo_is_heard(10000), "gRPC");
	say(fd, "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
	OK(hear(fd, "POST /p 5"), "a body");
	say(fd, "GET /again HTTP/1.1\r\nHost: h\r\n\r\n");
	OK(hear(fd, "GET /again 0"), "the connection is kept");
	say(fd, "PRI /x HTTP/1.1\r\nHost: h\r\n\r\n");
	OK(hear(fd, "PRI /x 0"), "a strange method on it is HTTP's");
	close(fd);
	fd = dial();
	say(fd, "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 2000\r\n\r\n");
	for (int i = 0; i < 20; i++)
		say(fd,
			"0123456789012345678901234567890123456789"
			"012345678901234567890123456789012345678901234567890123456789");
	OK(hear(fd, " 413 "), "a body that is too large");
	close(fd);
	fd = dial();
	say(fd, "\026\003\001 this is TLS or nonsense\r\n\r\n");
	OK(hear(fd, " 400 ") || is_closed(fd), "nonsense is turned away");
	close(fd);
}

/* Byte by byte. */
static void
say_slowly(int fd, const char *text)
{
	for (; *text != '\0'; text++)
	{
		char one[2] = {*text, '\0'};

		say(fd, one);
		poll(NULL, 0, 2);
	}
}

static void
test_slow(void)
{
	int fd = dial();
	uint8_t frame[HTTP2_HEAD];

	say_slowly(fd, "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
	OK(hear(fd, "GET /slow 0"), "a request byte by byte");
	close(fd);

	fd = dial();
	say_slowly(fd, HTTP2_PREFACE);
	write_frame(fd, FRAME_SETTINGS, 0, 0, NULL, 0);
	OK(tcp_read(fd, frame, sizeof(frame)) && frame[3] == FRAME_SETTINGS,
	   "a preface byte by byte is answered with SETTINGS");
	close(fd);
}

static void
test_half_closed(void)
{
	int fd = dial();

	say(fd, "PRI * HT");
	shutdown(fd, SHUT_WR);
	OK(is_closed(fd), "half a preface and the end");
	close(fd);
	fd = dial();
	shutdown(fd, SHUT_WR);
	OK(is_closed(fd), "nothing and the end");
	close(fd);
	fd = dial();
	say(fd, "GET /half HTTP/1.1\r\nHost: h\r\n\r\n");
	shutdown(fd, SHUT_WR);
	OK(hear(fd, "GET /half 0"), "a request and the end");
	close(fd);
	fd = dial();
	close(fd);
	OK(get_works() && echo_is_heard(10000), "the port still works");
}

/* Each request of another client is a round, in which is looked. */
static bool
is_gone_after(int rounds)
{
	for (int i = 0; i < rounds && atomic_load(&left) == 0; i++)
		if (!get_works())
			return false;
	return atomic_load(&left) > 0;
}

/* Who waits for an answer, or has said more already, has not left. */
static void
test_who_leaves(void)
{
	for (int closes = 0; closes < 2; closes++)
	{
		int fd = dial();

		atomic_store(&held, 0);
		atomic_store(&left, 0);
		say(fd, "GET /keep HTTP/1.1\r\nHost: h\r\n\r\n");
		OK(test_wait_for(&held, 1), "a request is taken");
		OK(!is_gone_after(3), "its client waits");
		say(fd, "GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
		OK(!is_gone_after(3), "and asks for more");
		if (closes)
			close(fd);
		else
			shutdown(fd, SHUT_WR);
		OK(is_gone_after(1000), closes ? "it leaves" : "it says no more");
		if (!closes)
			close(fd);
	}
	atomic_store(&held, 0);
}

/* More silent connections than are borne: the oldest ones go. */
static void
test_many_silent(void)
{
	enum
	{
		N = 3300
	};
	static int fds[N];
	struct rlimit limit;
	int n = 0;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
	{
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	for (n = 0; n < N; n++)
	{
		fds[n] = dial();
		if (fds[n] < 0)
			break;
		if (n % 2 == 1)
			say(fds[n], "PR");
	}
	EQ_U64(n, N, "all connect");
	OK(get_works() && echo_is_heard(10000), "others are served all the same");
	OK(is_closed(fds[0]) && is_closed(fds[1]), "the oldest were sent away");
	say(fds[N - 1], "I * HTTP/1.1\r\n");
	say(fds[N - 2], "GET /late HTTP/1.1\r\nHost: h\r\n\r\n");
	OK(hear(fds[N - 2], "GET /late 0"), "the newest may still speak");
	for (int i = 0; i < n; i++)
		close(fds[i]);
	OK(get_works() && echo_is_heard(10000), "and afterwards");
}

/* Silent connections and unfinished requests, many more than have a place. */
static void
crowd(int port)
{
	int silent[40];
	int fd;

	for (int i = 0; i < 40; i++)
	{
		silent[i] = dial_port(port);
		say(silent[i], i % 2 ? "GET /unfin" : "");
	}
	fd = dial_port(port);
	say(fd, "GET /beside HTTP/1.1\r\nHost: h\r\n\r\n");
	OK(hear(fd, "GET /beside 0"), "who speaks is served beside the silent");
	close(fd);
	for (int i = 0; i < 40; i++)
		close(silent[i]);
	fd = dial_port(port);
	say(fd, "GET /after HTTP/1.1\r\nHost: h\r\n\r\n");
	OK(hear(fd, "GET /after 0"), "and when they have gone");
	close(fd);
}

/* On a port of its own, with fewer places than connections. */
static void
test_full(void)
{
	HttpConfig config = {.max_body = 1000, .max_connections = 8, .idle_s = 60};
	char addr[64];
	char err[256];
	HttpServer *small;
	int port;
	int fd;

	OK(start("127.0.0.1:0"), "start");
	if (address_listen("127.0.0.1:0", &fd, 1, &port, err, sizeof(err)) != 1)
		abort();
	close(fd);
	snprintf(addr, sizeof(addr), "127.0.0.1:%d", port);
	config.addr = addr;
	config.wake_fd = server.config.wake_fd;
	small = http_start(&config, err, sizeof(err));
	OK(small != NULL, "with eight places");
	alone = small;
	crowd(port);
	crowd(port);
	echo_stop();
	alone = NULL;
	http_stop(small);
}

static int
begin_body(void)
{
	static char bytes[901];
	int fd = dial();

	memset(bytes, 'b', 900);
	say(fd, "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 910\r\n\r\n");
	say(fd, bytes);
	return fd;
}

/* Bodies that are begun and not ended: room for three of them. */
static void
test_bodies(void)
{
	int fds[3];
	int fd;

	max_bodies = 3000;
	OK(start("127.0.0.1:0"), "start");
	for (int i = 0; i < 3; i++)
		fds[i] = begin_body();
	poll(NULL, 0, 200);
	fd = begin_body();
	say(fd, "0123456789");
	OK(hear(fd, "too many requests"), "one body more is refused");
	close(fd);
	OK(get_works(), "what has no body is not");
	say(fds[0], "0123456789");
	OK(hear(fds[0], "POST /p 910"), "those that were begun go on");
	close(fds[1]);
	poll(NULL, 0, 200);
	fd = begin_body();
	say(fd, "0123456789");
	OK(hear(fd, "POST /p 910"), "and others when there is room");
	close(fd);
	close(fds[0]);
	close(fds[2]);
	echo_stop();
	max_bodies = 0;
}

static bool
post_works(void)
{
	int fd = dial();
	bool ok;

	say(fd, "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
	ok = hear(fd, "POST /p 5");
	close(fd);
	return ok;
}

/* They fill all the room, and nothing more of them comes. */
static void
test_slow_bodies(void)
{
	int fds[4];
	int fd;

	max_bodies = 3000;
	small_size = 100;
	patience_ms = 1000;
	OK(start("127.0.0.1:0"), "start");
	for (int i = 0; i < 3; i++)
		fds[i] = begin_body();
	poll(NULL, 0, 200);
	OK(post_works(), "a small body is taken while there is no room");
	fd = begin_body();
	say(fd, "0123456789");
	OK(hear(fd, "too many requests"), "a large one is not");
	close(fd);
	poll(NULL, 0, 1200);
	fds[3] = begin_body();
	say(fds[3], "0123456789");
	OK(hear(fds[3], "POST /p 910"), "but where another has taken too long");
	say(fds[0], "0123456789");
	OK(hear(fds[0], "too many requests"), "the one that came first");
	say(fds[1], "0123456789");
	OK(hear(fds[1], "POST /p 910"), "and no other");
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	echo_stop();
	max_bodies = small_size = 0;
	patience_ms = 60000;
}

static int
ask_large(void)
{
	int fd = dial();

	say(fd, "GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
	return fd;
}

/* Read to the end: was that all of a large answer? */
static bool
hear_large(int fd)
{
	static uint8_t piece[1 << 16];
	size_t len = 0;
	ssize_t n;

	while (len < sizeof(large) && (n = recv(fd, piece, sizeof(piece), 0)) > 0)
		len += (size_t) n;
	return len >= sizeof(large);
}

/* They take all the room, and nobody reads them. */
static void
test_slow_readers(void)
{
	int fds[2];
	int fd;

	max_answers = 2 * sizeof(large);
	small_size = 1000;
	patience_ms = 1000;
	OK(start("127.0.0.1:0"), "start");
	fds[0] = ask_large();
	poll(NULL, 0, 200);
	fds[1] = ask_large();
	poll(NULL, 0, 200);
	OK(get_works(), "a small answer is given while there is no room");
	fd = ask_large();
	OK(hear(fd, "too many answers"), "a large one is not");
	close(fd);
	poll(NULL, 0, 1200);
	fd = ask_large();
	OK(hear(fd, "too many answers"), "nor where others take too long");
	close(fd);
	poll(NULL, 0, 300);
	fd = ask_large();
	OK(hear_large(fd), "but the next one is");
	close(fd);
	OK(!hear_large(fds[0]), "in place of the one that came first");
	OK(hear_large(fds[1]), "and of no other");
	close(fds[0]);
	close(fds[1]);
	echo_stop();
	max_answers = small_size = 0;
	patience_ms = 60000;
}

/* Answers of 8 MiB that nobody reads: room for two of them. */
static void
test_answers(void)
{
	int fds[2];
	int fd;

	max_answers = sizeof(large) * 5 / 2;
	OK(start("127.0.0.1:0"), "start");
	for (int i = 0; i < 2; i++)
		fds[i] = ask_large();
	poll(NULL, 0, 300);
	fd = ask_large();
	OK(hear(fd, "too many answers"), "one more is refused");
	close(fd);
	OK(get_works(), "a small one is not");
	close(fds[0]);
	poll(NULL, 0, 300);
	fd = ask_large();
	OK(hear(fd, "200 OK"), "and others when there is room");
	close(fd);
	close(fds[1]);
	echo_stop();
	max_answers = 0;
}

/* A stop answers what was taken and what waits. */
static void
test_stop(void)
{
	int taken = dial();
	int waiting = dial();

	say(taken, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
	OK(test_wait_for(&held, 1), "a request is taken and not answered");
	atomic_store(&hold, true);
	say(waiting, "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
	poll(NULL, 0, 100);
	echo_stop();
	OK(hear(taken, " 503 "), "it is not left hanging");
	OK(hear(waiting, " 503 "), "nor one that waits");
	close(taken);
	close(waiting);
	atomic_store(&hold, false);
}

static void
test_addresses(void)
{
	struct sockaddr_in6 addr = {.sin6_family = AF_INET6,
								.sin6_addr = IN6ADDR_LOOPBACK_INIT};
	char err[256];
	ServerConfig second;
	char text[64];
	int fd;

	OK(start("127.0.0.1:0"), "start");
	snprintf(text, sizeof(text), "127.0.0.1:%d", server.port);
	second = server.config;
	second.addr = text;
	OK(server_start(&second, err, sizeof(err)) == NULL &&
		   strstr(err, text) != NULL,
	   "a port that is in use is refused by name");
	echo_stop();
	if (!start("[::1]:0"))
	{
		printf("# no IPv6 here: %s\n", strerror(errno));
		return;
	}
	addr.sin6_port = htons((uint16_t) server.port);
	fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	OK(connect(fd, (struct sockaddr *) &addr, sizeof(addr)) == 0, "IPv6");
	say(fd, "GET /six HTTP/1.1\r\nHost: h\r\n\r\n");
	OK(hear(fd, "GET /six 0"), "answers");
	close(fd);
	echo_stop();
}

int
main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	grpc_init();
	OK(start("127.0.0.1:0"), "start");
	test_both();
	test_slow();
	test_half_closed();
	test_who_leaves();
	test_many_silent();
	test_stop();
	test_full();
	test_bodies();
	test_answers();
	test_slow_bodies();
	test_slow_readers();
	test_addresses();
	grpc_shutdown_blocking();
	return unit_done();
}
