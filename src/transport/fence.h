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

typedef struct FenceEntry
{
	uint64_t id;
	uint64_t start_seq;
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
	FENCE_OLD,	 /* refuse */
	FENCE_FULL	 /* absurdly many nodes: refuse */
} FenceAnswer;

extern void fence_free(Fence *fence);

/* A node of this id has come with this number. */
extern FenceAnswer fence_check(Fence *fence, uint64_t id, uint64_t start_seq);

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
	uint64_t start_seq;
} SenderEnvelope;

#define ENVELOPE_CLUSTER "tikv-cluster-id"
#define ENVELOPE_FROM "tikv-from-id"
#define ENVELOPE_TO "tikv-to-id"
#define ENVELOPE_START "tikv-start-seq"

/* A number in decimal digits, nothing else; false otherwise. */
extern bool envelope_number(Bytes text, uint64_t *out);

#endif /* TIKV_TRANSPORT_FENCE_H */
