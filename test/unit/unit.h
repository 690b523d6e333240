/*
 * unit.h
 *	  The few lines a unit test needs: checks that print TAP.
 *
 * A test program calls OK/EQ_* any number of times and ends with
 * `return unit_done();`.  A failed check prints where and goes on.
 */
#ifndef TIKV_TEST_UNIT_H
#define TIKV_TEST_UNIT_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int unit_run;
static int unit_failed;

static inline bool
unit_check(bool pass, const char *what, const char *file, int line)
{
	unit_run++;
	printf("%s %d - %s\n", pass ? "ok" : "not ok", unit_run, what);
	if (!pass)
	{
		unit_failed++;
		printf("#   at %s:%d\n", file, line);
	}
	return pass;
}

static inline void
unit_eq_u64(uint64_t got, uint64_t want, const char *what, const char *file,
			int line)
{
	if (!unit_check(got == want, what, file, line))
		printf("#   got %" PRIu64 ", want %" PRIu64 "\n", got, want);
}

static inline void
unit_eq_str(const char *got, const char *want, const char *what,
			const char *file, int line)
{
	if (!unit_check(strcmp(got, want) == 0, what, file, line))
		printf("#   got  \"%s\"\n#   want \"%s\"\n", got, want);
}

static inline int
unit_done(void)
{
	printf("1..%d\n", unit_run);
	if (unit_failed > 0)
		printf("# %d of %d failed\n", unit_failed, unit_run);
	return unit_failed > 0 || unit_run == 0;
}

#define OK(cond, what) ((void) unit_check((cond), (what), __FILE__, __LINE__))
#define EQ_U64(got, want, what) \
	unit_eq_u64((uint64_t) (got), (uint64_t) (want), (what), __FILE__, __LINE__)
#define EQ_STR(got, want, what) \
	unit_eq_str((got), (want), (what), __FILE__, __LINE__)

#endif /* TIKV_TEST_UNIT_H */
