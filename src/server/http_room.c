/*
 * http_room.c
 *	  What bodies of requests, or answers, may hold together, and who makes
 *	  room for others.
 */
#include "server/http_room.h"

#include <time.h>

static int64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void
http_room_init(HttpRoom *room, size_t most, size_t small, int patience_ms)
{
	room->most = most;
	room->small = small;
	room->patience_us = (int64_t) patience_ms * 1000;
	room->used = 0;
	link_init(&room->holders);
}

void
http_place_init(HttpPlace *place, void *owner)
{
	link_init(&place->link);
	place->owner = owner;
	place->size = 0;
	place->since_us = 0;
}

bool
http_room_hold(HttpRoom *room, HttpPlace *place, size_t size)
{
	size_t others = room->used - place->size;

	if (size <= room->small)
		size = 0;
	if (room->most != 0 && size > 0 && others > 0 &&
		(others > room->most || size > room->most - others))
		return false;
	if (size > 0 && place->size == 0)
	{
		place->since_us = now_us();
		link_move_to(&room->holders, &place->link);
	}
	place->size = size;
	room->used = others + size;
	return true;
}

void
http_room_leave(HttpRoom *room, HttpPlace *place)
{
	link_remove(&place->link);
	room->used -= place->size;
	place->size = 0;
}

void
http_room_keep(HttpPlace *place)
{
	link_remove(&place->link);
}

HttpPlace *
http_room_late(const HttpRoom *room)
{
	HttpPlace *first = (HttpPlace *) room->holders.next;

	if (link_empty(&room->holders) ||
		now_us() - first->since_us < room->patience_us)
		return NULL;
	return first;
}
