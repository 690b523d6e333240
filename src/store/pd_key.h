/*
 * pd_key.h
 *	  Keys of PD's store of keys that are the stores' own: compared and put in
 *	  one transaction.
 *
 * Each call waits for PD.  Results live in the arena.
 */
#ifndef TIKV_STORE_PD_KEY_H
#define TIKV_STORE_PD_KEY_H

#include "postgres.h"

#include "core/base/arena.h"
#include "etcdserverpb.pb-c.h"

extern ProtobufCBinaryData pd_key_binary(const char *text);

/*
 * Put the key that is compared if the comparison holds, else look at it.  NULL
 * with a reason: PD cannot tell.
 */
extern const Etcdserverpb__TxnResponse *pd_key_put_if(
	Arena *arena, const Etcdserverpb__Compare *compare, const char *value,
	char *reason, Size size);

/* The comparison holds if there is no such key. */
extern void pd_key_compare_none(Etcdserverpb__Compare *compare,
								const char *key);

/* The value that stood in the way; NULL: there is none. */
extern const char *pd_key_found(const Etcdserverpb__TxnResponse *reply,
								Arena *arena);

/* What stands there, NULL for nothing.  False with a reason: PD cannot tell. */
extern bool pd_key_get(Arena *arena, const char *key, const char **value,
					   char *reason, Size size);

#endif /* TIKV_STORE_PD_KEY_H */
