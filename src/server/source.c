/*
 * source.c
 *	  Where requests come from, and the bound of what all of them hold.
 *
 * A connection is known from its first call until some time after its last,
 * since what its calls have come to (waste.c) must outlive them.  What it holds
 * is its requests from the moment they are decoded until they are
 * answered, wherever they wait meanwhile (queues, turns, locks), and its
 * answers until gRPC has taken them.
 */
#include "server/source.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/bytes.h"
#include "core/base/check.h"
#include "core/base/hash.h"
#include "server/server.h"

#define BUCKETS 1024

/* How long, and how many, are known without a call. */
#define IDLE_US INT64_C(20000000)
#define MAX_IDLE 4096

static Account all;
static size_t max_bytes;
static Source *buckets[BUCKETS];

/* Those without a call, and some that have one again; oldest first. */
static Source *idle;
static Source **idle_tail = &idle;
static size_t n_idle;

void
source_set_limit(size_t limit)
{
	max_bytes = limit;
}

Source *
source_get(const char *name)
{
	uint64_t id = hash_bytes64(bytes_cstr(name), 1) | 1;
	Source **bucket = &buckets[(id >> 32) % BUCKETS];
	Source *source = *bucket;

	while (source != NULL && source->id != id)
		source = source->chain;
	if (source == NULL)
	{
		source = calloc(1, sizeof(*source));
		CHECK(source != NULL);
		source->account.parent = &all;
		source->id = id;
		source->chain = *bucket;
		*bucket = source;
	}
	source->refs++;
	return source;
}

void
source_hold(Source *source)
{
	source->refs++;
}

static void
forget(Source *source)
{
	Source **at = &buckets[(source->id >> 32) % BUCKETS];

	while (*at != source)
		at = &(*at)->chain;
	*at = source->chain;
	free(source);
}

static void
forget_idle(int64_t now_us)
{
	while (idle != NULL)
	{
		Source *source = idle;

		if (source->refs == 0 && n_idle <= MAX_IDLE &&
			now_us - source->idle_us < IDLE_US)
			return;
		idle = source->idle_next;
		if (idle == NULL)
			idle_tail = &idle;
		n_idle--;
		source->is_idle = false;
		if (source->refs == 0)
			forget(source);
	}
}

void
source_release(Source *source)
{
	CHECK(source->refs > 0);
	if (--source->refs > 0)
		return;
	CHECK(source->account.used == 0);
	source->idle_us = server_now_us();
	if (!source->is_idle)
	{
		source->is_idle = true;
		source->idle_next = NULL;
		*idle_tail = source;
		idle_tail = &source->idle_next;
		n_idle++;
	}
	forget_idle(source->idle_us);
}

bool
source_admits(const Source *source)
{
	return max_bytes == 0 || account_admits(&source->account, &all, max_bytes);
}

bool
source_admits_unasked(const Source *source)
{
	return max_bytes == 0 ||
		(all.used < max_bytes - max_bytes / ACCOUNT_RESERVE &&
		 source_admits(source));
}

size_t
server_memory_used(void)
{
	return all.used;
}

bool
server_memory_is_short(void)
{
	return max_bytes != 0 && all.used >= max_bytes;
}

Account *
server_memory_account(void)
{
	return &all;
}
