/*
 * test_log_gc.c
 *	  What of a log is given up: what all have, or what the limits force.
 */
#include "core/region/log_gc.h"
#include "unit.h"

static const LogGcLimits limits = {.threshold = 50,
								   .count = 1000,
								   .bytes = 1000000,
								   .max_skips = 6};

static LogGcState
healthy(uint64_t truncated, uint64_t last)
{
	return (LogGcState){.truncated = truncated,
						.last = last,
						.applied = last,
						.persisted = last,
						.replicated = last};
}

static void
test_what_all_have(void)
{
	LogGcState log = healthy(5, 5);

	EQ_U64(log_gc_index(&limits, &log), 0, "an empty log stays");
	EQ_U64(log.skipped, 0, "and is no look that was skipped");
	log = healthy(5, 8);
	EQ_U64(log_gc_index(&limits, &log), 0, "three entries stay");
	log = healthy(5, 56);
	EQ_U64(log_gc_index(&limits, &log), 55, "one less than all have");
	log = healthy(5, 55);
	EQ_U64(log_gc_index(&limits, &log), 0, "too few to be worth it");
	EQ_U64(log.skipped, 1, "which is counted");
	log.skipped = limits.max_skips;
	EQ_U64(log_gc_index(&limits, &log), 54, "unless it was so too often");
	log = healthy(5, 500);
	log.replicated = 5;
	EQ_U64(log_gc_index(&limits, &log), 0, "one peer has nothing of it");
	log.replicated = 100;
	EQ_U64(log_gc_index(&limits, &log), 99, "one peer is behind");
	log.persisted = 60;
	EQ_U64(log_gc_index(&limits, &log), 59, "never beyond what is flushed");
	log.applied = 30;
	EQ_U64(log_gc_index(&limits, &log), 29, "nor beyond what is applied");
}

static void
test_limits(void)
{
	LogGcState log = healthy(0, 1000);

	log.replicated = 0;
	EQ_U64(log_gc_index(&limits, &log), 0, "as many as the limit are kept");
	log = healthy(0, 1001);
	log.replicated = 0;
	EQ_U64(log_gc_index(&limits, &log), 500, "one more: the older half goes");
	log.replicated = 800;
	EQ_U64(log_gc_index(&limits, &log), 799, "or what all have, if more");
	log = healthy(0, 100);
	log.replicated = 3;
	log.bytes = limits.bytes - 1;
	EQ_U64(log_gc_index(&limits, &log), 0, "below the limit of bytes");
	log.bytes = limits.bytes;
	EQ_U64(log_gc_index(&limits, &log), 49, "at it: the older half goes");
	log.applied = 20;
	EQ_U64(log_gc_index(&limits, &log), 19, "as far as it is applied");
	log = healthy(7, 7);
	log.bytes = limits.bytes;
	EQ_U64(log_gc_index(&limits, &log), 0, "an empty log has no older half");
}

static void
test_bytes_left(void)
{
	LogGcState log = healthy(100, 200);

	log.bytes = 1000;
	EQ_U64(log_gc_bytes_left(&log, 150), 500, "half of it is left");
	EQ_U64(log_gc_bytes_left(&log, 200), 0, "nothing is left");
	EQ_U64(log_gc_bytes_left(&log, 300), 0, "beyond the end neither");
	EQ_U64(log_gc_bytes_left(&log, 100), 1000, "all of it is left");
	log = healthy(9, 9);
	EQ_U64(log_gc_bytes_left(&log, 20), 0, "of an empty one nothing");
}

int
main(void)
{
	test_what_all_have();
	test_limits();
	test_bytes_left();
	return unit_done();
}
