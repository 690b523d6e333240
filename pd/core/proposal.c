/*
 * proposal.c
 *	  The bytes of one entry of the Placement Driver's log: keys put and
 *	  removed.
 */
#include "pd/core/proposal.h"

#define ITEM_PUT 1
#define ITEM_REMOVE 2
#define VARINT_MAX 10

void
proposal_init(Proposal *proposal, Arena *arena)
{
	memset(proposal, 0, sizeof(*proposal));
	proposal->arena = arena;
}

void
proposal_add(Proposal *proposal, const ProposalItem *item)
{
	if (proposal->n == proposal->size)
	{
		size_t size = proposal->size == 0 ? 8 : proposal->size * 2;
		ProposalItem *grown =
			arena_alloc(proposal->arena, size * sizeof(ProposalItem));

		if (proposal->n > 0)
			memcpy(grown, proposal->items, proposal->n * sizeof(ProposalItem));
		proposal->items = grown;
		proposal->size = size;
	}
	proposal->items[proposal->n++] = *item;
}

static uint8_t *
put_bytes(uint8_t *at, Bytes b)
{
	size_t len = b.len;

	while (len >= 0x80)
	{
		*at++ = (uint8_t) (len | 0x80);
		len >>= 7;
	}
	*at++ = (uint8_t) len;
	if (b.len > 0)
		memcpy(at, b.data, b.len);
	return at + b.len;
}

Bytes
proposal_encode(const Proposal *proposal)
{
	size_t max = 0;
	uint8_t *out;
	uint8_t *at;

	for (size_t i = 0; i < proposal->n; i++)
		max += 1 + 2 * VARINT_MAX + proposal->items[i].key.len +
			proposal->items[i].value.len;
	out = at = arena_alloc(proposal->arena, max);
	for (size_t i = 0; i < proposal->n; i++)
	{
		const ProposalItem *item = &proposal->items[i];

		*at++ = item->removed ? ITEM_REMOVE : ITEM_PUT;
		at = put_bytes(at, item->key);
		if (!item->removed)
			at = put_bytes(at, item->value);
	}
	return bytes_make(out, (size_t) (at - out));
}

static bool
take_bytes(Bytes *rest, Bytes *out)
{
	uint64_t len = 0;

	for (unsigned int i = 0; i < VARINT_MAX; i++)
	{
		uint8_t byte;

		if (rest->len == 0)
			return false;
		byte = *rest->data++;
		rest->len--;
		if (i == VARINT_MAX - 1 && byte > 1)
			return false;
		len |= (uint64_t) (byte & 0x7f) << (7 * i);
		if ((byte & 0x80) == 0)
			break;
	}
	if (len > rest->len)
		return false;
	*out = bytes_make(rest->data, (size_t) len);
	rest->data += len;
	rest->len -= (size_t) len;
	return true;
}

Status
proposal_next(Bytes *bytes, ProposalItem *out)
{
	uint8_t kind = bytes->data[0];

	memset(out, 0, sizeof(*out));
	out->removed = kind == ITEM_REMOVE;
	if (!out->removed && kind != ITEM_PUT)
		return STATUS_CORRUPT;
	bytes->data++;
	bytes->len--;
	if (!take_bytes(bytes, &out->key) || out->key.len == 0 ||
		(!out->removed && !take_bytes(bytes, &out->value)))
		return STATUS_CORRUPT;
	return STATUS_OK;
}

Status
proposal_decode(Proposal *proposal, Bytes bytes)
{
	while (bytes.len > 0)
	{
		ProposalItem item;

		if (proposal_next(&bytes, &item) != STATUS_OK)
			return STATUS_CORRUPT;
		proposal_add(proposal, &item);
	}
	return STATUS_OK;
}
