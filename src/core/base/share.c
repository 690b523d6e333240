/*
 * share.c
 *	  Who has how much of a bound that several share.
 */
#include "core/base/share.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"

struct ShareOwner
{
	uint64_t id;
	size_t n;
	ShareOwner *chain; /* of the bucket, or of the free list */
};

void
shares_init(Shares *shares, size_t limit)
{
	memset(shares, 0, sizeof(*shares));
	shares->limit = limit;
}

static void
free_chain(ShareOwner *owner)
{
	while (owner != NULL)
	{
		ShareOwner *next = owner->chain;

		free(owner);
		owner = next;
	}
}

void
shares_free(Shares *shares)
{
	for (int i = 0; i < SHARE_BUCKETS; i++)
		free_chain(shares->buckets[i]);
	free_chain(shares->free);
	shares_init(shares, shares->limit);
}

static size_t
bucket_of(uint64_t id)
{
	return (size_t) ((id * UINT64_C(0x9E3779B97F4A7C15)) >> 32) % SHARE_BUCKETS;
}

/* Where the owner is, or would be at the end of its bucket. */
static ShareOwner *const *
place_of(const Shares *shares, uint64_t id)
{
	ShareOwner *const *at = &shares->buckets[bucket_of(id)];

	while (*at != NULL && (*at)->id != id)
		at = &(*at)->chain;
	return at;
}

bool
shares_admit(const Shares *shares, uint64_t owner)
{
	const ShareOwner *known = *place_of(shares, owner);

	return share_admits(known == NULL ? 0 : known->n, shares->n,
						shares->n_owners, shares->limit);
}

static ShareOwner *
new_owner(Shares *shares, uint64_t id)
{
	ShareOwner *owner = shares->free;
	size_t bucket = bucket_of(id);

	if (owner != NULL)
		shares->free = owner->chain;
	else
		owner = malloc(sizeof(*owner));
	CHECK(owner != NULL);
	owner->id = id;
	owner->n = 0;
	owner->chain = shares->buckets[bucket];
	shares->buckets[bucket] = owner;
	shares->n_owners++;
	return owner;
}

void
shares_add(Shares *shares, uint64_t owner)
{
	ShareOwner *known = *place_of(shares, owner);

	if (known == NULL)
		known = new_owner(shares, owner);
	known->n++;
	shares->n++;
}

void
shares_remove(Shares *shares, uint64_t owner)
{
	ShareOwner **at = (ShareOwner **) place_of(shares, owner);
	ShareOwner *known = *at;

	CHECK(known != NULL);
	shares->n--;
	if (--known->n > 0)
		return;
	*at = known->chain;
	known->chain = shares->free;
	shares->free = known;
	shares->n_owners--;
}
