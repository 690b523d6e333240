/*
 * allow.h
 *	  May the user of a table read or write these keys?
 */
#ifndef TIKV_FDW_ALLOW_H
#define TIKV_FDW_ALLOW_H

#include "fdw/kv.h"
#include "sqlapi/grants.h"

/* Throw if not.  Keys are without keyspace. */
extern void allow_keys(Oid user, GrantPrivilege privilege, const Bytes *keys,
					   int n);
extern void allow_range(Oid user, GrantPrivilege privilege,
						const KvRange *range);

#endif /* TIKV_FDW_ALLOW_H */
