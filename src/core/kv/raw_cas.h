/*
 * raw_cas.h
 *	  Compare and swap: whether it succeeds, what it answers, what it changes.
 */
#ifndef TIKV_KV_RAW_CAS_H
#define TIKV_KV_RAW_CAS_H

#include "core/kv/raw.h"

typedef struct RawCas
{
	bool previous_not_exist; /* expect no key, else previous_value */
	Bytes previous_value;
	RawModify swap; /* what it does on success: put or delete */
} RawCas;

/* The state before, whether or not it was what the request expected. */
typedef struct RawCasResult
{
	bool succeed;
	bool existed;
	Bytes previous; /* borrowed from the pair */
	bool writes;	/* `swap` is to be applied */
} RawCasResult;

/* Decide over the present pair, NULL if there is none (or it has expired). */
extern void raw_cas_decide(const RawCas *cas, const RawPair *present,
						   RawCasResult *out);

#endif /* TIKV_KV_RAW_CAS_H */
