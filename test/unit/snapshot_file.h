/*
 * snapshot_file.h
 *	  A snapshot's file in memory, as it is written.
 */
#ifndef TIKV_TEST_SNAPSHOT_FILE_H
#define TIKV_TEST_SNAPSHOT_FILE_H

#include <string.h>

#include "core/base/bytes.h"

static uint8_t file[1 << 20];
static size_t file_len;

static inline bool
write_file(void *arg, Bytes bytes)
{
	(void) arg;
	memcpy(file + file_len, bytes.data, bytes.len);
	file_len += bytes.len;
	return true;
}

#endif /* TIKV_TEST_SNAPSHOT_FILE_H */
