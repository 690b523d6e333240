/*
 * status.c
 *	  Texts for Status values.
 */
#include "core/base/status.h"

const char *
status_text(Status s)
{
	switch (s)
	{
		case STATUS_OK:
			return "ok";
		case STATUS_INVALID:
			return "invalid request";
		case STATUS_TOO_LARGE:
			return "too large";
		case STATUS_BUSY:
			return "busy";
		case STATUS_NOT_LEADER:
			return "not leader";
		case STATUS_UNAVAILABLE:
			return "unavailable";
		case STATUS_NOT_FOUND:
			return "not found";
		case STATUS_CORRUPT:
			return "stored data is inconsistent";
	}
	return "unknown status";
}
