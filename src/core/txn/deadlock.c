/*
 * deadlock.c
 *	  Who waits for whom, and whether one more edge closes a cycle.
 *
 * A transaction that waits is a node; its edges are a list, since few wait
 * for more than one or two.  An edge remembers every key it is there for, and
 * goes with the last of them.
 */
#include "core/txn/deadlock.h"

#include "core/base/chain_table.h"
#include "core/base/hash.h"

/* Edges beyond which old ones are swept away now and then. */
#define SWEEP_MIN 1024

typedef struct EdgeKey
{
	struct EdgeKey *next;
	uint64_t hash;
	size_t len;
	uint8_t data[]; /* of the first key with this hash */
} EdgeKey;

typedef struct Edge
{
	struct Edge *next;
	uint64_t wait_for;
	int64_t detected_us;
	EdgeKey *keys; /* the oldest first; never empty */
	uint8_t *tag;
	size_t tag_len;
} Edge;

typedef struct Node
{
	ChainLink link; /* by txn */
	uint64_t txn;
	Edge *edges; /* never empty */

	/* of the search under way */
	uint64_t visit;
	struct Node *from;
	struct Node *next_on_stack;
} Node;

struct Deadlocks
{
	ChainTable nodes;
	int64_t ttl_us;
	size_t max_bytes;
	size_t bytes;
	size_t n_edges;
	size_t sweep_at;
	uint64_t visit;
};

static void *
take(Deadlocks *d, size_t size)
{
	void *p = calloc(1, size);

	CHECK(p != NULL);
	d->bytes += size;
	return p;
}

static void
give_back(Deadlocks *d, void *p, size_t size)
{
	free(p);
	d->bytes -= size;
}

Deadlocks *
deadlocks_new(int64_t ttl_us, size_t max_bytes)
{
	Deadlocks *d = calloc(1, sizeof(Deadlocks));

	CHECK(d != NULL);
	d->ttl_us = ttl_us;
	d->max_bytes = max_bytes;
	d->sweep_at = SWEEP_MIN;
	return d;
}

void
deadlocks_free(Deadlocks *d)
{
	if (d == NULL)
		return;
	deadlocks_clear(d);
	chain_free(&d->nodes);
	free(d);
}

size_t
deadlocks_count(const Deadlocks *d)
{
	return d->n_edges;
}

size_t
deadlocks_bytes(const Deadlocks *d)
{
	return d->bytes;
}

/* ------------------------------------------------------- nodes and edges */

static uint64_t
txn_hash(uint64_t txn)
{
	return hash_mix64(txn ^ UINT64_C(0x9E3779B97F4A7C15),
					  UINT64_C(0xD6E8FEB86659FD93));
}

static Node *
find_node(const Deadlocks *d, uint64_t txn)
{
	ChainLink *link = chain_first(&d->nodes, txn_hash(txn));

	for (; link != NULL; link = chain_next(link))
	{
		Node *node = CHAIN_OWNER(Node, link, link);

		if (node->txn == txn)
			return node;
	}
	return NULL;
}

static Edge *
find_edge(const Node *node, uint64_t wait_for)
{
	Edge *edge = node == NULL ? NULL : node->edges;

	while (edge != NULL && edge->wait_for != wait_for)
		edge = edge->next;
	return edge;
}

static void
drop_key(Deadlocks *d, EdgeKey **at)
{
	EdgeKey *key = *at;

	*at = key->next;
	give_back(d, key, sizeof(EdgeKey) + key->len);
}

static void
drop_edge(Deadlocks *d, Edge **at)
{
	Edge *edge = *at;

	*at = edge->next;
	while (edge->keys != NULL)
		drop_key(d, &edge->keys);
	if (edge->tag != NULL)
		give_back(d, edge->tag, edge->tag_len);
	give_back(d, edge, sizeof(Edge));
	d->n_edges--;
}

/* A node whose last edge went goes too; true if it did. */
static bool
drop_if_bare(Deadlocks *d, Node *node)
{
	if (node->edges != NULL)
		return false;
	chain_remove(&d->nodes, &node->link);
	give_back(d, node, sizeof(Node));
	return true;
}

static void
drop_expired(Deadlocks *d, Node *node, int64_t now_us)
{
	Edge **at = &node->edges;

	while (*at != NULL)
		if (now_us - (*at)->detected_us >= d->ttl_us)
			drop_edge(d, at);
		else
			at = &(*at)->next;
}

/* Forget what is out of date everywhere; or everything. */
static void
sweep(Deadlocks *d, int64_t now_us, bool all)
{
	for (size_t i = 0; i < d->nodes.n_buckets; i++)
	{
		ChainLink *next;

		for (ChainLink *link = d->nodes.buckets[i]; link != NULL; link = next)
		{
			Node *node = CHAIN_OWNER(Node, link, link);

			next = link->next;
			while (all && node->edges != NULL)
				drop_edge(d, &node->edges);
			drop_expired(d, node, now_us);
			drop_if_bare(d, node);
		}
	}
	d->sweep_at = d->n_edges < SWEEP_MIN / 2 ? SWEEP_MIN : d->n_edges * 2;
}

void
deadlocks_clear(Deadlocks *d)
{
	sweep(d, 0, true);
}

void
deadlocks_clean_up(Deadlocks *d, uint64_t txn)
{
	Node *node = find_node(d, txn);

	if (node == NULL)
		return;
	while (node->edges != NULL)
		drop_edge(d, &node->edges);
	drop_if_bare(d, node);
}

void
deadlocks_clean_up_wait_for(Deadlocks *d, uint64_t txn, uint64_t wait_for_txn,
							uint64_t key_hash)
{
	Node *node = find_node(d, txn);
	Edge **at = node == NULL ? NULL : &node->edges;

	while (at != NULL && *at != NULL && (*at)->wait_for != wait_for_txn)
		at = &(*at)->next;
	if (at == NULL || *at == NULL)
		return;
	for (EdgeKey **key = &(*at)->keys; *key != NULL; key = &(*key)->next)
		if ((*key)->hash == key_hash)
		{
			drop_key(d, key);
			break;
		}
	if ((*at)->keys == NULL)
		drop_edge(d, at);
	drop_if_bare(d, node);
}

/* --------------------------------------------------------- adding an edge */

static bool
has_room(Deadlocks *d, size_t size, int64_t now_us)
{
	if (d->bytes + size > d->max_bytes || d->n_edges >= d->sweep_at)
		sweep(d, now_us, false);
	return d->bytes + size <= d->max_bytes;
}

static void
add_key(Deadlocks *d, Edge *edge, uint64_t hash, Bytes key)
{
	EdgeKey **at = &edge->keys;

	while (*at != NULL && (*at)->hash != hash)
		at = &(*at)->next;
	if (*at != NULL)
		return;
	*at = take(d, sizeof(EdgeKey) + key.len);
	(*at)->hash = hash;
	(*at)->len = key.len;
	if (key.len > 0)
		memcpy((*at)->data, key.data, key.len);
}

static void
set_tag(Deadlocks *d, Edge *edge, Bytes tag)
{
	if (edge->tag != NULL)
		give_back(d, edge->tag, edge->tag_len);
	edge->tag = NULL;
	edge->tag_len = tag.len;
	if (tag.len == 0)
		return;
	edge->tag = take(d, tag.len);
	memcpy(edge->tag, tag.data, tag.len);
}

/* The edge is there or is made; without room nothing happens. */
static void
add_edge(Deadlocks *d, const WaitForEntry *entry, int64_t now_us)
{
	size_t need = sizeof(Node) + sizeof(Edge) + sizeof(EdgeKey) +
		entry->key.len + entry->resource_group_tag.len;
	Node *node;
	Edge *edge;

	if (!has_room(d, need, now_us))
		return;
	node = find_node(d, entry->txn);
	if (node == NULL)
	{
		node = take(d, sizeof(Node));
		node->txn = entry->txn;
		chain_insert(&d->nodes, &node->link, txn_hash(entry->txn));
	}
	edge = find_edge(node, entry->wait_for_txn);
	if (edge == NULL)
	{
		edge = take(d, sizeof(Edge));
		edge->wait_for = entry->wait_for_txn;
		edge->next = node->edges;
		node->edges = edge;
		d->n_edges++;
	}
	edge->detected_us = now_us;
	add_key(d, edge, entry->key_hash, entry->key);
	set_tag(d, edge, entry->resource_group_tag);
}

/* ------------------------------------------------------------ the search */

static WaitForEntry
entry_of(Arena *arena, const Node *node, const Edge *edge)
{
	WaitForEntry entry = {.txn = node->txn,
						  .wait_for_txn = edge->wait_for,
						  .key_hash = edge->keys->hash,
						  .key = arena_copy(arena,
											bytes_make(edge->keys->data,
													   edge->keys->len)),
						  .resource_group_tag =
							  arena_copy(arena,
										 bytes_make(edge->tag, edge->tag_len))};

	return entry;
}

/* The way from where the search began to `last`, whose edge closes the cycle */
static void
report(Arena *arena, const Node *last, const Edge *closing,
	   DeadlockFound *found)
{
	size_t n = 0;
	WaitForEntry *chain;

	for (const Node *node = last; node != NULL; node = node->from)
		n++;
	chain = arena_alloc(arena, n * sizeof(WaitForEntry));
	found->key_hash = closing->keys->hash;
	found->chain = chain;
	found->n_chain = n;
	for (const Edge *edge = closing; last != NULL; last = last->from)
	{
		chain[--n] = entry_of(arena, last, edge);
		if (last->from != NULL)
			edge = find_edge(last->from, last->txn);
	}
}

/* Depth first from `from`; true if the way leads to `goal`. */
static bool
leads_to(Deadlocks *d, uint64_t from, uint64_t goal, int64_t now_us,
		 Arena *arena, DeadlockFound *found)
{
	Node *stack = find_node(d, from);

	d->visit++;
	if (stack != NULL)
	{
		stack->visit = d->visit;
		stack->from = NULL;
		stack->next_on_stack = NULL;
	}
	while (stack != NULL)
	{
		Node *node = stack;

		stack = node->next_on_stack;
		drop_expired(d, node, now_us);
		if (drop_if_bare(d, node))
			continue;
		for (const Edge *edge = node->edges; edge != NULL; edge = edge->next)
		{
			Node *next;

			if (edge->wait_for == goal)
			{
				report(arena, node, edge, found);
				return true;
			}
			next = find_node(d, edge->wait_for);
			if (next == NULL || next->visit == d->visit)
				continue;
			next->visit = d->visit;
			next->from = node;
			next->next_on_stack = stack;
			stack = next;
		}
	}
	return false;
}

bool
deadlocks_detect(Deadlocks *d, const WaitForEntry *entry, int64_t now_us,
				 Arena *arena, DeadlockFound *found)
{
	/* An edge that is there, even out of date, closed no cycle. */
	if (find_edge(find_node(d, entry->txn), entry->wait_for_txn) == NULL &&
		leads_to(d, entry->wait_for_txn, entry->txn, now_us, arena, found))
		return true;
	add_edge(d, entry, now_us);
	return false;
}

/* -------------------------------------------------------------- inspection */

void
deadlocks_each(const Deadlocks *d, int64_t now_us, Arena *arena,
			   void (*emit)(void *arg, const WaitForEntry *entry), void *arg)
{
	for (size_t i = 0; i < d->nodes.n_buckets; i++)
		for (ChainLink *link = d->nodes.buckets[i]; link != NULL;
			 link = link->next)
		{
			const Node *node = CHAIN_OWNER(Node, link, link);

			for (const Edge *edge = node->edges; edge != NULL;
				 edge = edge->next)
			{
				WaitForEntry entry;

				if (now_us - edge->detected_us >= d->ttl_us)
					continue;
				entry = entry_of(arena, node, edge);
				emit(arg, &entry);
			}
		}
}
