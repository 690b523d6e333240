/*
 * http2.h
 *	  HTTP/2 by hand, as clients of gRPC write it (RFC 9113, RFC 7541): frames
 *	  into a buffer or onto a socket, and the frames that come back.
 */
#ifndef TIKV_TEST_HTTP2_H
#define TIKV_TEST_HTTP2_H

#include <string.h>

#include "tcp_client.h"

enum FrameType
{
	FRAME_DATA = 0,
	FRAME_HEADERS = 1,
	FRAME_RST_STREAM = 3,
	FRAME_SETTINGS = 4,
	FRAME_PING = 6,
	FRAME_GOAWAY = 7,
	FRAME_WINDOW_UPDATE = 8,
	FRAME_CONTINUATION = 9
};

#define FLAG_END_STREAM 1
#define FLAG_ACK 1
#define FLAG_END_HEADERS 4

#define HTTP2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define HTTP2_HEAD 9 /* bytes in front of a frame's payload */

/* RST_STREAM's payload: CANCEL. */
static const uint8_t http2_cancel[4] = {0, 0, 0, 8};

/* DATA's payload: gRPC's message of no bytes. */
static const uint8_t http2_no_bytes[5] = {0, 0, 0, 0, 0};

typedef struct Frame
{
	int type; /* -1: the connection is closed */
	int flags;
	uint32_t stream;
	uint32_t len;
	uint8_t payload[65536];
} Frame;

/* ---- frames into a buffer; returns its end ---- */

static inline uint8_t *
add_frame_head(uint8_t *p, int type, int flags, uint32_t stream, uint32_t len)
{
	uint8_t head[HTTP2_HEAD] = {(uint8_t) (len >> 16),
								(uint8_t) (len >> 8),
								(uint8_t) len,
								(uint8_t) type,
								(uint8_t) flags,
								(uint8_t) (stream >> 24),
								(uint8_t) (stream >> 16),
								(uint8_t) (stream >> 8),
								(uint8_t) stream};

	return (uint8_t *) memcpy(p, head, sizeof(head)) + sizeof(head);
}

static inline uint8_t *
add_frame(uint8_t *p, int type, int flags, uint32_t stream, const void *payload,
		  uint32_t len)
{
	p = add_frame_head(p, type, flags, stream, len);
	return (uint8_t *) memcpy(p, payload, len) + len;
}

/* What a client says first: the preface, and settings without any. */
static inline uint8_t *
add_preface(uint8_t *p)
{
	p = (uint8_t *) memcpy(p, HTTP2_PREFACE, strlen(HTTP2_PREFACE)) +
		strlen(HTTP2_PREFACE);
	return add_frame_head(p, FRAME_SETTINGS, 0, 0, 0);
}

/* HPACK: a literal field that is not indexed, no Huffman code. */
static inline uint8_t *
add_field(uint8_t *p, const char *name, const char *value, size_t len)
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

static inline uint8_t *
add_text(uint8_t *p, const char *name, const char *value)
{
	return add_field(p, name, value, strlen(value));
}

/* The fields of a call over gRPC. */
static inline uint8_t *
add_call_fields(uint8_t *p, const char *path, const char *content_type)
{
	p = add_text(p, ":method", "POST");
	p = add_text(p, ":scheme", "http");
	p = add_text(p, ":path", path);
	p = add_text(p, ":authority", "anything");
	p = add_text(p, "te", "trailers");
	return add_text(p, "content-type", content_type);
}

/* ---- frames on a socket ---- */

static inline bool
write_frame(int fd, int type, int flags, uint32_t stream, const void *payload,
			uint32_t len)
{
	uint8_t head[HTTP2_HEAD];

	add_frame_head(head, type, flags, stream, len);
	return tcp_write(fd, head, sizeof(head)) && tcp_write(fd, payload, len);
}

/* The next frame; SETTINGS are acknowledged on the way. */
static inline void
read_frame(int fd, Frame *f)
{
	uint8_t h[HTTP2_HEAD];

	do
	{
		f->type = -1;
		if (!tcp_read(fd, h, sizeof(h)))
			return;
		f->len = (uint32_t) h[0] << 16 | (uint32_t) h[1] << 8 | h[2];
		f->flags = h[4];
		f->stream = (uint32_t) (h[5] & 0x7f) << 24 | (uint32_t) h[6] << 16 |
			(uint32_t) h[7] << 8 | h[8];
		if (f->len > sizeof(f->payload) || !tcp_read(fd, f->payload, f->len))
			return;
		f->type = h[3];
		if (f->type == FRAME_SETTINGS && (f->flags & FLAG_ACK) == 0)
			write_frame(fd, FRAME_SETTINGS, FLAG_ACK, 0, NULL, 0);
	} while (f->type == FRAME_SETTINGS);
}

static inline int
begin_http2(int fd)
{
	uint8_t preface[sizeof(HTTP2_PREFACE) + HTTP2_HEAD];

	tcp_write(fd, preface, (size_t) (add_preface(preface) - preface));
	return fd;
}

#endif /* TIKV_TEST_HTTP2_H */
