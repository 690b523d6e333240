/*
 * test_api_version.c
 *	  Which requests and keys each storage API accepts (txn-semantics 26.1).
 */
#include "core/kv/api_version.h"
#include "unit.h"

#define RAW true
#define TXN false

static ApiAnswer
key(ApiVersion storage, int request, bool raw, const char *k)
{
	return api_check_key(storage, request, raw, bytes_cstr(k));
}

static ApiAnswer
range(const char *start, const char *end)
{
	return api_check_range(API_V2, API_V2, RAW, bytes_cstr(start),
						   bytes_cstr(end));
}

static void
versions(void)
{
	OK(key(API_V1, API_V1, RAW, "any") == API_OK &&
		   key(API_V1, API_V1, TXN, "any") == API_OK,
	   "txn-semantics 26.1 row 1: V1 takes raw and transactional requests");
	OK(key(API_V1, API_V2, RAW, "rabc") == API_VERSION_NOT_MATCHED,
	   "of version 1 only");
	OK(key(API_V1TTL, API_V1, RAW, "any") == API_OK,
	   "txn-semantics 26.1 row 2: V1TTL takes raw requests of version 1");
	OK(key(API_V1TTL, API_V1, TXN, "any") == API_VERSION_NOT_MATCHED &&
		   key(API_V1TTL, API_V1TTL, RAW, "any") == API_VERSION_NOT_MATCHED &&
		   key(API_V1TTL, API_V2, RAW, "rabc") == API_VERSION_NOT_MATCHED,
	   "and no others");
	OK(key(API_V2, API_V1, RAW, "any") == API_VERSION_NOT_MATCHED,
	   "txn-semantics 26.1 row 3: V2 takes no raw request of version 1");
	OK(key(API_V2, 7, RAW, "rabc") == API_VERSION_NOT_MATCHED,
	   "nor one of a version that is none");
}

static void
modes(void)
{
	OK(key(API_V2, API_V2, RAW, "rabc1") == API_OK, "a raw key begins with r");
	OK(key(API_V2, API_V2, RAW, "xabc1") == API_INVALID_KEY_MODE &&
		   key(API_V2, API_V2, RAW, "t") == API_INVALID_KEY_MODE &&
		   key(API_V2, API_V2, RAW, "") == API_INVALID_KEY_MODE,
	   "and with nothing else");
	OK(key(API_V2, API_V2, TXN, "xabc1") == API_OK &&
		   key(API_V2, API_V2, TXN, "rabc1") == API_INVALID_KEY_MODE,
	   "a transactional key begins with x");
	OK(key(API_V2, API_V1, TXN, "t1") == API_OK &&
		   key(API_V2, API_V1, TXN, "m1") == API_OK &&
		   key(API_V2, API_V1, TXN, "xabc") == API_INVALID_KEY_MODE,
	   "TiDB's begin with m or t");
}

static void
ranges(void)
{
	OK(range("rabc", "rabd") == API_OK, "a range within a mode");
	OK(range("r", "s") == API_OK, "or all of it");
	OK(range("", "rabd") == API_INVALID_KEY_MODE &&
		   range("rabc", "") == API_INVALID_KEY_MODE &&
		   range("", "") == API_INVALID_KEY_MODE,
	   "bounds are not empty");
	OK(range("rabc", "sx") == API_INVALID_KEY_MODE &&
		   range("s", "rabc") == API_INVALID_KEY_MODE &&
		   range("xabc", "xabd") == API_INVALID_KEY_MODE,
	   "and both of the mode");
}

static void
names(void)
{
	EQ_STR(api_name(API_V1), "V1", "V1");
	EQ_STR(api_name(API_V1TTL), "V1ttl", "V1ttl");
	EQ_STR(api_name(API_V2), "V2", "V2");
	EQ_STR(api_name(9), "unknown", "any other");
	OK(api_of_settings(1, false) == API_V1 &&
		   api_of_settings(1, true) == API_V1TTL &&
		   api_of_settings(2, false) == API_V2 &&
		   api_of_settings(2, true) == API_V2,
	   "two settings make three of them");
	OK(!api_has_ttl(API_V1) && api_has_ttl(API_V1TTL) && api_has_ttl(API_V2),
	   "V2 always has times to live");
}

int
main(void)
{
	versions();
	modes();
	ranges();
	names();
	return unit_done();
}
