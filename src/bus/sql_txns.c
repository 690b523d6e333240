/*
 * sql_txns.c
 *	  The key-value transactions of SQL sessions on this node.
 *
 * A slot per backend.  Its owner writes it, under the slot's spinlock for
 * the few words that must fit together; a primary is written before the
 * length that shows it, while the slot has none.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "bus/board.h"
#include "bus/sql_txns.h"

typedef struct SqlTxnSlot
{
	slock_t mutex;
	int owner;				   /* pid of the backend that has it; 0: nobody */
	pg_atomic_uint64 start_ts; /* 0: no transaction */
	SqlTxnView view;
} SqlTxnSlot;

struct SqlTxnShared
{
	int n;
	SqlTxnSlot slots[FLEXIBLE_ARRAY_MEMBER];
};

static SqlTxnSlot *mine;

static SqlTxnShared *
shared(void)
{
	TikvShmem *shmem = tikv_shmem();

	return shmem == NULL ? NULL : shmem->sql_txns;
}

/* ---------------------------------------------------------------- memory */

/* Background workers may open sessions, too. */
static int
slots_wanted(void)
{
	return MaxBackends;
}

Size
sql_txns_shmem_size(void)
{
	return add_size(offsetof(SqlTxnShared, slots),
					mul_size(sizeof(SqlTxnSlot), (Size) slots_wanted()));
}

void
sql_txns_shmem_init(TikvShmem *shmem, bool found)
{
	bool ours;

	shmem->sql_txns = ShmemInitStruct("tikv_fdw SQL transactions",
									  sql_txns_shmem_size(), &ours);
	if (found)
		return;
	shmem->sql_txns->n = slots_wanted();
	for (int i = 0; i < shmem->sql_txns->n; i++)
	{
		SqlTxnSlot *slot = &shmem->sql_txns->slots[i];

		SpinLockInit(&slot->mutex);
		slot->owner = 0;
		pg_atomic_init_u64(&slot->start_ts, 0);
	}
}

/* ------------------------------------------------------------- the session */

static void
give_back(int code, Datum arg)
{
	SqlTxnSlot *slot = mine;

	(void) code;
	(void) arg;
	mine = NULL;
	if (slot == NULL)
		return;
	pg_atomic_write_u64(&slot->start_ts, 0);
	SpinLockAcquire(&slot->mutex);
	slot->owner = 0;
	SpinLockRelease(&slot->mutex);
}

static bool
take(SqlTxnSlot *slot)
{
	bool taken;

	SpinLockAcquire(&slot->mutex);
	taken = slot->owner == 0;
	if (taken)
		slot->owner = MyProcPid;
	SpinLockRelease(&slot->mutex);
	return taken;
}

/* There is one for every process that can have a transaction. */
static void
find_slot(void)
{
	SqlTxnShared *all = shared();

	for (int i = 0; i < all->n && mine == NULL; i++)
		if (take(&all->slots[i]))
			mine = &all->slots[i];
	if (mine == NULL)
		elog(ERROR, "no slot is free for a key-value transaction");
	on_shmem_exit(give_back, (Datum) 0);
}

void
sql_txn_begin(uint64 start_ts, bool pessimistic, bool repeatable_read)
{
	SqlTxnView *view;

	if (mine == NULL)
		find_slot();
	view = &mine->view;
	SpinLockAcquire(&mine->mutex);
	view->pid = MyProcPid;
	GET_VXID_FROM_PGPROC(view->vxid, *MyProc);
	view->start_ts = start_ts;
	view->for_update_ts = 0;
	view->since = GetCurrentTimestamp();
	view->since_us = board_now_us();
	view->phase = SQL_TXN_OPEN;
	view->pessimistic = pessimistic;
	view->repeatable_read = repeatable_read;
	view->n_writes = view->n_locks = view->beats = 0;
	view->waits_for = 0;
	view->primary_len = 0;
	SpinLockRelease(&mine->mutex);
	pg_atomic_write_u64(&mine->start_ts, start_ts);
}

void
sql_txn_end(void)
{
	if (mine != NULL)
		pg_atomic_write_u64(&mine->start_ts, 0);
}

void
sql_txn_progress(SqlTxnPhase phase, uint64 for_update_ts, uint64 n_writes,
				 uint64 n_locks)
{
	SpinLockAcquire(&mine->mutex);
	mine->view.phase = phase;
	mine->view.for_update_ts = for_update_ts;
	mine->view.n_writes = n_writes;
	mine->view.n_locks = n_locks;
	SpinLockRelease(&mine->mutex);
}

void
sql_txn_set_primary(Bytes primary)
{
	SpinLockAcquire(&mine->mutex);
	mine->view.primary_len = 0;
	SpinLockRelease(&mine->mutex);
	if (primary.len == 0 || primary.len > SQL_TXN_KEY_MAX)
		return;
	memcpy(mine->view.primary, primary.data, primary.len);
	pg_write_barrier();
	SpinLockAcquire(&mine->mutex);
	mine->view.primary_len = (uint32) primary.len;
	SpinLockRelease(&mine->mutex);
}

void
sql_txn_wait(Bytes key, uint64 holder)
{
	SqlTxnView *view = &mine->view;
	TimestampTz now = GetCurrentTimestamp();

	SpinLockAcquire(&mine->mutex);
	view->waits_for = holder;
	view->waits_since = now;
	view->wait_len = (uint32) Min(key.len, SQL_TXN_WAIT_MAX);
	if (view->wait_len > 0)
		memcpy(view->wait_key, key.data, view->wait_len);
	SpinLockRelease(&mine->mutex);
}

/* ----------------------------------------------------------------- others */

bool
sql_txn_find(uint64 start_ts, VirtualTransactionId *vxid, int *pid)
{
	SqlTxnShared *all = shared();

	for (int i = 0; i < all->n; i++)
	{
		SqlTxnSlot *slot = &all->slots[i];
		bool same;

		if (pg_atomic_read_u64(&slot->start_ts) != start_ts)
			continue;
		SpinLockAcquire(&slot->mutex);
		*vxid = slot->view.vxid;
		*pid = slot->view.pid;
		same = slot->view.start_ts == start_ts;
		SpinLockRelease(&slot->mutex);
		if (same)
			return true;
	}
	return false;
}

int
sql_txn_slots(void)
{
	return shared() == NULL ? 0 : shared()->n;
}

bool
sql_txn_view(int index, SqlTxnView *out)
{
	SqlTxnSlot *slot = &shared()->slots[index];
	uint64 start_ts = pg_atomic_read_u64(&slot->start_ts);
	uint32 len;

	if (start_ts == 0)
		return false;
	SpinLockAcquire(&slot->mutex);
	memcpy(out, &slot->view, offsetof(SqlTxnView, primary));
	SpinLockRelease(&slot->mutex);
	len = out->primary_len;
	memcpy(out->primary, slot->view.primary, Min(len, SQL_TXN_KEY_MAX));

	/* Still the same transaction, with the same primary? */
	SpinLockAcquire(&slot->mutex);
	if (slot->view.primary_len != len)
		out->primary_len = 0;
	SpinLockRelease(&slot->mutex);
	return out->start_ts == start_ts &&
		pg_atomic_read_u64(&slot->start_ts) == start_ts;
}

uint64
sql_txn_oldest(void)
{
	SqlTxnShared *all = shared();
	uint64 oldest = PG_UINT64_MAX;

	for (int i = 0; all != NULL && i < all->n; i++)
	{
		uint64 start_ts = pg_atomic_read_u64(&all->slots[i].start_ts);

		if (start_ts != 0)
			oldest = Min(oldest, start_ts);
	}
	return oldest;
}

int64
sql_txn_age_ms(uint64 start_ts)
{
	SqlTxnShared *all = shared();
	int64 now_us = board_now_us();
	int64 age_us = 0;

	for (int i = 0; all != NULL && i < all->n; i++)
	{
		SqlTxnSlot *slot = &all->slots[i];

		if (pg_atomic_read_u64(&slot->start_ts) != start_ts)
			continue;
		SpinLockAcquire(&slot->mutex);
		if (slot->view.start_ts == start_ts)
			age_us = Max(age_us, now_us - slot->view.since_us);
		SpinLockRelease(&slot->mutex);
	}
	return age_us / 1000;
}

void
sql_txn_beat(int index, uint64 start_ts)
{
	SqlTxnSlot *slot = &shared()->slots[index];

	SpinLockAcquire(&slot->mutex);
	if (slot->view.start_ts == start_ts)
		slot->view.beats++;
	SpinLockRelease(&slot->mutex);
}
