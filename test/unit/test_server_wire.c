/*
 * test_server_wire.c
 *	  The gRPC server against bytes: HTTP/2 written by hand, as some clients
 *	  write it, and bytes that no client should send.
 */
#include "server/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "rpc_client.h"
#include "rpc_server.h"
#include "dice.h"
#include "unit.h"

enum FrameType
{
	FRAME_DATA = 0,
	FRAME_HEADERS = 1,
	FRAME_RST_STREAM = 3,
	FRAME_SETTINGS = 4,
	FRAME_PING = 6,
	FRAME_GOAWAY = 7,
	FRAME_CONTINUATION = 9
};

#define FLAG_END_STREAM 1
#define FLAG_ACK 1
#define FLAG_END_HEADERS 4

static atomic_long n_messages;

static void
echo_message(Call *call, Bytes message)
{
	atomic_fetch_add(&n_messages, 1);
	call_reply_bytes(call, message);
}

/* A call that is answered never: its client gives it up. */
static void
hold_message(Call *call, Bytes message)
{
	(void) call;
	(void) message;
	atomic_fetch_add(&n_messages, 1);
}

static const CallHandler echo = {.message = echo_message};
static const CallHandler hold = {.message = hold_message};
static const RpcMethod methods[] = {{"/test.T/Echo", RPC_UNARY, 1, &echo},
									{"/test.T/Hold", RPC_UNARY, 2, &hold}};

static TestServer t;

/* ---- HTTP/2 by hand ---- */

typedef struct Frame
{
	int type; /* -1: the connection is closed */
	int flags;
	uint32_t stream;
	uint32_t len;
	uint8_t payload[65536];
} Frame;

/* From a port of the client's; 0: any. */
static int
connect_from(int local_port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET,
							 .sin_port = htons((uint16_t) local_port)};
	struct timeval timeout = {.tv_sec = 5};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int on = 1;

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (struct sockaddr *) &sa, sizeof(sa)) != 0)
		abort();
	sa.sin_port = htons((uint16_t) t.port);
	if (connect(fd, (struct sockaddr *) &sa, sizeof(sa)) != 0)
		abort();
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	return fd;
}

static int
connect_raw(void)
{
	return connect_from(0);
}

static int
local_port_of(int fd)
{
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);

	if (getsockname(fd, (struct sockaddr *) &sa, &len) != 0)
		abort();
	return ntohs(sa.sin_port);
}

/* False if the server has closed the connection, which may well be right. */
static bool
write_all(int fd, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len > 0)
	{
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		p += n;
		len -= (size_t) n;
	}
	return true;
}

static bool
read_all(int fd, void *data, size_t len)
{
	uint8_t *p = data;

	while (len > 0)
	{
		ssize_t n = recv(fd, p, len, 0);

		if (n <= 0)
			return false;
		p += n;
		len -= (size_t) n;
	}
	return true;
}

static bool
write_frame(int fd, int type, int flags, uint32_t stream, const void *payload,
			uint32_t len)
{
	uint8_t h[9] = {(uint8_t) (len >> 16),
					(uint8_t) (len >> 8),
					(uint8_t) len,
					(uint8_t) type,
					(uint8_t) flags,
					(uint8_t) (stream >> 24),
					(uint8_t) (stream >> 16),
					(uint8_t) (stream >> 8),
					(uint8_t) stream};

	return write_all(fd, h, sizeof(h)) && write_all(fd, payload, len);
}

/* The next frame; SETTINGS are acknowledged on the way. */
static void
read_frame(int fd, Frame *f)
{
	uint8_t h[9];

	do
	{
		f->type = -1;
		if (!read_all(fd, h, sizeof(h)))
			return;
		f->len = (uint32_t) h[0] << 16 | (uint32_t) h[1] << 8 | h[2];
		f->flags = h[4];
		f->stream = (uint32_t) (h[5] & 0x7f) << 24 | (uint32_t) h[6] << 16 |
			(uint32_t) h[7] << 8 | h[8];
		if (f->len > sizeof(f->payload) || !read_all(fd, f->payload, f->len))
			return;
		f->type = h[3];
		if (f->type == FRAME_SETTINGS && (f->flags & FLAG_ACK) == 0)
			write_frame(fd, FRAME_SETTINGS, FLAG_ACK, 0, NULL, 0);
	} while (f->type == FRAME_SETTINGS);
}

static int
begin_http2(int fd)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

	write_all(fd, preface, sizeof(preface) - 1);
	write_frame(fd, FRAME_SETTINGS, 0, 0, NULL, 0);
	return fd;
}

static int
open_http2(void)
{
	return begin_http2(connect_raw());
}

/* HPACK: a literal field that is not indexed, no Huffman code. */
static uint8_t *
add_header(uint8_t *p, const char *name, const char *value, size_t len)
{
	*p++ = 0;
	*p++ = (uint8_t) strlen(name);
	p = (uint8_t *) memcpy(p, name, strlen(name)) + strlen(name);
	if (len < 127)
		*p++ = (uint8_t) len;
	else
	{
		size_t rest = len - 127;

		*p++ = 127;
		for (; rest >= 128; rest >>= 7)
			*p++ = (uint8_t) (rest | 128);
		*p++ = (uint8_t) rest;
	}
	return (uint8_t *) memcpy(p, value, len) + len;
}

static uint8_t *
add_text(uint8_t *p, const char *name, const char *value)
{
	return add_header(p, name, value, strlen(value));
}

/* The headers of a call, with one more of extra_len bytes if that is > 0. */
static uint32_t
make_headers(uint8_t *buf, const char *content_type, size_t extra_len)
{
	uint8_t *p = buf;

	p = add_text(p, ":method", "POST");
	p = add_text(p, ":scheme", "http");
	p = add_text(p, ":path", "/test.T/Echo");
	p = add_text(p, ":authority", "anything");
	p = add_text(p, "te", "trailers");
	p = add_text(p, "content-type", content_type);
	if (extra_len > 0)
	{
		char *extra = malloc(extra_len);

		memset(extra, 'x', extra_len);
		p = add_header(p, "x-extra", extra, extra_len);
		free(extra);
	}
	return (uint32_t) (p - buf);
}

static void
send_call(int fd, uint32_t stream, const char *content_type, size_t extra_len)
{
	static const uint8_t message[] = {0, 0, 0, 0, 3, 'a', 'b', 'c'};
	uint8_t *buf = malloc(4096 + extra_len);
	uint32_t len = make_headers(buf, content_type, extra_len);

	write_frame(fd, FRAME_HEADERS, FLAG_END_HEADERS, stream, buf, len);
	write_frame(fd, FRAME_DATA, FLAG_END_STREAM, stream, message,
				sizeof(message));
	free(buf);
}

/* Does the call's message come back? */
static bool
call_is_answered(int fd, uint32_t stream)
{
	static Frame f;

	for (;;)
	{
		read_frame(fd, &f);
		if (f.type < 0 || f.type == FRAME_GOAWAY || f.type == FRAME_RST_STREAM)
			return false;
		if (f.type == FRAME_DATA && f.stream == stream)
			return f.len == 8 && memcmp(f.payload + 5, "abc", 3) == 0;
		if (f.type == FRAME_HEADERS && f.stream == stream &&
			(f.flags & FLAG_END_STREAM))
			return false;
	}
}

/* ---- tests ---- */

static void
test_content_types(void)
{
	int fd = open_http2();

	send_call(fd, 1, "application/grpc", 0);
	OK(call_is_answered(fd, 1), "application/grpc is answered");
	send_call(fd, 3, "application/grpc+proto", 0);
	OK(call_is_answered(fd, 3), "application/grpc+proto is answered");
	send_call(fd, 5, "application/grpc", 8 * 1024);
	OK(call_is_answered(fd, 5), "so are 8 KiB of headers");
	close(fd);
}

static void
test_pings(void)
{
	static Frame f;
	int fd = open_http2();
	uint8_t payload[8] = {0};
	int acks = 0;
	bool goaway = false;

	for (int i = 0; i < 500; i++)
	{
		payload[0] = (uint8_t) i;
		write_frame(fd, FRAME_PING, 0, 0, payload, 8);
	}
	while (acks < 500 && !goaway)
	{
		read_frame(fd, &f);
		acks += f.type == FRAME_PING && (f.flags & FLAG_ACK);
		goaway = f.type < 0 || f.type == FRAME_GOAWAY;
	}
	EQ_U64(acks, 500, "500 pings without a call are answered");
	OK(!goaway, "and not punished");
	send_call(fd, 1, "application/grpc", 0);
	OK(call_is_answered(fd, 1), "a call goes through afterwards");
	close(fd);
}

/* Calls as usual, from a client that has nothing to do with the bad bytes. */
static bool
server_is_well(void)
{
	RpcClient client = rpc_connect(t.port, NULL);
	bool well = rpc_unary(&client, "/test.T/Echo", bytes_cstr("x"), 5000, NULL,
						  NULL, 0) == 0;

	rpc_disconnect(&client);
	return well;
}

static void
test_other_protocols(void)
{
	static const char *const texts[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
										"\x16\x03\x01\x02\x00\x01\x00",
										"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
										"",
										"\r\n\r\n",
										"PRI * HTT"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		int fd = connect_raw();

		write_all(fd, texts[i], strlen(texts[i]));
		close(fd);
	}
	OK(server_is_well(), "other protocols on the port do no harm");
}

static void
test_large_headers(void)
{
	uint8_t *buf = malloc(4096 + 16384);
	int fd = open_http2();
	uint32_t len = make_headers(buf, "application/grpc", 0);
	bool open = write_frame(fd, FRAME_HEADERS, 0, 1, buf, len);

	/*
	 * One field that claims 64 MiB, of which 1 MiB comes: gRPC 1.51 takes time
	 * quadratic in it before it gives up (CVE-2023-33953).
	 */
	memcpy(buf,
		   "\x00\x03"
		   "abc\x7f\x81\xff\xff\x1f",
		   10);
	memset(buf + 10, 'x', 16374);
	for (int i = 0; i < 64 && open; i++)
	{
		open = write_frame(fd, FRAME_CONTINUATION, 0, 1, buf, 16384);
		memset(buf, 'x', 10);
	}
	close(fd);
	free(buf);
	OK(server_is_well(), "huge headers do no harm");
}

/* A call's bytes with some replaced, or random frames after a good start. */
static void
test_random_frames(void)
{
	uint8_t buf[2048];

	for (int round = 0; round < 300; round++)
	{
		int fd = open_http2();
		uint32_t len = make_headers(buf, "application/grpc", 0);

		for (int i = 0; i < round % 5; i++)
			buf[next_random() % len] = (uint8_t) next_random();
		write_frame(fd, FRAME_HEADERS, FLAG_END_HEADERS, 1, buf, len);
		for (int i = 0; i < 8; i++)
		{
			len = (uint32_t) (next_random() % 64);
			for (uint32_t j = 0; j < len; j++)
				buf[j] = (uint8_t) next_random();
			write_frame(fd, (int) (next_random() % 12),
						(int) (next_random() % 256),
						(uint32_t) (next_random() % 4), buf, len);
		}
		close(fd);
	}
	OK(server_is_well(), "300 connections with random frames do no harm");
}

/* A message whose length prefix promises more than comes, or far too much. */
static void
test_bad_lengths(void)
{
	static const uint8_t shorter[] = {0, 0, 0, 0, 99, 'a'};
	static const uint8_t huge[] = {0, 0xff, 0xff, 0xff, 0xff, 'a'};
	uint8_t headers[512];
	uint32_t len = make_headers(headers, "application/grpc", 0);
	int fd = open_http2();
	long before = atomic_load(&n_messages);

	write_frame(fd, FRAME_HEADERS, FLAG_END_HEADERS, 1, headers, len);
	write_frame(fd, FRAME_DATA, FLAG_END_STREAM, 1, shorter, sizeof(shorter));
	OK(!call_is_answered(fd, 1), "a message cut short is not handled");
	write_frame(fd, FRAME_HEADERS, FLAG_END_HEADERS, 3, headers, len);
	write_frame(fd, FRAME_DATA, 0, 3, huge, sizeof(huge));
	OK(!call_is_answered(fd, 3), "a message of 4 GiB is refused");
	close(fd);
	EQ_U64(atomic_load(&n_messages), before, "no handler saw them");
	OK(server_is_well(), "the server is well");
}

static void
test_connections(void)
{
	enum
	{
		N = 300
	};
	int fds[N];
	bool good = true;

	for (int i = 0; i < N; i++)
		fds[i] = open_http2();
	for (int i = 0; i < N; i += 10)
	{
		send_call(fds[i], 1, "application/grpc", 0);
		good = good && call_is_answered(fds[i], 1);
	}
	OK(good, "some of 300 connections call");
	for (int i = 0; i < N; i++)
		close(fds[i]);
	OK(server_is_well(), "and all go away");
}

/* ---- who opens calls and gives them up ---- */

static uint64_t
ended_connections(void)
{
	ServerCounters counters;

	server_counters(t.server, &counters);
	return counters.ended;
}

static bool
write_reset(int fd, uint32_t stream)
{
	static const uint8_t cancel[] = {0, 0, 0, 8};

	return write_frame(fd, FRAME_RST_STREAM, 0, stream, cancel, 4);
}

static uint32_t
hold_headers(uint8_t *buf)
{
	uint32_t len = make_headers(buf, "application/grpc", 0);

	memcpy(memmem(buf, len, "/test.T/Echo", 12), "/test.T/Hold", 12);
	return len;
}

/*
 * A client that gives up what the server is working on, more often than a
 * connection is allowed at once: but it lets as many calls be answered.
 */
static void
test_cancelling_client(void)
{
	static const uint8_t message[] = {0, 0, 0, 0, 0};
	uint64_t before = ended_connections();
	uint8_t headers[512];
	uint32_t len = hold_headers(headers);
	int fd = open_http2();
	uint32_t stream = 1;
	bool good = true;

	for (int round = 0; round < 40 && good; round++, stream += 400)
	{
		long seen = atomic_load(&n_messages);

		for (uint32_t i = 0; i < 200; i += 2)
		{
			write_frame(fd, FRAME_HEADERS, FLAG_END_HEADERS, stream + i,
						headers, len);
			write_frame(fd, FRAME_DATA, FLAG_END_STREAM, stream + i, message,
						sizeof(message));
		}
		good = test_wait_for(&n_messages, seen + 100);
		for (uint32_t i = 0; i < 200; i += 2)
			good = write_reset(fd, stream + i) && good;
		for (uint32_t i = 200; i < 400; i += 2)
			send_call(fd, stream + i, "application/grpc", 0);
		good = good && call_is_answered(fd, stream + 398);
	}
	OK(good, "4000 calls are given up and 4000 answered");
	EQ_U64(ended_connections(), before, "and nobody is disconnected for it");
	close(fd);
}

/* CVE-2023-44487, without an end; `pause`: not as fast as it can. */
static void
test_rapid_reset(bool pause)
{
	enum
	{
		MOST = 4000000,
		BURST = 50
	};
	uint64_t before = ended_connections();
	uint8_t headers[512];
	uint32_t len = hold_headers(headers);
	int fd = open_http2();
	uint32_t stream = 1;
	bool open = true;

	while (open && stream < MOST)
	{
		for (int i = 0; i < BURST && open; i++, stream += 2)
			open = write_frame(fd, FRAME_HEADERS, FLAG_END_HEADERS, stream,
							   headers, len) &&
				write_reset(fd, stream);
		if (pause)
			poll(NULL, 0, 5);
	}
	OK(!open, "who resets all that it opens is disconnected");
	OK(ended_connections() > before, "and counted");
	close(fd);
	OK(server_is_well(), "others are served");
}

static bool
is_broken(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) > 0;
}

/* Give up what the server works on, until it closes the connection: does it? */
static bool
flood_with_cancels(int fd)
{
	enum
	{
		BURST = 50,
		MOST_US = 20000000
	};
	static const uint8_t message[] = {0, 0, 0, 0, 0};
	int64_t end = test_now_us() + MOST_US;
	uint8_t headers[512];
	uint32_t len = hold_headers(headers);

	for (uint32_t stream = 1; test_now_us() < end; stream += 2 * BURST)
	{
		long seen = atomic_load(&n_messages);

		for (uint32_t i = 0; i < 2 * BURST; i += 2)
		{
			write_frame(fd, FRAME_HEADERS, FLAG_END_HEADERS, stream + i,
						headers, len);
			write_frame(fd, FRAME_DATA, FLAG_END_STREAM, stream + i, message,
						sizeof(message));
		}
		while (atomic_load(&n_messages) < seen + BURST && !is_broken(fd) &&
			   test_now_us() < end)
			poll(NULL, 0, 1);
		for (uint32_t i = 0; i < 2 * BURST; i += 2)
			write_reset(fd, stream + i);
		if (is_broken(fd))
			return true;
	}
	return false;
}

/* What was ended once is known by its port, and no less a flood for that. */
static void
test_flood_comes_back(void)
{
	uint64_t before = ended_connections();
	int fd = open_http2();
	int port = local_port_of(fd);

	OK(flood_with_cancels(fd), "a flood is disconnected");
	for (uint64_t i = 1; i <= 3; i++)
	{
		EQ_U64(ended_connections(), before + i, "and counted once");
		close(fd);
		fd = begin_http2(connect_from(port));
		OK(flood_with_cancels(fd),
		   "from the same port again it is disconnected again");
	}
	close(fd);
	/* What is left of the flood may still count to the port. */
	poll(NULL, 0, 500);
	fd = begin_http2(connect_from(port));
	send_call(fd, 1, "application/grpc", 0);
	OK(call_is_answered(fd, 1), "who calls from that port then is answered");
	close(fd);
}

int
main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	grpc_init();
	OK(test_server_start(&t, methods, 2), "the server starts");
	test_content_types();
	test_pings();
	test_other_protocols();
	test_large_headers();
	test_random_frames();
	test_bad_lengths();
	test_connections();
	test_cancelling_client();
	test_rapid_reset(false);
	test_rapid_reset(true);
	test_flood_comes_back();
	test_server_stop(&t);
	grpc_shutdown();
	return unit_done();
}
