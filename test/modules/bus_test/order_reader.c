/*
 * order_reader.c
 *	  The round of a read and its look at the locks, which are the server's;
 *	  tables, snapshots and lock_spill, which are the test's.
 */
#include "postgres.h"

#include "read/read.h"
#include "read/txn_look.h"
#include "storage/fresh_snapshot.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "order_reader.h"

/* ---------------------------------------------------- what stands for tables */

static const OrderTables *the_tables;
static const OrderRead *the_read;
static SnapshotData the_snapshot; /* curcid is its number */
static MvccReader the_reader;

TablesAnswer
tables_open(const TableOids *oids, int what, bool write, bool wait,
			OpenTables *out)
{
	(void) oids;
	(void) what;
	(void) write;
	(void) wait;
	memset(out, 0, sizeof(*out));
	the_tables->pause();
	return the_tables->locked() ? TABLES_LOCKED : TABLES_OK;
}

void
tables_close(OpenTables *tables, bool write)
{
	(void) tables;
	(void) write;
}

Snapshot
fresh_snapshot(void)
{
	the_snapshot.curcid = the_tables->snapshot();
	the_tables->pause();
	return &the_snapshot;
}

void
UnregisterSnapshot(Snapshot snapshot)
{
	(void) snapshot;
}

RawReader *
raw_reader_open(const OpenTables *tables, Snapshot snapshot, int64 now_s)
{
	(void) tables;
	(void) snapshot;
	(void) now_s;
	abort();
}

void
raw_reader_close(RawReader *reader)
{
	(void) reader;
}

MvccReader *
txn_reader_open(const OpenTables *tables, Snapshot snapshot, bool spilled)
{
	(void) tables;
	(void) snapshot;
	(void) spilled;
	return &the_reader;
}

void
txn_reader_close(MvccReader *reader)
{
	(void) reader;
}

bool
txn_reader_spilled_lock(MvccReader *reader, Bytes key, Arena *arena, Lock *lock)
{
	(void) reader;
	(void) arena;
	return the_tables->spilled(the_snapshot.curcid, key, lock);
}

/* Linked in place of lock_table_raise_max_ts. */
extern void __real_lock_table_raise_max_ts(uint64 ts);
extern void __wrap_lock_table_raise_max_ts(uint64 ts);

void
__wrap_lock_table_raise_max_ts(uint64 ts)
{
	the_tables->pause();
	__real_lock_table_raise_max_ts(ts);
	the_tables->pause();
}

/* The tests' scans are of one key. */
void
txn_reader_scan_spilled(MvccReader *reader, const KeyRange *range, bool reverse,
						bool (*emit)(void *arg, Bytes key, const Lock *lock),
						void *arg)
{
	Lock lock;

	(void) reader;
	(void) range;
	(void) reverse;
	if (the_tables->spilled(the_snapshot.curcid, the_read->key, &lock))
		(void) emit(arg, the_read->key, &lock);
}

/* ----------------------------------------------------------------- the reads */

static const ServiceMethod get_method = {.id = METHOD_KV_GET};
static const ServiceMethod scan_method = {.id = METHOD_KV_SCAN};

static void
make_request(const OrderRead *read, Arena *arena, Request *request,
			 TxnRequest *txn)
{
	the_read = read;
	memset(request, 0, sizeof(*request));
	memset(txn, 0, sizeof(*txn));
	request->arena = arena;
	request->method = read->scan ? &scan_method : &get_method;
	txn->read.ts = read->ts;
	txn->read.isolation = ISOLATION_SI;
	if (read->scan)
	{
		txn->scan.range.lower = read->key;
		txn->scan.range.upper = read->next;
		txn->scan.reverse = read->reverse;
		txn->scan.limit = 1;
		return;
	}
	txn->keys = arena_alloc(arena, sizeof(Bytes));
	txn->keys[0] = read->key;
	txn->n_keys = 1;
}

static ReadEnd
end_of(const TxnLook *look)
{
	if (look->n_met == 0)
		return READ_MET_NOTHING;
	return look->met[0].is_guard ? READ_MET_GUARD : READ_MET_LOCK;
}

/* The steps are those of kvserver/dispatch.c and sqlapi/txn_read.c. */
ReadEnd
order_read(const OrderTables *tables, const OrderRead *read, Arena *arena,
		   uint32 *snapshot)
{
	static const Region whole;
	ReadRound *round;
	Request request;
	TxnRequest txn;
	TxnLook look;
	TablesAnswer answer;
	ReadEnd end;

	the_tables = tables;
	make_request(read, arena, &request, &txn);
	round = read_round_new(READ_TXN);
	if (txn_look(round, &request, &txn, &whole, &look) != TXN_LOOK_OK)
		abort();
	answer = read_round_begin(round, NULL, false);
	if (answer != TABLES_OK)
	{
		read_round_end(round);
		return READ_REFUSED;
	}
	end = end_of(&look);
	if (read_round_spilled(round))
	{
		if (txn_look_spilled(&request, &txn, &whole, read_round_mvcc(round),
							 &look) != TXN_LOOK_OK)
			abort();
		if (end == READ_MET_NOTHING && look.n_met > 0)
			end = READ_MET_SPILLED;
	}
	*snapshot = the_snapshot.curcid;
	read_round_end(round);
	return end;
}

void
order_read_late(const OrderTables *tables, const OrderRead *read, Arena *arena)
{
	static const Region whole;
	ReadRound *round;
	Request request;
	TxnRequest txn;
	TxnLook look;

	the_tables = tables;
	make_request(read, arena, &request, &txn);
	round = read_round_new(READ_TXN);
	if (read_round_begin(round, NULL, false) == TABLES_OK)
		(void) txn_look(round, &request, &txn, &whole, &look);
	read_round_end(round);
}
