/*
 * api_switch.h
 *	  The API version of the data, and whether the settings may change it.
 */
#ifndef TIKV_STORE_API_SWITCH_H
#define TIKV_STORE_API_SWITCH_H

#include "store/store.h"

/* What tikv.api_version and tikv.enable_ttl ask for. */
extern ApiVersion api_of_our_settings(void);

/*
 * Make the ident's API version that of the settings, which works as long as
 * there is no data; false with a reason if there is. Who calls saves it.
 */
extern bool api_switch(Store *store, char *reason, Size size);

#endif /* TIKV_STORE_API_SWITCH_H */
