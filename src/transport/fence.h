/*
 * fence.h
 *	  The newest start of each node that was heard of.
 *
 * A node counts its starts (start_seq) and says the number on every stream.  A
 * copy of its data directory, or one that was rolled back, has an older number
 * and is not listened to any more: two nodes of one id would vote twice.
 */
#ifndef TIKV_TRANSPORT_FENCE_H
#define TIKV_TRANSPORT_FENCE_H

#include "core/base/bytes.h"

/* Nodes that are remembered; a cluster has far fewer. */
#define FENCE_NODES 4096

/*
 * A start is its number and, in the low bits, what tells it from another start
 * with this number: a data directory that was rolled back by one start counts
 * to the number that the cluster has seen.
 */
#define FENCE_LIFE_BITS 16
#define FENCE_START(seq, life)             \
	((uint64_t) (seq) << FENCE_LIFE_BITS | \
	 ((uint64_t) (life) & ((UINT64_C(1) << FENCE_LIFE_BITS) - 1)))
#define FENCE_SEQ(start) ((start) >> FENCE_LIFE_BITS)

typedef struct FenceEntry
{
	uint64_t id;
	uint64_t start;
} FenceEntry;

typedef struct Fence
{
	FenceEntry *entries;
	size_t n;
	size_t cap;
} Fence;

typedef enum FenceAnswer
{
	FENCE_SAME,	 /* as last time, or the first time */
	FENCE_NEWER, /* it has started again: older streams are to end */
	FENCE_OLD,	 /* or another one with the same number: refuse */
	FENCE_FULL	 /* absurdly many nodes: refuse */
} FenceAnswer;

extern void fence_free(Fence *fence);

/* In every text that tells a node of a start that makes it the wrong one. */
#define FENCE_SEEN " was seen"

/* A node of this id has come with this number. */
extern FenceAnswer fence_check(Fence *fence, uint64_t id, uint64_t start);

/* The node is no more: the next one with its id may begin anew. */
extern void fence_forget(Fence *fence, uint64_t id);

/* What it was told last; 0: nothing. */
extern uint64_t fence_seen(const Fence *fence, uint64_t id);

/*
 * Who the sender of a stream says it is, in metadata of the call.
 */
typedef struct SenderEnvelope
{
	uint64_t cluster_id;
	uint64_t from_id;
	uint64_t to_id;
	uint64_t start;
} SenderEnvelope;

#define ENVELOPE_CLUSTER "tikv-cluster-id"
#define ENVELOPE_FROM "tikv-from-id"
#define ENVELOPE_TO "tikv-to-id"
#define ENVELOPE_START "tikv-start-seq"

/* A number in decimal digits, nothing else; false otherwise. */
extern bool envelope_number(Bytes text, uint64_t *out);

#endif /* TIKV_TRANSPORT_FENCE_H */
