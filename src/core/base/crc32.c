/*
 * crc32.c
 *	  CRC-32 as in zlib and IEEE 802.3, eight bytes at a time.
 *
 * Slicing by eight (Kounavis and Berry, "Novel Table Lookup-Based Algorithms
 * for High-Performance CRC Generation"): a snapshot is summed up twice on its
 * way, and a byte at a time would cost more than reading it.
 */
#include "core/base/crc32.h"

#define POLYNOMIAL UINT32_C(0xEDB88320)

static uint32_t tables[8][256];

static void
fill_tables(void)
{
	for (uint32_t i = 0; i < 256; i++)
	{
		uint32_t crc = i;

		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ ((crc & 1) != 0 ? POLYNOMIAL : 0);
		tables[0][i] = crc;
	}
	for (int t = 1; t < 8; t++)
		for (uint32_t i = 0; i < 256; i++)
			tables[t][i] =
				(tables[t - 1][i] >> 8) ^ tables[0][tables[t - 1][i] & 0xff];
}

static uint32_t
load_le32(const uint8_t *p)
{
	return (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16 |
		(uint32_t) p[3] << 24;
}

uint32_t
crc32_add(uint32_t so_far, Bytes bytes)
{
	const uint8_t *p = bytes.data;
	size_t n = bytes.len;
	uint32_t crc = ~so_far;

	if (tables[0][1] == 0)
		fill_tables();
	for (; n >= 8; n -= 8, p += 8)
	{
		uint32_t a = crc ^ load_le32(p);
		uint32_t b = load_le32(p + 4);

		crc = tables[7][a & 0xff] ^ tables[6][a >> 8 & 0xff] ^
			tables[5][a >> 16 & 0xff] ^ tables[4][a >> 24] ^
			tables[3][b & 0xff] ^ tables[2][b >> 8 & 0xff] ^
			tables[1][b >> 16 & 0xff] ^ tables[0][b >> 24];
	}
	for (; n > 0; n--)
		crc = tables[0][(crc ^ *p++) & 0xff] ^ crc >> 8;
	return ~crc;
}
