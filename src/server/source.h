/*
 * source.h
 *	  Where requests come from: one Source per client connection, with what
 *	  its requests and answers hold of this process's memory.
 *
 * For this folder.  gRPC's C core does not say which calls share a connection;
 * the peer's address with its port does.
 */
#ifndef TIKV_SERVER_SOURCE_H
#define TIKV_SERVER_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/account.h"

typedef struct Source
{
	Account account; /* a child of all sources' */
	uint64_t id;	 /* never 0, and the same for all its calls */
	int refs;
	size_t n_calls;	   /* unary, in flight */
	size_t n_streams;  /* open */
	int n_empty;	   /* see empty.c */
	uint32_t life;	   /* which connection of this name, as far as we know */
	int64_t credit;	   /* see waste.c */
	int64_t credit_us; /* when it was counted; 0: never */
	int64_t look_us;   /* nothing is charged before; it was not found */
	struct Source *chain;

	bool is_idle; /* in the list of those; see source.c */
	int64_t idle_us;
	struct Source *idle_next;
} Source;

/* The source with this name, with a reference for the caller. */
extern Source *source_get(const char *name);
extern void source_hold(Source *source);
extern void source_release(Source *source);

/* The most of it; 0: no limit. */
extern void source_set_limit(size_t limit);

/*
 * May the source begin another request?  No beyond the limit, and none that
 * has its share when half of it is taken.
 */
extern bool source_admits(const Source *source);

/*
 * May it be told what nobody asks for just now?  That leaves the last part of
 * the limit to those who ask.
 */
extern bool source_admits_unasked(const Source *source);

#endif /* TIKV_SERVER_SOURCE_H */
