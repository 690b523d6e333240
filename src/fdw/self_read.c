/*
 * self_read.c
 *	  Which scans of a statement could meet what it writes.
 *
 * A statement sees the rows as they were before it.  Inserts go to the store
 * while the statement runs, updates and deletes of raw keys a batch at a time,
 * and one by one where triggers look at them: whoever reads the same keys in
 * the same statement reads all of them before the first is written.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "fdw/fdw.h"
#include "foreign/fdwapi.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

bool
triggers_look_behind(const TriggerDesc *triggers, CmdType command)
{
	if (triggers == NULL)
		return false;
	if (command == CMD_UPDATE)
		return triggers->trig_update_after_row ||
			triggers->trig_update_after_statement;
	return command == CMD_DELETE &&
		(triggers->trig_delete_after_row ||
		 triggers->trig_delete_after_statement);
}

/* Do two tables share keys? */
static bool
share_keys(const TableMap *a, const TableMap *b)
{
	size_t len = Min(a->prefix.len, b->prefix.len);

	return a->mode == b->mode &&
		bytes_eq(bytes_make(a->prefix.data, len),
				 bytes_make(b->prefix.data, len));
}

/* What is written, with all its partitions, as far as the scan is concerned. */
typedef struct Target
{
	bool shares_keys;
	bool has_triggers;
} Target;

static void
look_at_table(Oid relid, const TableMap *map, CmdType command, Target *target)
{
	char kind = get_rel_relkind(relid);
	Relation relation;

	if (kind != RELKIND_FOREIGN_TABLE && kind != RELKIND_PARTITIONED_TABLE &&
		kind != RELKIND_RELATION)
		return;
	relation = table_open(relid, AccessShareLock);
	if (triggers_look_behind(relation->trigdesc, command))
		target->has_triggers = true;
	if (kind == RELKIND_FOREIGN_TABLE &&
		GetFdwRoutineForRelation(relation, false)->GetForeignPaths ==
			tikvGetForeignPaths &&
		share_keys(map, table_map(relation)))
		target->shares_keys = true;
	table_close(relation, NoLock);
}

static Target
look_at_target(const Query *query, const TableMap *map)
{
	Oid relid = rt_fetch(query->resultRelation, query->rtable)->relid;
	Target target = {false, false};
	ListCell *cell;

	foreach (cell, find_all_inheritors(relid, AccessShareLock, NULL))
		look_at_table(lfirst_oid(cell), map, query->commandType, &target);
	return target;
}

static bool
query_writes_meanwhile(const Query *query, const PlannerInfo *root,
					   const RelOptInfo *rel, const TableMap *map)
{
	Target target;

	if (query->commandType == CMD_SELECT || query->resultRelation == 0)
		return false;
	target = look_at_target(query, map);
	if (!target.shares_keys)
		return false;
	if (query->commandType == CMD_INSERT || target.has_triggers)
		return true;

	/* The rows that are written themselves are read once each. */
	return map->mode == KV_RAW &&
		!(query == root->parse &&
		  bms_is_member((int) rel->relid, root->all_result_relids));
}

bool
reads_itself(const PlannerInfo *root, const RelOptInfo *rel,
			 const TableMap *map)
{
	const PlannerInfo *top = root;
	ListCell *cell;

	while (top->parent_root != NULL)
		top = top->parent_root;
	if (query_writes_meanwhile(top->parse, root, rel, map))
		return true;
	foreach (cell, top->parse->cteList)
	{
		Node *query = lfirst_node(CommonTableExpr, cell)->ctequery;

		if (IsA(query, Query) &&
			query_writes_meanwhile((Query *) query, root, rel, map))
			return true;
	}
	return false;
}
