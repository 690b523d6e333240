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
#include "etcdserverpb.pb-c.h"
#include "meta_storagepb.pb-c.h"
#include "pd/convert.h"
#include "pd/global_config.h"
#include "pd/pd.h"

/* All watchers of a process; every change looks at each of them. */
#define MAX_WATCHERS 16384

/* A sign of life on heartbeat streams, as tikv/pd sends it. */
#define HEARTBEAT_US INT64CONST(60000000)

/* How often etcd tells an idle watcher how far it is. */
#define PROGRESS_US INT64CONST(600000000)

/* etcd's number for "no watch in particular". */
#define NO_WATCH (-1)

typedef enum WatchKind
{
	WATCH_ETCD,
	WATCH_META,
	WATCH_CONFIG,
	WATCH_KEYSPACES,
	WATCH_HEARTBEATS
} WatchKind;

typedef struct Watcher
{
	struct Watcher *next;
	Call *call; /* held */
	WatchKind kind;
	int64 id;		 /* WATCH_ETCD: within the call */
	uint64 store_id; /* WATCH_HEARTBEATS */
	int64 due_us;	 /* the next sign of life; INT64_MAX: none */
	int64 from;		 /* the first revision it wants to hear of */
	bool no_put;	 /* events left out */
	bool no_delete;
	bool prev_kv;
	KvRange range; /* its bytes follow the struct */
} Watcher;

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
static Watcher *
add_watcher(PdAsk *ask, WatchKind kind, KvRange range)
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
static void
drop(Watcher **place)
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
			drop(place);
		else
			place = &(*place)->next;
}

static ReplyTo
reply_to(const Watcher *watcher)
{
	ReplyTo to = {.call = watcher->call, .stream = true};

	return to;
}

void
watch_end_all(Pd *pd)
{
	while (pd->watchers != NULL)
	{
		ReplyTo to = reply_to(pd->watchers);

		pd_fail(pd, &to, RPC_UNAVAILABLE, "not leader");
		drop(&pd->watchers);
	}
}

/* ---- events ---- */

typedef struct Events
{
	const KvEvent **items; /* the arena's */
	size_t n;
} Events;

/* Remembered changes after a revision that the watcher wants. */
static Events
events_since(const Pd *pd, const Watcher *watcher, int64 since, Arena *arena)
{
	const KvStore *store = &pd->state.kv;
	Events events = {NULL, 0};
	size_t first = store->n_events;

	while (first > 0 &&
		   kv_store_event(store, first - 1)->item->mod_revision > since)
		first--;
	events.items =
		arena_alloc(arena, (store->n_events - first) * sizeof(*events.items));
	for (size_t i = first; i < store->n_events; i++)
	{
		const KvEvent *event = kv_store_event(store, i);
		bool removed = event->item->version == 0;

		if (event->item->mod_revision >= watcher->from &&
			!(removed ? watcher->no_delete : watcher->no_put) &&
			kv_range_has(watcher->range, event->item->key))
			events.items[events.n++] = event;
	}
	return events;
}

static Mvccpb__Event *
etcd_event(const KvEvent *event, bool prev_kv, Arena *arena)
{
	Mvccpb__Event *out = NEW_MESSAGE(arena, Mvccpb__Event, mvccpb__event__init);

	if (event->item->version == 0)
		out->type = MVCCPB__EVENT__EVENT_TYPE__DELETE;
	out->kv = etcd_item(event->item, true, arena);
	if (prev_kv && event->prev != NULL)
		out->prev_kv = etcd_item(event->prev, true, arena);
	return out;
}

/* An ask for the header functions, when nobody asked. */
static PdAsk
nobody(Pd *pd)
{
	PdAsk ask = {.pd = pd, .arena = &pd->arena};

	return ask;
}

static void
tell_etcd(Pd *pd, const Watcher *watcher, Events events)
{
	Etcdserverpb__WatchResponse out = ETCDSERVERPB__WATCH_RESPONSE__INIT;
	PdAsk ask = nobody(pd);
	ReplyTo to = reply_to(watcher);

	out.header = etcd_header(&ask, pd->state.kv.revision);
	out.watch_id = watcher->id;
	out.n_events = events.n;
	out.events = arena_alloc(&pd->arena, events.n * sizeof(*out.events));
	for (size_t i = 0; i < events.n; i++)
		out.events[i] =
			etcd_event(events.items[i], watcher->prev_kv, &pd->arena);
	pd_reply(pd, &to, &out.base);
}

static MetaStoragepb__KeyValue *
meta_item(const KvItem *item, Arena *arena)
{
	MetaStoragepb__KeyValue *out = NEW_MESSAGE(arena, MetaStoragepb__KeyValue,
											   meta_storagepb__key_value__init);

	out->key = to_binary(arena_copy(arena, item->key));
	out->value = to_binary(arena_copy(arena, item->value));
	out->create_revision = item->create_revision;
	out->mod_revision = item->mod_revision;
	out->version = item->version;
	out->lease = item->lease;
	return out;
}

static MetaStoragepb__ResponseHeader *
meta_header(Pd *pd)
{
	MetaStoragepb__ResponseHeader *out =
		NEW_MESSAGE(&pd->arena, MetaStoragepb__ResponseHeader,
					meta_storagepb__response_header__init);

	out->cluster_id = pd->state.cluster_id;
	out->revision = pd->state.kv.revision;
	return out;
}

static void
tell_meta(Pd *pd, const Watcher *watcher, Events events)
{
	MetaStoragepb__WatchResponse out = META_STORAGEPB__WATCH_RESPONSE__INIT;
	ReplyTo to = reply_to(watcher);

	out.header = meta_header(pd);
	out.n_events = events.n;
	out.events = arena_alloc(&pd->arena, events.n * sizeof(*out.events));
	for (size_t i = 0; i < events.n; i++)
	{
		const KvEvent *event = events.items[i];

		out.events[i] = NEW_MESSAGE(&pd->arena, MetaStoragepb__Event,
									meta_storagepb__event__init);
		if (event->item->version == 0)
			out.events[i]->type = META_STORAGEPB__EVENT__EVENT_TYPE__DELETE;
		out.events[i]->kv = meta_item(event->item, &pd->arena);
		if (watcher->prev_kv && event->prev != NULL)
			out.events[i]->prev_kv = meta_item(event->prev, &pd->arena);
	}
	pd_reply(pd, &to, &out.base);
}

static Pdpb__ResponseHeader *
pd_header(Pd *pd)
{
	Pdpb__ResponseHeader *out = NEW_MESSAGE(&pd->arena, Pdpb__ResponseHeader,
											pdpb__response_header__init);

	out->cluster_id = pd->state.cluster_id;
	return out;
}

/* A removed item carries what it was. */
static void
tell_config(Pd *pd, const Watcher *watcher, Events events)
{
	Pdpb__WatchGlobalConfigResponse out =
		PDPB__WATCH_GLOBAL_CONFIG_RESPONSE__INIT;
	ReplyTo to = reply_to(watcher);

	out.header = pd_header(pd);
	out.revision = pd->state.kv.revision;
	out.changes = arena_alloc(&pd->arena, events.n * sizeof(*out.changes));
	for (size_t i = 0; i < events.n; i++)
	{
		const KvEvent *event = events.items[i];
		bool removed = event->item->version == 0;

		if (removed && event->prev == NULL)
			continue;
		out.changes[out.n_changes++] =
			global_config_item(event->item->key,
							   removed ? event->prev->value :
										 event->item->value,
							   removed, &pd->arena);
	}
	if (out.n_changes > 0)
		pd_reply(pd, &to, &out.base);
}

static void
tell(Pd *pd, const Watcher *watcher, Events events)
{
	if (events.n == 0)
		return;
	if (watcher->kind == WATCH_ETCD)
		tell_etcd(pd, watcher, events);
	else if (watcher->kind == WATCH_META)
		tell_meta(pd, watcher, events);
	else
		tell_config(pd, watcher, events);
}

/* ---- a watcher that comes too late ---- */

static void
tell_compacted(Pd *pd, const Watcher *watcher, int64 first)
{
	static const char *const text =
		"etcdserver: mvcc: required revision has been compacted";
	Etcdserverpb__WatchResponse etcd = ETCDSERVERPB__WATCH_RESPONSE__INIT;
	MetaStoragepb__WatchResponse meta = META_STORAGEPB__WATCH_RESPONSE__INIT;
	Pdpb__WatchGlobalConfigResponse config =
		PDPB__WATCH_GLOBAL_CONFIG_RESPONSE__INIT;
	MetaStoragepb__Error meta_error = META_STORAGEPB__ERROR__INIT;
	Pdpb__Error error = PDPB__ERROR__INIT;
	ReplyTo to = reply_to(watcher);
	PdAsk ask = nobody(pd);

	switch (watcher->kind)
	{
		case WATCH_ETCD:
			etcd.header = etcd_header(&ask, pd->state.kv.revision);
			etcd.watch_id = watcher->id;
			etcd.canceled = true;
			etcd.compact_revision = first;
			pd_reply(pd, &to, &etcd.base);
			return;
		case WATCH_META:
			meta.header = meta_header(pd);
			meta_error.type = META_STORAGEPB__ERROR_TYPE__DATA_COMPACTED;
			meta_error.message = (char *) text;
			meta.header->error = &meta_error;
			meta.compact_revision = first;
			pd_reply(pd, &to, &meta.base);
			break;
		default:
			config.header = pd_header(pd);
			error.type = PDPB__ERROR_TYPE__DATA_COMPACTED;
			error.message = (char *) text;
			config.header->error = &error;
			pd_reply(pd, &to, &config.base);
			break;
	}
	pd_finish_with(pd, &to, RPC_OUT_OF_RANGE, text);
}

/*
 * Begin at a revision (0: from now on): what is remembered since is told at
 * once, or that it is not remembered any more.
 */
static void
begin_at(Pd *pd, Watcher *watcher, int64 revision)
{
	const KvStore *store = &pd->state.kv;

	watcher->from = revision > 0 ? revision : store->revision + 1;
	if (watcher->from > store->revision)
		return;
	if (watcher->from < kv_store_first_revision(store))
	{
		tell_compacted(pd, watcher, kv_store_first_revision(store));
		for (Watcher **place = &pd->watchers; *place != NULL;
			 place = &(*place)->next)
			if (*place == watcher)
			{
				drop(place);
				return;
			}
	}
	tell(pd, watcher, events_since(pd, watcher, watcher->from - 1, &pd->arena));
}

/* ---- changes ---- */

static void
tell_keyspaces(Pd *pd, const Watcher *watcher, const PdChanges *changes)
{
	Keyspacepb__WatchKeyspacesResponse out =
		KEYSPACEPB__WATCH_KEYSPACES_RESPONSE__INIT;
	ReplyTo to = reply_to(watcher);

	out.header = pd_header(pd);
	out.keyspaces =
		arena_alloc(&pd->arena, changes->n * sizeof(*out.keyspaces));
	for (size_t i = 0; i < changes->n; i++)
		if (changes->records[i].kind == PD_RECORD_KEYSPACE)
			out.keyspaces[out.n_keyspaces++] =
				to_keyspace(changes->records[i].keyspace, &pd->arena);
	if (out.n_keyspaces > 0)
		pd_reply(pd, &to, &out.base);
}

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
			tell_keyspaces(pd, watcher, changes);
		else if (watcher->kind != WATCH_HEARTBEATS && keys && lost)
		{
			/* One transaction was more than is remembered. */
			tell_compacted(pd, watcher, kv_store_first_revision(store));
			drop(place);
			continue;
		}
		else if (watcher->kind != WATCH_HEARTBEATS && keys)
			tell(pd, watcher,
				 events_since(pd, watcher, since_revision, &pd->arena));
		place = &watcher->next;
	}
}

/* ---- signs of life ---- */

static void
give_sign(Pd *pd, Watcher *watcher)
{
	Pdpb__RegionHeartbeatResponse out = PDPB__REGION_HEARTBEAT_RESPONSE__INIT;
	ReplyTo to = reply_to(watcher);

	if (watcher->kind == WATCH_ETCD)
	{
		tell_etcd(pd, watcher, (Events){NULL, 0});
		watcher->due_us += PROGRESS_US;
		return;
	}
	out.header = pd_header(pd);
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

static void
set_due(Pd *pd, Watcher *watcher, int64 after_us)
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

/* A store has one stream: the one on which it spoke last. */
void
watch_heartbeats(PdAsk *ask, uint64_t store_id)
{
	Watcher **place = &ask->pd->watchers;
	KvRange none = {{NULL, 0}, {NULL, 0}};
	Watcher *watcher;

	if (ask->to->call == NULL)
		return;
	while (*place != NULL)
	{
		watcher = *place;
		if (watcher->kind == WATCH_HEARTBEATS && watcher->store_id == store_id)
		{
			if (watcher->call == ask->to->call)
				return;
			drop(place);
			continue;
		}
		place = &watcher->next;
	}
	watcher = add_watcher(ask, WATCH_HEARTBEATS, none);
	if (watcher == NULL)
		return;
	watcher->store_id = store_id;
	set_due(ask->pd, watcher, HEARTBEAT_US);
}

/* ---- handlers ---- */

void
pd_watch_keyspaces(PdAsk *ask, const void *request, void *response)
{
	Keyspacepb__WatchKeyspacesResponse *out = response;
	const Keyspaces *all = &ask->pd->state.keyspaces;
	KvRange none = {{NULL, 0}, {NULL, 0}};

	(void) request;
	if (add_watcher(ask, WATCH_KEYSPACES, none) == NULL)
		return;
	out->n_keyspaces = all->n;
	out->keyspaces = arena_alloc(ask->arena, all->n * sizeof(*out->keyspaces));
	for (size_t i = 0; i < all->n; i++)
		out->keyspaces[i] = to_keyspace(&all->items[i]->keyspace, ask->arena);
}

void
pd_watch_global_config(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__WatchGlobalConfigRequest *in = request;
	Watcher *watcher;
	const char *path = global_config_path(in->config_path, ask->arena);

	(void) response;
	ask->silent = true;
	if (path == NULL)
	{
		ask->code = RPC_INVALID_ARGUMENT;
		ask->text = GLOBAL_CONFIG_BAD_PATH;
		return;
	}
	watcher =
		add_watcher(ask, WATCH_CONFIG, kv_prefix(bytes_cstr(path), ask->arena));
	if (watcher != NULL)
		begin_at(ask->pd, watcher, in->revision);
}

void
pd_meta_watch(PdAsk *ask, const void *request, void *response)
{
	const MetaStoragepb__WatchRequest *in = request;
	KvRange range = {from_binary(in->key), from_binary(in->range_end)};
	Watcher *watcher;

	(void) response;
	ask->silent = true;
	watcher = add_watcher(ask, WATCH_META, range);
	if (watcher == NULL)
		return;
	watcher->prev_kv = in->prev_kv;
	begin_at(ask->pd, watcher, in->start_revision);
}

/* ---- etcd's stream, which holds many watches ---- */

static Watcher **
find_watch(Pd *pd, const Call *call, int64 id)
{
	for (Watcher **place = &pd->watchers; *place != NULL;
		 place = &(*place)->next)
		if ((*place)->kind == WATCH_ETCD && (*place)->call == call &&
			(*place)->id == id)
			return place;
	return NULL;
}

static int64
next_watch_id(Pd *pd, const Call *call)
{
	int64 next = 0;

	for (const Watcher *watcher = pd->watchers; watcher != NULL;
		 watcher = watcher->next)
		if (watcher->kind == WATCH_ETCD && watcher->call == call &&
			watcher->id >= next && watcher->id < PG_INT64_MAX)
			next = watcher->id + 1;
	return next;
}

static void
answer_watch(PdAsk *ask, int64 id, bool created, const char *cancel_reason)
{
	Etcdserverpb__WatchResponse out = ETCDSERVERPB__WATCH_RESPONSE__INIT;

	out.header = etcd_header(ask, ask->pd->state.kv.revision);
	out.watch_id = id;
	out.created = created;
	out.canceled = cancel_reason != NULL;
	if (cancel_reason != NULL)
		out.cancel_reason = (char *) cancel_reason;
	pd_reply(ask->pd, ask->to, &out.base);
}

static void
create_watch(PdAsk *ask, const Etcdserverpb__WatchCreateRequest *in)
{
	static const uint8_t zero[1] = {0};
	KvRange range = {from_binary(in->key), from_binary(in->range_end)};
	int64 id = in->watch_id;
	Watcher *watcher;

	/* etcd takes no key for the first key. */
	if (range.key.len == 0)
		range.key = bytes_make(zero, 1);
	if (id != 0 && find_watch(ask->pd, ask->to->call, id) != NULL)
	{
		answer_watch(ask, NO_WATCH, true,
					 "mvcc: duplicate watch ID provided on the WatchStream");
		return;
	}
	if (id == 0)
		id = next_watch_id(ask->pd, ask->to->call);
	watcher = add_watcher(ask, WATCH_ETCD, range);
	if (watcher == NULL)
		return;
	watcher->id = id;
	watcher->prev_kv = in->prev_kv;
	for (size_t i = 0; i < in->n_filters; i++)
	{
		watcher->no_put |= in->filters[i] ==
			ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NOPUT;
		watcher->no_delete |= in->filters[i] ==
			ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NODELETE;
	}
	if (in->progress_notify)
		set_due(ask->pd, watcher, PROGRESS_US);
	answer_watch(ask, id, true, NULL);
	begin_at(ask->pd, watcher, in->start_revision);
}

void
pd_etcd_watch(PdAsk *ask, const void *request, void *response)
{
	const Etcdserverpb__WatchRequest *in = request;
	Watcher **place;

	(void) response;
	ask->silent = true;
	switch (in->request_union_case)
	{
		case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST:
			create_watch(ask, in->create_request);
			break;
		case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CANCEL_REQUEST:
			place = find_watch(ask->pd, ask->to->call,
							   in->cancel_request->watch_id);
			if (place == NULL)
				break;
			drop(place);
			answer_watch(ask, in->cancel_request->watch_id, false, "");
			break;
		case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_PROGRESS_REQUEST:
			answer_watch(ask, NO_WATCH, false, NULL);
			break;
		default:
			break;
	}
}
