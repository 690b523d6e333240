/*
 * watch.c
 *	  Streams that are told of changes, and of life.
 *
 * Watchers of keys (etcd's Watch, MetaStorage, the global configuration), of
 * keyspaces, and the stores' heartbeat streams.  What a watcher is told
 * leaves with the round that made the change, or a later one, so nobody hears
 * of a change that is not durable.
 *
 * A change is made into a message for each of its watchers, which together may
 * be much: beyond some memory per round, and for who does not read or has its
 * share of the memory, watchers fall behind and are told later.  Those of keys
 * from the changes that are remembered, and who is behind those, too, is told
 * "compacted", as by etcd; those of keyspaces as these are by then.
 */
#include "postgres.h"

#include <stdlib.h>

#include "bus/board.h"
#include "core/base/check.h"
#include "pd/convert.h"
#include "pd/watch.h"

/*
 * All watchers of a process, which connections share; every change looks at
 * each of them.  Stores' heartbeats are one for each and not among them.
 */
#define MAX_WATCHERS 16384

/* With so much unread a client is told nothing more. */
#define MAX_UNREAD ((size_t) 4 << 20)

/* How soon to look again when there was no room. */
#define ROOM_US INT64CONST(10000)

/* A sign of life on heartbeat streams, as tikv/pd sends it. */
#define HEARTBEAT_US INT64CONST(60000000)

/* ---- the list ---- */

void
watch_init(Pd *pd)
{
	pd->next_watcher_us = PG_INT64_MAX;
	shares_init(&pd->watching, MAX_WATCHERS);
}

void
watch_free(Pd *pd)
{
	shares_free(&pd->watching);
}

static bool
refuse(PdAsk *ask, int code, const char *text)
{
	ask->code = code;
	ask->text = text;
	return false;
}

/*
 * What may be otherwise soon is UNAVAILABLE, since clients of etcd take all
 * else for final.  The end of a prefix is no longer than the prefix.
 */
static bool
may_add(PdAsk *ask, KvRange range)
{
	if (range.key.len > KV_MAX_KEY_BYTES || range.end.len > KV_MAX_KEY_BYTES)
		return refuse(ask, RPC_INVALID_ARGUMENT, "no key is that long");
	if (ask->to->call == NULL ||
		!shares_admit(&ask->pd->watching, call_source(ask->to->call)))
		return refuse(ask, RPC_UNAVAILABLE, "too many watches");
	if (!call_admits(ask->to->call))
		return refuse(ask, RPC_UNAVAILABLE, "server is busy");
	return true;
}

/* NULL: it is refused. */
Watcher *
watch_add(PdAsk *ask, WatchKind kind, KvRange range)
{
	Pd *pd = ask->pd;
	Watcher *watcher;
	uint8_t *bytes;

	if (kind != WATCH_HEARTBEATS && !may_add(ask, range))
		return NULL;
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
	if (kind != WATCH_HEARTBEATS)
	{
		watcher->source = call_source(watcher->call);
		shares_add(&pd->watching, watcher->source);
	}
	watcher->next = pd->watchers;
	pd->watchers = watcher;
	return watcher;
}

/* Take it out of the list and let it go. */
void
watch_drop(Pd *pd, Watcher **place)
{
	Watcher *watcher = *place;

	*place = watcher->next;
	if (watcher->kind != WATCH_HEARTBEATS)
		shares_remove(&pd->watching, watcher->source);
	call_release(watcher->call);
	free(watcher);
}

void
watch_forget(Pd *pd, const Call *call)
{
	Watcher **place = &pd->watchers;

	while (*place != NULL)
		if ((*place)->call == call)
			watch_drop(pd, place);
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
		watch_drop(pd, &pd->watchers);
	}
}

/* ---- changes ---- */

static bool
is_behind(const Pd *pd, const Watcher *watcher)
{
	if (watcher->kind == WATCH_KEYSPACES)
		return watcher->from <= (int64) pd->state.keyspaces.changes;
	return watcher->kind != WATCH_HEARTBEATS &&
		watcher->from <= pd->state.kv.revision;
}

/* What it is yet to hear of is not remembered any more. */
static bool
is_lost(const Pd *pd, const Watcher *watcher)
{
	return is_behind(pd, watcher) && watcher->kind != WATCH_KEYSPACES &&
		watcher->from < kv_store_first_revision(&pd->state.kv);
}

/* What the round holds is free when it is over, the rest when somebody reads. */
static bool
lacks_memory(const Pd *pd, const Watcher *watcher)
{
	return pd_round_is_full(pd) || !call_admits_unasked(watcher->call);
}

static bool
has_room(Pd *pd, const Watcher *watcher)
{
	if (call_send_queued(watcher->call) > MAX_UNREAD)
		return false;
	if (!lacks_memory(pd, watcher))
		return true;
	pd->watchers_wait = true;
	return false;
}

/* False: its stream has ended. */
static bool
catch_up(Pd *pd, Watcher *watcher)
{
	WatchEvents events;

	if (watcher->kind == WATCH_KEYSPACES)
	{
		if (!watch_tell_keyspaces(pd, watcher))
			return false;
		watcher->from = (int64) pd->state.keyspaces.changes + 1;
		return true;
	}
	events = watch_events_since(pd, watcher, watcher->from - 1, &pd->arena);
	watch_tell(pd, watcher, events);
	watcher->from = pd->state.kv.revision + 1;
	return true;
}

/* Who was told is last from then on, so that all get their turn. */
void
watch_pump(Pd *pd)
{
	Watcher **place = &pd->watchers;
	Watcher *told = NULL;
	Watcher **told_tail = &told;

	pd->watchers_behind = pd->watchers_wait = false;
	while (*place != NULL)
	{
		Watcher *watcher = *place;

		if (is_lost(pd, watcher))
		{
			watch_tell_compacted(pd, watcher,
								 kv_store_first_revision(&pd->state.kv));
			watch_drop(pd, place);
		}
		else if (!is_behind(pd, watcher))
			place = &watcher->next;
		else if (!has_room(pd, watcher))
		{
			pd->watchers_behind = true;
			place = &watcher->next;
		}
		else if (!catch_up(pd, watcher))
			watch_drop(pd, place);
		else
		{
			*place = watcher->next;
			watcher->next = NULL;
			*told_tail = watcher;
			told_tail = &watcher->next;
		}
	}
	*place = told;
}

int64
watch_sleep_us(const Pd *pd)
{
	return pd->leading && pd->watchers_wait ? ROOM_US : -1;
}

int64
watch_told(const Pd *pd, const Call *call)
{
	int64 told = pd->state.kv.revision;

	for (const Watcher *watcher = pd->watchers; watcher != NULL;
		 watcher = watcher->next)
		if (watcher->kind == WATCH_ETCD && watcher->call == call)
			told = Min(told, watcher->from - 1);
	return told;
}

void
watch_notify(Pd *pd, int64 since_revision, const PdChanges *changes)
{
	bool any = pd->state.kv.revision > since_revision;

	for (size_t i = 0; i < changes->n; i++)
		any |= changes->records[i].kind == PD_RECORD_KEYSPACE;
	if (any)
		watch_pump(pd);
}

/* ---- signs of life ---- */

static void
give_sign(Pd *pd, Watcher *watcher)
{
	Pdpb__RegionHeartbeatResponse out = PDPB__REGION_HEARTBEAT_RESPONSE__INIT;
	ReplyTo to = watch_reply_to(watcher);

	if (watcher->kind == WATCH_ETCD)
	{
		/* It says that all up to now was told. */
		if (!is_behind(pd, watcher))
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

	if (pd->watchers_behind)
		watch_pump(pd);
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
			watch_drop(ask->pd, place);
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
