/*
 * porter.c
 *	  One port for gRPC and HTTP/1.1: a thread looks at the first bytes of
 *	  each connection and hands the socket over.
 *
 * HTTP/2 begins with "PRI * HTTP/2.0"; no request of HTTP/1.1 does.  The bytes
 * are peeked at, so the one who gets the socket reads them itself.  Sockets
 * that have not said enough yet wait here, edge-triggered, so that a client
 * which sends a byte a minute costs nothing; there is a bound on how many and
 * on how long, and the one that waits longest goes first.
 *
 * The thread calls neither Postgres nor gRPC.  What speaks gRPC is left for the
 * worker, which adds it: who adds a connection reads from it at once, and from
 * one that is a flood without end, so that must be where the warden looks.
 */
#include <errno.h>
#include <fcntl.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/base/check.h"
#include "server/http.h"
#include "server/internal.h"

static const char preface[] = "PRI * HTTP/2.0\r\n";

#define MAX_LISTENERS 8
#define MAX_UNDECIDED 3072
/* A worker that has not come for so many is stuck, and cannot serve more. */
#define MAX_ARRIVED 3072
/* As long as gRPC itself waits for a handshake. */
#define PATIENCE_US INT64_C(120000000)
#define MAX_EVENTS 64
#define OUT_OF_FILES_MS 20
#define PORTER_STACK_SIZE ((size_t) 512 * 1024)

/* A connection that has not said yet what it speaks. */
typedef struct Guest
{
	Link link; /* in undecided, oldest first, or in free */
	int fd;
	int64_t since_us;
	struct sockaddr_storage addr;
	socklen_t addr_len;
} Guest;

struct Porter
{
	pthread_t thread;
	grpc_server_credentials *creds;
	HttpServer *http;
	int wake_fd;
	int epoll_fd;
	int stop_fd;
	int listeners[MAX_LISTENERS];
	int n_listeners;
	Link undecided;
	Link unused;
	Guest guests[MAX_UNDECIDED];

	pthread_mutex_t lock; /* of those who speak gRPC and wait for the worker */
	int n_arrived;
	int arrived[MAX_ARRIVED];
};

/* ---- guests ---- */

static void
leave(Porter *porter, Guest *guest)
{
	link_move_to(&porter->unused, &guest->link);
	guest->fd = -1;
}

static void
turn_away(Porter *porter, Guest *guest)
{
	close(guest->fd);
	leave(porter, guest);
}

/* Leave it to the worker. */
static void
to_grpc(Porter *porter, int fd)
{
	int on = 1;
	uint64_t one = 1;
	bool has_room;

	(void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	pthread_mutex_lock(&porter->lock);
	has_room = porter->n_arrived < MAX_ARRIVED;
	if (has_room)
		porter->arrived[porter->n_arrived++] = fd;
	pthread_mutex_unlock(&porter->lock);
	if (!has_room)
		close(fd);
	else
		/* A full counter wakes as well. */
		(void) !write(porter->wake_fd, &one, sizeof(one));
}

/* Each is a use of gRPC of its own, as the warden counts them.  Entered. */
void
porter_admit(Porter *porter, Server *server)
{
	int fds[MAX_ARRIVED];
	int n;

	pthread_mutex_lock(&porter->lock);
	n = porter->n_arrived;
	memcpy(fds, porter->arrived, (size_t) n * sizeof(*fds));
	porter->n_arrived = 0;
	pthread_mutex_unlock(&porter->lock);
	for (int i = 0; i < n; i++)
	{
		server_note_progress(server, 2);
		grpc_server_add_channel_from_fd(server->grpc, fds[i], porter->creds);
	}
}

/* The socket is on no list of ours any more when it is handed over. */
static void
hand_over(Porter *porter, Guest *guest, bool speaks_grpc)
{
	int fd = guest->fd;

	(void) epoll_ctl(porter->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	if (speaks_grpc)
		to_grpc(porter, fd);
	else
		(void) http_adopt(porter->http, fd,
						  (const struct sockaddr *) &guest->addr,
						  guest->addr_len);
	leave(porter, guest);
}

PorterVerdict
porter_verdict(Bytes said)
{
	size_t len = said.len < PORTER_PEEK ? said.len : PORTER_PEEK;

	if (len > 0 && memcmp(said.data, preface, len) != 0)
		return PORTER_HTTP;
	return len == PORTER_PEEK ? PORTER_GRPC : PORTER_WAITS;
}

/* Look at what has come; `ended`: nothing more will. */
static void
listen_to(Porter *porter, Guest *guest, bool ended)
{
	char said[PORTER_PEEK];
	PorterVerdict verdict;
	ssize_t n;

	do
		n = recv(guest->fd, said, sizeof(said), MSG_PEEK | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && !ended)
		return;
	verdict = porter_verdict(bytes_make(said, n > 0 ? (size_t) n : 0));
	if (verdict != PORTER_WAITS)
		hand_over(porter, guest, verdict == PORTER_GRPC);
	else if (n <= 0 || ended)
		turn_away(porter, guest);
}

static void
admit(Porter *porter, int fd, const struct sockaddr_storage *addr,
	  socklen_t addr_len)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET};
	Guest *guest;

	if (link_empty(&porter->unused))
		turn_away(porter, (Guest *) porter->undecided.next);
	guest = (Guest *) porter->unused.next;
	guest->fd = fd;
	guest->since_us = server_now_us();
	guest->addr = *addr;
	guest->addr_len = addr_len;
	link_move_to(&porter->undecided, &guest->link);
	event.data.ptr = guest;
	if (epoll_ctl(porter->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
		turn_away(porter, guest);
}

static void
accept_all(Porter *porter, int listener)
{
	for (int i = 0; i < MAX_EVENTS; i++)
	{
		struct sockaddr_storage addr;
		socklen_t len = sizeof(addr);
		int fd = accept4(listener, (struct sockaddr *) &addr, &len,
						 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0)
		{
			admit(porter, fd, &addr, len);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			errno == ENOMEM)
			(void) poll(NULL, 0, OUT_OF_FILES_MS);
		if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

/* ---- the thread ---- */

static void
send_away_the_silent(Porter *porter)
{
	int64_t before = server_now_us() - PATIENCE_US;

	while (!link_empty(&porter->undecided) &&
		   ((Guest *) porter->undecided.next)->since_us <= before)
		turn_away(porter, (Guest *) porter->undecided.next);
}

static int
patience_ms(const Porter *porter)
{
	int64_t left;

	if (link_empty(&porter->undecided))
		return -1;
	left = ((Guest *) porter->undecided.next)->since_us + PATIENCE_US -
		server_now_us();
	return left <= 0 ? 0 : (int) (left / 1000) + 1;
}

static bool
is_listener(const Porter *porter, const void *ptr)
{
	const int *place = ptr;

	return place >= porter->listeners &&
		place < porter->listeners + MAX_LISTENERS;
}

/*
 * Guests first: who is let in may take the place of one who is turned away,
 * and an event of that one must not be taken for the newcomer's.
 */
static bool
handle_events(Porter *porter, const struct epoll_event *events, int n)
{
	for (int i = 0; i < n; i++)
	{
		Guest *guest = events[i].data.ptr;

		if (events[i].data.ptr == porter)
			return false;
		if (!is_listener(porter, guest) && guest->fd >= 0)
			listen_to(porter, guest,
					  (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) !=
						  0);
	}
	for (int i = 0; i < n; i++)
		if (is_listener(porter, events[i].data.ptr))
			accept_all(porter, *(const int *) events[i].data.ptr);
	return true;
}

static void *
porter_main(void *arg)
{
	Porter *porter = arg;
	struct epoll_event events[MAX_EVENTS];
	int n;

	do
	{
		n = epoll_wait(porter->epoll_fd, events, MAX_EVENTS,
					   patience_ms(porter));
		send_away_the_silent(porter);
	} while (handle_events(porter, events, n));
	return NULL;
}

/* ---- start and stop ---- */

static bool
watch(Porter *porter, int fd, void *ptr)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = ptr};

	return epoll_ctl(porter->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static void
free_porter(Porter *porter)
{
	while (!link_empty(&porter->undecided))
		turn_away(porter, (Guest *) porter->undecided.next);
	for (int i = 0; i < porter->n_arrived; i++)
		close(porter->arrived[i]);
	for (int i = 0; i < porter->n_listeners; i++)
		close(porter->listeners[i]);
	if (porter->epoll_fd >= 0)
		close(porter->epoll_fd);
	if (porter->stop_fd >= 0)
		close(porter->stop_fd);
	grpc_server_credentials_release(porter->creds);
	pthread_mutex_destroy(&porter->lock);
	free(porter);
}

static bool
start_thread(Porter *porter)
{
	pthread_attr_t attr;
	int rc;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, PORTER_STACK_SIZE);
	rc = pthread_create(&porter->thread, &attr, porter_main, porter);
	pthread_attr_destroy(&attr);
	return rc == 0;
}

Porter *
porter_new(const char *addr, HttpServer *http, int wake_fd, int *port,
		   char *err, size_t errlen)
{
	Porter *porter = calloc(1, sizeof(*porter));

	CHECK(porter != NULL);
	porter->http = http;
	porter->wake_fd = wake_fd;
	pthread_mutex_init(&porter->lock, NULL);
	porter->creds = grpc_insecure_server_credentials_create();
	porter->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	porter->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	link_init(&porter->undecided);
	link_init(&porter->unused);
	for (int i = 0; i < MAX_UNDECIDED; i++)
	{
		porter->guests[i].fd = -1;
		link_init(&porter->guests[i].link);
		link_move_to(&porter->unused, &porter->guests[i].link);
	}
	porter->n_listeners = address_listen(addr, porter->listeners, MAX_LISTENERS,
										 port, err, errlen);
	if (porter->n_listeners > 0)
		return porter;
	free_porter(porter);
	return NULL;
}

bool
porter_start(Porter *porter)
{
	bool ok = watch(porter, porter->stop_fd, porter);

	for (int i = 0; i < porter->n_listeners; i++)
		ok = ok && watch(porter, porter->listeners[i], &porter->listeners[i]);
	return ok && start_thread(porter);
}

void
porter_stop(Porter *porter)
{
	uint64_t one = 1;

	CHECK(write(porter->stop_fd, &one, sizeof(one)) == sizeof(one));
	pthread_join(porter->thread, NULL);
	free_porter(porter);
}

void
porter_free(Porter *porter)
{
	free_porter(porter);
}
