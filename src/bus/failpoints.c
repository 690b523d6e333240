/*
 * failpoints.c
 *	  Failpoints of a server: what tests have written into its data directory.
 *
 * A worker's working directory is the data directory.  tikv_failpoints has what
 * is set, tikv_failpoint_hits gets a line for each place that was passed while
 * something was set for it, and tikv_failpoint.NAME is made by who is the first
 * to carry out what is to take place once.  None of it is in releases.
 */
#include "postgres.h"

#include "bus/failpoints.h"

#ifdef TIKV_FAILPOINTS

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/fd.h"

#define SET_FILE "tikv_failpoints"
#define HITS_FILE "tikv_failpoint_hits"
#define CLAIM_FILE "tikv_failpoint.%s"

/* Of one process: beyond that, only what takes place is noted. */
#define MAX_NOTES 20000

static bool
claim(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), CLAIM_FILE, name);
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* One write, so that lines of several processes do not mix. */
static void
note(const char *name, const char *what)
{
	static int n_notes;
	char line[160];
	ssize_t written;
	int fd;

	if (what == NULL && n_notes++ >= MAX_NOTES)
		return;
	fd = open(HITS_FILE, O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	snprintf(line, sizeof(line), "%s %s %d\n", name,
			 what == NULL ? "pass" : what, MyProcPid);
	written = write(fd, line, strlen(line));
	(void) written;
	close(fd);
}

void
failpoints_read(void)
{
	static const FailpointHost host = {claim, note};
	static struct timespec seen;
	char text[4096];
	struct stat st;
	FILE *file;
	size_t len;

	if (stat(SET_FILE, &st) != 0 ||
		(st.st_mtim.tv_sec == seen.tv_sec &&
		 st.st_mtim.tv_nsec == seen.tv_nsec))
		return;
	seen = st.st_mtim;
	file = AllocateFile(SET_FILE, "r");
	if (file == NULL)
		return;
	len = fread(text, 1, sizeof(text) - 1, file);
	FreeFile(file);
	while (len > 0 && text[len - 1] == '\n')
		len--;
	text[len] = '\0';
	failpoints_host(&host);
	if (!failpoints_set(text))
		ereport(LOG, (errmsg("%s is not understood", SET_FILE)));
}

#endif
