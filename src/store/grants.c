/*
 * grants.c
 *	  Making grants: regions, evaluation, guards, latches.
 *
 * A grant is a commit in one phase that somebody else writes.  It is decided
 * in a turn like any other command, over what is committed and what the turn
 * has before it, and its answer leaves when that is durable; but its rows are
 * not the turn's.  From then on until its transaction has ended nothing else
 * is decided on its keys (grant_latches.c).
 */
#include "postgres.h"

#include "access/transam.h"
#include "storage/procarray.h"
#include "utils/snapmgr.h"

#include "bus/lock_table.h"
#include "bus/sql_commits.h"
#include "core/base/check.h"
#include "core/base/rpc_code.h"
#include "core/client/region_cache.h"
#include "storage/grant_rows.h"
#include "store/grants_internal.h"
#include "store/replicas.h"

/* ---------------------------------------------------------------- regions */

static Peer *
peer_of(Store *store, Bytes key, Peer *guess)
{
	if (guess != NULL && region_cache_holds(&guess->region, key))
		return guess;
	return store_find_peer_of_txn_key(store, key);
}

/* Each region that holds keys of the prewrite, once per run of its keys. */
const char *
grants_each_peer(Store *store, const Write *write,
				 const char *(*act)(void *arg, Peer *peer), void *arg)
{
	const PrewriteCommand *command = &write->txn->command.prewrite;
	Peer *peer = NULL;
	const char *refused = NULL;

	for (size_t i = 0; i < command->n_mutations && refused == NULL; i++)
	{
		Peer *found = peer_of(store, command->mutations[i].key, peer);

		if (found == peer && peer != NULL)
			continue;
		peer = found;
		refused = act(arg, peer);
	}
	return refused;
}

/*
 * Why not; NULL if the peer is alone with its region, and leads it.  What ends
 * by itself in a moment is only noted: a piece that was just split off does not
 * lead yet, and keeps the log of the split for a while.
 */
static const char *
check_peer(void *arg, Peer *peer)
{
	const char **not_yet = arg;

	if (peer == NULL)
		return "a key is in a region of another node";
	if (peer->region.n_peers != 1)
		return "a key is in a region that has other peers";
	if (peer->grouped)
		*not_yet = "a key is in a region that is split or gets other peers";
	else if (!peer_is_leader(peer))
		*not_yet = "a key is in a region that is not led yet";
	if (peer->region.flashback_start_ts != 0)
		return "a key is in a region that is being set back";
	return NULL;
}

/* ----------------------------------------------------------------- answers */

GrantWish *
grants_wish(Request *request)
{
	const Kvrpcpb__PrewriteRequest *from = (const void *) request->message;
	GrantWish *wish = arena_zalloc(request->arena, sizeof(GrantWish));

	if (from->context != NULL)
		wish->xid = (TransactionId) from->context->task_id;
	wish->grant = -1;
	return wish;
}

void
grants_reply(Write *write)
{
	FAILPOINT("grant_before_reply");
	write->request->done_packed(write->request, write->wish->answer);
}

static void
give_answer(Write *write, const GrantAnswer *answer)
{
	write->wish->answer = grant_answer_encode(answer, write->request->arena);
	write->decided = NULL;
}

static void
refuse(Write *write, GrantVerdict verdict, const char *reason)
{
	GrantAnswer answer = {.verdict = verdict, .reason = reason, .grant = -1};

	give_answer(write, &answer);
}

/* ------------------------------------------------------------------- keys */

typedef struct Making
{
	Store *store;
	Write *write;
	const Decided *decided;
	uint64 commit_ts;
	GrantKey *keys;
	Bytes *guards;
	Bytes *names;
	size_t n;
	Size bytes;
} Making;

static bool
replaces_lock(const TxnEffects *effects, Bytes key, size_t *at)
{
	/* In the order of the keys, as the mutations are. */
	for (size_t i = *at; i < effects->n_modifies; i++)
	{
		const TxnModify *modify = &effects->modifies[i];

		if (modify->cf != TXN_CF_LOCK || !bytes_eq(modify->key, key))
			continue;
		*at = i + 1;
		return true;
	}
	return false;
}

static void
describe_lock(Store *store, Bytes name, GrantKey *key)
{
	LockPlace place;

	if (!lock_table_find(name, &place))
		key->lock = GRANT_LOCK_SPILLED;
	else if (place.kind == LOCK_KIND_MEMORY)
		key->lock = GRANT_LOCK_MEMORY;
	else
	{
		key->lock = GRANT_LOCK_SLOT;
		key->slot = place.slot;
		key->row = grant_slot_row(store->pool, place.slot);
	}
}

/* The guard as readers see it, for a store that comes after this one. */
static void
describe_guard(Making *making, Bytes name, size_t i)
{
	Arena *arena = &making->store->arena;
	uint64 start_ts = making->write->txn->command.prewrite.start_ts;
	LockLook look;

	CHECK(lock_table_look(name, arena, &look));
	for (size_t k = 0; k < look.n_guards; k++)
		if (look.guards[k].start_ts == start_ts)
		{
			making->guards[i] = lock_encode(&look.guards[k], arena);
			making->keys[i].min_commit_ts = look.guards[k].min_commit_ts;
			making->keys[i].use_one_pc = true;
		}
}

static void
describe_keys(Making *making)
{
	Arena *arena = &making->store->arena;
	const PrewriteCommand *command = &making->write->txn->command.prewrite;
	const TxnEffects *effects = &making->decided->effects;
	size_t at = 0;

	making->n = command->n_mutations;
	making->keys = arena_zalloc(arena, making->n * sizeof(GrantKey));
	making->guards = arena_zalloc(arena, making->n * sizeof(Bytes));
	making->names = arena_zalloc(arena, making->n * sizeof(Bytes));
	for (size_t i = 0; i < making->n; i++)
	{
		Bytes name = command->mutations[i].key;

		making->names[i] = name;
		describe_guard(making, name, i);
		if (replaces_lock(effects, name, &at))
			describe_lock(making->store, name, &making->keys[i]);
		making->bytes += grant_key_size(name, making->guards[i]);
	}
}

/* ------------------------------------------------------------------ giving */

static void
note_joint(const Making *making)
{
	JointCommit joint;

	joint_commit_begin(&joint, making->write->wish->xid, making->commit_ts);
	for (size_t i = 0; i < making->n; i++)
		joint_commit_add(&joint, making->names[i]);
	joint_commits_note(&joint);
}

static void
fill(const Making *making, int grant)
{
	for (size_t i = 0; i < making->n; i++)
		grant_add_key(grant, &making->keys[i], making->names[i],
					  making->guards[i]);
}

/* False: there is no room for it. */
static bool
give(Making *making)
{
	Store *store = making->store;
	Write *write = making->write;
	GrantAnswer answer = {.verdict = GRANT_GIVEN};
	int grant;

	describe_keys(making);
	grant = grant_take(write->wish->xid, write->txn->command.prewrite.start_ts,
					   making->commit_ts, making->bytes);
	if (grant < 0)
		return false;
	write->wish->grant = grant;
	FAILPOINT("grant_filling");
	fill(making, grant);

	/* Before anybody can see what it does. */
	note_joint(making);
	for (size_t i = 0; i < making->n; i++)
		version_hints_forget(making->names[i]);
	answer.grant = grant;
	answer.generation = grant_set_live(grant);
	grants_latch(store, grant);
	write->wish->live = true;
	answer.commit_ts = making->commit_ts;
	answer.rows = making->decided->effects.modifies;
	answer.n_rows = making->decided->effects.n_modifies;
	give_answer(write, &answer);
	FAILPOINT("grant_live");
	return true;
}

static void
evaluate(TxnTurn *turn, Write *write)
{
	Making making = {.store = turn->store, .write = write};

	write->txn->command.prewrite.try_one_pc = true;
	txn_turn_evaluate(turn, write);
	making.decided = write->decided;
	if (making.decided->answer.n_errors > 0)
		return;
	FAILPOINT("grant_published");
	making.commit_ts = making.decided->answer.one_pc_commit_ts;
	if (making.decided->effects.one_pc && give(&making))
		return;
	txn_turn_undo(write);
	refuse(write, GRANT_TOO_LARGE,
		   "it has more keys than the memory for locks can show to readers");
}

bool
grants_decide(TxnTurn *turn, Write *write)
{
	const char *not_yet = NULL;
	const char *refused;

	if (write->wish == NULL)
		return false;
	if (!TransactionIdIsInProgress(write->wish->xid))
	{
		write->request->fail(write->request, RPC_CANCELLED,
							 "the transaction is over");
		return true;
	}
	FAILPOINT("grant_before_decide");
	refused = grants_each_peer(turn->store, write, check_peer, &not_yet);
	if (refused != NULL)
		refuse(write, GRANT_NOT_ALONE, refused);
	else if (not_yet != NULL)
		refuse(write, GRANT_NOT_YET, not_yet);
	else
	{
		joint_commits_making();
		evaluate(turn, write);
		joint_commits_made();
	}
	write_queue_push(&turn->store->outbox, write);
	return true;
}

void
grants_undo(Store *store, Write *write)
{
	if (write->wish == NULL)
		return;
	joint_commits_made();
	if (write->wish->live)
		grants_unlatch(store, write->wish->grant);
	else if (write->wish->grant >= 0)
		grant_free(write->wish->grant);
	write->wish->live = false;
	write->wish->grant = -1;
	write->wish->answer = bytes_empty();
}

/* ----------------------------------------------------------------- the end */

static void
tell_waiters(Store *store, const GrantView *view, const GrantKey *key)
{
	if (key->lock != GRANT_LOCK_NONE)
		lock_wait_released(store->waits, grant_key_bytes(key), view->start_ts,
						   view->commit_ts, dispatch_now_us());
}

static void
finish_committed(Store *store, int grant, const GrantView *view)
{
	Size at = 0;
	GrantKey *key;

	status_cache_put(store->status_cache, view->start_ts, view->commit_ts,
					 dispatch_now_us());
	gc_note_commit(store, view->n_keys, view->commit_ts);
	while ((key = grant_next_key(grant, &at)) != NULL)
	{
		grant_lock_ended(store->pool, key);
		tell_waiters(store, view, key);
	}
}

/* Locks first, as they were the guards' before: a reader meets one of them. */
void
grants_finish(Store *store, int grant)
{
	GrantView view;
	bool committed;

	grant_view(grant, &view);
	committed = TransactionIdDidCommit(view.xid);
	FAILPOINT("grant_before_end");
	if (committed)
		finish_committed(store, grant, &view);
	FAILPOINT("grant_in_end");
	grants_count_end(store, grant, committed);
	grants_unlatch(store, grant);
	FAILPOINT("grant_after_end");
}

/* -------------------------------------------------------------- a new store */

/* What the snapshot of the locks shows already has no lock any more. */
static void
settle_locks(int grant, const GrantView *view, Snapshot snapshot)
{
	Size at = 0;
	GrantKey *key;

	if (XidInMVCCSnapshot(view->xid, snapshot) ||
		!TransactionIdDidCommit(view->xid))
		return;
	while ((key = grant_next_key(grant, &at)) != NULL)
		key->lock = GRANT_LOCK_NONE;
}

static void
restore_guards(int grant, const GrantView *view)
{
	Size at = 0;
	GrantKey *key;

	while ((key = grant_next_key(grant, &at)) != NULL)
	{
		version_hints_forget(grant_key_bytes(key));
		if (key->guard_len > 0 &&
			!lock_table_restore_guard(grant_key_bytes(key),
									  grant_guard_bytes(key), view->start_ts,
									  key->min_commit_ts, key->use_one_pc))
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("no room for the guards of a transaction")));
	}
}

void
grants_restore(Store *store, Snapshot snapshot)
{
	grants_reset_filling();
	joint_commits_made();
	for (int grant = 0; grant < grants_n(); grant++)
	{
		GrantView view;

		grant_view(grant, &view);
		if (view.state == GRANT_FREE)
			continue;
		settle_locks(grant, &view, snapshot);
		restore_guards(grant, &view);
		grants_latch(store, grant);
	}
}
