/*
 * test_api_agree.c
 *	  All stores of a cluster have one API version.
 */
#include "core/kv/api_agree.h"
#include "unit.h"

static ApiAgreement
agree(const char *said, bool others, bool regions)
{
	ApiView view = {.bootstrapped = true,
					.said = said,
					.ours = API_V1TTL,
					.others = others,
					.regions = regions};

	return api_agree(&view);
}

static void
test_before_the_cluster(void)
{
	ApiView view = {.said = "V1ttl", .ours = API_V1TTL};

	EQ_U64(api_agree(&view), API_LATER,
		   "whose first region it will be is not known, so nobody says it");
	view.said = "V2";
	view.others = view.regions = true;
	EQ_U64(api_agree(&view), API_LATER, "nor is anybody refused");
}

static void
test_nobody_has_said(void)
{
	EQ_U64(agree(NULL, false, true), API_SAY, "the only store says it");
	EQ_U64(agree(NULL, false, false), API_SAY,
		   "also before its first region is more than prepared");
	EQ_U64(agree(NULL, true, true), API_SAY, "and one that has data");
	EQ_U64(agree(NULL, true, false), API_WAIT,
		   "one without data waits for one that has");
}

static void
test_somebody_has_said(void)
{
	EQ_U64(agree("V1ttl", true, false), API_AGREED, "the same: a new store");
	EQ_U64(agree("V1ttl", false, true), API_AGREED, "the same: the only one");
	EQ_U64(agree("V1", true, false), API_DISAGREE, "another: a new store");
	EQ_U64(agree("V2", true, true), API_DISAGREE,
		   "another: one with regions, too");
	EQ_U64(agree("V1", false, true), API_SAY,
		   "the only store may change its mind");
	EQ_U64(agree("V3", true, true), API_DISAGREE, "one of the future");
}

static void
test_names(void)
{
	ApiVersion api = API_V1;

	OK(api_of_name("V1ttl", &api) && api == API_V1TTL, "V1ttl");
	OK(api_of_name("V2", &api) && api == API_V2, "V2");
	OK(api_of_name("V1", &api) && api == API_V1, "V1");
	OK(!api_of_name("", &api), "no name");
	OK(!api_of_name("v2", &api), "names are as TiKV prints them");
}

int
main(void)
{
	test_before_the_cluster();
	test_nobody_has_said();
	test_somebody_has_said();
	test_names();
	return unit_done();
}
