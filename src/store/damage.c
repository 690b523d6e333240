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
#include "utils/memutils.h"

#define NOTHING_READABLE "a row cannot be read, the server's log says why"

bool
damage_is_lasting(int sqlstate)
{
	return sqlstate == ERRCODE_INDEX_CORRUPTED || bad_block_may_say(sqlstate);
}

/* ------------------------------------------------------------- what is said */

static bool
is_told(const Store *store, const BadBlock *bad)
{
	return store->told_bad.block == bad->block &&
		strcmp(store->told_bad.table, bad->table) == 0;
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
	store->told_bad = *bad;
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

bool
damage_pass(Store *store, const ErrorData *error)
{
	BadBlock bad;
	BadBlockAnswer answer = look(error, &bad);

	if (answer != BAD_BLOCK_NONE)
		tell(store, &bad, answer);
	return answer == BAD_BLOCK_PASSED;
}

/* -------------------------------------------- what is committed and meets it */

static pg_atomic_uint64 *
stuck(uint64 region_id)
{
	pg_atomic_uint64 *regions = tikv_shmem()->stuck_regions;

	for (int i = 0; i < STUCK_REGIONS; i++)
		if (pg_atomic_read_u64(&regions[i]) == region_id)
			return &regions[i];
	return NULL;
}

bool
damage_stops(uint64 region_id)
{
	return stuck(region_id) != NULL;
}

void
damage_let_go(uint64 region_id)
{
	pg_atomic_uint64 *held = stuck(region_id);

	if (held != NULL)
		pg_atomic_write_u64(held, 0);
}

static Peer *
peer_of(Store *store, const RawModify *raw_at, const TxnModify *txn_at)
{
	if (txn_at != NULL)
		return store_find_peer_of_txn_key(store, txn_at->key);
	if (raw_at == NULL)
		return NULL;
	return store_find_peer_of_key(store,
								  store->meta.api == API_V2 ?
									  memcomparable_encode(raw_at->key,
														   &store->arena) :
									  raw_at->key);
}

/*
 * What is committed can be refused no more.  The peer applies nothing from now
 * on, and the other regions of the store go on.
 */
static void
stop_region(Store *store, const Peer *peer)
{
	pg_atomic_uint64 *free = stuck(0);
	uint64 region_id = peer != NULL ? peer->region.id : 0;
	char text[256];

	if (region_id == 0 || free == NULL || damage_stops(region_id))
		return;
	pg_atomic_write_u64(free, region_id);
	snprintf(
		text, sizeof(text),
		"region %llu stands still on this store: what was committed meets a row that cannot be read",
		(unsigned long long) region_id);
	worker_note(WORKER_STORE, WORKER_NOTE_DAMAGE, text);
	ereport(
		LOG,
		(errmsg("tikv store %llu: %s",
				(unsigned long long) store->meta.store_id, text),
		 errhint(
			 "Its other peers go on; see \"Damaged blocks\" in docs/operations.md.")));
}

void
damage_end(Store *store, const RawModify *raw_at, const TxnModify *txn_at)
{
	const Peer *peer = peer_of(store, raw_at, txn_at);
	ErrorData *error;

	MemoryContextSwitchTo(store->turn_context);
	error = CopyErrorData();
	if (!damage_is_lasting(error->sqlerrcode))
		PG_RE_THROW();
	FlushErrorState();
	AbortCurrentTransaction();
	if (damage_pass(store, error))
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
