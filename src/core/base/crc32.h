/*
 * crc32.h
 *	  CRC-32 as in zlib and IEEE 802.3: the checksum of snapshot files, as in
 *	  TiKV (tikv/tikv components/tikv_util/src/file.rs).
 */
#ifndef TIKV_BASE_CRC32_H
#define TIKV_BASE_CRC32_H

#include "core/base/bytes.h"

/* The checksum of what was summed up so far (0 at first) and these bytes. */
extern uint32_t crc32_add(uint32_t so_far, Bytes bytes);

#endif /* TIKV_BASE_CRC32_H */
