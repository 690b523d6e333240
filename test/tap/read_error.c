/*
 * read_error.c
 *	  Has one read of a file fail, as a disk that is ill for a moment has it.
 *
 * Preloaded into an instance (LD_PRELOAD).  TIKV_TEST_READ_ERROR names a file
 * that holds an offset and the end of a path: the first read there fails with
 * EIO, and the file is removed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int
is_file(int fd, const char *end)
{
	char link[64];
	char path[4096];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	if (len < (ssize_t) strlen(end))
		return 0;
	path[len] = 0;
	return strcmp(path + len - strlen(end), end) == 0;
}

static int
fails(int fd, off_t offset)
{
	const char *name = getenv("TIKV_TEST_READ_ERROR");
	FILE *order = name == NULL ? NULL : fopen(name, "r");
	char path[256];
	long at;
	int n;

	if (order == NULL)
		return 0;
	n = fscanf(order, "%ld %255s", &at, path);
	fclose(order);
	return n == 2 && at == (long) offset && is_file(fd, path) &&
		unlink(name) == 0;
}

ssize_t
pread64(int fd, void *out, size_t len, off_t offset)
{
	static ssize_t (*real)(int, void *, size_t, off_t);

	if (real == NULL)
		real = (ssize_t(*)(int, void *, size_t, off_t)) dlsym(RTLD_NEXT,
															  "pread64");
	if (fails(fd, offset))
	{
		errno = EIO;
		return -1;
	}
	return real(fd, out, len, offset);
}

ssize_t
pread(int fd, void *out, size_t len, off_t offset)
{
	return pread64(fd, out, len, offset);
}
