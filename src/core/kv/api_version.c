/*
 * api_version.c
 *	  Which requests and keys a store of an API version accepts.
 */
#include "core/kv/api_version.h"

/* What the first byte of a key says in API V2. */
typedef enum KeyMode
{
	MODE_UNKNOWN,
	MODE_RAW,
	MODE_TXN,
	MODE_TIDB
} KeyMode;

ApiVersion
api_of_settings(int api_version, bool enable_ttl)
{
	if (api_version == 2)
		return API_V2;
	return enable_ttl ? API_V1TTL : API_V1;
}

const char *
api_name(int version)
{
	switch (version)
	{
		case API_V1:
			return "V1";
		case API_V1TTL:
			return "V1ttl";
		case API_V2:
			return "V2";
		default:
			return "unknown";
	}
}

static KeyMode
key_mode(Bytes key)
{
	if (key.len == 0)
		return MODE_UNKNOWN;
	switch (key.data[0])
	{
		case 'r':
			return MODE_RAW;
		case 'x':
			return MODE_TXN;
		case 'm':
		case 't':
			return MODE_TIDB;
		default:
			return MODE_UNKNOWN;
	}
}

/*
 * A range has a mode if both bounds do; an end of the one byte behind the mode
 * stands for all of it.
 */
static KeyMode
range_mode(Bytes start, Bytes end)
{
	if (start.len == 0 || end.len == 0)
		return MODE_UNKNOWN;
	if (end.data[0] == start.data[0] ||
		(end.len == 1 && end.data[0] == start.data[0] + 1))
		return key_mode(start);
	return MODE_UNKNOWN;
}

ApiAnswer
api_check_request(ApiVersion storage, int request, bool raw)
{
	bool accepted;

	switch (storage)
	{
		case API_V1:
			accepted = request == API_V1;
			break;
		case API_V1TTL:
			accepted = request == API_V1 && raw;
			break;
		default:
			accepted = request == API_V2 || (request == API_V1 && !raw);
			break;
	}
	return accepted ? API_OK : API_VERSION_NOT_MATCHED;
}

static ApiAnswer
check_mode(ApiVersion storage, int request, bool raw, KeyMode mode)
{
	ApiAnswer answer = api_check_request(storage, request, raw);
	KeyMode wanted;

	if (answer != API_OK || storage != API_V2)
		return answer;
	if (request == API_V1)
		wanted = MODE_TIDB;
	else
		wanted = raw ? MODE_RAW : MODE_TXN;
	return mode == wanted ? API_OK : API_INVALID_KEY_MODE;
}

ApiAnswer
api_check_key(ApiVersion storage, int request, bool raw, Bytes key)
{
	return check_mode(storage, request, raw, key_mode(key));
}

ApiAnswer
api_check_range(ApiVersion storage, int request, bool raw, Bytes start,
				Bytes end)
{
	return check_mode(storage, request, raw, range_mode(start, end));
}
