/*
 * pair_list.h
 *	  The pairs of an answer, as they are read.
 *
 * A scan must not be cut short, since fewer pairs than asked for mean that
 * the region has no more (client-contract 2.4).  So an answer that would grow
 * over the limit becomes an error, and a read that nobody waits for any more
 * is given up on the way.
 */
#ifndef TIKV_SERVICE_PAIR_LIST_H
#define TIKV_SERVICE_PAIR_LIST_H

#include "kvrpcpb.pb-c.h"
#include "service/raw.h"

typedef struct PairList
{
	Request *request; /* whose arena holds the pairs */
	const RawLimits *limits;
	Kvrpcpb__KvPair **pairs;
	size_t n;
	size_t room;
	size_t bytes;	  /* what all that joined cost */
	size_t looked_at; /* bytes, when the last look was */
	bool too_large;
	const char *interrupted; /* why the read was given up; NULL: it was not */
} PairList;

/*
 * What a pair costs beside its key and its value, at most: the message, its
 * places in lists that double and leave the shorter ones behind, and up to 16
 * bytes each by which the arena rounds up the message and two copies.  An
 * empty value costs as much, so it is pairs that count, not only bytes.
 */
#define PAIR_LIST_COST \
	(sizeof(Kvrpcpb__KvPair) + 4 * sizeof(Kvrpcpb__KvPair *) + 3 * (size_t) 16)

/*
 * May a pair join, whose key, value and error have so many bytes?  If not, the
 * list says why.
 */
extern bool pair_list_may_add(PairList *list, size_t bytes);

/*
 * Should a read that has looked for `n` keys go on?  They may all be missing,
 * and then no pair asks.  If not, the list says why.
 */
extern bool pair_list_goes_on(PairList *list, size_t n);

/* One more, empty. */
extern Kvrpcpb__KvPair *pair_list_add(PairList *list);

/*
 * True if nothing is missing; else the request is answered: a list that is too
 * large by `refuse`, with a text that says so.
 */
extern bool pair_list_is_whole(const PairList *list,
							   void (*refuse)(Request *request,
											  const char *text));

#endif /* TIKV_SERVICE_PAIR_LIST_H */
