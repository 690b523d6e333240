/*
 * raw.c
 *	  Names of the raw API's column families.
 */
#include "core/kv/raw.h"

#include <string.h>

/*
 * An unknown name is the caller's error to report: TiKV answers it in the
 * response's `error` text (tikv/tikv src/storage/mod.rs, rawkv_cf).
 */
bool
raw_cf_parse(const char *name, RawCf *cf)
{
	static const struct
	{
		const char *name;
		RawCf cf;
	} families[] = {
		{"", RAW_CF_DEFAULT},
		{"default", RAW_CF_DEFAULT},
		{"lock", RAW_CF_LOCK},
		{"write", RAW_CF_WRITE},
	};

	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
	{
		if (strcmp(name, families[i].name) == 0)
		{
			*cf = families[i].cf;
			return true;
		}
	}
	return false;
}
