/*
 * latches.c
 *	  Who may touch a key between deciding a command and applying it.
 */
#include "core/kv/latches.h"

#include <stdlib.h>

#include "core/base/check.h"
#include "core/base/hash.h"

typedef struct LatchSlot
{
	uint32_t holders;
	bool shared; /* by its holders */
	LatchClaim *waiting;
	LatchClaim **waiting_end;
} LatchSlot;

struct Latches
{
	uint32_t n; /* a power of two */
	LatchSlot slots[];
};

Latches *
latches_new(uint32_t n_slots)
{
	Latches *latches;

	CHECK(n_slots > 0 && (n_slots & (n_slots - 1)) == 0);
	latches = malloc(sizeof(*latches) + n_slots * sizeof(LatchSlot));
	CHECK(latches != NULL);
	memset(latches, 0, sizeof(*latches) + n_slots * sizeof(LatchSlot));
	latches->n = n_slots;
	for (uint32_t i = 0; i < n_slots; i++)
		latches->slots[i].waiting_end = &latches->slots[i].waiting;
	return latches;
}

void
latches_free(Latches *latches)
{
	free(latches);
}

void
latch_gate_init(LatchGate *gate)
{
	memset(gate, 0, sizeof(*gate));
	gate->waiting_end = &gate->waiting;
}

static int
compare_slots(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *) a;
	uint32_t y = *(const uint32_t *) b;

	return (x > y) - (x < y);
}

void
latch_claim_init(LatchClaim *claim, const Latches *latches, const Bytes *keys,
				 size_t n, bool shared, Arena *arena)
{
	uint32_t kept = 0;

	memset(claim, 0, sizeof(*claim));
	claim->slots = arena_alloc(arena, n * sizeof(uint32_t));
	claim->shared = shared;
	for (size_t i = 0; i < n; i++)
		claim->slots[i] =
			(uint32_t) (hash_bytes64(keys[i], 0) & (latches->n - 1));
	if (n > 1)
		qsort(claim->slots, n, sizeof(uint32_t), compare_slots);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || claim->slots[kept - 1] != claim->slots[i])
			claim->slots[kept++] = claim->slots[i];
	claim->n_slots = kept;
}

void
latch_claim_alone(LatchClaim *claim)
{
	memset(claim, 0, sizeof(*claim));
	claim->alone = true;
}

static void
wait_in(LatchClaim ***end, LatchClaim *claim)
{
	claim->next = NULL;
	**end = claim;
	*end = &claim->next;
}

static LatchClaim *
first_out(LatchClaim **head, LatchClaim ***end)
{
	LatchClaim *claim = *head;

	*head = claim->next;
	if (*head == NULL)
		*end = head;
	claim->next = NULL;
	return claim;
}

/* Take a claim out of a queue it may be in; true if it was. */
static bool
leave_queue(LatchClaim **head, LatchClaim ***end, LatchClaim *claim)
{
	for (LatchClaim **at = head; *at != NULL; at = &(*at)->next)
	{
		if (*at != claim)
			continue;
		*at = claim->next;
		if (*at == NULL)
			*end = at;
		claim->next = NULL;
		return true;
	}
	return false;
}

/* ------------------------------------------------------------------- slots */

static bool
may_hold(const LatchSlot *slot, const LatchClaim *claim)
{
	return slot->holders == 0 || (slot->shared && claim->shared);
}

/* Go on taking slots; false if it waits in one. */
static bool
take_slots(Latches *latches, LatchClaim *claim)
{
	while (claim->n_held < claim->n_slots)
	{
		LatchSlot *slot = &latches->slots[claim->slots[claim->n_held]];

		/* who came before is not overtaken */
		if (slot->waiting != NULL || !may_hold(slot, claim))
		{
			wait_in(&slot->waiting_end, claim);
			return false;
		}
		slot->holders++;
		slot->shared = claim->shared;
		claim->n_held++;
	}
	return true;
}

/* Those who can have the slot now go on; the lucky ones join *woken. */
static void
serve_slot(Latches *latches, LatchSlot *slot, LatchClaim ***woken)
{
	while (slot->waiting != NULL && may_hold(slot, slot->waiting))
	{
		LatchClaim *claim = first_out(&slot->waiting, &slot->waiting_end);

		slot->holders++;
		slot->shared = claim->shared;
		claim->n_held++;
		if (take_slots(latches, claim))
			wait_in(woken, claim);
	}
}

/* -------------------------------------------------------------------- gate */

static bool
may_enter(const LatchGate *gate, const LatchClaim *claim)
{
	if (gate->inside == 0)
		return true;
	return !claim->alone && !gate->alone;
}

static void
enter(LatchGate *gate, LatchClaim *claim)
{
	gate->inside++;
	gate->alone = claim->alone;
	claim->in_gate = true;
}

static void
serve_gate(Latches *latches, LatchGate *gate, LatchClaim ***woken)
{
	while (gate->waiting != NULL && may_enter(gate, gate->waiting))
	{
		LatchClaim *claim = first_out(&gate->waiting, &gate->waiting_end);

		enter(gate, claim);
		if (take_slots(latches, claim))
			wait_in(woken, claim);
	}
}

bool
latch_acquire(Latches *latches, LatchGate *gate, LatchClaim *claim)
{
	CHECK(!claim->in_gate && claim->n_held == 0);
	if (gate->waiting != NULL || !may_enter(gate, claim))
	{
		wait_in(&gate->waiting_end, claim);
		return false;
	}
	enter(gate, claim);
	return take_slots(latches, claim);
}

LatchClaim *
latch_release(Latches *latches, LatchGate *gate, LatchClaim *claim)
{
	LatchClaim *list = NULL;
	LatchClaim **woken = &list;
	uint32_t held = claim->n_held;

	if (!claim->in_gate)
	{
		(void) leave_queue(&gate->waiting, &gate->waiting_end, claim);
		serve_gate(latches, gate, &woken);
		return list;
	}
	if (held < claim->n_slots)
	{
		LatchSlot *slot = &latches->slots[claim->slots[held]];

		CHECK(leave_queue(&slot->waiting, &slot->waiting_end, claim));
		serve_slot(latches, slot, &woken);
	}
	for (uint32_t i = 0; i < held; i++)
	{
		LatchSlot *slot = &latches->slots[claim->slots[i]];

		CHECK(slot->holders > 0);
		slot->holders--;
		serve_slot(latches, slot, &woken);
	}
	claim->n_held = 0;
	claim->in_gate = false;
	CHECK(gate->inside > 0);
	gate->inside--;
	if (gate->inside == 0)
		gate->alone = false;
	serve_gate(latches, gate, &woken);
	return list;
}
