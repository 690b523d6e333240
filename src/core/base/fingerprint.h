/*
 * fingerprint.h
 *	  FarmHash's Fingerprint64: a hash of a key that other programs compute
 *	  too.
 *
 * Deadlock errors name keys by it, and TiDB compares it with its own (tikv/
 * tikv components/txn_types/src/types.rs, gen_hash).  It is fixed for ever.
 * For tables in memory there is hash.h.
 */
#ifndef TIKV_BASE_FINGERPRINT_H
#define TIKV_BASE_FINGERPRINT_H

#include "core/base/bytes.h"

extern uint64_t fingerprint64(Bytes key);

#endif /* TIKV_BASE_FINGERPRINT_H */
