/*
 * test_crc64.c
 *	  The checksum of known strings, whole and in pieces.
 */
#include "core/base/crc64.h"
#include "unit.h"

int
main(void)
{
	const char *text = "This is a test of the emergency broadcast system.";
	Bytes all = bytes_cstr(text);
	bool same = true;

	EQ_U64(crc64(0, bytes_empty()), 0, "nothing has the sum 0");
	EQ_U64(crc64(0, bytes_cstr("123456789")), UINT64_C(0x995DC9BBDF1939FA),
		   "the check value of CRC-64/XZ");
	EQ_U64(crc64(0, all), UINT64_C(0x27DB187FC15BBC72), "a longer text");
	for (size_t cut = 0; cut <= all.len; cut++)
		same = same &&
			crc64(crc64(0, bytes_make(text, cut)),
				  bytes_make(text + cut, all.len - cut)) == crc64(0, all);
	OK(same, "wherever it is cut in two");
	return unit_done();
}
