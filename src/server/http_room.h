/*
 * http_room.h
 *	  What bodies of requests, or answers, may hold together, and who makes
 *	  room for others.
 *
 * Small ones are always taken: there are no more of them than connections.  Of
 * the others the one that has been there longest has to go when there is no
 * room, unless it came a moment ago: so clients that send or read a byte a
 * minute do not keep everybody else out.  Not guarded: its user's business.
 */
#ifndef TIKV_SERVER_HTTP_ROOM_H
#define TIKV_SERVER_HTTP_ROOM_H

#include "server/internal.h"

typedef struct HttpRoom
{
	size_t most;  /* bytes; 0: no limit */
	size_t small; /* so many bytes are not counted */
	int64_t patience_us;
	size_t used;
	Link holders; /* who may have to go, longest first */
} HttpRoom;

typedef struct HttpPlace
{
	Link link; /* in holders, or in no list */
	void *owner;
	size_t size; /* as counted */
	int64_t since_us;
} HttpPlace;

extern void http_room_init(HttpRoom *room, size_t most, size_t small,
						   int patience_ms);
extern void http_place_init(HttpPlace *place, void *owner);

/* Have a place hold so many bytes from now on.  False: there is no room. */
extern bool http_room_hold(HttpRoom *room, HttpPlace *place, size_t size);
extern void http_room_leave(HttpRoom *room, HttpPlace *place);

/* It holds what it holds, and has not to go. */
extern void http_room_keep(HttpPlace *place);

/* Who has to go; NULL: nobody. */
extern HttpPlace *http_room_late(const HttpRoom *room);

#endif /* TIKV_SERVER_HTTP_ROOM_H */
