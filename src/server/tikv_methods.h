/*
 * tikv_methods.h
 *	  Every RPC of a storage node, for ServerConfig.methods.
 */
#ifndef TIKV_SERVER_TIKV_METHODS_H
#define TIKV_SERVER_TIKV_METHODS_H

#include "server/server.h"

extern const RpcMethod tikv_methods[];
extern const int tikv_n_methods;

#endif /* TIKV_SERVER_TIKV_METHODS_H */
