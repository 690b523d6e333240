/*
 * pending.c
 *	  A key as it will be after what a command has listed so far.
 */
#include "core/txn/pending.h"

#include "core/base/check.h"

/* The newest effect on the row from the reader's begin on, or NULL. */
static const TxnModify *
last_effect(const PendingReader *pending, TxnCf cf, uint64_t ts)
{
	const TxnEffects *effects = pending->effects;

	for (size_t i = effects->n_modifies; i-- > pending->first;)
		if (effects->modifies[i].cf == cf && effects->modifies[i].ts == ts)
			return &effects->modifies[i];
	return NULL;
}

static bool
pending_get_lock(MvccReader *reader, Bytes key, Arena *arena, Lock *lock)
{
	PendingReader *pending = (PendingReader *) reader;
	const TxnModify *last;

	CHECK(bytes_eq(key, pending->key));
	last = last_effect(pending, TXN_CF_LOCK, 0);
	if (last == NULL)
		return pending->base->get_lock(pending->base, key, arena, lock);
	if (last->is_delete)
		return false;
	CHECK(lock_decode(last->bytes, arena, lock) == STATUS_OK);
	return true;
}

/* The newest record that was put and is not covered by a later delete. */
static const TxnModify *
newest_put(const PendingReader *pending, uint64_t ts)
{
	const TxnEffects *effects = pending->effects;
	const TxnModify *best = NULL;

	for (size_t i = pending->first; i < effects->n_modifies; i++)
	{
		const TxnModify *m = &effects->modifies[i];

		if (m->cf == TXN_CF_WRITE && m->ts <= ts &&
			(best == NULL || m->ts > best->ts) &&
			!last_effect(pending, TXN_CF_WRITE, m->ts)->is_delete)
			best = last_effect(pending, TXN_CF_WRITE, m->ts);
	}
	return best;
}

/* The newest record below ts that the effects leave alone. */
static bool
seek_untouched(const PendingReader *pending, uint64_t ts, Arena *arena,
			   WriteAt *out)
{
	MvccReader *base = pending->base;

	while (base->seek_write(base, pending->key, ts, arena, out))
	{
		if (last_effect(pending, TXN_CF_WRITE, out->commit_ts) == NULL)
			return true;
		if (out->commit_ts == 0)
			return false;
		ts = out->commit_ts - 1;
	}
	return false;
}

static bool
pending_seek_write(MvccReader *reader, Bytes key, uint64_t ts, Arena *arena,
				   WriteAt *out)
{
	PendingReader *pending = (PendingReader *) reader;
	const TxnModify *put;
	bool found;

	CHECK(bytes_eq(key, pending->key));
	put = newest_put(pending, ts);
	found = seek_untouched(pending, ts, arena, out);
	if (put == NULL || (found && out->commit_ts > put->ts))
		return found;
	out->commit_ts = put->ts;
	out->write = put->write;
	return true;
}

void
pending_init(PendingReader *pending, MvccReader *base,
			 const TxnEffects *effects, Bytes key)
{
	memset(pending, 0, sizeof(*pending));
	pending->reader.get_lock = pending_get_lock;
	pending->reader.seek_write = pending_seek_write;
	pending->base = base;
	pending->effects = effects;
	pending->first = effects->n_modifies;
	pending->key = key;
}
