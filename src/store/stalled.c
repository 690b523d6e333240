/*
 * stalled.c
 *	  Says what the store's long work cannot do for damaged rows.
 */
#include "postgres.h"

#include "bus/shmem.h"
#include "store/stalled.h"

static const char *const words[STALLED_WORKS] = {
	[STALLED_RANGES] = "deletions of ranges that cannot end",
	[STALLED_GC] = "keys that garbage collection passes by",
	[STALLED_EXPIRED] = "places whose expired rows stay",
	[STALLED_LEFT] = "removed peers whose rows stay",
	[STALLED_INSTALLS] = "snapshots that cannot be installed",
	[STALLED_MAKING] = "regions of which no snapshot can be made",
};

static uint64 known[STALLED_WORKS];

static void
tell(void)
{
	const char *between = "damaged data, the server's log says where: ";
	char note[256] = "";

	for (int i = 0; i < STALLED_WORKS; i++)
	{
		size_t len = strlen(note);

		if (known[i] == 0)
			continue;
		snprintf(note + len, sizeof(note) - len, "%s%llu %s", between,
				 (unsigned long long) known[i], words[i]);
		between = ", ";
	}
	worker_note(WORKER_STORE, WORKER_NOTE_STALLED, note);
}

void
stalled_note(StalledWork of, uint64 n)
{
	if (known[of] == n)
		return;
	known[of] = n;
	tell();
}

void
stalled_reset(void)
{
	memset(known, 0, sizeof(known));
	tell();
}
