/*
 * chain_table.h
 *	  A hash table of links that their owners embed.
 *
 * Buckets of singly linked chains that double as the table fills.  The table
 * owns the buckets and nothing else; who looks up compares keys himself:
 *
 *	  for (l = chain_first(&t, hash); l != NULL; l = chain_next(l))
 */
#ifndef TIKV_BASE_CHAIN_TABLE_H
#define TIKV_BASE_CHAIN_TABLE_H

#include <stdlib.h>

#include "core/base/bytes.h"
#include "core/base/check.h"

typedef struct ChainLink
{
	struct ChainLink *next;
	uint64_t hash;
} ChainLink;

typedef struct ChainTable
{
	ChainLink **buckets; /* NULL while empty */
	size_t n_buckets;	 /* a power of two */
	size_t n;
} ChainTable;

#define CHAIN_MIN_BUCKETS 16

/* The structure around a link. */
#define CHAIN_OWNER(type, member, pointer) \
	((type *) (void *) ((char *) (pointer) -offsetof(type, member)))

static inline ChainLink *
chain_skip(ChainLink *link, uint64_t hash)
{
	while (link != NULL && link->hash != hash)
		link = link->next;
	return link;
}

static inline ChainLink *
chain_first(const ChainTable *table, uint64_t hash)
{
	if (table->n == 0)
		return NULL;
	return chain_skip(table->buckets[hash & (table->n_buckets - 1)], hash);
}

/* The next with the same hash. */
static inline ChainLink *
chain_next(const ChainLink *link)
{
	return chain_skip(link->next, link->hash);
}

static inline void
chain_resize(ChainTable *table, size_t n_buckets)
{
	ChainLink **buckets = calloc(n_buckets, sizeof(ChainLink *));

	CHECK(buckets != NULL);
	for (size_t i = 0; i < table->n_buckets; i++)
		while (table->buckets[i] != NULL)
		{
			ChainLink *link = table->buckets[i];
			ChainLink **bucket = &buckets[link->hash & (n_buckets - 1)];

			table->buckets[i] = link->next;
			link->next = *bucket;
			*bucket = link;
		}
	free(table->buckets);
	table->buckets = buckets;
	table->n_buckets = n_buckets;
}

static inline void
chain_insert(ChainTable *table, ChainLink *link, uint64_t hash)
{
	ChainLink **bucket;

	if (table->n >= table->n_buckets)
		chain_resize(table,
					 table->n_buckets == 0 ? CHAIN_MIN_BUCKETS :
											 table->n_buckets * 2);
	bucket = &table->buckets[hash & (table->n_buckets - 1)];
	link->hash = hash;
	link->next = *bucket;
	*bucket = link;
	table->n++;
}

/* The link must be in the table. */
static inline void
chain_remove(ChainTable *table, ChainLink *link)
{
	ChainLink **at = &table->buckets[link->hash & (table->n_buckets - 1)];

	while (*at != link)
		at = &(*at)->next;
	*at = link->next;
	table->n--;
}

/* Only the buckets: the links are their owners'. */
static inline void
chain_free(ChainTable *table)
{
	free(table->buckets);
	memset(table, 0, sizeof(*table));
}

#endif /* TIKV_BASE_CHAIN_TABLE_H */
