/*
 * http_guests.c
 *	  Who is connected to the HTTP server, so that it never refuses a newcomer
 *	  for the sake of somebody who says nothing.
 */
#include "server/http_guests.h"

#include <stdlib.h>
#include <sys/socket.h>

/* Connections that were shut down and are not cleaned up yet. */
#define MAX_LEAVING 256

typedef struct HttpGuest
{
	Link link; /* in idle, or in no list */
	int fd;
	TlsMaterial *material; /* NULL: plain */
} HttpGuest;

void
http_guests_init(HttpGuests *guests, unsigned int max, Tls *tls)
{
	guests->tls = tls;
	pthread_mutex_init(&guests->mutex, NULL);
	link_init(&guests->idle);
	guests->n = 0;
	guests->max = max;
}

void
http_guests_free(HttpGuests *guests)
{
	pthread_mutex_destroy(&guests->mutex);
}

unsigned int
http_guests_limit(unsigned int max)
{
	return max + 2 * MAX_LEAVING;
}

/* Its end of the connection is closed, so libmicrohttpd forgets it. */
static void
send_away(HttpGuest *guest)
{
	link_remove(&guest->link);
	(void) shutdown(guest->fd, SHUT_RDWR);
}

enum MHD_Result
http_guests_admit(void *cls, const struct sockaddr *addr, socklen_t addr_len)
{
	HttpGuests *guests = cls;
	bool room;

	(void) addr;
	(void) addr_len;
	pthread_mutex_lock(&guests->mutex);
	if (guests->n >= guests->max && !link_empty(&guests->idle))
		send_away((HttpGuest *) guests->idle.next);
	room = guests->n < guests->max + MAX_LEAVING;
	pthread_mutex_unlock(&guests->mutex);
	return room ? MHD_YES : MHD_NO;
}

static HttpGuest *
new_guest(HttpGuests *guests, struct MHD_Connection *connection)
{
	HttpGuest *guest = calloc(1, sizeof(*guest));

	if (guest == NULL || guests->tls == NULL)
		return guest;
	guest->material = http_tls_begin(guests->tls, connection);
	if (guest->material != NULL)
		return guest;
	free(guest);
	return NULL;
}

/*
 * On libmicrohttpd's thread: without memory for a newcomer it is that one who
 * goes, and no more.  A connection that was shut down says nothing new.
 */
static HttpGuest *
enter(HttpGuests *guests, struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	HttpGuest *guest = new_guest(guests, connection);

	if (guest == NULL)
	{
		(void) shutdown(info->connect_fd, SHUT_RDWR);
		return NULL;
	}
	guest->fd = info->connect_fd;
	link_init(&guest->link);
	pthread_mutex_lock(&guests->mutex);
	link_move_to(&guests->idle, &guest->link);
	guests->n++;
	pthread_mutex_unlock(&guests->mutex);
	return guest;
}

static void
go(HttpGuests *guests, HttpGuest *guest)
{
	pthread_mutex_lock(&guests->mutex);
	link_remove(&guest->link);
	guests->n--;
	pthread_mutex_unlock(&guests->mutex);
	if (guest->material != NULL)
		tls_release(guest->material);
	free(guest);
}

void
http_guests_notify(void *cls, struct MHD_Connection *connection, void **context,
				   enum MHD_ConnectionNotificationCode what)
{
	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		*context = enter(cls, connection);
	else if (*context != NULL)
	{
		go(cls, *context);
		*context = NULL;
	}
}

void
http_guests_busy(HttpGuests *guests, struct MHD_Connection *connection,
				 bool busy)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	HttpGuest *guest = info != NULL ? info->socket_context : NULL;

	if (guest == NULL)
		return;
	pthread_mutex_lock(&guests->mutex);
	if (busy)
		link_remove(&guest->link);
	else
		link_move_to(&guests->idle, &guest->link);
	pthread_mutex_unlock(&guests->mutex);
}
