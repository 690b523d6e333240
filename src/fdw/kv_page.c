/*
 * kv_page.c
 *	  Pairs that were read, in one buffer that is used again.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "fdw/kv.h"

#define FIRST_PAIRS 64
#define FIRST_BYTES 4096

KvPage *
kv_page_new(MemoryContext context)
{
	KvPage *page = MemoryContextAllocZero(context, sizeof(KvPage));

	page->context = context;
	return page;
}

Size
kv_page_pair_bytes(const KvPage *page)
{
	return page->n > 0 ? page->used / (Size) page->n + 1 : page->pair_bytes;
}

void
kv_page_clear(KvPage *page)
{
	page->pair_bytes = kv_page_pair_bytes(page);
	page->n = 0;
	page->used = 0;
}

static void
make_room(KvPage *page, Size bytes)
{
	Size size = Max(page->size, FIRST_BYTES);

	while (size - page->used < bytes)
		size *= 2;
	if (page->data == NULL)
		page->data = MemoryContextAllocHuge(page->context, size);
	else
		page->data = repalloc_huge(page->data, size);
	page->size = size;
}

static void
make_pairs(KvPage *page)
{
	int max = page->max == 0 ? FIRST_PAIRS : page->max * 2;

	if (page->pairs == NULL)
		page->pairs = MemoryContextAlloc(page->context, max * sizeof(KvPair));
	else
		page->pairs = repalloc_huge(page->pairs, max * sizeof(KvPair));
	page->max = max;
}

static void
append(KvPage *page, Bytes bytes)
{
	if (bytes.len > 0)
		memcpy(page->data + page->used, bytes.data, bytes.len);
	page->used += bytes.len;
}

void
kv_page_add(KvPage *page, Bytes key, Bytes value, int64 expires_at)
{
	kv_page_add_asked(page, 0, key, value, expires_at);
}

void
kv_page_add_asked(KvPage *page, int asked, Bytes key, Bytes value,
				  int64 expires_at)
{
	KvPair *pair;

	if (page->has_no_keys)
		key = bytes_empty();
	if (page->data == NULL || page->size - page->used < key.len + value.len)
		make_room(page, key.len + value.len);
	if (page->n == page->max)
		make_pairs(page);
	pair = &page->pairs[page->n++];
	pair->at = page->used;
	pair->key_len = (uint32) key.len;
	pair->value_len = (uint32) value.len;
	pair->expires_at = expires_at;
	pair->asked = asked;
	append(page, key);
	append(page, value);
}
