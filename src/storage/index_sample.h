/*
 * index_sample.h
 *	  How much of an index is free space.
 *
 * VACUUM takes entries out of a B-tree's pages and gives back pages that are
 * empty; it never merges two that are nearly so.
 */
#ifndef TIKV_STORAGE_INDEX_SAMPLE_H
#define TIKV_STORAGE_INDEX_SAMPLE_H

#include "storage/heap_compact.h"

/*
 * As heap_sample, of a B-tree: what its leaves have free, and all of the pages
 * that are not in use.  heap_is_loose judges it.
 */
extern bool index_sample(Relation index, HeapSample *sample,
						 bool (*enough)(void *arg), void *arg);

/*
 * Has this table an index that a REINDEX CONCURRENTLY has left behind, and that
 * is kept up to date for nobody?  Or is one at work.
 */
extern bool index_has_leftover(const OpenTable *table);

/* Somebody vacuums the table, rebuilds an index of it or changes it. */
extern bool table_is_being_changed(Oid table);

#endif /* TIKV_STORAGE_INDEX_SAMPLE_H */
