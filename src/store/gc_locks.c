/*
 * gc_locks.c
 *	  The locks below the safe point: found, and their transactions ended.
 */
#include "postgres.h"

#include "store/gc_internal.h"

#define SCAN_LOCKS 256

static void
key_range(Store *store, Peer *peer, KeyRange *range)
{
	*range = txn_region_range(&peer->region, &store->gc.arena);
	if (bytes_cmp(store->gc.cursor, range->lower) > 0)
		range->lower = store->gc.cursor;
}

void
gc_scan_locks(Store *store, Peer *peer)
{
	TxnCommand command = {.kind = TXN_CMD_SCAN_LOCK};

	arena_reset(&store->gc.arena);
	key_range(store, peer, &command.scan_lock.range);
	command.scan_lock.max_ts = store->gc.safe_point;
	command.scan_lock.limit = SCAN_LOCKS;
	gc_queue_job(store, peer, METHOD_KV_SCAN_LOCK, &command);
}

static void
no_more_locks(Store *store)
{
	if (gc_go_to_next_region(store))
	{
		store->gc.phase = GC_SCANS_LOCKS;
		gc_rest(&store->gc);
	}
	else
		gc_move_gc_point(store);
}

/* The answer lives in the turn's memory: what is needed is copied. */
void
gc_after_scan(Store *store, const TxnAnswer *answer)
{
	Gc *gc = &store->gc;

	if (answer->n_errors > 0)
	{
		gc_give_up(store, GC_REASON_COMMITTING);
		return;
	}
	if (answer->n_locks == 0)
	{
		no_more_locks(store);
		return;
	}
	gc->locks = arena_alloc(&gc->arena, answer->n_locks * sizeof(LockInfo));
	gc->n_locks = answer->n_locks;
	gc->next_lock = 0;
	for (size_t i = 0; i < answer->n_locks; i++)
	{
		gc->locks[i] = answer->locks[i];
		gc->locks[i].key = arena_copy(&gc->arena, answer->locks[i].key);
		lock_copy(&answer->locks[i].lock, &gc->arena, &gc->locks[i].lock);
	}
	lock_resolver_begin(&gc->resolver, &gc->locks[0], 0, PG_UINT64_MAX,
						&gc->arena);
	gc->phase = GC_RESOLVES;
	gc_rest(gc);
}

/* Behind the last lock of the scan, or the end of the region. */
static void
after_locks(Store *store)
{
	Gc *gc = &store->gc;
	Bytes last = gc->locks[gc->n_locks - 1].key;

	if (gc->n_locks < SCAN_LOCKS)
	{
		no_more_locks(store);
		return;
	}
	gc_set_cursor(gc, last);
	gc->cursor.len++; /* set_cursor leaves a zero behind the key */
	gc->phase = GC_SCANS_LOCKS;
	gc_rest(gc);
}

static void
next_lock(Store *store)
{
	Gc *gc = &store->gc;

	gc->resolved++;
	gc->next_lock++;
	if (gc->next_lock == gc->n_locks)
	{
		after_locks(store);
		return;
	}
	lock_resolver_begin(&gc->resolver, &gc->locks[gc->next_lock], 0,
						PG_UINT64_MAX, &gc->arena);
	gc->due_us = dispatch_now_us();
}

void
gc_after_question(Store *store, const TxnAnswer *answer)
{
	switch (lock_resolver_next(&store->gc.resolver, answer))
	{
		case LOCK_RESOLVER_RUN:
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

void
gc_ask_about_lock(Store *store)
{
	const TxnCommand *command = &store->gc.resolver.command;
	Peer *peer = store_find_peer_of_txn_key(store, key_of_question(command));

	if (peer != NULL && raft_role(peer->raft) == RAFT_LEADER)
		gc_queue_job(store, peer, METHOD_KV_CHECK_TXN_STATUS, command);
	else
		gc_give_up(store, GC_REASON_ELSEWHERE);
}
