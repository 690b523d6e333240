/*
 * api_switch.h
 *	  The API version of the data, and whether the settings may change it.
 */
#ifndef TIKV_STORE_API_SWITCH_H
#define TIKV_STORE_API_SWITCH_H

#include "store/store.h"

/* What tikv.api_version and tikv.enable_ttl ask for. */
extern ApiVersion api_of_our_settings(void);

/* The settings that make an API version, for people. */
extern const char *api_settings(ApiVersion api);

/*
 * Make the ident's API version that of the settings, which works as long as
 * there is no data; false with a reason if there is. Who calls saves it.
 */
extern bool api_switch(Store *store, char *reason, Size size);

/* ---- api_agreed.c ---- */

/*
 * Is the ident's API version the cluster's?  False with a reason if it is not,
 * or PD cannot tell.  *later: the cluster has not begun; ask again when it has.
 * only_prepared: its only region is one that it has prepared and never led.
 */
extern bool store_api_agree(const Store *store, Arena *arena, bool bootstrapped,
							bool only_prepared, bool *later, char *reason,
							Size size);

#endif /* TIKV_STORE_API_SWITCH_H */
