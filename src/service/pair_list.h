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
	size_t bytes; /* of all that joined */
	bool too_large;
	const char *interrupted; /* why the read was given up; NULL: it was not */
} PairList;

/* May a pair of this size join?  If not, the list says why. */
extern bool pair_list_may_add(PairList *list, size_t bytes);

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
