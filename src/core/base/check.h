/*
 * check.h
 *	  Assertions that stay on in release builds.
 *
 * A broken invariant of the core means that going on could lose data.  CHECK
 * calls a hook which must not return: tests leave the default, which prints
 * and aborts; a worker installs one that ends the process with FATAL, so that
 * it restarts from what is durable instead of taking Postgres down.  The hook
 * runs on the thread that failed, whichever that is.
 */
#ifndef TIKV_BASE_CHECK_H
#define TIKV_BASE_CHECK_H

typedef void (*CheckHook)(const char *expr, const char *file, int line);

/* Replace the hook; NULL restores the default (print and abort). */
extern void check_set_hook(CheckHook hook);

extern void check_failed(const char *expr, const char *file, int line)
	__attribute__((noreturn, cold));

#define CHECK(expr) \
	((expr) ? (void) 0 : check_failed(#expr, __FILE__, __LINE__))

#endif /* TIKV_BASE_CHECK_H */
