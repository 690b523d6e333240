/*
 * lock_memory.c
 *	  Cells for the nodes of the lock table.
 *
 * Pages of 32 KiB, each cut into cells of one size, as kernels do it.  A page
 * whose last cell is given back may serve another size, so that one large
 * transaction leaves no shape behind.  Pages are taken in order when no used
 * one is free, and cells of a page likewise: what was never needed is never
 * touched, and costs no memory.
 */
#include "postgres.h"

#include "bus/lock_shared.h"

/* Above 1 KiB as many cells as fit a page, 16-byte aligned. */
static const uint16 class_sizes[LOCK_CLASSES] = {
	128,  160,	192,  224,	256,  320,	384,  448,	 512,	640,   768,
	1024, 1360, 2032, 2720, 4080, 5440, 8176, 10896, 16352, 32704,
};

static LockPage *
page_at(LockShared *shared, uint32 number)
{
	return (LockPage *) (lock_pages(shared) + (Size) number * LOCK_PAGE_SIZE);
}

static uint32
page_of(LockRef ref)
{
	return ref / (LOCK_PAGE_SIZE / LOCK_UNIT);
}

static LockRef
cell_ref(uint32 page, uint32 offset)
{
	return page * (LOCK_PAGE_SIZE / LOCK_UNIT) + offset / LOCK_UNIT;
}

static LockRef *
cell_link(LockShared *shared, LockRef ref)
{
	return (LockRef *) (lock_pages(shared) + (Size) ref * LOCK_UNIT);
}

static int
class_of(Size size)
{
	for (int i = 0; i < LOCK_CLASSES; i++)
		if (size <= class_sizes[i])
			return i;
	return -1;
}

static bool
page_is_full(const LockPage *page)
{
	return page->free == 0 &&
		page->fresh + class_sizes[page->class] > LOCK_PAGE_SIZE;
}

static void
list_push(LockShared *shared, uint32 *list, uint32 number)
{
	LockPage *page = page_at(shared, number);

	page->next = *list;
	page->prev = 0;
	if (*list != 0)
		page_at(shared, *list - 1)->prev = number + 1;
	*list = number + 1;
}

static void
list_remove(LockShared *shared, uint32 *list, uint32 number)
{
	LockPage *page = page_at(shared, number);

	if (page->prev != 0)
		page_at(shared, page->prev - 1)->next = page->next;
	else
		*list = page->next;
	if (page->next != 0)
		page_at(shared, page->next - 1)->prev = page->prev;
}

/* A page for cells of this class, in its list; false if there is none. */
static bool
take_page(LockShared *shared, int class)
{
	LockPage *page;
	uint32 number;

	if (shared->free_pages != 0)
	{
		number = shared->free_pages - 1;
		list_remove(shared, &shared->free_pages, number);
	}
	else if (shared->pages_touched < shared->n_pages)
		number = shared->pages_touched++;
	else
		return false;
	page = page_at(shared, number);
	page->class = (uint16) class;
	page->used = 0;
	page->fresh = LOCK_PAGE_HEADER;
	page->free = 0;
	list_push(shared, &shared->partial[class], number);
	return true;
}

static void
count_bytes(LockShared *shared, int64 delta)
{
	pg_atomic_write_u64(&shared->bytes_used,
						pg_atomic_read_u64(&shared->bytes_used) + delta);
}

LockRef
lock_memory_alloc(LockShared *shared, Size size)
{
	int class = class_of(size);
	uint32 number;
	LockPage *page;
	LockRef ref;

	if (class < 0)
		return 0;
	if (shared->partial[class] == 0 && !take_page(shared, class))
		return 0;
	shared->dirty = true;
	number = shared->partial[class] - 1;
	page = page_at(shared, number);
	ref = page->free;
	if (ref != 0)
		page->free = *cell_link(shared, ref);
	else
	{
		ref = cell_ref(number, page->fresh);
		page->fresh += class_sizes[class];
	}
	page->used++;
	if (page_is_full(page))
		list_remove(shared, &shared->partial[class], number);
	count_bytes(shared, class_sizes[class]);
	return ref;
}

void
lock_memory_free(LockShared *shared, LockRef ref)
{
	uint32 number = page_of(ref);
	LockPage *page = page_at(shared, number);
	int class = page->class;

	count_bytes(shared, -(int64) class_sizes[class]);
	if (page_is_full(page))
		list_push(shared, &shared->partial[class], number);
	*cell_link(shared, ref) = page->free;
	page->free = ref;
	page->used--;
	if (page->used == 0)
	{
		list_remove(shared, &shared->partial[class], number);
		list_push(shared, &shared->free_pages, number);
	}
}

Size
lock_memory_room(LockShared *shared, LockRef ref)
{
	uint16 class = page_at(shared, page_of(ref))->class;

	return class_sizes[class];
}

void
lock_memory_reset(LockShared *shared)
{
	shared->pages_touched = 0;
	shared->free_pages = 0;
	memset(shared->partial, 0, sizeof(shared->partial));
	pg_atomic_write_u64(&shared->bytes_used, 0);
}

LockNode *
lock_node(LockShared *shared, LockRef ref)
{
	Size offset = (Size) ref * LOCK_UNIT;
	Size in_page = offset % LOCK_PAGE_SIZE;
	LockNode *node;

	if (offset >= (Size) shared->n_pages * LOCK_PAGE_SIZE ||
		in_page < LOCK_PAGE_HEADER ||
		in_page + sizeof(LockNode) > LOCK_PAGE_SIZE)
		return NULL;
	node = (LockNode *) (lock_pages(shared) + offset);
	if (node->levels == 0 || node->levels > LOCK_LEVELS ||
		in_page + offsetof(LockNode, next) + node->levels * sizeof(LockRef) +
				node->key_len + node->record_len >
			LOCK_PAGE_SIZE)
		return NULL;
	return node;
}
