/*
 * global_config.h
 *	  Named settings that tools share, as keys below a path.
 */
#ifndef TIKV_PD_GLOBAL_CONFIG_H
#define TIKV_PD_GLOBAL_CONFIG_H

#include "core/base/arena.h"
#include "pdpb.pb-c.h"

#define GLOBAL_CONFIG_BAD_PATH "the path must lie below /global/config"

/*
 * The path with its slash at the end; "" is /global/config/.  NULL if it does
 * not lie there.
 */
extern const char *global_config_path(const char *path, Arena *arena);

extern Pdpb__GlobalConfigItem *global_config_item(Bytes name, Bytes payload,
												  bool removed, Arena *arena);

#endif /* TIKV_PD_GLOBAL_CONFIG_H */
