/*
 * image.c
 *	  What a simulated disk holds, and how a transaction changes it.
 *
 * The same function brings a transaction to the visible image when it commits
 * and to the durable one when it is flushed; a crash copies the durable image
 * over the visible one.
 */
#include "sim.h"

void
image_reset(Image *image)
{
	SimEntry *log = image->log;
	int cap = image->cap;

	memset(image, 0, sizeof(*image));
	image->log = log;
	image->cap = cap;
}

void
image_free(Image *image)
{
	free(image->log);
	memset(image, 0, sizeof(*image));
}

static void
reserve(Image *image, int n)
{
	if (n <= image->cap)
		return;
	while (image->cap < n)
		image->cap = image->cap == 0 ? 64 : image->cap * 2;
	image->log = realloc(image->log, (size_t) image->cap * sizeof(SimEntry));
	CHECK(image->log != NULL);
}

void
image_copy(Image *to, const Image *from)
{
	SimEntry *log;
	int cap;

	reserve(to, from->n);
	log = to->log;
	cap = to->cap;
	*to = *from;
	to->log = log;
	to->cap = cap;
	if (from->n > 0)
		memcpy(log, from->log, (size_t) from->n * sizeof(SimEntry));
}

uint64_t
image_last(const Image *image)
{
	return image->truncated_index + (uint64_t) image->n;
}

SimEntry *
image_entry(const Image *image, uint64_t index)
{
	CHECK(index > image->truncated_index && index <= image_last(image));
	return &image->log[index - image->truncated_index - 1];
}

static void
compact(Image *image, uint64_t index, uint64_t term)
{
	int gone = (int) (index - image->truncated_index);

	if (index <= image->truncated_index)
		return;
	if (gone > image->n)
		gone = image->n;
	image->n -= gone;
	if (image->n > 0)
		memmove(image->log, image->log + gone,
				(size_t) image->n * sizeof(SimEntry));
	image->truncated_index = index;
	image->truncated_term = term;
}

void
image_apply(Image *image, const Txn *txn)
{
	if (txn->has_hard_state)
		image->hard_state = txn->hard_state;
	if (txn->has_snapshot)
	{
		image->machine = txn->snapshot;
		image->truncated_index = txn->snapshot.applied;
		image->truncated_term = txn->snapshot.applied_term;
		image->n = 0;
	}
	if (txn->n_entries > 0)
	{
		CHECK(txn->first > image->truncated_index &&
			  txn->first <= image_last(image) + 1);
		image->n = (int) (txn->first - image->truncated_index - 1);
		reserve(image, image->n + txn->n_entries);
		memcpy(image->log + image->n, txn->entries,
			   (size_t) txn->n_entries * sizeof(SimEntry));
		image->n += txn->n_entries;
	}
	if (txn->has_machine)
		image->machine = txn->machine;
	if (txn->compact_index > 0)
		compact(image, txn->compact_index, txn->compact_term);
}

void
txn_free(Txn *txn)
{
	while (txn->packets != NULL)
	{
		Packet *p = txn->packets;

		txn->packets = p->next;
		packet_free(p);
	}
	free(txn->entries);
	free(txn);
}

uint64_t
machine_hash(uint64_t chain, uint64_t index, const SimEntry *e)
{
	uint64_t z = chain ^ (index * UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ e->op) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ e->term ^ (z >> 29)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}
