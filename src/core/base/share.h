/*
 * share.h
 *	  A bound that several share, so that none of them keeps the others out.
 *
 * share_admits is the rule; a Shares also counts by owner, for those who have
 * no place of their own to do so.  fair.h has the same for what waits in a
 * queue.
 */
#ifndef TIKV_BASE_SHARE_H
#define TIKV_BASE_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* This part of a bound is for those who have little of it. */
#define SHARE_RESERVE 8

/* Little is one, and this part of the bound. */
#define SHARE_LITTLE 2048

/*
 * May an owner that has `has` of a bound's `all` have one more, where n_owners
 * have any?  Up to half of the limit everybody may; beyond it one that has its
 * share, counting one owner more than there are, may not.
 */
static inline bool
share_admits(size_t has, size_t all, size_t n_owners, size_t limit)
{
	if (all >= limit)
		return false;
	if (has <= limit / SHARE_LITTLE)
		return true;
	if (all >= limit - limit / SHARE_RESERVE)
		return false;
	return all < limit / 2 || has < limit / (n_owners + 1);
}

typedef struct ShareOwner ShareOwner;

#define SHARE_BUCKETS 64

typedef struct Shares
{
	size_t limit;
	size_t n;
	size_t n_owners;
	ShareOwner *free; /* for the next new one */
	ShareOwner *buckets[SHARE_BUCKETS];
} Shares;

extern void shares_init(Shares *shares, size_t limit);
extern void shares_free(Shares *shares);

/* May this owner have one more? */
extern bool shares_admit(const Shares *shares, uint64_t owner);

/* It has one more, or one less. */
extern void shares_add(Shares *shares, uint64_t owner);
extern void shares_remove(Shares *shares, uint64_t owner);

#endif /* TIKV_BASE_SHARE_H */
