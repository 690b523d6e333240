/*
 * watch_tell.c
 *	  What watchers are told, each in its own protocol.
 */
#include "postgres.h"

#include "etcdserverpb.pb-c.h"
#include "meta_storagepb.pb-c.h"
#include "pd/convert.h"
#include "pd/global_config.h"
#include "pd/watch.h"

ReplyTo
watch_reply_to(const Watcher *watcher)
{
	ReplyTo to = {.call = watcher->call, .stream = true};

	return to;
}

/* Remembered changes after a revision that the watcher wants. */
WatchEvents
watch_events_since(const Pd *pd, const Watcher *watcher, int64 since,
				   Arena *arena)
{
	const KvStore *store = &pd->state.kv;
	WatchEvents events = {NULL, 0};
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
	out->kv = to_etcd_item(event->item, true, arena);
	if (prev_kv && event->prev != NULL)
		out->prev_kv = to_etcd_item(event->prev, true, arena);
	return out;
}

/* An ask for the header functions, when nobody asked. */
static PdAsk
nobody(Pd *pd)
{
	PdAsk ask = {.pd = pd, .arena = &pd->arena};

	return ask;
}

void
watch_tell_etcd(Pd *pd, const Watcher *watcher, WatchEvents events)
{
	Etcdserverpb__WatchResponse out = ETCDSERVERPB__WATCH_RESPONSE__INIT;
	PdAsk ask = nobody(pd);
	ReplyTo to = watch_reply_to(watcher);

	out.header = etcd_header(&ask, pd->state.kv.revision);
	out.watch_id = watcher->id;
	out.n_events = events.n;
	out.events = arena_alloc(&pd->arena, events.n * sizeof(*out.events));
	for (size_t i = 0; i < events.n; i++)
		out.events[i] =
			etcd_event(events.items[i], watcher->prev_kv, &pd->arena);
	pd_reply(pd, &to, &out.base);
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
tell_meta(Pd *pd, const Watcher *watcher, WatchEvents events)
{
	MetaStoragepb__WatchResponse out = META_STORAGEPB__WATCH_RESPONSE__INIT;
	ReplyTo to = watch_reply_to(watcher);

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
		out.events[i]->kv = to_meta_item(event->item, &pd->arena);
		if (watcher->prev_kv && event->prev != NULL)
			out.events[i]->prev_kv = to_meta_item(event->prev, &pd->arena);
	}
	pd_reply(pd, &to, &out.base);
}

Pdpb__ResponseHeader *
watch_header(Pd *pd)
{
	Pdpb__ResponseHeader *out = NEW_MESSAGE(&pd->arena, Pdpb__ResponseHeader,
											pdpb__response_header__init);

	out->cluster_id = pd->state.cluster_id;
	return out;
}

/* A removed item carries what it was. */
static void
tell_config(Pd *pd, const Watcher *watcher, WatchEvents events)
{
	Pdpb__WatchGlobalConfigResponse out =
		PDPB__WATCH_GLOBAL_CONFIG_RESPONSE__INIT;
	ReplyTo to = watch_reply_to(watcher);

	out.header = watch_header(pd);
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

void
watch_tell(Pd *pd, const Watcher *watcher, WatchEvents events)
{
	if (events.n == 0)
		return;
	if (watcher->kind == WATCH_ETCD)
		watch_tell_etcd(pd, watcher, events);
	else if (watcher->kind == WATCH_META)
		tell_meta(pd, watcher, events);
	else
		tell_config(pd, watcher, events);
}

void
watch_tell_compacted(Pd *pd, const Watcher *watcher, int64 first)
{
	static const char *const text =
		"etcdserver: mvcc: required revision has been compacted";
	Etcdserverpb__WatchResponse etcd = ETCDSERVERPB__WATCH_RESPONSE__INIT;
	MetaStoragepb__WatchResponse meta = META_STORAGEPB__WATCH_RESPONSE__INIT;
	Pdpb__WatchGlobalConfigResponse config =
		PDPB__WATCH_GLOBAL_CONFIG_RESPONSE__INIT;
	MetaStoragepb__Error meta_error = META_STORAGEPB__ERROR__INIT;
	Pdpb__Error error = PDPB__ERROR__INIT;
	ReplyTo to = watch_reply_to(watcher);
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
			config.header = watch_header(pd);
			error.type = PDPB__ERROR_TYPE__DATA_COMPACTED;
			error.message = (char *) text;
			config.header->error = &error;
			pd_reply(pd, &to, &config.base);
			break;
	}
	pd_finish_with(pd, &to, RPC_OUT_OF_RANGE, text);
}

static size_t
count_changed(const Keyspaces *all, uint64 from)
{
	size_t n = 0;

	for (size_t i = 0; i < all->n; i++)
		n += all->items[i]->changed >= from;
	return n;
}

/* Who is far behind is told of each once, as it is now. */
bool
watch_tell_keyspaces(Pd *pd, const Watcher *watcher)
{
	Keyspacepb__WatchKeyspacesResponse out =
		KEYSPACEPB__WATCH_KEYSPACES_RESPONSE__INIT;
	const Keyspaces *all = &pd->state.keyspaces;
	uint64 from = (uint64) watcher->from;
	size_t most = pd->arena.allocated + pd->max_answer;
	size_t n = count_changed(all, from);
	ReplyTo to = watch_reply_to(watcher);

	out.header = watch_header(pd);
	out.keyspaces = arena_alloc(&pd->arena, n * sizeof(*out.keyspaces));
	for (size_t i = 0; i < all->n && pd->arena.allocated <= most; i++)
		if (all->items[i]->changed >= from)
			out.keyspaces[out.n_keyspaces++] =
				to_keyspace(&all->items[i]->keyspace, &pd->arena);
	if (out.n_keyspaces == n &&
		keyspacepb__watch_keyspaces_response__get_packed_size(&out) <=
			pd->max_answer)
	{
		pd_reply(pd, &to, &out.base);
		return true;
	}
	pd_fail(pd, &to, RPC_RESOURCE_EXHAUSTED, "too many keyspaces have changed");
	return false;
}
