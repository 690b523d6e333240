/*
 * record_codec.h
 *	  Records as keys and values: the names that tikv/pd gives its keys,
 *	  values as protobuf or decimal text.
 */
#ifndef TIKV_PD_RECORD_CODEC_H
#define TIKV_PD_RECORD_CODEC_H

#include "pd/core/proposal.h"
#include "pd/core/record.h"

/* Is it one of the records that every member needs to know? */
extern bool record_is_of_members(Bytes key);

/* Is it the one without which nobody is of this cluster? */
extern bool record_is_cluster_id(Bytes key);

/* The item of a record, in the arena.  `cluster_id` goes into raft's value. */
extern ProposalItem record_encode(const PdRecord *record, uint64_t cluster_id,
								  Arena *arena);

/*
 * The record of a stored key; what it points to is the arena's or borrowed.
 * NOT_FOUND: the key is unknown, as one of a newer version.  CORRUPT: the value
 * is not what belongs there.
 */
extern MUST_CHECK Status record_decode(Bytes key, Bytes value, Arena *arena,
									   PdRecord *out);

/* Decimal digits and nothing else; false if they are not, or too many. */
extern bool parse_number(Bytes text, uint64_t *out);

#endif /* TIKV_PD_RECORD_CODEC_H */
