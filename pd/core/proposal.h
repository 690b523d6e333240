/*
 * proposal.h
 *	  The bytes of one entry of the Placement Driver's log: keys put and
 *	  removed.
 *
 * An entry is a sequence of items: one byte (1 put, 2 remove), the key's
 * length and bytes and, for a put, the value's; lengths are varints as in
 * protobuf.  Entries apply without knowledge of what the keys mean, so that
 * followers of another version can.
 */
#ifndef TIKV_PD_CORE_PROPOSAL_H
#define TIKV_PD_CORE_PROPOSAL_H

#include "core/base/arena.h"
#include "core/base/status.h"

typedef struct ProposalItem
{
	Bytes key;
	Bytes value; /* empty when removed */
	bool removed;
} ProposalItem;

typedef struct Proposal
{
	Arena *arena;
	ProposalItem *items;
	size_t n;
	size_t size;
} Proposal;

extern void proposal_init(Proposal *proposal, Arena *arena);
extern void proposal_add(Proposal *proposal, const ProposalItem *item);

/* The items as bytes, in the proposal's arena. */
extern Bytes proposal_encode(const Proposal *proposal);

/* Take the next item off the bytes, of which there are some; borrowed. */
extern MUST_CHECK Status proposal_next(Bytes *bytes, ProposalItem *out);

/*
 * Add the items that the bytes hold, which must outlive them.  They take many
 * times the memory of the bytes: for what others send, proposal_next.
 */
extern MUST_CHECK Status proposal_decode(Proposal *proposal, Bytes bytes);

#endif /* TIKV_PD_CORE_PROPOSAL_H */
