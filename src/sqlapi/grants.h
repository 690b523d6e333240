/*
 * grants.h
 *	  What a role may do with which keys: per-prefix grants.
 *
 * Members of tikv_read and tikv_write may read and write every key; others
 * what tikv_grant gave them, kept in tikv_internal.prefix_grant.  Prefixes
 * there are those of stored keys, with their keyspace and without their mode,
 * so whoever serves requests of other kinds can ask the same table.
 */
#ifndef TIKV_SQLAPI_GRANTS_H
#define TIKV_SQLAPI_GRANTS_H

#include "postgres.h"

#include "core/base/bytes.h"

typedef enum GrantPrivilege
{
	GRANT_READ = 1,
	GRANT_WRITE = 2
} GrantPrivilege;

/* Every key, by role. */
extern bool grants_all(Oid user, GrantPrivilege privilege);

/* Throw unless the user may do so with all of the stored keys. */
extern void grants_need_keys(Oid user, GrantPrivilege privilege,
							 const Bytes *keys, int n);

/* With all stored keys of [lower, upper); an empty upper is the end. */
extern void grants_need_range(Oid user, GrantPrivilege privilege, Bytes lower,
							  Bytes upper);

#endif /* TIKV_SQLAPI_GRANTS_H */
