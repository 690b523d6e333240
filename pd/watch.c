/*
 * watch.c
 *	  Streams that are told of changes, and of life.
 *
 * Watchers of keys (etcd's Watch, MetaStorage, the global configuration), of
 * keyspaces, and the stores' heartbeat streams.  What a watcher is told
 * leaves with the round that made the change, so nobody hears of a change
 * that is not durable.  A client that does not read is cut off (service.c).
 */
#include "postgres.h"

#include <stdlib.h>

#include "bus/board.h"
#include "core/base/check.h"
#include "pd/convert.h"
#include "pd/watch.h"

/* All watchers of a process; every change looks at each of them. */
#define MAX_WATCHERS 16384

/* A sign of life on heartbeat streams, as tikv/pd sends it. */
#define HEARTBEAT_US INT64CONST(60000000)

/* ---- the list ---- */

static int
count_watchers(const Pd *pd)
{
	int n = 0;

	for (const Watcher *watcher = pd->watchers; watcher != NULL;
		 watcher = watcher->next)
		n++;
	return n;
}

/* NULL: there are too many, or the call is not gRPC's. */
Watcher *
watch_add(PdAsk *ask, WatchKind kind, KvRange range)
{
	Pd *pd = ask->pd;
	Watcher *watcher;
	uint8_t *bytes;

	if (ask->to->call == NULL || count_watchers(pd) >= MAX_WATCHERS)
	{
		ask->code = RPC_RESOURCE_EXHAUSTED;
		ask->text = "too many watches";
		return NULL;
	}
	watcher = calloc(1, sizeof(*watcher) + range.key.len + range.end.len);
	CHECK(watcher != NULL);
	bytes = (uint8_t *) (watcher + 1);
	if (range.key.len > 0)
		memcpy(bytes, range.key.data, range.key.len);
	watcher->range.key = bytes_make(bytes, range.key.len);
	bytes += range.key.len;
	if (range.end.len > 0)
		memcpy(bytes, range.end.data, range.end.len);
	watcher->range.end = bytes_make(bytes, range.end.len);
	watcher->call = ask->to->call;
	watcher->kind = kind;
	watcher->due_us = INT64_MAX;
	call_hold(watcher->call);
	watcher->next = pd->watchers;
	pd->watchers = watcher;
	return watcher;
}

/* Take it out of the list and let it go. */
void
watch_drop(Watcher **place)
{
	Watcher *watcher = *place;

	*place = watcher->next;
	call_release(watcher->call);
	free(watcher);
}

void
watch_forget(Pd *pd, const Call *call)
{
	Watcher **place = &pd->watchers;

	while (*place != NULL)
		if ((*place)->call == call)
			watch_drop(place);
		else
			place = &(*place)->next;
}

void
watch_end_all(Pd *pd)
{
	while (pd->watchers != NULL)
	{
		ReplyTo to = watch_reply_to(pd->watchers);

		pd_fail(pd, &to, RPC_UNAVAILABLE, "not leader");
		watch_drop(&pd->watchers);
	}
}

/* ---- changes ---- */

void
watch_notify(Pd *pd, int64 since_revision, const PdChanges *changes)
{
	const KvStore *store = &pd->state.kv;
	bool keys = store->revision > since_revision;
	bool lost = kv_store_first_revision(store) > since_revision + 1;
	Watcher **place = &pd->watchers;

	while (*place != NULL)
	{
		Watcher *watcher = *place;

		if (watcher->kind == WATCH_KEYSPACES)
			watch_tell_keyspaces(pd, watcher, changes);
		else if (watcher->kind != WATCH_HEARTBEATS && keys && lost)
		{
			/* One transaction was more than is remembered. */
			watch_tell_compacted(pd, watcher, kv_store_first_revision(store));
			watch_drop(place);
			continue;
		}
		else if (watcher->kind != WATCH_HEARTBEATS && keys)
			watch_tell(pd, watcher,
					   watch_events_since(pd, watcher, since_revision,
										  &pd->arena));
		place = &watcher->next;
	}
}

/* ---- signs of life ---- */

static void
give_sign(Pd *pd, Watcher *watcher)
{
	Pdpb__RegionHeartbeatResponse out = PDPB__REGION_HEARTBEAT_RESPONSE__INIT;
	ReplyTo to = watch_reply_to(watcher);

	if (watcher->kind == WATCH_ETCD)
	{
		watch_tell_etcd(pd, watcher, (WatchEvents){NULL, 0});
		watcher->due_us += PROGRESS_US;
		return;
	}
	out.header = watch_header(pd);
	pd_reply(pd, &to, &out.base);
	watcher->due_us += HEARTBEAT_US;
}

void
watch_tick(Pd *pd)
{
	int64 now = board_now_us();

	if (now < pd->next_watcher_us)
		return;
	pd->next_watcher_us = INT64_MAX;
	for (Watcher *watcher = pd->watchers; watcher != NULL;
		 watcher = watcher->next)
	{
		if (watcher->due_us <= now)
			give_sign(pd, watcher);
		pd->next_watcher_us = Min(pd->next_watcher_us, watcher->due_us);
	}
}

void
watch_set_due(Pd *pd, Watcher *watcher, int64 after_us)
{
	watcher->due_us = board_now_us() + after_us;
	pd->next_watcher_us = Min(pd->next_watcher_us, watcher->due_us);
}

Call *
watch_heartbeat_stream(const Pd *pd, uint64 store_id)
{
	for (Watcher *watcher = pd->watchers; watcher != NULL;
		 watcher = watcher->next)
		if (watcher->kind == WATCH_HEARTBEATS && watcher->store_id == store_id)
			return watcher->call;
	return NULL;
}

/*
 * A store has one stream: the one on which it spoke last.  This node's own
 * speaks over the bus, and then has none.
 */
void
watch_heartbeats(PdAsk *ask, uint64_t store_id)
{
	Watcher **place = &ask->pd->watchers;
	KvRange none = {{NULL, 0}, {NULL, 0}};
	Watcher *watcher;

	while (*place != NULL)
	{
		watcher = *place;
		if (watcher->kind == WATCH_HEARTBEATS && watcher->store_id == store_id)
		{
			if (watcher->call == ask->to->call)
				return;
			watch_drop(place);
			continue;
		}
		place = &watcher->next;
	}
	if (ask->to->call == NULL)
		return;
	watcher = watch_add(ask, WATCH_HEARTBEATS, none);
	if (watcher == NULL)
		return;
	watcher->store_id = store_id;
	watch_set_due(ask->pd, watcher, HEARTBEAT_US);
}
