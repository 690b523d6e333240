/*
 * test_pd_region_tree.c
 *	  Regions by key and id: lookups, overlaps, scans, and a random walk
 *	  against a plain list.
 */
#include "pd/core/region_tree.h"

#include <stdlib.h>

#include "unit.h"

static PdRegion
make(uint64_t id, const char *start, const char *end)
{
	PdRegion region;

	memset(&region, 0, sizeof(region));
	region.meta.id = id;
	region.meta.start_key = bytes_cstr(start);
	region.meta.end_key = bytes_cstr(end);
	region.meta.epoch = (RegionEpoch){1, 1};
	region.meta.n_peers = 1;
	region.meta.peers[0] = (RegionPeer){id * 10, 1, PEER_VOTER};
	return region;
}

static void
put(RegionTree *tree, uint64_t id, const char *start, const char *end)
{
	PdRegion region = make(id, start, end);

	region_tree_put(tree, &region);
}

static uint64_t
id_of(const PdRegion *region)
{
	return region == NULL ? 0 : region->meta.id;
}

static uint64_t
find(const RegionTree *tree, const char *key)
{
	return id_of(region_tree_find(tree, bytes_cstr(key)));
}

static uint64_t
prev(const RegionTree *tree, const char *key)
{
	return id_of(region_tree_prev(tree, bytes_cstr(key)));
}

static void
test_lookups(void)
{
	RegionTree tree;

	region_tree_init(&tree);
	EQ_U64(find(&tree, "a"), 0, "an empty tree has nothing");
	EQ_U64(prev(&tree, "a"), 0, "nor anything before it");
	put(&tree, 1, "", "");
	EQ_U64(find(&tree, ""), 1, "the empty key is in the first region");
	EQ_U64(find(&tree, "\xff\xff"), 1, "an open end has no last key");
	EQ_U64(prev(&tree, "x"), 0, "nothing is before the first region");

	put(&tree, 2, "", "b");
	EQ_U64(tree.n, 1, "what is overlapped is gone");
	put(&tree, 3, "b", "d");
	put(&tree, 4, "f", "");
	EQ_U64(find(&tree, "a"), 2, "left");
	EQ_U64(find(&tree, "b"), 3, "a start key is inclusive");
	EQ_U64(find(&tree, "d"), 0, "an end key is exclusive");
	EQ_U64(find(&tree, "e"), 0, "a hole");
	EQ_U64(find(&tree, "f"), 4, "right");
	EQ_U64(prev(&tree, "c"), 2, "the neighbour before");
	EQ_U64(prev(&tree, "g"), 0, "no neighbour across a hole");
	EQ_U64(prev(&tree, "e"), 0, "nor for a key in a hole");
	EQ_U64(id_of(region_tree_get(&tree, 3)), 3, "by id");
	EQ_U64(id_of(region_tree_get(&tree, 1)), 0, "a replaced id is unknown");
	region_tree_remove(&tree, 3);
	EQ_U64(find(&tree, "c"), 0, "removed");
	region_tree_remove(&tree, 3);
	EQ_U64(tree.n, 2, "removing twice changes nothing");
	region_tree_free(&tree);
}

static void
test_copy(void)
{
	RegionTree tree;
	PdRegion region = make(7, "a", "b");
	DownPeer down = {{71, 2, PEER_VOTER}, 600};
	RegionPeer pending = {72, 3, PEER_LEARNER};
	const PdRegion *kept;
	char key[2] = "a";

	region_tree_init(&tree);
	region.meta.start_key = bytes_make(key, 1);
	region.n_down = 1;
	region.down = &down;
	region.n_pending = 1;
	region.pending = &pending;
	region_tree_put(&tree, &region);
	key[0] = 'z';
	down.down_seconds = 0;
	kept = region_tree_get(&tree, 7);
	OK(kept != NULL && kept->meta.start_key.data[0] == 'a', "keys are copied");
	EQ_U64(kept->down[0].down_seconds, 600, "down peers are copied");
	EQ_U64(kept->pending[0].id, 72, "pending peers are copied");

	/* A region may be put over itself. */
	region_tree_put(&tree, kept);
	EQ_U64(tree.n, 1, "put over itself");
	EQ_U64(region_tree_get(&tree, 7)->pending[0].store_id, 3, "and whole");
	region_tree_free(&tree);
}

static size_t
scan(const RegionTree *tree, const char *start, const char *end, size_t limit,
	 uint64_t *first, bool *complete)
{
	Arena arena;
	const PdRegion **out;
	PdKeyRange range = {bytes_cstr(start), bytes_cstr(end)};
	size_t n;

	arena_init(&arena);
	n = region_tree_scan(tree, range, limit, &arena, &out, complete);
	*first = n > 0 ? out[0]->meta.id : 0;
	arena_free(&arena);
	return n;
}

static void
test_scans(void)
{
	RegionTree tree;
	uint64_t first;
	bool complete;

	region_tree_init(&tree);
	EQ_U64(scan(&tree, "", "", 0, &first, &complete), 0, "nothing to scan");
	OK(!complete, "and nothing is covered");
	put(&tree, 1, "", "b");
	put(&tree, 2, "b", "d");
	put(&tree, 3, "d", "f");
	put(&tree, 4, "h", "");
	EQ_U64(scan(&tree, "", "", 0, &first, &complete), 4, "all");
	OK(!complete, "a hole is seen");
	EQ_U64(scan(&tree, "", "f", 0, &first, &complete), 3, "up to a bound");
	OK(complete, "no hole there");
	EQ_U64(scan(&tree, "c", "d", 0, &first, &complete), 1,
		   "the region of the start key counts");
	EQ_U64(first, 2, "and comes first");
	EQ_U64(scan(&tree, "c", "", 2, &first, &complete), 2, "limit");
	OK(complete, "a hole behind the limit is not met");
	EQ_U64(scan(&tree, "f", "h", 0, &first, &complete), 0, "only a hole");
	OK(!complete, "which is told");
	EQ_U64(scan(&tree, "g", "", 0, &first, &complete), 1, "from in a hole");
	OK(!complete, "the hole at the start is told");
	EQ_U64(scan(&tree, "e", "g", 0, &first, &complete), 1, "to in a hole");
	OK(!complete, "the hole at the end is told");
	EQ_U64(scan(&tree, "h", "", 0, &first, &complete), 1, "to infinity");
	OK(complete, "covered to infinity");
	region_tree_free(&tree);
}

static void
test_batch_scans(void)
{
	RegionTree tree;
	Arena arena;
	const PdRegion **out;
	size_t n;
	bool complete;
	PdKeyRange two[2] = {{bytes_cstr("a"), bytes_cstr("aa")},
						 {bytes_cstr("ab"), bytes_cstr("c")}};
	PdKeyRange overlap[2] = {{bytes_cstr("a"), bytes_cstr("c")},
							 {bytes_cstr("b"), bytes_cstr("d")}};
	PdKeyRange open_first[2] = {{bytes_cstr("a"), bytes_empty()},
								{bytes_cstr("b"), bytes_cstr("d")}};
	PdKeyRange inverted[1] = {{bytes_cstr("c"), bytes_cstr("a")}};
	PdKeyRange holed[2] = {{bytes_cstr("a"), bytes_cstr("b")},
						   {bytes_cstr("e"), bytes_cstr("g")}};

	arena_init(&arena);
	region_tree_init(&tree);
	put(&tree, 1, "", "b");
	put(&tree, 2, "b", "d");
	put(&tree, 3, "d", "f");

	OK(region_tree_batch_scan(&tree, two, 2, 0, &arena, &out, &n, &complete) ==
		   STATUS_OK,
	   "two ranges");
	EQ_U64(n, 2, "a region in both is named once");
	OK(complete && out[0]->meta.id == 1 && out[1]->meta.id == 2, "in order");
	OK(region_tree_batch_scan(&tree, two, 2, 1, &arena, &out, &n, &complete) ==
		   STATUS_OK,
	   "with a limit");
	EQ_U64(n, 1, "over all ranges");
	OK(region_tree_batch_scan(&tree, overlap, 2, 0, &arena, &out, &n,
							  &complete) == STATUS_INVALID,
	   "overlapping ranges are refused");
	OK(region_tree_batch_scan(&tree, open_first, 2, 0, &arena, &out, &n,
							  &complete) == STATUS_INVALID,
	   "nothing follows an open end");
	OK(region_tree_batch_scan(&tree, inverted, 1, 0, &arena, &out, &n,
							  &complete) == STATUS_INVALID,
	   "a range that ends before it starts is refused");
	OK(region_tree_batch_scan(&tree, holed, 2, 0, &arena, &out, &n,
							  &complete) == STATUS_OK,
	   "a hole");
	EQ_U64(n, 2, "what there is, is given");
	OK(!complete, "and the hole is told");
	OK(region_tree_batch_scan(&tree, NULL, 0, 0, &arena, &out, &n, &complete) ==
			   STATUS_OK &&
		   n == 0 && complete,
	   "no ranges, no regions");
	region_tree_free(&tree);
	arena_free(&arena);
}

/* ---- against a list ---- */

#define KEYS 64

/* owner[k]: the region that holds the one-byte key k, 0 none. */
static uint64_t owner[KEYS];

static void
walk_put(RegionTree *tree, uint64_t id, unsigned int start, unsigned int end)
{
	uint8_t keys[2] = {(uint8_t) start, (uint8_t) end};
	PdRegion region = make(id, "", "");

	region.meta.start_key = bytes_make(&keys[0], start == 0 ? 0 : 1);
	region.meta.end_key = bytes_make(&keys[1], end == KEYS ? 0 : 1);
	region_tree_put(tree, &region);

	/* Whoever loses one key is gone whole, and so is the id's old range. */
	for (unsigned int k = start; k < end; k++)
		if (owner[k] != 0)
		{
			uint64_t gone = owner[k];

			for (unsigned int j = 0; j < KEYS; j++)
				if (owner[j] == gone)
					owner[j] = 0;
		}
	for (unsigned int k = 0; k < KEYS; k++)
		if (owner[k] == id)
			owner[k] = 0;
	for (unsigned int k = start; k < end; k++)
		owner[k] = id;
}

static bool
walk_agrees(const RegionTree *tree)
{
	for (unsigned int k = 0; k < KEYS; k++)
	{
		uint8_t key = (uint8_t) k;
		const PdRegion *found = region_tree_find(tree, bytes_make(&key, 1));

		if (id_of(found) != owner[k])
			return false;
		if (found != NULL && region_tree_get(tree, found->meta.id) != found)
			return false;
	}
	for (size_t i = 1; i < tree->n; i++)
	{
		Bytes end = tree->by_key[i - 1]->meta.end_key;

		if (tree->by_id[i - 1]->meta.id >= tree->by_id[i]->meta.id ||
			end.len == 0 || bytes_cmp(end, tree->by_key[i]->meta.start_key) > 0)
			return false;
	}
	return true;
}

static void
test_walk(void)
{
	RegionTree tree;
	uint64_t seed = 7;
	bool agrees = true;

	region_tree_init(&tree);
	for (int i = 0; i < 20000 && agrees; i++)
	{
		unsigned int start;
		unsigned int end;
		unsigned int r;

		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
		r = (unsigned int) (seed >> 33);
		start = r % KEYS;
		end = start + 1 + (r >> 8) % 6;
		if (end > KEYS)
			end = KEYS;
		walk_put(&tree, 1 + (r >> 16) % 40, start, end);
		agrees = walk_agrees(&tree);
	}
	OK(agrees, "20,000 random regions agree with a plain list");
	region_tree_free(&tree);
}

int
main(void)
{
	test_lookups();
	test_copy();
	test_scans();
	test_batch_scans();
	test_walk();
	return unit_done();
}
