/*
 * crc64.c
 *	  CRC-64/XZ, eight bytes at a time.
 *
 * table[k][b] is the remainder of byte b followed by k zero bytes, so eight
 * look-ups advance over eight bytes at once.
 */
#include "core/base/crc64.h"

#define POLYNOMIAL UINT64_C(0xC96C5795D7870F42) /* ECMA-182, bits reversed */
#define SLICES 8

static uint64_t table[SLICES][256];
static bool filled;

static void
fill(void)
{
	for (unsigned b = 0; b < 256; b++)
	{
		uint64_t crc = b;

		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ ((crc & 1) != 0 ? POLYNOMIAL : 0);
		table[0][b] = crc;
	}
	for (int k = 1; k < SLICES; k++)
		for (unsigned b = 0; b < 256; b++)
			table[k][b] =
				(table[k - 1][b] >> 8) ^ table[0][table[k - 1][b] & 0xff];
	filled = true;
}

static uint64_t
load_le64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 7; i >= 0; i--)
		v = v << 8 | p[i];
	return v;
}

uint64_t
crc64(uint64_t so_far, Bytes bytes)
{
	const uint8_t *p = bytes.data;
	size_t left = bytes.len;
	uint64_t crc = ~so_far;

	if (!filled)
		fill();
	for (; left >= SLICES; left -= SLICES, p += SLICES)
	{
		uint64_t v = crc ^ load_le64(p);

		crc = 0;
		for (int k = 0; k < SLICES; k++)
			crc ^= table[SLICES - 1 - k][v >> (8 * k) & 0xff];
	}
	for (; left > 0; left--)
		crc = crc >> 8 ^ table[0][(crc ^ *p++) & 0xff];
	return ~crc;
}
