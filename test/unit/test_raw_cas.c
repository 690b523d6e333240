/*
 * test_raw_cas.c
 *	  Compare and swap over every state of a key.
 */
#include "core/kv/raw_cas.h"
#include "unit.h"

static RawCasResult
decide(const char *expected, const char *present, RawModifyKind kind)
{
	RawCas cas = {.previous_not_exist = expected == NULL,
				  .swap = {.kind = kind}};
	RawPair pair = {.value = bytes_cstr(present != NULL ? present : "")};
	RawCasResult result;

	if (expected != NULL)
		cas.previous_value = bytes_cstr(expected);
	raw_cas_decide(&cas, present != NULL ? &pair : NULL, &result);
	return result;
}

int
main(void)
{
	RawCasResult r = decide(NULL, NULL, RAW_PUT);

	OK(r.succeed && !r.existed && r.writes,
	   "txn-semantics 26.2 row 7: RawCompareAndSwap: absent as expected, put");
	r = decide(NULL, "v", RAW_PUT);
	OK(!r.succeed && r.existed && !r.writes &&
		   bytes_eq(r.previous, bytes_cstr("v")),
	   "expected absent: not swapped, the value is told");
	r = decide("v", "v", RAW_PUT);
	OK(r.succeed && r.existed && r.writes &&
		   bytes_eq(r.previous, bytes_cstr("v")),
	   "expected value: swapped, the value before is told");
	r = decide("v", "w", RAW_PUT);
	OK(!r.succeed && r.existed && !r.writes, "another value: not swapped");
	r = decide("v", NULL, RAW_PUT);
	OK(!r.succeed && !r.existed && !r.writes, "no value: not swapped");
	r = decide("", "", RAW_PUT);
	OK(r.succeed && r.existed && r.writes, "an empty value is a value");
	r = decide("", NULL, RAW_PUT);
	OK(!r.succeed && !r.existed, "and not the same as none");
	r = decide(NULL, "", RAW_PUT);
	OK(!r.succeed && r.existed, "either way");
	r = decide("v", "v", RAW_DELETE);
	OK(r.succeed && r.writes, "delete what is expected");
	r = decide(NULL, NULL, RAW_DELETE);
	OK(r.succeed && !r.existed && !r.writes,
	   "deleting what is not there succeeds and writes nothing");
	r = decide(NULL, "v", RAW_DELETE);
	OK(!r.succeed && !r.writes, "deleting something unexpected does not");
	return unit_done();
}
