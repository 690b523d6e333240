/*
 * moved.c
 *	  Is this PD's data a copy of data that may be served elsewhere?
 *
 * The store knows where its data were last served from, and PD's tables lie
 * beside its own.  PD starts first: it looks before the store takes the new
 * place for its own.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "executor/spi.h"
#include "pd/pd.h"
#include "storage/identity.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"

static int64
number(int column)
{
	bool isnull;

	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
									   SPI_tuptable->tupdesc, column, &isnull));
}

PdMoved
pd_data_moved(char *how, Size size)
{
	Oid schema = get_namespace_oid("tikv_internal", true);
	Oid table = OidIsValid(schema) ? get_relname_relid("store_meta", schema) :
									 InvalidOid;
	DataIdentity stored;
	DataIdentity here;

	if (!OidIsValid(table))
		return PD_MOVED_NOT;
	if (!ConditionalLockRelationOid(table, AccessShareLock))
		return PD_MOVED_UNKNOWN;
	if (SPI_execute("SELECT machine, device, inode, timeline::int8"
					" FROM tikv_internal.store_meta",
					true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read tikv_internal.store_meta");
	if (SPI_processed == 0)
		return PD_MOVED_NOT;
	stored.machine = number(1);
	stored.device = number(2);
	stored.inode = number(3);
	stored.timeline = (int32) number(4);
	identity_here(&here);
	if (!identity_moved(&stored, &here))
		return PD_MOVED_NOT;
	identity_describe(&stored, &here, how, size);
	return PD_MOVED;
}
