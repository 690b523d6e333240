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

/*
 * The last moment that a row can hold.  It stands for all that would be later,
 * so that a key which was to stay for as long as can be said does.
 */
#define EXPIRY_LAST INT64_MAX

/* When a key stored now with this ttl expires; 0: never. */
static inline int64_t
expiry_of_ttl(uint64_t ttl_s, int64_t now_s)
{
	if (ttl_s == 0)
		return 0;
	if (ttl_s > (uint64_t) (EXPIRY_LAST - now_s))
		return EXPIRY_LAST;
	return now_s + (int64_t) ttl_s;
}

static inline bool
expiry_passed(int64_t expires_at, int64_t now_s)
{
	return expires_at != 0 && expires_at <= now_s;
}

/*
 * Seconds left to a key that has not expired; 0: it never does.  TiKV's moments
 * end with the last of 64 bits, and so does the last one here.
 */
static inline uint64_t
expiry_left_s(int64_t expires_at, int64_t now_s)
{
	if (expires_at == 0)
		return 0;
	if (expires_at == EXPIRY_LAST)
		return UINT64_MAX - (uint64_t) now_s;
	return (uint64_t) (expires_at - now_s);
}

#endif /* TIKV_KV_EXPIRY_H */
