/*
 * test_server_wire.c
 *	  The gRPC server against bytes: HTTP/2 written by hand, as some clients
 *	  write it, and bytes that no client should send.
 */
#include "server/server.h"

#include "rpc_client.h"
#include "rpc_server.h"
#include "dice.h"
#include "http2.h"
#include "unit.h"

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

/* From a port of the client's; 0: any. */
static int
connect_from(int local_port)
{
	int fd = tcp_connect_from(local_port, t.port, 5);

	if (fd < 0)
		abort();
	return fd;
}

static int
connect_raw(void)
{
	return connect_from(0);
}

static int
open_http2(void)
{
	return begin_http2(connect_raw());
}

/* The headers of a call, with one more of extra_len bytes if that is > 0. */
static uint32_t
make_headers(uint8_t *buf, const char *content_type, size_t extra_len)
{
	uint8_t *p = add_call_fields(buf, "/test.T/Echo", content_type);

	if (extra_len > 0)
	{
		char *extra = malloc(extra_len);

		memset(extra, 'x', extra_len);
		p = add_field(p, "x-extra", extra, extra_len);
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

		tcp_write(fd, texts[i], strlen(texts[i]));
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
	return write_frame(fd, FRAME_RST_STREAM, 0, stream, http2_cancel,
					   sizeof(http2_cancel));
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
			write_frame(fd, FRAME_DATA, FLAG_END_STREAM, stream + i,
						http2_no_bytes, sizeof(http2_no_bytes));
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
			write_frame(fd, FRAME_DATA, FLAG_END_STREAM, stream + i,
						http2_no_bytes, sizeof(http2_no_bytes));
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
	int port = tcp_local_port(fd);

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
