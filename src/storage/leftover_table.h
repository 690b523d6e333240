/*
 * leftover_table.h
 *	  What peers that are gone have left behind: tikv_internal.leftover.
 *
 * Needs a transaction.
 */
#ifndef TIKV_STORAGE_LEFTOVER_TABLE_H
#define TIKV_STORAGE_LEFTOVER_TABLE_H

#include "storage/tables.h"

#include "core/region/region.h"

typedef struct LeftoverRow
{
	uint64 number; /* the row's own */
	uint64 region_id;
	bool is_log;	   /* its log; else keys */
	RegionRange range; /* of the keys, as bounds of regions */
} LeftoverRow;

/* palloc'd, keys too; in no order. */
extern int leftover_table_load(LeftoverRow **out);
extern void leftover_table_add(const LeftoverRow *row);
extern void leftover_table_remove(uint64 number);

#endif /* TIKV_STORAGE_LEFTOVER_TABLE_H */
