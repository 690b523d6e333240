/*
 * table_names.c
 *	  What a node is made of.
 */
#include "postgres.h"

#include "storage/table_names.h"

const char *const store_table_names[] =
	{"raw",		   "write",		 "value",		 "lock_slot",
	 "lock_spill", "store_meta", "range_delete", "snapshot_install",
	 "leftover",   "region",	 "raft_state",	 "raft_log",
	 NULL};

const char *const pd_table_names[] = {"pd_raft_state", "pd_raft_log", "pd_kv",
									  NULL};
