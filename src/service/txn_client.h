/*
 * txn_client.h
 *	  The client's side of the transactional API: commands -> kvrpcpb requests,
 *	  and responses -> answers.
 */
#ifndef TIKV_SERVICE_TXN_CLIENT_H
#define TIKV_SERVICE_TXN_CLIENT_H

#include "core/client/client.h"
#include "kvrpcpb.pb-c.h"

/* The RPC that carries a command. */
extern int txn_client_method(TxnCommandKind kind);

/* The request; it borrows from the command, the context and the arena. */
extern ProtobufCMessage *txn_client_request(const TxnCommand *command,
											Kvrpcpb__Context *context,
											Arena *arena);

/* False if the bytes are no response to the command. */
extern bool txn_client_reply(const TxnCommand *command, Bytes bytes,
							 Arena *arena, ClientReply *reply);

/* Parts that others decode, too. */
extern void txn_client_lock_info(const Kvrpcpb__LockInfo *from, Arena *arena,
								 LockInfo *to);
extern LockType txn_client_lock_type(Kvrpcpb__Op op);
extern void txn_client_key_error(const Kvrpcpb__KeyError *from, Arena *arena,
								 TxnError *to);

/* Keys are borrowed; NULL is nobody. */
extern void txn_client_region(const Metapb__Region *from, Region *to);
extern RegionPeer txn_client_peer(const Metapb__Peer *from);

#endif /* TIKV_SERVICE_TXN_CLIENT_H */
