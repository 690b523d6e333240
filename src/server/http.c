/*
 * http.c
 *	  HTTP/1.1 for a worker: requests come out, answers go in.
 *
 * A request passes between two threads and has one owner at a time:
 * libmicrohttpd's thread until it is complete, then the list of those that
 * wait, then the worker, then libmicrohttpd's thread again.  While the worker
 * has it the connection is suspended, so nothing else can happen to it.
 */
#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/check.h"
#include "server/http.h"
#include "server/http_guests.h"
#include "server/http_room.h"
#include "server/internal.h"
#include "server/tls_internal.h"

#define CONNECTION_MEMORY ((size_t) 64 * 1024)
#define MAX_URI ((size_t) 32 * 1024)

/* How long a stop waits for the last answers to be sent. */
#define STOP_ROUNDS 50
#define STOP_ROUND_MS 5

struct HttpRequest
{
	HttpServer *server;
	struct MHD_Connection *connection;
	HttpRequest *next; /* in waiting, or in taken */
	HttpRequest *prev; /* in taken */
	char *uri;
	char method[16];
	uint8_t *body;
	size_t body_len;
	size_t body_size;
	HttpPlace body_place;
	int fd; /* once it is handed over */
	bool begun;
	bool handed; /* counted in server->in_flight */
	bool answered;
	int refused; /* a status, as soon as all of it has come; 0: no */

	int status;
	const char *type;
	uint8_t *answer; /* malloc'd */
	size_t answer_len;
	HttpPlace answer_place;
};

struct HttpServer
{
	HttpConfig config;
	struct MHD_Daemon *daemon;
	TlsMaterial *first; /* the library keeps what it points to */
	HttpGuests guests;
	HttpRoom bodies;	   /* of all requests; the library's thread */
	pthread_mutex_t mutex; /* guards what follows */
	HttpRequest *waiting;
	HttpRequest **waiting_tail;
	HttpRequest *taken;
	int in_flight;	  /* handed to the worker and not finished */
	HttpRoom answers; /* given and not finished */
	bool stopping;
};

/* ---- libmicrohttpd's thread ---- */

static void
drop_body(HttpRequest *request)
{
	http_room_leave(&request->server->bodies, &request->body_place);
	free(request->body);
	request->body = NULL;
	request->body_len = request->body_size = 0;
}

static void
free_request(HttpRequest *request)
{
	if (request == NULL)
		return;
	drop_body(request);
	free(request->uri);
	free(request->answer);
	free(request);
}

/* The first that is heard of a request: its URI, before it is decoded. */
static void *
on_uri(void *cls, const char *uri, struct MHD_Connection *connection)
{
	HttpRequest *request;

	if (strlen(uri) > MAX_URI)
		return NULL;
	request = calloc(1, sizeof(*request));
	if (request == NULL)
		return NULL;
	request->server = cls;
	request->connection = connection;
	http_place_init(&request->body_place, request);
	http_place_init(&request->answer_place, request);
	request->uri = strdup(uri);
	if (request->uri != NULL)
		return request;
	free(request);
	return NULL;
}

static void
on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
			 enum MHD_RequestTerminationCode toe)
{
	HttpServer *http = cls;
	HttpRequest *request = *con_cls;

	(void) connection;
	(void) toe;
	if (request != NULL && request->handed)
	{
		pthread_mutex_lock(&http->mutex);
		http->in_flight--;
		http_room_leave(&http->answers, &request->answer_place);
		pthread_mutex_unlock(&http->mutex);
	}
	free_request(request);
	*con_cls = NULL;
}

static enum MHD_Result
send_answer(struct MHD_Connection *connection, int status, const char *type,
			void *body, size_t len, enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(len, body, mode);
	enum MHD_Result rc;

	if (response == NULL)
	{
		if (mode == MHD_RESPMEM_MUST_FREE)
			free(body);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (status == HTTP_REDIRECT)
		MHD_add_response_header(response, MHD_HTTP_HEADER_LOCATION, body);
	rc = MHD_queue_response(connection, (unsigned int) status, response);
	MHD_destroy_response(response);
	return rc;
}

static enum MHD_Result
refuse(struct MHD_Connection *connection, int status, const char *text)
{
	return send_answer(connection, status, "text/plain", (void *) text,
					   strlen(text), MHD_RESPMEM_PERSISTENT);
}

/* The body that has been coming for longest goes.  False: there is none. */
static bool
end_late_body(HttpServer *http)
{
	HttpPlace *late = http_room_late(&http->bodies);
	HttpRequest *request;

	if (late == NULL)
		return false;
	request = late->owner;
	request->refused = MHD_HTTP_SERVICE_UNAVAILABLE;
	drop_body(request);
	return true;
}

/* How much to keep ready for a body that has come so far. */
static size_t
room_for(const HttpConfig *config, size_t size)
{
	size_t most = size <= config->small && config->small < config->max_body ?
		config->small :
		config->max_body;

	return size * 2 > most ? most : size * 2;
}

/* Have room for a body of this size: 0, or what to refuse the request with. */
static int
make_room(HttpRequest *request, size_t size)
{
	HttpServer *http = request->server;
	size_t room = room_for(&http->config, size);
	uint8_t *grown;

	if (size > http->config.max_body)
		return MHD_HTTP_CONTENT_TOO_LARGE;
	if (size <= request->body_size)
		return 0;
	while (!http_room_hold(&http->bodies, &request->body_place, room))
		if (!end_late_body(http) || request->refused != 0)
			return MHD_HTTP_SERVICE_UNAVAILABLE;
	grown = realloc(request->body, room);
	if (grown == NULL)
		return MHD_HTTP_SERVICE_UNAVAILABLE;
	request->body = grown;
	request->body_size = room;
	return 0;
}

static void
keep_body(HttpRequest *request, const char *data, size_t len)
{
	if (request->refused != 0)
		return;
	request->refused = make_room(request, request->body_len + len);
	if (request->refused != 0)
	{
		drop_body(request);
		return;
	}
	memcpy(request->body + request->body_len, data, len);
	request->body_len += len;
}

/* The connection is suspended before anybody can find the request. */
static enum MHD_Result
hand_over(HttpRequest *request)
{
	HttpServer *server = request->server;
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(request->connection,
								MHD_CONNECTION_INFO_CONNECTION_FD);
	uint64_t one = 1;
	ssize_t rc;

	/* The worker reads it from here on. */
	http_room_keep(&request->body_place);
	request->fd = info->connect_fd;

	pthread_mutex_lock(&server->mutex);
	if (server->stopping)
	{
		pthread_mutex_unlock(&server->mutex);
		return refuse(request->connection, MHD_HTTP_SERVICE_UNAVAILABLE,
					  "the server is stopping");
	}
	http_guests_busy(&server->guests, request->connection, true);
	MHD_suspend_connection(request->connection);
	server->in_flight++;
	request->handed = true;
	request->next = NULL;
	*server->waiting_tail = request;
	server->waiting_tail = &request->next;
	pthread_mutex_unlock(&server->mutex);
	rc = write(server->config.wake_fd, &one, sizeof(one));
	(void) rc; /* a full counter wakes as well */
	return MHD_YES;
}

static enum MHD_Result
give_answer(HttpRequest *request)
{
	uint8_t *body = request->answer;

	http_guests_busy(&request->server->guests, request->connection, false);
	request->answer = NULL;
	drop_body(request);
	return send_answer(request->connection, request->status, request->type,
					   body, request->answer_len, MHD_RESPMEM_MUST_FREE);
}

static enum MHD_Result
on_request(void *cls, struct MHD_Connection *connection, const char *url,
		   const char *method, const char *version, const char *data,
		   size_t *data_len, void **con_cls)
{
	HttpRequest *request = *con_cls;

	(void) cls;
	(void) url;
	(void) version;
	if (request == NULL)
		return refuse(connection, MHD_HTTP_URI_TOO_LONG, "the URI is too long");
	if (!request->begun)
	{
		request->begun = true;
		snprintf(request->method, sizeof(request->method), "%s", method);
		if (request->server->config.tls != NULL &&
			!http_tls_admits(request->server->config.tls, connection))
			return refuse(connection, MHD_HTTP_FORBIDDEN,
						  "the common name of the client's certificate is not "
						  "allowed");
		return MHD_YES;
	}
	if (*data_len > 0)
	{
		keep_body(request, data, *data_len);
		*data_len = 0;
		return MHD_YES;
	}
	if (request->answered)
		return give_answer(request);
	if (request->refused != 0)
		return refuse(connection, request->refused,
					  request->refused == MHD_HTTP_CONTENT_TOO_LARGE ?
						  "the request is too large" :
						  "too many requests are being received");
	return hand_over(request);
}

/* ---- start and stop ---- */

static struct MHD_Daemon *
start_daemon(HttpServer *http, int listen_fd)
{
	unsigned int flags = MHD_USE_EPOLL | MHD_USE_INTERNAL_POLLING_THREAD |
		MHD_ALLOW_SUSPEND_RESUME;
	struct MHD_OptionItem tls_options[HTTP_TLS_OPTIONS] = {
		{MHD_OPTION_END, 0, NULL}};
	struct MHD_OptionItem options[] = {
		{MHD_OPTION_CONNECTION_LIMIT,
		 (intptr_t) http_guests_limit(http->guests.max), NULL},
		{MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t) http->config.idle_s, NULL},
		{MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t) CONNECTION_MEMORY,
		 NULL},
		{MHD_OPTION_URI_LOG_CALLBACK, (intptr_t) on_uri, http},
		{MHD_OPTION_NOTIFY_COMPLETED, (intptr_t) on_completed, http},
		{MHD_OPTION_NOTIFY_CONNECTION, (intptr_t) http_guests_notify,
		 &http->guests},
		{listen_fd < 0 ? MHD_OPTION_END : MHD_OPTION_LISTEN_SOCKET, listen_fd,
		 NULL},
		{MHD_OPTION_END, 0, NULL},
	};

	if (listen_fd < 0)
		flags |= MHD_USE_NO_LISTEN_SOCKET;
	if (http->config.tls != NULL)
	{
		flags |= MHD_USE_TLS;
		http->first = http_tls_options(http->config.tls, tls_options);
	}
	return MHD_start_daemon(flags, 0, http_guests_admit, &http->guests,
							on_request, http, MHD_OPTION_ARRAY, options,
							MHD_OPTION_ARRAY, tls_options, MHD_OPTION_END);
}

static void
free_server(HttpServer *http)
{
	if (http->first != NULL)
		tls_release(http->first);
	pthread_mutex_destroy(&http->mutex);
	http_guests_free(&http->guests);
	free(http);
}

HttpServer *
http_start(const HttpConfig *config, char *err, size_t errlen)
{
	HttpServer *http = calloc(1, sizeof(*http));
	int listen_fds[1] = {-1};
	sigset_t all;
	sigset_t saved;

	CHECK(http != NULL);
	http->config = *config;
	http->waiting_tail = &http->waiting;
	pthread_mutex_init(&http->mutex, NULL);
	http_room_init(&http->bodies, config->max_bodies, config->small,
				   config->patience_ms);
	http_room_init(&http->answers, config->max_answers, config->small,
				   config->patience_ms);
	http_guests_init(&http->guests, (unsigned int) config->max_connections,
					 config->tls);
	if (config->addr != NULL &&
		address_listen(config->addr, listen_fds, 1, NULL, err, errlen) == 0)
	{
		free_server(http);
		return NULL;
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &saved);
	http->daemon = start_daemon(http, listen_fds[0]);
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	if (http->daemon != NULL)
		return http;
	snprintf(err, errlen, "could not start the HTTP server: %s",
			 strerror(errno));
	if (listen_fds[0] >= 0)
		close(listen_fds[0]);
	free_server(http);
	return NULL;
}

static bool
all_sent(HttpServer *http)
{
	bool sent;

	pthread_mutex_lock(&http->mutex);
	sent = http->in_flight == 0;
	pthread_mutex_unlock(&http->mutex);
	return sent;
}

static HttpRequest *
first_unanswered(HttpServer *http)
{
	HttpRequest *request = http_take(http);

	if (request != NULL)
		return request;
	pthread_mutex_lock(&http->mutex);
	request = http->taken;
	pthread_mutex_unlock(&http->mutex);
	return request;
}

void
http_stop(HttpServer *http)
{
	HttpRequest *request;

	pthread_mutex_lock(&http->mutex);
	http->stopping = true;
	pthread_mutex_unlock(&http->mutex);

	/* The library insists that no connection is suspended. */
	while ((request = first_unanswered(http)) != NULL)
		http_answer(request, MHD_HTTP_SERVICE_UNAVAILABLE, "text/plain",
					bytes_cstr("the server is stopping"));
	for (int i = 0; i < STOP_ROUNDS && !all_sent(http); i++)
		(void) poll(NULL, 0, STOP_ROUND_MS);
	MHD_stop_daemon(http->daemon);
	free_server(http);
}

bool
http_adopt(HttpServer *http, int fd, const struct sockaddr *addr,
		   socklen_t addr_len)
{
	return MHD_add_connection(http->daemon, fd, addr, addr_len) == MHD_YES;
}

/* ---- the worker's thread ---- */

HttpRequest *
http_take(HttpServer *http)
{
	HttpRequest *request;

	pthread_mutex_lock(&http->mutex);
	request = http->waiting;
	if (request != NULL)
	{
		http->waiting = request->next;
		if (http->waiting == NULL)
			http->waiting_tail = &http->waiting;
		request->prev = NULL;
		request->next = http->taken;
		if (request->next != NULL)
			request->next->prev = request;
		http->taken = request;
	}
	pthread_mutex_unlock(&http->mutex);
	return request;
}

const char *
http_method(const HttpRequest *request)
{
	return request->method;
}

const char *
http_uri(const HttpRequest *request)
{
	return request->uri;
}

Bytes
http_body(const HttpRequest *request)
{
	return bytes_make(request->body, request->body_len);
}

bool
http_has_left(const HttpRequest *request)
{
	struct pollfd connection = {.fd = request->fd, .events = POLLRDHUP};

	return poll(&connection, 1, 0) > 0;
}

/*
 * The client that has been reading for longest goes, for the sake of those
 * that come later: until then the library has its answer.  Locked, so that the
 * connection is still open: on_completed comes before its end.
 */
static void
end_late_answer(HttpServer *http)
{
	HttpPlace *late = http_room_late(&http->answers);

	if (late == NULL)
		return;
	http_room_keep(late);
	(void) shutdown(((HttpRequest *) late->owner)->fd, SHUT_RDWR);
}

void
http_answer(HttpRequest *request, int status, const char *type, Bytes body)
{
	HttpServer *http = request->server;

	pthread_mutex_lock(&http->mutex);
	if (!http_room_hold(&http->answers, &request->answer_place, body.len))
	{
		end_late_answer(http);
		status = MHD_HTTP_SERVICE_UNAVAILABLE;
		type = "text/plain";
		body = bytes_cstr("too many answers wait to be read");
	}
	if (request->prev != NULL)
		request->prev->next = request->next;
	else
		http->taken = request->next;
	if (request->next != NULL)
		request->next->prev = request->prev;
	pthread_mutex_unlock(&http->mutex);

	request->answer = malloc(body.len + 1);
	CHECK(request->answer != NULL);
	if (body.len > 0)
		memcpy(request->answer, body.data, body.len);
	((char *) request->answer)[body.len] = '\0';
	request->answer_len = body.len;
	request->status = status;
	request->type = type;
	request->answered = true;
	MHD_resume_connection(request->connection);
}
