/*
 * crc64.h
 *	  CRC-64 with the polynomial of ECMA-182, reflected (CRC-64/XZ): what
 *	  RawChecksum adds up.
 */
#ifndef TIKV_BASE_CRC64_H
#define TIKV_BASE_CRC64_H

#include "core/base/bytes.h"

/* The checksum of what was summed up so far (0 at first) and these bytes. */
extern uint64_t crc64(uint64_t so_far, Bytes bytes);

#endif /* TIKV_BASE_CRC64_H */
