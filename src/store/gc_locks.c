/*
 * gc_locks.c
 *	  The locks below the safe point: found, and their transactions ended.
 *
 * In all regions: those that this store leads by commands of its own among the
 * clients', others by the requests that a client would send to their leaders.
 */
#include "postgres.h"

#include "bus/failpoints.h"
#include "core/codec/memcomparable.h"
#include "service/txn_client.h"
#include "store/elsewhere.h"
#include "store/gc_internal.h"

#define SCAN_LOCKS 256

/* ----------------------------------------------------------------- regions */

static Bytes
keep(Gc *gc, Bytes *place, Bytes bytes)
{
	uint8 *copy = MemoryContextAlloc(gc->keep, bytes.len + 1);
	Bytes old = *place;

	if (bytes.len > 0)
		memcpy(copy, bytes.data, bytes.len);
	*place = bytes_make(copy, bytes.len);
	if (old.data != NULL)
		pfree(unconstify(uint8 *, old.data));
	return *place;
}

/* Raw keys' regions may have bounds that are no encoded keys, and no locks. */
static void
begin_region(Store *store, Bytes bound)
{
	Gc *gc = &store->gc;
	Bytes key = bytes_empty();
	Arena arena;

	arena_init(&arena);
	bound = keep(gc, &gc->bound, bound);
	if (bound.len > 0 &&
		memcomparable_decode(bound, &arena, &key, NULL) != STATUS_OK)
		key = bytes_empty();
	gc_set_cursor(gc, key);
	arena_free(&arena);
	gc->phase = GC_SCANS_LOCKS;
}

void
gc_begin_scanning(Store *store)
{
	gc_sleepers_forget(store);
	begin_region(store, bytes_empty());
	store->gc.due_us = dispatch_now_us();
}

static void
no_more_locks(Store *store)
{
	Gc *gc = &store->gc;

	if (gc->bound_end.len == 0)
	{
		gc_move_gc_point(store);
		return;
	}
	begin_region(store, gc->bound_end);
	gc_rest(gc);
}

/* ------------------------------------------------------------------- scans */

static void
scan_here(Store *store, Peer *peer)
{
	Gc *gc = &store->gc;
	TxnCommand command = {.kind = TXN_CMD_SCAN_LOCK};
	KeyRange range = txn_region_range(&peer->region, &gc->arena);

	if (bytes_cmp(gc->cursor, range.lower) > 0)
		range.lower = gc->cursor;
	(void) keep(gc, &gc->bound_end, peer->region.end_key);
	command.scan_lock.range = range;
	command.scan_lock.max_ts = gc->safe_point;
	command.scan_lock.limit = SCAN_LOCKS;
	gc_queue_job(store, peer, METHOD_KV_SCAN_LOCK, &command);
}

/*
 * The other store raises its max_ts to the safe point before it looks, as ours
 * has done: no async commit lands below it afterwards (tikv/tikv#9526).
 */
static void
scanned_elsewhere(void *arg, const ProtobufCMessage *reply,
				  const Whereabouts *where)
{
	Store *store = arg;
	Gc *gc = &store->gc;
	const Kvrpcpb__ScanLockResponse *scan = (const void *) reply;
	TxnAnswer answer = {0};

	gc->away = false;
	if (scan == NULL)
	{
		gc_give_up(store, GC_REASON_ELSEWHERE);
		return;
	}
	if (scan->error != NULL)
	{
		gc_give_up(store, GC_REASON_COMMITTING);
		return;
	}
	FAILPOINT_PASS("store_gc_scanned_there");
	(void) keep(gc, &gc->bound_end, where->region.end_key);
	answer.n_locks = scan->n_locks;
	answer.locks = arena_alloc(&gc->arena, scan->n_locks * sizeof(LockInfo));
	for (size_t i = 0; i < scan->n_locks; i++)
		txn_client_lock_info(scan->locks[i], &gc->arena, &answer.locks[i]);
	gc_after_scan(store, &answer);
}

static void
scan_elsewhere(Store *store)
{
	Gc *gc = &store->gc;
	Kvrpcpb__ScanLockRequest *request =
		arena_alloc(&gc->arena, sizeof(*request));

	kvrpcpb__scan_lock_request__init(request);
	request->max_version = gc->safe_point;
	request->start_key.data = unconstify(uint8 *, gc->cursor.data);
	request->start_key.len = gc->cursor.len;
	request->limit = SCAN_LOCKS;
	gc->away = elsewhere_ask(store,
							 gc->cursor.len > 0 ?
								 memcomparable_encode(gc->cursor, &gc->arena) :
								 gc->bound,
							 METHOD_KV_SCAN_LOCK, &request->base,
							 scanned_elsewhere, store);
	if (!gc->away)
		gc_give_up(store, GC_REASON_ELSEWHERE);
}

/* The region of the cursor may be another one than a moment ago. */
static void
scan_region(Store *store)
{
	Gc *gc = &store->gc;
	Bytes bound = gc->bound;
	Peer *peer;

	if (gc->cursor.len > 0)
		bound = memcomparable_encode(gc->cursor, &gc->arena);
	peer = store_find_peer_of_key(store, bound);
	if (peer != NULL && peer_is_leader(peer))
		scan_here(store, peer);
	else
		scan_elsewhere(store);
}

void
gc_scan_locks(Store *store)
{
	Gc *gc = &store->gc;
	Bytes end = bytes_empty();

	arena_reset(&gc->arena);
	switch (gc_pass_over_sleepers(store, gc->bound, &end))
	{
		case GC_SLEEPERS_NONE:
			scan_region(store);
			break;
		case GC_SLEEPERS_ASKED:
			break;
		case GC_SLEEPERS_PASSED:
			(void) keep(gc, &gc->bound_end, end);
			no_more_locks(store);
			break;
	}
}

static void
add_lock(Gc *gc, Bytes key, const Lock *lock)
{
	LockInfo *info = &gc->locks[gc->n_locks++];

	txn_lock_info(key, lock, info);
	lock_copy(lock, &gc->arena, &info->lock);
}

/*
 * The answer lives in the turn's memory: what is needed is copied.  Who shares
 * a lock is a transaction of its own, and counts as one for the limit as well.
 */
static void
take_locks(Gc *gc, const TxnAnswer *answer)
{
	size_t n = 0;

	for (size_t i = 0; i < answer->n_locks; i++)
		n += answer->locks[i].lock.n_members + 1;
	gc->locks = arena_alloc(&gc->arena, n * sizeof(LockInfo));
	gc->n_locks = 0;
	gc->next_lock = 0;
	for (size_t i = 0; i < answer->n_locks; i++)
	{
		const Lock *lock = &answer->locks[i].lock;
		Bytes key = arena_copy(&gc->arena, answer->locks[i].key);

		if (lock->type != LOCK_TYPE_SHARED)
			add_lock(gc, key, lock);
		else
			for (size_t k = 0; k < lock->n_members; k++)
				add_lock(gc, key, &lock->members[k]);
	}
}

/* Its keys may be in any region, and a command goes to one. */
static void
begin_lock(Gc *gc)
{
	lock_resolver_begin(&gc->resolver, &gc->locks[gc->next_lock], 0,
						PG_UINT64_MAX, &gc->arena);
	gc->resolver.one_by_one = true;
}

void
gc_after_scan(Store *store, const TxnAnswer *answer)
{
	Gc *gc = &store->gc;

	if (answer->n_errors > 0)
	{
		gc_give_up(store, GC_REASON_COMMITTING);
		return;
	}
	take_locks(gc, answer);
	if (gc->n_locks == 0)
	{
		no_more_locks(store);
		return;
	}
	FAILPOINT_PASS("store_gc_locks_found");
	begin_lock(gc);
	gc->phase = GC_RESOLVES;
	gc_rest(gc);
}

/*
 * The scan goes on at its last key, whose lock is gone: if that was shared, the
 * limit may have cut off others who do.
 */
static void
after_locks(Store *store)
{
	Gc *gc = &store->gc;

	if (gc->n_locks < SCAN_LOCKS)
	{
		no_more_locks(store);
		return;
	}
	gc_set_cursor(gc, gc->locks[gc->n_locks - 1].key);
	gc->phase = GC_SCANS_LOCKS;
	gc_rest(gc);
}

static void
next_lock(Store *store)
{
	Gc *gc = &store->gc;

	FAILPOINT_PASS("store_gc_lock_over");
	gc->resolved++;
	gc->next_lock++;
	if (gc->next_lock == gc->n_locks)
	{
		after_locks(store);
		return;
	}
	begin_lock(gc);
	gc->due_us = dispatch_now_us();
}

void
gc_after_question(Store *store, const TxnAnswer *answer)
{
	switch (lock_resolver_next(&store->gc.resolver, answer))
	{
		case LOCK_RESOLVER_RUN:
			FAILPOINT_PASS("store_gc_lock_asked");
			store->gc.due_us = dispatch_now_us();
			break;
		case LOCK_RESOLVER_DONE:
			next_lock(store);
			break;
		case LOCK_RESOLVER_ALIVE:
			gc_give_up(store, GC_REASON_ALIVE);
			break;
		case LOCK_RESOLVER_FAILED:
			gc_give_up(store, GC_REASON_CONTRADICTS);
			break;
	}
}

/* The key that decides where the resolver's command goes. */
static Bytes
key_of_question(const TxnCommand *command)
{
	switch (command->kind)
	{
		case TXN_CMD_CHECK_TXN_STATUS:
			return command->check_txn_status.primary_key;
		case TXN_CMD_CHECK_SECONDARY_LOCKS:
			/* A transaction of one key has none: any region can say so. */
			return command->check_secondary_locks.n_keys > 0 ?
				command->check_secondary_locks.keys[0] :
				bytes_empty();
		case TXN_CMD_PESSIMISTIC_ROLLBACK:
			return command->pessimistic_rollback.keys[0];
		default:
			return command->resolve_lock.keys[0];
	}
}

static void
asked_elsewhere(void *arg, const ProtobufCMessage *reply,
				const Whereabouts *where)
{
	Store *store = arg;
	Gc *gc = &store->gc;
	ClientReply answer;

	gc->away = false;
	if (reply == NULL ||
		!txn_client_reply(&gc->resolver.command,
						  arena_copy(&gc->arena, where->reply), &gc->arena,
						  &answer))
		gc_give_up(store, GC_REASON_ELSEWHERE);
	else
	{
		FAILPOINT_PASS("store_gc_lock_answered");
		gc_after_question(store, &answer.answer);
	}
}

static void
ask_elsewhere(Store *store, Bytes key)
{
	Gc *gc = &store->gc;
	const TxnCommand *command = &gc->resolver.command;

	FAILPOINT_PASS("store_gc_lock_out");
	gc->away = elsewhere_ask(store, memcomparable_encode(key, &gc->arena),
							 txn_client_method(command->kind),
							 txn_client_request(command, NULL, &gc->arena),
							 asked_elsewhere, store);
	if (!gc->away)
		gc_give_up(store, GC_REASON_ELSEWHERE);
}

void
gc_ask_about_lock(Store *store)
{
	const TxnCommand *command = &store->gc.resolver.command;
	Bytes key = key_of_question(command);
	Peer *peer = store_find_peer_of_txn_key(store, key);

	if (peer != NULL && peer_is_leader(peer))
		gc_queue_job(store, peer, METHOD_KV_CHECK_TXN_STATUS, command);
	else
		ask_elsewhere(store, key);
}
