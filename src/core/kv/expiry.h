/*
 * expiry.h
 *	  Times to live: seconds from now on the wire, a moment in the store.
 *
 * A key is gone from the second its time has come, whether its row was
 * removed or not.  Source: tikv/tikv components/api_version/src/lib.rs.
 */
#ifndef TIKV_KV_EXPIRY_H
#define TIKV_KV_EXPIRY_H

#include <stdbool.h>
#include <stdint.h>

/* When a key stored now with this ttl expires; 0: never. */
static inline int64_t
expiry_of_ttl(uint64_t ttl_s, int64_t now_s)
{
	if (ttl_s == 0)
		return 0;
	if (ttl_s > (uint64_t) (INT64_MAX - now_s))
		return INT64_MAX;
	return now_s + (int64_t) ttl_s;
}

static inline bool
expiry_passed(int64_t expires_at, int64_t now_s)
{
	return expires_at != 0 && expires_at <= now_s;
}

/* Seconds left to a key that has not expired; 0: it never does. */
static inline uint64_t
expiry_left_s(int64_t expires_at, int64_t now_s)
{
	return expires_at == 0 ? 0 : (uint64_t) (expires_at - now_s);
}

#endif /* TIKV_KV_EXPIRY_H */
