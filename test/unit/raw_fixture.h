/*
 * raw_fixture.h
 *	  What tests of raw requests share: limits, and a reader over an array of
 *	  pairs.
 */
#ifndef TIKV_TEST_RAW_FIXTURE_H
#define TIKV_TEST_RAW_FIXTURE_H

#include <stdlib.h>

#include "core/kv/expiry.h"
#include "errorpb.pb-c.h"
#include "kvrpcpb.pb-c.h"
#include "service/raw.h"
#include "service_fixture.h"

#define CLUSTER 77

static int64_t fixture_now = 1000;

static inline int64_t
fixture_clock(void)
{
	return fixture_now;
}

static const RawLimits limits = {
	.max_key_size = 100,
	.max_entry_size = 1000,
	.cluster_id = CLUSTER,
	.api = API_V1,
	.now_s = fixture_clock,
};

/* ---------------------------------------------------- a reader over an array */

typedef struct ArrayReader
{
	RawReader base;
	struct
	{
		const char *key; /* ascending; ends with NULL */
		const char *value;
		int64_t expires_at;
	} pairs[16];
} ArrayReader;

static inline RawPair
array_pair(const ArrayReader *r, int i)
{
	RawPair pair = {.key = bytes_cstr(r->pairs[i].key),
					.value = bytes_cstr(r->pairs[i].value),
					.expires_at = r->pairs[i].expires_at};

	return pair;
}

static inline bool
array_get(RawReader *reader, RawCf cf, Bytes key, Arena *a, RawPair *out)
{
	ArrayReader *r = (ArrayReader *) reader;

	(void) a;
	for (int i = 0; cf == RAW_CF_DEFAULT && r->pairs[i].key != NULL; i++)
		if (bytes_eq(bytes_cstr(r->pairs[i].key), key) &&
			!expiry_passed(r->pairs[i].expires_at, fixture_now))
		{
			*out = array_pair(r, i);
			return true;
		}
	return false;
}

static inline void
array_scan(RawReader *reader, const RawScan *scan,
		   bool (*emit)(void *arg, const RawPair *pair), void *arg)
{
	ArrayReader *r = (ArrayReader *) reader;
	int n = 0;
	uint32_t left = scan->limit;

	while (r->pairs[n].key != NULL)
		n++;
	for (int k = 0; k < n && left > 0; k++)
	{
		int i = scan->reverse ? n - 1 - k : k;
		RawPair pair = array_pair(r, i);

		if (bytes_cmp(pair.key, scan->lower) < 0 ||
			(scan->upper.len > 0 && bytes_cmp(pair.key, scan->upper) >= 0) ||
			expiry_passed(pair.expires_at, fixture_now))
			continue;
		if (scan->key_only)
			pair.value = bytes_empty();
		if (!emit(arg, &pair))
			return;
		left--;
	}
}

static ArrayReader array = {
	{array_get, array_scan, NULL},
	{{"a", "1", 0},
	 {"b", "2", 0},
	 {"c", "3", 0},
	 {"d", "4", 0},
	 {NULL, NULL, 0}},
};

static inline Region
whole(void)
{
	Region r = {.id = 1};

	return r;
}

#endif /* TIKV_TEST_RAW_FIXTURE_H */
