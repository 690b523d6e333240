/*
 * test_tso.c
 *	  Timestamps from shared memory while leadership comes and goes: what is
 *	  taken at its end must not be given out, whatever has happened since.
 *
 * The clock is a shim.  It is looked at between the step that takes a timestamp
 * and the look at who leads, so what is to happen right there is done by it.
 */
#include "postgres.h"

#include "bus/board.h"
#include "bus/tso_shared.h"
#include "pd/tso_local.h"
#include "shims.h"
#include "unit.h"

#define LEASE_US 2700000

static int64 now_us = 1000000;
static void (*meanwhile)(void);

extern int64 __wrap_board_now_us(void);

int64
__wrap_board_now_us(void)
{
	void (*run)(void) = meanwhile;

	meanwhile = NULL;
	if (run != NULL)
		run();
	return now_us;
}

static TsoShared *
shared(void)
{
	return tikv_shmem()->tso;
}

/* ---- what `tikv pd` does */

static uint64 saved_ms;

static void
renew(void)
{
	pg_atomic_write_u64(&shared()->lead_until_us, (uint64) now_us + LEASE_US);
}

static void
lead(void)
{
	(void) tso_begin(saved_ms, 0);
	renew();
	saved_ms = Max(saved_ms, tso_now_ms()) + TSO_WINDOW_MS;
	pg_atomic_write_u64(&shared()->bound_ms, saved_ms);
}

static void
resign(void)
{
	pg_atomic_write_u64(&shared()->lead_until_us, 0);
	pg_atomic_write_u64(&shared()->bound_ms, 0);
}

/* Another member leads for a while, behind the bound that it found saved. */
static uint64 elsewhere;

static void
lose_and_lead_again(void)
{
	now_us += LEASE_US;
	elsewhere = tso_make(saved_ms, 77);
	saved_ms += TSO_WINDOW_MS;
	resign();
	lead();
}

static void
lose(void)
{
	now_us += LEASE_US;
	resign();
}

/* Nobody has led since: it is the same term. */
static void
lapse_and_renew(void)
{
	now_us += 2 * LEASE_US;
	renew();
}

/* 0: none. */
static uint64
take(void)
{
	uint64 last = 0;

	return tso_take(1, &last) == TSO_OK ? last : 0;
}

int
main(void)
{
	uint64 before;
	uint64 after;

	shim_start(16, 1024);
	OK(take() == 0, "nobody leads");
	lead();
	before = take();
	OK(before != 0 && take() > before, "timestamps rise");
	meanwhile = lapse_and_renew;
	OK(take() > before, "a lease that was renewed late is as good");
	meanwhile = lose;
	OK(take() == 0, "taken as leadership ends, it is not given out");
	OK(take() == 0, "nor is another");
	lead();
	OK(take() != 0, "it leads again");
	meanwhile = lose_and_lead_again;
	OK(take() == 0, "taken before another led, it is not given out");
	after = take();
	OK(after > elsewhere, "the next is above those of the other");
	return unit_done();
}
