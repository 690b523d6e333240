/*
 * helper.h
 *	  A broken invariant on one of a worker's helper threads (waker, warden,
 *	  porter, libmicrohttpd's, gRPC's), which may not call Postgres.
 */
#ifndef TIKV_SERVER_HELPER_H
#define TIKV_SERVER_HELPER_H

#include <stdbool.h>

/* Is this the process's first thread, which alone may call Postgres? */
extern bool helper_is_main_thread(void);

/* What was broken, and where. */
typedef struct HelperFailure
{
	const char *expr;
	const char *file;
	int line;
} HelperFailure;

/*
 * On a helper thread: say so on stderr, have the main thread woken, and stop
 * here until it has ended the process; abort after patience_ms without that.
 */
extern void helper_failed(const HelperFailure *failure, void (*wake)(void),
						  int patience_ms) __attribute__((noreturn, cold));

/* On the main thread, in every round: false, or what failed first. */
extern bool helper_has_failed(HelperFailure *out);

#endif /* TIKV_SERVER_HELPER_H */
