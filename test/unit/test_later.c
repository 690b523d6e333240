/* Memory that is given back when nobody can look at it any more. */
#include "core/base/later.h"
#include "unit.h"

static int freed[300];
static int n_freed;

static void
note(void *thing)
{
	freed[n_freed++] = *(int *) thing;
}

/* Frees another thing while it is freed itself. */
static void
note_two(void *thing)
{
	note(thing);
	later_free(note, (int *) thing + 1);
}

int
main(void)
{
	int things[200];

	for (int i = 0; i < 200; i++)
		things[i] = i;
	later_free(note, &things[7]);
	EQ_U64(n_freed, 1, "at once, if nothing is held");
	later_hold();
	later_hold();
	for (int i = 0; i < 200; i++)
		later_free(note, &things[i]);
	EQ_U64(n_freed, 1, "held things wait");
	later_run();
	EQ_U64(n_freed, 201, "and are freed, all of them");
	EQ_U64(freed[1], 0, "in order, the first");
	EQ_U64(freed[200], 199, "and the last");
	later_run();
	EQ_U64(n_freed, 201, "once");
	later_free(note, &things[3]);
	EQ_U64(n_freed, 202, "afterwards nothing waits");
	later_hold();
	later_free(note_two, &things[4]);
	later_run();
	EQ_U64(n_freed, 204, "what is freed may free something else");
	EQ_U64(freed[203], 5, "which goes at once");
	return unit_done();
}
