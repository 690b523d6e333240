/*
 * test_latches.c
 *	  Latches: who holds one, who waits, and that all who wait come through.
 */
#include <stdlib.h>

#include "core/kv/latches.h"
#include "dice.h"
#include "unit.h"

static Arena arena;
static Latches *latches;
static LatchGate gate;

static LatchClaim *
claim(const char *keys, bool shared)
{
	LatchClaim *c = arena_zalloc(&arena, sizeof(*c));
	size_t n = strlen(keys);
	Bytes list[16];

	for (size_t i = 0; i < n; i++)
		list[i] = bytes_make(keys + i, 1);
	latch_claim_init(c, latches, list, n, shared, &arena);
	return c;
}

static LatchClaim *
alone(void)
{
	LatchClaim *c = arena_zalloc(&arena, sizeof(*c));

	latch_claim_alone(c);
	return c;
}

static void
one_after_the_other(void)
{
	LatchClaim *a = claim("k", false);
	LatchClaim *b = claim("kx", false);
	LatchClaim *c = claim("x", false);
	LatchClaim *woken;

	OK(latch_acquire(latches, &gate, a), "the first has its key");
	OK(!latch_acquire(latches, &gate, b), "the second waits for it");
	woken = latch_release(latches, &gate, a);
	OK(woken == b && b->next == NULL, "and gets it");
	OK(!latch_acquire(latches, &gate, c), "its other key is held, too");
	OK(latch_release(latches, &gate, b) == c, "until it is released");
	OK(latch_release(latches, &gate, c) == NULL, "nobody is left");
}

static void
blind_writes_share(void)
{
	LatchClaim *a = claim("k", true);
	LatchClaim *b = claim("k", true);
	LatchClaim *reader = claim("k", false);
	LatchClaim *late = claim("k", true);
	LatchClaim *woken;

	OK(latch_acquire(latches, &gate, a) && latch_acquire(latches, &gate, b),
	   "blind writes share a key");
	OK(!latch_acquire(latches, &gate, reader), "who reads it waits for both");
	OK(!latch_acquire(latches, &gate, late), "and is not overtaken");
	OK(latch_release(latches, &gate, a) == NULL, "one of them still holds it");
	OK(latch_release(latches, &gate, b) == reader, "now it is free");
	woken = latch_release(latches, &gate, reader);
	OK(woken == late, "in their order");
	(void) latch_release(latches, &gate, late);
}

static void
ranges_are_alone(void)
{
	LatchClaim *a = claim("k", false);
	LatchClaim *range = alone();
	LatchClaim *b = claim("other", false);
	LatchClaim *woken;

	OK(latch_acquire(latches, &gate, a), "a key is held");
	OK(!latch_acquire(latches, &gate, range), "a range waits for all keys");
	OK(!latch_acquire(latches, &gate, b), "who comes later waits behind it");
	OK(latch_release(latches, &gate, a) == range, "it is alone");
	woken = latch_release(latches, &gate, range);
	OK(woken == b, "then the others go on");
	(void) latch_release(latches, &gate, b);
}

static void
giving_up(void)
{
	LatchClaim *a = claim("k", false);
	LatchClaim *b = claim("k", false);
	LatchClaim *c = claim("k", false);
	LatchClaim *range = alone();
	LatchClaim *d = claim("z", false);

	(void) !latch_acquire(latches, &gate, a);
	(void) !latch_acquire(latches, &gate, b);
	(void) !latch_acquire(latches, &gate, c);
	OK(latch_release(latches, &gate, b) == NULL, "one that waits gives up");
	OK(latch_release(latches, &gate, a) == c, "and is passed over");
	(void) !latch_acquire(latches, &gate, range);
	(void) !latch_acquire(latches, &gate, d);
	OK(latch_release(latches, &gate, range) == d,
	   "one that waits at the gate gives up and blocks nobody");
	(void) latch_release(latches, &gate, c);
	(void) latch_release(latches, &gate, d);
	OK(gate.inside == 0, "the gate is empty");
}

/* ------------------------------------------------------------------ at random */

#define CLAIMS 40
#define KEYS 6

typedef struct Model
{
	LatchClaim *claim;
	char keys[8];
	bool shared;
	bool alone;
	bool held; /* all of it */
	bool waits;
} Model;

static Model models[CLAIMS];

static bool
conflict(const Model *a, const Model *b)
{
	if (a->alone || b->alone)
		return true;
	if (a->shared && b->shared)
		return false;
	return strpbrk(a->keys, b->keys) != NULL;
}

static int
conflicts(void)
{
	int n = 0;

	for (int i = 0; i < CLAIMS; i++)
		for (int k = 0; k < i; k++)
			n += models[i].held && models[k].held &&
				conflict(&models[i], &models[k]);
	return n;
}

static void
begin(Model *m)
{
	size_t n = 1 + below(3);

	memset(m->keys, 0, sizeof(m->keys));
	for (size_t i = 0; i < n; i++)
		m->keys[i] = (char) ('a' + below(KEYS));
	m->shared = below(2) == 0;
	m->alone = below(12) == 0;
	m->claim = m->alone ? alone() : claim(m->keys, m->shared);
	m->claim->owner = m;
	m->held = latch_acquire(latches, &gate, m->claim);
	m->waits = !m->held;
}

static void
end(Model *m)
{
	LatchClaim *woken = latch_release(latches, &gate, m->claim);

	m->held = m->waits = false;
	while (woken != NULL)
	{
		Model *other = woken->owner;

		woken = woken->next;
		other->held = true;
		other->waits = false;
	}
}

static void
at_random(void)
{
	int broken = 0;
	int left = 0;

	for (int step = 0; step < 200000; step++)
	{
		Model *m = &models[below(CLAIMS)];

		if (!m->held && !m->waits)
			begin(m);
		else if (m->held || below(20) == 0)
			end(m);
		broken += conflicts();
	}
	EQ_U64(broken, 0, "claims that conflict are never held at once");

	/* whoever holds lets go, until nobody is left */
	for (int round = 0; round < CLAIMS; round++)
		for (int i = 0; i < CLAIMS; i++)
			if (models[i].held)
				end(&models[i]);
	for (int i = 0; i < CLAIMS; i++)
		left += models[i].held || models[i].waits;
	EQ_U64(left, 0, "all who waited have come through");
	EQ_U64(gate.inside, 0, "and are out again");
}

int
main(void)
{
	arena_init(&arena);
	latches = latches_new(1024);
	latch_gate_init(&gate);
	one_after_the_other();
	blind_writes_share();
	ranges_are_alone();
	giving_up();
	at_random();
	latches_free(latches);
	arena_free(&arena);
	return unit_done();
}
