/*
 * version.h
 *	  The version of TiKV that this node announces (client-contract 1).
 */
#ifndef TIKV_BASE_VERSION_H
#define TIKV_BASE_VERSION_H

#define CLUSTER_VERSION "8.5.0"

#endif /* TIKV_BASE_VERSION_H */
