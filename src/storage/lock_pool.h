/*
 * lock_pool.h
 *	  The rows of lock_slot: where they are, which are free, how they look.
 *
 * Private to the files of this folder.
 */
#ifndef TIKV_STORAGE_LOCK_POOL_H
#define TIKV_STORAGE_LOCK_POOL_H

#include "storage/row.h"
#include "storage/txn_table.h"

/* Columns of the table, from 1 on. */
enum
{
	SLOT_NUMBER = 1,
	SLOT_REC,
	SLOT_COLUMNS = SLOT_REC
};

struct LockPool
{
	MemoryContext context;
	Oid relation;	 /* of the file whose rows are remembered */
	Oid relfilenode; /* another one: they have moved */
	uint64 n_slots;
	uint64 room; /* of the arrays */
	ItemPointerData *places;
	uint64 n_free;
	uint64 *free; /* the one to take next is the last */
};

/* Look where the rows are, if they are somewhere else by now. */
extern void lock_pool_attach(LockPool *pool, const OpenTable *slots,
							 Snapshot snapshot);

/* A free slot; false if there is none. */
extern bool lock_pool_take(LockPool *pool, uint64 *slot);

/* A slot is free again: its row says so, durably.  Needs no memory. */
extern void lock_pool_give(LockPool *pool, uint64 slot);

/* One more slot, whose row is to be inserted. */
extern uint64 lock_pool_extend(LockPool *pool);

/* The row of a slot; `rec` lives as long as the slot holds the row. */
extern uint64 slot_row_number(TupleTableSlot *slot);
extern bool slot_row_rec(TupleTableSlot *slot, MemoryContext context,
						 Bytes *rec);

/* What is in `rec`; false if it is no such thing. */
extern bool slot_rec_parse(Bytes rec, Bytes *key, Bytes *record);

/*
 * Write the row of a slot, with a lock or (key.data NULL) without; *place is
 * where it was, invalid if it is new, and where it will be.  `fetched` is a
 * slot for its present version.
 */
extern void slot_row_write(const OpenTable *slots, Snapshot snapshot,
						   TupleTableSlot *fetched, uint64 number, Bytes key,
						   Bytes record, ItemPointer place);

#endif /* TIKV_STORAGE_LOCK_POOL_H */
