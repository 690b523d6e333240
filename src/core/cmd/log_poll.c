/*
 * log_poll.c
 *	  Which regions hold no locks, by what all their stores say of their logs.
 */
#include "core/cmd/log_poll.h"

#include <string.h>

void
log_poll_init(LogPoll *poll)
{
	memset(poll, 0, sizeof(*poll));
	arena_init(&poll->arena);
}

void
log_poll_free(LogPoll *poll)
{
	arena_free(&poll->arena);
}

void
log_poll_begin(LogPoll *poll, uint64_t question, uint64_t ts)
{
	arena_reset(&poll->arena);
	poll->question = question;
	poll->ts = ts;
	poll->n = 0;
	poll->n_stores = 0;
}

void
log_poll_forget(LogPoll *poll)
{
	log_poll_begin(poll, 0, 0);
	poll->n_silent = 0;
}

/* ---------------------------------------------------------------- the question */

static int
find_store(const LogPoll *poll, uint64_t store_id)
{
	for (int i = 0; i < poll->n_stores; i++)
		if (poll->stores[i] == store_id)
			return i;
	return -1;
}

static bool
was_silent(const LogPoll *poll, uint64_t store_id)
{
	for (int i = 0; i < poll->n_silent && i < LOG_POLL_STORES; i++)
		if (poll->silent[i] == store_id)
			return true;
	return poll->n_silent > LOG_POLL_STORES;
}

/* False if there is no room for all of them. */
static bool
add_stores(LogPoll *poll, const LogPollRegion *region)
{
	int n = poll->n_stores;

	for (int k = 0; k < region->n_peers; k++)
	{
		if (find_store(poll, region->stores[k]) >= 0)
			continue;
		if (poll->n_stores == LOG_POLL_STORES)
		{
			poll->n_stores = n;
			return false;
		}
		poll->answered[poll->n_stores] = false;
		poll->stores[poll->n_stores++] = region->stores[k];
	}
	return true;
}

bool
log_poll_add(LogPoll *poll, const Region *region, bool ask)
{
	LogPollRegion *new = &poll->regions[poll->n];

	if (poll->n == LOG_ENDS_MAX)
		return false;
	memset(new, 0, sizeof(*new));
	new->first.region_id = region->id;
	new->first.epoch = region->epoch;
	new->asked = ask && region->n_peers > 0;
	new->n_peers = region->n_peers;
	for (int k = 0; k < region->n_peers; k++)
	{
		new->stores[k] = region->peers[k].store_id;
		if (was_silent(poll, new->stores[k]))
			new->asked = false;
	}
	if (new->asked && !add_stores(poll, new))
		return false;
	new->start = arena_copy(&poll->arena, region->start_key);
	new->end = arena_copy(&poll->arena, region->end_key);
	poll->n++;
	return true;
}

bool
log_poll_asks(const LogPoll *poll)
{
	return poll->n_stores > 0;
}

static int
place_of(const LogPollRegion *region, uint64_t store_id)
{
	for (int k = 0; k < region->n_peers; k++)
		if (region->stores[k] == store_id)
			return k;
	return -1;
}

void
log_poll_question(const LogPoll *poll, uint64_t store_id, LogEnds *out)
{
	memset(out, 0, sizeof(*out));
	out->question = poll->question;
	out->ts = poll->ts;
	for (int i = 0; i < poll->n; i++)
	{
		const LogPollRegion *region = &poll->regions[i];

		if (region->asked && place_of(region, store_id) >= 0)
			out->ends[out->n++] = (LogEnd){.region_id = region->first.region_id,
										   .epoch = region->first.epoch};
	}
}

/* ----------------------------------------------------------------- the answers */

static void
take_end(LogPollRegion *region, uint64_t store_id, const LogEnd *end)
{
	int k = place_of(region, store_id);

	if (k < 0 || end->epoch.conf_ver != region->first.epoch.conf_ver ||
		end->epoch.version != region->first.epoch.version)
		return;
	if (region->agreed == 0)
		region->first.index = end->index;
	if (end->index != region->first.index)
		region->differs = true;
	region->has_locks |= end->has_locks;
	region->agreed |= UINT32_C(1) << k;
}

/* The answer has its ends in the order of the question. */
void
log_poll_answer(LogPoll *poll, uint64_t store_id, const LogEnds *ends)
{
	int at = find_store(poll, store_id);
	int k = 0;

	if (at < 0 || poll->answered[at] || poll->question == 0 ||
		ends->question != poll->question)
		return;
	poll->answered[at] = true;
	for (int i = 0; i < poll->n && k < ends->n; i++)
	{
		LogPollRegion *region = &poll->regions[i];

		if (!region->asked ||
			ends->ends[k].region_id != region->first.region_id)
			continue;
		take_end(region, store_id, &ends->ends[k]);
		k++;
	}
}

int
log_poll_left(const LogPoll *poll)
{
	int n = 0;

	for (int i = 0; i < poll->n_stores; i++)
		n += !poll->answered[i];
	return n;
}

void
log_poll_close(LogPoll *poll)
{
	for (int i = 0; i < poll->n_stores; i++)
	{
		if (poll->answered[i] || was_silent(poll, poll->stores[i]))
			continue;
		if (poll->n_silent < LOG_POLL_STORES)
			poll->silent[poll->n_silent] = poll->stores[i];
		poll->n_silent++;
	}
	poll->question = 0;
}

/* ------------------------------------------------------------ what is learned */

int
log_poll_find(const LogPoll *poll, Bytes bound)
{
	for (int i = 0; i < poll->n; i++)
		if (bytes_eq(poll->regions[i].start, bound))
			return i;
	return -1;
}

static bool
is_clean(const LogPollRegion *region)
{
	return region->asked && !region->differs && !region->has_locks &&
		region->agreed == (UINT32_C(1) << region->n_peers) - 1;
}

int
log_poll_count_clean(const LogPoll *poll, int from)
{
	int n = from;

	while (n < poll->n && is_clean(&poll->regions[n]))
		n++;
	return n - from;
}
