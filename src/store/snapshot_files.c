/*
 * snapshot_files.c
 *	  The folder of snapshot files, and what the store does with them.
 *
 * Nothing waits long for the disk as far as that can be helped: what is written is
 * told to be written back at once, and waited for a little later, so that little
 * is left when a received file must be durable.
 */
#include "postgres.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file_perm.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "store/snapshots.h"

SnapshotPath
snapshot_path(SnapshotFile kind, uint64 region_id, uint64 index, uint64 term)
{
	SnapshotPath path;

	if (kind == SNAPSHOT_FILE_MADE)
		snprintf(path.path, sizeof(path.path),
				 SNAPSHOT_DIR "/" UINT64_FORMAT ".made", region_id);
	else
		snprintf(path.path, sizeof(path.path),
				 SNAPSHOT_DIR "/" UINT64_FORMAT "_" UINT64_FORMAT
							  "_" UINT64_FORMAT ".%s",
				 region_id, index, term,
				 kind == SNAPSHOT_FILE_RECEIVED ? "snap" : "part");
	return path;
}

static void
log_failure(const char *what, const char *path)
{
	ereport(LOG,
			(errcode_for_file_access(),
			 errmsg("could not %s file \"%s\": %m", what, path)));
}

int
snapshot_open(const SnapshotPath *path, bool create)
{
	int flags = create ? O_RDWR | O_CREAT | O_TRUNC : O_RDONLY;
	int fd =
		open(path->path, flags | O_CLOEXEC | PG_BINARY, pg_file_create_mode);

	if (fd < 0)
		log_failure(create ? "create" : "open", path->path);
	return fd;
}

bool
snapshot_write_file(int fd, Bytes bytes, WriteBack *back)
{
	size_t done = 0;
	uint64 told;

	while (done < bytes.len)
	{
		ssize_t n = pwrite(fd, bytes.data + done, bytes.len - done,
						   (off_t) (back->written + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (FAILPOINT_ERROR("store_snapshot_write"))
		{
			errno = ENOSPC;
			n = -1;
		}
		if (n <= 0)
		{
			log_failure("write", SNAPSHOT_DIR);
			return false;
		}
		done += (size_t) n;
	}
	back->written += bytes.len;
	told = write_back_tell(back);
	if (told > back->told)
		pg_flush_data(fd, (off_t) back->told, (off_t) (told - back->told));
	back->told = told;
	return true;
}

/*
 * An error is told once, here or at the flush.  Where the kernel has no such call
 * the flush has more to do.
 */
bool
snapshot_settle_file(int fd, WriteBack *back)
{
	uint64 settled = write_back_settle(back);

#if defined(HAVE_SYNC_FILE_RANGE)
	if (settled > back->settled && enableFsync &&
		sync_file_range(fd, (off_t) back->settled,
						(off_t) (settled - back->settled),
						SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
							SYNC_FILE_RANGE_WAIT_AFTER) != 0 &&
		errno != ENOSYS)
	{
		log_failure("write back", SNAPSHOT_DIR);
		return false;
	}
#endif
	back->settled = settled;
	return true;
}

bool
snapshot_read_file(int fd, uint64 offset, uint8 *out, size_t len)
{
	while (len > 0)
	{
		ssize_t n = pread(fd, out, len, (off_t) offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
		{
			log_failure("read", SNAPSHOT_DIR);
			return false;
		}
		out += n;
		len -= (size_t) n;
		offset += (uint64) n;
	}
	return true;
}

void
snapshot_unlink(const SnapshotPath *path)
{
	if (unlink(path->path) != 0 && errno != ENOENT)
		log_failure("remove", path->path);
}

static bool
is_being_installed(const Store *store, const char *name)
{
	for (const SnapshotInstalling *in = store->snapshots->installing;
		 in != NULL; in = in->next)
	{
		SnapshotPath path =
			snapshot_path(SNAPSHOT_FILE_RECEIVED, in->at.region_id,
						  in->at.index, in->at.term);

		if (strcmp(path.path + strlen(SNAPSHOT_DIR "/"), name) == 0)
			return true;
	}
	return false;
}

void
snapshot_tidy(Store *store)
{
	DIR *dir;
	struct dirent *entry;

	if (MakePGDirectory(SNAPSHOT_DIR) < 0 && errno != EEXIST)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create directory \"%s\": %m",
						SNAPSHOT_DIR)));
	dir = AllocateDir(SNAPSHOT_DIR);
	while ((entry = ReadDir(dir, SNAPSHOT_DIR)) != NULL)
	{
		SnapshotPath path;

		if (strcmp(entry->d_name, ".") == 0 ||
			strcmp(entry->d_name, "..") == 0 ||
			is_being_installed(store, entry->d_name))
			continue;
		snprintf(path.path, sizeof(path.path), SNAPSHOT_DIR "/%.100s",
				 entry->d_name);
		snapshot_unlink(&path);
	}
	FreeDir(dir);
}
