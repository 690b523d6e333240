/*
 * claim.c
 *	  A start of a store is claimed at PD, so that a copy of its data directory,
 *	  or one that was rolled back, is not taken for it.
 *
 * store_meta.start_seq grows at every start. PD keeps the newest in a key of
 * its store of keys, compared and set in one transaction; who comes with an
 * older one does not serve. Alone, a node keeps PD's tables itself, and they
 * are copied and rolled back with the rest, so there is nothing to compare; it
 * is not alone where PD is another node's, or knows another store.
 */
#include "postgres.h"

#include "bus/failpoints.h"
#include "store/pd_key.h"
#include "store/store.h"

#define CLAIM_KEY "/tikv_fdw/start/" UINT64_FORMAT

/*
 * Numbers of one width are in order as bytes, too.  What is stored goes on with
 * a word of this start alone, which store_meta keeps until the claim is known
 * to hold: one that was carried out and is made again, since its answer was
 * lost or the node went down, finds that and is no copy's.
 */
#define CLAIM_NUMBER "%020llu"
#define CLAIM_VALUE CLAIM_NUMBER " %016llx"

/* Behind it once the store has forgotten the word, and before it serves. */
#define CLAIM_HELD " held"

/* What the key becomes; false with a reason if the comparison does not hold. */
static bool
put_claim(const Store *store, Arena *arena, Etcdserverpb__Compare *compare,
		  const char *value, char *reason, Size size)
{
	const Etcdserverpb__TxnResponse *reply;
	const char *key = arena_printf(arena, CLAIM_KEY, store->meta.store_id);
	const char *other;

	compare->key = pd_key_binary(key);
	compare->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE;
	compare->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE;
	reply = pd_key_put_if(arena, compare, value, reason, size);
	if (reply == NULL || reply->succeeded)
		return reply != NULL;
	other = pd_key_found(reply, arena);
	if (other == NULL)
	{
		pd_key_compare_none(compare, key);
		reply = pd_key_put_if(arena, compare, value, reason, size);
		if (reply == NULL || reply->succeeded)
			return reply != NULL;
		other = pd_key_found(reply, arena);
	}
	if (other != NULL && strcmp(other, value) == 0)
		return true;
	worker_fence(WORKER_STORE);
	snprintf(
		reason, size,
		"start %lld of store %llu is not newer than start %llu, which the cluster has seen: this data directory is a copy, or was rolled back; see tikv_reset_store()",
		(long long) store->meta.start_seq,
		(unsigned long long) store->meta.store_id,
		other == NULL ? 0ULL : strtoull(other, NULL, 10));
	return false;
}

bool
store_claim_start(const Store *store, Arena *arena, const char **claimed,
				  char *reason, Size size)
{
	Etcdserverpb__Compare compare = ETCDSERVERPB__COMPARE__INIT;

	compare.result = ETCDSERVERPB__COMPARE__COMPARE_RESULT__LESS;
	compare.value =
		pd_key_binary(arena_printf(arena, CLAIM_NUMBER,
								   (unsigned long long) store->meta.start_seq));
	*claimed = arena_printf(arena, CLAIM_VALUE,
							(unsigned long long) store->meta.start_seq,
							(unsigned long long) store->meta.claim_word);
	FAILPOINT("store_before_claim");
	return put_claim(store, arena, &compare, *claimed, reason, size);
}

bool
store_confirm_start(const Store *store, Arena *arena, const char *claimed,
					char *reason, Size size)
{
	Etcdserverpb__Compare compare = ETCDSERVERPB__COMPARE__INIT;

	compare.result = ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL;
	compare.value = pd_key_binary(claimed);
	return put_claim(store, arena, &compare,
					 arena_printf(arena, "%s" CLAIM_HELD, claimed), reason,
					 size);
}
