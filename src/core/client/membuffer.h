/*
 * membuffer.h
 *	  What a transaction has written and not yet committed.
 *
 * An ordered map of keys, with stages on top of each other for savepoints: a
 * stage is kept (it joins the one below) or undone.  What is known about a
 * key's lock is no part of a stage, since a lock that was taken stays taken.
 * Source: tikv/client-go internal/unionstore/memdb.go.
 */
#ifndef TIKV_CLIENT_MEMBUFFER_H
#define TIKV_CLIENT_MEMBUFFER_H

#include "core/base/arena.h"

typedef enum BufferOp
{
	BUFFER_NONE = 0, /* nothing was written: the key is only locked */
	BUFFER_PUT,
	BUFFER_DELETE
} BufferOp;

typedef struct BufferEntry BufferEntry;

struct BufferEntry
{
	Bytes key;

	/* Of the stages. */
	BufferOp op;
	Bytes value;
	bool must_not_exist; /* before the transaction: prewrite checks it */
	bool lock_wanted;	 /* without a lock so far: prewrite takes one */

	/* Of the transaction. */
	bool locked;
	uint64_t locked_at; /* for_update_ts of the lock */

	/* The buffer's own. */
	uint64_t saved_in; /* the stage that can undo it */
	BufferEntry *prev;
	int levels;
	BufferEntry *next[];
};

typedef struct MemBuffer MemBuffer;

extern MemBuffer *membuffer_new(void);
extern void membuffer_free(MemBuffer *buffer);

/* Copies key and value. */
extern BufferEntry *membuffer_put(MemBuffer *buffer, Bytes key, Bytes value,
								  bool must_not_exist);
extern BufferEntry *membuffer_delete(MemBuffer *buffer, Bytes key);
extern BufferEntry *membuffer_want_lock(MemBuffer *buffer, Bytes key);
extern BufferEntry *membuffer_locked(MemBuffer *buffer, Bytes key,
									 uint64_t for_update_ts);

/* NULL if nothing is known about the key. */
extern BufferEntry *membuffer_find(const MemBuffer *buffer, Bytes key);

/* The first entry at or after a key; the last one before it (empty: of all). */
extern BufferEntry *membuffer_from(const MemBuffer *buffer, Bytes key);
extern BufferEntry *membuffer_before(const MemBuffer *buffer, Bytes bound);

static inline BufferEntry *
membuffer_next(const BufferEntry *entry)
{
	return entry->next[0];
}

/*
 * Will the entry be part of the commit?  An entry whose writes were undone
 * and that was never locked will not.
 */
static inline bool
membuffer_counts(const BufferEntry *entry)
{
	return entry->op != BUFFER_NONE || entry->lock_wanted || entry->locked;
}

/* Entries, those included that no longer count. */
extern size_t membuffer_n(const MemBuffer *buffer);

/* Memory taken, which only grows. */
extern size_t membuffer_bytes(const MemBuffer *buffer);

/* Begin a stage on top; its depth, the first one's being 1. */
extern int membuffer_stage(MemBuffer *buffer);
extern int membuffer_depth(const MemBuffer *buffer);

/* The topmost stage joins the one below it, or never was. */
extern void membuffer_keep(MemBuffer *buffer);
extern void membuffer_undo(MemBuffer *buffer);

#endif /* TIKV_CLIENT_MEMBUFFER_H */
