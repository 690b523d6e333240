/*
 * names.h
 *	  Names of RPCs as metrics spell them.
 */
#ifndef TIKV_STATS_NAMES_H
#define TIKV_STATS_NAMES_H

#include <stddef.h>

/*
 * "/tikvpb.Tikv/RawGetKeyTTL" is "raw_get_key_ttl", as TiKV's label `type`
 * has it (tikv/tikv src/server/metrics.rs).  Cut if it does not fit.
 */
extern void metric_rpc_name(const char *path, char *out, size_t size);

#endif /* TIKV_STATS_NAMES_H */
