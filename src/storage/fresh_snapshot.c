/*
 * fresh_snapshot.c
 *	  What is committed by now, whatever the statement's snapshot is.
 *
 * Postgres has no latest snapshot for a statement of which workers run parts,
 * since those would not share it; but such a statement may well scan foreign
 * tables, in its leader, whose rows its snapshot does not rule anyway.  The
 * catalogs are read then, too, and with a snapshot that is not older than the
 * last message about a change: of what sends no such messages, it is new.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/snapmgr.h"

#include "storage/fresh_snapshot.h"

Snapshot
fresh_snapshot(void)
{
	Snapshot snapshot;

	if (!IsInParallelMode())
		return RegisterSnapshot(GetLatestSnapshot());
	snapshot = RegisterSnapshot(GetNonHistoricCatalogSnapshot(InvalidOid));

	/* Nothing is kept from vacuum by the copy that stays behind. */
	InvalidateCatalogSnapshot();
	return snapshot;
}
