/*
 * later.c
 *	  Memory that is given back when nobody can look at it any more.
 */
#include "core/base/later.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include "core/base/check.h"

typedef struct Waiting
{
	void (*free_it)(void *thing);
	void *thing;
} Waiting;

/* Of the process: requests are answered by one thread. */
static bool holding;
static Waiting *waiting;
static size_t n_waiting;
static size_t room;

void
later_hold(void)
{
	holding = true;
}

void
later_run(void)
{
	holding = false;
	for (size_t i = 0; i < n_waiting; i++)
		waiting[i].free_it(waiting[i].thing);
	n_waiting = 0;
}

void
later_free(void (*free_it)(void *thing), void *thing)
{
	if (!holding)
	{
		free_it(thing);
		return;
	}
	if (n_waiting == room)
	{
		room = room == 0 ? 64 : 2 * room;
		waiting = realloc(waiting, room * sizeof(*waiting));
		CHECK(waiting != NULL);
	}
	waiting[n_waiting++] = (Waiting){free_it, thing};
}
