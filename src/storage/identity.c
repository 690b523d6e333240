/*
 * identity.c
 *	  Which data directory on which machine this is.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "miscadmin.h"

#include "core/base/hash.h"
#include "storage/identity.h"

#define MACHINE_ID_FILE "/etc/machine-id"

/*
 * The id is meant to stay on its machine (machine-id(5)), so a hash is kept.
 * A machine without one is told from others by its disks alone.
 */
static int64
machine(void)
{
	uint8 text[64];
	int fd = open(MACHINE_ID_FILE, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0)
		return 0;
	len = read(fd, text, sizeof(text));
	close(fd);
	return len <= 0 ? 0 : (int64) hash_bytes64(bytes_make(text, len), 0);
}

void
identity_here(DataIdentity *out)
{
	struct stat folder;

	memset(out, 0, sizeof(*out));
	if (stat(DataDir, &folder) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not stat directory \"%s\": %m", DataDir)));
	out->machine = machine();
	out->device = (int64) folder.st_dev;
	out->inode = (int64) folder.st_ino;
	out->timeline = (int32) GetWALInsertionTimeLine();
}

static bool
is_known(const DataIdentity *identity)
{
	return identity->inode != 0 || identity->timeline != 0;
}

bool
identity_moved(const DataIdentity *stored, const DataIdentity *here)
{
	return is_known(stored) &&
		(stored->machine != here->machine || stored->inode != here->inode ||
		 stored->timeline != here->timeline);
}

void
identity_describe(const DataIdentity *stored, const DataIdentity *here,
				  char *out, Size size)
{
	snprintf(out, size, "%s%s%s",
			 stored->machine != here->machine ? "another machine; " : "",
			 stored->inode != here->inode ? "another data directory; " : "",
			 stored->timeline != here->timeline ? "another timeline; " : "");
	if (out[0] != '\0')
		out[strlen(out) - 2] = '\0';
}
