/*
 * table_names.h
 *	  What a node is made of: the tables that are emptied where it begins anew.
 *
 * Without tikv_internal.prefix_grant, which says what this server's roles may
 * do with whatever keys there are.
 */
#ifndef TIKV_STORAGE_TABLE_NAMES_H
#define TIKV_STORAGE_TABLE_NAMES_H

/* In the order of locking, the store's before PD's; a NULL ends each. */
extern const char *const store_table_names[];
extern const char *const pd_table_names[];

#endif /* TIKV_STORAGE_TABLE_NAMES_H */
