/*
 * storage_test.h
 *	  What the files of this test library share.
 */
#ifndef TIKV_STORAGE_TEST_H
#define TIKV_STORAGE_TEST_H

#include "core/base/bytes.h"
#include "fmgr.h"
#include "storage/tables.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* Resolve and open the tables, or raise an error. */
extern void storage_test_tables(bool write, bool wait, OpenTables *tables);
extern void storage_test_open_tables(int what, bool write, bool wait,
									 OpenTables *tables);

/* storage_test_cache('empty') makes the backend's own shared memory, too. */
extern Datum storage_test_cache(PG_FUNCTION_ARGS);

/* Defects as rows of a set-returning function's result (ReturnSetInfo). */
extern void storage_test_report(void *arg, const char *defect);

static inline Bytes
storage_test_arg(bytea *arg)
{
	return bytes_make(VARDATA_ANY(arg), VARSIZE_ANY_EXHDR(arg));
}

#endif /* TIKV_STORAGE_TEST_H */
