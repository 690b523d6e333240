/*
 * test_region.c
 *	  Region checks: their order, the epoch table, key ranges.
 */
#include <stdio.h>

#include "core/region/question.h"
#include "core/region/region.h"

#include "unit.h"

#define STORE 4

static Region
sample_region(void)
{
	Region region = {
		.id = 7,
		.start_key = bytes_cstr("b"),
		.end_key = bytes_cstr("m"),
		.epoch = {.conf_ver = 3, .version = 10},
		.n_peers = 2,
		.peers = {{70, STORE, PEER_VOTER}, {71, 5, PEER_VOTER}},
	};

	return region;
}

static RegionState
leading(const Region *region)
{
	RegionState state = {
		.region = region,
		.self = region->peers[0],
		.leader = region->peers[0],
		.term = 20,
		.is_leader = true,
	};

	return state;
}

static RequestContext
good_context(void)
{
	RequestContext ctx = {
		.region_id = 7,
		.epoch = {.conf_ver = 3, .version = 10},
		.peer_id = 70,
		.peer_store_id = STORE,
		.has_epoch = true,
		.has_peer = true,
	};

	return ctx;
}

static void
test_epoch_rules(void)
{
	static const struct
	{
		EpochRule rule;
		bool version; /* is compared */
		bool conf_ver;
		const char *name;
	} table[] = {
		{EPOCH_DATA, true, false, "data"},
		{EPOCH_CONF_CHANGE, false, true, "conf change"},
		{EPOCH_RANGE_CHANGE, true, true, "range change"},
		{EPOCH_NONE, false, false, "none"},
	};
	RegionEpoch current = {.conf_ver = 3, .version = 10};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
	{
		EpochRule rule = table[i].rule;

		OK(region_epoch_matches(current, current, rule), table[i].name);
		for (int d = -1; d <= 1; d += 2)
		{
			RegionEpoch version = current;
			RegionEpoch conf = current;

			version.version += (uint64_t) d;
			conf.conf_ver += (uint64_t) d;
			OK(region_epoch_matches(version, current, rule) != table[i].version,
			   d < 0 ? "older version" : "newer version");
			OK(region_epoch_matches(conf, current, rule) != table[i].conf_ver,
			   d < 0 ? "older conf_ver" : "newer conf_ver");
		}
	}
}

static void
test_contains(void)
{
	Region region = sample_region();

	OK(!region_contains(&region, bytes_empty()), "empty key before start");
	OK(!region_contains(&region, bytes_cstr("a\xff")), "key before start");
	OK(region_contains(&region, bytes_cstr("b")), "start is inclusive");
	OK(region_contains(&region, bytes_make("b\0", 2)), "start and a zero");
	OK(region_contains(&region, bytes_cstr("l\xff\xff")), "key before end");
	OK(!region_contains(&region, bytes_cstr("m")), "end is exclusive");
	region.end_key = bytes_empty();
	OK(region_contains(&region, bytes_cstr("\xff\xff\xff")), "no end");
	region.start_key = bytes_empty();
	OK(region_contains(&region, bytes_empty()), "empty key in whole range");
}

static void
test_accepts(void)
{
	Region region = sample_region();
	RegionState state = leading(&region);
	RequestContext ctx = good_context();
	RegionError error = {.kind = REGION_DISK_FULL};

	OK(region_check(STORE, &state, &ctx, EPOCH_DATA, &error), "good request");
	EQ_U64(error.kind, REGION_OK, "error is cleared");
	ctx.epoch.conf_ver = 1;
	OK(region_check(STORE, &state, &ctx, EPOCH_DATA, &error),
	   "data does not compare conf_ver");
	ctx.epoch.version = 1;
	OK(region_check(STORE, &state, &ctx, EPOCH_NONE, &error),
	   "rule none compares nothing");
	ctx.has_epoch = false;
	OK(region_check(STORE, &state, &ctx, EPOCH_NONE, &error),
	   "rule none needs no epoch");
}

/*
 * Start with a request that fails every check, then mend one thing after the
 * other: each answer must be the next in TiKV's order.
 */
static void
test_order(void)
{
	Region region = sample_region();
	RegionState state = leading(&region);
	RequestContext ctx = good_context();
	RegionError error;

	ctx.peer_store_id = 9;
	ctx.peer_id = 99;
	ctx.term = 5;
	ctx.epoch.version = 9;
	state.is_leader = false;
	state.leader = region.peers[1];

	OK(!region_check(STORE, NULL, &ctx, EPOCH_DATA, &error), "wrong store");
	EQ_U64(error.kind, REGION_STORE_NOT_MATCH, "store comes first");
	EQ_U64(error.expected, 9, "store that was named");
	EQ_U64(error.actual, STORE, "store that this is");

	ctx.peer_store_id = STORE;
	OK(!region_check(STORE, NULL, &ctx, EPOCH_DATA, &error), "no region");
	EQ_U64(error.kind, REGION_NOT_FOUND, "then the region");
	EQ_U64(error.region_id, 7, "region that was named");

	OK(!region_check(STORE, &state, &ctx, EPOCH_DATA, &error), "wrong peer");
	EQ_U64(error.kind, REGION_MISMATCH_PEER_ID, "then the peer");
	EQ_U64(error.expected, 99, "peer that was named");
	EQ_U64(error.actual, 70, "peer that is here");

	ctx.peer_id = 70;
	OK(!region_check(STORE, &state, &ctx, EPOCH_DATA, &error), "follower");
	EQ_U64(error.kind, REGION_NOT_LEADER, "then leadership");
	EQ_U64(error.leader.id, 71, "hint: peer");
	EQ_U64(error.leader.store_id, 5, "hint: store");

	state.is_leader = true;
	OK(!region_check(STORE, &state, &ctx, EPOCH_DATA, &error), "old term");
	EQ_U64(error.kind, REGION_STALE_COMMAND, "then the term");

	ctx.term = 0;
	OK(!region_check(STORE, &state, &ctx, EPOCH_DATA, &error), "old epoch");
	EQ_U64(error.kind, REGION_EPOCH_NOT_MATCH, "then the epoch");
	OK(error.current == &region, "with the region as it is");
	ctx.has_epoch = false;
	OK(!region_check(STORE, &state, &ctx, EPOCH_DATA, &error), "no epoch");
	EQ_U64(error.kind, REGION_MESSAGE_ONLY, "is told in words");
	OK(error.reason != NULL, "and there are words");

	ctx.has_epoch = true;
	ctx.epoch.version = 10;
	region.flashback_start_ts = 50;
	OK(!region_check(STORE, &state, &ctx, EPOCH_DATA, &error), "flashback");
	EQ_U64(error.kind, REGION_FLASHBACK_IN_PROGRESS, "the flashback is last");
}

/* txn-semantics 5.2 row 6: who may do what while a region is set back. */
static void
test_flashback(void)
{
	static const struct
	{
		uint64_t region_ts; /* 0: no flashback is under way */
		bool flashback;		/* the request is a step of one */
		uint64_t read_ts;
		bool passes;
		const char *name;
	} table[] = {
		{0, false, 0, true, "no flashback: a write"},
		{0, false, 60, true, "no flashback: a read"},
		{0, true, 0, true, "no flashback: its commands decide themselves"},
		{50, false, 0, false, "a write, or a read without a timestamp"},
		{50, false, 49, true, "a read from before it"},
		{50, false, 50, false, "a read at its start"},
		{50, false, 51, false, "a read from after it"},
		{50, false, UINT64_MAX, false, "a read of the newest"},
		{50, true, 0, true, "a step of it"},
		{50, true, 60, true, "a step of it, whatever it reads"},
	};
	Region region = sample_region();
	RegionState state = leading(&region);
	RequestContext ctx = good_context();
	RegionError error;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
	{
		region.flashback_start_ts = table[i].region_ts;
		ctx.flashback = table[i].flashback;
		ctx.read_ts = table[i].read_ts;
		OK(region_check(STORE, &state, &ctx, EPOCH_DATA, &error) ==
			   table[i].passes,
		   table[i].name);
		if (table[i].passes)
			continue;
		EQ_U64(error.kind, REGION_FLASHBACK_IN_PROGRESS, "the error");
		EQ_U64(error.region_id, 7, "its region");
		EQ_U64(error.actual, 50, "its start_ts");
	}
}

static void
test_absent_peer(void)
{
	Region region = sample_region();
	RegionState state = leading(&region);
	RequestContext ctx = good_context();
	RegionError error;

	ctx.has_peer = false;
	OK(!region_check(STORE, &state, &ctx, EPOCH_DATA, &error), "no peer named");
	EQ_U64(error.kind, REGION_STORE_NOT_MATCH, "reads as store 0");
	EQ_U64(error.expected, 0, "store 0");
}

static void
test_other_region(void)
{
	Region region = sample_region();
	RegionState state = leading(&region);
	RequestContext ctx = good_context();
	RegionError error;

	ctx.region_id = 8;
	OK(!region_check(STORE, &state, &ctx, EPOCH_DATA, &error),
	   "a state of another region is no state");
	EQ_U64(error.kind, REGION_NOT_FOUND, "region not found");
	EQ_U64(error.region_id, 8, "the one that was named");
}

static void
test_leader_hint(void)
{
	Region region = sample_region();
	RegionState state = leading(&region);
	RequestContext ctx = good_context();
	RegionError error;

	state.is_leader = false;
	state.leader = (RegionPeer){0, 0, PEER_VOTER};
	OK(!region_check(STORE, &state, &ctx, EPOCH_DATA, &error), "no leader");
	EQ_U64(error.leader.id, 0, "no hint");
	state.leader = state.self;
	OK(!region_check(STORE, &state, &ctx, EPOCH_DATA, &error),
	   "leadership just lost");
	EQ_U64(error.leader.id, 0, "never hints at itself");
	ctx.replica_read = true;
	ctx.stale_read = true;
	OK(!region_check(STORE, &state, &ctx, EPOCH_DATA, &error),
	   "no flag makes a follower serve here");
}

static void
test_terms(void)
{
	static const struct
	{
		uint64_t request;
		bool passes;
		const char *name;
	} table[] = {
		{0, true, "term 0 is not checked"},
		{20, true, "current term"},
		{19, true, "one behind"},
		{18, false, "two behind"},
		{1, false, "far behind"},
		{21, true, "ahead"},
		{UINT64_MAX, true, "as far ahead as can be"},
	};
	Region region = sample_region();
	RegionState state = leading(&region);
	RequestContext ctx = good_context();
	RegionError error;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
	{
		ctx.term = table[i].request;
		OK(region_check(STORE, &state, &ctx, EPOCH_DATA, &error) ==
			   table[i].passes,
		   table[i].name);
	}
}

static void
test_check_key(void)
{
	Region region = sample_region();
	RegionError error = {.kind = REGION_OK};
	Bytes outside = bytes_cstr("z");

	OK(region_check_key(&region, bytes_cstr("c"), &error), "key inside");
	EQ_U64(error.kind, REGION_OK, "leaves the error alone");
	OK(!region_check_key(&region, outside, &error), "key outside");
	EQ_U64(error.kind, REGION_KEY_NOT_IN_REGION, "key not in region");
	EQ_U64(error.region_id, 7, "which region");
	OK(error.current == &region, "whose bounds are told");
	OK(bytes_eq(error.key, outside), "which key");
}

/* An answer that comes after the region was led elsewhere is none. */
static void
test_questions(void)
{
	uint64_t asked = question_number(77, 5);

	EQ_U64(question_region(asked), 77, "an answer says which region it is of");
	EQ_U64(question_term(asked), 5, "and of which term");
	OK(question_is_of(asked, 77, 5), "it counts in its own term");
	OK(!question_is_of(asked, 77, 7), "and not when its asker leads again");
	OK(!question_is_of(asked, 78, 5), "nor for another region");
	OK(question_is_of(question_number(77, UINT64_MAX), 77, UINT64_MAX) &&
		   !question_is_of(question_number(77, UINT64_MAX), 77, 5),
	   "terms may be large");
	OK(question_number(UINT64_MAX, UINT64_MAX) >> QUESTION_BITS == 0,
	   "and no number leaves its bits");
}

static RegionRange
range_of(const char *start, const char *end)
{
	return (RegionRange){bytes_cstr(start), bytes_cstr(end)};
}

/* "a-c x-" for two ranges. */
static const char *
rest_of(RegionRange range, RegionRange taken)
{
	static char text[64];
	RegionRange rest[2];
	int n = region_range_without(range, taken, rest);
	size_t at = 0;

	text[0] = '\0';
	for (int i = 0; i < n; i++)
		at += (size_t) snprintf(text + at, sizeof(text) - at, "%s%.*s-%.*s",
								i == 0 ? "" : " ", (int) rest[i].start.len,
								(const char *) rest[i].start.data,
								(int) rest[i].end.len,
								(const char *) rest[i].end.data);
	return text;
}

static void
check_rest(const char *start, const char *end, const char *taken_start,
		   const char *taken_end, const char *expected)
{
	RegionRange range = range_of(start, end);
	RegionRange taken = range_of(taken_start, taken_end);
	bool apart = strcmp(rest_of(range, taken), expected) == 0;

	OK(apart, expected);
	OK(region_ranges_overlap(range, taken) ==
		   region_ranges_overlap(taken, range),
	   "to overlap is mutual");
}

/* An empty end is behind all keys, an empty start before them. */
static void
test_ranges(void)
{
	check_rest("b", "d", "d", "f", "b-d");
	check_rest("d", "f", "b", "d", "d-f");
	check_rest("b", "d", "b", "d", "");
	check_rest("b", "d", "a", "z", "");
	check_rest("b", "d", "", "", "");
	check_rest("b", "h", "c", "e", "b-c e-h");
	check_rest("b", "h", "b", "e", "e-h");
	check_rest("b", "h", "e", "h", "b-e");
	check_rest("b", "h", "e", "", "b-e");
	check_rest("", "", "c", "e", "-c e-");
	check_rest("", "", "", "e", "e-");
	check_rest("", "", "e", "", "-e");
	check_rest("b", "", "", "a", "b-");
	check_rest("b", "", "", "c", "c-");
	check_rest("", "b", "b", "", "-b");
	OK(!region_ranges_overlap(range_of("a", "b"), range_of("b", "")),
	   "neighbours do not overlap");
	OK(region_ranges_overlap(range_of("a", ""), range_of("b", "")),
	   "two without an end do");
}

int
main(void)
{
	test_ranges();
	test_epoch_rules();
	test_questions();
	test_contains();
	test_accepts();
	test_order();
	test_flashback();
	test_absent_peer();
	test_other_region();
	test_leader_hint();
	test_terms();
	test_check_key();
	return unit_done();
}
