/*
 * latches.h
 *	  Who may touch a key between deciding a command and applying it.
 *
 * With several peers a command is decided long before its entry is applied.
 * Until then no other command on its keys may be decided, since it would not
 * see what the first one does.  A latch is a slot of a hashed table with a
 * queue: first come, first served, and blind writes (which see nothing) share
 * one.  After tikv/tikv src/storage/txn/latch.rs, where latches are not
 * shared.
 *
 * A command takes its slots in ascending order, so no two wait for each
 * other.  Commands that walk ranges are alone in their region (`gate`).
 */
#ifndef TIKV_KV_LATCHES_H
#define TIKV_KV_LATCHES_H

#include "core/base/bytes.h"
#include "core/base/arena.h"

typedef struct Latches Latches;

/* One command's claim.  Owned by the caller; the slots are the table's. */
typedef struct LatchClaim
{
	uint32_t *slots; /* ascending, no duplicates */
	uint32_t n_slots;
	uint32_t n_held;		 /* the first so many are held */
	bool shared;			 /* with other shared claims */
	bool alone;				 /* nobody else in the region */
	bool in_gate;			 /* counted as inside, or alone inside */
	void *owner;			 /* the caller's */
	struct LatchClaim *next; /* in the queue it waits in */
} LatchClaim;

/* Per region: who is inside, who waits to go in. */
typedef struct LatchGate
{
	uint32_t inside;
	bool alone; /* the one inside is alone */
	LatchClaim *waiting;
	LatchClaim **waiting_end;
} LatchGate;

extern Latches *latches_new(uint32_t n_slots);
extern void latches_free(Latches *latches);
extern void latch_gate_init(LatchGate *gate);

/* Prepare a claim on these keys; its slots live in the arena. */
extern void latch_claim_init(LatchClaim *claim, const Latches *latches,
							 const Bytes *keys, size_t n, bool shared,
							 Arena *arena);
extern void latch_claim_alone(LatchClaim *claim);

/* True if it holds all; else it waits, and comes out of a release. */
extern bool latch_acquire(Latches *latches, LatchGate *gate, LatchClaim *claim);

/*
 * Give up what a claim holds; it may be waiting, too.  Returns a list of the
 * claims that now hold all they want, in order, linked by `next`.
 */
extern LatchClaim *latch_release(Latches *latches, LatchGate *gate,
								 LatchClaim *claim);

#endif /* TIKV_KV_LATCHES_H */
