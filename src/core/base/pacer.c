/*
 * pacer.c
 *	  How often a turn may take a transaction id.
 *
 * The bucket is kept as a time: next_us is when it will be full, and each
 * missing token is one interval.
 */
#include "core/base/pacer.h"

int64_t
pacer_wait_us(const Pacer *pacer, int64_t now_us, int64_t interval_us)
{
	int64_t debt = pacer->next_us - now_us;
	int64_t allowed = (int64_t) PACER_BURST * interval_us;

	if (interval_us <= 0)
		return 0;
	return debt > allowed ? debt - allowed : 0;
}

void
pacer_spend(Pacer *pacer, int64_t now_us, int64_t interval_us)
{
	if (pacer->next_us < now_us)
		pacer->next_us = now_us;
	pacer->next_us += interval_us;
}
