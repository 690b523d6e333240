/*
 * test_server_flood.c
 *	  Floods from a connection's first byte, on the port that gRPC shares with
 *	  HTTP/1.1 and on one of its own: whichever thread first reads from a
 *	  connection, who opens and resets streams without end is disconnected, and
 *	  others are let in.
 */
#include "server/http.h"

#include "echo_server.h"
#include "http2.h"
#include "unit.h"

enum
{
	BURST = 100,
	MOST_STREAMS = 400000,
	FLOODS = 10
};

/* With HTTP on the same port, or gRPC alone. */
static bool
start(bool shared)
{
	HttpConfig config = echo_http_config();

	config.patience_ms = 60000;
	return echo_start("127.0.0.1:0", shared ? &config : NULL, echo_answer_http);
}

/* ---- a flood ---- */

/* Streams that are opened and reset at once, beginning with `stream`. */
static uint8_t *
add_burst(uint8_t *p, uint32_t stream)
{
	uint8_t fields[256];
	uint8_t *end = add_call_fields(fields, ECHO_PATH, "application/grpc");

	for (uint32_t i = 0; i < BURST; i++, stream += 2)
	{
		p = add_frame(p, FRAME_HEADERS, FLAG_END_HEADERS, stream, fields,
					  (uint32_t) (end - fields));
		p = add_frame(p, FRAME_DATA, FLAG_END_STREAM, stream, http2_no_bytes,
					  sizeof(http2_no_bytes));
		p = add_frame(p, FRAME_RST_STREAM, 0, stream, http2_cancel,
					  sizeof(http2_cancel));
	}
	return p;
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
	static uint8_t bytes[64 * 1024];
	int fd = tcp_connect(server.port, 30);
	uint8_t *p = add_preface(bytes);
	uint32_t stream = 1;
	bool open;

	if (fd < 0)
		abort();
	do
	{
		open = write_all(fd, bytes, add_burst(p, stream));
		p = bytes;
		stream += 2 * BURST;
	} while (open && stream < MOST_STREAMS);
	close(fd);
	return !open;
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
		served += echo_is_heard(30000);
	}
	EQ_U64(ended, FLOODS, "who floods from the first byte is disconnected");
	EQ_U64(served, FLOODS, "and others are served");
	echo_stop();
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
