/*
 * http_guests.h
 *	  Who is connected to the HTTP server, so that it never refuses a newcomer
 *	  for the sake of somebody who says nothing.
 *
 * The folder's own header.  When there are too many connections the one goes
 * that waits longest for its client: in the middle of a request, between two,
 * or with an answer that is not read.  libmicrohttpd's own limit is kept out
 * of reach: once it is reached, version 0.9.75 no longer hears of connections
 * that were closed, and accepts nobody until the idle ones time out.
 */
#ifndef TIKV_SERVER_HTTP_GUESTS_H
#define TIKV_SERVER_HTTP_GUESTS_H

#include <microhttpd.h>
#include <pthread.h>

#include "server/internal.h"
#include "server/tls_internal.h"

typedef struct HttpGuests
{
	Tls *tls;			   /* NULL: plain */
	pthread_mutex_t mutex; /* guards what follows */
	Link idle;			   /* wait for their clients, longest first */
	unsigned int n;		   /* all */
	unsigned int max;
} HttpGuests;

extern void http_guests_init(HttpGuests *guests, unsigned int max, Tls *tls);
extern void http_guests_free(HttpGuests *guests);

/* libmicrohttpd's limit. */
extern unsigned int http_guests_limit(unsigned int max);

/* Its call-backs; cls is the HttpGuests. */
extern enum MHD_Result http_guests_admit(void *cls, const struct sockaddr *addr,
										 socklen_t addr_len);
extern void http_guests_notify(void *cls, struct MHD_Connection *connection,
							   void **context,
							   enum MHD_ConnectionNotificationCode what);

/* The worker has its request, or it waits for its client again. */
extern void http_guests_busy(HttpGuests *guests,
							 struct MHD_Connection *connection, bool busy);

#endif /* TIKV_SERVER_HTTP_GUESTS_H */
