/*
 * privilege.c
 *	  Rights that a function asks for beside the one to call it.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

#include "sqlapi/sqlapi.h"

/*
 * The answer tells what the key held, so whoever may not read keys may not
 * ask for it either.
 */
void
sql_need_read(FunctionCallInfo fcinfo, const char *reader, const char *function)
{
	char *schema =
		get_namespace_name(get_func_namespace(fcinfo->flinfo->fn_oid));
	Oid bytea_type = BYTEAOID;
	Oid get = LookupFuncName(list_make2(makeString(schema),
										makeString(pstrdup(reader))),
							 1, &bytea_type, false);

#if PG_VERSION_NUM >= 160000
	if (object_aclcheck(ProcedureRelationId, get, GetUserId(), ACL_EXECUTE) ==
		ACLCHECK_OK)
		return;
#else
	if (pg_proc_aclcheck(get, GetUserId(), ACL_EXECUTE) == ACLCHECK_OK)
		return;
#endif
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for function %s", function),
			 errdetail("It tells what a key holds."),
			 errhint("Grant the role tikv_read as well.")));
}
