/*
 * raw_cas.c
 *	  Compare and swap over one key.
 *
 * Source: tikv/tikv src/storage/txn/commands/compare_and_swap.rs.
 */
#include "core/kv/raw_cas.h"

static bool
is_expected(const RawCas *cas, const RawPair *present)
{
	if (cas->previous_not_exist || present == NULL)
		return cas->previous_not_exist && present == NULL;
	return bytes_eq(cas->previous_value, present->value);
}

/* Deleting what is not there succeeds and changes nothing. */
void
raw_cas_decide(const RawCas *cas, const RawPair *present, RawCasResult *out)
{
	out->succeed = is_expected(cas, present);
	out->existed = present != NULL;
	out->previous = present != NULL ? present->value : bytes_empty();
	out->writes =
		out->succeed && (cas->swap.kind == RAW_PUT || present != NULL);
}
