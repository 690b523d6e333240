/*
 * account.h
 *	  Bytes in use, by owner and in all.
 *
 * An account has a parent, to which everything counts as well.  An arena with
 * an account keeps it up to date; others add and subtract themselves.
 */
#ifndef TIKV_BASE_ACCOUNT_H
#define TIKV_BASE_ACCOUNT_H

#include <stddef.h>

/* What an account must hold to count as one that competes for memory. */
#define ACCOUNT_NOTABLE ((size_t) 64 * 1024)

/* This part of a limit is for those that hold less than that. */
#define ACCOUNT_RESERVE 8

typedef struct Account
{
	struct Account *parent; /* NULL: none */
	size_t used;
	size_t peak;	  /* the most it was */
	size_t n_notable; /* children that hold a notable amount */
} Account;

static inline void
account_add(Account *account, size_t n)
{
	for (; account != NULL; account = account->parent)
	{
		size_t before = account->used;

		account->used += n;
		if (account->used > account->peak)
			account->peak = account->used;
		if (account->parent != NULL && before < ACCOUNT_NOTABLE &&
			account->used >= ACCOUNT_NOTABLE)
			account->parent->n_notable++;
	}
}

static inline void
account_sub(Account *account, size_t n)
{
	for (; account != NULL; account = account->parent)
	{
		size_t before = account->used;

		account->used -= n;
		if (account->parent != NULL && before >= ACCOUNT_NOTABLE &&
			account->used < ACCOUNT_NOTABLE)
			account->parent->n_notable--;
	}
}

/*
 * May this account take more, where all together are to stay below `limit`?
 * Up to half of it any may; beyond that one that has its share, counting one
 * more than there are who hold a notable amount, may not.
 */
static inline int
account_admits(const Account *account, const Account *all, size_t limit)
{
	if (all->used >= limit ||
		(account->used >= ACCOUNT_NOTABLE &&
		 all->used >= limit - limit / ACCOUNT_RESERVE))
		return 0;
	return all->used <= limit / 2 ||
		account->used <= limit / (all->n_notable + 1);
}

#endif /* TIKV_BASE_ACCOUNT_H */
