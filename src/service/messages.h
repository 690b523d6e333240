/*
 * messages.h
 *	  What all KV messages have in common: a Context in front of requests, a
 *	  region error in front of responses.
 *
 * The folder's own header: filled by descriptor, so that one function serves
 * every RPC.
 */
#ifndef TIKV_SERVICE_MESSAGES_H
#define TIKV_SERVICE_MESSAGES_H

#include "kvrpcpb.pb-c.h"
#include "service/service.h"

/* A zeroed message of the type, in the arena. */
extern ProtobufCMessage *service_new_message(const ProtobufCMessageDescriptor
												 *type,
											 Arena *arena);

/* The Context of a KV request (its field 1), or NULL. */
extern const Kvrpcpb__Context *service_context(const ProtobufCMessage *message);

extern void service_decode_context(const Kvrpcpb__Context *context,
								   RequestContext *out);

/* metapb.Peer; metapb.Region of a descriptor, whose keys are borrowed. */
extern Metapb__Peer *service_peer_message(const RegionPeer *peer, Arena *arena);
extern Metapb__Region *service_region_message(const Region *region,
											  Arena *arena);

/* Set a string field by name (borrowed); false if there is none. */
extern bool service_set_string(ProtobufCMessage *message, const char *field,
							   const char *text);

/*
 * Responses without an `error` field carry the text as the abort error of
 * their first pair (pairs or kvs).
 */
extern void service_set_pair_error(ProtobufCMessage *message, const char *text,
								   Arena *arena);

#endif /* TIKV_SERVICE_MESSAGES_H */
