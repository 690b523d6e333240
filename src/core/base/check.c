/*
 * check.c
 *	  The hook behind CHECK.
 */
#include "core/base/check.h"

#include <stdio.h>
#include <stdlib.h>

static CheckHook check_hook;

void
check_set_hook(CheckHook hook)
{
	check_hook = hook;
}

void
check_failed(const char *expr, const char *file, int line)
{
	if (check_hook != NULL)
		check_hook(expr, file, line);
	fprintf(stderr, "check failed: %s, %s:%d\n", expr, file, line);
	abort();
}
