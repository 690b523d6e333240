/*
 * lock_waits.c
 *	  Pessimistic lock requests that wait for a lock: the driver of
 *	  core/txn/lock_wait.
 *
 * A parked write stays in memory only: its request is answered when it is
 * woken, when its time is over, or when the store stops.  Nothing else waits
 * for it.
 */
#include "postgres.h"

#include "bus/failpoints.h"
#include "bus/metrics.h"
#include "guc.h"
#include "kvserver/kvserver.h"
#include "store/detector.h"
#include "store/txn_turn.h"

/* TiKV's defaults: pessimistic-txn.wait-for-lock-timeout and wake-up-delay. */
#define WAIT_TIMEOUT_US INT64CONST(1000000)
#define WAKE_UP_DELAY_US INT64CONST(20000)

/*
 * Who waits keeps a call of its worker's open.  Half of them are left for those
 * who end what the others wait for, and of the waits none is all one client's.
 */
void
lock_waits_start(Store *store)
{
	LockWaitConfig config = {.wake_up_delay_us = WAKE_UP_DELAY_US,
							 .default_timeout_us = WAIT_TIMEOUT_US};

	config.max_waiters = (size_t)
		Max(Min(tikv_fdw_settings.max_pending_writes, KVSERVER_MAX_CALLS) / 2,
			1);
	store->waits = lock_wait_new(&config);
	shares_init(&store->parked_shares, config.max_waiters);
	shares_init(&store->parked_bus_shares,
				(size_t) tikv_fdw_settings.bus_slots / 2);
}

/* ------------------------------------------------- the list of the parked */

static void
list_add(Store *store, Write *write)
{
	write->parked_before = NULL;
	write->parked_after = store->parked;
	if (store->parked != NULL)
		store->parked->parked_before = write;
	store->parked = write;
	store->parked_bytes += write->bytes;
	shares_add(&store->parked_shares, write->request->source);
	if (write->request->over_bus)
		shares_add(&store->parked_bus_shares, write->request->source);
}

static void
list_remove(Store *store, Write *write)
{
	if (write->parked_before != NULL)
		write->parked_before->parked_after = write->parked_after;
	else
		store->parked = write->parked_after;
	if (write->parked_after != NULL)
		write->parked_after->parked_before = write->parked_before;
	store->parked_bytes -= write->bytes;
	shares_remove(&store->parked_shares, write->request->source);
	if (write->request->over_bus)
		shares_remove(&store->parked_bus_shares, write->request->source);
}

void
lock_waits_stop(Store *store, const char *reason)
{
	if (store->waits == NULL)
		return;
	while (store->parked != NULL)
	{
		Write *write = store->parked;

		list_remove(store, write);
		service_busy(write->request, reason);
	}
	lock_wait_free(store->waits);
	store->waits = NULL;
	shares_free(&store->parked_shares);
	shares_free(&store->parked_bus_shares);
}

/* ----------------------------------------------------------------- events */

/* The conflict that a woken request is told of (txn-semantics 16). */
static void
answer_conflict(Write *write, const LockWaitEvent *event)
{
	const PessimisticLockCommand *command =
		&write->txn->command.pessimistic_lock;
	TxnError error = {.kind = TXN_WRITE_CONFLICT,
					  .reason = CONFLICT_PESSIMISTIC_RETRY,
					  .start_ts = command->start_ts,
					  .primary = command->primary,
					  .key = write->waits_for,
					  .conflict_ts = event->conflict_ts,
					  .conflict_commit_ts = event->conflict_commit_ts};

	txn_answer_error(write->request, write->txn, &error);
}

/* Run again over what there is now, before what arrives later. */
static void
resume(Store *store, Write *write, const LockWaitEvent *event)
{
	write->txn->command.pessimistic_lock.resumed = true;
	write->wait_deadline_us = event->deadline_us;
	write_queue_push_ahead(&store->queue, write);
}

static void
carry_out(Store *store, const LockWaitEvent *event)
{
	Write *write = event->token;
	TxnError locked = {.kind = TXN_KEY_IS_LOCKED, .lock = event->blocker};

	switch (event->kind)
	{
		case LOCK_WAIT_CONFLICT:
			answer_conflict(write, event);
			break;
		case LOCK_WAIT_RESUME:
			resume(store, write, event);
			break;
		case LOCK_WAIT_TIMEOUT:
			locked.key = event->blocker.key;
			txn_answer_lock_failed(write->request, write->txn, &locked);
			break;
		case LOCK_WAIT_DEADLOCK:
			txn_answer_lock_failed(write->request, write->txn, &event->error);
			break;
	}
}

/*
 * Who waits holds memory and perhaps a slot of the bus.  Half of the slots are
 * left for those who end what the others wait for.
 */
static bool
has_room(const Store *store, const Write *write)
{
	size_t most = (size_t) tikv_fdw_settings.max_pending_kb * 1024;
	uint64 source = write->request->source;

	if (write->request->over_bus &&
		!shares_admit(&store->parked_bus_shares, source))
		return false;
	return shares_admit(&store->parked_shares, source) &&
		store->parked_bytes + write->bytes <= most;
}

void
lock_waits_park(Store *store, Write *write)
{
	const PessimisticLockCommand *command =
		&write->txn->command.pessimistic_lock;
	const TxnError *error = &write->decided->answer.errors[0];
	LockWaitRequest wait = {.token = write,
							.key = error->lock.key,
							.start_ts = command->start_ts,
							.for_update_ts = command->for_update_ts,
							.is_first_lock = command->is_first_lock,
							.allow_conflict = command->allow_lock_with_conflict,
							.wait_timeout_ms = command->wait_timeout_ms,
							.deadline_us = write->wait_deadline_us,
							.blocker = error->lock,
							.resource_group_tag =
								write->txn->resource_group_tag};
	LockWaitEvent event;

	for (size_t i = 0; i < command->n_mutations; i++)
		if (bytes_eq(command->mutations[i].key, error->lock.key))
			wait.is_shared =
				command->mutations[i].op == MUTATION_SHARED_PESSIMISTIC_LOCK;
	write->waits_for = arena_copy(write->request->arena, error->lock.key);
	/* What was decided goes with the turn; the request outlives it. */
	write->decided = NULL;
	if (!has_room(store, write))
	{
		service_busy(write->request,
					 "scheduler is busy: too many requests wait for locks");
		return;
	}
	(void) detector_update(store);
	switch (lock_wait_park(store->waits, &wait, dispatch_now_us(), &event))
	{
		case LOCK_WAIT_PARKED:
			write->parked_us = dispatch_now_us();
			list_add(store, write);
			FAILPOINT_PASS("store_wait_parked");
			break;
		case LOCK_WAIT_BUSY:
			service_busy(write->request,
						 "scheduler is busy: too many requests wait for locks");
			break;
		case LOCK_WAIT_NOW:
			carry_out(store, &event);
			break;
	}
}

void
lock_waits_released(Store *store, const TxnEffects *effects)
{
	int64 now_us;

	if (lock_wait_count(store->waits) == 0)
		return;
	FAILPOINT_PASS("store_wait_released");
	now_us = dispatch_now_us();
	for (size_t i = 0; i < effects->n_released; i++)
	{
		const TxnReleased *released = &effects->released[i];

		lock_wait_released(store->waits, released->key, released->start_ts,
						   released->commit_ts, now_us);
	}
	for (size_t i = 0; i < effects->n_modifies; i++)
	{
		const TxnModify *modify = &effects->modifies[i];
		LockInfo info;

		if (modify->cf != TXN_CF_LOCK || modify->is_delete)
			continue;
		txn_lock_info(modify->key, modify->lock, &info);
		lock_wait_acquired(store->waits, &info, now_us);
	}
}

/* The wait is over, however it ended: the request is as good as new. */
static void
count_wait(Write *write, int64 now_us)
{
	Request *request = write->request;
	int64 waited_us = Max(now_us - write->parked_us, 0);

	request->waited_us += waited_us;
	request->begun_us = request->decided_us = request->durable_us = 0;
	metrics_time(HISTOGRAM_LOCK_WAIT_US, waited_us);
}

int
lock_waits_run(Store *store)
{
	int64 now_us = dispatch_now_us();
	LockWaitEvent event;
	int n = 0;

	while (lock_wait_next(store->waits, now_us, &event))
	{
		list_remove(store, event.token);
		count_wait(event.token, now_us);
		FAILPOINT_PASS("store_wait_over");
		carry_out(store, &event);
		n++;
	}
	return n;
}

int64
lock_waits_sleep_us(const Store *store, int64 most)
{
	int64 due = lock_wait_deadline(store->waits);

	if (due == PG_INT64_MAX)
		return most;
	return Max(Min(most, due - dispatch_now_us()), 0);
}

/* ------------------------------------------------------------ inspection */

typedef struct InfoList
{
	Kvrpcpb__GetLockWaitInfoResponse reply;
	Arena *arena;
	size_t room;
} InfoList;

static void
add_entry(void *arg, const LockWaitView *view)
{
	InfoList *list = arg;
	Deadlock__WaitForEntry *entry;

	if (list->reply.n_entries == list->room)
		return;
	entry = arena_alloc(list->arena, sizeof(*entry));
	deadlock__wait_for_entry__init(entry);
	entry->txn = view->txn;
	entry->wait_for_txn = view->wait_for_txn;
	entry->key_hash = view->key_hash;
	entry->key.len = view->key.len;
	entry->key.data = (uint8_t *) view->key.data;
	entry->resource_group_tag.len = view->resource_group_tag.len;
	entry->resource_group_tag.data = (uint8_t *) view->resource_group_tag.data;
	entry->wait_time =
		(uint64) Max(dispatch_now_us() - view->since_us, 0) / 1000;
	list->reply.entries[list->reply.n_entries++] = entry;
}

void
lock_waits_answer_info(Store *store, Request *request)
{
	InfoList list = {.arena = request->arena};

	kvrpcpb__get_lock_wait_info_response__init(&list.reply);
	list.room = lock_wait_count(store->waits);
	list.reply.entries =
		arena_alloc(request->arena, list.room * sizeof(*list.reply.entries));
	lock_wait_each(store->waits, add_entry, &list);
	request->done(request, &list.reply.base);
}
