/*
 * test_log_poll.c
 *	  Which regions hold no locks, by what stores say of their peers' logs:
 *	  none that has a lock in a log that one of them does not know.
 */
#include "core/cmd/log_poll.h"
#include "unit.h"

static const RegionEpoch epoch = {.conf_ver = 5, .version = 7};
static LogPoll poll;

/* ------------------------------------------------------------- one store's answer */

static bool
answers(LogSight sight, LogEnd *end)
{
	*end = (LogEnd){.region_id = 2, .epoch = epoch};
	return log_end_answer(end, &sight);
}

static void
test_answer(void)
{
	LogSight sight = {.epoch = epoch,
					  .asleep = true,
					  .last_index = 9,
					  .applied_index = 9};
	LogSight other = sight;
	LogEnd end;

	OK(answers(sight, &end), "a peer that sleeps and has applied its log");
	EQ_U64(end.index, 9, "says where it ends");
	OK(!end.has_locks, "and that it has no locks");
	other.has_locks = true;
	OK(answers(other, &end) && end.has_locks, "or that it has some");
	other = sight;
	other.asleep = false;
	OK(!answers(other, &end), "one that is awake is not named");
	other = sight;
	other.last_index = 10;
	OK(!answers(other, &end), "nor one that has not applied all of its log");
	other = sight;
	other.epoch.conf_ver++;
	OK(!answers(other, &end), "nor one whose region has other peers by now");
	other = sight;
	other.epoch.version++;
	OK(!answers(other, &end), "nor one whose region is another piece by now");
}

/* ------------------------------------------------------------------- the question */

/* With peers on stores 1, 2 and 3 or from another one on. */
static Region
region_of(uint64_t id, const char *start, const char *end, uint64_t store)
{
	Region region = {.id = id,
					 .start_key = bytes_cstr(start),
					 .end_key = bytes_cstr(end),
					 .epoch = epoch,
					 .n_peers = 3};

	for (int i = 0; i < 3; i++)
		region.peers[i] = (RegionPeer){.id = id * 10 + (uint64_t) i,
									   .store_id = store + (uint64_t) i};
	return region;
}

static bool
add(uint64_t id, const char *start, const char *end, uint64_t store, bool ask)
{
	Region region = region_of(id, start, end, store);

	return log_poll_add(&poll, &region, ask);
}

static void
begin_two(void)
{
	log_poll_forget(&poll);
	log_poll_begin(&poll, 77, 300);
	OK(add(2, "", "k", 1, true), "a region on stores 1 to 3");
	OK(add(4, "k", "", 2, true), "and one on stores 2 to 4");
}

/* What a store says of all that it is asked, at an index. */
static void
answer(uint64_t store, uint64_t index, bool has_locks)
{
	LogEnds ends;

	log_poll_question(&poll, store, &ends);
	for (int i = 0; i < ends.n; i++)
	{
		ends.ends[i].index = index;
		ends.ends[i].has_locks = has_locks;
	}
	log_poll_answer(&poll, store, &ends);
}

static int
clean_from(const char *bound)
{
	int at = log_poll_find(&poll, bytes_cstr(bound));

	return at < 0 ? -1 : log_poll_count_clean(&poll, at);
}

static void
test_question(void)
{
	LogEnds ends;

	begin_two();
	EQ_U64(poll.n_stores, 4, "four stores are asked");
	log_poll_question(&poll, 1, &ends);
	EQ_U64(ends.question, 77, "each the same question");
	EQ_U64(ends.ts, 300, "with the timestamp that max_ts is raised to");
	EQ_U64(ends.n, 1, "about the regions that it has peers of");
	EQ_U64(ends.ends[0].region_id, 2, "one of the first");
	log_poll_question(&poll, 3, &ends);
	EQ_U64(ends.n, 2, "another one has both");
	EQ_U64(clean_from("x"), -1, "no region begins elsewhere");
}

static void
test_agreement(void)
{
	begin_two();
	answer(1, 9, false);
	answer(2, 9, false);
	EQ_U64(log_poll_left(&poll), 2, "two have answered, two have not");
	EQ_U64(clean_from(""), 0,
		   "as long as one peer is silent, nothing is known");
	answer(3, 9, false);
	EQ_U64(clean_from(""), 1, "all of the first region's have");
	EQ_U64(clean_from("k"), 0, "one of the other's has not");
	answer(4, 9, false);
	EQ_U64(log_poll_left(&poll), 0, "all have");
	EQ_U64(clean_from(""), 2, "both are free of locks");
	EQ_U64(clean_from("k"), 1, "so is the second by itself");
}

/* The entry of a lock that one store has and another one has not. */
static void
test_longer_log(void)
{
	begin_two();
	answer(2, 10, false);
	answer(3, 9, false);
	answer(4, 9, false);
	answer(1, 9, false);
	EQ_U64(clean_from(""), 0, "the first who answered has a longer log");
	EQ_U64(clean_from("k"), 0, "in both");
	begin_two();
	answer(1, 9, false);
	answer(2, 9, false);
	answer(3, 9, false);
	answer(4, 10, false);
	EQ_U64(clean_from(""), 1, "the last one has, of the second region");
	EQ_U64(clean_from("k"), 0, "which may have locks");
}

static void
test_locks(void)
{
	begin_two();
	for (uint64_t store = 1; store <= 4; store++)
		answer(store, 9, true);
	EQ_U64(clean_from(""), 0, "all have the same, and locks");
	begin_two();
	for (uint64_t store = 1; store <= 4; store++)
		answer(store, 9, store == 4);
	EQ_U64(clean_from(""), 1, "one alone has locks, of the second region");
	EQ_U64(clean_from("k"), 0, "which others would have with it");
	begin_two();
	for (uint64_t store = 1; store <= 4; store++)
		answer(store, 9, store == 2);
	EQ_U64(clean_from(""), 0, "one that has both, who was not the last");
	EQ_U64(clean_from("k"), 0, "so neither is free of them");
}

static void
test_what_is_no_answer(void)
{
	LogEnds ends;

	begin_two();
	answer(1, 9, false);
	answer(2, 9, false);
	log_poll_question(&poll, 3, &ends);
	ends.question++;
	ends.ends[0].index = ends.ends[1].index = 9;
	log_poll_answer(&poll, 3, &ends);
	EQ_U64(log_poll_left(&poll), 2, "one to another question");
	answer(9, 9, false);
	EQ_U64(log_poll_left(&poll), 2, "one of a store that was not asked");
	ends.question = 77;
	ends.ends[0].epoch.conf_ver++;
	log_poll_answer(&poll, 3, &ends);
	EQ_U64(clean_from(""), 0, "one about a region with other peers");
	answer(3, 9, false);
	EQ_U64(clean_from(""), 0, "nor does who has answered do so again");
	begin_two();
	answer(1, 9, false);
	answer(2, 9, false);
	log_poll_question(&poll, 3, &ends);
	ends.ends[0] = ends.ends[1];
	ends.ends[0].index = 9;
	ends.n = 1;
	log_poll_answer(&poll, 3, &ends);
	EQ_U64(clean_from(""), 0, "a region that is left out");
	answer(4, 9, false);
	EQ_U64(clean_from("k"), 1, "the one after it is not");
	log_poll_close(&poll);
	ends.question = 0;
	log_poll_answer(&poll, 3, &ends);
	EQ_U64(clean_from("k"), 1, "nothing is taken when the question is over");
}

/* ------------------------------------------------------------------ who is silent */

static void
test_silence(void)
{
	begin_two();
	answer(2, 9, false);
	answer(3, 9, false);
	answer(4, 9, false);
	log_poll_close(&poll);
	EQ_U64(clean_from(""), 0, "store 1 does not answer");
	EQ_U64(clean_from("k"), 1, "what the others have counts");
	log_poll_begin(&poll, 78, 300);
	OK(add(2, "", "k", 1, true), "it has a peer");
	OK(!log_poll_asks(&poll), "and is not asked again");
	OK(add(4, "k", "", 2, true), "others are");
	EQ_U64(poll.n_stores, 3, "and only they");
	answer(2, 9, false);
	answer(3, 9, false);
	answer(4, 9, false);
	EQ_U64(clean_from(""), 0, "its region counts as one with locks");
	EQ_U64(clean_from("k"), 1, "theirs does not");
	log_poll_forget(&poll);
	EQ_U64(clean_from("k"), -1, "a round later nothing is known");
	log_poll_begin(&poll, 79, 400);
	OK(add(2, "", "k", 1, true) && log_poll_asks(&poll), "and it is asked");
}

static void
test_not_asked(void)
{
	log_poll_forget(&poll);
	log_poll_begin(&poll, 1, 300);
	OK(add(2, "", "k", 1, false) && !log_poll_asks(&poll),
	   "something is seen here");
	EQ_U64(clean_from(""), 0, "it may have locks");
	OK(add(4, "k", "", 2, true), "the next one is asked about");
	answer(2, 9, false);
	answer(3, 9, false);
	answer(4, 9, false);
	EQ_U64(clean_from(""), 0, "the first one stays so");
	EQ_U64(clean_from("k"), 1, "the next one has none");
}

static void
test_no_peers(void)
{
	Region region = region_of(2, "", "k", 1);

	region.n_peers = 0;
	log_poll_forget(&poll);
	log_poll_begin(&poll, 1, 300);
	OK(log_poll_add(&poll, &region, true) && !log_poll_asks(&poll),
	   "nobody is said to have a region");
	EQ_U64(clean_from(""), 0, "so nobody says that it has no locks");
}

/* ------------------------------------------------------------------------ bounds */

static void
test_bounds(void)
{
	bool all = true;

	log_poll_forget(&poll);
	log_poll_begin(&poll, 1, 300);
	for (int i = 0; i < LOG_ENDS_MAX; i++)
		all &= add((uint64_t) i + 1, "a", "b", 1, true);
	OK(all, "as many regions as a question has");
	OK(!add(1000, "a", "b", 1, true), "and no more");
	log_poll_begin(&poll, 2, 300);
	for (uint64_t i = 0; i < LOG_POLL_STORES / 3; i++)
		all &= add(i + 1, "a", "b", i * 3 + 1, true);
	OK(all, "almost as many stores");
	OK(!add(1000, "a", "b", 1000, true), "three more are too many");
	EQ_U64(poll.n_stores, LOG_POLL_STORES / 3 * 3, "of which none is asked");
	log_poll_close(&poll);
	log_poll_begin(&poll, 3, 300);
	OK(add(1000, "a", "b", 1000, true) && log_poll_asks(&poll),
	   "in the next question they are, all others were silent");
	log_poll_close(&poll);
	log_poll_begin(&poll, 4, 300);
	OK(add(2000, "a", "b", 2000, true) && !log_poll_asks(&poll),
	   "more silent ones than there is room for are all that there are");
}

int
main(void)
{
	log_poll_init(&poll);
	test_answer();
	test_question();
	test_agreement();
	test_longer_log();
	test_locks();
	test_what_is_no_answer();
	test_silence();
	test_not_asked();
	test_no_peers();
	test_bounds();
	log_poll_free(&poll);
	return unit_done();
}
