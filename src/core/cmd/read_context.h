/*
 * read_context.h
 *	  What a question for a read index carries: whose it is, and the timestamp
 *	  of a transactional read.
 *
 * 16 bytes, then 'r', a length and a raft_cmdpb.ReadIndexRequest
 * (raftstore-and-pd 8).  Source: tikv/tikv
 * components/raftstore/src/store/read_queue.rs.
 */
#ifndef TIKV_CMD_READ_CONTEXT_H
#define TIKV_CMD_READ_CONTEXT_H

#include "core/base/arena.h"
#include "core/base/status.h"

typedef struct ReadIndexContext
{
	uint64_t asker; /* a life of a store */
	uint64_t id;	/* of the read there */
	bool has_ts;
	uint64_t start_ts;
} ReadIndexContext;

extern Bytes read_context_encode(const ReadIndexContext *context, Arena *arena);
extern Status read_context_decode(Bytes bytes,
								  ReadIndexContext *out) MUST_CHECK;

#endif /* TIKV_CMD_READ_CONTEXT_H */
