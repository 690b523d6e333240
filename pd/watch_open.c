/*
 * watch_open.c
 *	  Handlers that begin and end watches.
 */
#include "postgres.h"

#include "etcdserverpb.pb-c.h"
#include "meta_storagepb.pb-c.h"
#include "pd/convert.h"
#include "pd/global_config.h"
#include "pd/watch.h"

/* etcd's number for "no watch in particular". */
#define NO_WATCH (-1)

/*
 * Begin at a revision (0: from now on): what is remembered since is told at
 * once, or that it is not remembered any more.
 */
static void
watch_begin_at(Pd *pd, Watcher *watcher, int64 revision)
{
	int64 now = pd->state.kv.revision;

	watcher->from = revision > 0 ? revision : now + 1;
	if (watcher->from <= now)
		watch_pump(pd);
}

/* ---- handlers ---- */

void
pd_watch_keyspaces(PdAsk *ask, const void *request, void *response)
{
	Keyspacepb__WatchKeyspacesResponse *out = response;
	const Keyspaces *all = &ask->pd->state.keyspaces;
	KvRange none = {{NULL, 0}, {NULL, 0}};
	Watcher *watcher = watch_add(ask, WATCH_KEYSPACES, none);

	(void) request;
	if (watcher == NULL)
		return;
	watcher->from = (int64) all->changes + 1;
	out->keyspaces = arena_alloc(ask->arena, all->n * sizeof(*out->keyspaces));
	for (size_t i = 0; i < all->n && !kv_failed(ask, pd_check_room(ask)); i++)
		out->keyspaces[out->n_keyspaces++] =
			to_keyspace(&all->items[i]->keyspace, ask->arena);
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
		watch_add(ask, WATCH_CONFIG, kv_prefix(bytes_cstr(path), ask->arena));
	if (watcher != NULL)
		watch_begin_at(ask->pd, watcher, in->revision);
}

void
pd_meta_watch(PdAsk *ask, const void *request, void *response)
{
	const MetaStoragepb__WatchRequest *in = request;
	KvRange range = {from_binary(in->key), from_binary(in->range_end)};
	Watcher *watcher;

	(void) response;
	ask->silent = true;
	watcher = watch_add(ask, WATCH_META, range);
	if (watcher == NULL)
		return;
	watcher->prev_kv = in->prev_kv;
	watch_begin_at(ask->pd, watcher, in->start_revision);
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
	bool progress = !created && cancel_reason == NULL;

	out.header = etcd_header(ask,
							 progress ? watch_told(ask->pd, ask->to->call) :
										ask->pd->state.kv.revision);
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
	watcher = watch_add(ask, WATCH_ETCD, range);
	if (watcher == NULL)
	{
		/* A status would end the client's other watches, too. */
		ask->code = RPC_OK;
		answer_watch(ask, NO_WATCH, true, ask->text);
		return;
	}
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
		watch_set_due(ask->pd, watcher, PROGRESS_US);
	answer_watch(ask, id, true, NULL);
	watch_begin_at(ask->pd, watcher, in->start_revision);
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
			watch_drop(ask->pd, place);
			answer_watch(ask, in->cancel_request->watch_id, false, "");
			break;
		case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_PROGRESS_REQUEST:
			answer_watch(ask, NO_WATCH, false, NULL);
			break;
		default:
			break;
	}
}
