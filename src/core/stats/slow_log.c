/*
 * slow_log.c
 *	  The line of the log that tells of a slow request.
 */
#include "core/stats/slow_log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

typedef struct Line
{
	char *out;
	size_t len;
} Line;

static void put(Line *line, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void
put(Line *line, const char *fmt, ...)
{
	size_t room = SLOW_LOG_TEXT_SIZE - line->len;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(line->out + line->len, room, fmt, args);
	va_end(args);
	if (n > 0)
		line->len += (size_t) n < room ? (size_t) n : room - 1;
}

/* Whatever a client sends stays on one line and in ASCII. */
static void
put_key(Line *line, Bytes key)
{
	put(line, ", key \"");
	for (size_t i = 0; i < key.len && i < SLOW_LOG_KEY_BYTES; i++)
	{
		uint8_t c = key.data[i];

		if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
			put(line, "\\x%02x", (unsigned) c);
		else
			put(line, "%c", c);
	}
	put(line, "\"");
	if (key.len > SLOW_LOG_KEY_BYTES)
		put(line, "... (%zu bytes)", key.len);
}

static void
put_step(Line *line, const char *name, int64_t us)
{
	put(line, ", %s %.3f ms", name, (double) (us > 0 ? us : 0) / 1000.0);
}

/* Between `*since` and `until`, if that came to pass; it becomes *since. */
static void
put_until(Line *line, const char *name, int64_t *since, int64_t until,
		  int64_t without)
{
	if (until == 0)
		return;
	put_step(line, name, until - *since - without);
	*since = until;
}

/* What the time went to since the last step that is known. */
static const char *
last_step(const SlowRequest *request)
{
	if (request->decided_us != 0)
		return "reply";
	return request->begun_us != 0 ? "run" : "unbegun";
}

int64_t
slow_log_took_us(const SlowRequest *request)
{
	return request->answered_us - request->received_us - request->waited_us;
}

void
slow_log_text(const SlowRequest *request, char out[SLOW_LOG_TEXT_SIZE])
{
	Line line = {out, 0};
	int64_t since = request->received_us;
	int64_t total = request->answered_us - request->received_us;

	out[0] = '\0';
	put(&line, "slow request %s: %.3f ms, %s", request->method,
		(double) total / 1000.0, request->result);
	if (request->waited_us > 0)
		put_step(&line, "lock wait", request->waited_us);
	put_until(&line, "queue", &since, request->begun_us, request->waited_us);
	put_until(&line, "decide", &since, request->decided_us, 0);
	put_until(&line, "commit", &since, request->durable_us, 0);
	put_step(&line, last_step(request),
			 request->answered_us - since -
				 (request->begun_us == 0 ? request->waited_us : 0));
	if (request->region_id != 0)
		put(&line, ", region %" PRIu64, request->region_id);
	if (request->has_key)
		put_key(&line, request->key);
}
