/*
 * pg_errors.h
 *	  Postgres's errors without Postgres.
 *
 * Nothing is logged, and nothing may end the process, unless the target says by
 * PG_ERRORS_ARE_THROWN that errstart and errfinish are its own.
 */
#ifndef TIKV_FUZZ_PG_ERRORS_H
#define TIKV_FUZZ_PG_ERRORS_H

#include "postgres.h"

#include "core/base/check.h"

int
errcode(int sqlerrcode)
{
	return sqlerrcode;
}

int
errmsg(const char *fmt, ...)
{
	(void) fmt;
	return 0;
}

int
errmsg_internal(const char *fmt, ...)
{
	(void) fmt;
	return 0;
}

int
errdetail(const char *fmt, ...)
{
	(void) fmt;
	return 0;
}

int
errhint(const char *fmt, ...)
{
	(void) fmt;
	return 0;
}

#ifndef PG_ERRORS_ARE_THROWN
bool
errstart(int elevel, const char *domain)
{
	(void) domain;
	CHECK(elevel < ERROR);
	return false;
}

void
errfinish(const char *filename, int lineno, const char *funcname)
{
	(void) filename;
	(void) lineno;
	(void) funcname;
}
#endif

/* With assertions on the macros ask this, too. */
bool
errstart_cold(int elevel, const char *domain)
{
	return errstart(elevel, domain);
}

#endif /* TIKV_FUZZ_PG_ERRORS_H */
