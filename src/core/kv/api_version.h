/*
 * api_version.h
 *	  Which requests and keys a store of an API version accepts.
 *
 * V1 takes everything in version 1, V1 with TTL only raw requests, V2 raw
 * requests whose keys begin with `r`, transactional ones with `x`, and TiDB's
 * own (version 1, keys `m` and `t`).
 * Source: tikv/tikv src/storage/mod.rs (check_api_version,
 * check_api_version_ranges) and components/api_version/src/api_v2.rs.
 */
#ifndef TIKV_KV_API_VERSION_H
#define TIKV_KV_API_VERSION_H

#include "core/base/bytes.h"

/* What a store's data are, kvrpcpb.APIVersion in numbers. */
typedef enum ApiVersion
{
	API_V1 = 0,
	API_V1TTL = 1,
	API_V2 = 2
} ApiVersion;

typedef enum ApiAnswer
{
	API_OK,
	API_VERSION_NOT_MATCHED,
	API_INVALID_KEY_MODE
} ApiAnswer;

/* In API V2 a key begins with its mode and three bytes of keyspace. */
#define API_KEYSPACE_PREFIX 4

/* The storage API of the two settings tikv.api_version and tikv.enable_ttl. */
extern ApiVersion api_of_settings(int api_version, bool enable_ttl);

/* "V1", "V1ttl", "V2", as TiKV prints them; for other numbers "unknown". */
extern const char *api_name(int version);

static inline bool
api_has_ttl(ApiVersion storage)
{
	return storage != API_V1;
}

/* May a request of this version be served at all? */
extern ApiAnswer api_check_request(ApiVersion storage, int request, bool raw);

/* May it touch this key, or this range?  Bounds are as the request has them. */
extern ApiAnswer api_check_key(ApiVersion storage, int request, bool raw,
							   Bytes key);
extern ApiAnswer api_check_range(ApiVersion storage, int request, bool raw,
								 Bytes start, Bytes end);

#endif /* TIKV_KV_API_VERSION_H */
