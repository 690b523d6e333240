/*
 * keyspace.h
 *	  Keyspaces by id and by name.
 *
 * A keyspace is a name for a prefix of the key space in API V2.  DEFAULT has
 * id 0 and exists from the first start on.
 */
#ifndef TIKV_PD_CORE_KEYSPACE_H
#define TIKV_PD_CORE_KEYSPACE_H

#include "core/base/chain_table.h"
#include "pd/core/record.h"

#define KEYSPACE_DEFAULT_NAME "DEFAULT"
#define KEYSPACE_DEFAULT_ID 0

/* Ids fit into three bytes; anything above means "no keyspace". */
#define KEYSPACE_MAX_ID UINT32_C(0xFFFFFF)
#define KEYSPACE_NULL_ID UINT32_C(0xFFFFFFFF)

/*
 * Bounds of what is kept: how many, and the memory of one and of them all, with
 * their settings.  A keyspace is never removed.  tikv/pd has no bound but the
 * ids', and for one that of a request to etcd, 1.5 MiB.
 */
#define KEYSPACE_MAX_BYTES ((size_t) 64 << 10)
#define KEYSPACES_MAX ((size_t) 1 << 16)
#define KEYSPACES_MAX_BYTES ((size_t) 64 << 20)

/* In one piece with its strings. */
typedef struct KeyspaceItem
{
	Keyspace keyspace;
	uint64_t changed; /* which of the changes was the last one of it */
	size_t bytes;
	ChainLink by_name;
} KeyspaceItem;

typedef struct Keyspaces
{
	KeyspaceItem **items; /* by id */
	size_t n;
	size_t size;
	size_t bytes; /* of all items */
	ChainTable by_name;
	uint32_t last_id; /* the newest that was handed out */
	uint64_t changes; /* how many were put; of this process alone */
} Keyspaces;

/* keyspacepb.KeyspaceState, by its published numbers. */
typedef enum KeyspaceState
{
	KEYSPACE_ENABLED = 0,
	KEYSPACE_DISABLED = 1,
	KEYSPACE_ARCHIVED = 2,
	KEYSPACE_TOMBSTONE = 3
} KeyspaceState;

/* The longest name (tikv/pd pkg/keyspace/util.go). */
#define KEYSPACE_MAX_NAME 20

extern void keyspaces_init(Keyspaces *keyspaces);
extern void keyspaces_free(Keyspaces *keyspaces);

/* Insert or replace by id; copied. */
extern void keyspaces_put(Keyspaces *keyspaces, const Keyspace *keyspace);

extern const Keyspace *keyspaces_by_name(const Keyspaces *keyspaces,
										 const char *name);
extern const Keyspace *keyspaces_by_id(const Keyspaces *keyspaces, uint32_t id);

/* The position of the first keyspace whose id is not less. */
extern size_t keyspaces_seek(const Keyspaces *keyspaces, uint32_t id);

/* "ENABLED" and so on; NULL and -1 for what is none. */
extern const char *keyspace_state_name(int state);
extern int keyspace_state_by_name(const char *name);

/*
 * A new keyspace, enabled, with the next free id.  Names are letters, digits,
 * "_" and "-".  *out is the arena's.  PD_RESOURCE_EXHAUSTED: there are as many
 * as may be, or the settings are too large.
 */
extern PdError keyspace_create(const Keyspaces *keyspaces, const char *name,
							   const Pair *config, size_t n_config, int64_t now,
							   PdChanges *changes, const Keyspace **out);

/* ENABLED <-> DISABLED -> ARCHIVED -> TOMBSTONE; never of DEFAULT. */
extern PdError keyspace_set_state(const Keyspaces *keyspaces, uint32_t id,
								  int state, int64_t now, PdChanges *changes,
								  const Keyspace **out);

/*
 * A JSON merge patch: a pair without a value removes the setting.
 * PD_RESOURCE_EXHAUSTED: it would grow, and hold too much, or all together do.
 */
extern PdError keyspace_patch_config(const Keyspaces *keyspaces,
									 const char *name, const Pair *patch,
									 size_t n_patch, PdChanges *changes,
									 const Keyspace **out);

/* What the first start adds. */
extern void keyspaces_first(int64_t now, PdChanges *changes);

#endif /* TIKV_PD_CORE_KEYSPACE_H */
