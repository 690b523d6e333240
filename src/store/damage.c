/*
 * damage.c
 *	  What the store does where a disk has spoiled its tables.
 *
 * A turn that fails costs all its writes a new try.  So what a damaged block did
 * once, it should not do again: new rows go elsewhere, and the write that needs
 * a row which nobody can read is answered by itself, as reads are.
 */
#include "postgres.h"

#include "access/xact.h"
#include "bus/shmem.h"
#include "core/codec/memcomparable.h"
#include "store/damage.h"
#include "store/replicas.h"
#include "utils/memutils.h"

#define NOTHING_READABLE "a row cannot be read, the server's log says why"
#define STUCK_WHY "what was committed meets a row that cannot be read"

bool
damage_is_lasting(int sqlstate)
{
	return sqlstate == ERRCODE_INDEX_CORRUPTED || bad_block_may_say(sqlstate);
}

/* ------------------------------------------------------------- what is said */

static bool
is_told(const Store *store, const BadBlock *bad)
{
	for (int i = 0; i < TOLD_BLOCKS; i++)
		if (store->told_bad[i].block == bad->block &&
			strcmp(store->told_bad[i].table, bad->table) == 0)
			return true;
	return false;
}

static void
tell(Store *store, const BadBlock *bad, BadBlockAnswer answer)
{
	static const char *const what[] =
		{[BAD_BLOCK_ROWS] = "its rows can be neither read nor written",
		 [BAD_BLOCK_PASSED] = "new rows go to other blocks",
		 [BAD_BLOCK_INDEX] = "make the index anew with REINDEX"};
	char text[256];

	snprintf(text, sizeof(text), "block %u of %s cannot be read: %s",
			 bad->block, bad->table, what[answer]);
	worker_note(WORKER_STORE, WORKER_NOTE_DAMAGE, text);
	if (is_told(store, bad))
		return;
	store->told_bad[store->n_told_bad++ % TOLD_BLOCKS] = *bad;
	ereport(
		LOG,
		(errcode(answer == BAD_BLOCK_INDEX ? ERRCODE_INDEX_CORRUPTED :
											 ERRCODE_DATA_CORRUPTED),
		 errmsg("tikv store %llu: %s",
				(unsigned long long) store->meta.store_id, text),
		 answer == BAD_BLOCK_INDEX ?
			 errhint("REINDEX INDEX %s; until then writes of its keys fail.",
					 bad->table) :
			 errhint(
				 "Check the disk, and see \"Damaged blocks\" in docs/operations.md.")));
}

static BadBlockAnswer
look(const ErrorData *error, BadBlock *bad)
{
	MemoryContext context = CurrentMemoryContext;
	volatile BadBlockAnswer answer = BAD_BLOCK_NONE;

	PG_TRY();
	{
		answer = bad_block_pass(error, bad);
	}
	PG_CATCH();
	{
		/* The first error is the one to be told of. */
		MemoryContextSwitchTo(context);
		FlushErrorState();
		AbortCurrentTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return answer;
}

static BadBlockAnswer
meet(Store *store, const ErrorData *error)
{
	BadBlock bad;
	BadBlockAnswer answer = look(error, &bad);

	if (answer != BAD_BLOCK_NONE)
		tell(store, &bad, answer);
	return answer;
}

bool
damage_pass(Store *store, const ErrorData *error)
{
	return meet(store, error) == BAD_BLOCK_PASSED;
}

/* What a disk refused a moment ago it may give the next time. */
bool
damage_stalls(Store *store, const ErrorData *error)
{
	BadBlockAnswer answer;

	if (!damage_is_lasting(error->sqlerrcode))
		return false;
	answer = meet(store, error);
	return answer != BAD_BLOCK_PASSED &&
		(answer != BAD_BLOCK_NONE || error->sqlerrcode != ERRCODE_IO_ERROR);
}

/* -------------------------------------------- what is committed and meets it */

/* Its place; the number of them: it is none of them. */
static uint32
place_of(uint64 region_id)
{
	TikvShmem *shmem = tikv_shmem();
	uint32 n = pg_atomic_read_u32(&shmem->n_stuck);
	uint32 at = 0;

	while (at < n && pg_atomic_read_u64(&shmem->stuck_regions[at]) != region_id)
		at++;
	return at;
}

bool
damage_stops(uint64 region_id)
{
	return place_of(region_id) < pg_atomic_read_u32(&tikv_shmem()->n_stuck);
}

#define STUCK_SHOWN 8

static void
tell_stuck(void)
{
	TikvShmem *shmem = tikv_shmem();
	uint32 n = pg_atomic_read_u32(&shmem->n_stuck);
	char ids[STUCK_SHOWN * 24] = "";
	char text[256] = "";

	for (uint32 i = 0; i < Min(n, STUCK_SHOWN); i++)
		snprintf(ids + strlen(ids), sizeof(ids) - strlen(ids), "%s%llu",
				 i == 0 ? "" : ", ",
				 (unsigned long long)
					 pg_atomic_read_u64(&shmem->stuck_regions[i]));
	if (n > 0)
		snprintf(text, sizeof(text), "%s %s%s %s on this store: " STUCK_WHY,
				 n == 1 ? "region" : "regions", ids,
				 n > STUCK_SHOWN ? ", ..." : "",
				 n == 1 ? "stands still" : "stand still");
	worker_note(WORKER_STORE, WORKER_NOTE_STUCK, text);
}

void
damage_let_go(uint64 region_id)
{
	TikvShmem *shmem = tikv_shmem();
	uint32 n = pg_atomic_read_u32(&shmem->n_stuck);
	uint32 at = place_of(region_id);

	if (at == n)
		return;
	pg_atomic_write_u64(&shmem->stuck_regions[at],
						pg_atomic_read_u64(&shmem->stuck_regions[n - 1]));
	pg_atomic_write_u32(&shmem->n_stuck, n - 1);
	tell_stuck();
}

void
damage_forget(void)
{
	pg_atomic_write_u32(&tikv_shmem()->n_stuck, 0);
	tell_stuck();
	worker_note(WORKER_STORE, WORKER_NOTE_DAMAGE, "");
}

/* What is being written, as the bounds of regions are. */
static Bytes
bound_of(const RaftTurn *turn)
{
	Store *store = turn->store;

	if (turn->txn.at != NULL)
		return memcomparable_encode(turn->txn.at->key, &store->arena);
	return store->meta.api == API_V2 ?
		memcomparable_encode(turn->raw_at->key, &store->arena) :
		turn->raw_at->key;
}

/* The one that was split in this turn, behind the entry that is applied. */
static Peer *
parent_of(const RaftTurn *turn, Bytes bound)
{
	for (const SplitBorn *born = turn->born; born != NULL; born = born->next)
		for (int i = 0; i < born->n_pieces; i++)
			if (region_contains(&born->pieces[i], bound))
				return store_find_peer(turn->store, born->parent);
	return NULL;
}

/* Whose entry it is; NULL: it is not about a row. */
static Peer *
peer_of(const RaftTurn *turn)
{
	Store *store = turn->store;
	Bytes bound;

	if (turn->raw_at == NULL && turn->txn.at == NULL)
		return NULL;
	bound = bound_of(turn);
	for (int i = 0; i < store->n_peers; i++)
	{
		const Region *region = &store->peers[i]->region;

		if (region->n_peers > 0 && region_contains(region, bound))
			return store->peers[i];
	}
	return parent_of(turn, bound);
}

/*
 * What is committed can be refused no more.  The peer applies nothing from now
 * on, and the other regions of the store go on.
 */
static void
stop_region(Store *store, const Peer *peer)
{
	TikvShmem *shmem = tikv_shmem();
	uint32 n = pg_atomic_read_u32(&shmem->n_stuck);

	if (peer == NULL || n == STUCK_REGIONS || damage_stops(peer->region.id))
		return;
	pg_atomic_write_u64(&shmem->stuck_regions[n], peer->region.id);
	pg_atomic_write_u32(&shmem->n_stuck, n + 1);
	tell_stuck();
	ereport(
		LOG,
		(errmsg("tikv store %llu: region %llu stands still on this store: %s",
				(unsigned long long) store->meta.store_id,
				(unsigned long long) peer->region.id, STUCK_WHY),
		 errhint(
			 "Its other peers go on; see \"Damaged blocks\" in docs/operations.md.")));
}

void
damage_end(RaftTurn *turn)
{
	Store *store = turn->store;
	const Peer *peer;
	ErrorData *error;

	MemoryContextSwitchTo(store->turn_context);
	peer = peer_of(turn);
	error = CopyErrorData();
	if (!damage_is_lasting(error->sqlerrcode))
		PG_RE_THROW();
	FlushErrorState();
	AbortCurrentTransaction();
	if (!damage_stalls(store, error))
		ReThrowError(error);
	stop_region(store, peer);
	/* Why it ends, until the next one serves: it may meet the same. */
	worker_report(WORKER_STORE, WORKER_WAITING, error->message, "");
	ReThrowError(error);
}

/* ------------------------------------------------------- whose write it was */

static bool
puts_raw(const Write *write, const RawModify *at)
{
	for (size_t i = 0; write->txn == NULL && i < write->command.n_modifies; i++)
		if (write->command.modifies[i].cf == at->cf &&
			bytes_eq(write->command.modifies[i].key, at->key))
			return true;
	return false;
}

int
damage_blame_raw(WriteQueue *outbox, const RawModify *at)
{
	int n = 0;

	for (Write *write = outbox->head; write != NULL; write = write->next)
		n += write->damaged = puts_raw(write, at);
	return n;
}

static bool
puts_txn(const Write *write, const TxnModify *at)
{
	if (write->txn == NULL || write->decided == NULL)
		return false;
	for (size_t i = 0; i < write->decided->effects.n_modifies; i++)
		if (bytes_eq(write->decided->effects.modifies[i].key, at->key))
			return true;
	return false;
}

int
damage_blame_txn(WriteQueue *outbox, const TxnModify *at)
{
	int n = 0;

	for (Write *write = outbox->head; write != NULL; write = write->next)
		n += write->damaged = puts_txn(write, at);
	return n;
}

/* The store's own say which; those that ask for a grant know of busy alone. */
void
damage_answer_one(Write *write)
{
	if (write->inside != NULL)
		turn_fail_damaged(write);
	else if (write->wish != NULL)
		service_busy(write->request, NOTHING_READABLE);
	else
		service_damaged(write->request);
}

void
damage_answer(WriteQueue *batch)
{
	WriteQueue kept;
	Write *write;

	write_queue_init(&kept);
	while ((write = write_queue_pop(batch)) != NULL)
		if (write->damaged)
			damage_answer_one(write);
		else
			write_queue_push(&kept, write);
	write_queue_init(batch);
	while ((write = write_queue_pop(&kept)) != NULL)
		write_queue_push(batch, write);
}
