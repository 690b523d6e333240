/*
 * truncate.c
 *	  TRUNCATE: the keys of a table are a range, which the store deletes.
 */
#include "postgres.h"

#include "access/table.h"
#include "miscadmin.h"
#include "utils/rel.h"

#include "fdw/allow.h"
#include "fdw/fdw.h"

/* Before the first range is deleted, all tables are looked at. */
void
tikvExecForeignTruncate(List *rels, DropBehavior behavior, bool restart_seqs)
{
	List *maps = NIL;
	ListCell *cell;

	(void) behavior;
	(void) restart_seqs;
	foreach (cell, rels)
	{
		Relation relation = lfirst(cell);
		TableMap *map = table_map(relation);
		KvRange range = table_map_range(map);

		if (!map->updatable)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("foreign table \"%s\" does not allow truncates",
							RelationGetRelationName(relation))));
		allow_range(GetUserId(), GRANT_WRITE, &range);
		maps = lappend(maps, map);
	}
	foreach (cell, maps)
	{
		const TableMap *map = lfirst(cell);
		KvRange range = table_map_range(map);
		KvCounters counters = {0};

		kv_access(map->mode)->delete_range(&range, &counters);
	}
}
