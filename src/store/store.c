/*
 * store.c
 *	  The `tikv store` process: its start, its loop, its end.
 */
#include "postgres.h"

#include "access/xact.h"
#include "bus/bus.h"
#include "bus/lock_table.h"
#include "bus/metrics.h"
#include "bus/places.h"
#include "core/base/rpc_code.h"
#include "fmgr.h"
#include "guc.h"
#include "kvserver/kvserver.h"
#include "kvserver/long_reads.h"
#include "kvserver/observe.h"
#include "kvserver/relay.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "server/batch.h"
#include "store/damage.h"
#include "store/detector.h"
#include "store/elsewhere.h"
#include "store/grants.h"
#include "store/leftovers.h"
#include "store/snapshots.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "worker_common.h"
#include "worker_tls.h"

PGDLLEXPORT void tikv_store_main(Datum arg);

#define HEARTBEAT_INTERVAL_US INT64CONST(10000000)
#define CHECK_INTERVAL_US INT64CONST(1000000)
#define MAX_EVENTS_PER_ROUND 4096
#define RETRY_MS 100

/* What a connection's writes may cost while those of others wait. */
#define WRITE_TURN_COST (64 * 1024)

/*
 * Of the transaction status cache: room for 30 s of 2,000 transactions per
 * second, and for as long of 35,000 (32 MiB) where there are that many.
 */
#define STATUS_CACHE_TXNS 65536
#define STATUS_CACHE_MAX_TXNS 1048576

/* -------------------------------------------------------------- the start */

/* Requests that are answered from the store's memory. */
static void
ask_store(void *arg, Request *request)
{
	if (request->method->id == METHOD_GET_LOCK_WAIT_INFO)
		lock_waits_answer_info(arg, request);
	else if (request->method->id == METHOD_BROADCAST_TXN_STATUS)
		txn_turn_take_status(arg, request);
	else if (request->method->id == METHOD_STORE_ADMIN)
		orders_take_sql(arg, request);
	else if (request->method->id == METHOD_STORE_ORDER)
		orders_take_message(arg, request);
	else if (request->method->id == METHOD_SPLIT_REGION)
		splits_take(arg, request);
	else
		request->fail(request, RPC_UNIMPLEMENTED, "unknown method");
}

static void
hand_over(void *arg, Request *request)
{
	(void) arg;
	long_reads_send(WORKER_STORE, request);
}

static void
ask_index(void *arg, Request *request)
{
	raft_read_submit(arg, request);
}

static void
note_memory_lock(void *arg, uint64 region_id, int64 bytes)
{
	Store *store = arg;
	Peer *peer = store_find_peer(store, region_id);

	memory_locks_change(&store->memory_locks, bytes);
	if (peer != NULL)
		memory_locks_change(&peer->memory_locks, bytes);
}

static void
store_init(Store *store)
{
	MemoryContext context = store->context;

	memset(store, 0, sizeof(*store));
	store->context = context;
	replicas_init(store);
	arena_init(&store->arena);
	write_queue_init(&store->queue);
	fair_init(&store->fair, WRITE_TURN_COST);
	store->queue.fair = &store->fair;
	write_queue_init(&store->outbox);
	overlay_init(&store->overlay);
	txn_overlay_init(&store->txn_overlay);
	store->status_cache =
		status_cache_new(STATUS_CACHE_TXNS, STATUS_CACHE_MAX_TXNS,
						 STATUS_CACHE_KEEP_US);
	lock_waits_start(store);
	grants_init(store);
	gc_init(store);
	lock_table_watch_memory(note_memory_lock, store);
	store->turn_context =
		AllocSetContextCreate(context, "tikv turn", ALLOCSET_DEFAULT_SIZES);
	dispatch_init(&store->dispatch, context);
	background_init(store);
	snapshots_init(store);
	leftovers_init(store);
	region_sizes_init(store);
	hibernate_init(store);
	store->dispatch.write = store_submit;
	store->dispatch.write_txn = store_submit_txn;
	store->dispatch.ask_store = ask_store;
	store->dispatch.hand_over = hand_over;
	store->dispatch.ask_index = ask_index;
	store->dispatch.arg = store;
	store->dispatch.more_methods = detector_methods;
	store->dispatch.n_more_methods = detector_n_methods;
}

void
store_report_blocker(Store *store, TablesAnswer answer)
{
	if (answer == TABLES_MISSING)
		strlcpy(store->blocker, "the extension is not installed",
				sizeof(store->blocker));
	else
		tables_describe_blockers(&store->tables, store->blocker,
								 sizeof(store->blocker));
	if (store->server != NULL)
		worker_report(WORKER_STORE, WORKER_SERVING, store->blocker, NULL);
}

/* Publish who serves, then the regions: readers may begin. */
static void
publish(Store *store)
{
	BoardStore board = {0};

	board.cluster_id = store->meta.cluster_id;
	board.store_id = store->meta.store_id;
	board.extension_oid = store->tables.extension;
	board.api = store->meta.api;
	board_publish_store(&board);
	for (int i = 0; i < store->n_peers; i++)
		peer_publish(store->peers[i]);
}

/*
 * The locks that are stored, in memory again.  Throws if the tables cannot be
 * had now: without the locks nothing transactional may be read.
 */
static void
load_locks(Store *store)
{
	MemoryContext old;
	OpenTables tables;
	Snapshot snapshot;
	TablesAnswer answer;

	StartTransactionCommand();
	old = MemoryContextSwitchTo(store->context);
	answer =
		tables_open(&store->tables, TABLES_TXN | TABLES_SPILL | TABLES_SLOTS,
					true, false, &tables);
	if (answer != TABLES_OK)
	{
		store_report_blocker(store, answer);
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("the locks of transactions cannot be loaded: %s",
						store->blocker)));
	}
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	grants_restore(store, snapshot);
	store->pool = lock_pool_new();
	lock_pool_load(store->pool, &tables, snapshot);
	version_hints_enable();
	UnregisterSnapshot(snapshot);
	tables_close(&tables, true);
	MemoryContextSwitchTo(old);
	CommitTransactionCommand();
	lock_table_open();
}

/*
 * Everything between "the extension is there" and "clients may come".  If the
 * first turn cannot have its tables, reads are served all the same: a sole
 * peer's data cannot have changed behind its back.
 */
static bool
bring_up(Store *store, char *reason, Size size)
{
	board_reset();
	lock_table_reset();
	place_clear();
	if (!store_bootstrap(store, reason, size))
		return false;
	load_locks(store);
	for (int i = 0; i < store->n_peers; i++)
	{
		raft_storage_find_end(store->peers[i]);
		peer_start(store, store->peers[i]);
	}
	snapshots_load(store);
	leftovers_load(store);
	grants_end_over(store);
	turn_run(store);
	kvserver_limits(&store->dispatch.limits, store->meta.cluster_id,
					store->meta.api);
	store->dispatch.tables = store->tables;
	publish(store);
	for (int i = 0; i < store->n_peers; i++)
	{
		region_size_consider(store->peers[i]);
		peer_tell(store->peers[i]);
	}
	store_heartbeat(store);
	return true;
}

/* As bring_up, with an error as a reason to wait and try again. */
static bool
try_bring_up(Store *store, char *reason, Size size)
{
	volatile bool up = false;

	PG_TRY();
	{
		up = bring_up(store, reason, size);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(store->context);
		error = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
		strlcpy(reason, error->message, size);
	}
	PG_END_TRY();
	return up;
}

/* --------------------------------------------------------------- the loop */

/* Grows at the commit of every CREATE EXTENSION. */
static uint64
extension_generation(void)
{
	return pg_atomic_read_u64(&tikv_shmem()->extension_generation);
}

/* A locked catalog says nothing new: the last answer stands. */
static bool
extension_is_ours(const Store *store)
{
	TableOids now;
	TablesAnswer answer;

	StartTransactionCommand();
	answer = tables_resolve_nowait(&now);
	CommitTransactionCommand();
	return answer == TABLES_LOCKED ||
		(answer == TABLES_OK && now.extension == store->tables.extension &&
		 now.raw == store->tables.raw);
}

/*
 * Once a second: still the same extension, TLS as before?  Every ten: tell PD.
 * Returns why this life ends, or NULL.
 */
static const char *
housekeeping(Store *store)
{
	int64 now_us = dispatch_now_us();

	store_take_pd_answers(store);
	raft_ask_about_doubt(store, now_us);
	if (now_us >= store->next_check_us ||
		store->extension_generation != extension_generation())
	{
		store->extension_generation = extension_generation();
		store->next_check_us = now_us + CHECK_INTERVAL_US;
		raft_tell_people(store);
		if (store->replicas->n_grouped > 0)
			raft_ask_pd_time(store, now_us);
		raft_message_tell_removed(store);
		disk_usage_show(store);
		leaderless_show(store);
		(void) detector_update(store);
		gc_barrier_run(store);
		if (store->snapshots->n_stalled > 0)
			snapshot_tell_stalled(store);
		if (!extension_is_ours(store))
		{
			damage_forget();
			return "the extension was dropped";
		}
		if (!worker_tls_tick(store->tls))
			return "TLS was switched on or off";
		if (store->blocker[0] != '\0')
		{
			store->blocker[0] = '\0';
			worker_report(WORKER_STORE, WORKER_SERVING, "", NULL);
		}
	}
	if (now_us >= store->next_heartbeat_us)
	{
		store->next_heartbeat_us = now_us + HEARTBEAT_INTERVAL_US;
		store_heartbeat(store);
		sql_heartbeats_send(store);
	}
	store_heartbeat_news(store, now_us);
	return NULL;
}

/* How long the loop may sleep; 0: there is work. */
static int64
sleep_us(const Store *store)
{
	int64 now_us = dispatch_now_us();
	int64 next_us = Min(store->next_check_us, store->next_heartbeat_us);
	int64 wait =
		Min(Min(next_us, background_due_us(store)), snapshots_due_us(store)) -
		now_us;

	wait =
		Min(wait,
			Min(region_sizes_due_us(store), hibernate_due_us(store)) - now_us);
	wait = Min(wait, leftovers_due_us(store) - now_us);
	if (store->lists[PEERS_NEWS].n > 0)
		wait = Min(wait, store->next_news_us - now_us);

	if (store->gc.job == NULL)
		wait = Min(wait, store->gc.due_us - now_us);

	if (store->queue.n > 0)
		wait = Min(wait,
				   pacer_wait_us(&store->pacer, now_us,
								 tikv_fdw_settings.turn_min_interval_us));
	wait = grants_sleep_us(store, Max(wait, 0));
	return lock_waits_sleep_us(store, raft_turn_sleep_us(store, wait));
}

/* What the store has at the moment, for tikv.metrics. */
static void
count_round(const Store *store)
{
	observe_server(store->server);
	metrics_set(VALUE_QUEUED_WRITES,
				(uint64) (store->queue.n + store->replicas->queue.n));
	metrics_set(VALUE_QUEUED_BYTES,
				store->queue.bytes + store->replicas->queue.bytes);
	metrics_set(VALUE_LOCK_WAITERS, lock_wait_count(store->waits));
}

/* One round: take in, read, write, answer.  Returns how much was done. */
static int
work_round(Store *store)
{
	int done = server_poll(store->server, MAX_EVENTS_PER_ROUND);

	done += kvserver_take_bus(WORKER_STORE, &store->dispatch);
	done += dispatch_run_reads(&store->dispatch);
	done += lock_waits_run(store);
	done += gc_run(store);
	done += grants_run(store);
	if ((store->queue.n > 0 || turn_is_due(store)) &&
		pacer_wait_us(&store->pacer, dispatch_now_us(),
					  tikv_fdw_settings.turn_min_interval_us) == 0)
		done += turn_run(store);
	done += raft_turn_run(store);
	done += raft_read_run(store);
	done += background_run(store);
	done += snapshots_run(store);
	done += leftovers_run(store);
	done += region_sizes_run(store);
	splits_run(store);
	hibernate_run(store, dispatch_now_us());
	links_run(store);
	batch_flush();
	count_round(store);
	return done;
}

/* Returns why it ended. */
static const char *
serve(Store *store)
{
	const char *end;

	store->extension_generation = extension_generation();
	store->next_check_us = dispatch_now_us() + CHECK_INTERVAL_US;
	store->next_heartbeat_us = dispatch_now_us() + HEARTBEAT_INTERVAL_US;
	while (!worker_should_stop())
	{
		worker_handle_interrupts();
		end = store->fenced[0] != '\0' ? store->fenced : housekeeping(store);
		if (end != NULL)
			return end;
		if (work_round(store) == 0)
			kvserver_sleep(WORKER_STORE, store->server, sleep_us(store));
	}
	return "the worker is stopping";
}

/* ---------------------------------------------------------------- the end */

static void
bring_down(Store *store, const char *reason)
{
	worker_report(WORKER_STORE, WORKER_STOPPING, reason, "");
	board_reset();
	for (int i = 0; i < store->n_peers; i++)
		raft_write_abandon(store->peers[i], reason);
	raft_read_stop(store, reason);
	dispatch_stop(&store->dispatch, reason);
	splits_stop(store, reason);
	raft_turn_stop(store, reason);
	store_refuse_all(store, reason);
	grants_stop(store, reason);
	lock_waits_stop(store, reason);
	background_stop(store, reason);
	batch_flush();
	links_stop(store);
	snapshots_stop(store);
	region_sizes_stop(store);
	detector_stop(store);
	relay_stop(store->dispatch.relay);
	store->dispatch.relay = NULL;
	elsewhere_stop(store);
	kvserver_stop(store->server);
	store->server = NULL;
	while (store->n_peers > 0)
		store_remove_peer(store, store->peers[0]);
	bus_worker_reset(WORKER_STORE);
}

/* One life of the extension: from its creation to its drop, or to a stop. */
static void
run_store(Store *store)
{
	char reason[256] = "";

	store_init(store);
	worker_wait_for_extension(WORKER_STORE, &store->tables);
	if (worker_should_stop() || !worker_tls_start(WORKER_STORE, &store->tls))
		return;
	if (!try_bring_up(store, reason, sizeof(reason)))
	{
		worker_report(WORKER_STORE, WORKER_WAITING, reason, "");
		worker_sleep(WORKER_STORE, RETRY_MS);
		return;
	}
	store->server = kvserver_start(WORKER_STORE, &store->dispatch, store->tls);
	store->dispatch.relay = relay_start(store->server, store->context);
	elsewhere_start(store);
	detector_start(store);
	links_start(store);
	bring_down(store, serve(store));
}

void
tikv_store_main(Datum arg)
{
	(void) arg;
	worker_startup(WORKER_STORE);
	while (!worker_should_stop())
	{
		MemoryContext life =
			AllocSetContextCreate(TopMemoryContext, "tikv store",
								  ALLOCSET_DEFAULT_SIZES);
		Store *store = MemoryContextAlloc(life, sizeof(Store));

		store->context = life;
		run_store(store);
		lock_waits_stop(store, "the store is stopping");
		grants_stop(store, "the store is stopping");
		fair_free(&store->fair);
		overlay_free(&store->overlay);
		txn_overlay_free(&store->txn_overlay);
		gc_free(store);
		status_cache_free(store->status_cache);
		background_free(store);
		leftovers_free(store);
		replicas_free(store);
		arena_free(&store->arena);
		MemoryContextDelete(life);
	}
	proc_exit(1);
}
