/*
 * http.h
 *	  HTTP/1.1 for a worker: requests come out, answers go in.
 *
 * libmicrohttpd reads and writes in a thread of its own, which calls neither
 * Postgres nor the worker: a complete request is put aside and the worker is
 * woken; the worker takes it, answers it whenever it likes, and the thread
 * sends the answer.  Like the rest of this folder it builds without Postgres.
 */
#ifndef TIKV_SERVER_HTTP_H
#define TIKV_SERVER_HTTP_H

#include <sys/socket.h>

#include "core/base/bytes.h"
#include "server/tls.h"

typedef struct HttpServer HttpServer;
typedef struct HttpRequest HttpRequest;

typedef struct HttpConfig
{
	const char *addr;	 /* NULL: only what http_adopt brings */
	int wake_fd;		 /* eventfd of the worker */
	size_t max_body;	 /* bytes of a request; more: 413 */
	size_t max_bodies;	 /* of all of them; more: 503; 0: no limit */
	size_t max_answers;	 /* not taken by their clients; as max_bodies */
	size_t small;		 /* a body or answer of so many is not counted */
	int patience_ms;	 /* ... one that takes longer goes for others */
	int max_connections; /* more: the one idle longest is closed */
	unsigned int idle_s; /* a silent connection is closed */
	Tls *tls;			 /* usable; NULL: plain */
} HttpConfig;

/* NULL on failure, with a message in err. */
extern HttpServer *http_start(const HttpConfig *config, char *err,
							  size_t errlen);

/* What waits is answered with 503. */
extern void http_stop(HttpServer *http);

/* Take over a connected socket; from any thread.  Closes it on failure. */
extern bool http_adopt(HttpServer *http, int fd, const struct sockaddr *addr,
					   socklen_t addr_len);

/* ---- the worker's thread ---- */

/* The next request, which is the taker's until http_answer; NULL: none. */
extern HttpRequest *http_take(HttpServer *http);

extern const char *http_method(const HttpRequest *request);

/* Path and query as they came, nothing decoded. */
extern const char *http_uri(const HttpRequest *request);
extern Bytes http_body(const HttpRequest *request);

/*
 * Has its client closed the connection, or its side of it?  Of a request that
 * was taken and is not answered: nobody else looks then.
 */
extern bool http_has_left(const HttpRequest *request);

/* An answer whose body is the address to ask instead, by the same method. */
#define HTTP_REDIRECT 307

/*
 * Answer it, once; the body is copied.  `type` is static.  While too much
 * waits for its clients the answer is another one, 503.
 */
extern void http_answer(HttpRequest *request, int status, const char *type,
						Bytes body);

#endif /* TIKV_SERVER_HTTP_H */
