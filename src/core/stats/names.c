/*
 * names.c
 *	  Names of RPCs as metrics spell them.
 */
#include "core/stats/names.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

/* Does a word begin here?  "KVScan" is kv_scan, "KeyTTL" is key_ttl. */
static bool
begins_word(const char *name, const char *at)
{
	if (at == name || !isupper((unsigned char) *at))
		return false;
	return !isupper((unsigned char) at[-1]) || islower((unsigned char) at[1]);
}

void
metric_rpc_name(const char *path, char *out, size_t size)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash == NULL ? path : slash + 1;
	size_t n = 0;

	for (const char *at = name; *at != '\0' && n + 2 < size; at++)
	{
		if (begins_word(name, at))
			out[n++] = '_';
		out[n++] = (char) tolower((unsigned char) *at);
	}
	out[n] = '\0';
}
