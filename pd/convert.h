/*
 * convert.h
 *	  Messages of metapb, pdpb and keyspacepb <-> the core's plain structs.
 *
 * Nothing is copied but the structs themselves: strings and keys are borrowed
 * from what is converted, arrays are the arena's.
 */
#ifndef TIKV_PD_CONVERT_H
#define TIKV_PD_CONVERT_H

#include "keyspacepb.pb-c.h"
#include "meta_storagepb.pb-c.h"
#include "metapb.pb-c.h"
#include "mvccpb.pb-c.h"
#include "pd/core/record.h"
#include "pdpb.pb-c.h"

/* A message of the type in the arena, initialised. */
#define NEW_MESSAGE(arena, type, init)           \
	((type *) new_message((arena), sizeof(type), \
						  (void (*)(ProtobufCMessage *))(init)))

extern void *new_message(Arena *arena, size_t size,
						 void (*init)(ProtobufCMessage *));

static inline Bytes
from_binary(ProtobufCBinaryData b)
{
	return bytes_make(b.data, b.len);
}

static inline ProtobufCBinaryData
to_binary(Bytes b)
{
	ProtobufCBinaryData out = {b.len, (uint8_t *) b.data};

	return out;
}

/* A packed message, in the arena. */
extern Bytes pack_message(const ProtobufCMessage *message, Arena *arena);

extern RegionPeer from_peer(const Metapb__Peer *peer);
extern Metapb__Peer *to_peer(const RegionPeer *peer, Arena *arena);

/* False if it has more peers than a region can have. */
extern bool from_region(const Metapb__Region *message, Region *out);
extern Metapb__Region *to_region(const Region *region, Arena *arena);

extern void from_store(const Metapb__Store *message, PdStore *out,
					   Arena *arena);
extern Metapb__Store *to_store(const PdStore *store, Arena *arena);

/* "http://host:port/..." without what stands around host:port. */
extern const char *url_address(const char *url, Arena *arena);

/* One URL of each kind; the first if there are more. */
extern void from_member(const Pdpb__Member *message, PdMember *out);
extern Pdpb__Member *to_member(const PdMember *member, Arena *arena);

extern void from_keyspace(const Keyspacepb__KeyspaceMeta *message,
						  Keyspace *out, Arena *arena);
extern Keyspacepb__KeyspaceMeta *to_keyspace(const Keyspace *keyspace,
											 Arena *arena);

/* An item, of which mvccpb and meta_storagepb name the parts alike. */
#define FILL_ITEM(message, item)                              \
	do                                                        \
	{                                                         \
		(message)->key = to_binary((item)->key);              \
		(message)->value = to_binary((item)->value);          \
		(message)->create_revision = (item)->create_revision; \
		(message)->mod_revision = (item)->mod_revision;       \
		(message)->version = (item)->version;                 \
		(message)->lease = (item)->lease;                     \
	} while (0)

/* A copy, in the arena. */
extern MetaStoragepb__KeyValue *to_meta_item(const KvItem *item, Arena *arena);
extern Mvccpb__KeyValue *to_etcd_item(const KvItem *item, bool with_value,
									  Arena *arena);

#endif /* TIKV_PD_CONVERT_H */
