/*
 * raft_codec.h
 *	  core/raft's entries and messages as eraftpb's bytes, and back.
 *
 * What is decoded comes from the network or from disk: any bytes are taken,
 * and what is no such message is STATUS_INVALID.  Decoded byte strings are
 * borrowed from the bytes, lists live in the arena.  Field numbers from
 * tikv/raft-rs proto/proto/eraftpb.proto, which is what TiKV sends: there
 * commit_term is 15 and priority 16.
 */
#ifndef TIKV_CMD_RAFT_CODEC_H
#define TIKV_CMD_RAFT_CODEC_H

#include "core/codec/proto.h"
#include "core/raft/raft_types.h"

extern Bytes raft_entry_encode(const RaftEntry *entry, Arena *arena);
extern Status raft_entry_decode(Bytes bytes, RaftEntry *out) MUST_CHECK;

extern Bytes raft_message_encode(const RaftMessage *m, Arena *arena);
extern void raft_message_put(ProtoWriter *w, const RaftMessage *m);
extern Status raft_message_decode(Bytes bytes, Arena *arena,
								  RaftMessage *out) MUST_CHECK;

/* About how long the encoded form is. */
extern size_t raft_message_room(const RaftMessage *m);

/*
 * A change as the data of an entry; `context` is the command it belongs to.
 * A change of one peer that is AUTO is a ConfChange, all others a
 * ConfChangeV2; *type says which.  Leaving with a context is a V2.
 */
extern Bytes raft_conf_change_encode(const RaftConfChange *cc, Bytes context,
									 Arena *arena, RaftEntryType *type);
extern Status raft_conf_change_decode(RaftEntryType type, Bytes bytes,
									  RaftConfChange *out,
									  Bytes *context) MUST_CHECK;

extern void raft_conf_state_put(ProtoWriter *w, const RaftConfState *conf);
extern Status raft_conf_state_decode(Bytes bytes,
									 RaftConfState *out) MUST_CHECK;

#endif /* TIKV_CMD_RAFT_CODEC_H */
